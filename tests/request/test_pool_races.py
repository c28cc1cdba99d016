"""The pool under threads that are switched between any two steps."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ots_config.request import pool as pools
from ots_config.request.connection import HTTPResponse
from ots_config.request.pool import ConnectionPool

ANSWER = HTTPResponse(200, "OK", {}, b"")


class Quick:
    """A connection that answers at once."""

    def __init__(self, *_: Any) -> None:
        self.idle_since = self.opened_at = float("inf")

    def exchange(self, *_: Any, **__: Any) -> HTTPResponse:
        """HTTPResponse."""
        return ANSWER

    def is_usable(self) -> bool:
        """Tell that it is."""
        return True

    def close(self) -> None:
        """Have nothing to close."""


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Switch threads as often as the interpreter can, over connections that answer at once."""
    monkeypatch.setattr(pools, "Connection", Quick)
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


class Emptied(deque[Any]):
    """Idle connections of which another thread takes the last one as soon as it is there."""

    def append(self, item: Any) -> None:
        """Give back, and lose, a connection."""
        super().append(item)
        self.clear()


@pytest.mark.usefixtures("_hasty")
def test_a_connection_may_be_taken_as_soon_as_it_is_given_back() -> None:
    """The call that gave a connection back has its answer although another one has taken it at that moment."""
    pool = ConnectionPool("example.com", 80, None, limit=2, idle_timeout=5)
    pool._idle = Emptied()
    assert pool.exchange(b"", b"", connect_timeout=1, read_timeout=1) is ANSWER


@pytest.mark.usefixtures("_hasty")
def test_more_threads_than_connections_all_have_their_answers() -> None:
    """Eight threads on three connections are answered each time, and three connections were made at most."""
    pool = ConnectionPool("example.com", 80, None, limit=3, idle_timeout=5)

    def work(_: int) -> int:
        calls = [pool.exchange(b"", b"", connect_timeout=60, read_timeout=1) for _ in range(500)]
        return sum(answer is ANSWER for answer in calls)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(8))) == [500] * 8
    assert pool.status().open <= 3
