"""SimpleRowMatrix, the compact form of the rows of a range that some SDKs ask for: names once, then values only.

::

    matrix = "SRM0" data-offset options-offset key-count column-count name... options row... CHECKSUM crc
    name   = length(2) bytes
    options = ENTIRE_KEYS boolean ROW_COUNT count(4)
    row    = ROW value...          value = type content, a string or binary with its length(4) first

Numbers are little-endian. A column that a row does not have is VT_NULL. There is one value for each column, so rows
with several versions of one, or more names than fit the form, stay in PlainBuffer; what is asked for is a hint only.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack
from typing import TypeAlias

from fastcrc.crc8 import smbus

from ots_config.emulator.tablestore.cells import StoredCell
from ots_config.emulator.tablestore.sorted_keys import NamedKey
from ots_config.plainbuffer import VT_BLOB, VT_NULL, encode_value

SelectedCells: TypeAlias = tuple[NamedKey, Sequence[StoredCell]]
"""A row of a page: its key, and the cells that the read selects."""

_VERSION = b"SRM0"
_CHECKSUM, _ROW, _ROW_COUNT, _ENTIRE_KEYS = b"\x01", b"\x02", b"\x03", b"\x0a"
_NULL = bytes((VT_NULL,))
_MAX_COLUMNS = 1024  # as many as a request may name; each row has a byte for each column at least


def encode_matrix(
    key_names: Sequence[str], columns_to_get: Sequence[str], rows: Sequence[SelectedCells], *, entire_keys: bool
) -> bytes | None:
    """Return rows as a matrix, None if they have no such form.

    Args:
        key_names: The columns of the key that each row has.
        columns_to_get: The columns that the request names, in their order; none for all.
        rows: The rows.
        entire_keys: Whether those are all columns of the key.
    """
    columns = [name for name in dict.fromkeys(columns_to_get) if name not in key_names]
    if not columns_to_get:
        columns = sorted({cell[0] for _, cells in rows for cell in cells})
    if len(columns) > _MAX_COLUMNS:
        return None
    parts: list[bytes] = []
    for key, cells in rows:
        values = {cell[0]: cell[1] for cell in cells}
        if len(values) < len(cells):
            return None
        parts.append(_ROW)
        parts += [encode_value(value, bytes_as=VT_BLOB) for _, value in key]
        parts += [encode_value(values[name], bytes_as=VT_BLOB) if name in values else _NULL for name in columns]
    names = b"".join([pack("<H", len(name.encode())) + name.encode() for name in [*key_names, *columns]])
    options = _ENTIRE_KEYS + bytes((entire_keys,)) + _ROW_COUNT + pack("<I", len(rows))
    at = len(_VERSION) + 16 + len(names)
    head = _VERSION + pack("<IIII", at + len(options), at, len(key_names), len(columns))
    matrix = b"".join([head, names, options, *parts, _CHECKSUM])
    return matrix + bytes((smbus(matrix),))
