"""``OTSClient``: the official SDK's operations on this library's request layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Literal, Self

from ots_config.client.bulk import MAX_BYTES, MAX_ROWS, BulkLimits, BulkReport, FailedRow
from ots_config.client.core import USER_AGENT, ClientCore
from ots_config.client.scan import Scan, ScanMethod
from ots_config.credentials.provider import Provider
from ots_config.credentials.sts import Identity
from ots_config.request.io import BlockingIO, run_sync
from ots_config.request.transport import Transport
from ots_config.sdk import tablestore


class OTSClient(ClientCore, ScanMethod[Scan], tablestore.OTSClient):  # type: ignore[misc] # the SDK has no types
    """A client of Alibaba Cloud Tablestore: every operation of the official client, safely signed, sent and retried.

    Threads may share one client. Close it when done with it, or use it in a ``with`` block.

    Args:
        endpoint: Address of the service, ``https://instance.cn-hangzhou.ots.aliyuncs.com``; http is for loopback.
        access_key_id: The AccessKey ID.
        access_key_secret: The AccessKey secret.
        instance_name: The instance; None takes it from the endpoint.
        credentials_provider: Returns the credentials for each attempt, in place of the two keys.
        region: The region; when given, requests carry the signature V4.
        settings: All of this as ``OTSSettings``; then no other setting may be passed.
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

    _scan_type = Scan

    def _connect(
        self,
        provider: Provider,
        session: Any,
        timeout: tuple[float, float],
        options: dict[str, Any],  # noqa: ARG002 - only the other client has some
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
        """Ask STS whose keys the client uses now (GetCallerIdentity, which needs no permission).

        Raises:
            CredentialsUnavailable: If there are no credentials.
            CredentialsRefused: If STS refuses them or cannot be reached.
        """
        return self._identity()

    def close(self) -> None:
        """Close the connections; later calls fail. A session that was passed stays open."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- the SDK's two request methods ---

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
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
        retry_for: float = 300.0,
        start: int = 0,
        on_failure: Literal["collect", "raise"] = "collect",
        progress: Callable[[int], object] | None = None,
        on_failed_row: Callable[[FailedRow], object] | None = None,
    ) -> BulkReport:
        """Write any number of rows in batches, several at a time.

        Rows of the same key are written in the order of the input. When the service throttles, fewer batches are
        sent at a time. Rows that it has refused are sent again, and so are writes that may have happened, if the retry
        policy wants that (``WriteRetryPolicy``) and they are safe to repeat.

        The job ends early when no batch can succeed: the table is missing, the key is refused, or twenty requests in a
        row were refused for good with one code. The report's ``stopped`` is that error.

        A numpy scalar is written as the Python value that it holds; a ``datetime``, and so a ``pandas.Timestamp``, as
        INTEGER, microseconds since 1970 in UTC (one without a time zone is taken as UTC); and a missing value (NaN,
        NaT, ``pandas.NA``) leaves its column out of the row, and in a key fails the row.

        Args:
            table: The table's name.
            rows: ``tablestore.Row`` objects, each put without a condition, or ``PutRowItem``, ``UpdateRowItem`` and
                ``DeleteRowItem``. A generator is read as the job proceeds, at most one batch ahead of those in flight;
                as long as it makes the job wait for a row, no further batch is sent.
            concurrency: The most batches in flight; each has a thread.
            max_rows: The most rows of a batch; the service accepts 200.
            max_bytes: The most bytes of an encoded batch; the service accepts 4 MiB.
            retry_for: Seconds after a row's first failure in which it is sent again.
            start: How many rows of the input to skip: ``resume_from`` of an earlier report.
            on_failure: ``collect`` goes on when a row has failed for good, ``raise`` stops with its error.
            progress: Called in this thread with how many rows were finished since the last call, written or failed:
                ``tqdm.update``, for example.
            on_failed_row: Called in this thread with each ``FailedRow``; the report keeps the first 1000 only.

        Returns:
            How many rows were written, which were not, and where another run would continue;
            ``raise_for_failures()`` of it raises unless all were written.

        Raises:
            ValueError: If an argument cannot be used.
            RequestError: The first row's failure, with ``on_failure="raise"``. This and whatever else stops the job
                (an error of the input, Ctrl-C) is raised when the batches in flight have come back; the error's
                attribute ``report`` is the report so far.
        """
        limits = BulkLimits(concurrency, max_rows, max_bytes, retry_for, start, on_failure)
        return self._bulk_writer(table, limits, progress, on_failed_row).run_in_threads(rows)
