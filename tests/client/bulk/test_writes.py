"""``bulk_write`` against the emulator when all goes well: full batches, in order for each key, within limits."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest
import requests

from ots_config import AsyncOTSClient, Emulator, OTSClient
from ots_config.client.bulk import BulkReport
from ots_config.sdk import tablestore as ts
from tests.client.bulk.rows import FREE, ONCE, Watched, batches, puts, stored


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
