"""How many capacity units an operation consumes: units of 4 KB, at least one."""

from __future__ import annotations

from typing import NamedTuple

_UNIT = 4096


class Units(NamedTuple):
    """Consumed capacity units."""

    read: int
    write: int


TRANSACTION_UNITS = Units(0, 1)
"""What starting, committing or aborting a local transaction consumes."""


def read_units(size: int) -> int:
    """Return the units for reading some bytes; reading a missing row costs one."""
    return -(-size // _UNIT) or 1


def write_units(size: int) -> int:
    """Return the units for writing some bytes."""
    return -(-size // _UNIT) or 1


def get_units(size: int | None) -> Units:
    """Return the units of GetRow or one row of BatchGetRow, by the bytes read; None for no such row."""
    return Units(read_units(size or 0), 0)


def range_units(size: int) -> Units:
    """Return the units of GetRange: all bytes scanned, rounded up once."""
    return Units(read_units(size), 0)


def write_row_units(size: int, *, checked: bool, indexed: bool) -> Units:
    """Return the units of PutRow, UpdateRow or DeleteRow, alone or in a batch.

    Args:
        size: The bytes of the change.
        checked: Whether the change has a condition, for which the row is read.
        indexed: Whether the table has a secondary index, for which the old row is read.
    """
    return Units(1 if checked or indexed else 0, write_units(size))
