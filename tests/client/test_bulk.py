"""``bulk_write`` against the emulator: every row is acknowledged or reported, in order, once, whatever fails."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import requests

from ots_config import (
    AsyncOTSClient,
    DefaultRetryPolicy,
    Emulator,
    NoDelayRetryPolicy,
    NoRetryPolicy,
    OTSClient,
    ServiceError,
    WriteRetryPolicy,
)
from ots_config.client.backoff import MAX_DELAY, JobBackoff
from ots_config.client.bulk import BulkLimits, BulkReport
from ots_config.client.bulk.scheduler import RowBatch, Scheduler
from ots_config.errors import ResponseLost
from ots_config.sdk import tablestore as ts

META = ts.TableMeta("t", [("id", "INTEGER")])
FREE = ts.ReservedThroughput(ts.CapacityUnit(0, 0))
ONCE = NoRetryPolicy()
GOOD = ts.BatchWriteRowResponseItem(is_ok=True, error_code="", error_message="", consumed=None, primary_key=[])


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One emulator for this module."""
    with Emulator() as running:
        yield running


@pytest.fixture
def connect(emulator: Emulator) -> Iterator[Callable[..., OTSClient]]:
    """Make clients of an empty instance with the table ``t``; they are closed after the test."""
    emulator.reset()
    made: list[OTSClient] = []

    def make(**options: Any) -> OTSClient:
        made.append(OTSClient(settings=emulator.settings, **options))
        return made[-1]

    make().create_table(META, ts.TableOptions(), FREE)
    emulator.clear_log()
    yield make
    emulator.clear_faults()
    for client in made:
        client.close()


def puts(count: int, value: Any = "text") -> Iterator[Any]:
    """Yield rows to put."""
    return (ts.Row([("id", number)], [("v", value)]) for number in range(count))


def additions(count: int) -> Iterator[Any]:
    """Yield rows that add one to a column: a row that is written twice shows it."""
    return (
        ts.UpdateRowItem(ts.Row([("id", number)], {"INCREMENT": [("n", 1)]}), ts.Condition("IGNORE"))
        for number in range(count)
    )


def stored(client: OTSClient, column: str = "v") -> dict[int, Any]:
    """Return the stored rows: key -> value of a column."""
    found = {}
    for row in client.scan("t"):
        values = {name: value for name, value, _ in row.attribute_columns}
        found[row.primary_key[0][1]] = values.get(column)
    return found


def batches(emulator: Emulator) -> list[dict[str, Any]]:
    """Return the log of the batches."""
    return [entry for entry in emulator.log() if entry["operation"] == "BatchWriteRow"]


class Watched:
    """An input that counts what was read of it, and a progress that checks how far it is ahead."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = rows
        self.read = 0
        self.finished: list[int] = []
        self.furthest = 0

    def __iter__(self) -> Iterator[Any]:
        for row in self._rows:
            self.read += 1
            self.furthest = max(self.furthest, self.read - sum(self.finished))
            yield row

    def progress(self, finished: int) -> None:
        """Note progress."""
        self.finished.append(finished)


# --- all goes well --------------------------------------------------------------------------------------------


def test_every_row_is_written_in_full_batches(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A generator of rows is written in the fewest batches, and the report and the progress add up."""
    client = connect()
    watched = Watched(puts(1050))
    report = client.bulk_write("t", watched, progress=watched.progress)
    assert (report.written, report.failed, report.resume_from, report.sent_again) == (1050, [], 1050, 0)
    assert report.elapsed > 0
    assert sum(watched.finished) == 1050
    assert all(watched.finished)
    assert len(batches(emulator)) == 6
    assert stored(client) == dict.fromkeys(range(1050), "text")


@pytest.mark.parametrize("asynchronous_input", [False, True])
def test_tasks_do_what_threads_do(
    emulator: Emulator, connect: Callable[..., OTSClient], asynchronous_input: bool
) -> None:
    """The asyncio client writes rows of a plain iterable and of an asynchronous one."""

    async def later(rows: Iterable[Any]) -> AsyncIterator[Any]:
        for row in rows:
            await asyncio.sleep(0)
            yield row

    async def main() -> BulkReport:
        async with AsyncOTSClient(settings=emulator.settings) as client:
            rows = later(watched) if asynchronous_input else watched
            return await client.bulk_write("t", rows, concurrency=2, max_rows=50, progress=watched.progress)

    watched = Watched(puts(475))
    report = asyncio.run(main())
    assert (report.written, report.failed, report.resume_from) == (475, [], 475)
    assert sum(watched.finished) == 475
    assert watched.furthest <= 3 * 50
    assert len(batches(emulator)) == 10
    assert len(stored(connect())) == 475


def test_no_rows(connect: Callable[..., OTSClient]) -> None:
    """An empty input is a job that is done."""
    report = connect().bulk_write("t", [])
    assert (report.written, report.failed, report.resume_from) == (0, [], 0)


def test_every_kind_of_item(connect: Callable[..., OTSClient]) -> None:
    """Rows are put, updated and deleted, and conditions are kept; a row whose condition fails is the one reported."""
    client = connect()
    client.bulk_write("t", puts(4))
    absent = ts.Condition("EXPECT_NOT_EXIST")
    items = [
        ts.PutRowItem(ts.Row([("id", 0)], [("v", "new")]), absent),
        ts.PutRowItem(ts.Row([("id", 9)], [("v", "new")]), absent),
        ts.UpdateRowItem(ts.Row([("id", 1)], {"PUT": [("v", "changed")]}), ts.Condition("EXPECT_EXIST")),
        ts.DeleteRowItem(ts.Row([("id", 2)]), ts.Condition("IGNORE")),
    ]
    report = client.bulk_write("t", items)
    assert report.written == 3
    (failed,) = report.failed
    assert (failed.position, failed.item, failed.code) == (0, items[0], "OTSConditionCheckFail")
    assert not failed.may_have_happened
    assert report.resume_from == 0
    assert stored(client) == {0: "text", 1: "changed", 3: "text", 9: "new"}


def test_batches_are_bounded_by_bytes(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Rows of 100 kB go 41 to a batch of 4 MiB; the service refuses more."""
    client = connect()
    report = client.bulk_write("t", puts(123, bytearray(100_000)))
    assert (report.written, report.failed) == (123, [])
    assert [entry["status"] for entry in batches(emulator)] == [200] * 3


def test_max_bytes_is_the_size_of_a_request(connect: Callable[..., OTSClient]) -> None:
    """No request is larger than ``max_bytes``, and none is far smaller, whatever the size of the rows."""
    sizes = []

    class Recording(requests.Session):
        def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
            sizes.append(len(request.body or b""))
            return super().send(request, **kwargs)

    with Recording() as session:
        client = connect(session=session)
        for width in (1, 100, 150):
            sizes.clear()
            client.bulk_write("t", puts(150, "x" * width), max_bytes=4000, concurrency=1)
            assert 3600 < max(sizes) <= 4000
            assert all(size > 3600 for size in sizes[:-1])


def test_a_row_over_the_limit_goes_alone(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A row of more bytes than a batch may have is sent by itself, and the others are not held up."""
    client = connect()
    rows = [*puts(3), ts.Row([("id", 3)], [("v", "x" * 500)]), ts.Row([("id", 4)], [("v", "y")])]
    assert client.bulk_write("t", rows, concurrency=1, max_bytes=300).written == 5
    assert len(batches(emulator)) == 3


def test_automatic_keys_do_not_wait_for_each_other(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Rows whose key the service makes are different rows, and share a batch."""
    client = connect()
    meta = ts.TableMeta("auto", [("id", "INTEGER"), ("n", "INTEGER", ts.PK_AUTO_INCR)])
    client.create_table(meta, ts.TableOptions(), FREE)
    rows = [ts.Row([("id", 1), ("n", ts.PK_AUTO_INCR)], [("v", number)]) for number in range(20)]
    assert client.bulk_write("auto", rows).written == 20
    assert len(batches(emulator)) == 1
    assert len(list(client.scan("auto"))) == 20


# --- the order of writes to one key ---------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [False, True])
def test_writes_to_one_key_keep_their_order(
    emulator: Emulator, connect: Callable[..., OTSClient], faults: bool
) -> None:
    """Each write expects what the one before it has left; with refused rows in between, too."""

    def chain() -> Iterator[Any]:
        for step in range(1, 9):
            for key in range(30):
                before = ts.Condition("IGNORE", ts.SingleColumnCondition("v", step - 1, ts.ComparatorType.EQUAL))
                yield ts.UpdateRowItem(ts.Row([("id", key)], {"PUT": [("v", step)]}), before)

    client = connect(retry_policy=ONCE)
    client.bulk_write("t", puts(30, 0))
    if faults:
        emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSRowOperationConflict", rate=0.2, count=10)
    report = client.bulk_write("t", chain(), max_rows=20)
    assert (report.written, report.failed) == (240, [])
    assert stored(client) == dict.fromkeys(range(30), 8)
    assert (report.sent_again > 0) == faults


def test_bytes_and_text_are_one_key(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """The service stores ``bytes`` as text, so a key in both spellings is one key, written one after the other."""
    client = connect()
    client.create_table(ts.TableMeta("s", [("id", "STRING")]), ts.TableOptions(), FREE)
    rows = [ts.Row([("id", key)], [("v", number)]) for number, key in enumerate(["a", b"a"] * 5)]
    assert client.bulk_write("s", rows).written == 10
    assert len(batches(emulator)) == 10
    assert client.get_row("s", [("id", "a")], max_version=1)[1].attribute_columns[0][1] == 9


# --- what fails ------------------------------------------------------------------------------------------------


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
    """A row that timed out, was sent again and is then refused until patience ends may still have happened."""
    client = connect(retry_policy=WriteRetryPolicy(max_retry_times=0))
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", count=1)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy")
    report = client.bulk_write("t", puts(3), retry_for=0.5)
    assert [(row.code, row.may_have_happened) for row in report.failed] == [("OTSServerBusy", True)] * 3


def test_an_answer_of_too_few_rows(connect: Callable[..., OTSClient], monkeypatch: pytest.MonkeyPatch) -> None:
    """It acknowledges nothing: which rows it speaks of cannot be known."""
    client = connect()
    monkeypatch.setattr(client._codec, "decode", lambda *_: {"t": [GOOD] * 4})
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


def test_patience_ends(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Rows that are refused for longer than ``patience`` are reported as never done; the others are written."""
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
    assert "80 rows written, 20 not; start=0 goes on from there" in caplog.text
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


def test_a_table_that_is_not_there(connect: Callable[..., OTSClient]) -> None:
    """Each row is reported with the service's own code, at once."""
    report = connect().bulk_write("absent", puts(250))
    assert report.written == 0
    assert [row.position for row in report.failed] == list(range(250))
    assert {row.code for row in report.failed} == {"OTSObjectNotExist"}
    assert report.sent_again == 0


def test_a_closed_client(connect: Callable[..., OTSClient]) -> None:
    """Nothing is tried again that a closed client refuses."""
    client = connect()
    client.close()
    report = client.bulk_write("t", puts(3))
    assert {(row.code, row.may_have_happened) for row in report.failed} == {("RequestInvalid", False)}


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


# --- what stops a job ------------------------------------------------------------------------------------------


def test_raise_stops_at_the_first_failure(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """The row's error is raised with the report, the input is not read to its end, and no row is forgotten."""
    client = connect(retry_policy=ONCE)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSInternalServerError", rate=0.1, count=1)
    watched = Watched(puts(10_000))
    with pytest.raises(ServiceError, match="OTSInternalServerError") as caught:
        client.bulk_write("t", watched, max_rows=10, concurrency=2, on_failure="raise")
    assert isinstance(caught.value, ts.OTSServiceError)
    report = vars(caught.value)["report"]
    assert watched.read < 100
    assert report.written + len(report.failed) == watched.read
    assert "start=" in caught.value.__notes__[0]
    assert len(stored(client)) == report.written
    assert {row.code for row in report.failed} <= {"OTSInternalServerError", "NotSent"}
    assert all(row.may_have_happened == (row.code != "NotSent") for row in report.failed)


@pytest.mark.parametrize("stop", [ValueError("a bad line"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_input_that_fails(connect: Callable[..., OTSClient], stop: BaseException) -> None:
    """Its own error comes out, when the batches in flight have come back, with the report."""

    def rows() -> Iterator[Any]:
        yield from puts(130)
        raise stop

    client = connect()
    with pytest.raises(type(stop)) as caught:
        client.bulk_write("t", rows(), max_rows=50)
    assert caught.value is stop
    report = vars(caught.value)["report"]
    assert report.written + len(report.failed) == 130
    assert sorted(stored(client)) == list(range(report.written))
    assert report.resume_from == report.written == 100
    assert {(row.code, row.may_have_happened) for row in report.failed} == {("NotSent", False)}


@pytest.mark.parametrize("asynchronous_input", [False, True])
def test_an_input_that_fails_in_a_task(
    emulator: Emulator, connect: Callable[..., OTSClient], asynchronous_input: bool
) -> None:
    """Of tasks the same is true: the batches in flight are awaited, and no row that was read is forgotten."""
    stop = ValueError("a bad line")

    def rows() -> Iterator[Any]:
        yield from puts(130)
        raise stop

    async def later() -> AsyncIterator[Any]:
        for row in rows():
            yield row

    async def main() -> None:
        async with AsyncOTSClient(settings=emulator.settings) as client:
            await client.bulk_write("t", later() if asynchronous_input else rows(), max_rows=50)

    with pytest.raises(ValueError, match="a bad line") as caught:
        asyncio.run(main())
    assert caught.value is stop
    report = vars(stop)["report"]
    assert (report.written, len(report.failed), report.resume_from) == (100, 30, 100)
    assert len(stored(connect())) == 100


def test_rows_in_flight_at_a_second_interrupt() -> None:
    """A job that is left while a load is in flight reports its rows as open, and those never sent as not sent."""
    scheduler = make_scheduler(concurrency=1)
    fill(scheduler)
    assert scheduler.next_batch(0.0) is not None
    scheduler.stop()
    scheduler.add_unsent("read and not taken")
    report = scheduler.close(1.5)
    told = [(row.code, row.may_have_happened) for row in report.failed]
    assert told == [("ResponseLost", True)] * 10 + [("NotSent", False)] * 11
    assert (report.failed[-1].item, report.resume_from, report.elapsed) == ("read and not taken", 0, 1.5)


def test_ctrl_c(interruptible: None, emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A signal in the middle of the job waits for what is in flight; every row that was read is accounted for."""
    client = connect()
    emulator.fault(operation="BatchWriteRow", kind="delay", seconds=0.05)
    watched = Watched(puts(5000))

    def interrupt(_: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        client.bulk_write("t", watched, max_rows=50, progress=interrupt)
    report = vars(caught.value)["report"]
    assert 50 <= report.written < 1000
    assert report.written + len(report.failed) == watched.read
    assert len(stored(client)) == report.written
    rest = client.bulk_write("t", puts(5000), start=report.resume_from)
    assert rest.resume_from == 5000
    assert len(stored(client)) == 5000


def test_what_is_no_row(connect: Callable[..., OTSClient]) -> None:
    """An object of another type is the caller's mistake: a ``TypeError`` that tells its position."""
    with pytest.raises(TypeError, match="row 2 must be a Row or an item of a batch, not dict") as caught:
        connect().bulk_write("t", [*puts(2), {"id": 1}, *puts(1)])
    report = vars(caught.value)["report"]
    assert [row.code for row in report.failed] == ["NotSent"] * 4
    assert (report.failed[2].item, report.resume_from) == ({"id": 1}, 0)


def test_cancelling_a_task_cuts_its_batches_short(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """What is in flight is given up and reported as open."""
    emulator.fault(operation="BatchWriteRow", kind="delay", seconds=3, rate=1)

    async def main() -> BaseException:
        async with AsyncOTSClient(settings=emulator.settings) as client:
            started = asyncio.Event()

            async def rows() -> AsyncIterator[Any]:
                for row in puts(25):
                    yield row
                started.set()
                await asyncio.Event().wait()

            job = asyncio.create_task(client.bulk_write("t", rows(), max_rows=10))
            await started.wait()
            await asyncio.sleep(0)
            job.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await job
            return caught.value

    report = vars(asyncio.run(main()))["report"]
    assert report.written == 0
    told = [(row.code, row.may_have_happened) for row in report.failed]
    assert told == [("ResponseLost", True)] * 20 + [("NotSent", False)] * 5
    assert report.resume_from == 0


# --- bounds ------------------------------------------------------------------------------------------------------


def test_a_generator_is_not_read_far_ahead(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """No more rows are read than may be in flight, and one batch; also while some rows are refused for long."""
    client = connect(retry_policy=ONCE)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.3, count=15)
    watched = Watched(puts(800))
    report = client.bulk_write("t", watched, max_rows=20, concurrency=3, progress=watched.progress)
    assert report.written == 800
    assert watched.furthest <= 4 * 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", 0),
        ("max_rows", 0),
        ("max_rows", 201),
        ("max_bytes", 0),
        ("max_bytes", 5_000_000),
        ("retry_for", -1),
        ("retry_for", float("nan")),
        ("start", -1),
        ("on_failure", "ignore"),
    ],
)
def test_arguments_that_cannot_be(connect: Callable[..., OTSClient], name: str, value: Any) -> None:
    """They are refused before a row is read."""
    watched = Watched(puts(1))
    with pytest.raises(ValueError, match=name):
        connect().bulk_write("t", watched, **{name: value})
    assert watched.read == 0


def make_scheduler(**given: Any) -> Scheduler:
    """Return a scheduler, by default of four batches of ten rows."""
    limits = {"concurrency": 4, "max_rows": 10, "max_bytes": 1000, "retry_for": 60.0, "start": 0}
    return Scheduler(BulkLimits(**{**limits, "on_failure": "collect", **given}), retry_writes=False)


def fill(scheduler: Scheduler, size: int = 10) -> int:
    """Add rows as long as there is room, and return how many."""
    added = 0
    while scheduler.free_rows:
        scheduler.skip()
        scheduler.add(
            None, ts.PutRowItem(ts.Row([("id", scheduler.position)], []), None), None, size, scheduler.position
        )
        added += 1
    return added


def launch(scheduler: Scheduler, now: float) -> list[RowBatch]:
    """Return every load that may be sent now."""
    loads = []
    while (load := scheduler.next_batch(now)) is not None:
        loads.append(load)
        fill(scheduler)
    return loads


def test_look_ahead_is_bounded_by_bytes_as_well() -> None:
    """Of large rows fewer are read."""
    assert fill(make_scheduler()) == 50
    assert fill(make_scheduler(), size=500) == 10


def test_throttled_loads_halve_the_window_and_good_ones_open_it_slowly() -> None:
    """Loads of one throttle count once; the window goes from 8 to 4, to 1, and back by less than one for each."""
    scheduler = make_scheduler(concurrency=8)
    fill(scheduler)
    busy = ServiceError(503, "OTSServerBusy", "")
    now = 0.0
    sizes = []
    for _ in range(4):
        loads = launch(scheduler, now)
        sizes.append(len(loads))
        for load in loads:
            load.outcome = busy
            scheduler.complete(load, now)
        now += 2 * MAX_DELAY
    assert sizes == [8, 4, 2, 1]
    sizes.clear()
    for _ in range(8):
        loads = launch(scheduler, now)
        sizes.append(len(loads))
        for load in loads:
            load.outcome = [GOOD] * len(load.rows)
            scheduler.complete(load, now)
    assert sizes[0] == 1
    assert sizes == sorted(sizes)
    assert all(later - sooner <= 1 for sooner, later in pairwise(sizes))
    assert sizes[-1] > 4


def test_rows_to_be_tried_again_do_not_wait_for_a_full_load() -> None:
    """When their time has come they go with what else is ready, though the input has more."""
    scheduler = make_scheduler()
    for _ in range(10):
        scheduler.skip()
        scheduler.add(None, ts.PutRowItem(ts.Row([("id", scheduler.position)], []), None), None, 10, scheduler.position)
    load = scheduler.next_batch(0.0)
    assert load is not None
    busy = ts.BatchWriteRowResponseItem(False, "OTSServerBusy", "", None, None)  # noqa: FBT003 - the SDK's order
    load.outcome = [busy] * 3 + [GOOD] * 7
    scheduler.complete(load, 0.0)
    assert scheduler.free_rows
    assert scheduler.next_batch(0.0) is None
    pause = scheduler.retry_delay(0.0)
    assert pause is not None
    assert 0.1 <= pause <= 0.2
    again = scheduler.next_batch(0.2)
    assert again is not None
    assert sorted(row.position for row in again.rows) == [0, 1, 2]


def test_requests_that_the_client_itself_sent_again_close_the_window_too() -> None:
    """A load that took retries tells of the same crowding, though it went well in the end."""
    scheduler = make_scheduler(concurrency=2)
    fill(scheduler)
    loads = launch(scheduler, 0.0)
    loads[0].outcome = [GOOD] * 10
    loads[0].retries = 3
    scheduler.complete(loads[0], 0.0)
    assert scheduler.next_batch(0.0) is None


def test_patience_waits_longer_each_time_and_tries_once_more_at_its_end() -> None:
    """The pauses grow to their longest, the last is cut to what is left, and a service's own wish is heard."""
    backoff = JobBackoff(100.0)
    now, pauses = 0.0, []
    while (pause := backoff.delay(ResponseLost("x"), now)) is not None:
        pauses.append(pause)
        now += pause
    assert now == pytest.approx(100.0)
    assert 0.1 <= pauses[0] <= 0.2
    assert all(MAX_DELAY / 2 <= pause <= MAX_DELAY for pause in pauses[7:-1])
    asked = ServiceError(503, "OTSServerBusy", "")
    asked.retry_after = 30.0
    assert JobBackoff(100.0).delay(asked, 0.0) == 30.0
    assert JobBackoff(0.0).delay(asked, 0.0) is None


def test_no_delay_is_the_clients_own(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A request that the client sends again by itself is no row that was sent again."""
    client = connect(retry_policy=NoDelayRetryPolicy())
    emulator.fault(operation="BatchWriteRow", kind="error", code="OTSServerBusy", count=3)
    report = client.bulk_write("t", puts(10))
    assert (report.written, report.sent_again) == (10, 0)
    assert len(batches(emulator)) == 4
