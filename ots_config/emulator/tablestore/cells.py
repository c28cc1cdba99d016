"""The cells of one row: how a write changes them, and which of them a read sees.

A row is an immutable tuple of cells in the order of the service's responses: by column name (in the order of its UTF-8
bytes, which is the order of Python strings), then newest version first. A cell is the tuple that
`plainbuffer.encode_row` writes. So a read of a whole row copies references only, a column is found by bisection, and a
row kept by a transaction or an index is a snapshot.

Two decisions where documents and recordings are silent: an increment writes its version at the present time, or at
the time of the newest version if that is in the future, so that it is never hidden by an older value; and time to live
removes attributes only: a row whose cells have all expired still exists, like a row put without attributes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from sys import intern
from typing import Any, NamedTuple, TypeAlias

from ots_config.emulator.tablestore.errors import invalid
from ots_config.plainbuffer import (
    OP_DELETE_ALL_VERSIONS,
    OP_DELETE_ONE_VERSION,
    OP_INCREMENT,
    Cell,
    Value,
    value_size,
)

StoredCell: TypeAlias = tuple[str, Value, int, None]
"""Column name, value (a binary is `bytes`), version (milliseconds since 1970) and the absent operation."""

Row: TypeAlias = tuple[StoredCell, ...]
"""A stored row without its key; `()` is one without attributes."""

_TIMESTAMP_END = ((1 << 63) - 1) // 1000  # the service keeps microseconds in 64 bits
_FOREVER = 1 << 63
VERSION_SIZE = 8  # bytes that the version of each cell adds to the size of a request or a page
_NAME = itemgetter(0)
_VERSION = itemgetter(2)

_BAD_TIMESTAMP = "Timestamp must be in range [0, INT64_MAX/1000)."
_BAD_FORMAT = "data format is invalid."


class TableOptions(NamedTuple):
    """How a table keeps versions.

    Attributes:
        time_to_live: Seconds for which a version can be read, -1 for no limit.
        deviation: Seconds by which a version from a client may differ from the present.
        allow_update: Whether UpdateRow is allowed.
        update_full_row: As CreateTable asked for; it changes nothing here.
    """

    time_to_live: int = -1
    max_versions: int = 1
    deviation: int = 86400
    allow_update: bool = True
    update_full_row: bool = False


# --- writing ----------------------------------------------------------------------------------------------


def _version(name: str, timestamp: int | None, options: TableOptions, now_ms: int) -> int:
    """Return the version under which a cell is stored; raise an error for an invalid one."""
    if timestamp is None:
        return now_ms
    if not 0 <= timestamp < _TIMESTAMP_END:
        raise invalid(_BAD_TIMESTAMP)
    deviation = options.deviation * 1000
    start = now_ms - deviation
    if options.time_to_live >= 0:
        start = max(start, now_ms - options.time_to_live * 1000)
    end = now_ms + deviation
    if not start <= timestamp < end:
        raise invalid(f"Invalid timestamp. Cell:{name}.")
    return timestamp


def apply_put(cells: Iterable[Cell], options: TableOptions, now_ms: int) -> Row:
    """Return the row that PutRow stores.

    Of several cells with one name and one version the last wins; versions beyond the table's maximum are dropped.

    Raises:
        TablestoreError: If a cell has no value, has an operation, or a version outside the table's window.
    """
    made: dict[tuple[str, int], StoredCell] = {}
    names: set[str] = set()
    for name, value, timestamp, op in cells:
        if op is not None:
            raise invalid(f"OpType cannot be given for column name:{name} in PutRow.")
        if value is None:
            raise invalid("Invalid request of put row: find cells without values.")
        version = now_ms if timestamp is None else _version(name, timestamp, options, now_ms)
        known = intern(name)  # one copy of each name, however many rows have it
        names.add(known)
        made[known, version] = (known, value, version, None)
    row = list(made.values())
    if len(names) == len(row):
        row.sort(key=_NAME)
        return tuple(row)
    row.sort(key=_VERSION, reverse=True)
    row.sort(key=_NAME)  # a stable sort: each column's versions stay newest first
    return tuple(_newest(row, options.max_versions))


def apply_update(row: Row | None, cells: Iterable[Cell], options: TableOptions, now_ms: int) -> Row | None:
    """Return a row with the operations of UpdateRow applied in order.

    Returns:
        The new row; None if there was none and all operations are deletions.

    Raises:
        TablestoreError: If a cell does not fit its operation, a version is outside the table's window, or an
            increment meets another type, overflows, or shares its column with another operation.
    """
    changed: dict[str, dict[int, StoredCell]] = {}
    counters: set[str] = set()
    writes = False
    for cell in cells:
        name, value, timestamp, op = cell
        versions = changed.get(name)
        if versions is None:
            name = intern(name)
            stored = _alive(column(row, name), options, now_ms)[: options.max_versions] if row else ()
            changed[name] = versions = {old[2]: old for old in stored}
        elif op == OP_INCREMENT or name in counters:
            # The documents forbid it; no recording shows the message.
            raise invalid(f"Increment of column: '{name}' cannot be combined with other operations on it.")
        if op in (OP_DELETE_ALL_VERSIONS, OP_DELETE_ONE_VERSION):
            _delete(versions, cell)
            continue
        if op == OP_INCREMENT:
            counters.add(name)
            made = _increment(name, versions, cell, options, now_ms)
        elif op is None and value is not None:
            made = (name, value, _version(name, timestamp, options, now_ms), None)
        else:
            raise invalid(_BAD_FORMAT)
        versions[made[2]] = made
        writes = True
    if row is None and not writes:
        return None
    return _merged(row or (), changed, options.max_versions)


def _delete(versions: dict[int, StoredCell], cell: Cell) -> None:
    """Delete the version that a cell names, or all versions."""
    _, value, timestamp, op = cell
    if value is not None:
        raise invalid("Column value cannot be given when type is DELETE_ONE_VERSION,DELETE_ALL_VERSION.")
    if op == OP_DELETE_ALL_VERSIONS:
        if timestamp is not None:
            raise invalid("Timestamp cannot be given when type is DELETE_ALL_VERSION.")
        versions.clear()
    elif timestamp is None:
        raise invalid("Timestamp must be given when type is DELETE_ONE_VERSION.")
    elif not 0 <= timestamp < _TIMESTAMP_END:
        raise invalid(_BAD_TIMESTAMP)
    else:
        versions.pop(timestamp, None)


def _increment(
    name: str, versions: dict[int, StoredCell], cell: Cell, options: TableOptions, now_ms: int
) -> StoredCell:
    """Return the cell that an increment writes; only integers can be incremented, booleans cannot."""
    _, by, timestamp, _ = cell
    newest = versions[max(versions)] if versions else None
    old = 0 if newest is None else newest[1]
    # The documents have the code of these two; no recording shows the messages.
    if type(by) is not int or type(old) is not int:
        raise invalid(f"Increment of column: '{name}' requires the type INTEGER.")
    total = old + by
    if not -(1 << 63) <= total < 1 << 63:
        raise invalid(f"Increment of column: '{name}' exceeds the range of INTEGER.")
    version = _version(name, timestamp, options, now_ms)
    if newest is not None and timestamp is None:
        version = max(version, newest[2])
    return name, total, version, None


def _merged(row: Row, changed: dict[str, dict[int, StoredCell]], max_versions: int) -> Row:
    """Return a row with the versions of some columns replaced, in one pass that copies the rest in slices."""
    merged: list[StoredCell] = []
    done = 0
    for name in sorted(changed):
        low = _start(row, name)
        merged += row[done:low]
        versions = changed[name]
        if len(versions) > 1:
            merged += [versions[version] for version in sorted(versions, reverse=True)[:max_versions]]
        else:
            merged += versions.values()
        done = _end(row, name, low)
    merged += row[done:]
    return tuple(merged)


# --- reading ----------------------------------------------------------------------------------------------


class Selector(NamedTuple):
    """The cells of a row that a read selects; made by `make_selector`.

    Attributes:
        max_versions: How many versions of each column, None for all.
        time_range: The first version and the one after the last, None for all.
        columns: The attribute columns, sorted, None for all.
        key_named: Whether a primary key column was named among the columns.
        column_range: The first column and the one after the last, either may be None; None for all.
    """

    max_versions: int | None
    time_range: tuple[int, int] | None = None
    columns: tuple[str, ...] | None = None
    key_named: bool = False
    column_range: tuple[str | None, str | None] | None = None


def make_selector(
    *,
    max_versions: int | None,
    time_range: tuple[int | None, int | None, int | None] | None = None,
    columns_to_get: Sequence[str] = (),
    key_names: Collection[str] = (),
    start_column: str | None = None,
    end_column: str | None = None,
    batch: bool = False,
) -> Selector:
    """Check the parameters of a read and return its selector.

    Args:
        max_versions: As in the request, None if it has none.
        time_range: Start, end and specific time, None if the request has none.
        columns_to_get: As in the request; empty means all.
        key_names: The names of the table's primary key columns.
        start_column: The first column, None if the request has none.
        end_column: The column after the last, None if the request has none.
        batch: Whether the request is BatchGetRow, whose error message differs.

    Raises:
        TablestoreError: If no versions are selected, or in two ways that exclude each other.
    """
    versions = None if time_range is None else _versions(*time_range)
    if versions is None and max_versions is None:
        raise invalid(f"No version condition is specified{' while querying row' if batch else ''}.")
    if max_versions is not None:
        if time_range is not None and time_range[2] is not None:
            raise invalid("Specific tiemstamp and max versions cannot be given at the same time.")
        if max_versions <= 0:
            raise invalid(f"Invalid max versions: {max_versions}. Reason: Max versions must be positive.")
    columns = None
    key_named = False
    if columns_to_get:
        named = set(columns_to_get)
        key_named = not named.isdisjoint(key_names)
        columns = tuple(sorted(named.difference(key_names)))
    column_range = None if start_column is None and end_column is None else (start_column, end_column)
    return Selector(max_versions, versions, columns, key_named, column_range)


def _versions(start: int | None, end: int | None, specific: int | None) -> tuple[int, int] | None:
    if specific is not None:
        if start is not None or end is not None:
            raise invalid("Specific tiemstamp and time range cannot be given at the same time.")
        if not 0 <= specific < _TIMESTAMP_END:
            raise invalid(_BAD_TIMESTAMP)
        return specific, specific + 1
    if start is None and end is None:
        return None
    start = 0 if start is None else start
    # The official SDKs write "no end" as one beyond the range.
    end = _FOREVER if end is None else end
    if not 0 <= start < _TIMESTAMP_END or end < 0:
        raise invalid(_BAD_TIMESTAMP)
    if start >= end:
        raise invalid("The start time must be less than the end time.")  # no recording shows the message
    return start, end


ALL_LATEST = Selector(1)
"""The newest version of every column, as most reads select."""


def select(row: Row, selector: Selector, options: TableOptions, now_ms: int) -> Sequence[StoredCell] | None:
    """Return the cells of a row that a read selects, in the order of the response.

    The table's limits come first: no selector sees expired versions or those beyond its maximum. If `columns_to_get`
    names columns of which none is found, the row is absent from the response, unless a primary key column is named
    too; other selectors that match nothing leave a row without attributes. Every row has its whole key, whichever
    columns are named.

    Returns:
        The cells, not to be changed; None if the row is absent.
    """
    wanted, time_range, columns, key_named, column_range = selector
    cells: Sequence[StoredCell] = row
    if column_range is not None:
        start, end = column_range
        low = 0 if start is None else _start(cells, start)
        cells = cells[low : None if end is None else _start(cells, end)]
    if columns is not None:
        cells = [cell for name in columns for cell in column(cells, name)]
    if options.time_to_live >= 0:
        cells = _alive(cells, options, now_ms)
    limit = options.max_versions
    if time_range is not None:
        first, end_time = time_range
        cells = [cell for cell in _newest(cells, limit) if first <= cell[2] < end_time]
    if wanted is not None and wanted < limit:
        limit = wanted
    cells = _newest(cells, limit)
    if not cells and columns is not None and not key_named:
        return None
    return cells


def visible(row: Row, options: TableOptions, now_ms: int) -> Sequence[StoredCell]:
    """Return all cells of a row that can be read, which is what the condition of a write sees."""
    return _newest(_alive(row, options, now_ms), options.max_versions)


def latest(row: Row, names: Iterable[str], options: TableOptions, now_ms: int) -> list[StoredCell]:
    """Return the newest version of each named column that the row has, in the order of the response."""
    found = [_alive(column(row, name), options, now_ms)[:1] for name in sorted(set(names))]
    return [cell for cells in found for cell in cells]


def column(cells: Sequence[StoredCell], name: str) -> Sequence[StoredCell]:
    """Return the versions of one column, newest first, of cells in the order of a row."""
    low = _start(cells, name)
    return cells[low : _end(cells, name, low)]


def _start(cells: Sequence[tuple[Any, ...]], name: str) -> int:
    """Return the position of a column's first cell: a tuple of the name alone sorts right before it."""
    return bisect_left(cells, (name,))


def _end(cells: Sequence[StoredCell], name: str, position: int) -> int:
    """Return the position after a column's last cell."""
    while position < len(cells) and cells[position][0] == name:
        position += 1
    return position


def _alive(cells: Sequence[StoredCell], options: TableOptions, now_ms: int) -> Sequence[StoredCell]:
    """Return the cells that have not expired."""
    if options.time_to_live < 0:
        return cells
    oldest = now_ms - options.time_to_live * 1000
    return [cell for cell in cells if cell[2] >= oldest]


def _newest(cells: Sequence[StoredCell], limit: int) -> list[StoredCell]:
    """Return the newest versions of each column."""
    kept: list[StoredCell] = []
    last, count = None, 0
    for cell in cells:
        name = cell[0]
        if name != last:
            last, count = name, 0
        if count < limit:
            kept.append(cell)
            count += 1
    return kept


# --- sizes ------------------------------------------------------------------------------------------------


def row_size(key: Iterable[tuple[str, Any]], cells: Iterable[Cell | StoredCell] = ()) -> int:
    """Return the bytes of a row or a change that count towards limits and capacity units: names and values."""
    size = 0
    for name, value in key:
        size += value_size(name) + value_size(value)
    for cell in cells:
        name, value = cell[0], cell[1]
        size += len(name) if name.isascii() else len(name.encode())
        # A shortcut: every read and write gets here, and most values are strings.
        size += len(value) if type(value) is str and value.isascii() else value_size(value)
    return size
