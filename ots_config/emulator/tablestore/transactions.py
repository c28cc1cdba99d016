"""Local transactions: one partition of one table, locked for others, written to a stage until commit.

The lock is held from the start, so the stored rows do not change while a transaction is open: it reads the table with
its own writes on top, and commit needs no check. A transaction expires after 60 seconds by the service's clock; an
expired one is dropped when a request next meets it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from struct import pack
from typing import Any

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.capacity import TRANSACTION_UNITS
from ots_config.emulator.tablestore.errors import TablestoreError, invalid
from ots_config.emulator.tablestore.model import Instance, Table, Transaction
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.emulator.tablestore.row_changes import commit
from ots_config.emulator.tablestore.wire import consumed, parse, read_key
from ots_config.plainbuffer import VT_BLOB, encode_value

LIFETIME = 60.0

_CONSUMED = consumed(*TRANSACTION_UNITS)
_COMMITTED: bytes = pb2.CommitTransactionResponse(consumed=_CONSUMED).SerializeToString()


def start_local_transaction(instance: Instance, body: bytes) -> bytes:
    """Open a transaction on one value of a table's partition key, and lock that value."""
    request = parse(pb2.StartLocalTransactionRequest, body)
    table = instance.table(validation.table_name(request.table_name))
    primary_key = read_key(request.key)
    if len(primary_key) != 1:
        raise invalid("StartLocalTransaction support only one primary key.")
    validation.key_values(primary_key)
    if not table.transactional:
        raise invalid("Try to call method using explicit transaction on explicit-transaction-disabled table.")
    partition = validation.partition_of(table, primary_key)
    _close_expired(instance)
    if holder(instance, table, partition) is not None:
        raise TablestoreError("OTSRowOperationConflict", f"Failed to lock txn key: {_shown(partition)}")
    instance.transactions_started += 1
    transaction = Transaction(
        _transaction_id(instance.transactions_started, table, partition),
        table,
        partition,
        instance.clock() + LIFETIME,
    )
    table.locks[partition] = transaction
    instance.transactions[transaction.id] = transaction
    reply: bytes = pb2.StartLocalTransactionResponse(
        transaction_id=transaction.id, consumed=_CONSUMED
    ).SerializeToString()
    return reply


def _transaction_id(number: int, table: Table, partition: Any) -> str:
    name = table.name.encode()
    session = f"{number:014d}-{number:015d}".encode()
    raw = pack("<I", len(name)) + name + pack("<I", len(session)) + session
    return b64encode(raw + encode_value(partition, bytes_as=VT_BLOB)).decode()


def _shown(partition: Any) -> str:
    if partition is None:
        return "INF_MIN"
    return partition.hex() if isinstance(partition, bytes) else str(partition)


def holder(instance: Instance, table: Table, partition: Any) -> Transaction | None:
    """Return the open transaction that has locked a partition, None if it is not locked."""
    transaction = table.locks.get(partition)
    if transaction is not None and instance.clock() >= transaction.expires:
        _close(instance, transaction)
        return None
    return transaction


def opened(instance: Instance, transaction_id: Any) -> Transaction:
    """Return the open transaction with an id.

    Raises:
        TablestoreError: If the id is malformed, or its transaction has ended.
    """
    transaction = instance.transactions.get(transaction_id)
    if transaction is not None and instance.clock() >= transaction.expires:
        _close(instance, transaction)
        transaction = None
    if transaction is None:
        _check_id(transaction_id)
        raise TablestoreError("OTSSessionNotExist")
    return transaction


def _check_id(transaction_id: Any) -> None:
    """Raise an error for an id that the service cannot have issued."""
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
    """Raise an error for a table or partition other than the transaction's."""
    if transaction.table is not table:
        raise TablestoreError(
            "OTSDataOutOfRange",
            f"Data out of scope of transaction. Transaction Table:{transaction.table.name}. Data Table:{table.name}",
        )
    if type(partition) is not type(transaction.partition) or transaction.partition != partition:
        raise TablestoreError(
            "OTSDataOutOfRange",
            f"Data out of scope of transaction. Transaction PartKey:{_shown(transaction.partition)}. "
            f"Data PartKey:{_shown(partition)}",
        )


def check_lock(instance: Instance, table: Table, partition: Any) -> None:
    """Raise an error for a write from outside a transaction to a partition that it has locked."""
    if table.locks and holder(instance, table, partition) is not None:
        raise TablestoreError("OTSRowOperationConflict")


def commit_transaction(instance: Instance, body: bytes) -> bytes:
    """Make everything that a transaction wrote visible, atomically."""
    request = parse(pb2.CommitTransactionRequest, body)
    transaction = opened(instance, request.transaction_id)
    commit(transaction.table, transaction.stage, instance.now_ms())
    _close(instance, transaction)
    return _COMMITTED


def abort_transaction(instance: Instance, body: bytes) -> bytes:
    """Discard everything that a transaction wrote."""
    request = parse(pb2.AbortTransactionRequest, body)
    _close(instance, opened(instance, request.transaction_id))
    return _COMMITTED


def _close(instance: Instance, transaction: Transaction) -> None:
    instance.transactions.pop(transaction.id, None)
    if transaction.table.locks.get(transaction.partition) is transaction:
        del transaction.table.locks[transaction.partition]


def _close_expired(instance: Instance) -> None:
    """Drop the expired transactions; they are kept in the order in which they expire."""
    now = instance.clock()
    while instance.transactions:
        oldest = next(iter(instance.transactions.values()))
        if now < oldest.expires:
            return
        _close(instance, oldest)


def close_all(instance: Instance, table: Table) -> None:
    """End the transactions of a table that is being deleted."""
    for transaction in list(table.locks.values()):
        _close(instance, transaction)
