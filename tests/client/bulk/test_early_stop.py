"""A bulk write ends early when no batch can succeed, and only then."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ots_config import Emulator, NoDelayRetryPolicy, OTSClient
from ots_config.client.bulk.outcomes import MAX_REFUSALS, StopRule
from ots_config.errors import ConnectFailed, CredentialsError, CredentialsRefused, ServiceError, UntrustedServer
from ots_config.sdk import tablestore as ts
from tests.client.bulk.rows import ONCE, Watched, batches, puts, stored


def test_a_table_that_is_not_there(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Of twenty thousand rows a few batches are tried; each row that was read is reported, and the reason is."""
    watched = Watched(puts(20_000))
    report = connect().bulk_write("absent", watched)
    assert len(batches(emulator)) <= 4
    assert (report.written, report.failed_count, report.resume_from) == (0, watched.read, 0)
    assert watched.read <= 1000
    assert set(report.codes) <= {"OTSObjectNotExist", "NotSent"}
    assert report.codes["OTSObjectNotExist"] >= 200
    assert isinstance(report.stopped, ServiceError)
    assert "OTSObjectNotExist" in report.summary()
    assert not report.ok


def test_a_key_that_is_refused(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """It is refused for each batch alike, and the job ends with the first ones."""
    report = connect(access_key_secret="wrong").bulk_write("t", puts(20_000))
    assert len(batches(emulator)) <= 8  # a refused request is sent once more if there are other keys
    assert report.written == 0
    assert set(report.codes) <= {"OTSAuthFailed", "NotSent"}
    assert "OTSAuthFailed" in str(report.stopped)


def test_a_closed_client(connect: Callable[..., OTSClient]) -> None:
    """Nothing is tried again that a closed client refuses."""
    client = connect()
    client.close()
    report = client.bulk_write("t", puts(3))
    assert {(row.code, row.may_have_happened) for row in report.failed} == {("RequestInvalid", False)}
    assert report.stopped is not None


def test_an_input_of_which_every_row_is_refused(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Rows that all have a wrong name are not tried apart to the last one."""
    rows = (ts.Row([("id", number)], [("#", "no name")]) for number in range(20_000))
    report = connect().bulk_write("t", rows)
    assert len(batches(emulator)) <= MAX_REFUSALS + 4
    assert isinstance(report.stopped, ServiceError)
    assert report.codes["OTSParameterInvalid"] >= 200


def test_conditions_that_all_fail_stop_nothing(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Rows that are there already, all of the first thirty batches, do not keep a new one from being written."""

    def new() -> Iterator[Any]:
        return (ts.PutRowItem(row, ts.Condition("EXPECT_NOT_EXIST")) for row in puts(301))

    client = connect()
    client.bulk_write("t", puts(300))
    report = client.bulk_write("t", new(), max_rows=10)
    assert (report.written, report.stopped) == (1, None)
    assert report.codes == {"OTSConditionCheckFail": 300}


def test_many_wrong_rows_among_good_ones_stop_nothing(connect: Callable[..., OTSClient]) -> None:
    """Thirty wrong rows in a line, each found by itself, are reported, and the others are written."""
    rows = list(puts(400))
    for number in range(300, 330):
        rows[number] = ts.Row([("id", number)], [("#", "no name")])
    report = connect().bulk_write("t", rows)
    assert (report.written, report.codes, report.stopped) == (370, {"OTSParameterInvalid": 30}, None)


def test_a_throttle_that_ends_is_no_reason_to_stop(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Refusals that may pass are waited out, however many there are."""
    emulator.fault(operation="BatchWriteRow", kind="error", code="OTSServerBusy", count=MAX_REFUSALS + 5)
    report = connect(retry_policy=NoDelayRetryPolicy()).bulk_write("t", puts(50), max_rows=10)
    assert (report.written, report.stopped) == (50, None)


def test_outcomes_that_differ_are_no_reason_to_stop() -> None:
    """The count begins anew with another code, with rows of several codes, and with a row that was written."""
    rule = StopRule()
    first, second = ServiceError(400, "OTSInvalidPK", ""), ServiceError(400, "OTSOther", "")
    for _ in range(3):
        for errors in ([first], [second], [first, second]):
            for _ in range(MAX_REFUSALS - 1):
                rule.count_refusal(errors, is_half=False)
    rule.count_success()
    for _ in range(MAX_REFUSALS - 1):
        rule.count_refusal([first], is_half=False)
    for _ in range(MAX_REFUSALS):
        rule.count_refusal([first], is_half=True)  # rows are tried apart where others were written
    assert rule.reason is None
    rule.count_refusal([first], is_half=False)
    assert rule.reason is first


@pytest.mark.parametrize(
    ("error", "stops"),
    [
        (CredentialsRefused("refused"), True),
        (UntrustedServer("no certificate"), True),
        (ConnectFailed("refused"), False),
        (ServiceError(403, "OTSNoPermissionAccess", ""), True),
        (ServiceError(200, "OTSOutOfColumnCountLimit", ""), False),
        (ValueError("whatever"), False),
    ],
)
def test_what_stops_at_once(error: Exception, stops: bool) -> None:
    """Errors that concern every request of the job do, others do when they have come again and again."""
    rule = StopRule()
    rule.count_refusal([error], is_half=False)
    assert (rule.reason is error) == stops


def test_a_source_that_may_answer_later_does_not_stop() -> None:
    """Credentials that are missing for the moment are not refused."""
    error = CredentialsError("not yet")
    error.transient = True
    rule = StopRule()
    rule.count_refusal([error], is_half=False)
    assert rule.reason is None


def test_an_early_stop_can_be_resumed(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Once the reason is gone, a run from ``resume_from`` writes the rest."""
    client = connect(retry_policy=ONCE)
    emulator.fault(operation="BatchWriteRow", kind="error", code="OTSNoPermissionAccess", status=403, count=1)
    report = client.bulk_write("t", puts(2000), concurrency=1)
    assert (report.written, report.resume_from) == (0, 0)
    assert report.failed_count < 1000
    report = client.bulk_write("t", puts(2000), start=report.resume_from)
    assert report.ok
    assert len(stored(client)) == 2000
