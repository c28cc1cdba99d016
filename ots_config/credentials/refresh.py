"""Keeps the credentials of a source that expires or can change fresh, so that callers do not wait for it."""

from __future__ import annotations

import math
import threading
import time
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.expiry import AGE_CLOCK, CachedCredentials, RetryPause, same_keys
from ots_config.credentials.health import Health, RefreshHistory, Rotation
from ots_config.credentials.provider import Provider
from ots_config.credentials.single_flight import BACKGROUND, SingleFlight, reset_after_fork, translated
from ots_config.errors import CredentialsError, CredentialsRefused

if TYPE_CHECKING:
    from collections.abc import Callable


_NOTHING = CachedCredentials(Credentials("none", "none", source="nowhere"), -math.inf, -math.inf, -math.inf)
# A source that has not answered for so long is asked again beside the question that got stuck.
_ABANDONED_AFTER = 300.0
# While a refresh is under way, callers look about once a second whether it still is.
_LOOK_AGAIN = 1.0
# Refreshes forced by refused keys are spaced out; after so long without one, the next is immediate again.
_FORGET_FORCED_AFTER = 60.0


class RefreshingProvider(Provider):
    """Credentials of a source, fetched when needed and renewed before they end.

    While the credentials live, ``get_credentials`` returns them at once and never raises: when they grow old, one
    background thread fetches new ones. Only when they have ended, or before the first ones came, do callers wait:
    all for one fetch, whose result or failure they share. Failed fetches are spaced out, and until the next one
    callers without credentials get the last failure.

    It may be used from threads, from tasks (``get_credentials_async``), across forks, and it can be pickled: the
    source travels, credentials and callbacks do not.

    Args:
        source: The provider to ask; its ``fetch_credentials`` asks anew each time.
        max_age: Seconds after which credentials are fetched again though they still live; None for never if they end,
            else for what ``source.max_age`` says.
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
        "_cached",
        "_clock",
        "_failure",
        "_forced",
        "_history",
        "_lock",
        "_max_age",
        "_number",
        "_pause",
        "_running",
        "_source",
        "_started_at",
        "_wait",
        "_wall",
        "instant",
        "name",
    )

    cached = True
    _running: SingleFlight | None
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
        self._cached = _NOTHING
        self._history = RefreshHistory(self.name)
        self._failure: CredentialsError | None = None
        self._pause = RetryPause(*backoff)
        self._forced = RetryPause(*backoff)
        self.after_fork()
        reset_after_fork(self)

    # --- what callers ask -----------------------------------------------------------------------------

    def fetch_credentials(self) -> Credentials:
        """Return the credentials to use now; see ``get_credentials``."""
        return self.get_credentials()

    def get_credentials(self, timeout: float | None = None) -> Credentials:
        """Return the credentials to use now."""
        cached = self._cached
        if self._clock() < cached.check_again_at:
            return cached.credentials
        found = self._check()
        if isinstance(found, SingleFlight):
            return found.wait(self._wait if timeout is None else timeout)
        return found

    async def get_credentials_async(self, timeout: float | None = None) -> Credentials:  # noqa: ASYNC109
        """Return the credentials to use now, without ever blocking the event loop; see ``get_credentials``."""
        cached = self._cached
        if self._clock() < cached.check_again_at:
            return cached.credentials
        found = self._check()
        if isinstance(found, SingleFlight):
            return await found.wait_async(self._wait if timeout is None else timeout)
        return found

    def force_refresh(self, rejected: Credentials, timeout: float | None = None) -> Credentials:
        """Fetch new credentials because the service refused these, unless that has been done already.

        Forced fetches are spaced out too: if one came too soon after another, or fails, the credentials at hand are
        returned while they live. The caller sees that nothing changed, and that trying again is no use.
        """
        found = self._force(rejected)
        if isinstance(found, SingleFlight):
            try:
                current, asked = found.wait(self._wait if timeout is None else timeout), True
            except CredentialsError:
                current, asked = self._unless_ended(), False
        else:
            current, asked = self.get_credentials(timeout), False
        return self._compared(rejected, current, asked=asked)

    async def force_refresh_async(self, rejected: Credentials, timeout: float | None = None) -> Credentials:  # noqa: ASYNC109
        """Fetch new credentials because the service refused these; see ``force_refresh``."""
        found = self._force(rejected)
        if isinstance(found, SingleFlight):
            try:
                current = await found.wait_async(self._wait if timeout is None else timeout)
                asked = True
            except CredentialsError:
                current, asked = self._unless_ended(), False
        else:
            current, asked = await self.get_credentials_async(timeout), False
        return self._compared(rejected, current, asked=asked)

    def on_rotate(self, callback: Rotation) -> Callable[[], None]:
        """Call ``callback(old, new)``, both masked, whenever credentials replace others.

        It is called on a thread of its own after the new ones are in use, so that nobody waits for it; what it raises
        is logged.

        Returns:
            A function that ends this.
        """
        return self._history.on_rotate(callback)

    def health(self) -> Health:
        """Return the condition of the credentials, without asking the source."""
        cached, now = self._cached, self._clock()
        return self._history.health(cached.state(now), None if cached is _NOTHING else cached.credentials, now)

    def named_by(self) -> str:
        """Return what names the source."""
        return self._source.named_by()

    def check_named(self) -> None:
        """Check the source."""
        self._source.check_named()

    def describe(self) -> str:
        """Return what the source says of itself."""
        return self._source.describe()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self._cached.state(self._clock()).value}>"

    # --- what goes on behind ----------------------------------------------------------------------------

    def _changed(self) -> bool:
        """Return whether the source is known to have changed since it was last asked."""
        return False

    def _check(self) -> Credentials | SingleFlight:
        """Return credentials that live, or the fetch to wait for; see that one is under way if it should be."""
        with self._lock:
            now = self._clock()
            cached = self._cached
            if now < cached.check_again_at:
                return cached.credentials
            alive = now < cached.ends_at
            if alive:
                # Other threads need not come here while this one looks around.
                self._cached = cached.check_again(now + min(self._check_every, _LOOK_AGAIN))
            fetch = self._in_progress(now)
            if fetch is None:
                due_at = max(cached.stale_at, self._pause.until)
                # Without credentials, a source that answers at once is asked each time.
                if now < due_at and (alive or not self.instant) and not self._changed():
                    if alive:
                        self._cached = cached.check_again(min(due_at, now + self._check_every))
                        return cached.credentials
                    raise self._known_failure()
                fetch = self._start(now)
        # Also one that is in progress: whoever began it may have been interrupted before this.
        self._run(fetch, urgent=not alive)
        if not alive:
            return fetch
        return self._cached.credentials if self.instant else cached.credentials

    def _force(self, rejected: Credentials) -> SingleFlight | None:
        """Return the fetch that replaces these credentials; None if they are replaced, or must not be yet."""
        with self._lock:
            now = self._clock()
            if self._cached is not _NOTHING and not same_keys(self._cached.credentials, rejected):
                return None
            fetch = self._in_progress(now)
            if fetch is None:
                if now < max(self._pause.until, self._forced.until):
                    return None
                if now > self._forced.until + _FORGET_FORCED_AFTER:
                    self._forced.reset()
                self._forced.extend(now)
                fetch = self._start(now, rejected)
        self._run(fetch, urgent=True)
        return fetch

    def _compared(self, rejected: Credentials, current: Credentials, *, asked: bool) -> Credentials:
        """Return the current credentials, and record it if they are those that the service refused."""
        if same_keys(rejected, current):
            self._history.refusals.refused(current, self._clock(), asked=asked)
        return current

    def _unless_ended(self) -> Credentials:
        """Return the credentials at hand while they live; called where a fetch for new ones has just failed."""
        cached = self._cached
        if self._clock() < cached.ends_at:
            return cached.credentials
        raise self._known_failure()

    def _known_failure(self) -> CredentialsError:
        if self._failure is not None:
            return copy(self._failure)
        return CredentialsRefused(f"{self.name}: the credentials have ended and new ones have not come yet")

    def _in_progress(self, now: float) -> SingleFlight | None:
        fetch = self._running
        return None if fetch is None or fetch.is_over or now - self._started_at > _ABANDONED_AFTER else fetch

    def _start(self, now: float, rejected: Credentials | None = None) -> SingleFlight:
        self._number += 1
        fetch = SingleFlight(partial(self._fetch, self._number, rejected), self.name)
        self._started_at = now
        self._running = fetch
        return fetch

    def _run(self, fetch: SingleFlight, *, urgent: bool) -> None:
        if self.instant:
            fetch.run()
        else:
            BACKGROUND.submit(fetch, urgent=urgent)

    def _fetch(self, number: int, rejected: Credentials | None) -> Credentials:
        """Ask the source and keep what came of it; the work of a fetch."""
        try:
            credentials = self._ask(rejected)
            cached = self._with_moments(credentials)
        except Exception as error:  # noqa: BLE001 - a user's source may raise anything
            failure = translated(error, self.name)
        else:
            self._succeed(number, cached)
            return credentials
        self._fail(number, failure)
        raise failure

    def _ask(self, rejected: Credentials | None) -> Credentials:
        source = self._source
        credentials = source.fetch_credentials() if rejected is None else source.force_refresh(rejected)
        if not isinstance(credentials, Credentials):  # a user's source may return anything
            raise CredentialsRefused(f"{self.name}: the source returned {type(credentials).__name__}, no Credentials")
        return credentials

    def _with_moments(self, credentials: Credentials) -> CachedCredentials:
        """Return the credentials with their moments; their end counts from now, whatever the time of day does next."""
        remaining = math.inf
        if credentials.expires_at is not None:
            remaining = credentials.expires_at.timestamp() - self._wall()
            if remaining <= 0:
                raise CredentialsRefused(
                    f"{self.name}: the source gave credentials that ended {-remaining:.0f} s ago by the clock of "
                    "this machine; one of the two is wrong"
                )
        max_age = self._max_age
        if max_age is None and credentials.expires_at is None:
            max_age = self._source.max_age
        return CachedCredentials.until(credentials, self._clock(), remaining, math.inf if max_age is None else max_age)

    def _finish(self, number: int) -> None:
        if self._number == number:  # else this fetch was given up, and another is under way
            self._running = None

    def _succeed(self, number: int, cached: CachedCredentials) -> None:
        with self._lock:
            if self._number != number and cached.ends_at <= self._cached.ends_at:
                return  # this fetch was given up, and another brought something newer
            now = self._clock()
            old = None if self._cached is _NOTHING else self._cached.credentials
            if old is not None and same_keys(old, cached.credentials):
                # The source has nothing newer yet: ask again, but not at once.
                cached = cached.not_before(now + self._backoff[0])
            self._cached = cached.check_again(min(cached.stale_at, now + self._check_every))
            self._failure = None
            self._pause.reset()
            self._finish(number)
        self._history.succeeded(old, cached.credentials, self._wall())

    def _fail(self, number: int, failure: CredentialsError) -> None:
        with self._lock:
            if self._number != number:
                return
            now = self._clock()
            self._failure = copy(failure)
            self._pause.extend(now)
            cached = self._cached
            if now < cached.ends_at:
                cached = cached.stale_from(now).check_again(min(self._pause.until, now + self._check_every))
                self._cached = cached
            self._finish(number)
        self._history.failed(failure, cached.state(now), None if cached is _NOTHING else cached.credentials, now)

    # --- forks and pickles --------------------------------------------------------------------------------

    def after_fork(self) -> None:
        """Forget the parent's lock and fetch; its credentials stay good."""
        self._lock = threading.RLock()
        self._running = None
        self._number = 0
        self._started_at = -math.inf
        if self._cached is not _NOTHING:
            self._cached = self._cached.check_again(-math.inf)

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
