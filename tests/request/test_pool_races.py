"""The pool under threads that are switched between any two steps."""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ots_config.errors import ConnectFailed
from ots_config.request import pool as pools
from ots_config.request.http_parser import HTTPResponse
from ots_config.request.pool import ConnectionPool
from ots_config.request.route import Route

ANSWER = HTTPResponse(200, "OK", {}, b"")


class Quick:
    """A connection that answers at once."""

    is_clean = True

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
    pool = ConnectionPool(Route("example.com", 80), limit=2, idle_timeout=5)
    pool._idle = Emptied()
    assert pool.exchange(b"", b"", (1, 1)) is ANSWER


@pytest.mark.usefixtures("_hasty")
def test_more_threads_than_connections_all_have_their_answers() -> None:
    """Eight threads on three connections are answered each time, and three connections were made at most."""
    pool = ConnectionPool(Route("example.com", 80), limit=3, idle_timeout=5)

    def work(_: int) -> int:
        calls = [pool.exchange(b"", b"", (60, 1)) for _ in range(500)]
        return sum(answer is ANSWER for answer in calls)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(8))) == [500] * 8
    assert pool.status().open <= 3


# --- a caller that waits while idle connections are closed ---


class Watched(Quick):
    """A connection that lets a test act at the moment when it is closed."""

    def __init__(self, *_: Any) -> None:
        super().__init__()
        self.on_close: Callable[[], object] = bool

    def close(self) -> None:
        """Call ``on_close``."""
        self.on_close()


class Waiter:
    """A caller in a thread of its own, which gives up after five seconds without a connection."""

    def __init__(self, pool: ConnectionPool) -> None:
        self.answers: list[HTTPResponse] = []
        self._pool = pool
        self._thread = threading.Thread(target=self._call, daemon=True)

    def _call(self) -> None:
        with contextlib.suppress(ConnectFailed):
            self.answers.append(self._pool.exchange(b"", b"", (5, 5)))

    def start(self) -> None:
        """Start the call and return when it waits: it holds the pool's lock from when it is counted until it sleeps."""
        self._thread.start()
        while self._thread.is_alive() and not self._pool.status().waiting:
            pass

    def join(self) -> None:
        """Return when the call is over."""
        self._thread.join(10)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the pool's clock by one that stands still, and the connections by gated ones."""
    times = [1000.0]
    monkeypatch.setattr(pools, "monotonic", lambda: times[0])
    monkeypatch.setattr(pools, "Connection", Watched)
    return times


def test_a_waiting_caller_opens_a_connection_in_place_of_a_closed_one(clock: list[float]) -> None:
    """With one place, a caller that waits while the only connection is closed as idle opens another one."""
    pool = ConnectionPool(Route("example.com", 80), limit=1, idle_timeout=5)
    waiter = Waiter(pool)
    idle: Any = pool._take(1)
    pool._give_back(idle)
    idle.on_close = waiter.start  # it finds no idle connection and no place: the one that is being closed has it
    del idle
    pool._reap(clock[0] + 10)
    waiter.join()
    assert waiter.answers == [ANSWER]
    assert pool.status() == (1, 1, 1, 0)


def test_closing_a_long_idle_connection_wakes_a_waiting_caller(clock: list[float]) -> None:
    """A call that closes a long idle connection when it ends hands the free place to a caller that waits."""
    pool = ConnectionPool(Route("example.com", 80), limit=2, idle_timeout=5)
    waiter = Waiter(pool)
    old: Any = pool._take(1)
    young: Any = pool._take(1)
    pool._give_back(old)
    clock[0] += 3
    pool._give_back(young)
    clock[0] += 3
    busy: list[Any] = []
    young = weakref.ref(young)

    def take_the_other_one() -> None:
        busy.append(pool._take(1))
        waiter.start()

    old.on_close = take_the_other_one
    del old
    pool.exchange(b"", b"", (1, 1))
    waiter.join()
    assert busy == [young()]
    assert waiter.answers == [ANSWER]
    assert pool.status() == (2, 2, 1, 0)


class PutBack(deque[Any]):
    """Idle connections that let a test act just before one is put back where it was taken from."""

    before: Callable[[], object] = bool

    def appendleft(self, item: Any) -> None:
        """Put a connection back."""
        self.before()
        super().appendleft(item)


@pytest.mark.usefixtures("clock")
def test_a_connection_that_need_not_be_closed_wakes_a_waiting_caller() -> None:
    """A caller that came while the oldest connection was looked at gets it when it is found fresh."""
    pool = ConnectionPool(Route("example.com", 80), limit=1, idle_timeout=5)
    waiter = Waiter(pool)
    pool._idle = idle = PutBack()
    pool._give_back(pool._take(1))
    idle.before = waiter.start
    pool._reap(1000.0)
    waiter.join()
    assert waiter.answers == [ANSWER]


# --- first come, first served ---


@pytest.mark.usefixtures("_hasty")
def test_waiting_callers_are_served_in_their_order() -> None:
    """Twenty callers of one connection get it in the order in which they came, and a late one after them."""
    pool = ConnectionPool(Route("example.com", 80), limit=1, idle_timeout=5)
    busy = pool._take(1)
    served: list[int] = []

    def call(number: int) -> None:
        connection = pool._take(60)
        served.append(number)
        pool._give_back(connection)
        del connection

    threads = []
    for number in range(20):
        threads.append(threading.Thread(target=call, args=(number,), daemon=True))
        threads[-1].start()
        while pool.status().waiting <= number:
            pass
    pool._give_back(busy)
    call(20)
    for thread in threads:
        thread.join(10)
    assert served == list(range(21))


@pytest.mark.usefixtures("_hasty")
def test_no_caller_waits_for_much_longer_than_the_others() -> None:
    """Twenty threads on two connections take turns: between two calls of one, no other has had many."""
    pool = ConnectionPool(Route("example.com", 80), limit=2, idle_timeout=5)
    order: list[int] = []

    def work(number: int) -> None:
        for _ in range(100):
            connection = pool._take(60)
            order.append(number)
            pool._give_back(connection)
            del connection

    start = pool._take(1), pool._take(1)
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(20)]
    for thread in threads:
        thread.start()
    while pool.status().waiting < 20:
        pass
    for connection in start:
        pool._give_back(connection)
    del start, connection
    for thread in threads:
        thread.join(30)
    assert len(order) == 2000
    gaps: list[int] = []
    for number in range(20):
        places = [place for place, caller in enumerate(order) if caller == number]
        gaps += [later - earlier for earlier, later in itertools.pairwise(places)]
    gaps.sort()
    assert gaps[len(gaps) * 99 // 100] <= 3 * gaps[len(gaps) // 2]
