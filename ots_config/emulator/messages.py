"""HTTP requests as they were read and answers as they will be written, and the reading of a request's head."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from http import HTTPStatus

MAX_HEAD = 65_536
"""Octets of a request line and its headers; more is answered with 431."""
MAX_FIELDS = 200
"""Headers of one request; more is answered with 431."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(r"HTTP/\d\.\d")
_LENGTH = re.compile(r"[0-9]{1,18}")
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# The names of headers seen so far, checked and in lower case: a client sends the same dozen with each request.
_NAMES: dict[str, str] = {}


class Malformed(Exception):
    """A request that is no HTTP, or more of it than is taken; the connection ends with this answer.

    Attributes:
        status: The HTTP status.
        reason: One sentence for whoever sent it.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


class Request:
    """One request.

    Attributes:
        method: The method, as sent.
        path: The path without query; of an absolute-form target, as a proxy receives it, the part after the host.
        query: What follows the question mark, still encoded.
        headers: The headers, names in lower case, repeated ones joined with a comma.
        body: The body, empty while it has not been read.
        unread: Why the body was not read, as an HTTP status: 413 if it is too large, 408 if it did not come, else 0.
        keep_alive: Whether the connection may carry another request.
        peer: The address of the client, empty if it has none.
    """

    __slots__ = ("body", "headers", "http_1_0", "keep_alive", "method", "path", "peer", "query", "unread")

    def __init__(self, method: str, target: str, headers: dict[str, str], *, http_1_0: bool = False) -> None:
        self.method = method
        if not target.startswith("/"):
            absolute = _AUTHORITY.match(target)
            # OPTIONS * and CONNECT host:port name no path of this server; they are told so as any unknown one is.
            target = (target[absolute.end() :] or "/") if absolute else target
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.body = b""
        self.unread = 0
        self.http_1_0 = http_1_0
        connection = headers.get("connection")
        if connection is None:
            self.keep_alive = not http_1_0
        else:
            options = {option.strip() for option in connection.lower().split(",")}
            self.keep_alive = "close" not in options and (not http_1_0 or "keep-alive" in options)
        self.peer = ""


class Ending(Enum):
    """How an answer leaves the server."""

    WHOLE = "whole"
    TRUNCATED = "truncated"
    """Half of the body under the length of all of it, then the connection is closed."""
    RESET = "reset"
    """Nothing: the connection is reset."""


@dataclass(slots=True)
class Answer:
    """One answer.

    Attributes:
        status: The HTTP status.
        headers: The headers but Date, Content-Length and Connection, each ended by CR LF.
        body: The body.
        ending: How it leaves.
        at: What the clock of the service shows that answers, None for the time of day.
    """

    status: int
    headers: str = ""
    body: bytes = b""
    ending: Ending = Ending.WHOLE
    at: float | None = None
    close: bool = field(default=False)


def plain(status: int, text: str, *, kind: str = "text/plain; charset=utf-8", close: bool = False) -> Answer:
    """Return an answer with a text."""
    return Answer(status, f"Content-Type: {kind}\r\n", text.encode(), close=close)


def read_head(head: bytes) -> Request:
    """Read a request line and headers, all but the empty line that ends them.

    Raises:
        Malformed: If they are not what RFC 9112 says; what is ambiguous is refused too, as two readers of it
            could find two different requests.
    """
    try:
        text = head.decode()
    except UnicodeDecodeError:
        text = head.decode("latin-1")
    lines = text.split("\r\n")
    if "\0" in text or text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise Malformed(400, "lines must end with CR LF, and hold no other control characters")
    if len(lines) > MAX_FIELDS:
        raise Malformed(431, "too many headers")
    method, target, version = _read_first_line(lines[0])
    headers: dict[str, str] = {}
    for line in lines[1:]:
        raw, colon, value = line.partition(":")
        name = _NAMES.get(raw) or _check_name(raw, colon)
        value = value.strip(" \t")
        if name not in headers:
            headers[name] = value
        elif name != "content-length":
            headers[name] += ", " + value
        elif value != headers[name]:
            raise Malformed(400, "two different lengths")
    return Request(method, target, headers, http_1_0=version == "HTTP/1.0")


def _read_first_line(line: str) -> tuple[str, str, str]:
    parts = line.split(" ")
    if len(parts) != 3 or not _VERSION.fullmatch(parts[2]):
        raise Malformed(400, "the first line must be a method, a target and HTTP/1.1, parted by single spaces")
    method, target, version = parts
    if version not in {"HTTP/1.1", "HTTP/1.0"}:
        raise Malformed(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if not _TOKEN.fullmatch(method) or not target or not (target.isascii() and target.isprintable()):
        raise Malformed(400, "the method or the target holds characters that it cannot")
    return method, target, version


def _check_name(raw: str, colon: str) -> str:
    if not colon or not _TOKEN.fullmatch(raw):
        raise Malformed(400, "a header must be a name, a colon and a value on one line")
    name = raw.lower()
    if len(_NAMES) < 1024 and len(raw) < 64:
        _NAMES[raw] = name
    return name


def body_length(request: Request) -> int | None:
    """Return the length of the request's body in octets, None if it comes in chunks.

    Raises:
        Malformed: If the headers do not settle where the request ends.
    """
    headers = request.headers
    coding = headers.get("transfer-encoding")
    declared = headers.get("content-length")
    if coding is not None:
        if declared is not None or request.http_1_0:
            raise Malformed(400, "Transfer-Encoding goes neither with Content-Length nor with HTTP/1.0")
        if coding.lower() != "chunked":
            raise Malformed(501, "the only Transfer-Encoding taken is chunked")
        return None
    if declared is None:
        return 0
    if not _LENGTH.fullmatch(declared):
        raise Malformed(400, "Content-Length must be a number")
    return int(declared)


@lru_cache(maxsize=128)
def _status_line(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return f"HTTP/1.1 {status} {phrase}\r\n"


@lru_cache(maxsize=8)
def http_date(second: int) -> str:
    """Return a time as the header Date shows it, in English whatever the locale."""
    at = time.gmtime(second)
    day = f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year}"
    return f"{day} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"


def write_answer(request: Request | None, answer: Answer, now: float, *, keep_alive: bool) -> bytes:
    """Return an answer as it goes over the wire.

    Args:
        request: What it answers, None if that could not be read.
        answer: The answer.
        now: The time of day.
        keep_alive: Whether the connection stays open.
    """
    if not keep_alive:
        connection = "Connection: close\r\n"
    elif request is not None and request.http_1_0:
        connection = "Connection: keep-alive\r\n"
    else:
        connection = ""
    date = http_date(int(now if answer.at is None else answer.at))
    bodiless = answer.status in {204, 304}
    length = "" if bodiless else f"Content-Length: {len(answer.body)}\r\n"
    head = f"{_status_line(answer.status)}Date: {date}\r\n{answer.headers}{length}{connection}\r\n".encode()
    if bodiless or (request is not None and request.method == "HEAD"):
        return head
    if answer.ending is Ending.TRUNCATED:
        return head + answer.body[: len(answer.body) // 2] if answer.body else head[: len(head) // 2]
    return head + answer.body
