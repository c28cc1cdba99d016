"""GetRange: rows in the order of their keys, forward or backward, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.capacity import read_units
from ots_config.emulator.tablestore.cells import Row, StoredCell
from ots_config.emulator.tablestore.errors import invalid
from ots_config.emulator.tablestore.model import Instance, Stage, Table
from ots_config.emulator.tablestore.rows import Query, read_query, select_row, transaction_of
from ots_config.emulator.tablestore.sorted_keys import Key, NamedKey
from ots_config.emulator.tablestore.transactions import check_scope
from ots_config.emulator.tablestore.wire import consumed, parse, pb2, read_row
from ots_config.plainbuffer import VT_BLOB, encode_row, encode_rows

PAGE_ROWS = 5000
PAGE_BYTES = 4 * 1024 * 1024


def get_range(instance: Instance, body: bytes) -> bytes:
    """Read a page of the rows between two keys.

    A page ends at the limit, at 5000 rows or at 4 MB scanned, before the filter: a page may have no row and still
    not be the last, which is the one without next_start_primary_key.
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
    transaction = transaction_of(instance, table, request)
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
    size, rows, next_key = _page(table, scan, query, limit, instance.now_ms())
    reply = pb2.GetRangeResponse(consumed=consumed(*read_units(size)), rows=encode_rows(rows, bytes_as=VT_BLOB))
    if next_key is not None:
        reply.next_start_primary_key = encode_row(next_key, bytes_as=VT_BLOB)
    encoded: bytes = reply.SerializeToString()
    return encoded


def _page(
    table: Table, scan: Iterator[tuple[Key, Row]], query: Query, limit: int, now_ms: int
) -> tuple[int, list[tuple[NamedKey, Sequence[StoredCell]]], NamedKey | None]:
    """Return the bytes scanned, the rows of the page, and the key that the next page begins with."""
    rows: list[tuple[NamedKey, Sequence[StoredCell]]] = []
    size = 0
    for scanned, (key, row) in enumerate(scan):
        named = table.named(key)
        if scanned >= limit or size >= PAGE_BYTES:
            return size, rows, named
        selected = select_row(table, named, row, query, now_ms)
        if selected is not None:
            size += selected.size
            if selected.cells is not None:
                rows.append((named, selected.cells))
    return size, rows, None


def _end(data: bytes) -> NamedKey:
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
