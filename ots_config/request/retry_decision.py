"""What follows a failed attempt of a call, decided without sending or waiting, and how many retries there may be."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from threading import Lock

from ots_config.errors import AuthenticationFailed, ConnectFailed, RequestError, RequestInvalid
from ots_config.request.operations import Effect, Operation
from ots_config.request.retry_policy import FailureKind, RetryPolicy, classify


class RetryBudget:
    """Bounds the retries of one client, so that a fleet of them never multiplies an outage.

    Args:
        share: How many retries each call allows, 0.1 for one in ten.
        per_second: How many retries a second are allowed besides, so that a few threads ride out a throttle.
        waits: Whether a retry waits for its turn; if not, it fails at once.
    """

    def __init__(self, share: float = 0.1, per_second: float = 10.0, *, waits: bool = True) -> None:
        self._share = share
        self._per_second = per_second
        self._waits = waits
        self._calls = count()
        self.count_call = self._calls.__next__  # one C call on the success path
        self._lock = Lock()
        self._tokens = per_second
        self._seen_calls = 0
        self._seen_at = time.monotonic()

    def reserve(self, longest: float) -> float | None:
        """Take a token, or one of the future's.

        Args:
            longest: How many seconds the call can wait at most.

        Returns:
            The seconds until the token is there; None if that is too long, and then none was taken.
        """
        with self._lock:
            now, calls = time.monotonic(), next(self._calls)
            earned = (now - self._seen_at) * self._per_second + (calls - self._seen_calls) * self._share
            self._seen_at, self._seen_calls = now, calls + 1
            self._tokens = min(self._tokens + earned, max(self._per_second, 1.0))
            missing = 1.0 - self._tokens
            wait = 0.0 if missing <= 0 else missing / self._per_second if self._per_second else float("inf")
            if wait > (longest if self._waits else 0.0):
                return None
            self._tokens -= 1.0
            return wait


@dataclass(frozen=True, slots=True)
class Step:
    """What to do after a failed attempt: correct the clock, refresh the credentials, wait, send again."""

    delay: float
    refresh: bool = False
    clock_offset: float | None = None


class CallState:
    """Decides what follows each failed attempt of one call.

    Args:
        operation: What is called.
        policy: How often and how far apart to retry.
        budget: The client's retry budget.
        started: When the call began, by ``time.monotonic``.
        deadline: Seconds that the whole call may take; None sets no limit.

    Attributes:
        repeatable: Whether sending the request twice leaves what sending it once does.
        started: When the call began.
        ends: When it must end, None for no limit.
        retries: How many retries there were.
    """

    def __init__(
        self,
        operation: Operation,
        *,
        policy: RetryPolicy,
        budget: RetryBudget,
        started: float,
        deadline: float | None,
    ) -> None:
        self._operation = operation
        self._reads = operation.effect is Effect.READ
        self.repeatable = self._reads
        self._policy = policy
        self._budget = budget
        self.started = started
        self.ends = None if deadline is None else started + deadline
        self.retries = 0
        self._request_ids: list[str] = []
        self._healed: set[FailureKind] = set()
        self._sent = self._uncertain = False

    @property
    def remaining(self) -> float:
        """Seconds left of the call's deadline."""
        return float("inf") if self.ends is None else self.ends - time.monotonic()

    def after(self, error: RequestError) -> Step:
        """Return what to do next.

        Raises:
            RequestError: The error itself, if there is nothing more to do.
        """
        self._complete(error)
        failure = classify(error)
        if failure in (FailureKind.AUTHENTICATION, FailureKind.CLOCK) and failure not in self._healed:
            self._healed.add(failure)
            if failure is FailureKind.AUTHENTICATION:
                return Step(0.0, refresh=True)
            if isinstance(error, AuthenticationFailed) and error.clock_offset is not None:
                return Step(0.0, clock_offset=error.clock_offset)
        stale = error.on_reused_connection and (failure is FailureKind.NEVER_SENT or self._reads)
        if stale and failure not in self._healed and self._policy.retries_stale:
            self._healed.add(failure)
            return Step(0.0)
        if failure is FailureKind.UNCERTAIN and not (self.repeatable or self._reads):
            # Whatever the policy says: a write that may have happened is not sent twice unless that is safe.
            raise error
        if not self._policy.should_retry(self.retries, error, self._operation.name):
            raise error
        delay = max(self._policy.get_retry_delay(self.retries, error, self._operation.name), 0.0)
        if error.retry_after is not None:
            delay = max(delay, error.retry_after)
        left = self.remaining
        token_in = self._budget.reserve(left) if delay < left else None
        if token_in is None or max(delay, token_in) >= left:
            raise error
        self.retries += 1
        return Step(max(delay, token_in))

    def _complete(self, error: RequestError) -> None:
        """Tell in the error what is known of the whole call."""
        if error.request_id:
            self._request_ids.append(error.request_id)
        self._sent = self._sent or not isinstance(error, ConnectFailed | RequestInvalid)
        self._uncertain = self._uncertain or classify(error) is FailureKind.UNCERTAIN
        error.operation = self._operation.name
        error.sent = self._sent
        error.reads = self._reads
        error.repeatable = self.repeatable or self._reads
        # A conditional write whose retry fails its condition may fail on what its own first sending did.
        error.may_have_happened = not self._reads and self._uncertain
        error.attempts = self.retries + len(self._healed) + 1
        error.elapsed = time.monotonic() - self.started
        error.request_ids = tuple(self._request_ids)
