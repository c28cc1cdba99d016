"""Local transactions: one partition of one table, locked for others, changed in a stage that only commit shows.

The lock is held from the start, so the rows below a stage do not change while it is open: what a transaction reads is
the table with its own writes over it, and commit needs no check. A transaction lives 60 seconds by the service's clock;
one that has outlived them is found and dropped by whoever meets it next.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from struct import pack
from typing import Any

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.capacity import TRANSACTION_UNITS
from ots_config.emulator.tablestore.errors import ServiceFault, invalid
from ots_config.emulator.tablestore.model import Instance, Service, Table
from ots_config.emulator.tablestore.protobuf import pb2
from ots_config.emulator.tablestore.row_changes import Stage, commit
from ots_config.emulator.tablestore.wire import consumed, message_field, parse, read_row
from ots_config.plainbuffer import VT_BLOB, encode_value

LIFETIME = 60.0

# Recordings tell what these operations consume, and the published messages have no field for it: it follows what they
# have, where an SDK that does not know it passes it over.
_CONSUMED: bytes = consumed(*TRANSACTION_UNITS).SerializeToString()


@dataclass(slots=True)
class Transaction:
    """An open transaction.

    Attributes:
        id: Its name for the client.
        instance: Where it was started.
        table: The table it changes.
        partition: The value of the partition key it is about.
        expires: When it ends by itself.
        stage: What it has written.
    """

    id: str
    instance: Instance
    table: Table
    partition: Any
    expires: float
    stage: Stage = field(default_factory=dict)


def start_local_transaction(service: Service, instance: Instance, body: bytes) -> bytes:
    """Open a transaction on one value of a table's partition key, and lock that."""
    request = parse(pb2.StartLocalTransactionRequest, body)
    table = instance.table(validation.table_name(request.table_name))
    primary_key = read_row(request.key).primary_key
    if len(primary_key) != 1:
        raise invalid("StartLocalTransaction support only one primary key.")
    validation.key_values(primary_key)
    if not table.transactional:
        raise invalid("Try to call method using explicit transaction on explicit-transaction-disabled table.")
    partition = validation.partition_of(table, primary_key)
    _close_expired(service)
    if holder(service, table, partition) is not None:
        raise ServiceFault("OTSRowOperationConflict", f"Failed to lock txn key: {_shown(partition)}")
    service.transactions_started += 1
    transaction = Transaction(
        _transaction_id(service.transactions_started, table, partition),
        instance,
        table,
        partition,
        service.clock() + LIFETIME,
    )
    table.locks[partition] = transaction
    service.transactions[transaction.id] = transaction
    reply: bytes = pb2.StartLocalTransactionResponse(transaction_id=transaction.id).SerializeToString()
    return reply + message_field(2, _CONSUMED)


def _transaction_id(number: int, table: Table, partition: Any) -> str:
    name = table.name.encode()
    session = f"{number:014d}-{number:015d}".encode()
    raw = pack("<I", len(name)) + name + pack("<I", len(session)) + session
    return b64encode(raw + encode_value(partition, bytes_as=VT_BLOB)).decode()


def _shown(partition: Any) -> str:
    if partition is None:
        return "INF_MIN"
    return partition.hex() if isinstance(partition, bytes) else str(partition)


def holder(service: Service, table: Table, partition: Any) -> Transaction | None:
    """Return the open transaction that has locked a partition."""
    transaction = table.locks.get(partition)
    if transaction is not None and service.clock() >= transaction.expires:
        _close(service, transaction)
        return None
    return transaction


def opened(service: Service, instance: Instance, transaction_id: Any) -> Transaction:
    """Return the transaction of an id.

    Raises:
        ServiceFault: The id is none, or its transaction has ended.
    """
    transaction = service.transactions.get(transaction_id)
    if transaction is not None and service.clock() >= transaction.expires:
        _close(service, transaction)
        transaction = None
    if transaction is None or transaction.instance is not instance:
        _check_id(transaction_id)
        raise ServiceFault("OTSSessionNotExist", "Session not exist or may be timeout.")
    return transaction


def _check_id(transaction_id: Any) -> None:
    """Tell an id that never was one from one whose transaction has ended."""
    try:
        raw = b64decode(transaction_id, validate=True)
    except (Base64Error, ValueError):
        raise invalid("TransactionID is invalid.") from None
    rest = raw
    for _ in range(2):  # the table's name, the session
        length = int.from_bytes(rest[:4], "little")
        if len(rest) < 4 + length:
            raise invalid("TransactionID is invalid.")
        rest = rest[4 + length :]
    if not rest:
        raise invalid("TransactionID is invalid.")


def check_scope(transaction: Transaction, table: Table, partition: Any) -> None:
    """Refuse what is not of the transaction's table and partition."""
    if transaction.table is not table:
        raise ServiceFault(
            "OTSDataOutOfRange",
            f"Data out of scope of transaction. Transaction Table:{transaction.table.name}. Data Table:{table.name}",
        )
    if type(partition) is not type(transaction.partition) or transaction.partition != partition:
        raise ServiceFault(
            "OTSDataOutOfRange",
            f"Data out of scope of transaction. Transaction PartKey:{_shown(transaction.partition)}. "
            f"Data PartKey:{_shown(partition)}",
        )


def check_lock(service: Service, table: Table, partition: Any) -> None:
    """Refuse a write from outside to a partition that a transaction has locked."""
    if table.locks and holder(service, table, partition) is not None:
        raise ServiceFault("OTSRowOperationConflict", "Data is being modified by the other request.")


def commit_transaction(service: Service, instance: Instance, body: bytes) -> bytes:
    """Show everything that a transaction wrote, at once."""
    request = parse(pb2.CommitTransactionRequest, body)
    transaction = opened(service, instance, request.transaction_id)
    commit(transaction.table, transaction.stage)
    _close(service, transaction)
    return message_field(1, _CONSUMED)


def abort_transaction(service: Service, instance: Instance, body: bytes) -> bytes:
    """Forget everything that a transaction wrote."""
    request = parse(pb2.AbortTransactionRequest, body)
    _close(service, opened(service, instance, request.transaction_id))
    return message_field(1, _CONSUMED)


def _close(service: Service, transaction: Transaction) -> None:
    service.transactions.pop(transaction.id, None)
    if transaction.table.locks.get(transaction.partition) is transaction:
        del transaction.table.locks[transaction.partition]


def _close_expired(service: Service) -> None:
    """Drop the transactions that were left open: they stand in the order in which they end."""
    now = service.clock()
    for transaction in list(service.transactions.values()):
        if now < transaction.expires:
            return
        _close(service, transaction)


def close_all(service: Service, table: Table) -> None:
    """End the transactions of a table that is going away."""
    for transaction in list(table.locks.values()):
        _close(service, transaction)
