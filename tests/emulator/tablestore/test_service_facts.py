"""What recordings and other SDKs' suites show of the service, one test for each fact of requests and rows."""

from typing import Any

import pytest
from tablestore import (
    INF_MAX,
    INF_MIN,
    BatchGetRowRequest,
    BatchWriteRowRequest,
    Condition,
    PutRowItem,
    Row,
    SingleColumnCondition,
    TableInBatchGetRowItem,
    TableInBatchWriteRowItem,
    TableOptions,
    UpdateRowItem,
)
from tablestore import ComparatorType as Comparator

from ots_config.emulator.tablestore import ranges
from ots_config.emulator.tablestore.protocol import filter_pb2, pb2
from ots_config.plainbuffer import OP_DELETE_ALL_VERSIONS, VT_BLOB, encode_row, encode_value

KEY = [("a", 1), ("b", "k")]
FIVE = [(f"k{number}", 1) for number in range(5)]
FIVE_KEYS = "The number of primary key columns must be in range: [1, 4]."


def key(values: Any, **marks: Any) -> bytes:
    """Return an encoded key."""
    return encode_row(values, bytes_as=VT_BLOB, **marks)


def get_row(name: str = "t", **fields: Any) -> bytes:
    """Return a GetRow of one row with more fields, encoded."""
    encoded: bytes = pb2.GetRowRequest(table_name=name, primary_key=key(KEY), **fields).SerializeToString()
    return encoded


def not_filter(*parts: Any) -> Any:
    """Return a NOT of filters as a message; only one part is valid."""
    composite = filter_pb2.CompositeColumnValueFilter(combinator=filter_pb2.LO_NOT, sub_filters=parts)
    return filter_pb2.Filter(type=filter_pb2.FT_COMPOSITE_COLUMN_VALUE, filter=composite.SerializeToString())


def compared(value: Any, column: str = "x") -> Any:
    """Return a comparison with a value as a message."""
    single = filter_pb2.SingleColumnValueFilter(
        comparator=filter_pb2.CT_EQUAL,
        column_name=column,
        column_value=encode_value(value, bytes_as=VT_BLOB),
        filter_if_missing=True,
        latest_version_only=True,
    )
    return filter_pb2.Filter(type=filter_pb2.FT_SINGLE_COLUMN_VALUE, filter=single.SerializeToString())


# --- accepted ---------------------------------------------------------------------------------------------


def test_a_table_without_rows_in_batch_get_row_is_accepted(client: Any, table: str) -> None:
    """BatchGetRow with a table and no rows succeeds, alone or beside full ones."""
    client.put(table, KEY, [("x", 1)])
    client.make_table("u", ("a", "INTEGER"))
    request = BatchGetRowRequest()
    request.add(TableInBatchGetRowItem("u", [], max_version=1))
    assert client.batch_get_row(request).get_result_by_table("u") == []
    request.add(TableInBatchGetRowItem(table, [KEY], max_version=1))
    reply = client.batch_get_row(request)
    assert reply.get_result_by_table("u") == []
    assert reply.get_result_by_table(table)[0].row.attribute_columns[0][:2] == ("x", 1)


def test_a_batch_get_row_without_tables_is_refused(client: Any, refused: Any) -> None:
    """Only a request without tables has no row to read."""
    with refused("OTSParameterInvalid", "No row specified in the request of BatchGetRow."):
        client.batch_get_row(BatchGetRowRequest())


# --- refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [["x"], ["n", "x"], ["y"]])
def test_returned_columns_must_be_incremented(client: Any, table: str, refused: Any, names: list[str]) -> None:
    """RT_AFTER_MODIFY for a column that the update does not increment is refused, and nothing is changed."""
    client.put(table, KEY, [("n", 1), ("x", 1)])
    change = client.encoded(
        "UpdateRow", table, Row(KEY, {"INCREMENT": [("n", 1)], "PUT": [("x", 2)]}), None, None, None
    )
    request = pb2.UpdateRowRequest.FromString(change.SerializeToString())
    request.return_content.return_type = pb2.RT_AFTER_MODIFY
    request.return_content.return_column_names.extend(names)
    with refused("OTSParameterInvalid"):
        client.send("UpdateRow", request.SerializeToString())
    assert client.columns(table, KEY) == {"n": 1, "x": 1}


def test_a_batch_write_counts_8_bytes_for_each_version(client: Any, table: str, refused: Any) -> None:
    """4 194 304 bytes with the versions of the cells are written, one more is refused."""
    fixed = 1 + 8 + 1 + 1 + 1 + 8  # the key's names and values, the column's name, the version

    def write(more: int) -> None:
        request = pb2.BatchWriteRowRequest()
        rows = request.tables.add(table_name=table).rows
        for number, length in ((1, 2_097_152 - fixed), (2, 2_097_152 - fixed + more)):
            row = encode_row([("a", number), ("b", "k")], [("x", "v" * length, None, None)], bytes_as=VT_BLOB)
            rows.add(type=pb2.PUT, row_change=row, condition=pb2.Condition(row_existence=pb2.IGNORE))
        client.send("BatchWriteRow", request.SerializeToString())

    write(0)
    message = "The total data size of BatchWriteRow request exceeds the limit, limit size: 4194304, data size: 4194305."
    with refused("OTSParameterInvalid", message):
        write(1)


def test_a_deleted_column_counts_its_version(client: Any, table: str, refused: Any) -> None:
    """Each cell of an update counts 8 bytes, whether it has a version or not."""
    half = 2_097_152
    puts = [("x", "v" * half, None, None), ("y", "v" * (half - 11 - 3 - 3 * 8), None, None)]

    def write(deleted: str) -> None:
        row = encode_row(KEY, [*puts, (deleted, None, None, OP_DELETE_ALL_VERSIONS)], bytes_as=VT_BLOB)
        request = pb2.UpdateRowRequest(
            table_name=table, row_change=row, condition=pb2.Condition(row_existence=pb2.IGNORE)
        )
        client.send("UpdateRow", request.SerializeToString())

    write("z")
    with refused("OTSParameterInvalid"):
        write("zz")


def test_a_page_counts_8_bytes_for_each_version(client: Any, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The 4 MB of a page are measured as those of a request; capacity units are of the rows without versions."""
    for number in range(4):
        client.put(table, [("a", number), ("b", "")], [("x", "v" * 989)])  # 10 of the key, 990, and 8 of the version
    bounds = ([("a", INF_MIN), ("b", INF_MIN)], [("a", INF_MAX), ("b", INF_MAX)])
    monkeypatch.setattr(ranges, "PAGE_BYTES", 3 * 1008)
    consumed, following, rows, _ = client.get_range(table, "FORWARD", *bounds)
    assert (len(rows), following) == (3, [("a", 3), ("b", "")])
    assert consumed.read == 1
    monkeypatch.setattr(ranges, "PAGE_BYTES", 3 * 1008 + 1)
    assert client.get_range(table, "FORWARD", *bounds)[1] is None


@pytest.mark.parametrize("name", ["#abc", "", "x" * 256, "公" * 86])
def test_names_in_columns_to_get_are_checked(client: Any, table: str, refused: Any, name: str) -> None:
    """A name that no column can have is refused by every read, before the missing version condition."""
    message = f"Invalid column name: '{name}'."
    with refused("OTSParameterInvalid", message):
        client.send("GetRow", get_row(columns_to_get=[name]))
    batch = pb2.BatchGetRowRequest()
    batch.tables.add(table_name=table, primary_key=[key(KEY)], columns_to_get=[name])
    with refused("OTSParameterInvalid", message):
        client.send("BatchGetRow", batch.SerializeToString())
    scan = pb2.GetRangeRequest(
        table_name=table,
        direction=pb2.FORWARD,
        columns_to_get=[name],
        inclusive_start_primary_key=key(KEY),
        exclusive_end_primary_key=key([("a", 2), ("b", "")]),
    )
    with refused("OTSParameterInvalid", message):
        client.send("GetRange", scan.SerializeToString())


def test_values_of_filters_have_at_most_2_megabytes(client: Any, table: str, refused: Any) -> None:
    """A filter's value is as long as an attribute's may be, in reads and in conditions."""
    message = "The length of attribute column: 'Column' exceeds the MaxLength:2097152 with CurrentLength:2097153."
    client.put(table, KEY, [("Column", "v")])
    longest, too_long = compared("v" * 2_097_152, "Column"), compared(b"v" * 2_097_153, "Column")
    client.send("GetRow", get_row(max_versions=1, filter=longest.SerializeToString()))
    with refused("OTSParameterInvalid", message):
        client.send("GetRow", get_row(max_versions=1, filter=too_long.SerializeToString()))
    condition = Condition("IGNORE", SingleColumnCondition("Column", "v" * 2_097_153, Comparator.EQUAL))
    with refused("OTSParameterInvalid", message):
        client.delete_row(table, Row(KEY), condition)


# --- words and order --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t", "none"])
@pytest.mark.usefixtures("table")
def test_five_key_columns_are_refused_with_and_without_a_table(client: Any, refused: Any, name: str) -> None:
    """The number of key columns of a row is checked before the table is looked up."""
    batch_get, batch_write = BatchGetRowRequest(), BatchWriteRowRequest()
    batch_get.add(TableInBatchGetRowItem(name, [FIVE], max_version=1))
    batch_write.add(TableInBatchWriteRowItem(name, [PutRowItem(Row(FIVE, [("x", 1)]), Condition("IGNORE"))]))
    for call in (
        lambda: client.put(name, FIVE, [("x", 1)]),
        lambda: client.update_row(name, Row(FIVE, {"PUT": [("x", 1)]}), None),
        lambda: client.delete_row(name, Row(FIVE), None),
        lambda: client.get_row(name, FIVE),
        lambda: client.get_range(name, "FORWARD", FIVE, FIVE),
        lambda: client.batch_get_row(batch_get),
        lambda: client.batch_write_row(batch_write),
    ):
        with refused("OTSParameterInvalid", FIVE_KEYS):
            call()


def test_too_many_filters_are_reported_first(client: Any, table: str, refused: Any) -> None:
    """The number of filters comes before an invalid NOT and before the missing version condition."""
    parts = [compared(number) for number in range(32)]
    message = "The count of filter exceeds the max: 32."
    for versions in ({}, {"max_versions": 1}):
        with refused("OTSParameterInvalid", message):
            client.send("GetRow", get_row(filter=not_filter(*parts).SerializeToString(), **versions))
    with refused("OTSParameterInvalid", "Invalid NOT operator: the number of sub-filters must be 1."):
        client.send("GetRow", get_row(table, filter=not_filter(*parts[:31]).SerializeToString(), max_versions=1))


def test_an_update_of_a_table_without_updates_is_refused(client: Any, refused: Any) -> None:
    """UpdateRow where allow_update is false has the service's words, and PutRow works."""
    client.make_table("t", ("a", "INTEGER"), options=TableOptions(allow_update=False))
    client.put("t", [("a", 1)], [("x", 1)])
    with refused("OTSParameterInvalid", "Update operation is not allowed in this table"):
        client.update_row("t", Row([("a", 1)], {"PUT": [("x", 2)]}), None)


@pytest.mark.usefixtures("table")
def test_an_atomic_batch_over_partitions_has_one_message(client: Any) -> None:
    """Every row gets the message of the first one that left the partition."""
    client.suffix = b"\x18\x01"
    request = BatchWriteRowRequest()
    rows = [Row([("a", number), ("b", "")], [("x", 1)]) for number in range(4)]
    request.add(TableInBatchWriteRowItem("t", [PutRowItem(row, Condition("IGNORE")) for row in rows]))
    _, failed = client.batch_write_row(request).get_put()
    message = "Data out of scope of atomic. Atomic PartKey:0. Data PartKey:1"
    assert [(row.error_code, row.error_message) for row in failed] == [("OTSDataOutOfRange", message)] * 4


@pytest.mark.parametrize("messages", ["docs", "2026"])
def test_an_update_without_cells_misses_its_column(make_client: Any, refused: Any, messages: str) -> None:
    """UpdateRow without cells has one message, and a BatchWriteRow with such a row another."""
    client = make_client(messages=messages)
    client.make_table("t", ("a", "INTEGER"))
    row = Row([("a", 1)], {"PUT": []})
    with refused("OTSParameterInvalid", "Attribute column is missing."):
        client.update_row("t", row, None)
    request = BatchWriteRowRequest()
    request.add(TableInBatchWriteRowItem("t", [UpdateRowItem(row, Condition("IGNORE"))]))
    with refused("OTSParameterInvalid", "Invalid update row request: missing cells in request."):
        client.batch_write_row(request)


@pytest.mark.parametrize(
    ("messages", "absent", "present"),
    [
        ("docs", "Condition check failed.", "Condition check failed."),
        (
            "2026",
            "Row does not exist which is expected existent",
            "Row exists which is expected nonexistent",
        ),
    ],
)
def test_the_words_of_conditions_are_of_one_set(
    make_client: Any, refused: Any, messages: str, absent: str, present: str
) -> None:
    """Alone and in a batch, a condition on a row's existence fails in the words of the chosen set."""
    client = make_client(messages=messages)
    client.make_table("t", ("a", "INTEGER"))
    client.put("t", [("a", 1)])
    for number, expected, words in ((2, "EXPECT_EXIST", absent), (1, "EXPECT_NOT_EXIST", present)):
        row = Row([("a", number)], [("x", 1)])
        with refused("OTSConditionCheckFail", words, 403):
            client.put_row("t", row, Condition(expected))
        request = BatchWriteRowRequest()
        request.add(TableInBatchWriteRowItem("t", [PutRowItem(row, Condition(expected))]))
        assert client.batch_write_row(request).get_put()[1][0].error_message == words


@pytest.mark.parametrize(
    ("value", "name"), [(float("nan"), "NaN"), (float("inf"), "Infinity"), (float("-inf"), "Infinity")]
)
def test_doubles_are_finite(client: Any, table: str, refused: Any, value: float, name: str) -> None:
    """NaN and infinity are no values of a column."""
    with refused("OTSParameterInvalid", f"{name} can't be set to double value."):
        client.put(table, KEY, [("x", value)])


def test_a_key_of_a_read_is_only_a_key(client: Any, table: str, refused: Any) -> None:
    """A row to read has no attributes and no delete marker."""
    for data, message in (
        (
            encode_row(KEY, [("x", 1, None, None)], bytes_as=VT_BLOB),
            "Attribute column cannot be given while reading data.",
        ),
        (key(KEY, deleted=True), "Delete marker cannot be given."),
    ):
        request = pb2.GetRowRequest(table_name=table, primary_key=data, max_versions=1)
        with refused("OTSParameterInvalid", message):
            client.send("GetRow", request.SerializeToString())


# --- the shape of responses -------------------------------------------------------------------------------


def test_a_missing_row_of_a_batch_has_no_row_field(client: Any, table: str) -> None:
    """BatchGetRow leaves the field away for a row that is not there, and for one that a filter excludes."""
    client.put(table, KEY, [("x", 1)])
    request = pb2.BatchGetRowRequest()
    absent = key([("a", 2), ("b", "")])
    request.tables.add(
        table_name=table,
        primary_key=[absent, key(KEY)],
        max_versions=1,
        filter=compared(2).SerializeToString(),
    )
    reply = pb2.BatchGetRowResponse.FromString(client.send("BatchGetRow", request.SerializeToString()))
    assert [(row.is_ok, row.HasField("row")) for row in reply.tables[0].rows] == [(True, False)] * 2
    del request.tables[0].primary_key[0]
    request.tables[0].ClearField("filter")
    reply = pb2.BatchGetRowResponse.FromString(client.send("BatchGetRow", request.SerializeToString()))
    assert reply.tables[0].rows[0].HasField("row")
