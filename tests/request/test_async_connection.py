"""A connection of an event loop: what it knows of a request that failed, and that nothing is sent afterwards."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ots_config.emulator.tls import make_authority
from ots_config.errors import ConnectFailed, RequestError, ResponseInvalid, ResponseLost
from ots_config.request.async_connection import AsyncConnection
from ots_config.request.async_transport import AsyncTransport
from ots_config.request.deadline import Deadline
from ots_config.request.http_parser import HTTPResponse

pytestmark = pytest.mark.asyncio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
LARGE = b"x" * 16_000_000
"""More than the buffers of both ends of a connection on loopback take."""


@pytest_asyncio.fixture
async def connect() -> AsyncIterator[Callable[..., AsyncTransport]]:
    """Make transports to a scripted server."""
    made: list[AsyncTransport] = []

    def make(server: Any, **options: Any) -> AsyncTransport:
        made.append(AsyncTransport(server.endpoint, **{"max_connection": 2, "proxies": {}, **options}))
        return made[-1]

    yield make
    for transport in made:
        await transport.close()


async def send(
    transport: AsyncTransport, body: bytes = b"x", *, seconds: float = 5.0, deadline: float | None = None
) -> HTTPResponse:
    """Send one request."""
    return await transport.send("/PutRow", {}, body, (5.0, seconds), Deadline.after(deadline))


async def error_of(transport: AsyncTransport, body: bytes = b"x", **times: Any) -> RequestError:
    """Send one request that fails."""
    with pytest.raises(RequestError) as caught:
        await send(transport, body, **times)
    return caught.value


def the_connection(transport: AsyncTransport) -> AsyncConnection:
    """Return the only connection."""
    (pool,) = transport._pools.values()
    (connection,) = pool._connections
    return connection


class Reader:
    """Reads a request only when the test says so, and counts what came in all."""

    def __init__(self, wrap: Callable[[socket.socket], socket.socket] = lambda plain: plain) -> None:
        self._wrap = wrap
        self._go_on = threading.Event()
        self._done = threading.Event()
        self.count = 0

    def script(self, connection: socket.socket) -> None:
        """Serve one connection."""
        with self._wrap(connection) as stream, contextlib.suppress(OSError):
            self._go_on.wait(20)
            while part := stream.recv(1 << 20):
                self.count += len(part)
        self._done.set()

    async def read_all(self) -> int:
        """Return how many bytes came before the connection ended."""
        self._go_on.set()
        assert await asyncio.to_thread(self._done.wait, 20)
        return self.count


@pytest.fixture
def secure(tmp_path: Path) -> tuple[Callable[[socket.socket], socket.socket], Path]:
    """Return what speaks TLS on a server's connection, and the authority to trust."""
    context, authority = make_authority(tmp_path, "127.0.0.1")
    return lambda plain: context.wrap_socket(plain, server_side=True), authority


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_request_whose_sending_timed_out_never_arrives(
    server: Any, connect: Callable[..., AsyncTransport], secure: Any, *, tls: bool
) -> None:
    """It is reported as never sent, and its end is not sent afterwards although the server reads on."""
    wrap, authority = secure
    reader = Reader(wrap) if tls else Reader()
    server.set_scripts(reader.script)
    if tls:
        transport = AsyncTransport(
            server.endpoint.replace("http:", "https:"), max_connection=1, proxies={}, ca_bundle=authority
        )
    else:
        transport = connect(server)
    error = await error_of(transport, LARGE, seconds=0.2)
    assert isinstance(error, ConnectFailed)
    assert "did not take the whole request" in str(error)
    assert await reader.read_all() < len(LARGE)
    assert transport.pool_status().open == 0
    await transport.close()


async def test_a_cancelled_request_is_not_sent_afterwards(server: Any, connect: Callable[..., AsyncTransport]) -> None:
    """What had not left when its task was cancelled never leaves."""
    reader = Reader()
    server.set_scripts(reader.script)
    transport = connect(server)
    task = asyncio.create_task(send(transport, LARGE))
    while not transport._pools or not the_connection(transport).is_open:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await reader.read_all() < len(LARGE)


async def test_a_connection_that_breaks_while_it_is_sent_on(
    server: Any, connect: Callable[..., AsyncTransport]
) -> None:
    """The server cannot have had the whole request: it is known to be unsent."""

    def script(connection: socket.socket) -> None:
        connection.recv(1000)
        server.reset(connection)

    server.set_scripts(script)
    error = await error_of(connect(server), LARGE)
    assert isinstance(error, ConnectFailed)
    assert not error.on_reused_connection


async def test_a_half_closed_connection_is_not_flushed(server: Any, connect: Callable[..., AsyncTransport]) -> None:
    """The end of the server's stream ends the sending too, and what is left is dropped."""
    counted: list[int] = []
    done = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.shutdown(socket.SHUT_WR)
        counted.append(0)
        with contextlib.suppress(OSError):
            while part := connection.recv(1 << 20):
                counted.append(len(part))
        done.set()

    server.set_scripts(script)
    error = await error_of(connect(server), LARGE)
    assert isinstance(error, ConnectFailed)
    assert await asyncio.to_thread(done.wait, 20)
    assert sum(counted) < len(LARGE) - 1000


async def test_a_response_that_comes_early_is_the_response(server: Any, connect: Callable[..., AsyncTransport]) -> None:
    """A server may refuse a large request before it has read it; the connection is not used again."""

    def script(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        connection.recv(1)

    server.set_scripts(script)
    transport = connect(server)
    assert (await send(transport, LARGE))[::3] == (413, b"no")
    assert transport.pool_status().open == 0


@pytest.mark.parametrize(
    ("answer", "text"),
    [(b"", "without a response"), (OK[:20], "in the middle"), (OK[:-1], "in the middle")],
    ids=["nothing", "head", "body"],
)
@pytest.mark.parametrize("reused", [False, True])
async def test_a_connection_that_breaks_after_the_request(
    server: Any, connect: Callable[..., AsyncTransport], answer: bytes, text: str, *, reused: bool
) -> None:
    """The request may have happened; only a reused connection without any byte is likely to have been stale."""
    answers = [OK, answer] if reused else [answer]
    server.set_scripts(server.answering(*answers, then_close=True))
    transport = connect(server)
    if reused:
        await send(transport)
    error = await error_of(transport)
    assert isinstance(error, ResponseLost)
    assert text in str(error)
    assert error.may_have_happened
    assert error.on_reused_connection == (reused and not answer)
    assert server.connections == 1


@pytest.mark.parametrize("kind", ["silent", "dripping"])
@pytest.mark.parametrize("bound", ["seconds", "deadline"])
async def test_a_response_has_one_time_limit(
    server: Any, connect: Callable[..., AsyncTransport], kind: str, bound: str
) -> None:
    """A server that says nothing, or a byte at a time, cannot renew it."""
    end = threading.Event()

    def script(connection: socket.socket) -> None:
        server.read_request(connection)
        for byte in OK * 100:
            if end.wait(0.01):
                return
            if kind == "dripping":
                connection.sendall(bytes((byte,)))

    server.set_scripts(script)
    transport = connect(server)
    try:
        async with asyncio.timeout(5):
            error = await error_of(transport, **{bound: 0.1})
    finally:
        end.set()
    assert isinstance(error, ResponseLost)
    assert "did not answer within 0." in str(error)
    assert transport.pool_status().open == 0


async def test_the_timer_of_a_long_request_does_not_end_the_next(
    server: Any, connect: Callable[..., AsyncTransport]
) -> None:
    """A timer that was set for an earlier request is set anew for the one that runs when it comes."""
    answered = threading.Event()

    def script(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(OK)
        server.read_request(connection)
        answered.wait(0.1)
        connection.sendall(OK)
        connection.recv(1)

    server.set_scripts(script)
    transport = connect(server)
    await send(transport, seconds=0.05)
    assert (await send(transport, seconds=5)).body == b"hi"
    assert server.connections == 1


async def test_a_short_request_after_a_long_one(server: Any, connect: Callable[..., AsyncTransport]) -> None:
    """The timer of the long one does not count for the short one."""

    def script(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(OK)
        server.read_request(connection)
        connection.recv(1)

    server.set_scripts(script)
    transport = connect(server)
    await send(transport, seconds=50)
    async with asyncio.timeout(5):
        error = await error_of(transport, seconds=0.05)
    assert "did not answer within 0.05 s" in str(error)


async def test_what_is_no_http_is_one_error(server: Any, connect: Callable[..., AsyncTransport]) -> None:
    """The request may have happened, and the connection is closed."""
    server.set_scripts(server.answering(b"nonsense\r\n\r\n"))
    transport = connect(server)
    error = await error_of(transport)
    assert isinstance(error, ResponseInvalid)
    assert transport.pool_status().open == 0


@pytest.mark.parametrize("ending", ["unasked bytes", "end of stream", "reset"])
async def test_an_idle_connection_that_the_server_touched_is_not_used(
    server: Any, connect: Callable[..., AsyncTransport], ending: str
) -> None:
    """Whatever comes on an idle connection ends it, also if the event loop has not looked yet."""
    touched = threading.Event()

    def script(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(OK)
        if ending == "unasked bytes":
            connection.sendall(OK)
        elif ending == "reset":
            server.reset(connection)
        connection.close()
        touched.set()

    server.set_scripts(script, server.answering(OK))
    transport = connect(server)
    await send(transport)
    assert touched.wait(5)  # which blocks the event loop
    await send(transport)
    assert server.connections == 2


@pytest.mark.parametrize("attribute", ["idle_since", "opened_at"])
async def test_an_idle_or_old_connection_is_replaced(
    server: Any, connect: Callable[..., AsyncTransport], attribute: str
) -> None:
    """A connection that was idle for too long, or has become too old for a changed DNS entry, is not used again."""
    server.set_scripts(server.answering(OK))
    transport = connect(server)
    await send(transport)
    setattr(the_connection(transport), attribute, -10_000.0)
    await send(transport)
    assert server.connections == 2
    assert transport.pool_status()[1:] == (1, 1, 0)


@pytest.mark.parametrize("answer", ["close", "end of stream", "force_close"])
async def test_a_connection_that_is_not_kept(server: Any, connect: Callable[..., AsyncTransport], answer: str) -> None:
    """The server's wish to close is followed, a body may end with the stream, and ``force_close`` keeps nothing."""
    parts = {
        "close": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
        "end of stream": b"HTTP/1.1 200 OK\r\n\r\nhi",
        "force_close": OK,
    }
    server.set_scripts(server.answering(parts[answer], then_close=answer == "end of stream"))
    transport = connect(server, force_close=answer == "force_close")
    for number in (1, 2):
        assert (await send(transport)).body == b"hi"
        assert transport.pool_status().open == 0
        assert server.connections == number


async def test_an_unused_connection_is_closed(server: Any, connect: Callable[..., AsyncTransport]) -> None:
    """Nobody has to send another request for that, and a client that is dropped frees its sockets so."""
    server.set_scripts(server.answering(OK))
    transport = connect(server, idle_timeout=0.05)
    await send(transport)
    assert transport.pool_status().open == 1
    async with asyncio.timeout(5):
        while transport.pool_status().open:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)


async def test_a_time_limit_of_the_callers(server: Any, connect: Callable[..., AsyncTransport]) -> None:
    """``asyncio.timeout`` around a request raises its own TimeoutError, and nothing is left open."""
    server.set_scripts(lambda connection: connection.recv(1 << 20) and connection.recv(1))
    transport = connect(server)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await send(transport)
    assert transport.pool_status()[1:] == (0, 0, 0)


async def test_closing_while_requests_are_in_progress(server: Any, connect: Callable[..., AsyncTransport]) -> None:
    """A request that was sent may have happened; one that waits for a connection was not; both end at once."""
    server.set_scripts(lambda connection: connection.recv(1 << 20) and connection.recv(1))
    transport = connect(server, max_connection=1)
    tasks = [asyncio.create_task(send(transport)) for _ in range(2)]
    while not server.connections or transport.pool_status().waiting != 1:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0)
    await transport.close()
    lost, refused = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(lost, ConnectFailed | ResponseLost)
    assert "client is closed" in str(refused)
    with pytest.raises(RequestError, match="closed"):
        await send(transport)
