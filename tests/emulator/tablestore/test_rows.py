"""Operations on single rows, as the official client sees them."""

from typing import Any

import pytest
from tablestore import (
    INF_MAX,
    INF_MIN,
    PK_AUTO_INCR,
    ComparatorType,
    Condition,
    ReturnType,
    Row,
    RowExistenceExpectation,
    SingleColumnCondition,
    TableOptions,
)

from ots_config.sdk import tablestore

pb2 = tablestore.protobuf.table_store_pb2
KEY = [("a", 1), ("b", "k")]
IGNORE, EXIST, NOT_EXIST = (
    RowExistenceExpectation.IGNORE,
    RowExistenceExpectation.EXPECT_EXIST,
    RowExistenceExpectation.EXPECT_NOT_EXIST,
)


def units(consumed: Any) -> tuple[int, int]:
    """Return consumed capacity as (read, write)."""
    return consumed.read, consumed.write


def test_values_of_every_type_come_back(client: Any) -> None:
    """A row of every key and attribute type is read back as it was put, with its key and timestamps."""
    client.make_table("t", ("i", "INTEGER"), ("s", "STRING"), ("b", "BINARY"))
    key = [("i", -(1 << 63)), ("s", "表格存储 \U0001f600"), ("b", bytearray(b"\x00\xff"))]
    columns = [
        ("binary", bytearray(b"\x00")),
        ("double", -0.5),
        ("empty", ""),
        ("integer", (1 << 63) - 1),
        ("text", "中华人民共和国"),
        ("truth", True),
    ]
    consumed, none = client.put("t", key, columns)
    assert (units(consumed), none) == ((0, 1), None)
    consumed, row, token = client.get_row("t", key)
    assert (units(consumed), token) == ((1, 0), b"")
    assert row.primary_key == key
    assert row.attribute_columns == [(name, value, int(client.clock.now * 1000)) for name, value in columns]


def test_put_takes_the_place_of_the_whole_row(client: Any, table: str) -> None:
    """PutRow leaves no column of the row that was there; a row may have no attribute at all."""
    client.put(table, KEY, [("x", 1), ("y", 2)])
    client.put(table, KEY, [("z", 3)])
    assert client.columns(table, KEY) == {"z": 3}
    client.put(table, KEY)
    assert client.columns(table, KEY) == {}


def test_a_row_that_is_not_there(client: Any, table: str) -> None:
    """GetRow answers no row and consumes one unit; DeleteRow is content."""
    consumed, row, _ = client.get_row(table, KEY)
    assert (units(consumed), row) == ((1, 0), None)
    consumed, _ = client.delete_row(table, Row(KEY), None)
    assert units(consumed) == (0, 1)


def test_update_puts_deletes_and_increments(client: Any, table: str) -> None:
    """UpdateRow does each of its operations and leaves the other columns."""
    client.put(table, KEY, [("keep", 1), ("drop", 2), ("n", 40)])
    consumed, _ = client.update_row(
        table, Row(KEY, {"PUT": [("new", "v")], "DELETE_ALL": ["drop"], "INCREMENT": [("n", 2)]}), None
    )
    assert units(consumed) == (0, 1)
    assert client.columns(table, KEY) == {"keep": 1, "n": 42, "new": "v"}


def test_update_makes_a_row_unless_it_only_deletes(client: Any, table: str) -> None:
    """On an absent row a put or an increment makes it, deletions alone leave it absent."""
    client.update_row(table, Row(KEY, {"DELETE_ALL": ["x"]}), None)
    assert client.columns(table, KEY) is None
    client.update_row(table, Row(KEY, {"INCREMENT": [("x", 3)]}), None)
    assert client.columns(table, KEY) == {"x": 3}


def test_deleted_is_gone(client: Any, table: str) -> None:
    """A deleted row is not read; it can be put anew."""
    client.put(table, KEY, [("x", 1)])
    client.delete_row(table, Row(KEY), Condition(EXIST))
    assert client.columns(table, KEY) is None
    client.put(table, KEY, [("y", 1)])
    assert client.columns(table, KEY) == {"y": 1}


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
def test_existence_is_checked(make_client: Any, refused: Any, messages: str, absent: str, present: str) -> None:
    """Each of the three writes obeys what it expects of the row, and costs a read unit for it."""
    client = make_client(messages=messages)
    client.make_table("t", ("a", "INTEGER"), ("b", "STRING"))
    row = Row(KEY, [("x", 1)])
    change = Row(KEY, {"PUT": [("y", 1)]})
    for write in (
        lambda: client.put_row("t", row, Condition(EXIST)),
        lambda: client.update_row("t", change, Condition(EXIST)),
        lambda: client.delete_row("t", Row(KEY), Condition(EXIST)),
    ):
        with refused("OTSConditionCheckFail", absent, 403):
            write()
    assert client.columns("t", KEY) is None
    assert units(client.put_row("t", row, Condition(NOT_EXIST))[0]) == (1, 1)
    for write in (
        lambda: client.put_row("t", row, Condition(NOT_EXIST)),
        lambda: client.update_row("t", change, Condition(NOT_EXIST)),
    ):
        with refused("OTSConditionCheckFail", present, 403):
            write()
    assert client.columns("t", KEY) == {"x": 1}
    assert units(client.update_row("t", change, Condition(EXIST))[0]) == (1, 1)
    assert units(client.delete_row("t", Row(KEY), Condition(EXIST))[0]) == (1, 1)


def test_columns_are_checked(client: Any, table: str, refused: Any) -> None:
    """A column condition decides whether a row is written; on an absent row a missing column may pass."""
    condition = Condition(IGNORE, SingleColumnCondition("x", 1, ComparatorType.EQUAL, pass_if_missing=False))
    with refused("OTSConditionCheckFail", "Condition check failed.", 403):
        client.put_row(table, Row(KEY, [("x", 2)]), condition)
    client.put(table, KEY, [("x", 1)])
    assert units(client.put_row(table, Row(KEY, [("x", 2)]), condition)[0]) == (1, 1)
    with refused("OTSConditionCheckFail", "Condition check failed.", 403):
        client.delete_row(table, Row(KEY), condition)
    lenient = Condition(IGNORE, SingleColumnCondition("none", 1, ComparatorType.EQUAL, pass_if_missing=True))
    client.put_row(table, Row([("a", 2), ("b", "")], [("x", 2)]), lenient)
    assert client.columns(table, [("a", 2), ("b", "")]) == {"x": 2}


def test_a_read_selects_columns_and_filters(client: Any, table: str) -> None:
    """columns_to_get, a filter and a column range each narrow what GetRow answers."""
    client.put(table, KEY, [("x", 1), ("y", 2), ("z", 3)])
    assert client.columns(table, KEY, columns_to_get=["x", "z", "none"]) == {"x": 1, "z": 3}
    assert client.columns(table, KEY, columns_to_get=["none"]) is None
    assert client.columns(table, KEY, start_column="y", end_column="z") == {"y": 2}
    consumed, row, _ = client.get_row(table, KEY, column_filter=SingleColumnCondition("x", 5, ComparatorType.EQUAL))
    assert (units(consumed), row) == ((1, 0), None)
    assert client.columns(table, KEY, column_filter=SingleColumnCondition("x", 1, ComparatorType.EQUAL)) == {
        "x": 1,
        "y": 2,
        "z": 3,
    }


def test_versions_are_kept_and_read_as_asked(client: Any) -> None:
    """A table of three versions answers the newest, all, a range of time, or one version."""
    client.make_table("t", ("a", "INTEGER"), options=TableOptions(-1, 3))
    now = int(client.clock.now * 1000)
    for number in range(5):
        client.update_row("t", Row([("a", 1)], {"PUT": [("x", number, now + number)]}), None)
    key = [("a", 1)]

    def versions(**arguments: Any) -> list[tuple[Any, int]]:
        row = client.get_row("t", key, **arguments)[1]
        return [(value, timestamp - now) for _, value, timestamp in row.attribute_columns]

    assert versions() == [(4, 4)]
    assert versions(max_version=10) == [(4, 4), (3, 3), (2, 2)]
    assert versions(max_version=None, time_range=(now, now + 4)) == [(3, 3), (2, 2)]
    assert versions(max_version=None, time_range=now + 3) == [(3, 3)]
    assert versions(max_version=None, time_range=(0, 5)) == []
    client.update_row("t", Row(key, {"DELETE": [("x", None, now + 4)]}), None)
    assert versions(max_version=10) == [(3, 3), (2, 2)]


def test_columns_expire(client: Any) -> None:
    """What is older than the table's time to live is not read."""
    client.make_table("t", ("a", "INTEGER"), options=TableOptions(86_400))
    client.put("t", [("a", 1)], [("x", 1)])
    client.clock.now += 86_399
    client.update_row("t", Row([("a", 1)], {"PUT": [("y", 1)]}), None)
    assert client.columns("t", [("a", 1)]) == {"x": 1, "y": 1}
    client.clock.now += 2
    assert client.columns("t", [("a", 1)]) == {"y": 1}


def test_reads_say_which_versions(client: Any, table: str, refused: Any) -> None:
    """A read without versions, or with two ways to choose them, is refused."""
    with refused("OTSParameterInvalid", "No version condition is specified."):
        client.get_row(table, KEY, max_version=None)
    with refused("OTSParameterInvalid", "Specific tiemstamp and max versions cannot be given at the same time."):
        client.get_row(table, KEY, max_version=1, time_range=5)


def test_the_key_comes_back_if_asked_for(client: Any, table: str) -> None:
    """RT_PK returns the key with a put, an update and a delete."""
    for write in (
        lambda: client.put_row(table, Row(KEY, [("x", 1)]), return_type=ReturnType.RT_PK),
        lambda: client.update_row(table, Row(KEY, {"PUT": [("x", 1)]}), None, ReturnType.RT_PK),
        lambda: client.delete_row(table, Row(KEY), None, ReturnType.RT_PK),
    ):
        _, row = write()
        assert (row.primary_key, row.attribute_columns) == (KEY, [])


def test_the_columns_come_back_as_an_update_left_them(client: Any, table: str) -> None:
    """RT_AFTER_MODIFY returns the named columns with their new values."""
    client.put(table, KEY, [("n", 1), ("x", 1)])
    message = client.encoded("UpdateRow", table, Row(KEY, {"INCREMENT": [("n", 41)]}), None, None, None)
    message.return_content.return_type = pb2.RT_AFTER_MODIFY
    message.return_content.return_column_names.extend(["n"])
    body = client.send("UpdateRow", message.SerializeToString())
    (_, row), _ = client.protocol.decoder.decode_response("UpdateRow", body, "")
    assert row.attribute_columns == [("n", 42, int(client.clock.now * 1000))]


def test_the_service_makes_increasing_keys(client: Any, refused: Any) -> None:
    """AUTO_INCREMENT makes a larger value each time, even if the clock stands still or goes back, or rows go."""
    client.make_table("t", ("a", "STRING"), ("i", "INTEGER", PK_AUTO_INCR))
    made = []
    for step in (0, 0, 5, -100, 0):
        client.clock.now += step
        _, row = client.put("t", [("a", "p"), ("i", PK_AUTO_INCR)], [("x", 1)], return_type=ReturnType.RT_PK)
        made.append(row.primary_key[1][1])
        client.delete_row("t", Row(row.primary_key), None)
    assert made == sorted(set(made))
    _, none = client.put("t", [("a", "p"), ("i", PK_AUTO_INCR)], [("x", 2)])
    assert none is None
    (key,) = client.keys("t", [("a", "p"), ("i", INF_MIN)], [("a", "p"), ("i", INF_MAX)])
    assert key[1] > made[-1]
    client.update_row("t", Row([("a", "p"), ("i", key[1])], {"PUT": [("x", 3)]}), Condition(EXIST))
    assert client.columns("t", [("a", "p"), ("i", key[1])]) == {"x": 3}
    with refused("OTSParameterInvalid", "Can't set condition when modify row with pk auto increment."):
        client.put("t", [("a", "p"), ("i", PK_AUTO_INCR)], condition=Condition(NOT_EXIST))
    with refused("OTSInvalidPK", "Validate PK type fail. Input: VT_AUTO_INCREMENT, Meta: VT_STRING."):
        client.put("t", [("a", PK_AUTO_INCR), ("i", PK_AUTO_INCR)])
    with refused("OTSParameterInvalid", "PKAutoIncr can't be used for read operations."):
        client.get_row("t", [("a", "p"), ("i", PK_AUTO_INCR)])
    with refused("OTSParameterInvalid", "Invalid row to delete which with pk auto increment."):
        client.delete_row("t", Row([("a", "p"), ("i", PK_AUTO_INCR)]), None)


def test_large_rows_consume_more(client: Any, table: str) -> None:
    """Each 4 KB begun costs a unit, of key, names and values together."""
    size = 8 + 1 + 1 + 1 + 1  # a, b, their values, the column's name
    assert units(client.put(table, KEY, [("x", "v" * (4096 - size))])[0]) == (0, 1)
    assert units(client.put(table, KEY, [("x", "v" * (4097 - size))])[0]) == (0, 2)
    assert units(client.get_row(table, KEY)[0]) == (2, 0)
