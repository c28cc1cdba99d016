"""What expiry costs callers and STS, here and in ``alibabacloud-credentials``: both in one run, reported, not asserted.

Requests are real; what is simulated is time: our age clock is put ahead, and the peer sees its keys as stale.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from timeit import timeit
from typing import Any, NamedTuple

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ots_config import (
    AssumeRoleProvider,
    Credentials,
    Emulator,
    OTSSettings,
    RefreshingProvider,
    create_client,
    create_provider,
)
from ots_config.request.fetcher import Fetcher

ROLE = "acs:ram::1234567890123456:role/storm"
KEY = Credentials("testid", "testsecret")
CROWD = 64


class Row(NamedTuple):
    """What one side came to."""

    what: str
    side: str
    result: str


@pytest.fixture(scope="module")
def table(pytestconfig: pytest.Config) -> Iterator[list[Row]]:
    """Collect the results, and print them at the end."""
    rows: list[Row] = []
    yield rows
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print("\n")  # noqa: T201
        for what, side, result in rows:
            print(f"{what:46}{side:6}{result}")  # noqa: T201


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Run an emulator."""
    with Emulator() as running:
        yield running


class Ahead:
    """An age clock that stands still until it is put ahead."""

    def __init__(self) -> None:
        self.age = 5000.0

    def __call__(self) -> float:
        """Return the age."""
        return self.age


class Ours:
    """Our provider of a role, its clock in our hands."""

    side = "ours"

    def __init__(self, emulator: Emulator, duration: int = 3600) -> None:
        self._clock = Ahead()
        self._duration = duration
        role = AssumeRoleProvider(KEY, ROLE, fetch=Fetcher(), endpoint=emulator.endpoint, duration=duration)
        self.provider = RefreshingProvider(role, clock=self._clock)
        self.get = self.provider.get_credentials

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self._clock.age += seconds

    def grow_stale(self) -> None:
        """Come to the last ten minutes."""
        self.pass_by(self._duration - 600)

    def end(self) -> None:
        """Come to the end."""
        self.pass_by(self._duration + 1)

    def settle(self) -> None:
        """Wait until nothing goes on in the background."""
        fetch = self.provider._running
        if fetch is not None:
            fetch._done.wait(30)


class Peers:
    """The peer's provider of a role, whose keys are stale."""

    side = "peer"

    def __init__(self, emulator: Emulator, duration: int = 3600) -> None:
        from alibabacloud_credentials.provider import RamRoleArnCredentialsProvider

        for name in ("credentials", "alibabacloud-tea"):  # it adds handlers that print each failure three times
            logging.getLogger(name).handlers.clear()
            logging.getLogger(name).propagate = False
        self.provider = RamRoleArnCredentialsProvider(
            access_key_id=KEY.access_key_id,
            access_key_secret=KEY.get_access_key_secret(),
            role_arn=ROLE,
            role_session_name="storm",
            duration_seconds=duration,
            sts_endpoint=emulator.endpoint,
        )
        self.get = self.provider.get_credentials

    def grow_stale(self) -> None:
        """Come to the last ten minutes, in which it no longer hands out what it has."""
        self.provider._credentials_cache._cached_value._stale_time = 1

    end = grow_stale

    def settle(self) -> None:
        """Do nothing: it has no background."""


SIDES = [Ours, Peers]


def crowd(call: Callable[[], Any]) -> tuple[float, list[Exception]]:
    """Make a call on many threads at once; return the longest wait, and the errors."""
    barrier = threading.Barrier(CROWD)
    waits: list[float] = []
    errors: list[Exception] = []

    def one() -> None:
        barrier.wait()
        started = time.perf_counter()
        try:
            call()
        except Exception as error:  # noqa: BLE001 - it is counted
            errors.append(error)
        waits.append(time.perf_counter() - started)

    threads = [threading.Thread(target=one) for _ in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(waits), errors


def asked(emulator: Emulator) -> int:
    """Return how often STS was asked since the log was cleared."""
    return len([entry for entry in emulator.log() if entry["operation"] == "sts"])


@pytest.mark.parametrize("side", SIDES, ids=lambda side: side.side)
@pytest.mark.parametrize("delay", [0.2, 6.0])
@pytest.mark.parametrize("moment", ["the old one lives", "it has ended"])
def test_64_threads_at_expiry(
    benchmark: BenchmarkFixture, emulator: Emulator, table: list[Row], side: Any, delay: float, moment: str
) -> None:
    """64 threads ask at once while STS takes its time."""
    provider = side(emulator)
    provider.get()
    emulator.fault(operation="sts", kind="delay", seconds=delay)
    emulator.clear_log()
    (provider.grow_stale if moment == "the old one lives" else provider.end)()
    longest, errors = benchmark.pedantic(crowd, (provider.get,), rounds=1)
    provider.settle()
    result = f"{asked(emulator):3} calls of STS, longest wait {longest * 1000:8.1f} ms, {len(errors)} errors"
    table.append(Row(f"64 threads, STS {delay:g} s, {moment}", side.side, result))


@pytest.mark.parametrize("side", SIDES, ids=lambda side: side.side)
@pytest.mark.parametrize("moment", ["the old one lives", "it has ended"])
def test_64_threads_and_an_sts_that_fails(
    benchmark: BenchmarkFixture, emulator: Emulator, table: list[Row], side: Any, moment: str
) -> None:
    """64 threads ask at once while STS answers 500."""
    provider = side(emulator)
    provider.get()
    emulator.fault(operation="sts", kind="error", code="InternalError", status=500)
    emulator.clear_log()
    (provider.grow_stale if moment == "the old one lives" else provider.end)()
    longest, errors = benchmark.pedantic(crowd, (provider.get,), rounds=1)
    provider.settle()
    texts = len({str(error) for error in errors})
    calls = f"{asked(emulator):3} calls of STS, longest wait {longest * 1000:8.1f} ms"
    result = f"{calls}, {len(errors)} errors of {texts} texts"
    table.append(Row(f"64 threads, STS fails, {moment}", side.side, result))


@pytest.mark.parametrize("side", SIDES, ids=lambda side: side.side)
def test_50_requests_in_an_outage(benchmark: BenchmarkFixture, emulator: Emulator, table: list[Row], side: Any) -> None:
    """50 calls, one after the other, while STS is down and ten minutes are left."""
    provider = side(emulator)
    provider.get()
    emulator.fault(operation="sts", kind="error", code="InternalError", status=500)
    emulator.clear_log()
    provider.grow_stale()
    errors = 0

    def calls() -> None:
        nonlocal errors
        for _ in range(50):
            try:
                provider.get()
            except Exception:  # noqa: BLE001 - it is counted
                errors += 1
            time.sleep(0.02)

    benchmark.pedantic(calls, rounds=1)
    provider.settle()
    table.append(Row("50 requests in an outage, life left", side.side, f"{asked(emulator):3} calls, {errors} errors"))


def test_tokens_of_900_seconds(benchmark: BenchmarkFixture, emulator: Emulator, table: list[Row]) -> None:
    """How often the shortest tokens that STS gives are fetched."""
    ours, peers = Ours(emulator, 900), Peers(emulator, 900)
    emulator.clear_log()

    def three_hours() -> None:
        for _ in range(3 * 3600):
            ours.get()
            ours.settle()
            ours.pass_by(1.0)

    benchmark.pedantic(three_hours, rounds=1)
    times = asked(emulator)
    table.append(
        Row("900-second tokens, a request each second", "ours", f"a call of STS each {3 * 3600 / times:.0f} s")
    )
    emulator.clear_log()
    started = time.monotonic()
    while time.monotonic() - started < 5:  # it knows no clock but the system's
        peers.get()
        time.sleep(0.02)
    table.append(Row("", "peer", f"a call of STS each {5 / max(asked(emulator), 1):.1f} s"))


COLD = {
    "ours": "from ots_config import OTSSettings, create_provider\nprovider = create_provider(OTSSettings())\n",
    "peer": """
import logging, os
from alibabacloud_credentials.provider import RamRoleArnCredentialsProvider
provider = RamRoleArnCredentialsProvider(
    access_key_id=os.environ["OTS_ACCESS_KEY_ID"], access_key_secret=os.environ["OTS_ACCESS_KEY_SECRET"],
    role_arn=os.environ["OTS_ROLE_ARN"], sts_endpoint=os.environ["OTS_STS_ENDPOINT"])
""",
}


@pytest.mark.parametrize("side", COLD)
def test_16_cold_processes(
    benchmark: BenchmarkFixture, emulator: Emulator, table: list[Row], tmp_path: Path, side: str
) -> None:
    """16 processes of one machine start at the same moment and need the same role."""
    variables = {
        "OTS_ENDPOINT": emulator.endpoint,
        "OTS_INSTANCE": "demo",
        "OTS_ACCESS_KEY_ID": KEY.access_key_id,
        "OTS_ACCESS_KEY_SECRET": KEY.get_access_key_secret(),
        "OTS_ROLE_ARN": ROLE,
        "OTS_STS_ENDPOINT": emulator.endpoint,
        "OTS_CREDENTIALS_CACHE": "1",
        "XDG_CACHE_HOME": str(tmp_path),
    }
    program = f"{COLD[side]}\nprint('ready', flush=True)\ninput()\nprovider.get_credentials()"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env=os.environ | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(16)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"

    def start() -> list[int]:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        for process in processes:
            process.communicate()
        return [process.returncode for process in processes]

    assert benchmark.pedantic(start, rounds=1) == [0] * 16
    table.append(Row("16 cold processes", side, f"{asked(emulator):3} calls of STS"))


def test_cached(benchmark: BenchmarkFixture, emulator: Emulator, table: list[Row]) -> None:
    """What a request pays for credentials that are there, of a role made by ``create_provider``."""
    settings = OTSSettings.explicit(
        endpoint=emulator.endpoint,
        instance_name="demo",
        access_key_id=KEY.access_key_id,
        access_key_secret=KEY.get_access_key_secret(),
        sts_endpoint=emulator.endpoint,
        role_arn=ROLE,
    )
    ours, peers = create_provider(settings), Peers(emulator)
    for each in (ours.get_credentials, peers.get):
        each()
    spent = {"ours": ours.get_credentials, "peer": peers.get}
    cheapest = {side: min(timeit(get, number=20_000) for _ in range(7)) / 20_000 * 1e6 for side, get in spent.items()}
    benchmark.pedantic(ours.get_credentials, rounds=100, iterations=2000)
    for side, cost in cheapest.items():
        table.append(Row("cached get_credentials()", side, f"{cost:.3f} us"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.parametrize("side", SIDES, ids=lambda side: side.side)
def test_fork_during_a_refresh(benchmark: BenchmarkFixture, emulator: Emulator, table: list[Row], side: Any) -> None:
    """A child that is forked while its parent refreshes asks for credentials, and for those of an idle parent."""
    idle, busy = side(emulator), side(emulator)
    for provider in (idle, busy):
        provider.get()
    emulator.fault(operation="sts", kind="delay", seconds=2.0)
    busy.grow_stale()
    caller = threading.Thread(target=busy.get)
    caller.start()
    time.sleep(0.3)  # the refresh is under way by now, and takes 2 s
    spent = benchmark.pedantic(forked, ([idle.get, busy.get],), rounds=1)
    caller.join()
    busy.settle()
    result = f"{spent[1] * 1000:.1f} ms, of an idle parent {spent[0] * 1000:.1f} ms"
    table.append(Row("credentials in a child forked in a refresh", side.side, result))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_first_request_of_a_child(benchmark: BenchmarkFixture, emulator: Emulator, table: list[Row]) -> None:
    """The first request of a child that is forked during a refresh, and of one that is forked in peace."""
    ours = Ours(emulator)
    with create_client(endpoint=emulator.endpoint, instance_name="demo", credentials_provider=ours.provider) as client:
        client.list_table()
        peace = min(forked([client.list_table])[0] for _ in range(5))
        emulator.fault(operation="sts", kind="delay", seconds=2.0)
        ours.grow_stale()
        client.list_table()
        busy = benchmark.pedantic(lambda: min(forked([client.list_table])[0] for _ in range(5)), rounds=1)
        ours.settle()
    result = f"{busy * 1000:.1f} ms, forked in peace {peace * 1000:.1f} ms"
    table.append(Row("first request of a child forked in a refresh", "ours", result))


def forked(calls: list[Callable[[], Any]]) -> list[float]:
    """Make calls in a forked child, and return how many seconds each took there."""
    here, there = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
        child = os.fork()
    if child == 0:
        spent = []
        for call in calls:
            started = time.perf_counter()
            try:
                call()
            finally:
                spent.append(time.perf_counter() - started)
        os.write(there, json.dumps(spent).encode())
        os._exit(0)
    os.close(there)
    try:
        ready, _, _ = select.select([here], [], [], 60)
        if not ready:
            os.kill(child, signal.SIGKILL)
        return [float(seconds) for seconds in json.loads(os.read(here, 10_000) or "[]")] or [60.0] * len(calls)
    finally:
        os.waitpid(child, 0)
        os.close(here)


@pytest.mark.parametrize(("side", "count"), [(Ours, 100), (Peers, 2)], ids=["ours", "peer"])
def test_tasks_at_expiry(
    benchmark: BenchmarkFixture, emulator: Emulator, table: list[Row], side: Any, count: int
) -> None:
    """Tasks ask at once when the token has ended, STS takes 0.2 s; how long the event loop stood still at most."""
    provider = side(emulator)
    provider.get()
    provider.end()
    emulator.fault(operation="sts", kind="delay", seconds=0.2)
    emulator.clear_log()

    async def run() -> tuple[float, int]:
        tasks = [asyncio.create_task(provider.provider.get_credentials_async()) for _ in range(count)]
        longest, last = 0.0, time.perf_counter()
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        return longest, sum(isinstance(outcome, BaseException) for outcome in outcomes)

    longest, errors = benchmark.pedantic(lambda: asyncio.run(run()), rounds=1)
    result = f"{asked(emulator):3} calls of STS, the loop stood still {longest * 1000:8.1f} ms, {errors} errors"
    table.append(Row(f"{count} tasks at expiry, STS 0.2 s", side.side, result))


OFF_CLOUD = {
    "ours": "from ots_config import OTSSettings, create_provider\nprovider = create_provider(OTSSettings())\n",
    "peer": "from alibabacloud_credentials.provider import DefaultCredentialsProvider\n"
    "provider = DefaultCredentialsProvider()\n",
}


@pytest.mark.parametrize("side", OFF_CLOUD)
def test_nothing_configured_off_the_cloud(
    benchmark: BenchmarkFixture, table: list[Row], tmp_path: Path, side: str
) -> None:
    """The whole chain where nothing is configured and the metadata service's address is silent: twice."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        variables = {
            "HOME": str(tmp_path),
            "OTS_ENDPOINT": "http://127.0.0.1:1",
            "OTS_INSTANCE": "demo",
            "ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT": address,
        }
        if side == "peer":  # it knows no other address, so it is sent to this one as to a proxy
            variables["HTTP_PROXY"] = address
        program = OFF_CLOUD[side] + (
            "import time\n"
            "for _ in range(2):\n"
            "    started = time.perf_counter()\n"
            "    try:\n        provider.get_credentials()\n"
            "    except Exception:\n        print(time.perf_counter() - started, flush=True)\n"
            "import os\nos._exit(0)\n"
        )
        environ = {name: value for name, value in os.environ.items() if name != "DBUS_SESSION_BUS_ADDRESS"} | variables
        done = benchmark.pedantic(
            lambda: subprocess.run(
                [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True, cwd=tmp_path
            ),
            rounds=1,
        )
    first, second = (float(line) * 1000 for line in done.stdout.split())
    table.append(Row("nothing configured, off the cloud", side, f"{first:.0f} ms, asked again {second:.1f} ms"))
