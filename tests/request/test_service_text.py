"""Text from the service: what of it reaches an error or a log."""

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from ots_config.client.batch import BatchState
from ots_config.client.codec import Codec, read_error, undecodable
from ots_config.credentials.credentials import Credentials
from ots_config.request.attempt import Authenticator
from ots_config.request.http_parser import HTTPResponse
from ots_config.request.io import run_sync
from ots_config.request.operations import OPERATIONS
from ots_config.request.retry_policy import NoRetryPolicy
from ots_config.request.signing import Signer
from ots_config.sdk import pb2 as _pb2
from ots_config.sdk import tablestore
from ots_config.shown_text import printable

pb2: Any = _pb2
EVIL = "bad\nERROR forged\r\x1b[2J\u202etxt\x00\u2028\x85\ud800end"
KEY = Credentials("id", "secret", source="test")


def response(body: bytes, reason: str = "", **headers: str) -> Any:
    """Return the error that a response becomes."""
    authenticator = Authenticator(signer=Signer("demo"), read_error=read_error, logger=logging.getLogger("test"))
    _, key, now = authenticator.sign(OPERATIONS["GetRow"], b"", KEY)
    return authenticator.verify(OPERATIONS["GetRow"], HTTPResponse(503, reason, headers, body), KEY, key, now)


def test_a_text_becomes_one_printable_line() -> None:
    """Line breaks become spaces, what controls a terminal or cannot be seen is replaced, and the rest stays."""
    assert printable(EVIL) == "bad ERROR forged \ufffd[2J\ufffdtxt\ufffd  \ufffdend"
    assert printable("Größe 水 🙂") == "Größe 水 🙂"
    assert printable("x" * 5000) == "x" * 2000 + "..."


@pytest.mark.parametrize("form", ["protobuf", "json"])
def test_messages_are_cleaned(form: str) -> None:
    """The message of an error in either form is one printable line of a bounded length."""
    text = EVIL.replace("\ud800", "") + "x" * 10_000
    error = pb2.Error(code="OTSServerBusy", message=text)
    body = (
        error.SerializeToString() if form == "protobuf" else json.dumps({"code": error.code, "message": text}).encode()
    )
    found = response(body)
    assert found.code == "OTSServerBusy"
    assert str(found).isprintable()
    assert len(found.message) < 2100


@pytest.mark.parametrize("code", ["OTS\nBusy", "", "x" * 101, "Ünknown", "a b"])
def test_a_malformed_code_is_no_code_of_the_service(code: str) -> None:
    """A body whose code has not the form of one is not the service's own."""
    assert read_error(pb2.Error(code=code, message="m").SerializeToString()) is None
    assert read_error(json.dumps({"code": code, "message": "m"}).encode()) is None


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"code": 1}', b'{"code": ["a"]}', b"{" * 100_000, b'{"a":' * 100_000])
def test_a_malformed_body_is_no_error_of_the_service(body: bytes) -> None:
    """Whatever a body is, reading it raises nothing."""
    assert read_error(body) is None


def test_request_ids_and_reasons_are_checked() -> None:
    """A request id of another form is left out, and the reason of a status line is cleaned."""
    assert response(b"<html>", **{"x-ots-requestid": "a\x1b[2J"}).request_id == ""
    assert response(b"<html>", **{"x-ots-requestid": "0005-ab_c.1:2"}).request_id == "0005-ab_c.1:2"
    assert str(response(b"<html>", "Bad\x1b[2J" + "x" * 1000)).isprintable()
    bad: Any = undecodable("GetRow", HTTPResponse(200, "", {"x-ots-requestid": "a\x1b[2J"}, b""))
    assert bad.request_id == ""


def test_errors_of_rows_are_cleaned() -> None:
    """Code and message of a failed row are printable in the result of a batch and in a bulk write's error."""

    async def never_asked(_: str) -> bool:
        raise AssertionError

    request = tablestore.BatchWriteRowRequest()
    put = tablestore.PutRowItem(tablestore.Row([("id", 1)], [("n", 1)]), None)
    request.add(tablestore.TableInBatchWriteRowItem("t", [put]))
    item: Any = SimpleNamespace(is_ok=False, error_code="OTS\x1bBusy", error_message="bad\nline")
    batch = BatchState("BatchWriteRow", request, {"t": [item]})
    failed = pb2.BatchWriteRowResponse()
    row = failed.tables.add(table_name="t").rows.add(is_ok=False)
    row.error.code, row.error.message = item.error_code, item.error_message
    response = HTTPResponse(200, "", {}, failed.SerializeToString())
    bulk: Any = Codec(None).failed_items(response, "t")[1][0]
    run_sync(batch.rows_to_retry(NoRetryPolicy(), 0, never_asked))
    for code, message in ((item.error_code, item.error_message), (bulk.code, bulk.message)):
        assert (code, message) == ("OTS\ufffdBusy", "bad line")
