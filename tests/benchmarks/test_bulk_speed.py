"""What a row costs in a bulk write, beside plain loops over ``batch_write_row`` of ours and of the official client."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from statistics import median
from time import process_time
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ots_config import OTSClient
from ots_config.sdk import tablestore as ts
from tests.benchmarks.test_client_speed import COLUMNS

TURNS = int(os.environ.get("BENCH_TURNS", "15"))
COUNT = 4000


def rows() -> Iterator[Any]:
    """Yield rows of ten columns."""
    return (ts.Row([("gid", number), ("uid", "bulk")], COLUMNS) for number in range(COUNT))


def loop(client: Any) -> None:
    """Write the rows two hundred at a time, one batch after the other."""
    items: list[Any] = []
    for row in rows():
        items.append(ts.PutRowItem(row, None))
        if len(items) == 200:
            request = ts.BatchWriteRowRequest()
            request.add(ts.TableInBatchWriteRowItem("batch", items))
            assert client.batch_write_row(request).is_all_succeed()
            items = []


def bulk(client: Any) -> None:
    """Write the rows with ``bulk_write``."""
    assert client.bulk_write("batch", rows()).written == COUNT


def scan(client: Any) -> None:
    """Read them with ``scan``."""
    assert sum(1 for _ in client.scan("batch")) >= COUNT


def pages(client: Any) -> None:
    """Read them page by page."""
    start: Any = [("gid", ts.INF_MIN), ("uid", ts.INF_MIN)]
    count = 0
    while start is not None:
        page = client.get_range("batch", "FORWARD", start, [("gid", ts.INF_MAX), ("uid", ts.INF_MAX)], max_version=1)
        start = page[1]
        count += len(page[2])
    assert count >= COUNT


@pytest.mark.benchmark(timer=process_time)
@pytest.mark.parametrize(
    ("name", "job", "plain", "budget"),
    [("bulk_write", bulk, loop, 1.15), ("scan", scan, pages, 1.15)],
    ids=["bulk_write", "scan"],
)
def test_cost_of_a_row(
    benchmark: BenchmarkFixture,
    endpoint: str,
    report: Any,
    name: str,
    job: Callable[[Any], None],
    plain: Callable[[Any], None],
    budget: float,
) -> None:
    """A job costs little more than the loop that it replaces; CPU of the whole process, all threads together."""
    keys = ("testid", "testsecret", "demo")
    with OTSClient(endpoint, *keys) as ours:
        official = ts.OTSClient(endpoint, *keys)
        bulk(ours)
        spent: dict[str, list[float]] = {"loop": [], "official": []}

        def others() -> None:
            for peer, client in (("loop", ours), ("official", official)):
                started = process_time()
                plain(client)
                spent[peer].append(process_time() - started)

        benchmark.pedantic(job, (ours,), setup=others, rounds=max(TURNS // 3, 3), warmup_rounds=1)
        official.connection.pool.clear()
    mine = benchmark.stats.stats.median / COUNT * 1e6
    ours_loop, theirs = (median(spent[peer][1:]) / COUNT * 1e6 for peer in ("loop", "official"))
    table = report.table(
        "CPU of one row of a large job, microseconds",
        "CPU time of the whole process, its threads together; beside it the loop that the job replaces, with this "
        "client and with the official one.",
        *("job", "job", "our loop", "official loop", "of our loop", "budget"),
    )
    cells = (f"{mine:.1f}", f"{ours_loop:.1f}", f"{theirs:.1f}", f"{mine / ours_loop:.2f}", f"{budget:.2f}")
    table.add(name, *cells, bar=report.bar(f"{name}, of the official loop", mine / theirs, 1.0))
