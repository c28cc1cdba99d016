"""What a row costs here and in the official SDK, measured in the same run."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ots_config.plainbuffer import VT_BLOB, decode_row, decode_rows, encode_row, encode_rows
from ots_config.sdk import tablestore

Builder = tablestore.plainbuffer.plain_buffer_builder.PlainBufferBuilder
stream = tablestore.plainbuffer.plain_buffer_stream.PlainBufferInputStream
coded = tablestore.plainbuffer.plain_buffer_coded_stream.PlainBufferCodedInputStream

VERSION = 1_700_000_000_000
KEY: list[tuple[str, Any]] = [("gid", 12345), ("uid", "user-0001")]
VALUES: list[Any] = [7, "text of some twenty b", 1.5, True, -1, "short", 2.25, False, 1 << 40, "another text"]
CELLS = [(f"column_{number}", value, None, None) for number, value in enumerate(VALUES)]
VERSIONS = [(name, value, VERSION, None) for name, value, _, _ in CELLS]
ROW = encode_row(KEY, VERSIONS)
ROWS = encode_rows([(KEY, VERSIONS)] * 100, bytes_as=VT_BLOB)


@pytest.mark.benchmark(group="encode row")
def test_encode_row(benchmark: BenchmarkFixture) -> None:
    """Two key columns and ten attributes are encoded by this library."""
    assert benchmark(encode_row, KEY, CELLS)


@pytest.mark.benchmark(group="encode row")
def test_encode_row_official(benchmark: BenchmarkFixture) -> None:
    """The official SDK encodes the same row, to the same bytes."""
    columns = [cell[:2] for cell in CELLS]
    assert benchmark(Builder.serialize_for_put_row, KEY, columns) == encode_row(KEY, CELLS)


@pytest.mark.benchmark(group="decode row")
def test_decode_row(benchmark: BenchmarkFixture) -> None:
    """Two key columns and ten attributes with versions are decoded by this library."""
    assert benchmark(decode_row, ROW).primary_key == KEY


@pytest.mark.benchmark(group="decode row")
def test_decode_row_official(benchmark: BenchmarkFixture) -> None:
    """The official SDK decodes the same row."""
    assert benchmark(lambda: coded(stream(ROW)).read_row())[0] == KEY


@pytest.mark.benchmark(group="decode rows")
def test_decode_rows(benchmark: BenchmarkFixture) -> None:
    """A range of a hundred such rows is decoded by this library."""
    assert len(benchmark(decode_rows, ROWS)) == 100


@pytest.mark.benchmark(group="decode rows")
def test_decode_rows_official(benchmark: BenchmarkFixture) -> None:
    """The official SDK decodes the same range."""
    assert len(benchmark(lambda: coded(stream(ROWS)).read_rows())) == 100
