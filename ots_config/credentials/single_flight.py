"""Work that is done once for any number of callers, the threads that do it, and what a forked child forgets.

An exception may be raised at any line of a thread: by a signal handler, by a time limit of a task queue, by a green
thread's timeout. So nothing here holds a lock or a mark that an interrupted call would leave behind: what must not be
done twice is claimed by an operation that the interpreter cannot interrupt (of ``dict`` and ``deque``), what must be
done at the end is done twice, and who waits looks every quarter of a second whether there is still something to wait
for.
"""

from __future__ import annotations

import os
import threading
from _thread import LockType, allocate_lock
from collections import deque
from contextlib import suppress
from copy import copy
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar
from weakref import WeakSet

from ots_config.credentials.credentials import Credentials
from ots_config.errors import CredentialsError, CredentialsRefused, OTSConfigError
from ots_config.shown_text import raised_at

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")

_LOOK_AGAIN: Final = 0.25
"""Seconds after which who waits looks for an end that nobody has announced."""


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
        urgent: Whether somebody waits for it, so that it has a thread of its own.
    """

    __slots__ = ("_callbacks", "_claims", "_fetch", "_outcome", "_thread", "_waiters", "name", "urgent")

    def __init__(self, fetch: Callable[[], Credentials], name: str) -> None:
        self.name = name
        self.urgent = False
        self._fetch: Callable[[], Credentials] | None = fetch
        self._claims: dict[str, object] = {}
        self._thread: int | None = None
        self._waiters: deque[LockType] = deque()
        self._callbacks: deque[Callable[[], None]] = deque()
        self._outcome: Credentials | CredentialsError | None = None

    @property
    def started(self) -> bool:
        """Whether a thread runs it or has run it."""
        return bool(self._claims)

    @property
    def is_over(self) -> bool:
        """Whether there is an outcome."""
        return self._outcome is not None

    def run(self) -> None:
        """Fetch in this thread, unless another has started."""
        claim = object()
        try:
            if self._claims.setdefault("run", claim) is claim:
                self._run()
        finally:
            if self._claims.get("run") is claim:
                self._end(None)

    def _run(self) -> None:
        self._thread = threading.get_ident()
        outcome: Credentials | CredentialsError | None = None
        try:
            if self._fetch is not None:
                outcome = self._fetch()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, those who wait must learn of it
            outcome = translated(error, self.name)
        finally:
            self._end(outcome)

    def _end(self, outcome: Credentials | CredentialsError | None) -> None:
        """Keep the outcome, unless there is one, and wake all who wait."""
        if self._outcome is None:
            self._outcome = outcome or CredentialsRefused(f"{self.name}: interrupted")
        # The function refers to its provider: what is finished must not keep that alive.
        self._fetch = None
        with suppress(IndexError):
            while True:
                self._waiters.popleft().release()
        with suppress(IndexError):
            while True:
                self._callbacks.popleft()()

    def wait(self, timeout: float | None) -> Credentials:
        """Wait for the end.

        Args:
            timeout: How many seconds this caller waits, None for as long as it takes.

        Raises:
            CredentialsError: The failure, a new object for each caller; or that it took too long.
        """
        if self._thread == threading.get_ident() and not self.is_over:
            raise CredentialsRefused(f"{self.name}: the source asks itself for credentials")
        ends = inf if timeout is None else monotonic() + timeout
        waiter = allocate_lock()
        waiter.acquire()
        self._waiters.append(waiter)
        while not self.is_over:
            left = ends - monotonic()
            if left <= 0:
                raise self._late(timeout)
            if not waiter.acquire(timeout=min(left, _LOOK_AGAIN)):
                self._see_to_it()
        return self._unwrap()

    async def wait_async(self, timeout: float | None) -> Credentials:  # noqa: ASYNC109 - as wait() has it
        """Wait for the end without blocking the event loop; see ``wait``."""
        import asyncio

        loop = asyncio.get_running_loop()
        ends = inf if timeout is None else loop.time() + timeout
        done = loop.create_future()

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        def wake() -> None:
            with suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(finish)

        self._callbacks.append(wake)
        while not self.is_over:
            left = ends - loop.time()
            if left <= 0:
                raise self._late(timeout)
            if not (await asyncio.wait((done,), timeout=min(left, _LOOK_AGAIN)))[0]:
                self._see_to_it()
        return self._unwrap()

    def _see_to_it(self) -> None:
        """Start what an interrupted caller has not handed to a thread."""
        if not self.started:
            BACKGROUND.run_in_thread(self)

    def _late(self, timeout: float | None) -> CredentialsRefused:
        return CredentialsRefused(f"{self.name}: no answer within {timeout:.3g} s; the request goes on")

    def _unwrap(self) -> Credentials:
        outcome = self._outcome
        if isinstance(outcome, Credentials):
            return outcome
        raise copy(outcome) if outcome is not None else CredentialsRefused(f"{self.name}: no credentials")


class TaskQueue(Generic[T]):
    """Does tasks in their order on one thread, which is started when needed and ends with the last of them.

    Args:
        name: The thread's name.
        do: Does a task; what it raises is ignored.
        hung_after: Seconds after which a task that is not done no longer keeps the others waiting: they are done on
            another thread.
        max_threads: The most threads, those that hang included.
    """

    def __init__(self, name: str, do: Callable[[T], object], *, hung_after: float = inf, max_threads: int = 1) -> None:
        self._name = name
        self._do = do
        self._hung_after = hung_after
        self._max_threads = max_threads
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Forget the threads and the queue: they stayed in the parent."""
        self.tasks: deque[T] = deque()
        # When each thread began what it does.
        self._busy_since: dict[threading.Thread, float] = {}

    def put(self, task: T) -> None:
        """Do a task after those that are in the queue."""
        self.tasks.append(task)
        self.serve()

    def serve(self) -> None:
        """See that a thread works on the queue."""
        now = monotonic()
        for thread, since in list(self._busy_since.items()):
            # One that has not been started yet is being started; after a second its starter was interrupted.
            if not thread.is_alive() and now - since > 1.0:
                self._busy_since.pop(thread, None)
        waiting = any(now - since < self._hung_after for since in list(self._busy_since.values()))
        if waiting or len(self._busy_since) >= self._max_threads:
            return
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._busy_since[thread] = now
        try:
            thread.start()
        except RuntimeError:  # no thread can be had: the system's limit, or the interpreter is going down
            self._busy_since.pop(thread, None)
            self._run_all(thread)

    def _work(self) -> None:
        thread = threading.current_thread()
        try:
            self._run_all(thread)
        finally:
            self._busy_since.pop(thread, None)
        if self.tasks:  # put there while this thread was about to end
            self.serve()

    def _run_all(self, thread: threading.Thread) -> None:
        with suppress(IndexError):
            while True:
                task = self.tasks.popleft()
                if thread in self._busy_since:
                    self._busy_since[thread] = monotonic()
                with suppress(BaseException):  # those who wait have got the error
                    self._do(task)
                del task  # which may keep a provider alive


class Background:
    """The threads of the process that fetch credentials.

    What nobody waits for is done by one thread, in turn; a source that hangs keeps the others waiting for a minute at
    most. What somebody waits for gets a thread of its own.
    """

    def __init__(self) -> None:
        self._here = threading.local()
        self._queue = TaskQueue(_THREAD_NAME, self._run, hung_after=60.0, max_threads=16)

    def submit(self, fetch: SingleFlight, *, urgent: bool) -> None:
        """Run a fetch; it may be submitted more than once.

        Args:
            fetch: The fetch.
            urgent: Whether somebody waits for it.
        """
        if fetch.started:
            return
        if not urgent:
            if fetch not in self._queue.tasks:
                self._queue.tasks.append(fetch)
            self._queue.serve()
        elif getattr(self._here, "fetch", None) is not None:
            fetch.run()  # credentials needed to get credentials: this thread would wait for itself
        elif not fetch.urgent:
            fetch.urgent = True
            self.run_in_thread(fetch)

    def run_in_thread(self, fetch: SingleFlight) -> None:
        """Run a fetch in a thread of its own, or in this one if there can be none."""
        thread = threading.Thread(target=self._run, args=(fetch,), name=_THREAD_NAME, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system's limit, or the interpreter is going down
            fetch.run()

    def somebody_waits(self) -> bool:
        """Return whether somebody waits for what the current thread does."""
        fetch = getattr(self._here, "fetch", None)
        return fetch is None or fetch.urgent

    def _run(self, fetch: SingleFlight) -> None:
        self._here.fetch = fetch
        try:
            with suppress(BaseException):  # those who wait have got the error
                fetch.run()
        finally:
            self._here.fetch = None


_THREAD_NAME: Final = "ots-config-credentials"

BACKGROUND = Background()
