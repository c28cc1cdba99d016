"""What whole processes cost: to import, to write a first row, and to make thousands of clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

TURNS = int(os.environ.get("BENCH_TURNS", "15"))
CLIENTS = int(os.environ.get("BENCH_CLIENTS", "10000"))

pytestmark = pytest.mark.skipif(not hasattr(os, "wait4"), reason="the CPU time of a child is not known here")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Let programs keep their byte code, as installed ones have it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(tmp_path_factory.mktemp("bytecode"))}


def run(arguments: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a program; return its CPU time and the time it took, in milliseconds."""
    started = perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return (usage.ru_utime + usage.ru_stime) * 1e3, (perf_counter() - started) * 1e3


def in_turn(
    benchmark: BenchmarkFixture, programs: list[list[str]], environment: dict[str, str]
) -> list[tuple[float, float]]:
    """Run programs in turn, the last one under the benchmark; return the medians of CPU and time of each."""
    runs: list[list[tuple[float, float]]] = [[] for _ in programs]

    def turn(number: int) -> None:
        runs[number].append(run(programs[number], environment))

    def others() -> None:
        for number in range(len(programs) - 1):
            turn(number)

    benchmark.pedantic(turn, (len(programs) - 1,), setup=others, rounds=TURNS, warmup_rounds=1)
    return [(median(cpu for cpu, _ in found[1:]), median(time for _, time in found[1:])) for found in runs]


def test_import(benchmark: BenchmarkFixture, report: Any, environment: dict[str, str]) -> None:
    """Importing this library loads nothing heavy; its cost over a bare interpreter is reported."""
    programs = [["-c", "pass"], ["-c", "import tablestore"], ["-c", "import ots_config"]]
    bare, official, ours = in_turn(benchmark, programs, environment)
    table = report.table(
        "Import, milliseconds over a bare interpreter",
        f"Whole processes in turn; the bare interpreter takes {bare[0]:.0f} ms of CPU.",
        *("import", "CPU", "time", "budget"),
    )
    for name, found, budget in (("ots_config", ours, "30"), ("tablestore", official, "")):
        table.add(name, *(f"{one - other:.0f}" for one, other in zip(found, bare, strict=True)), budget)


def test_first_row(
    benchmark: BenchmarkFixture, report: Any, endpoint: str, environment: dict[str, str], programs: Path
) -> None:
    """A program configured by its environment writes a row, with this library and with its peers glued by hand."""
    pytest.importorskip("alibabacloud_credentials")
    configured = {
        **environment,
        "OTS_ENDPOINT": endpoint,
        "OTS_INSTANCE_NAME": "demo",
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "testid",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "testsecret",
    }
    glued, ours = in_turn(benchmark, [[str(programs / f"cold_{name}.py")] for name in ("glue", "ours")], configured)
    table = report.table(
        "Cold start to the first row written, milliseconds",
        "Whole processes in turn, from the interpreter's start: settings and keys from the environment, one put_row. "
        "The peer is the official SDK with alibabacloud-credentials and pydantic-settings, glued by hand.",
        *("program", "CPU", "time"),
    )
    table.add("ours", *(f"{one:.0f}" for one in ours), bar=report.bar("cold start to first row", ours[0] / glued[0], 1))
    table.add("glued by hand", *(f"{one:.0f}" for one in glued))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the open files of a process are not known here")
def test_many_clients(
    benchmark: BenchmarkFixture, report: Any, endpoint: str, environment: dict[str, str], programs: Path
) -> None:
    """Thousands of clients, each used once and dropped, leave no threads, sockets, log handlers or memory behind."""
    found: dict[str, Any] = {}

    def make(kind: str) -> None:
        command = [sys.executable, str(programs / "many_clients.py"), kind, endpoint, str(CLIENTS)]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=900)
        found[kind] = json.loads(done.stdout)

    benchmark.pedantic(make, ("OURS",), setup=lambda: make("OFFICIAL"), rounds=1)
    table = report.table(
        f"{CLIENTS} clients made, used for one put_row and dropped",
        "What they left behind in the process, and the CPU of one client with its call, in microseconds, among the "
        "first and among the last of them.",
        *("clients", "threads", "sockets", "log handlers", "memory, KiB", "CPU, first", "CPU, last"),
    )
    for name, kind in (("ours", "OURS"), ("official", "OFFICIAL")):
        before, after = found[kind]["before"], found[kind]["after"]
        grown = [after[what] - before[what] for what in ("threads", "sockets", "handlers", "memory")]
        table.add(
            name, *(f"{number:+}" for number in grown), *(f"{found[kind][when]:.0f}" for when in ("first", "last"))
        )
        if kind == "OURS":
            assert grown[:3] == [0, 0, 0]
            assert grown[3] < max(2048, CLIENTS / 4)  # a quarter of a KiB each would be one object that is kept
