"""PlainBuffer: the official SDK's encoder and decoder are the measure, and no bytes can do harm."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ots_config.plainbuffer import (
    OP_DELETE_ALL_VERSIONS,
    OP_DELETE_ONE_VERSION,
    OP_INCREMENT,
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
    encode_row,
    encode_rows,
    encode_value,
    encoding,
    value_size,
)
from ots_config.sdk import tablestore

official = tablestore.plainbuffer.plain_buffer_builder
streams = tablestore.plainbuffer.plain_buffer_stream
coded = tablestore.plainbuffer.plain_buffer_coded_stream
crc8 = tablestore.plainbuffer.plain_buffer_crc8.PlainBufferCrc8
Builder = official.PlainBufferBuilder

HEADER = struct.pack("<I", 0x75)
MARKERS = {
    Marker.INF_MIN: tablestore.INF_MIN,
    Marker.INF_MAX: tablestore.INF_MAX,
    Marker.AUTO_INCREMENT: tablestore.PK_AUTO_INCR,
}
OPS = {"DELETE": OP_DELETE_ONE_VERSION, "DELETE_ALL": OP_DELETE_ALL_VERSIONS, "INCREMENT": OP_INCREMENT, "PUT": None}

calmly = settings(deadline=None)

KNOWS_BOOLEAN_KEYS = Builder.serialize_primary_key([("", True)]) != Builder.serialize_primary_key([("", 1)])
"""Whether this version of the SDK does; older ones write a truth value in a key as an INTEGER."""

int64 = st.integers(-(2**63), 2**63 - 1)
texts = st.text(max_size=40) | st.integers(240, 300).map(lambda length: "语" * (length // 3) + "x" * length)
blobs = st.binary(max_size=40) | st.integers(250, 260).map(lambda length: b"\xff" * length)
ascii_names = st.text(st.characters(max_codepoint=127), max_size=20)
names = ascii_names | st.text(max_size=20)
timestamps = st.none() | st.integers(0, 2**63 - 1)
sound = st.booleans() | int64 | st.floats() | texts | blobs.map(bytearray)  # what comes back as it was
values = sound | blobs
key_booleans = st.booleans() if KNOWS_BOOLEAN_KEYS else st.nothing()
key_values = key_booleans | int64 | texts | blobs | blobs.map(bytearray) | st.sampled_from(Marker)
keys = st.lists(st.tuples(ascii_names, key_values), max_size=4)
cells = st.lists(
    st.builds(Cell, names, st.none() | sound, timestamps, st.sampled_from([None, *range(1, 5)])), max_size=5
)
sound_keys = st.lists(
    st.tuples(names, st.one_of(int64, texts, blobs.map(bytearray), st.sampled_from(Marker))), max_size=4
)
rows = st.builds(DecodedRow, sound_keys, cells, st.booleans())
"""Any row that decodes to what was encoded."""


def theirs(primary_key: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Write a key as the official SDK wants it."""
    return [(name, MARKERS[value] if isinstance(value, Marker) else value) for name, value in primary_key]


def official_rows(data: bytes) -> list[tuple[Any, Any]]:
    """Decode rows with the official SDK."""
    stream = coded.PlainBufferCodedInputStream(streams.PlainBufferInputStream(data))
    return [(row.primary_key, row.attribute_columns) for row in stream.read_rows()]


def handmade(*contents: tuple[bytes, bytes], key: bytes = b"", end: int = 0) -> bytes:
    """Assemble a row from its cells, each the bytes after the name's tag and what its checksum covers."""
    row_crc = 0
    body = HEADER + b"\x01" + key + b"\x02"
    for cell, summed in contents:
        crc = crc8.crc_bytes(0, summed)
        row_crc = crc8.crc_int8(row_crc, crc)
        body += b"\x03\x04" + cell + b"\x0a" + bytes([crc])
    return body + b"\x09" + bytes([crc8.crc_int8(row_crc, end)])


@pytest.fixture(autouse=True, scope="module")
def _room() -> Iterator[None]:
    """Give the official encoder room; its estimate of a row's size is too low for timestamped changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(official, "PlainBufferOutputStream", lambda _: streams.PlainBufferOutputStream(1 << 30))
        yield


# --- encoding ---------------------------------------------------------------------------------------------


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


# --- decoding ---------------------------------------------------------------------------------------------


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


# --- input that is wrong ----------------------------------------------------------------------------------


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


# --- what is remembered -----------------------------------------------------------------------------------


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
