"""Reads the input of a bulk write and sends its batches: in threads for ``OTSClient``, in tasks for ``AsyncOTSClient``.

The same coroutine drives both. What it awaits of ``ThreadWorkers`` blocks and never suspends, so ``run_sync`` can run
it without an event loop; what it awaits of ``TaskWorkers`` suspends the task.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, TypeAlias

from ots_config.client.bulk.pending import RowBatch
from ots_config.request.io import run_sync

_MAX_READ_SECONDS = 0.005
"""After this time the rows that a slow input has yielded are processed, and reading goes on later."""
_MAX_WAIT_SECONDS = 0.25
"""A signal that comes just before a thread begins to wait for a lock is noticed when the wait is over."""

Send: TypeAlias = Callable[[RowBatch], Coroutine[Any, Any, None]]
"""Sends a batch and sets its outcome; it raises only what ends a thread or a task."""


class Chunk(NamedTuple):
    """The rows that were read last, and the position of the first of them."""

    first: int
    rows: list[Any]


class WorkerPool(ABC):
    """Reads the input and sends batches.

    Args:
        send: Sends a batch.

    Attributes:
        chunk: The rows that were read last; those at the scheduler's position and after it are not processed yet.
    """

    def __init__(self, send: Send) -> None:
        self.chunk = Chunk(0, [])
        self._send = send
        self._input_error: BaseException | None = None

    @abstractmethod
    async def read(self, max_rows: int, timeout: float | None) -> bool:  # noqa: ASYNC109 - threads have one too
        """Read the next rows, or none if none comes in time; return whether there may be more.

        An error of the input is kept for ``raise_input_error``, so that the rows before it are processed first.
        """

    def next_chunk(self) -> list[Any]:
        """Begin the next chunk, when all rows of the last one were processed, and return its rows."""
        self.chunk = Chunk(self.chunk.first + len(self.chunk.rows), [])
        return self.chunk.rows

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
        """Wait for the batches in flight, or cancel them if that is possible; no other is begun."""


class ThreadWorkers(WorkerPool):
    """Sends batches in threads; the input is read in the thread of the caller.

    The threads are daemons of our own, not those of ``concurrent.futures``: the interpreter joins the latter when it
    ends, so that one who has pressed Ctrl-C twice would wait for requests all the same; and an executor refuses work
    as soon as the main thread has ended, also that of a job in another thread. Where no thread can be started any more,
    as in a function of ``atexit``, the caller's thread sends the batches.

    Args:
        rows: The input.
        concurrency: The most batches in flight.
        send: Sends a batch.
    """

    def __init__(self, rows: Iterable[Any], concurrency: int, send: Send) -> None:
        super().__init__(send)
        self._rows = iter(rows)
        self._concurrency = concurrency
        self._threads = 0
        self._handed_over: list[RowBatch] = []
        self._waiting: SimpleQueue[tuple[Context, RowBatch] | None] = SimpleQueue()
        self._completed: SimpleQueue[RowBatch] = SimpleQueue()
        self._first: RowBatch | None = None
        self._closed = False

    async def read(self, max_rows: int, timeout: float | None) -> bool:  # noqa: ARG002, ASYNC109 - it blocks
        """Read the next rows; return whether there may be more."""
        try:
            return _read(self._rows, self.next_chunk(), max_rows)
        except BaseException as error:  # noqa: BLE001 - raise_input_error raises it
            self._input_error = error
            return True

    async def start(self, batch: RowBatch) -> None:
        """Start to send a batch, in the context of the caller."""
        self._handed_over = [other for other in self._handed_over if not other.done]
        if self._threads <= len(self._handed_over) and self._threads < self._concurrency:
            self._start_thread()
        if self._threads:
            self._waiting.put((copy_context(), batch))
            self._handed_over.append(batch)
        else:
            self._run(batch)

    def _start_thread(self) -> None:
        try:
            Thread(target=self._work, name="ots-bulk", daemon=True).start()
        except RuntimeError:  # there are too many, or the interpreter ends: those that there are do the work
            return
        self._threads += 1

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            context, batch = job
            context.run(self._run, batch)
            del job, context, batch  # while it waits it keeps no rows alive
        self._waiting.put(None)  # for the next thread

    def _run(self, batch: RowBatch) -> None:
        batch.started = True
        try:
            if self._closed:
                batch.started = False
            else:
                run_sync(self._send(batch))
        finally:
            batch.done = True
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
            longest = _MAX_WAIT_SECONDS if timeout is None else min(timeout, _MAX_WAIT_SECONDS)
            self._first = self._completed.get(timeout=longest)
        except Empty:
            return

    async def close(self, *, cancel: bool) -> None:
        """Wait for the batches in flight, then begin none any more; threads cannot be cancelled."""
        try:
            while not cancel and not all(batch.done for batch in self._handed_over):
                await self.wait(None)
        finally:
            # A thread that marks its batch as started after this line finds the pool closed, and sends nothing.
            self._closed = True
            self._waiting.put(None)


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
                return _read(self._rows, self.next_chunk(), max_rows)
            except Exception as error:  # noqa: BLE001 - raise_input_error raises it
                self._input_error = error
                return True
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_async(self._async_rows, self.next_chunk(), max_rows))
        await asyncio.wait({self._reading, *self._running()}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not self._reading.done():
            return True
        done, self._reading = self._reading, None
        return done.result()

    async def _read_async(self, rows: AsyncIterator[Any], into: list[Any], max_rows: int) -> bool:
        until = time.monotonic() + _MAX_READ_SECONDS
        try:
            for _ in range(max_rows):
                into.append(await anext(rows))
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
        batch.started = True
        try:
            await self._send(batch)
        finally:
            batch.done = True
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


def _read(rows: Iterator[Any], into: list[Any], max_rows: int) -> bool:
    """Append the next rows, fewer if they come slowly; return whether there may be more."""
    until = time.monotonic() + _MAX_READ_SECONDS
    for row in rows:
        into.append(row)
        max_rows -= 1
        if not max_rows or time.monotonic() > until:
            return True
    return False
