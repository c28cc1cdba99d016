"""Streams: the log of a table's changes, as SDKs read it."""

from struct import unpack
from typing import Any

import pytest
from tablestore import BatchWriteRowRequest, Condition, DeleteRowItem, PutRowItem, Row, TableInBatchWriteRowItem
from tablestore import TableOptions as Options

from ots_config.emulator.tablestore import change_log, streams
from ots_config.emulator.tablestore.protocol import pb2
from ots_config.plainbuffer import (
    OP_DELETE_ALL_VERSIONS,
    OP_DELETE_ONE_VERSION,
    VT_BLOB,
    Marker,
    decode_row,
    encode_row,
    encode_value,
)
from ots_config.sdk import tablestore

HOUR = 3600
NOW = 1_790_000_000_000
EXTENSION = 29  # bytes: two tags with lengths, and three tags with an epoch, a time and an index


def enable(client: Any, name: str = "t", **fields: Any) -> Any:
    """Enable the stream of a table and return the details of the response."""
    spec = pb2.StreamSpecification(**{"enable_stream": True, "expiration_time": 24, **fields})
    body = pb2.UpdateTableRequest(table_name=name, stream_spec=spec).SerializeToString()
    return pb2.UpdateTableResponse.FromString(client.send("UpdateTable", body)).stream_details


def call(client: Any, operation: str, **fields: Any) -> Any:
    """Carry out an operation and return its response."""
    body = client.send(operation, getattr(pb2, f"{operation}Request")(**fields).SerializeToString())
    return getattr(pb2, f"{operation}Response").FromString(body)


def iterator(client: Any, stream: str, shard: int = 0, **fields: Any) -> str:
    """Return an iterator of a shard."""
    shard_id = call(client, "DescribeStream", stream_id=stream).shards[shard].shard_id
    found: str = call(client, "GetShardIterator", stream_id=stream, shard_id=shard_id, **fields).shard_iterator
    return found


def opened(record: bytes) -> tuple[Any, tuple[int, int, int]]:
    """Return a record's row and its place in the order: epoch, time and index."""
    extension = record[-2 - EXTENSION : -2]
    tag, skip, info_tag, length, t1, epoch, t2, at, t3, index = unpack("<BIBIBIBqBI", extension)
    assert (tag, skip, info_tag, length, t1, t2, t3) == (11, 24, 12, 19, 13, 14, 15)
    return decode_row(record[: -2 - EXTENSION] + record[-2:], binary=bytes), (epoch, at, index)


def records(client: Any, stream: str, **fields: Any) -> list[Any]:
    """Return the kind, key and cells of each record of a stream's first shard."""
    reply = call(client, "GetStreamRecord", shard_iterator=iterator(client, stream), **fields)
    rows = [(record.action_type, opened(record.record)[0]) for record in reply.stream_records]
    return [(kind, list(row.primary_key), [tuple(cell) for cell in row.cells]) for kind, row in rows]


@pytest.fixture
def stream(client: Any) -> str:
    """Return the stream of a table with the key (a INTEGER) that keeps two versions."""
    client.make_table("t", ("a", "INTEGER"), options=Options(-1, 2))
    found: str = enable(client).stream_id
    return found


def test_streams_are_listed(client: Any, stream: str, refused: Any) -> None:
    """ListStream lists those of one table, or of all; a table without one has none."""
    client.make_table("u", ("a", "INTEGER"))
    assert not call(client, "ListStream", table_name="u").streams
    enable(client, "u")
    (found,) = call(client, "ListStream", table_name="t").streams
    assert (found.stream_id, found.table_name, found.creation_time) == (stream, "t", NOW * 1000)
    assert [one.table_name for one in call(client, "ListStream").streams] == ["t", "u"]
    with refused("OTSObjectNotExist", status=404):
        call(client, "ListStream", table_name="none")


def test_a_stream_is_described_with_its_shards(client: Any, stream: str, refused: Any) -> None:
    """It is active, and has one shard for a table of one partition."""
    described = call(client, "DescribeStream", stream_id=stream)
    assert (described.stream_id, described.expiration_time, described.table_name) == (stream, 24, "t")
    assert (described.stream_status, described.creation_time) == (pb2.STREAM_ACTIVE, NOW * 1000)
    assert len(described.shards) == 1
    assert not described.HasField("next_shard_id")
    with refused("OTSObjectNotExist", status=404):
        call(client, "DescribeStream", stream_id="none")


def test_each_change_is_a_record(client: Any, stream: str) -> None:
    """A put has its values, an update its values and deletions, a deletion its key; versions are those given."""
    client.put("t", [("a", 1)], [("z", "v"), ("n", 1), ("c", b"", NOW - 5)])
    client.clock.now += 1
    operations = {"PUT": [("z", 3.5)], "DELETE": [("c", None, NOW - 5)], "DELETE_ALL": ["x"], "INCREMENT": [("n", 4)]}
    client.update_row("t", Row([("a", 1)], operations), None)
    client.delete_row("t", Row([("a", 1)]), None)
    put, update, delete = records(client, stream)
    assert put == (pb2.PUT_ROW, [("a", 1)], [("z", "v", NOW, None), ("n", 1, NOW, None), ("c", "", NOW - 5, None)])
    assert update[:2] == (pb2.UPDATE_ROW, [("a", 1)])
    assert sorted(update[2], key=str) == [
        ("c", None, NOW - 5, OP_DELETE_ONE_VERSION),
        ("n", 5, NOW + 1000, None),
        ("x", None, None, OP_DELETE_ALL_VERSIONS),
        ("z", 3.5, NOW + 1000, None),
    ]
    assert delete == (pb2.DELETE_ROW, [("a", 1)], [])


def test_what_fails_is_no_record(client: Any, stream: str, refused: Any) -> None:
    """A write that is refused, and a batch that is, leave none."""
    with refused("OTSConditionCheckFail", status=403):
        client.put_row("t", Row([("a", 1)], [("x", 1)]), Condition("EXPECT_EXIST"))
    request = BatchWriteRowRequest()
    items = [PutRowItem(Row([("a", 1)], [("x", 1)]), Condition(expected)) for expected in ("EXPECT_EXIST", "IGNORE")]
    request.add(TableInBatchWriteRowItem("t", items))
    client.suffix = b"\x18\x01"  # atomic
    client.batch_write_row(request)
    client.suffix = b""
    assert records(client, stream) == []


def test_batches_and_transactions_record_each_row_in_order(client: Any, stream: str) -> None:
    """Two changes to one row are two records; an aborted transaction leaves none, an open one neither."""
    request = BatchWriteRowRequest()
    put = PutRowItem(Row([("a", 1)], [("x", 1)]), Condition("IGNORE"))
    request.add(TableInBatchWriteRowItem("t", [put, DeleteRowItem(Row([("a", 1)]), Condition("IGNORE"))]))
    client.batch_write_row(request)
    kept, dropped = client.start_local_transaction("t", [("a", 5)]), client.start_local_transaction("t", [("a", 6)])
    client.put_row("t", Row([("a", 5)], [("x", 5)]), Condition("IGNORE"), None, kept)
    client.put_row("t", Row([("a", 6)], [("x", 6)]), Condition("IGNORE"), None, dropped)
    assert [(kind, key[0][1]) for kind, key, _ in records(client, stream)] == [(pb2.PUT_ROW, 1), (pb2.DELETE_ROW, 1)]
    client.commit_transaction(kept)
    client.abort_transaction(dropped)
    assert [(kind, key[0][1]) for kind, key, _ in records(client, stream)][2:] == [(pb2.PUT_ROW, 5)]


def test_records_say_their_place_in_the_order(client: Any, stream: str) -> None:
    """Each has a later time than the one before, in microseconds, even if the clock stands still or goes back."""
    for step in (0, 0, 1, -10):
        client.clock.now += step
        client.put("t", [("a", 1)])
    found = call(client, "GetStreamRecord", shard_iterator=iterator(client, stream)).stream_records
    times = [opened(record.record)[1] for record in found]
    start = NOW * 1000
    assert times == [(0, at, 0) for at in (start, start + 1, start + 1_000_000, start + 1_000_001)]


def test_a_stream_is_read_from_place_to_place(client: Any, stream: str) -> None:
    """Each response names the iterator of the next; at the end that is the one that was sent."""
    for number in range(5):
        client.put("t", [("a", number)])
    place, seen = iterator(client, stream), []
    for more in (True, True, False, False):
        reply = call(client, "GetStreamRecord", shard_iterator=place, limit=2, table_name="t")
        seen += [decode_key(record.record) for record in reply.stream_records]
        assert reply.may_more_record is more
        assert (reply.next_shard_iterator == place) is (not reply.stream_records)
        assert (reply.consumed.capacity_unit.read, reply.consumed.capacity_unit.write) == (1, 0)
        place = reply.next_shard_iterator
    assert seen == [0, 1, 2, 3, 4]
    client.put("t", [("a", 9)])
    reply = call(client, "GetStreamRecord", shard_iterator=place)
    assert [decode_key(record.record) for record in reply.stream_records] == [9]


def decode_key(record: bytes) -> Any:
    """Return the value of a record's one key column."""
    return opened(record)[0].primary_key[0][1]


def test_a_response_has_at_most_4_megabytes(client: Any, stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with the record that reaches the limit."""
    monkeypatch.setattr(streams, "MAX_BYTES", 200)
    for number in range(4):
        client.put("t", [("a", number)], [("x", "v" * 91)])  # 109 bytes with the version
    reply = call(client, "GetStreamRecord", shard_iterator=iterator(client, stream))
    assert (len(reply.stream_records), reply.may_more_record) == (2, True)


def test_a_stream_is_read_from_a_time(client: Any, stream: str) -> None:
    """The iterator of a time is at the first record made then or later."""
    for number in range(3):
        client.put("t", [("a", number)])
        client.clock.now += 1
    for milliseconds, first in ((-1, 0), (0, 0), (1, 1), (1000, 1), (2000, 2)):
        place = iterator(client, stream, timestamp=(NOW + milliseconds) * 1000)
        reply = call(client, "GetStreamRecord", shard_iterator=place, limit=1)
        assert decode_key(reply.stream_records[0].record) == first
    place = iterator(client, stream, timestamp=(NOW + 9000) * 1000)
    assert not call(client, "GetStreamRecord", shard_iterator=place).stream_records


def test_records_expire(client: Any, stream: str, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are removed after the hours that the stream keeps them, and an iterator there is refused."""
    monkeypatch.setattr(change_log, "_TRIMMED_AT_ONCE", 1)
    old = iterator(client, stream)
    client.put("t", [("a", 1)])
    client.clock.now += 24 * HOUR
    client.put("t", [("a", 2)])
    assert [key for _, key, _ in records(client, stream)] == [[("a", 1)], [("a", 2)]]
    client.clock.now += 1
    client.put("t", [("a", 3)])
    assert [key for _, key, _ in records(client, stream)] == [[("a", 2)], [("a", 3)]]
    message = "Requested stream data is already trimmed or does not exist."
    with refused("OTSTrimmedDataAccess", message):
        call(client, "GetStreamRecord", shard_iterator=old)


def test_expired_records_are_removed_in_groups(client: Any, stream: str) -> None:
    """Removing moves the rest of the log, so it is not done for each record; none is kept for long."""
    for number in range(600):
        client.put("t", [("a", number)])
    client.clock.now += 24 * HOUR + 1
    client.put("t", [("a", -1)])
    (shard,) = client.instance.tables["t"].stream.shards
    assert (shard.trimmed, len(shard.records)) == (600, 1)


def test_each_partition_has_a_shard(client: Any) -> None:
    """A table that was split has several; a record is in that of its partition; they are described in parts."""
    request = pb2.CreateTableRequest(
        table_meta=pb2.TableMeta(table_name="t"),
        reserved_throughput=pb2.ReservedThroughput(capacity_unit=pb2.CapacityUnit(read=0, write=0)),
        table_options=pb2.TableOptions(time_to_live=-1, max_versions=1),
    )
    request.table_meta.primary_key.add(name="a", type=pb2.INTEGER)
    for ends in ((Marker.INF_MIN, 10), (10, 20), (20, Marker.INF_MAX)):
        begin, end = [encode_value(value, bytes_as=VT_BLOB) for value in ends]
        request.partitions.add(begin=begin, end=end)
    client.send("CreateTable", request.SerializeToString())
    stream = enable(client).stream_id
    for number in (9, 10, 19, 20, 25):
        client.put("t", [("a", number)])
    seen = []
    for shard in range(3):
        reply = call(client, "GetStreamRecord", shard_iterator=iterator(client, stream, shard))
        seen.append([decode_key(record.record) for record in reply.stream_records])
    assert seen == [[9], [10, 19], [20, 25]]
    ids = [shard.shard_id for shard in call(client, "DescribeStream", stream_id=stream).shards]
    part = call(client, "DescribeStream", stream_id=stream, shard_limit=2)
    assert ([shard.shard_id for shard in part.shards], part.next_shard_id) == (ids[:2], ids[2])
    rest = call(client, "DescribeStream", stream_id=stream, inclusive_start_shard_id=ids[2])
    assert ([shard.shard_id for shard in rest.shards], rest.HasField("next_shard_id")) == (ids[2:], False)


def test_records_carry_the_columns_before_the_change(client: Any) -> None:
    """columns_to_get of the stream has their values before the change go with each record."""
    client.make_table("t", ("a", "INTEGER"))
    stream = enable(client, columns_to_get=["x", "y"]).stream_id
    client.put("t", [("a", 1)], [("x", 1), ("z", 1)])
    client.put("t", [("a", 1)], [("x", 2)])
    first, second = call(client, "GetStreamRecord", shard_iterator=iterator(client, stream)).stream_records
    assert not first.HasField("origin_record")
    origin = decode_row(second.origin_record, binary=bytes)
    assert [tuple(cell) for cell in origin.cells] == [("x", 1, NOW, None)]
    assert not second.HasField("latest_columns")


def test_a_reader_chooses_columns_before_and_after_the_change(client: Any) -> None:
    """All, those of the change, or those named; what the reader asks for replaces what the stream has."""
    client.make_table("t", ("a", "INTEGER"))
    every = pb2.StreamColumn(type=pb2.ALL_COLUMNS)
    stream = enable(client, old_columns_to_get=every, new_columns_to_get=every).stream_id
    client.put("t", [("a", 1)], [("c", "before"), ("d", 1)])
    client.update_row("t", Row([("a", 1)], {"PUT": [("c", "after"), ("e", 2)]}), None)

    def columns(**fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        reply = call(client, "GetStreamRecord", shard_iterator=iterator(client, stream), **fields)
        record = reply.stream_records[1]
        rows = [decode_row(data, binary=bytes) for data in (record.origin_record, record.latest_columns)]
        before, after = [{cell.name: cell.value for cell in row.cells} for row in rows]
        return before, after

    assert columns() == ({"c": "before", "d": 1}, {"c": "after", "d": 1, "e": 2})
    changed = pb2.StreamColumn(type=pb2.INPUT_COLUMNS)
    named = pb2.StreamColumn(type=pb2.SPECIFIED_COLUMN, column_name=["d", "e"])
    assert columns(old_columns_to_get=changed, new_columns_to_get=named) == ({"c": "before"}, {"d": 1, "e": 2})


def test_a_stream_ends_when_it_is_disabled_or_its_table_deleted(client: Any, stream: str, refused: Any) -> None:
    """Its iterators, too, are refused then; changing the hours keeps it."""
    place = iterator(client, stream)
    assert enable(client, expiration_time=48).stream_id == stream
    assert call(client, "DescribeStream", stream_id=stream).expiration_time == 48
    assert not enable(client, enable_stream=False).enable_stream
    assert not call(client, "ListStream").streams
    with refused("OTSObjectNotExist", status=404):
        call(client, "GetStreamRecord", shard_iterator=place)
    client.clock.now += 1
    again = enable(client).stream_id
    assert again != stream
    client.delete_table("t")
    with refused("OTSObjectNotExist", status=404):
        call(client, "DescribeStream", stream_id=again)


def test_a_refused_update_leaves_the_stream_as_it_was(client: Any, stream: str, refused: Any) -> None:
    """An UpdateTable that is refused for another part, or for a part of the stream, changes nothing."""
    spec = pb2.StreamSpecification(enable_stream=True, expiration_time=48)
    unit = pb2.ReservedThroughput(capacity_unit=pb2.CapacityUnit(read=-1))
    request = pb2.UpdateTableRequest(table_name="t", stream_spec=spec, reserved_throughput=unit)
    with refused("OTSParameterInvalid"):
        client.send("UpdateTable", request.SerializeToString())
    with refused("OTSParameterInvalid", "Invalid column name: '#x'."):
        enable(client, expiration_time=48, columns_to_get=["#x"])
    assert call(client, "DescribeStream", stream_id=stream).expiration_time == 24


@pytest.mark.parametrize("place", ["", "x", "eA==", "eC95L3o=", "eC95LzE=", "é"])
@pytest.mark.usefixtures("stream")
def test_what_is_no_iterator_is_refused(client: Any, place: str) -> None:
    """Text that the service cannot have made, and the iterator of another table."""
    with pytest.raises(tablestore.OTSServiceError) as caught:
        call(client, "GetStreamRecord", shard_iterator=place)
    assert caught.value.get_error_code() in {"OTSParameterInvalid", "OTSObjectNotExist"}


def test_an_iterator_is_of_its_own_table(client: Any, stream: str, refused: Any) -> None:
    """Another table's name beside it is refused, and so is a limit of nothing."""
    place = iterator(client, stream)
    with refused("OTSParameterInvalid"):
        call(client, "GetStreamRecord", shard_iterator=place, table_name="u")
    with refused("OTSParameterInvalid", "The limit must be greater than 0."):
        call(client, "GetStreamRecord", shard_iterator=place, limit=0)
    with refused("OTSObjectNotExist", status=404):
        call(client, "GetShardIterator", stream_id=stream, shard_id="none")


@pytest.mark.parametrize("hours", [0, -1, 169])
def test_a_stream_keeps_records_for_a_week_at_most(client: Any, refused: Any, hours: int) -> None:
    """Fewer than one hour and more than 168 are refused."""
    client.make_table("t", ("a", "INTEGER"))
    with refused("OTSParameterInvalid"):
        enable(client, expiration_time=hours)
    assert not call(client, "ListStream").streams
    assert enable(client, expiration_time=168).expiration_time == 168


def test_a_record_is_a_row_that_sdks_read(client: Any, stream: str) -> None:
    """Without its extension it is the encoded row, whose checksum does not cover the extension."""
    client.put("t", [("a", 1)], [("x", "v")])
    (record,) = call(client, "GetStreamRecord", shard_iterator=iterator(client, stream)).stream_records
    plain = encode_row([("a", 1)], [("x", "v", NOW, None)], bytes_as=VT_BLOB)
    assert record.record[: -2 - EXTENSION] + record.record[-2:] == plain
