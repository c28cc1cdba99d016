"""GetRange: rows in the order of their keys, forwards or backwards, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from typing import Any

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.capacity import range_units
from ots_config.emulator.tablestore.cells import Row, StoredCell
from ots_config.emulator.tablestore.errors import invalid
from ots_config.emulator.tablestore.model import Instance, Service, Table
from ots_config.emulator.tablestore.protobuf import pb2
from ots_config.emulator.tablestore.row_changes import Stage
from ots_config.emulator.tablestore.rows import Query, look, read_query, transaction_of
from ots_config.emulator.tablestore.sorted_keys import Key
from ots_config.emulator.tablestore.transactions import check_scope
from ots_config.emulator.tablestore.wire import consumed, parse, read_row
from ots_config.plainbuffer import VT_BLOB, encode_row, encode_rows

Named = list[tuple[str, Any]]

PAGE_ROWS = 5000
PAGE_BYTES = 4 * 1024 * 1024


def get_range(service: Service, instance: Instance, body: bytes) -> bytes:
    """Read the rows between two keys, as many as a page takes.

    A page ends at the limit, at 5000 rows or at 4 MB scanned. The filter comes after that: a page may hold no row and
    still not be the last, which only one without next_start_primary_key is.
    """
    request = parse(pb2.GetRangeRequest, body)
    name = validation.table_name(request.table_name)
    query = read_query(request, instance.key_names(name))
    if request.HasField("limit") and request.limit <= 0:
        raise invalid("The limit must be greater than 0.")
    limit = min(request.limit, PAGE_ROWS) if request.HasField("limit") else PAGE_ROWS
    backward = request.direction == pb2.BACKWARD
    ends = [_end(data) for data in (request.inclusive_start_primary_key, request.exclusive_end_primary_key)]
    table = instance.table(name)
    transaction = transaction_of(service, instance, table, request)
    start, stop = [validation.bound_of(table, end) for end in ends]
    if backward and not start > stop:
        raise invalid("Begin key must more than end key in BACKWARD")
    if not backward and not start < stop:
        raise invalid("Begin key must less than end key in FORWARD")
    if transaction is None:
        scan = table.scan(start, stop, backward=backward)
    else:
        for bound in (start, stop):
            check_scope(transaction, table, bound[0] if bound else None)
        scan = _staged_scan(table, transaction.stage, start, stop, backward=backward)
    size, rows, next_key = _page(table, scan, query, limit, service.now_ms())
    reply = pb2.GetRangeResponse(consumed=consumed(*range_units(size)), rows=encode_rows(rows, bytes_as=VT_BLOB))
    if next_key is not None:
        reply.next_start_primary_key = encode_row(next_key, bytes_as=VT_BLOB)
    encoded: bytes = reply.SerializeToString()
    return encoded


def _page(
    table: Table, scan: Iterator[tuple[Key, Row]], query: Query, limit: int, now_ms: int
) -> tuple[int, list[tuple[Named, Sequence[StoredCell]]], Named | None]:
    """Return the bytes scanned, the rows to answer, and the key of the row that the next page begins with."""
    rows: list[tuple[Named, Sequence[StoredCell]]] = []
    size = 0
    for scanned, (key, row) in enumerate(scan):
        named = table.named(key)
        if scanned >= limit or size >= PAGE_BYTES:
            return size, rows, named
        found = look(table, named, row, query, now_ms)
        if found is not None:
            size += found.size
            if found.cells is not None:
                rows.append((named, found.cells))
    return size, rows, None


def _end(data: bytes) -> Sequence[tuple[str, Any]]:
    primary_key = read_row(data).primary_key
    validation.key_values(primary_key, bound=True)
    return primary_key


def _staged_scan(table: Table, stage: Stage, start: Key, stop: Key, *, backward: bool) -> Iterator[tuple[Key, Row]]:
    """Yield the rows of a range as the owner of a stage sees them."""
    if backward:
        new = sorted((key for key in stage if key not in table.rows and stop < key <= start), reverse=True)
        stored = table.order.backward(start, stop)
    else:
        new = sorted(key for key in stage if key not in table.rows and start <= key < stop)
        stored = table.order.forward(start, stop)
    for key in merge(stored, new, reverse=backward):
        row = stage[key] if key in stage else table.rows[key]
        if row is not None:
            yield key, row
