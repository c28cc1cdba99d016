"""The operations on single rows: put, get, update, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.capacity import Units, get_units
from ots_config.emulator.tablestore.cells import ALL_LATEST, Selector, StoredCell, make_selector, row_size, select
from ots_config.emulator.tablestore.errors import invalid
from ots_config.emulator.tablestore.filters import Filter, parse_filter
from ots_config.emulator.tablestore.model import Instance, Service, Table
from ots_config.emulator.tablestore.protobuf import pb2
from ots_config.emulator.tablestore.row_changes import (
    DELETE,
    PUT,
    UPDATE,
    Outcome,
    Stage,
    apply_change,
    complete_key,
    find,
    read_change,
)
from ots_config.emulator.tablestore.sorted_keys import Key
from ots_config.emulator.tablestore.transactions import Transaction, check_lock, check_scope, opened
from ots_config.emulator.tablestore.wire import consumed, parse, read_row, text, write_reply
from ots_config.plainbuffer import VT_BLOB, encode_row


def put_row(service: Service, instance: Instance, body: bytes) -> bytes:
    """Write a row, in place of any that has its key."""
    request = parse(pb2.PutRowRequest, body)
    return _write(service, instance, request, PUT, request.row, "PutRow")


def update_row(service: Service, instance: Instance, body: bytes) -> bytes:
    """Write, delete or increment columns of a row."""
    request = parse(pb2.UpdateRowRequest, body)
    return _write(service, instance, request, UPDATE, request.row_change, "UpdateRow")


def delete_row(service: Service, instance: Instance, body: bytes) -> bytes:
    """Delete a row."""
    request = parse(pb2.DeleteRowRequest, body)
    return _write(service, instance, request, DELETE, request.primary_key, "DeleteRow")


def _write(service: Service, instance: Instance, request: Any, kind: int, data: bytes, operation: str) -> bytes:
    # What is wrong with the request itself is told first, as in a batch, where only that fails the whole.
    name = validation.table_name(request.table_name)
    change = read_change(kind, data, request, service.wording)
    validation.data_size(operation, change.size)
    table = writable(instance, name)
    transaction = transaction_of(service, instance, table, request)
    key = complete_key(service, table, change.primary_key, transaction)
    if transaction is None:
        check_lock(service, table, key[0])
        outcome = apply_change(service, table, key, change)
    else:
        check_scope(transaction, table, key[0])
        outcome = apply_change(service, table, key, change, transaction.stage)
    return _reply(outcome)


def _reply(outcome: Outcome) -> bytes:
    units, row = outcome
    if not row:
        return write_reply(*units)
    reply: bytes = pb2.PutRowResponse(consumed=consumed(*units), row=row).SerializeToString()
    return reply


def writable(instance: Instance, name: str) -> Table:
    """Return the table of a name, which has to be no index."""
    table = instance.table(name)
    if table.main is not None:
        raise invalid("An index can not be written, only its table can.")
    return table


def transaction_of(service: Service, instance: Instance, table: Table, request: Any) -> Transaction | None:
    """Return the transaction that a request belongs to, if any."""
    if not request.HasField("transaction_id"):
        return None
    if not table.transactional:
        raise invalid("Try to call method using explicit transaction on explicit-transaction-disabled table.")
    return opened(service, instance, request.transaction_id)


class Query(NamedTuple):
    """What a read wants of each row.

    Attributes:
        selector: Which cells.
        filter: Which rows.
    """

    selector: Selector
    filter: Filter | None


class Found(NamedTuple):
    """A row as a read found it.

    Attributes:
        size: The bytes read, which a filter does not lessen.
        cells: The cells to answer; None if the filter takes the row out.
    """

    size: int
    cells: Sequence[StoredCell] | None


def read_query(request: Any, key_names: Sequence[str], *, batch: bool = False) -> Query:
    """Read the selection and the filter that GetRow, GetRange and each table of BatchGetRow have."""
    names = validation.columns_to_get(request.columns_to_get)
    times = None
    if request.HasField("time_range"):
        sent = request.time_range
        times = (
            sent.start_time if sent.HasField("start_time") else None,
            sent.end_time if sent.HasField("end_time") else None,
            sent.specific_time if sent.HasField("specific_time") else None,
        )
    versions = request.max_versions if request.HasField("max_versions") else None
    start = text(request.start_column) if request.HasField("start_column") else None
    end = text(request.end_column) if request.HasField("end_column") else None
    if versions == 1 and not names and times is None and start is None and end is None:
        selector = ALL_LATEST
    else:
        selector = make_selector(
            max_versions=versions,
            time_range=times,
            columns_to_get=names,
            key_names=key_names,
            start_column=start,
            end_column=end,
            batch=batch,
        )
    return Query(selector, parse_filter(request.filter) if request.HasField("filter") else None)


def look(table: Table, named: Sequence[tuple[str, Any]], row: Any, query: Query, now_ms: int) -> Found | None:
    """Return what a read sees of a stored row, None if that is not even the row."""
    cells = select(row, query.selector, table.options, now_ms)
    if cells is None:
        return None
    size = row_size(named, cells)
    return Found(size, cells if query.filter is None else query.filter.apply(named, cells))


def read_one(service: Service, table: Table, key: Key, query: Query, stage: Stage | None) -> tuple[Units, bytes]:
    """Return what reading one row consumes, and the row, encoded; empty if it is not there."""
    row = find(table, key, stage)
    if row is None:
        return get_units(None), b""
    named = table.named(key)
    found = look(table, named, row, query, service.now_ms())
    if found is None:
        return get_units(None), b""
    if found.cells is None:
        return get_units(found.size), b""
    return get_units(found.size), encode_row(named, found.cells, bytes_as=VT_BLOB)


def get_row(service: Service, instance: Instance, body: bytes) -> bytes:
    """Read one row."""
    request = parse(pb2.GetRowRequest, body)
    name = validation.table_name(request.table_name)
    query = read_query(request, instance.key_names(name))
    primary_key = read_row(request.primary_key).primary_key
    validation.key_values(primary_key)
    table = instance.table(name)
    transaction = transaction_of(service, instance, table, request)
    key = validation.key_of(table, primary_key)
    stage = None
    if transaction is not None:
        check_scope(transaction, table, key[0])
        stage = transaction.stage
    units, row = read_one(service, table, key, query, stage)
    reply: bytes = pb2.GetRowResponse(consumed=consumed(*units), row=row).SerializeToString()
    return reply
