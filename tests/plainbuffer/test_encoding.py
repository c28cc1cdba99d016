"""PlainBuffer is written as the official encoder writes it, except where that is wrong."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ots_config.plainbuffer import (
    OP_DELETE_ONE_VERSION,
    VT_BLOB,
    VT_STRING,
    Marker,
    PlainBufferError,
    decode_row,
    encode_row,
    encode_rows,
    encode_value,
    value_size,
)
from ots_config.sdk import tablestore
from tests.plainbuffer.strategies import (
    HEADER,
    OPS,
    Builder,
    ascii_names,
    blobs,
    calmly,
    int64,
    keys,
    official,
    official_rows,
    streams,
    texts,
    theirs,
    timestamps,
    values,
)


@calmly
@given(keys, st.lists(st.tuples(ascii_names, values, timestamps), max_size=6))
def test_put_row_is_what_the_official_encoder_writes(
    key: list[tuple[str, Any]], columns: list[tuple[str, Any, int | None]]
) -> None:
    """A row to put is the official one byte by byte, for keys and values of every type, with and without versions."""
    expected = Builder.serialize_for_put_row(theirs(key), columns)
    assert encode_row(key, [(*column, None) for column in columns]) == expected


@calmly
@given(
    keys,
    st.lists(st.tuples(ascii_names, values, timestamps), max_size=3),
    st.lists(st.tuples(ascii_names, st.none(), timestamps), max_size=3),
    st.lists(ascii_names, max_size=3),
    st.lists(st.tuples(ascii_names, int64), max_size=3),
)
def test_update_row_is_what_the_official_encoder_writes(
    key: list[tuple[str, Any]], put: list[Any], delete: list[Any], delete_all: list[str], increment: list[Any]
) -> None:
    """An update is the official one byte by byte, whatever its mixture of puts, deletions and increments."""
    changes = {"PUT": put, "DELETE": delete, "DELETE_ALL": delete_all, "INCREMENT": increment}
    changes = {op: columns for op, columns in changes.items() if columns}
    ours = [
        (column, None, None, OPS[op]) if isinstance(column, str) else (*column, *[None] * (3 - len(column)), OPS[op])
        for op, columns in changes.items()
        for column in columns
    ]
    assert encode_row(key, ours) == Builder.serialize_for_update_row(theirs(key), changes)


@calmly
@given(keys)
def test_keys_and_deletions_are_what_the_official_encoder_writes(key: list[tuple[str, Any]]) -> None:
    """A key by itself, with markers or without, and the deletion of a row are the official ones byte by byte."""
    assert encode_row(key) == Builder.serialize_primary_key(theirs(key))
    assert encode_row(key, deleted=True) == Builder.serialize_for_delete_row(theirs(key))


@calmly
@given(values)
def test_values_are_what_the_official_encoder_writes(value: Any) -> None:
    """A value by itself is the official one byte by byte."""
    assert encode_value(value, bytes_as=VT_STRING) == Builder.serialize_column_value(value)


@pytest.mark.skipif(
    not hasattr(Builder, "serialize_primary_key_value_without_length_prefix"),
    reason="this version of the SDK makes no tables of several partitions",
)
@calmly
@given(int64 | texts | blobs | blobs.map(bytearray) | st.sampled_from(list(Marker)[:2]))
def test_ends_of_partitions_are_what_the_official_encoder_writes(value: Any) -> None:
    """The end of a partition is the official one, which takes bytes for BINARY there."""
    ((_, end),) = theirs([("", value)])
    expected = Builder.serialize_primary_key_value_without_length_prefix(end)
    assert encode_value(value, bytes_as=VT_BLOB) == expected


def test_updates_that_the_official_encoder_has_no_room_for() -> None:
    """Three timestamped deletions are one too many for the official encoder; ours writes them."""
    changes = [(f"c{number}", None, 1_700_000_000_000) for number in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(official, "PlainBufferOutputStream", streams.PlainBufferOutputStream)
        with pytest.raises(tablestore.OTSClientError, match="buffer is full"):
            Builder.serialize_for_update_row([("pk", 1)], {"DELETE": changes})
    row = decode_row(encode_row([("pk", 1)], [(*change, OP_DELETE_ONE_VERSION) for change in changes]))
    assert row.cells == [(*change, OP_DELETE_ONE_VERSION) for change in changes]


def test_names_are_counted_in_bytes() -> None:
    """Where the official encoder counts the characters of a name, which no decoder can read, ours counts bytes."""
    key, cell = [("主键", 1)], ("公司", "阿里", None, None)
    ours = encode_row(key, [cell])
    assert b"\x04\x06\x00\x00\x00" + "公司".encode() in ours
    assert official_rows(ours) == [(key, [cell[:3]])]
    with pytest.raises((tablestore.OTSClientError, UnicodeDecodeError)):
        official_rows(bytes(Builder.serialize_for_put_row(key, [cell[:2]])))


def test_bytes_are_text_or_binary_as_the_caller_says() -> None:
    """The client writes bytes as STRING like the official SDK, the emulator as BINARY; a bytearray is always BINARY."""
    assert encode_value(b"ab", bytes_as=VT_STRING) == encode_value("ab", bytes_as=VT_STRING)
    assert encode_value(b"ab", bytes_as=VT_BLOB) == encode_value(bytearray(b"ab"), bytes_as=VT_STRING)
    row = encode_row([("k", b"ab")], [("c", b"ab", None, None)], bytes_as=VT_BLOB)
    assert decode_row(row, binary=bytes) == ([("k", b"ab")], [("c", b"ab", None, None)], False)


def test_a_row_without_cells_has_no_section_for_them() -> None:
    """Neither an empty list nor a generator that yields nothing makes a section of cells."""
    assert encode_row([("k", 1)], (cell for cell in ())) == encode_row([("k", 1)])
    assert encode_row([("k", 1)], header=False) == encode_row([("k", 1)])[len(HEADER) :]


def test_subclasses_are_written_as_what_they_are() -> None:
    """A member of an IntEnum is an INTEGER, and a subclass of float a DOUBLE, as for the official encoder."""

    class Colour(IntEnum):
        RED = 5

    class Degrees(float):
        pass

    for value in (Colour.RED, Degrees(36.6)):
        assert encode_value(value, bytes_as=VT_BLOB) == Builder.serialize_column_value(value)


@pytest.mark.parametrize(
    ("key", "cell"),
    [
        ([("k", 2**63)], ("c", 1, None, None)),
        ([("k", None)], ("c", 1, None, None)),
        ([("k", 1)], ("c", -(2**63) - 1, None, None)),
        ([("k", 1)], ("c", [1], None, None)),
        ([("k", 1)], ("c", 1j, None, None)),
        ([("k", 1)], ("c", "\ud800", None, None)),
        ([("k", 1)], ("\udfff", 1, None, None)),
        ([("k", 1)], (7, 1, None, None)),
        ([("k", 1)], ("c", 1, 2**63, None)),
        ([("k", 1)], ("c", 1, 0.5, None)),
        ([("k", 1)], ("c", 1, None, 256)),
        ([("k", 1)], ("c", 1)),
    ],
)
def test_what_cannot_be_encoded_is_one_error(key: Any, cell: Any) -> None:
    """A value, name, timestamp, op or shape that PlainBuffer cannot hold raises PlainBufferError."""
    with pytest.raises(PlainBufferError, match="cannot be encoded"):
        encode_row(key, [cell])
    with pytest.raises(PlainBufferError, match="cannot be encoded"):
        encode_rows([(key, [cell])], bytes_as=VT_BLOB)


def test_values_that_cannot_be_encoded() -> None:
    """No value by itself is none, too large, or of a type without a column type."""
    for value in (None, 2**63, "\ud800", object(), tablestore.INF_MIN):
        with pytest.raises(PlainBufferError, match="cannot be encoded"):
            encode_value(value, bytes_as=VT_STRING)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (0, 8),
        (1.5, 8),
        (True, 1),
        ("abc", 3),
        ("语", 3),
        (b"ab", 2),
        (bytearray(5), 5),
        (None, 0),
        (Marker.INF_MAX, 0),
    ],
)
def test_sizes_count_as_the_service_counts(value: Any, size: int) -> None:
    """Numbers count 8 bytes, a boolean 1, text its UTF-8 bytes, and what is no value nothing."""
    assert value_size(value) == size
