"""The deadline of a call: one value, of which what remains is computed anew before each wait."""

import socket
from types import SimpleNamespace

import pytest

from ots_config.errors import ConnectFailed, ResponseLost
from ots_config.request import connection as connections
from ots_config.request import deadline as deadlines
from ots_config.request import pool as pools
from ots_config.request import streams
from ots_config.request.addresses import Address
from ots_config.request.connection import Connection, request_head
from ots_config.request.deadline import NEVER, Deadline
from ots_config.request.pool import ConnectionPool
from ots_config.request.route import Route


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still until a test moves it."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(deadlines, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_what_remains_shrinks_as_time_passes(clock: SimpleNamespace) -> None:
    """Asked again, the same deadline has less left, until it is over."""
    deadline = Deadline.after(10)
    assert (deadline.remaining(), deadline.timeout(), deadline.is_over) == (10, 10, False)
    clock.now += 9
    assert (deadline.remaining(), deadline.timeout(), deadline.clamp(5)) == (1, 1, 1)
    clock.now += 1
    assert deadline.is_over
    assert deadline.remaining() == 0


def test_a_deadline_cuts_timeouts_and_lengthens_none(clock: SimpleNamespace) -> None:
    """A timeout shorter than what remains stays as it is; both of a pair are cut."""
    deadline = Deadline.after(10)
    assert (deadline.clamp(3), deadline.clamp(30)) == (3, 10)
    assert deadline.clamp_timeouts((3, 30)) == (3, 10)


def test_what_has_begun_gets_a_millisecond(clock: SimpleNamespace) -> None:
    """A deadline that is over leaves 1 ms for a wait, as no wait takes zero or less."""
    deadline = Deadline.after(-5)
    assert deadline.clamp(3) == deadline.timeout() == 0.001
    assert deadline.clamp_timeouts((3, 30)) == (0.001, 0.001)


def test_no_deadline_sets_no_limit() -> None:
    """``None`` seconds never end, and a wait without a limit of its own has none."""
    assert Deadline.after(None) == NEVER
    assert (NEVER.remaining(), NEVER.timeout(), NEVER.is_over) == (float("inf"), None, False)
    assert NEVER.clamp_timeouts((3, 30)) == (3, 30)


def test_a_deadline_cannot_be_moved() -> None:
    """It is a value: nothing on the way down can change it."""
    with pytest.raises(AttributeError):
        NEVER.ends = 1.0  # type: ignore[misc]


def test_a_connection_waits_for_a_response_no_longer_than_the_deadline(server: object) -> None:
    """The read timeout is cut to what the call has left."""
    server.set_scripts(server.answering(b""))  # type: ignore[attr-defined]
    connection = Connection(Route("127.0.0.1", server.port))  # type: ignore[attr-defined]
    head = request_head("/GetRow", "h", {"Content-Length": "0"})
    with pytest.raises(ResponseLost, match=r"within 0\.0\d* s"):
        connection.exchange(head, b"", (5.0, 5.0), Deadline.after(0.05))


def test_a_caller_waits_for_a_connection_no_longer_than_the_deadline(server: object) -> None:
    """The wait for a place in the pool is cut to what the call has left."""
    pool = ConnectionPool(Route("127.0.0.1", server.port), limit=1, idle_timeout=5)  # type: ignore[attr-defined]
    busy = pool._take(1)
    with pytest.raises(ConnectFailed, match=r"busy for 0\.0\d* s"):
        pool.exchange(b"", b"", (5.0, 5.0), Deadline.after(0.05))
    assert busy.is_clean
    pool.close()


# --- every wait of one call ends with its deadline; the clock is the test's, and only a wait moves it ---


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock of everything that waits."""
    now = [1000.0]
    for module in (connections, pools, streams):
        monkeypatch.setattr(module, "monotonic", lambda: now[0])
    monkeypatch.setattr(deadlines, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


class Nowhere:
    """In place of ``PlainStream``: addresses that nothing listens on; each wait for one takes all of its time."""

    def __init__(self, ticking: list[float]) -> None:
        self.waited: list[float] = []
        self._clock = ticking

    def open(self, _: Address, ends: float) -> None:
        """Wait."""
        self.waited.append(round(ends - self._clock[0], 6))
        self._clock[0] = ends


@pytest.mark.parametrize(
    ("count", "waits"),
    [
        (1, [1.5]),
        (4, [0.375] * 4),
        (10, [0.25] * 6),
    ],
)
def test_dead_addresses_share_the_deadline(
    ticking: list[float], monkeypatch: pytest.MonkeyPatch, count: int, waits: list[float]
) -> None:
    """Each address of a host gets its share, a quarter of a second at least, and all of them end at the deadline."""
    nowhere = Nowhere(ticking)
    dead = tuple(Address(socket.AF_INET, (f"192.0.2.{number}", 443)) for number in range(count))
    monkeypatch.setattr(connections, "PlainStream", nowhere)
    monkeypatch.setattr(connections, "resolve", lambda *_: dead)
    with pytest.raises(ConnectFailed, match=r"no connection to demo\.example:443 within 1\.5 s"):
        Connection(Route("demo.example", 443)).exchange(b"", b"", (50.0, 50.0), Deadline(ticking[0] + 1.5))
    assert nowhere.waited == waits
    assert ticking == [1001.5]


def test_a_slow_look_up_is_taken_off_what_the_addresses_have(
    ticking: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver is waited for until the deadline at most, and the addresses share what it left."""
    nowhere = Nowhere(ticking)
    asked: list[float] = []

    def slow(_host: str, _port: int, timeout: float) -> tuple[Address, ...]:
        asked.append(timeout)
        ticking[0] += 1.0
        return (Address(socket.AF_INET, ("192.0.2.1", 443)), Address(socket.AF_INET, ("192.0.2.2", 443)))

    monkeypatch.setattr(connections, "PlainStream", nowhere)
    monkeypatch.setattr(connections, "resolve", slow)
    with pytest.raises(ConnectFailed):
        Connection(Route("demo.example", 443)).exchange(b"", b"", (50.0, 50.0), Deadline(ticking[0] + 1.5))
    assert asked == [1.5]
    assert nowhere.waited == [0.25, 0.25]


class Silent:
    """A stream that takes every request and never answers."""

    def __init__(self, ticking: list[float]) -> None:
        self._clock = ticking

    def send_all(self, _data: bytes, _ends: float) -> bool:
        """Take a request."""
        return True

    def receive(self, ends: float) -> None:
        """Wait in vain."""
        self._clock[0] = ends

    def is_quiet(self) -> bool:
        """Return that nothing came."""
        return True

    def close(self) -> None:
        """Do nothing."""


def test_the_wait_for_a_connection_is_taken_off_the_wait_for_the_response(
    ticking: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that waited a second for a connection waits for a silent server no longer than the rest."""
    pool = ConnectionPool(Route("demo.example", 443), limit=1, idle_timeout=100)
    busy = pool._take(1)
    busy._stream = Silent(ticking)
    busy.opened_at = ticking[0]

    class Lock:
        """A waiter's lock that is released after a second, when the connection is given back."""

        def acquire(self, timeout: float = -1) -> bool:
            if timeout >= 0:
                assert timeout <= 1.5
                ticking[0] += 1.0
                pool._give_back(busy)
            return True

        def release(self) -> None:
            """Be woken."""

    monkeypatch.setattr(pools, "allocate_lock", Lock)
    with pytest.raises(ResponseLost, match=r"did not answer within 0\.5 s"):
        pool.exchange(b"", b"", (50.0, 50.0), Deadline(ticking[0] + 1.5))
    assert ticking == [1001.5]
