"""Capacity units as the service counts them."""

from __future__ import annotations

import pytest

from ots_config.emulator.tablestore.capacity import (
    TRANSACTION_UNITS,
    get_units,
    range_units,
    read_units,
    write_row_units,
    write_units,
)


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1, 1), (4096, 1), (4097, 2), (8192, 2), (8193, 3)])
def test_units_are_4_kilobytes_and_at_least_one(size: int, units: int) -> None:
    """Every started 4 KB is one unit, and nothing at all is one too."""
    assert read_units(size) == units
    assert write_units(size) == units
    assert get_units(size) == (units, 0)
    assert range_units(size) == (units, 0)


def test_a_miss_reads_one_unit() -> None:
    """GetRow of a row that is not there consumes one read unit."""
    assert get_units(None) == (1, 0)


@pytest.mark.parametrize(
    ("size", "checked", "indexed", "units"),
    [
        (10, False, False, (0, 1)),
        (4097, False, False, (0, 2)),
        (10, True, False, (1, 1)),
        (10, False, True, (1, 1)),
        (10, True, True, (1, 1)),
        (8193, True, False, (1, 3)),
    ],
)
def test_writes_read_when_the_row_is_looked_at(size: int, checked: bool, indexed: bool, units: tuple[int, int]) -> None:
    """A write without condition reads nothing; a condition or an index costs one read unit."""
    assert write_row_units(size, checked=checked, indexed=indexed) == units


def test_transactions_write_one_unit() -> None:
    """Starting, committing or aborting a transaction consumes one write unit."""
    assert TRANSACTION_UNITS == (0, 1)
