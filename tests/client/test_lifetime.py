"""Clients come and go, processes fork, threads share and close: nothing is left behind, and nothing is mixed up."""

import asyncio
import gc
import logging
import os
import select
import threading
import tracemalloc
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from ots_config import AsyncOTSClient, Emulator, OTSClient, OTSConfigError, RequestInvalid
from ots_config.sdk import tablestore as ts

KEYS = ("testid", "testsecret", "demo")
TIMEOUT = 30.0
HAS_PROC = os.path.isdir("/proc/self/fd")  # noqa: PTH112 - asked once, when this file is read
HAS_FORK = hasattr(os, "fork")


@pytest.fixture
def tables() -> dict[str, list[tuple[str, ...]]]:
    """Return the tables that there are."""
    return {"t": [("k", "INTEGER")]}


def handlers() -> int:
    """Return how many handlers all loggers have together."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    return sum(len(logger.handlers) for logger in loggers)


def sockets_to(port: int) -> set[str]:
    """Return the sockets of this process that are connected to a port of this machine, or were."""
    with open("/proc/self/net/tcp", encoding="ascii") as table:  # noqa: PTH123 - no file of ours
        rows = [line.split() for line in table.readlines()[1:]]
    there = {row[9] for row in rows if row[2].endswith(f":{port:04X}")}
    mine = set()
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - it changes while it is read
        with suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115 - no path, a name
            if target.startswith("socket:["):
                mine.add(target[8:-1])
    return there & mine


def increment(client: Any, key: int) -> Any:
    """Add one to a row."""
    return client.update_row("t", ts.Row([("k", key)], {"INCREMENT": [("n", 1)]}), None)


def value(client: OTSClient, key: int) -> int:
    """Return what a row has been incremented to."""
    row = client.get_row("t", [("k", key)], max_version=1)[1]
    return 0 if row is None else int(row.attribute_columns[0][1])


# --- clients that are dropped ---------------------------------------------------------------------------------------


def make_and_drop(emulator: Emulator, count: int, *, used: Callable[[int], bool]) -> None:
    """Make clients, use some, and let go of each without closing it."""
    for number in range(count):
        client = OTSClient(emulator.endpoint, *KEYS, logger_name="lifetime")
        if used(number):
            client.list_table()
        del client


@pytest.mark.skipif(not HAS_PROC, reason="sockets are counted in /proc")
def test_dropped_clients_leave_nothing(emulator: Emulator) -> None:
    """Two thousand clients, every fourth used and none closed, leave no thread, socket, handler or memory behind."""
    make_and_drop(emulator, 100, used=lambda number: number % 2 == 0)  # whatever is made once has been made
    gc.collect()
    before = (threading.active_count(), sockets_to(emulator.port), handlers(), len(os.listdir("/proc/self/fd")))  # noqa: PTH208
    emulator.clear_log()  # what the emulator remembers is not the clients'
    tracemalloc.start()
    try:
        make_and_drop(emulator, 50, used=lambda number: number % 4 == 0)
        emulator.clear_log()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        with warnings.catch_warnings(record=True) as warned:  # a socket that is left to the collector would warn
            warnings.simplefilter("always")
            make_and_drop(emulator, 2000, used=lambda number: number % 4 == 0)
            gc.collect()
        emulator.clear_log()
        grown = tracemalloc.get_traced_memory()[0] - held
    finally:
        tracemalloc.stop()
    assert [warning for warning in warned if issubclass(warning.category, ResourceWarning)] == []
    assert threading.active_count() <= before[0]  # the emulator may have ended one of its own
    assert sockets_to(emulator.port) == before[1]
    assert handlers() == before[2]
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before[3])  # noqa: PTH208 - the emulator's ends close too
    assert grown < 2000 * 100  # less than a hundred bytes for each, where one client takes many thousand


def test_a_dropped_client_is_gone_without_the_collector(emulator: Emulator) -> None:
    """A client that is let go of closes its connections at once: it is in no cycle that keeps them."""
    client = OTSClient(emulator.endpoint, *KEYS)
    client.list_table()
    pool = next(iter(client.connection.session.adapters.values()))._pool
    kept = list(pool._idle)
    assert [connection._stream is not None for connection in kept] == [True]
    gc.disable()
    try:
        del client, pool
        assert [connection._stream for connection in kept] == [None]
    finally:
        gc.enable()


@pytest.mark.skipif(not HAS_PROC, reason="sockets are counted in /proc")
def test_closed_asynchronous_clients_leave_nothing(emulator: Emulator) -> None:
    """Three hundred asynchronous clients, closed, leave no thread, socket, handler or task behind."""

    async def run() -> None:
        async with AsyncOTSClient(emulator.endpoint, *KEYS) as client:
            await client.list_table()
        before = (threading.active_count(), handlers(), len(asyncio.all_tasks()))
        for number in range(300):
            async with AsyncOTSClient(emulator.endpoint, *KEYS) as client:
                if number % 4 == 0:
                    await client.list_table()
        assert (threading.active_count(), handlers(), len(asyncio.all_tasks())) == before

    before = sockets_to(emulator.port)
    asyncio.run(run())
    gc.collect()
    assert sockets_to(emulator.port) == before


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when a condition holds; fail if it does not in time."""
    pause = threading.Event()
    for _ in range(int(TIMEOUT / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("this does not happen")


# --- fork -----------------------------------------------------------------------------------------------------------


def forked(work: Callable[[], bytes]) -> Callable[[], bytes]:
    """Run something in a child process; return what waits for it and returns what it returned."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():  # Python 3.12 warns of a fork beside threads; that is what is tested
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        result = b"the child failed"
        try:
            os.close(reading)
            result = work()
        except BaseException as error:  # noqa: BLE001 - the parent reports it
            result = repr(error).encode()
        finally:
            os.write(writing, result)
            os._exit(0)
    os.close(writing)

    def wait() -> bytes:
        ready = select.select([reading], [], [], TIMEOUT)[0]
        if not ready:
            os.kill(child, 9)
        result = os.read(reading, 65536) if ready else b"the child did not answer"
        os.close(reading)
        os.waitpid(child, 0)
        return result

    return wait


@pytest.mark.skipif(not (HAS_FORK and HAS_PROC), reason="there is no fork here")
def test_a_fork_shares_no_connection(emulator: Emulator) -> None:
    """A child's client works on sockets of its own while the parent goes on, and every increment of both counts."""
    with OTSClient(emulator.endpoint, *KEYS) as client:
        client.list_table()
        before = sockets_to(emulator.port)

        def work() -> bytes:
            inherited = sockets_to(emulator.port)
            for _ in range(100):
                increment(client, 101)
            return f"{len(inherited)} {','.join(sorted(sockets_to(emulator.port)))}".encode()

        child = forked(work)
        for _ in range(100):
            increment(client, 102)
        report = child().decode()
        count, _, sockets = report.partition(" ")
        assert count == "0", report  # the parent's connections are closed in the child at once
        assert sockets, report
        assert set(sockets.split(",")).isdisjoint(before | sockets_to(emulator.port))
        assert before <= sockets_to(emulator.port)  # the parent has kept its own
        assert (value(client, 101), value(client, 102)) == (100, 100)


@pytest.mark.skipif(not (HAS_FORK and HAS_PROC), reason="there is no fork here")
def test_a_fork_in_the_middle_of_calls(emulator: Emulator) -> None:
    """A fork while other threads wait for answers leaves the child a client that works, and disturbs no thread."""
    with OTSClient(emulator.endpoint, *KEYS, max_connection=4) as client:
        client.list_table()
        over = threading.Event()
        counts = [0] * 4

        def work(place: int) -> None:
            while not over.is_set():
                increment(client, 110 + place)
                counts[place] += 1

        def child_work() -> bytes:
            for _ in range(20):
                increment(client, 120)
            return b"done"

        with ThreadPoolExecutor(4) as threads:
            working = [threads.submit(work, place) for place in range(4)]
            try:
                for _ in range(5):
                    seen = sum(counts)
                    wait_until(lambda seen=seen: sum(counts) > seen + 10)
                    assert forked(child_work)() == b"done"
            finally:
                over.set()
            for thread in working:
                thread.result()
        assert [value(client, 110 + place) for place in range(4)] == counts
        assert value(client, 120) == 100


def test_a_connection_given_back_may_be_taken_at_once(emulator: Emulator) -> None:
    """A call whose connection another thread takes the moment it is given back returns its answer all the same."""

    class Snatching(deque[Any]):
        def append(self, connection: Any) -> None:
            super().append(connection)
            taken.append(self.pop())

    taken: list[Any] = []
    with OTSClient(emulator.endpoint, *KEYS) as client:
        pool = next(iter(client.connection.session.adapters.values()))._pool
        pool._idle = Snatching()
        assert "t" in client.list_table()
        assert len(taken) == 1
        taken[0].close()


# --- closing under load -----------------------------------------------------------------------------------------------


def test_a_client_closed_under_load(emulator: Emulator) -> None:
    """Threads that use a client while it is closed each get one clear, true error, and none hangs."""
    client = OTSClient(emulator.endpoint, *KEYS, max_connection=3)
    done = [0] * 8

    def work(place: int) -> OTSConfigError:
        while True:
            try:
                increment(client, 200 + place)
            except OTSConfigError as error:
                return error
            done[place] += 1

    with ThreadPoolExecutor(8) as threads:
        working = [threads.submit(work, place) for place in range(8)]
        wait_until(lambda: sum(done) > 40)
        client.close()
        errors = [thread.result(TIMEOUT) for thread in working]
    assert {type(error).__name__ for error in errors} == {"RequestInvalid"}
    assert all("closed" in str(error) and isinstance(error, ts.OTSClientError) for error in errors)
    assert not any(error.may_have_happened for error in errors if isinstance(error, RequestInvalid))
    with OTSClient(emulator.endpoint, *KEYS) as other:
        assert [value(other, 200 + place) for place in range(8)] == done
    client.close()  # again: nothing happens


def test_no_connection_is_opened_after_closing(emulator: Emulator) -> None:
    """Threads that wait for a connection when the client is closed get an error; none opens a connection any more."""
    client = OTSClient(emulator.endpoint, *KEYS, max_connection=1)
    client.list_table()
    emulator.clear_log()
    emulator.fault(operation="ListTable", kind="delay", seconds=0.3, count=1)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(client.list_table)
        pool = next(iter(client.connection.session.adapters.values()))._pool
        wait_until(lambda: not pool._idle)
        waiting = [threads.submit(client.list_table) for _ in range(3)]
        wait_until(lambda: pool.status().waiting == 3)
        client.close()
        assert "t" in first.result(TIMEOUT)  # what was under way is finished
        errors = [thread.exception(TIMEOUT) for thread in waiting]
    assert [type(error).__name__ for error in errors] == ["RequestInvalid"] * 3
    assert len(emulator.log()) == 1
    assert all(connection._stream is None for connection in pool._idle)


@pytest.mark.asyncio
async def test_an_asynchronous_client_closed_under_load(emulator: Emulator) -> None:
    """Tasks that use a client while it is closed each get one error of ours, and none hangs."""
    client = AsyncOTSClient(emulator.endpoint, *KEYS, max_connection=3)
    done = [0] * 8

    async def work(place: int) -> OTSConfigError:
        while True:
            try:
                await increment(client, 300 + place)
            except OTSConfigError as error:
                return error
            done[place] += 1

    async with asyncio.timeout(TIMEOUT):
        tasks = [asyncio.create_task(work(place)) for place in range(8)]
        while sum(done) < 40:  # noqa: ASYNC110 - the tasks count, and set no event
            await asyncio.sleep(0)
        await client.close()
        errors = await asyncio.gather(*tasks)
    assert all(isinstance(error, ts.OTSClientError) for error in errors)
    with OTSClient(emulator.endpoint, *KEYS) as other:
        for place, error in enumerate(errors):
            stored = value(other, 300 + place)
            may_have_happened = getattr(error, "may_have_happened", False)
            assert stored == done[place] or (may_have_happened and stored == done[place] + 1)
