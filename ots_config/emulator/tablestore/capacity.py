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


def read_units(size: int) -> Units:
    """Return the units for reading a row or scanning a range, by the bytes read; a missing row costs one."""
    return Units(_units(size), 0)


def write_units(size: int, *, checked: bool, indexed: bool) -> Units:
    """Return the units for writing one row, alone or in a batch.

    Args:
        size: The bytes of the change.
        checked: Whether the change has a condition, for which the row is read.
        indexed: Whether the table has a secondary index, for which the old row is read.
    """
    return Units(1 if checked or indexed else 0, _units(size))


def _units(size: int) -> int:
    return -(-size // _UNIT) or 1
