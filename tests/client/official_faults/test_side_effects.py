"""What the official client prints, logs and leaves behind."""

import logging
import re
import subprocess
import sys
from typing import Any

import pytest

from ots_config import Emulator, OTSClient
from ots_config.sdk import tablestore as ts
from tests.client.errors import error_of
from tests.client.official_faults.comparison import KEY, NATIVE, ROW, SEEN, Make


def run_python(code: str) -> tuple[str, str]:
    """Return what a fresh interpreter prints, to both streams."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout, done.stderr


def test_importing_is_silent_and_light() -> None:
    """Importing the client prints nothing, and importing the package loads nothing heavy."""
    assert run_python("from ots_config import OTSClient, AsyncOTSClient") == ("", "")
    heavy = "{'aiohttp', 'numpy', 'flatbuffers', 'tablestore', 'pydantic', 'requests'}"
    assert run_python(f"import sys, ots_config; print(sys.modules.keys() & {heavy})") == ("set()\n", "")
    if SEEN and not NATIVE:
        assert "Native" in run_python("import tablestore")[1]


def test_nothing_is_formatted_that_nobody_reads(ours: Make, official: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """With logging as it comes, no text of a request is made."""
    made: list[Any] = []
    formatter = sys.modules["tablestore.protocol"].text_format  # type: ignore[attr-defined]
    monkeypatch.setattr(formatter, "MessageToString", lambda message, **_: made.append(message) or "")
    ours().put_row("t", ROW)
    assert made == []
    if SEEN:
        official(enable_native=False).put_row("t", ROW)
        assert len(made) == 1


def test_logs_hold_no_secrets_and_no_errors_that_were_recovered(
    emulator: Emulator, ours: Make, official: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG there is neither token nor signature, and an attempt that is tried again is no ERROR."""
    caplog.set_level(logging.DEBUG)
    key = emulator.issue_key()
    named = {"access_key_id": key["AccessKeyId"], "access_key_secret": key["AccessKeySecret"]}
    named |= {"sts_token": key["SecurityToken"], "logger_name": "official-faults"}
    logging.getLogger("official-faults").setLevel(logging.DEBUG)

    def observe(make: Make) -> tuple[bool, bool, int]:
        caplog.clear()
        emulator.fault(operation="ListTable", kind="error", code="OTSServerBusy", count=1)
        assert make(**named).list_table() == ("t",)
        text = "\n".join(record.getMessage() for record in caplog.records)
        errors = sum(record.levelno >= logging.ERROR for record in caplog.records)
        return key["SecurityToken"] in text, re.search(r"signature'?:", text) is not None, errors

    try:
        assert observe(ours) == (False, False, 0)
        assert len(caplog.records) >= 2
        if SEEN:
            assert observe(official) == (True, True, 1)
    finally:
        logging.getLogger("official-faults").setLevel(logging.NOTSET)


def handlers_of_loggers() -> int:
    """Return how many handlers all loggers have together."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    return sum(len(logger.handlers) for logger in loggers)


def test_clients_leave_no_handlers(ours: Make, official: Make) -> None:
    """A hundred clients add no handler to any logger."""
    before = handlers_of_loggers()
    for _ in range(100):
        ours()
    assert handlers_of_loggers() == before
    if SEEN:
        for _ in range(100):
            official()
        assert handlers_of_loggers() == before + 100


def test_a_client_can_be_closed(emulator: Emulator) -> None:
    """A client closes its connections at the end of its ``with`` block, and every type of value is decoded."""
    with OTSClient(settings=emulator.settings) as client:
        columns = [("i", 1), ("d", 0.5), ("s", "水"), ("b", bytearray(b"\xff")), ("t", False)]
        client.put_row("t", ts.Row(KEY, columns))
        found = client.get_row("t", KEY, max_version=1)[1].attribute_columns
        assert sorted((name, value) for name, value, _ in found) == sorted(columns)
        pool = next(iter(client.connection.session.adapters.values()))._pool
        kept = list(pool._idle)
        assert kept
    assert all(connection._stream is None for connection in kept)
    assert isinstance(error_of(client.list_table), ts.OTSClientError)
    if SEEN:
        assert not hasattr(ts.OTSClient, "close")
        assert not hasattr(ts.OTSClient, "__exit__")
