"""Every row of a range, page after page, going on from the last key when a page fails."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Literal, Self, TypeAlias

from ots_config.client.backoff import Backoff, worth_trying
from ots_config.errors import OTSConfigError
from ots_config.request.io import run_sync
from ots_config.sdk import tablestore

Direction: TypeAlias = Literal["FORWARD", "BACKWARD"]
Key: TypeAlias = list[tuple[str, Any]]


class Cursor:
    """Where a scan stands: what the next page is to be asked for, and what was read but not yet handed out.

    Args:
        table: The table, or the index.
        start: The key to begin with; None begins at the end of the table where the direction starts.
        end: The key to end before; None reads to the other end of the table.
        direction: ``FORWARD`` or ``BACKWARD``.
        limit: The most rows to hand out, None for all.
        page_size: The most rows to read with one request, None for as many as the service sends.
        retry_for: Seconds that a page is tried again.
        **query: What else ``get_range`` takes, by its names.

    Raises:
        ValueError: If an argument cannot be used.
    """

    def __init__(
        self,
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
        self.table = table
        self._next, self._end = start, end
        self._direction = direction
        self._left = limit
        self._page_size = page_size
        self._backoff = Backoff(retry_for)
        self._query = query
        self._rows: deque[Any] = deque()
        self._part: Any = None  # a row so wide that a page ended within it
        self._token: Any = None
        self._read_to_end = False

    # --- what was read ---

    @property
    def done(self) -> bool:
        """Whether every row of the range was handed out."""
        return self._read_to_end and not self._rows

    @property
    def next_key(self) -> Key | None:
        """The key of the first row that was not handed out."""
        if self._rows or self._part is not None:
            first = self._rows[0] if self._rows else self._part
            key: Key = first.primary_key
            return key
        return self._next

    @property
    def wants_page(self) -> bool:
        """Whether a page must be read before there can be another row."""
        return not (self._rows or self._read_to_end or self._left == 0)

    def take_row(self) -> Any:
        """Return the next row, None if there is none."""
        if not self._rows or self._left == 0:
            return None
        if self._left is not None:
            self._left -= 1
        return self._rows.popleft()

    # --- what is asked for ---

    @property
    def lacks_bounds(self) -> bool:
        """Whether the ends of the range depend on the table."""
        return self._next is None or self._end is None

    def set_bounds(self, described: Any) -> None:
        """Take the ends that were not given from the table's primary key."""
        names = [column[0] for column in described.table_meta.schema_of_primary_key]
        low = [(name, tablestore.INF_MIN) for name in names]
        high = [(name, tablestore.INF_MAX) for name in names]
        first, last = (low, high) if self._direction == "FORWARD" else (high, low)
        self._next = first if self._next is None else self._next
        self._end = last if self._end is None else self._end

    def question(self) -> dict[str, Any]:
        """Return the arguments of ``get_range`` for the next page."""
        limit = self._page_size
        if self._left is not None and self._query.get("column_filter") is None:  # rows are counted before the filter
            limit = self._left if limit is None else min(limit, self._left)
        return {
            "table_name": self.table,
            "direction": self._direction,
            "inclusive_start_primary_key": self._next,
            "exclusive_end_primary_key": self._end,
            "limit": limit,
            "token": self._token,
            **self._query,
        }

    def take_page(self, answer: Any) -> None:
        """Take in what ``get_range`` has returned."""
        _, following, rows, token = answer
        self._backoff.renew()
        self._rows.extend(rows)
        if self._part is not None:
            if rows and rows[0].primary_key == self._part.primary_key:
                self._part.attribute_columns += self._rows.popleft().attribute_columns
            self._rows.appendleft(self._part)
        self._token = token or None
        self._part = self._rows.pop() if self._token and self._rows else None
        if following is None and self._part is not None:
            following = self._part.primary_key
        self._next, self._read_to_end = following, following is None

    def pause(self, error: OTSConfigError) -> float | None:
        """Return the seconds to wait before the page that has failed is tried again, None if it is not to be."""
        pause = self._backoff.pause(error, time.monotonic()) if worth_trying(error, reads=True) else None
        if pause is None:
            self._backoff.renew()  # whoever asks for the next row all the same has new patience
        return pause


class _Walk:
    """A scan on its way, written once for threads and for tasks; what it awaits is handed in.

    Args:
        cursor: Where it stands.
        get_range: Reads a page.
        describe_table: Tells the primary key.
        sleep: How to wait.
    """

    def __init__(
        self,
        cursor: Cursor,
        get_range: Callable[..., Awaitable[Any]],
        describe_table: Callable[[str], Awaitable[Any]],
        sleep: Callable[[float], Awaitable[Any]],
    ) -> None:
        self._cursor = cursor
        self._get_range = get_range
        self._describe_table = describe_table
        self._sleep = sleep

    @property
    def done(self) -> bool:
        """Whether every row of the range was handed out; a scan that its limit has ended may have more."""
        return self._cursor.done

    @property
    def next_key(self) -> Key | None:
        """The key from which another scan goes on, as its ``start``: of the first row that was not handed out.

        None once the scan is ``done``, and before the first row of a scan without a ``start``.
        """
        return self._cursor.next_key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._cursor.table}{', done' if self.done else ''}>"

    async def _row(self) -> Any:
        """Return the next row, None if there is none."""
        cursor = self._cursor
        while cursor.wants_page:
            try:
                if cursor.lacks_bounds:
                    cursor.set_bounds(await self._describe_table(cursor.table))
                cursor.take_page(await self._get_range(**cursor.question()))
            except OTSConfigError as error:
                pause = cursor.pause(error)
                if pause is None:
                    raise
                await self._sleep(pause)
        return cursor.take_row()


class Scan(_Walk, Iterator[Any]):
    """The rows of a range. After an error ``next`` may be called again: it asks for the same page once more.

    Args:
        cursor: Where it stands.
        client: The client to ask.
    """

    def __init__(self, cursor: Cursor, client: Any) -> None:
        super().__init__(cursor, _at_once(client.get_range), _at_once(client.describe_table), _at_once(time.sleep))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        row = run_sync(self._row())
        if row is None:
            raise StopIteration
        return row


class AsyncScan(_Walk, AsyncIterator[Any]):
    """The rows of a range, for ``async for``; otherwise as ``Scan``.

    Args:
        cursor: Where it stands.
        client: The client to ask.
    """

    def __init__(self, cursor: Cursor, client: Any) -> None:
        super().__init__(cursor, client.get_range, client.describe_table, asyncio.sleep)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        row = await self._row()
        if row is None:
            raise StopAsyncIteration
        return row


def _at_once(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return a blocking function as one to await, which never suspends."""

    async def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call
