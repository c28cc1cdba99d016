"""Where tables are cut: the partitions they are created with, and splits of about one size."""

from collections.abc import Iterable
from typing import Any

import pytest
from tablestore import CapacityUnit, ReservedThroughput, TableMeta, TableOptions

from ots_config.plainbuffer import VT_BLOB, Marker, decode_row, encode_value
from ots_config.sdk import tablestore

pb2 = tablestore.protobuf.table_store_pb2
NOTHING = ReservedThroughput(CapacityUnit(0, 0))
GAP = "The partitions must follow each other from INF_MIN to INF_MAX without a gap."


def splits(client: Any, **fields: Any) -> list[list[tuple[str, Any]]]:
    """Return the split points of the table ``t``."""
    request = pb2.ComputeSplitPointsBySizeRequest(table_name="t", **fields)
    body = client.send("ComputeSplitPointsBySize", request.SerializeToString())
    reply = pb2.ComputeSplitPointsBySizeResponse.FromString(body)
    assert [location.repeat for location in reply.locations] == [len(reply.split_points) + 1]
    return [list(decode_row(point, binary=bytes).primary_key) for point in reply.split_points]


def test_split_points_cut_a_table_by_size(client: Any, refused: Any) -> None:
    """ComputeSplitPointsBySize answers keys in order, one split more than points, and the schema."""
    client.make_table("t", ("a", "INTEGER"))
    for number in range(30):
        client.put("t", [("a", number)], [("x", "v" * 209_990)])  # 9 bytes of key and 209 991 of column: 210 000 bytes
    request = pb2.ComputeSplitPointsBySizeRequest(table_name="t", split_size=1, split_size_unit_in_byte=2_100_000)
    reply = pb2.ComputeSplitPointsBySizeResponse.FromString(
        client.send("ComputeSplitPointsBySize", request.SerializeToString())
    )
    assert len(reply.split_points) == 2
    assert [location.repeat for location in reply.locations] == [3]
    assert [(column.name, column.type) for column in reply.schema] == [("a", pb2.INTEGER)]
    request = pb2.ComputeSplitPointsBySizeRequest(table_name="t", split_size=1)
    reply = pb2.ComputeSplitPointsBySizeResponse.FromString(
        client.send("ComputeSplitPointsBySize", request.SerializeToString())
    )
    assert not reply.split_points
    with refused("OTSParameterInvalid"):
        client.send(
            "ComputeSplitPointsBySize",
            pb2.ComputeSplitPointsBySizeRequest(table_name="t", split_size=0).SerializeToString(),
        )


@pytest.mark.parametrize(
    ("kind", "points"), [("INTEGER", [-5, 100]), ("STRING", ["b", "公司"]), ("BINARY", [b"\x10", b"\xff"])]
)
def test_a_table_is_created_with_partitions(client: Any, kind: str, points: list[Any]) -> None:
    """The official client's pre-splitting is taken, and splits begin where partitions do, whatever is stored."""
    meta = TableMeta("t", [("a", kind), ("b", "INTEGER")])
    client._create_table_ex(meta, TableOptions(), NOTHING, split_points=points)
    boundaries = [[("a", point)] for point in points]
    assert splits(client, split_size=1) == boundaries
    stored = bytearray(points[0]) if kind == "BINARY" else points[0]
    for number in range(3):
        client.put("t", [("a", stored), ("b", number)], [("x", "v" * 1_048_576)])
    first = [("a", points[0])]
    assert splits(client, split_size=1) == boundaries
    assert splits(client, split_size=1, split_size_unit_in_byte=1_048_576) == [
        boundaries[0],
        [*first, ("b", 1)],
        [*first, ("b", 2)],
        boundaries[1],
    ]


def create(client: Any, ranges: Iterable[tuple[Any, Any]]) -> None:
    """Create the table ``t`` with ranges as its partitions."""
    request = client.protocol.encoder.encode_request(
        "CreateTable", TableMeta("t", [("a", "INTEGER")]), TableOptions(), NOTHING, None, []
    )
    for begin, end in ranges:
        request.partitions.add(begin=encode_value(begin, bytes_as=VT_BLOB), end=encode_value(end, bytes_as=VT_BLOB))
    client.send("CreateTable", request.SerializeToString())


LOW, HIGH = Marker.INF_MIN, Marker.INF_MAX


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ([(1, HIGH)], GAP),
        ([(LOW, 1)], GAP),
        ([(LOW, 1), (2, HIGH)], GAP),
        ([(LOW, 1), (True, HIGH)], GAP),
        ([(LOW, HIGH), (HIGH, HIGH)], GAP),
        ([(LOW, "x"), ("x", HIGH)], "VT_STRING is an invalid type for the primary key."),
        ([(LOW, LOW), (LOW, HIGH)], "VT_INF_MIN is an invalid type for the primary key."),
        ([(LOW, 2), (2, 1), (1, HIGH)], "The boundaries of the partitions must increase."),
        ([(LOW, 2), (2, 2), (2, HIGH)], "The boundaries of the partitions must increase."),
    ],
)
def test_partitions_that_do_not_fit_are_refused(client: Any, refused: Any, ranges: Any, words: str) -> None:
    """Partitions cover every key once, in order, and no table is made of others."""
    with refused("OTSParameterInvalid", words):
        create(client, ranges)
    assert client.list_table() == ()
    create(client, [(LOW, HIGH)])
    assert splits(client, split_size=1) == []


def test_a_boundary_that_is_no_value_is_refused(client: Any, refused: Any) -> None:
    """The bytes of a boundary are a value of PlainBuffer and nothing more."""
    request = client.protocol.encoder.encode_request(
        "CreateTable", TableMeta("t", [("a", "INTEGER")]), TableOptions(), NOTHING, None, []
    )
    request.partitions.add(begin=b"", end=b"\x00\x01")
    with refused("OTSParameterInvalid", "data format is invalid."):
        client.send("CreateTable", request.SerializeToString())
