"""What DescribeTable and UpdateTable respond about a table, with every field that any SDK reads."""

from __future__ import annotations

from typing import Any

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.change_log import ChangeLog, ColumnChoice
from ots_config.emulator.tablestore.indexes import describe_index
from ots_config.emulator.tablestore.model import Instance, Table
from ots_config.emulator.tablestore.partitions import boundary, write_schema
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.emulator.tablestore.wire import parse

_UNNAMED = b"\x62\x02\x08\x00\x68\x00"
"""Fields 12 and 13 of the response as the service sends them; no SDK has names for them."""


def describe_table(instance: Instance, body: bytes) -> bytes:
    """Describe a table."""
    request = parse(pb2.DescribeTableRequest, body)
    table = instance.table(validation.table_name(request.table_name))
    reply = pb2.DescribeTableResponse(
        table_meta=pb2.TableMeta(table_name=table.name, table_id=table.id),
        reserved_throughput_details=throughput_details(table),
        table_options=options_message(table),
        table_status=pb2.ACTIVE,
        stream_details=stream_details(table.stream),
        shard_splits=[boundary(table, value) for value in table.partitions],
        sse_details=pb2.SSEDetails.FromString(table.sse),  # the fields of the specification, by number
        index_metas=[describe_index(index) for index in table.indexes.values()],
        creation_time=table.created,
    )
    if not reply.sse_details.HasField("enable"):
        reply.sse_details.enable = False
    write_schema(reply.table_meta.primary_key, table)
    for name, kind in table.defined.items():
        reply.table_meta.defined_column.add(name=name, type=kind)
    encoded: bytes = reply.SerializeToString()
    return encoded + _UNNAMED


def throughput_details(table: Table) -> Any:
    """Return the message of reserved capacity; an index has that of its table."""
    throughput = (table.main or table).throughput
    details = pb2.ReservedThroughputDetails(
        capacity_unit=pb2.CapacityUnit(read=throughput.read, write=throughput.write),
        last_increase_time=throughput.increased,
    )
    if throughput.decreased is not None:
        details.last_decrease_time = throughput.decreased
    return details


def options_message(table: Table) -> Any:
    """Return the message of a table's options."""
    options = table.options
    return pb2.TableOptions(
        time_to_live=options.time_to_live,
        max_versions=options.max_versions,
        deviation_cell_version_in_sec=options.deviation,
        allow_update=options.allow_update,
        update_full_row=options.update_full_row,
    )


def stream_details(stream: ChangeLog | None) -> Any:
    """Return the message of a table's stream."""
    if stream is None:
        return pb2.StreamDetails(enable_stream=False, last_enable_time=0)
    return pb2.StreamDetails(
        enable_stream=True,
        stream_id=stream.id,
        expiration_time=stream.hours,
        last_enable_time=stream.enabled,
        column_to_get=stream.columns,
        old_columns_to_get=_choice_message(stream.old),
        new_columns_to_get=_choice_message(stream.new),
    )


def _choice_message(choice: ColumnChoice | None) -> Any:
    return None if choice is None else pb2.StreamColumn(type=choice.kind, column_name=choice.names)
