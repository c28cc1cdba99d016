"""The operations on secondary indexes, and what a table accepts as one."""

from __future__ import annotations

from typing import Any

from ots_config.emulator.tablestore import validation
from ots_config.emulator.tablestore.errors import TablestoreError, invalid
from ots_config.emulator.tablestore.model import Index, Instance, KeyColumn, Table
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.emulator.tablestore.wire import parse

MAX_INDEXES = 5
MAX_INDEX_COLUMNS = 4
MAX_ATTRIBUTES = 32

# A defined column's type -> its type as part of an index's key.
_KEY_KINDS: dict[int, int] = {pb2.DCT_INTEGER: pb2.INTEGER, pb2.DCT_STRING: pb2.STRING, pb2.DCT_BLOB: pb2.BINARY}


def check_meta(meta: Any) -> None:
    """Check what does not depend on the table: the name of an index, and the numbers and names of its columns."""
    validation.table_name(meta.name)
    if not 1 <= len(meta.primary_key) <= MAX_INDEX_COLUMNS:
        raise invalid(f"The number of primary key columns must be in range: [1, {MAX_INDEX_COLUMNS}] in index.")
    if len(meta.defined_column) > MAX_ATTRIBUTES:
        raise invalid(f"The number of attribute columns must be in range: [0, {MAX_ATTRIBUTES}] in index.")
    for column in (*meta.primary_key, *meta.defined_column):
        validation.column_name(column)


def make_index(main: Table, meta: Any, created: int) -> Index:
    """Return a new, empty index of a table.

    Args:
        main: The table.
        meta: The definition of the index, as a message.
        created: When it is created, in microseconds.

    Raises:
        TablestoreError: If the table cannot have it.
    """
    check_meta(meta)
    name, columns, defined = meta.name, list(meta.primary_key), list(meta.defined_column)
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
    table = Table(
        name,
        tuple(schema),
        kinds,
        main.options,
        main.throughput,
        transactional=False,
        main=main,
        created=created,
    )
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


def check_count(count: int) -> None:
    """Check the number of indexes of a table."""
    if count > MAX_INDEXES:
        raise invalid(f"Number of index per table exceeds the quota:{MAX_INDEXES}.")


def attach(instance: Instance, main: Table, index: Index) -> None:
    """Add an index to its table."""
    if index.table.name in instance.tables:
        raise TablestoreError("OTSObjectAlreadyExist")
    instance.add_index(main, index)


def create_index(instance: Instance, body: bytes) -> bytes:
    """Create an index of an existing table, with its present rows or only with those written from now on."""
    request = parse(pb2.CreateIndexRequest, body)
    check_meta(request.index_meta)
    main = instance.table(validation.table_name(request.main_table_name))
    if main.main is not None:
        raise invalid("An index can not have an index.")
    check_count(len(main.indexes) + 1)
    index = make_index(main, request.index_meta, int(instance.clock() * 1_000_000))
    if request.include_base_data:
        for key, row in main.rows.items():
            index.update(key, None, row)
    attach(instance, main, index)
    return b""


def drop_index(instance: Instance, body: bytes) -> bytes:
    """Drop an index."""
    request = parse(pb2.DropIndexRequest, body)
    main = instance.table(validation.table_name(request.main_table_name))
    name = validation.table_name(request.index_name)
    if name not in main.indexes:
        raise TablestoreError("OTSObjectNotExist")
    instance.remove_index(main, name)
    return b""


def describe_index(index: Index) -> Any:
    """Return the description of an index for DescribeTable."""
    return pb2.IndexMeta(
        name=index.table.name,
        primary_key=index.columns,
        defined_column=index.defined,
        index_update_mode=index.mode,
        index_type=index.kind,
        index_sync_phase=pb2.ISP_INCR,
    )
