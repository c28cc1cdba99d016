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
from ots_config.emulator.tablestore.cells import Row, apply_put, apply_update, latest, row_size, visible
from ots_config.emulator.tablestore.errors import TablestoreError, Wording, invalid
from ots_config.emulator.tablestore.filters import Filter, parse_condition
from ots_config.emulator.tablestore.model import Instance, Stage, Table
from ots_config.emulator.tablestore.sorted_keys import Key, NamedKey
from ots_config.emulator.tablestore.wire import pb2, read_row, text
from ots_config.plainbuffer import VT_BLOB, Cell, Marker, encode_row

PUT, UPDATE, DELETE = pb2.PUT, pb2.UPDATE, pb2.DELETE


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
    """

    kind: int
    primary_key: NamedKey
    cells: Sequence[Cell]
    existence: int
    condition: Filter | None
    returns: int
    returned_columns: Sequence[str]
    size: int


class ChangeResult(NamedTuple):
    """The consumed capacity, and the row to return, encoded; empty for none."""

    units: Units
    row: bytes


def read_change(kind: int, data: bytes, request: Any, wording: Wording) -> RowChange:
    """Read a change, whose `request` has the conditions, and check what does not depend on its table.

    Raises:
        TablestoreError: If it is invalid.
    """
    primary_key, cells, deleted = read_row(data)
    if deleted is not (kind == DELETE):
        raise invalid("data format is invalid.")
    validation.key_values(primary_key, increments=kind != DELETE)
    if kind == UPDATE and not cells:
        raise invalid(wording.no_cells)
    validation.row_change(primary_key, cells)
    expected = request.condition
    existence = expected.row_existence
    condition = parse_condition(expected.column_condition) if expected.HasField("column_condition") else None
    conditional = existence != pb2.IGNORE or condition is not None
    if conditional and any(value is Marker.AUTO_INCREMENT for _, value in primary_key):
        raise invalid("Can't set condition when modify row with pk auto increment.")
    if request.HasField("return_content"):
        content = request.return_content
        returns = content.return_type
        columns: Sequence[str] = [text(name) for name in content.return_column_names]
    else:
        returns, columns = pb2.RT_NONE, ()
    return RowChange(kind, primary_key, cells, existence, condition, returns, columns, row_size(primary_key, cells))


def find(table: Table, key: Key, stage: Stage | None) -> Row | None:
    """Return a row as the owner of a stage sees it."""
    if stage is not None and key in stage:
        return stage[key]
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
            raise invalid("UpdateRow is not allowed on a table whose allow_update is false.")
        after = apply_update(row, change.cells, options, now_ms)
    if stage is not None:
        stage[key] = after
    elif after is not None:
        table.put(key, after)
    elif row is not None:
        table.delete(key)
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


def commit(table: Table, stage: Stage) -> None:
    """Write the staged rows to the table."""
    for key, row in stage.items():
        if row is None:
            table.delete(key)
        else:
            table.put(key, row)
