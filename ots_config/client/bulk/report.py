"""The limits of a bulk write, and its report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

MAX_ROWS = 200
MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FailedRow:
    """A row that is not known to be stored.

    Attributes:
        position: Its index in the input, 0 for the first row.
        item: The row as it was passed.
        code: The service's error code, or the name of the error; ``NotSent`` if the job ended before its turn.
        message: The failure in words.
        may_have_happened: Whether the service may have written it nevertheless.
    """

    position: int
    item: Any = field(repr=False)
    code: str
    message: str
    may_have_happened: bool


@dataclass(slots=True)
class BulkReport:
    """The result of a bulk write: each row that was read is counted in ``written`` or listed in ``failed``.

    Attributes:
        written: How many rows the service has acknowledged.
        failed: The others, in the order of the input.
        sent_again: How many times a row was sent again, because it had failed before; the client's own retries of
            whole requests are not counted.
        elapsed: Seconds from the start to the end.
        resume_from: Every row before this position is acknowledged (or was skipped); pass it as ``start``, with the
            same input, to continue. Rows after it that are acknowledged are then written a second time.
    """

    written: int = 0
    failed: list[FailedRow] = field(default_factory=list)
    sent_again: int = 0
    elapsed: float = 0.0
    resume_from: int = 0


@dataclass(frozen=True, slots=True)
class BulkLimits:
    """The limits among the arguments of ``OTSClient.bulk_write``, which describes them.

    Raises:
        ValueError: If one cannot be used.
    """

    concurrency: int
    max_rows: int
    max_bytes: int
    retry_for: float
    start: int
    on_failure: Literal["collect", "raise"]

    def __post_init__(self) -> None:
        for name, low, high in (("concurrency", 1, 1000), ("max_rows", 1, MAX_ROWS), ("max_bytes", 1, MAX_BYTES)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {getattr(self, name)!r}")
        if not self.retry_for >= 0:
            raise ValueError(f"retry_for must be 0 seconds or more, not {self.retry_for!r}")
        if self.start < 0:
            raise ValueError(f"start must be 0 or more, not {self.start!r}")
        if self.on_failure not in ("collect", "raise"):
            raise ValueError(f"on_failure must be 'collect' or 'raise', not {self.on_failure!r}")
