"""The operations that change a table's definition: UpdateTable, AddDefinedColumn, DeleteDefinedColumn."""

from __future__ import annotations

from typing import Any

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.definitions import changed_options, defined_columns, requested_stream, reserved
from ots_config.emulator.tablestore.descriptions import options_message, stream_details, throughput_details
from ots_config.emulator.tablestore.errors import TablestoreError, invalid
from ots_config.emulator.tablestore.model import Instance, Table, Throughput
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.emulator.tablestore.wire import parse

THROUGHPUT_CHANGE_PERIOD = 120


def _changeable(instance: Instance, name: Any) -> Table:
    table = instance.table(validation.table_name(name))
    if table.main is not None:
        raise invalid("An index can not be updated, only its table can.")
    return table


def update_table(instance: Instance, body: bytes) -> bytes:
    """Change a table's options, reserved capacity or stream, and respond with the state afterwards."""
    request = parse(pb2.UpdateTableRequest, body)
    table = _changeable(instance, request.table_name)
    changes_units = request.HasField("reserved_throughput")
    changes_options = request.HasField("table_options")
    if not (changes_units or changes_options or request.HasField("stream_spec")):
        raise invalid("No attribute is specified while updating table.")
    if request.table_options.HasField("update_full_row"):
        raise invalid(
            "The table options of UpdateTable can not contain updateFullRow."
        )  # as a recording has it, in part
    if changes_options and not request.table_options.ListFields():
        raise invalid("No parameter is specified in table options.")
    options = changed_options(table.options, request.table_options)
    if options.max_versions != 1 and table.indexes:
        raise invalid("The MaxVersions of a table with indexes must be 1.")
    stream = table.stream
    if request.HasField("stream_spec"):
        stream = requested_stream(table, request.stream_spec, instance.clock())
    throughput = None
    if changes_units:
        throughput = _changed_throughput(instance, table, request.reserved_throughput.capacity_unit)
    table.define(options=options, throughput=throughput)
    if stream is not table.stream:
        table.set_stream(stream)
    reply: bytes = pb2.UpdateTableResponse(
        reserved_throughput_details=throughput_details(table),
        table_options=options_message(table),
        stream_details=stream_details(table.stream),
    ).SerializeToString()
    return reply


def _changed_throughput(instance: Instance, table: Table, unit: Any) -> Throughput:
    if not (unit.HasField("read") or unit.HasField("write")):
        raise invalid("Neither read nor write capacity unit is set.")
    asked_read, asked_write = reserved(unit)
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


def add_defined_column(instance: Instance, body: bytes) -> bytes:
    """Add predefined columns to a table. What is refused is inferred from CreateTable."""
    request = parse(pb2.AddDefinedColumnRequest, body)
    table = _changeable(instance, request.table_name)
    table.define(defined=defined_columns(table.defined, request.columns, table.schema))
    return b""


def delete_defined_column(instance: Instance, body: bytes) -> bytes:
    """Delete predefined columns of a table; the rows keep their values."""
    request = parse(pb2.DeleteDefinedColumnRequest, body)
    table = _changeable(instance, request.table_name)
    defined = dict(table.defined)
    for sent in request.columns:
        name = validation.column_name(sent)
        if name not in defined:
            raise invalid(f"Column does not exist: '{name}'.")
        if any(index.has_column(name) for index in table.indexes.values()):
            raise invalid(f"The defined column '{name}' is a column of an index.")  # no recording shows the message
        del defined[name]
    table.define(defined=defined)
    return b""
