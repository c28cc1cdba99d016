"""HTTP requests and responses as the services read and write them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import Enum

_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*")


class EmulatorRequest:
    """One request.

    Args:
        method: The method, as sent.
        target: The request target, as sent.
        headers: The headers, names in lower case, repeated ones joined with a comma.

    Attributes:
        path: The path without query; of an absolute-form target, as a proxy receives it, the part after the host.
        query: What follows the question mark, still encoded.
        body: The body.
        unread: Why the body was not read, as an HTTP status: 413 too large, 408 too slow, 0 if it was read.
        peer: The address of the client, empty if it has none.
    """

    __slots__ = ("body", "headers", "method", "path", "peer", "query", "unread")

    def __init__(self, method: str, target: str, headers: dict[str, str]) -> None:
        self.method = method
        if not target.startswith("/"):
            absolute = _AUTHORITY.match(target)
            # OPTIONS * and CONNECT host:port name no path of this server; they are answered as an unknown path.
            target = (target[absolute.end() :] or "/") if absolute else target
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.body = b""
        self.unread = 0
        self.peer = ""


class Ending(Enum):
    """How a response leaves the server."""

    WHOLE = "whole"
    TRUNCATED = "truncated"
    """Half of the body under the length of all of it, then the connection is closed."""
    RESET = "reset"
    """Nothing: the connection is reset."""


@dataclass(slots=True)
class EmulatorResponse:
    """One response.

    Attributes:
        status: The HTTP status, 0 if none is sent.
        headers: The headers except Content-Length and Connection.
        body: The body.
        ending: How it leaves the server.
        at: The time of the header Date, None for the present.
        stream: Parts to send one by one in place of the body, until they end or the client is gone.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ending: Ending = Ending.WHOLE
    at: float | None = None
    stream: AsyncGenerator[bytes, None] | None = None


def text_response(status: int, text: str, *, kind: str = "text/plain; charset=utf-8") -> EmulatorResponse:
    """Return a response with a text."""
    return EmulatorResponse(status, {"Content-Type": kind}, text.encode())
