"""Secondary indexes: tables that follow another one, written with it and read like any other."""

from __future__ import annotations

from typing import Any

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.cells import Row, StoredCell
from ots_config.emulator.tablestore.errors import ServiceFault, invalid
from ots_config.emulator.tablestore.model import Instance, KeyColumn, Service, Table
from ots_config.emulator.tablestore.protobuf import pb2
from ots_config.emulator.tablestore.sorted_keys import Key
from ots_config.emulator.tablestore.wire import parse

MAX_INDEX_COLUMNS = 4

# A defined column's type, and the type that it has as part of an index's key.
_KEY_KINDS: dict[int, int] = {pb2.DCT_INTEGER: pb2.INTEGER, pb2.DCT_STRING: pb2.STRING, pb2.DCT_BLOB: pb2.BINARY}


class Index:
    """One index: the table that holds its entries, and how an entry is made from a row.

    An entry's key is the index's own columns and then whatever of the row's key they left out, so that it is unique. A
    row has an entry if it has a value of the right type in each of those columns.

    Attributes:
        table: The entries.
        columns: The names of the index's own key columns.
        defined: The names of the columns that an entry carries besides.
        kind: Global or local, a number of the protocol.
        mode: How it is brought up to date, a number of the protocol; here always at once.
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

    def entry(self, key: Key, row: Row) -> tuple[Key, Row] | None:
        """Return the entry of a row, or None if it lacks one of the index's columns."""
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

    def follow(self, key: Key, before: Row | None, after: Row | None) -> None:
        """Bring the index up to date with one row that was written or deleted."""
        old = None if before is None else self.entry(key, before)
        new = None if after is None else self.entry(key, after)
        if old is not None and (new is None or new[0] != old[0]):
            self.table.delete(old[0])
        if new is not None:
            self.table.put(*new)


def make_index(main: Table, meta: Any) -> Index:
    """Return a new and empty index of a table, if the table can have it."""
    name = validation.table_name(meta.name)
    columns = [validation.column_name(column) for column in meta.primary_key]
    defined = [validation.column_name(column) for column in meta.defined_column]
    if not 1 <= len(columns) <= MAX_INDEX_COLUMNS:
        raise invalid(f"The number of primary key columns must be in range: [1, {MAX_INDEX_COLUMNS}].")
    schema: list[KeyColumn] = []
    for column in columns:
        if any(column == other.name for other in schema):
            raise invalid(f"Duplicated primary key name: '{column}'.")
        schema.append(KeyColumn(column, _key_kind(main, column)))
    schema += [KeyColumn(key.name, key.kind) for key in main.schema if key.name not in columns]
    for column in defined:
        if column not in main.defined:
            raise invalid(f"The defined column '{column}' of the index is not a defined column of the table.")
    if meta.index_type == pb2.IT_LOCAL_INDEX and columns[0] != main.schema[0].name:
        raise invalid("The first primary key column of a local index must be the partition key of the table.")
    if main.options.max_versions != 1:
        raise invalid("The MaxVersions of a table with indexes must be 1.")
    kinds = {column: main.defined[column] for column in defined}
    table = Table(name, tuple(schema), kinds, main.options, main.throughput, transactional=False, main=main)
    return Index(table, main, columns, defined, meta.index_type, meta.index_update_mode)


def _key_kind(main: Table, column: str) -> int:
    for key in main.schema:
        if key.name == column:
            return key.kind
    kind = _KEY_KINDS.get(main.defined.get(column, 0))
    if kind is None:
        raise invalid(
            f"The primary key column '{column}' of the index is no primary key column of the table, "
            "and no defined column of a type that keys can have."
        )
    return kind


def attach(instance: Instance, main: Table, index: Index) -> None:
    """Let an index follow its table from now on."""
    if index.table.name in instance.tables:
        raise ServiceFault("OTSObjectAlreadyExist", "Requested table already exists.")
    instance.tables[index.table.name] = index.table
    main.indexes[index.table.name] = index


def create_index(_: Service, instance: Instance, body: bytes) -> bytes:
    """Make an index of a table that exists, with the rows it has or only with those written from now on."""
    request = parse(pb2.CreateIndexRequest, body)
    main = instance.table(validation.table_name(request.main_table_name))
    if main.main is not None:
        raise invalid("An index can not have an index.")
    index = make_index(main, request.index_meta)
    attach(instance, main, index)
    if request.include_base_data:
        for key, row in main.rows.items():
            index.follow(key, None, row)
    return b""


def drop_index(_: Service, instance: Instance, body: bytes) -> bytes:
    """Remove an index."""
    request = parse(pb2.DropIndexRequest, body)
    main = instance.table(validation.table_name(request.main_table_name))
    name = validation.table_name(request.index_name)
    if name not in main.indexes:
        raise ServiceFault("OTSObjectNotExist", "Requested table does not exist.")
    del main.indexes[name]
    del instance.tables[name]
    return b""


def describe_index(index: Index) -> Any:
    """Return what DescribeTable says of an index."""
    return pb2.IndexMeta(
        name=index.table.name,
        primary_key=index.columns,
        defined_column=index.defined,
        index_update_mode=index.mode,
        index_type=index.kind,
    )
