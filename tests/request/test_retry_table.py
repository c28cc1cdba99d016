"""The table of retries, one test per row and column: what follows the first failure of a call."""

import time
from collections.abc import Callable

import pytest

from ots_config.errors import (
    AuthenticationFailed,
    ConnectFailed,
    RequestError,
    RequestInvalid,
    ResponseInvalid,
    ResponseLost,
    ServiceError,
    UntrustedServer,
)
from ots_config.request.deadline import Deadline
from ots_config.request.operations import OPERATIONS
from ots_config.request.retry_budget import RetryBudget
from ots_config.request.retry_decision import CallState, NextStep
from ots_config.request.retry_policy import DefaultRetryPolicy, WriteRetryPolicy

RAISE, MAYBE, RETRY, LONGER, NOW, REFRESH, CLOCK = (
    "raise",
    "raise, may have happened",
    "retry",
    "retry, longer wait",
    "retry at once",
    "once more with other keys",
    "once more with the offset",
)


def reused(error: RequestError) -> RequestError:
    """Return the same failure on a reused connection."""
    error.on_reused_connection = True
    return error


def skewed(message: str) -> RequestError:
    """Return a refusal with the service's date."""
    error = AuthenticationFailed(403, "OTSAuthFailed", message)
    error.clock_offset = 1200.0
    return error


def service(code: str, status: int, message: str = "") -> Callable[[], RequestError]:
    """Return a maker of an error of the service."""
    return lambda: ServiceError(status, code, message)


def page(status: int) -> Callable[[], RequestError]:
    """Return a maker of the error for an unsigned response."""
    return lambda: ResponseInvalid("", http_status=status)


ANYWAY = (RETRY, RETRY, RETRY, RETRY)
ANYWAY_LONGER = (LONGER, LONGER, LONGER, LONGER)
LIMITED = (LONGER, LONGER, LONGER, MAYBE)
MAY_HAVE_HAPPENED = (RETRY, MAYBE, RETRY, MAYBE)
NEVER = (RAISE, RAISE, RAISE, RAISE)

Row = tuple[str, Callable[[], RequestError], tuple[str, str, str, str]]
ROWS: list[Row] = [
    # what happened, its error: read, safe write (default policy), safe write (write policy), other write
    ("never reached the server", lambda: ConnectFailed(""), ANYWAY),
    ("incomplete on a reused connection", lambda: reused(ConnectFailed("")), (NOW, NOW, NOW, NOW)),
    ("no response on a reused connection", lambda: reused(ResponseLost("")), (NOW, MAYBE, RETRY, MAYBE)),
    ("OTSServerBusy", service("OTSServerBusy", 503), ANYWAY_LONGER),
    ("OTSNotEnoughCapacityUnit", service("OTSNotEnoughCapacityUnit", 403), ANYWAY_LONGER),
    ("OTSRowOperationConflict", service("OTSRowOperationConflict", 409), ANYWAY_LONGER),
    ("OTSTableNotReady", service("OTSTableNotReady", 404), ANYWAY_LONGER),
    ("OTSPartitionUnavailable", service("OTSPartitionUnavailable", 503), ANYWAY_LONGER),
    ("OTSOperationThrottled", service("OTSOperationThrottled", 403), ANYWAY_LONGER),
    ("OTSOperationConflict", service("OTSOperationConflict", 409), ANYWAY_LONGER),
    (
        "OTSTooFrequentReservedThroughputAdjustment",
        service("OTSTooFrequentReservedThroughputAdjustment", 403),
        ANYWAY_LONGER,
    ),
    (
        "OTSQuotaExhausted, too frequent",
        service("OTSQuotaExhausted", 403, "Too frequent table operations."),
        ANYWAY_LONGER,
    ),
    ("OTSQuotaExhausted, too many tables", service("OTSQuotaExhausted", 403, "Too many tables."), NEVER),
    ("HTTP 429, unsigned", page(429), LIMITED),
    ("OTSFlowControl", service("OTSFlowControl", 429), LIMITED),
    ("HTTP 408, unsigned", page(408), MAY_HAVE_HAPPENED),
    ("read timeout or reset", lambda: ResponseLost(""), MAY_HAVE_HAPPENED),
    ("OTSTimeout", service("OTSTimeout", 503), MAY_HAVE_HAPPENED),
    ("OTSInternalServerError", service("OTSInternalServerError", 500), MAY_HAVE_HAPPENED),
    ("OTSServerUnavailable", service("OTSServerUnavailable", 503), MAY_HAVE_HAPPENED),
    *((f"HTTP {status}, unsigned", page(status), MAY_HAVE_HAPPENED) for status in (500, 502, 503, 504)),
    *((f"HTTP {status}, signed", service("OTSNew", status), MAY_HAVE_HAPPENED) for status in (500, 502, 503, 504)),
    ("a success that is not the service's own", page(200), MAY_HAVE_HAPPENED),
    ("authentication failed", lambda: AuthenticationFailed(403, "OTSAuthFailed", "No such key."), (REFRESH,) * 4),
    ("clock skew", lambda: skewed("Mismatch between system time and x-ots-date: x."), (CLOCK,) * 4),
    ("a server that is not trusted", lambda: UntrustedServer(""), NEVER),
    ("arguments that cannot be encoded", lambda: RequestInvalid(""), NEVER),
    ("OTSParameterInvalid", service("OTSParameterInvalid", 400), NEVER),
    ("OTSConditionCheckFail", service("OTSConditionCheckFail", 403), NEVER),
    ("OTSObjectNotExist", service("OTSObjectNotExist", 404), NEVER),
    ("HTTP 404, unsigned", page(404), NEVER),
    ("HTTP 302, unsigned", page(302), NEVER),
]
COLUMNS = {
    "read": ("GetRow", DefaultRetryPolicy, False),
    "safe write": ("PutRow", DefaultRetryPolicy, True),
    "safe write, WriteRetryPolicy": ("PutRow", WriteRetryPolicy, True),
    "other write": ("UpdateRow", WriteRetryPolicy, False),
}
CELLS = [
    pytest.param(error, column, cell, id=f"{name} | {column}")
    for name, error, cells in ROWS
    for column, cell in zip(COLUMNS, cells, strict=True)
]


def what_follows(state: CallState, error: RequestError) -> str:
    """Return what follows a failure, in the table's words."""
    try:
        step = state.after(error)
    except RequestError as raised:
        if raised is not error:
            raise
        return MAYBE if error.may_have_happened else RAISE
    if step.refresh:
        return REFRESH
    if step.clock_offset is not None:
        return CLOCK
    if step == NextStep(0.0):
        return NOW
    assert 0.1 <= step.delay <= 0.2 or 0.25 <= step.delay <= 0.5
    return LONGER if step.delay >= 0.25 else RETRY


@pytest.mark.parametrize(("error", "column", "cell"), CELLS)
def test_the_table(error: Callable[[], RequestError], column: str, cell: str) -> None:
    """The first failure of an operation of this column has the consequence of this cell."""
    name, policy, repeatable = COLUMNS[column]
    state = CallState(OPERATIONS[name], policy(), RetryBudget(), time.monotonic(), Deadline.after(60.0))
    state.repeatable = state.repeatable or repeatable
    assert what_follows(state, error()) == cell


@pytest.mark.parametrize(
    ("error", "read", "write"),
    [
        (lambda: reused(ConnectFailed("")), RETRY, RETRY),
        (lambda: reused(ResponseLost("")), RETRY, MAYBE),
        (lambda: AuthenticationFailed(403, "OTSAuthFailed", "No such key."), RAISE, RAISE),
        (lambda: skewed("Mismatch between system time and x-ots-date: x."), RAISE, RAISE),
    ],
    ids=["incomplete", "no response", "authentication", "clock"],
)
def test_once_is_once(error: Callable[[], RequestError], read: str, write: str) -> None:
    """What is sent again at once is so after the first such failure only."""
    for name, expected in (("GetRow", read), ("UpdateRow", write)):
        state = CallState(OPERATIONS[name], DefaultRetryPolicy(), RetryBudget(), time.monotonic(), Deadline.after(60.0))
        if what_follows(state, error()) != MAYBE:
            assert what_follows(state, error()) == expected
