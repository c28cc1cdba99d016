"""From bytes to rows; invalid bytes raise ``PlainBufferError`` and nothing else.

The length before a value is ignored, as in the official decoder; the value contains its own length.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class, and "error" would say too little
from typing import Any, NoReturn, TypeAlias

from fastcrc.crc8 import smbus

from ots_config.plainbuffer.format import (
    AFTER_1,
    AFTER_8,
    DOUBLE,
    HEADER,
    INTEGER,
    LENGTH,
    MAX_NAME_LENGTH,
    MAX_NAMES,
    TAG_CELL,
    TAG_CELL_CHECKSUM,
    TAG_DELETE_MARKER,
    TAG_NAME,
    TAG_OP,
    TAG_ROW_CHECKSUM,
    TAG_ROW_DATA,
    TAG_ROW_PK,
    TAG_TIMESTAMP,
    TAG_VALUE,
    VT_BOOLEAN,
    Cell,
    DecodedRow,
    Marker,
    PlainBufferError,
    Value,
)

# A reader takes the bytes, where the value's type is, the checksum so far and the type for BINARY; it returns
# the value, where it ends, and the checksum. A slice past the end is too short, so the next tag is missing.
_Reader: TypeAlias = Callable[[bytes, int, int, type], tuple[Any, int, int]]

_INVALID = "data format is invalid."
_BROKEN = (IndexError, StructError, UnicodeDecodeError)
_CELL_NAME = TAG_NAME << 8 | TAG_CELL

_length = LENGTH.unpack_from
_integer = INTEGER.unpack_from
_double = DOUBLE.unpack_from
_opening = Struct("<HI").unpack_from  # the tags CELL and NAME as one number, the length of the name
_new = tuple.__new__  # half the price of calling a NamedTuple


class _Column:
    """The beginning of a column's cells, and the column that followed it last time: rows resemble one another.

    The beginning is compared before it is used, so threads may share and overwrite these links.
    """

    __slots__ = ("crc", "name", "next", "opening", "size")

    def __init__(self, opening: bytes, expected: _Column | None = None) -> None:
        name = opening[6:]
        self.opening = opening
        self.size = len(opening)
        self.name = name.decode()
        self.crc = smbus(name)
        self.next = expected or self


_COLUMNS: dict[bytes, _Column] = {}
_BEFORE_KEY = _Column(b"before")  # as no cell begins
_BEFORE_ATTRIBUTES = _Column(b"before")


def _learn(before: _Column, data: bytes, at: int) -> _Column:
    """Return the column of the cell at this position, and expect it there from now on."""
    tags, length = _opening(data, at)
    opening = data[at : at + 6 + length]
    if tags != _CELL_NAME or len(opening) != 6 + length:
        raise PlainBufferError(_INVALID)
    column = _COLUMNS.get(opening)
    if column is None:
        column = _Column(opening, _BEFORE_KEY)
        if length > MAX_NAME_LENGTH:
            return column
        if len(_COLUMNS) >= MAX_NAMES:
            for known in (_BEFORE_KEY, _BEFORE_ATTRIBUTES, *_COLUMNS.values()):
                known.next = _BEFORE_KEY  # a link would keep a removed column alive
            _COLUMNS.clear()
        _COLUMNS[opening] = column
    before.next = column
    return column


def _read_integer(data: bytes, at: int, crc: int, _: type) -> tuple[int, int, int]:
    end = at + 9
    return _integer(data, at + 1)[0], end, smbus(data[at:end], crc)


def _read_double(data: bytes, at: int, crc: int, _: type) -> tuple[float, int, int]:
    end = at + 9
    return _double(data, at + 1)[0], end, smbus(data[at:end], crc)


def _read_boolean(data: bytes, at: int, crc: int, _: type) -> tuple[bool, int, int]:
    value = data[at + 1] != 0
    return value, at + 2, AFTER_1[AFTER_1[crc ^ VT_BOOLEAN] ^ value]


def _read_string(data: bytes, at: int, crc: int, _: type) -> tuple[str, int, int]:
    start = at + 5
    end = start + _length(data, at + 1)[0]
    return data[start:end].decode(), end, smbus(data[at:end], crc)


def _read_blob(data: bytes, at: int, crc: int, binary: type) -> tuple[Any, int, int]:
    start = at + 5
    end = start + _length(data, at + 1)[0]
    return binary(data[start:end]), end, smbus(data[at:end], crc)


def _read_constant(constant: Marker | None, data: bytes, at: int, crc: int, _: type) -> tuple[Any, int, int]:
    return constant, at + 1, AFTER_1[crc ^ data[at]]


def _refuse(message: str, *_: Any) -> NoReturn:
    raise PlainBufferError(message)


_unknown = partial(_refuse, _INVALID)
_PLAIN: tuple[_Reader, ...] = (_read_integer, _read_double, _read_boolean, _read_string, _unknown, _unknown)
_KEYS: tuple[_Reader, ...] = (  # by value type; past the end there are none
    *_PLAIN,
    partial(_refuse, "VT_NULL is an invalid type for the primary key."),
    _read_blob,
    _unknown,
    *(partial(_read_constant, marker) for marker in Marker),
)
_ATTRIBUTES: tuple[_Reader, ...] = (
    *_PLAIN,
    partial(_read_constant, None),
    _read_blob,
    _unknown,
    *(partial(_refuse, f"VT_{marker.name} is an invalid type for the attribute column.") for marker in Marker),
)


def _mismatch(part: str, found: int, expected: int) -> PlainBufferError:
    return PlainBufferError(f"{part} data broken, checksum is mismatch, expected: {expected}, actual: {found}.")


def _read_key(data: bytes, at: int, binary: type) -> tuple[list[tuple[str, Any]], int, int]:
    columns: list[tuple[str, Any]] = []
    row_crc = 0
    column = _BEFORE_KEY
    while data[at] == TAG_CELL:
        expected = column.next
        column = expected if data.startswith(expected.opening, at) else _learn(column, data, at)
        at += column.size
        if data[at] != TAG_VALUE:
            raise PlainBufferError(_INVALID)
        value, at, crc = _KEYS[data[at + 5]](data, at + 5, column.crc, binary)
        if data[at] != TAG_CELL_CHECKSUM:
            raise PlainBufferError(_INVALID)
        if data[at + 1] != crc:
            raise _mismatch("Cell", data[at + 1], crc)
        row_crc = AFTER_1[row_crc ^ crc]
        columns.append((column.name, value))
        at += 2
    return columns, at, row_crc


def _read_attributes(data: bytes, at: int, row_crc: int, binary: type) -> tuple[list[Cell], int, int]:
    cells: list[Cell] = []
    last, last_timestamp, last_crc = b"", 0, 0
    column = _BEFORE_ATTRIBUTES
    while data[at] == TAG_CELL:
        expected = column.next
        column = expected if data.startswith(expected.opening, at) else _learn(column, data, at)
        at += column.size
        crc = column.crc
        value = timestamp = op = None
        if data[at] == TAG_VALUE:
            value, at, crc = _ATTRIBUTES[data[at + 5]](data, at + 5, crc, binary)
        tag = data[at]
        if tag == TAG_TIMESTAMP and data[at + 9] == TAG_CELL_CHECKSUM:
            raw = data[at + 1 : at + 9]
            if raw != last:
                last, last_timestamp, last_crc = raw, _integer(raw)[0], smbus(raw)
            timestamp = last_timestamp
            crc = AFTER_8[crc] ^ last_crc
            at += 9
        elif tag != TAG_CELL_CHECKSUM:
            timestamp, op, at, crc = _read_change(data, at, crc)
        if data[at + 1] != crc:
            raise _mismatch("Cell", data[at + 1], crc)
        row_crc = AFTER_1[row_crc ^ crc]
        cells.append(_new(Cell, (column.name, value, timestamp, op)))
        at += 2
    return cells, at, row_crc


def _read_change(data: bytes, at: int, crc: int) -> tuple[int | None, int | None, int, int]:
    """Read a timestamp and an op, in either order; the checksum has an order of its own."""
    timestamp = op = None
    while (tag := data[at]) != TAG_CELL_CHECKSUM:
        if tag == TAG_TIMESTAMP and timestamp is None:
            timestamp = _integer(data, at + 1)[0]
            at += 9
        elif tag == TAG_OP and op is None:
            op = data[at + 1]
            at += 2
        else:
            raise PlainBufferError(_INVALID)
    if timestamp is not None:
        crc = smbus(INTEGER.pack(timestamp), crc)
    if op is not None:
        crc = AFTER_1[crc ^ op]
    return timestamp, op, at, crc


def _read_row(data: bytes, at: int, binary: type) -> tuple[DecodedRow, int]:
    if data[at] != TAG_ROW_PK:
        raise PlainBufferError(_INVALID)
    primary_key, at, crc = _read_key(data, at + 1, binary)
    cells: list[Cell] = []
    if data[at] == TAG_ROW_DATA:
        cells, at, crc = _read_attributes(data, at + 1, crc, binary)
    deleted = data[at] == TAG_DELETE_MARKER
    at += deleted
    if data[at] != TAG_ROW_CHECKSUM:
        raise PlainBufferError(_INVALID)
    if data[at + 1] != AFTER_1[crc ^ deleted]:
        raise _mismatch("Row", data[at + 1], AFTER_1[crc ^ deleted])
    return DecodedRow(primary_key, cells, deleted), at + 2


def decode_rows(data: bytes | bytearray | memoryview, *, binary: type = bytearray) -> list[DecodedRow]:
    """Decode the rows of a range: one header, then the rows.

    Args:
        data: The bytes; empty if there are no rows, as in a response that found none.
        binary: The Python type of BINARY: ``bytearray``, as in the official SDK, or ``bytes``.

    Returns:
        The rows, every checksum verified.

    Raises:
        PlainBufferError: The bytes are not PlainBuffer.
    """
    data = bytes(data)
    rows: list[DecodedRow] = []
    if not data:
        return rows
    if not data.startswith(HEADER):
        raise PlainBufferError(_INVALID)
    at, size = len(HEADER), len(data)
    try:
        while at < size:
            row, at = _read_row(data, at, binary)
            rows.append(row)
    except _BROKEN:
        raise PlainBufferError(_INVALID) from None
    return rows


def decode_row(data: bytes | bytearray | memoryview, *, binary: type = bytearray) -> DecodedRow:
    """Decode data that is exactly one row.

    Args:
        data: The bytes, with the header.
        binary: As for ``decode_rows``.

    Returns:
        The row, every checksum verified.

    Raises:
        PlainBufferError: The bytes are not one row of PlainBuffer.
    """
    data = bytes(data)
    if not data.startswith(HEADER):
        raise PlainBufferError(_INVALID)
    try:
        row, end = _read_row(data, len(HEADER), binary)
    except _BROKEN:
        raise PlainBufferError(_INVALID) from None
    if end != len(data):
        raise PlainBufferError(_INVALID)
    return row


def decode_value(data: bytes | bytearray | memoryview, *, binary: type) -> Value | Marker:
    """Decode a value by itself, its type and its content, as it is used in filters, queries and partition ranges.

    Args:
        data: The bytes.
        binary: As for ``decode_rows``.

    Returns:
        The value; a marker only where the sender put one, as at the ends of a table's partitions.

    Raises:
        PlainBufferError: The bytes are not one value.
    """
    data = bytes(data)
    try:
        value, end, _ = _KEYS[data[0]](data, 0, 0, binary)
    except _BROKEN:
        raise PlainBufferError(_INVALID) from None
    if end != len(data):
        raise PlainBufferError(_INVALID)
    found: Value | Marker = value
    return found
