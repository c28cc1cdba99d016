"""The SDK's codec in C++, which exists for CPython 3.12 on Linux x86-64 only, where it is faster than ours and right.

It ends the process when it gets something else than a list as a primary key, and some other arguments it takes for
something that they are not. So a request is given to it only if all its parts are exactly of the types that they
should be; for whatever else, and for whatever it refuses, a function here returns None, and the caller encodes or
decodes in Python. What it encodes has the bytes that Python's encoder writes, names that are not ASCII included.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ots_config import sdk
from ots_config.sdk import tablestore

native: Any = sdk.native

_CONDITIONS = frozenset({"IGNORE", "EXPECT_EXIST", "EXPECT_NOT_EXIST"})
_RETURN_TYPES = frozenset({None, "RT_NONE", "RT_PK"})
_TUPLE = frozenset({tuple})
_TEXT_OR_NONE = (str, type(None))

is_available = native is not None
_encode_put_row: Any = native.encode_put_row if native is not None else None


def put_row(table: Any, row: Any, condition: Any, return_type: Any, transaction_id: Any) -> bytes | None:
    """Encode a PutRow, or return None."""
    try:
        if _is_write(table, row, condition, return_type, transaction_id) and _is_put(row):
            return bytes(native.encode_put_row(table, row, condition, return_type, transaction_id))
    except Exception:  # noqa: BLE001, S110 - Python's encoder raises the error
        pass
    return None


def update_row(table: Any, row: Any, condition: Any, return_type: Any, transaction_id: Any) -> bytes | None:
    """Encode an UpdateRow, or return None."""
    try:
        if _is_write(table, row, condition, return_type, transaction_id) and _is_update(row):
            return bytes(native.encode_update_row(table, row, condition, return_type, transaction_id))
    except Exception:  # noqa: BLE001, S110 - as above
        pass
    return None


def put_item(row: Any) -> bytes | None:
    """Encode a row of a BatchWriteRow that puts a row without a condition, or return None.

    A bulk write calls it for each row, so it is one function.
    """
    try:
        key, columns = row.primary_key, row.attribute_columns
        if type(key) is not list or type(columns) is not list or type(row) is not tablestore.Row:
            return None
        if not _are_cells(key + columns):
            return None
        return b"\x08\x01" + bytes(_encode_put_row("", row)[2:])  # it differs from a PutRow in the first field
    except Exception:  # noqa: BLE001 - as above
        return None


def batch_write_row(request: Any) -> bytes | None:
    """Encode a BatchWriteRow, or return None."""
    try:
        if type(request) is tablestore.BatchWriteRowRequest and type(request.transaction_id) in _TEXT_OR_NONE:
            for name, part in request.items.items():
                if type(name) is not str or name != part.table_name or type(part.row_items) is not list:
                    return None
                if not all(map(_is_item, part.row_items)):
                    return None
            return bytes(native.encode_batch_write_row(request))
    except Exception:  # noqa: BLE001, S110 - as above
        pass
    return None


def batch_get_row(request: Any) -> bytes | None:
    """Encode a BatchGetRow without a filter and without ends of columns, or return None."""
    try:
        if type(request) is tablestore.BatchGetRowRequest:
            for name, part in request.items.items():
                if type(name) is not str or name != part.table_name or not _is_plain_read(part):
                    return None
            return bytes(native.encode_batch_get_row(request))
    except Exception:  # noqa: BLE001, S110 - as above
        pass
    return None


def decode_batch_get_row(body: bytes) -> Any:
    """Decode the response of a BatchGetRow, or return None.

    A cell without a timestamp would get one; the service sends none.
    """
    try:
        tables = native.decode_batch_get_row(body)
        for items in tables.values():
            for item in items:
                if item.is_ok and item.row is not None and not all(column[2] for column in item.row.attribute_columns):
                    return None
    except Exception:  # noqa: BLE001 - as above
        return None
    return tables


def decode_batch_write_row(body: bytes) -> Any:
    """Decode the response of a BatchWriteRow, or return None."""
    try:
        return native.decode_batch_write_row(body)
    except Exception:  # noqa: BLE001 - as above
        return None


def _is_write(table: Any, row: Any, condition: Any, return_type: Any, transaction_id: Any) -> bool:
    return (
        type(table) is str
        and type(row) is tablestore.Row
        and (condition is None or _is_plain_condition(condition))
        and type(return_type) in _TEXT_OR_NONE
        and return_type in _RETURN_TYPES
        and type(transaction_id) in _TEXT_OR_NONE
    )


def _is_plain_condition(condition: Any) -> bool:
    expectation = condition.row_existence_expectation
    return (
        type(condition) is tablestore.Condition
        and condition.column_condition is None
        and type(expectation) is str
        and expectation in _CONDITIONS
    )


def _is_item(item: Any) -> bool:
    kind, row = type(item), item.row
    if kind not in _TYPE_OF or item.type != _TYPE_OF[kind]:
        return False
    if item.condition is None and item.return_type is None:
        if type(row) is not tablestore.Row:
            return False
    elif not _is_write("", row, item.condition, item.return_type, None):
        return False
    if kind is tablestore.PutRowItem:
        return _is_put(row)
    return _is_update(row) if kind is tablestore.UpdateRowItem else _are_keys([row.primary_key])


_TYPE_OF: dict[Any, Any] = {
    tablestore.PutRowItem: tablestore.BatchWriteRowType.PUT,
    tablestore.UpdateRowItem: tablestore.BatchWriteRowType.UPDATE,
    tablestore.DeleteRowItem: tablestore.BatchWriteRowType.DELETE,
}


def _is_put(row: Any) -> bool:
    key, columns = row.primary_key, row.attribute_columns
    return type(key) is list and type(columns) is list and _are_cells(key + columns)


def _is_update(row: Any) -> bool:
    changes = row.attribute_columns
    return (
        _are_keys([row.primary_key])
        and type(changes) is dict
        and all(type(columns) is list and columns and _is_change(kind, columns) for kind, columns in changes.items())
    )


def _is_change(kind: Any, columns: list[Any]) -> bool:
    """Return whether columns are put, or deleted with all versions; other changes it encodes differently."""
    return (kind == "PUT" and _are_cells(columns)) or (kind == "DELETE_ALL" and _is_list_of(str, columns))


def _are_cells(columns: list[Any]) -> bool:
    """Return whether columns are tuples of a name and a value, and perhaps a plain timestamp."""
    if not _TUPLE.issuperset(map(type, columns)):
        return False
    try:
        dict(columns)  # the fastest way to see that all have two parts, of which the first can be a name
    except (TypeError, ValueError):
        return all(map(_is_cell, columns))
    return True


def _is_cell(column: Any) -> bool:
    if len(column) == 3 and type(column[2]) is not int and column[2] is not None:
        return False
    return 2 <= len(column) <= 3 and isinstance(column[0], str | bytes)


def _are_keys(keys: Any) -> bool:
    return type(keys) is list and all(type(key) is list and _are_cells(key) for key in keys)


def _is_plain_read(part: Any) -> bool:
    return (
        _are_keys(part.primary_keys)
        and (part.columns_to_get is None or _is_list_of(str, part.columns_to_get))
        and part.column_filter is None
        and type(part.max_version) in (int, type(None))
        and part.time_range is None
        and part.start_column is None
        and part.end_column is None
        and part.token is None
    )


def _is_list_of(kind: type, values: Any) -> bool:
    found: Iterable[type] = map(type, values) if type(values) is list else (object,)
    return frozenset({kind}).issuperset(found)
