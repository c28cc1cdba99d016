"""What becomes of calls when requests fail: this library beside the official SDK, against the same faults in one run.

The emulator runs in a process of its own. Nothing is asserted of the figures but what must never happen: a write that
was acknowledged and is not stored once, or one that is stored twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ots_config import AsyncOTSClient, DefaultRetryPolicy, OTSClient, WriteRetryPolicy
from ots_config.sdk import tablestore as ts

KEYS = ("testid", "testsecret", "demo")
CALLS = int(os.environ.get("BENCH_CALLS", "200"))
THREADS = 8
ARRIVING = 200  # calls a second in the outage
OUTAGE = float(os.environ.get("BENCH_OUTAGE", "6"))  # seconds
MIX: list[dict[str, Any]] = [
    {"kind": "error", "code": "OTSServerBusy"},
    {"kind": "error", "code": "OTSInternalServerError"},
    {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>"},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "truncate"},
]
"""What fails, each kind as often as the others."""


class Service:
    """The emulator in another process, ordered about over HTTP."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def order(self, method: str, path: str, body: Any = None) -> Any:
        """Give an order; return what is answered."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/_emulator/{path}", data, method=method)  # noqa: S310 - ours
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - the same
            content = answer.read()
        return json.loads(content) if content else None

    def begin(self, faults: list[dict[str, Any]]) -> None:
        """Put faults in force in place of others, and forget the requests so far."""
        self.order("DELETE", "faults")
        for fault in faults:
            self.order("POST", "faults", fault)
        self.order("DELETE", "log")

    def attempts(self, operation: str) -> int:
        """Return how many requests there were since ``begin``."""
        return sum(entry["operation"] == operation for entry in self.order("GET", "log"))


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Run the emulator in another process, with the table ``t``."""
    command = [sys.executable, "-m", "ots_config", "emulator", "--port", "0", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as emulator:
        assert emulator.stdout is not None
        running = Service(emulator.stdout.readline().split()[-1])
        with OTSClient(running.endpoint, *KEYS) as client:
            meta = ts.TableMeta("t", [("k", "INTEGER")])
            client.create_table(meta, ts.TableOptions(), ts.ReservedThroughput(ts.CapacityUnit(0, 0)))
        yield running
        emulator.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Keep both clients from printing their errors: there are many."""
    loggers = [logging.getLogger(name) for name in ("ots_config", "tablestore-client", "urllib3", "asyncio")]
    for logger in loggers:
        logger.disabled = True
    yield
    for logger in loggers:
        logger.disabled = False


class Result(NamedTuple):
    """What became of the calls of one run.

    Attributes:
        what: The operation, the rate of faults and the policy.
        client: Whose client it was.
        succeeded: Share of the calls that succeeded.
        attempts: Requests for each call.
        twice: Writes that are stored more than once.
        lost: Writes that were acknowledged and are not stored.
        foreign: Errors that are none of the official tree, which ``except OTSServiceError`` does not catch.
    """

    what: str
    client: str
    succeeded: float
    attempts: float
    twice: int
    lost: int
    foreign: int


@pytest.fixture(scope="module")
def table(pytestconfig: pytest.Config) -> Iterator[list[Result]]:
    """Collect the results, and print them at the end."""
    results: list[Result] = []
    yield results
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        head = f"{'faults':38}{'client':10}{'succeed':>8}{'attempts':>10}{'twice':>7}{'lost':>6}{'foreign errors':>16}"
        print(f"\n\n{head}")  # noqa: T201
        for what, client, succeeded, attempts, twice, lost, foreign in results:
            print(  # noqa: T201
                f"{what:38}{client:10}{succeeded:8.1%}{attempts:10.2f}{twice:7}{lost:6}{foreign:16}"
            )


_numbers = iter(range(1 << 40))


def read(client: Any, number: int) -> Any:
    """Read a row."""
    return client.get_row("t", [("k", number)], max_version=1)


def put(client: Any, number: int) -> Any:
    """Put a row whatever is there."""
    return client.put_row("t", ts.Row([("k", number)], [("n", 1)]), ts.Condition("IGNORE"))


def increment(client: Any, number: int) -> Any:
    """Add one to a row of its own."""
    return client.update_row("t", ts.Row([("k", number)], {"INCREMENT": [("n", 1)]}), ts.Condition("IGNORE"))


OPERATIONS: dict[str, Callable[[Any, int], Any]] = {"GetRow": read, "PutRow": put, "UpdateRow": increment}


def carry_out(service: Service, client: Any, operation: str, faults: list[dict[str, Any]]) -> tuple[Any, ...]:
    """Make many calls from some threads; return the fields of the result after the client's name."""
    numbers = [next(_numbers) for _ in range(CALLS)]
    service.begin(faults)

    def call(number: int) -> Exception | None:
        try:
            OPERATIONS[operation](client, number)
        except Exception as error:  # noqa: BLE001 - whatever its type, it is counted
            return error
        return None

    with ThreadPoolExecutor(THREADS) as threads:
        errors = list(threads.map(call, numbers))
    attempts = service.attempts(operation) / CALLS
    service.begin([])
    twice = lost = 0
    if operation != "GetRow":
        with OTSClient(service.endpoint, *KEYS) as reader:
            for number, error in zip(numbers, errors, strict=True):
                row = reader.get_row("t", [("k", number)], max_version=1)[1]
                stored = 0 if row is None else row.attribute_columns[0][1]
                twice += stored > 1
                lost += error is None and stored == 0
    succeeded = sum(error is None for error in errors) / CALLS
    foreign = sum(error is not None and not isinstance(error, ts.OTSError) for error in errors)
    return succeeded, attempts, twice, lost, foreign


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("policy", ["default", "write"])
@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_faults(
    benchmark: BenchmarkFixture, service: Service, table: list[Result], rate: float, policy: str, operation: str
) -> None:
    """Of the calls that meet faults no write is lost or stored twice; successes are reported beside the official."""
    faults = [
        {"operation": operation, "rate": 1 - (1 - rate) ** (1 / len(MIX)), "seed": seed, **fault}
        for seed, fault in enumerate(MIX)
    ]
    name = f"{operation}, {rate:.0%}, {policy} policy"
    official = ts.OTSClient(
        service.endpoint, *KEYS, retry_policy=ts.DefaultRetryPolicy() if policy == "default" else ts.WriteRetryPolicy()
    )
    theirs = Result(name, "official", *carry_out(service, official, operation, faults))
    official.connection.pool.clear()
    ours = DefaultRetryPolicy() if policy == "default" else WriteRetryPolicy()
    with OTSClient(service.endpoint, *KEYS, retry_policy=ours) as client:
        outcome = benchmark.pedantic(carry_out, (service, client, operation, faults), rounds=1)
    mine = Result(name, "ours", *outcome)
    table += [mine, theirs]
    benchmark.extra_info.update(ours=mine._asdict(), official=theirs._asdict())
    assert (mine.twice, mine.lost, mine.foreign) == (0, 0, 0)


async def arrive(client: Any) -> int:
    """Let calls arrive at an even pace, whatever becomes of them; return how many there were."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    tasks: list[asyncio.Task[Any]] = []
    while loop.time() - began < OUTAGE:
        due = int((loop.time() - began) * ARRIVING) + 1
        tasks += [asyncio.create_task(read(client, 1)) for _ in range(due - len(tasks))]
        await asyncio.sleep(1 / ARRIVING)
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
    return len(tasks)


async def outage(service: Service, make: Callable[[], Any]) -> float:
    """Refuse every attempt while calls arrive; return the attempts of each call meanwhile."""
    await asyncio.to_thread(service.begin, [{"operation": "*", "kind": "error", "code": "OTSServerBusy"}])
    async with make() as client:
        calls = await arrive(client)
    return (await asyncio.to_thread(service.attempts, "GetRow")) / calls


def test_outage(benchmark: BenchmarkFixture, service: Service, table: list[Result]) -> None:
    """While 200 calls a second arrive at a service that refuses all, our load is about that of the calls alone.

    The first ten retries of a client are free; without them it is at most 1.2 attempts for each call.
    """
    name = f"outage, {ARRIVING} calls/s for {OUTAGE:g} s"
    theirs = asyncio.run(outage(service, lambda: ts.AsyncOTSClient(service.endpoint, *KEYS)))
    ours = benchmark.pedantic(
        lambda: asyncio.run(outage(service, lambda: AsyncOTSClient(service.endpoint, *KEYS))), rounds=1
    )
    service.begin([])
    table += [Result(name, who, 0.0, attempts, 0, 0, 0) for who, attempts in (("ours", ours), ("official", theirs))]
    benchmark.extra_info.update(ours=ours, official=theirs)
    assert ours <= 1.2 + 10 / (ARRIVING * OUTAGE) + 0.02
