"""How often, for how long and how far apart failed attempts are tried again: policies of ours, and on tenacity's.

Our own delays are computed with plain numbers. tenacity is loaded when one of its strategies is asked, and only then.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ots_config.backoff import backoff_delay
from ots_config.errors import RequestError, ServiceError
from ots_config.request.operations import OPERATIONS, Effect
from ots_config.request.retry_decision import LONG_WAITS, classify, decide, seconds, yes_or_no

if TYPE_CHECKING:
    import tenacity
    from tenacity.retry import retry_base
    from tenacity.stop import stop_base
    from tenacity.wait import wait_base

_MAX_SCHEDULE = 1000


@dataclass(frozen=True, slots=True)
class RetryEvent:
    """One retry, before its wait begins.

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
    If a policy fails (it raises, or returns what is no bool or no delay), the call ends with the request's own error,
    which has a note about it.

    Args:
        stop: When to give up, ``stop_after_attempt(3) | stop_after_delay(10)``; None never does (the deadline will).
        wait: How long to wait, ``wait_exponential_jitter(0.1, 3)``; None waits as ``DefaultRetryPolicy`` does.
        retry: What to retry, ``retry_if_exception(...)``; None follows the table of ``retry_decision``.
        on_retry: Called with a ``RetryEvent`` before each wait; if it raises, the call ends with the request's
            error, which has a note about it.
    """

    # Class attributes as well, so that a subclass need not call this constructor.
    stop: stop_base | None = None
    wait: wait_base | None = None
    retry: retry_base | None = None
    on_retry: Callable[[RetryEvent], object] | None = None

    retry_writes: ClassVar[bool] = False
    """Whether repeatable writes that may have happened are sent again."""
    retries_stale: ClassVar[bool] = True
    """Whether a request that failed on a reused connection is sent again at once, once, where it did nothing."""

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
        """Return whether to try again.

        Args:
            retry_times: How many retries there were, 0 after the first attempt.
            exception: What the last attempt raised, with all that is known of the call.
            api_name: The operation, ``PutRow``.
        """
        if self.stop is not None or self.retry is not None:
            state = _tenacity_state(retry_times, exception, api_name)
            if self.stop is not None and yes_or_no(self.stop(state)):
                return False
            if self.retry is not None:
                return yes_or_no(self.retry(state))
        return _follow_table(exception, retry_writes=self.retry_writes)

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Return how many seconds to wait before the next attempt; the arguments are those of ``should_retry``."""
        if self.wait is not None:
            delay: float = self.wait(_tenacity_state(retry_times, exception, api_name))
            return delay
        return _FALLBACK.get_retry_delay(retry_times, exception, api_name)

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
        while len(delays) < _MAX_SCHEDULE and self.should_retry(len(delays), error, operation):
            delay = seconds(self.get_retry_delay(len(delays), error, operation))
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

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:  # noqa: ARG002
        """Return whether to try again; see ``RetryPolicy.should_retry``."""
        return retry_times < self.max_retry_times and _follow_table(exception, retry_writes=self.retry_writes)

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:  # noqa: ARG002
        """Return the delay in seconds; see ``RetryPolicy.get_retry_delay``."""
        throttled = classify(exception) in LONG_WAITS
        first = self.server_throttling_exception_delay_factor if throttled else self.stability_exception_delay_factor
        return backoff_delay(retry_times + 1, first, self.max_retry_delay, factor=self.scale_factor)


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
    """Sends every operation once; a refused key or clock is corrected and sent again, as nothing was done."""

    retries_stale: ClassVar[bool] = False

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:  # noqa: ARG002
        """Return False."""
        return False


class _TenacityPolicy(RetryPolicy):
    """Uses the strategies and the ``before_sleep`` of a ``tenacity.Retrying``, but not its loop."""

    def __init__(self, retrying: tenacity.BaseRetrying) -> None:
        super().__init__(on_retry=None if retrying.before_sleep is None else self._before_sleep)
        self._retrying = retrying

    def _before_sleep(self, event: RetryEvent) -> None:
        from tenacity import RetryAction

        state = _tenacity_state(event.attempt - 1, event.error, event.operation)
        state.next_action = RetryAction(event.delay)
        if self._retrying.before_sleep is not None:
            self._retrying.before_sleep(state)

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        state = _tenacity_state(retry_times, exception, api_name)
        return yes_or_no(self._retrying.retry(state)) and not yes_or_no(self._retrying.stop(state))

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        delay: float = self._retrying.wait(_tenacity_state(retry_times, exception, api_name))
        return delay


class _OfficialPolicy(RetryPolicy):
    """Asks a policy of the official SDK about the service's errors, the only ones that it knows."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self._policy = policy

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        if not isinstance(exception, ServiceError):
            return _FALLBACK.should_retry(retry_times, exception, api_name)
        return yes_or_no(self._policy.should_retry(retry_times, exception, api_name))

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        if not isinstance(exception, ServiceError):
            return _FALLBACK.get_retry_delay(retry_times, exception, api_name)
        delay: float = self._policy.get_retry_delay(retry_times, exception, api_name)
        return delay


_FALLBACK = DefaultRetryPolicy()

POLICIES: dict[str, type[RetryPolicy]] = {
    "default": DefaultRetryPolicy,
    "write": WriteRetryPolicy,
    "none": NoRetryPolicy,
    "no-delay": NoDelayRetryPolicy,
}
"""The policies by the names that the settings give them."""


def as_policy(policy: Any) -> RetryPolicy:
    """Return a policy for what a user may pass: a policy, a class of one, an official one, or a ``tenacity.Retrying``.

    Raises:
        TypeError: If it is anything else.
    """
    if isinstance(policy, type):
        policy = policy()
    if isinstance(policy, RetryPolicy):
        return policy
    tenacity = sys.modules.get("tenacity")  # whoever made a Retrying has loaded it
    if tenacity is not None and isinstance(policy, tenacity.BaseRetrying):
        return _TenacityPolicy(policy)
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


def _tenacity_state(retry_times: int, exception: BaseException, api_name: str) -> tenacity.RetryCallState:
    """Return where a call stands, as tenacity's strategies want it."""
    from tenacity import RetryCallState, Retrying

    state = RetryCallState(Retrying(), None, (), {"api_name": api_name})
    state.attempt_number = retry_times + 1
    elapsed = exception.elapsed if isinstance(exception, RequestError) else 0.0
    state.start_time = time.monotonic() - elapsed
    state.set_exception((type(exception), exception, exception.__traceback__))
    return state
