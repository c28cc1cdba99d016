"""Decides which rows of a bulk write are sent together, when, and which are sent again; nothing here waits or sends.

A row that was read is *pending* until it is finished: acknowledged by the service, or failed for good. Meanwhile it is
ready to be sent, in flight, waiting for a retry, or queued behind an earlier row of the same key. Of each key only one
row is in flight at a time, so the writes to a key happen in the order of the input.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from ots_config.client.backoff import JobBackoff, may_retry
from ots_config.client.bulk.report import BulkLimits, BulkReport, FailedRow
from ots_config.errors import OTSConfigError, RequestError, ResponseLost, ServiceError
from ots_config.request.idempotency import Repeatable, item_repeatable
from ots_config.request.retry_decision import MAY_HAVE_HAPPENED, FailureKind, classify
from ots_config.shown_text import printable

_WHOLE_BATCH_CODES = frozenset({"OTSParameterInvalid", "OTSRequestBodyTooLarge"})
"""Codes with which the service refuses a whole batch, though one row alone may be wrong."""
_OVERLOAD = (FailureKind.THROTTLED, FailureKind.LIMITED)
_INTERRUPTED = ("ResponseLost", "the job ended before the answer came")


@dataclass(slots=True, eq=False)
class PendingRow:
    """A row that was read and is not finished.

    Attributes:
        position: Its index in the input.
        source: The row as it was passed.
        item: The row as the SDK's item.
        encoded: The item's part of a request.
        size: The bytes of that part.
        key: Equal for rows with the same key; None if no other row can have it.
        backoff: How long it is tried again.
        in_flight: Whether it is being sent.
        may_have_happened: Whether it may have been written by an attempt that failed.
        code: The code of its last failure.
        message: The same failure in words.
    """

    position: int
    source: Any
    item: Any
    encoded: Any
    size: int
    key: Hashable
    backoff: JobBackoff
    in_flight: bool = False
    may_have_happened: bool = False
    code: str = "NotSent"
    message: str = "the job ended before this row was sent"

    def set_failure(self, error: Exception) -> None:
        """Record a failure; what may have happened before it still may."""
        name = type(error).__name__
        if isinstance(error, RequestError):
            self.may_have_happened |= error.may_have_happened
            self.code = error.code if isinstance(error, ServiceError) else name
            self.message = " ".join((error.message, *getattr(error, "__notes__", ())))
        else:
            self.may_have_happened |= not isinstance(error, OTSConfigError)
            self.code, self.message = name, str(error)


@dataclass(slots=True, eq=False)
class RowBatch:
    """Rows that are sent together.

    Attributes:
        number: How many batches were sent up to this one.
        rows: The rows.
        outcome: The item of each row, or the error of the whole request; None if the request was interrupted.
        retries: How many times the client itself sent the request again.
        interruption: What interrupted the request: no ``Exception``, but what ends the whole job.
        one_version: Whether the table is known to keep one version of each cell.
    """

    number: int
    rows: list[PendingRow]
    outcome: list[Any] | Exception | None = None
    retries: int = 0
    interruption: BaseException | None = None
    one_version: bool = False

    def depends_on_versions(self, *, retry_writes: bool) -> bool:
        """Return whether a row is to be repeated if the table keeps one version, and only then."""
        return any(
            error is not None
            and classify(error) in MAY_HAVE_HAPPENED
            and may_retry(error, repeatable=True, retry_writes=retry_writes)
            and item_repeatable(row.item) is Repeatable.IN_ONE_VERSION
            for row, error in zip(self.rows, self.row_errors(), strict=True)
        )

    def row_errors(self) -> list[Exception | None]:
        """Return the error of each row, None for those that are acknowledged."""
        match self.outcome:
            case list():
                return [None if item.is_ok else _item_error(item) for item in self.outcome]
            case None:
                return [ResponseLost(_INTERRUPTED[1], operation="BatchWriteRow")] * len(self.rows)
            case error:
                return [error] * len(self.rows)

    def is_repeatable(self, row: PendingRow) -> bool:
        """Return whether a row may be sent twice."""
        repeatable = item_repeatable(row.item)
        return repeatable is Repeatable.YES or (repeatable is Repeatable.IN_ONE_VERSION and self.one_version)


class _Window:
    """The number of batches that may be in flight: halved by a throttle, and slowly enlarged by success."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._size = float(maximum)
        self._halved_at = 0

    def __int__(self) -> int:
        return int(self._size)

    def adapt(self, batch: RowBatch, latest: int, *, throttled: bool) -> None:
        """Adapt to a batch that has come back when the batch number ``latest`` had been sent."""
        if not throttled:
            self._size = min(self._size + 1 / self._size, self._maximum)
        elif batch.number > self._halved_at:  # batches that were in flight then met the same throttle
            self._size = max(self._size / 2, 1.0)
            self._halved_at = latest


class Scheduler:
    """Decides what is read, sent, sent again and given up; each ``now`` is the time of a monotonic clock.

    Args:
        limits: The limits of the job.
        retry_writes: Whether repeatable writes that may have happened are sent again.

    Attributes:
        position: How many rows were read.
        ended: Whether the input has no more rows.
        failure: The first failure, if it is to stop the job.
    """

    def __init__(self, limits: BulkLimits, *, retry_writes: bool) -> None:
        self._limits = limits
        self._retry_writes = retry_writes
        self._report = BulkReport()
        self._pending: dict[int, PendingRow] = {}
        self._pending_bytes = 0
        self._largest = 0
        self._ready: deque[PendingRow] = deque()
        self._ready_bytes = 0
        self._retries: list[tuple[float, int, PendingRow]] = []
        self._halves: deque[list[PendingRow]] = deque()
        self._queued: dict[Hashable, deque[PendingRow]] = {}
        self._window = _Window(limits.concurrency)
        self._sent = 0
        self._in_flight = 0
        self._finished = 0
        self._stopped = False
        self.position = 0
        self.ended = False
        self.failure: Exception | None = None

    # --- rows in ---

    @property
    def free_rows(self) -> int:
        """How many more rows may be read: those pending are no more than can be in flight, and one batch."""
        batches = self._limits.concurrency + 1
        free_bytes = batches * self._limits.max_bytes - self._pending_bytes
        if self.ended or free_bytes <= 0:
            return 0
        fitting = free_bytes // self._largest + 1 if self._largest else 1  # if they are as large as the largest so far
        missing = self._limits.max_rows - len(self._ready)  # for a full batch
        free = batches * self._limits.max_rows - len(self._pending)
        return min(free, missing if missing > 0 else free, fitting)

    def skip(self) -> bool:
        """Count a row that was read, and return whether it is before the start."""
        self.position += 1
        return self.position <= self._limits.start

    def add(self, source: Any, item: Any, encoded: Any, size: int, key: Hashable) -> None:
        """Add the row that was read last; the arguments are those of ``PendingRow``."""
        row = PendingRow(self.position - 1, source, item, encoded, size, key, JobBackoff(self._limits.retry_for))
        self._add_pending(row)
        if key is None:
            self._add_ready(row)
        elif key in self._queued:
            self._queued[key].append(row)
        else:
            self._queued[key] = deque()
            self._add_ready(row)

    def add_invalid(self, source: Any, error: Exception) -> None:
        """Add the row that was read last as failed, because it cannot be encoded."""
        self._give_up(self._add_unsendable(source), error)

    def add_unsent(self, source: Any) -> None:
        """Add a row that was read after the job was stopped."""
        if not self.skip():
            self._add_unsendable(source)

    def _add_unsendable(self, source: Any) -> PendingRow:
        row = PendingRow(self.position - 1, source, None, None, 0, None, JobBackoff(0.0))
        self._add_pending(row)
        return row

    def _add_pending(self, row: PendingRow) -> None:
        self._pending[row.position] = row
        self._pending_bytes += row.size
        self._largest = max(self._largest, row.size)

    def _add_ready(self, row: PendingRow, *, first: bool = False) -> None:
        self._ready_bytes += row.size
        if first:
            self._ready.appendleft(row)
        else:
            self._ready.append(row)

    # --- batches out ---

    @property
    def done(self) -> bool:
        """Whether every row is finished."""
        return self.ended and not self._pending

    def next_batch(self, now: float) -> RowBatch | None:
        """Return the batch to send now, if there is one: full, or smaller if waiting would not fill it."""
        while self._retries and self._retries[0][0] <= now:
            self._add_ready(heappop(self._retries)[2], first=True)
        if self._in_flight >= int(self._window):
            return None
        if self._halves:
            rows = self._halves.popleft()
        elif self._ready and (self._is_full or not self.free_rows or self._ready[0].backoff.failures):
            rows = self._take_ready()
        else:
            return None
        self._sent += 1
        self._in_flight += 1
        for row in rows:
            row.in_flight = True
            self._report.sent_again += row.backoff.failures > 0
        return RowBatch(self._sent, rows)

    @property
    def _is_full(self) -> bool:
        return len(self._ready) >= self._limits.max_rows or self._ready_bytes >= self._limits.max_bytes

    def _take_ready(self) -> list[PendingRow]:
        rows: list[PendingRow] = []
        size = 0
        while self._ready and len(rows) < self._limits.max_rows:
            row = self._ready[0]
            if rows and size + row.size > self._limits.max_bytes:
                break
            rows.append(self._ready.popleft())
            size += row.size
        self._ready_bytes -= size
        return rows

    def retry_delay(self, now: float) -> float | None:
        """Return the seconds until a row is to be sent again, None if no row waits for that."""
        return max(self._retries[0][0] - now, 0.0) if self._retries else None

    # --- outcomes ---

    def complete(self, batch: RowBatch, now: float) -> None:
        """Finish the rows of a batch that has come back, or schedule them again."""
        self._in_flight -= 1
        errors = batch.row_errors()
        throttled = batch.retries > 0 or any(e is not None and classify(e) in _OVERLOAD for e in errors)
        self._window.adapt(batch, self._sent, throttled=throttled)
        for row in batch.rows:
            row.in_flight = False
        if len(batch.rows) > 1 and not self._stopped and _is_refused_whole(batch.outcome):
            half = len(batch.rows) // 2
            self._halves += (batch.rows[:half], batch.rows[half:])
            return
        for row, error in zip(batch.rows, errors, strict=True):
            if error is None:
                self._report.written += 1
                self._finish(row)
            else:
                self._fail(row, error, now, repeatable=batch.is_repeatable(row))

    def _fail(self, row: PendingRow, error: Exception, now: float, *, repeatable: bool) -> None:
        retryable = not self._stopped and may_retry(error, repeatable=repeatable, retry_writes=self._retry_writes)
        delay = row.backoff.delay(error, now) if retryable else None
        if delay is None:
            self._give_up(row, error)
        else:
            row.set_failure(error)
            heappush(self._retries, (now + delay, row.position, row))

    def _give_up(self, row: PendingRow, error: Exception) -> None:
        row.set_failure(error)
        self._report_failed(row)
        self._finish(row)
        if self._limits.on_failure == "raise" and self.failure is None:
            self.failure = error

    def _report_failed(self, row: PendingRow) -> None:
        if row.in_flight:
            row.may_have_happened, row.code, row.message = True, *_INTERRUPTED
        self._report.failed.append(FailedRow(row.position, row.source, row.code, row.message, row.may_have_happened))

    def _finish(self, row: PendingRow) -> None:
        del self._pending[row.position]
        self._pending_bytes -= row.size
        self._finished += 1
        if row.key is None:
            return
        queued = self._queued[row.key]
        if queued:
            self._add_ready(queued.popleft())
        else:
            del self._queued[row.key]

    def take_finished(self) -> int:
        """Return how many rows were finished since the last call."""
        finished, self._finished = self._finished, 0
        return finished

    # --- the end ---

    def stop(self) -> None:
        """Send nothing any more, and retry nothing."""
        self._stopped = True

    def close(self, elapsed: float) -> BulkReport:
        """Return the report; rows that are still pending are reported as failed."""
        for row in self._pending.values():
            self._report_failed(row)
        self._pending.clear()
        report = self._report
        report.failed.sort(key=lambda row: row.position)
        report.elapsed = elapsed
        report.resume_from = report.failed[0].position if report.failed else self.position
        return report


def _item_error(item: Any) -> ServiceError:
    code, message = printable(item.error_code, 100), printable(item.error_message or "")
    error = ServiceError(200, code, message, operation="BatchWriteRow")
    error.may_have_happened = classify(error) in MAY_HAVE_HAPPENED
    return error


def _is_refused_whole(outcome: object) -> bool:
    return isinstance(outcome, ServiceError) and outcome.code in _WHOLE_BATCH_CODES and not outcome.may_have_happened
