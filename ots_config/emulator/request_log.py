"""The log of requests: one entry each, the newest kept."""

from __future__ import annotations

from collections import deque
from hashlib import sha256
from typing import Any, NamedTuple

MAX_ENTRIES = 100_000


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
    """

    operation: str
    at: float
    access_key_id: str | None
    token: str | None
    x_ots_date: str | None
    status: int | None
    code: str | None
    applied: bool


class RequestLog:
    """The newest entries, oldest first; `max_entries` are kept."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=max_entries)
        self._hashes: dict[str, str] = {}

    def add(self, entry: LogEntry) -> None:
        """Add an entry; the oldest is dropped if there are too many."""
        self._entries.append(entry)

    def clear(self) -> None:
        """Drop every entry."""
        self._entries.clear()

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries as the control surface shows them."""
        return [entry._asdict() for entry in self._entries]

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
