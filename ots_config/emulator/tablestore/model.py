"""What the emulator remembers: instances, their tables, and each table's rows in the order of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ots_config.emulator.tablestore.cells import Row, TableOptions
from ots_config.emulator.tablestore.errors import ServiceFault, Wording
from ots_config.emulator.tablestore.protobuf import pb2
from ots_config.emulator.tablestore.sorted_keys import Key, SortedKeys

if TYPE_CHECKING:
    from ots_config.emulator.tablestore.indexes import Index
    from ots_config.emulator.tablestore.transactions import Transaction

KEY_TYPES: dict[int, type] = {pb2.INTEGER: int, pb2.STRING: str, pb2.BINARY: bytes}
"""The types that a primary key column can have, and their values in Python."""

MAX_TABLES = 64


class KeyColumn(NamedTuple):
    """One column of a primary key.

    Attributes:
        name: Its name.
        kind: Its type, a number of the protocol.
        increments: Whether the service makes its values.
    """

    name: str
    kind: int
    increments: bool = False

    @property
    def python_type(self) -> type:
        """The Python type of its values."""
        return KEY_TYPES[self.kind]


@dataclass(slots=True)
class Throughput:
    """The capacity reserved for a table, and when it was changed (seconds since the epoch)."""

    read: int
    write: int
    increased: int
    decreased: int | None = None


class Table:
    """A table, or an index table, with its rows.

    Attributes:
        name: Its name.
        schema: The columns of its primary key.
        defined: The predefined columns, name to type.
        options: Life time, versions, deviation, whether rows can be updated.
        throughput: The reserved capacity.
        transactional: Whether it takes local transactions.
        sse: The encryption asked for, as a message.
        stream: The stream asked for, as a message.
        partitions: Where its partitions begin, but for the first: values of the partition key.
        created: When it was made, in seconds.
        main: The table that an index table follows.
        indexes: The indexes that follow this table.
        rows: The rows by key.
        locks: The open transactions by the partition they hold.
    """

    __slots__ = (
        "_last_increment",
        "created",
        "defined",
        "indexes",
        "key_names",
        "key_types",
        "locks",
        "main",
        "name",
        "options",
        "order",
        "partitions",
        "rows",
        "schema",
        "sse",
        "stream",
        "throughput",
        "transactional",
    )

    def __init__(
        self,
        name: str,
        schema: tuple[KeyColumn, ...],
        defined: dict[str, int],
        options: TableOptions,
        throughput: Throughput,
        *,
        transactional: bool = True,
        sse: bytes = b"",
        stream: bytes = b"",
        partitions: tuple[Any, ...] = (),
        main: Table | None = None,
    ) -> None:
        self.name = name
        self.schema = schema
        self.key_names = [column.name for column in schema]
        self.key_types = [column.python_type for column in schema]
        self.defined = defined
        self.options = options
        self.throughput = throughput
        self.transactional = transactional
        self.sse = sse
        self.stream = stream
        self.partitions = partitions
        self.created = throughput.increased
        self.main = main
        self.indexes: dict[str, Index] = {}
        self.rows: dict[Key, Row] = {}
        self.order = SortedKeys()
        self.locks: dict[object, Transaction] = {}
        self._last_increment = 0

    def put(self, key: Key, row: Row) -> None:
        """Store a row, in place of any that has its key, and bring the indexes up to date."""
        before = self.rows.get(key)
        if before is None:
            self.order.add(key)
        self.rows[key] = row
        for index in self.indexes.values():
            index.follow(key, before, row)

    def delete(self, key: Key) -> None:
        """Remove a row, if it is there, and its index entries."""
        before = self.rows.pop(key, None)
        if before is None:
            return
        self.order.remove(key)
        for index in self.indexes.values():
            index.follow(key, before, None)

    def scan(self, start: Key, stop: Key, *, backward: bool) -> Iterator[tuple[Key, Row]]:
        """Yield the rows from `start` on, that included, up to `stop`, that excluded."""
        rows = self.rows
        keys = self.order.backward(start, stop) if backward else self.order.forward(start, stop)
        for key in keys:
            yield key, rows[key]

    def named(self, key: Key) -> list[tuple[str, Any]]:
        """Return a key with the names of its columns, as rows are encoded."""
        return list(zip(self.key_names, key, strict=False))

    def increment(self, now: float) -> int:
        """Return the next auto-increment value: larger than all before, and of the size that the service's have."""
        self._last_increment = max(self._last_increment + 1, int(now * 1_000_000))
        return self._last_increment


@dataclass(slots=True)
class Instance:
    """One instance: tables and index tables share its space of names."""

    name: str
    tables: dict[str, Table] = field(default_factory=dict)

    def table(self, name: str) -> Table:
        """Return a table or an index table.

        Raises:
            ServiceFault: There is none of that name.
        """
        table = self.tables.get(name)
        if table is None:
            raise ServiceFault("OTSObjectNotExist", "Requested table does not exist.")
        return table

    def key_names(self, name: str) -> Sequence[str]:
        """Return the names of a table's key columns, none if there is no such table."""
        table = self.tables.get(name)
        return () if table is None else table.key_names

    def main_tables(self) -> list[Table]:
        """Return the tables that are no index, in the order of their names."""
        return [self.tables[name] for name in sorted(self.tables) if self.tables[name].main is None]


@dataclass(slots=True)
class Service:
    """The service as a whole: its instances, its clock, and the choices of whoever started it.

    Attributes:
        instances: The instances by name, in small letters: their names are not case-sensitive.
        clock: Seconds since the epoch.
        wording: The texts on which documents and recordings disagree.
        require_transaction_flag: Whether a table takes transactions only if CreateTable said so.
        limit_throughput_changes: Whether a table's reserved capacity can be changed only once in two minutes.
        transactions: The open transactions by id.
    """

    instances: dict[str, Instance]
    clock: Callable[[], float]
    wording: Wording
    require_transaction_flag: bool = False
    limit_throughput_changes: bool = False
    transactions: dict[str, Transaction] = field(default_factory=dict)
    transactions_started: int = 0

    def now_ms(self) -> int:
        """Return the time in milliseconds, as cells carry it."""
        return int(self.clock() * 1000)
