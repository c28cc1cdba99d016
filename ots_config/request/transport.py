"""The one door to requests: a session per client, its TLS, its proxies, and translated errors of requests and urllib3.

Requests go through ``Session.send``, although a third of a request's time goes into it: hooks, OpenTelemetry's
instrumentation of requests and a user's own session and adapters all work on it. Below it an adapter of ours keeps
the connections. Nothing is read from the environment per request, no redirect is followed, and neither urllib3 nor
requests retries anything.
"""

from __future__ import annotations

import ssl
from functools import cached_property
from importlib.util import find_spec
from traceback import walk_tb
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict
from urllib3 import exceptions as urllib3_errors

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
from ots_config.request.connection import request_head
from ots_config.request.deadline import NEVER, Deadline
from ots_config.request.http_parser import HTTPResponse
from ots_config.request.interruptions import raised_by_signal_handler
from ots_config.request.pool import ConnectionPool, PoolStatus
from ots_config.request.route import Route
from ots_config.request.tls import not_tls

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ots_config.request.proxies import Proxy

_DIRECT = frozenset({"100.100.100.200", "127.0.0.1", "::1", "localhost"})
_NO_COOKIES = RequestsCookieJar()
_FOREIGN = (requests.RequestException, urllib3_errors.HTTPError)
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


class _Headers(CaseInsensitiveDict[Any]):
    """Headers whose names are known to be in lower case, without a copy per header."""

    _store: Any  # an ordered dict in requests; any dict is ordered today, and a plain one is made faster

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._store = dict(zip(headers, headers.items(), strict=True))

    def items(self) -> Any:
        """Return them as they are stored; the inherited view looks up each name again."""
        return self._store.values()

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"


class _Session(requests.Session):
    """A session that follows no redirect, nor works out where one would lead."""

    def resolve_redirects(self, *_: Any, **__: Any) -> Any:
        return iter(())


class _Request(requests.PreparedRequest):
    """A request that needs no preparation, with the deadline of its call."""

    def __init__(self, url: str, headers: _Headers, body: bytes, hooks: Any, deadline: Deadline) -> None:
        # Not super().__init__(): it makes a dictionary of hooks, only to be replaced.
        self.method = "POST"
        self.url = url
        self.headers = headers
        self.body = body
        self.hooks = hooks
        # Never sent; Session.send() wants one to prepare the next request of a redirect, though none is followed.
        self._cookies = _NO_COOKIES
        self._body_position = None
        self.deadline = deadline


class _Response(requests.Response):
    """A whole response; headers and cookies are made when a hook asks for them.

    Attributes:
        whole: What the connection read.
    """

    content: bytes = b""  # pyright: ignore[reportIncompatibleMethodOverride] - requests has a property, which costs a call

    def __init__(self, response: HTTPResponse, request: requests.PreparedRequest) -> None:
        # Not super().__init__(): it makes a jar, headers and more, only to be replaced.
        self._content = response.body
        self.content = response.body  # pyright: ignore[reportIncompatibleMethodOverride]
        self._content_consumed = True
        self._next = None
        self.status_code = response.status
        self.whole = response
        self.raw = None
        self.url = request.url or ""
        self.encoding = None
        self.history = []
        self.reason = response.reason
        self.request = request

    @cached_property
    def headers(self) -> Any:  # type: ignore[override] # requests has a plain attribute
        return _Headers(self.whole.headers)

    @cached_property
    def cookies(self) -> Any:  # type: ignore[override] # requests has a plain attribute
        return RequestsCookieJar()


class _MaskedURL(str):
    """The URL of a proxy as requests and urllib3 take it; their frames and a debugger do not show its password."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "****"


class _KeepAliveAdapter(BaseAdapter):
    """Sends prepared requests over a ``ConnectionPool``."""

    def __init__(self, pool: ConnectionPool, route: Route) -> None:
        super().__init__()
        self._pool = pool
        self._target = route.target
        self._host = route.host_header
        is_forwarded = route.proxy is not None and route.context is None
        self._proxy_authorization = route.proxy.authorization if route.proxy is not None and is_forwarded else None

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        body = request.body
        assert isinstance(body, bytes)  # noqa: S101 - for the type checker: Transport.send() made the request
        headers: Any = request.headers
        head = request_head(self._target + request.path_url, self._host, headers, self._proxy_authorization)
        deadline = request.deadline if isinstance(request, _Request) else NEVER  # a hook may have made another
        return _Response(self._pool.exchange(head, body, options["timeout"], deadline), request)

    def close(self) -> None:
        self._pool.close()


class _TLSAdapter(HTTPAdapter):
    """The stock adapter, for HTTPS and SOCKS proxies, with our TLS context and no retries."""

    def __init__(self, context: ssl.SSLContext | None, limit: int) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=limit, max_retries=0, pool_block=True)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Keep what the context says: requests would put its own bundle in its place."""


class Transport:
    """Sends the requests of one client to one endpoint.

    Args:
        endpoint: ``https://host[:port]``, without a trailing slash.
        max_connection: The most connections at a time.
        idle_timeout: Seconds after which an unused connection is closed.
        ca_bundle: A PEM file of authorities to trust in place of certifi's.
        minimum_tls: The oldest TLS version.
        proxies: Proxy URLs by scheme; empty connects directly; None takes what the environment says now
            (``HTTPS_PROXY``, ``NO_PROXY``), and connects directly to this machine.
        session: A session of the user's to send through, adapters, hooks and all; it is not closed here.
        user_agent: What the ``User-Agent`` header says.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        max_connection: int,
        idle_timeout: float = 5.0,
        ca_bundle: Path | str | None = None,
        minimum_tls: str = "TLSv1.2",
        proxies: Mapping[str, str] | None = None,
        session: requests.Session | None = None,
        user_agent: str = "ots-config",
    ) -> None:
        self._endpoint = endpoint
        self._headers = {"user-agent": user_agent, "accept-encoding": "identity"}
        self._options: dict[str, Any] = {"allow_redirects": False, "stream": False, "cert": None}
        self._owned = session is None
        self._pool: ConnectionPool | None = None
        if session is not None:
            self._session = session
            self._options["verify"] = session.verify
            self._options["proxies"] = dict(session.proxies)
            return
        route = Route.to(
            endpoint,
            ca_bundle=ca_bundle,
            minimum_tls=minimum_tls,
            proxies=proxies,
            schemes=_PROXY_SCHEMES,
            user_agent=user_agent,
        )
        self._session = _Session()
        self._session.trust_env = False
        self._session.adapters.clear()
        self._options["verify"] = True
        self._options["proxies"] = {}
        adapter: BaseAdapter
        if route.proxy is None or route.proxy.is_http:
            self._pool = ConnectionPool(route, limit=max_connection, idle_timeout=idle_timeout)
            adapter = _KeepAliveAdapter(self._pool, route)
        else:
            _check_socks(route.proxy)
            self._options["proxies"] = {urlsplit(endpoint).scheme: _MaskedURL(str.__str__(route.proxy.url))}
            adapter = _TLSAdapter(route.context, max_connection)
        self._session.mount(endpoint, adapter)

    @property
    def session(self) -> requests.Session:
        """The session, for hooks and instrumentation."""
        return self._session

    def send(
        self,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        timeouts: tuple[float, float],
        deadline: Deadline = NEVER,
    ) -> HTTPResponse:
        """Send one request and return the response, whatever its status.

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
        known = _Headers({**self._headers, "content-length": str(len(body)), **headers})
        request = _Request(self._endpoint + path, known, body, self._session.hooks, deadline)
        if self._pool is None:
            timeouts = deadline.clamp_timeouts(timeouts)  # only our own connections know of deadlines
        try:
            response = self._session.send(request, timeout=timeouts, **self._options)
            content = response.content
        except RequestError:
            raise
        except (*_FOREIGN, OSError, ValueError) as error:
            # ValueError: a redirect to what is no URL. Raised outside this block: the foreign error holds the
            # request, and that holds the signature.
            failure = self._failure(error)
        else:
            if type(response) is _Response and "headers" not in vars(response):  # no hook has looked at them
                whole = response.whole
                if content is whole.body and response.status_code is whole.status:
                    return whole
            lower = {name.lower(): value for name, value in response.headers.items()}
            return HTTPResponse(response.status_code, response.reason, lower, content)
        raise failure

    def _failure(self, error: Exception) -> Exception:
        """Return what to raise for an error of another library, or of the program itself."""
        if self._pool is not None and not isinstance(error, _FOREIGN):
            return error  # our own connections raise errors of ours: this one is a hook's, or a signal handler's
        own = raised_by_signal_handler(cause for cause in _causes(error) if not isinstance(cause, _FOREIGN))
        if own is not None:
            return own
        translated = _translate(error)
        if type(translated) is ConnectFailed and self._may_repeat():
            return ResponseLost(f"no whole response came: {translated.message}")
        return translated

    def _may_repeat(self) -> bool:
        """Return whether the session's adapter retries: then the last attempt does not show what the others did."""
        retries = getattr(self._session.get_adapter(self._endpoint), "max_retries", None)
        return bool(getattr(retries, "total", retries))

    def pool_status(self) -> PoolStatus | None:
        """Return the state of the connections, None if a proxy's adapter or the user's session keeps them."""
        return None if self._pool is None else self._pool.status()

    def close(self) -> None:
        """Close the connections, unless the session is the user's."""
        if self._owned:
            self._session.close()


def _check_socks(proxy: Proxy) -> None:
    """Check that urllib3 can speak with a proxy.

    Raises:
        SettingsError: If it is a SOCKS proxy and PySocks is not installed.
    """
    if proxy.scheme.startswith("socks") and find_spec("socks") is None:
        reason = f"a {proxy.scheme} proxy needs the package PySocks"
        raise SettingsError(SettingsProblem("proxies", reason, "argument or environment", "Install requests[socks]."))


# --- foreign errors -----------------------------------------------------------------------------------------

_NEVER_SENT = (
    urllib3_errors.NewConnectionError,
    urllib3_errors.ConnectTimeoutError,
    urllib3_errors.NameResolutionError,
    urllib3_errors.EmptyPoolError,
)
"""Proofs that nothing was sent. ``ProxyError`` is none: urllib3 also raises it for a response that a proxy lost."""

_BEFORE_SENDING = frozenset({"do_handshake", "_tunnel"})
"""Functions of the standard library that run before a request is sent, in the frames of an error."""


_INVALID = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
)


def _translate(error: Exception) -> RequestError:
    """Translate an error of requests or urllib3; what is not known to be unsent may have happened."""
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return UntrustedServer(f"the server's certificate is not trusted: {_named(causes)}")
    if isinstance(error, requests.exceptions.ConnectTimeout) or any(isinstance(c, _NEVER_SENT) for c in causes):
        return ConnectFailed(f"no connection: {_named(causes)}")
    frames = {frame.f_code.co_name for cause in causes for frame, _ in walk_tb(cause.__traceback__)}
    if frames & _BEFORE_SENDING:
        # Only then: a connection may also break when the request is out, and urllib3 has one error for both.
        plain_text = next(filter(None, (not_tls(cause, "the server") for cause in causes)), None)
        what = "the proxy opened no tunnel" if "_tunnel" in frames else "the TLS handshake failed"
        return plain_text or ConnectFailed(f"{what}: {_named(causes)}")
    if isinstance(error, _INVALID):
        return RequestInvalid(f"the request cannot be sent: {type(error).__name__}")
    if isinstance(error, requests.exceptions.ContentDecodingError | requests.exceptions.InvalidJSONError):
        return ResponseInvalid(f"the response cannot be read: {type(error).__name__}")
    return ResponseLost(f"no whole response came: {_named(causes)}")


def _causes(error: BaseException | None) -> Any:
    """Yield an error and what it wraps; urllib3 and requests nest theirs in ``reason`` and ``args``."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [getattr(current, "reason", None), current.__cause__, current.__context__, *current.args]


def _named(causes: list[BaseException]) -> str:
    """Name the kinds of error, never their texts: those may hold the URL with its parameters."""
    names = dict.fromkeys(type(cause).__name__ for cause in causes)
    return " < ".join(names)
