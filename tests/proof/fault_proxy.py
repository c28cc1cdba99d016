"""A TCP proxy that breaks connections on purpose: between a client and a server, as a plain relay or an HTTP proxy.

It counts the bytes of each turn. A turn is what one side sends until the other one responds, so the bytes of a request
are counted from its first one even on a connection that was used before, and without reading what is encrypted.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

Kind = Literal["cut", "reset", "half-close", "stall", "drip"]
Side = Literal["request", "response"]
KINDS: tuple[Kind, ...] = ("cut", "reset", "half-close", "stall", "drip")
FOREVER = 3600.0
_CHUNK = 65536
_SMALL_BUFFER = 8192


@dataclass(frozen=True, slots=True)
class NetworkFault:
    """What happens to one turn of a connection.

    Attributes:
        kind: ``cut`` closes both ends, ``reset`` does so with a TCP reset, ``half-close`` tells the receiver that the
            stream has ended while the other direction goes on, ``stall`` pauses, ``drip`` forwards in small pieces.
        side: Whose bytes are counted and hit.
        after: How many bytes of the turn pass before.
        seconds: How long a stall lasts, or the pause between two pieces.
    """

    kind: Kind
    side: Side
    after: int
    seconds: float = 0.0


Plan = Callable[[], NetworkFault | None]
"""Returns the fault of the next turn of any connection."""


def no_faults() -> NetworkFault | None:
    """Return no fault."""
    return None


def random_plan(seed: int, rate: float, *, kinds: tuple[Kind, ...] = KINDS, timeout: float = 0.25) -> Plan:
    """Return a plan that hits a share of the turns.

    Args:
        seed: Makes the same faults in the same order of turns.
        rate: The share.
        kinds: The kinds to choose from.
        timeout: The client's; a stall is shorter, somewhat longer, or without an end.
    """
    chance = random.Random(seed)  # noqa: S311 - it need not be secret
    lock = threading.Lock()

    def plan() -> NetworkFault | None:
        with lock:
            if chance.random() >= rate:
                return None
            kind = chance.choice(kinds)
            side: Side = chance.choice(("request", "response"))
            after = chance.choice((0, 0, 1, 17, 200, 350, 500, chance.randrange(900), 40_000, 300_000))
            if kind == "stall":
                return NetworkFault(kind, side, after, chance.choice((timeout / 5, timeout * 1.5, FOREVER)))
            if kind == "drip":
                return NetworkFault(kind, side, after, chance.choice((0.001, timeout / 3)))
            return NetworkFault(kind, side, after)

    return plan


class FaultProxy:
    """Relays connections to one server from a thread of its own, and breaks them as its plan says.

    A request line with a whole URL, or ``CONNECT``, is answered as an HTTP proxy does; any name leads to the server.

    Args:
        port: The server's port on this machine.
        speaks_http: Whether it is an HTTP proxy and not a plain relay.
        plan: What to break.

    Attributes:
        plan: The same; it may be replaced at any time.
        turns: How many turns began.
        fired: How many faults came to effect.
        connections: How many connections were accepted.
    """

    def __init__(self, port: int, *, speaks_http: bool = False, plan: Plan = no_faults) -> None:
        self.plan = plan
        self.turns = self.fired = self.connections = 0
        self._target = port
        self._speaks_http = speaks_http
        self._loop = asyncio.new_event_loop()
        self._relays: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        # A small buffer, inherited by each connection: a client that sends much notices a stall.
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(256)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The proxy's URL, or the address to use as an endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Close every connection; what was not forwarded yet is lost."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def drop_connections(self) -> None:
        """Reset every open connection."""

        async def drop() -> None:
            for relay in list(self._relays):
                relay.cancel()

        asyncio.run_coroutine_threadsafe(drop(), self._loop).result(10)

    # --- the thread ---

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, sock=self._listener, limit=_CHUNK)
        await self._stopping.wait()
        server.close()
        for _ in range(3):  # a connection that was accepted just now has no relay before the loop's next rounds
            for relay in list(self._relays):
                relay.cancel()
            await asyncio.gather(*self._relays, return_exceptions=True)
            await asyncio.sleep(0.005)
            # Also of connections that were accepted just now, which nothing else here knows of yet.
            for transport in list(self._loop._transports.values()):  # type: ignore[attr-defined] # of each loop
                transport.abort()
        await asyncio.sleep(0.01)  # what was aborted is closed in the loop's next rounds

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        try:
            await self._relay(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            writer.transport.abort()
        except asyncio.CancelledError:  # of drop_connections() or close(): the streams' own callback dislikes it
            writer.transport.abort()
        finally:
            self._relays.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = b""
        if self._speaks_http:
            first = await reader.readuntil(b"\r\n\r\n")
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target, limit=_CHUNK)
        try:
            if first.startswith(b"CONNECT "):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                first = b""
            await _Relay(self, (reader, writer), (up_reader, up_writer)).run(first)
        finally:
            for each in (writer, up_writer):
                each.transport.abort() if each.transport.get_write_buffer_size() else each.close()


class _Relay:
    """One connection: two directions, and the fault of the turn."""

    def __init__(
        self,
        proxy: FaultProxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._fault: NetworkFault | None = None
        self._last: Side = "response"
        self._counts: dict[Side, int] = {"request": 0, "response": 0}

    async def run(self, first: bytes) -> None:
        pumps = [
            asyncio.create_task(self._pump("request", self._client[0], self._server[1], first)),
            asyncio.create_task(self._pump("response", self._server[0], self._client[1], b"")),
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, side: Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> None:
        while True:
            data = data or await reader.read(_CHUNK)
            if not data:
                if side == "response":
                    raise EOFError  # the server has closed: nothing more comes, and nothing is wanted
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            if side == "request" and self._last == "response":
                self._fault = self._proxy.plan()
                self._counts = {"request": 0, "response": 0}
                self._proxy.turns += 1
            self._last = side
            await self._forward(side, writer, data)
            data = b""

    async def _forward(self, side: Side, writer: asyncio.StreamWriter, data: bytes) -> None:
        fault = self._fault
        passed = self._counts[side]
        self._counts[side] += len(data)
        if fault is None or fault.side != side or passed + len(data) < max(fault.after, 1):
            writer.write(data)
            await writer.drain()
            return
        before = max(fault.after - passed, 0)
        if before:
            writer.write(data[:before])
            await writer.drain()
        await self._break(fault, writer, data[before:])

    async def _break(self, fault: NetworkFault, writer: asyncio.StreamWriter, rest: bytes) -> None:
        self._fault = None
        self._proxy.fired += 1
        match fault.kind:
            case "cut":
                for _, each in (self._client, self._server):
                    await _flush(each)
                raise EOFError
            case "reset":
                await _flush(self._server[1])
                for _, each in (self._client, self._server):
                    plain = each.get_extra_info("socket")
                    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    each.transport.abort()
                raise EOFError
            case "half-close":
                await _flush(writer)
                with contextlib.suppress(OSError):
                    writer.write_eof()
                await asyncio.sleep(FOREVER)  # this direction only; the other one goes on
            case "stall":
                await asyncio.sleep(fault.seconds)
                writer.write(rest)
                await writer.drain()
            case "drip":
                # Long streams in larger pieces: what is slow is the pace, not the number of pieces.
                size = max(len(rest) // 40, 1)
                for at in range(0, len(rest), size):
                    writer.write(rest[at : at + size])
                    await writer.drain()
                    await asyncio.sleep(fault.seconds)


async def _flush(writer: asyncio.StreamWriter) -> None:
    """Wait until the system has taken what was written."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(0.5):
            while writer.transport.get_write_buffer_size():  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.001)
