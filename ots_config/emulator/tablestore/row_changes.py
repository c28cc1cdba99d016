"""One change to one row, from its bytes to the stored row: what all operations that write rows have in common.

A change is read first, which finds every fault that needs no table, and applied afterwards, either to the table at
once, or to a `Stage`: what a transaction or a batch has written and the table does not show yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.capacity import Units, write_row_units
from ots_config.emulator.tablestore.cells import Row, apply_put, apply_update, latest, row_size, visible
from ots_config.emulator.tablestore.errors import ServiceFault, Wording, invalid
from ots_config.emulator.tablestore.filters import Filter, parse_condition
from ots_config.emulator.tablestore.model import Service, Table
from ots_config.emulator.tablestore.protobuf import pb2
from ots_config.emulator.tablestore.sorted_keys import Key
from ots_config.emulator.tablestore.wire import read_row, text
from ots_config.plainbuffer import VT_BLOB, Cell, Marker, encode_row

Stage = dict[Key, Row | None]
"""Rows written but not shown yet, by key; None for a row that is deleted."""

PUT, UPDATE, DELETE = pb2.PUT, pb2.UPDATE, pb2.DELETE

CHECK_FAILED = "Condition check failed."


@dataclass(frozen=True, slots=True)
class Change:
    """A change to one row.

    Attributes:
        kind: PUT, UPDATE or DELETE.
        primary_key: Names and values of the key as they were sent.
        cells: The columns to write, delete or increment.
        existence: What is expected of the row.
        condition: What is expected of its columns.
        returns: What to answer besides the capacity consumed, a number of the protocol.
        returned_columns: The columns to answer after the change.
        size: The bytes of the change.
    """

    kind: int
    primary_key: Sequence[tuple[str, Any]]
    cells: Sequence[Cell]
    existence: int
    condition: Filter | None
    returns: int
    returned_columns: Sequence[str]
    size: int


class Outcome(NamedTuple):
    """What a change came to.

    Attributes:
        units: The capacity it consumed.
        row: The row to answer, encoded; empty for none.
    """

    units: Units
    row: bytes


def read_change(kind: int, data: bytes, request: Any, wording: Wording) -> Change:
    """Read a change and check what can be checked without its table.

    Args:
        kind: PUT, UPDATE or DELETE.
        data: The row in PlainBuffer.
        request: The message that has its condition and return_content.
        wording: The texts to use.

    Raises:
        ServiceFault: OTSParameterInvalid.
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
    return Change(kind, primary_key, cells, existence, condition, returns, columns, row_size(primary_key, cells))


def find(table: Table, key: Key, stage: Stage | None) -> Row | None:
    """Return a row as whoever has this stage sees it."""
    if stage is not None and key in stage:
        return stage[key]
    return table.rows.get(key)


def _check(service: Service, table: Table, key: Key, change: Change, row: Row | None, now_ms: int) -> None:
    """Refuse a change to a row that is not as the change expects it."""
    existence, condition = change.existence, change.condition
    if existence == pb2.EXPECT_EXIST and row is None:
        raise ServiceFault("OTSConditionCheckFail", service.wording.row_absent)
    if existence == pb2.EXPECT_NOT_EXIST and row is not None:
        raise ServiceFault("OTSConditionCheckFail", service.wording.row_present)
    if condition is None:
        return
    if row is None:
        met = condition.matches((), ())
    else:
        met = condition.matches(table.named(key), visible(row, table.options, now_ms))
    if not met:
        raise ServiceFault("OTSConditionCheckFail", CHECK_FAILED)


def apply_change(service: Service, table: Table, key: Key, change: Change, stage: Stage | None = None) -> Outcome:
    """Apply a change to a table, or to a stage of it.

    Raises:
        ServiceFault: The row is not as the change expects it, or cannot be changed so; nothing has happened then.
    """
    row = find(table, key, stage)
    now_ms = service.now_ms()
    options = table.options
    checked = change.existence != pb2.IGNORE or change.condition is not None
    if checked:
        _check(service, table, key, change, row, now_ms)
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
    units = write_row_units(change.size, checked=checked, indexed=bool(table.indexes))
    return Outcome(units, b"" if change.returns == pb2.RT_NONE else _returned(table, key, change, after, now_ms))


def _returned(table: Table, key: Key, change: Change, after: Row | None, now_ms: int) -> bytes:
    if change.returns == pb2.RT_PK:
        return encode_row(table.named(key), bytes_as=VT_BLOB)
    if after is None:
        return b""
    cells = latest(after, change.returned_columns, table.options, now_ms)
    return encode_row(table.named(key), cells, bytes_as=VT_BLOB)


def complete_key(
    service: Service, table: Table, primary_key: Sequence[tuple[str, Any]], transaction: object | None
) -> Key:
    """Return the key of a row to be written, with its auto-increment value made."""
    key = validation.key_of(table, primary_key)
    if Marker.AUTO_INCREMENT not in key:
        return key
    if transaction is not None:
        raise invalid("AUTO_INCREMENT primary key is not supported in a local transaction.")
    value = table.increment(service.clock())
    return tuple([value if part is Marker.AUTO_INCREMENT else part for part in key])


def commit(table: Table, stage: Stage) -> None:
    """Show what was staged."""
    for key, row in stage.items():
        if row is None:
            table.delete(key)
        else:
            table.put(key, row)
