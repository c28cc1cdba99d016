"""Scans: every row of a range, page after page; a page that fails is read again from the last key."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, Literal, Self, TypeAlias, TypeVar

from ots_config.client.backoff import JobBackoff, may_retry
from ots_config.errors import OTSConfigError
from ots_config.request.io import run_sync
from ots_config.sdk import tablestore

Direction: TypeAlias = Literal["FORWARD", "BACKWARD"]
Key: TypeAlias = list[tuple[str, Any]]
ScanT_co = TypeVar("ScanT_co", covariant=True)


class _PagedScan:
    """The part of a scan that is the same for threads and for tasks; ``ScanMethod.scan`` describes the arguments.

    Args:
        client: The client to read with.
        **query: More arguments of ``get_range``, which are passed to it as they are.
    """

    def __init__(
        self,
        client: Any,
        table: str,
        start: Key | None,
        end: Key | None,
        *,
        direction: Direction,
        limit: int | None,
        page_size: int | None,
        retry_for: float,
        **query: Any,
    ) -> None:
        if direction not in ("FORWARD", "BACKWARD"):
            raise ValueError(f"direction must be 'FORWARD' or 'BACKWARD', not {direction!r}")
        for name, value, low in (("limit", limit, 0), ("page_size", page_size, 1)):
            if value is not None and value < low:
                raise ValueError(f"{name} must be {low} or more, not {value!r}")
        if not retry_for >= 0:
            raise ValueError(f"retry_for must be 0 seconds or more, not {retry_for!r}")
        self._client = client
        self._table = table
        self._next, self._end = start, end
        self._direction = direction
        self._remaining = limit
        self._page_size = page_size
        self._backoff = JobBackoff(retry_for)
        self._query = query
        self._rows: deque[Any] = deque()
        self._partial_row: Any = None  # a row so wide that a page ended within it
        self._token: Any = None
        self._read_to_end = False
        self._is_running = False

    @property
    def done(self) -> bool:
        """Whether every row of the range was returned; a scan that its limit has ended may have more."""
        return self._read_to_end and not self._rows

    @property
    def next_key(self) -> Key | None:
        """The key of the first row that was not returned; pass it as ``start`` to continue with another scan.

        None once the scan is ``done``, and before the first row of a scan without a ``start``.
        """
        if self._rows or self._partial_row is not None:
            first = self._rows[0] if self._rows else self._partial_row
            key: Key = first.primary_key
            return key
        return self._next

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._table}{', done' if self.done else ''}>"

    async def _next_row(self) -> Any:
        """Return the next row, None if there is none.

        Raises:
            ValueError: If another thread or task is reading it, as of a generator.
        """
        if self._is_running:
            raise ValueError(f"{type(self).__name__} is already executing: threads or tasks cannot share one")
        # No call stands between the question, this line and the next: neither another thread nor an interruption does.
        self._is_running = True
        try:
            return await self._read_row()
        finally:
            self._is_running = False

    async def _read_row(self) -> Any:
        """Return the next row, None if there is none, while no other thread or task does."""
        while not (self._rows or self._read_to_end or self._remaining == 0):
            try:
                if self._next is None or self._end is None:
                    self._set_bounds(await self._describe_table())
                self._add_page(await self._get_range(self._page_arguments()))
            except OTSConfigError as error:
                delay = self._backoff.delay(error, time.monotonic()) if may_retry(error, reads=True) else None
                if delay is None:
                    self._backoff.reset()  # if the caller asks for the next row all the same, the time begins anew
                    raise
                await self._sleep(delay)
        if not self._rows or self._remaining == 0:
            return None
        if self._remaining is not None:
            self._remaining -= 1
        return self._rows.popleft()

    def _set_bounds(self, description: Any) -> None:
        """Set the ends that are still open, from the result of ``describe_table``."""
        names = [column[0] for column in description.table_meta.schema_of_primary_key]
        low = [(name, tablestore.INF_MIN) for name in names]
        high = [(name, tablestore.INF_MAX) for name in names]
        first, last = (low, high) if self._direction == "FORWARD" else (high, low)
        self._next = first if self._next is None else self._next
        self._end = last if self._end is None else self._end

    def _page_arguments(self) -> dict[str, Any]:
        """Return the arguments of ``get_range`` for the next page."""
        limit = self._page_size
        if self._remaining is not None and self._query.get("column_filter") is None:  # it counts rows before the filter
            limit = self._remaining if limit is None else min(limit, self._remaining)
        return {
            "table_name": self._table,
            "direction": self._direction,
            "inclusive_start_primary_key": self._next,
            "exclusive_end_primary_key": self._end,
            "limit": limit,
            "token": self._token,
            **self._query,
        }

    def _add_page(self, result: Any) -> None:
        """Add the rows of a page, the result of ``get_range``."""
        _, next_key, rows, token = result
        self._backoff.reset()
        self._rows.extend(rows)
        if self._partial_row is not None:
            if rows and rows[0].primary_key == self._partial_row.primary_key:
                self._partial_row.attribute_columns += self._rows.popleft().attribute_columns
            self._rows.appendleft(self._partial_row)
        self._token = token or None
        self._partial_row = self._rows.pop() if self._token and self._rows else None
        if next_key is None and self._partial_row is not None:
            next_key = self._partial_row.primary_key
        self._next, self._read_to_end = next_key, next_key is None

    async def _get_range(self, arguments: dict[str, Any]) -> Any:
        raise NotImplementedError

    async def _describe_table(self) -> Any:
        raise NotImplementedError

    async def _sleep(self, seconds: float) -> None:
        raise NotImplementedError


class Scan(_PagedScan, Iterator[Any]):
    """Iterates over the rows of a range. After an error ``next`` may be called again: it reads the same page again."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        # The rows of a page are taken at once: a coroutine for each of them costs as much as decoding it.
        if self._rows and self._remaining is None and not self._is_running:
            try:
                return self._rows.popleft()
            except IndexError:  # another thread was faster
                pass
        row = run_sync(self._next_row())
        if row is None:
            raise StopIteration
        return row

    async def _get_range(self, arguments: dict[str, Any]) -> Any:
        return self._client.get_range(**arguments)

    async def _describe_table(self) -> Any:
        return self._client.describe_table(self._table)

    async def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - no event loop runs it


class AsyncScan(_PagedScan, AsyncIterator[Any]):
    """Iterates over the rows of a range with ``async for``; otherwise it is like ``Scan``."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._rows and self._remaining is None and not self._is_running:
            return self._rows.popleft()
        row = await self._next_row()
        if row is None:
            raise StopAsyncIteration
        return row

    async def _get_range(self, arguments: dict[str, Any]) -> Any:
        return await self._client.get_range(**arguments)

    async def _describe_table(self) -> Any:
        return await self._client.describe_table(self._table)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ScanMethod(Generic[ScanT_co]):
    """The method ``scan`` of a client."""

    _scan_type: Callable[..., ScanT_co]

    def scan(
        self,
        table: str,
        start: Key | None = None,
        end: Key | None = None,
        *,
        columns: list[str] | None = None,
        direction: Direction = "FORWARD",
        limit: int | None = None,
        filter: Any = None,  # noqa: A002 - the service's word
        max_version: int | None = 1,
        time_range: tuple[int, int] | int | None = None,
        page_size: int | None = None,
        transaction_id: str | None = None,
        retry_for: float = 300.0,
    ) -> ScanT_co:
        """Return an iterator over the rows of a range, or of a whole table; in asyncio it is for ``async for``.

        A page that fails after the client's own retries is read again from the last key, if that may help.

        Args:
            table: The table's or the index's name.
            start: The key to begin with, ``[("id", 1)]``; None begins at the end where the direction starts.
            end: The key to stop before; None reads to the other end.
            columns: The names of the columns to read, None for all.
            direction: ``FORWARD``, or ``BACKWARD`` with ``start`` above ``end``.
            limit: The most rows to return, None for all.
            filter: A column condition that rows must meet.
            max_version: The most versions of a column; None with a ``time_range``.
            time_range: The versions to read, in milliseconds: from and to, or one.
            page_size: The most rows to read with one request, None for what the service sends (5000, 4 MB).
            transaction_id: The local transaction to read in.
            retry_for: Seconds after a page's first failure in which it is read again.

        Returns:
            The iterator; its ``next_key`` is where another scan would continue, and ``done`` whether all was read.

        Raises:
            ValueError: If an argument cannot be used.
        """
        return self._scan_type(
            self,
            table,
            start,
            end,
            direction=direction,
            limit=limit,
            page_size=page_size,
            retry_for=retry_for,
            columns_to_get=columns,
            column_filter=filter,
            max_version=max_version,
            time_range=time_range,
            transaction_id=transaction_id,
        )
