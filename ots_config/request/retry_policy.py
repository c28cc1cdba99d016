"""Whether a failed attempt is tried again, and how long after: a table, and policies on tenacity's strategies.

``decide`` is the table. It looks at what happened and at whether repeating would do harm; a ``RetryPolicy`` adds how
often, for how long and how far apart. The first attempt of a call touches nothing of this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, ClassVar

import tenacity
from tenacity.retry import retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from ots_config.errors import (
    AuthenticationFailed,
    ConnectFailed,
    RequestError,
    ResponseInvalid,
    ResponseLost,
    ServiceError,
    UntrustedServer,
)
from ots_config.request.operations import OPERATIONS, Effect

THROTTLE_CODES = frozenset(
    {
        "OTSServerBusy",
        "OTSNotEnoughCapacityUnit",
        "OTSOperationThrottled",
    }
)
"""The service refuses for load, before doing anything."""

REFUSED_CODES = THROTTLE_CODES | {
    "OTSRowOperationConflict",
    "OTSOperationConflict",
    "OTSTableNotReady",
    "OTSPartitionUnavailable",
    "OTSTooFrequentReservedThroughputAdjustment",
}
"""The service refuses before doing anything, and may accept soon."""

UNCERTAIN_CODES = frozenset({"OTSTimeout", "OTSInternalServerError", "OTSServerUnavailable"})
UNCERTAIN_STATUSES = frozenset({500, 502, 503, 504})

_TOO_FREQUENT = "Too frequent table operations."
_LONGEST_SCHEDULE = 1000
_SKEW = "Mismatch between system time and x-ots-date"


class FailureKind(Enum):
    """What a failed attempt tells about the operation."""

    NEVER_SENT = "the server never had the whole request"
    REFUSED = "the service refused before doing anything, and may accept soon"
    THROTTLED = "the same, for load"
    UNCERTAIN = "the operation may have been carried out"
    CLOCK = "the clocks of both ends differ by too much"
    AUTHENTICATION = "the key or token was refused"
    FINAL = "trying again would change nothing"


def classify(error: BaseException) -> FailureKind:  # noqa: PLR0911 - a table, a line each
    """Say what an error tells about the operation."""
    match error:
        case UntrustedServer():
            return FailureKind.FINAL
        case ConnectFailed():
            return FailureKind.NEVER_SENT
        case ResponseLost():
            return FailureKind.UNCERTAIN
        case ResponseInvalid():
            status = error.http_status or 200
            return FailureKind.FINAL if 300 <= status < 500 and status not in (408, 429) else FailureKind.UNCERTAIN
        case AuthenticationFailed():
            return FailureKind.CLOCK if _SKEW in error.message else FailureKind.AUTHENTICATION
        case ServiceError():
            return _classify_service_error(error.code, error.message, error.http_status or 0)
        case _:
            return FailureKind.FINAL


def _classify_service_error(code: str, message: str, status: int) -> FailureKind:
    if code in THROTTLE_CODES or (code == "OTSQuotaExhausted" and message == _TOO_FREQUENT):
        return FailureKind.THROTTLED
    if code in REFUSED_CODES:
        return FailureKind.REFUSED
    if code in UNCERTAIN_CODES or status in UNCERTAIN_STATUSES:
        return FailureKind.UNCERTAIN
    return FailureKind.FINAL


def decide(failure: FailureKind, *, reads: bool, repeatable: bool, retry_writes: bool) -> bool:
    """Tell whether an operation may be sent again after a failure.

    Authentication and clock failures are not decided here: they are healed once, or are final.

    Args:
        failure: What happened.
        reads: Whether the operation only reads.
        repeatable: Whether sending it twice leaves what sending it once does.
        retry_writes: Whether the policy repeats repeatable writes that may have happened.
    """
    if failure in (FailureKind.NEVER_SENT, FailureKind.REFUSED, FailureKind.THROTTLED):
        return True
    if failure is FailureKind.UNCERTAIN:
        return reads or (repeatable and retry_writes)
    return False


@dataclass(frozen=True, slots=True)
class RetryEvent:
    """One retry that is about to be waited for.

    Attributes:
        operation: The operation, ``PutRow``.
        attempt: Which attempt failed, 1 for the first.
        delay: Seconds until the next one.
        error: What the failed attempt raised.
    """

    operation: str
    attempt: int
    delay: float
    error: RequestError


class RetryPolicy:
    """How often, for how long and how far apart failed attempts are tried again.

    Compose one of tenacity's strategies, or subclass and override ``should_retry`` and ``get_retry_delay``, as for
    the official SDK. Whatever a policy says, a write that may have happened is only sent again if that is safe.

    Args:
        stop: When to give up, ``stop_after_attempt(3) | stop_after_delay(10)``; None never does (the deadline will).
        wait: How long to wait, ``wait_exponential_jitter(0.1, 3)``; None waits as ``DefaultRetryPolicy`` does.
        retry: What to retry, ``retry_if_exception(...)``; None follows the table of this module.
        on_retry: Called with a ``RetryEvent`` before each wait; what it raises ends the call.
    """

    # Class attributes as well, so that a subclass need not call this constructor.
    stop: stop_base | None = None
    wait: wait_base | None = None
    retry: retry_base | None = None
    on_retry: Callable[[RetryEvent], object] | None = None

    retry_writes: ClassVar[bool] = False
    """Whether repeatable writes that may have happened are sent again."""
    retries_stale: ClassVar[bool] = True
    """Whether a request that failed on a kept connection is sent again at once, once, where it did nothing."""

    def __init__(
        self,
        *,
        stop: stop_base | None = None,
        wait: wait_base | None = None,
        retry: retry_base | None = None,
        on_retry: Callable[[RetryEvent], object] | None = None,
    ) -> None:
        self.stop = stop
        self.wait = wait
        self.retry = retry
        if on_retry is not None:
            self.on_retry = on_retry

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        """Tell whether to try again.

        Args:
            retry_times: How many retries there were, 0 after the first attempt.
            exception: What the last attempt raised.
            api_name: The operation, ``PutRow``.
        """
        state = _state(retry_times, exception, api_name)
        if self.stop is not None and self.stop(state):
            return False
        if self.retry is not None:
            return bool(self.retry(state))
        return _follow_table(exception, retry_writes=self.retry_writes)

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Return how many seconds to wait before the next attempt; the arguments are those of ``should_retry``."""
        wait = _half_jitter(exception, 0.5, 0.2, 3.0) if self.wait is None else self.wait
        return float(wait(_state(retry_times, exception, api_name)))

    def schedule(self, error: RequestError, operation: str = "GetRow", *, longest: float = 60.0) -> list[float]:
        """Return the delays of a call whose every attempt fails with this error, without waiting for them.

        Args:
            error: What each attempt raises; ``reads`` and ``repeatable`` are set by the operation's kind.
            operation: The operation, ``PutRow``; a row's write counts as one that is safe to repeat.
            longest: The call's deadline in seconds.
        """
        effect = OPERATIONS[operation].effect
        error.reads = effect is Effect.READ
        error.repeatable = effect is not Effect.WRITE
        delays: list[float] = []
        while len(delays) < _LONGEST_SCHEDULE and self.should_retry(len(delays), error, operation):
            delay = self.get_retry_delay(len(delays), error, operation)
            if sum(delays) + delay >= longest:
                break
            delays.append(delay)
        return delays


class DefaultRetryPolicy(RetryPolicy):
    """The policy that the service documents: at most 20 retries, at most 3 s apart, half of the delay random.

    Retried are reads, and writes that the service refused before doing anything.

    Args:
        max_retry_times: The most retries, 0 or more.
        max_retry_delay: The longest delay in seconds.
        on_retry: As for ``RetryPolicy``.
    """

    max_retry_times = 20
    max_retry_delay = 3.0
    scale_factor = 2
    server_throttling_exception_delay_factor = 0.5
    stability_exception_delay_factor = 0.2

    def __init__(
        self,
        max_retry_times: int | None = None,
        max_retry_delay: float | None = None,
        *,
        on_retry: Callable[[RetryEvent], object] | None = None,
    ) -> None:
        super().__init__(on_retry=on_retry)
        if max_retry_times is not None:
            self.max_retry_times = max_retry_times
        if max_retry_delay is not None:
            self.max_retry_delay = max_retry_delay

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        """Tell whether to try again; see ``RetryPolicy.should_retry``."""
        stop = tenacity.stop_after_attempt(self.max_retry_times + 1)
        return not stop(_state(retry_times, exception, api_name)) and _follow_table(
            exception, retry_writes=self.retry_writes
        )

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Return the delay in seconds; see ``RetryPolicy.get_retry_delay``."""
        wait = _half_jitter(
            exception,
            self.server_throttling_exception_delay_factor,
            self.stability_exception_delay_factor,
            self.max_retry_delay,
            self.scale_factor,
        )
        return wait(_state(retry_times, exception, api_name))


class WriteRetryPolicy(DefaultRetryPolicy):
    """The default policy, which also retries writes that may have happened, where repeating them does no harm.

    That is PutRow and DeleteRow without a condition and UpdateRow without condition and increment, and batches of
    them; a repeated write may overwrite what another writer wrote in between.
    """

    retry_writes: ClassVar[bool] = True


class NoDelayRetryPolicy(DefaultRetryPolicy):
    """The default policy without a delay between the attempts."""

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:  # noqa: ARG002
        """Return 0."""
        return 0.0


class NoRetryPolicy(RetryPolicy):
    """Every operation is sent once, but for a refused key or clock, which are healed before anything was done."""

    retries_stale: ClassVar[bool] = False

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:  # noqa: ARG002
        """Return False."""
        return False


class _RetryingPolicy(RetryPolicy):
    """A ``tenacity.Retrying`` as a policy: its strategies and its ``before_sleep`` are used, its loop is not."""

    def __init__(self, retrying: tenacity.BaseRetrying) -> None:
        super().__init__(on_retry=None if retrying.before_sleep is None else self._before_sleep)
        self._retrying = retrying

    def _before_sleep(self, event: RetryEvent) -> None:
        state = _state(event.attempt - 1, event.error, event.operation)
        state.next_action = tenacity.RetryAction(event.delay)
        if self._retrying.before_sleep is not None:
            self._retrying.before_sleep(state)

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        state = _state(retry_times, exception, api_name)
        return bool(self._retrying.retry(state)) and not self._retrying.stop(state)

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        return float(self._retrying.wait(_state(retry_times, exception, api_name)))


class _OfficialPolicy(RetryPolicy):
    """A policy of the official SDK: asked about the service's errors, the only ones that it knows."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self._policy = policy

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        if not isinstance(exception, ServiceError):
            return _FALLBACK.should_retry(retry_times, exception, api_name)
        return bool(self._policy.should_retry(retry_times, exception, api_name))

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        if not isinstance(exception, ServiceError):
            return _FALLBACK.get_retry_delay(retry_times, exception, api_name)
        return float(self._policy.get_retry_delay(retry_times, exception, api_name))


_FALLBACK = DefaultRetryPolicy()

POLICIES: dict[str, type[RetryPolicy]] = {
    "default": DefaultRetryPolicy,
    "write": WriteRetryPolicy,
    "none": NoRetryPolicy,
    "no-delay": NoDelayRetryPolicy,
}
"""The policies by the names that the settings give them."""


def as_policy(policy: Any) -> RetryPolicy:
    """Make a policy of what a user may pass: a policy, a class of one, an official policy, or a ``tenacity.Retrying``.

    Raises:
        TypeError: If it is none of these.
    """
    if isinstance(policy, type):
        policy = policy()
    if isinstance(policy, RetryPolicy):
        return policy
    if isinstance(policy, tenacity.BaseRetrying):
        return _RetryingPolicy(policy)
    if callable(getattr(policy, "should_retry", None)) and callable(getattr(policy, "get_retry_delay", None)):
        return _OfficialPolicy(policy)
    raise TypeError(
        "retry_policy must be a RetryPolicy, a policy of tablestore's or a tenacity.Retrying, "
        f"not {type(policy).__name__}"
    )


def _follow_table(exception: Any, *, retry_writes: bool) -> bool:
    if not isinstance(exception, RequestError):
        return False
    return decide(
        classify(exception),
        reads=exception.reads,
        repeatable=exception.repeatable,
        retry_writes=retry_writes,
    )


def _half_jitter(exception: Any, throttled: float, otherwise: float, longest: float, scale: float = 2) -> wait_base:
    """Half of an exponential delay, and as much again at random."""
    first = (throttled if classify(exception) is FailureKind.THROTTLED else otherwise) / 2
    fixed = tenacity.wait_exponential(multiplier=first, max=longest / 2, exp_base=scale)
    jitter = tenacity.wait_random_exponential(multiplier=first, max=longest / 2, exp_base=scale)
    return fixed + jitter


def _state(retry_times: int, exception: BaseException, api_name: str) -> tenacity.RetryCallState:
    """Tell tenacity's strategies where a call stands."""
    state = tenacity.RetryCallState(_UNUSED, None, (), {"api_name": api_name})
    state.attempt_number = retry_times + 1
    elapsed = exception.elapsed if isinstance(exception, RequestError) else 0.0
    state.start_time = time.monotonic() - elapsed
    traceback: TracebackType | None = exception.__traceback__
    state.set_exception((type(exception), exception, traceback))
    return state


_UNUSED = tenacity.Retrying()
