"""``health()`` reports that the service refuses the current keys, and repeated failures fill no log."""

from __future__ import annotations

import asyncio
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_credentials.client import Client
from alibabacloud_credentials.models import Config

from ots_config import Emulator, create_async_client, create_client
from ots_config.credentials.chain import ChainProvider
from ots_config.credentials.credentials import Credentials
from ots_config.credentials.expiry import State
from ots_config.credentials.health import RefusalRecord
from ots_config.credentials.providers.environment import EnvironmentProvider
from ots_config.credentials.providers.static import StaticProvider
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.errors import CredentialsRefused, ServiceError
from ots_config.sdk import tablestore

KEYS = Credentials("LTAI5tExampleKey", "S3cr3tM4rk", source="a test")
AGAIN = "was asked again and returned the same key"


def refreshing(source: Any, **options: Any) -> RefreshingProvider:
    """Wrap a scripted source, on its clock."""
    return RefreshingProvider(source, clock=source.clock, wall=source.clock.wall, **options)


def same_again(source: Any) -> Credentials:
    """Have the source return the same keys whenever it is asked; return them."""
    keys: Credentials = source.fetch_credentials()
    source.fetch_credentials = lambda: keys
    return keys


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the messages of level ERROR of the credentials' logger."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.ERROR and record.name == "ots_config.credentials"
    ]


@pytest.mark.parametrize("in_tasks", [False, True])
def test_a_source_that_returns_the_refused_key(scripted: Any, caplog: Any, mark: str, in_tasks: bool) -> None:
    """Health counts the refusals and says that the source was asked again; other keys end it."""
    source = scripted(lifetime=None, instant=True)
    keys = same_again(source)
    provider = refreshing(source)
    assert provider.get_credentials() is keys
    assert (provider.health().refused, provider.health().refusals) == (False, 0)
    for _ in range(45):
        if in_tasks:
            asyncio.run(provider.force_refresh_async(keys))
        else:
            provider.force_refresh(keys)
    health = provider.health()
    assert (health.state, health.refused, health.refusals) == (State.FRESH, True, 45)
    assert AGAIN in str(health.last_error)
    assert len(errors(caplog)) == 1
    assert mark not in caplog.text + str(health)
    source.clock.advance(60)
    source.fetch_credentials = lambda: KEYS
    assert provider.force_refresh(keys) == KEYS
    assert (provider.health().refused, provider.health().last_error) == (False, None)


def test_refusals_are_forgotten_after_a_while(scripted: Any, clock: Any) -> None:
    """A key that has not been refused for five minutes counts as accepted again."""
    source = scripted(lifetime=None, instant=True)
    keys = same_again(source)
    provider = refreshing(source)
    provider.force_refresh(provider.get_credentials())
    clock.advance(299)
    assert provider.health().refused
    clock.advance(2)
    assert not provider.health().refused
    assert provider.get_credentials() is keys


def test_a_source_that_fails_when_it_is_asked_again(scripted: Any) -> None:
    """If the source cannot be asked, the last error is the source's own."""
    source = scripted(lifetime=None, instant=True)
    provider = refreshing(source)
    keys = provider.get_credentials()
    source.failure = CredentialsRefused("the source is down")
    assert provider.force_refresh(keys) is keys
    health = provider.health()
    assert (health.refused, health.last_error) == (True, "the source is down")


def test_the_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """Keys in variables are reported too, alone and in a chain, until the variables change."""
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", "LTAI5tExampleKey")
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "S3cr3tM4rk")
    for provider in (EnvironmentProvider(), ChainProvider([EnvironmentProvider()])):
        caplog.clear()
        keys = provider.get_credentials()
        assert not provider.health().refused
        for _ in range(3):
            assert provider.force_refresh(keys) is keys
        assert asyncio.run(provider.force_refresh_async(keys)) is keys
        health = provider.health()
        assert (health.refused, health.refusals) == (True, 4)
        assert AGAIN in str(health.last_error)
        assert len(errors(caplog)) == 1
        assert "S3cr3tM4rk" not in caplog.text
        with monkeypatch.context() as other:
            other.setenv("OTS_ACCESS_KEY_ID", "LTAI5tOtherKey")
            assert provider.force_refresh(keys) != keys
            assert not provider.health().refused
    copy = pickle.loads(pickle.dumps(provider))
    assert not copy.health().refused


def test_keys_that_were_given() -> None:
    """Keys given as arguments cannot change: health says that there is no other key."""
    provider = StaticProvider("LTAI5tExampleKey", "S3cr3tM4rk")
    keys = provider.get_credentials()
    assert provider.force_refresh(KEYS.__class__("other", "s")) is keys
    assert not provider.health().refused
    assert provider.force_refresh(keys) is keys
    health = provider.health()
    assert health.refused
    assert str(health.last_error).endswith("has no other key")
    assert StaticProvider.of(KEYS).force_refresh(KEYS) is KEYS


@pytest.fixture(
    params=["argument", "variable", "Alibaba Cloud's variable", "env file", "official", "client", "function"]
)
def arguments(request: Any, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments of a client whose key comes from somewhere and will be revoked."""
    keys = {"access_key_id": "revoked-key", "access_key_secret": "revoked-secret"}
    emulator.add_key(*keys.values())
    arguments: dict[str, Any] = {"endpoint": emulator.endpoint, "instance_name": "demo"}
    match request.param:
        case "argument":
            return arguments | keys
        case "variable" | "Alibaba Cloud's variable":
            prefix = "OTS" if request.param == "variable" else "ALIBABA_CLOUD"
            for name, value in keys.items():
                monkeypatch.setenv(f"{prefix}_{name.upper()}", value)
            return arguments
        case "env file":
            path = Path("named.env")
            path.touch(mode=0o600)
            path.write_text("".join(f"OTS_{name.upper()}={value}\n" for name, value in keys.items()))
            return arguments | {"env_file": str(path)}
        case "official":
            provider = tablestore.credentials.StaticCredentialsProvider(*keys.values())
        case "client":
            provider = Client(Config(type="access_key", **keys))
        case _:
            provider = lambda: tuple(keys.values())  # noqa: E731
    return arguments | {"credentials_provider": provider}


def test_a_key_that_is_revoked(emulator: Emulator, arguments: dict[str, Any]) -> None:
    """A client whose key was revoked reports it, whichever way the key was given."""
    with create_client(**arguments) as client:
        client.list_table()
        assert not client.credentials_provider.health().refused
        emulator.revoke("revoked-key")
        with pytest.raises(ServiceError):
            client.list_table()
        health = client.credentials_provider.health()
    assert (health.refused, health.access_key_id) == (True, "re****")
    assert "the service refused" in str(health.last_error)


@pytest.mark.asyncio
async def test_a_key_that_is_revoked_under_tasks(emulator: Emulator, arguments: dict[str, Any]) -> None:
    """The asynchronous client reports it too."""
    async with create_async_client(**arguments) as client:
        await client.list_table()
        assert not client.credentials_provider.health().refused
        emulator.revoke("revoked-key")
        with pytest.raises(ServiceError):
            await client.list_table()
        health = client.credentials_provider.health()
    assert health.refused
    assert "the service refused" in str(health.last_error)


def test_refusals_are_logged_once_a_minute(caplog: Any) -> None:
    """However often keys are refused, one line a minute says so, with the count; other keys get a line at once."""
    record = RefusalRecord("a provider")
    for tick in range(2500):
        record.refused(KEYS, tick / 20)
    assert [message.rpartition("refusals: ")[2] for message in errors(caplog)] == ["1)", "1201)", "2401)"]
    record.refused(Credentials("another", "s"), 125.1)
    assert len(errors(caplog)) == 4


def test_a_failure_that_comes_and_goes_is_logged_once_a_minute(scripted: Any, clock: Any, caplog: Any) -> None:
    """A source that fails the same way at every other refresh fills no log; another failure is logged at once."""
    source = scripted(lifetime=None, instant=True)
    provider = refreshing(source, max_age=1.0, backoff=(0.1, 0.1))
    provider.get_credentials()

    def fail_and_recover(text: str) -> None:
        for failure in (CredentialsRefused(text), None):
            source.failure = failure
            clock.advance(1.1)
            provider.get_credentials()

    def warnings() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    for _ in range(10):
        fail_and_recover("the source is down")
    assert len(warnings()) == 1
    fail_and_recover("the source is upside down")
    assert len(warnings()) == 2
    clock.advance(60)
    fail_and_recover("the source is down")
    assert len(warnings()) == 3
