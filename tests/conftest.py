"""What every test has: an environment without the user's settings, and a home of its own; and how long it may take."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ots_config import Emulator

_FAMILIES = ("OTS_", "ALIBABA_CLOUD_", "ALIBABACLOUD_", "ALICLOUD_", "ACCESS_KEY_", "SECURITY_TOKEN", "OSS_")
_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
_BUDGETS = {
    "tests": 65,
    "tests/cli": 30,
    "tests/proof": 30,
    "tests/testing": 30,
    "tests/client": 75,
    "tests/credentials": 40,
    "tests/emulator": 50,
    "tests/plainbuffer": 10,
    "tests/request": 25,
    "tests/settings": 30,
}
"""Seconds that the tests of a folder may take in sum: 295, as two workers have 150, start and coverage included."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests of each folder took, beside its budget; it is for the reader, and fails nothing."""
    taken: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                parts = report.nodeid.split("::", maxsplit=1)[0].split("/")
                taken["/".join(parts[: min(2, len(parts) - 1)])] += report.duration
    for folder, seconds in sorted(taken.items()):
        budget = f" of {_BUDGETS[folder]} s" if folder in _BUDGETS else ", no budget"
        terminalreporter.write_line(f"{folder:<17} {seconds:6.1f} s{budget}")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hide settings, keys and proxies of whoever runs the tests; give an empty home and working directory."""
    for name in os.environ:
        if name.upper().startswith(_FAMILIES) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have SIGINT raise ``KeyboardInterrupt``, also where the tests run with it ignored (``make test &``).

    A process that is started meanwhile gets the system's own handling of it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    """One emulator for this module."""
    from ots_config import Emulator

    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    """Return the module's emulator without tables, faults and log."""
    running.reset()
    return running
