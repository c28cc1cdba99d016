"""What the tests of commands share: an environment that leads to the emulator, and a command's result."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from ots_config import Emulator
from ots_config.cli import main


class Done(NamedTuple):
    """A command that has ended: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document that it printed."""
        return json.loads(self.out)


Command = Callable[..., Done]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs a command in this process."""

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Done(code, out, err)

    return run


@pytest.fixture
def reach(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Set the environment so that every command reaches the emulator, and return it."""
    monkeypatch.setenv("OTS_ENDPOINT", emulator.endpoint)
    monkeypatch.setenv("OTS_INSTANCE_NAME", "demo")
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", emulator.access_key_id)
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", emulator.access_key_secret)
    monkeypatch.setenv("OTS_STS_ENDPOINT", emulator.endpoint)
    return emulator
