"""The rows of requests and responses: the official codec is the measure, except where it is wrong."""

from __future__ import annotations

import copy
import inspect
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ots_config import Emulator, OTSClient, RequestInvalid
from ots_config.client import row_decoder as decoding
from ots_config.client.row_decoder import RowDecoder
from ots_config.client.row_encoder import RowEncoder
from ots_config.plainbuffer import VT_BLOB, Cell, Marker, PlainBufferError, decode_row, encode_row, encode_rows
from ots_config.sdk import pb2
from ots_config.sdk import tablestore as ts

builder = ts.plainbuffer.plain_buffer_builder
streams = ts.plainbuffer.plain_buffer_stream
WITHOUT_NATIVE = (
    {"enable_native": False} if "enable_native" in inspect.signature(ts.protocol.OTSProtocol).parameters else {}
)

calmly = settings(deadline=None, max_examples=60)

# --- what there may be in a row -----------------------------------------------------------------------------

int64 = st.integers(-(2**63), 2**63 - 1)
int32 = st.integers(-(2**31), 2**31 - 1)
texts = st.text(max_size=20) | st.just("语" * 100)
names = st.text(st.characters(max_codepoint=127), max_size=12)
any_names = st.text(max_size=12)
values = st.one_of(st.booleans(), int64, st.floats(), texts, st.binary(max_size=20), st.binary().map(bytearray))
key_values = st.one_of(
    st.booleans(),
    int64,
    texts,
    st.binary(),
    st.binary().map(bytearray),
    st.sampled_from([ts.INF_MIN, ts.INF_MAX, ts.PK_AUTO_INCR]),
)
times = st.integers(0, 2**63 - 1)
keys = st.lists(st.tuples(names, key_values), max_size=4)
columns = st.lists(st.tuples(names, values) | st.tuples(names, values, times) | st.tuples(names, values, st.none()))
changes = st.dictionaries(
    st.sampled_from(["PUT", "put", "INCREMENT", "increment", "OTHER"]),
    st.lists(st.tuples(names, values | st.none()) | st.tuples(names, values | st.none(), times | st.none())),
    max_size=2,
)
deletions = st.dictionaries(
    st.sampled_from(["DELETE", "DELETE_ALL", "delete", "Delete_All"]),
    st.lists(names | st.tuples(names, st.none()) | st.tuples(names, values | st.none(), times | st.none())),
    max_size=2,
)
updates = st.builds(lambda one, other: {**one, **other}, changes, deletions)

# --- what there may be in a request -------------------------------------------------------------------------

singles = st.builds(
    ts.SingleColumnCondition, texts, values, st.sampled_from(range(6)), st.booleans(), latest_version_only=st.booleans()
)
rules = st.builds(ts.RegexRule, texts, st.sampled_from(ts.CastType))
patterns = st.builds(ts.SingleColumnRegexCondition, texts, st.sampled_from(range(6)), values, st.none() | rules)


def composite(combinator: int, parts: list[Any]) -> Any:
    """Join conditions."""
    condition = ts.CompositeColumnCondition(combinator)
    for part in parts:
        condition.add_sub_condition(part)
    return condition


filters = st.recursive(
    singles | patterns,
    lambda parts: st.builds(composite, st.sampled_from(range(3)), st.lists(parts, min_size=1, max_size=3)),
    max_leaves=4,
)
expectations = st.sampled_from(["IGNORE", "EXPECT_EXIST", "EXPECT_NOT_EXIST"])
conditions = st.none() | st.builds(ts.Condition, expectations, st.none() | filters)
return_types = st.sampled_from([None, "RT_NONE", "RT_PK"])
tables = texts | texts.map(str.encode)
transactions = st.none() | texts
selections = st.tuples(
    st.none() | st.lists(texts | texts.map(str.encode), max_size=3) | st.tuples(texts),
    st.none() | filters,
    st.none() | int32,
    st.none() | times | st.tuples(times, times),
    st.none() | texts,
    st.none() | texts,
)
tokens = st.none() | st.binary(max_size=20)
items = st.one_of(
    st.builds(ts.PutRowItem, st.builds(ts.Row, keys, columns), conditions, return_types),
    st.builds(ts.UpdateRowItem, st.builds(ts.Row, keys, updates), conditions, return_types),
    st.builds(ts.DeleteRowItem, st.builds(ts.Row, keys), conditions, return_types),
)


def batch(kind: type[Any], parts: list[Any], transaction: str | None = None) -> Any:
    """Make a request of its tables."""
    request = kind()
    for part in parts:
        request.add(part)
    if transaction is not None:
        request.set_transaction_id(transaction)
    return request


def table_to_get(table: str, found: list[Any], selection: tuple[Any, ...], table_tokens: Any) -> Any:
    """Make one table of a BatchGetRow."""
    return ts.TableInBatchGetRowItem(table, found, *selection, table_tokens)


writes = st.lists(st.builds(ts.TableInBatchWriteRowItem, texts, st.lists(items, max_size=4)), max_size=2)
reads = st.lists(
    st.builds(
        table_to_get, texts, st.lists(keys, max_size=3), selections, st.none() | st.lists(st.binary(), max_size=3)
    ),
    max_size=2,
)
REQUESTS: dict[str, st.SearchStrategy[tuple[Any, ...]]] = {
    "PutRow": st.tuples(tables, st.builds(ts.Row, keys, columns), conditions, return_types, transactions),
    "UpdateRow": st.tuples(tables, st.builds(ts.Row, keys, updates), conditions, return_types, transactions),
    "DeleteRow": st.tuples(tables, keys, conditions, return_types, transactions),
    "GetRow": st.builds(
        lambda table, key, selection, *rest: (table, key, *selection, *rest),
        tables,
        keys,
        selections,
        tokens,
        transactions,
    ),
    "GetRange": st.builds(
        lambda table, way, start, end, selection, limit, *rest: (
            (table, way, start, end, selection[0], limit, *selection[1:], *rest)
        ),
        tables,
        st.sampled_from(["FORWARD", "BACKWARD"]),
        keys,
        keys,
        selections,
        st.none() | int32,
        tokens,
        transactions,
    ),
    "BatchWriteRow": st.tuples(st.builds(batch, st.just(ts.BatchWriteRowRequest), writes, transactions)),
    "BatchGetRow": st.tuples(st.builds(batch, st.just(ts.BatchGetRowRequest), reads)),
    "StartLocalTransaction": st.tuples(texts, keys),
}


OURS = RowEncoder("utf8")
THEIRS = ts.encoder.OTSProtoBufferEncoder("utf8", **WITHOUT_NATIVE)


@contextmanager
def room() -> Iterator[None]:
    """Give the official encoder room: its estimate of a row's size is too low for timestamped changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "PlainBufferOutputStream", lambda _: streams.PlainBufferOutputStream(1 << 30))
        yield


def encoded(encoder: Any, api: str, *arguments: Any) -> bytes:
    """Encode a request."""
    data: bytes = encoder.encode_request(api, *arguments).SerializeToString()
    return data


# --- requests -----------------------------------------------------------------------------------------------


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


class Expectation(str, Enum):  # noqa: UP042 - a StrEnum tells its value, this one its name
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


# --- responses ----------------------------------------------------------------------------------------------


def tree(value: Any) -> Any:
    """Tell a value with the types of all that is in it."""
    if isinstance(value, list | tuple):
        return type(value), [tree(part) for part in value]
    if isinstance(value, dict):
        return dict, [(key, tree(part)) for key, part in value.items()]
    if hasattr(value, "__dict__") and not isinstance(value, type):
        return type(value), tree(vars(value))
    return type(value), repr(value)


stored_keys = st.lists(st.tuples(any_names, st.one_of(int64, texts, st.binary().map(bytearray))), max_size=3)
stored = st.one_of(st.booleans(), int64, st.floats(), texts, st.binary().map(bytearray))
cells = st.lists(st.builds(Cell, any_names, stored | st.none(), times | st.none(), st.none()), max_size=4)
rows = st.tuples(stored_keys, cells)
maybe_row = st.just(b"") | rows.map(lambda row: encode_row(*row))
units = st.builds(
    lambda read, write: pb2.ConsumedCapacity(capacity_unit=pb2.CapacityUnit(read=read, write=write)),
    st.none() | st.integers(0, 99),
    st.none() | st.integers(0, 99),
)
faults = st.builds(pb2.Error, code=texts, message=st.none() | texts)


def outcome(message: Any) -> st.SearchStrategy[Any]:
    """One row of a batch's response."""
    well = st.builds(message, is_ok=st.just(value=True), consumed=units, row=maybe_row)
    return well | st.builds(message, is_ok=st.just(value=False), error=faults, consumed=st.none() | units)


def batch_response(whole: Any, table: Any, row: Any) -> st.SearchStrategy[Any]:
    """A batch's response."""
    some = st.builds(table, table_name=texts, rows=st.lists(outcome(row), max_size=3))
    return st.builds(whole, tables=st.lists(some, max_size=2))


RESPONSES: dict[str, st.SearchStrategy[Any]] = {
    "PutRow": st.builds(pb2.PutRowResponse, consumed=units, row=maybe_row | st.none()),
    "UpdateRow": st.builds(pb2.UpdateRowResponse, consumed=units, row=maybe_row | st.none()),
    "DeleteRow": st.builds(pb2.DeleteRowResponse, consumed=units, row=maybe_row | st.none()),
    "GetRow": st.builds(pb2.GetRowResponse, consumed=units, row=maybe_row, next_token=tokens),
    "GetRange": st.builds(
        pb2.GetRangeResponse,
        consumed=units,
        rows=st.lists(rows, max_size=3).map(lambda found: encode_rows(found, bytes_as=VT_BLOB)),
        next_start_primary_key=st.none() | stored_keys.map(encode_row),
        next_token=tokens,
    ),
    "BatchGetRow": batch_response(
        pb2.BatchGetRowResponse, pb2.TableInBatchGetRowResponse, pb2.RowInBatchGetRowResponse
    ),
    "BatchWriteRow": batch_response(
        pb2.BatchWriteRowResponse, pb2.TableInBatchWriteRowResponse, pb2.RowInBatchWriteRowResponse
    ),
}


def made(kind: str) -> RowDecoder:
    """Make a decoder; one without the parser in C also with an SDK that has no such option."""
    if kind == "fast" and not ts.decoder.NATIVE_PARSER_AVAILABLE:
        pytest.skip("the SDK has no parser in C for this platform")
    decoder = RowDecoder("utf8", **WITHOUT_NATIVE)
    fast = kind == "fast"
    decoder._row = decoding._fast_row if fast else decoding._plain_row
    decoder._rows = decoding._fast_rows if fast else decoding._plain_rows
    return decoder


@calmly
@pytest.mark.parametrize("api", RESPONSES)
@pytest.mark.parametrize("kind", ["plain", "fast"])
@given(data=st.data())
def test_a_response_is_decoded_to_the_official_objects(kind: str, api: str, data: st.DataObject) -> None:
    """Rows, keys, units, tokens and errors are the official decoder's, values and types."""
    body = data.draw(RESPONSES[api]).SerializeToString()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ts.decoder, "NATIVE_PARSER_AVAILABLE", False)  # before 6.4.2 it asks for nothing else
        theirs = ts.decoder.OTSProtoBufferDecoder("utf8", **WITHOUT_NATIVE).decode_response(api, body, "id")[0]
    assert tree(made(kind).decode_response(api, body, "id")[0]) == tree(theirs)


@calmly
@given(st.lists(rows, max_size=3), st.data())
def test_the_parser_in_c_makes_no_difference(found: list[tuple[Any, Any]], data: st.DataObject) -> None:
    """Bytes, sound or broken, are decoded to the same rows with it as without, or refused by both."""
    body = bytearray(encode_rows(found, bytes_as=VT_BLOB))
    for _ in range(data.draw(st.integers(0, 2))):
        where = data.draw(st.integers(0, len(body)))
        body[where : where + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    made("fast")
    for fast, plain in (
        (decoding._fast_rows, decoding._plain_rows),
        (decoding._fast_row, decoding._plain_row),
    ):
        try:
            expected: Any = plain(bytes(body))  # type: ignore[operator]
        except PlainBufferError:
            with pytest.raises(PlainBufferError):
                fast(bytes(body))  # type: ignore[operator]
        else:
            assert tree(fast(bytes(body))) == tree(expected)  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["plain", "fast"])
def test_what_the_official_decoders_lose_is_decoded(kind: str) -> None:
    """A name with a NUL is whole, a cell without timestamp has three parts, one with an op is no error."""
    cells = [Cell("a\0b", 1, 5, None), Cell("c", "x", None, None), Cell("\x05\0", "y", 7, None), Cell("d", 2, 5, 4)]
    body = pb2.GetRowResponse(row=encode_row([("k\0", 1), ("b", True)], cells)).SerializePartialToString()
    row = made(kind).decode_response("GetRow", body, "")[0][1]
    assert row.primary_key == [("k\0", 1), ("b", True)]
    assert row.attribute_columns == [("a\0b", 1, 5), ("c", "x", None), ("\x05\0", "y", 7), ("d", 2, 5)]


@pytest.mark.parametrize("kind", ["plain", "fast"])
def test_a_range_may_go_on_from_a_marker(kind: str) -> None:
    """The key to go on from has the SDK's own markers, so it can be asked for as it is."""
    key = encode_row([("a", 1), ("b", Marker.INF_MIN)])
    body = pb2.GetRangeResponse(next_start_primary_key=key).SerializePartialToString()
    start = made(kind).decode_response("GetRange", body, "")[0][1]
    assert start == [("a", 1), ("b", ts.INF_MIN)]
    asked = encoded(OURS, "GetRange", "t", "FORWARD", start, start, *[None] * 9)
    assert pb2.GetRangeRequest.FromString(asked).inclusive_start_primary_key == key


def test_broken_rows_are_refused() -> None:
    """A response with a broken checksum is an error, and so is one with less than a header of a row."""
    row = bytearray(encode_row([("k", 1)]))
    row[-1] ^= 1
    for data in (bytes(row), b"u\0"):
        for api, part in (("GetRow", "row"), ("GetRange", "rows")):
            body = getattr(pb2, f"{api}Response")(**{part: data}).SerializePartialToString()
            with pytest.raises(PlainBufferError):
                RowDecoder("utf8").decode_response(api, body, "")


# --- with a client ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One emulator for this module."""
    with Emulator() as running:
        yield running


@pytest.fixture(params=[True, False], ids=["native", "no native"])
def client(emulator: Emulator, request: pytest.FixtureRequest) -> Iterator[OTSClient]:
    """A client, with and without the SDK's native code, of an empty table ``t`` with names that are not ASCII."""
    emulator.reset()
    with OTSClient(settings=emulator.settings, enable_native=request.param) as client:
        meta = ts.TableMeta("t", [("公司", "INTEGER"), ("naïve key", "STRING")])
        client.create_table(meta, ts.TableOptions(max_version=5), ts.ReservedThroughput(ts.CapacityUnit(0, 0)))
        yield client


KEY = [("公司", 1), ("naïve key", "水")]


def test_rows_come_back_from_a_table(client: OTSClient) -> None:
    """Rows with names of any script, of every type, many versions or no columns are stored, read and deleted."""
    written = [("名", 1), ("x", b"bytes"), ("b", bytearray(b"\0\xff")), ("d", 0.5), ("t", True), ("s", "字" * 200)]
    client.put_row("t", ts.Row(KEY, written))
    client.put_row("t", ts.Row([("公司", 2), ("naïve key", "")], []))
    request = batch(
        ts.BatchGetRowRequest, [ts.TableInBatchGetRowItem("t", [KEY, [("公司", 3), KEY[1]]], max_version=1)]
    )
    first, second = client.batch_get_row(request).get_succeed_rows()
    row = client.get_row("t", KEY, max_version=1)[1]
    low, high = ([("公司", bound), ("naïve key", bound)] for bound in (ts.INF_MIN, ts.INF_MAX))
    page = client.get_range("t", "FORWARD", low, high, limit=1, max_version=1)
    expected = {**dict(written), "x": "bytes"}  # as the SDK has it, bytes are a STRING
    for found in (row, first.row, page[2][0]):
        assert found.primary_key == KEY
        assert {name: value for name, value, _ in found.attribute_columns} == expected
        assert all(isinstance(version, int) for _, _, version in found.attribute_columns)
    assert second.row is None
    assert page[1] == [("公司", 2), ("naïve key", "")]
    assert client.get_range("t", "FORWARD", page[1], high, max_version=1)[2][0].attribute_columns == []
    client.delete_row("t", KEY)
    assert client.get_row("t", KEY, max_version=1)[1] is None


def test_versions_of_a_table_can_be_deleted(client: OTSClient) -> None:
    """Five versions are written and deleted, each in one request; an increment beside them counts."""
    now = int(time.time() * 1000)
    versions = [("名", number, now + number) for number in range(5)]
    client.put_row("t", ts.Row(KEY, versions))
    assert len(client.get_row("t", KEY, max_version=5)[1].attribute_columns) == 5
    deleted = [(name, None, version) for name, _, version in versions]
    client.update_row("t", ts.Row(KEY, {"DELETE": deleted, "INCREMENT": [("计", 3)]}), None)
    assert [cell[:2] for cell in client.get_row("t", KEY, max_version=5)[1].attribute_columns] == [("计", 3)]


def test_a_batch_tells_of_each_row(client: OTSClient) -> None:
    """Rows of a batch that are well and rows that are not are told apart, with units and codes."""
    there = ts.Condition("EXPECT_EXIST")
    some = [
        ts.PutRowItem(ts.Row(KEY, [("名", 1)]), None, "RT_PK"),
        ts.UpdateRowItem(ts.Row([("公司", 9), KEY[1]], {"PUT": [("名", 1)]}), there),
        ts.DeleteRowItem(ts.Row([("公司", 2), KEY[1]]), None),
    ]
    response = client.batch_write_row(batch(ts.BatchWriteRowRequest, [ts.TableInBatchWriteRowItem("t", some)]))
    put, update, delete = (getattr(response, f"table_of_{kind}")["t"][0] for kind in ("put", "update", "delete"))
    assert (put.is_ok, put.consumed.write, put.row.primary_key) == (True, 1, KEY)
    assert (update.is_ok, update.error_code) == (False, "OTSConditionCheckFail")
    assert delete.is_ok


def test_a_wrong_row_is_an_invalid_request(client: OTSClient) -> None:
    """The official encoder's refusal reaches the caller as this library's error, with its words."""
    with pytest.raises(RequestInvalid, match="Unsupported primary key type:<class 'float'>"):
        client.put_row("t", ts.Row([("公司", 1.5)], []))
