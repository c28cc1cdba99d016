"""The one back-off: a delay that doubles with each failure, is capped, and is half random."""

from __future__ import annotations

import random


def backoff_delay(failures: int, first: float, longest: float, *, factor: float = 2.0) -> float:
    """Return the seconds to wait after a failure.

    Half of the delay is fixed, so that a busy server gets a rest; half is random, so that clients which failed
    together do not come back together.

    Args:
        failures: How many attempts have failed in a row, 1 or more.
        first: The longest delay after the first failure, in seconds.
        longest: The longest delay after any failure, in seconds.
        factor: How much longer each delay is than the one before.
    """
    try:
        delay = min(first * factor ** (failures - 1), longest)
    except OverflowError:
        delay = longest
    return delay * (0.5 + random.random() / 2)  # noqa: S311 - it spreads clients, it protects nothing
