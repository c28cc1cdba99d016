"""How long credentials live, by a clock that ignores clock changes and counts suspend."""

from __future__ import annotations

import math
import random
import sys
import time
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from ots_config.backoff import backoff_delay

if TYPE_CHECKING:
    from collections.abc import Callable

    from ots_config.credentials.credentials import Credentials


class State(Enum):
    """How usable credentials are."""

    FRESH = "fresh"
    """Usable; there is nothing to do."""
    STALE = "stale"
    """Usable, and being renewed in the background."""
    EXPIRED = "expired"
    """Not usable, or not there yet: callers wait for new ones."""


def _choose_clock() -> Callable[[], float]:
    """Return a clock that nobody sets and that goes on while the machine is suspended, as the service's does."""
    if sys.platform == "linux":
        clock = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    elif sys.platform == "darwin":
        clock = partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    else:
        return time.monotonic
    try:
        clock()
    except OSError:  # a sandbox may know fewer clocks than its kernel
        return time.monotonic
    return clock


AGE_CLOCK: Callable[[], float] = _choose_clock()


def refresh_window(lifetime: float) -> float:
    """Return how many seconds before the end a refresh begins: a quarter of the lifetime, at most 15 minutes."""
    return min(900.0, 0.25 * lifetime)


class RetryPause:
    """When something that was just tried may be tried again; see ``backoff_delay``.

    Attributes:
        count: How many times in a row.
        until: The moment on the age clock.
    """

    __slots__ = ("_first", "_max_delay", "count", "until")

    def __init__(self, first: float, max_delay: float) -> None:
        self._first = first
        self._max_delay = max_delay
        self.count = 0
        self.until = -math.inf

    def reset(self) -> None:
        """Allow the next try at once."""
        self.count = 0
        self.until = -math.inf

    def extend(self, now: float) -> None:
        """Count one more try."""
        self.count += 1
        self.until = now + backoff_delay(self.count, self._first, self._max_delay)


def same_keys(one: Credentials, other: Credentials) -> bool:
    """Return whether two snapshots hold the same keys; their ends may differ by a moment."""
    return (
        one.access_key_id == other.access_key_id
        and one.sts_token == other.sts_token
        and one.access_key_secret == other.access_key_secret
    )


@dataclass(frozen=True, slots=True)
class CachedCredentials:
    """Credentials with their moments on the age clock.

    Attributes:
        credentials: The snapshot.
        stale_at: When a refresh should begin.
        ends_at: When they can no longer be used.
        check_again_at: Until when a caller may take them without a check.
    """

    credentials: Credentials
    stale_at: float
    ends_at: float
    check_again_at: float

    @classmethod
    def until(cls, credentials: Credentials, now: float, remaining: float, max_age: float) -> CachedCredentials:
        """Return credentials that still live for so many seconds.

        Args:
            credentials: The snapshot.
            now: The moment on the age clock.
            remaining: Seconds until they end; infinite if they do not.
            max_age: Seconds after which they are asked for again all the same.
        """
        # The spread keeps a fleet that started together from refreshing together.
        window = refresh_window(remaining) * random.uniform(0.8, 1.0)  # noqa: S311 - no secret
        stale_at = now + min(remaining - window if remaining < math.inf else math.inf, max_age)
        return cls(credentials, stale_at, now + remaining, stale_at)

    def state(self, now: float) -> State:
        """Return the state at a moment of the age clock."""
        if now >= self.ends_at:
            return State.EXPIRED
        return State.STALE if now >= self.stale_at else State.FRESH

    def check_again(self, moment: float) -> CachedCredentials:
        """Return the same, to be checked again at that moment or when they end."""
        return replace(self, check_again_at=min(moment, self.ends_at))

    def not_before(self, moment: float) -> CachedCredentials:
        """Return the same, stale from that moment at the earliest, if they live so long."""
        return replace(self, stale_at=max(self.stale_at, min(moment, self.ends_at)))

    def stale_from(self, moment: float) -> CachedCredentials:
        """Return the same, stale from that moment at the latest."""
        return replace(self, stale_at=min(self.stale_at, moment))
