"""How a connection of an event loop is opened: addresses, TCP, a proxy's tunnel, TLS, all within one time limit."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from ots_config.errors import ConnectFailed, UntrustedServer
from ots_config.request.addresses import numeric, share, start_resolving
from ots_config.request.proxies import ConnectResponseParser
from ots_config.request.tls import not_tls
from ots_config.shown_text import system_text

if TYPE_CHECKING:
    from ots_config.request.proxies import Proxy
    from ots_config.request.route import Route

_SHORTEST = 0.001
_UNLIMITED = 86400.0  # the opening has a limit of its own


class Opening:
    """Opens one connection, and then holds what it consists of.

    Args:
        loop: The running event loop.
        route: Where to and how.
        protocol: What is spoken on the open connection.
        proxy_context: The TLS context for a proxy that is spoken with over TLS.

    Attributes:
        socket: The socket.
        plain: Its transport; None until it is connected.
        transport: What the protocol writes to: ``plain``, or TLS on it.
    """

    __slots__ = ("_limit", "_loop", "_protocol", "_proxy_context", "_route", "_stopped", "plain", "socket", "transport")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        route: Route,
        protocol: asyncio.Protocol,
        proxy_context: ssl.SSLContext | None,
    ) -> None:
        self._loop = loop
        self._route = route
        self._protocol = protocol
        self._proxy_context = proxy_context
        self._limit: asyncio.Timeout | None = None
        self._stopped = ""
        self.socket: socket.socket | None = None
        self.plain: Any = None
        self.transport: Any = None

    async def open(self, seconds: float) -> None:
        """Open the connection.

        Args:
            seconds: The time for all of it.

        Raises:
            ConnectFailed: If that is not possible; nothing is left open then.
        """
        route, proxy = self._route, self._route.proxy
        hop = route.first_where
        stage = f"no connection to {hop}"
        ends = monotonic() + seconds
        limit = self._limit = asyncio.timeout(seconds)
        try:
            async with limit:
                await self._connect(*route.first_hop, hop, ends)
                if proxy is not None and proxy.scheme == "https":
                    stage = f"no TLS handshake with {hop}"
                    await self._start_tls(self._proxy_context, proxy.host, hop)
                if proxy is not None and route.context is not None:
                    stage = f"no tunnel to {route.where} from {hop}"
                    await self._open_tunnel(proxy, hop)
                if route.context is not None:
                    stage = f"no TLS handshake with {route.where}"
                    await self._start_tls(route.context, route.host, route.where)
                self._check_open(route.where)
        except BaseException as error:
            self.abort()
            if not (isinstance(error, TimeoutError) and limit.expired()):
                raise
            failure = ConnectFailed(self._stopped or f"{stage} within {seconds:.3g} s")
        else:
            return
        finally:
            self._limit = None
        raise failure

    @property
    def is_running(self) -> bool:
        """Whether the connection is being opened just now."""
        return self._limit is not None

    def stop(self, reason: str) -> None:
        """End ``open`` with an error of this text."""
        self._stopped = reason
        if self._limit is not None:
            with suppress(RuntimeError):  # it ends already
                self._limit.reschedule(0)

    def abort(self) -> None:
        """Close what is open at once, without sending anything more."""
        if self.plain is None:
            if self.socket is not None:
                self.socket.close()
            return
        for transport in {self.transport, self.plain}:
            if transport is not None:  # TLS has none any more if the connection was lost meanwhile
                with suppress(RuntimeError):  # the event loop is closed
                    transport.abort()

    async def _connect(self, host: str, port: int, hop: str, ends: float) -> None:
        """Connect to the first address that accepts; each has its share of the time."""
        addresses = numeric(host, port)
        if addresses is None:
            addresses = await asyncio.wrap_future(start_resolving(host, port))
        reason = "it has no address"
        for number, (family, address) in enumerate(addresses):
            left = share(max(ends - monotonic(), _SHORTEST), len(addresses) - number)
            limit = asyncio.timeout(left)
            try:
                self.socket = socket.socket(family, socket.SOCK_STREAM)
                self.socket.settimeout(0)
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                async with limit:
                    await self._loop.sock_connect(self.socket, address)
            except OSError as error:
                if not limit.expired() and error.errno is None:
                    raise  # a program's; an error of the system has a number
                reason = f"no answer within {left:.3g} s" if limit.expired() else system_text(error)
                if self.socket is not None:
                    self.socket.close()
            else:
                self.plain, _ = await self._loop.create_connection(lambda: self._protocol, sock=self.socket)
                self.transport = self.plain
                return
        raise ConnectFailed(f"no connection to {hop}: {reason}")

    async def _open_tunnel(self, proxy: Proxy, hop: str) -> None:
        self._check_open(hop)
        opening = _TunnelProtocol(self._loop, ConnectResponseParser(proxy, self._route.where))
        self.transport.set_protocol(opening)
        self.transport.write(self._route.connect_head())
        if (failure := await opening.opened) is not None:
            raise failure

    async def _start_tls(self, context: ssl.SSLContext | None, host: str, where: str) -> None:
        self._check_open(where)
        assert context is not None  # noqa: S101 - for the type checker: whoever speaks TLS has one
        try:
            self.transport = await self._loop.start_tls(
                self.transport, self._protocol, context, server_hostname=host, ssl_handshake_timeout=_UNLIMITED
            )
        except ssl.SSLCertVerificationError as error:
            raise UntrustedServer(
                f"the certificate of {where} is not trusted: {error.verify_message}. If the server is yours, "
                "name its authority with ca_bundle"
            ) from None
        except OSError as error:
            if error.errno is None and not isinstance(error, ConnectionError):
                raise  # a program's; asyncio reports the end of the stream by an error without a number, too
            text = f"the TLS handshake with {where} failed: {system_text(error)}"
            raise not_tls(error, where) or ConnectFailed(text) from None

    def _check_open(self, where: str) -> None:
        if self.transport is None or self.transport.is_closing():
            raise ConnectFailed(f"{where} closed the connection as soon as it was open")


class _TunnelProtocol(asyncio.Protocol):
    """Reads what a proxy answers to CONNECT.

    Attributes:
        opened: A future of None when the tunnel is open, or of the error.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, parser: ConnectResponseParser) -> None:
        self.opened: asyncio.Future[ConnectFailed | None] = loop.create_future()
        self._parser = parser

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            return
        try:
            if self._parser.feed(data):
                self.opened.set_result(None)
        except ConnectFailed as error:
            self.opened.set_result(error)

    def eof_received(self) -> None:
        self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how does not matter
        self.data_received(b"")
