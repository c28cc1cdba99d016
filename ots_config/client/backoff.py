"""Whether and when a scan or a bulk write tries again what a single call has given up."""

from __future__ import annotations

from ots_config.backoff import backoff_delay
from ots_config.errors import CredentialsError, RequestError, ServiceError
from ots_config.request.retry_decision import classify, decide

FIRST_DELAY = 0.2
MAX_DELAY = 10.0


class JobBackoff:
    """The growing delays between the attempts of one thing, a scan's page or a bulk write's row.

    Args:
        retry_for: Seconds after the first failure in which it is tried again; 0 for never.
    """

    __slots__ = ("failed_since", "failures", "retry_for")

    def __init__(self, retry_for: float) -> None:
        self.retry_for = retry_for
        self.failures = 0
        self.failed_since = 0.0

    def delay(self, error: Exception, now: float) -> float | None:
        """Count a failure, and return the seconds until the next try.

        The time ``now`` is that of a monotonic clock. The result is None if the time for retries is over.
        """
        if not self.failures:
            self.failed_since = now
        self.failures += 1
        remaining = self.failed_since + self.retry_for - now
        if remaining <= 0:
            return None
        delay = backoff_delay(self.failures, FIRST_DELAY, MAX_DELAY)
        if isinstance(error, ServiceError) and error.retry_after is not None:
            delay = max(delay, error.retry_after)
        return min(delay, remaining)  # so the last try comes at the very end

    def reset(self) -> None:
        """Forget the failures, because there was progress."""
        self.failures = 0


def may_retry(error: Exception, *, reads: bool = False, repeatable: bool = False, retry_writes: bool = False) -> bool:
    """Return whether something that failed may be tried again, by the rules for single calls.

    The arguments are those of ``decide``. What a failure of the retry policy has ended is not tried again: its
    callbacks may raise to end a job.
    """
    if isinstance(error, RequestError) and error.policy_failed:
        return False
    if isinstance(error, CredentialsError):
        return error.transient
    return decide(classify(error), reads=reads, repeatable=repeatable, retry_writes=retry_writes)
