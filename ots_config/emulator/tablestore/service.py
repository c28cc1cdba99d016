"""The service without its sockets: an operation's name and bytes in, a status and bytes out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ots_config.emulator.tablestore import batches, indexes, partitions, ranges, rows, tables, transactions
from ots_config.emulator.tablestore.batches import RowFault
from ots_config.emulator.tablestore.errors import MESSAGES, MessageFashion, ServiceFault, error_body, invalid
from ots_config.emulator.tablestore.expressions import allow_steps
from ots_config.emulator.tablestore.model import Instance, Service

logger = logging.getLogger("ots_config.emulator")

Handler = Callable[[Service, Instance, bytes], bytes]
BatchHandler = Callable[[Service, Instance, bytes, RowFault | None], bytes]

_HANDLERS: dict[str, Handler] = {
    "CreateTable": tables.create_table,
    "ListTable": tables.list_table,
    "DescribeTable": tables.describe_table,
    "UpdateTable": tables.update_table,
    "DeleteTable": tables.delete_table,
    "CreateIndex": indexes.create_index,
    "DropIndex": indexes.drop_index,
    "ListSearchIndex": tables.list_search_index,
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

_BATCH_HANDLERS: dict[str, BatchHandler] = {
    "BatchGetRow": batches.batch_get_row,
    "BatchWriteRow": batches.batch_write_row,
}

IMPLEMENTED: tuple[str, ...] = tuple(sorted({*_HANDLERS, *_BATCH_HANDLERS}))
"""The operations that there are here; any other is answered as one that the service does not know."""


class Reply(NamedTuple):
    """An answer.

    Attributes:
        status: The HTTP status.
        body: The message, one that tells an error unless the status is 200.
        applied: Whether the operation was carried out.
        code: The code of the error that it tells, None if it tells none.
    """

    status: int
    body: bytes
    applied: bool
    code: str | None = None


class Tablestore:
    """The whole service in memory: no sockets, no threads, no clock of its own.

    Calls must not overlap; nothing here waits, so an event loop can call it in line.

    Args:
        instances: The names of the instances that exist.
        clock: Seconds since the epoch.
        messages: Whose words to use where documents and recordings disagree.
        require_transaction_flag: Whether a table takes local transactions only if CreateTable asked for it.
        limit_throughput_changes: Whether reserved capacity can be changed only once in two minutes, as in the service;
            off, because test suites change it twice in a row.
    """

    def __init__(
        self,
        instances: Iterable[str],
        *,
        clock: Callable[[], float] = time.time,
        messages: MessageFashion = "docs",
        require_transaction_flag: bool = False,
        limit_throughput_changes: bool = False,
    ) -> None:
        self._service = Service(
            {name.lower(): Instance(name) for name in instances},
            clock,
            MESSAGES[messages],
            require_transaction_flag=require_transaction_flag,
            limit_throughput_changes=limit_throughput_changes,
        )

    def has_operation(self, name: str) -> bool:
        """Say whether an operation is implemented."""
        return name in _HANDLERS or name in _BATCH_HANDLERS

    def has_instance(self, name: str) -> bool:
        """Say whether an instance exists; small and capital letters are the same."""
        return name.lower() in self._service.instances

    def handle(self, instance: str, operation: str, body: bytes, *, row_fault: RowFault | None = None) -> Reply:
        """Carry out one operation.

        Args:
            instance: The name of the instance.
            operation: The name of the operation.
            body: The request.
            row_fault: Asked for each row of a batch; a code and a message make that row fail.

        Returns:
            The answer. Nothing is raised, whatever the bytes are.
        """
        allow_steps()
        try:
            place = self._service.instances.get(instance.lower())
            if place is None:
                raise ServiceFault("OTSAuthFailed", "The instance is not found.")  # noqa: TRY301
            handler = _HANDLERS.get(operation)
            if handler is not None:
                return Reply(200, handler(self._service, place, body), applied=True)
            batch_handler = _BATCH_HANDLERS.get(operation)
            if batch_handler is None:
                raise invalid(f"Unsupported operation: '{operation}'.")  # noqa: TRY301
            return Reply(200, batch_handler(self._service, place, body, row_fault), applied=True)
        except ServiceFault as fault:
            return _refusal(operation, fault)
        except Exception:
            logger.exception("%s failed by a fault of the emulator", operation)
            return _refusal(operation, ServiceFault("OTSInternalServerError", "Internal server error."))


def _refusal(operation: str, fault: ServiceFault) -> Reply:
    return Reply(fault.status, error_body(operation, fault.code, fault.message), applied=False, code=fault.code)
