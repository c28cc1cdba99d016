"""The limits of a bulk write, and its report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ots_config.errors import RequestError
from ots_config.sdk import as_sdk_error

MAX_ROWS = 200
MAX_BYTES = 4 * 1024 * 1024
MAX_FAILED_ROWS = 1000
"""The most failed rows that a report keeps."""


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


@dataclass(slots=True, repr=False)
class BulkReport:
    """The result of a bulk write: each row that was read is counted in ``written`` or in ``failed_count``.

    Attributes:
        written: How many rows the service has acknowledged.
        failed: The first 1000 of the others, in the order of the input; ``on_failed_row`` gets them all.
        failed_count: How many there are.
        codes: How many failed with which code.
        sent_again: How many times a row was sent again, because it had failed before; the client's own retries of
            whole requests are not counted.
        elapsed: Seconds from the start to the end.
        resume_from: Every row before this position is acknowledged (or was skipped); pass it as ``start``, with the
            same input, to continue. Rows after it that are acknowledged are then written a second time.
        stopped: The error that every further batch would have met, for which the job ended before its input; else
            None.
    """

    written: int = 0
    failed: list[FailedRow] = field(default_factory=list)
    failed_count: int = 0
    codes: dict[str, int] = field(default_factory=dict)
    sent_again: int = 0
    elapsed: float = 0.0
    resume_from: int = 0
    stopped: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether the whole input was read and every row is acknowledged."""
        return not self.failed_count and self.stopped is None

    def raise_for_failures(self) -> None:
        """Raise an error unless all is well.

        Raises:
            RequestError: If a row has failed or the job was stopped. Its code is the most frequent one, and its
                attribute ``report`` is this report; it is also a ``tablestore.OTSClientError``.
        """
        if self.ok:
            return
        error = RequestError(f"bulk_write: {self.summary()}", operation="BatchWriteRow")
        if self.codes:
            error.code = max(self.codes, key=self.codes.__getitem__)
        error.sent = error.may_have_happened = any(row.may_have_happened for row in self.failed)
        vars(error)["report"] = self
        raise as_sdk_error(error) from self.stopped

    def summary(self) -> str:
        """Return the report in one sentence, without any data of rows."""
        codes = ", ".join(f"{count} {code}" for code, count in self._frequent_codes())
        failed = f"{self.failed_count} not ({codes})" if codes else f"{self.failed_count} not"
        text = f"{self.written} rows written, {failed}; start={self.resume_from} goes on from there"
        return text if self.stopped is None else f"{text}; stopped because no batch could succeed: {self.stopped}"

    def _frequent_codes(self) -> list[tuple[str, int]]:
        return sorted(self.codes.items(), key=lambda code: -code[1])

    def __repr__(self) -> str:
        codes = f" {dict(self._frequent_codes())}" if self.codes else ""
        stopped = "" if self.stopped is None else f", stopped={type(self.stopped).__name__}"
        return (
            f"<BulkReport: {self.written} written, {self.failed_count} failed{codes}, {self.elapsed:.2f} s, "
            f"resume_from={self.resume_from}{stopped}>"
        )

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        from html import escape

        lines = [("written", self.written), *((f"failed: {code}", count) for code, count in self._frequent_codes())]
        lines += [("sent again", self.sent_again), ("resume from", self.resume_from)]
        rows = [(name, f"{value:,}") for name, value in lines] + [("seconds", f"{self.elapsed:.2f}")]
        if self.stopped is not None:
            rows.append(("stopped", str(self.stopped)))
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
        return f"<table>{cells}</table>"


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
