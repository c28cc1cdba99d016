"""The keep-alive connections of one client: a limited number, reused last in first out, never a stale one."""

from __future__ import annotations

import os
import ssl
import weakref
from collections import deque
from threading import Condition
from time import monotonic
from typing import NamedTuple

from ots_config.errors import ConnectFailed, RequestInvalid
from ots_config.request.connection import Connection
from ots_config.request.deadline import NEVER, Deadline
from ots_config.request.http_parser import HTTPResponse

MAX_AGE = 300.0
"""Seconds after which a connection is replaced, so that a changed DNS entry is noticed."""

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

    The success path takes no lock: a deque's ``pop`` and ``append`` are atomic, and a waiter announces itself before
    it looks a last time, so the one who gives back either sees the waiter or was seen by it.

    Args:
        host: Host name or address.
        port: TCP port.
        context: The TLS context; None speaks plain HTTP.
        limit: The most connections at a time; further callers wait.
        idle_timeout: Seconds after which an unused connection is closed. The service closes idle ones after about
            ten seconds, and one that it has just closed costs a retry.
    """

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext | None, *, limit: int, idle_timeout: float
    ) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._limit = limit
        self._idle_timeout = idle_timeout
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        self._idle: deque[Connection] = deque()
        self._changed = Condition()
        self._open = 0
        self._waiting = 0
        self._closed = False

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
        connection = self._take(timeouts[0], deadline)
        try:
            return connection.exchange(head, body, timeouts, deadline)
        except BaseException:
            # Whatever broke an exchange, KeyboardInterrupt too, leaves bytes that do not belong to the next one.
            connection.close()
            raise
        finally:
            self._give_back(connection)

    def _take(self, timeout: float, deadline: Deadline = NEVER) -> Connection:
        if self._closed:
            raise RequestInvalid(_CLOSED)
        now = monotonic()
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._open_or_wait(deadline.clamp(timeout))
        stale = now - connection.idle_since > self._idle_timeout or now - connection.opened_at > MAX_AGE
        if stale or not connection.is_usable():
            connection.close()  # it opens anew
        return connection

    def _open_or_wait(self, timeout: float) -> Connection:
        with self._changed:
            self._waiting += 1
            try:
                until = Deadline.after(timeout)
                while True:
                    if self._closed:
                        raise RequestInvalid(_CLOSED)
                    try:
                        return self._idle.pop()
                    except IndexError:
                        # Asked again after each wait: a connection may have been closed instead of given back.
                        if self._open < self._limit:
                            self._open += 1
                            return Connection(self._host, self._port, self._context)
                        if not self._changed.wait(until.remaining()):
                            raise ConnectFailed(
                                f"all {self._limit} connections to {self._host} were busy for {timeout:g} s; "
                                "raise max_connection or use fewer threads"
                            ) from None
            finally:
                self._waiting -= 1

    def _give_back(self, connection: Connection) -> None:
        connection.idle_since = now = monotonic()
        self._idle.append(connection)
        if self._closed:  # asked after the append: close() either sees this connection, or is seen here
            self._close_idle()
        if self._waiting:
            with self._changed:
                self._changed.notify()
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
                return
            if now - connection.idle_since <= self._idle_timeout:
                self._idle.appendleft(connection)
            else:
                connection.close()
                with self._changed:
                    self._open -= 1
                    self._changed.notify()
                continue
            if self._waiting:
                with self._changed:
                    self._changed.notify()
            return

    def close(self) -> None:
        """Close every idle connection, and each busy one when it is given back; callers that wait for one fail."""
        self._closed = True
        self._close_idle()
        with self._changed:
            self._changed.notify_all()

    def _close_idle(self) -> None:
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return
            with self._changed:
                self._open -= 1

    def __del__(self) -> None:
        for connection in getattr(self, "_idle", ()):
            connection.close()

    def status(self) -> PoolStatus:
        """Return the state of the connections now."""
        return PoolStatus(self._limit, self._open, len(self._idle), self._waiting)


def _forget_connections_after_fork() -> None:
    """Leave the parent's connections to the parent: two processes on one socket would read each other's responses."""
    for pool in _pools:
        inherited, closed = pool._idle, pool._closed  # noqa: SLF001 - the pools are of this module
        pool._reset()  # noqa: SLF001
        pool._closed = closed  # noqa: SLF001
        for connection in inherited:
            connection.close()  # closes this process's copy of the socket and tells the server nothing


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections_after_fork)
