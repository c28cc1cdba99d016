"""The grammar of PlainBuffer: its tags, value types and checksum, and the types of a row in Python.

After a four-byte header, a row is a sequence of tags, each with its content::

    row  = ROW_PK cell... [ROW_DATA cell...] [DELETE_MARKER] ROW_CHECKSUM crc
    cell = CELL NAME length name [VALUE length type content] [OP op] [TIMESTAMP int64] CELL_CHECKSUM crc

Checksums are CRC-8. A cell's covers its name, type, content (with the length of a string), timestamp and op,
in this order and without the tags; a row's covers those of its cells, and a byte that is 1 if it is deleted.

Two properties of a CRC make both directions fast. It continues from any state, so a name is summed once and then
looked up. And it is linear: the state after ``n`` more bytes is the state after ``n`` zeros (``AFTER_n``) XOR the
sum of those bytes alone, so a value that repeats (a string's length, a timestamp) is summed once.
"""

from __future__ import annotations

from enum import Enum
from struct import Struct
from typing import NamedTuple, TypeAlias

from fastcrc.crc8 import smbus

VT_INTEGER = 0
VT_DOUBLE = 1
VT_BOOLEAN = 2
VT_STRING = 3
VT_NULL = 6
VT_BLOB = 7
VT_INF_MIN = 9
VT_INF_MAX = 10
VT_AUTO_INCREMENT = 11

OP_DELETE_ALL_VERSIONS = 1
OP_DELETE_ONE_VERSION = 3
OP_INCREMENT = 4

TAG_ROW_PK = 1
TAG_ROW_DATA = 2
TAG_CELL = 3
TAG_NAME = 4
TAG_VALUE = 5
TAG_OP = 6
TAG_TIMESTAMP = 7
TAG_DELETE_MARKER = 8
TAG_ROW_CHECKSUM = 9
TAG_CELL_CHECKSUM = 10

HEADER = b"\x75\x00\x00\x00"
LENGTH = Struct("<I")
INTEGER = Struct("<q")
DOUBLE = Struct("<d")

Value: TypeAlias = int | float | bool | str | bytes | bytearray
"""The value of a column: INTEGER, DOUBLE, BOOLEAN, STRING or BINARY."""


class Marker(Enum):
    """The key values that are no values: the ends of a range, and the key that the service generates."""

    INF_MIN = VT_INF_MIN
    INF_MAX = VT_INF_MAX
    AUTO_INCREMENT = VT_AUTO_INCREMENT


class Cell(NamedTuple):
    """One version of an attribute column, or one change to a column.

    Attributes:
        name: The column.
        value: The value; None if there is none, as in a deletion, or if it is VT_NULL.
        timestamp: The version in milliseconds, or None for the service to choose.
        op: One of the ``OP_`` constants; None to put the value.
    """

    name: str
    value: Value | None
    timestamp: int | None
    op: int | None


class DecodedRow(NamedTuple):
    """One decoded row.

    Attributes:
        primary_key: Names and values of the key, in their order.
        cells: The attribute cells, in their order.
        deleted: Whether the row has the delete marker.
    """

    primary_key: list[tuple[str, Value | Marker]]
    cells: list[Cell]
    deleted: bool


class PlainBufferError(ValueError):
    """Bytes that are not PlainBuffer (with the service's message), or a row that cannot be encoded."""


def _after(count: int) -> tuple[int, ...]:
    zeros = bytes(count)
    return tuple(smbus(zeros, state) for state in range(256))


AFTER_1, AFTER_5, AFTER_8 = _after(1), _after(5), _after(8)

# Tables have few columns and requests have many cells, so what is computed from a column's name is cached. These limits
# bound the caches when the names are many or long; the longest name that the service allows has 255 bytes.
MAX_NAMES = 4096
MAX_NAME_LENGTH = 255
