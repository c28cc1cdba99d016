"""The official codec with its row operations on this library's PlainBuffer: faster, and right in every name.

What is asked for and what is answered are the official SDK's own objects, and a request has the same bytes, except
where those are wrong: the official encoder counts the characters of a column's name in place of its bytes, and
refuses a row of several deleted versions because it reserves too little room. ``bytes`` are written as STRING, as
it does; BINARY is a ``bytearray``.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, TypeAlias

from ots_config.plainbuffer import (
    OP_DELETE_ALL_VERSIONS,
    OP_DELETE_ONE_VERSION,
    OP_INCREMENT,
    Cell,
    Marker,
    decode_row,
    decode_rows,
    encode_row,
)
from ots_config.sdk import pb2, tablestore

_Columns: TypeAlias = tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]

_official: Any = tablestore.plainbuffer.plain_buffer_builder.PlainBufferBuilder
_filter_pb2: Any = tablestore.protobuf.table_store_filter_pb2

_OPS = {"DELETE": OP_DELETE_ONE_VERSION, "DELETE_ALL": OP_DELETE_ALL_VERSIONS, "INCREMENT": OP_INCREMENT}
_DELETES = (OP_DELETE_ONE_VERSION, OP_DELETE_ALL_VERSIONS)
_KEY_TYPES = frozenset({int, str, bool, bytes, bytearray})
_MARKERS = {
    tablestore.INF_MIN: Marker.INF_MIN,
    tablestore.INF_MAX: Marker.INF_MAX,
    tablestore.PK_AUTO_INCR: Marker.AUTO_INCREMENT,
}
_OFFICIAL_MARKERS = {marker: official for official, marker in _MARKERS.items()}
_ODD = (TypeError, ValueError, LookupError, AttributeError)


# --- rows to bytes -------------------------------------------------------------------------------------------
# What is odd in a row is left to the official encoder, which refuses it in its own words.


def _key(primary_key: Any) -> list[tuple[str, Any]]:
    """Return the columns of a key in this library's terms."""
    if not isinstance(primary_key, list):
        raise TypeError
    return [(pk[0], pk[1] if type(pk[1]) in _KEY_TYPES else _key_value(pk[1])) for pk in primary_key]


def _key_value(value: Any) -> Any:
    """Return a key's value that is not of a plain type: of one derived from it, or a marker."""
    return value if isinstance(value, int | str | bytes | bytearray) else _MARKERS[value]


def _cells(columns: Any) -> list[Cell | tuple[Any, ...]]:
    """Return the cells of a row to put."""
    cells: list[Cell | tuple[Any, ...]] = []
    if not len(columns):  # noqa: PLC1802 - what has no length is refused
        return cells
    for column in columns:
        if len(column) == 2:
            (name, value), timestamp = column, None
        else:
            name, value, timestamp = column
        if value is None:
            raise TypeError
        cells.append((name, value, timestamp, None))
    return cells


def _changes(columns: Any) -> list[Cell | tuple[Any, ...]]:
    """Return the cells of a row to update."""
    cells: list[Cell | tuple[Any, ...]] = []
    for kind, changes in columns.items():
        op = _OPS.get(kind.upper())
        deletes = op in _DELETES
        if not isinstance(changes, list):
            raise TypeError
        for change in changes:
            if deletes and isinstance(change, str):
                cells.append((change, None, None, op))
                continue
            if not deletes and not isinstance(change, tuple):
                raise TypeError
            if len(change) == 2:
                (name, value), timestamp = change, None
            else:
                name, value, timestamp = change
            cells.append((name, value, timestamp, op))
    return cells


def encode_key(primary_key: Any) -> bytes:
    """Encode a key to read, or an end of a range."""
    try:
        return encode_row(_key(primary_key))
    except _ODD:
        return bytes(_official.serialize_primary_key(primary_key))


def encode_put(primary_key: Any, columns: Any) -> bytes:
    """Encode a row to put."""
    try:
        return encode_row(_key(primary_key), _cells(columns))
    except _ODD:
        return bytes(_official.serialize_for_put_row(primary_key, columns))


def encode_update(primary_key: Any, columns: Any) -> bytes:
    """Encode the changes to a row."""
    try:
        cells = _changes(columns)
        data = encode_row(_key(primary_key), cells)
    except _ODD:
        return bytes(_official.serialize_for_update_row(primary_key, columns))
    # Of changes that change nothing the official encoder still writes where they would begin, the tag ROW_DATA.
    return data if cells or not columns else data[:-2] + b"\x02" + data[-2:]


def encode_delete(primary_key: Any) -> bytes:
    """Encode the deletion of a row."""
    try:
        return encode_row(_key(primary_key), deleted=True)
    except _ODD:
        return bytes(_official.serialize_for_delete_row(primary_key))


# --- requests ------------------------------------------------------------------------------------------------


class RowEncoder(tablestore.encoder.OTSProtoBufferEncoder):  # type: ignore[misc] # the SDK has no types
    """The official encoder of requests; it takes its arguments."""

    def _encode_get_row(
        self,
        table_name: Any,
        primary_key: Any,
        columns_to_get: Any,
        column_filter: Any,
        max_version: Any,
        time_range: Any,
        start_column: Any,
        end_column: Any,
        token: Any,
        transaction_id: Any,
    ) -> Any:
        proto = pb2.GetRowRequest()
        proto.table_name = self._get_unicode(table_name)
        self._select(proto, columns_to_get, column_filter, max_version, time_range, start_column, end_column)
        proto.primary_key = encode_key(primary_key)
        if token is not None:
            proto.token = token
        if transaction_id is not None:
            proto.transaction_id = transaction_id
        return proto

    def _encode_get_range(
        self,
        table_name: Any,
        direction: Any,
        inclusive_start_primary_key: Any,
        exclusive_end_primary_key: Any,
        columns_to_get: Any,
        limit: Any,
        column_filter: Any,
        max_version: Any,
        time_range: Any,
        start_column: Any,
        end_column: Any,
        token: Any,
        transaction_id: Any,
    ) -> Any:
        proto = pb2.GetRangeRequest()
        proto.table_name = self._get_unicode(table_name)
        proto.direction = self._get_direction(direction)
        proto.inclusive_start_primary_key = encode_key(inclusive_start_primary_key)
        proto.exclusive_end_primary_key = encode_key(exclusive_end_primary_key)
        self._select(proto, columns_to_get, column_filter, max_version, time_range, start_column, end_column)
        if limit is not None:
            proto.limit = self._get_int32(limit)
        if token is not None:
            proto.token = token
        if transaction_id is not None:
            proto.transaction_id = transaction_id
        return proto

    def _encode_batch_get_row(self, request: Any) -> Any:
        proto = pb2.BatchGetRowRequest()
        self._make_batch_get_row(proto, request)
        return proto

    def _make_batch_get_row_internal(self, proto: Any, request: Any) -> None:
        for item in list(request.items.values()):
            table = proto.tables.add()
            table.table_name = self._get_unicode(item.table_name)
            self._select(
                table,
                item.columns_to_get,
                item.column_filter,
                item.max_version,
                item.time_range,
                item.start_column,
                item.end_column,
            )
            table.primary_key.extend(map(encode_key, item.primary_keys))
            if item.token is not None:
                table.token.extend(item.token)

    def _select(
        self,
        proto: Any,
        columns_to_get: Any,
        column_filter: Any,
        max_version: Any,
        time_range: Any,
        start_column: Any,
        end_column: Any,
    ) -> None:
        """Say which columns and versions are to be read."""
        if columns_to_get is not None:
            self._make_repeated_str(proto.columns_to_get, columns_to_get)
        if column_filter is not None:
            condition = _filter_pb2.Filter()
            self._make_column_condition(condition, column_filter)
            proto.filter = condition.SerializeToString()
        if max_version is not None:
            proto.max_versions = max_version
        if isinstance(time_range, tuple):
            proto.time_range.start_time = time_range[0]
            proto.time_range.end_time = time_range[1]
        elif isinstance(time_range, int):
            proto.time_range.specific_time = time_range
        if start_column is not None:
            proto.start_column = start_column
        if end_column is not None:
            proto.end_column = end_column

    def _encode_put_row(self, table_name: Any, row: Any, condition: Any, return_type: Any, transaction_id: Any) -> Any:
        proto = self._change(pb2.PutRowRequest(), table_name, condition, return_type)
        proto.row = encode_put(row.primary_key, row.attribute_columns)
        if transaction_id is not None:
            proto.transaction_id = transaction_id
        return proto

    def _encode_update_row(
        self, table_name: Any, row: Any, condition: Any, return_type: Any, transaction_id: Any
    ) -> Any:
        proto = self._change(pb2.UpdateRowRequest(), table_name, condition, return_type)
        proto.row_change = encode_update(row.primary_key, row.attribute_columns)
        if transaction_id is not None:
            proto.transaction_id = transaction_id
        return proto

    def _encode_delete_row(
        self, table_name: Any, primary_key: Any, condition: Any, return_type: Any, transaction_id: Any
    ) -> Any:
        proto = self._change(pb2.DeleteRowRequest(), table_name, condition, return_type)
        proto.primary_key = encode_delete(primary_key)
        if transaction_id is not None:
            proto.transaction_id = transaction_id
        return proto

    def _encode_batch_write_row(self, request: Any) -> Any:
        proto = pb2.BatchWriteRowRequest()
        self._make_batch_write_row(proto, request)
        return proto

    def _make_put_row_item(self, proto: Any, item: Any) -> Any:
        self._condition(proto, item.condition, item.return_type)
        proto.row_change = encode_put(item.row.primary_key, item.row.attribute_columns)
        proto.type = pb2.PUT
        return proto

    def _make_update_row_item(self, proto: Any, item: Any) -> Any:
        self._condition(proto, item.condition, item.return_type)
        proto.row_change = encode_update(item.row.primary_key, item.row.attribute_columns)
        proto.type = pb2.UPDATE
        return proto

    def _make_delete_row_item(self, proto: Any, item: Any) -> Any:
        self._condition(proto, item.condition, item.return_type)
        proto.row_change = encode_delete(item.row.primary_key)
        proto.type = pb2.DELETE
        return proto

    def _change(self, proto: Any, table_name: Any, condition: Any, return_type: Any) -> Any:
        """Say which table is to be changed, on which condition."""
        proto.table_name = self._get_unicode(table_name)
        self._condition(proto, condition, return_type)
        return proto

    def _condition(self, proto: Any, condition: Any, return_type: Any) -> None:
        if condition is None:
            proto.condition.row_existence = pb2.IGNORE
        else:
            self._make_condition(proto.condition, condition)
        if return_type == tablestore.ReturnType.RT_PK:
            proto.return_content.return_type = pb2.RT_PK

    def _encode_start_local_transaction(self, table_name: Any, key: Any) -> Any:
        proto = pb2.StartLocalTransactionRequest()
        proto.table_name = table_name
        proto.key = encode_key(key)
        return proto


# --- bytes to rows -------------------------------------------------------------------------------------------
# The official SDK brings a parser in C for some platforms, which is several times as fast as anything in Python; it
# is used where it is sound. It ends a name at a NUL, and leaves out a timestamp that is missing.

_HEADER_SIZE = 4
_parse_row = getattr(tablestore.decoder, "parse_single_row", None)
_parse_rows = getattr(tablestore.decoder, "parse_multiple_rows", None)
_odd_name = re.compile(rb"\x03\x04.{4}[^\0-\x0a]*+[^\x05-\x07\x0a]", re.DOTALL).search


def _plain_row(data: bytes) -> _Columns:
    """Decode a row without the parser in C."""
    row = decode_row(data)
    return row.primary_key, [cell[:3] for cell in row.cells]


def _plain_rows(data: bytes) -> list[_Columns]:
    """Decode the rows of a range without the parser in C."""
    return [(row.primary_key, [cell[:3] for cell in row.cells]) for row in decode_rows(data)]


def _has_timestamps(row: _Columns) -> bool:
    return min(map(len, row[1]), default=3) == 3


def _fast_row(data: bytes) -> _Columns:
    """Decode a row with the parser in C, where it is sound."""
    if len(data) >= _HEADER_SIZE and not _odd_name(data):
        with suppress(Exception):  # what it cannot read may still be a row
            row: _Columns = _parse_row(data)
            if _has_timestamps(row):
                return row
    return _plain_row(data)


def _fast_rows(data: bytes) -> list[_Columns]:
    """Decode the rows of a range with the parser in C, where it is sound."""
    if len(data) >= _HEADER_SIZE and not _odd_name(data):
        with suppress(Exception):
            rows: list[_Columns] = _parse_rows(data)
            if all(map(_has_timestamps, rows)):
                return rows
    return _plain_rows(data)


# --- responses -----------------------------------------------------------------------------------------------


class RowDecoder(tablestore.decoder.OTSProtoBufferDecoder):  # type: ignore[misc] # the SDK has no types
    """The official decoder of responses, with rows decoded here.

    Args:
        encoding: The encoding of names that are given as ``bytes``.
        **native: ``enable_native``, whether the parser in C may be used, and what else the official decoder takes.
    """

    def __init__(self, encoding: str, **native: Any) -> None:
        super().__init__(encoding, **native)
        fast = tablestore.decoder.NATIVE_PARSER_AVAILABLE and native.get("enable_native", True)
        self._row, self._rows = (_fast_row, _fast_rows) if fast else (_plain_row, _plain_rows)

    def _decode_get_row(self, body: bytes, _: Any) -> Any:
        proto = pb2.GetRowResponse()
        proto.ParseFromString(body)
        return (_units(proto.consumed), self._optional_row(proto.row), proto.next_token), proto

    def _decode_get_range(self, body: bytes, _: Any) -> Any:
        proto = pb2.GetRangeResponse()
        proto.ParseFromString(body)
        rows = [tablestore.Row(*row) for row in self._rows(proto.rows)] if proto.rows else []
        next_key = proto.next_start_primary_key
        start = [(name, _official_value(value)) for name, value in self._row(next_key)[0]] if next_key else None
        return (_units(proto.consumed), start, rows, proto.next_token), proto

    def _decode_put_row(self, body: bytes, _: Any) -> Any:
        return self._changed(pb2.PutRowResponse(), body)

    def _decode_update_row(self, body: bytes, _: Any) -> Any:
        return self._changed(pb2.UpdateRowResponse(), body)

    def _decode_delete_row(self, body: bytes, _: Any) -> Any:
        return self._changed(pb2.DeleteRowResponse(), body)

    def _changed(self, proto: Any, body: bytes) -> Any:
        proto.ParseFromString(body)
        return (_units(proto.consumed), self._optional_row(proto.row)), proto

    def _optional_row(self, data: bytes) -> Any:
        return tablestore.Row(*self._row(data)) if data else None

    def _decode_batch_get_row(self, body: bytes, _: Any) -> Any:
        proto = pb2.BatchGetRowResponse()
        proto.ParseFromString(body)
        return self._parse_batch_get_row(proto.tables), proto

    def _decode_batch_write_row(self, body: bytes, _: Any) -> Any:
        proto = pb2.BatchWriteRowResponse()
        proto.ParseFromString(body)
        return self._parse_batch_write_row(proto.tables), proto

    def _parse_get_row_item(self, rows: Any, table_name: str) -> list[Any]:
        found = []
        for row in rows:
            ok, code, message, units, key, columns = self._outcome(row)
            found.append(tablestore.RowDataItem(ok, code, message, table_name, units, key, columns))
        return found

    def _parse_write_row_item(self, row: Any) -> Any:
        ok, code, message, units, key, _ = self._outcome(row)
        return tablestore.BatchWriteRowResponseItem(ok, code, message, units, key)

    def _outcome(self, row: Any) -> tuple[Any, ...]:
        """Tell of a row in a batch whether it is well, else code and message; the units, the key and the columns."""
        if row.is_ok:
            key, columns = self._row(row.row) if row.row else (None, None)
            return True, None, None, _units(row.consumed), key, columns
        units = _units(row.consumed) if row.HasField("consumed") else None
        return False, row.error.code, row.error.message, units, None, None


def _units(consumed: Any) -> Any:
    units = consumed.capacity_unit
    return tablestore.CapacityUnit(units.read, units.write)


def _official_value(value: Any) -> Any:
    """Return a key's value as the official SDK has it: a range may go on from a marker."""
    return _OFFICIAL_MARKERS[value] if isinstance(value, Marker) else value
