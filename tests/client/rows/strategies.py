"""Arguments of requests with rows, for hypothesis, and the two encoders that are compared."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from ots_config.client.row_encoder import RowEncoder
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
PYTHONS = RowEncoder("utf8", **WITHOUT_NATIVE)
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
