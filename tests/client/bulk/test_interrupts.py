"""What stops a bulk write: a failure, the input, Ctrl-C, a cancelled task; no row that was read is forgotten."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from ots_config import AsyncOTSClient, Emulator, OTSClient, ServiceError
from ots_config.sdk import tablestore as ts
from tests.client.bulk.rows import ONCE, Watched, puts, stored


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
    """An object of another type is the caller's mistake: a ``TypeError`` with its position."""
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
    reported = [(row.code, row.may_have_happened) for row in report.failed]
    assert reported == [("ResponseLost", True)] * 20 + [("NotSent", False)] * 5
    assert report.resume_from == 0
