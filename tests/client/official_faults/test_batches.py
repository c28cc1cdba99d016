"""The official client never sends the failed rows of a batch again; ours does, if that is safe."""

from typing import Any

import pytest

from ots_config import AsyncOTSClient, Emulator, NoDelayRetryPolicy
from ots_config.sdk import pb2
from ots_config.sdk import tablestore as ts
from tests.client.official_faults.comparison import FAST, ROW, SEEN, FastWrites, Make


def keys_in(body: bytes) -> int:
    """Return how many rows the request of a batch holds."""
    request = pb2.BatchWriteRowRequest.FromString(body)
    return sum(len(table.rows) for table in request.tables)


def sent_by(client: Any) -> list[bytes]:
    """Return the list of bodies that a client of ours sends from now on."""
    bodies: list[bytes] = []
    client.connection.session.hooks["response"].append(lambda response, **_: bodies.append(response.request.body))
    return bodies


def writes(*items: Any) -> Any:
    """Return a batch of rows of the table ``t``."""
    request = ts.BatchWriteRowRequest()
    request.add(ts.TableInBatchWriteRowItem("t", list(items)))
    return request


def row_key(number: int) -> list[tuple[str, Any]]:
    """Return the key of a row."""
    return [("gid", number), ("uid", "b")]


def stored(client: Any) -> dict[int, dict[str, Any]]:
    """Return what is in the table: attributes by the first column of the key."""
    low, high = ([("gid", bound), ("uid", bound)] for bound in (ts.INF_MIN, ts.INF_MAX))
    rows = client.get_range("t", "FORWARD", low, high, max_version=1)[2]
    return {row.primary_key[0][1]: {name: value for name, value, _ in row.attribute_columns} for row in rows}


def puts(numbers: range) -> list[Any]:
    """Return rows to put."""
    return [ts.PutRowItem(ts.Row(row_key(number), [("n", number)]), None) for number in numbers]


def test_only_the_rows_of_a_write_that_failed_are_sent_again(emulator: Emulator, ours: Make, official: Make) -> None:
    """Of 20 rows the throttled ones are sent again, and no others; the result looks as if there had been one call."""
    client = ours()
    bodies = sent_by(client)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", count=2, rate=0.5, seed=3)
    response = client.batch_write_row(writes(*puts(range(20))))
    assert response.is_all_succeed()
    assert [item.index for item in response.get_succeed_of_put()] == list(range(20))
    assert [keys_in(body) for body in bodies] == [20, 10, 5]  # twice a half of what was sent failed
    assert stored(client) == {number: {"n": number} for number in range(20)}
    if SEEN:
        emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.5)
        emulator.clear_log()
        failed = official().batch_write_row(writes(*puts(range(20)))).get_failed_of_put()
        assert (len(failed), len(emulator.log())) == (10, 1)


def test_rows_of_several_tables_are_merged_in_their_order(emulator: Emulator, ours: Make) -> None:
    """Rows of two tables that were read again stand where they stood in the request."""
    client = ours()
    meta = ts.TableMeta("u", [("gid", "INTEGER"), ("uid", "STRING")])
    client.create_table(meta, ts.TableOptions(), ts.ReservedThroughput(ts.CapacityUnit(0, 0)))
    for table in ("t", "u"):
        request = ts.BatchWriteRowRequest()
        request.add(ts.TableInBatchWriteRowItem(table, puts(range(10))))
        client.batch_write_row(request)
    request = ts.BatchGetRowRequest()
    for table, numbers in (("t", range(10)), ("u", reversed(range(10)))):
        request.add(ts.TableInBatchGetRowItem(table, [row_key(n) for n in numbers], max_version=1))
    emulator.fault(operation="BatchGetRow", kind="rows", code="OTSTimeout", count=3, rate=0.5, seed=5)
    emulator.clear_log()
    response = client.batch_get_row(request)
    assert response.is_all_succeed()
    assert len(emulator.log()) == 4
    for table, numbers in (("t", range(10)), ("u", reversed(range(10)))):
        rows = [item.row for item in response.get_result_by_table(table)]
        assert [row.primary_key for row in rows] == [row_key(n) for n in numbers]
    assert request.items["t"].primary_keys == [row_key(n) for n in range(10)]  # the caller's request is untouched


def test_a_row_that_may_have_been_written_is_repeated_only_if_that_is_safe(emulator: Emulator, ours: Make) -> None:
    """After ``OTSTimeout`` the write policy repeats puts, and leaves increments and conditional rows in the result."""
    increment = ts.UpdateRowItem(ts.Row(row_key(2), {"INCREMENT": [("n", 1)]}), None)
    conditional = ts.PutRowItem(ts.Row(row_key(3), [("n", 3)]), ts.Condition("EXPECT_NOT_EXIST"))
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", count=1)
    client = ours(retry_policy=FastWrites())
    bodies = sent_by(client)
    response = client.batch_write_row(writes(*puts(range(1)), increment, conditional))
    assert [keys_in(body) for body in bodies] == [3, 1]
    assert [item.is_ok for item in response.get_put_by_table("t")] == [True, False]
    assert [item.error_code for item in response.get_update_by_table("t")] == ["OTSTimeout"]
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", count=1)
    bodies.clear()
    assert not ours().batch_write_row(writes(*puts(range(1)))).is_all_succeed()  # the default policy repeats none


def test_a_refused_increment_is_sent_again(emulator: Emulator, ours: Make) -> None:
    """What the service refused before doing anything is safe to repeat, whatever it is, and is applied once."""
    increments = [ts.UpdateRowItem(ts.Row(row_key(n), {"INCREMENT": [("n", 1)]}), None) for n in range(10)]
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSRowOperationConflict", count=3, rate=0.7, seed=1)
    client = ours()
    assert client.batch_write_row(writes(*increments)).is_all_succeed()
    assert stored(client) == {number: {"n": 1} for number in range(10)}


def test_what_fails_for_good_stays_in_the_result(emulator: Emulator, ours: Make) -> None:
    """A row whose condition fails, or that is refused to the last, stays in the result as ever, and is not raised."""
    client = ours(retry_policy=NoDelayRetryPolicy(max_retry_times=2))
    missing = ts.PutRowItem(ROW, ts.Condition("EXPECT_EXIST"))
    bodies = sent_by(client)
    response = client.batch_write_row(writes(missing, *puts(range(1))))
    assert [item.error_code for item in response.get_failed_of_put()] == ["OTSConditionCheckFail"]
    assert len(bodies) == 1
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy")
    bodies.clear()
    response = client.batch_write_row(writes(*puts(range(2))))
    assert [item.error_code for item in response.get_failed_of_put()] == ["OTSServerBusy"] * 2
    assert [keys_in(body) for body in bodies] == [2, 2, 2]


@pytest.mark.asyncio
async def test_only_the_rows_that_failed_are_sent_again_from_asyncio(emulator: Emulator) -> None:
    """The asynchronous client sends the failed rows again as well."""
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", count=2, rate=0.5, seed=3)
    keys = ("testid", "testsecret", "demo")
    async with AsyncOTSClient(emulator.endpoint, *keys, retry_policy=FAST) as client:
        response = await client.batch_write_row(writes(*puts(range(20))))
        assert response.is_all_succeed()
        assert [item.index for item in response.get_succeed_of_put()] == list(range(20))
