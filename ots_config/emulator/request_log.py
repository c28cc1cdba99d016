"""The log of requests: one entry each, the newest kept; who watches it sees each entry when it is made."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

MAX_ENTRIES = 100_000
_MAX_FAILED = 1000  # calls that failed and may be repeated
_REPEATED_WITHIN = 120.0  # seconds
_NESTED = frozenset({"BatchGetRow", "BatchWriteRow", "CreateTable"})
_NO_TABLE = frozenset(
    {"AbortTransaction", "CommitTransaction", "DescribeStream", "GetShardIterator", "GetStreamRecord"}
)


class LogEntry(NamedTuple):
    """One request.

    Attributes:
        operation: The operation, ``sts``, ``metadata`` or ``uri``.
        at: When it was answered or dropped, in seconds since the epoch, by the machine's clock.
        access_key_id: The key that it named.
        token: The SHA-256 of its STS token, in hexadecimal.
        x_ots_date: Its header of that name, as sent.
        status: The HTTP status of the response, None if there was none.
        code: The error code of the response, None for success.
        applied: Whether the operation took effect.
        instance: The instance that it named.
        table: The table that it named, the first one of several.
        seconds: How long it took.
        fault: The kind of the fault that hit it.
        call: A number that it shares with the failed requests that it repeats.
    """

    operation: str
    at: float
    access_key_id: str | None
    token: str | None
    x_ots_date: str | None
    status: int | None
    code: str | None
    applied: bool
    instance: str | None = None
    table: str | None = None
    seconds: float = 0.0
    fault: str | None = None
    call: int = 0


_SHOWN = LogEntry._fields[: LogEntry._fields.index("applied") + 1]


class RequestLog:
    """The newest entries, oldest first; `max_entries` are kept.

    Attributes:
        watchers: Called with each new entry, in the server's thread; they must not block.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=max_entries)
        self._hashes: dict[str, str] = {}
        self._calls = 0
        self._failed: dict[object, tuple[int, float]] = {}
        self.watchers: list[Callable[[LogEntry], None]] = []

    def add(self, entry: LogEntry) -> None:
        """Add an entry; the oldest is dropped if there are too many."""
        self._entries.append(entry)
        for watch in self.watchers:
            watch(entry)

    def clear(self) -> None:
        """Drop every entry."""
        self._entries.clear()

    def newest(self, limit: int | None = None) -> list[LogEntry]:
        """Return the entries, oldest first; only the newest if there is a limit."""
        entries = list(self._entries)
        return entries if limit is None else entries[-limit:]

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries as the control surface shows them, with the documented fields only."""
        return [dict(zip(_SHOWN, entry, strict=False)) for entry in self._entries]

    def number(self, request: object, *, delivered: bool) -> int:
        """Return the number of a call: that of an equal request that failed before, else a new one.

        Args:
            request: What is the same for each attempt of a call.
            delivered: Whether the client got a response that ends the call.
        """
        failed = self._failed.pop(request, None) if self._failed else None
        if failed is not None and time.monotonic() - failed[1] < _REPEATED_WITHIN:
            number = failed[0]
        else:
            self._calls = number = self._calls + 1
        if not delivered:
            if len(self._failed) >= _MAX_FAILED:
                del self._failed[next(iter(self._failed))]
            self._failed[request] = number, time.monotonic()
        return number

    def hash_token(self, token: str | None) -> str | None:
        """Return what the log shows of a token."""
        if not token:
            return None
        shown = self._hashes.get(token)
        if shown is None:
            if len(self._hashes) >= 256:
                self._hashes.clear()
            self._hashes[token] = shown = sha256(token.encode()).hexdigest()
        return shown


def table_named(operation: str, body: bytes) -> str | None:
    """Return the first table that a request names, None if it names none; the body is not trusted to be valid.

    In most requests it is the first field of the message, in some the first field of the first message in it.
    """
    if operation in _NO_TABLE:
        return None
    at = size = 0
    for _ in range(2 if operation in _NESTED else 1):
        if body[at : at + 1] != b"\x0a":
            return None
        at += 1
        size = shift = 0
        while at < len(body) and shift < 35:
            octet = body[at]
            at += 1
            size |= (octet & 127) << shift
            shift += 7
            if octet < 128:
                break
    name = body[at : at + size] if size <= 255 else b""
    return name.decode("utf-8", "replace") or None
