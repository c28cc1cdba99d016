"""How many requests the emulator answers in a second on one core, and what a row costs it in memory.

It runs in a process of its own, on one core where cores can be chosen, and the load comes from another one. The client
sends requests that were encoded and signed beforehand, one at a time on each of a few connections, and only counts the
responses, so that the emulator is what is measured. ``CPU`` is its own time per request, which depends less on what
else the machine does. At least 3 000 signed PutRow requests a second are expected.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ots_config.credentials.credentials import Credentials
from ots_config.plainbuffer import Marker, encode_row
from ots_config.request.signing import Signer
from ots_config.sdk import tablestore

pb2: Any = tablestore.protobuf.table_store_pb2

TURNS = int(os.environ.get("BENCH_TURNS", "15"))
CONNECTIONS = 16
KEPT_ROWS = 100_000
COLUMNS = [(f"column_{number}", "text of some twenty b", None, None) for number in range(10)]
SIGNER, CREDENTIALS = Signer("demo"), Credentials("testid", "testsecret")


class Figure(NamedTuple):
    """What was measured of one kind of request."""

    name: str
    requests: float
    rows: int
    cpu: float | None


class Emulated:
    """An emulator in another process, and a few connections to it."""

    def __init__(self, process: subprocess.Popen[str], endpoint: str) -> None:
        self.process = process
        self.netloc = urlsplit(endpoint)
        self.sockets = [self._connect() for _ in range(CONNECTIONS)]

    def _connect(self) -> socket.socket:
        client = socket.create_connection((self.netloc.hostname or "", self.netloc.port or 0), timeout=60)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def call(self, requests: list[bytes]) -> None:
        """Send requests, each connection the next one when its answer has come; all must succeed."""
        waiting = iter(requests)
        with selectors.DefaultSelector() as selector:
            left = 0
            for client, request in zip(self.sockets, waiting, strict=False):
                client.sendall(request)
                selector.register(client, selectors.EVENT_READ)
                left += 1
            while left:
                for ready, _ in selector.select():
                    client = self.sockets[self.sockets.index(ready.fileobj)]  # type: ignore[arg-type]
                    self._read(client)
                    request = next(waiting, b"")
                    if request:
                        client.sendall(request)
                    else:
                        selector.unregister(client)
                        left -= 1

    @staticmethod
    def _read(client: socket.socket) -> None:
        data = client.recv(262_144)
        assert data.startswith(b"HTTP/1.1 200"), data
        head = data.find(b"\r\n\r\n") + 4
        length = data.find(b"Content-Length: ", 0, head) + 16
        whole = head + int(data[length : data.find(b"\r", length)])
        size = len(data)
        while size < whole:
            size += len(client.recv(262_144))

    def cpu_seconds(self) -> float | None:
        """Return the CPU time of the emulator so far, None where it is not known."""
        file = Path(f"/proc/{self.process.pid}/stat")
        if not file.exists():
            return None
        fields = file.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int | None:
        """Return the octets of memory that the emulator holds, None where it is not known."""
        file = Path(f"/proc/{self.process.pid}/statm")
        return int(file.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if file.exists() else None


def signed(operation: str, message: Any) -> bytes:
    """Return a request as octets."""
    path, body = f"/{operation}", message.SerializeToString()
    headers = SIGNER.sign(path, body, CREDENTIALS, time.time())[0]
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\nHost: emulator\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def put(number: int, columns: int = 2) -> Any:
    """Return a PutRow of a row of its own."""
    row = encode_row([("gid", number % 64), ("uid", f"user-{number:08}")], COLUMNS[:columns])
    return pb2.PutRowRequest(table_name="t", row=row, condition=pb2.Condition(row_existence=pb2.IGNORE))


def get(number: int) -> Any:
    """Return a GetRow of one of those rows."""
    key = encode_row([("gid", number % 64), ("uid", f"user-{number:08}")], ())
    return pb2.GetRowRequest(table_name="t", primary_key=key, max_versions=1)


def write_batch(first: int) -> Any:
    """Return a batch of 200 rows of ten columns."""
    request = pb2.BatchWriteRowRequest()
    rows = request.tables.add(table_name="t").rows
    for number in range(first, first + 200):
        single = put(number, 10)
        rows.add(type=pb2.PUT, row_change=single.row, condition=single.condition)
    return request


def read_batch(first: int) -> Any:
    """Return a batch that reads 100 rows."""
    request = pb2.BatchGetRowRequest()
    request.tables.add(
        table_name="t", primary_key=[get(number).primary_key for number in range(first, first + 100)], max_versions=1
    )
    return request


def scan(_: int) -> Any:
    """Return a GetRange of 1000 rows."""
    bounds = [encode_row([("gid", bound), ("uid", bound)], ()) for bound in (Marker.INF_MIN, Marker.INF_MAX)]
    return pb2.GetRangeRequest(
        table_name="t",
        direction=pb2.FORWARD,
        max_versions=1,
        limit=1000,
        inclusive_start_primary_key=bounds[0],
        exclusive_end_primary_key=bounds[1],
    )


KINDS: list[tuple[str, str, Any, int, int]] = [
    ("PutRow, 2 columns", "PutRow", put, 2000, 1),
    ("GetRow, 10 columns", "GetRow", get, 2000, 1),
    ("BatchWriteRow, 200 x 10", "BatchWriteRow", write_batch, 25, 200),
    ("BatchGetRow, 100 x 10", "BatchGetRow", read_batch, 50, 100),
    ("GetRange, 1000 x 10", "GetRange", scan, 16, 1000),
]


@pytest.fixture(scope="module")
def emulated() -> Iterator[Emulated]:
    """Run the emulator, with tables in memory."""
    with run_emulator() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def with_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    """Run the emulator, with a data file."""
    with run_emulator("--data", str(tmp_path_factory.mktemp("data") / "emulator.data")) as emulator:
        yield emulator


@contextmanager
def run_emulator(*arguments: str) -> Iterator[Emulated]:
    """Run the emulator in another process and on another core, with a table."""
    command = [sys.executable, "-m", "ots_config", "emulator", "--port", "0", "--quiet", *arguments]
    cores = sorted(os.sched_getaffinity(0)) if shutil.which("taskset") else []
    if len(cores) > 1:
        command = ["taskset", "-c", str(cores[0]), *command]
        os.sched_setaffinity(0, cores[1:])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        emulator = Emulated(process, process.stdout.readline().split()[-1])
        schema = [pb2.PrimaryKeySchema(name="gid", type=pb2.INTEGER), pb2.PrimaryKeySchema(name="uid", type=pb2.STRING)]
        table = pb2.CreateTableRequest(
            table_meta=pb2.TableMeta(table_name="t", primary_key=schema),
            reserved_throughput=pb2.ReservedThroughput(capacity_unit=pb2.CapacityUnit(read=0, write=0)),
            table_options=pb2.TableOptions(time_to_live=-1, max_versions=1),
        )
        emulator.call([signed("CreateTable", table)])
        yield emulator
        for client in emulator.sockets:
            client.close()
        process.send_signal(signal.SIGTERM)
    if len(cores) > 1:
        os.sched_setaffinity(0, cores)


@pytest.fixture(scope="module")
def figures(pytestconfig: pytest.Config) -> Iterator[tuple[list[Figure], list[str]]]:
    """Collect what is measured, and print it at the end."""
    measured: list[Figure] = []
    notes: list[str] = []
    yield measured, notes
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        title = f"{'emulator':28}{'requests/s':>12}{'rows/s':>12}{'CPU us':>10}"
        print(f"\n\n{title}")  # noqa: T201
        for name, requests, rows, cpu in measured:
            cost = "" if cpu is None else f"{cpu * 1e6:10.1f}"
            print(f"{name:28}{requests:12.0f}{requests * rows:12.0f}{cost}")  # noqa: T201
        print("\n".join(notes))  # noqa: T201
        for figure in measured:
            if figure.name.startswith("PutRow"):
                expected = 1500 if "--data" in figure.name else 3000
                print(f"{figure.name}: {figure.requests:.0f} a second on one core, at least {expected} expected")  # noqa: T201


def test_memory(benchmark: BenchmarkFixture, emulated: Emulated, figures: tuple[list[Figure], list[str]]) -> None:
    """Rows of ten columns are written in batches; what the process grew by is reported per row."""
    before = emulated.memory()
    if before is None:
        pytest.skip("the memory of another process is read from /proc")
    batches = [signed("BatchWriteRow", write_batch(first)) for first in range(0, KEPT_ROWS, 200)]
    benchmark.pedantic(emulated.call, (batches,), rounds=1)
    after = emulated.memory()
    assert after is not None
    row = (after - before) / KEPT_ROWS
    benchmark.extra_info["octets_per_row"] = row
    payload = len(write_batch(0).tables[0].rows[0].row_change)
    figures[1].append(f"memory per row of ten columns ({payload} octets as sent): {row:.0f} octets")


@pytest.mark.parametrize(("name", "operation", "make", "count", "rows"), KINDS, ids=[kind[0] for kind in KINDS])
def test_throughput(
    benchmark: BenchmarkFixture,
    emulated: Emulated,
    figures: tuple[list[Figure], list[str]],
    name: str,
    operation: str,
    make: Any,
    count: int,
    rows: int,
) -> None:
    """Every request is answered with success; the speed is reported, and asserted nowhere."""
    if operation != "BatchWriteRow":
        emulated.call([signed("BatchWriteRow", write_batch(first)) for first in range(0, 10_000, 200)])
    spent: list[float] = []

    def turn(requests: list[bytes]) -> None:
        before = emulated.cpu_seconds()
        emulated.call(requests)
        after = emulated.cpu_seconds()
        if before is not None and after is not None:
            spent.append((after - before) / count)

    requests = [signed(operation, make(number * rows % 9_000)) for number in range(count)]
    benchmark.pedantic(turn, (requests,), rounds=TURNS, warmup_rounds=1)
    cpu = sum(spent[1:]) / len(spent[1:]) if spent else None
    figures[0].append(Figure(name, count / median(benchmark.stats.stats.data), rows, cpu))


def test_throughput_with_data(
    benchmark: BenchmarkFixture, with_data: Emulated, figures: tuple[list[Figure], list[str]]
) -> None:
    """Single writes that a data file keeps; the speed is reported, and asserted nowhere."""
    count = 2000
    before = with_data.cpu_seconds()
    requests = [signed("PutRow", put(number)) for number in range(count)]
    benchmark.pedantic(with_data.call, (requests,), rounds=TURNS, warmup_rounds=0)
    after = with_data.cpu_seconds()
    cpu = None if before is None or after is None else (after - before) / count / TURNS
    figures[0].append(Figure("PutRow, 2 columns, --data", count / median(benchmark.stats.stats.data), 1, cpu))
