"""Secondary indexes, as the official client sees them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tablestore import (
    INF_MAX,
    INF_MIN,
    BatchGetRowRequest,
    Row,
    SecondaryIndexMeta,
    SecondaryIndexType,
    TableInBatchGetRowItem,
    TableOptions,
)

DEFINED = [("x", "INTEGER"), ("y", "STRING"), ("z", "BINARY"), ("d", "DOUBLE")]
BY_X = SecondaryIndexMeta("by_x", ["x"], ["y", "d"])
BY_Y_A = SecondaryIndexMeta("by_y_a", ["y", "a"], [])
LOCAL = SecondaryIndexMeta("local", ["a", "z"], ["x"], SecondaryIndexType.LOCAL_INDEX)


def everything(client: Any, index: str, *columns: str) -> list[tuple[Any, ...]]:
    """Return an index's entries as (key..., {column: value})."""
    ends = [[(name, infinity) for name in columns] for infinity in (INF_MIN, INF_MAX)]
    rows = client.get_range(index, "FORWARD", *ends)[2]
    return [
        (*(value for _, value in row.primary_key), {name: value for name, value, _ in row.attribute_columns})
        for row in rows
    ]


@pytest.fixture
def indexed(client: Any) -> str:
    """Return a table with two global indexes and a local one."""
    client.make_table("t", ("a", "INTEGER"), ("b", "STRING"), defined=DEFINED, indexes=[BY_X, BY_Y_A, LOCAL])
    return "t"


def test_indexes_are_described_with_their_table(client: Any, indexed: str) -> None:
    """DescribeTable names each index with its columns and its kind, and describes an index as a table."""
    found = client.describe_table(indexed).secondary_indexes
    assert [
        (index.index_name, index.primary_key_names, index.defined_column_names, index.index_type) for index in found
    ] == [
        ("by_x", ["x"], ["y", "d"], SecondaryIndexType.GLOBAL_INDEX),
        ("by_y_a", ["y", "a"], [], SecondaryIndexType.GLOBAL_INDEX),
        ("local", ["a", "z"], ["x"], SecondaryIndexType.LOCAL_INDEX),
    ]
    meta = client.describe_table("by_x").table_meta
    assert meta.schema_of_primary_key == [("x", "INTEGER"), ("a", "INTEGER"), ("b", "STRING")]
    assert meta.defined_columns == [("y", "STRING"), ("d", "DOUBLE")]
    assert client.describe_table("local").table_meta.schema_of_primary_key == [
        ("a", "INTEGER"),
        ("z", "BINARY"),
        ("b", "STRING"),
    ]


def test_an_index_follows_every_write(client: Any, indexed: str) -> None:
    """Put, overwrite, update, increment, deletion of a column and of the row each show in the indexes at once."""
    key = [("a", 1), ("b", "k")]
    client.put(indexed, key, [("x", 5), ("y", "v"), ("d", 0.5), ("other", 1)])
    assert everything(client, "by_x", "x", "a", "b") == [(5, 1, "k", {"y": "v", "d": 0.5})]
    assert everything(client, "by_y_a", "y", "a", "b") == [("v", 1, "k", {})]
    assert everything(client, "local", "a", "z", "b") == []
    client.update_row(indexed, Row(key, {"PUT": [("z", bytearray(b"q")), ("y", "w")], "INCREMENT": [("x", 2)]}), None)
    assert everything(client, "by_x", "x", "a", "b") == [(7, 1, "k", {"y": "w", "d": 0.5})]
    assert everything(client, "by_y_a", "y", "a", "b") == [("w", 1, "k", {})]
    assert everything(client, "local", "a", "z", "b") == [(1, bytearray(b"q"), "k", {"x": 7})]
    client.update_row(indexed, Row(key, {"DELETE_ALL": ["d", "z"]}), None)
    assert everything(client, "by_x", "x", "a", "b") == [(7, 1, "k", {"y": "w"})]
    assert everything(client, "local", "a", "z", "b") == []
    client.put(indexed, key, [("y", "only")])
    assert everything(client, "by_x", "x", "a", "b") == []
    client.delete_row(indexed, Row(key), None)
    assert everything(client, "by_y_a", "y", "a", "b") == []


def test_an_entry_needs_values_of_the_right_types(client: Any, indexed: str) -> None:
    """A row whose indexed column has another type, or is missing, has no entry."""
    client.put(indexed, [("a", 1), ("b", "k")], [("x", "text"), ("y", "v")])
    client.put(indexed, [("a", 2), ("b", "k")], [("x", True)])
    assert everything(client, "by_x", "x", "a", "b") == []
    assert everything(client, "by_y_a", "y", "a", "b") == [("v", 1, "k", {})]


def test_an_index_is_read_like_a_table(client: Any, indexed: str, refused: Any) -> None:
    """GetRow, BatchGetRow and a partial range work on an index; writes do not."""
    for number in range(4):
        client.put(indexed, [("a", number), ("b", "k")], [("x", number % 2), ("y", "v")])
    key = [("x", 1), ("a", 3), ("b", "k")]
    assert client.columns("by_x", key) == {"y": "v"}
    request = BatchGetRowRequest()
    request.add(TableInBatchGetRowItem("by_x", [key, [("x", 0), ("a", 3), ("b", "k")]], max_version=1))
    assert [item.row is None for item in client.batch_get_row(request).get_result_by_table("by_x")] == [False, True]
    assert client.keys(
        "by_x",
        [("x", 1), ("a", INF_MIN), ("b", INF_MIN)],
        [("x", 1), ("a", INF_MAX), ("b", INF_MAX)],
    ) == [(1, 1, "k"), (1, 3, "k")]
    for write in (
        lambda: client.put("by_x", key),
        lambda: client.update_row("by_x", Row(key, {"PUT": [("y", "w")]}), None),
        lambda: client.delete_row("by_x", Row(key), None),
    ):
        with refused("OTSParameterInvalid"):
            write()


def test_writes_to_an_indexed_table_read_it(client: Any, indexed: str) -> None:
    """Each write to a table with an index consumes a read unit too."""
    consumed, _ = client.put(indexed, [("a", 1), ("b", "k")], [("x", 1)])
    assert (consumed.read, consumed.write) == (1, 1)


@pytest.mark.parametrize("include_base_data", [True, False])
def test_an_index_starts_with_or_without_the_rows_there_are(client: Any, include_base_data: bool) -> None:
    """With base data the rows of before have entries; without, each gets one when it is next written."""
    client.make_table("t", ("a", "INTEGER"), ("b", "STRING"), defined=DEFINED)
    for number in range(3):
        client.put("t", [("a", number), ("b", "k")], [("x", -number), ("y", "v")])
    client.create_secondary_index("t", BY_X, include_base_data)
    before = everything(client, "by_x", "x", "a", "b")
    assert len(before) == (3 if include_base_data else 0)
    assert before == sorted(before, key=lambda entry: entry[:3])
    client.update_row("t", Row([("a", 1), ("b", "k")], {"PUT": [("y", "w")]}), None)
    client.delete_row("t", Row([("a", 2), ("b", "k")]), None)
    assert (-1, 1, "k", {"y": "w"}) in everything(client, "by_x", "x", "a", "b")
    assert len(everything(client, "by_x", "x", "a", "b")) == (2 if include_base_data else 1)


def test_a_dropped_index_is_gone(client: Any, indexed: str, refused: Any) -> None:
    """DropIndex frees the name and leaves the table and its other indexes."""
    client.put(indexed, [("a", 1), ("b", "k")], [("x", 1), ("y", "v")])
    client.delete_secondary_index(indexed, "by_x")
    with refused("OTSObjectNotExist", status=404):
        client.get_row("by_x", [("x", 1), ("a", 1), ("b", "k")])
    with refused("OTSObjectNotExist", status=404):
        client.delete_secondary_index(indexed, "by_x")
    assert [index.index_name for index in client.describe_table(indexed).secondary_indexes] == ["by_y_a", "local"]
    assert everything(client, "by_y_a", "y", "a", "b") == [("v", 1, "k", {})]
    client.create_secondary_index(indexed, BY_X, include_base_data=True)
    assert everything(client, "by_x", "x", "a", "b") == [(1, 1, "k", {"y": "v"})]


@pytest.mark.parametrize(
    "index",
    [
        SecondaryIndexMeta("0", ["x"], []),
        SecondaryIndexMeta("i", [], []),
        SecondaryIndexMeta("i", ["none"], []),
        SecondaryIndexMeta("i", ["d"], []),
        SecondaryIndexMeta("i", ["x", "x"], []),
        SecondaryIndexMeta("i", ["x"], ["none"]),
        SecondaryIndexMeta("i", ["x"], [], SecondaryIndexType.LOCAL_INDEX),
        SecondaryIndexMeta("i", ["x", "y", "z", "a", "b"], []),
    ],
)
def test_indexes_that_no_table_can_have(client: Any, refused: Any, index: Any) -> None:
    """An index has a good name and 1 to 4 key columns that can be keys, a local one the partition key first."""
    client.make_table("t", ("a", "INTEGER"), ("b", "STRING"), defined=DEFINED)
    with refused("OTSParameterInvalid"):
        client.create_secondary_index("t", index, include_base_data=True)
    assert client.describe_table("t").secondary_indexes == []
    with refused("OTSParameterInvalid"):
        client.make_table("u", ("a", "INTEGER"), ("b", "STRING"), defined=DEFINED, indexes=[index])
    assert client.list_table() == ("t",)


def test_indexes_where_none_can_be(client: Any, indexed: str, refused: Any) -> None:
    """No index of an index, none of a name that is taken, none of a table with many versions, nor the other way."""
    with refused("OTSParameterInvalid"):
        client.create_secondary_index("by_x", SecondaryIndexMeta("i", ["y"], []), include_base_data=True)
    with refused("OTSObjectAlreadyExist", status=409):
        client.create_secondary_index(indexed, BY_X, include_base_data=True)
    with refused("OTSObjectNotExist", status=404):
        client.create_secondary_index("none", BY_X, include_base_data=True)
    with refused("OTSParameterInvalid"):
        client.update_table(indexed, TableOptions(max_version=2))
    client.make_table("many", ("a", "INTEGER"), defined=DEFINED, options=TableOptions(max_version=2))
    with refused("OTSParameterInvalid"):
        client.create_secondary_index("many", SecondaryIndexMeta("i", ["x"], []), include_base_data=True)


key_of_few = st.tuples(st.integers(0, 2), st.sampled_from(["k", "l"]))
values = st.fixed_dictionaries({}, optional={"x": st.integers(0, 2), "y": st.sampled_from(["v", "w"]), "o": st.just(1)})
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), key_of_few, values),
        st.tuples(st.just("update"), key_of_few, values.filter(bool)),
        st.tuples(st.just("clear"), key_of_few, st.sampled_from(["x", "y", "o"])),
        st.tuples(st.just("delete"), key_of_few, st.none()),
    ),
    max_size=25,
)


@settings(deadline=None)
@given(steps=steps)
def test_an_index_is_always_what_its_table_says(make_client: Any, steps: Any) -> None:
    """After any writes an index holds exactly the entries that the rows of its table make."""
    client = make_client()
    client.make_table("t", ("a", "INTEGER"), ("b", "STRING"), defined=DEFINED, indexes=[BY_X])
    for kind, (a, b), change in steps:
        key = [("a", a), ("b", b)]
        if kind == "put":
            client.put("t", key, list(change.items()))
        elif kind == "update":
            client.update_row("t", Row(key, {"PUT": list(change.items())}), None)
        elif kind == "clear":
            client.update_row("t", Row(key, {"DELETE_ALL": [change]}), None)
        else:
            client.delete_row("t", Row(key), None)
    expected = []
    for a, b, columns in everything(client, "t", "a", "b"):
        if "x" in columns:
            expected.append((columns["x"], a, b, {"y": columns["y"]} if "y" in columns else {}))
    assert everything(client, "by_x", "x", "a", "b") == sorted(expected, key=lambda entry: entry[:3])
