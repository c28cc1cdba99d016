"""What a call costs here and in the official SDK: CPU of the calling thread, the two in turn, medians of many turns.

The emulator runs in a process of its own, so that only the clients are measured.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from statistics import median
from time import thread_time
from typing import Any, NamedTuple

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ots_config import OTSClient
from ots_config.sdk import tablestore as ts

TURNS = int(os.environ.get("BENCH_TURNS", "15"))
KEY: list[tuple[str, Any]] = [("gid", 12345), ("uid", "user-0001")]
VALUES: list[Any] = [7, "text of some twenty b", 1.5, True, -1, "short", 2.25, False, 1 << 40, "another text"]
COLUMNS = [(f"column_{number}", value) for number, value in enumerate(VALUES)]
BOUNDS = [[("gid", bound), ("uid", bound)] for bound in (ts.INF_MIN, ts.INF_MAX)]


class Cost(NamedTuple):
    """The CPU microseconds of one call."""

    operation: str
    ours: float
    official: float
    budget: float


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
    ("put_row, 2 columns", 100, 0.5, lambda client: client.put_row("t", SMALL)),
    ("put_row, 10 columns", 100, 0.5, lambda client: client.put_row("t", ROW)),
    ("get_row, 10 columns", 100, 0.5, lambda client: client.get_row("t", KEY, max_version=1)),
    ("update_row, 10 columns", 100, 0.5, lambda client: client.update_row("u", CHANGE, None)),
    ("delete_row", 100, 0.5, lambda client: client.delete_row("u", KEY)),
    ("batch_write_row, 200 x 10", 4, 0.3, lambda client: client.batch_write_row(WRITES)),
    ("batch_get_row, 100 x 10", 4, 0.3, lambda client: client.batch_get_row(READS)),
    (
        "get_range, 100 x 10",
        4,
        0.3,
        lambda client: client.get_range("batch", "FORWARD", *BOUNDS, limit=100, max_version=1),
    ),
]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Run the emulator in another process."""
    command = [sys.executable, "-m", "ots_config", "emulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as emulator:
        assert emulator.stdout is not None
        yield emulator.stdout.readline().split()[-1]
        emulator.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def clients(endpoint: str) -> Iterator[tuple[Any, Any]]:
    """Make a client of ours and an official one, and the tables that they use."""
    keys = ("testid", "testsecret", "demo")
    with OTSClient(endpoint, *keys) as ours:
        official = ts.OTSClient(endpoint, *keys)
        for name in ("t", "u", "batch"):
            meta = ts.TableMeta(name, [("gid", "INTEGER"), ("uid", "STRING")])
            ours.create_table(meta, ts.TableOptions(), ts.ReservedThroughput(ts.CapacityUnit(0, 0)))
        ours.put_row("t", ROW)
        ours.batch_write_row(WRITES)
        yield ours, official
        official.connection.pool.clear()


@pytest.fixture(scope="module")
def table(pytestconfig: pytest.Config) -> Iterator[list[Cost]]:
    """Collect the costs, and print them at the end."""
    costs: list[Cost] = []
    yield costs
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print(f"\n\n{'CPU of a call, us':28}{'ours':>9}{'official':>10}{'ratio':>8}{'budget':>8}")  # noqa: T201
        for name, ours, official, budget in costs:
            print(f"{name:28}{ours:9.1f}{official:10.1f}{ours / official:8.2f}{budget:8.2f}")  # noqa: T201


@pytest.mark.benchmark(timer=thread_time)
@pytest.mark.parametrize(("name", "count", "budget", "call"), CALLS, ids=[call[0] for call in CALLS])
def test_cost(
    benchmark: BenchmarkFixture,
    clients: tuple[Any, Any],
    table: list[Cost],
    name: str,
    count: int,
    budget: float,
    call: Callable[[Any], Any],
) -> None:
    """A call works with both clients; its cost is told beside the budget, and asserted nowhere."""
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
    costs = [seconds / count * 1e6 for seconds in (benchmark.stats.stats.median, median(spent[1:]))]
    benchmark.extra_info["official"] = costs[1]
    table.append(Cost(name, *costs, budget))
