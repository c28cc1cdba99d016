"""Adapts what others wrote to our ``Provider``: functions, and providers of the official SDKs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.http import parse_expiry
from ots_config.credentials.provider import Provider, in_thread
from ots_config.credentials.providers.static import StaticProvider
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.credentials.result import SourceFailure, unwrap
from ots_config.credentials.single_flight import translated
from ots_config.errors import CredentialsError, CredentialsUnavailable

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
"""Seconds after which a function is called again whose credentials do not end; those that end are renewed by it."""


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
    if provider.cached:
        return provider
    return RefreshingProvider(provider, max_age=_MAX_AGE if isinstance(provider, CallableProvider) else None)


def adapted(given: Any, *, instant: bool | None = None) -> Provider:
    """Return a provider that asks the source each time, unless the source keeps its credentials itself.

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
        return ForeignProvider(given, name=_name_of(given), instant=instant)
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


class ForeignProvider(Provider):
    """A provider of the official SDK, a provider or client of ``alibabacloud-credentials``, or one of your own.

    Such providers keep and refresh their keys themselves, so each request asks: id, secret and token always come
    from one call. What yours may have besides is used: an argument ``timeout`` (seconds left), ``force_refresh``,
    their ``_async`` forms, and ``instant``. Of its exceptions only type and place are shown.

    Args:
        provider: The provider.
        name: Its name in reports; by default its type's.
        instant: Whether it answers at once; None reads its attribute ``instant``.
    """

    cached = True

    def __init__(self, provider: Any, *, name: str = "", instant: bool | None = None) -> None:
        self._provider = provider
        self.name = name or type(provider).__name__
        self._given_instant = instant
        self.instant = bool(getattr(provider, "instant", False)) if instant is None else instant
        found = next((name for name in _METHODS if callable(getattr(provider, name, None))), "get_credentials")
        self._get = _timed(getattr(provider, found, None))
        self._get_async = _timed(getattr(provider, f"{found}_async", None))
        self._force = _timed(getattr(provider, "force_refresh", None))
        self._force_async = _timed(getattr(provider, "force_refresh_async", None))
        self._describe = getattr(provider, "describe", None)
        self._last: tuple[Any, Credentials | None] = (None, None)

    def fetch_credentials(self) -> Credentials:
        """Ask the provider once."""
        return self.get_credentials()

    def get_credentials(self, timeout: float | None = None) -> Credentials:
        """Ask the provider once; see ``fetch_credentials``."""
        return unwrap(self._asked(self._get, timeout))

    async def get_credentials_async(self, timeout: float | None = None) -> Credentials:  # noqa: ASYNC109
        """Ask the provider without blocking the event loop."""
        if self._get_async is not None:
            return unwrap(await self._awaited(self._get_async, timeout))
        return await super().get_credentials_async(timeout)

    def force_refresh(self, rejected: Credentials, timeout: float | None = None) -> Credentials:
        """Ask the provider for other credentials, in the way that it has."""
        if self._force is None:
            return self.get_credentials(timeout)
        return unwrap(self._asked(self._force, timeout, rejected))

    async def force_refresh_async(self, rejected: Credentials, timeout: float | None = None) -> Credentials:  # noqa: ASYNC109
        """Ask the provider for other credentials without blocking the event loop."""
        if self._force_async is not None:
            return unwrap(await self._awaited(self._force_async, timeout, rejected))
        if self._force is None:
            return await self.get_credentials_async(timeout)
        if self.instant:
            return self.force_refresh(rejected, timeout)
        return await in_thread(self.name, lambda: self.force_refresh(rejected, timeout), timeout)

    def describe(self) -> str:
        """Return what the provider says of itself, else its type."""
        if callable(self._describe):
            return str(self._describe())
        kind = type(self._provider)
        return f"{kind.__module__}.{kind.__qualname__}"

    def __getstate__(self) -> tuple[Any, str, bool | None]:
        return self._provider, self.name, self._given_instant

    def __setstate__(self, state: tuple[Any, str, bool | None]) -> None:
        self.__init__(state[0], name=state[1], instant=state[2])  # type: ignore[misc]

    def _asked(self, method: _Method | None, timeout: float | None, *arguments: Any) -> _Answer:
        if method is None:
            return SourceFailure(f"{self.name} is no credentials provider: it has no get_credentials()")
        try:
            found = method(timeout, *arguments)
        except Exception as error:  # noqa: BLE001 - whatever foreign code raises
            return translated(error, self.name)
        return self._snapshot(found)

    async def _awaited(self, method: _Method, timeout: float | None, *arguments: Any) -> _Answer:  # noqa: ASYNC109
        try:
            found = await method(timeout, *arguments)
        except Exception as error:  # noqa: BLE001 - whatever foreign code raises
            return translated(error, self.name)
        return self._snapshot(found)

    def _snapshot(self, found: Any) -> Credentials | SourceFailure:
        """Return the same credentials for the same object, so that nothing is built for each request."""
        if type(found) is Credentials:
            return found
        known, ours = self._last
        if known is found and ours is not None:
            return ours
        made = _snapshot(found, self.name, self.name)
        # A list or mapping may be filled anew, and an object with an end may be renewed in place.
        if isinstance(made, Credentials) and made.expires_at is None and hasattr(found, "get_access_key_secret"):
            self._last = (found, made)
        return made


_Method = Callable[..., Any]
_Answer = Credentials | SourceFailure | CredentialsError


def _timed(method: Callable[..., Any] | None) -> _Method | None:
    """Return a method that takes the seconds left as its first argument and passes them on if they are wanted."""
    if not callable(method):
        return None
    try:
        wanted = "timeout" in inspect.signature(method).parameters
    except (TypeError, ValueError):  # not every callable has a signature
        wanted = False
    if wanted:
        return lambda timeout, *arguments: method(*arguments, timeout=timeout)
    return lambda _timeout, *arguments: method(*arguments)


def _name_of(given: Any) -> str:
    name = getattr(given, "name", None)
    return name if isinstance(name, str) and name else type(given).__name__


def _asked(function: Callable[[], Any], who: str, source: str) -> _Answer:
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
