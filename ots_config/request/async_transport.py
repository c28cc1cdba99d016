"""Sends the requests of one asyncio client over a pool of connections for each event loop; retries nothing."""

from __future__ import annotations

import asyncio
import os
import weakref
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from ots_config.errors import RequestInvalid
from ots_config.request.async_connection import CLIENT_CLOSED
from ots_config.request.async_pool import AsyncConnectionPool
from ots_config.request.connection import request_head
from ots_config.request.deadline import NEVER, Deadline
from ots_config.request.http_parser import HTTPResponse
from ots_config.request.pool import PoolStatus
from ots_config.request.proxies import authentication_required
from ots_config.request.route import Route
from ots_config.request.tls import tls_context

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROXY_AUTHENTICATION = 407
_CLOSING = 1.0
"""Seconds to wait for other event loops to close their connections; one may just stop."""

_transports: weakref.WeakSet[AsyncTransport] = weakref.WeakSet()
_inherited: list[Any] = []
"""The connections of a parent process: never used, and kept, as asyncio warns of a transport that it has to close."""


class AsyncTransport:
    """Sends the requests of one client to one endpoint, from any event loop.

    Args:
        endpoint: ``https://host[:port]``, without a trailing slash.
        max_connection: The most connections at a time, of each event loop.
        idle_timeout: Seconds after which an unused connection is closed.
        force_close: Whether each connection is closed after its request.
        ca_bundle: A PEM file of authorities to trust in place of certifi's.
        minimum_tls: The oldest TLS version.
        proxies: Proxy URLs by scheme; empty connects directly, None takes the environment's.
        user_agent: What the ``User-Agent`` header says.

    Raises:
        SettingsError: If the proxy cannot be used.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        max_connection: int,
        idle_timeout: float = 5.0,
        force_close: bool = False,
        ca_bundle: Path | str | None = None,
        minimum_tls: str = "TLSv1.2",
        proxies: Mapping[str, str] | None = None,
        user_agent: str = "ots-config",
    ) -> None:
        self._route = route = Route.to(
            endpoint,
            ca_bundle=ca_bundle,
            minimum_tls=minimum_tls,
            proxies=proxies,
            schemes=("http", "https"),
            user_agent=user_agent,
        )
        self._options: dict[str, Any] = {
            "limit": max_connection,
            "idle_timeout": idle_timeout,
            "keep_alive": not force_close,
        }
        if route.proxy is not None and route.proxy.scheme == "https":
            self._options["proxy_context"] = route.context or tls_context(ca_bundle, minimum_tls)
        self._headers = {"user-agent": user_agent, "accept-encoding": "identity"}
        self._proxy_authorization = route.proxy.authorization if route.proxy is not None and route.target else None
        self._closed = False
        self._reset()
        _transports.add(self)

    def _reset(self) -> None:
        self._pools: dict[asyncio.AbstractEventLoop, AsyncConnectionPool] = {}
        self._latest: AsyncConnectionPool | None = None
        self._lock = Lock()

    async def send(
        self,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        timeouts: tuple[float, float],
        deadline: Deadline = NEVER,
    ) -> HTTPResponse:
        """Send one request and return the response, whatever its status.

        A task that is cancelled meanwhile closes its connection; the request may have happened.

        Args:
            path: The path, ``/PutRow``.
            headers: The signed headers.
            body: The encoded request.
            timeouts: Seconds to connect, and seconds for the response.
            deadline: The call's, which cuts both.

        Raises:
            ConnectFailed: If the server never had the whole request.
            ResponseLost: If it may have had it, and no whole response came.
            ResponseInvalid: If the response is not HTTP.
        """
        pool = self._latest
        if pool is None or pool.loop is not asyncio.get_running_loop():
            pool = self._pool()
        route = self._route
        head = request_head(
            route.target + path,
            route.host_header,
            {**self._headers, "content-length": str(len(body)), **headers},
            self._proxy_authorization,
        )
        connection = pool.take() or await pool.acquire(timeouts[0], deadline)
        outcome = pool.loop.create_future()
        try:
            connection.start(head + body, outcome, deadline.clamp(timeouts[1]))
            result = await outcome
        except BaseException:  # above all a cancellation
            connection.interrupt(outcome)
            raise
        if type(result) is HTTPResponse:
            if result.status == _PROXY_AUTHENTICATION and route.target and route.proxy is not None:
                raise authentication_required(route.proxy)
            return result
        raise result

    def _pool(self) -> AsyncConnectionPool:
        """Return the connections of the running event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed:
                raise RequestInvalid(CLIENT_CLOSED)
            pool = self._pools.get(loop)
            if pool is None:
                for gone in [known for known in self._pools if known.is_closed()]:
                    self._pools.pop(gone).close_without_loop()
                pool = self._pools[loop] = AsyncConnectionPool(self._route, **self._options)
            self._latest = pool
        return pool

    def pool_status(self) -> PoolStatus:
        """Return the state of the connections of the running event loop; of all loops together outside of one."""
        with self._lock:
            pools = list(self._pools.values())
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        found = [pool.status() for pool in pools if running is None or pool.loop is running]
        return PoolStatus(
            self._options["limit"],
            sum(status.open for status in found),
            sum(status.idle for status in found),
            sum(status.waiting for status in found),
        )

    async def close(self) -> None:
        """Close the connections of every event loop, also busy ones; later requests fail."""
        with self._lock:
            self._closed = True
            pools, self._pools, self._latest = list(self._pools.values()), {}, None
        elsewhere = [closed for pool in pools if (closed := _close(pool)) is not None]
        await asyncio.sleep(0)  # in which the event loop closes the sockets
        if elsewhere:
            await asyncio.wait([asyncio.wrap_future(closed) for closed in elsewhere], timeout=_CLOSING)


def _close(pool: AsyncConnectionPool) -> Future[None] | None:
    """Close a pool in its own event loop; return a future of the end if that is another one."""
    if pool.loop is asyncio.get_running_loop():
        pool.close()
        return None
    closed: Future[None] = Future()

    def close() -> None:
        pool.close()
        pool.loop.call_soon(closed.set_result, None)

    if pool.loop.is_running():
        with suppress(RuntimeError):  # it has ended in this moment
            pool.loop.call_soon_threadsafe(close)
            return closed
    pool.close_without_loop()
    return None


def _leave_connections_after_fork() -> None:
    """Leave the parent's connections to the parent: two processes on one socket would read each other's responses."""
    pools: list[AsyncConnectionPool] = []
    for transport in list(_transports):
        pools += transport._pools.values()  # noqa: SLF001 - of this module
        transport._reset()  # noqa: SLF001
    _inherited.extend(pools)
    if not pools:
        return
    with suppress(OSError), Path(os.devnull).open("r+b", buffering=0) as file:
        for pool in pools:
            _inherited.extend(pool.leave_to_parent(file.fileno()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_connections_after_fork)
