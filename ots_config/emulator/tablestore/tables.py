"""The operations on tables: create, list, describe, update, delete."""

from __future__ import annotations

from typing import Any

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.cells import TableOptions
from ots_config.emulator.tablestore.errors import TablestoreError, invalid
from ots_config.emulator.tablestore.indexes import attach, describe_index, make_index
from ots_config.emulator.tablestore.model import KEY_TYPES, MAX_TABLES, Instance, KeyColumn, Table, Throughput
from ots_config.emulator.tablestore.partitions import read_partitions, write_schema
from ots_config.emulator.tablestore.transactions import close_all
from ots_config.emulator.tablestore.wire import (
    ENABLE_LOCAL_TRANSACTION,
    NO_FULL_ROW_UPDATES,
    TABLE_STATUS_ACTIVE,
    flag,
    parse,
    pb2,
    search_pb2,
)

MAX_KEY_COLUMNS = 4
MAX_DEFINED_COLUMNS = 32
MAX_RESERVED_UNITS = 100_000
MIN_TIME_TO_LIVE = 86_400
THROUGHPUT_CHANGE_PERIOD = 120

_HAS_ENCRYPTION = hasattr(pb2, "SSEDetails")  # since version 6.4.1 of the SDK


def create_table(instance: Instance, body: bytes) -> bytes:
    """Create a table and the indexes that come with it."""
    request = parse(pb2.CreateTableRequest, body)
    meta = request.table_meta
    name = validation.table_name(meta.table_name)
    schema = _key_schema(meta.primary_key)
    defined = _defined_columns(meta.defined_column, schema)
    options = _new_options(request.table_options)
    read, write = _reserved(request.reserved_throughput.capacity_unit)
    if not request.reserved_throughput.capacity_unit.HasField("read") or (
        not request.reserved_throughput.capacity_unit.HasField("write")
    ):
        raise invalid("Both read and write capacity unit are required to create table.")
    partitions = read_partitions(getattr(request, "partitions", ()), schema[0])  # old SDKs lack the field
    allowed = flag(request, ENABLE_LOCAL_TRANSACTION)
    table = Table(
        name,
        schema,
        defined,
        options,
        Throughput(read, write, increased=int(instance.clock())),
        transactional=not instance.require_transaction_flag if allowed is None else allowed,
        sse=_encryption(request),
        stream=request.stream_spec.SerializeToString() if request.HasField("stream_spec") else b"",
        partitions=partitions,
    )
    indexes = [make_index(table, index_meta) for index_meta in request.index_metas]
    if name in instance.tables:
        raise TablestoreError("OTSObjectAlreadyExist")
    if len(instance.main_tables()) >= MAX_TABLES:
        raise TablestoreError("OTSQuotaExhausted", instance.wording.too_many_tables)
    instance.tables[name] = table
    try:
        for index in indexes:
            attach(instance, table, index)
    except TablestoreError:
        _drop(instance, table)
        raise
    return b""


def _key_schema(columns: Any) -> tuple[KeyColumn, ...]:
    if not 1 <= len(columns) <= MAX_KEY_COLUMNS:
        raise invalid(f"The number of primary key columns must be in range: [1, {MAX_KEY_COLUMNS}].")
    schema: list[KeyColumn] = []
    for column in columns:
        name = validation.column_name(column.name)
        if any(name == other.name for other in schema):
            raise invalid(f"Duplicated primary key name: '{name}'.")
        increments = column.HasField("option")
        if increments and column.type != pb2.INTEGER:
            raise invalid("AUTO_INCREMENT primary key must be integer.")
        if increments and not schema:
            raise invalid("The partition key can not be AUTO_INCREMENT.")
        if increments and any(other.increments for other in schema):
            raise invalid("Only one primary key column can be AUTO_INCREMENT.")
        if column.type not in KEY_TYPES:
            raise invalid("VT_BOOLEAN is an invalid type for the primary key.")
        schema.append(KeyColumn(name, column.type, increments))
    return tuple(schema)


def _defined_columns(columns: Any, schema: tuple[KeyColumn, ...]) -> dict[str, int]:
    if len(columns) > MAX_DEFINED_COLUMNS:
        raise invalid(f"The number of defined columns must be in range: [0, {MAX_DEFINED_COLUMNS}].")
    defined: dict[str, int] = {}
    for column in columns:
        name = validation.column_name(column.name)
        if name in defined or any(name == key.name for key in schema):
            raise invalid(f"Duplicated column name: '{name}'.")
        defined[name] = column.type
    return defined


def _new_options(options: Any) -> TableOptions:
    if not options.HasField("time_to_live"):
        raise invalid("Time-to-live is missing while creating table.")
    return _changed_options(TableOptions(), options)


def _changed_options(before: TableOptions, options: Any) -> TableOptions:
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
            raise invalid("MaxVersions must be greater than 0.")
        after = after._replace(max_versions=options.max_versions)
    if options.HasField("deviation_cell_version_in_sec"):
        if options.deviation_cell_version_in_sec < 1:
            raise invalid("DeviationCellVersionInSec must be greater than 0.")
        after = after._replace(deviation=options.deviation_cell_version_in_sec)
    if options.HasField("allow_update"):
        after = after._replace(allow_update=options.allow_update)
    return after


def _reserved(unit: Any) -> tuple[int, int]:
    for kind, value in (("read", unit.read), ("write", unit.write)):
        if not 0 <= value <= MAX_RESERVED_UNITS:
            raise invalid(f"The reserved {kind} capacity unit must be in range: [0, {MAX_RESERVED_UNITS}].")
    return unit.read, unit.write


def list_table(instance: Instance, body: bytes) -> bytes:
    """List the tables; DescribeTable lists their indexes."""
    parse(pb2.ListTableRequest, body)
    names = [table.name for table in instance.main_tables()]
    reply: bytes = pb2.ListTableResponse(table_names=names).SerializeToString()
    return reply


def describe_table(instance: Instance, body: bytes) -> bytes:
    """Describe a table with every field that any SDK reads."""
    request = parse(pb2.DescribeTableRequest, body)
    table = instance.table(validation.table_name(request.table_name))
    reply = pb2.DescribeTableResponse(
        table_meta=pb2.TableMeta(table_name=table.name),
        reserved_throughput_details=_throughput_details(table),
        table_options=_options_message(table),
        stream_details=_stream_details(table),
        index_metas=[describe_index(index) for index in table.indexes.values()],
    )
    if _HAS_ENCRYPTION:
        reply.sse_details.CopyFrom(_sse_details(table))
    write_schema(reply.table_meta.primary_key, table)
    for name, kind in table.defined.items():
        reply.table_meta.defined_column.add(name=name, type=kind)
    encoded: bytes = reply.SerializeToString()
    return encoded + TABLE_STATUS_ACTIVE


def _throughput_details(table: Table) -> Any:
    throughput = (table.main or table).throughput
    details = pb2.ReservedThroughputDetails(
        capacity_unit=pb2.CapacityUnit(read=throughput.read, write=throughput.write),
        last_increase_time=throughput.increased,
    )
    if throughput.decreased is not None:
        details.last_decrease_time = throughput.decreased
    return details


def _options_message(table: Table) -> Any:
    options = table.options
    message = pb2.TableOptions(
        time_to_live=options.time_to_live,
        max_versions=options.max_versions,
        deviation_cell_version_in_sec=options.deviation,
        allow_update=options.allow_update,
    )
    message.MergeFromString(NO_FULL_ROW_UPDATES)
    return message


def _stream_details(table: Table) -> Any:
    asked = pb2.StreamSpecification.FromString(table.stream)
    if not asked.enable_stream:
        return pb2.StreamDetails(enable_stream=False, expiration_time=0)
    return pb2.StreamDetails(
        enable_stream=True,
        stream_id=f"{table.name}_{table.created * 1_000_000}",
        expiration_time=asked.expiration_time,
        last_enable_time=table.created * 1_000_000,
    )


def _encryption(request: Any) -> bytes:
    return request.sse_spec.SerializeToString() if _HAS_ENCRYPTION and request.HasField("sse_spec") else b""


def _sse_details(table: Table) -> Any:
    details = pb2.SSEDetails.FromString(table.sse)  # the fields of the specification, by number
    if not details.HasField("enable"):
        details.enable = False
    return details


def update_table(instance: Instance, body: bytes) -> bytes:
    """Change a table's options, reserved capacity or stream."""
    request = parse(pb2.UpdateTableRequest, body)
    table = instance.table(validation.table_name(request.table_name))
    if table.main is not None:
        raise invalid("An index can not be updated, only its table can.")
    changes_units = request.HasField("reserved_throughput")
    if not (changes_units or request.HasField("table_options") or request.HasField("stream_spec")):
        raise invalid("No attribute is specified while updating table.")
    options = _changed_options(table.options, request.table_options)
    if options.max_versions != 1 and table.indexes:
        raise invalid("The MaxVersions of a table with indexes must be 1.")
    if changes_units:
        table.throughput = _changed_throughput(instance, table, request.reserved_throughput.capacity_unit)
    table.options = options
    for index in table.indexes.values():
        index.table.options = options
    if request.HasField("stream_spec"):
        table.stream = request.stream_spec.SerializeToString()
    reply: bytes = pb2.UpdateTableResponse(
        reserved_throughput_details=_throughput_details(table),
        table_options=_options_message(table),
        stream_details=_stream_details(table),
    ).SerializeToString()
    return reply


def _changed_throughput(instance: Instance, table: Table, unit: Any) -> Throughput:
    if not (unit.HasField("read") or unit.HasField("write")):
        raise invalid("Neither read nor write capacity unit is set.")
    asked_read, asked_write = _reserved(unit)
    before = table.throughput
    read = asked_read if unit.HasField("read") else before.read
    write = asked_write if unit.HasField("write") else before.write
    if (read, write) == (before.read, before.write):
        return before
    now = int(instance.clock())
    changed = max(before.increased, before.decreased or 0)
    if instance.limit_throughput_changes and now - changed < THROUGHPUT_CHANGE_PERIOD:
        raise TablestoreError("OTSTooFrequentReservedThroughputAdjustment")
    increased = now if read > before.read or write > before.write else before.increased
    decreased = now if read < before.read or write < before.write else before.decreased
    return Throughput(read, write, increased, decreased)


def delete_table(instance: Instance, body: bytes) -> bytes:
    """Delete a table with its rows, its indexes and its open transactions."""
    request = parse(pb2.DeleteTableRequest, body)
    table = instance.table(validation.table_name(request.table_name))
    if table.main is not None:
        raise invalid("An index can only be dropped by DropIndex.")
    _drop(instance, table)
    return b""


def _drop(instance: Instance, table: Table) -> None:
    close_all(instance, table)
    for name in table.indexes:
        del instance.tables[name]
    del instance.tables[table.name]


def list_search_index(_: Instance, body: bytes) -> bytes:
    """Return an empty list: the emulator has no search indexes."""
    parse(search_pb2.ListSearchIndexRequest, body)
    return b""
