"""Which writes are safe to repeat, read from the official SDK's own objects."""

from typing import Any

import pytest

from ots_config.request.idempotency import is_repeatable
from ots_config.sdk import tablestore as ts

KEY = [("gid", 1)]
IGNORE = ts.Condition("IGNORE")
EXPECT = ts.Condition("EXPECT_EXIST")
COLUMN = ts.Condition("IGNORE", ts.SingleColumnCondition("a", 1, ts.ComparatorType.EQUAL))
PUT = ts.Row(KEY, [("a", 1)])
UPDATE = ts.Row(KEY, {"PUT": [("a", 1)], "DELETE_ALL": ["b"]})
INCREMENT = ts.Row(KEY, {"increment": [("a", 1)]})
AUTOMATIC = ts.Row([("gid", 1), ("id", ts.PK_AUTO_INCR)], [("a", 1)])


@pytest.mark.parametrize(
    ("api_name", "arguments", "expected"),
    [
        ("PutRow", ("t", PUT, None, None, None), True),
        ("PutRow", ("t", PUT, IGNORE, None, None), True),
        ("PutRow", ("t", PUT, EXPECT, None, None), False),
        ("PutRow", ("t", PUT, COLUMN, None, None), False),
        ("PutRow", ("t", AUTOMATIC, IGNORE, None, None), False),
        ("UpdateRow", ("t", UPDATE, IGNORE, None, None), True),
        ("UpdateRow", ("t", UPDATE, EXPECT, None, None), False),
        ("UpdateRow", ("t", INCREMENT, IGNORE, None, None), False),
        ("DeleteRow", ("t", KEY, None, None, None), True),
        ("DeleteRow", ("t", KEY, EXPECT, None, None), False),
        ("CreateTable", ("t",), False),
        ("StartLocalTransaction", ("t", KEY), False),
        ("SQLQuery", ("select 1",), False),
    ],
)
def test_single_rows(api_name: str, arguments: tuple[Any, ...], expected: bool) -> None:
    """A row is safe without condition, increment and automatic key; nothing but rows is."""
    assert is_repeatable(api_name, arguments) is expected


def batch(*items: Any) -> tuple[Any]:
    """Return the arguments of a BatchWriteRow."""
    request = ts.BatchWriteRowRequest()
    request.add(ts.TableInBatchWriteRowItem("t", list(items)))
    return (request,)


def test_batches() -> None:
    """A batch is as safe as its least safe row."""
    safe = [ts.PutRowItem(PUT, IGNORE), ts.UpdateRowItem(UPDATE, IGNORE), ts.DeleteRowItem(ts.Row(KEY), IGNORE)]
    assert is_repeatable("BatchWriteRow", batch(*safe))
    for unsafe in (
        ts.PutRowItem(PUT, EXPECT),
        ts.PutRowItem(AUTOMATIC, IGNORE),
        ts.UpdateRowItem(INCREMENT, IGNORE),
        ts.DeleteRowItem(ts.Row(KEY), COLUMN),
    ):
        assert not is_repeatable("BatchWriteRow", batch(*safe, unsafe))
