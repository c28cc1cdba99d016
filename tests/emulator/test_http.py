"""HTTP as clients speak it, well or badly: answered rightly, in order, and never left hanging."""

import http.client
import socket
import time
from collections.abc import Iterator
from typing import Self

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.emulator import Emulator, ServerLimits
from ots_config.request.signing import Signer
from ots_config.sdk import tablestore

pb2 = tablestore.protobuf.table_store_pb2
REGION = b"GET /latest/meta-data/region-id HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
INSTANCE = b"GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
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
    """Return a signed request as bytes."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed(path, body).items())
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n{lines}{extra}\r\n".encode() + body
    )


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


@pytest.mark.parametrize("option", ["close", "Keep-Alive, CLOSE"])
def test_a_connection_is_closed_on_request(emulator: Emulator, option: str) -> None:
    """After a request that says so, the connection is closed, and the answer says so too."""
    with Wire(emulator) as wire:
        wire.send(
            f"GET /latest/meta-data/region-id HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: {option}\r\n\r\n".encode()
        )
        answer = wire.read()
        assert (answer[0], answer[1]["connection"]) == (200, "close")
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
    """A client that sends Expect does not send a body that would be refused."""
    with Wire(emulator) as wire:
        wire.send(
            b"POST /PutRow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5242881\r\nExpect: 100-continue\r\n\r\n"
        )
        assert wire.read()[0] == 413


def test_another_expectation_fails(emulator: Emulator) -> None:
    """An expectation that is not known is refused."""
    with Wire(emulator) as wire:
        wire.send(b"POST /PutRow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nExpect: 200-maybe\r\n\r\nx")
        assert wire.read()[0] == 417
        assert wire.ended()


def test_a_body_may_come_in_chunks(emulator: Emulator) -> None:
    """Chunks of any size, with extensions and trailers, make the same body."""
    body = pb2.DeleteTableRequest(table_name="none").SerializeToString()
    request = encode("/DeleteTable", body).replace(
        f"Content-Length: {len(body)}".encode(), b"Transfer-Encoding: chunked"
    )
    chunks = b"".join(b"1;name=value\r\n%c\r\n" % byte for byte in body)
    with Wire(emulator) as wire:
        wire.send(request[: -len(body)] + chunks + b"0\r\nTrailer: x\r\n\r\n" + REGION)
        status, _, answer = wire.read()
        assert (status, pb2.Error.FromString(answer).code) == (404, "OTSObjectNotExist")
        assert wire.read()[2] == b"cn-hangzhou"


def test_requests_may_trickle(emulator: Emulator) -> None:
    """A request that arrives byte by byte is the same request."""
    with Wire(emulator) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in encode("/ListTable", b""):
            wire.send(bytes([byte]))
        assert wire.read()[0] == 200


@pytest.mark.parametrize("path", ["/", "/nothing", "/PutRow", "/latest/", "/credentials", "/_emulator/log"])
def test_head_has_no_body(emulator: Emulator, path: str) -> None:
    """HEAD is answered at once on any path, without a body, and the connection goes on."""
    with Wire(emulator) as wire:
        wire.send(f"HEAD {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() + REGION)
        status, headers, _ = wire.read(head=True)
        assert status in {200, 400, 404, 405}
        assert int(headers["content-length"]) > 0
        assert wire.read()[2] == b"cn-hangzhou"


MALFORMED = {
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03": 400,  # TLS on a plain port
    b"nonsense\r\n\r\n": 400,
    b"GET /\r\n\r\n": 400,
    b"GET / HTTP/1.1\n\n": 400,
    b"GET / HTTP/1.1\nHost: 127.0.0.1\r\n\r\n": 400,
    b"GET / HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n": 505,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": 400,
    b"G(T / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n": 400,
    b"GET /\x01 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n": 400,
    b"GET /\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nName : x\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: x\r\n folded\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nnothing\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: x\0y\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: " + b"x" * 70_000: 400,
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ten\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nten\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1\nab\r\n": 400,
    b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 2000: 400,
}


@pytest.mark.parametrize("request_", MALFORMED, ids=[str(n) for n in range(len(MALFORMED))])
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
        assert wire.read()[0] == 200


def test_silence_ends_a_connection() -> None:
    """An idle connection is closed; half a head and half a body are answered with 408."""
    with Emulator(limits=ServerLimits(idle=0.3, request=0.2)) as emulator:
        with Wire(emulator) as wire:
            wire.send(REGION)
            assert wire.read()[0] == 200
            assert wire.ended()
        for half in (
            b"GET / HT",
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\nx",
            encode("/PutRow", b"xy")[:-1],
        ):
            with Wire(emulator) as wire:
                wire.send(half)
                status, headers, body = wire.read()
                assert status == 408
                assert wire.ended()
    error = pb2.Error.FromString(body)
    assert (error.code, error.message) == ("OTSRequestTimeout", "Request timeout.")
    assert headers["authorization"].startswith("OTS testid:")


def test_a_trickling_head_is_given_up() -> None:
    """A head must be complete in time, however steadily its bytes arrive."""
    with Emulator(limits=ServerLimits(request=0.2)) as emulator, Wire(emulator) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: ")
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
        log = b"GET /_emulator/log HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        with pytest.raises(TimeoutError):
            lazy.send(log * 2_000_000)
        other.send(REGION)
        assert other.read()[0] == 200


def test_a_client_that_sends_without_end_is_cut_off() -> None:
    """A body that was refused is read for a short time, so that the client reads the refusal, and no longer."""
    chunks = (b"400\r\n" + b"x" * 1024 + b"\r\n") * 64
    with Emulator(limits=ServerLimits(body=1000, request=0.2)) as emulator, Wire(emulator) as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):  # noqa: PT012  it takes as many as fit into the time
            while True:
                wire.send(chunks)
