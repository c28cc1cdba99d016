"""``OTSClient``: the official SDK's operations on this library's request layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Literal, Self

from ots_config.client.assembly import USER_AGENT, Assembly
from ots_config.client.bulk import MOST_BYTES, MOST_ROWS, BulkReport, Limits, write_in_threads
from ots_config.client.scan import Cursor, Direction, Key, Scan
from ots_config.credentials.provider import Provider
from ots_config.credentials.sts import Identity
from ots_config.request.io import BlockingIO, run_sync
from ots_config.request.transport import Transport
from ots_config.sdk import tablestore


class OTSClient(Assembly, tablestore.OTSClient):  # type: ignore[misc] # the SDK has no types
    """A client of Alibaba Cloud Tablestore: every operation of the official client, safely signed, sent and retried.

    Threads may share one client. Close it when done with it, or use it in a ``with`` block.

    Args:
        endpoint: Address of the service, ``https://instance.cn-hangzhou.ots.aliyuncs.com``; http is for loopback.
        access_key_id: The AccessKey ID.
        access_key_secret: The AccessKey secret.
        instance_name: The instance; None takes it from the endpoint.
        credentials_provider: Hands out the credentials of each attempt, in place of the two keys.
        region: The region; when given, requests carry the signature V4.
        settings: All of this as ``OTSSettings``; then no setting may stand beside it.
        retry_policy: A ``RetryPolicy``, an official policy or a ``tenacity.Retrying``; None follows the settings,
            whose default is ``DefaultRetryPolicy``.
        session: A ``requests.Session`` to send through, with its own adapters; it is not closed here.
        extra_headers: Headers to send with each request; those named ``x-ots-*`` are signed.
        ssl_version: As in the official client; what is older than TLS 1.2 is refused.
        enable_native: Whether the SDK may use its native codec.
        native_fallback: Whether it may fall back from it.
        sign_date: A fixed day of the signature V4, ``YYYYMMDD``.
        auto_update_v4_sign: Whether the day follows the clock although ``sign_date`` is given.
        **arguments: Any field of ``OTSSettings``: ``sts_token``; ``encoding`` (utf8); ``socket_timeout``, seconds
            to connect and to wait for an answer, or ``(connect, read)`` (50); ``max_connection`` (50);
            ``logger_name``, the logger of a DEBUG record per request and an ERROR record per failure, and a file too
            if it ends in ``.log``; ``deadline``, seconds that one call may take with its retries, None for no limit
            (60); ``ca_bundle``, a PEM file of authorities to trust in place of certifi's; ``proxies``; ``allow_http``.
            ``end_point`` is the official name of ``endpoint``.

    Raises:
        SettingsError: If a setting cannot be used; it is also a ``tablestore.OTSClientError``.
    """

    def _connect(
        self,
        provider: Provider,
        session: Any,
        timeout: tuple[float, float],
        options: dict[str, Any],  # noqa: ARG002 - it has none of its own
    ) -> BlockingIO:
        settings = self.settings
        self.connection = Transport(
            settings.endpoint,
            max_connection=settings.max_connection,
            idle_timeout=settings.idle_timeout,
            ca_bundle=settings.tls.ca_bundle,
            minimum_tls=settings.tls.minimum_version,
            proxies=settings.proxies,
            session=session,
            user_agent=USER_AGENT,
        )
        return BlockingIO(self.connection, provider, timeout)

    def identity(self) -> Identity:
        """Return whose keys the client uses now, as STS tells it: GetCallerIdentity, which needs no permission.

        Raises:
            CredentialsUnavailable: If there are no credentials.
            CredentialsRefused: If STS refuses them or cannot be reached.
        """
        return self._identity()

    def close(self) -> None:
        """Close the connections; later calls fail. A session that was given stays open."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- the official SDK's two ways to the wire ---

    def _request_helper(self, api_name: str, *args: Any, **kwargs: Any) -> Any:
        return run_sync(self._call(api_name, args, kwargs))

    def _vectors_request_helper(self, api_name: str, request: Any) -> Any:
        return run_sync(self._call_json(api_name, request))

    # --- large jobs ---

    def bulk_write(
        self,
        table: str,
        rows: Iterable[Any],
        *,
        concurrency: int = 4,
        max_rows: int = MOST_ROWS,
        max_bytes: int = MOST_BYTES,
        retry_for: float = 300.0,
        start: int = 0,
        on_failure: Literal["collect", "raise"] = "collect",
        progress: Callable[[int], object] | None = None,
    ) -> BulkReport:
        """Write any number of rows in batches, several at a time.

        Rows of the same key are written in the order of the input. When the service throttles, fewer batches are
        sent at a time. What it has refused is sent again, and so are writes that may have happened, if the retry
        policy wants them (``WriteRetryPolicy``) and repeating them does no harm.

        Args:
            table: The table's name.
            rows: ``tablestore.Row`` objects, each put without a condition, or ``PutRowItem``, ``UpdateRowItem`` and
                ``DeleteRowItem``. A generator is read as the job proceeds, by one batch more than may be in flight; as
                long as it makes the job wait for a row, no further batch is begun.
            concurrency: The most batches in flight; each has a thread.
            max_rows: The most rows of a batch; the service takes 200.
            max_bytes: The most bytes of a batch, as encoded; the service takes 4 MiB.
            retry_for: Seconds that a row is tried again after its first failure.
            start: How many rows of the input to skip: ``resume_from`` of an earlier report.
            on_failure: ``collect`` goes on when a row has failed for good, ``raise`` stops with its error.
            progress: Called in this thread with how many rows were finished since the last time, written or failed:
                ``tqdm.update``, for example.

        Returns:
            How many rows were written, which were not, and where another run would go on.

        Raises:
            ValueError: If an argument cannot be used.
            RequestError: The first row's failure, with ``on_failure="raise"``. This and whatever else stops the job
                (an error of the input, Ctrl-C) is raised when the batches in flight have come back; the error's
                attribute ``report`` is the report so far.
        """
        limits = Limits(concurrency, max_rows, max_bytes, retry_for, start, on_failure)
        return write_in_threads(self._wire(), table, rows, limits, progress)

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
    ) -> Scan:
        """Return an iterator over the rows of a range, or of a whole table.

        A page that fails after the client's own retries is asked for again, from the last key, where that may help.

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
            retry_for: Seconds that a page is asked for again after its first failure.

        Returns:
            The iterator; its ``next_key`` tells where another scan would go on, and ``done`` whether all was read.

        Raises:
            ValueError: If an argument cannot be used.
        """
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
        return Scan(cursor, self)
