"""Checks of names, keys, sizes and counts before any row is read, each with the service's message."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite, isnan
from typing import Any

from ots_config.emulator.tablestore.errors import TablestoreError, invalid
from ots_config.emulator.tablestore.model import Table
from ots_config.emulator.tablestore.sorted_keys import ABOVE, Key, NamedKey
from ots_config.emulator.tablestore.wire import text
from ots_config.plainbuffer import Cell, Marker, value_size

MAX_KEY_COLUMNS = 4
MAX_KEY_VALUE = 1024
MAX_ATTRIBUTE_VALUE = 2_097_152
MAX_COLUMNS = 1024
MAX_REQUEST_DATA = 4_194_304
MAX_NAME = 255

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")

_VARIANTS: dict[object, str] = {
    int: "VT_INTEGER",
    float: "VT_DOUBLE",
    bool: "VT_BOOLEAN",
    str: "VT_STRING",
    bytes: "VT_BLOB",
    type(None): "VT_NULL",
    Marker.INF_MIN: "VT_INF_MIN",
    Marker.INF_MAX: "VT_INF_MAX",
    Marker.AUTO_INCREMENT: "VT_AUTO_INCREMENT",
}


def variant(value: object) -> str:
    """Return the service's name for the type of a value."""
    return _VARIANTS[value if isinstance(value, Marker) else type(value)]


def table_name(name: Any) -> str:
    """Return the name of a table or an index if it is valid."""
    if type(name) is not str or not _NAME.fullmatch(name):
        raise invalid(f"Invalid table name: '{_shown(name)}'.")
    return name


def column_name(name: Any) -> str:
    """Return a column's name if it is valid: any text that is not too long and does not begin with #."""
    if type(name) is not str or not name or name[0] == "#" or len(name.encode()) > MAX_NAME:
        raise invalid(f"Invalid column name: '{_shown(name)}'.")
    return name


def _shown(name: Any) -> str:
    return name if type(name) is str else name.decode(errors="replace")


def columns_to_get(names: Sequence[Any]) -> list[str]:
    """Return the names of the columns that a read selects; each must be one that a column can have."""
    if len(names) > MAX_COLUMNS:
        raise invalid(
            "The number of columns from the request exceeds the limit, "
            f"limit count: {MAX_COLUMNS}, column count: {len(names)}."
        )
    return [column_name(text(name)) for name in names]


def key_columns(count: int) -> None:
    """Check the number of columns of a primary key, in a table's definition or a row."""
    if not 1 <= count <= MAX_KEY_COLUMNS:
        raise invalid(f"The number of primary key columns must be in range: [1, {MAX_KEY_COLUMNS}].")


def key_values(primary_key: NamedKey, *, bound: bool = False, increments: bool = False) -> None:
    """Check the number of a key's columns and their values, as far as they do not depend on the table.

    Args:
        primary_key: The names and values.
        bound: Whether it may contain INF_MIN and INF_MAX.
        increments: Whether it may contain AUTO_INCREMENT.
    """
    key_columns(len(primary_key))
    for name, value in primary_key:
        kind = type(value)
        if kind is int or kind is bool:
            continue
        if kind is str or kind is bytes:
            if len(value) > MAX_KEY_VALUE // 4 and value_size(value) > MAX_KEY_VALUE:
                raise invalid(
                    f"The length of primary key column: '{name}' exceeds "
                    f"the MaxLength:{MAX_KEY_VALUE} with CurrentLength:{value_size(value)}."
                )
        elif value is Marker.AUTO_INCREMENT and not increments:
            raise invalid("PKAutoIncr can't be used for read operations.")
        elif not (increments if value is Marker.AUTO_INCREMENT else bound and kind is Marker):
            raise invalid(f"{variant(value)} is an invalid type for the primary key.")


def key_of(table: Table, primary_key: NamedKey) -> Key:
    """Return a row's key if the number, names and types of its columns are those of the table.

    An auto-increment value that is not generated yet is the marker.
    """
    schema = table.schema
    if len(primary_key) != len(schema):
        raise TablestoreError("OTSInvalidPK", f"Validate PK size fail. Input: {len(primary_key)}, Meta: {len(schema)}.")
    for (name, _), meta in zip(primary_key, table.key_names, strict=True):
        if name != meta:
            raise TablestoreError("OTSInvalidPK", f"Validate PK name fail. Input: {name}, Meta: {meta}.")
    for (_, value), expected, column in zip(primary_key, table.key_types, schema, strict=True):
        if type(value) is not expected and not (type(value) is Marker and _marker_fits(value, column.increments)):
            raise _wrong_type(value, expected)
    return tuple([value for _, value in primary_key])


def partition_of(table: Table, primary_key: NamedKey) -> Any:
    """Return the value of a key of one column if that is the table's partition key."""
    (name, value), *_ = primary_key
    if name != table.key_names[0]:
        raise TablestoreError("OTSInvalidPK", f"Validate PK name fail. Input: {name}, Meta: {table.key_names[0]}.")
    if type(value) is not table.key_types[0]:
        raise _wrong_type(value, table.key_types[0])
    return value


def _wrong_type(value: object, expected: type) -> TablestoreError:
    if type(value) is bool:
        return invalid("VT_BOOLEAN is an invalid type for the primary key.")
    return TablestoreError(
        "OTSInvalidPK", f"Validate PK type fail. Input: {variant(value)}, Meta: {_VARIANTS[expected]}."
    )


def _marker_fits(value: Marker, increments: bool) -> bool:
    return value is not Marker.AUTO_INCREMENT or increments


def bound_of(table: Table, primary_key: NamedKey) -> Key:
    """Return one end of a range as a bound: cut off at INF_MIN, with `ABOVE` in place of INF_MAX."""
    bound: list[Any] = []
    for value in key_of(table, primary_key):
        if value is Marker.INF_MIN:
            break
        if value is Marker.INF_MAX:
            bound.append(ABOVE)
            break
        bound.append(value)
    return tuple(bound)


def attribute_length(name: str, value: Any) -> None:
    """Check the bytes of an attribute's value, in a row or a filter."""
    # A character has at most 4 bytes, so most values need not be measured.
    if len(value) > MAX_ATTRIBUTE_VALUE // 4 and value_size(value) > MAX_ATTRIBUTE_VALUE:
        raise invalid(
            f"The length of attribute column: '{name}' exceeds "
            f"the MaxLength:{MAX_ATTRIBUTE_VALUE} with CurrentLength:{value_size(value)}."
        )


def row_change(primary_key: NamedKey, cells: Sequence[Cell]) -> None:
    """Check the columns of a row to be written, as far as they do not depend on the table."""
    key_names = [name for name, _ in primary_key]
    value: Any
    for name, value, _, _ in cells:
        kind = type(value)
        if kind is str or kind is bytes:
            attribute_length(name, value)
        elif kind is float and not isfinite(value):
            raise invalid(f"{'NaN' if isnan(value) else 'Infinity'} can't be set to double value.")
        if not name or name[0] == "#" or len(name) > MAX_NAME // 4:
            column_name(name)
        if name in key_names:
            raise invalid(f"Duplicated attribute column name with primary key column: '{name}'.")
    if len(cells) > MAX_COLUMNS:
        raise invalid(
            "The number of attribute columns exceeds the limit, "
            f"limit count: {MAX_COLUMNS}, column count: {len(cells)}."
        )


def data_size(operation: str, size: int) -> None:
    """Check the bytes that one request writes."""
    if size > MAX_REQUEST_DATA:
        raise invalid(
            f"The total data size of {operation} request exceeds the limit, "
            f"limit size: {MAX_REQUEST_DATA}, data size: {size}."
        )


def row_count(count: int, limit: int) -> None:
    """Check the number of rows in a batch."""
    if count > limit:
        raise invalid(f"Rows count exceeds the upper limit: {limit}.")
