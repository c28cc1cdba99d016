"""Calls by many threads or tasks, each to a row of its own, and the check of what they have stored."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ots_config import AsyncOTSClient, Emulator, OTSClient, RequestError
from ots_config.sdk import tablestore as ts
from tests.client.tables import create_table

KEYS = ("testid", "testsecret", "demo")
WORKERS = 8
UNBOUNDED = {"budget_rate": 1e6}
"""A budget that never ends: these runs are about what is stored, others about the budget."""


def make_table(emulator: Emulator) -> None:
    """Make the empty table ``t``, with the key ``k``."""
    with OTSClient(emulator.endpoint, *KEYS) as client:
        create_table(client, "t", [("k", "INTEGER")])
    emulator.clear_log()


Call = Callable[[Any, int], Any]


def increment(client: Any, number: int) -> Any:
    """Add one to a row; twice would show."""
    return client.update_row("t", ts.Row([("k", number)], {"INCREMENT": [("n", 1)]}), None)


def insert(client: Any, number: int) -> Any:
    """Put a row where there must be none."""
    return client.put_row("t", ts.Row([("k", number)], [("n", 1)]), ts.Condition("EXPECT_NOT_EXIST"))


def put(client: Any, number: int) -> Any:
    """Put a row whatever is there."""
    return client.put_row("t", ts.Row([("k", number)], [("n", 1)]))


def read(client: Any, number: int) -> Any:
    """Read a row."""
    return client.get_row("t", [("k", number)], max_version=1)


UNSAFE = (increment, insert)
SHARE = 12
CALLS: list[tuple[Call, int]] = [
    (call, at * SHARE + place) for place in range(SHARE) for at, call in enumerate((increment, insert, put, read))
]

Outcome = RequestError | None
Shell = Callable[..., list[Outcome]]


def by_threads(endpoint: str, calls: list[tuple[Call, int]], workers: int = WORKERS, **options: Any) -> list[Outcome]:
    """Carry calls out from some threads that share a client; return the error of each, or None."""
    with OTSClient(endpoint, *KEYS, **options) as client, ThreadPoolExecutor(workers) as threads:

        def carry_out(call: Call, number: int) -> Outcome:
            try:
                call(client, number)
            except RequestError as error:
                return error
            return None

        return [done.result() for done in [threads.submit(carry_out, *call) for call in calls]]


def by_tasks(endpoint: str, calls: list[tuple[Call, int]], workers: int = WORKERS, **options: Any) -> list[Outcome]:
    """Carry calls out from some tasks that share a client; return the error of each, or None."""

    async def run() -> list[Outcome]:
        turns = asyncio.Semaphore(workers)
        async with AsyncOTSClient(endpoint, *KEYS, **options) as client:

            async def carry_out(call: Call, number: int) -> Outcome:
                async with turns:
                    try:
                        await call(client, number)
                    except RequestError as error:
                        return error
                    return None

            return await asyncio.gather(*(carry_out(*call) for call in calls))

    return asyncio.run(run())


SHELLS: dict[str, Shell] = {"threads": by_threads, "tasks": by_tasks}


def stored(emulator: Emulator) -> dict[int, int]:
    """Return what is in the table: ``n`` by ``k``."""
    with OTSClient(emulator.endpoint, *KEYS) as client:
        low, high = ([("k", bound)] for bound in (ts.INF_MIN, ts.INF_MAX))
        rows = client.get_range("t", "FORWARD", low, high, max_version=1)[2]
    return {row.primary_key[0][1]: row.attribute_columns[0][1] for row in rows}


def check_each_call(calls: list[tuple[Call, int]], outcomes: list[Outcome], rows: dict[int, int]) -> None:
    """Check each write: stored once if it was acknowledged, else at most once, and then reported as possible."""
    for (call, number), outcome in zip(calls, outcomes, strict=True):
        found = rows.get(number)
        if call is read:
            assert outcome is None or not outcome.may_have_happened
        elif outcome is None:
            assert found == 1, f"{call.__name__} {number} was acknowledged, and there is {found}"
        elif found is not None:
            assert found == 1, f"{call.__name__} {number} was applied {found} times"
            assert outcome.may_have_happened, f"{call.__name__} {number} was applied: {outcome}"


def wait_until(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    """Return when a condition holds; fail if it does not in time."""
    ends = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < ends, "this does not happen"
        time.sleep(0.005)
