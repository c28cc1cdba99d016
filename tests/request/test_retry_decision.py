"""What follows a failed attempt, decided without sending or waiting."""

import subprocess
import sys
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.errors import AuthenticationFailed, ConnectFailed, RequestError, ResponseLost, ServiceError, Throttled
from ots_config.request import retry_budget as budgets
from ots_config.request import retry_decision as decisions
from ots_config.request.deadline import Deadline
from ots_config.request.operations import OPERATIONS
from ots_config.request.retry_budget import RetryBudget
from ots_config.request.retry_decision import CallState, NextStep
from ots_config.request.retry_policy import DefaultRetryPolicy, NoRetryPolicy, RetryPolicy, WriteRetryPolicy

BUSY = ("OTSServerBusy", "Server is busy.")


def busy(retry_after: float | None = None) -> Throttled:
    """Return a throttle."""
    error = Throttled(503, *BUSY, "rid")
    error.retry_after = retry_after
    return error


def recovery(
    name: str = "PutRow",
    *,
    repeatable: bool = False,
    policy: RetryPolicy | None = None,
    budget: RetryBudget | None = None,
    deadline: float | None = 60.0,
) -> CallState:
    """Return the state of a call that began just now."""
    made = CallState(
        OPERATIONS[name],
        policy=policy or DefaultRetryPolicy(),
        budget=budget or RetryBudget(),
        started=time.monotonic(),
        deadline=Deadline.after(deadline),
    )
    made.repeatable = repeatable
    return made


def test_a_throttle_is_waited_out() -> None:
    """A refused write is tried again after a delay."""
    assert recovery().after(busy()).delay > 0


def test_retry_after_is_honoured() -> None:
    """The service's own ``Retry-After`` is waited for if it is longer."""
    assert recovery().after(busy(retry_after=17)).delay == 17


def test_a_delay_beyond_the_deadline_is_not_begun() -> None:
    """Nobody sleeps towards a deadline that will be over: the error is raised at once."""
    with pytest.raises(Throttled):
        recovery(deadline=5.0).after(busy(retry_after=10))


def test_without_a_deadline_the_policy_alone_ends_it() -> None:
    """``deadline=None`` sets no limit of time."""
    assert recovery(deadline=None).after(busy(retry_after=10_000)).delay == 10_000


def test_a_lost_unsafe_write_is_raised_whatever_the_policy_says() -> None:
    """No policy sends a write twice that may have happened, unless that is safe."""

    class Always(RetryPolicy):
        def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
            return True

    with pytest.raises(ResponseLost) as caught:
        recovery("UpdateRow", policy=Always()).after(ResponseLost("lost"))
    assert caught.value.may_have_happened
    assert recovery("UpdateRow", policy=Always(), repeatable=True).after(ResponseLost("lost"))


def test_a_lost_read_did_nothing() -> None:
    """The error of a read that is given up does not say that something may have happened."""
    with pytest.raises(ResponseLost) as caught:
        recovery("GetRow", policy=NoRetryPolicy()).after(ResponseLost("lost"))
    assert not caught.value.may_have_happened
    assert "may have happened" not in str(caught.value)


def test_a_conditional_write_after_an_uncertain_one_may_have_happened() -> None:
    """A condition that fails on a retry may fail on what the first sending did, and the error says so."""
    call = recovery("PutRow", repeatable=True, policy=WriteRetryPolicy())
    call.after(ResponseLost("lost"))
    with pytest.raises(ServiceError) as caught:
        call.after(ServiceError(403, "OTSConditionCheckFail", "Condition check failed.", "r2"))
    assert caught.value.may_have_happened
    assert "may have happened" in str(caught.value)


def test_a_stale_connection_is_replaced_at_once_once() -> None:
    """What failed unsent on a kept connection is sent again without a delay, the first time only."""
    call = recovery("UpdateRow")
    error = ConnectFailed("closed")
    error.on_reused_connection = True
    assert call.after(error) == NextStep(0.0)
    assert call.after(error).delay > 0


@pytest.mark.parametrize("kind", [ConnectFailed, ResponseLost])
def test_no_retry_means_no_retry_on_a_stale_connection(kind: type[RequestError]) -> None:
    """With ``NoRetryPolicy`` a failure on a kept connection is raised, also where the default sends again at once."""
    error = kind("closed")
    error.on_reused_connection = True
    assert recovery("GetRow").after(error) == NextStep(0.0)
    with pytest.raises(kind) as caught:
        recovery("GetRow", policy=NoRetryPolicy()).after(error)
    assert caught.value.attempts == 1


def test_a_lost_write_on_a_kept_connection_is_not_repeated() -> None:
    """The whole request was sent, so it may have been carried out, kept connection or not."""
    error = ResponseLost("closed")
    error.on_reused_connection = True
    with pytest.raises(ResponseLost):
        recovery("PutRow", repeatable=True).after(error)
    assert recovery("GetRow").after(error) == NextStep(0.0)


def test_a_refused_key_is_refreshed_once() -> None:
    """The keys are refreshed once; the second refusal is raised."""
    call = recovery()
    refused = AuthenticationFailed(403, "OTSAuthFailed", "The AccessKeyID does not exist.", "r1")
    assert call.after(refused) == NextStep(0.0, refresh=True)
    with pytest.raises(AuthenticationFailed):
        call.after(AuthenticationFailed(403, "OTSAuthFailed", "Signature mismatch.", "r2"))


def test_a_wrong_clock_is_corrected_once() -> None:
    """The clock is set by the server's date once; the second refusal is raised."""
    call = recovery(policy=NoRetryPolicy())
    refused = AuthenticationFailed(403, "OTSAuthFailed", "Mismatch between system time and x-ots-date: x.", "r1")
    refused.clock_offset = 1200.0
    assert call.after(refused) == NextStep(0.0, clock_offset=1200.0)
    with pytest.raises(AuthenticationFailed):
        call.after(refused)


def test_the_error_tells_the_whole_call() -> None:
    """The last error carries attempts, request ids and elapsed time."""
    call = recovery(policy=DefaultRetryPolicy(max_retry_times=1))
    call.after(busy())
    with pytest.raises(Throttled) as caught:
        call.after(Throttled(503, *BUSY, "rid2"))
    error = caught.value
    assert (error.attempts, error.request_ids, error.operation) == (2, ("rid", "rid2"), "PutRow")
    assert "2 attempts" in str(error)


def test_recovered_attempts_are_attempts() -> None:
    """Attempts that led to other keys, another clock or another connection count like those followed by a wait."""
    call = recovery(policy=DefaultRetryPolicy(max_retry_times=1))
    refused = AuthenticationFailed(403, "OTSAuthFailed", "The AccessKeyID does not exist.", "r1")
    skewed = AuthenticationFailed(403, "OTSAuthFailed", "Mismatch between system time and x-ots-date: x.", "r2")
    skewed.clock_offset = 1200.0
    stale = ConnectFailed("closed")
    stale.on_reused_connection = True
    errors: list[RequestError] = [refused, skewed, stale, busy()]
    for error in errors:
        call.after(error)
    assert [error.attempts for error in errors] == [1, 2, 3, 4]
    with pytest.raises(Throttled, match="5 attempts") as caught:
        call.after(busy())
    assert caught.value.attempts == 5


def test_a_clock_refusal_without_a_date_recovers_nothing() -> None:
    """Where the response does not say what time it is, nothing is corrected, and the attempts are counted right."""

    class Always(RetryPolicy):
        def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
            return retry_times < 1

    call = recovery(policy=Always())
    skewed = [
        AuthenticationFailed(403, "OTSAuthFailed", "Mismatch between system time and x-ots-date: x.", rid)
        for rid in ("r1", "r2")
    ]
    call.after(skewed[0])
    with pytest.raises(AuthenticationFailed):
        call.after(skewed[1])
    assert [error.attempts for error in skewed] == [1, 2]
    assert skewed[1].recovered == ()


def test_an_error_tells_what_was_recovered_from() -> None:
    """Other keys, another clock and a new connection are listed in their order."""
    call = recovery(policy=NoRetryPolicy())
    skewed = AuthenticationFailed(403, "OTSAuthFailed", "Mismatch between system time and x-ots-date: x.", "r1")
    skewed.clock_offset = 1200.0
    call.after(skewed)
    call.after(AuthenticationFailed(403, "OTSAuthFailed", "The AccessKeyID does not exist.", "r2"))
    with pytest.raises(ConnectFailed) as caught:
        call.after(ConnectFailed("refused"))
    assert (skewed.recovered, caught.value.recovered) == ((), ("clock", "authentication"))


def test_a_policy_sees_every_fact() -> None:
    """``should_retry`` and ``get_retry_delay`` get the error with all that is known of the call, as its caller will."""
    seen: list[dict[str, Any]] = []

    class Curious(RetryPolicy):
        def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
            seen.append(dict(vars(exception)))
            return retry_times < 1

        def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
            seen.append(dict(vars(exception)))
            return 0.0

    call = recovery(repeatable=True, policy=Curious())
    key = Credentials("LTAI5tExampleExample", "secret", source="test")
    call.after(Throttled(503, *BUSY, "r1"), key)
    with pytest.raises(ServiceError) as caught:
        call.after(ServiceError(500, "OTSInternalServerError", "Oops.", "r2"), key)
    assert seen[0] == seen[1]
    assert seen[2] == vars(caught.value)
    facts = {name: seen[2][name] for name in ("operation", "sent", "attempts", "repeatable")}
    assert facts == {"operation": "PutRow", "sent": True, "attempts": 2, "repeatable": True}
    assert seen[2]["request_ids"] == ("r1", "r2")
    assert (seen[2]["access_key_id"], seen[2]["source"]) == (key.masked_id, "test")
    assert seen[2]["may_have_happened"]


def test_an_error_is_classified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table, the policy and its delay share one look at a failure."""
    looks: list[RequestError] = []
    genuine = decisions._classify
    monkeypatch.setattr(decisions, "_classify", lambda error: looks.append(error) or genuine(error))
    error = busy()
    recovery(policy=WriteRetryPolicy()).after(error)
    assert looks == [error]


def test_the_decision_needs_no_tenacity() -> None:
    """Neither the decision nor our own policies load tenacity; only a strategy of its own does."""
    code = (
        "import sys; from ots_config.errors import ConnectFailed\n"
        "from ots_config.request.retry_decision import classify\n"
        "from ots_config.request.retry_policy import DefaultRetryPolicy, as_policy\n"
        "policy = as_policy(DefaultRetryPolicy)\n"
        "assert policy.should_retry(0, ConnectFailed(''), 'GetRow')\n"
        "assert policy.get_retry_delay(0, ConnectFailed(''), 'GetRow')\n"
        "print('tenacity' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


# --- the budget -----------------------------------------------------------------------------------------------


def test_a_budget_lends_and_then_waits() -> None:
    """Its tokens are free at first; then each retry waits for its own."""
    budget = RetryBudget(per_second=10.0)
    waits = [budget.reserve(60.0) for _ in range(13)]
    assert waits[:9] == [0.0] * 9
    late = [wait for wait in waits[10:] if wait is not None]
    assert len(late) == 3
    assert all(later > earlier > 0 for earlier, later in pairwise(late))


def test_a_token_that_comes_too_late_is_not_taken() -> None:
    """A call whose deadline is nearer than its token fails now, and takes no token from others."""
    budget = RetryBudget(per_second=1.0)
    assert budget.reserve(0.1) == 0.0
    assert budget.reserve(0.1) is None
    assert budget.reserve(0.1) is None


def test_calls_earn_retries() -> None:
    """Each call allows a tenth of a retry."""
    budget = RetryBudget(share=0.1, per_second=0.0)
    while budget.reserve(1.0) is not None:
        pass
    for _ in range(11):
        budget.count_call()
    assert budget.reserve(0.0) == 0.0
    assert budget.reserve(0.0) is None


@pytest.mark.parametrize(("per_second", "free"), [(10.0, 10), (0.5, 1)])
def test_an_idle_client_saves_no_retries(monkeypatch: pytest.MonkeyPatch, per_second: float, free: int) -> None:
    """After an hour without a call there are the retries of one second, at least one, and the next one waits."""
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(budgets, "time", clock)
    budget = RetryBudget(share=0.0, per_second=per_second)
    clock.now += 3600.0
    assert [budget.reserve(60.0) for _ in range(free + 2)] == [0.0] * free + [
        pytest.approx(1 / per_second),
        pytest.approx(2 / per_second),
    ]


def test_a_budget_that_does_not_wait() -> None:
    """``waits=False`` fails at once when there is no token."""
    budget = RetryBudget(per_second=1.0, waits=False)
    assert budget.reserve(60.0) == 0.0
    assert budget.reserve(60.0) is None


def test_an_empty_budget_raises_the_error() -> None:
    """A call without a token in time raises what happened, not something about budgets."""
    budget = RetryBudget(share=0.0, per_second=0.001)
    call = recovery(budget=budget, deadline=30.0)
    budget.reserve(0.0)
    with pytest.raises(RequestError, match="OTSServerBusy"):
        call.after(busy())


def test_an_error_tells_whether_anything_was_sent() -> None:
    """What never reached the server says so, unless an earlier attempt of the same call did."""
    state = recovery(policy=NoRetryPolicy())
    with pytest.raises(ConnectFailed) as never:
        state.after(ConnectFailed("refused"))
    assert not never.value.sent
    state = recovery(policy=DefaultRetryPolicy(1))
    state.after(busy())
    with pytest.raises(ConnectFailed) as later:
        state.after(ConnectFailed("refused"))
    assert later.value.sent
