"""What has become of a provider's refreshes: told to the log once per change, to callbacks, and to who asks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ots_config.credentials.expiry import State, same_keys
from ots_config.credentials.health import Health, MaskedCredentials
from ots_config.credentials.single_flight import translated

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials
    from ots_config.errors import CredentialsError

Rotation = Callable[[MaskedCredentials, MaskedCredentials], object]
"""Called with the credentials that were replaced and those that replace them."""

logger = logging.getLogger("ots_config.credentials")


class Logbook:
    """The history of one provider's credentials.

    Args:
        name: The provider's name.
    """

    __slots__ = ("_callbacks", "_failures", "_last_error", "_last_refresh", "_name", "_refreshes", "_told")

    def __init__(self, name: str) -> None:
        self._name = name
        self._callbacks: list[Rotation] = []
        self._failures = 0
        self._last_error: str | None = None
        self._last_refresh: datetime | None = None
        self._refreshes = 0
        self._told = State.FRESH

    def on_rotate(self, callback: Rotation) -> Callable[[], None]:
        """Call it whenever credentials replace others; return a function that ends this."""
        self._callbacks.append(callback)

        def end() -> None:
            with suppress(ValueError):
                self._callbacks.remove(callback)

        return end

    def succeeded(self, old: Credentials | None, new: Credentials, at: float) -> None:
        """Write down that credentials came, at that time of day."""
        failures, self._failures = self._failures, 0
        told, self._told = self._told, State.FRESH
        self._last_error, self._last_refresh = None, datetime.fromtimestamp(at, UTC)
        self._refreshes += 1
        shown = MaskedCredentials.of(new)
        if told is not State.FRESH:
            logger.info("%s: refreshed again after %d failures: %s", self._name, failures, shown)
        if old is None:
            logger.debug("%s: credentials %s", self._name, shown)
        elif not same_keys(old, new):
            before = MaskedCredentials.of(old)
            logger.info("%s: credentials rotated from %s to %s", self._name, before, shown)
            for callback in tuple(self._callbacks):
                try:
                    callback(before, shown)
                except Exception as error:  # noqa: BLE001 - a callback must not cost the credentials
                    logger.error("%s: %s", self._name, translated(error, "an on_rotate callback"))

    def failed(self, error: CredentialsError, state: State, current: Credentials | None) -> None:
        """Write down that a refresh failed.

        Args:
            error: Why.
            state: How usable the current credentials are.
            current: What stays in use if that is possible; None if there was nothing yet, which is no news: the
                caller is told, and a chain may well find credentials elsewhere.
        """
        self._failures += 1
        self._last_error = str(error)
        if current is None or state is self._told:
            return
        self._told = state
        if state is State.EXPIRED:
            logger.error("%s: the credentials have ended and the refresh fails: %s", self._name, error)
        else:
            shown = MaskedCredentials.of(current)
            logger.warning("%s: the refresh failed, %s stays in use: %s", self._name, shown, error)

    def health(self, state: State, current: Credentials | None) -> Health:
        """Return the present page."""
        return Health(
            state=state,
            source=current.source if current else self._name,
            access_key_id=current.masked_id if current else "",
            expires_at=current.expires_at if current else None,
            last_refresh=self._last_refresh,
            last_error=self._last_error,
            failures=self._failures,
            refreshes=self._refreshes,
        )
