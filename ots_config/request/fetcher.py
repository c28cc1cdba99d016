"""The small HTTP callable that credential sources are given: one deadline for everything, and a limit in bytes.

requests knows no deadline for a whole exchange: a resolver, a proxy or a server that drips bytes could hold it for
ever. So each request runs in a thread of its own. Whoever waits for it leaves at the deadline, and shuts its connection
down so that the thread ends too.
"""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from requests.structures import CaseInsensitiveDict

from ots_config.credential_rules import is_near
from ots_config.errors import ConnectFailed, RequestError, ResponseInvalid, ResponseLost
from ots_config.request.http_parser import HTTPResponse
from ots_config.request.tls import tls_context
from ots_config.request.transport import _DIRECT, _Session, _TLSAdapter, _translate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_BODY = 1 << 20
"""The most bytes of a body; credentials are a few thousand."""

_MAX_ABANDONED = 16
_abandoned: list[threading.Thread] = []
"""Threads that had not ended when nobody waited for them any more: a resolver cannot be interrupted."""

_fetching = threading.local()


def _without_query(record: logging.LogRecord) -> bool:
    """Cut the query, which may hold a secret, out of what urllib3 logs at DEBUG of a request for credentials."""
    if getattr(_fetching, "now", False) and isinstance(record.args, tuple):
        record.args = tuple(part.partition("?")[0] if isinstance(part, str) else part for part in record.args)
    return True


class Fetcher:
    """Sends one request and returns its response; see ``ots_config.credentials.http``.

    Args:
        ca_bundle: A PEM file of authorities to trust in place of certifi's.
        proxies: Proxy URLs by scheme; empty connects directly.
    """

    def __init__(self, *, ca_bundle: Path | str | None = None, proxies: Mapping[str, str] | None = None) -> None:
        self._ca_bundle = ca_bundle
        self._proxies = dict(proxies or {})

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        connect_timeout: float = 5.0,
        read_timeout: float = 10.0,
    ) -> HTTPResponse:
        """Fetch one response; redirects are not followed, as a token would follow them.

        Raises:
            ConnectFailed: If nothing was sent.
            ResponseLost: If no whole response came within the two timeouts together.
            ResponseInvalid: If it is too large, or compressed although that was not asked for.
            RequestInvalid: If the address or a header cannot be sent.
        """
        _abandoned[:] = [thread for thread in _abandoned if thread.is_alive()]
        if len(_abandoned) >= _MAX_ABANDONED:
            raise ConnectFailed(f"{_MAX_ABANDONED} earlier requests have not ended yet, perhaps in the name resolution")
        exchange = _Exchange(
            method,
            url,
            {"accept-encoding": "identity", "user-agent": "ots-config", **(headers or {})},
            body,
            timeout=(connect_timeout, read_timeout),
            proxies={} if _is_direct(url) else self._proxies,
        )
        context = tls_context(self._ca_bundle) if url.startswith("https:") else None
        outcome = exchange.run(_Adapter(context, exchange))
        if isinstance(outcome, RequestError):
            raise outcome
        return outcome


def _is_direct(url: str) -> bool:
    """Return whether an address is never asked through a proxy.

    The metadata service answers this machine only: a proxy would be asked for its own machine's keys. What may be asked
    over http because it is near would travel to a proxy in plain text.
    """
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return True  # it is no address, as requests finds too
    return host in _DIRECT or (url.startswith("http:") and is_near(host, private=True))


class _Exchange:
    """One request in a thread: what came of it, and the means to end it."""

    def __init__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        timeout: tuple[float, float],
        proxies: Mapping[str, str],
    ) -> None:
        self._request: dict[str, Any] = {"method": method, "url": url, "data": body, "proxies": dict(proxies)}
        self._headers = headers
        self._timeout = timeout
        self._lock = threading.Lock()
        self._done = threading.Lock()
        self._outcome: HTTPResponse | RequestError | None = None
        self._connections: list[socket.socket] = []
        self._connected = self._is_over = False

    def run(self, adapter: _Adapter) -> HTTPResponse | RequestError:
        """Send the request in a thread, wait for its end, and end it at the deadline or if the wait is interrupted."""
        thread = threading.Thread(target=self._fetch, args=(adapter,), name="ots-config-fetch", daemon=True)
        self._done.acquire()
        try:
            thread.start()
        except RuntimeError:  # no thread can be had: the system's limit, or the interpreter is going down
            self._fetch(adapter)
        try:
            self._done.acquire(timeout=sum(self._timeout))
        finally:
            self._end()
        if self._outcome is not None:
            return self._outcome
        _abandoned.append(thread)
        if self._connected:
            return ResponseLost(f"no whole response came within {sum(self._timeout):g} s")
        return ConnectFailed(f"no connection within {sum(self._timeout):g} s")

    def opened(self, connected: socket.socket) -> None:
        """Keep a second handle of a connection, by which another thread can shut it down.

        Raises:
            ConnectionAbortedError: If nobody waits for the response any more.
        """
        with self._lock:
            if self._is_over:
                connected.close()
                raise ConnectionAbortedError
            self._connections.append(connected.dup())
            self._connected = True

    def _end(self) -> None:
        with self._lock:
            self._is_over = True
        while self._connections:
            connected = self._connections.pop()
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
            connected.close()

    def _fetch(self, adapter: _Adapter) -> None:
        """Send the request and keep what comes of it; the work of the thread."""
        logging.getLogger("urllib3.connectionpool").addFilter(_without_query)  # a second time does nothing
        _fetching.now = True
        try:
            self._outcome = self._response(adapter)
        except RequestError as error:
            self._outcome = error
        except Exception as error:  # noqa: BLE001 - requests lets ValueErrors through, with secrets in their texts
            self._outcome = _translate(error)
        finally:
            _fetching.now = False
            self._done.release()

    def _response(self, adapter: _Adapter) -> HTTPResponse:
        with _Session() as session:
            session.trust_env = False
            session.headers = CaseInsensitiveDict(self._headers)
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            response = session.request(**self._request, timeout=self._timeout, allow_redirects=False, stream=True)
            with response:
                found = {name.lower(): value for name, value in response.headers.items()}
                if found.get("content-encoding", "identity").strip().lower() != "identity":
                    raise ResponseInvalid("the response is compressed, although that was not asked for")
                content = response.raw.read(MAX_BODY + 1, decode_content=False)
                if len(content) > MAX_BODY:
                    raise ResponseInvalid(f"the response has more than {MAX_BODY} bytes")
                return HTTPResponse(response.status_code, response.reason, found, content)


class _Adapter(_TLSAdapter):
    """Tells an exchange of the connections that are opened for it."""

    def __init__(self, context: Any, exchange: _Exchange) -> None:
        self._exchange = exchange
        super().__init__(context, 1)

    def get_connection_with_tls_context(self, *args: Any, **options: Any) -> Any:
        exchange = self._exchange
        pool = super().get_connection_with_tls_context(*args, **options)
        kind: Any = pool.ConnectionCls

        class Connection(kind):  # type: ignore[misc] # pools of http, https and SOCKS have kinds of their own
            def _new_conn(self) -> socket.socket:
                connected: socket.socket = super()._new_conn()
                exchange.opened(connected)
                return connected

        pool.ConnectionCls = Connection
        return pool
