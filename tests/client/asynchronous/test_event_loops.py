"""``AsyncOTSClient`` and event loops: several in turn and at a time, and those that end without ``close()``."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ots_config import AsyncOTSClient, Emulator, RequestError
from ots_config.request import async_transport
from tests.client.conftest import arguments
from tests.client.tables import KEY, ROW

PROGRAM = """
import asyncio, gc, os, stat
from ots_config import AsyncOTSClient
from tests.client.tables import KEY, ROW

def sockets():
    found = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            found += stat.S_ISSOCK(os.stat(f"/proc/self/fd/{number}").st_mode)
        except OSError:
            pass
    return found

def connect(**options):
    return AsyncOTSClient(**arguments, **options)

async def calls(client):
    await asyncio.gather(*(client.put_row("t", ROW) for _ in range(5)), client.get_row("t", KEY, max_version=1))

before = sockets()

print("asyncio.run", flush=True)
client = connect()
for _ in range(3):
    asyncio.run(calls(client))
    assert sockets() == before

print("a loop that is closed, then another", flush=True)
for turn in range(3):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(calls(client))
    loop.close()
    asyncio.run(client.close() if turn == 2 else calls(client))
    gc.collect()
    assert sockets() == before

print("a loop that does not run", flush=True)
client = connect()
loop = asyncio.new_event_loop()
loop.run_until_complete(calls(client))
asyncio.run(client.close())
assert sockets() == before + 2  # those of the loop itself
loop.run_until_complete(asyncio.sleep(0))
loop.close()

print("a client that is dropped in a running loop", flush=True)
async def dropping():
    client = connect(idle_timeout=0.05)
    await calls(client)
    del client
    gc.collect()
    async with asyncio.timeout(10):
        while sockets() > before + 2:
            await asyncio.sleep(0.01)
asyncio.run(dropping())

print("an interruption in the middle of a call", flush=True)
client = connect()
async def interrupted():
    task = asyncio.create_task(calls(client))
    while client.pool_status().open < 3:
        await asyncio.sleep(0)
    raise KeyboardInterrupt
try:
    asyncio.run(interrupted())
except KeyboardInterrupt:
    pass
gc.collect()
assert sockets() == before
asyncio.run(calls(client))
print("done", flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is needed to count sockets")
def test_loops_that_end_without_close(emulator: Emulator) -> None:
    """Sockets are freed, the client goes on in the next loop, and neither asyncio nor we warn of anything."""
    program = f"arguments = {arguments(emulator)!r}\n{PROGRAM}"
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment())
    assert (done.stdout.splitlines()[-1:], done.stderr, done.returncode) == (["done"], "", 0)


def environment() -> dict[str, str]:
    """Return what a program needs to find the packages that this one found."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def test_loops_in_several_threads(emulator: Emulator) -> None:
    """Threads with loops of their own share a client, each with connections of its own, and one closes all."""
    client = AsyncOTSClient(**arguments(emulator))
    together = threading.Barrier(4)

    async def work() -> tuple[int, ...]:
        for _ in range(5):
            together.wait()
            await asyncio.gather(*(client.put_row("t", ROW) for _ in range(4)))
            assert (await client.get_row("t", KEY, max_version=1))[1].primary_key == KEY
        status = client.pool_status()
        assert status is not None
        return tuple(status)

    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(lambda _: asyncio.run(work()), range(4)))
    assert states == [(50, 4, 4, 0)] * 4
    asyncio.run(client.close())
    assert client.pool_status() == (50, 0, 0, 0)


@pytest.mark.asyncio
async def test_closing_ends_calls_in_another_loop(
    emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]
) -> None:
    """A call that waits in another thread ends when the client is closed in this one."""
    client = connect_async()
    emulator.fault(operation="GetRow", kind="delay", seconds=30)
    thread = asyncio.create_task(asyncio.to_thread(asyncio.run, client.get_row("t", KEY, max_version=1)))
    while not client.connection._pools:  # type: ignore[union-attr] # noqa: ASYNC110 - in another thread
        await asyncio.sleep(0.01)
    async with asyncio.timeout(10):
        await client.close()
        with pytest.raises(RequestError, match="closed"):
            await thread


@pytest.mark.asyncio
async def test_closing_does_not_wait_for_a_loop_that_hangs(
    connect_async: Callable[..., AsyncOTSClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that blocks its thread has a moment; then ``close`` returns."""
    monkeypatch.setattr(async_transport, "_CLOSING", 0.05)
    client = connect_async()
    release = threading.Event()

    async def hang() -> None:
        await client.put_row("t", ROW)
        release.wait(20)

    thread = asyncio.create_task(asyncio.to_thread(asyncio.run, hang()))
    while client.connection._pools == {}:  # type: ignore[union-attr] # noqa: ASYNC110 - in another thread
        await asyncio.sleep(0.01)
    async with asyncio.timeout(10):
        await client.close()
    release.set()
    await thread
