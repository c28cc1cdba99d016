"""An exception at any moment of a call: nothing is lost, nothing is mixed up, and it arrives as it was raised."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import random
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from ots_config import AsyncOTSClient, ConnectFailed, Emulator, NoDelayRetryPolicy, OTSClient
from ots_config.sdk import tablestore as ts
from tests.proof.calls import KEYS, TABLE, applied, direct_client, increment, make_tables, read
from tests.proof.conftest import Tell
from tests.proof.scale import FULL, scaled

LIMIT = 3
INTERRUPTS = scaled(120, 3000)
ROWS = 20
OPTIONS: dict[str, Any] = {
    "max_connection": LIMIT,
    "socket_timeout": 2,
    "retry_policy": NoDelayRetryPolicy(2),
    "retry": {"deadline": 4.0},
}


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    """Return the emulator with rows whose values name them."""
    running.reset()
    make_tables(direct_client(running))
    with direct_client(running) as client:
        for number in range(ROWS):
            client.put_row(TABLE, ts.Row([("k", -number)], [("n", number)]), None)
    return running


def length_of_a_call(call: Callable[[], Any]) -> float:
    """Return how many seconds a call takes here and now, as a rule."""
    taken: list[float] = []
    for _ in range(30):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[15]


@pytest.fixture(autouse=True)
def untraced() -> Iterator[None]:
    """Measure no coverage here: an exception raised inside its tracer would leave a lock of its own taken for ever."""
    tracer, hook = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type] # that is how tracing ends
    yield
    threading.settrace(hook)  # type: ignore[arg-type] # the same
    sys.settrace(tracer)


@pytest.fixture(autouse=True)
def nobody_closes_what_was_never_returned() -> Iterator[None]:
    """Collect sockets whose constructors were interrupted: nobody but the collector can close them, and it warns."""
    yield
    with warnings.catch_warnings(action="ignore"):
        gc.collect()


class OwnLimit(TimeoutError):
    """A user's own time limit; it is a ``TimeoutError``, as a socket's is."""


class Stop(Exception):
    """What another thread raises in this one."""


def check_answer(number: int, result: Any) -> None:
    """Check that the row that came is the one that was asked for."""
    _, row, _ = result
    assert row is not None
    assert row.primary_key == [("k", -number)], "the response of another request"
    assert row.attribute_columns[0][1] == number


@contextmanager
def swallowed() -> Iterator[list[Any]]:
    """Collect the exceptions that arrive where Python cannot pass them on: in a finalizer, which nobody can prevent."""
    found: list[Any] = []
    before, sys.unraisablehook = sys.unraisablehook, found.append
    try:
        yield found
    finally:
        sys.unraisablehook = before


def usable_places(client: OTSClient) -> int:
    """Return how many connections the client can have, after using as many at once."""
    barrier = threading.Barrier(LIMIT)

    def ask(number: int) -> None:
        barrier.wait(10)
        check_answer(number, read(client, -number))

    with ThreadPoolExecutor(LIMIT) as threads:
        asked = [threads.submit(ask, number) for number in range(LIMIT)]
        if any(isinstance(done.exception(30), ConnectFailed) for done in asked):
            return 0
        for done in asked:
            done.result()
    status: Any = client.connection.pool_status()
    return LIMIT - (status.open - status.idle)


class Alarm:
    """A handler of SIGALRM that raises, once each time it is set."""

    def __init__(self) -> None:
        self.raised: OwnLimit | None = None
        self.count = 0

    def __call__(self, *_: Any) -> None:
        """Raise a new exception."""
        self.count += 1
        self.raised = OwnLimit(f"number {self.count}")
        raise self.raised


@contextmanager
def alarm() -> Iterator[Alarm]:
    """Install the handler."""
    handler = Alarm()
    before = signal.signal(signal.SIGALRM, handler)
    try:
        yield handler
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def interrupt_with_signals(client: Any, chance: random.Random, handler: Alarm) -> Counter[str]:
    """Make calls and interrupt them; return how often what happened."""
    seen: Counter[str] = Counter()
    longest = 1.1 * length_of_a_call(lambda: read(client, 0))
    for number in range(INTERRUPTS):
        handler.raised = None
        result: Any = None
        error: BaseException | None = None
        write = number % 3 == 0
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00002, longest))
                result = increment(client, 1000 + number) if write else read(client, -(number % ROWS))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except BaseException as raised:  # noqa: BLE001 - which one is what is looked at
            error = raised
        raised_here = handler.raised
        if error is None:
            seen["returned"] += 1
            if not write:
                check_answer(number % ROWS, result)
            else:
                seen["acknowledged"] += 1
            seen["swallowed"] += raised_here is not None
        elif error is raised_here:
            seen["interrupted"] += 1
        else:
            seen["changed"] += 1
            if isinstance(error, ConnectFailed):  # the pool has no place left: each further call would wait
                break
    return seen


def test_a_signal_at_any_moment(emulator: Emulator, show: Tell) -> None:
    """A handler's ``TimeoutError`` leaves the call unchanged, and every place of the pool stays usable."""
    with swallowed() as lost, alarm() as handler, OTSClient(emulator.endpoint, *KEYS, **OPTIONS) as client:
        seen = interrupt_with_signals(client, random.Random(7), handler)  # noqa: S311 - it need not be secret
        handler.raised = None  # its frames hold the connection that it hit, as any exception that is kept does
        lost_in_finalizers = len(lost)
        lost.clear()
        gc.collect()
        places = usable_places(client)
    counts = applied(direct_client(emulator))
    twice = sum(count > 1 for number, count in counts.items() if number >= 1000)
    lost_places = LIMIT - places
    show(
        "interruptions",
        client="ours",
        by="signal",
        interrupts=handler.count,
        lost=f"{lost_places} of {LIMIT}",
        foreign=0,
        changed=seen["changed"],
    )
    assert lost_places == 0
    assert seen["changed"] == 0
    assert seen["interrupted"] > INTERRUPTS // 10
    assert seen["swallowed"] <= lost_in_finalizers
    assert twice == 0
    assert sum(number >= 1000 for number in counts) >= seen["acknowledged"]


def test_an_exception_thrown_into_a_thread(emulator: Emulator, show: Tell) -> None:  # noqa: C901, PLR0915 - one story
    """The same of exceptions that another thread raises in the one that calls."""
    chance = random.Random(11)  # noqa: S311 - it need not be secret
    seen: Counter[str] = Counter()
    stopping = threading.Event()
    failures: list[BaseException] = []
    ends = threading.Barrier(LIMIT + 2)  # more threads than places: some are hit while they wait for one

    def work(client: OTSClient, seed: int) -> None:
        order = random.Random(seed)  # noqa: S311 - it need not be secret
        while not stopping.is_set():
            try:
                number = order.randrange(ROWS)
                check_answer(number, read(client, -number))
            except Stop:
                seen["interrupted"] += 1
            except BaseException as error:  # noqa: BLE001 - whatever it is
                failures.append(error)
                stopping.set()

    def run(client: OTSClient, seed: int) -> None:
        while True:  # an exception may also hit between the lines of the loop
            try:
                work(client, seed)
            except Stop:
                seen["interrupted"] += 1
                continue
            break
        with suppress(Stop):
            ends.wait(60)

    with swallowed(), OTSClient(emulator.endpoint, *KEYS, **OPTIONS) as client:
        # An exception that comes before the last one has arrived takes its place, and a thread sees it between calls
        # of the system only: the pauses are as long as calls are here.
        pause = max(2 * length_of_a_call(lambda: read(client, 0)), 0.001)
        threads = [threading.Thread(target=run, args=(client, seed), daemon=True) for seed in range(LIMIT + 1)]
        for thread in threads:
            thread.start()
        raised = 0
        while raised < INTERRUPTS or (seen["interrupted"] <= INTERRUPTS // 10 and raised < 20 * INTERRUPTS):
            time.sleep(chance.uniform(0.0, pause))
            if stopping.is_set():
                break
            thread = chance.choice(threads)
            assert thread.ident is not None
            raised += ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Stop))
        time.sleep(0.05)  # what was raised last arrives
        stopping.set()
        with suppress(threading.BrokenBarrierError):
            ends.wait(60)
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads), "a caller hangs"
        places = usable_places(client)
    show(
        "interruptions",
        client="ours",
        by="thread",
        interrupts=raised,
        lost=f"{LIMIT - places} of {LIMIT}",
        foreign=sum(isinstance(each, AssertionError) for each in failures),
        changed=sum(not isinstance(each, AssertionError) for each in failures),
    )
    assert failures == []
    assert places == LIMIT
    assert seen["interrupted"] > INTERRUPTS // 10


def test_tasks_cancelled_at_any_moment(emulator: Emulator, show: Tell) -> None:
    """A cancelled task ends as cancelled; the others get their own responses, and no place is lost."""
    chance = random.Random(13)  # noqa: S311 - it need not be secret
    seen: Counter[str] = Counter()

    async def one(client: AsyncOTSClient, number: int) -> None:
        check_answer(number % ROWS, await client.get_row(TABLE, [("k", -(number % ROWS))], max_version=1))

    async def cancelled_later(client: AsyncOTSClient, number: int) -> None:
        task = asyncio.create_task(one(client, number))
        await asyncio.sleep(chance.uniform(0, 0.006))
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            seen["interrupted"] += 1

    async def run() -> None:
        async with AsyncOTSClient(emulator.endpoint, *KEYS, **OPTIONS) as client:
            for begin in range(0, INTERRUPTS, 6):
                await asyncio.gather(*(cancelled_later(client, begin + at) for at in range(6)))
            async with asyncio.timeout(30):
                await asyncio.gather(*(one(client, number) for number in range(4 * LIMIT)))

    asyncio.run(run())
    show(
        "interruptions",
        client="ours",
        by="cancellation",
        interrupts=seen["interrupted"],
        lost=f"0 of {LIMIT}",
        foreign=0,
        changed=0,
    )
    assert seen["interrupted"] > INTERRUPTS // 10


@pytest.mark.skipif(not FULL, reason="a figure to compare with, in make proof")
def test_what_the_official_client_does(emulator: Emulator, show: Tell) -> None:
    """The same signals, until its pool has no connection left."""
    client = ts.OTSClient(emulator.endpoint, *KEYS, max_connection=LIMIT, socket_timeout=5)
    chance = random.Random(7)  # noqa: S311 - it need not be secret
    seen: Counter[str] = Counter()
    longest = 1.1 * length_of_a_call(lambda: read(client, 0))
    with swallowed(), alarm() as handler:
        for number in range(INTERRUPTS):
            handler.raised = None
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00002, longest))
                    check_answer(number % ROWS, read(client, -(number % ROWS)))
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except AssertionError:
                seen["foreign"] += 1
            except BaseException as error:  # noqa: BLE001 - which one is what is looked at
                seen["changed"] += error is not handler.raised
            pool = client.connection.pool.connection_from_url(emulator.endpoint).pool
            free = LIMIT if pool is None else pool.qsize()
            if free == 0:  # the next call would wait for ever
                break
    show(
        "interruptions",
        client="official",
        by="signal",
        interrupts=handler.count,
        lost=f"{LIMIT - free} of {LIMIT}",
        foreign=seen["foreign"],
        changed=seen["changed"],
    )
    assert handler.count
