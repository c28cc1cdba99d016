"""One change to one row, from its bytes to the stored row, as every operation that writes rows needs it.

A change is read first, which finds every error that does not depend on the table, and then applied, either to the
table or to a `Stage` of a transaction or a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.capacity import Units, write_units
from ots_config.emulator.tablestore.cells import VERSION_SIZE, Row, apply_put, apply_update, latest, row_size, visible
from ots_config.emulator.tablestore.errors import TablestoreError, invalid
from ots_config.emulator.tablestore.filters import Filter, parse_condition
from ots_config.emulator.tablestore.model import Instance, Stage, Table
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.emulator.tablestore.sorted_keys import Key, NamedKey
from ots_config.emulator.tablestore.wire import read_row
from ots_config.plainbuffer import OP_INCREMENT, VT_BLOB, Cell, Marker, encode_row

PUT, UPDATE, DELETE = pb2.PUT, pb2.UPDATE, pb2.DELETE

_MISSING_MARKER = "Invalid request of delete row: missing RowDeleteMarker in request."
_UNEXPECTED_MARKER = "Invalid request of put/update row: unexpected RowDeleteMarker in request."
_NO_CELLS_IN_BATCH = "Invalid update row request: missing cells in request."


@dataclass(frozen=True, slots=True)
class RowChange:
    """A change to one row.

    Attributes:
        kind: PUT, UPDATE or DELETE.
        cells: The columns to write, delete or increment.
        existence: The condition on the row's existence.
        condition: The condition on its columns.
        returns: What to return besides the consumed capacity, a number of the protocol.
        returned_columns: The columns to return as they are after the change.
        size: The bytes that count towards capacity units.
        data_size: The bytes that count towards the limit of a request: with the version of each cell.
    """

    kind: int
    primary_key: NamedKey
    cells: Sequence[Cell]
    existence: int
    condition: Filter | None
    returns: int
    returned_columns: Sequence[str]
    size: int
    data_size: int


class ChangeResult(NamedTuple):
    """The consumed capacity, and the row to return, encoded; empty for none."""

    units: Units
    row: bytes


def read_change(kind: int, data: bytes, request: Any, *, batch: bool = False) -> RowChange:
    """Read a change, whose `request` has the conditions, and check what does not depend on its table.

    Args:
        kind: PUT, UPDATE or DELETE.
        data: The change, encoded.
        request: The message that the change is part of.
        batch: Whether that is one row of a batch, for which one message differs.

    Raises:
        TablestoreError: If it is invalid.
    """
    primary_key, cells, deleted = read_row(data)
    if deleted is not (kind == DELETE):
        raise invalid(_MISSING_MARKER if kind == DELETE else _UNEXPECTED_MARKER)
    generated = any(value is Marker.AUTO_INCREMENT for _, value in primary_key)
    if generated and kind == DELETE:
        raise invalid("Invalid row to delete which with pk auto increment.")
    validation.key_values(primary_key, increments=True)
    if kind == UPDATE and not cells:
        raise invalid(_NO_CELLS_IN_BATCH if batch else "Attribute column is missing.")
    validation.row_change(primary_key, cells)
    expected = request.condition
    existence = expected.row_existence
    condition = parse_condition(expected.column_condition) if expected.HasField("column_condition") else None
    if generated and (existence != pb2.IGNORE or condition is not None):
        raise invalid("Can't set condition when modify row with pk auto increment.")
    if request.HasField("return_content"):
        content = request.return_content
        returns = content.return_type
        columns: Sequence[str] = validation.columns_to_get(content.return_column_names)
        if returns == pb2.RT_AFTER_MODIFY:
            _check_returned(columns, cells)
    else:
        returns, columns = pb2.RT_NONE, ()
    size = row_size(primary_key, cells)
    return RowChange(
        kind, primary_key, cells, existence, condition, returns, columns, size, size + VERSION_SIZE * len(cells)
    )


def _check_returned(columns: Sequence[str], cells: Sequence[Cell]) -> None:
    """Raise an error if a column to be returned after the change is not incremented by it."""
    incremented = {cell.name for cell in cells if cell.op == OP_INCREMENT}
    for name in columns:
        if name not in incremented:
            # No recording shows the message.
            raise invalid(f"The return column: '{name}' must be incremented when the return type is RT_AFTER_MODIFY.")


def find(table: Table, key: Key, stage: Stage | None) -> Row | None:
    """Return a row as the owner of a stage sees it."""
    if stage is not None and key in stage.rows:
        return stage.rows[key]
    return table.rows.get(key)


def _check(instance: Instance, table: Table, key: Key, change: RowChange, row: Row | None, now_ms: int) -> None:
    """Raise an error if a row does not fulfil the conditions of a change."""
    existence, condition = change.existence, change.condition
    if existence == pb2.EXPECT_EXIST and row is None:
        raise TablestoreError("OTSConditionCheckFail", instance.wording.row_absent)
    if existence == pb2.EXPECT_NOT_EXIST and row is not None:
        raise TablestoreError("OTSConditionCheckFail", instance.wording.row_present)
    if condition is None:
        return
    if row is None:
        met = condition.matches((), ())
    else:
        met = condition.matches(table.named(key), visible(row, table.options, now_ms))
    if not met:
        raise TablestoreError("OTSConditionCheckFail")


def apply_change(
    instance: Instance, table: Table, key: Key, change: RowChange, stage: Stage | None = None
) -> ChangeResult:
    """Apply a change to a table, or to a stage of it.

    Raises:
        TablestoreError: If a condition is not fulfilled or the change is not possible; nothing has changed then.
    """
    row = find(table, key, stage)
    now_ms = instance.now_ms()
    options = table.options
    checked = change.existence != pb2.IGNORE or change.condition is not None
    if checked:
        _check(instance, table, key, change, row, now_ms)
    after: Row | None = None
    if change.kind == PUT:
        after = apply_put(change.cells, options, now_ms)
    elif change.kind == UPDATE:
        if not options.allow_update:
            raise invalid("Update operation is not allowed in this table")
        after = apply_update(row, change.cells, options, now_ms)
    if stage is None:
        table.write(key, after, change.kind, change.cells, now_ms)
    else:
        stage.add(key, after, change.kind, change.cells)
    units = write_units(change.size, checked=checked, indexed=bool(table.indexes))
    return ChangeResult(units, b"" if change.returns == pb2.RT_NONE else _returned(table, key, change, after, now_ms))


def _returned(table: Table, key: Key, change: RowChange, after: Row | None, now_ms: int) -> bytes:
    if change.returns == pb2.RT_PK:
        return encode_row(table.named(key), bytes_as=VT_BLOB)
    if after is None:
        return b""
    cells = latest(after, change.returned_columns, table.options, now_ms)
    return encode_row(table.named(key), cells, bytes_as=VT_BLOB)


def complete_key(instance: Instance, table: Table, primary_key: NamedKey, transaction: object | None) -> Key:
    """Return the key of a row to be written, with a new auto-increment value where it needs one."""
    key = validation.key_of(table, primary_key)
    if Marker.AUTO_INCREMENT not in key:
        return key
    if transaction is not None:
        raise invalid("AUTO_INCREMENT primary key is not supported in a local transaction.")
    value = table.increment(instance.clock())
    return tuple([value if part is Marker.AUTO_INCREMENT else part for part in key])


def commit(table: Table, stage: Stage, now_ms: int) -> None:
    """Write the staged rows to the table."""
    for key, row, kind, cells in stage.writes:
        table.write(key, row, kind, cells, now_ms)
