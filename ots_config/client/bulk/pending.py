"""A row of a bulk write that is not finished, what is known of its failures, and the batch that it is sent with."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from ots_config.client.backoff import JobBackoff, may_retry
from ots_config.errors import OTSConfigError, RequestError, ResponseLost, ServiceError
from ots_config.request.idempotency import Repeatable, item_repeatable
from ots_config.request.retry_decision import MAY_HAVE_HAPPENED, classify
from ots_config.sdk import tablestore

NOT_SENT = ("NotSent", "the job ended before this row was sent")
INTERRUPTED = ("ResponseLost", "the job ended before the answer came")


class RowFailure:
    """What is known of a row that has failed.

    Attributes:
        backoff: How long the row is tried again.
        may_have_happened: Whether it may have been written by an attempt that failed.
        code: The code of its last failure.
        message: The same failure in words.
    """

    __slots__ = ("backoff", "code", "may_have_happened", "message")

    def __init__(self, retry_for: float) -> None:
        self.backoff = JobBackoff(retry_for)
        self.may_have_happened = False
        self.code, self.message = NOT_SENT

    def set(self, error: Exception) -> None:
        """Record a failure; what may have happened before it still may."""
        name = type(error).__name__
        if isinstance(error, RequestError):
            self.may_have_happened |= error.may_have_happened
            self.code = error.code if isinstance(error, ServiceError) else name
            self.message = " ".join((error.message, *getattr(error, "__notes__", ())))
        else:
            self.may_have_happened |= not isinstance(error, OTSConfigError)
            self.code, self.message = name, str(error)


class PendingRow:
    """A row that was read and is not finished; there is one for each row of a job, so it is small.

    Args:
        position: Its index in the input.
        source: The row as it was passed, a ``Row`` or an item of a batch.
        encoded: Its part of a request.
        size: The most bytes that it takes in a request.
        key: Equal for rows with the same key; None if no other row can have it.
    """

    __slots__ = ("encoded", "failure", "key", "position", "size", "source")

    def __init__(self, position: int, source: Any, encoded: bytes, size: int, key: Hashable) -> None:
        self.position = position
        self.source = source
        self.encoded = encoded
        self.size = size
        self.key = key
        self.failure: RowFailure | None = None

    def repeatable(self) -> Repeatable:
        """Return whether sending the row twice has the effect of sending it once."""
        source = self.source
        return item_repeatable(tablestore.PutRowItem(source, None) if isinstance(source, tablestore.Row) else source)


class RowBatch:
    """Rows that are sent together.

    Attributes:
        number: How many batches were sent up to this one.
        rows: The rows.
        is_half: Whether it is a part of a batch that the service has refused as a whole.
        started: Whether a thread or a task has begun to send it; until then it has not left.
        done: Whether nothing is sent of it any more.
        outcome: The errors of the rows that failed, by their index, or the error of the whole request; None while
            neither is known.
        retries: How many times the client itself sent the request again.
        interruption: What interrupted the request: no ``Exception``, but what ends the whole job.
        one_version: Whether the table is known to keep one version of each cell.
    """

    __slots__ = ("done", "interruption", "is_half", "number", "one_version", "outcome", "retries", "rows", "started")

    def __init__(self, number: int, rows: list[PendingRow], *, is_half: bool = False) -> None:
        self.number = number
        self.rows = rows
        self.is_half = is_half
        self.started = False
        self.done = False
        self.outcome: dict[int, ServiceError] | Exception | None = None
        self.retries = 0
        self.interruption: BaseException | None = None
        self.one_version = False

    def failures(self) -> Iterator[tuple[PendingRow, Exception]]:
        """Yield each row that has failed, and its error."""
        match self.outcome:
            case dict() as errors:
                for index, error in errors.items():
                    yield self.rows[index], error
            case whole:
                error = whole or ResponseLost(INTERRUPTED[1], operation="BatchWriteRow")
                for row in self.rows:
                    yield row, error

    def depends_on_versions(self, *, retry_writes: bool) -> bool:
        """Return whether a row is to be repeated if the table keeps one version, and only then."""
        return any(
            classify(error) in MAY_HAVE_HAPPENED
            and may_retry(error, repeatable=True, retry_writes=retry_writes)
            and row.repeatable() is Repeatable.IN_ONE_VERSION
            for row, error in self.failures()
        )

    def is_repeatable(self, row: PendingRow) -> bool:
        """Return whether a row may be sent twice."""
        repeatable = row.repeatable()
        return repeatable is Repeatable.YES or (repeatable is Repeatable.IN_ONE_VERSION and self.one_version)
