"""Whether and when a long job tries again what a client has given up after its own retries."""

from __future__ import annotations

import random

from ots_config.errors import CredentialsError, ServiceError
from ots_config.request.retry_decision import classify, decide

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0


class Backoff:
    """How one thing that keeps failing is tried again: each time after a longer pause, until patience ends.

    Args:
        seconds: How long after its first failure it is still tried again; 0 never does.
    """

    __slots__ = ("failures", "seconds", "since")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.failures = 0
        self.since = 0.0

    def pause(self, error: Exception, now: float) -> float | None:
        """Count a failure, and return the seconds until the next try.

        Args:
            error: How it failed this time.
            now: The time, by a clock that never goes back.

        Returns:
            The seconds; None if patience has ended.
        """
        if not self.failures:
            self.since = now
        self.failures += 1
        left = self.since + self.seconds - now
        if left <= 0:
            return None
        longest = min(FIRST_PAUSE * 2.0 ** min(self.failures - 1, 32), LONGEST_PAUSE)
        pause = longest * (0.5 + random.random() / 2)  # noqa: S311 - it spreads clients, it hides nothing
        if isinstance(error, ServiceError) and error.retry_after is not None:
            pause = max(pause, error.retry_after)
        return min(pause, left)  # the last try comes when patience ends

    def renew(self) -> None:
        """Forget the failures, as there was progress."""
        self.failures = 0


def worth_trying(
    error: Exception, *, reads: bool = False, repeatable: bool = False, retry_writes: bool = False
) -> bool:
    """Tell whether what failed may be tried again, by the table that single calls follow.

    Args:
        error: How it failed.
        reads: Whether it only reads.
        repeatable: Whether doing it twice leaves what doing it once does.
        retry_writes: Whether repeatable writes that may have happened are wanted again.
    """
    if isinstance(error, CredentialsError):
        return error.transient
    return decide(classify(error), reads=reads, repeatable=repeatable, retry_writes=retry_writes)
