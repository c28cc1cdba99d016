"""The keep-alive connections of one client: a limited number, reused last in first out, never a stale one.

An exception may be raised at any line of a thread: by a signal handler, by a time limit of a task queue, by a green
thread's timeout. So the pool takes no lock and keeps no count that an interrupted caller would leave wrong. It uses
operations that the interpreter cannot interrupt (of ``deque`` and ``dict``), counts the connections that exist, and
wakes a waiter by its own plain lock. What an interrupted caller leaves undone, a waiter does a quarter of a second
later.
"""

from __future__ import annotations

import os
import weakref
from _thread import LockType, allocate_lock
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from ots_config.errors import ConnectFailed, RequestInvalid
from ots_config.request.connection import Connection
from ots_config.request.deadline import NEVER, Deadline

if TYPE_CHECKING:
    from ots_config.request.http_parser import HTTPResponse
    from ots_config.request.route import Route

MAX_AGE = 300.0
"""Seconds after which a connection is replaced, so that a changed DNS entry is noticed."""

_LOOK_AGAIN = 0.25
"""Seconds after which a waiter looks for a connection although nobody woke it and it is not its turn."""

_CLOSED = "the client is closed"

_pools: weakref.WeakSet[ConnectionPool] = weakref.WeakSet()


class PoolStatus(NamedTuple):
    """The state of a client's connections.

    Attributes:
        limit: The most that there may be.
        open: How many are open or in use.
        idle: How many of these are free.
        waiting: How many callers wait for one.
    """

    limit: int
    open: int
    idle: int
    waiting: int


class ConnectionPool:
    """Connections to one host.

    Callers that wait are served in the order in which they came: who comes while others wait, waits behind them. A
    waiter announces itself before it looks a last time, so the one who gives back either sees the waiter or was seen
    by it.

    Args:
        route: The host, its TLS and its proxy.
        limit: The most connections at a time; further callers wait.
        idle_timeout: Seconds after which an unused connection is closed. The service closes idle ones after about
            ten seconds, and one that it has just closed costs a retry.
    """

    def __init__(self, route: Route, *, limit: int, idle_timeout: float) -> None:
        self._route = route
        self._limit = limit
        self._idle_timeout = idle_timeout
        self._closed = False
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        self._idle: deque[Connection] = deque()
        # The connections that exist, oldest first. One that is gone, however it was lost, leaves by itself.
        self._places: dict[weakref.ref[Connection], None] = {}
        self._waiters: deque[weakref.ref[LockType]] = deque()

    def __getstate__(self) -> dict[str, object]:
        message = "a connection pool cannot be pickled"
        raise TypeError(message)

    def exchange(
        self, head: bytes, body: bytes, timeouts: tuple[float, float], deadline: Deadline = NEVER
    ) -> HTTPResponse:
        """Send one request over a free connection and return its response; see ``Connection.exchange``.

        Raises:
            ConnectFailed: Also if no connection was free within the time to connect.
        """
        connection = None if self._waiters or self._closed else self._take_idle()
        if connection is None:
            connection = self._take(timeouts[0], deadline)
        try:
            return connection.exchange(head, body, timeouts, deadline)
        finally:
            self._give_back(connection)

    # --- taking ---

    def _take(self, timeout: float, deadline: Deadline = NEVER) -> Connection:
        if self._closed:
            raise RequestInvalid(_CLOSED)
        if not self._waiters:  # who comes later waits behind those who are there
            connection = self._take_idle() or self._new()
            if connection is not None:
                return connection
        return self._wait(deadline.clamp(timeout))

    def _take_idle(self) -> Connection | None:
        """Return a free connection, which opens anew if the server may have closed it; None if there is none."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return None
        now = monotonic()
        stale = now - connection.idle_since > self._idle_timeout or now - connection.opened_at > MAX_AGE
        if stale or not connection.is_usable():
            connection.close()
        return connection

    def _new(self) -> Connection | None:
        """Return a connection to be opened, None if there are as many as there may be."""
        if len(self._places) >= self._limit:
            return None
        connection = Connection(self._route)
        # One step: a reference that is not in there yet must not outlive an interruption, and leave it.
        self._places[weakref.ref(connection, self._places.pop)] = None
        place = weakref.getweakrefs(connection)[0]
        # Of several callers that come to this line at the same time, the first ones get the places that are left.
        if len(self._places) <= self._limit or place in list(self._places)[: self._limit]:
            return connection
        return None

    def _wait(self, timeout: float) -> Connection:
        ends = monotonic() + timeout
        lock = allocate_lock()
        lock.acquire()
        waiter = weakref.ref(lock)
        self._waiters.append(waiter)
        try:
            was_woken = True
            while True:
                if self._closed:
                    raise RequestInvalid(_CLOSED)
                if not was_woken or self._first_waiter() is lock:
                    connection = self._take_idle() or self._new()
                    if connection is not None:
                        return connection
                left = ends - monotonic()
                if left <= 0:
                    raise ConnectFailed(
                        f"all {self._limit} connections to {self._route.host} were busy for {timeout:g} s; "
                        "raise max_connection or use fewer threads"
                    )
                was_woken = lock.acquire(timeout=min(left, _LOOK_AGAIN))
        finally:
            self._leave(waiter)

    def _leave(self, waiter: weakref.ref[LockType]) -> None:
        """Leave the queue; the next one may have been waiting behind this waiter for what there is already."""
        with suppress(ValueError):
            self._waiters.remove(waiter)
        if self._waiters and (self._idle or len(self._places) < self._limit):
            self._wake_first()

    def _first_waiter(self) -> LockType | None:
        """Return the lock of whoever has waited longest, without those that are gone."""
        while True:
            try:
                waiter = self._waiters[0]
            except IndexError:
                return None
            lock = waiter()
            if lock is not None:
                return lock
            with suppress(ValueError):
                self._waiters.remove(waiter)

    def _wake_first(self) -> None:
        lock = self._first_waiter()
        if lock is not None:
            with suppress(RuntimeError):  # it was woken already, and has not looked yet
                lock.release()

    # --- giving back ---

    def _give_back(self, connection: Connection) -> None:
        if not connection.is_clean:  # bytes may come on it that do not belong to the next request
            connection.close()
        connection.idle_since = now = monotonic()
        self._idle.append(connection)
        if self._closed:  # asked after the append: close() either sees this connection, or is seen here
            self._close_idle()
        if self._waiters:
            self._wake_first()
            return
        try:
            oldest = self._idle[0]
        except IndexError:  # another thread has taken it already
            return
        if now - oldest.idle_since > self._idle_timeout:
            self._reap(now)

    def _reap(self, now: float) -> None:
        """Close the connections that have been idle for too long, the oldest first."""
        while True:
            try:
                connection = self._idle.popleft()
            except IndexError:
                break
            if now - connection.idle_since <= self._idle_timeout:
                self._idle.appendleft(connection)
                break
            connection.close()
            del connection  # and with it its place
        if self._waiters:
            self._wake_first()

    def close(self) -> None:
        """Close every idle connection, and each busy one when it is given back; callers that wait for one fail."""
        self._closed = True
        self._close_idle()
        for waiter in list(self._waiters):
            lock = waiter()
            if lock is not None:
                with suppress(RuntimeError):
                    lock.release()

    def _close_idle(self) -> None:
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def __del__(self) -> None:
        for connection in getattr(self, "_idle", ()):
            connection.close()

    def status(self) -> PoolStatus:
        """Return the state of the connections now."""
        return PoolStatus(self._limit, len(self._places), len(self._idle), len(self._waiters))

    def forget(self) -> None:
        """Leave the connections, busy ones too, to the parent process, and close this process's copies of them."""
        inherited = [place() for place in list(self._places)]
        self._reset()
        for connection in inherited:
            if connection is not None:
                connection.close()  # tells the server nothing


def _forget_connections_after_fork() -> None:
    """Leave the parent's connections to the parent: two processes on one socket would read each other's responses."""
    for pool in _pools:
        pool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections_after_fork)
