"""Batches, as the official client sees them: whose fault fails what."""

from typing import Any

import pytest
from tablestore import (
    BatchGetRowRequest,
    BatchWriteRowRequest,
    ComparatorType,
    Condition,
    DeleteRowItem,
    PutRowItem,
    ReturnType,
    Row,
    SingleColumnCondition,
    TableInBatchGetRowItem,
    TableInBatchWriteRowItem,
    UpdateRowItem,
)

from ots_config.sdk import tablestore

pb2 = tablestore.protobuf.table_store_pb2
ATOMIC = b"\x18\x01"


def key(a: Any, b: Any = "k") -> list[tuple[str, Any]]:
    """Return a key of the table."""
    return [("a", a), ("b", b)]


def put(a: Any, *columns: Any, b: Any = "k", expect: str = "IGNORE", **more: Any) -> Any:
    """Return a row to put into a batch."""
    return PutRowItem(Row(key(a, b), list(columns) or [("x", 1)]), Condition(expect), **more)


def update(a: Any, changes: Any, expect: str = "IGNORE") -> Any:
    """Return a row to update in a batch."""
    return UpdateRowItem(Row(key(a), changes), Condition(expect))


def delete(a: Any, expect: str = "IGNORE") -> Any:
    """Return a row to delete in a batch."""
    return DeleteRowItem(Row(key(a)), Condition(expect))


def write(client: Any, **tables: list[Any]) -> list[tuple[bool, str | None, str | None]]:
    """Send a batch and return how each row went, in order."""
    request = BatchWriteRowRequest()
    for name, items in tables.items():
        request.add(TableInBatchWriteRowItem(name, items))
    answers = client._request_helper("BatchWriteRow", request)
    return [(row.is_ok, row.error_code, row.error_message) for name in tables for row in answers[name]]


def read(client: Any, columns_to_get: Any = None, **tables: list[Any]) -> list[Any]:
    """Read rows and return each one's columns, None, or its error."""
    request = BatchGetRowRequest()
    for name, keys in tables.items():
        request.add(TableInBatchGetRowItem(name, keys, columns_to_get, max_version=1))
    response = client.batch_get_row(request)
    seen = []
    for name in tables:
        for item in response.get_result_by_table(name):
            if not item.is_ok:
                seen.append((item.error_code, item.error_message))
            else:
                row = item.row
                seen.append(None if row is None else {name: value for name, value, _ in row.attribute_columns})
    return seen


OK = (True, None, None)


def test_rows_of_several_tables(client: Any, table: str) -> None:
    """Puts, updates and deletions of two tables are done, and read back in the order asked for."""
    client.make_table("u", ("a", "INTEGER"), ("b", "STRING"))
    client.put(table, key(2), [("x", 1)])
    client.put("u", key(3), [("x", 1)])
    went = write(client, t=[put(1), delete(2)], u=[update(3, {"PUT": [("y", 2)]}), put(4)])
    assert went == [OK] * 4
    assert read(client, t=[key(1), key(2)], u=[key(4), key(3)]) == [
        {"x": 1},
        None,
        {"x": 1},
        {"x": 1, "y": 2},
    ]
    assert read(client, ["y"], u=[key(4), key(3)]) == [None, {"y": 2}]


def test_a_fault_of_one_row_is_its_own(client: Any, table: str) -> None:
    """A failed condition, a missing table, a key that does not fit: the other rows are written."""
    client.put(table, key(5), [("x", 0)])
    fails = "Condition check failed."
    went = write(
        client,
        t=[
            put(1),
            put(5, expect="EXPECT_NOT_EXIST"),
            delete(9, expect="EXPECT_EXIST"),
            PutRowItem(Row([("a", 1)], [("x", 1)]), Condition("IGNORE")),
            PutRowItem(Row([("a", 1), ("c", "k")], [("x", 1)]), Condition("IGNORE")),
            put("text"),
            put(2),
        ],
        none=[put(3)],
    )
    assert went == [
        OK,
        (False, "OTSConditionCheckFail", fails),
        (False, "OTSConditionCheckFail", fails),
        (False, "OTSInvalidPK", "Validate PK size fail. Input: 1, Meta: 2."),
        (False, "OTSInvalidPK", "Validate PK name fail. Input: c, Meta: b."),
        (False, "OTSInvalidPK", "Validate PK type fail. Input: VT_STRING, Meta: VT_INTEGER."),
        OK,
        (False, "OTSObjectNotExist", "Requested table does not exist."),
    ]
    assert read(client, t=[key(1), key(2), key(5), [("a", 1)]], none=[key(1)]) == [
        {"x": 1},
        {"x": 1},
        {"x": 0},
        ("OTSInvalidPK", "Validate PK size fail. Input: 1, Meta: 2."),
        ("OTSObjectNotExist", "Requested table does not exist."),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        put(1, ("#", 1)),
        put(1, b="k" * 1025),
        update(1, {"PUT": []}),
        update(1, {"INCREMENT": [("text", 1)]}),
        put(1, ("x", 1, -1)),
    ],
)
def test_a_fault_of_the_request_fails_all_of_it(client: Any, table: str, refused: Any, bad: Any) -> None:
    """With one row that no row can be like, nothing is written, not even the rows before it."""
    client.put(table, key(1), [("text", "")])
    with refused("OTSParameterInvalid"):
        write(client, t=[put(7), bad, put(8)])
    assert read(client, t=[key(1), key(7), key(8)]) == [{"text": ""}, None, None]


def test_rows_apply_in_their_order(client: Any, table: str) -> None:
    """A later row of the batch meets what an earlier one left of the same key."""
    went = write(
        client,
        t=[
            put(1, expect="EXPECT_NOT_EXIST"),
            update(1, {"INCREMENT": [("x", 1)]}, expect="EXPECT_EXIST"),
            put(1, expect="EXPECT_NOT_EXIST"),
            delete(2, expect="EXPECT_EXIST"),
        ],
    )
    assert [row[0] for row in went] == [True, True, False, False]
    assert client.columns(table, key(1)) == {"x": 2}


def test_empty_batches_are_refused(client: Any, table: str, refused: Any) -> None:
    """No table is a fault of the request, a table without rows only when writing."""
    with refused("OTSParameterInvalid", "No row is specified in BatchWriteRow."):
        client.batch_write_row(BatchWriteRowRequest())
    with refused("OTSParameterInvalid", f"No operation is specified for table: '{table}'."):
        write(client, t=[])
    with refused("OTSParameterInvalid", "No row specified in the request of BatchGetRow."):
        client.batch_get_row(BatchGetRowRequest())
    assert read(client, t=[]) == []


def test_batches_have_a_limit_of_rows(client: Any, table: str, refused: Any) -> None:
    """200 rows are written and 100 read, one more is not."""
    assert write(client, t=[put(number) for number in range(200)]) == [OK] * 200
    with refused("OTSParameterInvalid", "Rows count exceeds the upper limit: 200."):
        write(client, t=[put(number) for number in range(201)])
    assert read(client, t=[key(number) for number in range(100)]) == [{"x": 1}] * 100
    with refused("OTSParameterInvalid", "Rows count exceeds the upper limit: 100."):
        read(client, t=[key(number) for number in range(101)])
    with refused("OTSParameterInvalid", "Rows count exceeds the upper limit: 200."):
        write(client, t=[put(number) for number in range(100)], u=[put(number) for number in range(101)])
    assert client.columns(table, key(200)) is None


def test_batches_have_no_more_tables_than_rows(client: Any, refused: Any) -> None:
    """Tables without rows cannot make a request of a few bytes each into work for many seconds."""
    message = pb2.BatchGetRowRequest()
    for number in range(101):
        message.tables.add(table_name=f"t{number}", max_versions=1)
    with refused("OTSParameterInvalid", "Rows count exceeds the upper limit: 100."):
        client.send("BatchGetRow", message.SerializeToString())
    del message.tables[100]
    client.send("BatchGetRow", message.SerializeToString())


@pytest.mark.usefixtures("table")
def test_a_batch_has_at_most_4_megabytes(client: Any, refused: Any) -> None:
    """The data of all rows together is limited."""
    overhead = 8 + 1 + 1 + 1 + 1 + 8  # the key, the name of the column, and the version of its cell
    half = [("x", "v" * (2_097_152 - overhead))]
    assert write(client, t=[put(1, *half), put(2, *half)]) == [OK, OK]
    message = "The total data size of BatchWriteRow request exceeds the limit, limit size: 4194304, data size: 4194305."
    with refused("OTSParameterInvalid", message):
        write(client, t=[put(1, *half), put(2, ("x", half[0][1] + "v"))])


def test_a_table_stands_in_a_batch_once(client: Any, table: str, refused: Any) -> None:
    """A second entry for a table is refused."""
    message = pb2.BatchGetRowRequest()
    for _ in range(2):
        item = message.tables.add(table_name=table, max_versions=1)
        item.primary_key.append(
            client.encoded("GetRow", table, key(1), None, None, 1, None, None, None, None, None).primary_key
        )
    with refused("OTSParameterInvalid", "Duplicated table name: 't'."):
        client.send("BatchGetRow", message.SerializeToString())


def test_reads_of_a_batch_say_which_versions(client: Any, table: str, refused: Any) -> None:
    """A batch without versions is refused in words of its own."""
    request = BatchGetRowRequest()
    request.add(TableInBatchGetRowItem(table, [key(1)]))
    request.items[table].max_version = None
    with refused("OTSParameterInvalid", "No version condition is specified while querying row."):
        client.batch_get_row(request)


def test_filters_and_units_count_per_row(client: Any, table: str) -> None:
    """A filtered row is an empty one that was paid for; each row has its own units."""
    client.put(table, key(1), [("x", "v" * 5000)])
    client.put(table, key(2), [("x", "w")])
    request = BatchGetRowRequest()
    request.add(
        TableInBatchGetRowItem(
            table,
            [key(1), key(2), key(3)],
            column_filter=SingleColumnCondition("x", "w", ComparatorType.EQUAL),
            max_version=1,
        )
    )
    items = client.batch_get_row(request).get_result_by_table(table)
    assert [item.row is None for item in items] == [True, False, True]
    assert [item.consumed.read for item in items] == [2, 1, 1]


def test_a_batch_returns_keys_if_asked_to(client: Any) -> None:
    """RT_PK in a batch returns the key that the service made."""
    client.make_table("t", ("a", "INTEGER"), ("b", "INTEGER", tablestore.PK_AUTO_INCR))
    request = BatchWriteRowRequest()
    rows = [put(1, b=tablestore.PK_AUTO_INCR, return_type=ReturnType.RT_PK) for _ in range(2)]
    request.add(TableInBatchWriteRowItem("t", rows))
    made = [item.row.primary_key[1][1] for item in client.batch_write_row(request).get_put()[0]]
    assert made[0] < made[1]


@pytest.mark.usefixtures("table")
def test_an_atomic_batch_is_all_or_nothing(client: Any) -> None:
    """With is_atomic, one row that fails fails all; without a failure all are written."""
    client.suffix = ATOMIC
    assert write(client, t=[put(1, b="x"), put(1, b="y")]) == [OK, OK]
    went = write(client, t=[put(1, b="z"), put(1, b="x", expect="EXPECT_NOT_EXIST")])
    assert went == [(False, "OTSConditionCheckFail", "Condition check failed.")] * 2
    went = write(client, t=[put(0), put(1)])
    scope = "Data out of scope of atomic. Atomic PartKey:0. Data PartKey:1"
    assert went == [(False, "OTSDataOutOfRange", scope)] * 2
    client.suffix = b""
    assert read(client, t=[key(1, "x"), key(1, "y"), key(1, "z"), key(0)]) == [{"x": 1}, {"x": 1}, None, None]


@pytest.mark.usefixtures("table")
def test_row_faults_fail_just_their_rows(client: Any) -> None:
    """A fault that is asked for hits its row of a batch: the others are done, that one is not."""
    faults = iter([None, ("OTSServerBusy", "Server is busy."), None])
    client.row_fault = lambda: next(faults)
    assert write(client, t=[put(1), put(2), put(3)]) == [OK, (False, "OTSServerBusy", "Server is busy."), OK]
    client.row_fault = None
    assert read(client, t=[key(1), key(2), key(3)]) == [{"x": 1}, None, {"x": 1}]
    faults = iter([("OTSTimeout", "Operation timeout."), None])
    client.row_fault = lambda: next(faults)
    assert read(client, t=[key(1), key(3)]) == [("OTSTimeout", "Operation timeout."), {"x": 1}]
