"""Commands on a real terminal of 80 and 50 columns, with and without rich, and with an output that fails."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from ots_config import Emulator

COMMAND = [sys.executable, "-m", "ots_config"]
SEVERAL = """
import sys
if sys.argv[1] == "plain":
    sys.modules["rich"] = None
from ots_config.cli import main
commands = ("settings --all", "settings", "credentials", "whoami", "check", "doctor", "ping --count 2")
sys.exit(max(main(command.split()) for command in commands))
"""
LONG = {"OTS_ROLE_POLICY": '{"Version":"1","Statement":[{"Effect":"Allow","Action":["ots:*"],"Resource":["*"]}]}'}
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX's")


def on_terminal(columns: int, *arguments: str, rich: bool = True, **variables: str) -> tuple[int, str]:
    """Run a command, or several, on a terminal of its own; return the exit code and what appeared on it."""
    ours, theirs = pty.openpty()
    program = COMMAND if arguments else [sys.executable, "-c", SEVERAL, "rich" if rich else "plain"]
    process = subprocess.Popen(
        [*program, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm", **variables}
        | {"COLUMNS": str(columns)},
    )
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the last program on it has ended
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    return process.wait(20), b"".join(parts).decode().replace("\r\n", "\n")


def columns_of(line: str) -> int:
    """Return how many columns a line takes."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in COLOUR.sub("", line))


@pytest.mark.usefixtures("reach")
@pytest.mark.parametrize("rich", [True, False])
@pytest.mark.parametrize("columns", [80, 50])
def test_values_are_complete_within_the_columns(columns: int, rich: bool) -> None:
    """No line is wider than the terminal, and no value is cut: without its line breaks every long value is whole."""
    if rich:
        pytest.importorskip("rich")
    code, text = on_terminal(columns, rich=rich, **LONG)
    assert code == 0, text
    assert "ListTable took" in text
    assert max(map(columns_of, text.splitlines())) <= columns
    assert "…" not in text
    flat = re.sub(r"\s+", "", COLOUR.sub("", text))
    assert flat.count(LONG["OTS_ROLE_POLICY"]) == 2  # with and without --all
    assert ("\x1b[" in text) is rich


@pytest.mark.usefixtures("reach")
def test_colours_can_be_switched_off() -> None:
    """``NO_COLOR`` and a dumb terminal get plain text; a pipe always does."""
    assert "\x1b" not in on_terminal(80, "settings", NO_COLOR="1")[1]
    assert "\x1b" not in on_terminal(80, "settings", TERM="dumb")[1]
    done = subprocess.run([*COMMAND, "settings"], capture_output=True, text=True, check=True, env=environment())
    assert "\x1b" not in done.stdout


def test_a_secret_appears_on_a_terminal_only_when_asked_for(reach: Emulator) -> None:
    """``export`` refuses on a terminal without ``--show``."""
    code, text = on_terminal(80, "export")
    assert (code, reach.access_key_secret in text) == (1, False)
    assert "--show" in text
    assert reach.access_key_secret in on_terminal(80, "export", "--show")[1]


@pytest.mark.usefixtures("reach")
@pytest.mark.parametrize("arguments", [["settings", "--all"], ["--help"]])
def test_an_output_that_cannot_be_written_is_a_sentence(arguments: list[str]) -> None:
    """A full disk and a closed output end with 1 and a sentence, a reader that has gone with 1 and nothing."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment()
        )
    assert (done.returncode, "No space left" in done.stderr) == (1, True), done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    script = f"{sys.executable} -m ots_config {' '.join(arguments)} >&-"
    closed = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False, env=environment())
    assert (closed.returncode, closed.stdout) == (1, "")
    assert "standard output is closed" in closed.stderr
    reading, writing = os.pipe()
    os.close(reading)
    gone = subprocess.run(
        [*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False, env=environment()
    )
    os.close(writing)
    assert (gone.returncode, gone.stderr) == (1, "")


def environment() -> dict[str, str]:
    """Return the variables of a process that finds this library."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
