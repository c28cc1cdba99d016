"""Tablestore without sockets: an operation's name and bytes in, a status and bytes out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from ots_config.emulator.tablestore import (
    batches,
    descriptions,
    indexes,
    partitions,
    ranges,
    rows,
    streams,
    table_changes,
    tables,
    transactions,
)
from ots_config.emulator.tablestore.batches import RowFault
from ots_config.emulator.tablestore.errors import TablestoreError, invalid
from ots_config.emulator.tablestore.expressions import allow_steps
from ots_config.emulator.tablestore.model import Instance
from ots_config.emulator.tablestore.wire import error_body

logger = logging.getLogger("ots_config.emulator")

_OPERATIONS: dict[str, Callable[[Instance, bytes], bytes]] = {
    "CreateTable": tables.create_table,
    "ListTable": tables.list_table,
    "DescribeTable": descriptions.describe_table,
    "UpdateTable": table_changes.update_table,
    "AddDefinedColumn": table_changes.add_defined_column,
    "DeleteDefinedColumn": table_changes.delete_defined_column,
    "DeleteTable": tables.delete_table,
    "CreateIndex": indexes.create_index,
    "DropIndex": indexes.drop_index,
    "ListSearchIndex": tables.list_search_index,
    "ListTimeseriesTable": tables.list_timeseries_table,
    "ListStream": streams.list_stream,
    "DescribeStream": streams.describe_stream,
    "GetShardIterator": streams.get_shard_iterator,
    "GetStreamRecord": streams.get_stream_record,
    "ComputeSplitPointsBySize": partitions.compute_split_points_by_size,
    "PutRow": rows.put_row,
    "GetRow": rows.get_row,
    "UpdateRow": rows.update_row,
    "DeleteRow": rows.delete_row,
    "GetRange": ranges.get_range,
    "StartLocalTransaction": transactions.start_local_transaction,
    "CommitTransaction": transactions.commit_transaction,
    "AbortTransaction": transactions.abort_transaction,
}

_BATCH_OPERATIONS: dict[str, Callable[[Instance, bytes, RowFault | None], bytes]] = {
    "BatchGetRow": batches.batch_get_row,
    "BatchWriteRow": batches.batch_write_row,
}

IMPLEMENTED: tuple[str, ...] = tuple(sorted({*_OPERATIONS, *_BATCH_OPERATIONS}))
"""The operations that the emulator has; it answers any other as one that the service does not know."""


class OperationResult(NamedTuple):
    """The result of one operation.

    Attributes:
        status: The HTTP status.
        body: The response's message, or that of the error.
        applied: Whether the operation was carried out.
        code: The error code, None for success.
    """

    status: int
    body: bytes
    applied: bool
    code: str | None = None


def execute(instance: Instance, operation: str, body: bytes, *, row_fault: RowFault | None = None) -> OperationResult:
    """Carry out one operation; it never waits and never raises, whatever the bytes are.

    Args:
        instance: The instance to work on.
        operation: The name of the operation.
        body: The request.
        row_fault: Called for each row of a batch; a code and a message make that row fail.
    """
    allow_steps()
    try:
        run = _OPERATIONS.get(operation)
        if run is not None:
            return OperationResult(200, run(instance, body), applied=True)
        run_batch = _BATCH_OPERATIONS.get(operation)
        if run_batch is None:
            raise invalid(f"Unsupported operation: '{operation}'.")  # noqa: TRY301
        return OperationResult(200, run_batch(instance, body, row_fault), applied=True)
    except TablestoreError as error:
        return failure(operation, error)
    except Exception:
        logger.exception("%s failed because of a bug in the emulator", operation)
        return failure(operation, TablestoreError("OTSInternalServerError"))


def failure(operation: str, error: TablestoreError) -> OperationResult:
    """Return the result of an operation that is refused or failed."""
    body = error_body(operation, error.code, error.message)
    return OperationResult(error.status, body, applied=False, code=error.code)
