"""Rows of PlainBuffer, for hypothesis, and the official encoder and decoder that ours are compared with."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from ots_config.plainbuffer import OP_DELETE_ALL_VERSIONS, OP_DELETE_ONE_VERSION, OP_INCREMENT, Cell, DecodedRow, Marker
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
