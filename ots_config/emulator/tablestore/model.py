"""What an instance holds in memory: tables, their rows in the order of their keys, indexes, open transactions.

Everything is changed in one place for each kind of change, so that it can be stored elsewhere too: a row and the stream
by `Table.write`, the auto-increment counter by `Table.increment`, definitions by `Table.define`, `Table.set_stream`
and the methods of `Instance` that add and remove tables and indexes.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias
from uuid import uuid4

from ots_config.emulator.tablestore.cells import Row, StoredCell, TableOptions
from ots_config.emulator.tablestore.change_log import ChangeLog
from ots_config.emulator.tablestore.errors import WORDINGS, TablestoreError, Wording
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.emulator.tablestore.sorted_keys import Key, SortedKeys
from ots_config.plainbuffer import Cell

PK_BOOLEAN = 5  # its name in the protocol depends on the version of the official SDK
KEY_TYPES: dict[int, type] = {pb2.INTEGER: int, pb2.STRING: str, pb2.BINARY: bytes, PK_BOOLEAN: bool}
"""The types that a primary key column can have, and their values in Python."""

MAX_TABLES = 64

Write: TypeAlias = tuple[Key, Row | None, int, Sequence[Cell]]
"""A change to a row: its key, the row as it becomes (None if it is deleted), the kind of change and its cells."""


class KeyColumn(NamedTuple):
    """One column of a primary key: its type is a number of the protocol, the service may generate its values."""

    name: str
    kind: int
    increments: bool = False

    @property
    def python_type(self) -> type:
        """The Python type of its values."""
        return KEY_TYPES[self.kind]


class Stage:
    """Changes of a transaction or a batch that are not visible yet.

    Attributes:
        rows: The rows as they become, by key; None for a deleted one.
        writes: The changes in their order.
    """

    __slots__ = ("rows", "writes")

    def __init__(self, rows: dict[Key, Row | None] | None = None, writes: Sequence[Write] = ()) -> None:
        self.rows = rows or {}
        self.writes = list(writes)

    def copy(self) -> Stage:
        """Return a stage with the same changes, which further changes do not affect."""
        return Stage(dict(self.rows), self.writes)

    def add(self, key: Key, row: Row | None, kind: int, cells: Sequence[Cell]) -> None:
        """Add a change."""
        self.rows[key] = row
        self.writes.append((key, row, kind, cells))


@dataclass(slots=True)
class Throughput:
    """The capacity reserved for a table, and when it was changed (seconds since the epoch)."""

    read: int
    write: int
    increased: int
    decreased: int | None = None


class UnsavedChanges:
    """What a data file has still to store.

    Attributes:
        rows: Tables and the keys of rows that were written or deleted.
        definitions: Tables whose definition has changed.
        streams: Tables whose stream has new records.
    """

    __slots__ = ("definitions", "rows", "streams")

    def __init__(self) -> None:
        self.rows: list[tuple[Table, Key]] = []
        self.definitions: set[Table] = set()
        self.streams: set[Table] = set()

    def clear(self) -> None:
        """Forget what was stored."""
        self.rows.clear()
        self.definitions.clear()
        self.streams.clear()


class Table:
    """A table, or an index table, with its rows.

    Attributes:
        schema: The columns of its primary key.
        defined: The predefined columns, name to type.
        transactional: Whether it takes local transactions.
        sse: The requested encryption, as a message.
        stream: The log of its changes, None if it has no stream.
        partitions: Values of the partition key at which partitions begin, without the first.
        created: When it was created, in microseconds.
        id: A UUID.
        main: The table that an index table belongs to.
        locks: The open transactions by the partition they hold.
        last_increment: The last auto-increment value.
        changes: Where changes are noted for a data file, None in memory.
    """

    __slots__ = (
        "changes",
        "created",
        "defined",
        "id",
        "indexes",
        "key_names",
        "key_types",
        "last_increment",
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
        partitions: tuple[Any, ...] = (),
        main: Table | None = None,
        created: int = 0,
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
        self.stream: ChangeLog | None = None
        self.partitions = partitions
        self.created = created
        self.id = str(uuid4())
        self.main = main
        self.indexes: dict[str, Index] = {}
        self.rows: dict[Key, Row] = {}
        self.order = SortedKeys()
        self.locks: dict[object, Transaction] = {}
        self.last_increment = 0
        self.changes: UnsavedChanges | None = None

    def write(self, key: Key, row: Row | None, kind: int, cells: Sequence[Cell], now_ms: int) -> None:
        """Store a row, or remove it, and record the change in the stream."""
        before = self.rows.get(key)
        if row is not None:
            self.put(key, row)
        elif before is not None:
            self.delete(key)
        if self.stream is not None:
            shard = bisect_right(self.partitions, key[0])
            self.stream.append(shard, key, kind, cells, before, row, now_ms)
            if self.changes is not None:
                self.changes.streams.add(self)

    def put(self, key: Key, row: Row) -> None:
        """Store a row in place of any with its key, and update the indexes."""
        before = self.rows.get(key)
        if before is None:
            self.order.add(key)
        self.rows[key] = row
        if self.changes is not None:
            self.changes.rows.append((self, key))
        for index in self.indexes.values():
            index.update(key, before, row)

    def delete(self, key: Key) -> None:
        """Remove a row, if there is one, and its index entries."""
        before = self.rows.pop(key, None)
        if before is None:
            return
        self.order.remove(key)
        if self.changes is not None:
            self.changes.rows.append((self, key))
        for index in self.indexes.values():
            index.update(key, before, None)

    def scan(self, start: Key, stop: Key, *, backward: bool) -> Iterator[tuple[Key, Row]]:
        """Yield the rows from `start`, inclusive, to `stop`, exclusive."""
        rows = self.rows
        keys = self.order.backward(start, stop) if backward else self.order.forward(start, stop)
        for key in keys:
            yield key, rows[key]

    def named(self, key: Key) -> list[tuple[str, Any]]:
        """Return a key with the names of its columns, as rows are encoded."""
        return list(zip(self.key_names, key, strict=False))

    def increment(self, now: float) -> int:
        """Return the next auto-increment value: larger than all before, and as large as the service's are."""
        self.last_increment = max(self.last_increment + 1, int(now * 1_000_000))
        self._note_definition()
        return self.last_increment

    def define(
        self,
        *,
        options: TableOptions | None = None,
        throughput: Throughput | None = None,
        defined: dict[str, int] | None = None,
    ) -> None:
        """Change parts of the definition; the indexes have the options of their table."""
        self.throughput = throughput or self.throughput
        self.defined = self.defined if defined is None else defined
        if options is not None:
            self.options = options
            for index in self.indexes.values():
                index.table.options = options
                index.table._note_definition()  # noqa: SLF001  a table too
        self._note_definition()

    def set_stream(self, stream: ChangeLog | None) -> None:
        """Record changes in a stream from now on, or in none."""
        self.stream = stream
        self._note_definition()

    def _note_definition(self) -> None:
        if self.changes is not None:
            self.changes.definitions.add(self)


class Index:
    """A secondary index: the table that holds its entries, and how an entry is made from a row.

    An entry's key is the index's own columns followed by the columns of the row's key that are not among them, so that
    it is unique. A row has an entry if it has a value of the right type in each of those columns.

    Attributes:
        table: The entries.
        columns: The names of the index's own key columns.
        defined: The names of the other columns of an entry.
        kind: Global or local, a number of the protocol.
        mode: How the service updates it, a number of the protocol; the emulator always updates at once.
    """

    __slots__ = ("_parts", "_sources", "columns", "defined", "kind", "mode", "table")

    def __init__(self, table: Table, main: Table, columns: list[str], defined: list[str], kind: int, mode: int) -> None:
        self.table = table
        self.columns = columns
        self.defined = defined
        self.kind = kind
        self.mode = mode
        position = {name: number for number, name in enumerate(main.key_names)}
        # Where each part of an entry's key comes from: a position in the row's key, or a column of the row.
        self._parts: list[int | str] = [position.get(name, name) for name in table.key_names]
        self._sources = frozenset([*defined, *(part for part in self._parts if isinstance(part, str))])

    def has_column(self, name: str) -> bool:
        """Return whether a column of the table is one of the index's, of its key or besides it."""
        return name in self._sources or name in self.columns

    def entry(self, key: Key, row: Row) -> tuple[Key, Row] | None:
        """Return the entry of a row, None if it lacks one of the index's columns."""
        newest: dict[str, StoredCell] = {}
        for stored in row:
            if stored[0] in self._sources:
                newest.setdefault(stored[0], stored)
        values: list[Any] = []
        for part, expected in zip(self._parts, self.table.key_types, strict=True):
            if isinstance(part, int):
                values.append(key[part])
                continue
            cell = newest.get(part)
            if cell is None or type(cell[1]) is not expected:
                return None
            values.append(cell[1])
        return tuple(values), tuple([newest[name] for name in sorted(self.defined) if name in newest])

    def update(self, key: Key, before: Row | None, after: Row | None) -> None:
        """Update the index for one row that was written or deleted."""
        old = None if before is None else self.entry(key, before)
        new = None if after is None else self.entry(key, after)
        if old is not None and (new is None or new[0] != old[0]):
            self.table.delete(old[0])
        if new is not None:
            self.table.put(*new)


@dataclass(slots=True)
class Transaction:
    """An open local transaction.

    Attributes:
        partition: The value of the partition key that it has locked.
        stage: What it has written.
    """

    id: str
    table: Table
    partition: Any
    expires: float
    stage: Stage = field(default_factory=Stage)


@dataclass(slots=True)
class Instance:
    """One instance: tables and index tables share its namespace.

    Attributes:
        clock: Seconds since the epoch.
        require_transaction_flag: Whether a table takes local transactions only if CreateTable asked for them.
        limit_throughput_changes: Whether a table's reserved capacity can be changed only once in two minutes, as in the
            service; off by default, because test suites change it twice in a row.
        transactions: The open transactions by id, in the order in which they expire.
    """

    clock: Callable[[], float] = time.time
    wording: Wording = WORDINGS["docs"]
    require_transaction_flag: bool = False
    limit_throughput_changes: bool = False
    tables: dict[str, Table] = field(default_factory=dict)
    transactions: dict[str, Transaction] = field(default_factory=dict)
    transactions_started: int = 0

    def now_ms(self) -> int:
        """Return the time in milliseconds, as cells carry it."""
        return int(self.clock() * 1000)

    def table(self, name: str) -> Table:
        """Return a table or an index table.

        Raises:
            TablestoreError: If there is none of that name.
        """
        table = self.tables.get(name)
        if table is None:
            raise TablestoreError("OTSObjectNotExist")
        return table

    def key_names(self, name: str) -> Sequence[str]:
        """Return the names of a table's key columns, none if there is no such table."""
        table = self.tables.get(name)
        return () if table is None else table.key_names

    def add_table(self, table: Table) -> None:
        """Add a table."""
        self.tables[table.name] = table

    def remove_table(self, table: Table) -> None:
        """Remove a table with its indexes."""
        for name in table.indexes:
            del self.tables[name]
        del self.tables[table.name]

    def add_index(self, main: Table, index: Index) -> None:
        """Add an index to its table."""
        self.tables[index.table.name] = index.table
        main.indexes[index.table.name] = index

    def remove_index(self, main: Table, name: str) -> None:
        """Remove an index from its table."""
        del main.indexes[name]
        del self.tables[name]

    def main_tables(self) -> list[Table]:
        """Return the tables that are not indexes, sorted by name."""
        return [self.tables[name] for name in sorted(self.tables) if self.tables[name].main is None]
