"""``OTSClient`` against the faults of the emulator: what is sent again, and what is raised."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from ots_config import (
    Credentials,
    Emulator,
    NoDelayRetryPolicy,
    OTSClient,
    ResponseInvalid,
    ResponseLost,
    RetryPolicy,
    Throttled,
    WriteRetryPolicy,
)
from ots_config.sdk import tablestore as ts
from tests.client.errors import error_of
from tests.client.tables import KEY, ROW

FAST = NoDelayRetryPolicy()


def test_a_throttle_is_survived(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Three refusals cost three more attempts, and the row is stored once."""
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", count=3)
    connect(retry_policy=FAST).put_row("t", ROW)
    assert [entry["applied"] for entry in emulator.log()] == [False, False, False, True]


def test_the_number_of_attempts_is_bounded(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A throttle without an end is raised after the policy's attempts, with their number."""
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy")
    policy = NoDelayRetryPolicy(max_retry_times=4)
    error = error_of(lambda: connect(retry_policy=policy).put_row("t", ROW))
    assert isinstance(error, Throttled)
    assert error.attempts == 5
    assert len(error.request_ids) == len(emulator.log()) == 5


@pytest.mark.parametrize("kind", ["reset_after", "truncate", "corrupt_signature", "corrupt_md5"])
def test_a_lost_answer_of_a_write(emulator: Emulator, connect: Callable[..., OTSClient], kind: str) -> None:
    """The default policy raises a write that may have happened; the write policy sends a safe one again."""
    emulator.fault(operation="PutRow", kind=kind, count=1)
    error = error_of(lambda: connect(retry_policy=FAST).put_row("t", ROW))
    assert isinstance(error, ResponseLost | ResponseInvalid)
    assert error.may_have_happened
    assert len(emulator.log()) == 1
    emulator.fault(operation="PutRow", kind=kind, count=1)
    connect(retry_policy=WriteRetryPolicy()).put_row("t", ROW)
    assert len(emulator.log()) == 3


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncate", "corrupt_signature", "corrupt_md5"])
def test_a_lost_answer_of_a_read(emulator: Emulator, connect: Callable[..., OTSClient], kind: str) -> None:
    """Reads are sent again, whatever became of the answer."""
    emulator.fault(operation="GetRow", kind=kind, count=2)
    connect(retry_policy=FAST).get_row("t", KEY, max_version=1)
    assert len(emulator.log()) == 3


@pytest.mark.parametrize("policy", [WriteRetryPolicy(), FAST])
def test_an_increment_is_never_sent_twice(
    emulator: Emulator, connect: Callable[..., OTSClient], policy: RetryPolicy
) -> None:
    """An increment whose answer is lost is raised under every policy, and was applied once."""
    client = connect(retry_policy=policy)
    emulator.fault(operation="UpdateRow", kind="reset_after", count=1)
    increment = ts.Row(KEY, {"INCREMENT": [("n", 1)]})
    assert error_of(lambda: client.update_row("t", increment, ts.Condition("IGNORE"))).may_have_happened
    assert client.get_row("t", KEY, max_version=1)[1].attribute_columns[0][1] == 1


def test_a_gateway_page_is_treated_by_its_status(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A 502 in HTML is retried for reads, and raised for writes as something that may have happened."""
    emulator.fault(kind="status", status=502, body="<html>Bad Gateway</html>", count=2)
    client = connect(retry_policy=FAST)
    assert client.list_table() == ("t",)
    emulator.fault(kind="status", status=502, body="<html>Bad Gateway</html>", count=1)
    error = error_of(lambda: client.put_row("t", ROW))
    assert (error.http_status, error.may_have_happened) == (502, True)


def test_a_redirect_is_not_followed(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Credentials go to the configured endpoint only: a redirect is an error."""
    emulator.fault(kind="status", status=307, body="", count=1)
    error = error_of(connect().list_table)
    assert (error.http_status, error.attempts) == (307, 1)


def test_a_users_own_policy(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A subclass of ``RetryPolicy`` is asked with the number of retries, the error and the operation."""
    asked: list[tuple[int, str, str]] = []

    class Thrice(RetryPolicy):
        def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
            asked.append((retry_times, exception.code, api_name))
            return retry_times < 2

        def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
            return 0.0

    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy")
    assert error_of(lambda: connect(retry_policy=Thrice()).put_row("t", ROW)).attempts == 3
    assert asked == [(n, "OTSServerBusy", "PutRow") for n in range(3)]


def test_a_policy_from_the_settings(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """``retry=`` names the policy and its numbers."""
    emulator.fault(operation="ListTable", kind="error", code="OTSServerBusy")
    client = connect(retry={"policy": "no-delay", "max_attempts": 3})
    assert error_of(client.list_table).attempts == 3
    emulator.clear_log()
    assert error_of(connect(retry="none").list_table).attempts == 1


def test_the_deadline_ends_a_call(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A deadline cuts the socket's timeout: a silent server does not hold a call for its 50 seconds."""
    emulator.fault(operation="ListTable", kind="delay", seconds=20)
    started = time.monotonic()
    error = error_of(connect(deadline=0.3).list_table)
    assert isinstance(error, ResponseLost)
    assert error.elapsed <= time.monotonic() - started


def test_a_rotated_key_is_fetched_once(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A refused key makes the client ask its provider again, and send once more if there is another."""

    class Stored:
        current = Credentials("testid", "outdated-secret")

        def get_credentials(self) -> Credentials:
            return self.current

        def force_refresh(self, rejected: Credentials) -> Credentials:
            assert rejected is self.current
            self.current = Credentials(emulator.access_key_id, emulator.access_key_secret)
            return self.current

    client = connect(access_key_id=None, access_key_secret=None, credentials_provider=Stored())
    assert client.list_table() == ("t",)
    assert [entry["status"] for entry in emulator.log()] == [403, 200]
