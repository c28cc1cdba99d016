"""Updates whose cells have no timestamp: repeated only in tables that are known to keep one version."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ots_config import (
    AsyncOTSClient,
    Emulator,
    NoDelayRetryPolicy,
    OTSClient,
    RequestError,
    ResponseLost,
    RetryPolicy,
    WriteRetryPolicy,
)
from ots_config.client import table_versions
from ots_config.request.deadline import Deadline
from ots_config.sdk import tablestore as ts

KEY = [("id", 1)]
UPDATE = ts.Row(KEY, {"PUT": [("n", 7)]})


class Fast(WriteRetryPolicy):
    """Repeats safe writes without a delay."""

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Return 0."""
        return 0.0


class Always(RetryPolicy):
    """A user's own policy, which wants to repeat everything."""

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        """Return whether there were few retries."""
        return retry_times < 5

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Return 0."""
        return 0.0


@pytest.fixture
def emulator(running: Emulator) -> Iterator[Emulator]:
    """Return an emulator with a table of one version and one of two."""
    running.reset()
    with OTSClient(settings=running.settings) as client:
        for name, versions in (("one", 1), ("two", 2)):
            client.create_table(
                ts.TableMeta(name, [("id", "INTEGER")]),
                ts.TableOptions(max_version=versions),
                ts.ReservedThroughput(ts.CapacityUnit(0, 0)),
            )
    running.clear_log()
    yield running
    running.clear_faults()


Run = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest, emulator: Emulator) -> Run:
    """Call a method of a client for threads or for tasks."""

    def sync(method: str, *args: Any, policy: RetryPolicy | None = None, **options: Any) -> Any:
        with OTSClient(settings=emulator.settings, retry_policy=policy or Fast()) as client:
            return getattr(client, method)(*args, **options)

    async def tasks(method: str, *args: Any, policy: RetryPolicy | None = None, **options: Any) -> Any:
        async with AsyncOTSClient(settings=emulator.settings, retry_policy=policy or Fast()) as client:
            return await getattr(client, method)(*args, **options)

    return sync if request.param == "sync" else lambda *args, **options: asyncio.run(tasks(*args, **options))


def operations(emulator: Emulator) -> list[str]:
    """Return what was called, in order."""
    return [entry["operation"] for entry in emulator.log()]


@pytest.mark.parametrize("policy", [Fast(), Always()], ids=["WriteRetryPolicy", "a user's own"])
def test_an_update_of_one_version_is_repeated(emulator: Emulator, run: Run, policy: RetryPolicy) -> None:
    """After a lost response the table is asked once, and the update is sent again."""
    emulator.fault(operation="UpdateRow", kind="reset_after", count=2)
    run("update_row", "one", UPDATE, None, policy=policy)
    assert operations(emulator) == ["UpdateRow", "DescribeTable", "UpdateRow", "UpdateRow"]


@pytest.mark.parametrize("policy", [Fast(), Always()], ids=["WriteRetryPolicy", "a user's own"])
def test_an_update_of_two_versions_is_not_repeated(emulator: Emulator, run: Run, policy: RetryPolicy) -> None:
    """The value is stored once, and the error says that it may have happened and is not safe to repeat."""
    emulator.fault(operation="UpdateRow", kind="reset_after", count=1)
    with pytest.raises(ResponseLost) as caught:
        run("update_row", "two", UPDATE, None, policy=policy)
    assert (caught.value.may_have_happened, caught.value.repeatable, caught.value.attempts) == (True, False, 1)
    assert operations(emulator) == ["UpdateRow", "DescribeTable"]
    with OTSClient(settings=emulator.settings) as client:
        assert len(client.get_row("two", KEY, max_version=2)[1].attribute_columns) == 1


def test_a_named_timestamp_needs_no_question(emulator: Emulator, run: Run) -> None:
    """An update whose cells name their timestamps is repeated in any table, and stores one version."""
    emulator.fault(operation="UpdateRow", kind="reset_after", count=1)
    run("update_row", "two", ts.Row(KEY, {"PUT": [("n", 7, int(time.time() * 1000))]}), None)
    assert operations(emulator) == ["UpdateRow"] * 2
    with OTSClient(settings=emulator.settings) as client:
        assert len(client.get_row("two", KEY, max_version=2)[1].attribute_columns) == 1


@pytest.mark.parametrize(
    ("row", "condition"),
    [
        (UPDATE, ts.Condition("EXPECT_NOT_EXIST")),
        (ts.Row(KEY, {"INCREMENT": [("n", 1)]}), None),
    ],
)
def test_what_is_never_safe_needs_no_question(emulator: Emulator, run: Run, row: Any, condition: Any) -> None:
    """The table is not asked about a write that is not safe in any table."""
    emulator.fault(operation="UpdateRow", kind="reset_after", count=1)
    with pytest.raises(ResponseLost):
        run("update_row", "one", row, condition)
    assert operations(emulator) == ["UpdateRow"]


def test_the_default_policy_asks_nothing(emulator: Emulator, run: Run) -> None:
    """A policy that does not repeat writes makes no DescribeTable, and the error does not call the update safe."""
    emulator.fault(operation="UpdateRow", kind="reset_after", count=1)
    with pytest.raises(ResponseLost) as caught:
        run("update_row", "one", UPDATE, None, policy=NoDelayRetryPolicy())
    assert operations(emulator) == ["UpdateRow"]
    assert not caught.value.repeatable


def test_a_throttle_needs_no_question(emulator: Emulator, run: Run) -> None:
    """What was refused before anything was done is sent again in any table."""
    emulator.fault(operation="UpdateRow", kind="error", code="OTSServerBusy", count=2)
    run("update_row", "two", UPDATE, None)
    assert operations(emulator) == ["UpdateRow"] * 3


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "code": "OTSNoPermissionAccess"},
        {"kind": "error", "code": "OTSServerBusy"},
        {"kind": "error", "code": "OTSAuthFailed"},
        {"kind": "reset_before"},
        {"kind": "status", "status": 502, "body": "x"},
    ],
    ids=lambda fault: fault.get("code", fault["kind"]),
)
def test_an_unanswered_question_means_not_safe(emulator: Emulator, run: Run, fault: dict[str, Any]) -> None:
    """DescribeTable is tried once; whatever ends it, the update is not repeated and its own error is raised."""
    emulator.fault(operation="DescribeTable", **fault)
    emulator.fault(operation="UpdateRow", kind="reset_after", count=1)
    with pytest.raises(ResponseLost) as caught:
        run("update_row", "one", UPDATE, None)
    assert caught.value.operation == "UpdateRow"
    assert not caught.value.repeatable
    assert operations(emulator) == ["UpdateRow", "DescribeTable"]


def test_a_silent_question_ends_before_the_call(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A DescribeTable without an answer leaves the call time to raise the update's own error."""
    emulator.fault(operation="DescribeTable", kind="delay", seconds=20)
    emulator.fault(operation="UpdateRow", kind="reset_after", count=1)
    with pytest.raises(ResponseLost) as caught:
        connect(retry_policy=Fast(), deadline=1.5).update_row("one", UPDATE, None)
    assert (caught.value.operation, caught.value.attempts, caught.value.repeatable) == ("UpdateRow", 1, False)


@pytest.mark.parametrize(("remaining", "expected"), [(60.0, 2.0), (3.0, 1.0), (None, 2.0)])
def test_the_time_of_a_question(remaining: float | None, expected: float) -> None:
    """It gets a third of the remaining time, and 2 s at most."""
    given: list[float] = []

    class Caller:
        async def attempt_once(self, operation: Any, body: bytes, deadline: Deadline) -> RequestError:
            assert (operation.name, body) == ("DescribeTable", b"body")
            given.append(deadline.remaining())
            return RequestError("x")

    class Codec:
        def encode(self, name: str, _: Any, __: Any) -> Any:
            return type("Operation", (), {"name": name}), b"body"

    known: Any = table_versions.TableVersions(Codec())  # type: ignore[arg-type] # all that it needs
    assert not asyncio.run(known.keeps_one(Caller(), "t", Deadline.after(remaining)))
    assert given == [pytest.approx(expected, abs=0.2)]
    assert not asyncio.run(known.keeps_one(Caller(), "u", Deadline.after(-1)))
    assert len(given) == 1


def test_a_result_is_kept_for_a_minute(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is asked again after 60 s, as another program may have changed it meanwhile."""
    now = 1000.0
    monkeypatch.setattr(table_versions, "time", type("Clock", (), {"monotonic": staticmethod(lambda: now)}))
    with OTSClient(settings=emulator.settings, retry_policy=Fast()) as client:

        def update() -> None:
            emulator.fault(operation="UpdateRow", kind="reset_after", count=1)
            client.update_row("one", UPDATE, None)

        update()
        now += 59.9
        update()
        assert operations(emulator).count("DescribeTable") == 1
        client.update_table("one", ts.TableOptions(max_version=2))
        now += 0.2
        with pytest.raises(ResponseLost):
            update()
        assert operations(emulator).count("DescribeTable") == 2


def items(*numbers: int) -> list[Any]:
    """Return updates of these rows."""
    return [ts.UpdateRowItem(ts.Row([("id", n)], {"PUT": [("n", 7)]}), None) for n in numbers]


def both_tables() -> Any:
    """Return a batch of updates of both tables, and of a row that is safe in each."""
    request = ts.BatchWriteRowRequest()
    for table in ("one", "two"):
        request.add(
            ts.TableInBatchWriteRowItem(table, [*items(1, 2), ts.PutRowItem(ts.Row([("id", 3)], [("n", 1)]), None)])
        )
    return request


def test_failed_rows_of_a_batch_are_repeated_where_it_is_safe(emulator: Emulator, run: Run) -> None:
    """Each table is asked once, and rows without timestamps are repeated in the one that keeps one version."""
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", count=1)
    response = run("batch_write_row", both_tables())
    assert response.get_failed_of_put() == []
    assert [(item.index, item.error_code, item.may_have_happened) for item in response.get_failed_of_update()] == [
        (0, "OTSTimeout", True),
        (1, "OTSTimeout", True),
    ]
    assert [item.is_ok for item in response.get_update_by_table("one")] == [True, True]
    assert operations(emulator) == ["BatchWriteRow", "DescribeTable", "DescribeTable", "BatchWriteRow"]


def test_a_lost_batch_is_repeated_only_if_all_its_tables_keep_one_version(emulator: Emulator, run: Run) -> None:
    """One row that is not safe makes the whole request unsafe."""
    emulator.fault(operation="BatchWriteRow", kind="reset_after", count=1)
    with pytest.raises(ResponseLost):
        run("batch_write_row", both_tables())
    assert operations(emulator).count("BatchWriteRow") == 1
    emulator.clear_log()
    request = ts.BatchWriteRowRequest()
    request.add(ts.TableInBatchWriteRowItem("one", items(1, 2)))
    emulator.fault(operation="BatchWriteRow", kind="reset_after", count=1)
    assert run("batch_write_row", request).is_all_succeed()
    assert operations(emulator) == ["BatchWriteRow", "DescribeTable", "BatchWriteRow"]


@pytest.mark.parametrize(("table", "written"), [("one", 5), ("two", 0)])
@pytest.mark.parametrize(
    "fault", [{"kind": "reset_after"}, {"kind": "rows", "code": "OTSTimeout"}], ids=["all", "rows"]
)
def test_rows_of_a_bulk_write(emulator: Emulator, run: Run, table: str, written: int, fault: dict[str, str]) -> None:
    """Updates without timestamps that may have happened are sent again only into a table with one version."""
    emulator.fault(operation="BatchWriteRow", count=1, **fault)
    report = run("bulk_write", table, items(*range(5)))
    assert (report.written, len(report.failed)) == (written, 5 - written)
    assert all(row.may_have_happened for row in report.failed)
    assert operations(emulator).count("DescribeTable") == 1
    assert (operations(emulator).count("BatchWriteRow") > 1) is (written > 0)
