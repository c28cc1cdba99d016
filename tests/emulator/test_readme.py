"""The page about the emulator names everything that it has, and its examples run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import ots_config.emulator
from ots_config.emulator.cloud.sts import ACTIONS
from ots_config.emulator.faults import KINDS, SERVICES
from ots_config.emulator.request_log import LogEntry
from ots_config.emulator.server import EmulatorServer
from ots_config.emulator.tablestore.service import IMPLEMENTED

README = Path(ots_config.emulator.__file__).with_name("README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_example_in_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The first block runs as it stands, and shows an instance without tables."""
    exec(compile(BLOCKS[0], "README.md", "exec"), {})  # noqa: S102  it is this project's own page
    assert capsys.readouterr().out == "()\n"


def test_the_example_for_pytest_passes(tmp_path: Path) -> None:
    """The test file that it shows passes in a project that has nothing but this package."""
    assert BLOCKS[1].startswith("# test_orders.py\n")
    (tmp_path / "test_orders.py").write_text(BLOCKS[1], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_every_operation_is_named() -> None:
    """Every operation and every action of the STS is named."""
    for name in (*IMPLEMENTED, *ACTIONS):
        assert re.search(rf"\b{name}\b", README), name


def test_every_fault_is_told_with_what_it_takes() -> None:
    """There is a row for each kind, which names its fields and no others."""
    rows = {
        row[0].strip("`"): row[1] for row in re.findall(r"^\| (`[a-z_0-9]+`) \|([^|]*)\|[^|]*\|$", README, re.MULTILINE)
    }
    assert {kind: set(re.findall(r"`(\w+)`", rows[kind])) for kind in KINDS} == {
        kind: {*required, *optional} for kind, (required, optional) in KINDS.items()
    }
    for name in SERVICES:
        assert f"`{name}`" in README


def test_the_control_surface_is_told() -> None:
    """Each of its paths is there, and each field of an entry of the log."""
    for name in EmulatorServer()._control._actions:
        assert f"/_emulator/{name}`" in README
    for field in LogEntry._fields:
        assert f"`{field}`" in README


def test_every_option_of_the_command_is_one() -> None:
    """An option that the page names is known to the command line."""
    shown = subprocess.run(
        [sys.executable, "-m", "ots_config", "emulator", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    for option in set(re.findall(r"--[a-z][a-z-]+", README)):
        assert option in shown, option
