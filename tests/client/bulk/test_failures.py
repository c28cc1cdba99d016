"""``bulk_write`` against faults: every row is acknowledged once, or reported."""

import logging
from collections.abc import Callable

import pytest

from ots_config import DefaultRetryPolicy, Emulator, NoDelayRetryPolicy, OTSClient, WriteRetryPolicy
from ots_config.sdk import tablestore as ts
from tests.client.bulk.rows import ONCE, Watched, additions, batches, puts, stored


@pytest.mark.parametrize("policy", [ONCE, DefaultRetryPolicy()], ids=["once", "default"])
def test_refused_rows_are_written_once(
    emulator: Emulator, connect: Callable[..., OTSClient], policy: DefaultRetryPolicy
) -> None:
    """Of rows that are refused for load, one in four, each is sent again until it is stored, and stored once."""
    client = connect(retry_policy=policy)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.25, count=12)
    report = client.bulk_write("t", additions(900), max_rows=100)
    assert (report.written, report.failed, report.resume_from) == (900, [], 900)
    assert report.sent_again >= 225
    assert stored(client, "n") == dict.fromkeys(range(900), 1)


def test_lost_answers_are_reported_and_nothing_is_doubled(
    emulator: Emulator, connect: Callable[..., OTSClient]
) -> None:
    """What is not safe to repeat is not repeated: a row is acknowledged and stored once, or reported as open."""
    client = connect()
    emulator.fault(operation="BatchWriteRow", kind="reset_after", rate=0.3, seed=3)
    emulator.fault(operation="BatchWriteRow", kind="reset_before", rate=0.2, seed=4)
    watched = Watched(additions(1000))
    report = client.bulk_write("t", watched, max_rows=50, progress=watched.progress)
    emulator.clear_faults()
    assert report.written + len(report.failed) == 1000 == sum(watched.finished)
    assert report.failed
    assert {(row.code, row.may_have_happened) for row in report.failed} == {("ResponseLost", True)}
    found = stored(client, "n")
    open_rows = {row.position for row in report.failed}
    assert all(found[number] == 1 for number in range(1000) if number not in open_rows)
    assert all(found.get(number, 1) == 1 for number in open_rows)
    assert report.resume_from == min(open_rows)


def test_a_policy_that_repeats_writes_leaves_nothing_open(
    emulator: Emulator, connect: Callable[..., OTSClient]
) -> None:
    """With ``WriteRetryPolicy`` puts survive lost answers and rows whose outcome is open."""
    client = connect(retry_policy=WriteRetryPolicy(max_retry_times=1))
    emulator.fault(operation="BatchWriteRow", kind="reset_after", rate=0.3, seed=3)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", rate=0.1, count=5)
    report = client.bulk_write("t", puts(600), max_rows=50)
    emulator.clear_faults()
    assert (report.written, report.failed) == (600, [])
    assert len(stored(client)) == 600


def test_rows_whose_outcome_is_open_are_not_sent_again_by_default(
    emulator: Emulator, connect: Callable[..., OTSClient]
) -> None:
    """A row's OTSTimeout is reported as one that may have happened; refused rows are written."""
    client = connect(retry_policy=ONCE)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", rate=0.3, count=1)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.5, count=1)
    report = client.bulk_write("t", puts(20), max_rows=10)
    assert report.written == 17
    assert [(row.code, row.may_have_happened) for row in report.failed] == [("OTSTimeout", True)] * 3
    assert report.sent_again == 5


def test_no_policy_repeats_what_does_harm(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """In one batch whose answer is lost, puts are sent again and increments are reported."""
    client = connect(retry_policy=WriteRetryPolicy())
    emulator.fault(operation="BatchWriteRow", kind="reset_after", count=1)
    items = [*additions(10), *(ts.Row([("id", 100 + number)], [("n", 1)]) for number in range(10))]
    report = client.bulk_write("t", items)
    assert (report.written, report.sent_again) == (10, 10)
    assert [(row.position, row.may_have_happened) for row in report.failed] == [(n, True) for n in range(10)]
    assert set(stored(client, "n").values()) == {1}


def test_what_was_open_once_stays_open(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A row that timed out, was sent again and is then refused until ``retry_for`` ends may still have happened."""
    client = connect(retry_policy=WriteRetryPolicy(max_retry_times=0))
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", count=1)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy")
    report = client.bulk_write("t", puts(3), retry_for=0.5)
    assert [(row.code, row.may_have_happened) for row in report.failed] == [("OTSServerBusy", True)] * 3


def test_a_lost_request_leaves_its_rows_open(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """If the client itself sent a batch again, its rows that are refused then may be from the first sending."""
    client = connect(retry_policy=WriteRetryPolicy())
    emulator.fault(operation="BatchWriteRow", kind="reset_after", count=1)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy")
    report = client.bulk_write("t", puts(3), retry_for=0)
    assert [(row.code, row.may_have_happened) for row in report.failed] == [("OTSServerBusy", True)] * 3


def test_an_answer_of_too_few_rows(connect: Callable[..., OTSClient], monkeypatch: pytest.MonkeyPatch) -> None:
    """It acknowledges nothing: which rows it speaks of cannot be known."""
    client = connect()
    monkeypatch.setattr(client._codec, "failed_items", lambda *_: (4, {}))
    report = client.bulk_write("t", puts(5))
    assert {(row.code, row.may_have_happened) for row in report.failed} == {("ResponseInvalid", True)}
    assert len(report.failed) == 5


def test_a_throttle_of_whole_requests_is_waited_out(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A client that retries nothing itself still gets every row through a throttle of twelve requests."""
    client = connect(retry_policy=ONCE)
    emulator.fault(operation="BatchWriteRow", kind="error", code="OTSServerBusy", count=12)
    report = client.bulk_write("t", additions(500), max_rows=100)
    assert (report.written, report.failed) == (500, [])
    assert stored(client, "n") == dict.fromkeys(range(500), 1)
    assert [entry["status"] for entry in batches(emulator)].count(503) == 12


def test_rows_are_given_up_after_retry_for(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Rows that are refused for longer than ``retry_for`` are reported as never done; the others are written."""
    client = connect(retry_policy=ONCE)
    emulator.fault(operation="BatchWriteRow", kind="error", code="OTSServerBusy", count=1)
    report = client.bulk_write("t", puts(30), max_rows=10, concurrency=1, retry_for=0)
    assert report.written == 20
    assert [(row.position, row.code) for row in report.failed] == [(number, "OTSServerBusy") for number in range(10)]
    assert not any(row.may_have_happened for row in report.failed)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSNotEnoughCapacityUnit")
    report = client.bulk_write("t", puts(30), retry_for=0.5)
    assert report.written == 0
    assert {row.code for row in report.failed} == {"OTSNotEnoughCapacityUnit"}
    assert report.sent_again >= 30


def test_a_lost_batch_loses_no_other_and_can_be_resumed(
    emulator: Emulator, connect: Callable[..., OTSClient], caplog: pytest.LogCaptureFixture
) -> None:
    """The rows of a batch that fails as a whole are reported; a run from ``resume_from`` writes what is missing."""
    caplog.set_level(logging.WARNING)
    client = connect(retry_policy=ONCE)
    emulator.fault(operation="BatchWriteRow", kind="status", status=502, count=1)
    report = client.bulk_write("t", puts(100), max_rows=20, concurrency=1)
    assert report.written == 80
    assert [row.position for row in report.failed] == list(range(20))
    assert all(row.may_have_happened for row in report.failed)
    assert report.resume_from == 0
    assert "80 rows written, 20 not (20 ResponseInvalid); start=0 goes on from there" in caplog.text
    assert repr(report).count("text") == 0  # no data of rows in what is easily logged
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSInternalServerError", rate=0.05, count=1)
    report = client.bulk_write("t", puts(100), start=30, max_rows=20)
    assert (report.written, report.resume_from) == (69, report.failed[0].position)
    report = client.bulk_write("t", puts(100), start=0)
    assert (report.written, report.resume_from) == (100, 100)
    assert len(stored(client)) == 100


def test_start_skips_rows(connect: Callable[..., OTSClient]) -> None:
    """Rows before ``start`` are read and not written; positions count them."""
    client = connect()
    report = client.bulk_write("t", puts(500), start=450)
    assert (report.written, report.resume_from) == (50, 500)
    assert sorted(stored(client)) == list(range(450, 500))
    assert client.bulk_write("t", puts(5), start=9).resume_from == 5


def test_one_bad_row_does_not_take_its_batch_along(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """The service refuses a whole batch for one bad name; the batch is halved until that row is alone."""
    client = connect()
    rows = list(puts(100))
    rows[37] = ts.Row([("id", 37)], [("#", "no name")])
    rows[80] = ts.Row([("id", 80)], [("v", object())])
    report = client.bulk_write("t", rows)
    assert report.written == 98
    assert [(row.position, row.code, row.may_have_happened) for row in report.failed] == [
        (37, "OTSParameterInvalid", False),
        (80, "RequestInvalid", False),
    ]
    assert sorted(stored(client)) == [number for number in range(100) if number not in (37, 80)]
    assert len(batches(emulator)) < 20


def test_the_server_restarts(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Rows that are safe to repeat are all written over a restart of the server."""
    client = connect(retry_policy=WriteRetryPolicy())
    restarts = iter([True])

    def restart(_: int) -> None:
        if next(restarts, False):
            emulator.stop()
            emulator.start()

    report = client.bulk_write("t", puts(1000), max_rows=50, progress=restart)
    assert (report.written, report.failed) == (1000, [])
    assert len(stored(client)) == 1000
    assert next(restarts, None) is None


def test_no_delay_is_the_clients_own(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A request that the client sends again by itself is no row that was sent again."""
    client = connect(retry_policy=NoDelayRetryPolicy())
    emulator.fault(operation="BatchWriteRow", kind="error", code="OTSServerBusy", count=3)
    report = client.bulk_write("t", puts(10))
    assert (report.written, report.sent_again) == (10, 0)
    assert len(batches(emulator)) == 4
