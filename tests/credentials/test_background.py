"""The thread that refreshes in the background: what queues there, and what does not."""

import gc
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.credentials.single_flight import BACKGROUND, Background, SingleFlight

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


@pytest.fixture
def background(monkeypatch: pytest.MonkeyPatch) -> Background:
    """Give a background of the test's own, which providers use too."""
    own = Background()
    monkeypatch.setattr(BACKGROUND, "submit", own.submit)
    return own


def test_urgent_work_does_not_wait_for_the_work_of_another(background: Background, stuck: Work) -> None:
    """Work that somebody waits for is done on a thread of its own while the background thread is busy."""
    background.submit(stuck.flight, urgent=False)
    assert stuck.started.wait(PATIENCE)
    urgent = Work()
    background.submit(urgent.flight, urgent=True)
    assert urgent.flight.wait(PATIENCE) is KEYS
    assert urgent.threads != stuck.threads


def test_work_that_nobody_waits_for_queues(background: Background, stuck: Work) -> None:
    """Work that nobody waits for is done in turn on the background thread, once however often it was handed in."""
    background.submit(stuck.flight, urgent=False)
    assert stuck.started.wait(PATIENCE)
    done: list[str] = []
    threads: set[threading.Thread] = set()

    def work(name: str) -> Credentials:
        done.append(name)
        threads.add(threading.current_thread())
        return KEYS

    queued = [SingleFlight(partial(work, name), name) for name in "abc"]
    for flight in queued * 2:
        background.submit(flight, urgent=False)
    assert list(background._queue.tasks) == queued
    stuck.gate.set()
    for flight in queued:
        assert flight.wait(PATIENCE) is KEYS
    assert done == ["a", "b", "c"]
    assert threads == set(stuck.threads)


def test_a_source_that_hangs_does_not_hold_up_the_others_for_ever(
    background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute another thread takes what waits; sixteen that hang are the most."""
    now = [0.0]
    monkeypatch.setattr("ots_config.credentials.single_flight.monotonic", lambda: now[0])
    hanging = [Work(shut=True) for _ in range(17)]
    for work in hanging:
        background.submit(work.flight, urgent=False)
    for number in range(16):
        assert hanging[number].started.wait(PATIENCE)
        assert not hanging[number + 1].started.is_set()
        now[0] += 59.0
        background.submit(hanging[-1].flight, urgent=False)
        assert not hanging[number + 1].started.is_set()
        now[0] += 2.0
        background.submit(hanging[-1].flight, urgent=False)
    assert not hanging[16].started.wait(0.01)
    hanging[3].gate.set()
    assert hanging[16].started.wait(PATIENCE)
    for work in hanging:
        work.gate.set()
    for work in hanging:
        assert work.flight.wait(None) is KEYS
        (thread,) = work.threads
        thread.join(PATIENCE)
    assert not background._queue._busy_since


def test_the_thread_goes_when_nothing_is_left(background: Background) -> None:
    """The background thread ends when nothing is left to do, and another one starts when there is."""
    for _ in range(2):
        work = Work()
        background.submit(work.flight, urgent=False)
        assert work.flight.wait(PATIENCE) is KEYS
        (thread,) = work.threads
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_work_that_comes_while_the_thread_ends(background: Background) -> None:
    """What is put into the queue after its thread found it empty is done all the same."""
    queue = background._queue
    work, late = Work(), Work()

    class Ending(dict):  # type: ignore[type-arg]
        """Lets work come in the moment in which the thread leaves."""

        def pop(self, *args: Any) -> Any:
            if not late.threads and late.flight not in queue.tasks:
                background.submit(late.flight, urgent=False)
            return super().pop(*args)

    queue._busy_since = Ending()
    background.submit(work.flight, urgent=False)
    assert late.flight.wait(PATIENCE) is KEYS
    assert work.threads != late.threads


def test_work_does_not_wait_for_what_is_not_urgent(background: Background) -> None:
    """Work that comes upon other work for which nobody waits leaves that for later."""
    other = Work()
    claimed: list[bool] = []

    def work() -> Credentials:
        background.submit(other.flight, urgent=False)
        claimed.append(other.flight.started)
        return KEYS

    background.submit(SingleFlight(work, "work"), urgent=False)
    assert other.flight.wait(PATIENCE) is KEYS
    assert claimed == [False]


def test_a_child_does_not_do_its_parents_work(background: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was in the queue when the process forked is left to the parent, and the child has a thread of its own."""
    queued, own = Work(), Work()
    with monkeypatch.context() as parent:
        parent.setattr(threading.Thread, "start", lambda _thread: None)  # which the child has not
        background.submit(queued.flight, urgent=False)
    background._queue.after_fork()  # as in a child
    background.submit(own.flight, urgent=False)
    assert own.flight.wait(PATIENCE) is KEYS
    assert not queued.flight.started


def test_urgent_work_is_given_one_thread_only(background: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that many wait for gets one thread of its own, not one for each of them."""
    begun: list[Any] = []
    monkeypatch.setattr(background, "run_in_thread", begun.append)
    work = Work()
    for _ in range(3):
        background.submit(work.flight, urgent=True)
    assert begun == [work.flight]


def test_queued_work_becomes_urgent_when_somebody_waits(background: Background, stuck: Work) -> None:
    """Work in the queue is done on a thread of its own once somebody waits for it, and not again in its turn."""
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


def test_work_under_way_needs_no_second_thread(
    background: Background, stuck: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work that has begun when somebody comes to wait for it is not handed to another thread, nor queued."""
    background.submit(stuck.flight, urgent=False)
    assert stuck.started.wait(PATIENCE)
    begun: list[Any] = []
    monkeypatch.setattr(background, "run_in_thread", begun.append)
    background.submit(stuck.flight, urgent=True)
    background.submit(stuck.flight, urgent=False)
    assert begun == []
    assert not background._queue.tasks


def test_work_knows_whether_somebody_waits(background: Background, stuck: Work) -> None:
    """The thread of a caller, and work that a caller waits for, may ask a person; work in the background may not."""
    told: list[bool] = [background.somebody_waits()]

    def ask() -> Credentials:
        told.append(background.somebody_waits())
        return KEYS

    for urgent in (True, False):
        flight = SingleFlight(ask, "work")
        background.submit(flight, urgent=urgent)
        flight.wait(PATIENCE)
    background.submit(stuck.flight, urgent=False)
    assert stuck.started.wait(PATIENCE)
    flight = SingleFlight(ask, "work")
    background.submit(flight, urgent=False)
    background.submit(flight, urgent=True)
    flight.wait(PATIENCE)
    assert told == [True, True, False, True]


def test_without_threads_the_caller_does_it(scripted: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be had, credentials are fetched by the caller."""

    def refuse(_thread: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    provider = RefreshingProvider(scripted(), clock=clock, wall=clock.wall)
    provider.get_credentials()
    clock.advance(3500)
    provider.get_credentials()
    assert provider.get_credentials().access_key_id == "STS.NUMBER0002KEYKEY"


def test_a_finished_refresh_keeps_no_provider_alive(scripted: Any, clock: Any) -> None:
    """A provider that nobody holds any more is collected although it was refreshed in the background."""
    provider = RefreshingProvider(scripted(), clock=clock, wall=clock.wall)
    provider.get_credentials()
    gone = weakref.ref(provider)
    del provider
    for _ in range(1000):
        gc.collect()
        if gone() is None:
            break
    assert gone() is None


@pytest.mark.parametrize("busy", [False, True])
def test_what_the_work_itself_waits_for_is_done_on_its_thread(background: Background, stuck: Work, busy: bool) -> None:
    """Work that needs the result of other work, as a role does that of its keys, does it itself."""
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


@pytest.mark.parametrize("reason", ["none yet", "ended", "refused"])
def test_callers_do_not_wait_for_the_refresh_of_another_source(
    background: Background, scripted: Any, clock: Any, stuck: Work, reason: str
) -> None:
    """A caller that needs new credentials gets them while the refresh of another source takes its time."""
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


def test_a_refresh_that_nobody_waits_for_queues(background: Background, scripted: Any, clock: Any, stuck: Work) -> None:
    """While the old credentials live, their refresh waits for its turn on the background thread."""
    source = scripted()
    provider = RefreshingProvider(source, clock=clock, wall=clock.wall)
    old = provider.get_credentials()
    background.submit(stuck.flight, urgent=False)
    assert stuck.started.wait(PATIENCE)
    clock.advance(3500)
    assert provider.get_credentials() is old
    assert list(background._queue.tasks) == [provider._running]
    assert source.calls == 1
