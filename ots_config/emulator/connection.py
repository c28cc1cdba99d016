"""One client's connection on aiohttp's low-level server, with the limits that it does not have.

Added are time limits for a head and for clients that do not read, a bound for what a connection may hold, and clients
that end their side before they have read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web

from ots_config.emulator.limits import ServerLimits
from ots_config.emulator.pending_bytes import PendingBytes

_logger = logging.getLogger("ots_config.emulator")
_BETWEEN = 0.02  # seconds; the next of several requests that came together begins sooner
_LINGER = 2.0  # seconds to go on reading a body that was refused, so that the client reads the response
_MAX_LINE = 65_536  # bytes of the request line, and of one header
_MAX_AHEAD = 1024 * 1024  # bytes of further requests to read while one is answered
_MAX_UNREAD = 32 * 1024  # bytes of a body that waits; twice that, and what one read brings, is held
_PRESSED = 1.0  # seconds between parts of a body while others wait for its end
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class ServerConnection(web.RequestHandler):
    """One client's connection.

    Attributes:
        busy: Whether a request is being read or answered.
        reading: Whether the body of a request is being read.
        ended: Whether the client sends no more.
        head_since: When the first bytes of an unfinished head came.
        heard_at: When the last bytes came.
        idle_since: When the last response was made.
        stalled_since: When the client stopped reading.
    """

    __slots__ = (
        "_ahead",
        "_discards",
        "_head_bytes",
        "_limits",
        "_on_open",
        "_pending",
        "busy",
        "ended",
        "head_since",
        "heard_at",
        "idle_since",
        "reading",
        "stalled_since",
    )

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        limits: ServerLimits,
        pending: PendingBytes,
        *,
        on_open: Callable[[ServerConnection], None],
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=limits.idle,
            access_log=None,  # type: ignore[arg-type]  # the library's way to switch it off
            logger=_logger,
            auto_decompress=False,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            read_bufsize=_MAX_UNREAD,
            lingering_time=min(_LINGER, limits.request),
        )
        self._limits = limits
        self._pending = pending
        self._on_open = on_open
        self._head_bytes = 0
        self._ahead = 0
        self._discards = False
        self.busy = False
        self.reading = False
        self.ended = False
        self.head_since: float | None = None
        self.heard_at = self.idle_since = loop.time()
        self.stalled_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make room for the connection."""
        super().connection_made(transport)
        self._on_open(self)

    @property
    def alive(self) -> bool:
        """Whether the connection is open."""
        return self.transport is not None and not self.transport.is_closing()

    @property
    def unused(self) -> bool:
        """Whether it waits for a request."""
        return not self.busy and self.head_since is None and self.stalled_since is None

    # --- what the client sends --------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Count and parse what has come."""
        self.heard_at = self._loop.time()
        if self._discards:
            pass
        elif self.busy and not self.reading:
            self._ahead += len(data)
            if self._ahead > _MAX_AHEAD and self.transport is not None:
                self.transport.pause_reading()
        else:
            self._pending.add(self, len(data))
            if not self.busy:
                if self.head_since is None:
                    self.head_since = self.heard_at
                self._head_bytes += len(data)
        super().data_received(data)
        # A part of the body may have come with the head, before `begin` is called.
        if self._head_bytes > self._limits.head + _MAX_AHEAD and self.transport is not None and not self.busy:
            self.transport.write(_TOO_LONG)
            self.transport.close()

    def begin(self) -> None:
        """Note that a request's head is complete."""
        self.busy = self.reading = True
        self._discards = False
        self.head_since = None
        self._head_bytes = 0

    def complete(self, *, whole: bool) -> None:
        """Note that no more of a request's body is wanted; unless it was `whole`, the rest is thrown away."""
        self.reading = False
        self._discards = not whole
        self._pending.release(self)

    def answered(self) -> None:
        """Note that the response was made."""
        self.busy = False
        self.idle_since = self._loop.time()
        if self._ahead:
            if self._ahead > _MAX_AHEAD and self.transport is not None and self.stalled_since is None:
                self.transport.resume_reading()
            self._ahead = 0

    def eof_received(self) -> bool:  # type: ignore[override]  # the library's returns nothing, which closes
        """Return whether responses are still to be sent."""
        self.ended = True
        # A client may end its side and still read its responses; `sweep` closes then. TLS cannot send after the end.
        pending = self.busy or self.head_since is not None or self.stalled_since is not None
        transport = self.transport
        return pending and transport is not None and transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free what the connection held."""
        self._pending.release(self)
        super().connection_lost(exc)

    # --- what the client reads --------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """Read no more requests of a client that does not read the responses."""
        super().pause_writing()
        self.stalled_since = self._loop.time()
        if self.transport is not None:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read further requests."""
        self.stalled_since = None
        if self.transport is not None:
            self.transport.resume_reading()
        super().resume_writing()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.Response:
        """Return the response to a malformed request; nothing after it can be understood."""
        del request, exc
        response = web.Response(
            status=status, text=f"{message or 'malformed request'}\n", headers={"Connection": "close"}
        )
        response.force_close()
        return response

    # --- its end ----------------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Close the connection if its client is too slow, or has ended its side and has all its responses."""
        transport, limits = self.transport, self._limits
        if transport is None:
            return
        if self.stalled_since is not None:
            if now - self.stalled_since > limits.idle:
                transport.abort()
        elif self.busy:
            if self._holds_up_others(now):
                transport.write(_TOO_SLOW)
                transport.close()
        elif self.ended:
            if now - self.idle_since > _BETWEEN:
                transport.close()
        elif self.head_since is not None and now - self.head_since > limits.request:
            transport.write(_TOO_SLOW)
            transport.close()

    def _holds_up_others(self, now: float) -> bool:
        silent = self.reading and now - self.heard_at > _PRESSED
        return silent and self._pending.exceeded and not self._pending.waits(self)

    def abort(self) -> None:
        """Close the connection at once; what was not sent yet is dropped."""
        if self.transport is not None:
            self.transport.abort()
