"""Which of a row's cells reads see."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from ots_config.emulator.tablestore.cells import (
    Row,
    TableOptions,
    apply_put,
    column,
    latest,
    make_selector,
    row_size,
    select,
    visible,
)
from ots_config.emulator.tablestore.errors import TablestoreError
from ots_config.plainbuffer import OP_DELETE_ALL_VERSIONS, OP_DELETE_ONE_VERSION, OP_INCREMENT, Cell

NOW = 1_780_000_000_000
DAY = 86_400_000
OPTIONS = TableOptions()
MANY = TableOptions(max_versions=3)
LARGEST = (1 << 63) - 1


def put(name: str, value: Any, timestamp: int | None = None) -> Cell:
    """Return a cell that writes a value."""
    return Cell(name, value, timestamp, None)


def delete_one(name: str, timestamp: int | None) -> Cell:
    """Return a cell that deletes one version."""
    return Cell(name, None, timestamp, OP_DELETE_ONE_VERSION)


def delete_all(name: str) -> Cell:
    """Return a cell that deletes a column."""
    return Cell(name, None, None, OP_DELETE_ALL_VERSIONS)


def increment(name: str, by: Any, timestamp: int | None = None) -> Cell:
    """Return a cell that counts."""
    return Cell(name, by, timestamp, OP_INCREMENT)


def seen(cells: Iterable[Any] | None) -> list[tuple[Any, ...]] | None:
    """Return name, value and version of each cell."""
    return None if cells is None else [cell[:3] for cell in cells]


def refused(call: Callable[..., object], *arguments: Any, **named: Any) -> str:
    """Return the words with which a call is refused."""
    with pytest.raises(TablestoreError) as caught:
        call(*arguments, **named)
    assert (caught.value.code, caught.value.status) == ("OTSParameterInvalid", 400)
    return caught.value.message


def wide() -> Row:
    """Return a row with three versions of each of a, b, c and d: values 3, 2, 1 at NOW+3, NOW+2, NOW+1."""
    return apply_put([put(name, n, NOW + n) for name in "abcd" for n in (1, 2, 3)], MANY, NOW)


def read(row: Row, options: TableOptions = MANY, now: int = NOW, **arguments: Any) -> list[tuple[Any, ...]] | None:
    """Return name and value of each cell that a read finds."""
    arguments.setdefault("max_versions", 1)
    found = select(row, make_selector(**arguments), options, now)
    return None if found is None else [(cell[0], cell[1]) for cell in found]


def test_reads_take_the_newest_versions() -> None:
    """max_versions takes that many of each column, newest first, and no more than the table keeps."""
    assert read(wide()) == [("a", 3), ("b", 3), ("c", 3), ("d", 3)]
    assert read(wide(), max_versions=2, columns_to_get=["a"]) == [("a", 3), ("a", 2)]
    assert read(wide(), max_versions=9, columns_to_get=["a"]) == [("a", 3), ("a", 2), ("a", 1)]
    assert read(wide(), max_versions=9, columns_to_get=["a"], options=OPTIONS) == [("a", 3)]


def test_time_ranges_include_their_start_and_exclude_their_end() -> None:
    """A range takes versions from its start to before its end, all of them unless max_versions limits them."""
    row = apply_put([put("a", n, NOW + n) for n in (1, 2, 3)], MANY, NOW)
    assert read(row, max_versions=None, time_range=(NOW + 1, NOW + 3, None)) == [("a", 2), ("a", 1)]
    assert read(row, max_versions=1, time_range=(NOW + 1, NOW + 3, None)) == [("a", 2)]
    assert read(row, max_versions=None, time_range=(0, LARGEST, None)) == [("a", 3), ("a", 2), ("a", 1)]
    assert read(row, max_versions=None, time_range=(NOW + 3, None, None)) == [("a", 3)]
    assert read(row, max_versions=None, time_range=(None, NOW + 2, None)) == [("a", 1)]


def test_a_specific_time_takes_that_version() -> None:
    """A specific time takes exactly the cells of that version."""
    assert read(wide(), max_versions=None, time_range=(None, None, NOW + 2), columns_to_get=["a"]) == [("a", 2)]


def test_a_range_looks_only_at_versions_the_table_keeps() -> None:
    """Versions beyond the table's maximum are not found by a time range either."""
    assert read(wide(), options=OPTIONS, max_versions=None, time_range=(NOW, NOW + 3, None)) == []


def test_a_row_without_matching_versions_is_still_a_row() -> None:
    """A time range that matches no cell leaves a row without attributes, unless columns were named."""
    nothing = {"max_versions": None, "time_range": (0, 1, None)}
    assert read(wide(), **nothing) == []
    assert read(wide(), **nothing, columns_to_get=["a"]) is None


def test_columns_to_get_decide_whether_the_row_comes_back() -> None:
    """Absent columns alone yield no row; one that is there, or one of the key, yields it."""
    assert read(wide(), columns_to_get=["x", "y"]) is None
    assert read(wide(), columns_to_get=["x", "b", "a", "b"]) == [("a", 3), ("b", 3)]
    assert read(wide(), columns_to_get=["pk", "x"], key_names=["pk"]) == []
    assert read(wide(), columns_to_get=["pk", "a"], key_names=["pk"]) == [("a", 3)]
    assert read(apply_put([], OPTIONS, NOW), columns_to_get=["a"]) is None


def test_column_ranges_include_their_start_and_exclude_their_end() -> None:
    """start_column is included and end_column is not; either may be missing, and neither need exist."""
    assert read(wide(), start_column="b", end_column="d") == [("b", 3), ("c", 3)]
    assert read(wide(), start_column="bb") == [("c", 3), ("d", 3)]
    assert read(wide(), end_column="b") == [("a", 3)]
    assert read(wide(), start_column="x", end_column="z") == []
    assert read(wide(), start_column="c", end_column="a") == []
    assert read(wide(), start_column="b", columns_to_get=["a", "c"]) == [("c", 3)]


def test_expired_versions_cannot_be_read() -> None:
    """A version can be read for the whole of its time to live, and not a millisecond longer."""
    options = TableOptions(time_to_live=86400, max_versions=2)
    row = apply_put([put("a", 1), put("a", 2, NOW + 5), put("b", 3)], options, NOW)
    assert read(row, options=options, now=NOW + DAY, max_versions=2) == [("a", 2), ("a", 1), ("b", 3)]
    assert read(row, options=options, now=NOW + DAY + 1, max_versions=2) == [("a", 2)]
    assert seen(visible(row, options, NOW + DAY + 1)) == [("a", 2, NOW + 5)]
    assert read(row, options=options, now=NOW + 2 * DAY) == []
    assert read(row, options=options, now=NOW + 2 * DAY, columns_to_get=["a"]) is None


def test_latest_finds_the_newest_version_of_each_name() -> None:
    """The newest version of each named column that is there comes back, once, in order."""
    assert seen(latest(wide(), ["d", "x", "a", "a"], MANY, NOW)) == [("a", 3, NOW + 3), ("d", 3, NOW + 3)]
    assert latest(wide(), ["a"], TableOptions(time_to_live=86400), NOW + 2 * DAY) == []


def test_column_finds_all_versions_of_a_name() -> None:
    """A column is all cells of exactly its name."""
    row = apply_put([put("a", 1), put("aa", 2), put("b", 3)], OPTIONS, NOW)
    assert seen(column(row, "a")) == [("a", 1, NOW)]
    assert seen(column(row, "ab")) == []
    assert len(column(wide(), "d")) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_versions": None}, "No version condition is specified."),
        ({"max_versions": None, "time_range": (None, None, None)}, "No version condition is specified."),
        ({"max_versions": None, "batch": True}, "No version condition is specified while querying row."),
        (
            {"max_versions": 1, "time_range": (None, None, NOW)},
            "Specific tiemstamp and max versions cannot be given at the same time.",
        ),
        ({"max_versions": 0}, "Invalid max versions: 0. Reason: Max versions must be positive."),
        ({"max_versions": 1, "time_range": (-1, 5, None)}, "Timestamp must be in range [0, INT64_MAX/1000)."),
        ({"max_versions": 1, "time_range": (5, 5, None)}, "The start time must be less than the end time."),
    ],
)
def test_a_read_selects_versions_in_one_way(arguments: dict[str, Any], message: str) -> None:
    """A read without versions, or with two ways that exclude each other, is refused in the service's words."""
    assert refused(make_selector, **arguments) == message


def test_sizes_count_names_and_values() -> None:
    """A row counts the bytes of each name and each value; a deletion counts its name."""
    cells = [put("i", 1), put("f", 1.0), put("t", value=True), put("s", "公司"), put("b", b"12345")]
    assert row_size([("pk", "abc"), ("公", 1)], cells) == (2 + 3) + (3 + 8) + 9 + 9 + 2 + 7 + 6
    assert row_size([], [delete_all("name"), delete_one("n", NOW), increment("c", 1)]) == 4 + 1 + 9
    assert row_size([], wide()) == 12 * 9
