"""Calls whose every application can be counted, the clients that make them, and the count."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ots_config import AsyncOTSClient, Emulator, OTSClient, RequestError
from ots_config.sdk import tablestore as ts

KEYS = ("testid", "testsecret", "demo")
UNBOUNDED = {"budget_rate": 1e6}
"""A retry budget that never ends: these proofs are about what is stored."""

TABLE, AUTO_TABLE, VERSIONS_TABLE = "counted", "automatic", "versions"
_BIG = "x" * 700_000


def direct_client(emulator: Emulator, bundle: Path | None = None) -> OTSClient:
    """Return a client that no fault hits; with a bundle, the emulator speaks TLS as localhost."""
    if bundle is None:
        return OTSClient(emulator.endpoint, *KEYS)
    return OTSClient(f"https://localhost:{emulator.port}", *KEYS, ca_bundle=bundle)


def make_tables(client: OTSClient) -> None:
    """Make the empty tables that the calls write to."""
    with client:
        for name, key, versions in (
            (TABLE, [("k", "INTEGER")], 1),
            (AUTO_TABLE, [("k", "INTEGER"), ("auto", "INTEGER", ts.PK_AUTO_INCR)], 1),
            (VERSIONS_TABLE, [("k", "INTEGER")], 10),
        ):
            client.create_table(
                ts.TableMeta(name, key),
                ts.TableOptions(max_version=versions),
                ts.ReservedThroughput(ts.CapacityUnit(0, 0)),
            )


# --- the calls: each writes rows of its own -------------------------------------------------------------------


def increment(client: Any, number: int) -> Any:
    """Add one."""
    return client.update_row(TABLE, ts.Row([("k", number)], {"INCREMENT": [("n", 1)]}), None)


def large(client: Any, number: int) -> Any:
    """Add one beside a cell that does not fit into the buffers of a socket."""
    return client.update_row(TABLE, ts.Row([("k", number)], {"INCREMENT": [("n", 1)], "PUT": [("x", _BIG)]}), None)


def huge(client: Any, number: int) -> Any:
    """Add one beside cells that no buffer of a system takes at once."""
    cells = [(f"x{at}", "y" * 1_900_000) for at in range(2)]
    return client.update_row(TABLE, ts.Row([("k", number)], {"INCREMENT": [("n", 1)], "PUT": cells}), None)


def automatic(client: Any, number: int) -> Any:
    """Put a row whose key the service completes: each sending makes another."""
    return client.put_row(AUTO_TABLE, ts.Row([("k", number), ("auto", ts.PK_AUTO_INCR)], [("n", 1)]), None)


def insert(client: Any, number: int) -> Any:
    """Put a row where there must be none."""
    return client.put_row(TABLE, ts.Row([("k", number)], [("n", 1)]), ts.Condition("EXPECT_NOT_EXIST"))


def version(client: Any, number: int) -> Any:
    """Put a cell without a timestamp into a table that keeps several versions: each sending adds one."""
    return client.update_row(VERSIONS_TABLE, ts.Row([("k", number)], {"PUT": [("n", 1)]}), None)


def batch(client: Any, number: int) -> Any:
    """Add one to a row, in a batch."""
    item = ts.UpdateRowItem(ts.Row([("k", number)], {"INCREMENT": [("n", 1)]}), None)
    request = ts.BatchWriteRowRequest()
    request.add(ts.TableInBatchWriteRowItem(TABLE, [item]))
    return client.batch_write_row(request)


def put(client: Any, number: int) -> Any:
    """Put a row whatever is there: safe to repeat."""
    return client.put_row(TABLE, ts.Row([("k", number)], [("n", 1)]), None)


def read(client: Any, number: int) -> Any:
    """Read a row."""
    return client.get_row(TABLE, [("k", number)], max_version=1)


Call = Callable[[Any, int], Any]
CALLS: tuple[Call, ...] = (increment, automatic, insert, version, batch, put, read)


def numbered(count: int, *, calls: tuple[Call, ...] = CALLS, large_each: int = 25) -> list[tuple[Call, int]]:
    """Return so many calls of each kind in turn, with a large one among them now and then."""
    found = [(calls[at % len(calls)], at) for at in range(count)]
    return [(large, number) if number % large_each == large_each - 1 else (call, number) for call, number in found]


def applied(client: OTSClient, settle: float = 0.15) -> Counter[int]:
    """Return how many times each numbered write was applied, once nothing changes any more."""
    found: Counter[int] | None = None
    with client:
        while (again := _applied(client)) != found:
            found = again
            time.sleep(settle)
    return found


def _applied(client: OTSClient) -> Counter[int]:
    counts: Counter[int] = Counter()
    for table, columns in ((TABLE, ["n"]), (VERSIONS_TABLE, ["n"]), (AUTO_TABLE, ["n"])):
        low, high = [("k", ts.INF_MIN)], [("k", ts.INF_MAX)]
        if table == AUTO_TABLE:
            low, high = [*low, ("auto", ts.INF_MIN)], [*high, ("auto", ts.INF_MAX)]
        for row in client.scan(table, low, high, columns=columns, max_version=10):
            cells = row.attribute_columns
            counts[row.primary_key[0][1]] += len(cells) if table == VERSIONS_TABLE else cells[0][1]
    return counts


# --- the clients -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended.

    Attributes:
        error: What it raised, None if it returned.
        seconds: How long it took.
        acknowledged: Whether its write was.
    """

    error: BaseException | None
    seconds: float
    acknowledged: bool


def row_error(result: Any) -> RequestError | None:
    """Return an error for the failed row of a batch, which may have happened for all that it says."""
    for item in result.get_failed_of_update():
        error = RequestError(f"the row failed: {item.error_code}")
        error.sent = error.may_have_happened = True
        return error
    return None


def _outcome(result: Any, error: BaseException | None, began: float) -> Outcome:
    """Return how a call ended; the error of a batch's only row is the call's."""
    if isinstance(result, ts.BatchWriteRowResponse):
        error = row_error(result)
    return Outcome(error, time.monotonic() - began, error is None)


Shell = Callable[..., list[Outcome]]


def by_threads(
    endpoint: str, calls: list[tuple[Call, int]], *, kind: Any = OTSClient, workers: int = 6, **options: Any
) -> list[Outcome]:
    """Carry calls out from threads that share a client."""
    client = kind(endpoint, *KEYS, **options)

    def carry_out(call: Call, number: int) -> Outcome:
        began = time.monotonic()
        try:
            return _outcome(call(client, number), None, began)
        except Exception as error:  # noqa: BLE001 - which one is what is looked at
            return _outcome(None, error, began)

    try:
        with ThreadPoolExecutor(workers) as threads:
            return [done.result() for done in [threads.submit(carry_out, *call) for call in calls]]
    finally:
        close = getattr(client, "close", None)  # the official one has none
        if close is not None:
            close()


def by_tasks(
    endpoint: str, calls: list[tuple[Call, int]], *, kind: Any = AsyncOTSClient, workers: int = 6, **options: Any
) -> list[Outcome]:
    """Carry calls out from tasks that share a client."""

    async def run() -> list[Outcome]:
        turns = asyncio.Semaphore(workers)
        async with kind(endpoint, *KEYS, **options) as client:

            async def carry_out(call: Call, number: int) -> Outcome:
                async with turns:
                    began = time.monotonic()
                    try:
                        return _outcome(await call(client, number), None, began)
                    except Exception as error:  # noqa: BLE001 - which one is what is looked at
                        return _outcome(None, error, began)

            return await asyncio.gather(*(carry_out(*call) for call in calls))

    return asyncio.run(run())


SHELLS: dict[str, Shell] = {"threads": by_threads, "tasks": by_tasks}


def threads_alive() -> set[threading.Thread]:
    """Return the threads of this process."""
    return set(threading.enumerate())
