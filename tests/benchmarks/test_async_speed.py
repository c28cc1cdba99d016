"""What a call costs in an event loop here and in the official SDK, the two in turn: CPU of the loop's thread.

The emulator runs in a process of its own, so that only the clients are measured. Nothing is asserted of times.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from statistics import median
from time import thread_time
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ots_config import AsyncOTSClient
from ots_config.sdk import tablestore as ts

TURNS = int(os.environ.get("BENCH_TURNS", "15"))
CALLS_PER_TURN = 200
KEY: list[tuple[str, Any]] = [("gid", 54321), ("uid", "user-0001")]
VALUES: list[Any] = [7, "text of some twenty b", 1.5, True, -1, "short", 2.25, False, 1 << 40, "another text"]
ROW = ts.Row(KEY, [(f"column_{number}", value) for number, value in enumerate(VALUES)])
Call = Callable[[Any], Coroutine[Any, Any, Any]]
CASES: list[tuple[str, int, float, Call]] = [
    ("put_row", 1, 0.55, lambda client: client.put_row("t", ROW)),
    ("get_row", 1, 0.7, lambda client: client.get_row("t", KEY, max_version=1)),
    ("put_row", 50, 0.5, lambda client: client.put_row("t", ROW)),
    ("get_row", 50, 0.6, lambda client: client.get_row("t", KEY, max_version=1)),
]


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """Open an event loop that lasts for all turns, as connections belong to a loop."""
    with asyncio.Runner() as opened:
        yield opened


@pytest.fixture(scope="module")
def clients(endpoint: str, runner: asyncio.Runner) -> Iterator[tuple[Any, Any]]:
    """Make a client of ours and an official one, and the row that they read."""
    keys = ("testid", "testsecret", "demo")

    async def connect() -> tuple[Any, Any]:
        both = AsyncOTSClient(endpoint, *keys, max_connection=50), ts.AsyncOTSClient(endpoint, *keys, max_connection=50)
        await both[0].put_row("t", ROW)
        return both

    async def close() -> None:
        await ours.close()
        await official.close()

    ours, official = runner.run(connect())
    yield ours, official
    runner.run(close())


@pytest.mark.benchmark(timer=thread_time)
@pytest.mark.parametrize(("name", "tasks", "budget", "call"), CASES, ids=[f"{case[0]} {case[1]}" for case in CASES])
def test_async_cost(
    benchmark: BenchmarkFixture,
    runner: asyncio.Runner,
    clients: tuple[Any, Any],
    report: Any,
    name: str,
    tasks: int,
    budget: float,
    call: Call,
) -> None:
    """A call works with both clients, in one task and in many; its cost is reported beside the budget."""
    ours, official = clients
    spent: list[float] = []

    async def work(client: Any) -> None:
        for _ in range(CALLS_PER_TURN // tasks):
            await call(client)

    async def together(client: Any) -> None:
        await asyncio.gather(*(work(client) for _ in range(tasks)))

    def turn(client: Any) -> None:
        runner.run(together(client))

    def official_turn() -> None:
        started = thread_time()
        turn(official)
        spent.append(thread_time() - started)

    benchmark.pedantic(turn, (ours,), setup=official_turn, rounds=TURNS, warmup_rounds=1)
    mine, theirs = (seconds / CALLS_PER_TURN * 1e6 for seconds in (benchmark.stats.stats.median, median(spent[1:])))
    benchmark.extra_info["official"] = theirs
    table = report.table(
        "CPU of one call in an event loop, microseconds",
        "CPU time of the loop's thread, for a row of ten columns; tasks share a client.",
        *("operation", "tasks", "ours", "official", "ratio", "budget"),
    )
    ratio = mine / theirs
    cells = (name, f"{tasks}", f"{mine:.0f}", f"{theirs:.0f}", f"{ratio:.2f}", f"{budget:.2f}")
    table.add(*cells, bar=report.bar(f"{name}, {tasks} task{'s' if tasks > 1 else ''}", ratio, budget))
