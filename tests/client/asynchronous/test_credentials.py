"""``AsyncOTSClient`` and its credentials: no provider blocks the event loop, and wrong keys are one error."""

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from ots_config import (
    AsyncOTSClient,
    AuthenticationFailed,
    Credentials,
    CredentialsRefused,
    Emulator,
    NoRetryPolicy,
    Throttled,
    create_async_client,
)
from ots_config.sdk import tablestore as ts
from tests.client.tables import ROW

pytestmark = pytest.mark.asyncio


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


async def test_a_slow_provider_does_not_block(emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]) -> None:
    """A provider that blocks is asked in another thread, and the event loop goes on meanwhile."""
    provider = SlowProvider(emulator)
    client = connect_async(credentials_provider=provider, access_key_id=None, access_key_secret=None)
    task = asyncio.create_task(client.put_row("t", ROW))
    while not provider.threads:  # noqa: ASYNC110 - of another thread
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    provider.release.set()
    await task
    assert threading.get_ident() not in provider.threads


async def test_a_provider_that_never_answers(emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]) -> None:
    """A call ends with its deadline, whatever its provider does."""
    provider = SlowProvider(emulator)
    client = connect_async(credentials_provider=provider, access_key_id=None, access_key_secret=None, deadline=0.2)
    with pytest.raises(CredentialsRefused, match="no answer within"):
        await client.put_row("t", ROW)
    provider.release.set()


async def test_create_async_client(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client is made of the environment, and logs in one line what it is connected to, as whom."""
    emulator.reset()
    monkeypatch.setenv("OTS_ENDPOINT", emulator.endpoint)
    monkeypatch.setenv("OTS_INSTANCE_NAME", emulator.instance_name)
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", emulator.access_key_id)
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", emulator.access_key_secret)
    caplog.set_level(logging.INFO, "ots_config")
    async with create_async_client() as client:
        assert await client.list_table() == ()
        assert await client.list_table() == ()
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert len(lines) == 1
    assert emulator.endpoint in lines[0]
    assert emulator.access_key_secret not in lines[0]


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


async def test_a_wrong_secret_is_sent_once(emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]) -> None:
    """A key that stays wrong is no loop."""
    client = connect_async(access_key_secret="W-R-O-N-G")
    with pytest.raises(AuthenticationFailed) as caught:
        await client.put_row("t", ROW)
    assert len(emulator.log()) == 1
    assert "W-R-O-N-G" not in str(caught.value)


async def test_a_throttle_is_an_official_error(
    emulator: Emulator, connect_async: Callable[..., AsyncOTSClient]
) -> None:
    """``except OTSServiceError`` keeps working."""
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", status=503)
    with pytest.raises(ts.OTSServiceError) as caught:
        await connect_async(retry_policy=NoRetryPolicy()).put_row("t", ROW)
    assert isinstance(caught.value, Throttled)
