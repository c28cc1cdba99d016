"""``AsyncOTSClient`` through an ``aiohttp.ClientSession`` of the user's, which decides how; we report what is known."""

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from ots_config import (
    AsyncOTSClient,
    ConnectFailed,
    Emulator,
    NoRetryPolicy,
    RequestInvalid,
    ResponseLost,
    Throttled,
    UntrustedServer,
)
from ots_config.sdk import tablestore as ts
from tests.client.tables import KEY, ROW

pytestmark = pytest.mark.asyncio
LARGE = ts.Row(KEY, [("blob", bytearray(16_000_000))])


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session; when it is closed, give its connections a moment to notice, as aiohttp asks for."""
    async with aiohttp.ClientSession() as opened:
        yield opened
    await asyncio.sleep(0.05)


async def test_it_is_used_and_stays_open(
    emulator: Emulator, connect_async: Callable[..., AsyncOTSClient], session: aiohttp.ClientSession
) -> None:
    """Requests go through it, with what it adds to them, and closing the client leaves it open."""
    session.headers["x-own"] = "1"
    client = connect_async(session=session)
    await client.put_row("t", ROW)
    assert (await client.get_row("t", KEY, max_version=1))[1].primary_key == KEY
    assert await client.list_table() == ("t",)
    assert client.pool_status() is None
    await client.close()
    with pytest.raises(RequestInvalid, match="closed"):
        await client.put_row("t", ROW)
    assert not session.closed
    assert len(emulator.log()) == 3


async def test_a_throttle_is_retried(
    emulator: Emulator, connect_async: Callable[..., AsyncOTSClient], session: aiohttp.ClientSession
) -> None:
    """Errors of the service are those of any other client."""
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", status=503, count=1)
    client = connect_async(session=session)
    await client.put_row("t", ROW)
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", status=503)
    with pytest.raises(Throttled):
        await connect_async(session=session, retry_policy=NoRetryPolicy()).put_row("t", ROW)


def serve(script: Callable[[socket.socket], object]) -> tuple[str, socket.socket]:
    """Serve one connection; return the endpoint, and what is to be closed."""
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            script(connection)

    threading.Thread(target=accept, daemon=True).start()
    return f"http://127.0.0.1:{server.getsockname()[1]}", server


def read_request(connection: socket.socket) -> bytes:
    """Read a whole request: a session may send its head and its body one after the other."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 20)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head.lower())[1])  # type: ignore[index] # every request has one
    while len(body) < length:
        body += connection.recv(1 << 20)
    return body


async def test_a_timeout_while_it_sends_is_no_proof(
    connect_async: Callable[..., AsyncOTSClient], session: aiohttp.ClientSession
) -> None:
    """The session goes on sending what it has in its buffer, so the write may have happened."""
    release = threading.Event()
    endpoint, server = serve(lambda _: release.wait(20))
    client = connect_async(
        endpoint=endpoint, session=session, socket_timeout=(5, 0.2), retry_policy=NoRetryPolicy(), allow_http=True
    )
    with server, pytest.raises(ResponseLost, match=r"did not answer within 0\.2") as caught:
        await client.put_row("t", LARGE)
    release.set()
    assert caught.value.may_have_happened
    assert caught.value.sent


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"], ids=["nothing", "a part"])
async def test_a_response_that_is_not_whole(
    connect_async: Callable[..., AsyncOTSClient], session: aiohttp.ClientSession, answer: bytes
) -> None:
    """The write may have happened."""
    endpoint, server = serve(lambda connection: read_request(connection) and connection.sendall(answer))
    client = connect_async(endpoint=endpoint, session=session, retry_policy=NoRetryPolicy())
    with server, pytest.raises(ResponseLost) as caught:
        await client.put_row("t", ROW)
    assert caught.value.may_have_happened


async def test_nobody_listens(connect_async: Callable[..., AsyncOTSClient], session: aiohttp.ClientSession) -> None:
    """Before there is a connection nothing was sent, which is proven."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
    client = connect_async(endpoint=endpoint, session=session, retry_policy=NoRetryPolicy())
    with pytest.raises(ConnectFailed) as caught:
        await client.put_row("t", ROW)
    assert not caught.value.sent
    assert not caught.value.may_have_happened


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "untrusted"])
async def test_a_server_that_is_not_trusted(session: aiohttp.ClientSession, *, tls: bool) -> None:
    """The session's own context checks certificates; the error is final."""
    with Emulator(tls=tls) as secure:
        keys = (secure.access_key_id, secure.access_key_secret, secure.instance_name)
        async with AsyncOTSClient(secure.endpoint.replace("http:", "https:"), *keys, session=session) as client:
            with pytest.raises(UntrustedServer, match="not trusted" if tls else "does not speak TLS") as caught:
                await client.list_table() if not tls else await client.put_row("t", ROW)
        assert caught.value.attempts == 1
        assert secure.log() == []


async def test_time_limits(
    emulator: Emulator, connect_async: Callable[..., AsyncOTSClient], session: aiohttp.ClientSession
) -> None:
    """The deadline holds, a caller's own limit passes, and a cancellation too."""
    emulator.fault(operation="GetRow", kind="delay", seconds=30)
    client = connect_async(session=session, deadline=0.1)
    with pytest.raises(ResponseLost):
        await client.get_row("t", KEY, max_version=1)
    client = connect_async(session=session)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.get_row("t", KEY, max_version=1)
    task = asyncio.create_task(client.get_row("t", KEY, max_version=1))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_full_connector_is_bounded(emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]) -> None:
    """Waiting for one of the session's connections counts as connecting, and nothing was sent."""
    emulator.fault(operation="GetRow", kind="delay", seconds=0.3, count=1)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as narrow:
        options: dict[str, Any] = {"session": narrow, "socket_timeout": (0.1, 30), "retry_policy": NoRetryPolicy()}
        client = connect_async(**options)
        slow = asyncio.create_task(client.get_row("t", KEY, max_version=1))
        await asyncio.sleep(0.05)
        with pytest.raises(ConnectFailed):
            await client.put_row("t", ROW)
        await slow
