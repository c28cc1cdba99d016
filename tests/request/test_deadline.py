"""The deadline of a call: one value, of which what remains is computed anew before each wait."""

from types import SimpleNamespace

import pytest

from ots_config.errors import ConnectFailed, ResponseLost
from ots_config.request import deadline as deadlines
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
