"""The SDK's codec in C++, where there is one: it is used, makes the bytes that Python makes, and is kept from harm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ots_config.client import native_codec
from ots_config.client.row_decoder import RowDecoder
from ots_config.client.row_encoder import EncodedRequest, RowEncoder
from ots_config.sdk import pb2 as _pb2
from ots_config.sdk import tablestore as ts
from tests.client.rows.strategies import OURS, PYTHONS, any_names, batch, calmly, encoded, key_values, times, values

pb2: Any = _pb2
pytestmark = pytest.mark.skipif(not native_codec.is_available, reason="the SDK has no codec in C++ for this platform")

names = any_names | any_names.map(str.encode)
keys = st.lists(st.tuples(names, key_values), max_size=3)
columns = st.lists(st.tuples(names, values) | st.tuples(names, values, times | st.none()), max_size=5)
puts = st.builds(ts.Row, keys, columns)
updates = st.builds(
    lambda key, changes, deleted: ts.Row(key, {**changes, **deleted}),
    keys,
    st.dictionaries(st.sampled_from(["PUT", "INCREMENT", "DELETE", "DELETE_ALL"]), columns, max_size=2),
    st.dictionaries(st.just("DELETE_ALL"), st.lists(any_names, max_size=3)),
)
plain = st.none() | st.sampled_from(["IGNORE", "EXPECT_EXIST", "EXPECT_NOT_EXIST"]).map(ts.Condition)
returns = st.sampled_from([None, "RT_PK", "RT_NONE"])
items = st.builds(ts.PutRowItem, puts, plain, returns) | st.builds(ts.UpdateRowItem, updates, plain, returns)


def same(api: str, *arguments: Any) -> None:
    """Check that both encoders make the same bytes, or raise the same."""
    outcomes = []
    for encoder in (OURS, PYTHONS):
        try:
            outcomes.append(encoded(encoder, api, *arguments))
        except Exception as error:  # noqa: BLE001 - whatever it is
            outcomes.append((type(error), str(error)))
    assert outcomes[0] == outcomes[1]


@calmly
@given(puts, updates, plain, returns)
def test_rows_of_any_names_have_the_bytes_of_python(put: Any, update: Any, condition: Any, wanted: Any) -> None:
    """Names of any script, as text and as bytes, and every kind of value."""
    same("PutRow", "t", put, condition, wanted, None)
    same("UpdateRow", "t", update, condition, wanted, "a transaction")
    for row in (put, update):
        outcomes = []
        for encoder in (OURS, PYTHONS):
            try:
                outcomes.append(encoder.encode_put_item(row))
            except Exception as error:  # noqa: BLE001 - whatever it is
                outcomes.append((type(error), str(error)))
        assert outcomes[0] == outcomes[1]


@calmly
@given(st.lists(items, max_size=4), st.lists(keys, max_size=3), st.none() | st.lists(any_names, max_size=2))
def test_batches_have_the_bytes_of_python(writes: list[Any], wanted: list[Any], names_to_get: Any) -> None:
    """Batches of writes and of reads."""
    same("BatchWriteRow", batch(ts.BatchWriteRowRequest, [ts.TableInBatchWriteRowItem("表", writes)]))
    read = ts.TableInBatchGetRowItem("表", wanted, names_to_get, max_version=1)
    same("BatchGetRow", batch(ts.BatchGetRowRequest, [read]))


ROW = ts.Row([("公司", 1)], [("名", "x"), ("n", 1.5)])


@pytest.mark.parametrize(
    ("api", "arguments"),
    [
        ("PutRow", ("t", ROW, None, None, None)),
        ("UpdateRow", ("t", ts.Row(ROW.primary_key, {"PUT": ROW.attribute_columns}), None, None, None)),
        (
            "BatchWriteRow",
            (batch(ts.BatchWriteRowRequest, [ts.TableInBatchWriteRowItem("t", [ts.PutRowItem(ROW, None)])]),),
        ),
        ("BatchGetRow", (batch(ts.BatchGetRowRequest, [ts.TableInBatchGetRowItem("t", [ROW.primary_key])]),)),
    ],
    ids=["put", "update", "write", "read"],
)
def test_it_is_used(api: str, arguments: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ordinary requests do not get to Python's encoder; with ``enable_native=False`` they do."""
    assert isinstance(OURS.encode_request(api, *arguments), EncodedRequest)
    monkeypatch.setattr(native_codec, "native", None)
    before = encoded(PYTHONS, api, *arguments)
    monkeypatch.undo()
    assert encoded(OURS, api, *arguments) == before


@pytest.mark.parametrize("key", [True, 1.5, "xx", b"x", {"a": 1}, {1}, bytearray(b"ab"), (("k", 1),), {"a": 1, "b": 2}])
def test_what_would_end_the_process_is_refused(key: Any) -> None:
    """A primary key that is no list, or has something else than tuples in it, never gets there."""
    for wrong in (key, [key]):
        row = ts.Row(wrong, [("x", 1)])
        same("PutRow", "t", row, None, None, None)
        same("UpdateRow", "t", ts.Row(wrong, {"PUT": [("x", 1)]}), None, None, None)
        same("DeleteRow", "t", wrong, None, None, None)
        for item in (ts.PutRowItem(row, None), ts.DeleteRowItem(row, None)):
            same("BatchWriteRow", batch(ts.BatchWriteRowRequest, [ts.TableInBatchWriteRowItem("t", [item])]))
        same("BatchGetRow", batch(ts.BatchGetRowRequest, [ts.TableInBatchGetRowItem("t", [wrong])]))


@pytest.mark.parametrize(
    "column", [("x", 1, 2, 3), {"a": 1, "b": 2}, ["x", 1], "xy", (bytearray(b"x"), 1), ("x",), None]
)
def test_columns_of_another_form_are_pythons(column: Any) -> None:
    """What it would take for something else, or drop a part of, has the outcome of Python's encoder."""
    row = ts.Row([("k", 1)], [("a", 1), column])
    same("PutRow", "t", row, None, None, None)
    same(
        "BatchWriteRow", batch(ts.BatchWriteRowRequest, [ts.TableInBatchWriteRowItem("t", [ts.PutRowItem(row, None)])])
    )


def test_a_cell_without_a_timestamp_is_decoded_in_python() -> None:
    """It would get one; the row is the same as with Python's decoder."""
    body = encoded(PYTHONS, "PutRow", "t", ROW, None, None, None)
    response = pb2.BatchGetRowResponse()
    unit = pb2.ConsumedCapacity(capacity_unit=pb2.CapacityUnit(read=1))
    data = pb2.PutRowRequest.FromString(body).row
    response.tables.add(table_name="t").rows.add(is_ok=True, consumed=unit, row=data)
    (item,) = RowDecoder("utf8").decode_response("BatchGetRow", response.SerializeToString(), "")[0]["t"]
    assert item.row.attribute_columns == [("名", "x", None), ("n", 1.5, None)]


def test_the_option_turns_it_off() -> None:
    """``enable_native=False`` leaves everything to Python."""
    assert not RowEncoder("utf8", enable_native=False)._native
    assert not RowDecoder("utf8", enable_native=False)._native
