"""Which writes are safe to repeat, and in which tables, read from the official SDK's own objects."""

from typing import Any

import pytest

from ots_config.request.idempotency import tables_to_check
from ots_config.sdk import tablestore as ts

KEY = [("gid", 1)]
AUTOMATIC_KEY = [("gid", 1), ("id", ts.PK_AUTO_INCR)]
IGNORE = ts.Condition("IGNORE")
EXPECT = ts.Condition("EXPECT_EXIST")
COLUMN = ts.Condition("IGNORE", ts.SingleColumnCondition("a", 1, ts.ComparatorType.EQUAL))
PUT = ts.Row(KEY, [("a", 1)])
AUTOMATIC = ts.Row(AUTOMATIC_KEY, [("a", 1)])
ALWAYS: frozenset[str] = frozenset()
IN_ONE_VERSION = frozenset({"t"})


def changes(key: Any = KEY, **columns: Any) -> ts.Row:
    """Return the changes of a row."""
    return ts.Row(key, columns)


CHANGES = [
    (changes(PUT=[("a", 1, 1700000000000)]), ALWAYS),
    (changes(PUT=[("a", 1)]), IN_ONE_VERSION),
    (changes(put=[("a", 1)]), IN_ONE_VERSION),
    (changes(PUT=[("a", 1, None)]), IN_ONE_VERSION),
    (changes(PUT=[("a", 1, 1700000000000), ("b", 1)]), IN_ONE_VERSION),
    (changes(DELETE_ALL=["a", ("b",)]), ALWAYS),
    (changes(DELETE=[("a", None, 1700000000000)]), ALWAYS),
    (changes(DELETE=["a"]), IN_ONE_VERSION),
    (changes(DELETE=[("a", None)]), IN_ONE_VERSION),
    (changes(PUT=[("a", 1, 1700000000000)], DELETE_ALL=["b"]), ALWAYS),
    (changes(PUT=[("a", 1)], DELETE_ALL=["a"]), IN_ONE_VERSION),
    (changes(INCREMENT=[("a", 1)]), None),
    (changes(increment=[("a", 1)]), None),
    (changes(PUT=[("b", 1, 1700000000000)], INCREMENT=[("a", 1)]), None),
    (changes(SOMETHING_NEW=[("a", 1)]), None),
    (changes(AUTOMATIC_KEY, PUT=[("a", 1, 1700000000000)]), None),
    (changes(AUTOMATIC_KEY, DELETE_ALL=["a"]), None),
]


@pytest.mark.parametrize(
    ("api_name", "arguments", "expected"),
    [
        ("PutRow", ("t", PUT, None, None, None), ALWAYS),
        ("PutRow", ("t", PUT, IGNORE, None, None), ALWAYS),
        ("PutRow", ("t", PUT, EXPECT, None, None), None),
        ("PutRow", ("t", PUT, COLUMN, None, None), None),
        ("PutRow", ("t", AUTOMATIC, IGNORE, None, None), None),
        ("DeleteRow", ("t", KEY, None, None, None), ALWAYS),
        ("DeleteRow", ("t", KEY, EXPECT, None, None), None),
        ("DeleteRow", ("t", AUTOMATIC_KEY, None, None, None), None),
        ("CreateTable", ("t",), None),
        ("StartLocalTransaction", ("t", KEY), None),
        ("SQLQuery", ("select 1",), None),
    ],
)
def test_single_rows(api_name: str, arguments: tuple[Any, ...], expected: frozenset[str] | None) -> None:
    """A row is safe without condition, increment and automatic key; nothing but rows is."""
    assert tables_to_check(api_name, arguments) == expected


@pytest.mark.parametrize(("row", "expected"), CHANGES)
def test_updates(row: ts.Row, expected: frozenset[str] | None) -> None:
    """An update is safe if each cell that it puts or deletes has a timestamp, or if the table keeps one version."""
    assert tables_to_check("UpdateRow", ("t", row, None, None, None)) == expected
    assert tables_to_check("UpdateRow", ("t", row, IGNORE, None, None)) == expected
    for condition in (EXPECT, COLUMN):
        assert tables_to_check("UpdateRow", ("t", row, condition, None, None)) is None
    assert tables_to_check("BatchWriteRow", batch(ts.UpdateRowItem(row, None))) == expected


def batch(*items: Any) -> tuple[Any]:
    """Return the arguments of a BatchWriteRow."""
    request = ts.BatchWriteRowRequest()
    request.add(ts.TableInBatchWriteRowItem("t", list(items)))
    return (request,)


def test_batches() -> None:
    """A batch is as safe as its least safe row, and names the tables that must keep one version."""
    named = changes(PUT=[("a", 1, 1700000000000)])
    safe = [ts.PutRowItem(PUT, IGNORE), ts.UpdateRowItem(named, IGNORE), ts.DeleteRowItem(ts.Row(KEY), IGNORE)]
    assert tables_to_check("BatchWriteRow", batch(*safe)) == ALWAYS
    for unsafe in (
        ts.PutRowItem(PUT, EXPECT),
        ts.PutRowItem(AUTOMATIC, IGNORE),
        ts.UpdateRowItem(changes(INCREMENT=[("a", 1)]), IGNORE),
        ts.DeleteRowItem(ts.Row(KEY), COLUMN),
    ):
        assert tables_to_check("BatchWriteRow", batch(*safe, unsafe)) is None
    (request,) = batch(*safe)
    for table in ("u", "v"):
        request.add(ts.TableInBatchWriteRowItem(table, [ts.UpdateRowItem(changes(PUT=[("a", 1)]), None)]))
    assert tables_to_check("BatchWriteRow", (request,)) == {"u", "v"}
