"""What a table's definition may be: its key, predefined columns, options, reserved capacity and stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.cells import TableOptions
from ots_config.emulator.tablestore.change_log import ChangeLog, ColumnChoice, make_shards
from ots_config.emulator.tablestore.errors import invalid
from ots_config.emulator.tablestore.model import KEY_TYPES, PK_BOOLEAN, KeyColumn, Table
from ots_config.emulator.tablestore.protocol import pb2

MAX_DEFINED_COLUMNS = 32
MAX_RESERVED_UNITS = 100_000
MIN_TIME_TO_LIVE = 86_400
MAX_STREAM_HOURS = 168
_MAX_DEVIATION = ((1 << 63) - 1) // 1_000_000


def key_schema(table: str, columns: Any) -> tuple[KeyColumn, ...]:
    """Return the columns of a primary key."""
    validation.key_columns(len(columns))
    schema: list[KeyColumn] = []
    for column in columns:
        name = validation.column_name(column.name)
        if any(name == other.name for other in schema):
            raise invalid(f"Duplicated primary key name: '{name}'.")
        increments = column.HasField("option")
        if increments and column.type != pb2.INTEGER:
            raise invalid("AUTO_INCREMENT primary key must be integer.")
        if increments and not schema:
            raise invalid(f"First primary key can't be auto increment, table: {table}.")
        if increments and any(other.increments for other in schema):
            raise invalid("AUTO_INCREMENT primary key count must <= 1.")
        if column.type not in KEY_TYPES or (column.type == PK_BOOLEAN and not schema):
            raise invalid("BOOLEAN is an invalid type for the primary key.")
        schema.append(KeyColumn(name, column.type, increments))
    return tuple(schema)


def defined_columns(before: dict[str, int], columns: Iterable[Any], schema: tuple[KeyColumn, ...]) -> dict[str, int]:
    """Return predefined columns with more of them, name to type."""
    defined = dict(before)
    for column in columns:
        name = validation.column_name(column.name)
        if name in defined or any(name == key.name for key in schema):
            raise invalid(f"Duplicated column name: '{name}'.")
        defined[name] = column.type
        if len(defined) > MAX_DEFINED_COLUMNS:
            raise invalid(f"The number of defined columns must be in range: [0, {MAX_DEFINED_COLUMNS}].")
    return defined


def new_options(options: Any) -> TableOptions:
    """Return the options of a new table."""
    if not options.HasField("time_to_live"):
        raise invalid("Time-to-live is missing while creating table.")
    return changed_options(TableOptions(update_full_row=options.update_full_row), options)


def changed_options(before: TableOptions, options: Any) -> TableOptions:
    """Return options with the changes of an UpdateTable: what it does not name is kept."""
    after = before
    if options.HasField("time_to_live"):
        seconds = options.time_to_live
        if seconds == 0 or seconds < -1:
            raise invalid("TimeToLive cannot be 0 or less than -1.")
        if 0 < seconds < MIN_TIME_TO_LIVE:
            raise invalid(f"TimeToLive must be -1 or at least {MIN_TIME_TO_LIVE}.")
        after = after._replace(time_to_live=seconds)
    if options.HasField("max_versions"):
        if options.max_versions < 1:
            raise invalid("The maximum versions cannot be less than or equal to 0.")
        after = after._replace(max_versions=options.max_versions)
    if options.HasField("deviation_cell_version_in_sec"):
        if not 0 <= options.deviation_cell_version_in_sec <= _MAX_DEVIATION:
            raise invalid("The maximum deviation must be in range [0, INT64_MAX/1000000].")
        after = after._replace(deviation=options.deviation_cell_version_in_sec)
    if options.HasField("allow_update"):
        after = after._replace(allow_update=options.allow_update)
    return after


def reserved(unit: Any) -> tuple[int, int]:
    """Return the reserved read and write capacity, 0 for what is not given."""
    for kind, value in (("read", unit.read), ("write", unit.write)):
        if not 0 <= value <= MAX_RESERVED_UNITS:
            raise invalid(f"The reserved {kind} capacity unit must be in range: [0, {MAX_RESERVED_UNITS}].")
    return unit.read, unit.write


def requested_stream(table: Table, spec: Any, now: float) -> ChangeLog | None:
    """Return the stream that a table has after a request: its own, changed, or a new one, or none."""
    if not spec.enable_stream:
        return None
    hours = spec.expiration_time if spec.HasField("expiration_time") else 24
    if not 1 <= hours <= MAX_STREAM_HOURS:
        # No recording shows the message.
        raise invalid(f"The expiration time of the stream must be in range: [1, {MAX_STREAM_HOURS}].")
    enabled = int(now * 1_000_000)
    stream = table.stream
    if stream is None:
        name = f"{table.name}_{enabled}"
        stream = ChangeLog(name, enabled, hours, make_shards(name, len(table.partitions) + 1))
    return replace(  # with the same records
        stream,
        hours=hours,
        columns=tuple(validation.columns_to_get(spec.columns_to_get)),
        old=column_choice(spec, "old_columns_to_get"),
        new=column_choice(spec, "new_columns_to_get"),
    )


def column_choice(message: Any, field: str) -> ColumnChoice | None:
    """Return the columns that a field of a message chooses, None if it is not set."""
    if not message.HasField(field):
        return None
    chosen = getattr(message, field)
    return ColumnChoice(chosen.type, tuple(validation.columns_to_get(chosen.column_name)))
