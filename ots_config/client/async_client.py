"""``AsyncOTSClient``: the official SDK's asyncio client on this library's request layer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from types import TracebackType
from typing import Any, Literal, Self

from ots_config.client.assembly import USER_AGENT, Assembly
from ots_config.client.bulk import MOST_BYTES, MOST_ROWS, BulkReport, Limits, write_in_tasks
from ots_config.client.scan import AsyncScan, Cursor, Direction, Key
from ots_config.credentials.credentials import Credentials
from ots_config.credentials.provider import Provider
from ots_config.credentials.sts import Identity
from ots_config.errors import OTSConfigError
from ots_config.request.async_transport import AsyncTransport
from ots_config.request.io import SuspendingIO
from ots_config.sdk import tablestore


class AsyncOTSClient(Assembly, tablestore.AsyncOTSClient):  # type: ignore[misc] # the SDK has no types
    """A client of Alibaba Cloud Tablestore for asyncio: what ``OTSClient`` promises, without blocking the event loop.

        async with AsyncOTSClient(endpoint, key_id, key_secret, instance_name) as client:
            await client.put_row("orders", row)

    Tasks may share one client. It may be made outside of an event loop. Close it in the loop that used it, or use it
    in an ``async with`` block. A call may be cancelled at any time: its connection is given up, and whether a write
    was carried out is then not known.

    Args:
        force_close: Whether each connection is closed after its request.
        session: An ``aiohttp.ClientSession`` to send through, with its own connector; it is not closed here.
        credentials_provider: As for ``OTSClient``. One that may wait should provide ``get_credentials_async``, as
            ours do; without it, it is called in a thread, unless its attribute ``instant`` is true.
        **arguments: Whatever ``OTSClient`` takes. ``keepalive_timeout`` is the official name of ``idle_timeout``.

    Raises:
        SettingsError: If a setting cannot be used; it is also a ``tablestore.OTSClientError``.
    """

    _own_options = frozenset({"force_close"})
    _greeting: Callable[[Credentials], None] | None = None

    def _connect(
        self, provider: Provider, session: Any, timeout: tuple[float, float], options: dict[str, Any]
    ) -> SuspendingIO:
        settings = self.settings
        self.connection = AsyncTransport(
            settings.endpoint,
            max_connection=settings.max_connection,
            idle_timeout=settings.idle_timeout,
            force_close=options.get("force_close", False),
            ca_bundle=settings.tls.ca_bundle,
            minimum_tls=settings.tls.minimum_version,
            proxies=settings.proxies,
            session=session,
            user_agent=USER_AGENT,
        )
        return SuspendingIO(self.connection, provider, timeout)

    async def identity(self) -> Identity:
        """Return whose keys the client uses now, as STS tells it: GetCallerIdentity, which needs no permission.

        Raises:
            CredentialsUnavailable: If there are no credentials.
            CredentialsRefused: If STS refuses them or cannot be reached.
        """
        return await asyncio.to_thread(self._identity)

    async def close(self) -> None:
        """Close the connections; later calls fail. A session that was given stays open."""
        await self.connection.close()

    async def __aenter__(self) -> Self:
        if self._greeting is not None:
            await self._greet()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _greet(self) -> None:
        """Ask for the credentials before the first call, and let the factory tell whose they are."""
        greeting, self._greeting = self._greeting, None
        try:
            credentials = await self._caller.credentials()
        except OTSConfigError:
            self._greeting = greeting
            raise
        if greeting is not None:
            greeting(credentials)

    # --- the official SDK's two ways to the wire ---

    async def _request_helper(self, api_name: str, *args: Any, **kwargs: Any) -> Any:
        if self._greeting is not None:
            await self._greet()
        return await self._call(api_name, args, kwargs)

    async def _vectors_request_helper(self, api_name: str, request: Any) -> Any:
        if self._greeting is not None:
            await self._greet()
        return await self._call_json(api_name, request)

    # --- large jobs ---

    async def bulk_write(
        self,
        table: str,
        rows: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int = 4,
        max_rows: int = MOST_ROWS,
        max_bytes: int = MOST_BYTES,
        retry_for: float = 300.0,
        start: int = 0,
        on_failure: Literal["collect", "raise"] = "collect",
        progress: Callable[[int], object] | None = None,
    ) -> BulkReport:
        """Write any number of rows in batches, several at a time, as ``OTSClient.bulk_write`` does.

        Cancelling the task does not wait for the batches in flight: their rows are reported as ones that may have
        been written, in the ``report`` of the ``CancelledError``.

        Args:
            table: The table's name.
            rows: The rows, from an iterable or an asynchronous one.
            concurrency: The most batches in flight.
            max_rows: The most rows of a batch.
            max_bytes: The most bytes of a batch.
            retry_for: Seconds that a row is tried again after its first failure.
            start: How many rows of the input to skip.
            on_failure: ``collect`` or ``raise``.
            progress: Called in the event loop with how many rows were finished since the last time.

        Returns:
            How many rows were written, which were not, and where another run would go on.

        Raises:
            ValueError: If an argument cannot be used.
            RequestError: The first row's failure, with ``on_failure="raise"``.
        """
        limits = Limits(concurrency, max_rows, max_bytes, retry_for, start, on_failure)
        if self._greeting is not None:
            await self._greet()
        return await write_in_tasks(self._wire(), table, rows, limits, progress)

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
    ) -> AsyncScan:
        """Return an asynchronous iterator over the rows of a range; the arguments are those of ``OTSClient.scan``."""
        cursor = Cursor(
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
        return AsyncScan(cursor, self)
