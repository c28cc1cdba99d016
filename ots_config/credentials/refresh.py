"""Keeps the credentials of a source that expires or can change fresh, so that callers do not wait for it."""

from __future__ import annotations

import math
import threading
import time
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.expiry import AGE_CLOCK, Backoff, Held, same_keys
from ots_config.credentials.forking import reset_after_fork
from ots_config.credentials.health import Health, RefreshHistory, Rotation
from ots_config.credentials.provider import Provider
from ots_config.credentials.single_flight import BACKGROUND, Flight, translated
from ots_config.errors import CredentialsError, CredentialsRefused

if TYPE_CHECKING:
    from collections.abc import Callable


_NOTHING = Held(Credentials("none", "none", source="nowhere"), -math.inf, -math.inf, -math.inf)
# A source that has not answered for so long is asked again beside the question that got stuck.
_LOST = 300.0
# Refreshes forced by refused keys are spaced out; after so long without one, the next is immediate again.
_FORGOTTEN = 60.0


class RefreshingProvider(Provider):
    """Credentials of a source, fetched when needed and renewed before they end.

    While the credentials live, ``get_credentials`` returns them at once and never raises: when they grow old, one
    background thread fetches new ones. Only when they have ended, or before the first ones came, do callers wait:
    all for one fetch, whose result or failure they share. Failed fetches are spaced out, and until the next one
    callers without credentials are told the last failure.

    It may be used from threads, from tasks (``get_credentials_async``), across forks, and it can be pickled: the
    source travels, credentials and callbacks do not.

    Args:
        source: The provider to ask; its ``fetch_credentials`` asks anew each time.
        max_age: Seconds after which credentials are fetched again though they still live; None for never.
        wait: Seconds that a caller waits who names no timeout of its own.
        backoff: Seconds to wait after the first failed fetch, and at most after any.
        instant: Whether the source answers at once, so that it is asked on the caller's thread; by default what
            ``source.instant`` says, else no.
        clock: The age clock; only differences count.
        wall: The time of day, in seconds since 1970.
    """

    __slots__ = (
        "__weakref__",
        "_backoff",
        "_clock",
        "_failure",
        "_flight",
        "_flight_at",
        "_forced",
        "_held",
        "_history",
        "_lock",
        "_max_age",
        "_pause",
        "_source",
        "_wait",
        "_wall",
        "instant",
        "name",
    )

    cached = True
    _flight: Flight | None
    _check_every: float = math.inf  # seconds after which ``_changed`` is worth asking

    def __init__(
        self,
        source: Provider,
        *,
        max_age: float | None = None,
        wait: float = 60.0,
        backoff: tuple[float, float] = (1.0, 30.0),
        instant: bool | None = None,
        clock: Callable[[], float] = AGE_CLOCK,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._max_age = max_age
        self._wait = wait
        self._backoff = backoff
        self.instant = source.instant if instant is None else instant
        self._clock = clock
        self._wall = wall
        self.name = source.name
        self._held = _NOTHING
        self._history = RefreshHistory(self.name)
        self._failure: CredentialsError | None = None
        self._pause = Backoff(*backoff)
        self._forced = Backoff(*backoff)
        self.after_fork()
        reset_after_fork(self)

    # --- what callers ask -----------------------------------------------------------------------------

    def fetch_credentials(self) -> Credentials:
        """Return the credentials to use now; see ``get_credentials``."""
        return self.get_credentials()

    def get_credentials(self, timeout: float | None = None) -> Credentials:
        """Return the credentials to use now.

        Args:
            timeout: How many seconds this call may take, if it has to wait at all.

        Raises:
            CredentialsUnavailable: If there are none, and the source is not configured here.
            CredentialsRefused: If there are none that live, and the source fails or takes too long.
        """
        held = self._held
        if self._clock() < held.look_at:
            return held.credentials
        found = self._look()
        if isinstance(found, Flight):
            return found.result(self._wait if timeout is None else timeout)
        return found

    async def get_credentials_async(self, timeout: float | None = None) -> Credentials:  # noqa: ASYNC109
        """Return the credentials to use now, without ever blocking the event loop; see ``get_credentials``."""
        held = self._held
        if self._clock() < held.look_at:
            return held.credentials
        found = self._look()
        if isinstance(found, Flight):
            return await found.result_async(self._wait if timeout is None else timeout)
        return found

    def force_refresh(self, rejected: Credentials, timeout: float | None = None) -> Credentials:
        """Fetch new credentials because the service refused these, unless that has been done already.

        Forced fetches are spaced out too: if one came too soon after another, or fails, the credentials at hand are
        returned while they live. The caller sees that nothing changed, and that trying again is no use.

        Args:
            rejected: What the refused request was signed with.
            timeout: As in ``get_credentials``.

        Raises:
            CredentialsError: If there are no credentials that live.
        """
        found = self._force(rejected)
        if isinstance(found, Flight):
            try:
                return found.result(self._wait if timeout is None else timeout)
            except CredentialsError:
                return self._unless_ended()
        return self.get_credentials(timeout)

    async def force_refresh_async(self, rejected: Credentials, timeout: float | None = None) -> Credentials:  # noqa: ASYNC109
        """Fetch new credentials because the service refused these; see ``force_refresh``."""
        found = self._force(rejected)
        if isinstance(found, Flight):
            try:
                return await found.result_async(self._wait if timeout is None else timeout)
            except CredentialsError:
                return self._unless_ended()
        return await self.get_credentials_async(timeout)

    def on_rotate(self, callback: Rotation) -> Callable[[], None]:
        """Call ``callback(old, new)``, both masked, whenever credentials replace others.

        It is called on the thread that fetched them; what it raises is logged.

        Returns:
            A function that ends this.
        """
        return self._history.on_rotate(callback)

    def health(self) -> Health:
        """Return the condition of the credentials, without asking the source."""
        held = self._held
        return self._history.health(held.state(self._clock()), None if held is _NOTHING else held.credentials)

    def describe(self) -> str:
        """Return what the source says of itself."""
        return self._source.describe()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self._held.state(self._clock()).value}>"

    # --- what goes on behind ----------------------------------------------------------------------------

    def _changed(self) -> bool:
        """Tell whether the source is known to have changed since it was last asked."""
        return False

    def _look(self) -> Credentials | Flight:
        """Return credentials that live, or the flight to wait for; see that one is under way if it should be."""
        with self._lock:
            now = self._clock()
            held = self._held
            if now < held.look_at:
                return held.credentials
            alive = now < held.ends_at
            if alive:
                # Other threads need not come here while this one looks around.
                self._held = held.looked_at_next(now + min(self._check_every, _LOST))
            flight = self._under_way(now)
            if flight is None:
                due_at = max(held.stale_at, self._pause.until)
                # Without credentials, a source that answers at once is asked each time.
                if now < due_at and (alive or not self.instant) and not self._changed():
                    if alive:
                        self._held = held.looked_at_next(min(due_at, now + self._check_every))
                        return held.credentials
                    raise self._known_failure()
                flight = self._take_off(now)
            elif alive:
                return held.credentials
        self._fly(flight, urgent=not alive)
        return self._held.credentials if alive else flight

    def _force(self, rejected: Credentials) -> Flight | None:
        """Return the flight that replaces these credentials; None if they are replaced, or must not be yet."""
        with self._lock:
            now = self._clock()
            if self._held is not _NOTHING and not same_keys(self._held.credentials, rejected):
                return None
            flight = self._under_way(now)
            if flight is None:
                if now < max(self._pause.until, self._forced.until):
                    return None
                if now > self._forced.until + _FORGOTTEN:
                    self._forced.reset()
                self._forced.extend(now)
                flight = self._take_off(now)
        self._fly(flight, urgent=True)
        return flight

    def _unless_ended(self) -> Credentials:
        """Return the credentials at hand while they live; called where a flight for new ones has just failed."""
        held = self._held
        if self._clock() < held.ends_at:
            return held.credentials
        raise self._known_failure()

    def _known_failure(self) -> CredentialsError:
        if self._failure is not None:
            return copy(self._failure)
        return CredentialsRefused(f"{self.name}: the credentials have ended and new ones have not come yet")

    def _under_way(self, now: float) -> Flight | None:
        return None if now - self._flight_at > _LOST else self._flight

    def _take_off(self, now: float) -> Flight:
        self._flight_at = now
        self._flight = flight = Flight(partial(self._fetch, now), self.name)
        return flight

    def _fly(self, flight: Flight, *, urgent: bool) -> None:
        if self.instant:
            flight.run()
        else:
            BACKGROUND.submit(flight, urgent=urgent)

    def _fetch(self, took_off: float) -> Credentials:
        """Ask the source and keep what came of it; the work of a flight."""
        try:
            credentials = self._ask()
            held = self._hold(credentials)
        except Exception as error:  # noqa: BLE001 - a user's source may raise anything
            failure = translated(error, self.name)
        except BaseException:
            with self._lock:
                self._land(took_off)
            raise
        else:
            self._succeed(took_off, held)
            return credentials
        self._fail(took_off, failure)
        raise failure

    def _ask(self) -> Credentials:
        credentials = self._source.fetch_credentials()
        if not isinstance(credentials, Credentials):  # a user's source may return anything
            raise CredentialsRefused(f"{self.name}: the source returned {type(credentials).__name__}, no Credentials")
        return credentials

    def _hold(self, credentials: Credentials) -> Held:
        """Return the credentials with their moments; their end counts from now, whatever the time of day does next."""
        remaining = math.inf
        if credentials.expires_at is not None:
            remaining = credentials.expires_at.timestamp() - self._wall()
            if remaining <= 0:
                raise CredentialsRefused(
                    f"{self.name}: the source gave credentials that ended {-remaining:.0f} s ago by the clock of "
                    "this machine; one of the two is wrong"
                )
        return Held.until(credentials, self._clock(), remaining, math.inf if self._max_age is None else self._max_age)

    def _land(self, took_off: float) -> None:
        if self._flight_at == took_off:  # else this flight was given up, and another is under way
            self._flight = None

    def _succeed(self, took_off: float, held: Held) -> None:
        with self._lock:
            if self._flight_at != took_off and held.ends_at <= self._held.ends_at:
                return  # this flight was given up, and another brought something newer
            now = self._clock()
            old = None if self._held is _NOTHING else self._held.credentials
            if old is not None and same_keys(old, held.credentials):
                # The source has nothing newer yet: ask again, but not at once.
                held = held.not_before(now + self._backoff[0])
            self._held = held.looked_at_next(min(held.stale_at, now + self._check_every))
            self._failure = None
            self._pause.reset()
            self._land(took_off)
        self._history.succeeded(old, held.credentials, self._wall())

    def _fail(self, took_off: float, failure: CredentialsError) -> None:
        with self._lock:
            if self._flight_at != took_off:
                return
            now = self._clock()
            self._failure = copy(failure)
            self._pause.extend(now)
            held = self._held
            if now < held.ends_at:
                held = held.stale_from(now).looked_at_next(min(self._pause.until, now + self._check_every))
                self._held = held
            self._land(took_off)
        self._history.failed(failure, held.state(now), None if held is _NOTHING else held.credentials)

    # --- forks and pickles --------------------------------------------------------------------------------

    def after_fork(self) -> None:
        """Forget the parent's lock and flight; its credentials stay good."""
        self._lock = threading.RLock()
        self._flight = None
        self._flight_at = -math.inf
        if self._held is not _NOTHING:
            self._held = self._held.looked_at_next(-math.inf)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "source": self._source,
            "max_age": self._max_age,
            "wait": self._wait,
            "backoff": self._backoff,
            "instant": self.instant,
        }
        if self._clock is not AGE_CLOCK:
            state["clock"] = self._clock
        if self._wall is not time.time:
            state["wall"] = self._wall
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
