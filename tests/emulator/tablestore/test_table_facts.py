"""What recordings and other SDKs' suites show of the service, one test for each fact of tables and indexes."""

from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from tablestore import (
    Row,
    SecondaryIndexMeta,
    TableOptions,
)

from ots_config.emulator.tablestore.protocol import pb2
from ots_config.plainbuffer import VT_BLOB, Marker, decode_row, decode_rows, encode_row, encode_value
from ots_config.sdk import tablestore

DEFINED = [(f"d{number}", "STRING") for number in range(32)]


def create_request(name: str = "t", *, partitions: int = 1, **fields: Any) -> Any:
    """Return a CreateTable of a table with an INTEGER key."""
    request = pb2.CreateTableRequest(
        table_meta=pb2.TableMeta(table_name=name),
        reserved_throughput=pb2.ReservedThroughput(capacity_unit=pb2.CapacityUnit(read=0, write=0)),
        table_options=pb2.TableOptions(time_to_live=-1, max_versions=1),
        **fields,
    )
    request.table_meta.primary_key.add(name="a", type=pb2.INTEGER)
    ends = [Marker.INF_MIN, *range(1, partitions), Marker.INF_MAX]
    if partitions > 1:
        for begin, end in pairwise(ends):
            request.partitions.add(begin=encode_value(begin, bytes_as=VT_BLOB), end=encode_value(end, bytes_as=VT_BLOB))
    return request


def describe(client: Any, name: str = "t") -> Any:
    """Return the description of a table with all its fields."""
    body = client.send("DescribeTable", pb2.DescribeTableRequest(table_name=name).SerializeToString())
    return pb2.DescribeTableResponse.FromString(body)


def update(client: Any, **fields: Any) -> Any:
    """Send an UpdateTable of the table ``t``."""
    request = pb2.UpdateTableRequest(table_name="t", **fields)
    return pb2.UpdateTableResponse.FromString(client.send("UpdateTable", request.SerializeToString()))


# --- what is accepted and refused -------------------------------------------------------------------------


def test_time_series_tables_are_listed_as_none(client: Any, refused: Any) -> None:
    """ListTimeseriesTable responds with an empty list, which clean-up code asks for first."""
    assert client.send("ListTimeseriesTable", b"") == b""
    with refused("OTSParameterInvalid", "Failed to parse the ProtoBuf message."):
        client.send("ListTimeseriesTable", b"\xff")


def test_a_table_has_at_most_five_indexes(client: Any, refused: Any) -> None:
    """The sixth index is refused, with its table and later; a dropped one makes room."""
    message = "Number of index per table exceeds the quota:5."
    six = [SecondaryIndexMeta(f"i{number}", [f"d{number}"], []) for number in range(6)]
    with refused("OTSParameterInvalid", message):
        client.make_table("t", ("a", "INTEGER"), defined=DEFINED, indexes=six)
    client.make_table("t", ("a", "INTEGER"), defined=DEFINED, indexes=six[:5])
    with refused("OTSParameterInvalid", message):
        client.create_secondary_index("t", six[5], include_base_data=False)
    client.delete_secondary_index("t", "i0")
    client.create_secondary_index("t", six[5], include_base_data=False)
    assert client.list_table() == ("t",)


def test_full_row_updates_are_kept_and_cannot_change(client: Any) -> None:
    """CreateTable keeps update_full_row; UpdateTable with it is refused and changes nothing."""
    request = create_request()
    request.table_options.update_full_row = True
    client.send("CreateTable", request.SerializeToString())
    assert describe(client).table_options.update_full_row
    for wanted in (True, False):
        with pytest.raises(tablestore.OTSServiceError, match="contain updateFullRow"):
            update(client, table_options=pb2.TableOptions(update_full_row=wanted, time_to_live=86_400))
    assert describe(client).table_options.time_to_live == -1
    reply = update(client, table_options=pb2.TableOptions(time_to_live=86_400))
    assert (reply.table_options.update_full_row, reply.table_options.time_to_live) == (True, 86_400)


def test_a_table_has_at_most_ten_partitions(client: Any, refused: Any) -> None:
    """The eleventh partition is refused."""
    with refused("OTSParameterInvalid", "The count of partitions cannot be greater than 10"):
        client.send("CreateTable", create_request(partitions=11).SerializeToString())
    client.send("CreateTable", create_request(partitions=10).SerializeToString())
    assert len(describe(client).shard_splits) == 9


def split(client: Any, **fields: Any) -> Any:
    """Return the response of a ComputeSplitPointsBySize of the table ``t``."""
    fields = {"split_size": 1, "split_size_unit_in_byte": 1 << 20, **fields}
    request = pb2.ComputeSplitPointsBySizeRequest(table_name="t", **fields)
    body = client.send("ComputeSplitPointsBySize", request.SerializeToString())
    return pb2.ComputeSplitPointsBySizeResponse.FromString(body)


def test_the_limit_of_split_points_holds(client: Any, refused: Any) -> None:
    """At most split_point_limit points come back, and the splits cover the table all the same; 0 is refused."""
    client.make_table("t", ("a", "INTEGER"))
    for number in range(4):
        row = encode_row([("a", number)], [("x", "v" * (1 << 20), None, None)], bytes_as=VT_BLOB)
        request = pb2.PutRowRequest(table_name="t", row=row, condition=pb2.Condition(row_existence=pb2.IGNORE))
        client.send("PutRow", request.SerializeToString())
    assert len(split(client).split_points) == 3
    reply = split(client, split_point_limit=2)
    assert [decode_row(point, binary=bytes).primary_key for point in reply.split_points] == [[("a", 1)], [("a", 2)]]
    assert [location.repeat for location in reply.locations] == [3]
    assert len(split(client, split_point_limit=9).split_points) == 3
    for limit in (0, -1):
        with refused("OTSParameterInvalid", "The value of SplitPointLimit must be greater than 0."):
            split(client, split_point_limit=limit)


def test_sizes_of_splits_are_refused_in_the_words_of_the_service(client: Any, refused: Any) -> None:
    """A split of nothing, and one in units below 1 MB, are refused."""
    client.make_table("t", ("a", "INTEGER"))
    for size in (0, -1):
        with refused("OTSParameterInvalid", "The split_size should be greater than 0."):
            split(client, split_size=size)
    for unit in (0, (1 << 20) - 1):
        with refused("OTSParameterInvalid", "The split_size_unit_in_byte should be greater equal than: 1048576"):
            split(client, split_size_unit_in_byte=unit)


def test_the_location_of_a_split_has_32_characters(client: Any) -> None:
    """A split of an empty table, too, is at some place."""
    client.make_table("t", ("a", "INTEGER"))
    (location,) = split(client).locations
    assert (len(location.location), location.repeat) == (32, 1)


def test_indexes_have_messages_of_their_own(client: Any, refused: Any) -> None:
    """The numbers of an index's columns are checked before the columns themselves, and before the table."""
    many = [f"none{number}" for number in range(33)]
    client.make_table("t", ("a", "INTEGER"), defined=DEFINED)
    for name in ("t", "none"):
        for keys in ([], [f"d{number}" for number in range(5)]):
            with refused("OTSParameterInvalid", "The number of primary key columns must be in range: [1, 4] in index."):
                client.create_secondary_index(name, SecondaryIndexMeta("i", keys, many), include_base_data=False)
        with refused("OTSParameterInvalid", "The number of attribute columns must be in range: [0, 32] in index."):
            client.create_secondary_index(name, SecondaryIndexMeta("i", ["d0"], many), include_base_data=False)
    every = SecondaryIndexMeta("i", ["a"], [name for name, _ in DEFINED])
    client.create_secondary_index("t", every, include_base_data=False)


def test_a_write_to_an_index_is_refused_in_the_words_of_the_service(client: Any, refused: Any) -> None:
    """Rows of an index come from its table only."""
    client.make_table("t", ("a", "INTEGER"), defined=DEFINED, indexes=[SecondaryIndexMeta("i", ["d0"], [])])
    with refused("OTSParameterInvalid", "Can't write index table directly."):
        client.put("i", [("d0", "x"), ("a", 1)])


# --- operations for set-up and clean-up -------------------------------------------------------------------


def columns_request(kind: str, *columns: Any, table: str = "t") -> bytes:
    """Return an AddDefinedColumn or DeleteDefinedColumn."""
    request = getattr(pb2, f"{kind}DefinedColumnRequest")(table_name=table)
    for column in columns:
        if kind == "Add":
            request.columns.add(name=column[0], type=column[1])
        else:
            request.columns.append(column)
    encoded: bytes = request.SerializeToString()
    return encoded


def test_defined_columns_are_added_and_deleted(client: Any, refused: Any) -> None:
    """Both change what DescribeTable shows and what an index can use; rows keep their values."""
    client.make_table("t", ("a", "INTEGER"), defined=[("x", "STRING")])
    client.put("t", [("a", 1)], [("n", 5)])
    client.send("AddDefinedColumn", columns_request("Add", ("n", pb2.DCT_INTEGER), ("d", pb2.DCT_DOUBLE)))
    assert client.describe_table("t").table_meta.defined_columns == [("x", "STRING"), ("n", "INTEGER"), ("d", "DOUBLE")]
    client.create_secondary_index("t", SecondaryIndexMeta("i", ["n"], ["d"]), include_base_data=True)
    assert client.columns("i", [("n", 5), ("a", 1)]) == {}
    for column in ("n", "d"):
        with refused("OTSParameterInvalid"):
            client.send("DeleteDefinedColumn", columns_request("Delete", column))
    client.send("DeleteDefinedColumn", columns_request("Delete", "x"))
    assert client.describe_table("t").table_meta.defined_columns == [("n", "INTEGER"), ("d", "DOUBLE")]
    assert client.columns("t", [("a", 1)]) == {"n": 5}


def test_defined_columns_that_cannot_be_are_refused(client: Any, refused: Any) -> None:
    """A column that is there already, too many of them, an unknown one, an unknown table, an index."""
    indexes = [SecondaryIndexMeta("i", ["d0"], [])]
    client.make_table("t", ("a", "INTEGER"), defined=DEFINED[:31], indexes=indexes)
    for name in ("a", "d0"):
        with refused("OTSParameterInvalid", f"Duplicated column name: '{name}'."):
            client.send("AddDefinedColumn", columns_request("Add", ("new", pb2.DCT_STRING), (name, pb2.DCT_STRING)))
    with refused("OTSParameterInvalid", "The number of defined columns must be in range: [0, 32]."):
        client.send("AddDefinedColumn", columns_request("Add", ("y", pb2.DCT_STRING), ("z", pb2.DCT_STRING)))
    with refused("OTSParameterInvalid", "Column does not exist: 'none'."):
        client.send("DeleteDefinedColumn", columns_request("Delete", "d1", "none"))
    assert len(describe(client).table_meta.defined_column) == 31
    for kind, column in (("Add", ("y", pb2.DCT_STRING)), ("Delete", "d1")):
        with refused("OTSObjectNotExist", status=404):
            client.send(f"{kind}DefinedColumn", columns_request(kind, column, table="none"))
        with refused("OTSParameterInvalid"):
            client.send(f"{kind}DefinedColumn", columns_request(kind, column, table="i"))


def test_update_table_takes_each_part_alone(client: Any, refused: Any) -> None:
    """Options, reserved capacity (either) and the stream change alone, and the rest stays."""
    client.make_table("t", ("a", "INTEGER"), options=TableOptions(86_400, 2, 1000))
    reply = update(client, table_options=pb2.TableOptions(max_versions=3))
    assert (reply.table_options.time_to_live, reply.table_options.max_versions) == (86_400, 3)
    for field, unit in (("read", {"read": 1}), ("write", {"write": 2})):
        reply = update(client, reserved_throughput=pb2.ReservedThroughput(capacity_unit=pb2.CapacityUnit(**unit)))
        assert getattr(reply.reserved_throughput_details.capacity_unit, field) == unit[field]
    assert reply.reserved_throughput_details.capacity_unit.read == 1
    reply = update(client, stream_spec=pb2.StreamSpecification(enable_stream=True, expiration_time=24))
    assert reply.stream_details.enable_stream
    reply = update(client, table_options=pb2.TableOptions(allow_update=False))
    assert (reply.table_options.max_versions, reply.stream_details.enable_stream) == (3, True)
    with refused("OTSParameterInvalid", "No parameter is specified in table options."):
        update(client, table_options=pb2.TableOptions())


# --- boolean keys -----------------------------------------------------------------------------------------


def test_a_boolean_may_be_a_key_column_but_not_the_first(client: Any, refused: Any) -> None:
    """False sorts before true, and a boolean is not an integer."""
    request = create_request()
    request.table_meta.primary_key.add(name="b", type=5)
    client.send("CreateTable", request.SerializeToString())

    def key(values: tuple[Any, ...]) -> bytes:
        return encode_row(list(zip("ab", values, strict=True)), bytes_as=VT_BLOB)

    def put(*values: tuple[Any, ...]) -> None:
        for one in values:
            written = pb2.PutRowRequest(table_name="t", row=key(one), condition=pb2.Condition(row_existence=pb2.IGNORE))
            client.send("PutRow", written.SerializeToString())

    def found(first: tuple[Any, ...]) -> list[Any]:
        scan = pb2.GetRangeRequest(table_name="t", direction=pb2.FORWARD, max_versions=1)
        scan.inclusive_start_primary_key, scan.exclusive_end_primary_key = key(first), key((2, False))
        reply = pb2.GetRangeResponse.FromString(client.send("GetRange", scan.SerializeToString()))
        rows = decode_rows(reply.rows, binary=bytes)
        return [tuple(value for _, value in row.primary_key) for row in rows]

    put((1, True), (1, False))
    assert describe(client).table_meta.primary_key[1].type == 5
    assert found((1, False)) == [(1, False), (1, True)]
    assert found((1, True)) == [(1, True)]
    with refused("OTSInvalidPK", "Validate PK type fail. Input: VT_INTEGER, Meta: VT_BOOLEAN."):
        put((1, 1))
    request = create_request("u")
    request.table_meta.primary_key[0].type = 5
    with refused("OTSParameterInvalid"):
        client.send("CreateTable", request.SerializeToString())


# --- the shape of DescribeTable ---------------------------------------------------------------------------


def test_a_table_is_described_with_its_creation_time_and_id(client: Any) -> None:
    """Field 9 has microseconds, the table's field 5 a UUID of its own."""
    client.make_table("t", ("a", "INTEGER"))
    client.make_table("u", ("a", "INTEGER"))
    described = describe(client)
    assert described.creation_time == 1_790_000_000_000_000
    assert str(UUID(described.table_meta.table_id)) == described.table_meta.table_id
    assert describe(client, "u").table_meta.table_id != described.table_meta.table_id
    assert described.table_status == pb2.ACTIVE


def test_a_table_is_described_with_the_fields_that_have_no_name(client: Any) -> None:
    """Field 12 is 08 00, field 13 is 0."""
    client.make_table("t", ("a", "INTEGER"))
    body = client.send("DescribeTable", pb2.DescribeTableRequest(table_name="t").SerializeToString())
    assert body.endswith(b"\x62\x02\x08\x00\x68\x00")


def test_indexes_are_described_as_in_step(client: Any) -> None:
    """Each index has the phase 2, incremental."""
    client.make_table("t", ("a", "INTEGER"), defined=DEFINED, indexes=[SecondaryIndexMeta("i", ["d0"], [])])
    assert [meta.index_sync_phase for meta in describe(client).index_metas] == [2]


def test_a_stream_that_is_off_has_no_expiration_time(client: Any) -> None:
    """Its last_enable_time is 0; UpdateTable responds the same."""
    client.make_table("t", ("a", "INTEGER"))
    reply = update(client, table_options=pb2.TableOptions(allow_update=True))
    for details in (describe(client).stream_details, reply.stream_details):
        assert (details.enable_stream, details.last_enable_time) == (False, 0)
        assert details.HasField("last_enable_time")
        assert not details.HasField("expiration_time")
        assert not details.HasField("stream_id")


def test_a_stream_that_is_on_is_described_with_its_columns(client: Any) -> None:
    """Field 5 of the stream's details has the columns asked for."""
    spec = pb2.StreamSpecification(enable_stream=True, expiration_time=24, columns_to_get=["x", "y"])
    client.send("CreateTable", create_request(stream_spec=spec).SerializeToString())
    details = describe(client).stream_details
    assert (details.enable_stream, details.expiration_time, list(details.column_to_get)) == (True, 24, ["x", "y"])
    assert details.last_enable_time == 1_790_000_000_000_000


def test_a_table_that_was_split_is_described_with_its_splits(client: Any) -> None:
    """Each boundary is a key of its first column; a table that was not split has none."""
    request = create_request(partitions=3)
    request.table_meta.primary_key.add(name="b", type=pb2.STRING)
    client.send("CreateTable", request.SerializeToString())
    assert list(describe(client).shard_splits) == [encode_row([("a", value)], bytes_as=VT_BLOB) for value in (1, 2)]
    client.make_table("u", ("a", "INTEGER"))
    assert not describe(client, "u").shard_splits


def test_quota_of_tables_has_the_words_of_its_set(make_client: Any, refused: Any) -> None:
    """The documents and the recordings of 2026 have a message each."""
    for messages, words in (
        ("docs", "Number of tables exceeded the quota."),
        ("2026", "Number of tables exceeds the quota:64."),
    ):
        client = make_client(messages=messages)
        for number in range(64):
            client.make_table(f"t{number}", ("a", "INTEGER"))
        with refused("OTSQuotaExhausted", words, 403):
            client.make_table("more", ("a", "INTEGER"))


def test_a_local_transaction_consumes_a_write_unit(client: Any) -> None:
    """Starting, committing and aborting one each say so in a field of the response."""
    client.make_table("t", ("a", "INTEGER"))
    start = pb2.StartLocalTransactionRequest(table_name="t", key=encode_row([("a", 1)], bytes_as=VT_BLOB))
    for ending in ("CommitTransaction", "AbortTransaction"):
        body = client.send("StartLocalTransaction", start.SerializeToString())
        started = pb2.StartLocalTransactionResponse.FromString(body)
        end = getattr(pb2, f"{ending}Request")(transaction_id=started.transaction_id)
        ended = getattr(pb2, f"{ending}Response").FromString(client.send(ending, end.SerializeToString()))
        for reply in (started, ended):
            assert (reply.consumed.capacity_unit.read, reply.consumed.capacity_unit.write) == (0, 1)
    client.put_row("t", Row([("a", 1)], [("x", 1)]))


@pytest.mark.parametrize("deviation", [0, ((1 << 63) - 1) // 1_000_000])
def test_the_deviation_of_versions_has_wide_limits(client: Any, deviation: int) -> None:
    """0 and INT64_MAX/1000000 seconds are accepted."""
    client.make_table("t", ("a", "INTEGER"), options=TableOptions(-1, 1, deviation))
    client.put("t", [("a", 1)], [("x", 1)])
    assert client.columns("t", [("a", 1)]) == {"x": 1}
