"""Work that is done once for any number of callers, the thread that does it, and what a forked child forgets."""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from ots_config.errors import CredentialsError, CredentialsRefused, OTSConfigError
from ots_config.shown_text import raised_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from ots_config.credentials.credentials import Credentials


class Forkable(Protocol):
    """Something with locks or threads of its own."""

    def after_fork(self) -> None:
        """Make new locks and forget work in progress; only the forking thread exists."""


_forkables: WeakSet[Forkable] = WeakSet()


def reset_after_fork(forkable: Forkable) -> None:
    """Call ``forkable.after_fork()`` in every forked child, for as long as the object is alive."""
    _forkables.add(forkable)


def _reset_all() -> None:
    for forkable in list(_forkables):
        forkable.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)


def translated(error: BaseException, name: str) -> CredentialsError:
    """Return what a caller may see of a source's failure: an error of ours, without traceback, cause or frames.

    Args:
        error: What the source raised. The text of an error that is not ours is not repeated: it may hold a secret.
        name: The source's name.
    """
    if isinstance(error, CredentialsError):
        return copy(error)
    if isinstance(error, OTSConfigError):
        return CredentialsRefused(f"{name}: {error}")
    if isinstance(error, Warning):
        return _stopped_by_filter(error, name)
    return CredentialsRefused(
        f"{name}: failed with {type(error).__name__}{raised_at(error)} (its text may hold a secret and is not shown)"
    )


def _stopped_by_filter(warning: Warning, source: str) -> CredentialsError:
    """Return the error for a source in which a warnings filter of this process raised a warning as an error.

    It is no ``CredentialsRefused``: nobody refused anything, and with another filter the same keys work. The filters
    are not changed around the source: that would change them for every thread of the process.

    Args:
        warning: What was raised. Its text is not repeated: a source that raises one itself may put a secret there.
        source: The source's name.
    """
    kind = type(warning).__name__
    return CredentialsError(
        f"{source} was stopped by a {kind}{raised_at(warning)}, which a warnings filter of this process turned into "
        f"an error; with a filter that ignores it or shows it (default::{kind}) the source can go on"
    )


class SingleFlight:
    """A fetch that is done once, and whose result or failure every caller gets.

    Attributes:
        name: The provider's name, for messages.
        urgent: Whether a thread is about to run it because somebody waits.
    """

    __slots__ = ("_callbacks", "_done", "_error", "_fetch", "_lock", "_result", "_started", "_thread", "name", "urgent")

    def __init__(self, fetch: Callable[[], Credentials], name: str) -> None:
        self.name = name
        self.urgent = False
        self._fetch: Callable[[], Credentials] | None = fetch
        self._lock = threading.Lock()
        self._started = False
        self._thread: int | None = None
        self._done = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._result: Credentials | None = None
        self._error: CredentialsError | None = None

    @property
    def started(self) -> bool:
        """Whether a thread runs it or has run it."""
        return self._started

    def run(self) -> None:
        """Fetch in this thread, unless another has started."""
        with self._lock:
            fetch = self._fetch
            if self._started or fetch is None:
                return
            self._started = True
        self._thread = threading.get_ident()
        try:
            self._result = fetch()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, those who wait must learn of it
            self._error = translated(error, self.name)
        except BaseException:
            self._error = CredentialsRefused(f"{self.name}: interrupted")
            raise
        finally:
            # The function refers to its provider: what is finished must not keep that alive.
            self._fetch = fetch = None
            with self._lock:
                self._done.set()
                callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()

    def wait(self, timeout: float | None) -> Credentials:
        """Wait for the end.

        Args:
            timeout: How many seconds this caller waits, None for as long as it takes.

        Raises:
            CredentialsError: The failure, a new object for each caller; or that it took too long.
        """
        if self._thread == threading.get_ident() and not self._done.is_set():
            raise CredentialsRefused(f"{self.name}: the source asks itself for credentials")
        if not self._done.wait(timeout):
            raise self._late(timeout)
        return self._unwrap()

    async def wait_async(self, timeout: float | None) -> Credentials:  # noqa: ASYNC109 - as wait() has it
        """Wait for the end without blocking the event loop; see ``wait``."""
        import asyncio

        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        def wake() -> None:
            with suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(finish)

        with self._lock:
            running = not self._done.is_set()
            if running:
                self._callbacks.append(wake)
        if running:
            try:
                async with asyncio.timeout(timeout):
                    await done
            except TimeoutError:
                late = self._late(timeout)
            else:
                return self._unwrap()
            raise late
        return self._unwrap()

    def _late(self, timeout: float | None) -> CredentialsRefused:
        return CredentialsRefused(f"{self.name}: no answer within {timeout:.3g} s; the request goes on")

    def _unwrap(self) -> Credentials:
        if self._error is not None:
            raise copy(self._error)
        if self._result is None:  # pragma: no cover - run() sets one or the other
            raise CredentialsRefused(f"{self.name}: no credentials")
        return self._result


class Background:
    """The thread of the process that refreshes credentials: started when first needed, gone when idle.

    A fetch that somebody waits for never queues behind others: if the thread is busy, it gets one of its own.
    """

    def __init__(self, idle: float = 10.0) -> None:
        self._idle = idle
        self._here = threading.local()
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Forget the thread and its queue: they stayed in the parent."""
        self._wake = threading.Condition()
        self._queue: deque[SingleFlight] = deque()
        self._thread: threading.Thread | None = None
        self._busy = False

    def submit(self, fetch: SingleFlight, *, urgent: bool) -> None:
        """Run a fetch; it may be submitted more than once.

        Args:
            fetch: The fetch.
            urgent: Whether somebody waits for it.
        """
        if fetch.started:
            return
        if urgent and getattr(self._here, "working", False):
            fetch.run()  # credentials needed to get credentials: this thread would wait for itself
            return
        try:
            with self._wake:
                if fetch.urgent:
                    return
                fetch.urgent = urgent
                if urgent and (self._busy or self._queue):
                    self._start(self._run, fetch)
                    return
                if fetch not in self._queue:
                    self._queue.append(fetch)
                if self._thread is None:
                    self._thread = self._start(self._serve)
                self._wake.notify()
        except RuntimeError:  # no thread can be had: the system's limit, or the interpreter is going down
            fetch.run()

    def _start(self, target: Callable[..., None], *args: SingleFlight) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, name="ots-config-credentials", daemon=True)
        thread.start()
        return thread

    def _run(self, fetch: SingleFlight) -> None:
        self._here.working = True
        with suppress(BaseException):  # those who wait have got the error
            fetch.run()

    def _serve(self) -> None:
        while True:
            with self._wake:
                self._busy = False
                while not self._queue:
                    if not self._wake.wait(self._idle) and not self._queue:
                        self._thread = None
                        return
                self._busy = True
                fetch = self._queue.popleft()
            self._run(fetch)
            del fetch  # an idle thread must not keep a provider alive


BACKGROUND = Background()
