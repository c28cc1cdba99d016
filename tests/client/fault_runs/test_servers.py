"""Servers that restart, close idle connections or are slow: no read fails, and no increment is applied twice."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from ots_config import DefaultRetryPolicy, Emulator, NoDelayRetryPolicy, NoRetryPolicy
from ots_config.emulator import ServerLimits
from ots_config.request.retry_policy import RetryEvent
from tests.client.fault_runs.calls import (
    SHELLS,
    UNBOUNDED,
    Call,
    Outcome,
    check_each_call,
    increment,
    make_table,
    read,
    stored,
    wait_until,
)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_server_that_restarts(shell: str) -> None:
    """A server that is stopped and started three times costs no read, and no increment is applied twice."""
    numbers = iter(range(10**6))
    calls: list[tuple[Call, int]] = []
    outcomes: list[Outcome] = []
    retries: list[RetryEvent] = []
    over = Event()
    with Emulator() as emulator:
        make_table(emulator)

        def work() -> None:
            """Call until the restarts are over."""
            policy = DefaultRetryPolicy(on_retry=retries.append)
            while not over.is_set():
                some = [(call, next(numbers)) for _ in range(10) for call in (increment, read)]
                outcomes.extend(SHELLS[shell](emulator.endpoint, some, retry=UNBOUNDED, retry_policy=policy))
                calls.extend(some)

        with ThreadPoolExecutor(1) as thread:
            working = thread.submit(work)
            try:
                for _ in range(3):
                    answered, retried = len(calls), len(retries)
                    wait_until(lambda seen=answered: len(calls) > seen + 20 or working.done())
                    emulator.stop()
                    wait_until(lambda seen=retried: len(retries) > seen or working.done())
                    emulator.start()
                answered = len(calls)
                wait_until(lambda: len(calls) > answered or working.done())
            finally:
                over.set()
            working.result()
        rows = stored(emulator)
    check_each_call(calls, outcomes, rows)
    assert [o for (call, _), o in zip(calls, outcomes, strict=True) if call is read and o] == []
    assert sum(rows.values()) == len(rows)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_server_that_closes_idle_connections(shell: str) -> None:
    """Pauses about as long as the server keeps connections cost no read, and no increment is applied twice."""
    idle = 0.04
    with Emulator(limits=ServerLimits(idle=idle)) as emulator:
        make_table(emulator)

        def paused(call: Call) -> Call:
            def blocking(client: Any, number: int) -> Any:
                time.sleep(idle * (0.8 + number % 10 / 20))
                return call(client, number)

            async def suspending(client: Any, number: int) -> Any:
                await asyncio.sleep(idle * (0.8 + number % 10 / 20))
                return await call(client, number)

            return blocking if shell == "threads" else suspending

        kinds = (increment, read)
        calls = [(kinds[number % 2], number) for number in range(120)]
        outcomes = SHELLS[shell](
            emulator.endpoint, [(paused(call), number) for call, number in calls], retry=UNBOUNDED, idle_timeout=60
        )
        rows = stored(emulator)
    check_each_call(calls, outcomes, rows)
    assert [o for (call, _), o in zip(calls, outcomes, strict=True) if call is read and o] == []


@pytest.mark.parametrize("shell", SHELLS)
def test_a_connection_that_the_server_has_closed_is_not_used(shell: str) -> None:
    """After the server has closed an idle connection the next write goes through at its first attempt."""
    with Emulator(limits=ServerLimits(idle=0.02)) as emulator:
        make_table(emulator)
        listener = emulator._http
        assert listener is not None

        def blocking(client: Any, number: int) -> Any:
            wait_until(lambda: not listener._connections())
            return increment(client, number)

        async def suspending(client: Any, number: int) -> Any:
            await asyncio.to_thread(wait_until, lambda: not listener._connections())
            return await increment(client, number)

        call = blocking if shell == "threads" else suspending
        calls = [(call, number) for number in range(5)]
        # One call at a time, so that each finds its connection closed.
        outcomes = SHELLS[shell](emulator.endpoint, calls, workers=1, retry_policy=NoRetryPolicy())
        assert outcomes == [None] * 5
        assert stored(emulator) == dict.fromkeys(range(5), 1)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_slow_server(emulator: Emulator, shell: str) -> None:
    """A server that answers some requests too late costs no read, and what it does too late it does once."""
    emulator.fault(operation="*", kind="delay", seconds=0.5, rate=0.25, seed=3)
    calls = [((increment, read)[number % 2], number) for number in range(60)]
    outcomes = SHELLS[shell](
        emulator.endpoint, calls, retry=UNBOUNDED, retry_policy=NoDelayRetryPolicy(), socket_timeout=0.1
    )
    emulator.clear_faults()
    late = [o for (call, _), o in zip(calls, outcomes, strict=True) if call is increment and o]
    assert late
    assert all(error.may_have_happened and error.attempts == 1 for error in late)
    wait_until(lambda: sum(entry["operation"] == "UpdateRow" for entry in emulator.log()) == 30)
    check_each_call(calls, outcomes, stored(emulator))
    assert [o for (call, _), o in zip(calls, outcomes, strict=True) if call is read and o] == []
