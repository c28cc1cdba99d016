"""``AsyncOTSClient`` and processes: what a forked child does with it does not reach the parent's connections."""

import asyncio
import gc
import os
import stat
import sys
import warnings
from collections.abc import Callable

import pytest

from ots_config import AsyncOTSClient, Emulator
from ots_config.request import async_transport
from ots_config.request.async_transport import AsyncTransport
from tests.client.tables import KEY, KEY_COLUMNS, ROW, create_table

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def close(client: AsyncOTSClient) -> None:
    """Close it in an event loop of the child's."""
    asyncio.run(client.close())


def call(client: AsyncOTSClient) -> None:
    """Use it in an event loop of the child's, on connections of its own, and leave it open."""
    assert asyncio.run(client.get_row("t", KEY, max_version=1))[1] is not None


def drop(client: AsyncOTSClient) -> None:
    """Lose every transport of the parent's, with whatever their finalizers do."""
    warnings.simplefilter("ignore", ResourceWarning)
    del client
    async_transport._inherited.clear()
    gc.collect()


def abort(client: AsyncOTSClient) -> None:
    """Close the parent's transports in the child: of all that is possible, what would do most harm."""
    assert client.pool_status() == (50, 0, 0, 0)
    for kept in async_transport._inherited:
        if hasattr(kept, "_opening"):
            kept._opening.abort()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("child", [close, call, drop, abort])
async def test_a_child_leaves_the_parents_connections_alone(
    child: Callable[[AsyncOTSClient], None], *, tls: bool
) -> None:
    """One that closes, uses or drops the client neither hangs nor touches what the parent has open, busy or idle."""
    with Emulator(tls=tls) as emulator:
        async with AsyncOTSClient(settings=emulator.settings) as client:
            await create_table(client, "t", KEY_COLUMNS)
            await asyncio.gather(client.put_row("t", ROW), client.list_table())
            emulator.fault(operation="GetRow", kind="delay", seconds=0.25, count=1)
            busy = asyncio.create_task(client.get_row("t", KEY, max_version=1))
            before = client.pool_status()
            await asyncio.sleep(0.05)  # in which the request leaves
            assert before is not None
            assert before.open >= 2
            assert isinstance(client.connection, AsyncTransport)
            (pool,) = client.connection._pools.values()
            sockets = [connection._opening.socket for connection in pool._connections]
            process = os.fork()
            if not process:
                code = 1
                try:
                    assert all(sock is not None and not is_socket(sock.fileno()) for sock in sockets)
                    child(client)
                    code = 0
                finally:
                    sys.stderr.flush()
                    os._exit(code)
            async with asyncio.timeout(20):
                _, status = await asyncio.to_thread(os.waitpid, process, 0)
                assert os.waitstatus_to_exitcode(status) == 0
                assert (await busy)[1].primary_key == KEY
                await asyncio.gather(client.put_row("t", ROW), client.list_table())
            assert client.pool_status() == before
            assert {connection._opening.socket for connection in pool._connections} == set(sockets)


def is_socket(number: int) -> bool:
    """Return whether a file is a socket."""
    return stat.S_ISSOCK(os.fstat(number).st_mode)


async def test_a_child_of_a_thread_that_has_no_loop(
    emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]
) -> None:
    """A child that is forked elsewhere gets a client without connections, and its own calls work."""
    client = connect_async()
    await client.put_row("t", ROW)

    def fork() -> int:
        process = os.fork()
        if not process:
            code = 1
            try:
                call(client)
                code = 0
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    assert await asyncio.to_thread(fork) == 0
    await client.put_row("t", ROW)
    assert client.pool_status() == (50, 1, 1, 0)
