"""Every kind of fault does to a request what it says, and to no other request."""

import http.client
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.emulator import Emulator
from ots_config.emulator.faults import KINDS, Faults, OrderInvalid, read_order
from ots_config.errors import ResponseInvalid
from ots_config.request.signing import Signer, verify_response
from ots_config.sdk import tablestore

pb2 = tablestore.protobuf.table_store_pb2
PUT = "/PutRow"
RESET = (ConnectionResetError, http.client.RemoteDisconnected)


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    """Run an emulator with a table for this file's tests."""
    with Emulator() as emulator:
        client = tablestore.OTSClient(emulator.endpoint, "testid", "testsecret", "demo")
        client.create_table(
            tablestore.TableMeta("t", [("k", "INTEGER")]),
            tablestore.TableOptions(),
            tablestore.ReservedThroughput(tablestore.CapacityUnit(0, 0)),
        )
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Iterator[Emulator]:
    """Return the emulator without faults and log."""
    running.clear_faults()
    running.clear_log()
    yield running
    running.clear_faults()


@pytest.fixture
def client(emulator: Emulator) -> Any:
    """Return the official client, without its retries."""
    return tablestore.OTSClient(
        emulator.endpoint, "testid", "testsecret", "demo", retry_policy=tablestore.NoRetryPolicy()
    )


class Raw:
    """A client that signs, sends once and looks at what comes."""

    def __init__(self, emulator: Emulator) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=20)
        self.key = b""

    def put(self, number: int) -> tuple[int, dict[str, str], bytes]:
        """Write a row."""
        request = tablestore.OTSClient("http://x", "id", "secret", "demo").protocol.encoder.encode_request(
            "PutRow", "t", tablestore.Row([("k", number)], [("a", 1)]), None, None, None
        )
        return self.send(PUT, request.SerializeToString())

    def send(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request."""
        headers, self.key = Signer("demo").sign(path, body, Credentials("testid", "testsecret"), time.time())
        self.connection.request("POST", path, body, headers)
        response = self.connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.headers.items()}, response.read()

    def verify(self, answer: tuple[int, dict[str, str], bytes], now: float | None = None) -> None:
        """Check an answer as a client does."""
        status, headers, body = answer
        verify_response(
            PUT, status, headers, body, access_key_id="testid", key=self.key, now=time.time() if now is None else now
        )


@pytest.fixture
def raw(emulator: Emulator) -> Iterator[Raw]:
    """Return a client that shows everything."""
    made = Raw(emulator)
    yield made
    made.connection.close()


def stored(emulator: Emulator, number: int) -> bool:
    """Tell whether a row was written."""
    emulator.clear_faults()
    client = tablestore.OTSClient(emulator.endpoint, "testid", "testsecret", "demo")
    return client.get_row("t", [("k", number)])[1] is not None


def last(emulator: Emulator) -> dict[str, Any]:
    """Return the newest entry of the log."""
    return emulator.log()[-1]


def test_error_responses_signed_without_doing_it(emulator: Emulator, raw: Raw) -> None:
    """A fault of kind error is the service's own error: its status, its words, a signature that holds."""
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy")
    answer = raw.put(1)
    raw.verify(answer)
    error = pb2.Error.FromString(answer[2])
    assert (answer[0], error.code, error.message) == (503, "OTSServerBusy", "Server is busy.")
    assert (last(emulator)["status"], last(emulator)["code"], last(emulator)["applied"]) == (
        503,
        "OTSServerBusy",
        False,
    )
    assert not stored(emulator, 1)


def test_error_says_what_was_ordered(emulator: Emulator, client: Any) -> None:
    """Status and words can be any, and so can the code."""
    emulator.fault(operation="*", kind="error", code="OTSStrange", status=418, message="So be it.")
    with pytest.raises(tablestore.OTSServiceError) as caught:
        client.list_table()
    error = caught.value
    assert (error.get_http_status(), error.get_error_code(), error.get_error_message()) == (
        418,
        "OTSStrange",
        "So be it.",
    )


def test_status_answers_as_a_proxy_does(emulator: Emulator, raw: Raw) -> None:
    """A fault of kind status is a plain page without any of the service's headers."""
    emulator.fault(operation="PutRow", kind="status", status=502, body="<h1>Bad Gateway</h1>")
    status, headers, body = raw.put(2)
    assert (status, headers["content-type"], body) == (502, "text/html", b"<h1>Bad Gateway</h1>")
    assert not [name for name in headers if name.startswith(("x-ots", "authorization"))]
    assert (last(emulator)["status"], last(emulator)["applied"]) == (502, False)
    assert not stored(emulator, 2)


def test_status_204_has_no_body(emulator: Emulator, raw: Raw) -> None:
    """A status that allows no body gets none, and the connection goes on."""
    emulator.fault(operation="PutRow", kind="status", status=204, body="ignored", count=1)
    assert raw.put(3)[::2] == (204, b"")
    assert raw.put(3)[0] == 200


def test_delay_does_it_later(emulator: Emulator, raw: Raw) -> None:
    """A fault of kind delay changes nothing but the time."""
    emulator.fault(operation="PutRow", kind="delay", seconds=0.05, count=1)
    raw.verify(raw.put(4))
    assert stored(emulator, 4)


def test_a_delayed_write_happens_though_the_client_left(emulator: Emulator, raw: Raw) -> None:
    """Who gives up waiting does not undo what was sent."""
    emulator.fault(operation="PutRow", kind="delay", seconds=0.2)
    raw.connection.timeout = 0.05
    with pytest.raises(TimeoutError):
        raw.put(5)
    raw.connection.close()
    while not emulator.log():
        time.sleep(0.01)
    assert last(emulator)["applied"]
    assert stored(emulator, 5)


def test_reset_before_does_nothing(emulator: Emulator, raw: Raw) -> None:
    """The connection is reset and nothing was written; the log has no status, as none was sent."""
    emulator.fault(operation="PutRow", kind="reset_before")
    with pytest.raises(RESET):
        raw.put(6)
    assert (last(emulator)["status"], last(emulator)["applied"]) == (None, False)
    assert not stored(emulator, 6)


def test_reset_after_does_it(emulator: Emulator, raw: Raw) -> None:
    """The connection is reset and the row was written all the same."""
    emulator.fault(operation="PutRow", kind="reset_after")
    with pytest.raises(RESET):
        raw.put(7)
    assert (last(emulator)["status"], last(emulator)["applied"]) == (None, True)
    assert stored(emulator, 7)


def test_reset_after_of_what_fails_applies_nothing(emulator: Emulator, raw: Raw) -> None:
    """The log says applied only if there was an effect."""
    emulator.fault(operation="*", kind="reset_after")
    with pytest.raises(RESET):
        raw.send("/DeleteTable", pb2.DeleteTableRequest(table_name="none").SerializeToString())
    assert (last(emulator)["code"], last(emulator)["applied"]) == (None, False)


def test_truncate_sends_half(emulator: Emulator, raw: Raw) -> None:
    """Half of the body comes under the length of all of it, and then the end."""
    emulator.fault(operation="PutRow", kind="truncate")
    with pytest.raises(http.client.IncompleteRead) as caught:
        raw.put(8)
    assert len(caught.value.partial) > 0
    assert caught.value.expected in {len(caught.value.partial), len(caught.value.partial) + 1}
    assert stored(emulator, 8)


def test_truncate_of_an_empty_body_cuts_the_head(emulator: Emulator) -> None:
    """An answer without a body is cut within its headers."""
    emulator.fault(operation="DeleteTable", kind="truncate")
    client = tablestore.OTSClient(emulator.endpoint, "testid", "testsecret", "demo")
    client.create_table(
        tablestore.TableMeta("gone", [("k", "INTEGER")]),
        tablestore.TableOptions(),
        tablestore.ReservedThroughput(tablestore.CapacityUnit(0, 0)),
    )
    with pytest.raises(Exception, match=r".") as caught:
        client.delete_table("gone")
    assert not isinstance(caught.value, tablestore.OTSServiceError)
    assert "gone" not in client.list_table()


@pytest.mark.parametrize(
    ("kind", "words", "official"),
    [("corrupt_md5", "MD5", "MD5 mismatch in response"), ("corrupt_signature", "signature", "Invalid signature")],
)
def test_corrupt_answers_fail_their_check(
    emulator: Emulator, raw: Raw, client: Any, kind: str, words: str, official: str
) -> None:
    """What is done is answered with one wrong value, which both clients notice."""
    emulator.fault(operation="PutRow", kind=kind)
    with pytest.raises(ResponseInvalid, match=words):
        raw.verify(raw.put(9))
    with pytest.raises(tablestore.OTSClientError, match=official):
        client.put_row("t", tablestore.Row([("k", 9)], [("a", 1)]))
    assert stored(emulator, 9)


def test_skew_moves_the_clock_of_the_service(emulator: Emulator, raw: Raw) -> None:
    """Dates of requests are measured against a wrong clock, and answers carry it."""
    emulator.fault(operation="PutRow", kind="skew", seconds=-600)
    answer = raw.put(10)
    with pytest.raises(ResponseInvalid, match="differ"):
        raw.verify(answer, time.time() + 900)
    raw.verify(answer, time.time() - 600)
    emulator.clear_faults()
    emulator.fault(operation="PutRow", kind="skew", seconds=1200)
    status, headers, body = raw.put(11)
    error = pb2.Error.FromString(body)
    assert (status, error.code) == (403, "OTSAuthFailed")
    assert error.message == f"Mismatch between system time and x-ots-date: {last(emulator)['x_ots_date']}."
    assert headers["x-ots-date"] > time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1100))
    assert not stored(emulator, 11)


def test_a_share_of_the_rows_fails(emulator: Emulator, client: Any) -> None:
    """The share of a batch's rows that was ordered fails, the others are done, and the answer is a success."""
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.5, seed=7)
    items = [
        tablestore.PutRowItem(tablestore.Row([("k", 1000 + number)], [("a", 1)]), tablestore.Condition("IGNORE"))
        for number in range(100)
    ]
    batch = tablestore.BatchWriteRowRequest()
    batch.add(tablestore.TableInBatchWriteRowItem("t", items))
    result = client.batch_write_row(batch)
    done, failed = result.get_succeed_of_put(), result.get_failed_of_put()
    assert {(row.error_code, row.error_message) for row in failed} == {("OTSServerBusy", "Server is busy.")}
    assert len(failed) == 50
    emulator.clear_faults()
    rows = client.get_range("t", "FORWARD", [("k", 1000)], [("k", 1100)])[2]
    assert len(rows) == len(done) == 100 - len(failed)


def test_batches_are_counted(emulator: Emulator, client: Any) -> None:
    """A count of a fault of kind rows is a count of batches; operations without rows are not hit."""
    emulator.fault(operation="*", kind="rows", code="OTSPartitionUnavailable", message="Gone.", count=3)
    client.put_row("t", tablestore.Row([("k", 2000)], [("a", 1)]))
    batch = tablestore.BatchGetRowRequest()
    batch.add(tablestore.TableInBatchGetRowItem("t", [[("k", 2000)], [("k", 2001)]], max_version=1))
    failed = [sum(not row.is_ok for row in client.batch_get_row(batch).get_result_by_table("t")) for _ in range(5)]
    assert failed == [2, 2, 2, 0, 0]


def test_a_count_is_spent(emulator: Emulator, client: Any) -> None:
    """A fault that was ordered for two requests hits two."""
    emulator.fault(operation="ListTable", kind="error", code="OTSServerBusy", count=2)
    codes = []
    for _ in range(4):
        try:
            client.list_table()
            codes.append("")
        except tablestore.OTSServiceError as error:
            codes.append(error.get_error_code())
    assert codes == ["OTSServerBusy", "OTSServerBusy", "", ""]


def test_a_fault_hits_its_operation_only(emulator: Emulator, client: Any) -> None:
    """Other operations and the other services are not hit."""
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy")
    assert "t" in client.list_table()


def test_the_first_fault_that_fires_wins() -> None:
    """Faults are asked in the order in which they were ordered; a spent one lets the next one have its turn."""
    faults = Faults()
    faults.install({"operation": "GetRow", "kind": "reset_before"})
    faults.install({"operation": "PutRow", "kind": "delay", "seconds": 1, "count": 1})
    faults.install({"operation": "*", "kind": "error", "code": "OTSTimeout", "rate": 0})
    faults.install({"operation": "*", "kind": "truncate"})
    chosen = [faults.choose("PutRow") for _ in range(2)]
    assert [fault and fault.kind for fault in chosen] == ["delay", "truncate"]
    assert [shown["fired"] for shown in faults.describe()] == [0, 1, 0, 1]


def test_a_seed_makes_chance_repeatable() -> None:
    """The same seed hits the same requests, another one hits others, and the rate is about what was ordered."""

    def hits(seed: int) -> list[bool]:
        fault = read_order({"operation": "*", "kind": "truncate", "rate": 0.3, "seed": seed})
        return [fault.fires() for _ in range(1000)]

    assert hits(1) == hits(1) != hits(2)
    assert 200 < sum(hits(1)) < 400


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_ordered(kind: str) -> None:
    """Each kind is taken with what it needs, and shown as it was understood."""
    given = {name: {"code": "OTSTimeout", "status": 503, "seconds": 1.0}[name] for name in KINDS[kind][0]}
    shown = read_order({"operation": "BatchWriteRow", "kind": kind, "rate": 0.5, **given}).describe()
    assert given.items() <= shown.items()
    assert (shown["operation"], shown["kind"], shown["rate"], shown["fired"]) == ("BatchWriteRow", kind, 0.5, 0)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ([], "must be a JSON object"),
        ({}, "kind must be one of error, status"),
        ({"operation": "PutRow", "kind": "explode"}, "not 'explode'"),
        ({"kind": "truncate"}, "needs 'operation'"),
        ({"operation": "PutRows", "kind": "truncate"}, "no operation 'PutRows'; did you mean 'PutRow'"),
        ({"operation": 7, "kind": "truncate"}, "no operation 7"),
        ({"operation": "PutRow", "kind": "error"}, "needs 'code'"),
        ({"operation": "PutRow", "kind": "error", "code": 5}, "code must be a text"),
        ({"operation": "PutRow", "kind": "error", "code": "\ud800"}, "half a character"),
        ({"operation": "PutRow", "kind": "status", "status": 502, "body": "a\udfff"}, "half a character"),
        ({"operation": "PutRow", "kind": "delay"}, "needs 'seconds'"),
        ({"operation": "PutRow", "kind": "delay", "seconds": -1}, "seconds must be from 0 to 3600"),
        ({"operation": "PutRow", "kind": "delay", "seconds": float("nan")}, "seconds must be from"),
        ({"operation": "PutRow", "kind": "delay", "seconds": 10**400}, "seconds must be from"),
        ({"operation": "PutRow", "kind": "delay", "seconds": "1"}, "seconds must be a number"),
        ({"operation": "PutRow", "kind": "truncate", "rate": 1.1}, "rate must be from 0 to 1"),
        ({"operation": "PutRow", "kind": "truncate", "rate": True}, "rate must be a number"),
        ({"operation": "PutRow", "kind": "truncate", "count": 0}, "count must be a whole number from 1"),
        ({"operation": "PutRow", "kind": "truncate", "count": 1.5}, "count must be a whole number"),
        ({"operation": "PutRow", "kind": "status", "status": 99}, "status must be a whole number from 200"),
        ({"operation": "PutRow", "kind": "truncate", "rates": 1}, "takes no 'rates'; did you mean 'rate'"),
        ({"operation": "PutRow", "kind": "rows", "code": "OTSTimeout"}, "done to BatchGetRow, BatchWriteRow or"),
        ({"operation": "sts", "kind": "corrupt_md5"}, "cannot be done to sts"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(order: Any, words: str) -> None:
    """One sentence says what is wrong with it."""
    with pytest.raises(OrderInvalid, match=words):
        read_order(order)


def test_a_refused_order_is_raised_where_it_was_given(emulator: Emulator) -> None:
    """In Python the order is refused with a ValueError, and nothing is in force."""
    with pytest.raises(ValueError, match="rate must be"):
        emulator.fault(kind="truncate", rate=2)
    assert not emulator.server.faults
