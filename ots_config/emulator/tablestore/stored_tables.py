"""Tables as a data file has them: the definition as JSON; rows and the records of a stream as PlainBuffer."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict
from sys import intern
from typing import Any

from ots_config.emulator.tablestore.cells import Row, TableOptions
from ots_config.emulator.tablestore.change_log import ChangeLog, ColumnChoice, Shard, StreamRecord
from ots_config.emulator.tablestore.model import Index, KeyColumn, Table, Throughput
from ots_config.emulator.tablestore.sorted_keys import Key
from ots_config.plainbuffer import VT_BLOB, Cell, decode_row, decode_value, encode_row, encode_value


def write_definition(table: Table) -> str:
    """Return everything of a table but its rows and the records of its stream."""
    return json.dumps(
        {
            "name": table.name,
            "schema": table.schema,
            "defined": table.defined,
            "options": table.options._asdict(),
            "throughput": asdict(table.throughput),
            "transactional": table.transactional,
            "sse": b64encode(table.sse).decode(),
            "partitions": [b64encode(encode_value(value, bytes_as=VT_BLOB)).decode() for value in table.partitions],
            "created": table.created,
            "id": table.id,
            "last_increment": table.last_increment,
            "stream": None if table.stream is None else _write_stream(table.stream),
            "index": None if table.main is None else _write_index(table.main.indexes[table.name]),
        }
    )


def _write_stream(stream: ChangeLog) -> dict[str, Any]:
    return {
        "id": stream.id,
        "enabled": stream.enabled,
        "hours": stream.hours,
        "columns": stream.columns,
        "last": stream.last,
        "old": stream.old,
        "new": stream.new,
        "shards": [shard.id for shard in stream.shards],
    }


def _write_index(index: Index) -> dict[str, Any]:
    return {"columns": index.columns, "defined": index.defined, "kind": index.kind, "mode": index.mode}


def read_definition(text: str, main: Table | None) -> Table:
    """Return a table without rows; an index table is added to its main table."""
    given = json.loads(text)
    table = Table(
        given["name"],
        tuple(KeyColumn(*column) for column in given["schema"]),
        given["defined"],
        TableOptions(**given["options"]),
        Throughput(**given["throughput"]),
        transactional=given["transactional"],
        sse=b64decode(given["sse"]),
        partitions=tuple(decode_value(b64decode(value), binary=bytes) for value in given["partitions"]),
        main=main,
        created=given["created"],
    )
    table.id = given["id"]
    table.last_increment = given["last_increment"]
    if given["stream"] is not None:
        table.stream = _read_stream(given["stream"])
    if main is not None:
        main.indexes[table.name] = Index(table, main, **given["index"])
    return table


def _read_stream(given: dict[str, Any]) -> ChangeLog:
    def choice(sent: Any) -> ColumnChoice | None:
        return None if sent is None else ColumnChoice(sent[0], tuple(sent[1]))

    return ChangeLog(
        given["id"],
        given["enabled"],
        given["hours"],
        [Shard(name) for name in given["shards"]],
        tuple(given["columns"]),
        choice(given["old"]),
        choice(given["new"]),
        given["last"],
    )


def write_key(table: Table, key: Key) -> bytes:
    """Return a key encoded."""
    return encode_row(table.named(key), bytes_as=VT_BLOB)


def write_row(table: Table, key: Key, row: Sequence[Any]) -> bytes:
    """Return a key and cells encoded."""
    return encode_row(table.named(key), row, bytes_as=VT_BLOB)


def read_row(data: bytes) -> tuple[Key, Row]:
    """Return the key and the cells of a stored row."""
    key, cells, _ = decode_row(data, binary=bytes)
    row: Any = tuple([(intern(name), value, version, None) for name, value, version, _ in cells])
    return tuple([value for _, value in key]), row


def write_record(table: Table, record: StreamRecord) -> tuple[int, int, bytes, bytes | None, bytes | None]:
    """Return the time, the kind, the change, and the row before and after it."""
    before, after = (
        None if row is None else write_row(table, record.key, row) for row in (record.before, record.after)
    )
    return record.at, record.kind, write_row(table, record.key, record.cells), before, after


def read_record(at: int, kind: int, change: bytes, before: bytes | None, after: bytes | None) -> StreamRecord:
    """Return a stored record."""
    key, cells, _ = decode_row(change, binary=bytes)
    return StreamRecord(
        at,
        kind,
        tuple([value for _, value in key]),
        [Cell(*cell) for cell in cells],
        None if before is None else read_row(before)[1],
        None if after is None else read_row(after)[1],
    )
