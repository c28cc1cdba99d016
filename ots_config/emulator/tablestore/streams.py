"""The operations that read the streams of tables."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from struct import pack
from typing import Any, NamedTuple

from ots_config.emulator.tablestore.capacity import read_units
from ots_config.emulator.tablestore.cells import VERSION_SIZE, Row, row_size
from ots_config.emulator.tablestore.change_log import ChangeLog, ColumnChoice, Shard, StreamRecord
from ots_config.emulator.tablestore.definitions import column_choice
from ots_config.emulator.tablestore.errors import TablestoreError, invalid
from ots_config.emulator.tablestore.model import Instance, Table
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.emulator.tablestore.wire import consumed, parse, text
from ots_config.plainbuffer import VT_BLOB, Cell, encode_row

MAX_RECORDS = 5000
MAX_BYTES = 4 * 1024 * 1024
MAX_SHARDS = 100

_ACTIONS = {pb2.PUT: pb2.PUT_ROW, pb2.UPDATE: pb2.UPDATE_ROW, pb2.DELETE: pb2.DELETE_ROW}
_INFO_EPOCH = 0


class _Place(NamedTuple):
    """Where a stream is read: its table, a shard and a position in it."""

    table: Table
    stream: ChangeLog
    shard: Shard
    position: int


def _find(instance: Instance, stream_id: str) -> tuple[Table, ChangeLog]:
    for table in instance.tables.values():
        if table.stream is not None and table.stream.id == stream_id:
            return table, table.stream
    raise TablestoreError("OTSObjectNotExist", "Requested stream does not exist.")


def list_stream(instance: Instance, body: bytes) -> bytes:
    """List the streams of a table, or of all tables."""
    request = parse(pb2.ListStreamRequest, body)
    one = [instance.table(text(request.table_name))] if request.HasField("table_name") else None
    tables = one or instance.main_tables()
    reply = pb2.ListStreamResponse()
    for table in tables:
        if table.stream is not None:
            reply.streams.add(stream_id=table.stream.id, table_name=table.name, creation_time=table.stream.enabled)
    encoded: bytes = reply.SerializeToString()
    return encoded


def describe_stream(instance: Instance, body: bytes) -> bytes:
    """Describe a stream and its shards."""
    request = parse(pb2.DescribeStreamRequest, body)
    table, stream = _find(instance, request.stream_id)
    ids = [shard.id for shard in stream.shards]
    first = 0
    if request.HasField("inclusive_start_shard_id"):
        first = ids.index(_shard(stream, request.inclusive_start_shard_id).id)
    limit = request.shard_limit if request.HasField("shard_limit") else MAX_SHARDS
    if limit <= 0:
        raise invalid("The shard limit must be greater than 0.")  # no recording shows the message
    reply = pb2.DescribeStreamResponse(
        stream_id=stream.id,
        expiration_time=stream.hours,
        table_name=table.name,
        creation_time=stream.enabled,
        stream_status=pb2.STREAM_ACTIVE,
    )
    for shard in ids[first : first + limit]:
        reply.shards.add(shard_id=shard)
    if first + limit < len(ids):
        reply.next_shard_id = ids[first + limit]
    encoded: bytes = reply.SerializeToString()
    return encoded


def _shard(stream: ChangeLog, shard_id: str) -> Shard:
    for shard in stream.shards:
        if shard.id == shard_id:
            return shard
    raise TablestoreError("OTSObjectNotExist", "Requested shard does not exist.")


def get_shard_iterator(instance: Instance, body: bytes) -> bytes:
    """Return an iterator at the oldest record of a shard, or at the first one of a time."""
    request = parse(pb2.GetShardIteratorRequest, body)
    _, stream = _find(instance, request.stream_id)
    shard = _shard(stream, request.shard_id)
    position = shard.position_at(request.timestamp) if request.HasField("timestamp") else shard.trimmed
    reply: bytes = pb2.GetShardIteratorResponse(shard_iterator=_iterator(stream, shard, position)).SerializeToString()
    return reply


def _iterator(stream: ChangeLog, shard: Shard, position: int) -> str:
    return b64encode(f"{stream.id}/{shard.id}/{position}".encode()).decode()


def _place(instance: Instance, iterator: Any) -> _Place:
    """Return the place of an iterator.

    Raises:
        TablestoreError: If it is malformed, its stream has ended, or the records there have expired.
    """
    try:
        stream_id, shard_id, written = b64decode(iterator, validate=True).decode().split("/")
        position = int(written)
    except (Base64Error, ValueError):
        raise invalid("The shard iterator is invalid.") from None  # no recording shows the message
    table, stream = _find(instance, stream_id)
    shard = _shard(stream, shard_id)
    if not shard.trimmed <= position <= shard.trimmed + len(shard.records):
        raise TablestoreError("OTSTrimmedDataAccess")
    return _Place(table, stream, shard, position)


def get_stream_record(instance: Instance, body: bytes) -> bytes:
    """Return the records of a shard from an iterator on, and the iterator of the next ones."""
    request = parse(pb2.GetStreamRecordRequest, body)
    limit = request.limit if request.HasField("limit") else MAX_RECORDS
    if limit <= 0:
        raise invalid("The limit must be greater than 0.")
    table, stream, shard, position = _place(instance, request.shard_iterator)
    if request.HasField("table_name") and request.table_name != table.name:
        raise invalid("The shard iterator is invalid.")
    old = column_choice(request, "old_columns_to_get") or stream.old
    new = column_choice(request, "new_columns_to_get") or stream.new
    if old is None and stream.columns:
        old = ColumnChoice(pb2.SPECIFIED_COLUMN, stream.columns)
    reply = pb2.GetStreamRecordResponse()
    size = 0
    first = position - shard.trimmed
    for record in shard.records[first : first + min(limit, MAX_RECORDS)]:
        if size >= MAX_BYTES:
            break
        named = table.named(record.key)
        sent = reply.stream_records.add(action_type=_ACTIONS[record.kind], record=_encoded(table, record))
        if old is not None and record.before is not None:
            sent.origin_record = encode_row(named, _chosen(old, record, record.before), bytes_as=VT_BLOB)
        if new is not None and record.after is not None:
            sent.latest_columns = encode_row(named, _chosen(new, record, record.after), bytes_as=VT_BLOB)
        size += row_size(named, record.cells) + VERSION_SIZE * len(record.cells)
        position += 1
    reply.next_shard_iterator = _iterator(stream, shard, position)
    reply.may_more_record = position < shard.trimmed + len(shard.records)
    reply.consumed.CopyFrom(consumed(*read_units(size)))
    encoded: bytes = reply.SerializeToString()
    return encoded


def _chosen(choice: ColumnChoice, record: StreamRecord, row: Row) -> list[Cell]:
    """Return the chosen columns of a row: all, those named, or those that the change names."""
    if choice.kind == pb2.ALL_COLUMNS:
        wanted = {cell[0] for cell in row}
    elif choice.kind == pb2.INPUT_COLUMNS:
        wanted = {cell.name for cell in record.cells}
    else:
        wanted = set(choice.names)
    return [Cell(*cell) for cell in row if cell[0] in wanted]


def _encoded(table: Table, record: StreamRecord) -> bytes:
    """Return a record as a row whose extension says where it belongs in the order of the stream."""
    row = encode_row(table.named(record.key), record.cells, deleted=record.kind == pb2.DELETE, bytes_as=VT_BLOB)
    info = b"\x0d" + pack("<I", _INFO_EPOCH) + b"\x0e" + pack("<q", record.at) + b"\x0f" + pack("<I", 0)
    sequence = b"\x0c" + pack("<I", len(info)) + info
    extension = b"\x0b" + pack("<I", len(sequence)) + sequence
    return row[:-2] + extension + row[-2:]  # before the row's checksum, which does not cover it
