"""When a call must be over: one value, made once per call and passed on to everything that waits."""

from __future__ import annotations

import time
from typing import NamedTuple, Self

_SHORTEST = 0.001
"""What a wait gets even when the deadline is over: an operation that begins gets a chance to end."""


class Deadline(NamedTuple):
    """A moment at which a call must be over. What remains is computed anew before each wait.

    Attributes:
        ends: The moment, by ``time.monotonic``; infinity for never.
    """

    ends: float

    @classmethod
    def after(cls, seconds: float | None) -> Self:
        """Return the deadline that ends so many seconds from now, or never for None."""
        return cls(float("inf") if seconds is None else time.monotonic() + seconds)

    def remaining(self) -> float:
        """Return the seconds until the deadline: negative if it is over, infinity if it never ends."""
        return self.ends - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the moment has passed."""
        return self.ends <= time.monotonic()

    def timeout(self) -> float | None:
        """Return the seconds for a wait that has no limit of its own, at least 1 ms; None for no limit."""
        return None if self.ends == float("inf") else max(self.ends - time.monotonic(), _SHORTEST)

    def clamp(self, timeout: float) -> float:
        """Return a timeout cut to what remains, at least 1 ms."""
        return max(min(timeout, self.ends - time.monotonic()), _SHORTEST)

    def clamp_timeouts(self, timeouts: tuple[float, float]) -> tuple[float, float]:
        """Return the timeouts for connecting and for the response, both cut to what remains."""
        connect, read = timeouts
        left = max(self.ends - time.monotonic(), _SHORTEST)
        return min(connect, left), min(read, left)


NEVER = Deadline(float("inf"))
