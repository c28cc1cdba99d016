"""Adapts what others wrote to our ``Provider``: functions, and providers of the official SDKs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.http import parse_expiry
from ots_config.credentials.provider import DirectProvider, Provider
from ots_config.credentials.providers.static import StaticProvider
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.credentials.result import SourceFailure, unwrap
from ots_config.credentials.single_flight import translated
from ots_config.errors import CredentialsError, CredentialsRefused, CredentialsUnavailable

# Methods that return a whole set of keys, best first: the client of alibabacloud-credentials has a static method
# named like the others, so its own name comes first.
_METHODS: Final = ("get_credential", "get_credentials", "fetch_credentials")
_FIELDS: Final = {
    "access_key_id": ("get_access_key_id", "access_key_id"),
    "access_key_secret": ("get_access_key_secret", "access_key_secret"),
    "sts_token": ("get_security_token", "sts_token", "security_token"),
    "expires_at": ("get_expiration", "expires_at", "expiration"),
}
_MAX_AGE: Final = 60.0
"""Seconds after which a function or an object is asked again whose credentials do not end."""


def as_provider(given: Any, *, instant: bool | None = None) -> Provider:
    """Return a provider that may be asked for each request.

    Args:
        given: ``Credentials``, a provider of ours or of the official SDK, a provider or client of
            ``alibabacloud-credentials``, another object with ``get_credentials()`` or ``fetch_credentials()``, or a
            function.
        instant: Whether a foreign provider answers at once; None reads its own attribute ``instant``.

    Raises:
        CredentialsUnavailable: If it is none of these.
    """
    provider = adapted(given, instant=instant)
    return provider if provider.cached else RefreshingProvider(provider)


def adapted(given: Any, *, instant: bool | None = None) -> Provider:
    """Return a provider of ours that may be asked when credentials are needed; functions and ours ask each time.

    Args:
        given: As for ``as_provider``.
        instant: As for ``as_provider``.

    Raises:
        CredentialsUnavailable: If it is no source of credentials.
    """
    if isinstance(given, Credentials):
        return StaticProvider.of(given)
    if isinstance(given, Provider) and (not given.cached or type(given).__module__.startswith("ots_config.")):
        return given
    if callable(getattr(given, "fetch_credentials", None)) and not getattr(given, "cached", False):
        return CallableProvider(given.fetch_credentials, name=_name_of(given))
    if any(callable(getattr(given, name, None)) for name in _METHODS):
        foreign = ForeignProvider(given, name=_name_of(given), instant=instant)
        return foreign if foreign.instant else RefreshingProvider(foreign)
    if callable(given):
        return CallableProvider(given)
    raise CredentialsUnavailable(
        f"{type(given).__name__} is no credentials provider: it has no get_credentials() and cannot be called"
    )


class CallableProvider(Provider):
    """A function of yours that returns credentials.

    It may return ``Credentials``; a tuple of id, secret and, if there are any, token and end; a mapping with those
    names as Alibaba Cloud spells them; or an object of an official SDK. If it gives an end, wrap the provider in
    ``RefreshingProvider``: your function is then called when the keys near their end, not for each request. If it
    does not apply, it raises ``CredentialsUnavailable``. Of any other exception only type and place are shown: its
    text may hold a secret.

    Args:
        function: Called without arguments.
        name: Its name in reports.
    """

    max_age = _MAX_AGE

    def __init__(self, function: Callable[[], Any], *, name: str = "callable") -> None:
        self._function = function
        self.name = name

    def fetch_credentials(self) -> Credentials:
        """Call the function once."""
        return unwrap(_asked(self._function, self.describe(), self.name))

    def describe(self) -> str:
        """Return the function's name."""
        function = self._function
        named = getattr(function, "__qualname__", "") or type(function).__qualname__
        return f"function {getattr(function, '__module__', '')}.{named}"


class ForeignProvider(DirectProvider):
    """A provider of the official SDK, a provider or client of ``alibabacloud-credentials``, or one of your own.

    Each fetch asks it: id, secret and token always come from one call. One that says with ``instant`` that it answers
    at once is asked by each request. Any other may block, so ``as_provider`` wraps it in a ``RefreshingProvider``,
    which asks on its own thread, one call at a time. What yours may have besides is used: ``force_refresh(rejected)``
    after the service refused its credentials, and ``describe``. Of its exceptions only type and place are shown.

    Args:
        provider: The provider.
        name: Its name in reports; by default its type's.
        instant: Whether it answers at once; None reads its attribute ``instant``.
    """

    max_age = _MAX_AGE

    def __init__(self, provider: Any, *, name: str = "", instant: bool | None = None) -> None:
        self._provider = provider
        self._method = next((name for name in _METHODS if callable(getattr(provider, name, None))), "")
        self.name = name or type(provider).__name__
        self.instant = bool(getattr(provider, "instant", False)) if instant is None else instant
        self.cached = self.instant
        super().__init__()

    def fetch_credentials(self) -> Credentials:
        """Ask the provider once."""
        if not self._method:
            raise CredentialsRefused(f"{self.name} is no credentials provider: it has no get_credentials()")
        return self._asked(getattr(self._provider, self._method))

    def _ask_again(self, rejected: Credentials, timeout: float | None) -> Credentials:
        """Ask the provider for other credentials, in the way that it has."""
        force = getattr(self._provider, "force_refresh", None)
        return self._asked(partial(force, rejected)) if callable(force) else self.get_credentials(timeout)

    def _asked(self, method: Callable[[], Any]) -> Credentials:
        self._last = unwrap(_asked(method, self.name, self.name))
        return self._last

    def describe(self) -> str:
        """Return what the provider says of itself, else its type."""
        describe = getattr(self._provider, "describe", None)
        if callable(describe):
            return str(describe())
        kind = type(self._provider)
        return f"{kind.__module__}.{kind.__qualname__}"


def _name_of(given: Any) -> str:
    name = getattr(given, "name", None)
    return name if isinstance(name, str) and name else type(given).__name__


def _asked(function: Callable[[], Any], who: str, source: str) -> Credentials | SourceFailure | CredentialsError:
    try:
        value = function()
    except Exception as error:  # noqa: BLE001 - whatever foreign code raises
        return translated(error, who)
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
    except ValueError as error:
        return SourceFailure(f"{who} gave keys that cannot be used: {error}")


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
