"""Sends the batches of a bulk write: in threads for ``OTSClient``, in tasks for ``AsyncOTSClient``.

The same coroutine drives both. What it awaits of ``ThreadWorkers`` blocks and never suspends, so ``run_sync`` can run
it without an event loop; what it awaits of ``TaskWorkers`` suspends the task.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from ots_config.client.bulk.scheduler import RowBatch
from ots_config.request.io import run_sync

_MAX_READ_SECONDS = 0.005
"""After this time the rows that a slow input has yielded are processed, and reading goes on later."""

Send: TypeAlias = Callable[[RowBatch], Coroutine[Any, Any, None]]
"""Sends a batch and sets its outcome; it raises only what ends a thread or a task."""


class WorkerPool(ABC):
    """Reads the input and sends batches.

    Args:
        send: Sends a batch.

    Attributes:
        unprocessed: The rows that were read; the caller takes them from the left.
    """

    def __init__(self, send: Send) -> None:
        self.unprocessed: deque[Any] = deque()
        self._send = send
        self._input_error: BaseException | None = None

    @abstractmethod
    async def read(self, max_rows: int, timeout: float | None) -> bool:  # noqa: ASYNC109 - threads have one too
        """Read the next rows, or none if none comes in time; return whether there may be more.

        An error of the input is kept for ``raise_input_error``, so that the rows before it are processed first.
        """

    def raise_input_error(self) -> None:
        """Raise the error of the input, if there was one."""
        if self._input_error is not None:
            raise self._input_error

    @abstractmethod
    async def start(self, batch: RowBatch) -> None:
        """Start to send a batch."""

    @abstractmethod
    def completed(self) -> Iterator[RowBatch]:
        """Yield the batches that have come back, each once."""

    @abstractmethod
    async def wait(self, timeout: float | None) -> None:  # noqa: ASYNC109 - threads have one too
        """Wait until a batch has come back, but not longer than the timeout."""

    @abstractmethod
    async def close(self, *, cancel: bool) -> None:
        """Wait for the batches in flight, or cancel them if that is possible."""


class ThreadWorkers(WorkerPool):
    """Sends batches in threads; the input is read in the thread of the caller.

    Args:
        rows: The input.
        concurrency: The most batches in flight.
        send: Sends a batch.
    """

    def __init__(self, rows: Iterable[Any], concurrency: int, send: Send) -> None:
        super().__init__(send)
        self._rows = iter(rows)
        self._executor = ThreadPoolExecutor(concurrency, "ots-bulk")
        self._completed: SimpleQueue[RowBatch] = SimpleQueue()
        self._first: RowBatch | None = None

    async def read(self, max_rows: int, timeout: float | None) -> bool:  # noqa: ARG002, ASYNC109 - it blocks
        """Read the next rows; return whether there may be more."""
        try:
            return _read(self._rows, self.unprocessed, max_rows)
        except BaseException as error:  # noqa: BLE001 - raise_input_error raises it
            self._input_error = error
            return True

    async def start(self, batch: RowBatch) -> None:
        """Start to send a batch, in the context of the caller."""
        self._executor.submit(copy_context().run, self._run, batch)

    def _run(self, batch: RowBatch) -> None:
        try:
            run_sync(self._send(batch))
        finally:
            self._completed.put(batch)

    def completed(self) -> Iterator[RowBatch]:
        """Yield the batches that have come back, each once."""
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        while True:
            try:
                yield self._completed.get_nowait()
            except Empty:
                return

    async def wait(self, timeout: float | None) -> None:  # noqa: ASYNC109 - it blocks
        """Wait until a batch has come back, but not longer than the timeout."""
        try:
            self._first = self._completed.get(timeout=timeout)
        except Empty:
            return

    async def close(self, *, cancel: bool) -> None:
        """Wait for the batches in flight; threads cannot be cancelled."""
        self._executor.shutdown(wait=not cancel, cancel_futures=cancel)


class TaskWorkers(WorkerPool):
    """Sends batches in tasks of the running event loop.

    Args:
        rows: The input, which may be asynchronous.
        send: Sends a batch.
    """

    def __init__(self, rows: Iterable[Any] | AsyncIterable[Any], send: Send) -> None:
        super().__init__(send)
        self._async_rows: AsyncIterator[Any] | None = aiter(rows) if isinstance(rows, AsyncIterable) else None
        self._rows = iter(()) if isinstance(rows, AsyncIterable) else iter(rows)
        self._reading: asyncio.Task[bool] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._completed: deque[RowBatch] = deque()

    async def read(self, max_rows: int, timeout: float | None) -> bool:  # noqa: ASYNC109 - as of threads
        """Read the next rows; none if none comes in time, or if a batch comes back first."""
        if self._async_rows is None:
            try:
                return _read(self._rows, self.unprocessed, max_rows)
            except Exception as error:  # noqa: BLE001 - raise_input_error raises it
                self._input_error = error
                return True
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_async(self._async_rows, max_rows))
        await asyncio.wait({self._reading, *self._running()}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not self._reading.done():
            return True
        done, self._reading = self._reading, None
        return done.result()

    async def _read_async(self, rows: AsyncIterator[Any], max_rows: int) -> bool:
        until = time.monotonic() + _MAX_READ_SECONDS
        try:
            for _ in range(max_rows):
                self.unprocessed.append(await anext(rows))
                if time.monotonic() > until:
                    break
        except StopAsyncIteration:
            return False
        except Exception as error:  # noqa: BLE001 - raise_input_error raises it
            self._input_error = error
        return True

    async def start(self, batch: RowBatch) -> None:
        """Start to send a batch."""
        self._tasks.add(asyncio.create_task(self._run(batch)))
        await asyncio.sleep(0)  # or a long input would be read before the first request is sent

    async def _run(self, batch: RowBatch) -> None:
        try:
            await self._send(batch)
        finally:
            self._completed.append(batch)

    def _running(self) -> set[asyncio.Task[None]]:
        self._tasks = {task for task in self._tasks if not task.done()}
        return self._tasks

    def completed(self) -> Iterator[RowBatch]:
        """Yield the batches that have come back, each once."""
        while self._completed:
            yield self._completed.popleft()

    async def wait(self, timeout: float | None) -> None:  # noqa: ASYNC109 - as of threads
        """Wait until a batch has come back, but not longer than the timeout."""
        if tasks := self._running():
            await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(timeout or 0.0)

    async def close(self, *, cancel: bool) -> None:
        """Wait for the batches in flight, or cancel them; a row that is being read is given up."""
        tasks: set[asyncio.Task[Any]] = set(self._running())
        for task in tasks if cancel else ():
            task.cancel()
        if self._reading is not None:
            self._reading.cancel()
            tasks.add(self._reading)
        if tasks:
            await asyncio.wait(tasks)


def _read(rows: Iterator[Any], into: deque[Any], max_rows: int) -> bool:
    """Append the next rows, fewer if they come slowly; return whether there may be more."""
    until = time.monotonic() + _MAX_READ_SECONDS
    for row in rows:
        into.append(row)
        max_rows -= 1
        if not max_rows or time.monotonic() > until:
            return True
    return False
