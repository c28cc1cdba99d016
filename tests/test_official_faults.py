"""The known faults of the official client, one test each: ours does not have it, and where it shows, the official does.

The numbers only tell the faults apart. What is asserted of the official client holds for the version that ``SEEN``
names; with another one it is left out, and what is asserted of ours stays.
"""

import http.server
import inspect
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import urllib3.exceptions

from ots_config import (
    AsyncOTSClient,
    AuthenticationFailed,
    Credentials,
    Emulator,
    NoDelayRetryPolicy,
    NoRetryPolicy,
    OTSClient,
    OTSConfigError,
    ResponseInvalid,
    ServiceError,
    SettingsError,
    WriteRetryPolicy,
)
from ots_config.request import attempt as exchange
from ots_config.request import signing
from ots_config.request.signing import content_md5, header_lines, sign_response, sign_v2, verify_response
from ots_config.sdk import OTSProtocol, pb2
from ots_config.sdk import tablestore as ts

SEEN = version("tablestore") == "6.4.8"
"""Whether the official client is the one in which these faults were seen."""
NATIVE = getattr(ts.encoder, "NATIVE_ENCODER_AVAILABLE", False)
"""Whether its encoder in C++ runs here; that of 6.4.8 is built for CPython 3.12."""
KEY = [("gid", 1), ("uid", "a")]
ROW = ts.Row(KEY, [("n", 1)])
FAST = NoDelayRetryPolicy()
PAGE = "<html><body>Bad Gateway</body></html>"


class FastWrites(WriteRetryPolicy):
    """Our policy for writes, without its delays."""

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Return 0."""
        return 0.0


class OfficialFastWrites(ts.WriteRetryPolicy):  # type: ignore[misc] # the SDK has no types
    """The official policy for writes, without its delays."""

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
        """Return 0."""
        return 0.0


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    """One emulator for this module."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    """Return the emulator with an empty table ``t`` and nothing else."""
    running.reset()
    with OTSClient(settings=running.settings) as client:
        meta = ts.TableMeta("t", [("gid", "INTEGER"), ("uid", "STRING")])
        client.create_table(meta, ts.TableOptions(), ts.ReservedThroughput(ts.CapacityUnit(0, 0)))
    running.clear_log()
    return running


Make = Callable[..., Any]


@pytest.fixture
def ours(emulator: Emulator) -> Iterator[Make]:
    """Make clients of ours; they are closed after the test."""
    made: list[OTSClient] = []

    def make(**options: Any) -> OTSClient:
        given = {"endpoint": emulator.endpoint, "access_key_id": "testid", "access_key_secret": "testsecret"}
        client = OTSClient(**{**given, "instance_name": "demo", "retry_policy": FAST, **options})
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def official(emulator: Emulator) -> Iterator[Make]:
    """Make official clients; their connections are closed after the test, and their log handlers taken away."""
    made: list[Any] = []
    handlers = logging.getLogger("tablestore-client").handlers
    before = list(handlers)

    def make(**options: Any) -> Any:
        given = {"end_point": emulator.endpoint, "access_key_id": "testid", "access_key_secret": "testsecret"}
        given |= {"instance_name": "demo", "retry_policy": ts.NoDelayRetryPolicy()}
        client = ts.OTSClient(**{**given, **options})
        made.append(client)
        return client

    yield make
    for client in made:
        client.connection.pool.clear()
    handlers[:] = before


def error_of(call: Callable[[], Any], kind: type[BaseException] = OTSConfigError) -> Any:
    """Return what a call raises."""
    with pytest.raises(kind) as caught:
        call()
    return caught.value


def requests_of(emulator: Emulator, call: Callable[[], Any]) -> int:
    """Return how many requests reach the server during a call that may fail."""
    emulator.clear_log()
    with suppress(Exception):
        call()
    return len(emulator.log())


Respond = Callable[[str, dict[str, str], bytes], tuple[int, dict[str, str], bytes]]


class Impostor:
    """A server that answers as a test says, and keeps what it was asked: where, with which headers, and what."""

    def __init__(self) -> None:
        self.respond: Respond = signed
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        impostor = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", "0")))
                impostor.asked.append((self.path, headers, body))
                status, told, content = impostor.respond(self.path, headers, body)
                self.send_response(status)
                for name, value in told.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Print nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def signed_headers(path: str, body: bytes, at: datetime | None = None) -> dict[str, str]:
    """Return the headers of an answer as the service signs it."""
    headers = {
        "x-ots-requestid": "0006573a-714c-05d9-12a2-ca0b0fffafe6",
        "x-ots-date": (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "x-ots-contenttype": "protocol buffer",
        "x-ots-contentmd5": content_md5(body),
    }
    signature = sign_response(b"testsecret", path, header_lines(headers.items()))
    return {**headers, "Authorization": f"OTS testid:{signature}"}


def signed(path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
    """HTTPResponse a ListTable, or a JSON operation, properly."""
    content = pb2.ListTableResponse(table_names=["t"]).SerializeToString() if path == "/ListTable" else b'{"a":1}'
    return 200, signed_headers(path, content), content


@pytest.fixture
def impostor() -> Iterator[Impostor]:
    """A server that answers as a test says."""
    server = Impostor()
    yield server
    server.close()


# --- what is retried -----------------------------------------------------------------------------------------------


def test_b01_update_row_is_a_write_that_the_write_policy_retries(
    emulator: Emulator, ours: Make, official: Make
) -> None:
    """Under ``WriteRetryPolicy`` an UpdateRow is sent again as a PutRow is; and the reads of time series still are."""
    change = ts.Row(KEY, {"PUT": [("n", 2)]})
    for operation in ("PutRow", "UpdateRow"):
        emulator.fault(operation=operation, kind="error", code="OTSTimeout", count=1)
    client = ours(retry_policy=FastWrites())
    assert requests_of(emulator, lambda: client.put_row("t", ROW)) == 2
    assert requests_of(emulator, lambda: client.update_row("t", change, None)) == 2
    lost = ServiceError(503, "OTSTimeout", "")
    lost.reads = True
    assert FastWrites().should_retry(0, lost, "GetTimeseriesData")
    if SEEN:
        emulator.fault(operation="UpdateRow", kind="error", code="OTSTimeout", count=1)
        other = official(retry_policy=OfficialFastWrites())
        assert requests_of(emulator, lambda: other.update_row("t", change, ts.Condition("IGNORE"))) == 1
        assert not OfficialFastWrites().should_retry(0, lost, "GetTimeseriesData")


def test_b02_failures_of_the_network_are_retried_and_typed(emulator: Emulator, ours: Make, official: Make) -> None:
    """A reset costs a read one more request, and what is raised in the end is an error of the official tree."""
    emulator.fault(operation="GetRow", kind="reset_before", count=1)
    assert requests_of(emulator, lambda: ours().get_row("t", KEY, max_version=1)) == 2
    emulator.fault(operation="GetRow", kind="reset_before")
    strict = ours(retry_policy=NoRetryPolicy())
    assert isinstance(error_of(lambda: strict.get_row("t", KEY, max_version=1)), ts.OTSClientError)
    if SEEN:
        emulator.clear_log()
        raw = error_of(lambda: official().get_row("t", KEY, max_version=1), Exception)
        assert isinstance(raw, urllib3.exceptions.HTTPError)
        assert not isinstance(raw, ts.OTSError)
        assert len(emulator.log()) == 1


@pytest.mark.asyncio
async def test_b02_also_from_asyncio(emulator: Emulator) -> None:
    """The asynchronous client retries and types them alike; no error of aiohttp's leaves it."""
    emulator.fault(operation="GetRow", kind="reset_before", count=1)
    keys = ("testid", "testsecret", "demo")
    async with AsyncOTSClient(emulator.endpoint, *keys, retry_policy=FAST) as client:
        await client.get_row("t", KEY, max_version=1)
        assert len(emulator.log()) == 2
        emulator.fault(operation="GetRow", kind="reset_before")
        with pytest.raises(ts.OTSClientError):
            await client.get_row("t", KEY, max_version=1)
    if SEEN:
        async with ts.AsyncOTSClient(emulator.endpoint, *keys) as other:
            with pytest.raises(Exception) as caught:  # noqa: PT011 - that it is any error at all is the fault
                await other.get_row("t", KEY, max_version=1)
            assert not isinstance(caught.value, ts.OTSError)


class Rotating:
    """A provider that hands out another temporary key each time."""

    def __init__(self, emulator: Emulator) -> None:
        self.asked = 0
        self._emulator = emulator

    def get_credentials(self) -> Credentials:
        """Return a new key."""
        self.asked += 1
        key = self._emulator.issue_key()
        return Credentials(key["AccessKeyId"], key["AccessKeySecret"], key["SecurityToken"])


def test_b03_each_attempt_is_dated_and_signed_anew(
    emulator: Emulator, ours: Make, official: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three attempts ask the provider three times and carry three dates and three tokens."""

    def seen(make: Make) -> tuple[int, int, int]:
        emulator.clear_log()
        emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", count=2)
        provider = Rotating(emulator)
        make(access_key_id=None, access_key_secret=None, credentials_provider=provider).put_row("t", ROW)
        log = emulator.log()
        assert [entry["status"] for entry in log] == [503, 503, 200]
        return provider.asked, len({entry["x_ots_date"] for entry in log}), len({entry["token"] for entry in log})

    moments = iter(range(100))

    class Clock:
        @staticmethod
        def time() -> float:
            return time.time() + 2 * next(moments)

    monkeypatch.setattr(exchange, "time", Clock)
    assert seen(ours) == (3, 3, 3)
    if SEEN:
        monkeypatch.setattr(
            ts.utils, "get_now_utc_datetime", lambda: datetime.now(UTC) + timedelta(seconds=2 * next(moments))
        )
        assert seen(official) == (1, 1, 1)


def keys_in(body: bytes) -> int:
    """Return how many rows the request of a batch holds."""
    request = pb2.BatchWriteRowRequest.FromString(body)
    return sum(len(table.rows) for table in request.tables)


def sent_by(client: Any) -> list[bytes]:
    """Return the list of bodies that a client of ours sends from now on."""
    bodies: list[bytes] = []
    client.connection.session.hooks["response"].append(lambda response, **_: bodies.append(response.request.body))
    return bodies


def writes(*items: Any) -> Any:
    """Return a batch of rows of the table ``t``."""
    request = ts.BatchWriteRowRequest()
    request.add(ts.TableInBatchWriteRowItem("t", list(items)))
    return request


def row_key(number: int) -> list[tuple[str, Any]]:
    """Return the key of a row."""
    return [("gid", number), ("uid", "b")]


def stored(client: Any) -> dict[int, dict[str, Any]]:
    """Return what is in the table: attributes by the first column of the key."""
    low, high = ([("gid", bound), ("uid", bound)] for bound in (ts.INF_MIN, ts.INF_MAX))
    rows = client.get_range("t", "FORWARD", low, high, max_version=1)[2]
    return {row.primary_key[0][1]: {name: value for name, value, _ in row.attribute_columns} for row in rows}


def puts(numbers: range) -> list[Any]:
    """Return rows to put."""
    return [ts.PutRowItem(ts.Row(row_key(number), [("n", number)]), None) for number in numbers]


def test_b04_only_the_rows_of_a_write_that_failed_are_sent_again(
    emulator: Emulator, ours: Make, official: Make
) -> None:
    """Of 20 rows the throttled ones are sent again, and no others; the result looks as if there had been one call."""
    client = ours()
    bodies = sent_by(client)
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", count=2, rate=0.5, seed=3)
    response = client.batch_write_row(writes(*puts(range(20))))
    assert response.is_all_succeed()
    assert [item.index for item in response.get_succeed_of_put()] == list(range(20))
    assert [keys_in(body) for body in bodies] == [20, 10, 5]  # twice a half of what was sent failed
    assert stored(client) == {number: {"n": number} for number in range(20)}
    if SEEN:
        emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.5)
        emulator.clear_log()
        failed = official().batch_write_row(writes(*puts(range(20)))).get_failed_of_put()
        assert (len(failed), len(emulator.log())) == (10, 1)


def test_b04_rows_of_several_tables_are_merged_in_their_order(emulator: Emulator, ours: Make) -> None:
    """Rows of two tables that were read again stand where they stood in the request."""
    client = ours()
    meta = ts.TableMeta("u", [("gid", "INTEGER"), ("uid", "STRING")])
    client.create_table(meta, ts.TableOptions(), ts.ReservedThroughput(ts.CapacityUnit(0, 0)))
    for table in ("t", "u"):
        request = ts.BatchWriteRowRequest()
        request.add(ts.TableInBatchWriteRowItem(table, puts(range(10))))
        client.batch_write_row(request)
    request = ts.BatchGetRowRequest()
    for table, numbers in (("t", range(10)), ("u", reversed(range(10)))):
        request.add(ts.TableInBatchGetRowItem(table, [row_key(n) for n in numbers], max_version=1))
    emulator.fault(operation="BatchGetRow", kind="rows", code="OTSTimeout", count=3, rate=0.5, seed=5)
    emulator.clear_log()
    response = client.batch_get_row(request)
    assert response.is_all_succeed()
    assert len(emulator.log()) == 4
    for table, numbers in (("t", range(10)), ("u", reversed(range(10)))):
        rows = [item.row for item in response.get_result_by_table(table)]
        assert [row.primary_key for row in rows] == [row_key(n) for n in numbers]
    assert request.items["t"].primary_keys == [row_key(n) for n in range(10)]  # the caller's request is untouched


def test_b04_a_row_that_may_have_been_written_is_repeated_only_if_that_is_safe(emulator: Emulator, ours: Make) -> None:
    """After ``OTSTimeout`` the write policy repeats puts, and leaves increments and conditional rows in the result."""
    increment = ts.UpdateRowItem(ts.Row(row_key(2), {"INCREMENT": [("n", 1)]}), None)
    conditional = ts.PutRowItem(ts.Row(row_key(3), [("n", 3)]), ts.Condition("EXPECT_NOT_EXIST"))
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", count=1)
    client = ours(retry_policy=FastWrites())
    bodies = sent_by(client)
    response = client.batch_write_row(writes(*puts(range(1)), increment, conditional))
    assert [keys_in(body) for body in bodies] == [3, 1]
    assert [item.is_ok for item in response.get_put_by_table("t")] == [True, False]
    assert [item.error_code for item in response.get_update_by_table("t")] == ["OTSTimeout"]
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSTimeout", count=1)
    bodies.clear()
    assert not ours().batch_write_row(writes(*puts(range(1)))).is_all_succeed()  # the default policy repeats none


def test_b04_a_refused_increment_is_sent_again(emulator: Emulator, ours: Make) -> None:
    """What the service refused before doing anything is safe to repeat, whatever it is, and is applied once."""
    increments = [ts.UpdateRowItem(ts.Row(row_key(n), {"INCREMENT": [("n", 1)]}), None) for n in range(10)]
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSRowOperationConflict", count=3, rate=0.7, seed=1)
    client = ours()
    assert client.batch_write_row(writes(*increments)).is_all_succeed()
    assert stored(client) == {number: {"n": 1} for number in range(10)}


def test_b04_what_fails_for_good_stays_in_the_result(emulator: Emulator, ours: Make) -> None:
    """A row whose condition fails, or that is refused to the last, is told in the result as ever, and is not raised."""
    client = ours(retry_policy=NoDelayRetryPolicy(max_retry_times=2))
    missing = ts.PutRowItem(ROW, ts.Condition("EXPECT_EXIST"))
    bodies = sent_by(client)
    response = client.batch_write_row(writes(missing, *puts(range(1))))
    assert [item.error_code for item in response.get_failed_of_put()] == ["OTSConditionCheckFail"]
    assert len(bodies) == 1
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy")
    bodies.clear()
    response = client.batch_write_row(writes(*puts(range(2))))
    assert [item.error_code for item in response.get_failed_of_put()] == ["OTSServerBusy"] * 2
    assert [keys_in(body) for body in bodies] == [2, 2, 2]


@pytest.mark.asyncio
async def test_b04_also_from_asyncio(emulator: Emulator) -> None:
    """The asynchronous client sends the failed rows again as well."""
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", count=2, rate=0.5, seed=3)
    keys = ("testid", "testsecret", "demo")
    async with AsyncOTSClient(emulator.endpoint, *keys, retry_policy=FAST) as client:
        response = await client.batch_write_row(writes(*puts(range(20))))
        assert response.is_all_succeed()
        assert [item.index for item in response.get_succeed_of_put()] == list(range(20))


def test_b08_a_gateways_page_is_retried(emulator: Emulator, ours: Make, official: Make) -> None:
    """A 502 with HTML for a body is what a 502 is: a read is sent again."""
    emulator.fault(operation="ListTable", kind="status", status=502, body=PAGE, count=1)
    assert requests_of(emulator, ours().list_table) == 2
    if SEEN:
        emulator.fault(operation="ListTable", kind="status", status=502, body=PAGE, count=1)
        assert requests_of(emulator, official().list_table) == 1


def test_b09_a_damaged_answer_is_asked_for_again(emulator: Emulator, ours: Make, official: Make) -> None:
    """A body that does not match its MD5 costs a read one more request."""
    emulator.fault(operation="ListTable", kind="corrupt_md5", count=1)
    assert requests_of(emulator, ours().list_table) == 2
    if SEEN:
        emulator.fault(operation="ListTable", kind="corrupt_md5", count=1)
        assert requests_of(emulator, official().list_table) == 1


def test_b15_json_operations_are_retried_and_verified(
    emulator: Emulator, impostor: Impostor, ours: Make, official: Make
) -> None:
    """Operations that carry JSON are sent again as others are, and an unsigned answer to one is refused."""
    emulator.fault(operation="ListKnowledgeBase", kind="error", code="OTSServerBusy", count=1)
    assert requests_of(emulator, lambda: ours().list_knowledge_base({})) == 2
    client = ours(endpoint=impostor.endpoint, retry_policy=NoRetryPolicy())
    assert client.list_knowledge_base({})["a"] == 1
    impostor.respond = lambda *_: (200, {}, b'{"a":1}')
    assert isinstance(error_of(lambda: client.list_knowledge_base({})), ResponseInvalid)
    if SEEN:
        emulator.fault(operation="ListKnowledgeBase", kind="error", code="OTSServerBusy", count=1)
        assert requests_of(emulator, lambda: official().list_knowledge_base({})) == 1
        assert official(end_point=impostor.endpoint).list_knowledge_base({})["a"] == 1


# --- what is verified ----------------------------------------------------------------------------------------------


def test_b05_clocks_are_compared_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Around each change to and from summer time a second is a second, and 59 minutes are 59 minutes."""
    edges = [datetime(2026, month, day, hour, tzinfo=UTC) for month, day in ((3, 8), (11, 1)) for hour in range(4)]
    protocol = OTSProtocol("demo", "utf8", logging.getLogger("unused"))
    theirs: set[tuple[str, bool]] = set()
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        for edge in edges:
            for name, now, server in (
                ("1 s", edge - timedelta(seconds=1), edge),
                ("59 min", edge + timedelta(minutes=1), edge + timedelta(hours=1)),
            ):
                headers = {key.lower(): value for key, value in signed_headers("/X", b"", server).items()}
                answer = ("/X", 200, headers, b"")
                check = {"access_key_id": "testid", "key": b"testsecret", "now": now.timestamp()}
                if name == "1 s":
                    verify_response(*answer, **check)
                else:
                    with pytest.raises(ResponseInvalid, match="more than 15 minutes"):
                        verify_response(*answer, **check)
                monkeypatch.setattr(ts.utils, "get_now_utc_datetime", lambda now=now: now)
                try:
                    protocol._check_headers(headers, b"", status=200)
                except ts.OTSClientError:
                    theirs.add((name, False))
                else:
                    theirs.add((name, True))
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    if SEEN:
        assert {("1 s", False), ("59 min", True)} <= theirs


def test_b06_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature of an answer goes through ``hmac.compare_digest``."""
    compared: list[bytes] = []
    genuine = signing.hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return genuine(one, other)

    headers = {key.lower(): value for key, value in signed_headers("/X", b"").items()}
    monkeypatch.setattr(signing.hmac, "compare_digest", compare)
    verify_response("/X", 200, headers, b"", access_key_id="testid", key=b"testsecret", now=time.time())
    assert headers["authorization"].partition(":")[2].encode() in compared
    if SEEN:
        source = inspect.getsource(OTSProtocol._check_authorization)
        assert "compare_digest" not in source
        assert "signature != " in source


@pytest.mark.parametrize("header", ["OTS testid", "OTS ", "OTS a:b:c", "Bearer testid:x", ""])
def test_b10_a_malformed_authorization_is_one_clear_error(
    impostor: Impostor, ours: Make, official: Make, header: str
) -> None:
    """An ``Authorization`` that cannot be read is an answer that is not the service's, not a ``ValueError``."""
    body = pb2.ListTableResponse(table_names=["t"]).SerializeToString()
    impostor.respond = lambda path, *_: (200, {**signed_headers(path, body), "Authorization": header}, body)
    error = error_of(ours(endpoint=impostor.endpoint, retry_policy=NoRetryPolicy()).list_table)
    assert isinstance(error, ResponseInvalid)
    if SEEN and header == "OTS testid":
        raw = error_of(official(end_point=impostor.endpoint).list_table, Exception)
        assert type(raw) is ValueError


def test_b29_a_wrong_clock_is_told_in_the_services_words(emulator: Emulator, ours: Make, official: Make) -> None:
    """A clock that is off is corrected once; where that does not help, the error says what the service said."""
    emulator.fault(kind="skew", seconds=1200)
    assert ours().list_table() == ("t",)
    if SEEN:
        assert "difference between date" in str(error_of(official().list_table, ts.OTSClientError))
    emulator.clear_faults()
    words = "Mismatch between system time and x-ots-date: 2026-01-01T00:00:00.000Z."
    emulator.fault(kind="error", code="OTSAuthFailed", status=403, message=words)
    error = error_of(ours().list_table)
    assert isinstance(error, AuthenticationFailed)
    assert words in str(error)
    assert error.clock_offset is not None


# --- what is sent --------------------------------------------------------------------------------------------------


def wire_signature_holds(asked: tuple[str, dict[str, str], bytes]) -> bool:
    """Tell whether a request is signed over all its ``x-ots-*`` headers in the order of their names."""
    path, headers, _ = asked
    return headers["x-ots-signature"] == sign_v2("testsecret", path, header_lines(headers.items()))


@pytest.mark.parametrize("extra", [{"X-Ots-Request-Tag": "nightly"}, {"x-ots-date-x": "1"}])
def test_b18_extra_headers_are_signed_by_name(
    impostor: Impostor, ours: Make, official: Make, extra: dict[str, str]
) -> None:
    """Extra ``x-ots-*`` headers are signed whatever their case, and sorted by their names."""
    ours(endpoint=impostor.endpoint, extra_headers=extra).list_table()
    assert wire_signature_holds(impostor.asked[-1])
    assert {name.lower() for name in extra} <= impostor.asked[-1][1].keys()
    if SEEN:
        official(end_point=impostor.endpoint, extra_headers=extra).list_table()
        assert not wire_signature_holds(impostor.asked[-1])


def test_b23_an_endpoint_without_a_host_is_refused() -> None:
    """``http://`` is refused when the client is made."""
    error_of(lambda: OTSClient("http://", "testid", "testsecret", "demo"), SettingsError)
    if SEEN:
        assert ts.OTSClient("http://", "testid", "testsecret", "demo").host == "http://"


def test_b24_a_trailing_slash_is_not_doubled(impostor: Impostor, ours: Make, official: Make) -> None:
    """An endpoint that ends in a slash asks for ``/ListTable``."""
    assert ours(endpoint=impostor.endpoint + "/").list_table() == ("t",)
    assert impostor.asked[-1][0] == "/ListTable"
    if SEEN:
        with suppress(Exception):
            official(end_point=impostor.endpoint + "/").list_table()
        # What Python's own server makes of two slashes differs between its versions; the request line had them.
        urls: list[str] = []
        client = official(end_point=impostor.endpoint + "/")
        client.connection.pool.urlopen = lambda _, url, **__: urls.append(url)
        error_of(client.list_table, Exception)
        assert urls == [impostor.endpoint + "//ListTable"]


def test_b25_an_empty_token_is_no_token(impostor: Impostor, ours: Make, official: Make) -> None:
    """``sts_token=""`` sends no token."""
    ours(endpoint=impostor.endpoint, sts_token="").list_table()
    assert "x-ots-ststoken" not in impostor.asked[-1][1]
    if SEEN:
        official(end_point=impostor.endpoint, sts_token="").list_table()
        assert impostor.asked[-1][1]["x-ots-ststoken"] == ""


def test_b30_column_names_beyond_ascii_arrive(emulator: Emulator, ours: Make, official: Make) -> None:
    """A column named in Chinese is stored and read back under its name."""
    client = ours()
    client.put_row("t", ts.Row(KEY, [("公司", "水"), ("n", 1)]))
    row = client.get_row("t", KEY, max_version=1)[1]
    assert {name: value for name, value, _ in row.attribute_columns} == {"公司": "水", "n": 1}
    if SEEN:
        theirs = official(enable_native=False)  # the codec in Python, which runs on every Python but one
        refused = error_of(lambda: theirs.put_row("t", ts.Row(KEY, [("公司", "水")])), ts.OTSServiceError)
        assert refused.get_error_code() == "OTSParameterInvalid"


def test_b31_binary_values_come_back_and_are_never_printed(
    emulator: Emulator, ours: Make, official: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A bytearray is BINARY and comes back as it was; at DEBUG our client never prints a row, which the SDK cannot.

    ``bytes`` stay STRING, as in the SDK: rows that a program has written so for years must be found again.
    """
    caplog.set_level(logging.DEBUG)
    client = ours()
    row = ts.Row(KEY, [("b", bytearray(b"\x00\xff")), ("s", b"text")])
    client.put_row("t", row)
    found = {name: value for name, value, _ in client.get_row("t", KEY, max_version=1)[1].attribute_columns}
    assert found == {"b": bytearray(b"\x00\xff"), "s": "text"}
    theirs = official().get_row("t", KEY, max_version=1)[1]
    assert {name: value for name, value, _ in theirs.attribute_columns} == found
    if SEEN:
        error_of(lambda: repr(row), Exception)


def test_b33_proxies_are_honoured_and_nothing_else_of_the_environment(
    impostor: Impostor, ours: Make, official: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``HTTP_PROXY`` carries the requests; ``.netrc`` adds no header, and a redirect is not followed."""
    monkeypatch.setenv("HTTP_PROXY", impostor.endpoint)
    monkeypatch.setenv("http_proxy", impostor.endpoint)
    host = "demo.cn-hangzhou.ots.invalid"
    netrc = Path.home() / ".netrc"
    netrc.write_text(f"machine {host} login someone password secret\n")
    netrc.chmod(0o600)

    def proxied(path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return signed(path.removeprefix(f"http://{host}"), headers, body)

    impostor.respond = proxied
    client = ours(endpoint=f"http://{host}", allow_http=True, retry_policy=NoRetryPolicy())
    assert client.list_table() == ("t",)
    url, headers, _ = impostor.asked[-1]
    assert url == f"http://{host}/ListTable"
    assert "authorization" not in headers
    impostor.respond = lambda *_: (307, {"Location": impostor.endpoint + "/ListTable"}, b"")
    count = len(impostor.asked)
    assert error_of(client.list_table).http_status == 307
    assert len(impostor.asked) == count + 1
    if SEEN:
        error_of(official(end_point=f"http://{host}").list_table, urllib3.exceptions.HTTPError)
        assert len(impostor.asked) == count + 1


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/ListTable", "/elsewhere", "http://[", "\xff"])
@pytest.mark.parametrize("status", [301, 303, 307])
def test_b33_redirects_are_errors_wherever_they_lead(
    impostor: Impostor, ours: Make, status: int, location: str
) -> None:
    """A redirect is one error of ours, followed nowhere, though ``requests`` looks at where it leads."""
    impostor.respond = lambda *_: (status, {"Location": location}, b"")
    error = error_of(ours(endpoint=impostor.endpoint, retry_policy=NoRetryPolicy()).list_table)
    assert isinstance(error, ts.OTSClientError)
    assert len(impostor.asked) == 1


# --- what is printed, logged and left behind ---


def run_python(code: str) -> tuple[str, str]:
    """Return what a fresh interpreter prints, to both streams."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout, done.stderr


def test_b07_importing_is_silent_and_light() -> None:
    """Importing the client prints nothing, and importing the package loads nothing heavy."""
    assert run_python("from ots_config import OTSClient, AsyncOTSClient") == ("", "")
    heavy = "{'aiohttp', 'numpy', 'flatbuffers', 'tablestore', 'pydantic', 'requests'}"
    assert run_python(f"import sys, ots_config; print(sys.modules.keys() & {heavy})") == ("set()\n", "")
    if SEEN and not NATIVE:
        assert "Native" in run_python("import tablestore")[1]


def test_b16_nothing_is_formatted_that_nobody_reads(
    ours: Make, official: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With logging as it comes, no text of a request is made."""
    made: list[Any] = []
    formatter = sys.modules["tablestore.protocol"].text_format  # type: ignore[attr-defined]
    monkeypatch.setattr(formatter, "MessageToString", lambda message, **_: made.append(message) or "")
    ours().put_row("t", ROW)
    assert made == []
    if SEEN:
        official(enable_native=False).put_row("t", ROW)
        assert len(made) == 1


def test_b16b_logs_hold_no_secrets_and_no_errors_that_were_mended(
    emulator: Emulator, ours: Make, official: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG there is neither token nor signature, and an attempt that is tried again is no ERROR."""
    caplog.set_level(logging.DEBUG)
    key = emulator.issue_key()
    named = {"access_key_id": key["AccessKeyId"], "access_key_secret": key["AccessKeySecret"]}
    named |= {"sts_token": key["SecurityToken"], "logger_name": "b16b"}
    logging.getLogger("b16b").setLevel(logging.DEBUG)

    def told(make: Make) -> tuple[bool, bool, int]:
        caplog.clear()
        emulator.fault(operation="ListTable", kind="error", code="OTSServerBusy", count=1)
        assert make(**named).list_table() == ("t",)
        text = "\n".join(record.getMessage() for record in caplog.records)
        errors = sum(record.levelno >= logging.ERROR for record in caplog.records)
        return key["SecurityToken"] in text, re.search(r"signature'?:", text) is not None, errors

    try:
        assert told(ours) == (False, False, 0)
        assert len(caplog.records) >= 2
        if SEEN:
            assert told(official) == (True, True, 1)
    finally:
        logging.getLogger("b16b").setLevel(logging.NOTSET)


def handlers_of_loggers() -> int:
    """Return how many handlers all loggers have together."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    return sum(len(logger.handlers) for logger in loggers)


def test_b17_clients_leave_no_handlers(ours: Make, official: Make) -> None:
    """A hundred clients add no handler to any logger."""
    before = handlers_of_loggers()
    for _ in range(100):
        ours()
    assert handlers_of_loggers() == before
    if SEEN:
        for _ in range(100):
            official()
        assert handlers_of_loggers() == before + 100


def test_b32_a_client_can_be_closed(emulator: Emulator) -> None:
    """A client closes its connections at the end of its ``with`` block, and every type of value is decoded."""
    with OTSClient(settings=emulator.settings) as client:
        columns = [("i", 1), ("d", 0.5), ("s", "水"), ("b", bytearray(b"\xff")), ("t", False)]
        client.put_row("t", ts.Row(KEY, columns))
        found = client.get_row("t", KEY, max_version=1)[1].attribute_columns
        assert sorted((name, value) for name, value, _ in found) == sorted(columns)
        pool = next(iter(client.connection.session.adapters.values()))._pool
        kept = list(pool._idle)
        assert kept
    assert all(connection._socket is None for connection in kept)
    assert isinstance(error_of(client.list_table), ts.OTSClientError)
    if SEEN:
        assert not hasattr(ts.OTSClient, "close")
        assert not hasattr(ts.OTSClient, "__exit__")
