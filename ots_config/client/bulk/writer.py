"""One bulk write, from its first row to its report; the same coroutine for threads and for tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Hashable, Iterable
from dataclasses import replace
from functools import partial
from itertools import islice
from logging import Logger
from typing import Any

from ots_config.client.bulk.pending import RowBatch
from ots_config.client.bulk.report import BulkLimits, BulkReport, FailedRow
from ots_config.client.bulk.scheduler import Scheduler
from ots_config.client.bulk.values import may_hold_nan, plain_item
from ots_config.client.bulk.workers import TaskWorkers, ThreadWorkers, WorkerPool
from ots_config.client.codec import Codec
from ots_config.client.row_encoder import join_items
from ots_config.errors import OTSConfigError, RequestInvalid, ResponseInvalid
from ots_config.request.call import Caller
from ots_config.request.deadline import Deadline
from ots_config.request.idempotency import Repeatable
from ots_config.request.io import run_sync
from ots_config.request.operations import OPERATIONS
from ots_config.sdk import as_sdk_error, tablestore

_NAME = "BatchWriteRow"
_OPERATION = OPERATIONS[_NAME]
_ITEMS = (tablestore.PutRowItem, tablestore.UpdateRowItem, tablestore.DeleteRowItem)

_ROW_OVERHEAD = 6
"""The most bytes that a request needs for a row besides the row: a tag, and the length."""
_TABLE_OVERHEAD = 12
"""The most bytes that it needs besides rows and the table's name: two such tags and lengths."""
_PLAIN_KEYS = frozenset({int, str})


class BulkWriter:
    """Carries out one bulk write; ``OTSClient.bulk_write`` describes it.

    ``retry_writes`` is that of the retry policy: whether repeatable writes that may have happened are sent again.
    """

    def __init__(
        self,
        caller: Caller,
        codec: Codec,
        logger: Logger,
        table: str,
        limits: BulkLimits,
        *,
        retry_writes: bool,
        progress: Callable[[int], object] | None,
        on_failed_row: Callable[[FailedRow], object] | None,
    ) -> None:
        self._caller = caller
        self._codec = codec
        self._encode_put = codec.protocol.encoder.encode_put_item
        self._encode_item = codec.protocol.encoder.encode_item
        self._logger = logger
        self._table = table
        self._concurrency = limits.concurrency
        self._progress = progress
        self._on_failed_row = on_failed_row
        self._retry_writes = retry_writes
        self._retry_for = limits.retry_for
        rows_bytes = max(limits.max_bytes - _TABLE_OVERHEAD - len(table.encode()), 1)
        self._scheduler = Scheduler(replace(limits, max_bytes=rows_bytes), retry_writes=retry_writes)
        self._started = 0.0

    def run_in_threads(self, rows: Iterable[Any]) -> BulkReport:
        """Write the rows in threads, and return when all are finished."""
        return run_sync(self._run(ThreadWorkers(rows, self._concurrency, self._send)))

    async def run_in_tasks(self, rows: Iterable[Any] | AsyncIterable[Any]) -> BulkReport:
        """Write the rows in tasks, and return when all are finished."""
        return await self._run(TaskWorkers(rows, self._send))

    async def _run(self, workers: WorkerPool) -> BulkReport:
        self._started = time.monotonic()
        try:
            await self._write(workers)
            if self._scheduler.stop_reason is not None:
                self._scheduler.stop()
            await workers.close(cancel=False)
            report = self._close(workers)
            self._report_failed_rows()
        except GeneratorExit:
            raise  # the event loop is gone, and nothing can be awaited
        except BaseException as error:
            await self._stop(workers, error)
            raise
        if not report.ok:
            self._logger.warning("bulk_write into %s: %s", self._table, report.summary())
        return report

    async def _write(self, workers: WorkerPool) -> None:
        scheduler = self._scheduler
        while True:
            now = time.monotonic()
            self._complete_batches(workers, now)
            if scheduler.stop_reason is not None:
                return
            ready = scheduler.next_batch(now)
            if ready is not None:
                await workers.start(ready)
            elif max_rows := scheduler.free_rows:
                more = await workers.read(max_rows, scheduler.retry_delay(now))
                self._add_rows(workers)
                workers.raise_input_error()
                scheduler.ended = not more
            elif scheduler.done:
                return
            else:
                await workers.wait(scheduler.retry_delay(now))

    def _complete_batches(self, workers: WorkerPool, now: float) -> None:
        """Take what has come back, and report it to the caller."""
        scheduler = self._scheduler
        for batch in workers.completed():
            if batch.interruption is not None:
                raise batch.interruption
            scheduler.complete(batch, now)
        self._report_failed_rows()
        if scheduler.failure is not None:
            error = scheduler.failure
            raise as_sdk_error(error) if isinstance(error, OTSConfigError) else error
        finished = scheduler.take_finished()
        if finished and self._progress is not None:
            self._progress(finished)

    def _report_failed_rows(self) -> None:
        """Pass failed rows to the caller's function; one at which it is interrupted is passed again."""
        rows = self._scheduler.failed_rows
        while rows:
            if self._on_failed_row is not None:
                self._on_failed_row(rows[0])
            rows.popleft()

    async def _stop(self, workers: WorkerPool, error: BaseException) -> None:
        """Wait for the batches in flight, and attach the report to the error that stopped the job."""
        self._scheduler.stop()
        try:
            await workers.close(cancel=isinstance(error, asyncio.CancelledError))
        except BaseException as second:  # a second Ctrl-C: the user does not want to wait
            await workers.close(cancel=True)
            self._attach_report(workers, second)
            raise
        self._attach_report(workers, error)

    def _attach_report(self, workers: WorkerPool, error: BaseException) -> None:
        report = self._close(workers)
        vars(error)["report"] = report  # errors of any type have a __dict__
        error.add_note(f"bulk_write was stopped: {report.summary()}")
        try:
            self._report_failed_rows()
        except Exception as failure:  # noqa: BLE001 - the caller's function; the first error is the one to raise
            error.add_note(f"on_failed_row has failed: {type(failure).__name__}")

    def _close(self, workers: WorkerPool) -> BulkReport:
        first, rows = workers.chunk
        for row in islice(rows, self._scheduler.position - first, None):
            self._scheduler.add_unsent(row)
        now = time.monotonic()
        return self._scheduler.close(now - self._started, now)

    def _add_rows(self, workers: WorkerPool) -> None:
        """Encode the rows that were read, once for all attempts, and hand them to the scheduler."""
        scheduler, row_type, encode_put = self._scheduler, tablestore.Row, self._encode_put
        first, rows = workers.chunk
        scheduler.skip(first + len(rows) - scheduler.position)
        for source in islice(rows, scheduler.position - first, None):
            if isinstance(source, row_type):
                row, encode = source, encode_put
            elif isinstance(source, _ITEMS):
                row, encode = source.row, self._encode_item
            else:
                kind = type(source).__name__
                raise TypeError(f"row {scheduler.position} must be a Row or an item of a batch, not {kind}")
            try:
                encoded = encode(source)
                key = _comparable_key(row.primary_key)
                if may_hold_nan(encoded):
                    encoded, key = self._encode_plain(source)
            except Exception as error:  # noqa: BLE001 - the encoder raises many types
                self._add_plain(source, error)
            else:
                scheduler.add(source, encoded, len(encoded) + _ROW_OVERHEAD, key)

    def _add_plain(self, source: Any, error: Exception) -> None:
        """Add a row that cannot be encoded as it is, if it can with Python's own values."""
        try:
            encoded, key = self._encode_plain(source)
        except Exception as failure:  # noqa: BLE001 - as above
            error = failure
        else:
            self._scheduler.add(source, encoded, len(encoded) + _ROW_OVERHEAD, key)
            return
        self._scheduler.add_invalid(source, RequestInvalid(str(error) or type(error).__name__, operation=_NAME))

    def _encode_plain(self, source: Any) -> tuple[bytes, Hashable]:
        plain = plain_item(source)
        if isinstance(plain, tablestore.Row):
            return self._encode_put(plain), _comparable_key(plain.primary_key)
        return self._encode_item(plain), _comparable_key(plain.row.primary_key)

    async def _send(self, batch: RowBatch) -> None:
        """Send a batch as one request, with the client's own retries, and set its outcome."""
        body = join_items(self._table, [row.encoded for row in batch.rows])
        state = self._caller.begin(_OPERATION)
        repeatable = partial(_tables_to_check, self._table, batch)
        try:
            response = await self._caller.call(_OPERATION, body, repeatable, state)
            count, errors = self._codec.failed_items(response, self._table)
            if count != len(batch.rows):
                message = f"the answer has {count} rows for {len(batch.rows)}"
                raise ResponseInvalid(message, operation=_NAME, http_status=response.status)  # noqa: TRY301 - as below
            for error in errors.values() if state.uncertain else ():
                error.may_have_happened = True  # by an attempt before the one that was answered
            batch.outcome = errors
        except Exception as error:  # noqa: BLE001 - whatever it is, these rows failed with it, and others go on
            batch.outcome = error
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a user's own limit, in a retry policy; _write raises it
            batch.interruption = error
        batch.retries = state.retries
        if batch.interruption is None and batch.depends_on_versions(retry_writes=self._retry_writes):
            # Of the job's time and not of the call's, which may be over.
            batch.one_version = await self._caller.keeps_one_version(self._table, Deadline.after(self._retry_for))


def _comparable_key(primary_key: Any) -> Hashable:
    """Return a value that is equal for rows with the same key; None if the service is to generate the key."""
    values = [column[1] for column in primary_key]
    if _PLAIN_KEYS.issuperset(map(type, values)):
        return tuple(values)
    return _key_of_any(values)


def _key_of_any(values: list[Any]) -> Hashable:
    """Return the key of values that are not all exactly numbers and texts."""
    comparable: list[Hashable] = []
    for value in values:
        match value:
            case str():
                comparable.append(str.__str__(value))
            case bytes():  # they are written as STRING
                comparable.append(value.decode("utf-8", "surrogateescape"))
            case bytearray():
                comparable.append((bytes(value),))
            case int():
                comparable.append(int(value))
            case type():  # a marker
                return None
            case _:
                raise TypeError(f"{type(value).__name__} is no type of a key")
    return tuple(comparable)


def _tables_to_check(table: str, batch: RowBatch) -> frozenset[str] | None:
    """Return the table if its batch is safe to repeat only with one version, no table if it is safe anyhow."""
    found = {row.repeatable() for row in batch.rows}
    if Repeatable.NO in found:
        return None
    return frozenset({table} if Repeatable.IN_ONE_VERSION in found else ())
