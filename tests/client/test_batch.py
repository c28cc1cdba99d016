"""Batches with failed rows: only those are sent again, if that is safe; the result looks as if there was one call."""

from collections.abc import Callable
from typing import Any

import pytest

from ots_config import (
    DefaultRetryPolicy,
    Emulator,
    NoDelayRetryPolicy,
    NoRetryPolicy,
    OTSClient,
    RetryEvent,
    WriteRetryPolicy,
)
from ots_config.client.batch import BatchState, has_an_item_per_row
from ots_config.sdk import tablestore as ts


class FastWriteRetryPolicy(WriteRetryPolicy):
    """Repeats safe writes without a delay."""

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Return 0."""
        return 0.0


@pytest.fixture
def tables() -> dict[str, list[tuple[str, ...]]]:
    """Return the tables that there are."""
    return {"t": [("id", "INTEGER")], "other": [("id", "INTEGER")]}


def put(number: int, **condition: Any) -> ts.PutRowItem:
    """Return the write of one row."""
    return ts.PutRowItem(ts.Row([("id", number)], [("n", number)]), ts.Condition(**condition) if condition else None)


def increment(number: int) -> ts.UpdateRowItem:
    """Return an increment of one row."""
    return ts.UpdateRowItem(ts.Row([("id", number)], {"INCREMENT": [("n", 1)]}), None)


def writing(*items: Any, other: tuple[Any, ...] = ()) -> ts.BatchWriteRowRequest:
    """Return a batch of writes to one or two tables."""
    request = ts.BatchWriteRowRequest()
    request.add(ts.TableInBatchWriteRowItem("t", list(items)))
    if other:
        request.add(ts.TableInBatchWriteRowItem("other", list(other)))
    return request


def reading(numbers: range) -> ts.BatchGetRowRequest:
    """Return a batch of reads of both tables."""
    request = ts.BatchGetRowRequest()
    for table in ("t", "other"):
        request.add(ts.TableInBatchGetRowItem(table, [[("id", n)] for n in numbers], None, None, 1))
    return request


def operations(emulator: Emulator) -> list[str]:
    """Return what was called, in order."""
    return [entry["operation"] for entry in emulator.log()]


def test_failed_writes_are_sent_again(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Rows that were refused for load are sent again until they are in, conditional ones and increments too."""
    client = connect(retry_policy=NoDelayRetryPolicy())
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.5, count=4, seed=3)
    mixed = [put(n) if n % 3 else increment(n) for n in range(50)]
    new = tuple(put(n, row_existence_expectation="EXPECT_NOT_EXIST") for n in range(50))
    response = client.batch_write_row(writing(*mixed, other=new))
    assert response.is_all_succeed()
    assert operations(emulator) == ["BatchWriteRow"] * 5
    assert [item.index for item in response.get_put_by_table("other")] == list(range(50))
    emulator.clear_faults()
    whole = client.batch_get_row(reading(range(50)))
    for table in ("t", "other"):
        found = {row.row.primary_key[0][1]: row.row.attribute_columns[0][1] for row in whole.get_result_by_table(table)}
        assert found == {n: n if n % 3 or table == "other" else 1 for n in range(50)}


def test_only_failed_rows_are_sent_again(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """The second request holds the failed rows only, in their order, and of their tables only."""
    sent: list[dict[str, list[int]]] = []
    client = connect(retry_policy=NoDelayRetryPolicy())
    encode = client.protocol.encoder.encode_request

    def watched(api_name: str, request: Any) -> Any:
        sent.append({t: [i.row.primary_key[0][1] for i in part.row_items] for t, part in request.items.items()})
        return encode(api_name, request)

    client.protocol.encoder.encode_request = watched
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.3, count=1, seed=1)
    assert client.batch_write_row(writing(*map(put, range(20)), other=(put(1),))).is_all_succeed()
    first, second = sent
    assert first == {"t": list(range(20)), "other": [1]}
    assert 0 < len(second["t"]) < 20
    assert second["t"] == sorted(second["t"])
    assert "other" not in second or second["other"] == [1]


def test_failed_reads_are_sent_again_and_merged_in_order(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Reads come back in the order that they were asked for, whatever had failed meanwhile."""
    client = connect(retry_policy=NoDelayRetryPolicy())
    client.batch_write_row(writing(*map(put, range(40)), other=tuple(map(put, range(40)))))
    emulator.fault(operation="BatchGetRow", kind="rows", code="OTSTimeout", rate=0.5, count=3, seed=5)
    response = client.batch_get_row(reading(range(40)))
    assert response.is_all_succeed()
    for table in ("t", "other"):
        rows = response.get_result_by_table(table)
        assert [row.row.primary_key for row in rows] == [[("id", n)] for n in range(40)]


def test_writes_that_may_have_happened_follow_the_policy(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A row that may have been written is sent again by ``WriteRetryPolicy`` if that is safe, else it stays failed."""
    batch = writing(put(1), increment(2), put(3, row_existence_expectation="EXPECT_NOT_EXIST"))
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", count=1)
    response = connect(retry_policy=NoDelayRetryPolicy()).batch_write_row(batch)
    assert len(emulator.log()) == 1
    assert len(response.get_failed_of_put()) == 2
    emulator.clear_faults()
    emulator.clear_log()
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", count=1)
    response = connect(retry_policy=FastWriteRetryPolicy()).batch_write_row(batch)
    assert len(emulator.log()) == 2
    assert [item.index for item in response.get_succeed_of_put()] == [0]
    assert [(item.index, item.error_code) for item in response.get_failed_of_put()] == [(2, "OTSTimeout")]
    assert [item.error_code for item in response.get_failed_of_update()] == ["OTSTimeout"]
    assert all(item.may_have_happened for item in response.get_failed_of_update())


def test_what_is_final_is_not_sent_again(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A failed condition stays in the result; nothing is sent again for it."""
    response = connect().batch_write_row(writing(put(1), put(2, row_existence_expectation="EXPECT_EXIST")))
    failed = response.get_failed_of_put()
    assert [(item.error_code, item.may_have_happened) for item in failed] == [("OTSConditionCheckFail", False)]
    assert len(emulator.log()) == 1


def test_the_policy_bounds_the_retries(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """When no retry is left, the result holds the rows that still fail, and no error is raised."""
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy")
    events: list[RetryEvent] = []

    class Twice(DefaultRetryPolicy):
        def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
            return 0.0

    response = connect(retry_policy=Twice(2, on_retry=events.append)).batch_write_row(writing(put(1), put(2)))
    assert [item.error_code for item in response.get_failed_of_put()] == ["OTSServerBusy"] * 2
    assert len(emulator.log()) == 3
    assert [(event.operation, event.attempt, event.error.code) for event in events] == [
        ("BatchWriteRow", 1, "OTSServerBusy"),
        ("BatchWriteRow", 2, "OTSServerBusy"),
    ]
    emulator.clear_log()
    connect(retry_policy=NoRetryPolicy()).batch_write_row(writing(put(1)))
    assert len(emulator.log()) == 1


def test_retries_of_rows_and_of_requests_are_counted_together(
    emulator: Emulator, connect: Callable[..., OTSClient]
) -> None:
    """A policy's limit holds for the call, whether rows failed or the request did."""
    emulator.fault(operation="BatchWriteRow", kind="error", code="OTSServerBusy", status=503, count=2)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy")
    policy = NoDelayRetryPolicy(3)
    response = connect(retry_policy=policy).batch_write_row(writing(put(1)))
    assert len(response.get_failed_of_put()) == 1
    assert len(emulator.log()) == 4


def test_a_lost_second_response_is_reported_in_its_rows(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """If sending the failed rows again ends without an answer, they say that they may have been written."""
    client = connect(retry_policy=NoDelayRetryPolicy())
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.5, count=1, seed=1)
    state = {"sent": 0}
    encode = client.protocol.encoder.encode_request

    def watched(api_name: str, request: Any) -> Any:
        state["sent"] += 1
        if state["sent"] == 2:
            emulator.fault(operation="BatchWriteRow", kind="reset_after")
        return encode(api_name, request)

    client.protocol.encoder.encode_request = watched
    response = client.batch_write_row(writing(*map(put, range(10))))
    failed = response.get_failed_of_put()
    assert 0 < len(failed) < 10
    assert {item.error_code for item in failed} == {"ResponseLost"}
    assert all(item.may_have_happened and "may have happened" in item.error_message for item in failed)


@pytest.mark.parametrize("first", ["rows", "reset_after"])
def test_what_was_uncertain_once_stays_uncertain(
    emulator: Emulator, connect: Callable[..., OTSClient], first: str
) -> None:
    """A row that may have been written, was sent again and is then refused for load may still have been written."""
    code = {"code": "OTSTimeout"} if first == "rows" else {}
    emulator.fault(operation="BatchWriteRow", kind=first, count=1, **code)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", count=1)
    response = connect(retry_policy=FastWriteRetryPolicy(1)).batch_write_row(writing(put(1)))
    failed = [(item.error_code, item.may_have_happened) for item in response.get_failed_of_put()]
    assert failed == [("OTSServerBusy", True)]
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", count=1)
    response = connect(retry_policy=NoRetryPolicy()).batch_write_row(writing(put(2)))
    assert [item.may_have_happened for item in response.get_failed_of_put()] == [False]


def test_a_request_is_not_changed(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """The caller's request holds all its rows after some of them were sent again."""
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.5, count=2, seed=2)
    items = [put(n) for n in range(10)]
    request = writing(*items)
    connect(retry_policy=NoDelayRetryPolicy()).batch_write_row(request)
    assert request.items["t"].row_items == items


def test_tokens_stay_with_their_rows() -> None:
    """The token of a partly read row goes with its key into the second request."""
    request = ts.BatchGetRowRequest()
    keys = [[("id", n)] for n in range(3)]
    request.add(ts.TableInBatchGetRowItem("t", keys, None, None, 1, token=[b"a", b"b", b"c"]))
    part = BatchState("BatchGetRow", request, {"t": []}).request_of([("t", 2), ("t", 0)])
    assert (part.items["t"].primary_keys, part.items["t"].token) == ([keys[0], keys[2]], [b"a", b"c"])


def test_a_response_of_other_rows_is_not_accepted() -> None:
    """An answer with too few rows, or of another table, is not a whole one."""
    request = writing(put(1), put(2))
    assert has_an_item_per_row({"t": [1, 2]}, request)
    assert not has_an_item_per_row({"t": [1]}, request)
    assert not has_an_item_per_row({"t": [1, 2], "other": []}, request)
    assert not has_an_item_per_row({}, request)
