"""Who carries the loads of a bulk write: threads for ``OTSClient``, tasks for ``AsyncOTSClient``.

Both are driven by the same coroutine. What it awaits of ``Threads`` blocks and never suspends, so ``run`` can carry it
to its end without an event loop; what it awaits of ``Tasks`` gives way to the others.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeAlias

from ots_config.client.bulk.scheduler import Load
from ots_config.request.io import run_sync

_AT_ONCE = 0.005
"""Seconds after which a slow input's rows are handed on, so that other things get their turn."""

Send: TypeAlias = Callable[[Load], Coroutine[Any, Any, None]]
"""Sends a load and notes the outcome in it; it raises nothing but what ends a thread or a task."""


class Crew(Protocol):
    """Reads the input and carries loads.

    Attributes:
        fresh: The rows that were read, to be taken from the left.
    """

    fresh: deque[Any]

    async def read(self, most: int, longest: float | None) -> bool:
        """Read the next rows, or none if there are none in so many seconds; return whether there may be more.

        What the input raises is left for ``check``, so that the rows before it are taken first.
        """
        ...

    def check(self) -> None:
        """Raise what the input has raised."""
        ...

    async def launch(self, load: Load) -> None:
        """Begin to send a load."""
        ...

    def landed(self) -> Iterator[Load]:
        """Yield the loads that have come back, each once."""
        ...

    async def wait(self, longest: float | None) -> None:
        """Wait until a load has come back, or for so many seconds."""
        ...

    async def leave(self, *, at_once: bool) -> None:
        """Wait for what is in flight, or cut it short if it can be."""
        ...


class Threads:
    """Carries loads in threads; the input is read in the caller's own.

    Args:
        rows: The input.
        concurrency: The most loads in flight.
        send: Sends a load.
    """

    def __init__(self, rows: Iterable[Any], concurrency: int, send: Send) -> None:
        self.fresh: deque[Any] = deque()
        self._rows = iter(rows)
        self._broken: BaseException | None = None
        self._send = send
        self._executor = ThreadPoolExecutor(concurrency, "ots-bulk")
        self._landed: SimpleQueue[Load] = SimpleQueue()
        self._first: Load | None = None

    async def read(self, most: int, longest: float | None) -> bool:  # noqa: ARG002 - nothing can hurry it
        """Read the next rows; return whether there may be more."""
        try:
            return _read(self._rows, self.fresh, most)
        except BaseException as error:  # noqa: BLE001 - check raises it
            self._broken = error
            return True

    def check(self) -> None:
        """Raise what the input has raised."""
        if self._broken is not None:
            raise self._broken

    async def launch(self, load: Load) -> None:
        """Begin to send a load, in the caller's context."""
        self._executor.submit(copy_context().run, self._carry, load)

    def _carry(self, load: Load) -> None:
        try:
            run_sync(self._send(load))
        finally:
            self._landed.put(load)

    def landed(self) -> Iterator[Load]:
        """Yield the loads that have come back, each once."""
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        while True:
            try:
                yield self._landed.get_nowait()
            except Empty:
                return

    async def wait(self, longest: float | None) -> None:
        """Wait until a load has come back, or for so many seconds."""
        try:
            self._first = self._landed.get(timeout=longest)
        except Empty:
            return

    async def leave(self, *, at_once: bool) -> None:
        """Wait for what is in flight; threads cannot be cut short."""
        self._executor.shutdown(wait=not at_once, cancel_futures=at_once)


class Tasks:
    """Carries loads in tasks of the running event loop.

    Args:
        rows: The input, which may be asynchronous.
        send: Sends a load.
    """

    def __init__(self, rows: Iterable[Any] | AsyncIterable[Any], send: Send) -> None:
        self.fresh: deque[Any] = deque()
        self._later: AsyncIterator[Any] | None = aiter(rows) if isinstance(rows, AsyncIterable) else None
        self._rows = iter(()) if isinstance(rows, AsyncIterable) else iter(rows)
        self._broken: BaseException | None = None
        self._send = send
        self._reading: asyncio.Task[bool] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._landed: deque[Load] = deque()

    async def read(self, most: int, longest: float | None) -> bool:
        """Read the next rows; none if there are none in so many seconds or a load came back."""
        if self._later is None:
            try:
                return _read(self._rows, self.fresh, most)
            except Exception as error:  # noqa: BLE001 - check raises it
                self._broken = error
                return True
        if self._reading is None:
            self._reading = asyncio.create_task(self._fetch(self._later, most))
        await asyncio.wait({self._reading, *self._under_way()}, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
        if not self._reading.done():
            return True
        done, self._reading = self._reading, None
        return done.result()

    async def _fetch(self, rows: AsyncIterator[Any], most: int) -> bool:
        until = time.monotonic() + _AT_ONCE
        try:
            for _ in range(most):
                self.fresh.append(await anext(rows))
                if time.monotonic() > until:
                    break
        except StopAsyncIteration:
            return False
        except Exception as error:  # noqa: BLE001 - check raises it
            self._broken = error
        return True

    def check(self) -> None:
        """Raise what the input has raised."""
        if self._broken is not None:
            raise self._broken

    async def launch(self, load: Load) -> None:
        """Begin to send a load."""
        self._tasks.add(asyncio.create_task(self._carry(load)))
        await asyncio.sleep(0)  # or a long input would be read before the first request is under way

    async def _carry(self, load: Load) -> None:
        try:
            await self._send(load)
        finally:
            self._landed.append(load)

    def _under_way(self) -> set[asyncio.Task[None]]:
        self._tasks = {task for task in self._tasks if not task.done()}
        return self._tasks

    def landed(self) -> Iterator[Load]:
        """Yield the loads that have come back, each once."""
        while self._landed:
            yield self._landed.popleft()

    async def wait(self, longest: float | None) -> None:
        """Wait until a load has come back, or for so many seconds."""
        if tasks := self._under_way():
            await asyncio.wait(tasks, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(longest or 0.0)

    async def leave(self, *, at_once: bool) -> None:
        """Wait for what is in flight, or cancel it; a row that is being read is given up."""
        tasks: set[asyncio.Task[Any]] = set(self._under_way())
        for task in tasks if at_once else ():
            task.cancel()
        if self._reading is not None:
            self._reading.cancel()
            tasks.add(self._reading)
        if tasks:
            await asyncio.wait(tasks)


def _read(rows: Iterator[Any], into: deque[Any], most: int) -> bool:
    """Append the next rows, so many at most, and fewer if they come slowly; return whether there may be more."""
    until = time.monotonic() + _AT_ONCE
    for row in rows:
        into.append(row)
        most -= 1
        if not most or time.monotonic() > until:
            return True
    return False
