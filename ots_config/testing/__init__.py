"""A pytest plugin: an emulator for the session, and a client with an empty instance for each test.

It is loaded by itself where the package is installed; ``pytest -p no:ots_config`` leaves it out. A test asks for what
it needs::

    def test_a_row_comes_back(ots_client):
        ots_client.create_table(...)

    def test_a_throttled_write_is_repeated(ots_client, ots_emulator):
        ots_emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", count=2)
        ots_client.put_row(...)

Nothing heavy is imported before a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ots_config.client.sync_client import OTSClient
    from ots_config.emulator import Emulator

_instances = count(1)


@pytest.fixture(scope="session")
def ots_emulator() -> Iterator[Emulator]:
    """An emulator on a free port of this machine, running until the session ends.

    ``ots_emulator.settings`` are settings for its instance; ``fault``, ``log``, ``revoke`` and the like order what a
    test wants to see survived.
    """
    from ots_config.emulator import Emulator

    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def ots_client(ots_emulator: Emulator) -> Iterator[OTSClient]:
    """A client of the emulator with an instance of its own, empty at the start and gone at the end of the test.

    Faults that the test ordered, and orders to the STS, are lifted when it ends.
    """
    from ots_config.factory import create_client

    instance = f"test-{next(_instances)}"
    ots_emulator.add_instance(instance)
    try:
        with create_client(settings=ots_emulator.settings_for(instance)) as client:
            yield client
    finally:
        ots_emulator.clear_faults()
        ots_emulator.sts()
        ots_emulator.drop_instance(instance)
