"""One HTTP connection: what it reads, and what it says of the request when something breaks."""

import contextlib
import socket
import ssl
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ots_config.errors import ConnectFailed, RequestInvalid, ResponseInvalid, ResponseLost
from ots_config.request.connection import Connection, request_head
from ots_config.request.http_parser import HTTPResponse
from ots_config.request.route import Route
from ots_config.request.streams import PlainStream

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Ots-RequestId: r1\r\n\r\nhi"


def exchange(connection: Connection, body: bytes = b"body", *, timeout: float = 5.0) -> HTTPResponse:
    """Send one request over a connection."""
    head = request_head("/PutRow", "127.0.0.1", {"Content-Length": str(len(body)), "x-a": "1"})
    return connection.exchange(head, body, (timeout, timeout))


def to(server: Any) -> Connection:
    """Return a connection to a scripted server."""
    return Connection(Route("127.0.0.1", server.port))


def test_one_request_and_its_answer(server: Any) -> None:
    """Request line, headers and body arrive as they were given; the answer's header names come in lower case."""
    server.set_scripts(server.answering(OK, OK))
    connection = to(server)
    answer = exchange(connection)
    assert answer == HTTPResponse(200, "OK", {"content-length": "2", "x-ots-requestid": "r1"}, b"hi")
    assert server.requests[0] == (
        b"POST /PutRow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nx-a: 1\r\n\r\nbody"
    )
    exchange(connection)
    assert server.connections == 1
    connection.close()


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3;x=y\r\n yo\r\n0\r\nT: 1\r\n\r\n",
            b"hi yo",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>", b"<html>"),
    ],
)
def test_every_framing_of_a_body(server: Any, raw: bytes, body: bytes) -> None:
    """Chunks, interim answers, no body and a declared length are read to their end, and the connection stays."""
    server.set_scripts(server.answering(raw, OK))
    connection = to(server)
    assert exchange(connection).body == body
    assert exchange(connection).body == b"hi"
    assert server.connections == 1
    connection.close()


def test_an_answer_that_ends_with_the_connection(server: Any) -> None:
    """A body without a length ends with the connection, which is then opened anew."""
    raw = b"HTTP/1.1 200 OK\r\n\r\nall of it"
    server.set_scripts(server.answering(raw, then_close=True), server.answering(OK))
    connection = to(server)
    assert exchange(connection).body == b"all of it"
    assert exchange(connection).body == b"hi"
    assert server.connections == 2
    connection.close()


@pytest.mark.parametrize("close", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n"])
def test_a_connection_that_the_server_will_close_is_not_kept(server: Any, close: bytes) -> None:
    """``Connection: close`` and HTTP/1.0 end the connection after the answer."""
    server.set_scripts(server.answering(close + b"Content-Length: 0\r\n\r\n"), server.answering(OK))
    connection = to(server)
    exchange(connection)
    assert not connection.is_usable()
    exchange(connection)
    assert server.connections == 2
    connection.close()


@pytest.mark.parametrize(
    "whole",
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
    ids=["length", "chunks", "no body"],
)
@pytest.mark.parametrize(
    "left_over", [b"\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"], ids=["one byte", "an answer"]
)
def test_a_connection_with_bytes_left_over_is_not_kept(server: Any, whole: bytes, left_over: bytes) -> None:
    """Bytes after the end of an answer may be those of another one: the next request goes over a new connection."""
    server.set_scripts(server.answering(whole + left_over, OK), server.answering(OK))
    connection = to(server)
    exchange(connection)
    assert not connection.is_usable()
    assert exchange(connection).body == b"hi"
    assert server.connections == 2
    connection.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 2OO OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiXX",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70000,
    ],
)
def test_what_is_not_http_is_one_error(server: Any, raw: bytes) -> None:
    """An answer that is not HTTP/1.1 raises ``ResponseInvalid``, and the operation may have happened."""
    server.set_scripts(server.answering(raw))
    with pytest.raises(ResponseInvalid) as caught:
        exchange(to(server))
    assert caught.value.may_have_happened


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_an_answer_or_an_error(raw: bytes) -> None:
    """Whatever bytes come, there is an answer or one of two errors, never a hang."""
    ours, theirs = socket.socketpair()
    connection = Connection(Route("peer", 1))
    ours.settimeout(0.0)
    connection._stream = PlainStream(ours)
    with theirs:
        theirs.sendall(raw)
        theirs.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ResponseInvalid, ResponseLost):
            assert isinstance(exchange(connection), HTTPResponse)
    connection.close()


# --- what was sent ----------------------------------------------------------------------------------------------


def test_a_closed_port_was_never_reached() -> None:
    """A refused connection says that nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectFailed, match="refused") as caught:
        exchange(Connection(Route("127.0.0.1", port)))
    assert not caught.value.may_have_happened


def test_an_unknown_host_was_never_reached() -> None:
    """A name that cannot be resolved says so."""
    with pytest.raises(ConnectFailed, match=r"no-such-host\.invalid"):
        exchange(Connection(Route("no-such-host.invalid", 443)))


def test_a_reset_after_the_request_may_have_happened(server: Any) -> None:
    """Once the whole request is sent, a reset leaves open whether it was carried out."""

    def script(connection: socket.socket) -> None:
        server.read_request(connection)
        server.reset(connection)

    server.set_scripts(script)
    with pytest.raises(ResponseLost) as caught:
        exchange(to(server))
    assert caught.value.may_have_happened
    assert not caught.value.on_reused_connection


def test_a_kept_connection_that_breaks_says_so(server: Any) -> None:
    """A failure on a kept connection without a byte of an answer tells that a new connection may do."""
    server.set_scripts(server.answering(OK, b"", then_close=True))
    connection = to(server)
    exchange(connection)
    with pytest.raises(ResponseLost) as caught:
        exchange(connection)
    assert caught.value.on_reused_connection


def test_an_answer_cut_short_is_lost(server: Any) -> None:
    """A connection that ends within an answer raises ``ResponseLost``, and not at once again."""
    server.set_scripts(server.answering(OK, OK[:-1], then_close=True))
    connection = to(server)
    exchange(connection)
    with pytest.raises(ResponseLost, match="middle") as caught:
        exchange(connection)
    assert not caught.value.on_reused_connection


def test_a_response_cut_after_its_head_is_not_tried_again_at_once(server: Any) -> None:
    """The head alone shows that the server had the request: another connection is no better."""
    server.set_scripts(server.answering(OK, OK.partition(b"hi")[0], then_close=True))
    connection = to(server)
    exchange(connection)
    with pytest.raises(ResponseLost, match="middle") as caught:
        exchange(connection)
    assert not caught.value.on_reused_connection


def test_a_silent_server_is_lost_after_the_timeout(server: Any) -> None:
    """A server that does not answer ends the attempt with the time that was waited."""
    server.set_scripts(server.answering(b""))
    with pytest.raises(ResponseLost, match=r"within 0\.05 s"):
        exchange(to(server), timeout=0.05)


def test_a_dripping_server_does_not_renew_the_timeout(server: Any) -> None:
    """A server that sends byte by byte is given up when the time of the whole answer is over."""

    def script(connection: socket.socket) -> None:
        import time

        server.read_request(connection)
        for _ in range(200):
            connection.sendall(b"H")
            time.sleep(0.01)

    server.set_scripts(script)
    with pytest.raises(ResponseLost):
        exchange(to(server), timeout=0.1)


def test_a_request_that_the_server_does_not_take_whole_never_happened(server: Any) -> None:
    """If the connection breaks before the last byte is sent, the server cannot have carried the request out."""

    def script(connection: socket.socket) -> None:
        connection.recv(10)
        server.reset(connection)

    server.set_scripts(script)
    with pytest.raises(ConnectFailed) as caught:
        exchange(to(server), b"x" * 50_000_000)
    assert not caught.value.may_have_happened


def test_a_plain_server_fails_the_tls_handshake(server: Any) -> None:
    """A server that speaks no TLS ends as a failed connection: nothing was sent."""

    def script(connection: socket.socket) -> None:
        connection.recv(10)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server.set_scripts(script)
    connection = Connection(Route("127.0.0.1", server.port, ssl.create_default_context()))
    with pytest.raises(ConnectFailed, match="TLS"):
        exchange(connection)


def test_headers_cannot_break_their_line() -> None:
    """A header with a line break is refused before anything is sent."""
    with pytest.raises(RequestInvalid):
        request_head("/PutRow", "h", {"a": "1\r\nb: 2"})


def test_the_head_of_a_request_is_not_shown() -> None:
    """The head holds signature and token: its repr shows neither."""
    head = request_head("/PutRow", "h", {"x-ots-signature": "S3CRET"})
    assert "S3CRET" not in f"{head!r}{head}"
