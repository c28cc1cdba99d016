"""The form of GetRange's rows: PlainBuffer, or SimpleRowMatrix where the request asks for it."""

from struct import unpack_from
from typing import Any

import pytest
from fastcrc.crc8 import smbus
from tablestore import Row, TableOptions

from ots_config.emulator.tablestore.protocol import pb2
from ots_config.plainbuffer import VT_BLOB, Marker, decode_rows, decode_value, encode_row

LOW, HIGH = [[("a", mark), ("b", mark)] for mark in (Marker.INF_MIN, Marker.INF_MAX)]


def scan(client: Any, **fields: Any) -> Any:
    """Return the response of a GetRange of the whole table ``t``."""
    request = pb2.GetRangeRequest(
        table_name="t",
        direction=pb2.FORWARD,
        inclusive_start_primary_key=encode_row(LOW, bytes_as=VT_BLOB),
        exclusive_end_primary_key=encode_row(HIGH, bytes_as=VT_BLOB),
        **{"max_versions": 1, **fields},
    )
    body = client.send("GetRange", request.SerializeToString())
    return pb2.GetRangeResponse.FromString(body)


def matrix(data: bytes) -> tuple[list[str], list[str], bool, list[list[Any]]]:
    """Return the key columns, the other columns, whether keys are whole, and the values of each row of a matrix."""
    assert data[:4] == b"SRM0"
    assert data[-2] == 1
    assert data[-1] == smbus(data[:-1])
    data_at, options_at, keys, columns = unpack_from("<IIII", data, 4)
    names, at = [], 20
    for _ in range(keys + columns):
        (length,) = unpack_from("<H", data, at)
        names.append(data[at + 2 : at + 2 + length].decode())
        at += 2 + length
    assert at == options_at
    entire, count_tag, count = unpack_from("<xBBI", data, options_at)
    assert (data[options_at], count_tag, data_at) == (10, 3, options_at + 7)
    rows, at = [], data_at
    for _ in range(count):
        assert data[at] == 2
        at += 1
        row: list[Any] = []
        for _ in names:
            size = {0: 8, 1: 8, 2: 1, 6: 0}.get(data[at])
            end = at + 1 + (4 + unpack_from("<I", data, at + 1)[0] if size is None else size)
            row.append(None if size == 0 else decode_value(data[at:end], binary=bytes))
            at = end
        rows.append(row)
    assert at == len(data) - 2
    return names[:keys], names[keys:], bool(entire), rows


@pytest.fixture
def filled(client: Any, table: str) -> str:
    """Return a table with three rows."""
    client.put(
        table, [("a", 1), ("b", "公")], [("s", "é"), ("i", -1), ("d", 0.5), ("t", True), ("x", bytearray(b"\xff"))]
    )
    client.put(table, [("a", 2), ("b", "")], [("s", ""), ("f", False)])
    client.put(table, [("a", 3), ("b", "")])
    return table


@pytest.mark.usefixtures("filled")
def test_every_page_says_its_form_and_its_compression(client: Any) -> None:
    """Fields 5 and 6 are there, both 0, also without rows and when the request does not name them."""
    for fields in ({}, {"columns_to_get": ["none"]}, {"data_block_type_hint": pb2.DBT_PLAIN_BUFFER}):
        reply = scan(client, compress_type_hint=pb2.CPT_NONE, **fields)
        assert (reply.HasField("data_block_type"), reply.HasField("compress_type")) == (True, True)
        assert (reply.data_block_type, reply.compress_type) == (0, 0)
        assert reply.HasField("rows")
    assert len(decode_rows(scan(client).rows, binary=bytes)) == 3


@pytest.mark.usefixtures("filled")
def test_a_page_is_a_matrix_if_asked_for(client: Any) -> None:
    """The columns are those of all rows, in order; what a row does not have is null."""
    reply = scan(client, data_block_type_hint=pb2.DBT_SIMPLE_ROW_MATRIX)
    assert reply.data_block_type == 1
    assert matrix(reply.rows) == (
        ["a", "b"],
        ["d", "f", "i", "s", "t", "x"],
        True,
        [
            [1, "公", 0.5, None, -1, "é", True, b"\xff"],
            [2, "", None, False, None, "", None, None],
            [3, "", None, None, None, None, None, None],
        ],
    )


@pytest.mark.usefixtures("filled")
def test_a_matrix_has_the_columns_that_the_request_names(client: Any) -> None:
    """They come in the order of the request, the key before them; a page without rows is a matrix too."""
    fields = {"data_block_type_hint": pb2.DBT_SIMPLE_ROW_MATRIX}
    reply = scan(client, columns_to_get=["s", "b", "i", "s"], **fields)
    assert matrix(reply.rows) == (
        ["a", "b"],
        ["s", "i"],
        True,
        [[1, "公", "é", -1], [2, "", "", None], [3, "", None, None]],
    )
    assert matrix(scan(client, columns_to_get=["none"], **fields).rows) == (["a", "b"], ["none"], True, [])


@pytest.mark.usefixtures("filled")
def test_a_page_may_have_a_part_of_the_key(client: Any) -> None:
    """Without entire keys, a row has only those key columns that the request names."""
    fields = {"return_entire_primary_keys": False, "columns_to_get": ["b", "s"]}
    rows = decode_rows(scan(client, **fields).rows, binary=bytes)
    assert [row.primary_key for row in rows] == [[("b", "公")], [("b", "")], [("b", "")]]
    reply = scan(client, data_block_type_hint=pb2.DBT_SIMPLE_ROW_MATRIX, **fields)
    assert matrix(reply.rows) == (["b"], ["s"], False, [["公", "é"], ["", ""], ["", None]])


def test_rows_with_several_versions_stay_in_plainbuffer(client: Any) -> None:
    """The matrix has one value for each column, and what is asked for is a hint."""
    client.make_table("t", ("a", "INTEGER"), ("b", "STRING"), options=TableOptions(-1, 2))
    for value in (1, 2):
        client.update_row("t", Row([("a", 1), ("b", "k")], {"PUT": [("x", value)]}), None)
        client.clock.now += 1
    reply = scan(client, max_versions=2, data_block_type_hint=pb2.DBT_SIMPLE_ROW_MATRIX)
    assert reply.data_block_type == pb2.DBT_PLAIN_BUFFER
    assert len(decode_rows(reply.rows, binary=bytes)[0].cells) == 2
    assert scan(client, data_block_type_hint=pb2.DBT_SIMPLE_ROW_MATRIX).data_block_type == pb2.DBT_SIMPLE_ROW_MATRIX
