"""The operations on single rows: put, get, update, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.capacity import Units, read_units
from ots_config.emulator.tablestore.cells import (
    ALL_LATEST,
    VERSION_SIZE,
    Row,
    Selector,
    StoredCell,
    make_selector,
    row_size,
    select,
)
from ots_config.emulator.tablestore.errors import invalid
from ots_config.emulator.tablestore.filters import Filter, parse_filter
from ots_config.emulator.tablestore.model import Instance, Stage, Table, Transaction
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.emulator.tablestore.row_changes import (
    DELETE,
    PUT,
    UPDATE,
    apply_change,
    complete_key,
    find,
    read_change,
)
from ots_config.emulator.tablestore.sorted_keys import Key, NamedKey
from ots_config.emulator.tablestore.transactions import check_lock, check_scope, opened
from ots_config.emulator.tablestore.wire import consumed, parse, read_key, text, write_reply
from ots_config.plainbuffer import VT_BLOB, encode_row


def put_row(instance: Instance, body: bytes) -> bytes:
    """Write a row in place of any with its key."""
    request = parse(pb2.PutRowRequest, body)
    return _write(instance, request, PUT, request.row, "PutRow")


def update_row(instance: Instance, body: bytes) -> bytes:
    """Write, delete or increment columns of a row."""
    request = parse(pb2.UpdateRowRequest, body)
    return _write(instance, request, UPDATE, request.row_change, "UpdateRow")


def delete_row(instance: Instance, body: bytes) -> bytes:
    """Delete a row."""
    request = parse(pb2.DeleteRowRequest, body)
    return _write(instance, request, DELETE, request.primary_key, "DeleteRow")


def _write(instance: Instance, request: Any, kind: int, data: bytes, operation: str) -> bytes:
    # Errors of the request itself come first, as in a batch, where only they fail the whole.
    name = validation.table_name(request.table_name)
    change = read_change(kind, data, request)
    validation.data_size(operation, change.data_size)
    table = writable(instance, name)
    transaction = transaction_of(instance, table, request)
    key = complete_key(instance, table, change.primary_key, transaction)
    if transaction is None:
        check_lock(instance, table, key[0])
        result = apply_change(instance, table, key, change)
    else:
        check_scope(transaction, table, key[0])
        result = apply_change(instance, table, key, change, transaction.stage)
    return _reply(*result)


def _reply(units: Units, row: bytes) -> bytes:
    if not row:
        return write_reply(*units)
    reply: bytes = pb2.PutRowResponse(consumed=consumed(*units), row=row).SerializeToString()
    return reply


def writable(instance: Instance, name: str) -> Table:
    """Return the table of a name.

    Raises:
        TablestoreError: If there is none, or it is an index.
    """
    table = instance.table(name)
    if table.main is not None:
        raise invalid("Can't write index table directly.")
    return table


def transaction_of(instance: Instance, table: Table, request: Any) -> Transaction | None:
    """Return the transaction that a request names, None if it names none."""
    if not request.HasField("transaction_id"):
        return None
    if not table.transactional:
        raise invalid("Try to call method using explicit transaction on explicit-transaction-disabled table.")
    return opened(instance, request.transaction_id)


class Query(NamedTuple):
    """Which cells a read selects, and which rows."""

    selector: Selector
    filter: Filter | None


class SelectedRow(NamedTuple):
    """A stored row as a read sees it.

    Attributes:
        size: The bytes read, before the filter.
        data_size: The same with the version of each cell, by which a page is cut.
        cells: The cells to return; None if the filter excludes the row.
    """

    size: int
    data_size: int
    cells: Sequence[StoredCell] | None


def read_query(request: Any, key_names: Sequence[str], *, batch: bool = False) -> Query:
    """Read the selection and the filter of a GetRow, a GetRange or one table of a BatchGetRow."""
    names = validation.columns_to_get(request.columns_to_get)
    times = None
    if request.HasField("time_range"):
        sent = request.time_range
        times = (
            sent.start_time if sent.HasField("start_time") else None,
            sent.end_time if sent.HasField("end_time") else None,
            sent.specific_time if sent.HasField("specific_time") else None,
        )
    filtering = parse_filter(request.filter) if request.HasField("filter") else None
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
    return Query(selector, filtering)


def select_row(table: Table, named: NamedKey, row: Row, query: Query, now_ms: int) -> SelectedRow | None:
    """Return what a read sees of a stored row, None if the row is not part of the result."""
    cells = select(row, query.selector, table.options, now_ms)
    if cells is None:
        return None
    size = row_size(named, cells)
    data_size = size + VERSION_SIZE * len(cells)
    return SelectedRow(size, data_size, cells if query.filter is None else query.filter.apply(named, cells))


def read_one(instance: Instance, table: Table, key: Key, query: Query, stage: Stage | None) -> tuple[Units, bytes]:
    """Return the consumed capacity of reading one row, and the row, encoded; empty if there is none."""
    row = find(table, key, stage)
    if row is None:
        return read_units(0), b""
    named = table.named(key)
    selected = select_row(table, named, row, query, instance.now_ms())
    if selected is None:
        return read_units(0), b""
    if selected.cells is None:
        return read_units(selected.size), b""
    return read_units(selected.size), encode_row(named, selected.cells, bytes_as=VT_BLOB)


def get_row(instance: Instance, body: bytes) -> bytes:
    """Read one row."""
    request = parse(pb2.GetRowRequest, body)
    name = validation.table_name(request.table_name)
    query = read_query(request, instance.key_names(name))
    primary_key = read_key(request.primary_key)
    validation.key_values(primary_key)
    table = instance.table(name)
    transaction = transaction_of(instance, table, request)
    key = validation.key_of(table, primary_key)
    stage = None
    if transaction is not None:
        check_scope(transaction, table, key[0])
        stage = transaction.stage
    units, row = read_one(instance, table, key, query, stage)
    reply: bytes = pb2.GetRowResponse(consumed=consumed(*units), row=row).SerializeToString()
    return reply
