"""Decides which rows of a bulk write are sent together, when, and which are sent again; nothing here waits or sends.

A row that was read is *pending* until it is finished: acknowledged by the service, or failed for good. Meanwhile it is
ready to be sent, in flight, waiting for a retry, or queued behind an earlier row of the same key. Of each key only one
row is in flight at a time, so the writes to a key happen in the order of the input.

A job may be interrupted at any line, and its report must still be right. So a row leaves ``_pending`` last, and a batch
that has come back may be completed a second time: rows that the first time has finished are passed over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Any

from ots_config.client.backoff import may_retry
from ots_config.client.bulk.outcomes import StopRule, is_refused_whole
from ots_config.client.bulk.pending import INTERRUPTED, NOT_SENT, PendingRow, RowBatch, RowFailure
from ots_config.client.bulk.report import MAX_FAILED_ROWS, BulkLimits, BulkReport, FailedRow
from ots_config.request.retry_decision import FailureKind, classify

_OVERLOAD = (FailureKind.THROTTLED, FailureKind.LIMITED)


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
        failed_rows: The rows that have failed and that nobody has taken from here yet.
    """

    def __init__(self, limits: BulkLimits, *, retry_writes: bool) -> None:
        self._limits = limits
        self._retry_writes = retry_writes
        self._report = BulkReport()
        self._stop_rule = StopRule()
        self._pending: dict[int, PendingRow] = {}
        self._pending_bytes = 0
        self._largest = 0
        self._ready: deque[PendingRow] = deque()
        self._ready_bytes = 0
        self._retries: list[tuple[float, int, PendingRow]] = []
        self._halves: deque[list[PendingRow]] = deque()
        self._busy: set[Hashable] = set()
        self._queued: dict[Hashable, deque[PendingRow]] = {}
        self._window = _Window(limits.concurrency)
        self._sent = 0
        self._in_flight: dict[int, RowBatch] = {}
        self._finished = 0
        self._first_failed: int | None = None
        self._stopped = False
        self.position = 0
        self.ended = False
        self.failure: Exception | None = None
        self.failed_rows: deque[FailedRow] = deque()

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

    def skip(self, count: int) -> int:
        """Count those of so many rows that are before the start, and return how many they are."""
        skipped = min(count, max(self._limits.start - self.position, 0))
        self.position += skipped
        return skipped

    def add(self, source: Any, encoded: bytes, size: int, key: Hashable) -> None:
        """Add the row that was read last; the arguments are those of ``PendingRow``."""
        position = self.position
        row = self._pending[position] = PendingRow(position, source, encoded, size, key)
        self.position = position + 1
        self._pending_bytes += size
        if size > self._largest:  # noqa: PLR1730 - a call of max() for each row costs more
            self._largest = size
        if key is not None:
            if key in self._busy:
                self._queued.setdefault(key, deque()).append(row)
                return
            self._busy.add(key)
        self._ready_bytes += size
        self._ready.append(row)

    def add_invalid(self, source: Any, error: Exception) -> None:
        """Add the row that was read last as failed, because it cannot be encoded."""
        self._give_up(self._add_unsendable(source), error)

    def add_unsent(self, source: Any) -> None:
        """Add a row that was read after the job was stopped."""
        if not self.skip(1):
            self._add_unsendable(source)

    def _add_unsendable(self, source: Any) -> PendingRow:
        row = self._pending[self.position] = PendingRow(self.position, source, b"", 0, None)
        self.position += 1
        return row

    # --- batches out ---

    @property
    def done(self) -> bool:
        """Whether every row is finished."""
        return self.ended and not self._pending

    def next_batch(self, now: float) -> RowBatch | None:
        """Return the batch to send now, if there is one: full, or smaller if waiting would not fill it."""
        while self._retries and self._retries[0][0] <= now:
            row = heappop(self._retries)[2]
            self._ready_bytes += row.size
            self._ready.appendleft(row)
        if len(self._in_flight) >= int(self._window):
            return None
        halves = bool(self._halves)
        if halves:
            rows = self._halves.popleft()
        elif self._ready and (self._is_full or not self.free_rows or self._ready[0].failure is not None):
            rows = self._take_ready()
        else:
            return None
        self._sent += 1
        batch = self._in_flight[self._sent] = RowBatch(self._sent, rows, is_half=halves)
        if not halves:
            self._report.sent_again += sum(row.failure is not None for row in rows)
        return batch

    @property
    def _is_full(self) -> bool:
        return len(self._ready) >= self._limits.max_rows or self._ready_bytes >= self._limits.max_bytes

    def _take_ready(self) -> list[PendingRow]:
        ready = self._ready
        if len(ready) <= self._limits.max_rows and self._ready_bytes <= self._limits.max_bytes:
            rows = list(ready)
            ready.clear()
            self._ready_bytes = 0
            return rows
        rows = []
        size = 0
        while ready and len(rows) < self._limits.max_rows:
            row = ready[0]
            if rows and size + row.size > self._limits.max_bytes:
                break
            rows.append(ready.popleft())
            size += row.size
        self._ready_bytes -= size
        return rows

    def retry_delay(self, now: float) -> float | None:
        """Return the seconds until a row is to be sent again, None if no row waits for that."""
        return max(self._retries[0][0] - now, 0.0) if self._retries else None

    # --- outcomes ---

    @property
    def stop_reason(self) -> Exception | None:
        """The error that every further batch would meet, None as long as one may succeed."""
        return self._stop_rule.reason

    def complete(self, batch: RowBatch, now: float) -> None:
        """Finish the rows of a batch that has come back, or schedule them again."""
        outcome = batch.outcome
        if batch.retries or outcome != {}:
            throttled = batch.retries > 0 or any(classify(error) in _OVERLOAD for _, error in batch.failures())
            self._window.adapt(batch, self._sent, throttled=throttled)
            failed = {id(row) for row, _ in batch.failures()}
        else:
            self._window.adapt(batch, self._sent, throttled=False)
            failed = set()
        if isinstance(outcome, Exception) and len(batch.rows) > 1 and not self._stopped and is_refused_whole(outcome):
            self._halve(batch, outcome)
        else:
            if len(failed) < len(batch.rows):
                self._stop_rule.count_success()
                for row in batch.rows:
                    if id(row) not in failed:
                        self._finish(row)
            given_up = [self._fail(batch, row, error, now) for row, error in batch.failures()]
            if given_up and all(given_up) and len(given_up) == len(batch.rows):
                self._stop_rule.count_refusal([error for _, error in batch.failures()], is_half=batch.is_half)
        self._in_flight.pop(batch.number, None)

    def _halve(self, batch: RowBatch, error: Exception) -> None:
        """Send both halves of a batch by themselves, so that a row that spoils it is alone in the end."""
        for row in batch.rows:
            self._failure_of(row).set(error)
        half = len(batch.rows) // 2
        self._halves += (batch.rows[:half], batch.rows[half:])
        self._stop_rule.count_refusal([error], is_half=True)

    def _failure_of(self, row: PendingRow) -> RowFailure:
        if row.failure is None:
            row.failure = RowFailure(self._limits.retry_for)
        return row.failure

    def _fail(self, batch: RowBatch, row: PendingRow, error: Exception, now: float) -> bool:
        """Schedule a row again, or give it up; return whether it was given up."""
        if row.position not in self._pending:
            return True
        failure = self._failure_of(row)
        retryable = not self._stopped and may_retry(
            error, repeatable=batch.is_repeatable(row), retry_writes=self._retry_writes
        )
        delay = failure.backoff.delay(error, now) if retryable else None
        if delay is None:
            self._give_up(row, error)
            return True
        failure.set(error)
        heappush(self._retries, (now + delay, row.position, row))
        return False

    def _give_up(self, row: PendingRow, error: Exception) -> None:
        self._failure_of(row).set(error)
        self._report_failed(row)
        self._finish(row)
        if self._limits.on_failure == "raise" and self.failure is None:
            self.failure = error

    def _report_failed(self, row: PendingRow, *, interrupted: bool = False) -> None:
        failure = row.failure
        code, message = NOT_SENT if failure is None else (failure.code, failure.message)
        may_have_happened = failure is not None and failure.may_have_happened
        if interrupted:
            may_have_happened, (code, message) = True, INTERRUPTED
        found = FailedRow(row.position, row.source, code, message, may_have_happened)
        report = self._report
        if report.failed_count < MAX_FAILED_ROWS:
            report.failed.append(found)
        report.failed_count += 1
        report.codes[code] = report.codes.get(code, 0) + 1
        if self._first_failed is None or row.position < self._first_failed:
            self._first_failed = row.position
        self.failed_rows.append(found)

    def _finish(self, row: PendingRow) -> None:
        if self._pending.pop(row.position, None) is None:
            return
        self._pending_bytes -= row.size
        self._finished += 1
        key = row.key
        if key is None:
            return
        queued = self._queued.get(key) if self._queued else None
        if queued is None:
            self._busy.discard(key)
            return
        following = queued.popleft()
        if not queued:
            del self._queued[key]
        self._ready_bytes += following.size
        self._ready.append(following)

    def take_finished(self) -> int:
        """Return how many rows were finished since the last call."""
        finished, self._finished = self._finished, 0
        return finished

    # --- the end ---

    def stop(self) -> None:
        """Send nothing any more, and retry nothing."""
        self._stopped = True

    def close(self, elapsed: float, now: float) -> BulkReport:
        """Return the report; rows that are still pending are reported as failed."""
        interrupted: set[int] = set()
        for batch in list(self._in_flight.values()):
            if batch.outcome is not None:
                self.complete(batch, now)
            elif batch.started:
                interrupted.update(row.position for row in batch.rows)
        for row in list(self._pending.values()):
            self._report_failed(row, interrupted=row.position in interrupted)
            self._finish(row)
        report = self._report
        report.failed.sort(key=lambda row: row.position)
        report.elapsed = elapsed
        report.written = self.position - min(self._limits.start, self.position) - report.failed_count
        report.resume_from = self.position if self._first_failed is None else self._first_failed
        report.stopped = self.stop_reason
        return report
