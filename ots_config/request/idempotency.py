"""Whether sending a write twice has the effect of sending it once, read from the SDK's own objects.

A PutRow or DeleteRow without a condition is safe, an UpdateRow without condition and increment, and a batch of such
rows. Not safe are automatic keys (each sending makes a row), increments (each adds) and conditions (the second
sending would fail on what the first did).

A cell that an UpdateRow puts without a timestamp gets the time of the server: each sending adds a version, and the
oldest one is lost. That is safe only where a table keeps one version, which the request does not tell. The same holds
for deleting one version without naming it; deleting a named one, or all, leaves nothing for a second sending to do.
"""

from __future__ import annotations

from enum import Enum
from typing import Any


class Repeatable(Enum):
    """Whether a row's write is safe to repeat."""

    NO = "no"
    IN_ONE_VERSION = "only in a table that keeps one version of each cell"
    YES = "yes"


def tables_to_check(api_name: str, arguments: tuple[Any, ...]) -> frozenset[str] | None:
    """Return the tables that must keep one version for an operation to be safe to repeat.

    Args:
        api_name: The operation.
        arguments: What the SDK's method passes to its encoder.

    Returns:
        Tables, none if it is safe whatever they keep; None if the operation is not safe to repeat.
    """
    match api_name, arguments:
        case "PutRow", (table, row, condition, *_):
            found = [(table, _row(row.primary_key, (), condition))]
        case "UpdateRow", (table, row, condition, *_):
            found = [(table, _row(row.primary_key, row.attribute_columns, condition))]
        case "DeleteRow", (table, primary_key, condition, *_):
            found = [(table, _row(primary_key, (), condition))]
        case "BatchWriteRow", (request, *_):
            found = [(name, item_repeatable(item)) for name, part in request.items.items() for item in part.row_items]
        case _:
            return None
    if any(repeatable is Repeatable.NO for _, repeatable in found):
        return None
    return frozenset(table for table, repeatable in found if repeatable is Repeatable.IN_ONE_VERSION)


def item_repeatable(item: Any) -> Repeatable:
    """Return whether one row of a BatchWriteRow is safe to repeat."""
    return _row(item.row.primary_key, item.row.attribute_columns, item.condition)


def _row(primary_key: Any, columns: Any, condition: Any) -> Repeatable:
    # The attributes, not their getters: in tablestore 6.3.8 get_column_condition() always returns None.
    if condition is not None and (
        condition.row_existence_expectation != "IGNORE" or condition.column_condition is not None
    ):
        return Repeatable.NO
    # The SDK's marker is the class PK_AUTO_INCR itself; known by name, as only the client knows the SDK.
    if any(getattr(column[1], "__name__", "") == "PK_AUTO_INCR" for column in primary_key):
        return Repeatable.NO
    return _changes(columns) if isinstance(columns, dict) else Repeatable.YES


def _changes(columns: dict[str, Any]) -> Repeatable:
    """Return whether the changes of an UpdateRow are safe to repeat."""
    repeatable = Repeatable.YES
    for kind, changes in columns.items():
        match kind.upper():
            case "DELETE_ALL":
                continue
            case "PUT" | "DELETE":
                if not all(_has_timestamp(change) for change in changes):
                    repeatable = Repeatable.IN_ONE_VERSION
            case _:  # an increment, or what only the service knows
                return Repeatable.NO
    return repeatable


def _has_timestamp(change: Any) -> bool:
    return not isinstance(change, str) and len(change) > 2 and change[2] is not None
