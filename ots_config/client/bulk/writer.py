"""One bulk write from its first row to its report, written once for threads and for tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from logging import Logger
from typing import Any

from ots_config.client.bulk.report import BulkReport, Limits
from ots_config.client.bulk.scheduler import Load, Plan
from ots_config.client.bulk.workers import Crew, Tasks, Threads
from ots_config.errors import OTSConfigError, RequestInvalid, ResponseInvalid
from ots_config.request.call import Caller
from ots_config.request.http_parser import HTTPResponse
from ots_config.request.idempotency import is_item_repeatable
from ots_config.request.io import run_sync
from ots_config.request.operations import OPERATIONS
from ots_config.sdk import as_sdk_error, tablestore
from ots_config.sdk import pb2 as _pb2

pb2: Any = _pb2  # its classes are made when it is loaded

_NAME = "BatchWriteRow"
_OPERATION = OPERATIONS[_NAME]
_ITEMS = (tablestore.PutRowItem, tablestore.UpdateRowItem, tablestore.DeleteRowItem)

_AROUND_ROW = 6
"""The most bytes that a request spends on a row besides the row: a tag, and the length."""
_AROUND_ROWS = 12
"""The same of all rows together: two such tags and lengths, besides the table's name."""

Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Wire:
    """What a bulk write needs of a client.

    Attributes:
        invoker: Carries requests out.
        encode: The official encoder's ``encode_request``.
        decode: Returns what the official decoder makes of the answer to an operation.
        logger: Gets a WARNING if rows have failed.
        retry_writes: Whether repeatable writes that may have happened are sent again.
    """

    invoker: Caller
    encode: Callable[..., Any]
    decode: Callable[[str, HTTPResponse], Any]
    logger: Logger
    retry_writes: bool


def write_in_threads(
    wire: Wire, table: str, rows: Iterable[Any], limits: Limits, progress: Progress | None
) -> BulkReport:
    """Write rows in threads, and return when all are finished; ``OTSClient.bulk_write`` describes the rest."""
    crew = Threads(rows, limits.concurrency, partial(_send, wire, table))
    return run_sync(_write(wire, table, limits, crew, progress))


async def write_in_tasks(
    wire: Wire, table: str, rows: Iterable[Any] | AsyncIterable[Any], limits: Limits, progress: Progress | None
) -> BulkReport:
    """Write rows in tasks, and return when all are finished; ``OTSClient.bulk_write`` describes the rest."""
    return await _write(wire, table, limits, Tasks(rows, partial(_send, wire, table)), progress)


async def _write(wire: Wire, table: str, limits: Limits, crew: Crew, progress: Progress | None) -> BulkReport:
    started = time.monotonic()
    rows_bytes = max(limits.max_bytes - _AROUND_ROWS - len(table.encode()), 1)
    plan = Plan(replace(limits, max_bytes=rows_bytes), retry_writes=wire.retry_writes)
    try:
        await _work(plan, crew, partial(_take_in, plan, wire, table), progress)
        await crew.leave(at_once=False)
    except GeneratorExit:
        raise  # the event loop is gone, and nothing can be awaited
    except BaseException as error:
        await _stop(plan, crew, started, error)
        raise
    report = plan.close(time.monotonic() - started)
    if report.failed:
        wire.logger.warning("bulk_write into %s: %s", table, _told(report))
    return report


async def _work(plan: Plan, crew: Crew, take_in: Callable[[Any], None], progress: Progress | None) -> None:
    while True:
        now = time.monotonic()
        for load in crew.landed():
            plan.settle(load, now)
        if plan.failure is not None:
            raise as_sdk_error(plan.failure) if isinstance(plan.failure, OTSConfigError) else plan.failure
        finished = plan.take_finished()
        if finished and progress is not None:
            progress(finished)
        ready = plan.next_load(now)
        if ready is not None:
            await crew.launch(ready)
        elif room := plan.room:
            more = await crew.read(room, plan.pause(now))
            while crew.fresh:
                take_in(crew.fresh[0])
                crew.fresh.popleft()
            crew.check()
            plan.ended = not more
        elif plan.done:
            return
        else:
            await crew.wait(plan.pause(now))


async def _stop(plan: Plan, crew: Crew, started: float, error: BaseException) -> None:
    """Wait for what is in flight, and put the report into the error that stopped the job."""
    plan.stop()
    try:
        await crew.leave(at_once=isinstance(error, asyncio.CancelledError))
    except BaseException as second:  # a second Ctrl-C: the caller is in a hurry
        _put_report(plan, crew, started, second)
        await crew.leave(at_once=True)
        raise
    _put_report(plan, crew, started, error)


def _put_report(plan: Plan, crew: Crew, started: float, error: BaseException) -> None:
    now = time.monotonic()
    for load in crew.landed():
        plan.settle(load, now)
    for given in crew.fresh:
        plan.keep(given)
    report = plan.close(now - started)
    vars(error)["report"] = report  # of whatever type it is: the caller must see what stopped the job
    error.add_note(f"bulk_write was stopped: {_told(report)}")


def _told(report: BulkReport) -> str:
    return f"{report.written} rows written, {len(report.failed)} not; start={report.resume_from} goes on from there"


# --- rows in -------------------------------------------------------------------------------------------------


def _take_in(plan: Plan, wire: Wire, table: str, given: Any) -> None:
    """Encode a row, once for all of its sendings, and hand it to the plan."""
    if isinstance(given, tablestore.Row):
        item = tablestore.PutRowItem(given, None)
    elif isinstance(given, _ITEMS):
        item = given
    else:
        raise TypeError(f"row {plan.position} must be a Row or an item of a batch, not {type(given).__name__}")
    if plan.skip():
        return
    try:
        request = tablestore.BatchWriteRowRequest()
        request.add(tablestore.TableInBatchWriteRowItem(table, [item]))
        encoded = wire.encode(_NAME, request).tables[0].rows[0]
        key = _identity(item.row.primary_key)
    except Exception as error:  # noqa: BLE001 - the encoder's refusals are of many types
        plan.refuse(given, RequestInvalid(str(error) or type(error).__name__, operation=_NAME))
        return
    plan.add(given, item, encoded, encoded.ByteSize() + _AROUND_ROW, key)


def _identity(primary_key: Any) -> Hashable:
    """Return what two rows have in common if they have the same key; None if the service is to make the key."""
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


# --- loads out -----------------------------------------------------------------------------------------------


async def _send(wire: Wire, table: str, load: Load) -> None:
    """Send a load as one request, with the client's retries of requests, and note the outcome in it."""
    request = pb2.BatchWriteRowRequest()
    request.tables.add(table_name=table).rows.extend(row.encoded for row in load.rows)
    call = wire.invoker.begin(_OPERATION)
    try:
        answer = await wire.invoker.call(_OPERATION, request.SerializeToString(), partial(_is_repeatable, load), call)
        items = wire.decode(_NAME, answer).get(table, [])
        if len(items) != len(load.rows):
            raise ResponseInvalid(  # noqa: TRY301 - it takes the way of the other failures
                f"the answer has {len(items)} rows for {len(load.rows)}", operation=_NAME, http_status=answer.status
            )
        load.outcome = items
    except Exception as error:  # noqa: BLE001 - whatever it is, these rows have failed with it, and others go on
        load.outcome = error
    load.retries = call.retries


def _is_repeatable(load: Load) -> bool:
    return all(is_item_repeatable(row.item) for row in load.rows)
