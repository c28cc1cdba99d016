"""HTTP as clients speak it, well or badly: answered rightly, in order, and never left hanging."""

import asyncio
import http.client
import json
import logging
import multiprocessing
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ots_config.emulator import Emulator, Limits
from ots_config.emulator.http import Connection
from ots_config.emulator.messages import Answer, Request, http_date, plain
from ots_config.request.signing import Signer
from ots_config.credentials.snapshot import Credentials
from ots_config.sdk import tablestore

pb2 = tablestore.protobuf.table_store_pb2
REGION = b"GET /latest/meta-data/region-id HTTP/1.1\r\nHost: x\r\n\r\n"
INSTANCE = b"GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Run an emulator for this file's tests."""
    with Emulator() as running:
        yield running


class Wire:
    """One connection, read as a client reads it."""

    def __init__(self, emulator: Emulator) -> None:
        self.socket = socket.create_connection(("127.0.0.1", emulator.port), timeout=20)
        self.stream = self.socket.makefile("rb")

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send octets."""
        self.socket.sendall(data)

    def read(self, *, head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Read one answer."""
        status = int(self.stream.readline().split()[1])
        headers = {}
        while (line := self.stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        length = 0 if head else int(headers.get("content-length", 0))
        return status, headers, self.stream.read(length)

    def ended(self) -> bool:
        """Tell whether the server closed the connection."""
        try:
            return self.stream.read(1) == b""
        except ConnectionResetError:
            return True


def signed(path: str, body: bytes) -> dict[str, str]:
    """Return the headers of a signed request."""
    credentials = Credentials("testid", "testsecret")
    return Signer("demo").sign(path, body, credentials, time.time())[0]


def encode(path: str, body: bytes, *, extra: str = "") -> bytes:
    """Return a signed request as octets."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed(path, body).items())
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{lines}{extra}\r\n".encode() + body


# --- clients of the service ---------------------------------------------------------------------------------


def make_table(client: Any, name: str) -> None:
    """Create a table with an integer key."""
    client.create_table(
        tablestore.TableMeta(name, [("k", "INTEGER")]),
        tablestore.TableOptions(),
        tablestore.ReservedThroughput(tablestore.CapacityUnit(0, 0)),
    )


COLUMNS = [
    ("binary", bytearray(b"\0\xff")),
    ("bool", True),
    ("double", 1.5),
    ("integer", -(2**63)),
    ("text", "文字"),
]


@pytest.mark.parametrize("region", [None, "cn-hangzhou"])
def test_the_official_client_works(emulator: Emulator, region: str | None) -> None:
    """The unmodified official client writes and reads rows of every type, with both signatures."""
    client = tablestore.OTSClient(emulator.endpoint, "testid", "testsecret", "demo", region=region)
    name = f"official_{region or 'v2'}".replace("-", "_")
    make_table(client, name)
    client.put_row(name, tablestore.Row([("k", 1)], COLUMNS))
    row = client.get_row(name, [("k", 1)])[1]
    assert [(column, value) for column, value, _ in row.attribute_columns] == COLUMNS
    client.delete_row(name, tablestore.Row([("k", 1)]))
    assert client.get_row(name, [("k", 1)])[1] is None
    with pytest.raises(tablestore.OTSServiceError, match="Requested table does not exist"):
        client.get_row("none", [("k", 1)])


def test_the_official_asynchronous_client_works(emulator: Emulator) -> None:
    """The official client on aiohttp works the same way."""

    async def run() -> Any:
        async with tablestore.AsyncOTSClient(emulator.endpoint, "testid", "testsecret", "demo") as client:
            await client.create_table(
                tablestore.TableMeta("asynchronous", [("k", "INTEGER")]),
                tablestore.TableOptions(),
                tablestore.ReservedThroughput(tablestore.CapacityUnit(0, 0)),
            )
            writes = (
                client.put_row("asynchronous", tablestore.Row([("k", number)], [("a", number)])) for number in range(50)
            )
            await asyncio.gather(*writes)
            return await client.get_range("asynchronous", "FORWARD", [("k", 0)], [("k", 50)])

    rows = asyncio.run(run())[2]
    assert [row.primary_key[0][1] for row in rows] == list(range(50))


# --- HTTP ---------------------------------------------------------------------------------------------------


def test_a_connection_is_kept(emulator: Emulator) -> None:
    """One connection carries request after request."""
    with Wire(emulator) as wire:
        for _ in range(3):
            wire.send(REGION)
            assert wire.read()[::2] == (200, b"cn-hangzhou")


def test_pipelined_requests_are_answered_in_order(emulator: Emulator) -> None:
    """Requests sent at once, ahead of their answers, are answered one by one in their order."""
    with Wire(emulator) as wire:
        wire.send((REGION + INSTANCE) * 100)
        answers = [wire.read()[2] for _ in range(200)]
    assert answers == [b"cn-hangzhou", b"i-bp1emulator0000000001"] * 100


def test_an_answer_that_is_delayed_delays_those_behind_it(emulator: Emulator) -> None:
    """A request behind one that waits is not answered first."""
    emulator.fault(operation="metadata", kind="delay", seconds=0.1, count=1)
    with Wire(emulator) as wire:
        wire.send(REGION + INSTANCE + REGION)
        assert [wire.read()[2] for _ in range(3)] == [b"cn-hangzhou", b"i-bp1emulator0000000001", b"cn-hangzhou"]
    emulator.clear_faults()


def test_a_client_that_ended_its_side_has_its_answers(emulator: Emulator) -> None:
    """A client may send all it has to, shut its side down, and still read every answer."""
    emulator.fault(operation="metadata", kind="delay", seconds=0.1, count=1)
    with Wire(emulator) as wire:
        wire.send(REGION + INSTANCE)
        wire.socket.shutdown(socket.SHUT_WR)
        assert [wire.read()[2] for _ in range(2)] == [b"cn-hangzhou", b"i-bp1emulator0000000001"]
        assert wire.ended()
    emulator.clear_faults()


@pytest.mark.parametrize(
    ("headers", "status"),
    [("Connection: close\r\n", 200), ("Connection: Keep-Alive, CLOSE\r\n", 200)],
)
def test_a_connection_is_closed_on_request(emulator: Emulator, headers: str, status: int) -> None:
    """After a request that says so, the connection is closed, and the answer says so too."""
    with Wire(emulator) as wire:
        wire.send(f"GET /latest/meta-data/region-id HTTP/1.1\r\n{headers}\r\n".encode())
        answer = wire.read()
        assert (answer[0], answer[1]["connection"]) == (status, "close")
        assert wire.ended()


def test_http_1_0_is_spoken(emulator: Emulator) -> None:
    """HTTP/1.0 closes after each answer unless it asks not to."""
    request = b"GET /latest/meta-data/region-id HTTP/1.0\r\n%s\r\n"
    with Wire(emulator) as wire:
        wire.send(request % b"Connection: keep-alive\r\n")
        assert wire.read()[1]["connection"] == "keep-alive"
        wire.send(request % b"")
        assert wire.read()[1]["connection"] == "close"
        assert wire.ended()


def test_a_client_that_expects_to_be_told_to_continue_is(emulator: Emulator) -> None:
    """The body is asked for when the head is understood, and then answered."""
    body = b""
    request = encode("/ListTable", b"x", extra="Expect: 100-continue\r\n")
    head, body = request[:-1], request[-1:]
    with Wire(emulator) as wire:
        wire.send(head)
        assert wire.stream.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert wire.stream.readline() == b"\r\n"
        wire.send(body)
        assert wire.read()[0] == 400  # the body is no request, but it was read
        wire.send(REGION)
        assert wire.read()[0] == 200


def test_a_body_that_is_too_large_is_not_asked_for(emulator: Emulator) -> None:
    """Who asks first is spared sending what would be refused."""
    with Wire(emulator) as wire:
        wire.send(b"POST /PutRow HTTP/1.1\r\nContent-Length: 5242881\r\nExpect: 100-continue\r\n\r\n")
        assert wire.read()[0] == 413


def test_another_expectation_fails(emulator: Emulator) -> None:
    """An expectation that is not known is refused."""
    with Wire(emulator) as wire:
        wire.send(b"POST /PutRow HTTP/1.1\r\nContent-Length: 1\r\nExpect: 200-maybe\r\n\r\n")
        assert wire.read()[0] == 417
        assert wire.ended()


def test_a_body_may_come_in_chunks(emulator: Emulator) -> None:
    """Chunks of any size, with extensions and trailers, make the same body."""
    body = pb2.DeleteTableRequest(table_name="none").SerializeToString()
    request = encode("/DeleteTable", body).replace(
        f"Content-Length: {len(body)}".encode(), b"Transfer-Encoding: chunked"
    )
    chunks = b"".join(b"1;name=value\r\n%c\r\n" % octet for octet in body)
    with Wire(emulator) as wire:
        wire.send(request[: -len(body)] + chunks + b"0\r\nTrailer: x\r\n\r\n" + REGION)
        status, _, answer = wire.read()
        assert (status, pb2.Error.FromString(answer).code) == (404, "OTSObjectNotExist")
        assert wire.read()[2] == b"cn-hangzhou"


def test_requests_may_trickle(emulator: Emulator) -> None:
    """A request that comes octet by octet is the same request."""
    with Wire(emulator) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in encode("/ListTable", b""):
            wire.send(bytes([octet]))
        assert wire.read()[0] == 200


@pytest.mark.parametrize("path", ["/", "/nothing", "/PutRow", "/latest/", "/credentials", "/_emulator/log", "*"])
def test_head_has_no_body(emulator: Emulator, path: str) -> None:
    """HEAD is answered at once on any path, without a body, and the connection goes on."""
    with Wire(emulator) as wire:
        wire.send(f"HEAD {path} HTTP/1.1\r\n\r\n".encode() + REGION)
        status, headers, _ = wire.read(head=True)
        assert status in {200, 400, 404, 405}
        assert int(headers["content-length"]) > 0
        assert wire.read()[2] == b"cn-hangzhou"


MALFORMED = {
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03": 400,  # TLS on a plain port
    b"nonsense\r\n\r\n": 400,
    b"GET /\r\n\r\n": 400,
    b"GET  / HTTP/1.1\r\n\r\n": 400,
    b"GET / HTTP/1.1\n\n": 400,
    b"GET / HTTP/1.1\nHost: x\r\n\r\n": 400,
    b"GET / HTTP/2.0\r\n\r\n": 505,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": 505,
    b"G(T / HTTP/1.1\r\n\r\n": 400,
    b"GET /\x01 HTTP/1.1\r\n\r\n": 400,
    b"GET /\xff HTTP/1.1\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nName : x\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nA: x\r\n folded\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nnothing\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nA: x\0y\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\n" + b"A: x\r\n" * 300 + b"\r\n": 431,
    b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000: 431,
    b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n": 431,
    b"POST / HTTP/1.1\r\nContent-Length: ten\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n": 400,
    b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n": 501,
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nten\r\n": 400,
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n": 400,
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\nab\r\n": 400,
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 2000: 400,
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: x\r\n" * 20_000: 431,
}


@pytest.mark.parametrize("request_", MALFORMED, ids=lambda value: repr(value[:60]))
def test_what_is_no_request_is_refused(emulator: Emulator, request_: bytes) -> None:
    """Each is answered with its own status, and the connection ends: nothing after it could be understood."""
    with Wire(emulator) as wire:
        wire.send(request_)
        status, headers, _ = wire.read()
        assert (status, headers["connection"]) == (MALFORMED[request_], "close")
        assert wire.ended()


def test_empty_lines_before_a_request_are_skipped(emulator: Emulator) -> None:
    """Old clients send a line end too many after a body."""
    with Wire(emulator) as wire:
        wire.send(b"\r\n\r\n" + REGION + b"\r\n" + REGION)
        assert [wire.read()[0] for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(emulator: Emulator, chunked: bool) -> None:
    """A client that sends more than 5 MB reads the refusal, signed, though it was still sending."""
    body = b"x" * (9 * 1024 * 1024)
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=20)
    pieces = (body[i : i + 65_536] for i in range(0, len(body), 65_536))
    connection.request("POST", "/PutRow", pieces if chunked else body, signed("/PutRow", body), encode_chunked=chunked)
    response = connection.getresponse()
    error = pb2.Error.FromString(response.read())
    assert (response.status, error.code, error.message) == (
        413,
        "OTSRequestBodyTooLarge",
        "The size of POST data is too large.",
    )
    assert str(response.headers["Authorization"]).startswith("OTS testid:")
    connection.close()


def test_a_body_of_5_megabytes_is_taken(emulator: Emulator) -> None:
    """The limit itself is allowed."""
    with Wire(emulator) as wire:
        wire.send(encode("/ListTable", b"x" * (5 * 1024 * 1024)))
        assert pb2.Error.FromString(wire.read()[2]).message == "Failed to parse the ProtoBuf message."


def test_silence_ends_a_connection() -> None:
    """An idle connection is closed; half a head and half a body are answered with 408."""
    with Emulator(limits=Limits(idle=0.3, request=0.2)) as emulator:
        with Wire(emulator) as wire:
            wire.send(REGION)
            assert wire.read()[0] == 200
            assert wire.ended()
        for half in (b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nx"):
            with Wire(emulator) as wire:
                wire.send(half)
                assert wire.read()[0] == 408
                assert wire.ended()


def test_a_trickling_head_is_given_up() -> None:
    """A head must come whole in its time, however busily its octets come."""
    with Emulator(limits=Limits(request=0.2)) as emulator, Wire(emulator) as wire:
        wire.send(b"GET / HTTP/1.1\r\nA: ")
        wire.socket.settimeout(0.02)
        for _ in range(500):
            try:
                wire.send(b"x")
                data = wire.socket.recv(1024)
                break
            except TimeoutError:
                continue
        assert data.startswith(b"HTTP/1.1 408")


def test_a_client_that_does_not_read_stops_only_itself(emulator: Emulator) -> None:
    """Answers that are not read are held back, not piled up, and other clients are answered meanwhile."""
    with Wire(emulator) as lazy, Wire(emulator) as other:
        lazy.socket.settimeout(0.3)
        log = b"GET /_emulator/log HTTP/1.1\r\n\r\n"
        with pytest.raises(TimeoutError):
            for _ in range(200):
                lazy.send(log * 1000)
        other.send(REGION)
        assert other.read()[0] == 200


def test_a_hundred_clients_at_once(emulator: Emulator) -> None:
    """A hundred connections, each with requests of its own, are all answered."""

    async def client(number: int) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
        answers = []
        for _ in range(5):
            writer.write(encode("/ListTable", b"") if number % 2 else REGION)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            answers.append(head.split(b" ", 2)[1])
        writer.close()
        await writer.wait_closed()
        return answers

    async def run() -> list[list[bytes]]:
        return await asyncio.gather(*(client(number) for number in range(100)))

    assert asyncio.run(run()) == [[b"200"] * 5] * 100


def test_the_control_surface_is_for_this_machine() -> None:
    """A client elsewhere is refused; one here is not, whatever form its address has."""
    server = Emulator().server
    for peer, status in {"10.0.0.1": 403, "": 403, "::1": 200, "127.0.0.9": 200, "::ffff:127.0.0.1": 200}.items():
        request = Request("GET", "/_emulator/log", {})
        request.peer = peer
        answer = server(request)
        assert isinstance(answer, Answer)
        assert answer.status == status


def test_dates_are_english() -> None:
    """The header Date is as RFC 9110 wants it, whatever the locale."""
    assert http_date(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT"


# --- the connection alone -----------------------------------------------------------------------------------


class Paper(asyncio.Transport):
    """A transport that writes on paper."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        """Take octets."""
        self.written += data

    def close(self) -> None:
        """Take note."""
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        """Say no, as TLS does."""
        return False


def echo(request: Request) -> Answer:
    """Answer with what was understood."""
    return plain(200, json.dumps([request.method, request.path, request.query, len(request.body), request.body.hex()]))


def play(parts: list[bytes]) -> tuple[bytes, bool]:
    """Return what a connection writes when these octets come, and whether it is closed."""
    paper = Paper()
    open_connections: set[Connection] = set()
    connection = Connection(echo, Limits(body=1000), open_connections)
    connection.connection_made(paper)
    for part in parts:
        if not paper.closed:
            connection.data_received(part)
    connection.connection_lost(None)
    assert not open_connections
    return paper.written, paper.closed


STREAM = (
    b"POST /a?b=c HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz"
    b"GET http://host:80/p HTTP/1.1\r\n\r\n"
    b"\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nA;x\r\n0123456789\r\n0\r\nT: 1\r\n\r\n"
    b"HEAD /h HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_it_does_not_matter_how_octets_are_parted(cuts: list[int]) -> None:
    """However the network parts a stream of requests, the answers are the same."""
    bounds = [0, *sorted(cuts), len(STREAM)]
    parts = [STREAM[a:b] for a, b in zip(bounds, bounds[1:], strict=False) if a != b]

    def without_date(written: bytes) -> list[bytes]:
        return [line for line in written.split(b"\r\n") if not line.startswith(b"Date: ")]

    assert without_date(play(parts)[0]) == without_date(play([STREAM])[0])
    assert without_date(play([STREAM])[0]).count(b"HTTP/1.1 200 OK") == 4


PIECES = st.sampled_from(
    [b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"]
    + [b"\r\n", b"\n", b"\r", b" ", b":", b"0\r\n\r\n", b"3\r\nabc\r\n", b"Expect: 100-continue\r\n", b"HTTP/1.1"]
)


@settings(max_examples=300)
@given(st.lists(st.one_of(st.binary(max_size=40), PIECES), max_size=30))
@example([b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"])
def test_random_octets_are_answered_or_waited_for(parts: list[bytes]) -> None:
    """Whatever comes, nothing is raised, and what is written begins as an answer."""
    written, _ = play(parts)
    assert not written or written.startswith(b"HTTP/1.1 ")


@settings(max_examples=200)
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    st.sampled_from(
        ["", "PutRow", "BatchWriteRow", "latest/api/token", "credentials", "_emulator/faults", "_emulator/sts"]
    ),
    st.text(max_size=20),
    st.binary(max_size=60),
)
def test_random_requests_to_every_path_are_answered(method: str, path: str, query: str, body: bytes) -> None:
    """Whatever is asked of whom, there is an answer, and never one that says that the emulator failed."""
    request = Request(method, f"/{path}?{query}", {})
    request.body = body
    request.peer = "127.0.0.1"
    answer = SERVER(request)
    assert isinstance(answer, Answer)
    assert 200 <= answer.status < 500


@settings(max_examples=150)
@given(st.sampled_from(["PutRow", "GetRow", "BatchWriteRow", "GetRange", "CreateTable", "UpdateTable"]), st.binary())
def test_random_bodies_of_signed_requests_are_answered(operation: str, body: bytes) -> None:
    """A body that is no message, from a client that may send one, is the client's fault."""
    request = Request("POST", "/" + operation, signed("/" + operation, body))
    request.body = body
    answer = SERVER(request)
    assert isinstance(answer, Answer)
    assert answer.status in {200, 400, 404}


SERVER = Emulator().server


def test_a_handler_that_fails_is_answered_for(caplog: pytest.LogCaptureFixture) -> None:
    """An error of the emulator itself is logged and answered with 500, and the connection goes on."""

    def fail(_: Request) -> Answer:
        raise ValueError

    paper = Paper()
    connection = Connection(fail, Limits(), set())
    connection.connection_made(paper)
    with caplog.at_level(logging.ERROR, "ots_config.emulator"):
        connection.data_received(REGION + REGION)
    assert paper.written.count(b"HTTP/1.1 500 Internal Server Error") == 2
    assert "no answer to GET /latest/meta-data/region-id" in caplog.text


# --- running it ---------------------------------------------------------------------------------------------


def test_several_emulators_run_at_once() -> None:
    """Each has its own port, tables and faults."""
    with Emulator() as one, Emulator(instance="two") as two:
        assert one.port != two.port
        one.fault(operation="*", kind="status", status=502)
        client = tablestore.OTSClient(two.endpoint, "testid", "testsecret", "two")
        make_table(client, "mine")
        assert client.list_table() == ("mine",)
        assert [entry["operation"] for entry in two.log()] == ["CreateTable", "ListTable"]
        assert one.log() == []


def test_a_restart_keeps_port_and_tables() -> None:
    """What was stored stays over a stop and a new start, as over a service's short outage."""
    emulator = Emulator()
    with emulator:
        client = tablestore.OTSClient(emulator.endpoint, "testid", "testsecret", "demo")
        make_table(client, "kept")
        port = emulator.port
    with pytest.raises(OSError, match="refused"):
        Wire(emulator)
    with emulator:
        assert emulator.port == port
        assert client.list_table() == ("kept",)


def test_starting_twice_is_a_mistake() -> None:
    """One emulator runs once; stopping one that does not run is no mistake."""
    emulator = Emulator()
    emulator.stop()
    with emulator, pytest.raises(RuntimeError, match="running already"):
        emulator.start()


def test_a_port_in_use_is_told() -> None:
    """The error of the thread that would have served is raised where it was started."""
    with Emulator() as running, pytest.raises(OSError, match="in use"):
        Emulator(port=running.port).start()


def test_a_stop_does_not_wait_for_delays() -> None:
    """An answer that a fault holds back is given up when the server stops."""
    with Emulator() as emulator:
        emulator.fault(operation="metadata", kind="delay", seconds=3600)
        wire = Wire(emulator)
        wire.send(REGION)
        while emulator.server.faults.describe()[0]["fired"] == 0:
            time.sleep(0.01)
    assert wire.ended()
    wire.__exit__()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_leaves_the_server_alone() -> None:
    """A child can use the server but not stop it, and its copies of the sockets do not outlive the parent's."""
    emulator = Emulator().start()
    context = multiprocessing.get_context("fork")
    go, done = context.Event(), context.Event()

    def child() -> None:
        emulator.stop()
        with Wire(emulator) as wire:
            wire.send(REGION)
            assert wire.read()[0] == 200
        done.set()
        go.wait(20)

    wire = Wire(emulator)
    process = context.Process(target=child)
    process.start()
    assert done.wait(20)
    emulator.stop()
    assert wire.ended()
    wire.__exit__()
    with pytest.raises(OSError, match="refused"):
        Wire(emulator)
    go.set()
    process.join()
    assert process.exitcode == 0


def test_instances_come_and_go(emulator: Emulator) -> None:
    """An instance can be added, is apart from the others, and can be dropped again."""
    emulator.add_instance("more")
    client = tablestore.OTSClient(emulator.endpoint, "testid", "testsecret", "more")
    make_table(client, "here")
    assert client.list_table() == ("here",)
    emulator.add_instance("more")
    assert client.list_table() == ()
    emulator.drop_instance("more")
    with pytest.raises(tablestore.OTSServiceError, match="The instance is not found"):
        client.list_table()


def test_settings_lead_to_it(emulator: Emulator) -> None:
    """The settings it gives name its endpoint, instance and key."""
    given_ = emulator.settings
    assert (given_.endpoint, given_.instance_name, given_.access_key_id) == (emulator.endpoint, "demo", "testid")
    assert given_.access_key_secret is not None
    assert given_.access_key_secret.get_secret_value() == "testsecret"
