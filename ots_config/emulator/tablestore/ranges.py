"""GetRange: rows in the order of their keys, forward or backward, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from typing import Any, NamedTuple

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.capacity import read_units
from ots_config.emulator.tablestore.cells import Row
from ots_config.emulator.tablestore.errors import invalid
from ots_config.emulator.tablestore.model import Instance, Stage, Table
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.emulator.tablestore.row_matrix import SelectedCells, encode_matrix
from ots_config.emulator.tablestore.rows import Query, read_query, select_row, transaction_of
from ots_config.emulator.tablestore.sorted_keys import Key, NamedKey
from ots_config.emulator.tablestore.transactions import check_scope
from ots_config.emulator.tablestore.wire import consumed, parse, read_key
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
    page = _page(table, scan, query, limit, instance.now_ms())
    return _response(request, table, page)


class _Page(NamedTuple):
    """The bytes scanned, the rows of a page, and the key that the next page begins with."""

    size: int
    rows: list[SelectedCells]
    next_key: NamedKey | None


def _page(table: Table, scan: Iterator[tuple[Key, Row]], query: Query, limit: int, now_ms: int) -> _Page:
    rows: list[SelectedCells] = []
    size = data_size = 0
    for scanned, (key, row) in enumerate(scan):
        named = table.named(key)
        if scanned >= limit or data_size >= PAGE_BYTES:
            return _Page(size, rows, named)
        selected = select_row(table, named, row, query, now_ms)
        if selected is not None:
            size += selected.size
            data_size += selected.data_size
            if selected.cells is not None:
                rows.append((named, selected.cells))
    return _Page(size, rows, None)


def _response(request: Any, table: Table, page: _Page) -> bytes:
    """Return the response with the rows in the form that the request asks for, if they can have it."""
    rows, key_names = page.rows, table.key_names
    if request.HasField("return_entire_primary_keys") and not request.return_entire_primary_keys:
        # Inferred from the field's name: of the key, only the columns that the request names.
        wanted = set(request.columns_to_get)
        key_names = [name for name in key_names if name in wanted] or key_names
        rows = [([column for column in key if column[0] in key_names], cells) for key, cells in rows]
    encoded = None
    if request.data_block_type_hint == pb2.DBT_SIMPLE_ROW_MATRIX:
        encoded = encode_matrix(
            key_names, request.columns_to_get, rows, entire_keys=len(key_names) == len(table.key_names)
        )
    matrix = encoded is not None
    reply = pb2.GetRangeResponse(
        consumed=consumed(*read_units(page.size)),
        rows=encode_rows(rows, bytes_as=VT_BLOB) if encoded is None else encoded,
        data_block_type=pb2.DBT_SIMPLE_ROW_MATRIX if matrix else pb2.DBT_PLAIN_BUFFER,
        compress_type=pb2.CPT_NONE,
    )
    if page.next_key is not None:
        reply.next_start_primary_key = encode_row(page.next_key, bytes_as=VT_BLOB)
    body: bytes = reply.SerializeToString()
    return body


def _end(data: bytes) -> NamedKey:
    primary_key = read_key(data)
    validation.key_values(primary_key, bound=True)
    return primary_key


def _staged_scan(table: Table, stage: Stage, start: Key, stop: Key, *, backward: bool) -> Iterator[tuple[Key, Row]]:
    """Yield the rows of a range as the owner of a stage sees them."""
    staged = stage.rows
    if backward:
        new = sorted((key for key in staged if key not in table.rows and stop < key <= start), reverse=True)
        stored = table.order.backward(start, stop)
    else:
        new = sorted(key for key in staged if key not in table.rows and start <= key < stop)
        stored = table.order.forward(start, stop)
    for key in merge(stored, new, reverse=backward):
        row = staged[key] if key in staged else table.rows[key]
        if row is not None:
            yield key, row
