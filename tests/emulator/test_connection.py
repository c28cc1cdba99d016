"""A connection without a network: what it makes of any octets, however they are parted."""

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ots_config.emulator import Limits
from ots_config.emulator.http import Connection
from ots_config.emulator.messages import Answer, Request, http_date, plain


class Paper(asyncio.Transport):
    """A transport that writes on paper."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.closed = False
        self.paused = False

    def write(self, data: Any) -> None:
        """Take octets."""
        self.pieces.append(data)

    @property
    def written(self) -> bytes:
        """Return all that was written."""
        return b"".join(self.pieces)

    def close(self) -> None:
        """Take note."""
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """Take note."""
        self.paused = True

    def resume_reading(self) -> None:
        """Take note."""
        self.paused = False

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
    parts = [STREAM[a:b] for a, b in pairwise(bounds) if a != b]

    def without_date(written: bytes) -> list[bytes]:
        return [line for line in re.split(rb"\r\n|(?=HTTP)", written) if not line.startswith(b"Date: ")]

    assert without_date(play(parts)[0]) == without_date(play([STREAM])[0])
    assert without_date(play([STREAM])[0]).count(b"HTTP/1.1 200 OK") == 4


PIECES = st.sampled_from(
    [
        *(b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"),
        *(b"\r\n", b"\n", b"\r", b" ", b":", b"0\r\n\r\n", b"3\r\nabc\r\n", b"Expect: 100-continue\r\n", b"HTTP/1.1"),
    ]
)


@settings(max_examples=300)
@given(st.lists(st.one_of(st.binary(max_size=40), PIECES), max_size=30))
@example([b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"])
def test_random_octets_are_answered_or_waited_for(parts: list[bytes]) -> None:
    """Whatever comes, nothing is raised, and what is written begins as an answer."""
    written, _ = play(parts)
    assert not written or written.startswith(b"HTTP/1.1 ")


def test_a_handler_that_fails_is_answered_for(caplog: pytest.LogCaptureFixture) -> None:
    """An error of the emulator itself is logged and answered with 500, and the connection goes on."""

    def fail(_: Request) -> Answer:
        raise ValueError

    paper = Paper()
    connection = Connection(fail, Limits(), set())
    connection.connection_made(paper)
    with caplog.at_level(logging.ERROR, "ots_config.emulator"):
        connection.data_received(b"GET /x HTTP/1.1\r\n\r\n" * 2)
    assert paper.written.count(b"HTTP/1.1 500 Internal Server Error") == 2
    assert "no answer to GET /x" in caplog.text


def connect(answer: Callable[[Request], Any] = echo, **limits: float) -> tuple[Connection, Paper]:
    """Return a connection and what it writes on."""
    paper = Paper()
    connection = Connection(answer, Limits(**limits), set())  # type: ignore[arg-type]
    connection.connection_made(paper)
    return connection, paper


GET = b"GET /x HTTP/1.1\r\n\r\n"


def test_a_client_that_does_not_read_is_waited_for() -> None:
    """Requests that come while answers pile up are answered when the client reads again, and no more are read."""
    connection, paper = connect()
    connection.pause_writing()
    for _ in range(60_000):
        connection.data_received(GET)
    assert paper.written == b""
    assert paper.paused
    connection.resume_writing()
    assert paper.written.count(b"HTTP/1.1 200 OK") == 60_000
    assert not paper.paused


def test_a_client_that_never_reads_is_given_up() -> None:
    """After the time for silence the connection is cut, with what was not read."""
    connection, paper = connect(idle=10)
    connection.pause_writing()
    connection.sweep(time.monotonic() + 9)
    assert not paper.closed
    connection.sweep(time.monotonic() + 11)
    assert paper.closed


def test_each_silence_has_its_time() -> None:
    """Between requests the long one, within a request the short one; an answered refusal is not waited on for long."""
    now = time.monotonic()
    for sent, seconds in (
        (b"", 100),
        (GET, 100),
        (GET[:-4], 10),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", 10),
    ):
        connection, paper = connect(idle=100, request=10)
        connection.data_received(sent)
        already = len(paper.written)
        connection.sweep(now + seconds - 1)
        assert not paper.closed
        assert len(paper.written) == already
        connection.sweep(now + seconds + 2)
        assert paper.closed or paper.written.startswith(b"HTTP/1.1 ")
        connection.sweep(now + seconds + 20)
        assert paper.closed


def test_what_follows_a_refusal_is_thrown_away() -> None:
    """So that the client reads the refusal; but not without end."""
    connection, paper = connect()
    connection.data_received(b"nonsense\r\n\r\n")
    refusal = paper.written
    for _ in range(64):
        connection.data_received(bytes(1024 * 1024))
    assert not paper.closed
    connection.data_received(b"x")
    assert paper.closed
    assert paper.written == refusal


def test_a_coroutine_that_fails_is_answered_for(caplog: pytest.LogCaptureFixture) -> None:
    """What is answered later may fail later; the connection goes on with the next request."""

    async def fail() -> Answer:
        raise ValueError

    answers = iter([fail(), plain(200, "next")])

    async def run() -> bytes:
        connection, paper = connect(lambda _: next(answers))
        connection.data_received(GET + GET)
        for _ in range(5):
            await asyncio.sleep(0)
        return paper.written

    with caplog.at_level(logging.ERROR, "ots_config.emulator"):
        written = asyncio.run(run())
    assert re.findall(rb"HTTP/1.1 (\d+)", written) == [b"500", b"200"]
    assert "no answer to GET /x" in caplog.text


def test_dates_are_english() -> None:
    """The header Date is as RFC 9110 wants it, whatever the locale."""
    assert http_date(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT"
