"""Which rows of a bulk write are sent together, when, and what became of each; nothing here waits or sends.

A row that was read is *held* until it is finished: acknowledged by the service, or failed for good. Meanwhile it is
ready to be sent, in flight, waiting for a later try, or behind an earlier row that has the same key: of each key one
row is on its way at a time, so the writes to a key happen in the order of the input.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from ots_config.client.backoff import Backoff, worth_trying
from ots_config.client.bulk.report import BulkReport, FailedRow, Limits
from ots_config.errors import OTSConfigError, RequestError, ResponseLost, ServiceError
from ots_config.request.idempotency import is_item_repeatable
from ots_config.request.retry_decision import FailureKind, classify

_REFUSED_WHOLE = frozenset({"OTSParameterInvalid", "OTSRequestBodyTooLarge"})
"""What the service says of a batch of which it has done nothing, though one row alone may be wrong."""


_CUT_SHORT = ("ResponseLost", "the job ended before the answer came")

# --- what is on its way --------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Held:
    """A row that was read and is not finished.

    Attributes:
        position: Its place in the input.
        given: The row as it was given.
        item: The row as the official SDK's item.
        encoded: The item's part of a request.
        size: The bytes of that part.
        key: What tells whether two rows have the same key; None if no other row can have it.
        backoff: How long it is tried again.
        flying: Whether it is in flight.
        uncertain: Whether an earlier sending may have been carried out.
        code: How it last failed.
        message: The same, in words.
    """

    position: int
    given: Any
    item: Any
    encoded: Any
    size: int
    key: Hashable
    backoff: Backoff
    flying: bool = False
    uncertain: bool = False
    code: str = "NotSent"
    message: str = "the job ended before this row was sent"


@dataclass(slots=True, eq=False)
class Load:
    """Rows that are sent together.

    Attributes:
        number: How many loads were sent up to this one.
        rows: The rows.
        outcome: The service's answer to each, or what the whole request failed with; None if it was cut short.
        retries: How many times the client sent it again by itself.
    """

    number: int
    rows: list[Held]
    outcome: list[Any] | Exception | None = None
    retries: int = 0


class _Window:
    """How many loads may be in flight: halved when the service throttles, and slowly more as long as it does not."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = float(most)
        self._closed_at = 0

    def __int__(self) -> int:
        return int(self._size)

    def adapt(self, load: Load, latest: int, *, crowded: bool) -> None:
        """Learn from a load that has come back, when ``latest`` had been sent."""
        if not crowded:
            self._size = min(self._size + 1 / self._size, self._most)
        elif load.number > self._closed_at:  # loads that were already under way tell of the same throttle
            self._size = max(self._size / 2, 1.0)
            self._closed_at = latest


class Plan:
    """Decides what is read, sent, sent again and given up.

    Args:
        limits: What bounds it.
        retry_writes: Whether repeatable writes that may have happened are sent again.

    Attributes:
        position: How many rows were read.
        ended: Whether the input has no more rows.
        failure: The first failure, if one is to stop the job.
    """

    def __init__(self, limits: Limits, *, retry_writes: bool) -> None:
        self._limits = limits
        self._retry_writes = retry_writes
        self._report = BulkReport()
        self._held: dict[int, Held] = {}
        self._held_bytes = 0
        self._largest = 0
        self._ready: deque[Held] = deque()
        self._ready_bytes = 0
        self._later: list[tuple[float, int, Held]] = []
        self._pieces: deque[list[Held]] = deque()
        self._behind: dict[Hashable, deque[Held]] = {}
        self._window = _Window(limits.concurrency)
        self._sent = 0
        self._flying = 0
        self._finished = 0
        self._stopped = False
        self.position = 0
        self.ended = False
        self.failure: Exception | None = None

    # --- rows in ---

    @property
    def room(self) -> int:
        """How many more rows may be read: no more are held than can be in flight, and one load besides."""
        loads = self._limits.concurrency + 1
        free_bytes = loads * self._limits.max_bytes - self._held_bytes
        if self.ended or free_bytes <= 0:
            return 0
        likely = free_bytes // self._largest + 1 if self._largest else 1  # as large as the largest so far
        lacking = self._limits.max_rows - len(self._ready)  # for a full load
        free = loads * self._limits.max_rows - len(self._held)
        return min(free, lacking if lacking > 0 else free, likely)

    def skip(self) -> bool:
        """Count a row that was read, and tell whether it lies before the start."""
        self.position += 1
        return self.position <= self._limits.start

    def add(self, given: Any, item: Any, encoded: Any, size: int, key: Hashable) -> None:
        """Take in the row that was read last; the arguments are those of ``Held``."""
        row = Held(self.position - 1, given, item, encoded, size, key, Backoff(self._limits.retry_for))
        self._hold(row)
        if key is None:
            self._make_ready(row)
        elif key in self._behind:
            self._behind[key].append(row)
        else:
            self._behind[key] = deque()
            self._make_ready(row)

    def refuse(self, given: Any, error: Exception) -> None:
        """Report the row that was read last, as it cannot be sent at all."""
        row = Held(self.position - 1, given, None, None, 0, None, Backoff(0.0))
        self._hold(row)
        self._give_up(row, error)

    def keep(self, given: Any) -> None:
        """Take in a row that was read, but will not be sent any more."""
        if not self.skip():
            self._hold(Held(self.position - 1, given, None, None, 0, None, Backoff(0.0)))

    def _hold(self, row: Held) -> None:
        self._held[row.position] = row
        self._held_bytes += row.size
        self._largest = max(self._largest, row.size)

    def _make_ready(self, row: Held, *, first: bool = False) -> None:
        self._ready_bytes += row.size
        if first:
            self._ready.appendleft(row)
        else:
            self._ready.append(row)

    # --- loads out ---

    @property
    def done(self) -> bool:
        """Whether every row is finished."""
        return self.ended and not self._held

    def next_load(self, now: float) -> Load | None:
        """Return what is to be sent now, if anything is: a full load, or less if waiting for more is of no use.

        Args:
            now: The time, by a clock that never goes back.
        """
        while self._later and self._later[0][0] <= now:
            self._make_ready(heappop(self._later)[2], first=True)
        if self._flying >= int(self._window):
            return None
        if self._pieces:
            rows = self._pieces.popleft()
        elif self._ready and (self._is_full or not self.room or self._ready[0].backoff.failures):
            rows = self._fill()
        else:
            return None
        self._sent += 1
        self._flying += 1
        for row in rows:
            row.flying = True
            self._report.sent_again += row.backoff.failures > 0
        return Load(self._sent, rows)

    @property
    def _is_full(self) -> bool:
        return len(self._ready) >= self._limits.max_rows or self._ready_bytes >= self._limits.max_bytes

    def _fill(self) -> list[Held]:
        rows: list[Held] = []
        size = 0
        while self._ready and len(rows) < self._limits.max_rows:
            row = self._ready[0]
            if rows and size + row.size > self._limits.max_bytes:
                break
            rows.append(self._ready.popleft())
            size += row.size
        self._ready_bytes -= size
        return rows

    def pause(self, now: float) -> float | None:
        """Return the seconds until a row is to be tried again, None if there is none that waits for that."""
        return max(self._later[0][0] - now, 0.0) if self._later else None

    # --- outcomes ---

    def settle(self, load: Load, now: float) -> None:
        """Take in what became of a load.

        Args:
            load: The load, with its outcome.
            now: The time, by a clock that never goes back.
        """
        self._flying -= 1
        errors = _errors(load)
        crowded = load.retries > 0 or any(e is not None and classify(e) is FailureKind.THROTTLED for e in errors)
        self._window.adapt(load, self._sent, crowded=crowded)
        for row in load.rows:
            row.flying = False
        if len(load.rows) > 1 and not self._stopped and _is_refused_whole(load.outcome):
            half = len(load.rows) // 2
            self._pieces += (load.rows[:half], load.rows[half:])
            return
        for row, error in zip(load.rows, errors, strict=True):
            if error is None:
                self._report.written += 1
                self._finish(row)
            else:
                self._fail(row, error, now)

    def _fail(self, row: Held, error: Exception, now: float) -> None:
        again = not self._stopped and worth_trying(
            error, repeatable=is_item_repeatable(row.item), retry_writes=self._retry_writes
        )
        pause = row.backoff.pause(error, now) if again else None
        if pause is None:
            self._give_up(row, error)
            return
        row.uncertain, row.code, row.message = _told(row, error)
        heappush(self._later, (now + pause, row.position, row))

    def _give_up(self, row: Held, error: Exception) -> None:
        row.uncertain, row.code, row.message = _told(row, error)
        self._report_failed(row)
        self._finish(row)
        if self._limits.on_failure == "raise" and self.failure is None:
            self.failure = error

    def _report_failed(self, row: Held) -> None:
        if row.flying:
            row.uncertain, row.code, row.message = True, *_CUT_SHORT
        self._report.failed.append(FailedRow(row.position, row.given, row.code, row.message, row.uncertain))

    def _finish(self, row: Held) -> None:
        del self._held[row.position]
        self._held_bytes -= row.size
        self._finished += 1
        if row.key is None:
            return
        behind = self._behind[row.key]
        if behind:
            self._make_ready(behind.popleft())
        else:
            del self._behind[row.key]

    def take_finished(self) -> int:
        """Return how many rows were finished since this was last asked."""
        finished, self._finished = self._finished, 0
        return finished

    # --- the end ---

    def stop(self) -> None:
        """From now on send nothing, and try nothing again."""
        self._stopped = True

    def close(self, elapsed: float) -> BulkReport:
        """Return the report; a row that is still held goes into it as failed.

        Args:
            elapsed: Seconds that the job took.
        """
        for row in self._held.values():
            self._report_failed(row)
        self._held.clear()
        report = self._report
        report.failed.sort(key=lambda row: row.position)
        report.elapsed = elapsed
        report.resume_from = report.failed[0].position if report.failed else self.position
        return report


def _errors(load: Load) -> list[Exception | None]:
    """Return what each row of a load failed with, None for those that are acknowledged."""
    match load.outcome:
        case list():
            return [None if item.is_ok else _row_error(item) for item in load.outcome]
        case None:
            return [ResponseLost(_CUT_SHORT[1], operation="BatchWriteRow")] * len(load.rows)
        case error:
            return [error] * len(load.rows)


def _row_error(item: Any) -> ServiceError:
    error = ServiceError(200, item.error_code, item.error_message or "", operation="BatchWriteRow")
    error.may_have_happened = classify(error) is FailureKind.UNCERTAIN
    return error


def _is_refused_whole(outcome: object) -> bool:
    return isinstance(outcome, ServiceError) and outcome.code in _REFUSED_WHOLE and not outcome.may_have_happened


def _told(row: Held, error: Exception) -> tuple[bool, str, str]:
    """Return whether a row may have been written, by this failure or one before, the failure's code and its words."""
    name = type(error).__name__
    if isinstance(error, RequestError):
        code = error.code if isinstance(error, ServiceError) else name
        return row.uncertain or error.may_have_happened, code, error.message
    return row.uncertain or not isinstance(error, OTSConfigError), name, str(error)
