"""A clock for tests: it stands still until it is moved."""

from __future__ import annotations


class ManualClock:
    """An age clock and a time of day that move only when told to.

    Called, it returns the age: ``RefreshingProvider(source, clock=clock, wall=clock.wall)``.

    Args:
        now: The time of day at the start, in seconds since 1970.

    Attributes:
        age: The reading of the age clock, in seconds; only differences count.
        now: The time of day, in seconds since 1970.
    """

    def __init__(self, now: float = 1_795_000_000.0) -> None:
        self.age = 5000.0
        self.now = now

    def __call__(self) -> float:
        """Return the age."""
        return self.age

    def wall(self) -> float:
        """Return the time of day."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move both on."""
        self.age += seconds
        self.now += seconds
