"""One piece of work that any number of threads and tasks wait for, and the one thread that does such work."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING

from ots_config.credentials.forking import reset_after_fork
from ots_config.errors import CredentialsError, CredentialsRefused, OTSConfigError, raised_at, stopped_by_filter

if TYPE_CHECKING:
    from collections.abc import Callable

    from ots_config.credentials.credentials import Credentials


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
        return stopped_by_filter(error, name)
    return CredentialsRefused(
        f"{name}: failed with {type(error).__name__}{raised_at(error)} (its text may hold a secret and is not shown)"
    )


class Flight:
    """Work that is done once and whose result, or failure, everyone who waits is handed.

    Attributes:
        name: Whose work it is, for messages.
        hurried: Whether a thread is about to take it on.
    """

    __slots__ = ("_callbacks", "_claimed", "_done", "_error", "_lock", "_owner", "_result", "_work", "hurried", "name")

    def __init__(self, work: Callable[[], Credentials], name: str) -> None:
        self.name = name
        self.hurried = False
        self._work: Callable[[], Credentials] | None = work
        self._lock = threading.Lock()
        self._claimed = False
        self._owner: int | None = None
        self._done = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._result: Credentials | None = None
        self._error: CredentialsError | None = None

    @property
    def claimed(self) -> bool:
        """Whether a thread has taken the work on."""
        return self._claimed

    def run(self) -> None:
        """Do the work in this thread, unless another has taken it on."""
        with self._lock:
            work = self._work
            if self._claimed or work is None:
                return
            self._claimed = True
        self._owner = threading.get_ident()
        try:
            self._result = work()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, those who wait must be told
            self._error = translated(error, self.name)
        except BaseException:
            self._error = CredentialsRefused(f"{self.name}: interrupted")
            raise
        finally:
            # The work refers to its provider: a finished flight must not keep that alive.
            self._work = work = None
            with self._lock:
                self._done.set()
                callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()

    def result(self, timeout: float | None) -> Credentials:
        """Wait for the end.

        Args:
            timeout: How many seconds this caller waits, None for as long as it takes.

        Raises:
            CredentialsError: The failure, a new object for each caller; or that it took too long.
        """
        if self._owner == threading.get_ident() and not self._done.is_set():
            raise CredentialsRefused(f"{self.name}: the source asks itself for credentials")
        if not self._done.wait(timeout):
            raise self._late(timeout)
        return self._answer()

    async def result_async(self, timeout: float | None) -> Credentials:  # noqa: ASYNC109 - as result() has it
        """Wait for the end without blocking the event loop; see ``result``."""
        import asyncio

        loop = asyncio.get_running_loop()
        landed = loop.create_future()

        def land() -> None:
            if not landed.done():
                landed.set_result(None)

        def wake() -> None:
            with suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(land)

        with self._lock:
            flying = not self._done.is_set()
            if flying:
                self._callbacks.append(wake)
        if flying:
            try:
                async with asyncio.timeout(timeout):
                    await landed
            except TimeoutError:
                late = self._late(timeout)
            else:
                return self._answer()
            raise late
        return self._answer()

    def _late(self, timeout: float | None) -> CredentialsRefused:
        return CredentialsRefused(f"{self.name}: no answer within {timeout:.3g} s; it is still being waited for")

    def _answer(self) -> Credentials:
        if self._error is not None:
            raise copy(self._error)
        if self._result is None:  # pragma: no cover - a flight lands with one or the other
            raise CredentialsRefused(f"{self.name}: no credentials")
        return self._result


class Background:
    """The thread of the process that refreshes credentials: started when first needed, gone when idle.

    Work that somebody waits for never queues behind other work: if the thread is busy, it gets one of its own.
    """

    def __init__(self, idle: float = 10.0) -> None:
        self._idle = idle
        self._here = threading.local()
        self.after_fork()
        reset_after_fork(self)

    def after_fork(self) -> None:
        """Forget the thread and its queue: they stayed in the parent."""
        self._wake = threading.Condition()
        self._queue: deque[Flight] = deque()
        self._thread: threading.Thread | None = None
        self._busy = False

    def submit(self, flight: Flight, *, urgent: bool) -> None:
        """Have a flight flown; it may be handed in more than once.

        Args:
            flight: What to do.
            urgent: Whether somebody waits for it.
        """
        if flight.claimed:
            return
        if urgent and getattr(self._here, "working", False):
            flight.run()  # credentials needed to get credentials: this thread would wait for itself
            return
        try:
            with self._wake:
                if flight.hurried:
                    return
                flight.hurried = urgent
                if urgent and (self._busy or self._queue):
                    self._start(self._fly, flight)
                    return
                if flight not in self._queue:
                    self._queue.append(flight)
                if self._thread is None:
                    self._thread = self._start(self._serve)
                self._wake.notify()
        except RuntimeError:  # no thread can be had: the system's limit, or the interpreter is going down
            flight.run()

    def _start(self, target: Callable[..., None], *args: Flight) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, name="ots-config-credentials", daemon=True)
        thread.start()
        return thread

    def _fly(self, flight: Flight) -> None:
        self._here.working = True
        with suppress(BaseException):  # those who wait have been told
            flight.run()

    def _serve(self) -> None:
        while True:
            with self._wake:
                self._busy = False
                while not self._queue:
                    if not self._wake.wait(self._idle) and not self._queue:
                        self._thread = None
                        return
                self._busy = True
                flight = self._queue.popleft()
            self._fly(flight)
            del flight  # an idle thread must not keep a provider alive


BACKGROUND = Background()
