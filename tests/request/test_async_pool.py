"""The connections of an event loop: how many, in whose order, and that no interruption loses one or leaves it dirty."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from ots_config.emulator.tls import make_authority
from ots_config.errors import ConnectFailed
from ots_config.request.async_transport import AsyncTransport
from ots_config.request.deadline import Deadline

pytestmark = pytest.mark.asyncio


class EchoServer:
    """Answers each request with its body, in the same event loop: each step of a run is the same every time.

    Attributes:
        is_held: Whether answers are held back, until ``answer``.
        connections: How many there were.
        open: How many there are.
        most: How many there were at a time.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.is_held = False
        self.connections = self.open = self.most = 0
        self._held: list[tuple[asyncio.Transport, bytes]] = []

    def receive(self, transport: asyncio.Transport, body: bytes) -> None:
        """Answer one request."""
        if self.is_held:
            self._held.append((transport, body))
        else:
            transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def answer(self) -> None:
        """Answer what was held back."""
        self.is_held = False
        held, self._held = self._held, []
        for transport, body in held:
            self.receive(transport, body)


class EchoProtocol(asyncio.Protocol):
    """One connection of an ``EchoServer``."""

    transport: asyncio.Transport

    def __init__(self, server: EchoServer) -> None:
        self._server = server
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self.transport = cast("asyncio.Transport", transport)
        self._server.connections += 1
        self._server.open += 1
        self._server.most = max(self._server.most, self._server.open)

    def data_received(self, data: bytes) -> None:
        """Read one request."""
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if end and len(body) == int(head.split(b"content-length: ")[1].split(b"\r\n")[0]):
            self._data = b""
            self._server.receive(self.transport, body)

    def eof_received(self) -> None:
        """Close it too, without a farewell of TLS's."""
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Count it."""
        self._server.open -= 1


@asynccontextmanager
async def echo(context: Any = None) -> AsyncIterator[EchoServer]:
    """Run an echo server, to the end of its last connection."""
    echoing = EchoServer()
    server = await asyncio.get_running_loop().create_server(lambda: EchoProtocol(echoing), "127.0.0.1", 0, ssl=context)
    scheme = "https" if context else "http"
    echoing.endpoint = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield echoing
        while echoing.open:  # noqa: ASYNC110 - it is counted in a callback
            await asyncio.sleep(0)


@asynccontextmanager
async def transport_to(endpoint: str, **options: Any) -> AsyncIterator[AsyncTransport]:
    """Make a transport."""
    transport = AsyncTransport(endpoint, **{"max_connection": 1, "proxies": {}, **options})
    try:
        yield transport
    finally:
        await transport.close()


async def ask(transport: AsyncTransport, body: str, *, seconds: float = 20.0) -> str:
    """Send a text and return the response's."""
    response = await transport.send("/Echo", {}, body.encode(), (seconds, seconds), Deadline.after(None))
    return response.body.decode()


class StoppedAt:
    """Runs a coroutine to its step of that number, and raises an exception in it there.

    Attributes:
        steps: How many steps it ran.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, str], step: int, error: BaseException) -> None:
        self._coroutine = coroutine
        self._step = step
        self._error = error
        self.steps = 0

    def __await__(self) -> Generator[Any, None, str]:
        """Take the place of the coroutine in a task."""
        for self.steps in itertools.count():
            try:
                waiting = self._coroutine.throw(self._error) if self.steps == self._step else self._coroutine.send(None)
            except StopIteration as end:
                result: str = end.value
                return result
            yield waiting
        raise AssertionError


KINDS = ["new", "new tls", "reused", "waiting", "waiting for a new one"]


@asynccontextmanager
async def prepared(
    kind: str, folder: Path
) -> AsyncIterator[tuple[EchoServer, AsyncTransport, list[asyncio.Task[str]]]]:
    """Make a transport that is about to do what a kind of request needs, and the tasks that are in its way."""
    context, authority = make_authority(folder, "127.0.0.1") if "tls" in kind else (None, None)
    async with echo(context) as server, transport_to(server.endpoint, ca_bundle=authority) as transport:
        others: list[asyncio.Task[str]] = []
        if kind == "reused":
            assert await ask(transport, "first") == "first"
        elif kind.startswith("waiting"):
            if kind == "waiting":
                assert await ask(transport, "first") == "first"
            others.append(asyncio.create_task(ask(transport, "other")))
            await asyncio.sleep(0)  # in which it takes the only place
            assert transport.pool_status()[1:3] == (1, 0)
            if kind == "waiting for a new one":
                others.append(asyncio.create_task(cancel_later(others[0])))
        yield server, transport, others


async def cancel_later(task: asyncio.Task[str]) -> str:
    """Cancel a task when others wait for its connection."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    return ""


async def check_clean(transport: AsyncTransport, server: EchoServer, others: list[asyncio.Task[str]]) -> None:
    """Check that the only place is free, and that each caller gets its own response."""
    await asyncio.gather(*others, return_exceptions=True)
    status = transport.pool_status()
    assert (status.open, status.waiting) == (status.idle, 0)
    assert await asyncio.gather(*(ask(transport, f"later {n}") for n in range(3))) == [f"later {n}" for n in range(3)]
    assert transport.pool_status()[1:] == (1, 1, 0)


@pytest.mark.parametrize("raised", [asyncio.CancelledError, TimeoutError, OSError, KeyError])
@pytest.mark.parametrize("kind", KINDS)
async def test_an_interruption_at_every_await(kind: str, raised: type[BaseException], tmp_path: Path) -> None:
    """An exception that is raised where a request is resumed passes unchanged, and leaves a clean pool.

    A cancellation does that, and so does what a program raises in a signal handler, ``TimeoutError`` above all.
    """
    for step in itertools.count():
        async with prepared(kind, tmp_path) as (server, transport, others):
            error = raised(f"at {step}")
            stopped = StoppedAt(ask(transport, "mine"), step, error)

            async def run(stopped: StoppedAt = stopped) -> str:
                return await stopped

            (result,) = await asyncio.gather(asyncio.create_task(run()), return_exceptions=True)
            if stopped.steps < step:
                assert result == "mine"
                await check_clean(transport, server, others)
                break
            assert result is error if raised is not asyncio.CancelledError else type(result) is raised
            await check_clean(transport, server, others)
    assert step >= {"new": 4, "new tls": 5, "reused": 2, "waiting": 3, "waiting for a new one": 5}[kind]


@pytest.mark.parametrize("limit", [None, "timeout"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancellation_in_every_turn_of_the_event_loop(kind: str, limit: str | None, tmp_path: Path) -> None:
    """A task that is cancelled, or whose time ends, after any number of turns leaves a clean pool."""
    loop = asyncio.get_running_loop()
    for turns in itertools.count():
        async with prepared(kind, tmp_path) as (server, transport, others):
            clock = asyncio.timeout(None)

            async def run(transport: AsyncTransport = transport, clock: asyncio.Timeout = clock) -> str:
                async with clock:
                    return await ask(transport, "mine")

            task = asyncio.create_task(run())
            for _ in range(turns):
                await asyncio.sleep(0)
            if finished := task.done():
                pass
            elif limit is None:
                task.cancel()
            elif turns:  # before that there is no limit yet
                clock.reschedule(loop.time())
            (result,) = await asyncio.gather(task, return_exceptions=True)
            await check_clean(transport, server, others)
            if finished:
                assert result == "mine"
                break
            # Its response may come in the same turn.
            assert result == "mine" or isinstance(result, asyncio.CancelledError if limit is None else TimeoutError)
    assert turns > 3


async def test_more_callers_than_connections() -> None:
    """Each gets its own response over at most as many connections as allowed."""
    async with echo() as server, transport_to(server.endpoint, max_connection=3) as transport:
        texts = [f"text {number}" for number in range(100)]
        assert await asyncio.gather(*(ask(transport, text) for text in texts)) == texts
        assert server.most == server.connections == 3


async def test_first_come_first_served() -> None:
    """Callers of a full pool are served in the order in which they came, also those that come back."""
    order: list[str] = []

    async def caller(transport: AsyncTransport, name: str) -> None:
        for turn in range(3):
            await ask(transport, "x")
            order.append(f"{name}{turn}")

    async with echo() as server, transport_to(server.endpoint) as transport:
        await asyncio.gather(*(caller(transport, name) for name in "abcd"))
    assert order == [f"{name}{turn}" for turn in range(3) for name in "abcd"]


async def test_a_caller_leaves_the_queue() -> None:
    """One whose time ends while it waits learns why; the next one gets the connection."""
    async with echo() as server, transport_to(server.endpoint) as transport:
        assert await ask(transport, "first") == "first"
        server.is_held = True
        busy = asyncio.create_task(ask(transport, "busy"))
        await asyncio.sleep(0)
        last = asyncio.create_task(ask(transport, "last"))
        with pytest.raises(ConnectFailed, match=r"all 1 connections .* max_connection"):
            await ask(transport, "late", seconds=0.02)
        server.answer()
        assert await asyncio.gather(busy, last) == ["busy", "last"]
        assert server.connections == 1


async def test_many_callers_that_come_and_go() -> None:
    """Whatever is cancelled when, no place is lost and nobody gets another's response."""
    async with echo() as server, transport_to(server.endpoint, max_connection=4) as transport:

        async def caller(number: int) -> None:
            for turn in range(20):
                text = f"{number}-{turn}"
                task = asyncio.create_task(ask(transport, text))
                for _ in range((number * 7 + turn * 3) % 23):
                    await asyncio.sleep(0)
                if (number + turn) % 3 == 0:
                    task.cancel()
                (result,) = await asyncio.gather(task, return_exceptions=True)
                assert result == text or isinstance(result, asyncio.CancelledError)

        await asyncio.gather(*(caller(number) for number in range(16)))
        status = transport.pool_status()
        assert (status.open, status.waiting) == (status.idle, 0)
        texts = [str(number) for number in range(8)]
        assert await asyncio.gather(*(ask(transport, text) for text in texts)) == texts
        assert transport.pool_status().open == 4


async def test_a_connection_that_nobody_uses_or_gives_back_is_found() -> None:
    """A caller that was interrupted between two lines loses its connection; its place is free again later."""
    async with echo() as server, transport_to(server.endpoint, idle_timeout=0.02) as transport:
        await ask(transport, "x")
        (pool,) = transport._pools.values()
        assert pool.take() is not None  # and it is lost
        assert transport.pool_status()[1:3] == (1, 0)
        assert await ask(transport, "y") == "y"


async def test_a_failure_gives_its_place_to_the_next(refused: Callable[[], str]) -> None:
    """Callers that wait for a place try for themselves when the one before them cannot connect."""
    async with transport_to(refused()) as transport:
        results = await asyncio.gather(*(ask(transport, "x") for _ in range(5)), return_exceptions=True)
        assert [type(result) for result in results] == [ConnectFailed] * 5
        assert transport.pool_status()[1:] == (0, 0, 0)


@pytest.fixture
def refused() -> Callable[[], str]:
    """Return what gives an endpoint where nobody listens."""
    import socket

    def endpoint() -> str:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return f"http://127.0.0.1:{server.getsockname()[1]}"

    return endpoint
