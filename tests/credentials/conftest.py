"""Time moved by hand, a source that does what a test says, and callers that arrive together."""

import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.provider import Provider
from ots_config.testing.clock import ManualClock

MARK = "S3cr3tM4rk"
PATIENCE = 20.0  # seconds until a test that hangs fails


class ScriptedSource(Provider):
    """Gives keys with a number, fails while told to, and waits while its gate is shut (in its own process only)."""

    name = "scripted"

    def __init__(self, clock: ManualClock, *, lifetime: float | None = 3600.0, instant: bool = False) -> None:
        self.clock = clock
        self.lifetime = lifetime
        self.instant = instant
        self.calls = 0
        self.failure: BaseException | None = None
        self.before: Callable[[], object] | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.pid = os.getpid()

    def fetch_credentials(self) -> Credentials:
        """Count, wait, and answer."""
        self.calls += 1
        number = self.calls
        self.started.set()
        if self.before is not None:
            self.before()
        if os.getpid() == self.pid and not self.gate.wait(PATIENCE):
            raise AssertionError
        if self.failure is not None:
            raise self.failure
        ends = None if self.lifetime is None else datetime.fromtimestamp(self.clock.wall() + self.lifetime, UTC)
        key = f"STS.NUMBER{number:04d}KEYKEY"
        return Credentials(key, f"secret-{MARK}-{number}", f"token-{MARK}-{number}", ends, "scripted")

    def describe(self) -> str:
        """Tell what it looks at."""
        return "a script"

    def __getstate__(self) -> dict[str, Any]:
        return {"clock": self.clock, "lifetime": self.lifetime, "instant": self.instant}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["clock"], lifetime=state["lifetime"], instant=state["instant"])  # type: ignore[misc]


@pytest.fixture
def clock() -> ManualClock:
    """Give a clock moved by hand."""
    return ManualClock()


@pytest.fixture
def mark() -> str:
    """Give what every secret of a scripted source has in it."""
    return MARK


@pytest.fixture
def scripted(clock: ManualClock) -> Callable[..., ScriptedSource]:
    """Give a maker of scripted sources on the test's clock."""

    def make(**options: Any) -> ScriptedSource:
        return ScriptedSource(clock, **options)

    return make


@pytest.fixture
def together() -> Callable[..., list[Any]]:
    """Give a function that makes a call on many threads at once and returns what each came to."""

    def run(count: int, call: Callable[[], Any], *, meanwhile: Callable[[], object] | None = None) -> list[Any]:
        barrier = threading.Barrier(count)
        outcomes: list[Any] = [None] * count

        def caller(index: int) -> None:
            barrier.wait(PATIENCE)
            try:
                outcomes[index] = call()
            except Exception as error:  # noqa: BLE001 - the test looks at it
                outcomes[index] = error

        threads = [threading.Thread(target=caller, args=(index,), daemon=True) for index in range(count)]
        for thread in threads:
            thread.start()
        if meanwhile is not None:
            meanwhile()
        for thread in threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in threads), "callers hang"
        return outcomes

    return run


@pytest.fixture
def callbacks_done() -> Callable[[Any], None]:
    """Give a function that waits until the callbacks of a provider's rotations so far have been called."""

    def wait(provider: Any) -> None:
        queue = provider._history._deliveries
        while queue.tasks or queue._busy_since:
            for thread in list(queue._busy_since):
                thread.join(PATIENCE)
                assert not thread.is_alive(), "a callback hangs"

    return wait
