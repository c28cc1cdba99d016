"""An emulator with tables, and clients of it that are closed after the test."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from ots_config import AsyncOTSClient, Emulator, OTSClient
from tests.client.tables import KEY_COLUMNS, create_table


@pytest.fixture
def tables() -> dict[str, list[tuple[str, ...]]]:
    """Return the tables that there are, with the columns of their keys; a folder or module may have others."""
    return {"t": KEY_COLUMNS}


@pytest.fixture
def emulator(running: Emulator, tables: dict[str, list[tuple[str, ...]]]) -> Emulator:
    """Return the module's emulator with empty tables, without faults and log."""
    running.reset()
    with OTSClient(settings=running.settings) as client:
        for name, key in tables.items():
            create_table(client, name, key)
    running.clear_log()
    return running


def arguments(emulator: Emulator) -> dict[str, Any]:
    """Return what a client of the emulator needs."""
    return {
        "endpoint": emulator.endpoint,
        "access_key_id": emulator.access_key_id,
        "access_key_secret": emulator.access_key_secret,
        "instance_name": emulator.instance_name,
    }


@pytest.fixture
def connect(emulator: Emulator) -> Iterator[Callable[..., OTSClient]]:
    """Make clients."""
    made: list[OTSClient] = []

    def make(**options: Any) -> OTSClient:
        made.append(OTSClient(**{**arguments(emulator), **options}))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest_asyncio.fixture
async def connect_async(emulator: Emulator) -> AsyncIterator[Callable[..., AsyncOTSClient]]:
    """Make clients for asyncio."""
    made: list[AsyncOTSClient] = []

    def make(**options: Any) -> AsyncOTSClient:
        made.append(AsyncOTSClient(**{**arguments(emulator), **options}))
        return made[-1]

    yield make
    for client in made:
        await client.close()
