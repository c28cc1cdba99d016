"""The condition of a provider's credentials: what ``health()`` returns, what is logged, what callbacks receive."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ots_config.credentials.credentials import MaskedCredentials
from ots_config.credentials.expiry import State, same_keys
from ots_config.credentials.single_flight import TaskQueue, translated

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials
    from ots_config.errors import CredentialsError

Rotation = Callable[[MaskedCredentials, MaskedCredentials], object]
"""Called with the masked credentials that were replaced and those that replace them."""

logger = logging.getLogger("ots_config.credentials")

_LOG_EVERY: Final = 60.0
_FORGET_REFUSAL_AFTER: Final = 300.0


@dataclass(frozen=True, slots=True)
class Health:
    """The condition of a provider's credentials.

    Attributes:
        state: FRESH, STALE or EXPIRED (also: none yet).
        source: Where the credentials came from; the provider's name if there are none.
        access_key_id: The masked AccessKey ID, empty if there is none.
        expires_at: When they end (aware), None if they do not.
        last_refresh: When they were last fetched (aware), None if never.
        last_error: Why the last refresh failed, None if it did not.
        failures: How many refreshes have failed in a row.
        refreshes: How many have succeeded.
        refused: Whether the service refuses the current keys: it has, less than five minutes ago, and the source had no
            others.
        refusals: How often it has refused them.
    """

    state: State
    source: str
    access_key_id: str = ""
    expires_at: datetime | None = None
    last_refresh: datetime | None = None
    last_error: str | None = None
    failures: int = 0
    refreshes: int = 0
    refused: bool = False
    refusals: int = 0


class RefusalRecord:
    """How often the service has refused the current keys of a provider; logged once a minute at most.

    Nothing is known of requests that succeed, so keys count as refused until others come or five minutes pass.

    Args:
        name: The provider's name.
    """

    __slots__ = ("_count", "_keys", "_last", "_logged_at", "_name", "_reason")

    def __init__(self, name: str) -> None:
        self._name = name
        self.forget()

    def forget(self) -> None:
        """Forget the keys, as others came."""
        self._keys: Credentials | None = None
        self._count = 0
        self._reason = ""
        self._last = self._logged_at = -math.inf

    def refused(self, keys: Credentials, now: float, *, asked: bool = True) -> None:
        """Record that the service refused these keys, and that the source has no others.

        Args:
            keys: The keys.
            now: The moment on the age clock.
            asked: Whether the source was asked again; if not, because it was asked a moment ago or gave no answer,
                the reason stays what it was.
        """
        if self._keys is None or not same_keys(self._keys, keys):
            self.forget()
        self._keys = keys
        self._count += 1
        self._last = now
        if asked or not self._reason:
            again = "was asked again and returned the same key" if asked else "has no other key"
            self._reason = f"the service refused {keys.masked_id}; its source, {keys.source}, {again}"
        if now - self._logged_at >= _LOG_EVERY:
            logger.error("%s: %s (refusals: %d)", self._name, self._reason, self._count)
            self._logged_at = now

    def shown(self, health: Health, now: float) -> Health:
        """Return the health with what the service says of the keys."""
        if now - self._last >= _FORGET_REFUSAL_AFTER:
            return health
        return replace(health, refused=True, refusals=self._count, last_error=health.last_error or self._reason)


class RefreshHistory:
    """The results of one provider's refreshes; each change of state is logged once.

    Args:
        name: The provider's name.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_deliveries",
        "_failures",
        "_last_error",
        "_last_refresh",
        "_logged",
        "_logged_failures",
        "_name",
        "_refreshes",
        "refusals",
    )

    def __init__(self, name: str) -> None:
        self._name = name
        self._callbacks: list[Rotation] = []
        self._deliveries: TaskQueue[tuple[Rotation, MaskedCredentials, MaskedCredentials]] | None = None
        self._failures = 0
        self._last_error: str | None = None
        self._last_refresh: datetime | None = None
        self._refreshes = 0
        self._logged = State.FRESH
        self._logged_failures: dict[tuple[State, str], float] = {}
        self.refusals = RefusalRecord(name)

    def on_rotate(self, callback: Rotation) -> Callable[[], None]:
        """Call it whenever credentials replace others; return a function that ends this."""
        if self._deliveries is None:
            self._deliveries = TaskQueue("ots-config-callbacks", self._deliver)
        self._callbacks.append(callback)

        def end() -> None:
            with suppress(ValueError):
                self._callbacks.remove(callback)

        return end

    def succeeded(self, old: Credentials | None, new: Credentials, at: float) -> None:
        """Record credentials that were fetched at that time of day; if the keys changed, the callbacks are called soon.

        Nobody waits for them: they run on a thread of their own, in the order of the rotations.
        """
        failures, self._failures = self._failures, 0
        logged, self._logged = self._logged, State.FRESH
        self._last_error, self._last_refresh = None, datetime.fromtimestamp(at, UTC)
        self._refreshes += 1
        if old is None or not same_keys(old, new):
            self.refusals.forget()
        masked = MaskedCredentials.of(new)
        if logged is not State.FRESH:
            logger.info("%s: refreshed again after %d failures: %s", self._name, failures, masked)
        if old is None:
            logger.debug("%s: credentials %s", self._name, masked)
        elif not same_keys(old, new):
            before = MaskedCredentials.of(old)
            logger.info("%s: credentials rotated from %s to %s", self._name, before, masked)
            for callback in tuple(self._callbacks):
                if self._deliveries is not None:
                    self._deliveries.put((callback, before, masked))

    def _deliver(self, delivery: tuple[Rotation, MaskedCredentials, MaskedCredentials]) -> None:
        callback, old, new = delivery
        if callback not in self._callbacks:
            return  # it was taken off meanwhile
        try:
            callback(old, new)
        except Exception as error:  # noqa: BLE001 - a user's code, which may raise anything
            logger.error("%s: %s", self._name, translated(error, "an on_rotate callback"))

    def failed(self, error: CredentialsError, state: State, current: Credentials | None, now: float) -> None:
        """Record a failed refresh; the same failure is logged once a minute at most.

        Args:
            error: Why.
            state: How usable the current credentials are.
            current: What stays in use if that is possible. None if there was nothing yet, which is not logged: the
                caller gets the error, and a chain may find credentials elsewhere.
            now: The moment on the age clock.
        """
        self._failures += 1
        self._last_error = str(error)
        if current is None or state is self._logged:
            return
        self._logged = state
        recent = {key: at for key, at in self._logged_failures.items() if now - at < _LOG_EVERY}
        repeated = (state, self._last_error) in recent
        self._logged_failures = recent if repeated else {**recent, (state, self._last_error): now}
        if repeated:
            return
        if state is State.EXPIRED:
            logger.error("%s: the credentials have expired and the refresh fails: %s", self._name, error)
        else:
            logger.warning(
                "%s: the refresh failed, %s stays in use: %s", self._name, MaskedCredentials.of(current), error
            )

    def health(self, state: State, current: Credentials | None, now: float) -> Health:
        """Return the current health."""
        health = Health(
            state=state,
            source=current.source if current else self._name,
            access_key_id=current.masked_id if current else "",
            expires_at=current.expires_at if current else None,
            last_refresh=self._last_refresh,
            last_error=self._last_error,
            failures=self._failures,
            refreshes=self._refreshes,
        )
        return self.refusals.shown(health, now)
