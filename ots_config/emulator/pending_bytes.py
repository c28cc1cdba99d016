"""Bounds the memory of requests that are not complete: some wait for others, and the slowest is dropped."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Sender(Protocol):
    """A connection that sends a request.

    Attributes:
        heard_at: When its last bytes came.
    """

    heard_at: float

    def abort(self) -> None:
        """Close it at once."""


class PendingBytes:
    """Counts the bytes received of unfinished requests, by connection in the order in which they began.

    Beyond `limit` only the oldest is read further. What arrived meanwhile is bounded as well: beyond twice the limit
    the connection that has been silent for longest is closed.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: dict[Sender, int] = {}
        self._waiting: dict[Sender, asyncio.Future[None]] = {}
        self.total = 0

    @property
    def exceeded(self) -> bool:
        """Whether requests have to wait."""
        return self.total > self._limit

    def add(self, sender: Sender, size: int) -> None:
        """Count bytes that have arrived."""
        self._held[sender] = self._held.get(sender, 0) + size
        self.total += size
        while self.total > 2 * self._limit and len(self._held) > 1:
            slowest = min(self._held, key=lambda other: other.heard_at)
            self.release(slowest)
            slowest.abort()

    def release(self, sender: Sender) -> None:
        """Forget the bytes of a request that is complete, refused or lost."""
        self.total -= self._held.pop(sender, 0)
        if self._waiting:
            self._wake()

    def waits(self, sender: Sender) -> bool:
        """Return whether a connection is not read because others come first."""
        return sender in self._waiting

    async def turn(self, sender: Sender) -> None:
        """Wait until more of a request may be read."""
        while self.exceeded and sender is not next(iter(self._held), sender):
            self._waiting[sender] = turn = asyncio.get_running_loop().create_future()
            try:
                await turn
            finally:
                self._waiting.pop(sender, None)

    def _wake(self) -> None:
        first = next(iter(self._held), None)
        for sender, turn in self._waiting.items():
            if not turn.done() and (not self.exceeded or sender is first):
                turn.set_result(None)
