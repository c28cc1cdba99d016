"""No bytes can do harm: they are decoded or raise ``PlainBufferError``."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ots_config.plainbuffer import (
    OP_DELETE_ALL_VERSIONS,
    OP_INCREMENT,
    VT_STRING,
    DecodedRow,
    Marker,
    PlainBufferError,
    decode_row,
    decode_rows,
    decode_value,
    encode_row,
    encode_rows,
)
from tests.plainbuffer.strategies import HEADER, calmly, handmade, rows


@pytest.mark.parametrize("marker", list(Marker))
def test_markers_are_no_attributes(marker: Marker) -> None:
    """A marker among the attributes is refused in the words of the service."""
    with pytest.raises(PlainBufferError, match=rf"^VT_{marker.name} is an invalid type for the attribute column\.$"):
        decode_row(encode_row([], [("c", marker, None, None)]))  # type: ignore[list-item]


def test_null_is_no_key() -> None:
    """VT_NULL in a key is refused in the words of the service."""
    data = handmade((b"\x01\x00\x00\x00k\x05\x01\x00\x00\x00\x06", b"k\x06")).replace(b"\x01\x02\x03", b"\x01\x03")
    with pytest.raises(PlainBufferError, match=r"^VT_NULL is an invalid type for the primary key\.$"):
        decode_row(data)


def test_broken_checksums_are_told_from_broken_bytes() -> None:
    """A wrong checksum of a cell or a row has a message of its own."""
    data = encode_row([("k", 1)], [("c", "abc", None, None)])
    with pytest.raises(PlainBufferError, match=r"^Cell data broken, checksum is mismatch, "):
        decode_row(data.replace(b"abc", b"abd"))
    with pytest.raises(PlainBufferError, match=r"^Row data broken, checksum is mismatch, "):
        decode_row(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(PlainBufferError, match=r"^data format is invalid\.$"):
        decode_row(data[:-1])


EVERY = encode_row(
    [("k", 7), ("m", Marker.INF_MIN), ("b", bytearray(b"\x00"))],
    [
        ("i", 1, 1_700_000_000_000, OP_INCREMENT),
        ("f", 1.5, None, None),
        ("t", True, 1_700_000_000_000, None),
        ("s", "语x", None, None),
        ("d", None, None, OP_DELETE_ALL_VERSIONS),
    ],
    deleted=True,
)
"""A row with one of everything."""


def test_every_prefix_of_a_row_is_refused() -> None:
    """A row cut off anywhere raises PlainBufferError, and the row is read all the same afterwards."""
    for length in range(len(EVERY)):
        with pytest.raises(PlainBufferError):
            decode_row(EVERY[:length])
        assert len(decode_row(EVERY).cells) == 5


def test_every_wrong_byte_is_noticed() -> None:
    """One byte changed anywhere in a row changes nothing (where the byte is not used) or is refused."""
    row = decode_row(EVERY)
    for place, right in enumerate(EVERY):
        flipped = [right ^ 1 << bit for bit in range(8)]
        for byte in {*range(12), 0x7F, 0x80, 0xFF, *flipped}:
            changed = EVERY[:place] + bytes([byte]) + EVERY[place + 1 :]
            try:
                assert decode_row(changed) == row
            except PlainBufferError:
                continue


@calmly
@given(rows, st.binary(min_size=1, max_size=9))
def test_garbage_after_a_row_is_refused(row: DecodedRow, garbage: bytes) -> None:
    """Bytes after the last row raise PlainBufferError."""
    with pytest.raises(PlainBufferError):
        decode_row(encode_rows([row], bytes_as=VT_STRING) + garbage)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(rows, min_size=1, max_size=2),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 6), st.binary(max_size=6)), max_size=4),
)
def test_damaged_rows_do_no_harm(whole: list[DecodedRow], damage: list[tuple[int, int, bytes]]) -> None:
    """Rows with bytes taken out and put in decode or raise PlainBufferError, nothing else."""
    data = encode_rows(whole, bytes_as=VT_STRING)
    for place, length, put in damage:
        data = data[:place] + put + data[place + length :]
    for decode in (decode_rows, decode_row):
        try:
            decode(data)
        except PlainBufferError:
            continue


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60), st.lists(st.integers(0, 11).map(lambda tag: bytes([tag])), max_size=30).map(b"".join))
def test_random_bytes_do_no_harm(noise: bytes, tags: bytes) -> None:
    """Random bytes, with or without a header and tags before them, decode or raise PlainBufferError."""
    for data in (noise, HEADER + noise, HEADER + b"\x01" + tags, HEADER + b"\x01\x03\x04" + tags + noise):
        for decode in (decode_rows, decode_row, lambda data: decode_value(data, binary=bytes)):
            try:
                decode(data)
            except PlainBufferError:
                continue


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\x40\x00\x00\x00"])
def test_huge_sizes_are_refused(size: bytes) -> None:
    """A name, string or blob that claims more bytes than there are is refused at once."""
    for data in (
        HEADER + b"\x01\x03\x04" + size + b"name",
        HEADER + b"\x01\x02\x03\x04\x01\x00\x00\x00c\x05\x00\x00\x00\x00\x03" + size + b"text",
        HEADER + b"\x01\x02\x03\x04\x01\x00\x00\x00c\x05\x00\x00\x00\x00\x07" + size + b"blob",
    ):
        with pytest.raises(PlainBufferError):
            decode_row(data)
    with pytest.raises(PlainBufferError):
        decode_value(b"\x03" + size + b"text", binary=bytes)


@pytest.mark.parametrize(
    ("cell", "summed"),
    [
        (b"\x01\x00\x00\x00\xff", b"\xff"),
        (b"\x01\x00\x00\x00c\x05\x06\x00\x00\x00\x03\x01\x00\x00\x00\xff", b"c\x03\x01\x00\x00\x00\xff"),
        (b"\x01\x00\x00\x00c\x05\x01\x00\x00\x00\x04", b"c\x04"),
        (b"\x01\x00\x00\x00c\x05\x01\x00\x00\x00\x08", b"c\x08"),
        (b"\x01\x00\x00\x00c\x05\x01\x00\x00\x00\xff", b"c\xff"),
        (b"\x01\x00\x00\x00c\x06\x01\x06\x01", b"c\x01\x01"),
        (b"\x01\x00\x00\x00c\x07" + bytes(8) + b"\x07" + bytes(8), b"c" + bytes(16)),
        (b"\x01\x00\x00\x00c\x0b", b"c"),
    ],
    ids=["name", "text", "type 4", "type 8", "type 255", "two ops", "two timestamps", "unknown tag"],
)
def test_wrong_contents_are_refused(cell: bytes, summed: bytes) -> None:
    """Text that is no UTF-8, unknown value types, and tags that are unknown or come twice are refused."""
    with pytest.raises(PlainBufferError, match=r"^data format is invalid\.$"):
        decode_row(handmade((cell, summed)))


def test_a_key_column_needs_a_value_and_has_no_version() -> None:
    """A key column without a value, or with a timestamp, is refused."""
    for rest in (b"", b"\x05\x01\x00\x00\x00\x09\x07" + bytes(8)):
        with pytest.raises(PlainBufferError, match=r"^data format is invalid\.$"):
            decode_row(HEADER + b"\x01\x03\x04\x01\x00\x00\x00k" + rest + b"\x0a\x00\x09\x00")
