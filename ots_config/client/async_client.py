"""``AsyncOTSClient``: the official SDK's asyncio client on this library's request layer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from ots_config.client.bulk import MAX_BYTES, MAX_ROWS, BulkLimits, BulkReport, FailedRow
from ots_config.client.core import USER_AGENT, ClientCore
from ots_config.client.scan import AsyncScan, ScanMethod
from ots_config.credentials.credentials import Credentials
from ots_config.credentials.provider import Provider
from ots_config.credentials.sts import Identity
from ots_config.errors import OTSConfigError
from ots_config.request.async_transport import AsyncTransport
from ots_config.request.io import SuspendingIO
from ots_config.request.pool import PoolStatus
from ots_config.sdk import tablestore

if TYPE_CHECKING:
    from ots_config.request.aiohttp_session import SessionTransport


class AsyncOTSClient(ClientCore, ScanMethod[AsyncScan], tablestore.AsyncOTSClient):  # type: ignore[misc] # the SDK has no types
    """A client of Alibaba Cloud Tablestore for asyncio; otherwise like ``OTSClient``. It never blocks the event loop.

        async with AsyncOTSClient(endpoint, key_id, key_secret, instance_name) as client:
            await client.put_row("orders", row)

    Tasks may share one client. It may be created outside of an event loop. Close it in the loop that used it, or use
    it in an ``async with`` block. A call may be cancelled at any time: its connection is closed, and whether a write
    was carried out is then not known.

    Args:
        force_close: Whether each connection is closed after its request.
        session: An ``aiohttp.ClientSession`` to send through, with its own connector; it is not closed here.
        credentials_provider: As for ``OTSClient``. One that is not of this library is asked in a thread, unless its
            attribute ``instant`` says that it answers at once.
        **arguments: The arguments of ``OTSClient``. ``keepalive_timeout`` is the official name of ``idle_timeout``.

    Raises:
        SettingsError: If a setting cannot be used; it is also a ``tablestore.OTSClientError``.
    """

    _scan_type = AsyncScan
    _own_options = frozenset({"force_close"})
    _on_first_credentials: Callable[[Credentials], None] | None = None
    """Set by the factory; called once, when there are credentials."""

    def _connect(
        self, provider: Provider, session: Any, timeout: tuple[float, float], options: dict[str, Any]
    ) -> SuspendingIO:
        settings = self.settings
        self.connection: AsyncTransport | SessionTransport
        if session is not None:
            from ots_config.request.aiohttp_session import SessionTransport

            self.connection = SessionTransport(settings.endpoint, session, user_agent=USER_AGENT)
            return SuspendingIO(self.connection, provider, timeout)
        self.connection = AsyncTransport(
            settings.endpoint,
            max_connection=settings.max_connection,
            idle_timeout=settings.idle_timeout,
            force_close=options.get("force_close", False),
            ca_bundle=settings.tls.ca_bundle,
            minimum_tls=settings.tls.minimum_version,
            proxies=settings.proxies,
            user_agent=USER_AGENT,
        )
        return SuspendingIO(self.connection, provider, timeout)

    async def identity(self) -> Identity:
        """Ask STS whose keys the client uses now (GetCallerIdentity, which needs no permission).

        Raises:
            CredentialsUnavailable: If there are no credentials.
            CredentialsRefused: If STS refuses them or cannot be reached.
        """
        return await asyncio.to_thread(self._identity)

    def pool_status(self) -> PoolStatus | None:
        """Return the state of the connections of the running event loop, or outside of one of all of them together.

        None if a session was passed: it keeps the connections.
        """
        return self.connection.pool_status()

    async def close(self) -> None:
        """Close the connections; later calls fail. A session that was passed stays open."""
        await self.connection.close()

    async def __aenter__(self) -> Self:
        if self._on_first_credentials is not None:
            await self._get_first_credentials()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _get_first_credentials(self) -> None:
        """Get the credentials before the first call, and pass them to the factory's callback."""
        callback, self._on_first_credentials = self._on_first_credentials, None
        try:
            credentials = await self._caller.credentials()
        except OTSConfigError:
            self._on_first_credentials = callback
            raise
        if callback is not None:
            callback(credentials)

    # --- the SDK's two request methods ---

    async def _request_helper(self, api_name: str, *args: Any, **kwargs: Any) -> Any:
        if self._on_first_credentials is not None:
            await self._get_first_credentials()
        return await self._call(api_name, args, kwargs)

    async def _vectors_request_helper(self, api_name: str, request: Any) -> Any:
        if self._on_first_credentials is not None:
            await self._get_first_credentials()
        return await self._call_json(api_name, request)

    # --- large jobs ---

    async def bulk_write(
        self,
        table: str,
        rows: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int = 4,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
        retry_for: float = 300.0,
        start: int = 0,
        on_failure: Literal["collect", "raise"] = "collect",
        progress: Callable[[int], object] | None = None,
        on_failed_row: Callable[[FailedRow], object] | None = None,
    ) -> BulkReport:
        """Write any number of rows in batches, several at a time, as ``OTSClient.bulk_write`` does.

        The rows may come from an asynchronous iterable; ``progress`` and ``on_failed_row`` are called in the event
        loop. Cancelling the task does not wait for the batches in flight: in the ``report`` of the ``CancelledError``
        their rows are reported as possibly written.
        """
        limits = BulkLimits(concurrency, max_rows, max_bytes, retry_for, start, on_failure)
        if self._on_first_credentials is not None:
            await self._get_first_credentials()
        return await self._bulk_writer(table, limits, progress, on_failed_row).run_in_tasks(rows)
