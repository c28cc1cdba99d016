"""Bulk writes in processes that end, by themselves or by Ctrl-C: the report is right, and nobody waits for nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ots_config import Emulator, OTSClient
from tests.client.bulk.rows import additions, batches, stored

PROGRAM = Path(__file__).parent / "programs" / "job.py"


def start(how: str, endpoint: str, count: int) -> "subprocess.Popen[str]":
    """Start a process that writes rows."""
    root = str(Path(__file__).parents[3])
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), how, endpoint, str(count)],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        text=True,
    )


def result(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Wait for the end of the process, and return what it has printed last."""
    output = process.communicate(timeout=40)[0]
    shown: dict[str, Any] = json.loads(output.splitlines()[-1])
    return shown


@pytest.mark.parametrize("how", ["thread", "atexit"])
def test_a_job_goes_on_while_the_interpreter_ends(
    emulator: Emulator, connect: Callable[..., OTSClient], how: str
) -> None:
    """A job in a thread that outlives the main thread, or in a function of ``atexit``, writes every row once."""
    with start(how, emulator.endpoint, 200) as process:
        shown = result(process)
    assert shown == {"read": 200, "written": 200, "failed": [], "error": None}
    assert stored(connect(), "n") == dict.fromkeys(range(200), 1)


def test_a_second_ctrl_c_ends_the_job_and_the_process() -> None:
    """Nobody waits for requests that hang: the process ends, and its report says which rows never left."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        with start("main", f"http://127.0.0.1:{silent.getsockname()[1]}", 1000) as process:
            assert process.stdout is not None
            connections = [silent.accept()[0] for _ in range(4)]
            for connection in connections:
                connection.recv(1)
            assert process.stdout.readline() == "started\n"
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)  # it waits for what is in flight
            process.send_signal(signal.SIGINT)
            shown = result(process)
            for connection in connections:
                connection.close()
    assert shown["error"] == "KeyboardInterrupt"
    assert (shown["written"], len(shown["failed"])) == (0, shown["read"])
    assert shown["failed"] == [
        [number, *(["ResponseLost", True] if number < 40 else ["NotSent", False])] for number in range(50)
    ]


def test_without_threads_the_callers_own_sends_the_batches(
    emulator: Emulator, connect: Callable[..., OTSClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system or the interpreter refuses a new thread, every row is written all the same."""
    client = connect()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        report = client.bulk_write("t", additions(50), max_rows=10)
    assert (report.written, report.ok) == (50, True)
    assert stored(client, "n") == dict.fromkeys(range(50), 1)
    assert len(batches(emulator)) == 5
