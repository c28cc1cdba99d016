"""A pytest plugin: an emulator for the session, and clients with an empty instance for each test.

It is loaded by itself where the package is installed; ``pytest -p no:ots_config`` leaves it out. A test asks for what
it needs::

    def test_a_row_comes_back(ots_client):
        ots_client.create_table(...)

    def test_a_throttled_write_is_repeated(ots_client, ots_emulator, no_sleep):
        ots_emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", count=2)
        ots_client.put_row(...)

    def test_the_application(ots_environment):
        application.main()  # create_client() inside of it reaches the emulator

Nothing heavy is imported before a test asks for a fixture. ``ProviderContract`` and ``RetryPolicyContract`` are bases
of test classes for providers and policies of one's own.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from ots_config.testing.clock import ManualClock
from ots_config.testing.sleep import no_sleep

if TYPE_CHECKING:
    from ots_config.client.async_client import AsyncOTSClient
    from ots_config.client.sync_client import OTSClient
    from ots_config.emulator import Emulator
    from ots_config.settings import OTSSettings
    from ots_config.testing.contracts import ProviderContract, RetryPolicyContract

try:
    from pytest_asyncio import fixture as asyncio_fixture
except ImportError:
    asyncio_fixture = None  # type: ignore[assignment]

__all__ = ["ManualClock", "ProviderContract", "RetryPolicyContract", "no_sleep"]

_FAMILIES = ("OTS_", "ALIBABA_CLOUD_", "ALIBABACLOUD_", "ALICLOUD_")
_instances = count(1)


def __getattr__(name: str) -> Any:
    """Import a contract when it is used; there is no ``__dir__``, as pytest would import what it lists."""
    if name in {"ProviderContract", "RetryPolicyContract"}:
        from ots_config.testing import contracts

        return getattr(contracts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@pytest.fixture(scope="session")
def ots_emulator() -> Iterator[Emulator]:
    """An emulator on a free port of this machine, running until the session ends; each worker of xdist has its own.

    ``fault``, ``log``, ``revoke`` and the like order what a test wants to see survived.
    """
    from ots_config.emulator import Emulator

    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def ots_settings(ots_emulator: Emulator) -> Iterator[OTSSettings]:
    """Settings of an instance of the test's own, empty at the start and gone at the end of the test.

    Faults that the test ordered, and orders to the STS, are lifted when it ends.
    """
    instance = f"test-{next(_instances)}"
    ots_emulator.add_instance(instance)
    try:
        yield ots_emulator.settings_for(instance)
    finally:
        ots_emulator.clear_faults()
        ots_emulator.sts()
        ots_emulator.drop_instance(instance)


@pytest.fixture
def ots_client(ots_settings: OTSSettings) -> Iterator[OTSClient]:
    """A client of the emulator with an instance of its own, that of ``ots_settings``."""
    from ots_config.client.sync_client import OTSClient

    # Not create_client: what the environment names besides is not the test's affair.
    with OTSClient(settings=ots_settings) as client:
        yield client


def _async_client(settings: OTSSettings) -> AsyncOTSClient:
    from ots_config.client.async_client import AsyncOTSClient

    return AsyncOTSClient(settings=settings)


if asyncio_fixture is not None:

    @asyncio_fixture(name="ots_async_client")
    async def _entered_client(ots_settings: OTSSettings) -> AsyncIterator[AsyncOTSClient]:
        """An asyncio client of the emulator with an instance of its own, that of ``ots_settings``."""
        async with _async_client(ots_settings) as client:
            yield client

else:

    @pytest.fixture(name="ots_async_client")
    def _client_to_enter(ots_settings: OTSSettings) -> AsyncOTSClient:
        """An asyncio client with an instance of its own; without pytest-asyncio, enter it: ``async with``."""
        return _async_client(ots_settings)


@pytest.fixture
def ots_environment(
    ots_emulator: Emulator, ots_settings: OTSSettings, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Set the environment so that ``create_client()`` in an application under test reaches the emulator.

    Variables that would lead it elsewhere are unset. The instance is that of ``ots_settings``, so ``ots_client`` sees
    what the application wrote.
    """
    for name in list(os.environ):
        if name.upper().startswith(_FAMILIES):
            monkeypatch.delenv(name)
    variables = ots_emulator.environment_for(ots_settings.instance_name)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, ",".join(filter(None, (os.environ.get(name), "127.0.0.1"))))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture(name="no_sleep")
def _no_sleep() -> Iterator[list[float]]:
    """Let no client wait between attempts; the value is the list of delays that it left out."""
    with no_sleep() as delays:
        yield delays
