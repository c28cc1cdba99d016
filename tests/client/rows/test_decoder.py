"""The rows of responses: the official decoder is the measure, except where it is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ots_config.client import native_codec
from ots_config.client import row_decoder as decoding
from ots_config.client.row_decoder import RowDecoder
from ots_config.plainbuffer import VT_BLOB, Cell, Marker, PlainBufferError, encode_row, encode_rows
from ots_config.sdk import pb2
from ots_config.sdk import tablestore as ts
from tests.client.rows.strategies import OURS, WITHOUT_NATIVE, any_names, calmly, encoded, int64, texts, times, tokens


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
    if kind == "native":
        if not native_codec.is_available:
            pytest.skip("the SDK has no codec in C++ for this platform")
        return RowDecoder("utf8")
    decoder = RowDecoder("utf8", **WITHOUT_NATIVE)
    fast = kind == "fast"
    decoder._row = decoding._fast_row if fast else decoding._plain_row
    decoder._rows = decoding._fast_rows if fast else decoding._plain_rows
    return decoder


@calmly
@pytest.mark.parametrize("api", RESPONSES)
@pytest.mark.parametrize("kind", ["plain", "fast", "native"])
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
