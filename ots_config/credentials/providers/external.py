"""Credentials from what others wrote: a user's function, and providers of the official SDKs as they are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.http import parse_expiry
from ots_config.credentials.result import SourceFailure, hand_out
from ots_config.errors import CredentialsError, raised_at, stopped_by_filter

# What answers with a whole set of keys, best first: the client of alibabacloud-credentials has a static method
# named like the others, so its own name goes before.
_METHODS = ("get_credential", "get_credentials", "fetch_credentials")
_FIELDS = {
    "access_key_id": ("get_access_key_id", "access_key_id"),
    "access_key_secret": ("get_access_key_secret", "access_key_secret"),
    "sts_token": ("get_security_token", "sts_token", "security_token"),
    "expires_at": ("get_expiration", "expires_at", "expiration"),
}


def snapshot_from(provider: Any) -> Credentials:
    """Return one snapshot of whatever hands out credentials, from one call.

    Args:
        provider: ``Credentials``, a provider of ours or of the official SDK, a provider or client of
            ``alibabacloud-credentials``, or a function.

    Raises:
        CredentialsUnavailable: If the provider says that it is not configured here.
        CredentialsRefused: If it fails, or gives something else.
        CredentialsError: If a warnings filter of this process made an error of a warning in it.
    """
    return hand_out(_asked(provider, type(provider).__name__))


def described(provider: Any) -> str:
    """Tell what a provider looks at, as well as it can say itself; never its secrets."""
    if isinstance(provider, Credentials):
        return f"{provider.source} {provider.masked_id}"
    describe = getattr(provider, "describe", None)
    if callable(describe):
        return str(describe())
    name = getattr(provider, "name", None)
    return name if isinstance(name, str) else type(provider).__name__


class CallableProvider:
    """A function of yours that returns credentials.

    It may return ``Credentials``; a tuple of id, secret and, if there are any, token and end; a mapping with those
    names as Alibaba Cloud spells them; or an object of an official SDK. If it gives an end, wrap the provider in
    ``RefreshingProvider``: your function is then called when the keys near their end, not for each request. To say that
    it does not apply, it raises ``CredentialsUnavailable``. Of any other exception the type and the place are told,
    never the text, which may hold what it was working with.

    Args:
        function: Called without arguments.
        name: What to call it in reports.
    """

    def __init__(self, function: Callable[[], Any], *, name: str = "callable") -> None:
        self._function = function
        self.name = name

    def fetch_credentials(self) -> Credentials:
        """Call the function once.

        Raises:
            CredentialsUnavailable: If the function raises it.
            CredentialsRefused: If the function fails or returns something else.
            CredentialsError: If a warnings filter of this process made an error of a warning in it.
        """
        return hand_out(_called(self._function, self.describe(), self.name))

    def get_credentials(self) -> Credentials:
        """Call the function once, as a provider does that nothing is wrapped around."""
        return self.fetch_credentials()

    def describe(self) -> str:
        """Name the function."""
        function = self._function
        named = getattr(function, "__qualname__", "") or type(function).__qualname__
        return f"function {getattr(function, '__module__', '')}.{named}"

    def __repr__(self) -> str:
        return f"<CallableProvider: {self.describe()}>"


class ForeignProvider:
    """A provider of the official SDK, or a provider or client of ``alibabacloud-credentials``, as it is.

    Such providers keep and refresh their keys themselves, so each request asks: id, secret and token always come
    from one call.

    Args:
        provider: The provider.
        name: What to call it in reports.
    """

    def __init__(self, provider: Any, *, name: str = "foreign") -> None:
        self._provider = provider
        self.name = name

    def get_credentials(self) -> Credentials:
        """Ask the provider once.

        Raises:
            CredentialsUnavailable: If it says that it is not configured here, in our terms.
            CredentialsRefused: If it fails or gives something else.
            CredentialsError: If a warnings filter of this process made an error of a warning in it.
        """
        return hand_out(_asked(self._provider, self.name))

    def describe(self) -> str:
        """Name the provider's type."""
        kind = type(self._provider)
        return f"{kind.__module__}.{kind.__qualname__}"

    def __repr__(self) -> str:
        return f"<ForeignProvider: {self.describe()}>"


def _asked(provider: Any, source: str) -> Credentials | SourceFailure:
    """Ask a provider by the first method it has."""
    if isinstance(provider, Credentials):
        return provider
    who = getattr(provider, "name", None) or type(provider).__qualname__
    method = next((found for name in _METHODS if callable(found := getattr(provider, name, None))), None)
    if method is None and callable(provider):
        method = provider
    if method is None:
        return SourceFailure(f"{who} is no credentials provider: it has no get_credentials()")
    return _called(method, str(who), source)


def _called(function: Callable[[], Any], who: str, source: str) -> Credentials | SourceFailure:
    try:
        value = function()
    except CredentialsError:
        raise
    except Warning as warning:
        return SourceFailure(stopped_by_filter(warning, who).message, refused=False)
    except Exception as error:  # noqa: BLE001 - whatever foreign code raises is told the same way
        return SourceFailure(f"{who} raised {type(error).__name__}{raised_at(error)}")
    return _snapshot(value, who, source)


def _snapshot(value: Any, who: str, source: str) -> Credentials | SourceFailure:
    """Make a snapshot of what a provider gave."""
    if isinstance(value, Credentials):
        return value
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        return SourceFailure(f"{who} is asynchronous; give a plain function that returns credentials")
    if isinstance(value, Mapping):
        found = _of_mapping(value)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if not 2 <= len(value) <= len(_FIELDS):
            return SourceFailure(f"{who} gave {len(value)} values; id, secret, token and end are 2 to 4")
        found = dict(zip(_FIELDS, value, strict=False))
    else:
        found = {field: _read(value, names) for field, names in _FIELDS.items()}
    absent = [field for field in ("access_key_id", "access_key_secret") if not isinstance(found.get(field), str)]
    if absent:
        return SourceFailure(f"{who} gave {type(value).__name__} without {' and '.join(absent)}")
    try:
        return Credentials(
            found["access_key_id"],
            found["access_key_secret"],
            found.get("sts_token") or None,
            parse_expiry(found.get("expires_at")),
            source,
        )
    except (ValueError, TypeError, AttributeError) as error:
        reason = error if isinstance(error, ValueError) else "the token is no text"
        return SourceFailure(f"{who} gave keys that cannot be used: {reason}")


def _of_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    known = {str(name).replace("_", "").lower(): entry for name, entry in value.items()}
    return {
        "access_key_id": known.get("accesskeyid"),
        "access_key_secret": known.get("accesskeysecret"),
        "sts_token": known.get("ststoken") or known.get("securitytoken"),
        "expires_at": known.get("expiresat", known.get("expiration")),
    }


def _read(value: Any, names: Sequence[str]) -> Any:
    """Read a field by the first getter or attribute there is."""
    for name in names:
        found = getattr(value, name, None)
        if found is not None:
            return found() if callable(found) else found
    return None
