"""The emulator's sockets: opened, swept for silent connections, closed without a trace."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
import weakref
from contextlib import suppress

from ots_config.emulator.http import Connection, Handler, Limits

_BACKLOG = 1024


class Listener:
    """Serves one handler on one host and port.

    Args:
        handler: What answers requests.
        host: The host name or address to listen on.
        port: The port, 0 for any that is free.
        limits: What is taken from clients.
        tls: The TLS context, None for plain HTTP.

    Attributes:
        port: The port listened on, known once started.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        host: str,
        port: int,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._handler = handler
        self._host = host
        self.port = port
        self._limits = limits or Limits()
        self._tls = tls
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where the service is reached."""
        scheme = "http" if self._tls is None else "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self.port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: If the host or the port cannot be had.
        """
        loop = asyncio.get_running_loop()
        self._sockets, self.port = bind(self._host, self.port)
        try:
            for sock in self._sockets:
                server = await loop.create_server(
                    lambda: Connection(self._handler, self._limits, self._connections),
                    sock=sock,
                    backlog=_BACKLOG,
                    ssl=self._tls,
                    ssl_handshake_timeout=None if self._tls is None else self._limits.request,
                )
                self._servers.append(server)
        except BaseException:
            await self.close()
            raise
        self._sweeper = loop.create_task(self._sweep())
        _listeners.add(self)

    async def close(self) -> None:
        """Stop listening and close every connection at once."""
        _listeners.discard(self)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.remove_reader(sock)
        # What was accepted just now is a connection some turns of the loop later; after server.close() it would never
        # be one, and its socket would stay open.
        for _ in range(3):
            await asyncio.sleep(0)
        for server in self._servers:
            server.close()
        for sock in self._sockets:
            sock.close()
        answering = [task for task in (connection.cancel() for connection in list(self._connections)) if task]
        await asyncio.gather(*answering, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        self._sockets.clear()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._limits.idle / 4, self._limits.request / 4))
            now = time.monotonic()
            for connection in list(self._connections):
                connection.sweep(now)

    def leave_to_parent(self) -> None:
        """In a forked child: let go of the parent's sockets, so that they close when the parent closes them."""
        with suppress(OSError):
            nothing = os.open(os.devnull, os.O_RDWR)
            descriptors = [sock.fileno() for sock in self._sockets]
            descriptors += [connection.file_descriptor for connection in self._connections]
            # Replaced, not closed: the objects that own these numbers live on in the child.
            for descriptor in descriptors:
                if descriptor >= 0:
                    os.dup2(nothing, descriptor, inheritable=False)
            os.close(nothing)


def bind(host: str, port: int) -> tuple[list[socket.socket], int]:
    """Bind a socket to each address of a host, all on one port.

    Raises:
        OSError: If the host is unknown, or its first address cannot be had on that port.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    bound: list[socket.socket] = []
    for family, kind, protocol, _, address in dict.fromkeys(found):
        sock = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address[0], port, *address[2:]))
        except OSError:
            sock.close()
            if not bound:
                raise
            continue  # a host that has IPv6 addresses only by name is served on the others
        port = sock.getsockname()[1]
        bound.append(sock)
    return bound, port


_listeners: weakref.WeakSet[Listener] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for listener in list(_listeners):
        listener.leave_to_parent()
    _listeners.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
