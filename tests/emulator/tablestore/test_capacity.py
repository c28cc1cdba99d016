"""Capacity units as the service counts them."""

from __future__ import annotations

import pytest

from ots_config.emulator.tablestore.capacity import TRANSACTION_UNITS, read_units, write_units


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1, 1), (4096, 1), (4097, 2), (8192, 2), (8193, 3)])
def test_a_unit_is_4_kilobytes(size: int, units: int) -> None:
    """Each started 4 KB costs one unit, and nothing, such as a missing row, costs one too."""
    assert read_units(size) == (units, 0)
    assert write_units(size, checked=False, indexed=False) == (0, units)


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
def test_a_write_that_reads_the_row_costs_a_read_unit(
    size: int, checked: bool, indexed: bool, units: tuple[int, int]
) -> None:
    """A write without condition reads nothing; a condition or an index costs one read unit."""
    assert write_units(size, checked=checked, indexed=indexed) == units


def test_a_transaction_costs_one_write_unit() -> None:
    """Starting, committing or aborting a transaction consumes one write unit."""
    assert TRANSACTION_UNITS == (0, 1)
