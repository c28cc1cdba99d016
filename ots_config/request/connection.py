"""One keep-alive HTTP/1.1 connection that knows, for each failure, whether the server can have seen the request.

http.client and urllib3 report "connection aborted" for all of them; a write may only be sent again where the
difference is known. One send and, as a rule, one receive per call also cost a third of what http.client does.
"""

from __future__ import annotations

import select
import socket
import ssl
from time import monotonic
from typing import TYPE_CHECKING

from ots_config.errors import ConnectFailed, RequestInvalid, ResponseInvalid, ResponseLost, UntrustedServer
from ots_config.request.deadline import NEVER, Deadline
from ots_config.request.http_parser import HTTPResponse, ResponseParser
from ots_config.request.tls import not_tls
from ots_config.shown_text import system_text as system_text  # noqa: PLC0414 - for the other transport

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHUNK = 256 * 1024
_HEADER_LINE = ": ".join
_SLOW = 0.1
"""Seconds of sending that are worth a system call to take them off the time for the response."""


class Connection:
    """A connection to one host, opened when first used.

    Args:
        host: Host name or address.
        port: TCP port.
        context: The TLS context; None speaks plain HTTP.
    """

    __slots__ = ("_context", "_host", "_poll", "_port", "_socket", "idle_since", "opened_at")

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._socket: socket.socket | None = None
        self._poll: select.poll | None = None
        self.idle_since = 0.0
        self.opened_at = 0.0

    def is_usable(self) -> bool:
        """Return whether the server has not closed this idle connection: nothing may wait to be read on it."""
        if self._socket is None:
            return False
        if self._poll is not None:
            return not self._poll.poll(0)
        return not select.select([self._socket], [], [], 0)[0]  # Windows has no poll()

    def close(self) -> None:
        """Close the connection; it may be opened again."""
        connected, self._socket, self._poll = self._socket, None, None
        if connected is not None:
            connected.close()

    def exchange(
        self, head: bytes, body: bytes, timeouts: tuple[float, float], deadline: Deadline = NEVER
    ) -> HTTPResponse:
        """Send one request and read its response.

        Args:
            head: Request line and headers, with the empty line.
            body: The body, of the length that the head declares.
            timeouts: Seconds for the connection and its TLS handshake, and seconds for the whole response, from the
                first byte sent.
            deadline: The call's, which cuts both.

        Raises:
            ConnectFailed: If the server cannot have received the whole request.
            ResponseLost: If it can have, and no whole response came.
            ResponseInvalid: If what came is not HTTP.
        """
        reused = self._socket is not None
        if not reused:
            self._connect(deadline.clamp(timeouts[0]))
        connected = self._socket
        assert connected is not None  # noqa: S101 - for the type checker: _connect opened it or raised
        began = monotonic()
        timeout = max(min(timeouts[1], deadline.ends - began), 0.001)
        try:
            connected.settimeout(timeout)
            # sendall() fails before the last byte reached the kernel, so the server cannot have the whole request.
            connected.sendall(head + body)
        except OSError as error:
            self.close()
            text = f"{self._host} closed the connection before the request was sent: {system_text(error)}"
            raise ConnectFailed(text, on_reused_connection=reused) from None
        parser = ResponseParser()
        try:
            if monotonic() - began > _SLOW:
                connected.settimeout(_left(began + timeout))
            response = self._read(connected, parser, began + timeout)
        except TimeoutError:
            self.close()
            raise ResponseLost(f"{self._host} did not answer within {timeout:g} s") from None
        except OSError as error:
            self.close()
            how = "in the middle of its response" if parser.started else "without a response"
            text = f"{self._host} closed the connection {how}: {system_text(error)}"
            raise ResponseLost(text, on_reused_connection=reused and not parser.started) from None
        except ValueError as error:
            self.close()
            raise ResponseInvalid(f"{self._host} did not answer in HTTP/1.1: {error}") from None
        if not parser.reusable:
            self.close()
        return response

    # --- opening ---

    def _connect(self, timeout: float) -> None:
        ends = monotonic() + timeout
        where = f"{self._host}:{self._port}"
        try:
            plain = socket.create_connection((self._host, self._port), timeout)
        except socket.gaierror as error:
            raise ConnectFailed(f"the host name {self._host} cannot be resolved: {system_text(error)}") from None
        except TimeoutError:
            raise ConnectFailed(f"no connection to {where} within {timeout:g} s") from None
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"no connection to {where}: {system_text(error)}") from None
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._context is None:
                self._socket = plain
            else:
                plain.settimeout(max(ends - monotonic(), 0.001))
                self._socket = self._context.wrap_socket(plain, server_hostname=self._host)
        except ssl.SSLCertVerificationError as error:
            plain.close()
            raise UntrustedServer(
                f"the certificate of {where} is not trusted: {error.verify_message}. If the server is yours, "
                "name its authority with ca_bundle"
            ) from None
        except OSError as error:
            plain.close()
            failure = not_tls(error, where) or ConnectFailed(
                f"the TLS handshake with {where} failed: {system_text(error)}"
            )
            raise failure from None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
        self.opened_at = monotonic()

    # --- reading ---

    def _read(self, connected: socket.socket, parser: ResponseParser, ends: float) -> HTTPResponse:
        while True:
            data = connected.recv(_CHUNK)
            response = parser.feed(data) if data else parser.end()
            if response is not None:
                return response
            # A server that drips bytes would renew a plain socket timeout for ever; the end of the whole is fixed.
            connected.settimeout(_left(ends))


def _left(ends: float) -> float:
    left = ends - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class Head(bytes):
    """The request line and headers; a debugger or a log does not show the signature and the token in them."""

    def __repr__(self) -> str:
        return f"<Head of {len(self)} bytes>"

    __str__ = __repr__


def request_head(target: str, host: str, headers: Mapping[str, str]) -> Head:
    """Return the request line and headers of a POST.

    Raises:
        RequestInvalid: If a header would break out of its line.
    """
    lines = [f"POST {target} HTTP/1.1", f"Host: {host}"]
    lines += map(_HEADER_LINE, headers.items())
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise RequestInvalid("a header contains a line break; nothing was sent")
    return Head((head + "\r\n\r\n").encode("latin-1"))
