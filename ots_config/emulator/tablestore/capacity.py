"""How many capacity units an operation consumes: units of 4 KB, at least one wherever data is touched."""

from __future__ import annotations

from typing import NamedTuple

_UNIT = 4096


class Units(NamedTuple):
    """Capacity units consumed.

    Attributes:
        read: Read units.
        write: Write units.
    """

    read: int
    write: int


TRANSACTION_UNITS = Units(0, 1)
"""What starting, committing or aborting a local transaction consumes."""


def read_units(size: int) -> int:
    """Return the units of reading so many bytes; looking for what is not there costs one as well."""
    return -(-size // _UNIT) or 1


def write_units(size: int) -> int:
    """Return the units of writing so many bytes."""
    return -(-size // _UNIT) or 1


def get_units(size: int | None) -> Units:
    """Return what GetRow consumes, or one row of BatchGetRow.

    Args:
        size: The bytes read, None if there is no such row.
    """
    return Units(read_units(size or 0), 0)


def range_units(size: int) -> Units:
    """Return what GetRange consumes: all bytes that it scanned, rounded up once."""
    return Units(read_units(size), 0)


def write_row_units(size: int, *, checked: bool, indexed: bool) -> Units:
    """Return what PutRow, UpdateRow or DeleteRow consumes, alone or in a batch.

    Args:
        size: The bytes of the change.
        checked: Whether the row had to be looked at: it has to exist, or not to, or has a column condition.
        indexed: Whether the table has a secondary index, for which the old row is always read.
    """
    return Units(1 if checked or indexed else 0, write_units(size))
