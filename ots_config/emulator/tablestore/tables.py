"""The operations that create, list and delete tables, and the empty lists of what the emulator does not have."""

from __future__ import annotations

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.definitions import (
    defined_columns,
    key_schema,
    new_options,
    requested_stream,
    reserved,
)
from ots_config.emulator.tablestore.errors import TablestoreError, invalid
from ots_config.emulator.tablestore.indexes import attach, check_count, make_index
from ots_config.emulator.tablestore.model import MAX_TABLES, Instance, Table, Throughput
from ots_config.emulator.tablestore.partitions import read_partitions
from ots_config.emulator.tablestore.protocol import pb2, search_pb2
from ots_config.emulator.tablestore.transactions import close_all
from ots_config.emulator.tablestore.wire import parse


def create_table(instance: Instance, body: bytes) -> bytes:
    """Create a table and the indexes that come with it."""
    request = parse(pb2.CreateTableRequest, body)
    meta = request.table_meta
    name = validation.table_name(meta.table_name)
    schema = key_schema(name, meta.primary_key)
    defined = defined_columns({}, meta.defined_column, schema)
    options = new_options(request.table_options)
    unit = request.reserved_throughput.capacity_unit
    read, write = reserved(unit)
    if not (unit.HasField("read") and unit.HasField("write")):
        raise invalid("Both read and write capacity unit are required to create table.")
    now = instance.clock()
    transactional = not instance.require_transaction_flag
    table = Table(
        name,
        schema,
        defined,
        options,
        Throughput(read, write, increased=int(now)),
        transactional=request.enable_local_txn if request.HasField("enable_local_txn") else transactional,
        sse=request.sse_spec.SerializeToString() if request.HasField("sse_spec") else b"",
        partitions=read_partitions(request.partitions, schema[0]),
        created=int(now * 1_000_000),
    )
    if request.HasField("stream_spec"):
        table.set_stream(requested_stream(table, request.stream_spec, now))
    check_count(len(request.index_metas))
    indexes = [make_index(table, index_meta, table.created) for index_meta in request.index_metas]
    if name in instance.tables:
        raise TablestoreError("OTSObjectAlreadyExist")
    if len(instance.main_tables()) >= MAX_TABLES:
        raise TablestoreError("OTSQuotaExhausted", instance.wording.too_many_tables)
    instance.add_table(table)
    try:
        for index in indexes:
            attach(instance, table, index)
    except TablestoreError:
        instance.remove_table(table)
        raise
    return b""


def list_table(instance: Instance, body: bytes) -> bytes:
    """List the tables; DescribeTable lists their indexes."""
    parse(pb2.ListTableRequest, body)
    names = [table.name for table in instance.main_tables()]
    reply: bytes = pb2.ListTableResponse(table_names=names).SerializeToString()
    return reply


def delete_table(instance: Instance, body: bytes) -> bytes:
    """Delete a table with its rows, its indexes and its open transactions."""
    request = parse(pb2.DeleteTableRequest, body)
    table = instance.table(validation.table_name(request.table_name))
    if table.main is not None:
        raise invalid("An index can only be dropped by DropIndex.")
    close_all(instance, table)
    instance.remove_table(table)
    return b""


def list_search_index(_: Instance, body: bytes) -> bytes:
    """Return an empty list: the emulator has no search indexes."""
    parse(search_pb2.ListSearchIndexRequest, body)
    return b""


def list_timeseries_table(_: Instance, body: bytes) -> bytes:
    """Return an empty list: the emulator has no time series tables."""
    parse(pb2.ListTableRequest, body)  # neither request has a field
    return b""
