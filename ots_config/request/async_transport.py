"""The one door to aiohttp: a session for each event loop, its TLS, its proxy, and aiohttp's errors translated.

Nothing is read from the environment, no cookie is kept, no redirect is followed and nothing is retried. aiohttp
reports all failures of a connection alike; a write may only be sent again where it is known that the server cannot
have it, so each request records how far it gets.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiohttp
from yarl import URL

from ots_config.error_frames import without_frames
from ots_config.errors import (
    ConnectFailed,
    RequestError,
    RequestInvalid,
    ResponseInvalid,
    ResponseLost,
    SettingsError,
    SettingsProblem,
    UntrustedServer,
)
from ots_config.request.connection import system_text
from ots_config.request.deadline import NEVER, Deadline
from ots_config.request.http_parser import MAX_BODY, HTTPResponse
from ots_config.request.pool import MAX_AGE
from ots_config.request.tls import not_tls, tls_context

_UNTIMED = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)  # Request has a clock


class _TrackedBody(aiohttp.Payload):
    """The body of one request, which records how far the request gets.

    Attributes:
        clock: Ends the wait for a connection, and from the first byte sent the wait for the response.
        has_slot: Whether the limit of connections allowed one.
        is_reused: Whether the connection was used by an earlier request.
        has_connection: Whether there was a connection to send it on.
        is_sent: Whether the system took all of it, so that the server may have it.
        has_response: Whether the head of a response came.
    """

    clock: asyncio.Timeout

    def __init__(self, body: bytes, read_timeout: float, ends: float) -> None:
        super().__init__(body, content_type="application/octet-stream")
        self._read_timeout = read_timeout
        self._ends = ends
        self.has_slot = self.is_reused = self.has_connection = self.is_sent = self.has_response = False

    @property
    def size(self) -> int:
        return len(self._value)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return str(self._value, encoding, errors)

    async def write(self, writer: Any) -> None:
        """Send head and body; aiohttp calls this once there is a connection."""
        self.has_connection = True
        self.clock.reschedule(min(asyncio.get_running_loop().time() + self._read_timeout, self._ends))
        await writer.write(self._value, drain=False)  # fails before anything is sent if the connection is closed
        transport = writer.transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size():
            transport.set_write_buffer_limits(high=0)
            await writer.drain()
        self.is_sent = True

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:  # noqa: ARG002 - all of it
        await self.write(writer)


class _Connector(aiohttp.TCPConnector):
    """Keeps connections as ``ConnectionPool`` does: one that is too old or that the server closed is not used again."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._opened: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    async def connect(self, req: aiohttp.ClientRequest, *args: Any, **kwargs: Any) -> Any:
        while True:
            connection = await super().connect(req, *args, **kwargs)
            opened_at = self._opened.get(connection.protocol)
            if opened_at is None:
                self._opened[connection.protocol] = monotonic()
                if connection.transport is not None:
                    plain = connection.transport.get_extra_info("socket")
                    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                return connection
            if monotonic() - opened_at <= MAX_AGE and _is_usable(connection.transport):
                if isinstance(req.body, _TrackedBody):
                    req.body.is_reused = True
                return connection
            connection.close()


def _is_usable(transport: asyncio.Transport | None) -> bool:
    """Return whether the server has not closed an idle connection: the event loop may not have looked since."""
    if transport is None:
        return False
    plain = transport.get_extra_info("socket")
    if plain is None or not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(plain, select.POLLIN)
    return not poll.poll(0)


class _Pool:
    """What belongs to one event loop: a session, and a slot for each connection that it may open."""

    def __init__(self, session: aiohttp.ClientSession, slots: int, *, is_owned: bool) -> None:
        self.loop = asyncio.get_running_loop()
        self.session = session
        self.slots = asyncio.Semaphore(slots)
        self._is_owned = is_owned

    async def close(self) -> None:
        if not self._is_owned:
            return
        if self.loop is asyncio.get_running_loop():
            await self.session.close()
        elif self.loop.is_running():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.session.close(), self.loop))
        else:
            self.forget()

    def forget(self) -> None:
        """Close what belonged to an event loop that no longer runs; there is nothing left to wait for."""
        if self._is_owned:
            closing = self.session.close()
            with suppress(StopIteration):
                closing.send(None)
            closing.close()


class AsyncTransport:
    """Sends the requests of one client to one endpoint, from any event loop.

    Args:
        endpoint: ``https://host[:port]``, without a trailing slash.
        max_connection: The most connections at a time, of each event loop.
        idle_timeout: Seconds after which an unused connection is closed.
        force_close: Whether each connection is closed after its request.
        ca_bundle: A PEM file of authorities to trust in place of certifi's.
        minimum_tls: The oldest TLS version.
        proxies: Proxy URLs by scheme; empty connects directly.
        session: A session of the user's to send through, which is not closed here.
        user_agent: What the ``User-Agent`` header says.

    Raises:
        SettingsError: If aiohttp does not support the proxy.
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
        session: aiohttp.ClientSession | None = None,
        user_agent: str = "ots-config",
    ) -> None:
        url = urlsplit(endpoint)
        self._endpoint = URL(endpoint)
        self._host = url.hostname or ""
        self._where = f"{self._host}:{url.port or (443 if url.scheme == 'https' else 80)}"
        self._proxy = _proxy_of(url.scheme, proxies or {})
        self._limit = max_connection
        self._connections = {"force_close": True} if force_close else {"keepalive_timeout": idle_timeout}
        self._headers = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        self._context = tls_context(ca_bundle, minimum_tls) if url.scheme == "https" else None
        self._session = session
        self._urls: dict[str, URL] = {}
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
        self._latest: _Pool | None = None
        self._closed = False
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
        pool = self._pool()
        connect_timeout, read_timeout = deadline.clamp_timeouts(timeouts)
        request = _TrackedBody(body, read_timeout, pool.loop.time() + deadline.remaining())
        try:
            async with asyncio.timeout(connect_timeout) as request.clock, pool.slots:
                request.has_slot = True
                return await self._exchange(pool.session, path, headers, request)
        except Exception as error:  # noqa: BLE001 - the one door: whatever aiohttp raises is translated
            # Raised outside this block: the foreign error holds the request, and that holds the signature.
            failure = self._translate(error, request, connect_timeout, read_timeout)
        except BaseException as error:  # above all a cancellation: it passes, but not with aiohttp's frames
            error.__traceback__ = error.__cause__ = error.__context__ = None
            raise
        raise failure

    async def _exchange(
        self, session: aiohttp.ClientSession, path: str, headers: Mapping[str, str], request: _TrackedBody
    ) -> HTTPResponse:
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = self._endpoint.with_path(path)
        async with session.post(
            url,
            data=request,
            headers={**self._headers, **headers},
            allow_redirects=False,
            proxy=self._proxy,
            timeout=_UNTIMED,
        ) as response:
            request.has_response = True
            parts: list[bytes] = []
            size = 0
            async for part in response.content.iter_any():
                size += len(part)
                if size > MAX_BODY:
                    raise ResponseInvalid(f"{self._host} sent a body without bounds")
                parts.append(part)
        lower: dict[str, str] = {}
        for raw_name, raw_value in response.raw_headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
            lower[name] = f"{lower[name]}, {value}" if name in lower else value
        return HTTPResponse(response.status, response.reason or "", lower, b"".join(parts))

    def _pool(self) -> _Pool:
        """Return what belongs to the running event loop, made when it is first needed."""
        if self._closed:
            raise RequestInvalid("the client is closed")
        loop = asyncio.get_running_loop()
        latest = self._latest
        if latest is not None and latest.loop is loop:
            return latest
        with self._lock:
            pool = self._pools.get(loop)
            if pool is None:
                for gone in [known for known in self._pools if known.is_closed()]:
                    self._pools.pop(gone).forget()
                session = self._new_session() if self._session is None else self._session
                pool = self._pools[loop] = _Pool(session, self._limit, is_owned=self._session is None)
            self._latest = pool
        return pool

    def _new_session(self) -> aiohttp.ClientSession:
        connector = _Connector(limit=self._limit, ssl=self._context or True, ttl_dns_cache=10, **self._connections)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
        )

    async def close(self) -> None:
        """Close the connections, also busy ones, unless the session is the user's; later requests fail."""
        self._closed = True
        with self._lock:
            pools, self._pools, self._latest = list(self._pools.values()), {}, None
        for pool in pools:
            await pool.close()

    # --- foreign errors ---

    def _translate(
        self, error: Exception, request: _TrackedBody, connect_timeout: float, read_timeout: float
    ) -> RequestError:
        """Translate an error; what is not known to be unsent may have happened."""
        if isinstance(error, RequestError):
            without_frames(error)
            return error
        if request.is_sent:
            return self._lost(error, request, read_timeout)
        if not request.has_connection:
            failure = self._not_connected(error, request, connect_timeout)
            failure.on_reused_connection = request.is_reused
            return failure
        if request.clock.expired():
            text = f"{self._host} did not take the whole request within {read_timeout:g} s"
        else:
            text = f"{self._host} closed the connection before the request was sent: {_error_text(error)}"
        return ConnectFailed(text, on_reused_connection=request.is_reused)

    def _not_connected(self, error: Exception, request: _TrackedBody, timeout: float) -> RequestError:  # noqa: PLR0911 - a table, a line each
        if self._closed:
            return RequestInvalid("the client is closed")
        if request.clock.expired():
            if request.has_slot:
                return ConnectFailed(f"no connection to {self._where} within {timeout:g} s")
            return ConnectFailed(
                f"all {self._limit} connections to {self._host} were busy for {timeout:g} s; "
                "raise max_connection or use fewer tasks"
            )
        match error:
            case aiohttp.ClientConnectorCertificateError():
                reason = getattr(error.certificate_error, "verify_message", "")
                return UntrustedServer(
                    f"the certificate of {error.host}:{error.port} is not trusted: {reason}. If the server is yours, "
                    "name its authority with ca_bundle"
                )
            case aiohttp.ClientConnectorDNSError():
                return ConnectFailed(f"the host name {error.host} cannot be resolved: {_error_text(error)}")
            case aiohttp.ClientConnectorSSLError():
                return not_tls(error.os_error, self._where) or ConnectFailed(
                    f"the TLS handshake with {self._where} failed: {_error_text(error)}"
                )
            case aiohttp.ClientProxyConnectionError():
                return ConnectFailed(f"no connection to the proxy {error.host}:{error.port}: {_error_text(error)}")
            case aiohttp.ClientHttpProxyError():
                return ConnectFailed(f"the proxy does not connect to {self._where}: HTTP {error.status}")
            case aiohttp.ClientConnectionError() | OSError():
                return ConnectFailed(f"no connection to {self._where}: {_error_text(error)}")
            case _:
                return RequestInvalid(f"the request cannot be sent: {type(error).__name__}")

    def _lost(self, error: Exception, request: _TrackedBody, timeout: float) -> RequestError:
        if request.clock.expired():
            return ResponseLost(f"{self._host} did not answer within {timeout:g} s")
        if isinstance(error, aiohttp.ClientResponseError):
            return ResponseInvalid(f"{self._host} did not answer in HTTP/1.1")
        how = "in the middle of its response" if request.has_response else "without a response"
        text = f"{self._host} closed the connection {how}: {_error_text(error)}"
        return ResponseLost(text, on_reused_connection=request.is_reused and not request.has_response)


def _error_text(error: BaseException) -> str:
    """Return what the system reported, in a few words; aiohttp's own texts may hold parts of the response."""
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    elif isinstance(error.__cause__, OSError):
        error = error.__cause__
    return system_text(error) if isinstance(error, OSError) else type(error).__name__


def _proxy_of(scheme: str, proxies: Mapping[str, str]) -> str | None:
    """Return the proxy for one scheme, None to connect directly."""
    proxy = proxies.get(scheme) or proxies.get("all")
    if proxy is not None and urlsplit(proxy).scheme not in ("http", "https"):
        raise SettingsError(
            SettingsProblem(
                "proxies",
                "an asynchronous client supports HTTP proxies only",
                "argument",
                "Name a proxy by an http URL, or use OTSClient.",
            )
        )
    return proxy
