"""The rows of requests: the official encoder is the measure, except where it is wrong."""

from __future__ import annotations

import copy
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ots_config.plainbuffer import Cell, Marker, PlainBufferError, decode_row
from ots_config.sdk import pb2
from ots_config.sdk import tablestore as ts
from tests.client.rows.strategies import OURS, REQUESTS, THEIRS, any_names, batch, calmly, encoded, int64, room, texts


@calmly
@pytest.mark.parametrize("api", REQUESTS)
@given(data=st.data())
def test_a_request_is_the_official_one(api: str, data: st.DataObject) -> None:
    """Whatever is put, changed, deleted or read, on whatever condition, the request has the official bytes."""
    arguments = data.draw(REQUESTS[api])
    with room():
        assert encoded(OURS, api, *arguments) == encoded(THEIRS, api, *arguments)


class Name(str):
    """A derived text."""

    __slots__ = ()


class Number(int):
    """A derived number."""


class Expectation(str, Enum):  # noqa: UP042 - str() of a StrEnum is its value, of this one its name
    """A derived text whose str() is another."""

    RT_PK = "RT_PK"


JUNK = st.one_of(
    st.sampled_from([None, True, 0, -1, 5, 1.5, 1j, 1 << 63, 1 << 70, object, ts.INF_MIN, ts.PK_AUTO_INCR]),
    st.sampled_from(["", "x", "xy", "x" * 30, "\ud800", b"", b"x", b"xy", b"\xff\xfe", range(3)]),
    st.sampled_from(["IGNORE", "RT_PK", "FORWARD", Expectation.RT_PK, Number(3), Decimal(1), frozenset({1})]),
    st.builds(bytearray, st.just(b"ab")),
    st.lists(st.sampled_from(["x", "xyz", b"x", ("x", 1), ("x", 1, 2, 3), ("x",), ["x", 1], 1]), max_size=2),
    st.lists(st.sampled_from(["x", 1, None]), max_size=4).map(tuple),
    st.dictionaries(st.sampled_from(["PUT", "ab", "DELETE", 5]), st.lists(st.sampled_from(["x", ("x", 1)]))),
)


def spoiled(value: Any, draw: st.DrawFn) -> Any:
    """Put something else in one place of an argument, or of what it consists of."""
    parts: list[Any] = []
    if type(value) in {list, tuple}:
        parts = list(range(len(value)))
    elif type(value) is dict:
        parts = list(value)
    elif hasattr(value, "__dict__") and not isinstance(value, type | Enum):
        parts = list(vars(value))
    if not parts or draw(st.integers(0, 5)) == 0:
        return draw(JUNK)
    part = draw(st.sampled_from(parts))
    if type(value) is tuple:
        return (*value[:part], spoiled(value[part], draw), *value[part + 1 :])
    if type(value) in {list, dict}:
        changed = copy.copy(value)
        changed[part] = spoiled(value[part], draw)
        return changed
    changed = copy.copy(value)
    vars(changed)[part] = spoiled(vars(value)[part], draw)
    return changed


@settings(deadline=None, max_examples=150)
@pytest.mark.parametrize("api", REQUESTS)
@given(data=st.data())
def test_a_request_with_something_wrong_in_it_is_the_official_one(api: str, data: st.DataObject) -> None:
    """Whatever stands where it should not, the request has the official bytes or is refused in the official words."""
    arguments = list(data.draw(REQUESTS[api]))
    place = data.draw(st.integers(0, len(arguments) - 1))
    arguments[place] = spoiled(arguments[place], data.draw)
    outcomes = []
    for encoder in (THEIRS, OURS):
        try:
            with room():
                outcomes.append(encoded(encoder, api, *arguments))
        except Exception as error:  # noqa: BLE001 - whatever it is
            outcomes.append((type(error), str(error)))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    "column", [{"PUT": 1, "ab": 2}, {"a": 1, "b": 2, "c": 3}, {0: "a", 1: 1}], ids=["two", "three", "by index"]
)
@pytest.mark.parametrize("api", ["PutRow", "UpdateRow"])
def test_a_mapping_as_a_column_is_read_as_the_official_encoder_reads_it(api: str, column: Any) -> None:
    """It is asked for its entries 0 and 1, not unpacked into its keys."""
    row = ts.Row([("k", 1)], [column] if api == "PutRow" else {"DELETE": [column]})
    outcomes = []
    for encoder in (THEIRS, OURS):
        try:
            outcomes.append(encoded(encoder, api, "t", row, None, None, None))
        except KeyError as error:
            outcomes.append(error.args)
    assert outcomes[0] == outcomes[1]


@calmly
@given(
    st.lists(st.tuples(any_names, int64), max_size=3), st.lists(st.tuples(any_names, texts | st.booleans()), max_size=4)
)
def test_names_of_any_script_are_encoded(key: list[tuple[str, Any]], attributes: list[tuple[str, Any]]) -> None:
    """A row whose names are not ASCII is what was given, wherever it stands in a request."""
    row = ts.Row(key, attributes)
    change = ts.Row(key, {"PUT": attributes})
    cells = [Cell(*column, None, None) for column in attributes]
    for data in (
        pb2.PutRowRequest.FromString(encoded(OURS, "PutRow", "t", row, None, None, None)).row,
        pb2.UpdateRowRequest.FromString(encoded(OURS, "UpdateRow", "t", change, None, None, None)).row_change,
    ):
        assert decode_row(data)[:2] == (key, cells)
    read = pb2.GetRowRequest.FromString(encoded(OURS, "GetRow", "t", key, *[None] * 8))
    begun = pb2.StartLocalTransactionRequest.FromString(encoded(OURS, "StartLocalTransaction", "t", key))
    assert [decode_row(data).primary_key for data in (read.primary_key, begun.key)] == [key, key]


def test_the_official_encoder_breaks_names_that_are_not_ascii() -> None:
    """The fault that makes the difference: it writes the number of characters where that of bytes belongs."""
    row = ts.Row([("公司", 1)], [("x", 1)])
    data = encoded(THEIRS, "PutRow", "t", row, None, None, None)
    with pytest.raises(PlainBufferError):
        decode_row(pb2.PutRowRequest.FromString(data).row)


def test_any_number_of_versions_can_be_deleted() -> None:
    """Deleted versions, as many as there are, are encoded where the official encoder runs out of room."""
    versions = [("x", None, version) for version in range(100)]
    row = ts.Row([("k", 1)], {"DELETE": versions})
    with pytest.raises(ts.OTSClientError, match="buffer is full"):
        encoded(THEIRS, "UpdateRow", "t", row, None, None, None)
    data = pb2.UpdateRowRequest.FromString(encoded(OURS, "UpdateRow", "t", row, None, None, None)).row_change
    assert decode_row(data).cells == [Cell(*version, 3) for version in versions]


def test_an_automatic_key_is_marked() -> None:
    """A key that the service is to make up is sent as the marker for it."""
    row = ts.Row([("k", 1), ("a", ts.PK_AUTO_INCR)], [])
    data = pb2.PutRowRequest.FromString(encoded(OURS, "PutRow", "t", row, None, "RT_PK", None))
    assert decode_row(data.row).primary_key == [("k", 1), ("a", Marker.AUTO_INCREMENT)]
    assert data.return_content.return_type == pb2.RT_PK


def test_derived_types_are_written_as_what_they_derive_from() -> None:
    """Values and names of derived types, and columns that are lists, have the official bytes."""
    row = ts.Row([[Name("k"), Number(1)], ("s", Name("v"), "more")], [[Name("x"), Number(2)], ("y", Name("z"), 5)])
    arguments = ("t", row, None, None, None)
    assert encoded(OURS, "PutRow", *arguments) == encoded(THEIRS, "PutRow", *arguments)


GOOD = ts.Row([("k", 1)], [("x", 1)])
WRONG: list[tuple[str, tuple[Any, ...]]] = [
    *(
        ("PutRow", ("t", row, None, None, None))
        for row in (
            ts.Row({"k": 1}, []),
            ts.Row((("k", 1),), []),
            ts.Row([("k", 1.5)], []),
            ts.Row([("k", None)], []),
            ts.Row([("k", [])], []),
            ts.Row([("k",)], []),
            ts.Row([("k", 1 << 63)], []),
            ts.Row([(1, 1)], []),
            ts.Row([("k", 1)]),
            ts.Row([("k", 1)], ((name, 1) for name in "x")),
            ts.Row([("k", 1)], [("x", None)]),
            ts.Row([("k", 1)], [("x", object)]),
            ts.Row([("k", 1)], [("x", 1j)]),
            ts.Row([("k", 1)], [("x", 1, "now")]),
            ts.Row([("k", 1)], [("x", 1, 1.5)]),
            ts.Row([("k", 1)], [("x",)]),
            ts.Row([("k", 1)], [("\ud800", 1)]),
            ts.Row([("k", 1)], [("x", "\ud800")]),
            ts.Row([("k", 1)], {"PUT": [("x", 1)]}),
            ts.Row([("k", 1)], 7),
        )
    ),
    *(
        ("UpdateRow", ("t", ts.Row([("k", 1)], change), None, None, None))
        for change in (
            None,
            [("x", 1)],
            {"PUT": ("x", 1)},
            {"PUT": ["x"]},
            {"PUT": [["x", 1]]},
            {"PUT": [("x",)]},
            {"PUT": [("x", 1, 2, 3)]},
            {"PUT": [("x", object)]},
            {"DELETE": "x"},
            {"DELETE": [b"x"]},
            {"DELETE_ALL": [("x",)]},
            {"DELETE_ALL": [None]},
            {5: [("x", 1)]},
        )
    ),
    ("PutRow", (5, GOOD, None, None, None)),
    ("PutRow", ("t", GOOD, "IGNORE", None, None)),
    ("PutRow", ("t", GOOD, None, None, 5)),
    ("PutRow", ("t", None, None, None, None)),
    ("DeleteRow", ("t", None, None, None, None)),
    ("DeleteRow", ("t", [("k", 1.5)], None, None, None)),
    ("GetRow", ("t", ("k", 1), *[None] * 8)),
    ("GetRow", ("t", [("k", 1)], "x", *[None] * 7)),
    ("GetRow", ("t", [("k", 1)], [5], *[None] * 7)),
    ("GetRow", ("t", [("k", 1)], None, "x", *[None] * 6)),
    ("GetRow", ("t", [("k", 1)], None, None, "1", *[None] * 5)),
    ("GetRow", ("t", [("k", 1)], None, None, None, ("a", "b"), *[None] * 4)),
    ("GetRange", ("t", "SIDEWAYS", [], [], *[None] * 9)),
    ("GetRange", ("t", "FORWARD", [], [], None, 1 << 31, *[None] * 7)),
    ("GetRange", ("t", "FORWARD", None, [], *[None] * 9)),
    ("BatchWriteRow", (GOOD,)),
    ("BatchGetRow", (batch(ts.BatchGetRowRequest, [ts.TableInBatchGetRowItem("t", None)]),)),
    ("BatchGetRow", (batch(ts.BatchGetRowRequest, [ts.TableInBatchGetRowItem("t", [("k", 1)])]),)),
    ("BatchWriteRow", (batch(ts.BatchWriteRowRequest, [ts.TableInBatchWriteRowItem("t", [GOOD])]),)),
    ("StartLocalTransaction", ("t", ("k", 1))),
]


@pytest.mark.parametrize(("api", "arguments"), WRONG, ids=[f"{number} {api}" for number, (api, _) in enumerate(WRONG)])
def test_what_the_official_encoder_refuses_is_refused_in_its_words(api: str, arguments: tuple[Any, ...]) -> None:
    """Arguments of wrong types and values raise the official errors, type and text."""
    with pytest.raises(Exception) as theirs:  # noqa: PT011 - whatever it is
        THEIRS.encode_request(api, *arguments)
    with pytest.raises(theirs.type) as ours:
        OURS.encode_request(api, *arguments)
    assert str(ours.value).partition(" at 0x")[0] == str(theirs.value).partition(" at 0x")[0]
