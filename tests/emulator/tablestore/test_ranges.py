"""GetRange, as the official client sees it."""

from typing import Any

import pytest
from tablestore import INF_MAX, INF_MIN, ComparatorType, SingleColumnCondition

from ots_config.emulator.tablestore import ranges
from ots_config.sdk import tablestore

pb2 = tablestore.protobuf.table_store_pb2
LOW, HIGH = [("a", INF_MIN), ("b", INF_MIN)], [("a", INF_MAX), ("b", INF_MAX)]
GRID = [(a, b) for a in range(4) for b in "xyz"]


@pytest.fixture
def grid(client: Any, table: str) -> str:
    """Return a table of four partitions with three rows each."""
    for a, b in reversed(GRID):
        client.put(table, [("a", a), ("b", b)], [("n", a)])
    return table


def test_all_rows_in_order(client: Any, grid: str) -> None:
    """From end to end, both ways, each row comes once, in the order of the keys."""
    assert client.keys(grid, LOW, HIGH) == GRID
    assert client.keys(grid, HIGH, LOW, "BACKWARD") == GRID[::-1]


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        ((1, "y"), (2, "y"), [(1, "y"), (1, "z"), (2, "x")]),
        ((1, INF_MIN), (1, INF_MAX), [(1, "x"), (1, "y"), (1, "z")]),
        ((1, INF_MAX), (3, INF_MIN), [(2, "x"), (2, "y"), (2, "z")]),
        ((INF_MIN, "z"), (1, INF_MIN), GRID[:3]),
        ((1, "xx"), (1, "yy"), [(1, "y")]),
        ((9, "x"), (INF_MAX, "x"), []),
    ],
)
def test_bounds_may_be_infinite_in_part(client: Any, grid: str, start: Any, stop: Any, expected: Any) -> None:
    """The start is included and the end is not; INF_MIN and INF_MAX may stand in any column."""
    names = ("a", "b")
    one, other = list(zip(names, start, strict=True)), list(zip(names, stop, strict=True))
    assert client.keys(grid, one, other) == expected


def test_backwards_the_start_is_the_greater(client: Any, grid: str) -> None:
    """BACKWARD includes the greater bound and excludes the smaller."""
    start, stop = [("a", 2), ("b", "y")], [("a", 1), ("b", "y")]
    assert client.keys(grid, start, stop, "BACKWARD") == [(2, "y"), (2, "x"), (1, "z")]
    assert client.keys(grid, [("a", 0), ("b", INF_MAX)], LOW, "BACKWARD") == GRID[2::-1]


def test_bounds_stand_in_their_direction(client: Any, grid: str, refused: Any) -> None:
    """Equal bounds, or bounds the wrong way round, are refused."""
    key = [("a", 1), ("b", "x")]
    for start, stop in ((key, key), (HIGH, LOW), (key, LOW)):
        with refused("OTSParameterInvalid", "Begin key must less than end key in FORWARD"):
            client.keys(grid, start, stop)
    for start, stop in ((key, key), (LOW, HIGH), (key, HIGH)):
        with refused("OTSParameterInvalid", "Begin key must more than end key in BACKWARD"):
            client.keys(grid, start, stop, "BACKWARD")


@pytest.mark.parametrize("direction", ["FORWARD", "BACKWARD"])
@pytest.mark.parametrize("limit", [1, 4, 5, 11, 12, 13])
def test_pages_join_without_gap_or_overlap(client: Any, grid: str, direction: str, limit: int) -> None:
    """Going on from next_start_primary_key gives each row once; only the last page has none."""
    start, stop = (LOW, HIGH) if direction == "FORWARD" else (HIGH, LOW)
    seen = []
    pages = 0
    while start is not None:
        _, start, rows, _ = client.get_range(grid, direction, start, stop, limit=limit)
        assert len(rows) == limit or start is None
        seen += [tuple(value for _, value in row.primary_key) for row in rows]
        pages += 1
    assert seen == (GRID if direction == "FORWARD" else GRID[::-1])
    assert pages == -(-12 // limit)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_positive(client: Any, grid: str, refused: Any, limit: int) -> None:
    """A limit of no row is refused."""
    with refused("OTSParameterInvalid", "The limit must be greater than 0."):
        client.keys(grid, LOW, HIGH, limit=limit)


def test_the_filter_comes_after_the_page(client: Any, grid: str) -> None:
    """A page is cut before it is filtered: it may hold no row and still have a successor."""
    chosen = SingleColumnCondition("n", 3, ComparatorType.EQUAL)
    consumed, start, rows, _ = client.get_range(grid, "FORWARD", LOW, HIGH, limit=5, column_filter=chosen)
    assert rows == []
    assert start == [("a", 1), ("b", "z")]
    assert (consumed.read, consumed.write) == (1, 0)
    seen = []
    while start:
        _, start, rows, _ = client.get_range(grid, "FORWARD", start, HIGH, limit=5, column_filter=chosen)
        seen += rows
    assert [row.primary_key[1][1] for row in seen] == ["x", "y", "z"]


def test_a_page_is_5000_rows(client: Any, table: str) -> None:
    """Without a limit, or with a larger one, a page ends after 5000 rows."""
    for number in range(5001):
        client.put(table, [("a", number), ("b", "")])
    for limit in (None, 6000):
        _, start, rows, _ = client.get_range(table, "FORWARD", LOW, HIGH, limit=limit)
        assert len(rows) == ranges.PAGE_ROWS == 5000
        assert start == [("a", 5000), ("b", "")]


def test_a_page_is_4_megabytes_scanned(client: Any, table: str) -> None:
    """A page ends once it has scanned 4 MB, even if the filter drops all of it; all of it is paid."""
    for number in range(6):
        client.put(table, [("a", number), ("b", "")], [("x", "v" * 1_048_576)])
    _, start, rows, _ = client.get_range(table, "FORWARD", LOW, HIGH)
    assert (len(rows), start[0]) == (4, ("a", 4))
    nothing = SingleColumnCondition("none", 1, ComparatorType.EQUAL, pass_if_missing=False)
    consumed, start, rows, _ = client.get_range(table, "FORWARD", LOW, HIGH, column_filter=nothing)
    assert (len(rows), start[0]) == (0, ("a", 4))
    assert consumed.read == 1025


def test_empty_ranges_consume_one_unit_and_still_have_rows(client: Any, table: str) -> None:
    """The answer's rows, which are a required field, are there when there are none."""
    consumed, start, rows, _ = client.get_range(table, "FORWARD", LOW, HIGH)
    assert ((consumed.read, consumed.write), start, rows) == ((1, 0), None, [])
    message = client.protocol.encoder.encode_request(
        "GetRange", table, "FORWARD", LOW, HIGH, None, None, None, 1, None, None, None, None, None
    )
    reply = pb2.GetRangeResponse.FromString(client.send("GetRange", message.SerializeToString()))
    assert reply.HasField("rows")
    assert not reply.HasField("next_start_primary_key")


def test_columns_narrow_the_rows(client: Any, table: str) -> None:
    """A row without any of columns_to_get is left out; one outside of a time range comes without columns."""
    client.put(table, [("a", 1), ("b", "")], [("x", 1)])
    client.put(table, [("a", 2), ("b", "")], [("y", 1)])
    assert client.keys(table, LOW, HIGH, columns_to_get=["x"]) == [(1, "")]
    rows = client.get_range(table, "FORWARD", LOW, HIGH, max_version=None, time_range=(0, 5))[2]
    assert [(row.primary_key[0][1], row.attribute_columns) for row in rows] == [(1, []), (2, [])]


def test_bounds_fit_the_key(client: Any, table: str, refused: Any) -> None:
    """A bound has the columns of the key, in number, name and type."""
    with refused("OTSInvalidPK", "Validate PK size fail. Input: 1, Meta: 2."):
        client.keys(table, [("a", 1)], HIGH)
    with refused("OTSInvalidPK", "Validate PK name fail. Input: c, Meta: b."):
        client.keys(table, LOW, [("a", 2), ("c", INF_MAX)])
    with refused("OTSInvalidPK", "Validate PK type fail. Input: VT_STRING, Meta: VT_INTEGER."):
        client.keys(table, [("a", "1"), ("b", "x")], HIGH)


def test_each_type_of_key_sorts_in_its_way(client: Any) -> None:
    """Integers sort by value, strings by their UTF-8 bytes, binaries by byte, each after the one before it."""
    client.make_table("m", ("i", "INTEGER"), ("s", "STRING"), ("b", "BINARY"))
    integers = [-(1 << 63), -1, 0, 9, 10, (1 << 63) - 1]
    texts = ["", "10", "9", "Z", "a", "aa", "é", "\uffff", "\U0001f600"]
    blobs = [b"", b"\x00", b"\x00\x00", b"\x7f", b"\x80", b"\xff"]
    expected = [(i, s, bytearray(b)) for i in integers for s in texts for b in blobs]
    for number in range(len(expected)):
        i, s, b = expected[number * 7 % len(expected)]
        client.put("m", [("i", i), ("s", s), ("b", b)])
    ends = [[(name, infinity) for name in "isb"] for infinity in (INF_MIN, INF_MAX)]
    assert client.keys("m", *ends) == expected
    assert client.keys("m", *ends[::-1], "BACKWARD") == expected[::-1]
