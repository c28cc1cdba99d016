"""A user's retry policy or callback that fails, on every path of both clients: the request's own error is raised."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ots_config import AsyncOTSClient, Emulator, OTSClient, RequestError, RetryPolicy, Throttled
from ots_config.sdk import tablestore as ts
from tests.client.tables import ROW


class Interrupted(BaseException):
    """A user's own time limit."""


class Failing(RetryPolicy):
    """A policy of which one function fails, and which never waits."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__(on_retry=self._on_retry)
        self._where, self._error = where, error

    def _fail(self, where: str) -> None:
        if where == self._where:
            raise self._error

    def _on_retry(self, _: Any) -> None:
        self._fail("on_retry")

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        """Fail, or ask the table."""
        self._fail("should_retry")
        return super().should_retry(retry_times, exception, api_name)

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Fail, or return no delay."""
        self._fail("get_retry_delay")
        return 0.0


def rows(count: int) -> list[Any]:
    """Return rows to write."""
    return [ts.Row([("gid", n), ("uid", "a")], [("n", n)]) for n in range(count)]


def batch() -> Any:
    """Return a batch of ten rows."""
    request = ts.BatchWriteRowRequest()
    request.add(ts.TableInBatchWriteRowItem("t", [ts.PutRowItem(row, None) for row in rows(10)]))
    return request


Run = Callable[[str, RetryPolicy], Any]


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest, emulator: Emulator) -> Run:
    """Carry out one kind of call with a policy, by a client for threads or for tasks."""
    settings = emulator.settings

    def sync(kind: str, policy: RetryPolicy) -> Any:
        with OTSClient(settings=settings, retry_policy=policy) as client:
            match kind:
                case "put":
                    return client.put_row("t", ROW)
                case "batch":
                    return client.batch_write_row(batch())
                case "bulk":
                    return client.bulk_write("t", rows(10))
                case _:
                    return list(client.scan("t"))

    async def tasks(kind: str, policy: RetryPolicy) -> Any:
        async with AsyncOTSClient(settings=settings, retry_policy=policy) as client:
            match kind:
                case "put":
                    return await client.put_row("t", ROW)
                case "batch":
                    return await client.batch_write_row(batch())
                case "bulk":
                    return await client.bulk_write("t", rows(10))
                case _:
                    return [row async for row in client.scan("t")]

    return sync if request.param == "sync" else lambda kind, policy: asyncio.run(tasks(kind, policy))


WHERE = pytest.mark.parametrize("where", ["on_retry", "should_retry", "get_retry_delay"])
OPERATIONS = {"put": "PutRow", "batch": "BatchWriteRow", "bulk": "BatchWriteRow", "scan": "GetRange"}


@WHERE
@pytest.mark.parametrize("kind", ["put", "batch", "scan"])
def test_the_requests_error_is_raised(emulator: Emulator, run: Run, kind: str, where: str) -> None:
    """A throttled request is sent once; its error has a note about the policy, and a scan does not go on."""
    emulator.fault(operation=OPERATIONS[kind], kind="error", code="OTSServerBusy")
    with pytest.raises(Throttled) as caught:
        run(kind, Failing(where, ZeroDivisionError("broken")))
    (note,) = caught.value.__notes__
    assert f"{where} failed" in note
    assert "ZeroDivisionError" in note
    assert [entry["operation"] for entry in emulator.log() if entry["status"] != 200] == [OPERATIONS[kind]]


@WHERE
def test_stored_rows_of_a_batch_stay_stored(emulator: Emulator, run: Run, where: str) -> None:
    """Rows that the service has acknowledged are in the result as such; the others say why they were not retried."""
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.5, count=1, seed=1)
    response = run("batch", Failing(where, ZeroDivisionError("broken")))
    failed = response.get_failed_of_put()
    assert 0 < len(failed) < 10
    assert len(response.get_succeed_of_put()) == 10 - len(failed)
    assert {item.error_code for item in failed} == {"OTSServerBusy"}
    assert all(f"{where} failed" in item.error_message for item in failed)
    assert len(emulator.log()) == 1


@WHERE
def test_a_bulk_write_reports_its_rows(emulator: Emulator, run: Run, where: str) -> None:
    """The rows of a throttled request are reported as failed, with the reason, and none is sent again."""
    emulator.fault(operation="BatchWriteRow", kind="error", code="OTSServerBusy", count=1)
    report = run("bulk", Failing(where, ZeroDivisionError("broken")))
    assert (report.written, {row.code for row in report.failed}) == (0, {"OTSServerBusy"})
    assert all(f"{where} failed" in row.message for row in report.failed)
    assert len(emulator.log()) == 1


@WHERE
@pytest.mark.parametrize("kind", ["put", "batch", "bulk", "scan"])
@pytest.mark.parametrize("limit", [Interrupted, KeyboardInterrupt])
def test_a_users_own_limit_passes(
    emulator: Emulator, run: Run, kind: str, where: str, limit: type[BaseException]
) -> None:
    """What is raised to interrupt the caller leaves the call unchanged, also from the threads of a bulk write."""
    emulator.fault(operation=OPERATIONS[kind], kind="error", code="OTSServerBusy")
    error = limit("time is over")
    with pytest.raises(limit) as caught:
        run(kind, Failing(where, error))
    assert caught.value is error
    assert not isinstance(caught.value, RequestError)
