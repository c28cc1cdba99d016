"""The report of a bulk write: short, bounded, and easy to act upon."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ots_config import AsyncOTSClient, Emulator, FailedRow, OTSClient, RequestError
from ots_config.client.bulk import BulkReport
from ots_config.client.bulk.report import MAX_FAILED_ROWS
from ots_config.sdk import tablestore as ts
from tests.client.bulk.rows import ONCE, puts


def test_a_good_report(connect: Callable[..., OTSClient]) -> None:
    """It is ``ok``, raises nothing, and is one line."""
    report = connect().bulk_write("t", puts(7))
    assert report.ok
    report.raise_for_failures()
    assert repr(report).startswith("<BulkReport: 7 written, 0 failed, ")
    assert repr(report).endswith(" s, resume_from=7>")


def test_failures_are_counted_and_only_the_first_are_kept(
    emulator: Emulator, connect: Callable[..., OTSClient]
) -> None:
    """Each failed row goes to the caller's function in the caller's thread; the report keeps the first thousand."""
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", rate=0.5, seed=1)
    seen: list[FailedRow] = []
    report = connect(retry_policy=ONCE).bulk_write("t", puts(3000), on_failed_row=seen.append)
    assert MAX_FAILED_ROWS == len(report.failed) < len(seen) == report.failed_count == report.codes["OTSTimeout"]
    assert report.written == 3000 - len(seen)
    assert report.resume_from == min(row.position for row in seen)
    positions = [row.position for row in report.failed]
    assert positions == sorted(positions)
    assert set(report.failed) <= set(seen)
    assert len(repr(report)) < 120


def test_rows_that_were_never_sent_go_to_the_function_as_well(connect: Callable[..., OTSClient]) -> None:
    """No row that was read is missing from what it gets, also when the job ends early."""
    seen: list[Any] = []
    report = connect().bulk_write("absent", puts(600), on_failed_row=seen.append)
    assert sorted(row.position for row in seen) == list(range(report.failed_count))


def test_a_client_for_tasks_calls_the_function_too(emulator: Emulator) -> None:
    """It is called in the event loop with each row."""
    seen: list[FailedRow] = []

    async def write() -> BulkReport:
        async with AsyncOTSClient(settings=emulator.settings) as client:
            return await client.bulk_write("absent", puts(600), on_failed_row=seen.append)

    report = asyncio.run(write())
    assert report.failed_count == len(seen) > 0


def test_a_function_that_fails_stops_the_job(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Its own error is raised with the report."""

    def fail(row: FailedRow) -> None:
        raise ZeroDivisionError(row.code)

    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", count=1)
    with pytest.raises(ZeroDivisionError, match="OTSTimeout") as caught:
        connect(retry_policy=ONCE).bulk_write("t", puts(1000), max_rows=10, on_failed_row=fail)
    report = vars(caught.value)["report"]
    assert report.codes["OTSTimeout"] == 10
    assert report.written + report.failed_count < 1000


def test_raise_for_failures(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """One error, ours and the SDK's, has the most frequent code, the report, and the reason of an early stop."""
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", rate=0.4, count=1, seed=1)
    report = connect(retry_policy=ONCE).bulk_write("t", puts(100))
    with pytest.raises(RequestError, match=r"rows written, \d+ not \(\d+ OTSTimeout\)") as caught:
        report.raise_for_failures()
    assert isinstance(caught.value, ts.OTSClientError)
    assert (caught.value.code, caught.value.may_have_happened) == ("OTSTimeout", True)
    assert vars(caught.value)["report"] is report
    report = connect().bulk_write("absent", puts(3))
    with pytest.raises(RequestError, match="no batch could succeed") as caught:
        report.raise_for_failures()
    assert caught.value.__cause__ is report.stopped
    assert caught.value.code == "OTSObjectNotExist"


def test_what_a_notebook_shows() -> None:
    """A small table, in which nothing that came from outside is markup."""
    report = BulkReport(written=12_000, failed_count=3, codes={"<b>": 1, "OTSTimeout": 2}, stopped=ValueError("<i>"))
    html = report._repr_html_()
    assert html.startswith("<table><tr><th>written</th><td>12,000</td></tr><tr><th>failed: OTSTimeout</th><td>2</td>")
    assert "&lt;b&gt;" in html
    assert "&lt;i&gt;" in html
    assert "<b>" not in html
