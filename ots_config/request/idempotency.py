"""Whether sending a write twice has the effect of sending it once, read from the SDK's own objects.

A PutRow or DeleteRow without a condition is safe, an UpdateRow without condition and increment, and a batch of such
rows. Not safe are automatic keys (each sending makes a row), increments (each adds) and conditions (the second
sending would fail on what the first did).
"""

from __future__ import annotations

from typing import Any


def is_repeatable(api_name: str, arguments: tuple[Any, ...]) -> bool:
    """Return whether a row operation is safe to repeat.

    Args:
        api_name: The operation.
        arguments: What the SDK's method passes to its encoder.
    """
    match api_name, arguments:
        case "PutRow", (_, row, condition, *_):
            return _unconditional(condition) and not _has_automatic_key(row.primary_key)
        case "UpdateRow", (_, row, condition, *_):
            return _unconditional(condition) and not _increments(row.attribute_columns)
        case "DeleteRow", (_, _, condition, *_):
            return _unconditional(condition)
        case "BatchWriteRow", (request, *_):
            return all(is_item_repeatable(item) for table in request.items.values() for item in table.row_items)
        case _:
            return False


def is_item_repeatable(item: Any) -> bool:
    """Return whether one row of a BatchWriteRow is safe to repeat."""
    if not _unconditional(item.condition):
        return False
    columns = item.row.attribute_columns
    if isinstance(columns, dict):
        return not _increments(columns)
    return not _has_automatic_key(item.row.primary_key)


def _unconditional(condition: Any) -> bool:
    # The attributes, not their getters: in tablestore 6.3.8 get_column_condition() always returns None.
    return condition is None or (condition.row_existence_expectation == "IGNORE" and condition.column_condition is None)


def _has_automatic_key(primary_key: Any) -> bool:
    # The SDK's marker is the class PK_AUTO_INCR itself; known by name, as only the client knows the SDK.
    names = [getattr(column[1], "__name__", "") for column in primary_key]
    return "PK_AUTO_INCR" in names


def _increments(columns: Any) -> bool:
    return any(kind.upper() == "INCREMENT" for kind in columns)
