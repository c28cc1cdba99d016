"""Official clients beside ours, and a server that responds as a test says."""

import logging
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ots_config import Emulator
from ots_config.sdk import tablestore as ts
from tests.client.official_faults.comparison import FAST, Make
from tests.client.official_faults.impostor import Impostor


@pytest.fixture
def official(emulator: Emulator) -> Iterator[Make]:
    """Make official clients; their connections are closed after the test, and their log handlers taken away."""
    made: list[Any] = []
    handlers = logging.getLogger("tablestore-client").handlers
    before = list(handlers)

    def make(**options: Any) -> Any:
        given = {"end_point": emulator.endpoint, "access_key_id": "testid", "access_key_secret": "testsecret"}
        given |= {"instance_name": "demo", "retry_policy": ts.NoDelayRetryPolicy()}
        client = ts.OTSClient(**{**given, **options})
        made.append(client)
        return client

    yield make
    for client in made:
        client.connection.pool.clear()
    handlers[:] = before


@pytest.fixture
def impostor() -> Iterator[Impostor]:
    """A server that answers as a test says."""
    server = Impostor()
    yield server
    server.close()


@pytest.fixture
def ours(connect: Make) -> Make:
    """Make clients of ours; they are closed after the test."""
    return partial(connect, retry_policy=FAST)
