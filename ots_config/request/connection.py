"""One keep-alive HTTP/1.1 connection that knows, for each failure, whether the server can have seen the request.

http.client and urllib3 report "connection aborted" for all of them; a write may only be sent again where the
difference is known. One send and, as a rule, one receive per call also cost a third of what http.client does.
"""

from __future__ import annotations

import select
import socket
import ssl
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from ots_config.errors import (
    ConnectFailed,
    RequestError,
    RequestInvalid,
    ResponseInvalid,
    ResponseLost,
    UntrustedServer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_HEAD = 64 * 1024
MAX_BODY = 256 * 1024 * 1024
"""The most bytes of an answer that are read; no operation's answer comes near."""

_CHUNK = 256 * 1024


class HTTPResponse(NamedTuple):
    """A whole HTTP answer; header names are in lower case."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


class Connection:
    """A connection to one host, opened when first used.

    Args:
        host: Host name or address.
        port: TCP port.
        context: The TLS context; None speaks plain HTTP.
    """

    __slots__ = ("_buffer", "_context", "_host", "_poll", "_port", "_socket", "idle_since", "opened_at")

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._socket: socket.socket | None = None
        self._poll: select.poll | None = None
        self._buffer = b""
        self.idle_since = 0.0
        self.opened_at = 0.0

    def is_usable(self) -> bool:
        """Tell whether the server has not closed this idle connection: nothing may wait to be read on it."""
        if self._socket is None:
            return False
        if self._poll is not None:
            return not self._poll.poll(0)
        return not select.select([self._socket], [], [], 0)[0]  # Windows has no poll()

    def close(self) -> None:
        """Close the connection; it may be opened again."""
        connected, self._socket, self._poll, self._buffer = self._socket, None, None, b""
        if connected is not None:
            connected.close()

    def exchange(self, head: bytes, body: bytes, *, connect_timeout: float, read_timeout: float) -> HTTPResponse:
        """Send one request and read its answer.

        Args:
            head: Request line and headers, with the empty line.
            body: The body, of the length that the head declares.
            connect_timeout: Seconds for the connection and the TLS handshake.
            read_timeout: Seconds for the whole answer, from the first byte sent.

        Raises:
            ConnectFailed: If the server cannot have received the whole request.
            ResponseLost: If it can have, and no whole answer came.
            ResponseInvalid: If what came is not HTTP.
        """
        kept = self._socket is not None
        if not kept:
            self._connect(connect_timeout)
        connected = self._socket
        assert connected is not None  # noqa: S101 - for the type checker: _connect opened it or raised
        ends = monotonic() + read_timeout
        try:
            connected.settimeout(read_timeout)
            # sendall() fails before the last byte reached the kernel, so the server cannot have the whole request.
            connected.sendall(head + body)
        except OSError as error:
            self.close()
            unsent = ConnectFailed(f"{self._host} closed the connection before the request was sent: {told(error)}")
            unsent.on_reused_connection = kept
            raise unsent from None
        try:
            answer, reusable = self._read_answer(connected, ends)
        except RequestError:
            self.close()
            raise
        except OSError as error:
            received = bool(self._buffer)
            self.close()
            if isinstance(error, TimeoutError):
                raise ResponseLost(f"{self._host} did not answer within {read_timeout:g} s") from None
            how = "in the middle of its answer" if received else "without an answer"
            lost = ResponseLost(f"{self._host} closed the connection {how}: {told(error)}")
            lost.on_reused_connection = kept and not received
            raise lost from None
        except ValueError as error:
            self.close()
            raise ResponseInvalid(f"{self._host} did not answer in HTTP/1.1: {error}") from None
        if not reusable:
            self.close()
        return answer

    # --- opening ---

    def _connect(self, timeout: float) -> None:
        ends = monotonic() + timeout
        where = f"{self._host}:{self._port}"
        try:
            plain = socket.create_connection((self._host, self._port), timeout)
        except socket.gaierror as error:
            raise ConnectFailed(f"the host name {self._host} cannot be resolved: {told(error)}") from None
        except TimeoutError:
            raise ConnectFailed(f"no connection to {where} within {timeout:g} s") from None
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"no connection to {where}: {told(error)}") from None
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
            raise ConnectFailed(f"the TLS handshake with {where} failed: {told(error)}") from None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
        self.opened_at = monotonic()

    # --- reading ---

    def _read_answer(self, connected: socket.socket, ends: float) -> tuple[HTTPResponse, bool]:
        self._buffer = connected.recv(_CHUNK)
        if not self._buffer:
            raise ConnectionResetError("end of stream")
        while True:
            status, reason, headers, version = self._read_head(connected, ends)
            if status >= 200 or status == 101:
                break
        if status in (204, 304):
            body, framed = b"", True
        elif "transfer-encoding" in headers:
            if headers["transfer-encoding"].strip().lower() != "chunked":
                raise ValueError("an unknown transfer encoding")
            body, framed = self._read_chunks(connected, ends), True
        elif "content-length" in headers:
            body, framed = self._take(connected, _length(headers["content-length"], 10), ends), True
        else:
            body, framed = self._read_to_end(connected, ends), False
        persistent = headers.get("connection", "").lower()
        reusable = framed and not self._buffer
        reusable = reusable and (persistent != "close" if version == "HTTP/1.1" else persistent == "keep-alive")
        return HTTPResponse(status, reason, headers, body), reusable

    def _read_head(self, connected: socket.socket, ends: float) -> tuple[int, str, dict[str, str], str]:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _MAX_HEAD:
                raise ValueError("headers without an end")
            self._receive(connected, ends)
        head, self._buffer = self._buffer[:end].decode("latin-1"), self._buffer[end + 4 :]
        status_line, *lines = head.split("\r\n")
        version, _, rest = status_line.partition(" ")
        code, _, reason = rest.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or len(code) != 3 or not (code.isascii() and code.isdecimal()):
            raise ValueError("no status line")
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise ValueError("a malformed header")
            name = name.lower()
            value = value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return int(code), reason, headers, version

    def _read_chunks(self, connected: socket.socket, ends: float) -> bytes:
        parts: list[bytes] = []
        total = 0
        while True:
            size = _length(self._take_line(connected, ends).partition(";")[0], 16)
            total += size
            if total > MAX_BODY:
                raise ValueError("a body without bounds")
            if size == 0:
                while self._take_line(connected, ends):
                    pass
                return b"".join(parts)
            parts.append(self._take(connected, size, ends))
            if self._take(connected, 2, ends) != b"\r\n":
                raise ValueError("a chunk without an end")

    def _read_to_end(self, connected: socket.socket, ends: float) -> bytes:
        try:
            while len(self._buffer) <= MAX_BODY:
                self._receive(connected, ends)
        except _EndOfStream:
            body, self._buffer = self._buffer, b""
            return body
        raise ValueError("a body without bounds")

    def _take_line(self, connected: socket.socket, ends: float) -> str:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _MAX_HEAD:
                raise ValueError("a line without an end")
            self._receive(connected, ends)
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return line.decode("latin-1")

    def _take(self, connected: socket.socket, size: int, ends: float) -> bytes:
        if size > MAX_BODY:
            raise ValueError("a body without bounds")
        if len(self._buffer) < size:
            parts = [self._buffer]
            missing = size - len(self._buffer)
            while missing > 0:
                part = self._receive_part(connected, ends)
                parts.append(part)
                missing -= len(part)
            self._buffer = b"".join(parts)
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _receive(self, connected: socket.socket, ends: float) -> None:
        self._buffer += self._receive_part(connected, ends)

    def _receive_part(self, connected: socket.socket, ends: float) -> bytes:
        # A server that drips bytes would renew a plain socket timeout for ever; the end of the whole answer is fixed.
        left = ends - monotonic()
        if left <= 0:
            raise TimeoutError
        connected.settimeout(left)
        part = connected.recv(_CHUNK)
        if not part:
            raise _EndOfStream("end of stream")
        return part


class _EndOfStream(ConnectionResetError):
    """The server closed its side in good order."""


def _length(text: str, base: int) -> int:
    """Read a length strictly: int() would also take signs, spaces and underscores."""
    digits = text.strip()
    if not digits or not digits.isascii() or not digits.isalnum() or len(digits) > 18:
        raise ValueError("a malformed length")
    return int(digits, base)


def told(error: BaseException) -> str:
    """Say in a few words what the system reported.

    Args:
        error: An error of the system, of a resolver or of TLS.
    """
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error) or type(error).__name__


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
    lines = [f"POST {target} HTTP/1.1\r\nHost: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines)
    if head.count("\n") != len(headers) + 1 or head.count("\r") != len(headers) + 1:
        raise RequestInvalid("a header contains a line break; nothing was sent")
    return Head((head + "\r\n\r\n").encode("latin-1"))
