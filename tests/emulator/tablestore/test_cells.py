"""What writes make of a row's cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ots_config.emulator.tablestore.cells import (
    ALL_LATEST,
    Row,
    TableOptions,
    apply_put,
    apply_update,
    make_selector,
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


def updated(row: Row | None, *cells: Cell, options: TableOptions = OPTIONS, now: int = NOW) -> Row:
    """Return a row after an update that leaves one."""
    result = apply_update(row, cells, options, now)
    assert result is not None
    return result


# --- PutRow -----------------------------------------------------------------------------------------------


def test_put_assigns_the_present_and_sorts_by_utf8_bytes() -> None:
    """Cells without a version get the present one, and come back in the order of their names' UTF-8 bytes."""
    names = ["b", "a", "\uffee", "\U0001f600", "公司", "B", "é"]
    row = apply_put([put(name, 1) for name in names], OPTIONS, NOW)
    assert [cell[0] for cell in row] == sorted(names, key=lambda name: name.encode())
    assert {cell[2] for cell in row} == {NOW}


def test_put_without_attributes_is_a_row() -> None:
    """A row put with a key alone exists and has no cells."""
    row = apply_put([], OPTIONS, NOW)
    assert row == ()
    assert seen(select(row, ALL_LATEST, OPTIONS, NOW)) == []


def test_put_keeps_versions_newest_first_up_to_the_maximum() -> None:
    """Several versions of one column in one request are kept newest first, no more than the table allows."""
    cells = [put("a", offset, NOW + offset) for offset in (2, 5, 1, 4)]
    assert seen(apply_put(cells, MANY, NOW)) == [("a", 5, NOW + 5), ("a", 4, NOW + 4), ("a", 2, NOW + 2)]
    assert seen(apply_put(cells, OPTIONS, NOW)) == [("a", 5, NOW + 5)]


def test_put_of_one_version_twice_keeps_the_last() -> None:
    """Of two cells with one name and one version, given or assigned, the later replaces the earlier."""
    assert seen(apply_put([put("a", 1), put("a", 2)], MANY, NOW)) == [("a", 2, NOW)]
    assert seen(apply_put([put("a", 1, NOW), put("a", 2)], MANY, NOW)) == [("a", 2, NOW)]


@pytest.mark.parametrize("timestamp", [-1, LARGEST // 1000, LARGEST])
def test_versions_have_a_range(timestamp: int) -> None:
    """A version below zero or not below INT64_MAX/1000 is refused, however large the deviation."""
    options = TableOptions(deviation=LARGEST)
    message = "Timestamp must be in range [0, INT64_MAX/1000)."
    assert refused(apply_put, [put("a", 1, timestamp)], options, NOW) == message
    assert refused(apply_update, (), [delete_one("a", timestamp)], options, NOW) == message
    assert refused(make_selector, max_versions=None, time_range=(None, None, timestamp)) == message


def test_the_range_of_versions_ends_where_it_says() -> None:
    """Zero and the last version below INT64_MAX/1000 are written where the deviation allows them."""
    options = TableOptions(deviation=LARGEST, max_versions=2)
    row = apply_put([put("a", 1, 0), put("a", 2, LARGEST // 1000 - 1)], options, NOW)
    assert seen(row) == [("a", 2, LARGEST // 1000 - 1), ("a", 1, 0)]


@pytest.mark.parametrize(
    ("options", "first", "end"),
    [
        (TableOptions(), NOW - DAY, NOW + DAY),
        (TableOptions(time_to_live=86400, deviation=10 * 86400), NOW - DAY, NOW + 10 * DAY),
        (TableOptions(time_to_live=10 * 86400), NOW - DAY, NOW + DAY),
    ],
)
def test_versions_have_a_window(options: TableOptions, first: int, end: int) -> None:
    """A version may be written from the later of now-deviation and now-TTL up to, not including, now+deviation."""
    assert apply_put([put("a", 1, first)], options, NOW)
    assert apply_put([put("a", 1, end - 1)], options, NOW)
    for timestamp in (first - 1, end):
        refused(apply_put, [put("a", 1, timestamp)], options, NOW)
        refused(apply_update, None, [put("a", 1, timestamp)], options, NOW)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (put("a", None), "Invalid request of put row: find cells without values."),
        (delete_all("a"), "OpType cannot be given for column name:a in PutRow."),
        (increment("a", 1), "OpType cannot be given for column name:a in PutRow."),
    ],
)
def test_put_takes_values_only(cell: Cell, message: str) -> None:
    """PutRow refuses a cell without a value and a cell with an operation."""
    assert refused(apply_put, [cell], OPTIONS, NOW) == message


# --- UpdateRow --------------------------------------------------------------------------------------------


def test_update_leaves_the_row_it_was_given_alone() -> None:
    """An update makes a new row and leaves the old one unchanged."""
    before = apply_put([put("a", 1), put("b", 2)], OPTIONS, NOW)
    after = updated(before, put("b", 3), put("c", 4), now=NOW + 1)
    assert seen(before) == [("a", 1, NOW), ("b", 2, NOW)]
    assert seen(after) == [("a", 1, NOW), ("b", 3, NOW + 1), ("c", 4, NOW + 1)]


def test_update_drops_versions_beyond_the_maximum() -> None:
    """The fourth version of a column makes the oldest of three unreadable; an older fourth is never readable."""
    row = apply_put([put("a", offset, NOW + offset) for offset in (1, 2, 3)], MANY, NOW)
    assert [cell[1] for cell in updated(row, put("a", 4, NOW + 4), options=MANY)] == [4, 3, 2]
    assert [cell[1] for cell in updated(row, put("a", 0, NOW), options=MANY)] == [3, 2, 1]


def test_update_replaces_a_version() -> None:
    """A put with a version that is there replaces its value, whatever the type."""
    row = apply_put([put("a", 1, NOW)], MANY, NOW)
    assert seen(updated(row, put("a", "x", NOW), options=MANY)) == [("a", "x", NOW)]


def test_update_deletes_one_version_or_all() -> None:
    """A deletion removes the version it names, or all, and nothing if there is none."""
    row = apply_put([put("a", 1, NOW), put("a", 2, NOW + 1), put("b", 3)], MANY, NOW)
    assert seen(updated(row, delete_one("a", NOW), options=MANY)) == [("a", 2, NOW + 1), ("b", 3, NOW)]
    assert seen(updated(row, delete_one("a", NOW - 1), options=MANY)) == seen(row)
    assert seen(updated(row, delete_all("a"), options=MANY)) == [("b", 3, NOW)]
    assert updated(row, delete_all("a"), delete_all("b"), delete_all("c"), options=MANY) == ()


def test_deletions_reach_versions_outside_the_window() -> None:
    """A version older than the window can still be deleted."""
    row = apply_put([put("a", 1, NOW)], MANY, NOW)
    assert updated(row, delete_one("a", NOW), options=MANY, now=NOW + 30 * DAY) == ()


def test_deletions_alone_do_not_make_a_row() -> None:
    """An absent row stays absent after deletions only, and appears after a put among deletions."""
    assert apply_update(None, [delete_all("a"), delete_one("b", NOW)], OPTIONS, NOW) is None
    assert apply_update(None, [put("a", 1), delete_all("a")], OPTIONS, NOW) == ()
    assert seen(apply_update(None, [delete_all("a"), put("a", 1)], OPTIONS, NOW)) == [("a", 1, NOW)]


def test_operations_apply_in_their_order() -> None:
    """A put after the deletion of its column stays, a put before it goes."""
    row = apply_put([put("a", 1), put("b", 2)], OPTIONS, NOW)
    assert seen(updated(row, delete_all("a"), put("a", 3), put("b", 4), delete_all("b"))) == [("a", 3, NOW)]


def test_deletions_take_no_value_and_one_version_needs_its_number() -> None:
    """A deletion with a value is refused in the service's words, and so is one of no version in particular."""
    message = "Column value cannot be given when type is DELETE_ONE_VERSION,DELETE_ALL_VERSION."
    for op in (OP_DELETE_ONE_VERSION, OP_DELETE_ALL_VERSIONS):
        assert refused(apply_update, (), [Cell("a", 1, NOW, op)], OPTIONS, NOW) == message
    message = "Timestamp must be given when type is DELETE_ONE_VERSION."
    assert refused(apply_update, (), [delete_one("a", None)], OPTIONS, NOW) == message
    message = "Timestamp cannot be given when type is DELETE_ALL_VERSION."
    assert refused(apply_update, (), [Cell("a", None, NOW, OP_DELETE_ALL_VERSIONS)], OPTIONS, NOW) == message


@pytest.mark.parametrize("cell", [put("a", None), Cell("a", 1, None, 2), Cell("a", 1, None, 99)])
def test_unknown_operations_are_refused(cell: Cell) -> None:
    """A put without a value and an operation that is none are refused."""
    assert refused(apply_update, (), [cell], OPTIONS, NOW) == "data format is invalid."


def test_versions_lost_to_a_lowered_maximum_do_not_come_back() -> None:
    """After the maximum is lowered, deleting the newest version leaves the column empty."""
    row = apply_put([put("a", offset, NOW + offset) for offset in (1, 2, 3)], MANY, NOW)
    assert [cell[1] for cell in visible(row, OPTIONS, NOW)] == [3]
    assert updated(row, delete_one("a", NOW + 3)) == ()


# --- atomic increment -------------------------------------------------------------------------------------


def test_increment_counts_from_what_is_there_or_from_zero() -> None:
    """An increment adds to the newest version; an absent column and an absent row count as zero."""
    row = updated(None, increment("a", 5))
    assert seen(row) == [("a", 5, NOW)]
    assert seen(updated(row, increment("a", -7), now=NOW + 1)) == [("a", -2, NOW + 1)]
    assert seen(updated(row, increment("a", 1), options=MANY, now=NOW + 1)) == [("a", 6, NOW + 1), ("a", 5, NOW)]


def test_increment_never_hides_behind_a_future_version() -> None:
    """An increment of a column whose newest version lies in the future counts at that version."""
    row = apply_put([put("a", 5, NOW + 1000)], OPTIONS, NOW)
    assert seen(updated(row, increment("a", 1))) == [("a", 6, NOW + 1000)]


def test_increment_does_not_count_what_has_expired() -> None:
    """A counter whose version has expired starts again at zero."""
    options = TableOptions(time_to_live=86400)
    row = apply_put([put("a", 5)], options, NOW)
    assert seen(updated(row, increment("a", 1), options=options, now=NOW + DAY + 1)) == [("a", 1, NOW + DAY + 1)]


@pytest.mark.parametrize(("old", "by"), [(LARGEST, 1), (-(1 << 63), -1)])
def test_increment_refuses_overflow(old: int, by: int) -> None:
    """A sum that does not fit 64 bits is refused."""
    row = apply_put([put("a", old)], OPTIONS, NOW)
    assert "exceeds" in refused(apply_update, row, [increment("a", by)], OPTIONS, NOW)


@pytest.mark.parametrize(("old", "by"), [("x", 1), (1.0, 1), (True, 1), (b"y", 1), (1, 1.0), (1, True), (1, "x")])
def test_increment_takes_integers_only(old: Any, by: Any) -> None:
    """A value or an increment of another type is refused, booleans among them."""
    row = apply_put([put("a", old)], OPTIONS, NOW)
    assert "INTEGER" in refused(apply_update, row, [increment("a", by)], OPTIONS, NOW)


@pytest.mark.parametrize("other", [put("a", 1), delete_all("a"), delete_one("a", NOW), increment("a", 1)])
def test_increment_stands_alone_on_its_column(other: Cell) -> None:
    """A second operation on an incremented column is refused, before or after; on other columns it is not."""
    for cells in ([increment("a", 1), other], [other, increment("a", 1)]):
        assert "'a'" in refused(apply_update, (), cells, OPTIONS, NOW)
    assert seen(updated((), increment("a", 1), increment("b", 2))) == [("a", 1, NOW), ("b", 2, NOW)]


# --- against a model --------------------------------------------------------------------------------------

_NAMES = st.sampled_from(["a", "aa", "b", "公", "\U0001f600"])
_TIMES = st.integers(NOW - 4, NOW + 4)
_OPERATIONS = st.one_of(
    st.builds(put, _NAMES, st.integers(0, 9), st.one_of(st.none(), _TIMES)),
    st.builds(delete_one, _NAMES, _TIMES),
    st.builds(delete_all, _NAMES),
)


def _visible(model: dict[str, dict[int, Any]], limit: int) -> dict[str, dict[int, Any]]:
    return {
        name: {version: versions[version] for version in sorted(versions, reverse=True)[:limit]}
        for name, versions in model.items()
        if versions
    }


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(_OPERATIONS, max_size=6), max_size=6), st.integers(1, 3), st.integers(1, 3))
def test_random_updates_agree_with_a_dictionary(updates: list[list[Cell]], limit: int, wanted: int) -> None:
    """Random programs of updates leave what a dictionary of dictionaries has after them."""
    options = TableOptions(max_versions=limit)
    model: dict[str, dict[int, Any]] | None = None
    row: Row | None = None
    for step, cells in enumerate(updates):
        now = NOW + step
        row = apply_update(row, cells, options, now)
        if model is None and not any(cell.op is None for cell in cells):
            assert row is None
            continue
        model = {} if model is None else model
        for name, value, timestamp, op in cells:
            if op is None:
                model.setdefault(name, {})[now if timestamp is None else timestamp] = value
            elif op == OP_DELETE_ALL_VERSIONS:
                model.pop(name, None)
            else:
                model.get(name, {}).pop(timestamp, None)  # type: ignore[arg-type]
        model = _visible(model, limit)
        assert row is not None
        names = sorted(model, key=lambda name: name.encode())
        assert [cell[:3] for cell in row] == [(name, v, t) for name in names for t, v in model[name].items()]
        newest = _visible(model, min(limit, wanted))
        found = select(row, make_selector(max_versions=wanted), options, now)
        assert seen(found) == [(name, v, t) for name in names for t, v in newest[name].items()]
