"""``AsyncOTSClient`` against the emulator: the results and the decisions of ``OTSClient``."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ots_config import AsyncOTSClient, Emulator, NoDelayRetryPolicy, OTSClient, RequestError, ResponseLost
from ots_config.sdk import tablestore as ts
from tests.client.tables import KEY, ROW

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("region", [None, "cn-hangzhou"])
async def test_same_results_as_the_official_client(
    emulator: Emulator, connect_async: Callable[..., AsyncOTSClient], region: str | None
) -> None:
    """Rows of every type come back the same from our client and the official one, under V2 and V4."""
    keys = (emulator.access_key_id, emulator.access_key_secret, emulator.instance_name)
    ours = connect_async(region=region)
    assert isinstance(ours, ts.AsyncOTSClient)
    async with ts.AsyncOTSClient(emulator.endpoint, *keys, region=region) as official:
        await ours.put_row("t", ROW)
        await official.put_row("t", ts.Row([("gid", 2), ("uid", "b")], ROW.attribute_columns))
        for key in (KEY, [("gid", 2), ("uid", "b")]):
            mine, theirs = [(await client.get_row("t", key, max_version=1))[1] for client in (ours, official)]
            assert mine.primary_key == theirs.primary_key
            assert mine.attribute_columns == theirs.attribute_columns
            assert {name: value for name, value, _ in mine.attribute_columns} == dict(ROW.attribute_columns)
        assert await ours.list_table() == await official.list_table() == ("t",)


async def test_every_row_operation(connect_async: Callable[..., AsyncOTSClient]) -> None:
    """A row is written, updated, read, batched, scanned and deleted."""
    client = connect_async()
    await client.put_row("t", ROW)
    await client.update_row("t", ts.Row(KEY, {"PUT": [("n", 2)]}), ts.Condition("EXPECT_EXIST"))
    request = ts.BatchWriteRowRequest()
    items = [ts.PutRowItem(ts.Row([("gid", n), ("uid", "x")], [("n", n)]), None) for n in range(10, 20)]
    request.add(ts.TableInBatchWriteRowItem("t", items))
    assert (await client.batch_write_row(request)).is_all_succeed()
    reading = ts.BatchGetRowRequest()
    reading.add(ts.TableInBatchGetRowItem("t", [KEY, [("gid", 10), ("uid", "x")]], None, None, 1))
    found = (await client.batch_get_row(reading)).get_result_by_table("t")
    assert [row.row.attribute_columns[-1][1] for row in found][1] == 10
    low, high = ([("gid", bound), ("uid", bound)] for bound in (ts.INF_MIN, ts.INF_MAX))
    _, following, rows, _ = await client.get_range("t", "FORWARD", low, high, max_version=1)
    assert (following, len(rows)) == (None, 11)
    await client.delete_row("t", KEY)
    assert (await client.get_row("t", KEY, max_version=1))[1] is None


async def test_a_json_operation(connect_async: Callable[..., AsyncOTSClient]) -> None:
    """What the emulator does not know among the JSON operations is refused like any other."""
    client = connect_async()
    with pytest.raises(ts.OTSServiceError) as caught:
        await client._vectors_request_helper("GetMemory", {"a": 1})
    assert caught.value.get_error_code() == "OTSParameterInvalid"


FAULTS: list[dict[str, Any]] = [
    {"kind": "error", "code": "OTSServerBusy", "status": 503},
    {"kind": "error", "code": "OTSRowOperationConflict", "status": 409},
    {"kind": "error", "code": "OTSInternalServerError", "status": 500},
    {"kind": "error", "code": "OTSParameterInvalid", "status": 400},
    {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>"},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "truncate"},
    {"kind": "corrupt_signature"},
    {"kind": "corrupt_md5"},
    {"kind": "skew", "seconds": 1200},
]


def facts_of(error: BaseException | None) -> tuple[Any, ...]:
    """Return what two errors are compared by."""
    if error is None:
        return ()
    assert isinstance(error, RequestError)
    return type(error).__name__, error.code, error.may_have_happened, error.attempts, error.operation


@pytest.mark.parametrize("policy", ["default", "write", "none"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.get("code", fault["kind"]))
async def test_the_same_decisions(
    emulator: Emulator, connect_async: Callable[..., AsyncOTSClient], fault: dict[str, Any], policy: str
) -> None:
    """After the same two faults both clients have sent as many requests, and end with the same result or error."""
    retry = {"policy": policy, "max_delay": 0.001}
    ours = connect_async(retry=retry)
    keys = (emulator.access_key_id, emulator.access_key_secret, emulator.instance_name)
    with OTSClient(emulator.endpoint, *keys, retry=retry) as theirs:
        increment = ts.Row(KEY, {"INCREMENT": [("c", 1)]})
        for name, arguments in (("PutRow", (ROW,)), ("UpdateRow", (increment, None)), ("GetRow", (KEY, None, None, 1))):
            method = {"PutRow": "put_row", "UpdateRow": "update_row", "GetRow": "get_row"}[name]
            seen = []
            for client in (theirs, ours):
                emulator.clear_faults()
                emulator.clear_log()
                emulator.fault(operation=name, count=2, **fault)
                failure: BaseException | None = None
                try:
                    if client is ours:
                        await getattr(ours, method)("t", *arguments)
                    else:
                        await asyncio.to_thread(getattr(theirs, method), "t", *arguments)
                except ts.OTSServiceError as error:
                    failure = error
                except ts.OTSClientError as error:
                    failure = error
                seen.append((facts_of(failure), [(entry["status"], entry["applied"]) for entry in emulator.log()]))
            assert seen[0] == seen[1], name


async def test_failed_rows_are_sent_again(emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]) -> None:
    """Rows of a batch that were refused are sent again."""
    client = connect_async(retry_policy=NoDelayRetryPolicy())
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.5, count=3)
    request = ts.BatchWriteRowRequest()
    items = [ts.PutRowItem(ts.Row([("gid", n), ("uid", "x")], [("n", n)]), None) for n in range(30)]
    request.add(ts.TableInBatchWriteRowItem("t", items))
    assert (await client.batch_write_row(request)).is_all_succeed()
    assert len(emulator.log()) == 4


async def test_retries_wait_without_blocking(emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]) -> None:
    """While one call waits to be tried again, others go on."""
    client = connect_async()
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", status=503)
    blocked = asyncio.create_task(client.put_row("t", ROW))
    while not emulator.log():
        await client.list_table()
    for _ in range(20):
        await client.get_row("t", KEY, max_version=1)
    assert not blocked.done()
    emulator.clear_faults()
    await blocked


async def test_the_deadline_bounds_a_call(emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]) -> None:
    """A call against a server that only delays ends with its deadline."""
    emulator.fault(operation="GetRow", kind="delay", seconds=30)
    client = connect_async(deadline=0.4)
    async with asyncio.timeout(20):
        with pytest.raises(ResponseLost) as caught:
            await client.get_row("t", KEY, max_version=1)
    assert not caught.value.may_have_happened
