"""An exception at any line of a refresh: nobody is blocked, nothing is fetched twice at once, and the next call works.

The exceptions are injected by a trace function, at each line of the modules that refresh credentials and of the
standard library's lines that they call, one run for each.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from ots_config.credentials import file_watch, health, refresh, single_flight
from ots_config.credentials.credentials import Credentials
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.errors import CredentialsError

PATIENCE = 20.0
OURS = {str(module.__file__) for module in (refresh, single_flight, health, file_watch)}
LIBRARY = {str(threading.__file__), str(sys.modules["weakref"].__file__)}


class Interrupted(BaseException):
    """What a signal handler, a task queue's time limit or a green thread's timeout raises."""


class Injection:
    """Raises at the line of that number, of those that are reached on the threads that it watches.

    The second time that a line with ``with`` is reached is the end of its block, between which and the end of the
    context the interpreter raises nothing on its own: a trace function could, and a lock would stay held.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.lines: set[tuple[str, int]] = set()
        self.at = ""

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        """Trace a call if it is one of the modules'."""
        if event != "call" or frame.f_code.co_filename not in OURS | LIBRARY:
            return None
        if frame.f_code.co_filename in LIBRARY and not self._is_called_by_us(frame):
            return None
        begun: set[int] = set()

        def trace(frame: FrameType, event: str, _argument: Any) -> Any:
            if event != "line":
                return trace
            line = frame.f_lineno
            text = source_line(frame.f_code.co_filename, line)
            if text.startswith("with ") and line in begun:
                begun.discard(line)
                return trace
            begun.add(line)
            place = frame.f_code.co_filename, line
            if place in self.lines:
                return trace
            self.lines.add(place)
            if len(self.lines) == self.number:
                self.at = f"{Path(frame.f_code.co_filename).name}:{line} {text}"
                raise Interrupted(self.at)
            return trace

        return trace

    @staticmethod
    def _is_called_by_us(frame: FrameType | None) -> bool:
        while frame is not None:
            if frame.f_code.co_filename in OURS:
                return True
            if frame.f_code.co_filename not in LIBRARY:
                return False
            frame = frame.f_back
        return False


_lines: dict[str, list[str]] = {}


def source_line(path: str, number: int) -> str:
    """Return a line of a file."""
    if path not in _lines:
        _lines[path] = Path(path).read_text(encoding="utf-8").splitlines()
    return _lines[path][number - 1].strip()


def interrupted(injection: Injection, call: Callable[[], object]) -> list[BaseException]:
    """Make a call on a thread of its own and return what it raised.

    What a trace function raises in an ``except`` clause stays the thread's current exception, and would become the
    context of the errors of other tests.
    """
    raised: list[BaseException] = []

    def work() -> None:
        try:
            with injected(injection):
                call()
        except (Interrupted, CredentialsError) as error:
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(2 * PATIENCE)
    assert not thread.is_alive(), f"the caller hangs after {injection.at}"
    return raised


@contextmanager
def injected(injection: Injection) -> Iterator[None]:
    """Watch this thread."""
    sys.settrace(injection)
    try:
        yield
    finally:
        sys.settrace(None)


def made(scripted: Any, clock: Any, *, instant: bool) -> RefreshingProvider:
    """Return a provider that has credentials."""
    provider = RefreshingProvider(scripted(instant=instant), clock=clock, wall=clock.wall)
    provider.on_rotate(lambda _old, _new: None)
    provider.get_credentials(timeout=PATIENCE)
    return provider


def fetched(provider: RefreshingProvider, injection: Injection) -> Credentials:
    """Return what the next caller gets."""
    try:
        return provider.get_credentials(timeout=PATIENCE / 2)
    except CredentialsError as error:
        message = f"after {injection.at}: {error}"
    raise AssertionError(message)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let those who wait look again soon."""
    monkeypatch.setattr(single_flight, "_LOOK_AGAIN", 0.01)


CALLS: dict[str, Callable[[RefreshingProvider, Credentials], Any]] = {
    "get": lambda provider, _: provider.get_credentials(timeout=PATIENCE),
    "force": lambda provider, old: provider.force_refresh(old, timeout=PATIENCE),
    "get_async": lambda provider, _: asyncio.run(provider.get_credentials_async(timeout=PATIENCE)),
}


@pytest.mark.parametrize("instant", [True, False], ids=["instant", "thread"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("age", [3599, 3600], ids=["stale", "ended"])
def test_the_caller_is_interrupted(scripted: Any, clock: Any, call: str, instant: bool, age: int) -> None:
    """Wherever a caller is interrupted, the next one gets new credentials, without waiting for anything to time out."""
    number, reached = 0, set()
    while True:
        number += 1
        provider = made(scripted, clock, instant=instant)
        old = provider.get_credentials()
        clock.advance(age)
        injection = Injection(number)
        raised = interrupted(injection, partial(CALLS[call], provider, old))
        if not injection.at:
            assert raised == []
            break
        reached.add(injection.at)
        clock.advance(3600 - age + 2.0)  # they have ended, and one failed fetch is forgiven
        assert fetched(provider, injection) is not old, injection.at
        assert provider._lock.acquire(timeout=PATIENCE), injection.at
        provider._lock.release()
    assert len(reached) > 20


@pytest.mark.parametrize("outcome", ["success", "failure"])
@pytest.mark.parametrize("age", [3599, 3600], ids=["stale", "ended"])
def test_the_fetching_thread_is_interrupted(
    scripted: Any, clock: Any, monkeypatch: pytest.MonkeyPatch, outcome: str, age: int
) -> None:
    """Wherever the thread that fetches is interrupted, those who wait are released, and the next call fetches."""
    number, reached = 0, set()
    while True:
        number += 1
        provider = made(scripted, clock, instant=False)
        old = provider.get_credentials()
        source: Any = provider._source
        if outcome == "failure":
            source.failure = ValueError("no")
        clock.advance(age)
        injection = Injection(number)
        over = threading.Event()
        real_run = single_flight.SingleFlight.run

        def run(
            self: single_flight.SingleFlight,
            injection: Injection = injection,
            over: threading.Event = over,
            real_run: Any = real_run,
        ) -> None:
            try:
                with injected(injection):
                    real_run(self)
            finally:
                over.set()

        with monkeypatch.context() as patch:
            patch.setattr(single_flight.SingleFlight, "run", run)
            failures: list[str] = []
            try:
                provider.get_credentials(timeout=PATIENCE)
            except CredentialsError as error:
                failures.append(str(error))
            assert not any("no answer within" in failure for failure in failures), injection.at
            assert over.wait(PATIENCE)
        if not injection.at:
            break
        reached.add(injection.at)
        source.failure = None
        clock.advance(3602 - age)
        assert fetched(provider, injection) is not old, injection.at
    assert len(reached) > 20


def test_callers_wait_for_one_fetch_although_one_of_them_is_interrupted(scripted: Any, clock: Any) -> None:
    """The others get the result of the one fetch, whatever became of the caller that began it."""
    source = scripted()
    provider = RefreshingProvider(source, clock=clock, wall=clock.wall)
    number = 0
    found: list[Any] = []
    while True:
        number += 1
        injection = Injection(number)
        interrupted(injection, partial(provider.get_credentials, PATIENCE))
        waiting = [
            threading.Thread(target=lambda: found.append(provider.get_credentials(timeout=PATIENCE))) for _ in range(3)
        ]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join(PATIENCE)
        assert len({id(credentials) for credentials in found}) == 1, injection.at
        assert source.calls == number, injection.at
        if not injection.at:
            break
        found.clear()
        clock.advance(3600)


def test_a_cancelled_task_blocks_nobody(scripted: Any, clock: Any) -> None:
    """A task that is cancelled while it waits leaves the fetch to the others."""
    source = scripted()
    source.gate.clear()
    provider = RefreshingProvider(source, clock=clock, wall=clock.wall)

    async def main() -> Any:
        tasks = [asyncio.create_task(provider.get_credentials_async(PATIENCE)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        source.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    cancelled, *others = asyncio.run(main())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert others == [provider.get_credentials()] * 2
    assert source.calls == 1
