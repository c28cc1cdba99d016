"""PlainBuffer is read as the official decoder reads it, by any number of threads and with bounded caches."""

from __future__ import annotations

import struct
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ots_config.plainbuffer import (
    OP_DELETE_ONE_VERSION,
    VT_BLOB,
    VT_STRING,
    Cell,
    DecodedRow,
    Marker,
    PlainBufferError,
    decode_row,
    decode_rows,
    decode_value,
    decoding,
    encode_rows,
    encode_value,
    encoding,
)
from tests.plainbuffer.strategies import (
    HEADER,
    blobs,
    calmly,
    handmade,
    int64,
    names,
    official_rows,
    rows,
    sound,
    texts,
)


@calmly
@given(rows)
def test_rows_come_back_as_they_were(row: DecodedRow) -> None:
    """Whatever row is encoded is decoded to the same names, values, types, versions, ops and delete marker."""
    data = encode_rows([row], bytes_as=VT_STRING)
    assert repr(decode_row(data)) == repr(row)
    assert repr(decode_rows(memoryview(data))) == repr([row])


@calmly
@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(names, int64 | texts | blobs.map(bytearray)), max_size=3),
            st.lists(st.tuples(names, sound, st.integers(0, 2**63 - 1), st.none()), max_size=4),
        ),
        max_size=4,
    )
)
def test_rows_are_what_the_official_decoder_reads(found: list[tuple[Any, Any]]) -> None:
    """The official decoder reads our rows of a range, and ours returns the very same values and types."""
    data = encode_rows(found, bytes_as=VT_BLOB)
    read = official_rows(data) if data else []
    assert repr(read) == repr([(key, [tuple(cell[:3]) for cell in cells]) for key, cells in found])
    assert repr([(row.primary_key, [cell[:3] for cell in row.cells]) for row in decode_rows(data)]) == repr(read)


def test_no_rows_are_no_bytes() -> None:
    """A range without rows is sent as no bytes at all, and read as such; a header alone has no rows either."""
    assert encode_rows([], bytes_as=VT_BLOB) == b""
    assert decode_rows(b"") == decode_rows(HEADER) == []
    with pytest.raises(PlainBufferError):
        decode_row(HEADER)


@calmly
@given(sound | st.sampled_from(Marker))
def test_values_come_back_as_they_were(value: Any) -> None:
    """A value by itself is decoded to the same value and type; what is missing or too much is refused."""
    data = encode_value(value, bytes_as=VT_STRING)
    assert repr(decode_value(data, binary=bytearray)) == repr(value)
    for wrong in (data[:-1], data + b"\x00"):
        with pytest.raises(PlainBufferError):
            decode_value(wrong, binary=bytearray)


@pytest.mark.parametrize("timestamp_first", [True, False])
def test_timestamp_and_op_come_in_either_order(timestamp_first: bool) -> None:
    """The order of timestamp and op on the wire is free; the checksum takes the timestamp first in any case."""
    version, op = struct.pack("<q", 1_700_000_000_000), b"\x03"
    tags = [b"\x07" + version, b"\x06" + op]
    wire = b"".join(tags if timestamp_first else reversed(tags))
    row = decode_row(handmade((b"\x01\x00\x00\x00c" + wire, b"c" + version + op)))
    assert row.cells == [("c", None, 1_700_000_000_000, OP_DELETE_ONE_VERSION)]


def test_the_length_before_a_value_is_not_used() -> None:
    """Like the official decoder, ours believes what a value says of itself, not the length before it."""
    content = b"\x03\x02\x00\x00\x00hi"
    data = handmade((b"\x01\x00\x00\x00c\x05\xff\xff\xff\xff" + content, b"c" + content))
    assert decode_row(data).cells == [("c", "hi", None, None)]
    assert official_rows(data) == [([], [("c", "hi", None)])]


def test_any_byte_but_zero_is_true() -> None:
    """Like the official decoder, ours takes any byte but 0 for true, and sums it as 1."""
    data = handmade((b"\x01\x00\x00\x00c\x05\x02\x00\x00\x00\x02\x07", b"c\x02\x01"))
    assert decode_row(data).cells == [("c", True, None, None)]
    assert official_rows(data) == [([], [("c", True, None)])]


def test_null_is_none() -> None:
    """A cell of VT_NULL has no value."""
    data = handmade((b"\x01\x00\x00\x00c\x05\x01\x00\x00\x00\x06", b"c\x06"))
    assert decode_row(data).cells == [("c", None, None, None)]


def test_a_section_of_no_cells_is_accepted() -> None:
    """Some SDKs begin the section of cells although there are none."""
    assert decode_row(handmade()) == ([], [], False)


def test_memory_of_names_is_bounded() -> None:
    """Of 9000 names no more than 4096 are kept, of names longer than 255 bytes none, and all of them are right."""
    row = DecodedRow([], [Cell(f"bounded {number}", number, None, None) for number in range(9000)], deleted=False)
    row.cells.append(Cell("x" * 256, 0, None, None))
    for _ in range(2):
        assert decode_row(encode_rows([row], bytes_as=VT_BLOB)) == row
        assert len(encoding._HEADS) <= 4096
        assert len(decoding._COLUMNS) <= 4096
        reached, column = set(), decoding._BEFORE_ATTRIBUTES
        while column not in reached:
            reached.add(column)
            column = column.next
        assert len(reached) <= 4098
    assert "x" * 256 not in encoding._HEADS
    assert all(len(column.name) <= 255 for column in decoding._COLUMNS.values())


def test_threads_share_what_is_remembered() -> None:
    """Threads that read and write rows of different tables at a time get their own names and values."""
    wrong: list[object] = []

    def work(table: int) -> None:
        for turn in range(300):
            width = 1 + (turn * table) % 7
            row = DecodedRow(
                [("k", turn)], [Cell(f"c{table % 2}{n}", n, turn, None) for n in range(width)], deleted=False
            )
            if decode_row(encode_rows([row], bytes_as=VT_BLOB)) != row:
                wrong.append(row)

    threads = [threading.Thread(target=work, args=(table,)) for table in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
