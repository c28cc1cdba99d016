"""One bulk write, from its first row to its report; the same coroutine for threads and for tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Hashable, Iterable
from dataclasses import replace
from functools import partial
from logging import Logger
from typing import Any

from ots_config.client.bulk.report import BulkLimits, BulkReport
from ots_config.client.bulk.scheduler import RowBatch, Scheduler
from ots_config.client.bulk.workers import TaskWorkers, ThreadWorkers, WorkerPool
from ots_config.client.codec import Codec
from ots_config.errors import OTSConfigError, RequestInvalid, ResponseInvalid
from ots_config.request.call import Caller
from ots_config.request.deadline import Deadline
from ots_config.request.idempotency import Repeatable, item_repeatable
from ots_config.request.io import run_sync
from ots_config.request.operations import OPERATIONS
from ots_config.sdk import as_sdk_error, tablestore
from ots_config.sdk import pb2 as _pb2

pb2: Any = _pb2  # its classes are made when it is loaded

_NAME = "BatchWriteRow"
_OPERATION = OPERATIONS[_NAME]
_ITEMS = (tablestore.PutRowItem, tablestore.UpdateRowItem, tablestore.DeleteRowItem)

_ROW_OVERHEAD = 6
"""The most bytes that a request needs for a row besides the row: a tag, and the length."""
_TABLE_OVERHEAD = 12
"""The most bytes that it needs besides rows and the table's name: two such tags and lengths."""


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
    ) -> None:
        self._caller = caller
        self._codec = codec
        self._encode = codec.protocol.encoder.encode_request
        self._logger = logger
        self._table = table
        self._concurrency = limits.concurrency
        self._progress = progress
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
            await workers.close(cancel=False)
        except GeneratorExit:
            raise  # the event loop is gone, and nothing can be awaited
        except BaseException as error:
            await self._stop(workers, error)
            raise
        report = self._scheduler.close(time.monotonic() - self._started)
        if report.failed:
            self._logger.warning("bulk_write into %s: %s", self._table, _summary(report))
        return report

    async def _write(self, workers: WorkerPool) -> None:
        scheduler = self._scheduler
        while True:
            now = time.monotonic()
            for batch in workers.completed():
                scheduler.complete(batch, now)
                if batch.interruption is not None:
                    raise batch.interruption
            if scheduler.failure is not None:
                error = scheduler.failure
                raise as_sdk_error(error) if isinstance(error, OTSConfigError) else error
            finished = scheduler.take_finished()
            if finished and self._progress is not None:
                self._progress(finished)
            ready = scheduler.next_batch(now)
            if ready is not None:
                await workers.start(ready)
            elif max_rows := scheduler.free_rows:
                more = await workers.read(max_rows, scheduler.retry_delay(now))
                while workers.unprocessed:
                    self._add_row(workers.unprocessed[0])
                    workers.unprocessed.popleft()
                workers.raise_input_error()
                scheduler.ended = not more
            elif scheduler.done:
                return
            else:
                await workers.wait(scheduler.retry_delay(now))

    async def _stop(self, workers: WorkerPool, error: BaseException) -> None:
        """Wait for the batches in flight, and attach the report to the error that stopped the job."""
        self._scheduler.stop()
        try:
            await workers.close(cancel=isinstance(error, asyncio.CancelledError))
        except BaseException as second:  # a second Ctrl-C: the user does not want to wait
            self._attach_report(workers, second)
            await workers.close(cancel=True)
            raise
        self._attach_report(workers, error)

    def _attach_report(self, workers: WorkerPool, error: BaseException) -> None:
        now = time.monotonic()
        for batch in workers.completed():
            self._scheduler.complete(batch, now)
        for row in workers.unprocessed:
            self._scheduler.add_unsent(row)
        report = self._scheduler.close(now - self._started)
        vars(error)["report"] = report  # errors of any type have a __dict__
        error.add_note(f"bulk_write was stopped: {_summary(report)}")

    def _add_row(self, row: Any) -> None:
        """Encode a row, once for all attempts, and hand it to the scheduler."""
        scheduler = self._scheduler
        if isinstance(row, tablestore.Row):
            item: tablestore.RowItem = tablestore.PutRowItem(row, None)
        elif isinstance(row, _ITEMS):
            item = row
        else:
            raise TypeError(f"row {scheduler.position} must be a Row or an item of a batch, not {type(row).__name__}")
        if scheduler.skip():
            return
        try:
            request = tablestore.BatchWriteRowRequest()
            request.add(tablestore.TableInBatchWriteRowItem(self._table, [item]))
            encoded = self._encode(_NAME, request).tables[0].rows[0]
            key = _comparable_key(item.row.primary_key)
        except Exception as error:  # noqa: BLE001 - the encoder raises many types
            scheduler.add_invalid(row, RequestInvalid(str(error) or type(error).__name__, operation=_NAME))
            return
        scheduler.add(row, item, encoded, encoded.ByteSize() + _ROW_OVERHEAD, key)

    async def _send(self, batch: RowBatch) -> None:
        """Send a batch as one request, with the client's own retries, and set its outcome."""
        request = pb2.BatchWriteRowRequest()
        request.tables.add(table_name=self._table).rows.extend(row.encoded for row in batch.rows)
        state = self._caller.begin(_OPERATION)
        repeatable = partial(_tables_to_check, self._table, batch)
        try:
            response = await self._caller.call(_OPERATION, request.SerializeToString(), repeatable, state)
            items = self._codec.decode(_NAME, response).get(self._table, [])
            if len(items) != len(batch.rows):
                message = f"the answer has {len(items)} rows for {len(batch.rows)}"
                raise ResponseInvalid(message, operation=_NAME, http_status=response.status)  # noqa: TRY301 - as below
            batch.outcome = items
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


def _summary(report: BulkReport) -> str:
    return f"{report.written} rows written, {len(report.failed)} not; start={report.resume_from} goes on from there"


def _comparable_key(primary_key: Any) -> Hashable:
    """Return a value that is equal for rows with the same key; None if the service is to generate the key."""
    values: list[Hashable] = []
    for column in primary_key:
        match column[1]:
            case str() as text:
                values.append(text.encode())  # bytes are written as STRING too
            case bytearray() as binary:
                values.append((bytes(binary),))
            case int() | bytes() as value:
                values.append(value)
            case _:
                return None
    return tuple(values)


def _tables_to_check(table: str, batch: RowBatch) -> frozenset[str] | None:
    """Return the table if its batch is safe to repeat only with one version, no table if it is safe anyhow."""
    found = {item_repeatable(row.item) for row in batch.rows}
    if Repeatable.NO in found:
        return None
    return frozenset({table} if Repeatable.IN_ONE_VERSION in found else ())
