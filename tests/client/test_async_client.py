"""``AsyncOTSClient`` against the emulator: the decisions of ``OTSClient``, made without blocking the event loop."""

import asyncio
import contextlib
import gc
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ots_config import (
    AsyncOTSClient,
    AuthenticationFailed,
    ConnectFailed,
    Credentials,
    CredentialsRefused,
    Emulator,
    NoDelayRetryPolicy,
    NoRetryPolicy,
    OTSClient,
    RequestError,
    RequestInvalid,
    ResponseLost,
    SettingsError,
    Throttled,
    UntrustedServer,
    create_async_client,
)
from ots_config.sdk import tablestore as ts

KEY = [("gid", 1), ("uid", "a")]
ROW = ts.Row(KEY, [("n", 1), ("d", 1.5), ("s", "水"), ("b", bytearray(b"\x00\xff")), ("t", True)])
META = ts.TableMeta("t", [("gid", "INTEGER"), ("uid", "STRING")])
FREE = ts.ReservedThroughput(ts.CapacityUnit(0, 0))

pytestmark = pytest.mark.asyncio


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One emulator for this module."""
    with Emulator() as running:
        yield running


@pytest_asyncio.fixture
async def connect(emulator: Emulator) -> AsyncIterator[Callable[..., AsyncOTSClient]]:
    """Make clients of an empty instance with the table ``t``; they are closed after the test."""
    emulator.reset()
    made: list[AsyncOTSClient] = []

    def make(**options: Any) -> AsyncOTSClient:
        given = {
            "endpoint": emulator.endpoint,
            "access_key_id": emulator.access_key_id,
            "access_key_secret": emulator.access_key_secret,
            "instance_name": emulator.instance_name,
        }
        made.append(AsyncOTSClient(**{**given, **options}))
        return made[-1]

    await make().create_table(META, ts.TableOptions(), FREE)
    emulator.clear_log()
    yield make
    for client in made:
        await client.close()


# --- the same as the official client -------------------------------------------------------------------------


@pytest.mark.parametrize("region", [None, "cn-hangzhou"])
async def test_same_results_as_the_official_client(
    emulator: Emulator, connect: Callable[..., AsyncOTSClient], region: str | None
) -> None:
    """Rows of every type come back the same from our client and the official one, under V2 and V4."""
    keys = (emulator.access_key_id, emulator.access_key_secret, emulator.instance_name)
    ours = connect(region=region)
    assert isinstance(ours, ts.AsyncOTSClient)
    async with ts.AsyncOTSClient(emulator.endpoint, *keys, region=region) as official:
        await ours.put_row("t", ROW)
        await official.put_row("t", ts.Row([("gid", 2), ("uid", "b")], ROW.attribute_columns))
        for key in (KEY, [("gid", 2), ("uid", "b")]):
            mine, theirs = [(await client.get_row("t", key, max_version=1))[1] for client in (ours, official)]
            assert mine.primary_key == theirs.primary_key
            assert mine.attribute_columns == theirs.attribute_columns
            assert {name: value for name, value, _ in mine.attribute_columns} == dict(ROW.attribute_columns)
        assert await ours.list_table() == await official.list_table() == ("t",)


async def test_every_row_operation(connect: Callable[..., AsyncOTSClient]) -> None:
    """A row is written, updated, read, batched, scanned and deleted."""
    client = connect()
    await client.put_row("t", ROW)
    await client.update_row("t", ts.Row(KEY, {"PUT": [("n", 2)]}), ts.Condition("EXPECT_EXIST"))
    request = ts.BatchWriteRowRequest()
    items = [ts.PutRowItem(ts.Row([("gid", n), ("uid", "x")], [("n", n)]), None) for n in range(10, 20)]
    request.add(ts.TableInBatchWriteRowItem("t", items))
    assert (await client.batch_write_row(request)).is_all_succeed()
    reading = ts.BatchGetRowRequest()
    reading.add(ts.TableInBatchGetRowItem("t", [KEY, [("gid", 10), ("uid", "x")]], None, None, 1))
    found = (await client.batch_get_row(reading)).get_result_by_table("t")
    assert [row.row.attribute_columns[-1][1] for row in found][1] == 10
    low, high = ([("gid", bound), ("uid", bound)] for bound in (ts.INF_MIN, ts.INF_MAX))
    _, following, rows, _ = await client.get_range("t", "FORWARD", low, high, max_version=1)
    assert (following, len(rows)) == (None, 11)
    await client.delete_row("t", KEY)
    assert (await client.get_row("t", KEY, max_version=1))[1] is None


async def test_a_json_operation(connect: Callable[..., AsyncOTSClient]) -> None:
    """What the emulator does not know among the JSON operations is refused like any other."""
    client = connect()
    with pytest.raises(ts.OTSServiceError) as caught:
        await client._vectors_request_helper("GetMemory", {"a": 1})
    assert caught.value.get_error_code() == "OTSParameterInvalid"


# --- the decisions of the other client -----------------------------------------------------------------------

FAULTS: list[dict[str, Any]] = [
    {"kind": "error", "code": "OTSServerBusy", "status": 503},
    {"kind": "error", "code": "OTSRowOperationConflict", "status": 409},
    {"kind": "error", "code": "OTSInternalServerError", "status": 500},
    {"kind": "error", "code": "OTSParameterInvalid", "status": 400},
    {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>"},
    {"kind": "reset_before"},
    {"kind": "reset_after"},
    {"kind": "truncate"},
    {"kind": "corrupt_signature"},
    {"kind": "corrupt_md5"},
    {"kind": "skew", "seconds": 1200},
]


def _told(error: BaseException | None) -> tuple[Any, ...]:
    if error is None:
        return ()
    assert isinstance(error, RequestError)
    return type(error).__name__, error.code, error.may_have_happened, error.attempts, error.operation


@pytest.mark.parametrize("policy", ["default", "write", "none"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.get("code", fault["kind"]))
async def test_the_same_decisions(
    emulator: Emulator, connect: Callable[..., AsyncOTSClient], fault: dict[str, Any], policy: str
) -> None:
    """After the same two faults both clients have sent as many requests, and end with the same result or error."""
    retry = {"policy": policy, "max_delay": 0.001}
    ours = connect(retry=retry)
    keys = (emulator.access_key_id, emulator.access_key_secret, emulator.instance_name)
    with OTSClient(emulator.endpoint, *keys, retry=retry) as theirs:
        increment = ts.Row(KEY, {"INCREMENT": [("c", 1)]})
        for name, arguments in (("PutRow", (ROW,)), ("UpdateRow", (increment, None)), ("GetRow", (KEY, None, None, 1))):
            method = {"PutRow": "put_row", "UpdateRow": "update_row", "GetRow": "get_row"}[name]
            seen = []
            for client in (theirs, ours):
                emulator.clear_faults()
                emulator.clear_log()
                emulator.fault(operation=name, count=2, **fault)
                failure: BaseException | None = None
                try:
                    if client is ours:
                        await getattr(ours, method)("t", *arguments)
                    else:
                        await asyncio.to_thread(getattr(theirs, method), "t", *arguments)
                except ts.OTSServiceError as error:
                    failure = error
                except ts.OTSClientError as error:
                    failure = error
                seen.append((_told(failure), [(entry["status"], entry["applied"]) for entry in emulator.log()]))
            assert seen[0] == seen[1], name


async def test_failed_rows_are_sent_again(emulator: Emulator, connect: Callable[..., AsyncOTSClient]) -> None:
    """Rows of a batch that were refused are sent again."""
    client = connect(retry_policy=NoDelayRetryPolicy())
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.5, count=3)
    request = ts.BatchWriteRowRequest()
    items = [ts.PutRowItem(ts.Row([("gid", n), ("uid", "x")], [("n", n)]), None) for n in range(30)]
    request.add(ts.TableInBatchWriteRowItem("t", items))
    assert (await client.batch_write_row(request)).is_all_succeed()
    assert len(emulator.log()) == 4


async def test_retries_wait_without_blocking(emulator: Emulator, connect: Callable[..., AsyncOTSClient]) -> None:
    """While one call waits to be tried again, others go on."""
    client = connect()
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", status=503)
    blocked = asyncio.create_task(client.put_row("t", ROW))
    while not emulator.log():
        await client.list_table()
    for _ in range(20):
        await client.get_row("t", KEY, max_version=1)
    assert not blocked.done()
    emulator.clear_faults()
    await blocked


async def test_the_deadline_bounds_a_call(emulator: Emulator, connect: Callable[..., AsyncOTSClient]) -> None:
    """A call against a server that only delays ends with its deadline."""
    emulator.fault(operation="GetRow", kind="delay", seconds=30)
    client = connect(deadline=0.4)
    async with asyncio.timeout(20):
        with pytest.raises(ResponseLost) as caught:
            await client.get_row("t", KEY, max_version=1)
    assert not caught.value.may_have_happened


# --- connections ---------------------------------------------------------------------------------------------


async def test_more_tasks_than_connections(emulator: Emulator, connect: Callable[..., AsyncOTSClient]) -> None:
    """Tasks wait for a free connection; no more are opened than allowed, and they are kept."""
    client = connect(max_connection=3)
    await asyncio.gather(*(client.put_row("t", ts.Row([("gid", n), ("uid", "u")], [("n", n)])) for n in range(60)))
    assert len(emulator.log()) == 60
    pool = client.connection._latest
    assert pool is not None
    assert len(pool.session.connector._conns) == 1
    assert sum(map(len, pool.session.connector._conns.values())) <= 3


async def test_a_full_pool_is_told(emulator: Emulator, connect: Callable[..., AsyncOTSClient]) -> None:
    """A task that finds no free connection in time is told so, and nothing was sent."""
    client = connect(max_connection=1, socket_timeout=(0.2, 30), retry_policy=NoRetryPolicy())
    emulator.fault(operation="GetRow", kind="delay", seconds=2, count=1)
    slow = asyncio.create_task(client.get_row("t", KEY, max_version=1))
    await asyncio.sleep(0)  # which takes the only connection
    with pytest.raises(ConnectFailed, match="all 1 connections"):
        await client.put_row("t", ROW)
    await slow


async def test_cancellation_leaves_a_working_client(emulator: Emulator, connect: Callable[..., AsyncOTSClient]) -> None:
    """Calls that are cancelled, while they wait for an answer or for a connection, give everything back."""
    client = connect(max_connection=2)
    emulator.fault(operation="GetRow", kind="delay", seconds=30)
    tasks = [asyncio.create_task(client.get_row("t", KEY, max_version=1)) for _ in range(10)]
    pool = None
    while pool is None or not pool.slots.locked():
        await asyncio.sleep(0.01)
        pool = client.connection._latest
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert not pool.slots.locked()
    emulator.clear_faults()
    await asyncio.gather(*(client.put_row("t", ROW) for _ in range(10)))


async def test_a_cancelled_call_is_not_sent_again(emulator: Emulator, connect: Callable[..., AsyncOTSClient]) -> None:
    """A call that is cancelled while it waits to be tried again is over."""
    client = connect()
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


async def test_idle_connections_that_the_server_closed(connect: Callable[..., AsyncOTSClient]) -> None:
    """A write on a connection that the server has closed meanwhile goes out on a new one."""
    with Emulator() as first:
        client = connect(endpoint=first.endpoint, retry_policy=NoRetryPolicy())
        await client.create_table(META, ts.TableOptions(), FREE)
        port = first.port
    with Emulator(port=port):
        await client.create_table(META, ts.TableOptions(), FREE)
        await client.put_row("t", ROW)


async def test_a_closed_client_says_so(connect: Callable[..., AsyncOTSClient]) -> None:
    """A closed client sends nothing more."""
    client = connect()
    await client.put_row("t", ROW)
    await client.close()
    with pytest.raises(RequestInvalid, match="closed") as caught:
        await client.put_row("t", ROW)
    assert isinstance(caught.value, ts.OTSClientError)


async def test_one_client_in_two_event_loops(connect: Callable[..., AsyncOTSClient]) -> None:
    """A client serves each event loop with connections of its own, and closes all of them."""
    client = connect()
    await client.put_row("t", ROW)
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    try:
        there = asyncio.run_coroutine_threadsafe(client.get_row("t", KEY, max_version=1), other)
        assert (await asyncio.wrap_future(there))[1].primary_key == KEY
        await client.put_row("t", ROW)
        assert len(client.connection._pools) == 2
        sessions = [pool.session for pool in client.connection._pools.values()]
        await client.close()
        assert all(session.closed for session in sessions)
    finally:
        other.call_soon_threadsafe(other.stop)
        thread.join()
        other.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_event_loop_that_is_gone(connect: Callable[..., AsyncOTSClient]) -> None:
    """A loop that ended takes its connections with it; the client goes on in the next one."""
    client = connect()
    for _ in range(3):
        row = (await asyncio.to_thread(asyncio.run, client.get_row("t", KEY, max_version=1)))[1]
        assert row is None
    await client.put_row("t", ROW)
    assert len(client.connection._pools) == 1
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


# --- credentials ---------------------------------------------------------------------------------------------


class SlowProvider:
    """Takes its time on whatever thread it is called."""

    def __init__(self, emulator: Emulator) -> None:
        self.threads: set[int] = set()
        self.release = threading.Event()
        self._key = (emulator.access_key_id, emulator.access_key_secret)

    def get_credentials(self) -> Credentials:
        """Return the emulator's key once the test says so."""
        self.threads.add(threading.get_ident())
        assert self.release.wait(20)
        return Credentials(*self._key, source="slow")


async def test_a_slow_provider_does_not_block(emulator: Emulator, connect: Callable[..., AsyncOTSClient]) -> None:
    """A provider that blocks is asked in another thread, and the event loop goes on meanwhile."""
    provider = SlowProvider(emulator)
    client = connect(credentials_provider=provider, access_key_id=None, access_key_secret=None)
    task = asyncio.create_task(client.put_row("t", ROW))
    while not provider.threads:  # noqa: ASYNC110 - of another thread
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    provider.release.set()
    await task
    assert threading.get_ident() not in provider.threads


async def test_a_provider_that_never_answers(emulator: Emulator, connect: Callable[..., AsyncOTSClient]) -> None:
    """A call ends with its deadline, whatever its provider does."""
    provider = SlowProvider(emulator)
    client = connect(credentials_provider=provider, access_key_id=None, access_key_secret=None, deadline=0.2)
    with pytest.raises(CredentialsRefused, match="no answer within"):
        await client.put_row("t", ROW)
    provider.release.set()


async def test_create_async_client(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client is made of the environment, and tells in one line what it is connected to, as whom."""
    emulator.reset()
    monkeypatch.setenv("OTS_ENDPOINT", emulator.endpoint)
    monkeypatch.setenv("OTS_INSTANCE_NAME", emulator.instance_name)
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", emulator.access_key_id)
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", emulator.access_key_secret)
    caplog.set_level(logging.INFO, "ots_config")
    async with create_async_client() as client:
        assert await client.list_table() == ()
        assert await client.list_table() == ()
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert len(told) == 1
    assert emulator.endpoint in told[0]
    assert emulator.access_key_secret not in told[0]


async def test_without_credentials(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that has no credentials fails where its ``async with`` block begins."""
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
    client = create_async_client(
        endpoint=emulator.endpoint, instance_name=emulator.instance_name, credentials="environment"
    )
    with pytest.raises(CredentialsRefused) as caught:
        async with client:
            pytest.fail("it has no credentials")
    assert isinstance(caught.value, ts.OTSClientError)
    await client.close()


async def test_a_wrong_secret_is_sent_once(emulator: Emulator, connect: Callable[..., AsyncOTSClient]) -> None:
    """A key that stays wrong is no loop."""
    client = connect(access_key_secret="W-R-O-N-G")
    with pytest.raises(AuthenticationFailed) as caught:
        await client.put_row("t", ROW)
    assert len(emulator.log()) == 1
    assert "W-R-O-N-G" not in str(caught.value)


async def test_a_throttle_is_an_official_error(emulator: Emulator, connect: Callable[..., AsyncOTSClient]) -> None:
    """``except OTSServiceError`` keeps working."""
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", status=503)
    with pytest.raises(ts.OTSServiceError) as caught:
        await connect(retry_policy=NoRetryPolicy()).put_row("t", ROW)
    assert isinstance(caught.value, Throttled)
