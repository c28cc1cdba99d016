"""What it costs a request to ask for credentials that are there, ours and the peer's in one run."""

import logging
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ots_config.credentials.chain import ChainProvider
from ots_config.credentials.credentials import Credentials
from ots_config.credentials.file_watch import FileWatchingProvider
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.environment import EnvironmentProvider
from ots_config.credentials.providers.static import StaticProvider
from ots_config.credentials.refresh import RefreshingProvider

pytestmark = pytest.mark.benchmark(group="cached credentials", min_rounds=2000)


class Temporary(Provider):
    """A source of keys that live for an hour."""

    name = "temporary"

    def fetch_credentials(self) -> Credentials:
        """Make them up."""
        return Credentials("STS.NT4exampleExample", "secret", "token", datetime.now(UTC) + timedelta(hours=1))


def measure(benchmark: Any, provider: Any) -> None:
    """Fetch once, then measure the call that every request makes."""
    provider.get_credentials()
    benchmark.pedantic(provider.get_credentials, rounds=500, iterations=2000, warmup_rounds=5)


def test_refreshing(benchmark: Any) -> None:
    """Temporary credentials while they are fresh: at most 0.3 microseconds."""
    measure(benchmark, RefreshingProvider(Temporary()))


def test_chain_of_refreshing(benchmark: Any) -> None:
    """The same, found by a chain."""
    measure(benchmark, ChainProvider([EnvironmentProvider(), RefreshingProvider(Temporary())]))


def test_reloading(benchmark: Any, tmp_path: Path) -> None:
    """Keys in a file that is looked at once a second."""
    measure(benchmark, FileWatchingProvider(Temporary(), paths=[tmp_path / "keys"]))


def test_static(benchmark: Any) -> None:
    """Keys from the arguments."""
    measure(benchmark, StaticProvider("LTAI5tExampleKey0001", "secret"))


def test_environment(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys from the environment, read by each call."""
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", "LTAI5tExampleKey0001")
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "secret")
    measure(benchmark, EnvironmentProvider())


def test_environment_looked_at_once_a_second(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys from the environment, looked at once a second."""
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", "LTAI5tExampleKey0001")
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "secret")
    measure(benchmark, FileWatchingProvider(EnvironmentProvider(), period=1))


def test_the_clock_alone(benchmark: Any) -> None:
    """What of the first is the clock: the share that no implementation can save."""
    provider = RefreshingProvider(Temporary())
    benchmark.pedantic(provider._clock, rounds=500, iterations=2000, warmup_rounds=5)


@pytest.fixture
def peer() -> Iterator[Any]:
    """Give the peer's provider of temporary credentials, primed; its log handlers are taken off again."""
    noisy = [logging.getLogger(name) for name in ("credentials", "alibabacloud-tea")]
    refreshable = pytest.importorskip("alibabacloud_credentials.provider.refreshable")
    for logger in noisy:
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    provider_type = sys.modules["alibabacloud_credentials.provider.refreshable"]
    now = int(time.mktime(time.localtime()))
    found = refreshable.Credentials(access_key_id="STS.NT4example", access_key_secret="s", security_token="t")
    supplier = provider_type.RefreshCachedSupplier(
        refresh_callable=lambda: refreshable.RefreshResult(value=found, stale_time=now + 2700),
        refresh_callable_async=lambda: None,
    )

    class Provider:
        """The peer's providers hand on what their supplier has, as ``RamRoleArnCredentialsProvider`` does."""

        def get_credentials(self) -> Any:
            """Ask the supplier."""
            return supplier._sync_call()

    return Provider()


def test_peer(benchmark: Any, peer: Any) -> None:
    """The peer's cache of temporary credentials."""
    measure(benchmark, peer)


@pytest.mark.benchmark(group="64 threads at expiry")
def test_64_threads_in_the_last_quarter(benchmark: Any) -> None:
    """64 threads ask while a refresh that does not end is under way: the whole crowd, started and joined."""
    gate = threading.Event()

    class Slow(Temporary):
        def fetch_credentials(self) -> Credentials:
            if self.fetched:
                gate.wait(60)
            self.fetched = True
            return super().fetch_credentials()

        fetched = False

    age = [0.0]
    provider = RefreshingProvider(Slow(), clock=lambda: age[0])
    provider.get_credentials()
    age[0] = 3500.0

    def crowd() -> None:
        threads = [threading.Thread(target=provider.get_credentials) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    benchmark.pedantic(crowd, rounds=20, warmup_rounds=2)
    gate.set()
