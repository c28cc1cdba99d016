"""Responses of HTTP/1.1 from bytes in whatever pieces they come, without any input or output of its own.

The limits are strict because a response decides whether a write is sent again: what is not plainly HTTP/1.1 is an
error, and a connection with anything unexplained on it is not used again.
"""

from __future__ import annotations

from errno import ECONNRESET
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BODY = 256 * 1024 * 1024
"""The most bytes of a body that are read; no operation's response comes near."""

MAX_HEAD = 64 * 1024
"""The most bytes of a head, of a chunk's size line, and of all trailers."""

_UNBOUNDED = "a body without bounds"


class MalformedResponse(ValueError):
    """What came is not HTTP/1.1, or exceeds a limit. A type of its own: a program may raise any other at any line."""


class HTTPResponse(NamedTuple):
    """A whole response; header names are in lower case."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


class ResponseParser:
    """Parses one response.

    Attributes:
        response: The response, None until it is whole.
        reusable: Whether the connection can carry another request once the response is whole: its end was marked,
            nothing came after it, and the server keeps the connection open.
        started: Whether any byte came.
    """

    __slots__ = ("_buffer", "_head", "_missing", "_parts", "_size", "_step", "response", "reusable", "started")

    def __init__(self) -> None:
        self.response: HTTPResponse | None = None
        self.reusable = False
        self.started = False
        self._buffer = b""
        # A function and not a method: a bound method of itself would keep the parser alive until a garbage collection.
        self._step: Callable[[ResponseParser], bool] = ResponseParser._read_head

    def feed(self, data: bytes) -> HTTPResponse | None:
        """Take the next bytes, and return the response if they complete it.

        Raises:
            MalformedResponse: If they are not a response of HTTP/1.1, or exceed a limit.
        """
        self.started = True
        self._buffer = self._buffer + data if self._buffer else data
        while self._step(self):
            pass
        return self.response

    def end(self) -> HTTPResponse:
        """Return the response that the end of the stream completes.

        Raises:
            ConnectionResetError: If the stream ended before the response did.
        """
        if self._step is not ResponseParser._read_to_end:
            raise ConnectionResetError(ECONNRESET, "end of stream")
        self._finish(b"".join(self._parts))
        self.reusable = False
        assert self.response is not None  # noqa: S101 - for the type checker: _finish made it
        return self.response

    # Each step takes what it can from the buffer, and returns whether the next one can go on.

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise MalformedResponse("headers without an end")
            return False
        version, status, reason, headers = parse_head(self._buffer[:end])
        self._buffer = self._buffer[end + 4 :]
        if status < 200 and status != 101:
            return True  # an interim response; the head of the next one follows
        kept = headers.get("connection", "").lower()
        self.reusable = kept != "close" if version == "HTTP/1.1" else kept == "keep-alive"
        self._head = (status, reason, headers)
        self._parts: list[bytes] = []
        self._size = self._missing = 0
        if status in (204, 304):
            self._step = ResponseParser._read_body
        elif "transfer-encoding" in headers:
            if headers["transfer-encoding"].strip().lower() != "chunked":
                raise MalformedResponse("an unknown transfer encoding")
            self._step = ResponseParser._read_chunk_size
        elif "content-length" in headers:
            self._missing = _length(headers["content-length"], 10)
            if self._missing == len(self._buffer):  # as a rule
                body, self._buffer = self._buffer, b""
                return self._finish(body)
            self._step = ResponseParser._read_body
        else:
            self._step = ResponseParser._read_to_end
        return True

    def _read_body(self) -> bool:
        return self._finish(b"".join(self._parts)) if self._take_missing() else False

    def _read_to_end(self) -> bool:
        self._parts.append(self._buffer)
        self._size += len(self._buffer)
        if self._size > MAX_BODY:
            raise MalformedResponse(_UNBOUNDED)
        self._buffer = b""
        return False

    def _read_chunk_size(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        self._missing = _length(line.partition(b";")[0].decode("latin-1"), 16)
        self._size += self._missing
        if self._size > MAX_BODY:
            raise MalformedResponse(_UNBOUNDED)
        if self._missing:
            self._step = ResponseParser._read_chunk
        else:
            self._size = 0  # of the trailers from now on
            self._step = ResponseParser._read_trailer
        return True

    def _read_chunk(self) -> bool:
        if not self._take_missing() or len(self._buffer) < 2:
            return False
        if self._buffer[:2] != b"\r\n":
            raise MalformedResponse("a chunk without an end")
        self._buffer = self._buffer[2:]
        self._step = ResponseParser._read_chunk_size
        return True

    def _read_trailer(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        self._size += len(line)
        if self._size > MAX_HEAD:
            raise MalformedResponse("trailers without an end")
        return True if line else self._finish(b"".join(self._parts))

    def _finish(self, body: bytes) -> bool:
        self.response = HTTPResponse(*self._head, body)
        self.reusable = self.reusable and not self._buffer
        self._step = ResponseParser._stop
        return False

    def _stop(self) -> bool:
        raise MalformedResponse("bytes after the end of the response")

    # --- what the steps share ---

    def _take_missing(self) -> bool:
        """Move what the buffer has of the missing bytes to the parts, and return whether that is all of them."""
        if self._missing:
            part = self._buffer[: self._missing]
            self._parts.append(part)
            self._buffer = self._buffer[len(part) :]
            self._missing -= len(part)
        return not self._missing

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise MalformedResponse("a line without an end")
            return None
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return line


def parse_head(head: bytes) -> tuple[str, int, str, dict[str, str]]:
    """Return version, status, reason and headers of a response.

    Raises:
        MalformedResponse: If they are not those of HTTP/1.1 or HTTP/1.0.
    """
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    code, _, reason = rest.partition(" ")
    if version not in ("HTTP/1.1", "HTTP/1.0") or len(code) != 3 or not (code.isascii() and code.isdecimal()):
        raise MalformedResponse("no status line")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise MalformedResponse("a malformed header")
        name = name.lower()
        value = value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return version, int(code), reason, headers


def _length(text: str, base: int) -> int:
    """Read a length strictly: int() would also take signs, spaces and underscores."""
    digits = text.strip()
    if not digits or not digits.isascii() or not digits.isalnum() or len(digits) > 18:
        raise MalformedResponse("a malformed length")
    try:
        length = int(digits, base)
    except ValueError:  # a letter that is no digit
        length = -1
    if length < 0:
        raise MalformedResponse("a malformed length")
    if length > MAX_BODY:
        raise MalformedResponse(_UNBOUNDED)
    return length
