"""BatchGetRow and BatchWriteRow: many rows in one request, and which faults are whose.

What is wrong with the request itself (OTSParameterInvalid) fails all of it, before anything is written. What is wrong
with one row (its table is not there, its key does not fit, its condition fails, it is locked) fails that row, and the
others go on. Rows are applied in their order, so a second change to a row meets what the first one left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.errors import ServiceFault, error_message, invalid
from ots_config.emulator.tablestore.model import Instance, Service, Table
from ots_config.emulator.tablestore.protobuf import pb2
from ots_config.emulator.tablestore.row_changes import Change, Stage, apply_change, commit, complete_key, read_change
from ots_config.emulator.tablestore.rows import read_one, read_query, writable
from ots_config.emulator.tablestore.transactions import Transaction, check_lock, check_scope, opened
from ots_config.emulator.tablestore.wire import IS_ATOMIC, consumed, flag, parse, read_row

MAX_READS = 100
MAX_WRITES = 200

RowFault = Callable[[], tuple[str, str] | None]
"""Asked for each row: the code and the message of the fault that it is to have, if any."""


def _injected(row_fault: RowFault | None) -> ServiceFault | None:
    fault = None if row_fault is None else row_fault()
    return None if fault is None else ServiceFault(*fault)


def _refused(answers: Any, fault: ServiceFault) -> None:
    answers.add(is_ok=False, error=error_message(fault.code, fault.message))


def _distinct_tables(tables: Any) -> None:
    seen: set[str] = set()
    for table in tables:
        name = validation.table_name(table.table_name)
        if name in seen:
            raise invalid(f"Duplicated table name: '{name}'.")
        seen.add(name)


def batch_get_row(service: Service, instance: Instance, body: bytes, row_fault: RowFault | None = None) -> bytes:
    """Read rows of several tables."""
    request = parse(pb2.BatchGetRowRequest, body)
    if not request.tables or not all(asked.primary_key for asked in request.tables):
        raise invalid("No row specified in the request of BatchGetRow.")
    _distinct_tables(request.tables)
    validation.row_count(sum(len(asked.primary_key) for asked in request.tables), MAX_READS)
    readable = []
    for asked in request.tables:
        query = read_query(asked, instance.key_names(asked.table_name), batch=True)
        keys = [read_row(data).primary_key for data in asked.primary_key]
        for primary_key in keys:
            validation.key_values(primary_key)
        readable.append((asked.table_name, query, keys))
    reply = pb2.BatchGetRowResponse()
    for name, query, keys in readable:
        answers = reply.tables.add(table_name=name).rows
        for primary_key in keys:
            if fault := _injected(row_fault):
                _refused(answers, fault)
                continue
            try:
                table = instance.table(name)
                key = validation.key_of(table, primary_key)
                units, row = read_one(service, table, key, query, None)
            except ServiceFault as own:
                _refused(answers, own)
            else:
                answers.add(is_ok=True, consumed=consumed(*units), row=row)
    encoded: bytes = reply.SerializeToString()
    return encoded


class _Batch:
    """The rows of one BatchWriteRow, staged until it is known that the request as a whole is good."""

    def __init__(self, service: Service, instance: Instance, transaction: Transaction | None) -> None:
        self.service = service
        self.instance = instance
        self.transaction = transaction
        self.stages: dict[str, tuple[Table, Stage]] = {}

    def stage(self, table: Table) -> Stage:
        """Return where the rows of a table are written."""
        if table.name not in self.stages:
            written: Stage = {} if self.transaction is None else dict(self.transaction.stage)
            self.stages[table.name] = table, written
        return self.stages[table.name][1]

    def write(self, name: str, change: Change, scope: list[Any] | None) -> Any:
        """Apply one change and return its row of the answer.

        Args:
            name: The table.
            change: The change.
            scope: The table and partition of an atomic batch, as its first row sets them; None for any.
        """
        table = writable(self.instance, name)
        key = complete_key(self.service, table, change.primary_key, self.transaction)
        if self.transaction is None:
            check_lock(self.service, table, key[0])
        else:
            check_scope(self.transaction, table, key[0])
        if scope is not None:
            if not scope:
                scope[:] = [table, key[0]]
            elif scope != [table, key[0]]:
                raise ServiceFault(
                    "OTSDataOutOfRange",
                    f"Data out of scope of atomic. Atomic PartKey:{scope[1]}. Data PartKey:{key[0]}",
                )
        units, row = apply_change(self.service, table, key, change, self.stage(table))
        answer = pb2.RowInBatchWriteRowResponse(is_ok=True, consumed=consumed(*units))
        if row:
            answer.row = row
        return answer

    def show(self) -> None:
        """Make everything that was staged visible, to all or within the transaction."""
        for table, stage in self.stages.values():
            if self.transaction is None:
                commit(table, stage)
            else:
                self.transaction.stage = stage


def batch_write_row(service: Service, instance: Instance, body: bytes, row_fault: RowFault | None = None) -> bytes:
    """Write rows of several tables; together or not at all if the batch is atomic."""
    request = parse(pb2.BatchWriteRowRequest, body)
    changes = _read_changes(service, request)
    transaction = None
    if request.HasField("transaction_id"):
        transaction = opened(service, instance, request.transaction_id)
    atomic = bool(flag(request, IS_ATOMIC))
    scope: list[Any] | None = [] if atomic else None
    batch = _Batch(service, instance, transaction)
    reply = pb2.BatchWriteRowResponse()
    failed: ServiceFault | None = None
    for name, rows in changes:
        answers = reply.tables.add(table_name=name).rows
        for change in rows:
            fault = _injected(row_fault)
            if fault is None:
                try:
                    answers.append(batch.write(name, change, scope))
                except ServiceFault as own:
                    if own.code == "OTSParameterInvalid":
                        raise
                    fault = own
            if fault is not None:
                failed = failed or fault
                _refused(answers, fault)
    if atomic and failed:
        _fail_all(reply, failed)
    else:
        batch.show()
    encoded: bytes = reply.SerializeToString()
    return encoded


def _read_changes(service: Service, request: Any) -> list[tuple[str, list[Change]]]:
    if not request.tables:
        raise invalid("No row is specified in BatchWriteRow.")
    _distinct_tables(request.tables)
    for table in request.tables:
        if not table.rows:
            raise invalid(f"No operation is specified for table: '{table.table_name}'.")
    validation.row_count(sum(len(table.rows) for table in request.tables), MAX_WRITES)
    changes = []
    size = 0
    for table in request.tables:
        rows = [read_change(row.type, row.row_change, row, service.wording) for row in table.rows]
        size += sum(change.size for change in rows)
        changes.append((table.table_name, rows))
    validation.data_size("BatchWriteRow", size)
    return changes


def _fail_all(reply: Any, fault: ServiceFault) -> None:
    """Turn the rows of an atomic batch that went well into failures: nothing of it is written."""
    for table in reply.tables:
        for row in table.rows:
            if row.is_ok:
                row.Clear()
                row.is_ok = False
                row.error.CopyFrom(error_message(fault.code, fault.message))
