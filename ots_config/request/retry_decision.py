"""What follows a failed attempt of a call, decided without sending, waiting or tenacity.

``classify`` says what happened, ``decide`` is the table of what may be sent again, and ``CallState`` applies both to
one call, with a policy that says how often and how far apart. The first attempt of a call touches none of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ots_config.error_frames import without_frames
from ots_config.errors import (
    AuthenticationFailed,
    ConnectFailed,
    ProxyRefused,
    RequestError,
    RequestInvalid,
    ResponseInvalid,
    ResponseLost,
    ServiceError,
    UntrustedServer,
)
from ots_config.request.interruptions import raised_by_signal_handler
from ots_config.request.operations import Effect, Operation
from ots_config.shown_text import failure_text

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials
    from ots_config.request.deadline import Deadline
    from ots_config.request.retry_budget import RetryBudget

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
UNCERTAIN_STATUSES = frozenset({408, 500, 502, 503, 504})
_TIMEOUT = 408
_TOO_MANY_REQUESTS = 429

_TOO_FREQUENT = "Too frequent table operations."
_SKEW = "Mismatch between system time and x-ots-date"


class FailureKind(Enum):
    """What a failed attempt says about the operation."""

    NEVER_SENT = "the server never had the whole request"
    REFUSED = "the service refused before doing anything, and may accept soon"
    THROTTLED = "the same, because of load"
    LIMITED = "a gateway or the service limits the flow; the operation may have happened, but hardly has"
    UNCERTAIN = "the operation may have happened"
    CLOCK = "the clocks of both ends differ by too much"
    AUTHENTICATION = "the key or token was refused"
    FINAL = "trying again would change nothing"


# Tuples: a set would call the enumeration's hash, a function in Python, for each look.
MAY_HAVE_HAPPENED = (FailureKind.LIMITED, FailureKind.UNCERTAIN)
"""After these a write is sent again only if it is safe to repeat."""

LONG_WAITS = (FailureKind.REFUSED, FailureKind.THROTTLED, FailureKind.LIMITED)
"""After these a service that has too much to do needs a longer rest."""


def classify(error: BaseException) -> FailureKind:
    """Return what an error says about the operation; an error of a request remembers it."""
    if not isinstance(error, RequestError):
        return FailureKind.FINAL
    kind = error.failure_kind
    if not isinstance(kind, FailureKind):
        error.failure_kind = kind = _classify(error)
    return kind


def _classify(error: RequestError) -> FailureKind:  # noqa: PLR0911 - a table, a line each
    match error:
        case UntrustedServer() | ProxyRefused():
            return FailureKind.FINAL
        case ConnectFailed():
            return FailureKind.NEVER_SENT
        case ResponseLost():
            return FailureKind.UNCERTAIN
        case ResponseInvalid():
            status = error.http_status or 200
            if status == _TOO_MANY_REQUESTS:
                return FailureKind.LIMITED
            return FailureKind.FINAL if 300 <= status < 500 and status != _TIMEOUT else FailureKind.UNCERTAIN
        case AuthenticationFailed():
            return FailureKind.CLOCK if _SKEW in error.message else FailureKind.AUTHENTICATION
        case ServiceError():
            return classify_code(error.code, error.message, error.http_status or 0)
        case _:
            return FailureKind.FINAL


def classify_code(code: str, message: str, status: int) -> FailureKind:
    """Return what an error code of the service says about the operation, of all codes but ``OTSAuthFailed``."""
    if code in THROTTLE_CODES or (code == "OTSQuotaExhausted" and message == _TOO_FREQUENT):
        return FailureKind.THROTTLED
    if code in REFUSED_CODES:
        return FailureKind.REFUSED
    if code == "OTSFlowControl" or status == _TOO_MANY_REQUESTS:
        return FailureKind.LIMITED
    if code in UNCERTAIN_CODES or status in UNCERTAIN_STATUSES:
        return FailureKind.UNCERTAIN
    return FailureKind.FINAL


def decide(failure: FailureKind, *, reads: bool, repeatable: bool, retry_writes: bool) -> bool:
    """Return whether an operation may be sent again after a failure.

    Authentication and clock failures are not decided here: a call recovers from each once, else they are final.

    Args:
        failure: What happened.
        reads: Whether the operation only reads.
        repeatable: Whether sending it twice has the effect of sending it once.
        retry_writes: Whether the policy repeats repeatable writes that may have happened.
    """
    if failure in (FailureKind.NEVER_SENT, FailureKind.REFUSED, FailureKind.THROTTLED):
        return True
    if failure is FailureKind.LIMITED:
        return reads or repeatable
    if failure is FailureKind.UNCERTAIN:
        return reads or (repeatable and retry_writes)
    return False


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do after a failed attempt: correct the clock, refresh the credentials, wait, send again.

    If there are ``tables``, only when each of them is known to keep one version.
    """

    delay: float
    refresh: bool = False
    clock_offset: float | None = None
    tables: frozenset[str] = frozenset()


_AT_ONCE = NextStep(0.0)
_NONE: frozenset[str] = frozenset()


class RetryRules(Protocol):
    """What a call asks of a policy; see ``RetryPolicy``."""

    retries_stale: ClassVar[bool]

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        """Return whether to try again."""
        ...

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Return the seconds to wait before that."""
        ...


def asks_retry(policy: RetryRules, retries: int, error: RequestError, api_name: str) -> bool:
    """Return whether a policy wants to try again; if it fails, it does not, and the error has a note about that."""
    try:
        answer: Any = policy.should_retry(retries, error, api_name)
        return answer if answer is True or answer is False else yes_or_no(answer)
    except Exception as failure:  # noqa: BLE001 - a user's code, which may raise anything
        add_policy_failure(error, "should_retry", failure)
        return False


def asks_delay(policy: RetryRules, retries: int, error: RequestError, api_name: str) -> float | None:
    """Return how long a policy wants to wait; None if it fails, and the error has a note about that."""
    try:
        answer: Any = policy.get_retry_delay(retries, error, api_name)
        return answer if type(answer) is float and answer >= 0.0 else seconds(answer)
    except Exception as failure:  # noqa: BLE001 - as above
        add_policy_failure(error, "get_retry_delay", failure)
        return None


def add_policy_failure(error: RequestError, name: str, failure: Exception) -> None:
    """Add a note to a request's error that a function of the retry policy failed.

    A function that raises this very error wants to end the call, which needs no note.

    Raises:
        Exception: The failure itself, if a signal handler raised it meanwhile.
    """
    if raised_by_signal_handler((failure,)) is not None:
        raise failure
    error.policy_failed = True
    if failure is error:
        without_frames(error)
        return
    error.add_note(f"The retry policy's {name} failed, so there was no other attempt: {failure_text(failure)}")


def yes_or_no(answer: Any) -> bool:
    """Return an answer of a policy as a bool; like tenacity, it may give any object that is true or false.

    Raises:
        TypeError: If it is None, a number with a fraction or a text: then it was meant for something else.
    """
    if answer is None or isinstance(answer, float | str | bytes):
        raise TypeError(f"it returned {_shown(answer)} in place of True or False")
    return bool(answer)


def seconds(answer: Any) -> float:
    """Return a delay that a policy gave.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is negative, or not a number of IEEE 754.
    """
    if answer is None or isinstance(answer, str | bytes | bytearray):  # float() would read a text
        raise TypeError(f"it returned {_shown(answer)} in place of seconds")
    delay = float(answer)
    if not delay >= 0.0:
        raise ValueError(f"it returned {delay:g} in place of seconds")
    return delay


def _shown(answer: object) -> str:
    return "None" if answer is None else f"a {type(answer).__name__}"


class CallState:
    """The state of a call whose first attempt failed, or of one in several parts; decides what follows each failure.

    Args:
        operation: What is called.
        policy: How often and how far apart to retry.
        budget: The client's retry budget.
        started: When the call began, by ``time.monotonic``.
        deadline: When it must be over.

    Attributes:
        repeatable: Whether sending the request twice has the effect of sending it once.
        tables: The tables that must keep one version for that.
        is_confirmed: Whether they were found to.
        deadline: When the call must be over.
        retries: How many retries there were.
        uncertain: Whether an attempt may have been carried out although it failed.
    """

    def __init__(
        self, operation: Operation, policy: RetryRules, budget: RetryBudget, started: float, deadline: Deadline
    ) -> None:
        self._operation = operation
        self._reads = operation.effect is Effect.READ
        self.repeatable = self._reads
        self.tables: frozenset[str] = frozenset()
        self.is_confirmed = False
        self._policy = policy
        self._budget = budget
        self._started = started
        self.deadline = deadline
        self.retries = 0
        self._request_ids: list[str] = []
        self._recovered: list[FailureKind] = []
        self._sent = self.uncertain = False

    def after(self, error: RequestError, used: Credentials | None = None) -> NextStep:
        """Return what to do next.

        Args:
            error: How an attempt failed.
            used: The credentials that it had.

        Raises:
            RequestError: The error itself, if there is nothing more to do.
        """
        failure = classify(error)
        self._set_facts(error, failure, used)
        step = self._recover(error, failure)
        if step is not None:
            self._recovered.append(failure)
            return step
        step = self._retry(error, failure)
        if step is None:
            if self.tables and not self.is_confirmed:
                error.repeatable = False  # as far as is known; nobody asked the service about the tables
            raise error
        return step

    def _retry(self, error: RequestError, failure: FailureKind) -> NextStep | None:
        """Return the wait before another attempt, None if there is none.

        The policy sees an error as repeatable that may be: the service is asked about a table only if an answer
        matters.
        """
        if failure in MAY_HAVE_HAPPENED and not error.repeatable:
            # Whatever the policy says: a write that may have happened is not sent twice unless that is safe.
            return None
        name = self._operation.name
        if not asks_retry(self._policy, self.retries, error, name):
            return None
        delay = asks_delay(self._policy, self.retries, error, name)
        if delay is None:
            return None
        if error.retry_after is not None:
            delay = max(delay, error.retry_after)
        left = self.deadline.remaining()
        token_in = self._budget.reserve(left) if delay < left else None
        if token_in is None or max(delay, token_in) >= left:
            return None
        self.retries += 1
        return NextStep(max(delay, token_in), tables=self.tables if failure in MAY_HAVE_HAPPENED else _NONE)

    def _recover(self, error: RequestError, failure: FailureKind) -> NextStep | None:
        """Return what makes another attempt succeed at once, None if nothing does or it was done already."""
        if failure in self._recovered:
            return None
        if isinstance(error, AuthenticationFailed):
            if failure is FailureKind.AUTHENTICATION:
                return NextStep(0.0, refresh=True)
            return None if error.clock_offset is None else NextStep(0.0, clock_offset=error.clock_offset)
        stale = error.on_reused_connection and (failure is FailureKind.NEVER_SENT or self._reads)
        return _AT_ONCE if stale and self._policy.retries_stale else None

    def _set_facts(self, error: RequestError, failure: FailureKind, used: Credentials | None) -> None:
        """Set what is known of the whole call: the only place that does."""
        if error.request_id:
            self._request_ids.append(error.request_id)
        self._sent = self._sent or not isinstance(error, ConnectFailed | RequestInvalid)
        self.uncertain = self.uncertain or failure in MAY_HAVE_HAPPENED
        error.operation = self._operation.name
        error.sent = self._sent
        error.reads = self._reads
        error.repeatable = self.repeatable or self._reads
        # A conditional write whose retry fails its condition may fail on what its own first sending did.
        error.may_have_happened = not self._reads and self.uncertain
        error.attempts = self.retries + len(self._recovered) + 1
        if self._recovered:
            error.recovered = tuple(kind.name.lower().replace("_", "-") for kind in self._recovered)
        error.elapsed = time.monotonic() - self._started
        error.request_ids = tuple(self._request_ids)
        if used is not None:
            error.access_key_id = used.masked_id
            error.source = used.source
