"""How many calls of Python functions the frequent paths make: a count that no load of the machine changes."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from ots_config import DefaultRetryPolicy, OTSClient, OTSSettings, create_client
from ots_config.emulator import Emulator
from ots_config.sdk import tablestore

MAX_WARM_ROW = 85
MAX_FAILED_ATTEMPT = 172
MAX_CREATE_CLIENT = 845
MAX_CREATE_CLIENT_OF_SETTINGS = 525


def python_calls(function: Callable[[], object]) -> Counter[str]:
    """Return how often each Python function was called in this thread."""
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls[f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"] += 1

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator with a table."""
    with Emulator() as running:
        client = OTSClient(settings=running.settings)
        client.create_table(
            tablestore.TableMeta("t", [("k", "STRING")]),
            tablestore.TableOptions(),
            tablestore.ReservedThroughput(tablestore.CapacityUnit(0, 0)),
        )
        client.close()
        yield running


@pytest.fixture
def put(emulator: Emulator) -> Iterator[Callable[[], object]]:
    """Write a row through a client that is warm."""
    row = tablestore.Row([("k", "a")], [("v", "x")])
    with OTSClient(settings=emulator.settings, retry_policy=DefaultRetryPolicy(max_retry_delay=0.0)) as client:

        def put() -> object:
            return client.put_row("t", row)

        for _ in range(3):
            put()
        yield put


def least(
    measure: Callable[[], Counter[str]], capsys: pytest.CaptureFixture[str], what: str, bound: int
) -> Counter[str]:
    """Return and print the calls of the shortest of a few runs, as one may cross a second or wait for a connection."""
    calls = min((measure() for _ in range(5)), key=Counter.total)
    with capsys.disabled():
        print(f"\n{what}: {calls.total()} Python calls (at most {bound})")  # noqa: T201 - this is what it is for
    return calls


def test_a_warm_row_takes_few_calls(put: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> None:
    """From ``put_row`` to the socket and back there are no more Python calls than the bound."""
    calls = least(lambda: python_calls(put), capsys, "a warm row", MAX_WARM_ROW)
    assert calls["ots_config.request.connection.Connection.exchange"] == 1
    assert calls.total() <= MAX_WARM_ROW, calls


def test_a_failed_attempt_takes_few_calls(
    emulator: Emulator, put: Callable[[], object], capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that is throttled once and sent again takes no more Python calls than the bound."""

    def failing() -> Counter[str]:
        emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", count=1)
        return python_calls(put)

    calls = least(failing, capsys, "a row with a failed attempt", MAX_FAILED_ATTEMPT)
    assert calls["ots_config.request.connection.Connection.exchange"] == 2
    assert calls.total() <= MAX_FAILED_ATTEMPT, calls


@pytest.fixture
def small_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave the variables of an instance and little else: each variable is a few calls."""
    own = {"PATH": "/bin", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    keys = {"OTS_ACCESS_KEY_ID": "LTAI5tAbCdEfGh123456", "OTS_ACCESS_KEY_SECRET": "secretsecret"}
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in {**own, **keys, "OTS_ENDPOINT": "http://127.0.0.1:8087", "OTS_INSTANCE_NAME": "demo"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("small_environment")
@pytest.mark.parametrize("source", ["environment", "settings"])
def test_a_client_takes_few_calls(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A client from the environment, or from finished settings, takes no more Python calls than the bound."""
    given = {} if source == "environment" else {"settings": OTSSettings()}
    bound = MAX_CREATE_CLIENT_OF_SETTINGS if given else MAX_CREATE_CLIENT
    clients: list[OTSClient] = []

    def create() -> None:
        clients.append(create_client(**given))

    create()
    calls = least(lambda: python_calls(create), capsys, f"create_client from {source}", bound)
    for client in clients:
        client.close()
    assert calls["ots_config.factory.create_client"] == 1
    assert calls.total() <= bound, calls


def test_success_loads_no_retries(put: Callable[[], object]) -> None:
    """A call that succeeds asks neither a policy nor the table, and formats no text for a log."""
    asked = [
        name for name in python_calls(put) if "retry" in name or name.startswith(("tenacity", "logging.LogRecord"))
    ]
    assert asked == []
