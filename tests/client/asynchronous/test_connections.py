"""``AsyncOTSClient`` and its connections: limits, cancellation, event loops, TLS."""

import asyncio
import contextlib
import gc
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ots_config import (
    AsyncOTSClient,
    ConnectFailed,
    Emulator,
    NoRetryPolicy,
    RequestInvalid,
    SettingsError,
    UntrustedServer,
)
from ots_config.request.async_pool import AsyncConnectionPool
from ots_config.request.async_transport import AsyncTransport
from ots_config.sdk import tablestore as ts
from tests.client.tables import KEY, KEY_COLUMNS, ROW, create_table

pytestmark = pytest.mark.asyncio


def connection_pools(client: AsyncOTSClient) -> dict[asyncio.AbstractEventLoop, AsyncConnectionPool]:
    """Return the pools of a client, by their event loop."""
    assert isinstance(client.connection, AsyncTransport)
    return client.connection._pools


async def test_more_tasks_than_connections(emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]) -> None:
    """Tasks wait for a free connection; no more are opened than allowed, and they are kept."""
    client = connect_async(max_connection=3)
    await asyncio.gather(*(client.put_row("t", ts.Row([("gid", n), ("uid", "u")], [("n", n)])) for n in range(60)))
    assert len(emulator.log()) == 60
    status = client.pool_status()
    assert status is not None
    assert 1 <= status.open == status.idle <= status.limit == 3
    assert status.waiting == 0


async def test_a_full_pool_is_one_clear_error(emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]) -> None:
    """A task that finds no free connection in time gets one clear error, and nothing was sent."""
    client = connect_async(max_connection=1, socket_timeout=(0.2, 30), retry_policy=NoRetryPolicy())
    emulator.fault(operation="GetRow", kind="delay", seconds=2, count=1)
    slow = asyncio.create_task(client.get_row("t", KEY, max_version=1))
    await asyncio.sleep(0)  # which takes the only connection
    with pytest.raises(ConnectFailed, match="all 1 connections"):
        await client.put_row("t", ROW)
    await slow


async def test_cancellation_leaves_a_working_client(
    emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]
) -> None:
    """Calls that are cancelled, while they wait for an answer or for a connection, give everything back."""
    client = connect_async(max_connection=2)
    emulator.fault(operation="GetRow", kind="delay", seconds=30)
    tasks = [asyncio.create_task(client.get_row("t", KEY, max_version=1)) for _ in range(10)]
    while client.pool_status() != (2, 2, 0, 8):  # noqa: ASYNC110 - limit, open, idle, waiting
        await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert client.pool_status() == (2, 0, 0, 0)
    emulator.clear_faults()
    await asyncio.gather(*(client.put_row("t", ROW) for _ in range(10)))


async def test_a_cancelled_call_is_not_sent_again(
    emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]
) -> None:
    """A call that is cancelled while it waits to be tried again is over."""
    client = connect_async()
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", status=503)
    task = asyncio.create_task(client.put_row("t", ROW))
    while not emulator.log():  # noqa: ASYNC110 - of another thread
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    emulator.clear_faults()
    sent = len(emulator.log())
    await client.list_table()
    assert len(emulator.log()) == sent + 1


async def test_idle_connections_that_the_server_closed(connect_async: Callable[..., AsyncOTSClient]) -> None:
    """A write on a connection that the server has closed meanwhile goes out on a new one."""
    with Emulator() as first:
        client = connect_async(endpoint=first.endpoint, retry_policy=NoRetryPolicy())
        await create_table(client, "t", KEY_COLUMNS)
        port = first.port
    with Emulator(port=port):
        await create_table(client, "t", KEY_COLUMNS)
        await client.put_row("t", ROW)


async def test_a_closed_client_says_so(connect_async: Callable[..., AsyncOTSClient]) -> None:
    """A closed client sends nothing more."""
    client = connect_async()
    await client.put_row("t", ROW)
    await client.close()
    with pytest.raises(RequestInvalid, match="closed") as caught:
        await client.put_row("t", ROW)
    assert isinstance(caught.value, ts.OTSClientError)


async def test_one_client_in_two_event_loops(connect_async: Callable[..., AsyncOTSClient]) -> None:
    """A client serves each event loop with connections of its own, and closes all of them."""
    client = connect_async()
    await client.put_row("t", ROW)
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    try:
        there = asyncio.run_coroutine_threadsafe(client.get_row("t", KEY, max_version=1), other)
        assert (await asyncio.wrap_future(there))[1].primary_key == KEY
        await client.put_row("t", ROW)
        pools = list(connection_pools(client).values())
        sockets = [connection._opening.socket for pool in pools for connection in pool._connections]
        assert len(pools) == len(sockets) == 2
        await client.close()
        assert [sock.fileno() for sock in sockets if sock is not None] == [-1, -1]
    finally:
        other.call_soon_threadsafe(other.stop)
        thread.join()
        other.close()


async def test_an_event_loop_that_is_gone(connect_async: Callable[..., AsyncOTSClient]) -> None:
    """A loop that ended closes its connections without a warning; the client goes on in the next one."""
    client = connect_async()
    for _ in range(3):
        row = (await asyncio.to_thread(asyncio.run, client.get_row("t", KEY, max_version=1)))[1]
        assert row is None
    await client.put_row("t", ROW)
    assert len(connection_pools(client)) == 1
    gc.collect()


async def test_tls(tmp_path: Path) -> None:
    """The authority that ``ca_bundle`` names is trusted; without it the server is not, and nothing is sent."""
    with Emulator(tls=True) as secure:
        settings = secure.settings
        async with AsyncOTSClient(settings=settings) as client:
            assert await client.list_table() == ()
        keys = (secure.access_key_id, secure.access_key_secret, secure.instance_name)
        secure.clear_log()
        async with AsyncOTSClient(secure.endpoint, *keys) as client:
            with pytest.raises(UntrustedServer, match="ca_bundle"):
                await client.list_table()
        assert secure.log() == []


async def test_nobody_listens() -> None:
    """A closed port is one clear error."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    async with AsyncOTSClient(f"http://127.0.0.1:{port}", "id", "secret", "demo", retry_policy=NoRetryPolicy()) as c:
        with pytest.raises(ConnectFailed) as caught:
            await c.list_table()
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert isinstance(caught.value, ts.OTSClientError)


async def test_a_proxy_that_it_cannot_use_is_refused() -> None:
    """A SOCKS proxy is one error at the start."""
    with pytest.raises(SettingsError, match="proxies"):
        AsyncOTSClient("https://demo.cn-hangzhou.ots.aliyuncs.com", "id", "secret", proxies="socks5://127.0.0.1:1")
