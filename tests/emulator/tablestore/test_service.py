"""The service takes any bytes for any operation, and says what is wrong with them."""

import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tablestore import (
    INF_MIN,
    BatchGetRowRequest,
    BatchWriteRowRequest,
    Condition,
    PutRowItem,
    Row,
    TableInBatchGetRowItem,
    TableInBatchWriteRowItem,
)

from ots_config.emulator.tablestore import rows
from ots_config.emulator.tablestore.service import IMPLEMENTED, execute
from ots_config.sdk import tablestore

pb2 = tablestore.protobuf.table_store_pb2
KEY = [("a", 1), ("b", "k")]
UNPARSABLE = "Failed to parse the ProtoBuf message."


def requests(client: Any) -> list[tuple[str, bytes]]:
    """Return a good request of each operation on rows."""
    write = BatchWriteRowRequest()
    write.add(TableInBatchWriteRowItem("t", [PutRowItem(Row(KEY, [("x", 1)]), Condition("IGNORE"))]))
    read = BatchGetRowRequest()
    read.add(TableInBatchGetRowItem("t", [KEY], max_version=1))
    encode = client.protocol.encoder.encode_request
    return [
        (name, encode(name, *arguments).SerializeToString())
        for name, arguments in (
            ("PutRow", ("t", Row(KEY, [("x", 1)]), None, None, None)),
            ("GetRow", ("t", KEY, None, None, 1, None, None, None, None, None)),
            ("UpdateRow", ("t", Row(KEY, {"PUT": [("x", 1)], "DELETE_ALL": ["y"]}), None, None, None)),
            ("DeleteRow", ("t", KEY, None, None, None)),
            ("GetRange", ("t", "FORWARD", KEY, [("a", 2), ("b", "")], None, 5, None, 1, None, None, None, None, None)),
            ("BatchGetRow", (read,)),
            ("BatchWriteRow", (write,)),
            ("StartLocalTransaction", ("t", KEY[:1])),
        )
    ]


def test_operations_that_there_are_not(client: Any, refused: Any) -> None:
    """An operation that is not implemented, or spelt otherwise, is unsupported; those that are are listed."""
    for name in ("Search", "SQLQuery", "putrow", "", "Föö", "../PutRow"):
        with refused("OTSParameterInvalid", f"Unsupported operation: '{name}'."):
            client.send(name, b"")
        assert name not in IMPLEMENTED
    assert len(IMPLEMENTED) == 26


@pytest.mark.parametrize(
    "name",
    sorted(
        {*IMPLEMENTED}
        - {"ListTable", "ListSearchIndex", "ListTimeseriesTable", "ListStream", "BatchGetRow", "BatchWriteRow"}
    ),
)
def test_an_empty_request_lacks_its_fields(client: Any, refused: Any, name: str) -> None:
    """A request without its required fields is refused."""
    with refused("OTSParameterInvalid", UNPARSABLE):
        client.send(name, b"")


@pytest.mark.parametrize("name", IMPLEMENTED)
def test_bytes_that_are_no_protobuf(client: Any, refused: Any, name: str) -> None:
    """Garbage is the sender's fault for every operation."""
    with refused("OTSParameterInvalid", UNPARSABLE):
        client.send(name, b"\xff\xff\xff\xff")


def test_text_that_is_no_utf8(client: Any, table: str, refused: Any) -> None:
    """A string field that is not UTF-8 is refused wherever it stands."""
    broken = b"\xff\xfe"

    def patched(name: str, fill: Any) -> bytes:
        message = dict(requests(client))[name]
        return message + fill

    with refused("OTSParameterInvalid"):
        client.send("DescribeTable", b"\x0a\x02" + broken)
    with refused("OTSParameterInvalid", UNPARSABLE):
        client.send("GetRow", patched("GetRow", b"\x1a\x02" + broken))
    with refused("OTSParameterInvalid", UNPARSABLE):
        client.send("GetRow", patched("GetRow", b"\x42\x02" + broken))
    with refused("OTSParameterInvalid", "TransactionID is invalid."):
        client.send("GetRow", patched("GetRow", b"\x5a\x02" + broken))
    with refused("OTSParameterInvalid"):
        client.send("DropIndex", b"\x0a\x01t\x12\x02" + broken)
    assert client.list_table() == (table,)


def test_rows_that_are_no_plainbuffer(client: Any, table: str, refused: Any) -> None:
    """A row of another format, with a wrong checksum, or a deletion where a row belongs, is refused."""
    for name, field in (("PutRow", "row"), ("GetRow", "primary_key"), ("UpdateRow", "row_change")):
        message = getattr(pb2, f"{name}Request").FromString(dict(requests(client))[name])
        good = getattr(message, field)
        for bad in (b"", b"\x00", good[:-1], good[:-2], good[:4] + b"\x09" + good[5:], good + b"\x01"):
            setattr(message, field, bad)
            with refused("OTSParameterInvalid", "data format is invalid."):
                client.send(name, message.SerializeToString())
        setattr(message, field, good[:-1] + bytes([good[-1] ^ 1]))
        with refused("OTSParameterInvalid"):
            client.send(name, message.SerializeToString())
    put = pb2.PutRowRequest.FromString(dict(requests(client))["PutRow"])
    put.row = pb2.DeleteRowRequest.FromString(dict(requests(client))["DeleteRow"]).primary_key
    unexpected = "Invalid request of put/update row: unexpected RowDeleteMarker in request."
    with refused("OTSParameterInvalid", unexpected):
        client.send("PutRow", put.SerializeToString())
    assert client.columns(table, KEY) is None


def test_zeros_behind_a_row_are_padding(client: Any, table: str) -> None:
    """The Node SDK sends some rows in a buffer that is too large: zeros after the checksum, whatever that is."""
    put = pb2.PutRowRequest.FromString(dict(requests(client))["PutRow"])
    sums = set()
    for number in range(600):
        key = [("a", 1), ("b", f"k{number}")]
        put.row = client.encoded("PutRow", "t", Row(key, [("x", number)]), None, None, None).row
        sums.add(put.row[-1])
        put.row += b"\0" * (number % 3 + 1)
        client.send("PutRow", put.SerializeToString())
        assert client.columns(table, key) == {"x": number}
    assert 0 in sums


def test_a_fault_of_the_emulator_is_one_of_the_service(
    client: Any, table: str, refused: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception that nobody expected is answered 500 and logged, and the next request is served."""

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(rows, "read_change", broken)
    with (
        caplog.at_level(logging.ERROR, "ots_config.emulator"),
        refused("OTSInternalServerError", "Internal server error.", 500),
    ):
        client.put(table, KEY)
    assert [record.name for record in caplog.records] == ["ots_config.emulator"]
    monkeypatch.undo()
    client.put(table, KEY)


@settings(deadline=None)
@given(name=st.sampled_from(IMPLEMENTED), body=st.binary(max_size=80))
def test_no_bytes_are_too_strange(make_client: Any, name: str, body: bytes) -> None:
    """Whatever is sent, an answer comes that is no fault of the emulator's own."""
    client = make_client()
    client.make_table("t", ("a", "INTEGER"), ("b", "STRING"))
    result = execute(client.instance, name, body)
    assert result.status in {200, 400, 404}


@settings(deadline=None)
@given(data=st.data())
def test_no_damage_is_too_subtle(make_client: Any, data: st.DataObject) -> None:
    """Good requests with bytes changed, cut off or added are answered, and never by 500."""
    client = make_client()
    client.make_table("t", ("a", "INTEGER"), ("b", "STRING"))
    name, good = data.draw(st.sampled_from(requests(client)))
    body = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        if not body:
            break
    result = execute(client.instance, name, bytes(body))
    assert result.status in {200, 400, 403, 404, 409}, (name, bytes(body))


def test_the_request_is_checked_before_its_table(client: Any, refused: Any) -> None:
    """Errors of the request itself are reported first, whether or not its table is there, as in a batch."""
    with refused("OTSParameterInvalid", "No version condition is specified."):
        client.get_row("none", KEY, max_version=None)
    with refused("OTSParameterInvalid", "VT_INF_MIN is an invalid type for the primary key."):
        client.put("none", [("a", INF_MIN)])
    with refused("OTSParameterInvalid", "The limit must be greater than 0."):
        client.keys("none", KEY, KEY, limit=0)
    with refused("OTSParameterInvalid", "Invalid table name: '0'."):
        client.get_row("0", KEY)
    with refused("OTSObjectNotExist", "Requested table does not exist.", 404):
        client.keys("none", KEY, KEY)
