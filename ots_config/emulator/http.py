"""HTTP on aiohttp's low-level server: from sockets to `EmulatorRequest`, and from `EmulatorResponse` back.

aiohttp parses, keeps connections alive and writes responses. Added here is what it does not do: limits of time and
memory for bodies, a limit of connections, ``Expect``, responses that are cut or reset on purpose or go on without end,
and closing everything at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import weakref
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from email.utils import formatdate
from functools import lru_cache
from socket import socket
from typing import Any

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from ots_config.emulator import sockets
from ots_config.emulator.connection import ServerConnection
from ots_config.emulator.limits import ServerLimits
from ots_config.emulator.messages import EmulatorRequest, EmulatorResponse, Ending, text_response
from ots_config.emulator.pending_bytes import PendingBytes

_logger = logging.getLogger("ots_config.emulator")

RequestHandler = Callable[[EmulatorRequest], EmulatorResponse | Coroutine[Any, Any, EmulatorResponse]]
"""Responds to a request, at once or (when a fault delays it) later; it never blocks."""

_format_date = lru_cache(maxsize=8)(lambda second: formatdate(second, usegmt=True))


class HTTPServer:
    """Serves one handler on one host and port.

    Args:
        handler: Responds to requests.
        host: The host name or address to listen on.
        port: The port, 0 for any free one.
        limits: What is accepted from clients.
        tls: The TLS context, None for plain HTTP.

    Attributes:
        port: The port listened on, known once started.
    """

    def __init__(
        self,
        handler: RequestHandler,
        *,
        host: str,
        port: int,
        limits: ServerLimits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._handler = handler
        self._host = host
        self.port = port
        self._limits = limits or ServerLimits()
        self._pending = PendingBytes(self._limits.pending)
        self._tls = tls
        self._sockets: list[socket] = []
        self._listeners: list[asyncio.Server] = []
        self._server: web.Server | None = None
        self._delayed: set[asyncio.Task[Any]] = set()
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where the server is reached."""
        scheme = "http" if self._tls is None else "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self.port}"

    # --- running ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: If the host or the port is not available.
        """
        loop = asyncio.get_running_loop()
        self._server = web.Server(self._respond)
        self._sockets, self.port = sockets.listen(self._host, self.port)
        try:
            for sock in self._sockets:
                listener = await loop.create_server(
                    self._connect,
                    sock=sock,
                    backlog=sockets.BACKLOG,
                    ssl=self._tls,
                    ssl_handshake_timeout=None if self._tls is None else self._limits.request,
                )
                self._listeners.append(listener)
        except BaseException:
            await self.close()
            raise
        self._sweeper = loop.create_task(self._sweep())
        _running.add(self)

    async def close(self) -> None:
        """Stop listening and close every connection at once."""
        _running.discard(self)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.remove_reader(sock)
        # What was accepted just now becomes a connection some turns of the loop later; after listener.close() it would
        # never become one, and its socket would stay open.
        for _ in range(3):
            await asyncio.sleep(0)
        for listener in self._listeners:
            listener.close()
        for sock in self._sockets:
            sock.close()
        await self._close_connections()
        for listener in self._listeners:
            await listener.wait_closed()
        self._listeners.clear()
        self._sockets.clear()

    async def _close_connections(self) -> None:
        for connection in self._connections():
            connection.abort()
        for task in list(self._delayed):
            task.cancel()
        for _ in range(100):  # the task of a connection ends some turns of the loop after its socket
            if not self._connections():
                break
            await asyncio.sleep(0)
        if self._server is not None:
            await self._server.shutdown(timeout=0.01)

    def _connect(self) -> ServerConnection:
        assert self._server is not None  # noqa: S101  there is one while it listens
        return ServerConnection(
            self._server, asyncio.get_running_loop(), self._limits, self._pending, on_open=self._make_room
        )

    def _make_room(self, new: ServerConnection) -> None:
        """Close the connection that is unused for longest, or else the new one, if there are too many."""
        alive = [connection for connection in self._connections() if connection.alive]
        if len(alive) > self._limits.connections:
            unused = [connection for connection in alive if connection.unused and connection is not new]
            min(unused, key=lambda connection: connection.idle_since, default=new).abort()

    def _connections(self) -> list[ServerConnection]:
        found = () if self._server is None else self._server.connections
        return [connection for connection in found if isinstance(connection, ServerConnection)]

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(1.0, self._limits.idle / 4, self._limits.request / 4))
            for connection in self._connections():
                connection.sweep(loop.time())

    def disown_sockets(self) -> None:
        """In a forked child: let go of the parent's sockets."""
        transports = [connection.transport for connection in self._connections()]
        sockets.disown([*(sock.fileno() for sock in self._sockets), *map(sockets.descriptor, transports)])

    # --- requests ---------------------------------------------------------------------------------------------

    async def _respond(self, received: web.BaseRequest) -> web.StreamResponse:
        connection = received.protocol
        assert isinstance(connection, ServerConnection)  # noqa: S101  start() makes no other
        connection.begin()
        try:
            refusal = _refusal(received)
            if refusal is not None:
                return _send(refusal, keep_alive=False)
            request = EmulatorRequest(received.method, received.raw_path, _headers(received))
            request.peer = received.remote or ""
            await self._read_body(received, request, connection)
            connection.complete(whole=received.content.at_eof())
            response = await self._handle(request)
            if response.ending is not Ending.WHOLE:
                return await _break_off(received, response)
            if response.stream is not None:
                return await _send_stream(received, response)
            return _send(response, keep_alive=received.keep_alive and not request.unread)
        except ConnectionError:
            return web.Response()  # the client is gone
        except (web.RequestPayloadError, HttpProcessingError):
            return _send(text_response(400, "the chunks of the body are malformed\n"), keep_alive=False)
        finally:
            connection.complete(whole=received.content.at_eof())
            connection.answered()

    async def _read_body(
        self, received: web.BaseRequest, request: EmulatorRequest, connection: ServerConnection
    ) -> None:
        """Read a body within the limits."""
        limits, content, declared = self._limits, received.content, received.content_length or 0
        transport = received.transport
        if "expect" in request.headers and not content.is_eof() and declared <= limits.body and transport is not None:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        loop = asyncio.get_running_loop()
        body = bytearray()
        until: float | None = None
        try:
            while max(len(body), declared) <= limits.body and not content.at_eof():
                if content.is_eof():  # all of it has come, as most bodies do with their head
                    body += content.read_nowait()
                    continue
                until = until or loop.time() + limits.upload
                async with asyncio.timeout_at(until):
                    await self._pending.turn(connection)
                async with asyncio.timeout_at(min(until, loop.time() + limits.request)):
                    body += await content.readany()
        except TimeoutError:
            request.unread = 408
            return
        if max(len(body), declared) > limits.body:
            request.unread = 413
        else:
            request.body = bytes(body)

    async def _handle(self, request: EmulatorRequest) -> EmulatorResponse:
        try:
            response = self._handler(request)
            if isinstance(response, EmulatorResponse):
                return response
            task = asyncio.ensure_future(response)
            self._delayed.add(task)
            task.add_done_callback(self._delayed.discard)
            return await task
        except Exception:
            _logger.exception("no response to %s %s", request.method, request.path)
            return text_response(500, "The emulator failed.\n")


def _refusal(received: web.BaseRequest) -> EmulatorResponse | None:
    """Return the response to a request that the library accepts and the emulator does not."""
    if received.version > HttpVersion11:
        return text_response(505, "only HTTP/1.1 and HTTP/1.0 are supported\n")
    if not received.raw_path.isascii():
        return text_response(400, "the target must be ASCII\n")
    expect = received.headers.get("Expect", "100-continue")
    if expect.lower() != "100-continue" and received.version == HttpVersion11:
        return text_response(417, "the only supported expectation is 100-continue\n")
    return None


def _headers(received: web.BaseRequest) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in received.headers.items():
        lower = name.lower()
        decoded = value if value.isascii() else _without_surrogates(value)
        headers[lower] = f"{headers[lower]}, {decoded}" if lower in headers else decoded
    return headers


def _without_surrogates(value: str) -> str:
    """Return a header's value as Latin-1 if it is not UTF-8, whose bytes the library keeps as surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


def _send(response: EmulatorResponse, *, keep_alive: bool) -> web.Response:
    if response.at is not None:
        response.headers["Date"] = _format_date(int(response.at))
    sent = web.Response(status=response.status, headers=response.headers, body=response.body)
    if not keep_alive:
        sent.headers["Connection"] = "close"
        sent.force_close()
    return sent


async def _send_stream(received: web.BaseRequest, response: EmulatorResponse) -> web.StreamResponse:
    """Send parts as they are made, until they end or the client is gone."""
    assert response.stream is not None  # noqa: S101  asked before
    sent = web.StreamResponse(status=response.status, headers=response.headers)
    await sent.prepare(received)
    async with aclosing(response.stream) as parts:
        async for part in parts:
            await sent.write(part)
    await sent.write_eof()
    return sent


async def _break_off(received: web.BaseRequest, response: EmulatorResponse) -> web.StreamResponse:
    """Send nothing, or half of the body (of the status line if there is no body), and end the connection."""
    transport = received.transport
    sent = web.StreamResponse(status=response.status or 200, headers=response.headers)
    if transport is None:
        return sent
    if response.ending is Ending.RESET:
        sockets.reset(transport)
        return sent
    if response.body:
        sent.content_length = len(response.body)
        await sent.prepare(received)
        await sent.write(response.body[: len(response.body) // 2])
    else:
        transport.write(b"HTTP/1.1 200")
    transport.close()
    return sent


_running: weakref.WeakSet[HTTPServer] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for server in list(_running):
        server.disown_sockets()
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
