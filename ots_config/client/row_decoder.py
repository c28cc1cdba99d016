"""From responses to the SDK's rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ots_config import sdk
from ots_config.client import native_codec
from ots_config.plainbuffer import Marker, decode_row, decode_rows

# The columns of the key as (name, value), the others as (name, value, timestamp).
_Columns: TypeAlias = tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]

tablestore: Any = sdk.tablestore  # it has no types
pb2: Any = sdk.pb2

_SDK_MARKERS = {
    Marker.INF_MIN: tablestore.INF_MIN,
    Marker.INF_MAX: tablestore.INF_MAX,
    Marker.AUTO_INCREMENT: tablestore.PK_AUTO_INCR,
}

_parse_row: Any = getattr(tablestore.decoder, "parse_single_row", None)
_parse_rows: Any = getattr(tablestore.decoder, "parse_multiple_rows", None)
_FIXED_SIZES = {int: 8, float: 8, bool: 1}


# --- bytes to rows -------------------------------------------------------------------------------------------
# On some platforms the SDK has a parser in C, several times as fast as anything in Python. But it ends a name at a
# NUL, omits a missing timestamp, skips what it does not know, and reads past the end of less than four bytes. So the
# encoded size of its result is computed: if that is the size of the data, the result is right.


def _fast_row(data: bytes) -> _Columns:
    """Decode a row with the parser in C if its result is right, else in Python."""
    if len(data) < 4:
        return _plain_row(data)
    try:
        row: _Columns = _parse_row(data)
        complete = len(data) == 4 + _encoded_size(row)
    except Exception:  # noqa: BLE001 - it cannot parse every row, and its errors are of many types
        return _plain_row(data)
    return row if complete else _plain_row(data)


def _fast_rows(data: bytes) -> list[_Columns]:
    """Decode the rows of a range with the parser in C if its result is right, else in Python."""
    if len(data) < 4:
        return _plain_rows(data)
    try:
        rows: list[_Columns] = _parse_rows(data)
        complete = len(data) == 4 + sum(map(_encoded_size, rows))
    except Exception:  # noqa: BLE001 - as above
        return _plain_rows(data)
    return rows if complete else _plain_rows(data)


def _encoded_size(row: _Columns) -> int:
    """Return the encoded size of a row without ops and delete marker, without the header."""
    key, columns = row
    texts = []
    size = 3 + 14 * len(key)  # the tags of a row; those of a cell with its checksum, type and lengths
    for name, value in key:
        texts.append(name)
        if type(value) is int:
            size += 8
            continue
        size += 4
        if type(value) is str:
            texts.append(value)
        else:
            size += len(value)
    if columns:
        size += 1 + 23 * len(columns)  # these have a timestamp, too
    for name, value, _ in columns:
        texts.append(name)
        kind = type(value)
        if kind is str:
            size += 4
            texts.append(value)
        elif kind is bytearray:
            size += 4 + len(value)
        else:
            size += _FIXED_SIZES[kind]
    return size + len("".join(texts).encode())


def _plain_row(data: bytes) -> _Columns:
    row = decode_row(data)
    return row.primary_key, [cell[:3] for cell in row.cells]


def _plain_rows(data: bytes) -> list[_Columns]:
    return [(row.primary_key, [cell[:3] for cell in row.cells]) for row in decode_rows(data)]


# --- responses -----------------------------------------------------------------------------------------------


def _write_decoder(message: Any) -> Callable[[RowDecoder, bytes, Any], Any]:
    """Return the method that decodes the response of a single write."""

    def decode(self: RowDecoder, body: bytes, _: Any) -> Any:
        proto = message()
        proto.ParseFromString(body)
        row = tablestore.Row(*self._row(proto.row)) if proto.row else None
        return (_units(proto.consumed), row), proto

    return decode


class RowDecoder(tablestore.decoder.OTSProtoBufferDecoder):  # type: ignore[misc] # the SDK has no types
    """The official decoder of responses, with rows decoded here.

    Args:
        encoding: The encoding of names that are given as ``bytes``.
        **native: ``enable_native``, whether native code may be used, and other arguments of the official decoder.
    """

    def __init__(self, encoding: str, **native: Any) -> None:
        super().__init__(encoding, **native)
        fast = tablestore.decoder.NATIVE_PARSER_AVAILABLE and native.get("enable_native", True)
        self._native = native_codec.is_available and native.get("enable_native", True)
        self._row, self._rows = (_fast_row, _fast_rows) if fast else (_plain_row, _plain_rows)

    def _decode_get_row(self, body: bytes, _: Any) -> Any:
        proto = pb2.GetRowResponse()
        proto.ParseFromString(body)
        row = tablestore.Row(*self._row(proto.row)) if proto.row else None
        return (_units(proto.consumed), row, proto.next_token), proto

    def _decode_get_range(self, body: bytes, _: Any) -> Any:
        proto = pb2.GetRangeResponse()
        proto.ParseFromString(body)
        rows = [tablestore.Row(*row) for row in self._rows(proto.rows)] if proto.rows else []
        next_key = proto.next_start_primary_key
        start = [(name, _sdk_value(value)) for name, value in self._row(next_key)[0]] if next_key else None
        return (_units(proto.consumed), start, rows, proto.next_token), proto

    _decode_put_row = _write_decoder(pb2.PutRowResponse)
    _decode_update_row = _write_decoder(pb2.UpdateRowResponse)
    _decode_delete_row = _write_decoder(pb2.DeleteRowResponse)

    def _decode_batch_get_row(self, body: bytes, _: Any) -> Any:
        if self._native and (tables := native_codec.decode_batch_get_row(body)) is not None:
            return tables, None
        proto = pb2.BatchGetRowResponse()
        proto.ParseFromString(body)
        return self._parse_batch_get_row(proto.tables), proto

    def _decode_batch_write_row(self, body: bytes, _: Any) -> Any:
        if self._native and (tables := native_codec.decode_batch_write_row(body)) is not None:
            return tables, None
        proto = pb2.BatchWriteRowResponse()
        proto.ParseFromString(body)
        return self._parse_batch_write_row(proto.tables), proto

    def _parse_get_row_item(self, rows: Any, table_name: str) -> list[Any]:
        items = []
        for row in rows:
            ok, code, message, units, key, columns = self._item_fields(row)
            items.append(tablestore.RowDataItem(ok, code, message, table_name, units, key, columns))
        return items

    def _parse_write_row_item(self, row: Any) -> Any:
        ok, code, message, units, key, _ = self._item_fields(row)
        return tablestore.BatchWriteRowResponseItem(ok, code, message, units, key)

    def _item_fields(self, row: Any) -> tuple[Any, ...]:
        """Return of a batch's row: whether it succeeded, error code and message, units, key and columns."""
        if row.is_ok:
            key, columns = self._row(row.row) if row.row else (None, None)
            return True, None, None, _units(row.consumed), key, columns
        units = _units(row.consumed) if row.HasField("consumed") else None
        return False, row.error.code, row.error.message, units, None, None


def _units(consumed: Any) -> Any:
    units = consumed.capacity_unit
    return tablestore.CapacityUnit(units.read, units.write)


def _sdk_value(value: Any) -> Any:
    """Return a key's value as the SDK represents it: the next page of a range may begin at a marker."""
    return _SDK_MARKERS[value] if isinstance(value, Marker) else value
