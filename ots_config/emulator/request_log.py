"""The log of requests: one entry each, the newest kept."""

from __future__ import annotations

from collections import deque
from hashlib import sha256
from typing import Any, NamedTuple

KEPT = 100_000


class Entry(NamedTuple):
    """One request.

    Attributes:
        operation: The operation, ``sts``, ``metadata`` or ``uri``.
        at: When it was answered or dropped, in seconds since the epoch, by the machine's clock.
        access_key_id: The key that it named.
        token: The SHA-256 of the STS token that it carried, in hexadecimal.
        x_ots_date: Its header of that name, as sent.
        status: The HTTP status of the answer, None if there was none.
        code: The error code of the answer, None if it told none.
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


class Journal:
    """The newest entries, oldest first.

    Args:
        kept: How many are kept.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._hashes: dict[str, str] = {}

    def add(self, entry: Entry) -> None:
        """Add an entry; the oldest goes if there are too many."""
        self._entries.append(entry)

    def clear(self) -> None:
        """Forget every entry."""
        self._entries.clear()

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries as the control surface shows them."""
        return [entry._asdict() for entry in self._entries]

    def fingerprint(self, token: str | None) -> str | None:
        """Return what the log shows of a token, None for none."""
        if not token:
            return None
        shown = self._hashes.get(token)
        if shown is None:
            if len(self._hashes) >= 256:
                self._hashes.clear()
            self._hashes[token] = shown = sha256(token.encode()).hexdigest()
        return shown
