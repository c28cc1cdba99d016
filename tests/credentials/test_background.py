"""The thread that refreshes in the background: what queues there, and what does not."""

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.credentials.single_flight import BACKGROUND, Background, SingleFlight
from ots_config.errors import CredentialsRefused

PATIENCE = 10.0
KEYS = Credentials("LTAI5tExampleKey0001", "secret")


class Work:
    """A piece of work that waits while its gate is shut, and records on which thread it was done."""

    def __init__(self, *, shut: bool = False) -> None:
        self.started = threading.Event()
        self.gate = threading.Event()
        if not shut:
            self.gate.set()
        self.threads: list[threading.Thread] = []
        self.flight = SingleFlight(self.do, "work")

    def do(self) -> Credentials:
        """Record the thread and wait for the gate, for longer than anyone waits for the work."""
        self.threads.append(threading.current_thread())
        self.started.set()
        assert self.gate.wait(3 * PATIENCE)
        return KEYS


@pytest.fixture
def stuck() -> Iterator[Work]:
    """Give work that does not end before the test does."""
    work = Work(shut=True)
    yield work
    work.gate.set()


def test_urgent_work_does_not_wait_for_the_work_of_another(stuck: Work) -> None:
    """Work that somebody waits for is done on a thread of its own while the background thread is busy."""
    background = Background()
    background.submit(stuck.flight, urgent=False)
    assert stuck.started.wait(PATIENCE)
    urgent = Work()
    background.submit(urgent.flight, urgent=True)
    assert urgent.flight.wait(PATIENCE) is KEYS
    assert urgent.threads != stuck.threads


def test_urgent_work_does_not_queue_behind_work_that_has_not_begun() -> None:
    """Work that somebody waits for is done on a thread of its own while other work is in the queue."""
    background = Background()
    queued, urgent = Work(), Work()
    with background._wake:  # the background thread cannot take anything yet
        background.submit(queued.flight, urgent=False)
        background.submit(urgent.flight, urgent=True)
        assert urgent.flight.wait(PATIENCE) is KEYS
        assert not queued.flight.started
    assert queued.flight.wait(PATIENCE) is KEYS


def test_urgent_work_takes_the_idle_thread() -> None:
    """Work that somebody waits for needs no second thread while the background thread has nothing to do."""
    background = Background(idle=PATIENCE)
    first, second = Work(), Work()
    for work in (first, second):
        background.submit(work.flight, urgent=True)
        work.flight.wait(PATIENCE)
        for _ in range(int(PATIENCE * 1000)):
            if not background._busy:
                break
            time.sleep(0.001)
    assert first.threads == second.threads


def test_work_that_nobody_waits_for_queues(stuck: Work) -> None:
    """Work that nobody waits for is done in turn on the background thread, once however often it was handed in."""
    background = Background()
    background.submit(stuck.flight, urgent=False)
    assert stuck.started.wait(PATIENCE)
    done: list[str] = []
    queued = [SingleFlight(lambda name=name: done.append(name) or KEYS, name) for name in "abc"]
    for flight in queued * 2:
        background.submit(flight, urgent=False)
    assert list(background._queue) == queued
    stuck.gate.set()
    for flight in queued:
        assert flight.wait(PATIENCE) is KEYS
    assert done == ["a", "b", "c"]


def test_work_does_not_wait_for_what_is_not_urgent() -> None:
    """Work that comes upon other work for which nobody waits leaves that for later."""
    background = Background()
    other = Work()
    claimed: list[bool] = []

    def work() -> Credentials:
        background.submit(other.flight, urgent=False)
        claimed.append(other.flight.started)
        return KEYS

    background.submit(SingleFlight(work, "work"), urgent=False)
    assert other.flight.wait(PATIENCE) is KEYS
    assert claimed == [False]


def test_a_child_does_not_do_its_parents_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was in the queue when the process forked is left to the parent, and the child has a thread of its own."""
    background = Background()
    queued, own = Work(), Work()
    with monkeypatch.context() as parent:
        parent.setattr(background, "_start", lambda _target: threading.Thread())  # which the child has not
        background.submit(queued.flight, urgent=False)
    background.after_fork()  # as in a child
    background.submit(own.flight, urgent=False)
    assert own.flight.wait(PATIENCE) is KEYS
    assert not queued.flight.started


def test_urgent_work_is_given_one_thread_only(stuck: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that many wait for gets one thread of its own, not one for each of them."""
    background = Background()
    background.submit(stuck.flight, urgent=False)
    assert stuck.started.wait(PATIENCE)
    begun: list[Any] = []
    monkeypatch.setattr(background, "_start", lambda _target, *flights: begun.extend(flights))
    work = Work()
    for _ in range(3):
        background.submit(work.flight, urgent=True)
    assert begun == [work.flight]


def test_queued_work_becomes_urgent_when_somebody_waits(stuck: Work) -> None:
    """Work in the queue is done on a thread of its own once somebody waits for it, and not again in its turn."""
    background = Background()
    background.submit(stuck.flight, urgent=False)
    assert stuck.started.wait(PATIENCE)
    work, after = Work(shut=True), Work()
    background.submit(work.flight, urgent=False)
    background.submit(after.flight, urgent=False)
    background.submit(work.flight, urgent=True)
    assert work.started.wait(PATIENCE)
    stuck.gate.set()
    assert after.flight.wait(PATIENCE) is KEYS
    work.gate.set()
    assert work.flight.wait(PATIENCE) is KEYS
    assert len(work.threads) == 1


def test_work_under_way_needs_no_second_thread(stuck: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that has begun when somebody comes to wait for it is not handed to another thread, nor queued."""
    background = Background()
    background.submit(stuck.flight, urgent=False)
    assert stuck.started.wait(PATIENCE)
    begun: list[Any] = []
    monkeypatch.setattr(background, "_start", lambda _target, *flights: begun.extend(flights))
    background.submit(stuck.flight, urgent=True)
    background.submit(stuck.flight, urgent=False)
    assert begun == []
    assert not background._queue


@pytest.mark.parametrize("busy", [False, True])
def test_what_the_work_itself_waits_for_is_done_on_its_thread(stuck: Work, busy: bool) -> None:
    """Work that needs the result of other work, as a role does that of its keys, does it itself."""
    background = Background()
    if busy:
        background.submit(stuck.flight, urgent=False)
        assert stuck.started.wait(PATIENCE)
    inner = Work()
    threads: list[threading.Thread] = []

    def outer() -> Credentials:
        threads.append(threading.current_thread())
        background.submit(inner.flight, urgent=True)
        return inner.flight.wait(PATIENCE)

    flight = SingleFlight(outer, "outer")
    background.submit(flight, urgent=True)
    assert flight.wait(PATIENCE) is KEYS
    assert inner.threads == threads


def test_finished_work_is_not_kept_alive() -> None:
    """Whoever keeps finished work for its result does not keep alive what did it."""
    work = Work()
    flight, gone = work.flight, weakref.ref(work)
    flight.run()
    del work
    gc.collect()
    assert gone() is None
    assert flight.wait(0) is KEYS


def test_those_who_wait_are_told_of_an_interrupt() -> None:
    """Ctrl-C in the thread that does the work reaches that thread, and those who wait get an error that says so."""

    def interrupt() -> Credentials:
        raise KeyboardInterrupt

    flight = SingleFlight(interrupt, "work")
    with pytest.raises(KeyboardInterrupt):
        flight.run()
    with pytest.raises(CredentialsRefused, match="work: interrupted"):
        flight.wait(0)


@pytest.mark.parametrize("reason", ["none yet", "ended", "refused"])
def test_callers_do_not_wait_for_the_refresh_of_another_source(
    scripted: Any, clock: Any, stuck: Work, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """A caller that needs new credentials gets them while the refresh of another source takes its time."""
    background = Background()
    monkeypatch.setattr(BACKGROUND, "submit", background.submit)
    provider = RefreshingProvider(scripted(), clock=clock, wall=clock.wall)
    credentials = None if reason == "none yet" else provider.get_credentials()
    background.submit(stuck.flight, urgent=True)
    assert stuck.started.wait(PATIENCE)
    if reason == "refused":
        assert credentials is not None
        renewed = provider.force_refresh(credentials, timeout=PATIENCE)
    else:
        clock.advance(3600)
        renewed = provider.get_credentials(timeout=PATIENCE)
    assert renewed is not credentials


def test_a_refresh_that_nobody_waits_for_queues(
    scripted: Any, clock: Any, stuck: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the old credentials live, their refresh waits for its turn on the background thread."""
    background = Background()
    monkeypatch.setattr(BACKGROUND, "submit", background.submit)
    source = scripted()
    provider = RefreshingProvider(source, clock=clock, wall=clock.wall)
    old = provider.get_credentials()
    background.submit(stuck.flight, urgent=True)
    assert stuck.started.wait(PATIENCE)
    clock.advance(3500)
    assert provider.get_credentials() is old
    assert list(background._queue) == [provider._running]
    assert source.calls == 1
