"""Many calls while the server fails in every way: what is acknowledged is stored exactly once."""

from typing import Any

import pytest

from ots_config import (
    ConnectFailed,
    DefaultRetryPolicy,
    Emulator,
    NoDelayRetryPolicy,
    OTSConfigError,
    RequestError,
    RetryPolicy,
    WriteRetryPolicy,
)
from tests.client.fault_runs.calls import (
    CALLS,
    SHARE,
    SHELLS,
    UNBOUNDED,
    UNSAFE,
    by_threads,
    check_each_call,
    increment,
    insert,
    put,
    read,
    stored,
)


class NoDelayWrites(WriteRetryPolicy):
    """The policy for writes without its delays."""

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Return 0."""
        return 0.0


POLICIES: dict[str, type[DefaultRetryPolicy]] = {"default": NoDelayRetryPolicy, "write": NoDelayWrites}
KINDS: dict[str, dict[str, Any]] = {
    "OTSServerBusy": {"kind": "error", "code": "OTSServerBusy"},
    "OTSInternalServerError": {"kind": "error", "code": "OTSInternalServerError"},
    "502": {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>"},
    "reset_before": {"kind": "reset_before"},
    "reset_after": {"kind": "reset_after"},
    "truncate": {"kind": "truncate"},
    "corrupt_md5": {"kind": "corrupt_md5"},
    "corrupt_signature": {"kind": "corrupt_signature"},
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("rate", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_acknowledged_is_stored_once(
    emulator: Emulator, kind: str, rate: float, policy: str, shell: str
) -> None:
    """Under every kind of fault a write is applied at most once, exactly once if acknowledged, and else reported.

    What may be repeated succeeds at every rate below one; what may not be sent twice is sent once.
    """
    for operation in ("UpdateRow", "PutRow", "GetRow"):
        emulator.fault(operation=operation, rate=rate, seed=11, **KINDS[kind])
    retries = 20 if rate < 1 else 2
    outcomes = SHELLS[shell](emulator.endpoint, CALLS, retry_policy=POLICIES[policy](retries), retry=UNBOUNDED)
    fired = {shown["operation"]: shown["fired"] for shown in emulator.server.faults.describe()}
    log = emulator.log()
    emulator.clear_faults()
    rows = stored(emulator)
    check_each_call(CALLS, outcomes, rows)

    failed = {
        call: [o for (done, _), o in zip(CALLS, outcomes, strict=True) if done is call and o] for call, _ in CALLS
    }
    sent = sum(entry["operation"] != "GetRange" for entry in log)
    refused = kind == "OTSServerBusy"
    if rate < 1:
        assert sum(fired.values()) > 0
        assert failed[read] == []
        assert policy == "default" or failed[put] == []
        assert not refused or not any(failed.values())
        if not refused:
            assert len(failed[increment]) == fired["UpdateRow"]  # one failure for each fault: none was sent again
            assert all(error.attempts == 1 for call in UNSAFE for error in failed[call])
            assert all(error.may_have_happened for call in UNSAFE for error in failed[call])
    else:
        repeated = {read, put} if policy == "write" else {read}
        repeated = set(failed) if refused else repeated
        assert all(len(errors) == SHARE for errors in failed.values())
        for call, errors in failed.items():
            assert {error.attempts for error in errors} == {1 + retries if call in repeated else 1}
        assert sent == sum(SHARE * (1 + retries if call in repeated else 1) for call in failed)
        assert refused or all(error.may_have_happened for error in failed[increment])
        assert rows == {} or kind in ("reset_after", "truncate", "corrupt_md5", "corrupt_signature")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_retried_insert_that_meets_its_own_row_says_so(emulator: Emulator, shell: str) -> None:
    """An insert that a user's policy would repeat is reported as one that may have been applied."""
    emulator.fault(operation="PutRow", kind="reset_after", count=1)

    class Everything(RetryPolicy):
        def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
            return retry_times < 3

        def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
            return 0.0

    (outcome,) = SHELLS[shell](emulator.endpoint, [(insert, 1)], retry_policy=Everything())
    assert isinstance(outcome, RequestError)
    assert outcome.may_have_happened
    assert outcome.attempts == 1  # whatever the policy says, it was not sent twice
    assert stored(emulator) == {1: 1}


def test_a_throttle_is_ridden_out_in_real_time(emulator: Emulator) -> None:
    """Four threads meet a dozen refusals of a real server, wait as documented, and every call succeeds."""
    emulator.fault(kind="error", code="OTSServerBusy", count=12)
    calls = [(increment, number) for number in range(12)]
    assert by_threads(emulator.endpoint, calls, workers=4) == [None] * 12
    assert stored(emulator) == dict.fromkeys(range(12), 1)


def test_every_outcome_is_an_error_of_ours() -> None:
    """A host that is not there ends each call in one error of ours, from threads and from tasks."""
    with Emulator() as emulator:
        endpoint = emulator.endpoint
    for shell in SHELLS.values():
        for outcome in shell(endpoint, CALLS[:4], retry_policy=NoDelayRetryPolicy(1), retry=UNBOUNDED):
            assert isinstance(outcome, ConnectFailed)
            assert isinstance(outcome, OTSConfigError)
            assert (outcome.attempts, outcome.may_have_happened) == (2, False)
