"""BatchGetRow and BatchWriteRow: many rows in one request, which fail together or row by row.

An error of the request itself (OTSParameterInvalid) fails the whole request before anything is written. An error of one
row (its table is missing, its key does not fit, its condition fails, it is locked) fails that row only. Rows are
applied in order, so a second change to a row sees the result of the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.errors import TablestoreError, invalid
from ots_config.emulator.tablestore.model import Instance, Stage, Table, Transaction
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.emulator.tablestore.row_changes import RowChange, apply_change, commit, complete_key, read_change
from ots_config.emulator.tablestore.rows import read_one, read_query, writable
from ots_config.emulator.tablestore.transactions import check_lock, check_scope, opened
from ots_config.emulator.tablestore.wire import consumed, error_message, parse, read_key

MAX_READS = 100
MAX_WRITES = 200

RowFault = Callable[[], tuple[str, str] | None]
"""Called for each row; returns the code and the message of the error to inject, None for none."""


def _injected(row_fault: RowFault | None) -> TablestoreError | None:
    fault = None if row_fault is None else row_fault()
    return None if fault is None else TablestoreError(*fault)


def _add_error(results: Any, error: TablestoreError) -> None:
    results.add(is_ok=False, error=error_message(error.code, error.message))


def _distinct_tables(tables: Any, limit: int) -> None:
    """Check the names of the tables; more of them than rows are allowed are refused before the work on each."""
    validation.row_count(len(tables), limit)
    seen: set[str] = set()
    for table in tables:
        name = validation.table_name(table.table_name)
        if name in seen:
            raise invalid(f"Duplicated table name: '{name}'.")
        seen.add(name)


def batch_get_row(instance: Instance, body: bytes, row_fault: RowFault | None = None) -> bytes:
    """Read rows of several tables."""
    request = parse(pb2.BatchGetRowRequest, body)
    if not request.tables:
        raise invalid("No row specified in the request of BatchGetRow.")
    _distinct_tables(request.tables, MAX_READS)
    validation.row_count(sum(len(asked.primary_key) for asked in request.tables), MAX_READS)
    readable = []
    for asked in request.tables:
        query = read_query(asked, instance.key_names(asked.table_name), batch=True)
        keys = [read_key(data) for data in asked.primary_key]
        for primary_key in keys:
            validation.key_values(primary_key)
        readable.append((asked.table_name, query, keys))
    reply = pb2.BatchGetRowResponse()
    for name, query, keys in readable:
        results = reply.tables.add(table_name=name).rows
        for primary_key in keys:
            if injected := _injected(row_fault):
                _add_error(results, injected)
                continue
            try:
                table = instance.table(name)
                key = validation.key_of(table, primary_key)
                units, row = read_one(instance, table, key, query, None)
            except TablestoreError as error:
                _add_error(results, error)
            else:
                result = results.add(is_ok=True, consumed=consumed(*units))
                if row:
                    result.row = row
    encoded: bytes = reply.SerializeToString()
    return encoded


class _Batch:
    """The rows of one BatchWriteRow, staged until it is known that the request as a whole is valid."""

    def __init__(self, instance: Instance, transaction: Transaction | None) -> None:
        self.instance = instance
        self.transaction = transaction
        self.stages: dict[str, tuple[Table, Stage]] = {}

    def stage(self, table: Table) -> Stage:
        """Return the stage that the rows of a table are written to."""
        if table.name not in self.stages:
            written = Stage() if self.transaction is None else self.transaction.stage.copy()
            self.stages[table.name] = table, written
        return self.stages[table.name][1]

    def write(self, name: str, change: RowChange, scope: list[Any] | None) -> Any:
        """Apply one change and return its result.

        Args:
            name: The table.
            change: The change.
            scope: The table and partition of an atomic batch, set by its first row; None if not atomic.
        """
        table = writable(self.instance, name)
        key = complete_key(self.instance, table, change.primary_key, self.transaction)
        if self.transaction is None:
            check_lock(self.instance, table, key[0])
        else:
            check_scope(self.transaction, table, key[0])
        if scope is not None:
            if not scope:
                scope[:] = [table, key[0]]
            elif scope != [table, key[0]]:
                raise TablestoreError(
                    "OTSDataOutOfRange",
                    f"Data out of scope of atomic. Atomic PartKey:{scope[1]}. Data PartKey:{key[0]}",
                )
        units, row = apply_change(self.instance, table, key, change, self.stage(table))
        result = pb2.RowInBatchWriteRowResponse(is_ok=True, consumed=consumed(*units))
        if row:
            result.row = row
        return result

    def apply_stages(self) -> None:
        """Write everything that was staged to the tables, or to the transaction."""
        for table, stage in self.stages.values():
            if self.transaction is None:
                commit(table, stage, self.instance.now_ms())
            else:
                self.transaction.stage = stage


def batch_write_row(instance: Instance, body: bytes, row_fault: RowFault | None = None) -> bytes:
    """Write rows of several tables; together or not at all if the batch is atomic."""
    request = parse(pb2.BatchWriteRowRequest, body)
    changes = _read_changes(request)
    transaction = None
    if request.HasField("transaction_id"):
        transaction = opened(instance, request.transaction_id)
    atomic = request.is_atomic
    scope: list[Any] | None = [] if atomic else None
    batch = _Batch(instance, transaction)
    reply = pb2.BatchWriteRowResponse()
    first_error: TablestoreError | None = None
    for name, rows in changes:
        results = reply.tables.add(table_name=name).rows
        for change in rows:
            error = _injected(row_fault)
            if error is None:
                try:
                    results.append(batch.write(name, change, scope))
                    continue
                except TablestoreError as own:
                    if own.code == "OTSParameterInvalid":
                        raise
                    error = own
            first_error = first_error or error
            _add_error(results, error)
    if atomic and first_error:
        _fail_all(reply, first_error)
    else:
        batch.apply_stages()
    encoded: bytes = reply.SerializeToString()
    return encoded


def _read_changes(request: Any) -> list[tuple[str, list[RowChange]]]:
    if not request.tables:
        raise invalid("No row is specified in BatchWriteRow.")
    _distinct_tables(request.tables, MAX_WRITES)
    for table in request.tables:
        if not table.rows:
            raise invalid(f"No operation is specified for table: '{table.table_name}'.")
    validation.row_count(sum(len(table.rows) for table in request.tables), MAX_WRITES)
    changes = []
    size = 0
    for table in request.tables:
        rows = [read_change(row.type, row.row_change, row, batch=True) for row in table.rows]
        size += sum(change.data_size for change in rows)
        changes.append((table.table_name, rows))
    validation.data_size("BatchWriteRow", size)
    return changes


def _fail_all(reply: Any, error: TablestoreError) -> None:
    """Turn every row of an atomic batch into the same failure: none of it is written."""
    for table in reply.tables:
        for row in table.rows:
            row.Clear()
            row.is_ok = False
            row.error.CopyFrom(error_message(error.code, error.message))
