"""One keep-alive HTTP/1.1 connection of an event loop that knows whether the server can have the whole request.

It is a protocol and not a coroutine: a request costs one future, and everything that ends it (the response, its time,
the end of the connection, a cancelled task) is decided in one step of the event loop. A connection that breaks is
aborted, never closed gracefully: that would go on sending what the caller was told was not sent.
"""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ots_config.errors import ConnectFailed, RequestError, ResponseInvalid, ResponseLost
from ots_config.request.async_opening import Opening
from ots_config.request.http_parser import HTTPResponse, MalformedResponse, ResponseParser
from ots_config.shown_text import system_text

if TYPE_CHECKING:
    import ssl

    from ots_config.request.route import Route

PendingResponse: TypeAlias = "asyncio.Future[HTTPResponse | RequestError]"
"""The outcome of a request, when there is one: its response, or its error."""

CLIENT_CLOSED = "the client is closed"

_NEVER = float("inf")
_OVERLAPPED: Any = getattr(asyncio, "ProactorEventLoop", ())
"""The loop of Windows hands its whole buffer to the system, which may send what the loop still counts as unsent."""


class Owner(Protocol):
    """What a connection reports to."""

    def release(self, connection: AsyncConnection) -> None:
        """Take back a connection whose response is complete."""
        ...

    def discard(self, connection: AsyncConnection) -> None:
        """Forget a connection that is closed."""
        ...


class AsyncConnection(asyncio.Protocol):
    """A connection, opened once by ``open`` and gone when it is closed.

    Args:
        loop: The event loop, which is the running one.
        route: Where to and how.
        owner: Gets the connection back after each response, and once when it is closed.
        proxy_context: The TLS context for a proxy that is spoken with over TLS.

    Attributes:
        is_open: Whether a request can be sent.
        opened_at: When it was opened, by ``time.monotonic``.
        idle_since: When it was last used.
    """

    __slots__ = (
        "_ends",
        "_loop",
        "_opening",
        "_outcome",
        "_owner",
        "_parser",
        "_plain",
        "_poll",
        "_reused",
        "_route",
        "_timeout",
        "_timer",
        "_timer_at",
        "_transport",
        "_unsent",
        "idle_since",
        "is_open",
        "opened_at",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, route: Route, owner: Owner, proxy_context: ssl.SSLContext | None = None
    ) -> None:
        self._loop = loop
        self._route = route
        self._opening = Opening(loop, route, self, proxy_context)
        self._owner: Owner | None = owner
        self._plain: Any = None  # the transport that sends to the socket
        self._transport: Any = None  # the same, or TLS on it
        self._poll: Any = None
        self._outcome: PendingResponse | None = None
        self._parser: ResponseParser | None = None
        self._unsent = self._reused = self.is_open = False
        self._ends = self._timer_at = _NEVER
        self._timeout = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.opened_at = self.idle_since = monotonic()

    async def open(self, seconds: float) -> None:
        """Open the connection within so many seconds; see ``Opening.open``.

        Raises:
            ConnectFailed: If that is not possible; the connection is closed then.
        """
        opening = self._opening
        try:
            await opening.open(seconds)
            self._plain, self._transport = opening.plain, opening.transport
            # From now on the protocol learns when a byte stays in the loop's buffer, and when all have left. TLS counts
            # in another way: from 1 on.
            self._transport.set_write_buffer_limits(0 if self._transport is self._plain else 1, 0)
            if hasattr(select, "poll"):
                self._poll = select.poll()
                self._poll.register(opening.socket, select.POLLIN)
        except BaseException:
            self.close()
            raise
        self.opened_at = self.idle_since = monotonic()
        self.is_open = True

    # --- one request ---

    def is_usable(self) -> bool:
        """Return whether the server has not closed this idle connection: the loop may not have looked since."""
        return self.is_open and (self._poll is None or not self._poll.poll(0))

    @property
    def is_busy(self) -> bool:
        """Whether it is being opened, or a request waits for its response."""
        return self._outcome is not None or self._opening.is_running

    def start(self, request: bytes, outcome: PendingResponse, timeout: float) -> None:
        """Send one request; ``outcome`` gets its response or its error.

        Args:
            request: Head and body.
            outcome: A future. Whoever stops waiting for it calls ``interrupt``.
            timeout: Seconds for the whole response, from the first byte sent.
        """
        self._outcome = outcome
        self._parser = ResponseParser()
        self._timeout = timeout
        self._ends = ends = monotonic() + timeout
        if ends < self._timer_at:  # as a rule the timer of an earlier request comes first, and sets itself anew then
            self._set_timer(timeout)
        self._transport.write(request)
        if self._plain.is_closing():
            self._unsent = True  # the system refused it as a whole; connection_lost() follows

    def interrupt(self, outcome: PendingResponse) -> None:
        """Close the connection unless this request has ended, and another may have begun."""
        if self._outcome is outcome:
            self._outcome = None
            self.close()

    def data_received(self, data: bytes) -> None:
        """Read a part of a response; called by the event loop."""
        parser, outcome = self._parser, self._outcome
        if parser is None or outcome is None:
            self.close()  # nothing was asked
            return
        try:
            response = parser.feed(data)
        except MalformedResponse as error:
            self._fail(ResponseInvalid(f"{self._route.host} did not answer in HTTP/1.1: {error}"))
            return
        if response is not None:
            self._finish(outcome, parser, response)

    def _finish(self, outcome: PendingResponse, parser: ResponseParser, response: HTTPResponse) -> None:
        self._outcome = self._parser = None
        if parser.reusable and not self._unsent and self._owner is not None:
            self._reused = True
            self.idle_since = monotonic()
            self._owner.release(self)
        else:
            self.close()
        if not outcome.done():
            outcome.set_result(response)

    def eof_received(self) -> None:
        """Read the end of the stream; called by the event loop."""
        parser, outcome = self._parser, self._outcome
        if parser is None or outcome is None:
            self.close()
            return
        try:
            response = parser.end()
        except ConnectionResetError as error:
            self._break(error)
        else:
            self._finish(outcome, parser, response)

    def connection_lost(self, exc: Exception | None) -> None:
        """Read that the connection is gone; called by the event loop."""
        if self._owner is not None:
            self._break(exc or ConnectionResetError("end of stream"))

    # --- what has left ---

    def pause_writing(self) -> None:
        """Note that a part of the request has not left; called by the event loop."""
        self._unsent = True

    def resume_writing(self) -> None:
        """Note that all of it has left; called by the event loop."""
        self._unsent = False

    def _is_unsent(self) -> bool:
        """Return whether the end of the request is known not to have left, and never will if it is aborted now."""
        if isinstance(self._loop, _OVERLAPPED):
            return False
        # Under TLS the last record may have left the loop's protocol for the buffer below it.
        return self._unsent or (self._plain is not None and self._plain.get_write_buffer_size() > 0)

    # --- failing and closing ---

    def _break(self, error: Exception) -> None:
        """End the request because the connection ended."""
        host, reason = self._route.host, system_text(error)
        started = self._parser is not None and self._parser.started
        if self._is_unsent():
            text = f"{host} closed the connection before the request was sent: {reason}"
            self._fail(ConnectFailed(text, on_reused_connection=self._reused))
        else:
            how = "in the middle of its response" if started else "without a response"
            text = f"{host} closed the connection {how}: {reason}"
            self._fail(ResponseLost(text, on_reused_connection=self._reused and not started))

    def _fail(self, error: RequestError) -> None:
        outcome, self._outcome = self._outcome, None
        self.close()
        if outcome is not None and not outcome.done():
            outcome.set_result(error)

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = monotonic() + seconds
        self._timer = self._loop.call_later(seconds, self._look_at_time)

    def _look_at_time(self) -> None:
        self._timer, self._timer_at = None, _NEVER
        if self._outcome is None:
            return
        left = self._ends - monotonic()
        if left > 0:
            self._set_timer(left)
        elif self._is_unsent():
            self._fail(ConnectFailed(f"{self._route.host} did not take the whole request within {self._timeout:.3g} s"))
        else:
            self._fail(ResponseLost(f"{self._route.host} did not answer within {self._timeout:.3g} s"))

    def stop(self) -> None:
        """Close the connection because the client was closed; a request that waits for its response has failed."""
        if self._opening.is_running:
            self._opening.stop(CLIENT_CLOSED)  # which ends open()
        elif self._is_unsent():
            self._fail(ConnectFailed("the client was closed before the request was sent"))
        else:
            self._fail(ResponseLost("the client was closed before it had the response"))

    def close(self) -> None:
        """Close the connection at once; whatever has not left is never sent."""
        owner, self._owner = self._owner, None
        if owner is None:
            return
        self.is_open = False
        self._outcome = self._parser = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._opening.abort()
        owner.discard(self)

    def leave_to_parent(self, file: int) -> None:
        """Replace the socket, in a child process, by another file.

        Both processes have one epoll: a transport that is closed in the child would also take the parent's socket out
        of it. With another file under its number the child can do what it wants.
        """
        self._owner = None
        socket = self._opening.socket
        if socket is not None and socket.fileno() >= 0:
            os.dup2(file, socket.fileno(), inheritable=False)

    def close_without_loop(self) -> None:
        """Close the connection of an event loop that does not run any more."""
        self.close()
        # A closed loop calls nothing later, and there is no public way to close a transport of it.
        if self._loop.is_closed() and (lost := getattr(self._plain, "_call_connection_lost", None)) is not None:
            with suppress(RuntimeError):
                lost(None)
        if self._opening.socket is not None:
            self._opening.socket.close()
