"""``OTSClient``: the official SDK's operations on this library's request layer."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from ots_config.assembly import USER_AGENT, Assembly
from ots_config.credentials.snapshot import CredentialsProvider
from ots_config.request.transport import Transport
from ots_config.request.waiting import Blocking, run
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
        provider: CredentialsProvider,
        session: Any,
        timeout: tuple[float, float],
        options: dict[str, Any],  # noqa: ARG002 - it has none of its own
    ) -> Blocking:
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
        return Blocking(self.connection, provider, timeout)

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
        return run(self._call(api_name, args, kwargs))

    def _vectors_request_helper(self, api_name: str, request: Any) -> Any:
        return run(self._call_json(api_name, request))
