"""What a call costs here and in the official SDK, the two in turn: CPU of the calling thread, and calls a second.

The emulator runs in a process of its own, so that only the clients are measured. Nothing is asserted of times.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from threading import Barrier
from time import perf_counter, thread_time
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ots_config import OTSClient
from ots_config.sdk import tablestore as ts

TURNS = int(os.environ.get("BENCH_TURNS", "15"))
KEY: list[tuple[str, Any]] = [("gid", 12345), ("uid", "user-0001")]
VALUES: list[Any] = [7, "text of some twenty b", 1.5, True, -1, "short", 2.25, False, 1 << 40, "another text"]
COLUMNS = [(f"column_{number}", value) for number, value in enumerate(VALUES)]
BOUNDS = [[("gid", bound), ("uid", bound)] for bound in (ts.INF_MIN, ts.INF_MAX)]


def write_batch() -> Any:
    """Return a batch of 200 rows of ten columns."""
    request = ts.BatchWriteRowRequest()
    rows = [ts.Row([("gid", number), ("uid", "user")], COLUMNS) for number in range(200)]
    request.add(ts.TableInBatchWriteRowItem("batch", [ts.PutRowItem(row, None) for row in rows]))
    return request


def read_batch() -> Any:
    """Return a batch that reads a hundred of those rows."""
    request = ts.BatchGetRowRequest()
    keys = [[("gid", number), ("uid", "user")] for number in range(100)]
    request.add(ts.TableInBatchGetRowItem("batch", keys, max_version=1))
    return request


ROW = ts.Row(KEY, COLUMNS)
SMALL = ts.Row(KEY, [("n", 1), ("text", "x" * 50)])
CHANGE = ts.Row(KEY, {"PUT": COLUMNS[:5], "DELETE_ALL": [name for name, _ in COLUMNS[5:]]})
WRITES, READS = write_batch(), read_batch()
CALLS: list[tuple[str, int, float, Callable[[Any], Any]]] = [
    ("put_row, 2 columns", 100, 0.35, lambda client: client.put_row("t", SMALL)),
    ("put_row, 10 columns", 100, 0.35, lambda client: client.put_row("t", ROW)),
    ("get_row, 10 columns", 100, 0.35, lambda client: client.get_row("t", KEY, max_version=1)),
    ("update_row, 10 columns", 100, 0.5, lambda client: client.update_row("u", CHANGE, None)),
    ("delete_row", 100, 0.5, lambda client: client.delete_row("u", KEY)),
    ("batch_write_row, 200 x 10", 4, 0.3, lambda client: client.batch_write_row(WRITES)),
    ("batch_get_row, 100 x 10", 4, 0.3, lambda client: client.batch_get_row(READS)),
    (
        "get_range, 100 x 10",
        4,
        1.0,
        lambda client: client.get_range("batch", "FORWARD", *BOUNDS, limit=100, max_version=1),
    ),
]


THREADS = (1, 8, 64)
SHARED = 1920
"""Calls of one turn, by all its threads together."""


@pytest.fixture(scope="module")
def clients(endpoint: str) -> Iterator[tuple[Any, Any]]:
    """Make a client of ours and an official one, and the rows that they read."""
    keys = ("testid", "testsecret", "demo")
    with OTSClient(endpoint, *keys, max_connection=64) as ours:
        official = ts.OTSClient(endpoint, *keys, max_connection=64)
        ours.put_row("t", ROW)
        ours.batch_write_row(WRITES)
        yield ours, official
        official.connection.pool.clear()


@pytest.mark.benchmark(timer=thread_time)
@pytest.mark.parametrize(("name", "count", "budget", "call"), CALLS, ids=[call[0] for call in CALLS])
def test_cost(
    benchmark: BenchmarkFixture,
    clients: tuple[Any, Any],
    report: Any,
    name: str,
    count: int,
    budget: float,
    call: Callable[[Any], Any],
) -> None:
    """A call works with both clients; its cost is reported beside the budget."""
    ours, official = clients
    spent: list[float] = []

    def turn(client: Any) -> None:
        for _ in range(count):
            call(client)

    def official_turn() -> None:
        started = thread_time()
        turn(official)
        spent.append(thread_time() - started)

    benchmark.pedantic(turn, (ours,), setup=official_turn, rounds=TURNS, warmup_rounds=1)
    mine, theirs = (seconds / count * 1e6 for seconds in (benchmark.stats.stats.median, median(spent[1:])))
    benchmark.extra_info["official"] = theirs
    table = report.table(
        "CPU of one call, microseconds",
        "CPU time of the calling thread, encoding, signing, sending, verifying and decoding together.",
        *("operation", "ours", "official", "ratio", "budget"),
    )
    ratio = mine / theirs
    cells = (name, f"{mine:.0f}", f"{theirs:.0f}", f"{ratio:.2f}", f"{budget:.2f}")
    table.add(*cells, bar=report.bar(name, ratio, budget))


@pytest.mark.parametrize("threads", THREADS)
def test_calls_a_second(benchmark: BenchmarkFixture, clients: tuple[Any, Any], report: Any, threads: int) -> None:
    """Threads share a client, and each call is answered; the rate is reported."""
    ours, official = clients
    taken: list[float] = []

    def turn(client: Any) -> int:
        together = Barrier(threads)

        def work(number: int) -> tuple[float, float, int]:
            together.wait()
            started, done = perf_counter(), 0
            for turn in range(SHARED // threads):
                key = [("gid", number), ("uid", "user")]
                if turn % 2:
                    done += client.get_row("batch", key, max_version=1)[1] is not None
                else:
                    done += client.put_row("batch", ts.Row(key, COLUMNS))[0].write > 0
            return started, perf_counter(), done

        with ThreadPoolExecutor(threads) as pool:
            starts, ends, done = zip(*pool.map(work, range(threads)), strict=True)
        taken.append(max(ends) - min(starts))  # a clock outside of the threads would wait for its turn among them
        return sum(done)

    def official_turn() -> None:
        assert turn(official) == SHARED

    assert benchmark.pedantic(turn, (ours,), setup=official_turn, rounds=TURNS // 3 or 1, warmup_rounds=1) == SHARED
    theirs, mine = (SHARED / median(taken[2 + at :: 2]) for at in (0, 1))
    benchmark.extra_info["official"] = theirs
    table = report.table(
        "Calls a second of threads that share a client",
        "put_row and get_row of ten columns by turns. The emulator runs on the same CPUs.",
        *("threads", "ours", "official", "ratio"),
    )
    table.add(
        *(f"{threads}", f"{mine:.0f}", f"{theirs:.0f}", f"{mine / theirs:.2f}"),
        bar=report.bar(f"time of a call, {threads} threads", theirs / mine, 1.0),
    )
