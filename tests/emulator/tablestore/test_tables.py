"""Operations on tables, as the official client sees them."""

from typing import Any

import pytest
from tablestore import (
    CapacityUnit,
    ReservedThroughput,
    SecondaryIndexMeta,
    SSEKeyType,
    SSESpecification,
    TableMeta,
    TableOptions,
)

from ots_config.sdk import tablestore

pb2 = tablestore.protobuf.table_store_pb2
NOTHING = ReservedThroughput(CapacityUnit(0, 0))
KEY = ("a", "INTEGER")


def create(client: Any, name: str = "t", key: Any = (KEY,), options: Any = None, **more: Any) -> None:
    """Create a table by the client's own method."""
    meta = TableMeta(name, list(key), list(more.pop("defined", ())))
    client.create_table(meta, options or TableOptions(), more.pop("throughput", NOTHING), **more)


def test_a_table_is_described_as_it_was_created(client: Any) -> None:
    """DescribeTable answers key, defined columns, options, capacity and creation time."""
    create(
        client,
        key=[("s", "STRING"), ("i", "INTEGER", tablestore.PK_AUTO_INCR), ("b", "BINARY")],
        options=TableOptions(86_400 * 2, 3, 3600),
        defined=[("x", "INTEGER"), ("y", "STRING"), ("z", "BINARY"), ("d", "DOUBLE"), ("t", "BOOLEAN")],
        throughput=ReservedThroughput(CapacityUnit(5, 7)),
    )
    described = client.describe_table("t")
    assert described.table_meta.table_name == "t"
    assert described.table_meta.schema_of_primary_key == [
        ("s", "STRING"),
        ("i", "INTEGER", tablestore.PK_AUTO_INCR),
        ("b", "BINARY"),
    ]
    assert described.table_meta.defined_columns == [
        ("x", "INTEGER"),
        ("y", "STRING"),
        ("z", "BINARY"),
        ("d", "DOUBLE"),
        ("t", "BOOLEAN"),
    ]
    options = described.table_options
    assert (options.time_to_live, options.max_version, options.max_time_deviation, options.allow_update) == (
        172_800,
        3,
        3600,
        True,
    )
    details = described.reserved_throughput_details
    assert (details.capacity_unit.read, details.capacity_unit.write) == (5, 7)
    assert (details.last_increase_time, details.last_decrease_time) == (1_790_000_000, None)
    assert described.sse_details.enable is False


def test_every_field_that_other_sdks_need_is_answered(client: Any) -> None:
    """The status, the stream, the encryption and update_full_row are there, which Node and Java demand."""
    create(client)
    body = client.send("DescribeTable", pb2.DescribeTableRequest(table_name="t").SerializeToString())
    assert b"\x20\x01" in body
    reply = pb2.DescribeTableResponse.FromString(body)
    assert reply.stream_details.HasField("enable_stream")
    assert not reply.stream_details.enable_stream
    assert reply.sse_details.HasField("enable")
    assert reply.table_options.allow_update
    assert b"\x38\x00" in reply.table_options.SerializeToString()


def test_encryption_and_stream_are_remembered(client: Any) -> None:
    """What was asked for a table's encryption and its stream is described."""
    create(client, sse_spec=SSESpecification(enable=True, key_type=SSEKeyType.SSE_KMS_SERVICE))
    details = client.describe_table("t").sse_details
    assert (details.enable, details.key_type, details.key_id) == (True, SSEKeyType.SSE_KMS_SERVICE, None)
    asked = pb2.UpdateTableRequest(table_name="t")
    asked.stream_spec.enable_stream = True
    asked.stream_spec.expiration_time = 24
    updated = pb2.UpdateTableResponse.FromString(client.send("UpdateTable", asked.SerializeToString()))
    assert updated.stream_details.enable_stream
    assert updated.stream_details.expiration_time == 24
    assert updated.stream_details.stream_id


def test_tables_are_listed_without_their_indexes(client: Any) -> None:
    """ListTable names the tables in order, and no index."""
    create(
        client,
        "b",
        indexes := [KEY],
        defined=[("x", "INTEGER")],
        secondary_indexes=[SecondaryIndexMeta("ix", ["x"], [])],
    )
    create(client, "a", indexes)
    assert client.list_table() == ("a", "b")


def test_a_deleted_table_is_gone_with_its_rows_and_indexes(client: Any, refused: Any) -> None:
    """DeleteTable frees the names of the table and of its indexes."""
    create(client, defined=[("x", "INTEGER")], secondary_indexes=[SecondaryIndexMeta("ix", ["x"], [])])
    client.put("t", [("a", 1)], [("x", 1)])
    with refused("OTSParameterInvalid"):
        client.delete_table("ix")
    client.delete_table("t")
    assert client.list_table() == ()
    for call in (
        lambda: client.describe_table("t"),
        lambda: client.describe_table("ix"),
        lambda: client.delete_table("t"),
        lambda: client.put("t", [("a", 1)]),
        lambda: client.get_row("t", [("a", 1)]),
        lambda: client.update_table("t", TableOptions()),
    ):
        with refused("OTSObjectNotExist", "Requested table does not exist.", 404):
            call()
    create(client)
    assert client.columns("t", [("a", 1)]) is None


def test_a_name_is_taken_once(client: Any, refused: Any) -> None:
    """A second table, or an index, of the same name is refused; the first one stays as it was."""
    create(client)
    client.put("t", [("a", 1)], [("x", 1)])
    with refused("OTSObjectAlreadyExist", "Requested table already exists.", 409):
        create(client)
    with refused("OTSObjectAlreadyExist", status=409):
        create(client, "u", defined=[("x", "INTEGER")], secondary_indexes=[SecondaryIndexMeta("t", ["x"], [])])
    assert client.list_table() == ("t",)
    assert client.columns("t", [("a", 1)]) == {"x": 1}


@pytest.mark.parametrize(
    ("messages", "text"),
    [("docs", "Number of tables exceeded the quota."), ("2026", "Number of tables exceeds the quota:64.")],
)
def test_an_instance_has_64_tables(make_client: Any, refused: Any, messages: str, text: str) -> None:
    """The 65th table is refused, and a deleted one makes room."""
    client = make_client(messages=messages)
    for number in range(64):
        create(client, f"t{number}")
    with refused("OTSQuotaExhausted", text, 403):
        create(client, "one_more")
    client.delete_table("t0")
    create(client, "one_more")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ([], "The number of primary key columns must be in range: [1, 4]."),
        ([(f"PK{n}", "STRING") for n in range(5)], "The number of primary key columns must be in range: [1, 4]."),
        ([("PK0", "STRING"), ("PK0", "STRING")], "Duplicated primary key name: 'PK0'."),
        ([KEY, ("s", "STRING", tablestore.PK_AUTO_INCR)], "AUTO_INCREMENT primary key must be integer."),
        ([("a", "INTEGER", tablestore.PK_AUTO_INCR)], None),
        ([KEY, *[(name, "INTEGER", tablestore.PK_AUTO_INCR) for name in "bc"]], None),
        ([("a", "BOOLEAN")], None),
        ([("#a", "STRING")], "Invalid column name: '#a'."),
        ([("", "STRING")], "Invalid column name: ''."),
    ],
)
def test_keys_that_no_table_can_have(client: Any, refused: Any, key: Any, text: str | None) -> None:
    """The number, names, types and options of key columns are checked."""
    with refused("OTSParameterInvalid", text):
        create(client, key=key)
    assert client.list_table() == ()


@pytest.mark.parametrize("name", ["0", "#", "中文", "T#", "T中文", "3t", "-", "", "a" * 256])
def test_names_that_no_table_can_have(client: Any, refused: Any, name: str) -> None:
    """A name has letters, digits and underscores, no digit first, and at most 255 of them."""
    with refused("OTSParameterInvalid", f"Invalid table name: '{name}'."):
        create(client, name)
    with refused("OTSParameterInvalid", f"Invalid table name: '{name}'."):
        client.get_row(name, [("a", 1)])


@pytest.mark.parametrize("name", ["_0", "_", "T", "A0", "a" * 255])
def test_names_that_a_table_can_have(client: Any, name: str) -> None:
    """The shortest and the longest names are good."""
    create(client, name)
    assert client.list_table() == (name,)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (TableOptions(time_to_live=0), "TimeToLive cannot be 0 or less than -1."),
        (TableOptions(time_to_live=-2), "TimeToLive cannot be 0 or less than -1."),
        (TableOptions(time_to_live=86_399), None),
        (TableOptions(time_to_live=None), "Time-to-live is missing while creating table."),
        (TableOptions(max_version=0), "The maximum versions cannot be less than or equal to 0."),
        (TableOptions(max_time_deviation=-1), "The maximum deviation must be in range [0, INT64_MAX/1000000]."),
    ],
)
def test_options_that_no_table_can_have(client: Any, refused: Any, options: Any, text: str | None) -> None:
    """Life time, versions and deviation have limits, on creation and, but for a missing one, on update."""
    with refused("OTSParameterInvalid", text):
        create(client, options=options)
    create(client)
    if options.time_to_live is not None:
        with refused("OTSParameterInvalid", text):
            client.update_table("t", options)


def test_defined_columns_are_at_most_32(client: Any, refused: Any) -> None:
    """32 defined columns are good, 33 are not, nor one that is named twice."""
    create(client, "good", defined=[(f"c{n}", "STRING") for n in range(32)])
    with refused("OTSParameterInvalid", "The number of defined columns must be in range: [0, 32]."):
        create(client, defined=[(f"c{n}", "STRING") for n in range(33)])
    with refused("OTSParameterInvalid"):
        create(client, defined=[("c", "STRING"), ("c", "STRING")])


@pytest.mark.parametrize("unit", [CapacityUnit(-1, 0), CapacityUnit(0, 100_001)])
def test_reserved_capacity_has_limits(client: Any, refused: Any, unit: Any) -> None:
    """Reserved capacity is 0 to 100000, on creation and on update."""
    with refused("OTSParameterInvalid"):
        create(client, throughput=ReservedThroughput(unit))
    create(client)
    with refused("OTSParameterInvalid"):
        client.update_table("t", reserved_throughput=ReservedThroughput(unit))


def test_creation_needs_both_capacities(client: Any, refused: Any) -> None:
    """A CreateTable that names only one capacity is refused."""
    request = pb2.CreateTableRequest(
        table_meta=pb2.TableMeta(table_name="t"),
        reserved_throughput=pb2.ReservedThroughput(capacity_unit=pb2.CapacityUnit(read=1)),
        table_options=pb2.TableOptions(time_to_live=-1, max_versions=1),
    )
    request.table_meta.primary_key.add(name="a", type=pb2.INTEGER)
    with refused("OTSParameterInvalid", "Both read and write capacity unit are required to create table."):
        client.send("CreateTable", request.SerializeToString())


def test_an_update_changes_what_it_names(client: Any, refused: Any) -> None:
    """UpdateTable leaves what it does not name, and answers the state afterwards."""
    create(client, options=TableOptions(-1, 5, 1000), throughput=ReservedThroughput(CapacityUnit(5, 5)))
    client.clock.now += 10
    updated = client.update_table("t", reserved_throughput=ReservedThroughput(CapacityUnit(6, None)))
    details = updated.reserved_throughput_details
    assert (details.capacity_unit.read, details.capacity_unit.write) == (6, 5)
    assert (details.last_increase_time, details.last_decrease_time) == (1_790_000_010, None)
    assert (updated.table_options.max_version, updated.table_options.max_time_deviation) == (5, 1000)
    client.clock.now += 10
    updated = client.update_table(
        "t",
        TableOptions(86_400, None, None, allow_update=False),
        ReservedThroughput(CapacityUnit(None, 4)),
    )
    details = updated.reserved_throughput_details
    assert (details.last_increase_time, details.last_decrease_time) == (1_790_000_010, 1_790_000_020)
    options = client.describe_table("t").table_options
    assert (options.time_to_live, options.max_version, options.max_time_deviation, options.allow_update) == (
        86_400,
        5,
        1000,
        False,
    )
    with refused("OTSParameterInvalid"):
        client.update_row("t", tablestore.Row([("a", 1)], {"PUT": [("x", 1)]}), None)
    with refused("OTSParameterInvalid"):
        client.update_table("t")
    with refused("OTSParameterInvalid", "Neither read nor write capacity unit is set."):
        request = pb2.UpdateTableRequest(table_name="t")
        request.reserved_throughput.capacity_unit.SetInParent()
        client.send("UpdateTable", request.SerializeToString())


def test_an_update_reaches_the_indexes(client: Any, refused: Any) -> None:
    """An index has the options and the capacity of its table, also after an update, and none of its own."""
    create(client, defined=[("x", "INTEGER")], secondary_indexes=[SecondaryIndexMeta("ix", ["x"], [])])
    client.update_table("t", TableOptions(86_400), ReservedThroughput(CapacityUnit(3, 4)))
    described = client.describe_table("ix")
    assert described.table_options.time_to_live == 86_400
    assert described.reserved_throughput_details.capacity_unit.read == 3
    with refused("OTSParameterInvalid"):
        client.update_table("ix", TableOptions())


def test_capacity_changes_are_limited_if_asked_for(make_client: Any, refused: Any) -> None:
    """With the limit on, a second change within two minutes is refused; one that changes nothing is none."""
    client = make_client(limit_throughput_changes=True)
    create(client)
    with refused("OTSTooFrequentReservedThroughputAdjustment", "Capacity unit adjustment is too frequent.", 403):
        client.update_table("t", reserved_throughput=ReservedThroughput(CapacityUnit(1, 1)))
    client.update_table("t", reserved_throughput=NOTHING)
    client.clock.now += 120
    client.update_table("t", reserved_throughput=ReservedThroughput(CapacityUnit(1, 1)))
    with refused("OTSTooFrequentReservedThroughputAdjustment", status=403):
        client.update_table("t", reserved_throughput=NOTHING)


def test_there_are_no_search_indexes(client: Any) -> None:
    """ListSearchIndex answers an empty list, with and without a table."""
    create(client)
    assert client.list_search_index("t") == []
    assert client.list_search_index() == []
