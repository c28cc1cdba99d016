"""A connection without a network: its responses to any bytes, however they are split."""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ots_config.emulator import ServerLimits
from ots_config.emulator.http import HTTPServer
from ots_config.emulator.messages import EmulatorRequest, EmulatorResponse, text_response

GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"


class RecordingTransport(asyncio.Transport):
    """A transport that records what is written to it."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = b""
        self.closed = False
        self.paused = False

    def write(self, data: Any) -> None:
        """Record."""
        self.written += data

    def close(self) -> None:
        """Record, and end the connection."""
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        """Return whether it was closed."""
        return self.closed

    def pause_reading(self) -> None:
        """Record."""
        self.paused = True

    def resume_reading(self) -> None:
        """Record."""
        self.paused = False


def echo(request: EmulatorRequest) -> EmulatorResponse:
    """Respond with the request as it was understood."""
    shown = [request.method, request.path, request.query, len(request.body), request.body.hex()]
    return text_response(200, json.dumps(shown))


async def settle() -> None:
    """Let the event loop do what can be done without waiting."""
    for _ in range(20):
        await asyncio.sleep(0)


def run(
    play: Callable[[Any, RecordingTransport], Awaitable[None]],
    handler: Callable[[EmulatorRequest], Any] = echo,
    **limits: float,
) -> RecordingTransport:
    """Run a play with a new connection; return its transport."""

    async def whole() -> RecordingTransport:
        problems: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        server = HTTPServer(handler, host="", port=0, limits=ServerLimits(**limits))  # type: ignore[arg-type]
        server._server = web.Server(server._respond)
        connection = server._connect()
        transport = RecordingTransport(connection)
        connection.connection_made(transport)
        await play(connection, transport)
        await settle()
        transport.close()
        await settle()
        await server.close()
        assert not problems
        assert len(asyncio.all_tasks()) == 1
        return transport

    return asyncio.run(whole())


def written(parts: list[bytes]) -> bytes:
    """Return what a connection writes when these bytes arrive one part after the other."""

    async def play(connection: Any, transport: RecordingTransport) -> None:
        for part in parts:
            if not transport.closed:
                connection.data_received(part)
                await settle()

    return run(play, body=1000).written


STREAM = (
    b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz"
    b"GET http://host:80/p HTTP/1.1\r\nHost: x\r\n\r\n"
    b"\r\nPOST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nab\r\nA;x\r\n0123456789\r\n0\r\nT: 1\r\n\r\n"
    b"HEAD /h HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
@settings(deadline=None)
def test_it_does_not_matter_how_bytes_are_split(cuts: list[int]) -> None:
    """However the network splits a stream of requests, the responses are the same."""
    bounds = [0, *sorted(cuts), len(STREAM)]
    parts = [STREAM[a:b] for a, b in pairwise(bounds) if a != b]

    def without_date(data: bytes) -> list[bytes]:
        return [line for line in re.split(rb"\r\n|(?=HTTP)", data) if not line.startswith(b"Date: ")]

    assert without_date(written(parts)) == without_date(written([STREAM]))
    assert len(re.findall(rb"HTTP/1\.[01] 200 OK", written([STREAM]))) == 4


PIECES = st.sampled_from(
    [
        *(b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST /x HTTP/1.1\r\nHost: x\r\n", b"Content-Length: 3\r\n", b"HTTP/1.1"),
        *(b"\r\n", b"\n", b"\r", b" ", b":", b"0\r\n\r\n", b"3\r\nabc\r\n", b"Expect: 100-continue\r\n"),
        *(b"Transfer-Encoding: chunked\r\n", b"Connection: upgrade\r\nUpgrade: x\r\n"),
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), PIECES), max_size=30))
@example([b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"])
def test_random_bytes_are_answered_or_waited_for(parts: list[bytes]) -> None:
    """Whatever arrives, nothing is raised, and what is written begins as a response."""
    data = written(parts)
    assert not data or data.startswith(b"HTTP/1.")


def test_an_error_of_the_handler_is_answered_with_500(caplog: pytest.LogCaptureFixture) -> None:
    """A bug of the emulator, at once or after a delay, is logged and answered, and the connection goes on."""

    async def fail_later() -> EmulatorResponse:
        raise ValueError

    def fail(_: EmulatorRequest) -> EmulatorResponse:
        raise ValueError

    handlers = iter([fail, lambda _: fail_later(), echo])

    def handle(request: EmulatorRequest) -> Any:
        return next(handlers)(request)

    async def play(connection: Any, _: RecordingTransport) -> None:
        connection.data_received(GET * 3)

    with caplog.at_level(logging.ERROR, "ots_config.emulator"):
        transport = run(play, handle)
    assert re.findall(rb"HTTP/1.1 (\d+)", transport.written) == [b"500", b"500", b"200"]
    assert [record.getMessage() for record in caplog.records] == ["no response to GET /x"] * 2


def test_a_client_that_does_not_read_is_waited_for() -> None:
    """While responses are not read no more are written and no more requests are read; all are answered later."""
    seen: list[tuple[int, bool]] = []

    async def play(connection: Any, transport: RecordingTransport) -> None:
        connection.pause_writing()
        for _ in range(1000):
            connection.data_received(GET)
        await settle()
        seen.append((transport.written.count(b"HTTP/1.1 200 OK"), transport.paused))
        connection.resume_writing()
        for _ in range(200):
            await settle()

    transport = run(play)
    assert seen == [(1, True)]
    assert transport.written.count(b"HTTP/1.1 200 OK") == 1000
    assert not transport.paused


def test_a_client_that_never_reads_is_cut_off() -> None:
    """After the idle limit the connection is closed, with what was not read."""
    closed: list[bool] = []

    async def play(connection: Any, transport: RecordingTransport) -> None:
        connection.pause_writing()
        now = asyncio.get_running_loop().time()
        for seconds in (9, 11):
            connection.sweep(now + seconds)
            closed.append(transport.closed)

    run(play, idle=10)
    assert closed == [False, True]


def test_a_head_has_its_time() -> None:
    """A head that is not complete in time is answered with 408, however many of its bytes keep coming."""
    states: list[bool] = []

    async def play(connection: Any, transport: RecordingTransport) -> None:
        now = asyncio.get_running_loop().time()
        connection.data_received(GET + GET[:-4])
        await settle()
        connection.data_received(GET[:5])
        for seconds in (9, 12):
            connection.data_received(b"x")
            connection.sweep(now + seconds)
            states.append(transport.closed)

    transport = run(play, request=10)
    assert states == [False, True]
    assert re.findall(rb"HTTP/1.1 (\d+)", transport.written) == [b"200", b"408"]


def test_dates_are_english() -> None:
    """The header Date has the format of RFC 9110, whatever the locale."""

    async def play(connection: Any, _: RecordingTransport) -> None:
        connection.data_received(GET)

    transport = run(play, lambda _: EmulatorResponse(200, at=784_111_777.9))
    assert b"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n" in transport.written
