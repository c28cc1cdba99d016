"""One keep-alive HTTP/1.1 connection that knows, for each failure, whether the server can have seen the request.

http.client and urllib3 report "connection aborted" for all of them; a write may only be sent again where the
difference is known. That holds through an HTTP proxy too, with which this module speaks itself. One send and, as a
rule, one receive per call also cost a third of what http.client does.
"""

from __future__ import annotations

import ssl
from time import monotonic
from typing import TYPE_CHECKING

from ots_config.errors import ConnectFailed, RequestInvalid, ResponseInvalid, ResponseLost, UntrustedServer
from ots_config.request.addresses import resolve, share
from ots_config.request.deadline import NEVER, Deadline
from ots_config.request.http_parser import HTTPResponse, MalformedResponse, ResponseParser
from ots_config.request.interruptions import is_from_system
from ots_config.request.proxies import ConnectResponseParser, authentication_required
from ots_config.request.streams import PlainStream, Stream, TLSStream
from ots_config.request.tls import not_tls
from ots_config.shown_text import system_text as system_text  # noqa: PLC0414 - for the other transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ots_config.request.proxies import HiddenText, Proxy
    from ots_config.request.route import Route

_HEADER_LINE = ": ".join
_PROXY_AUTHENTICATION = 407


class Connection:
    """A connection to one host, opened when first used.

    Args:
        route: The host, its TLS and its proxy.

    Attributes:
        is_clean: Whether no response is pending: it becomes False before the first byte of a request is sent, and
            True when the whole response was read. Whatever interrupts an exchange leaves it False.
        idle_since: When it was given back to its pool.
        opened_at: When it was opened.
    """

    __slots__ = ("__weakref__", "_route", "_stream", "idle_since", "is_clean", "opened_at")

    def __init__(self, route: Route) -> None:
        self._route = route
        self._stream: Stream | None = None
        self.is_clean = True
        self.idle_since = 0.0
        self.opened_at = 0.0

    def is_usable(self) -> bool:
        """Return whether the server has not closed this idle connection: nothing may wait to be read on it."""
        return self._stream is not None and self._stream.is_quiet()

    def close(self) -> None:
        """Close the connection; it may be opened again."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        self.is_clean = True

    def exchange(
        self, head: bytes, body: bytes, timeouts: tuple[float, float], deadline: Deadline = NEVER
    ) -> HTTPResponse:
        """Send one request and read its response.

        Args:
            head: Request line and headers, with the empty line.
            body: The body, of the length that the head declares.
            timeouts: Seconds for the connection with its name, proxy and TLS handshake, and seconds for the whole
                response, from the first byte sent.
            deadline: The call's, which cuts both.

        Raises:
            ConnectFailed: If the server cannot have received the whole request.
            ResponseLost: If it can have, and no whole response came.
            ResponseInvalid: If what came is not HTTP.
        """
        self.is_clean = False
        stream = self._stream
        reused = stream is not None
        if stream is None:
            stream = self._stream = self._open(deadline.clamp(timeouts[0]))
            self.opened_at = monotonic()
        began = monotonic()
        timeout = max(min(timeouts[1], deadline.ends - began), 0.001)
        ends = began + timeout
        try:
            # What fails before the last byte reached the kernel leaves the server without the whole request.
            is_sent = stream.send_all(head + body, ends)
        except OSError as error:
            if not is_from_system(error):
                raise
            text = f"closed the connection before the request was sent: {system_text(error)}"
            raise self._unsent(text, on_reused_connection=reused) from None
        if not is_sent:
            raise self._unsent(f"did not take the whole request within {timeout:g} s", on_reused_connection=reused)
        response = self._read(stream, timeout, ends, reused=reused)
        if response.status == _PROXY_AUTHENTICATION and self._route.proxy is not None:
            raise authentication_required(self._route.proxy)
        return response

    def _read(self, stream: Stream, timeout: float, ends: float, *, reused: bool) -> HTTPResponse:
        parser = ResponseParser()
        try:
            response = None
            while response is None:
                data = stream.receive(ends)
                if data is None:
                    raise self._lost(f"did not answer within {timeout:g} s")
                response = parser.feed(data) if data else parser.end()
        except OSError as error:
            if not is_from_system(error):
                raise
            how = "in the middle of its response" if parser.started else "without a response"
            text = f"closed the connection {how}: {system_text(error)}"
            raise self._lost(text, on_reused_connection=reused and not parser.started) from None
        except MalformedResponse as error:
            self.close()
            raise ResponseInvalid(f"{self._route.host} did not answer in HTTP/1.1: {error}") from None
        if parser.reusable:
            self.is_clean = True
        else:
            self.close()
        return response

    def _unsent(self, text: str, *, on_reused_connection: bool) -> ConnectFailed:
        """Close the connection, and return the error for a request that the server cannot have as a whole."""
        self.close()
        return ConnectFailed(f"{self._route.host} {text}", on_reused_connection=on_reused_connection)

    def _lost(self, text: str, *, on_reused_connection: bool = False) -> ResponseLost:
        """Close the connection, and return the error for a request that the server may have carried out."""
        self.close()
        return ResponseLost(f"{self._route.host} {text}", on_reused_connection=on_reused_connection)

    # --- opening ---

    def _open(self, timeout: float) -> Stream:
        """Open a connection to the server, with all that is needed before the first request."""
        ends = monotonic() + timeout
        stream = self._connect(timeout, ends)
        try:
            return self._prepare(stream, timeout, ends)
        except BaseException:
            stream.close()
            raise

    def _connect(self, timeout: float, ends: float) -> PlainStream:
        """Connect to the first address of the server, or of the proxy, that accepts it."""
        route = self._route
        host, port = route.first_hop
        addresses = resolve(host, port, timeout)
        reason = f" within {timeout:g} s"
        for tried, address in enumerate(addresses):
            left = ends - monotonic()
            if left <= 0:
                break
            part = share(left, len(addresses) - tried)
            try:
                stream = PlainStream.open(address, ends - left + part)
            except OSError as error:
                if not is_from_system(error):
                    raise
                reason = f": {system_text(error)}"
                continue
            if stream is not None:
                return stream
        raise ConnectFailed(f"no connection to {route.first_where}{reason}")

    def _prepare(self, stream: PlainStream, timeout: float, ends: float) -> Stream:
        """Open a tunnel through the proxy, if there is one, and shake hands for TLS."""
        route = self._route
        if route.context is None:
            return stream
        if route.proxy is not None:
            self._open_tunnel(stream, route.proxy, timeout, ends)
        try:
            secure = TLSStream(stream, route.context, route.host)
            if secure.handshake(ends):
                return secure
        except ssl.SSLCertVerificationError as error:
            raise UntrustedServer(
                f"the certificate of {route.where} is not trusted: {error.verify_message}. If the server is yours, "
                "name its authority with ca_bundle"
            ) from None
        except OSError as error:
            if not is_from_system(error):
                raise
            text = f"the TLS handshake with {route.where} failed: {system_text(error)}"
            raise not_tls(error, route.where) or ConnectFailed(text) from None
        raise ConnectFailed(f"no TLS handshake with {route.where} within {timeout:g} s")

    def _open_tunnel(self, stream: PlainStream, proxy: Proxy, timeout: float, ends: float) -> None:
        """Ask the proxy to connect to the server."""
        parser = ConnectResponseParser(proxy, self._route.where)
        try:
            is_open = False
            if stream.send_all(self._route.connect_head(), ends):
                while not is_open and (data := stream.receive(ends)) is not None:
                    is_open = parser.feed(data)
        except OSError as error:
            if not is_from_system(error):
                raise
            raise ConnectFailed(f"the proxy {proxy.where} closed the connection: {system_text(error)}") from None
        if not is_open:
            raise ConnectFailed(f"the proxy {proxy.where} opened no tunnel to {self._route.where} within {timeout:g} s")


class Head(bytes):
    """The request line and headers; a debugger or a log does not show the signature and the token in them."""

    def __repr__(self) -> str:
        return f"<Head of {len(self)} bytes>"

    __str__ = __repr__


def request_head(
    target: str, host: str, headers: Mapping[str, str], proxy_authorization: HiddenText | None = None
) -> Head:
    """Return the request line and headers of a POST.

    Args:
        target: The path, or the whole URL for a proxy.
        host: What the ``Host`` header says.
        headers: The other headers.
        proxy_authorization: What the ``Proxy-Authorization`` header says; None leaves it out.

    Raises:
        RequestInvalid: If a header would break out of its line.
    """
    lines = [f"POST {target} HTTP/1.1", f"Host: {host}"]
    if proxy_authorization is not None:
        lines.append("Proxy-Authorization: " + proxy_authorization)  # not formatted: that gives stars
    lines += map(_HEADER_LINE, headers.items())
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise RequestInvalid("a header contains a line break; nothing was sent")
    return Head((head + "\r\n\r\n").encode("latin-1"))
