"""The keep-alive connections of one client in one event loop: a limited number, first come, first served.

Everything happens in the thread of the loop, so there is no lock. A connection counts from the moment it is planned
to the moment it is closed, and whoever waits is handed a connection, never a right to look for one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from ots_config.errors import ConnectFailed, RequestInvalid
from ots_config.request.async_connection import CLIENT_CLOSED, AsyncConnection
from ots_config.request.pool import MAX_AGE, PoolStatus

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator

    from ots_config.request.deadline import Deadline
    from ots_config.request.route import Route


class AsyncConnectionPool:
    """Connections to one endpoint, of the event loop that runs when it is made.

    Args:
        route: Where to and how.
        limit: The most connections at a time; further callers wait.
        idle_timeout: Seconds after which an unused connection is closed.
        keep_alive: Whether a connection carries more than one request.
        proxy_context: The TLS context for a proxy that is spoken with over TLS.
    """

    def __init__(
        self,
        route: Route,
        *,
        limit: int,
        idle_timeout: float,
        keep_alive: bool = True,
        proxy_context: ssl.SSLContext | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._route = route
        self._limit = limit
        self._idle_timeout = idle_timeout
        self._keep_alive = keep_alive
        self._proxy_context = proxy_context
        self._connections: set[AsyncConnection] = set()
        self._idle: deque[AsyncConnection] = deque()
        self._waiters: deque[asyncio.Future[AsyncConnection | None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        self._guard = self._until_shutdown()
        with suppress(StopIteration):
            self._guard.asend(None).send(None)

    async def _until_shutdown(self) -> AsyncGenerator[None, None]:
        """Close the connections when the loop shuts down its generators: ``asyncio.run`` does that before it ends."""
        try:
            yield
        finally:
            for connection in list(self._connections):
                connection.stop()

    # --- taking ---

    def take(self) -> AsyncConnection | None:
        """Return an idle connection, the one that was used last; None if there is none."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            now = monotonic()
            stale = now - connection.idle_since > self._idle_timeout or now - connection.opened_at > MAX_AGE
            if not stale and connection.is_usable():
                return connection
            connection.close()
        return None

    async def acquire(self, seconds: float, deadline: Deadline) -> AsyncConnection:
        """Return an open connection: a new one if there may be one more, else one that is given back.

        Args:
            seconds: How long to wait for one, and how long to open it.
            deadline: The call's, which cuts both.

        Raises:
            ConnectFailed: If there is none in time, or it cannot be opened.
            RequestInvalid: If the client is closed.
        """
        while not self._closed:
            if len(self._connections) < self._limit:  # then nobody waits
                connection = self._add()
            else:
                connection = await self._wait(deadline.clamp(seconds))
            if connection.is_open:
                if connection.is_usable():
                    return connection
                connection.close()
            elif connection in self._connections:
                await connection.open(deadline.clamp(seconds))
                return connection
        raise RequestInvalid(CLIENT_CLOSED)

    async def _wait(self, seconds: float) -> AsyncConnection:
        waiter: asyncio.Future[AsyncConnection | None] = self.loop.create_future()
        self._waiters.append(waiter)
        timer = self.loop.call_later(seconds, _give_up, waiter)
        try:
            connection = await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and (connection := waiter.result()) is not None:
                self._hand_on(connection)
            raise
        finally:
            timer.cancel()
            with suppress(ValueError):
                self._waiters.remove(waiter)
        if connection is not None:
            return connection
        if self._closed:
            raise RequestInvalid(CLIENT_CLOSED)
        raise ConnectFailed(
            f"all {self._limit} connections to {self._route.host} were busy for {seconds:.3g} s; "
            "raise max_connection or use fewer tasks"
        )

    def _add(self) -> AsyncConnection:
        connection = AsyncConnection(self.loop, self._route, self, self._proxy_context)
        self._connections.add(connection)
        if self._sweep is None:
            self._sweep = self.loop.call_later(self._idle_timeout, self._close_unused)
        return connection

    # --- giving back ---

    def release(self, connection: AsyncConnection) -> None:
        """Take back a connection whose response is complete: the first who waits gets it."""
        if not self._keep_alive:
            connection.close()
        elif not self._hand_over(connection):
            self._idle.append(connection)

    def discard(self, connection: AsyncConnection) -> None:
        """Forget a connection that is closed: the first who waits may open another."""
        self._connections.discard(connection)
        with suppress(ValueError):
            self._idle.remove(connection)
        if self._waiters and not (self._closed or self.loop.is_closed()) and len(self._connections) < self._limit:
            connection = self._add()
            if not self._hand_over(connection):
                self._connections.discard(connection)

    def _hand_over(self, connection: AsyncConnection) -> bool:
        while self._waiters:
            waiter = self._waiters.popleft()
            if self.loop.is_closed():
                continue  # nobody can wait any more
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _hand_on(self, connection: AsyncConnection) -> None:
        """Give on what was handed to a caller that has left."""
        if connection.is_open:
            self.release(connection)
        else:
            connection.close()

    def _close_unused(self) -> None:
        """Close what has been unused for too long, whoever has lost it."""
        self._sweep = None
        now = monotonic()
        for connection in list(self._connections):
            if not connection.is_busy and now - connection.idle_since > self._idle_timeout:
                connection.close()
        if self._connections:
            self._sweep = self.loop.call_later(self._idle_timeout, self._close_unused)

    # --- closing ---

    def close(self) -> None:
        """Close the connections, also busy ones; callers that wait for one fail. Called in the loop's thread."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for waiter in self._waiters:
            _give_up(waiter)
        self._end_guard()

    def _end_guard(self) -> None:
        with suppress(StopIteration, RuntimeError):  # it is running if the loop is just shutting it down
            self._guard.aclose().send(None)

    def close_without_loop(self) -> None:
        """Close the connections although the loop does not run any more; nobody waits then."""
        self._closed = True
        self._waiters.clear()
        for connection in list(self._connections):
            connection.close_without_loop()
        self._end_guard()

    def leave_to_parent(self, file: int) -> list[AsyncConnection]:
        """Replace the sockets, in a child process, by another file; return the connections, which must be kept."""
        left = list(self._connections)
        for connection in left:
            connection.leave_to_parent(file)
        return left

    def status(self) -> PoolStatus:
        """Return the state of the connections now."""
        waiting = sum(not waiter.done() for waiter in self._waiters)
        return PoolStatus(self._limit, len(self._connections), len(self._idle), waiting)


def _give_up(waiter: asyncio.Future[AsyncConnection | None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
