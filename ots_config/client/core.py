"""What both clients share: how they are built, and the path of a call from its arguments to its result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from platform import machine, python_version, system
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from ots_config import __version__
from ots_config.client.arguments import (
    build_policy,
    build_settings,
    check_ssl_version,
    native_options,
    static_provider,
)
from ots_config.client.batch import BATCH_OPERATIONS, call_batch
from ots_config.client.bulk import BulkLimits, BulkWriter
from ots_config.client.codec import Codec, decode_json, encode_json, read_error
from ots_config.client.row_decoder import RowDecoder
from ots_config.client.row_encoder import RowEncoder
from ots_config.client.table_versions import TableVersions
from ots_config.credentials.credentials import CredentialsProvider
from ots_config.credentials.http import Fetch
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.external import adapted, as_provider
from ots_config.credentials.sts import Identity, STSAddress, caller_identity
from ots_config.errors import without_secret_frames
from ots_config.request.attempt import Authenticator
from ots_config.request.call import Caller
from ots_config.request.idempotency import tables_to_check
from ots_config.request.io import CallIO
from ots_config.request.logs import logger_named
from ots_config.request.retry_budget import RetryBudget
from ots_config.request.signing import Signer
from ots_config.request.tls import check_openssl
from ots_config.request.transport import Fetcher
from ots_config.sdk import OTSProtocol, StaticCredentialsProvider, as_sdk_error
from ots_config.settings import OTSSettings

if TYPE_CHECKING:
    from ots_config.client.keywords import ClientKeywords

USER_AGENT = (
    f"ots-config/{__version__} tablestore/{version('tablestore')} ({system()}; {machine()}) Python/{python_version()}"
)


class ClientCore:
    """The part of a client that is the same for threads and for tasks; ``OTSClient`` describes the arguments.

    The SDK keeps the operations' methods, their model classes and their protobuf encoding. Everything between an
    encoded request and a decoded response is ours: the clients override both of the SDK's request methods.
    """

    _own_options: ClassVar[frozenset[str]] = frozenset()
    """Arguments that only one kind of client takes; they are passed to ``_connect``."""

    @without_secret_frames(as_sdk_error)
    def __init__(
        self,
        endpoint: str | None = None,
        access_key_id: str | None = None,
        access_key_secret: str | None = None,
        instance_name: str | None = None,
        credentials_provider: CredentialsProvider | None = None,
        region: str | None = None,
        *,
        settings: OTSSettings | None = None,
        retry_policy: Any = None,
        session: Any = None,
        extra_headers: dict[str, str] | None = None,
        ssl_version: int | None = None,
        enable_native: bool = True,
        native_fallback: bool = True,
        sign_date: str | None = None,
        auto_update_v4_sign: bool | None = None,
        **arguments: Unpack[ClientKeywords],
    ) -> None:
        check_ssl_version(ssl_version)
        named = {
            "endpoint": endpoint,
            "access_key_id": access_key_id,
            "access_key_secret": access_key_secret,
            "instance_name": instance_name,
            "region": region,
        }
        given: dict[str, Any] = {**arguments, **{name: value for name, value in named.items() if value is not None}}
        options = {name: given.pop(name) for name in self._own_options & given.keys()}
        settings = build_settings(settings, given)
        provider = static_provider(settings) if credentials_provider is None else credentials_provider
        self.settings = settings
        self.credentials_provider: Any = provider  # the very object that was passed
        self.encoding = settings.encoding
        self.socket_timeout = settings.socket_timeout
        self.max_connection = settings.max_connection
        self.host = settings.endpoint
        self.path = ""
        self.enable_native = enable_native
        self.native_fallback = native_fallback
        self.logger = logger_named(settings.logger_name)
        if warning := check_openssl():
            self.logger.warning(warning)
        native = native_options(enable_native=enable_native, native_fallback=native_fallback)
        self.protocol = OTSProtocol(
            instance_name=settings.instance_name, encoding=settings.encoding, logger=self.logger, **native
        )
        self.protocol.encoder = RowEncoder(settings.encoding, **native)
        self.protocol.decoder = RowDecoder(settings.encoding, **native)
        self._codec = Codec(self.protocol)
        self.retry_policy = build_policy(retry_policy, settings)
        signer = Signer(
            settings.instance_name,
            region=settings.signing_region,
            extra_headers=extra_headers,
            sign_date=None if auto_update_v4_sign else sign_date,
        )
        timeout = settings.socket_timeout
        timeouts = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        retry = settings.retry
        instant = True if isinstance(provider, StaticCredentialsProvider) else None  # it has no attribute for that
        self._caller = Caller(
            io=self._connect(as_provider(provider, instant=instant), session, timeouts, options),
            authenticator=Authenticator(signer=signer, read_error=read_error, logger=self.logger),
            policy=self.retry_policy,
            budget=RetryBudget(retry.budget_share, retry.budget_rate, waits=retry.budget_waits),
            deadline=retry.deadline,
            logger=self.logger,
            present=as_sdk_error,
            keeps_one_version=TableVersions(self._codec).keeps_one,
        )

    def _connect(
        self, provider: Provider, session: Any, timeout: tuple[float, float], options: dict[str, Any]
    ) -> CallIO:
        """Create the transport, and return what waits for it and for the provider."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.settings.instance_name} at {self.settings.endpoint}>"

    @without_secret_frames(as_sdk_error)
    def _identity(self) -> Identity:
        """Ask STS whose keys the client uses now, blocking the thread."""
        return identity_of(self.credentials_provider, self.settings)

    def _bulk_writer(self, table: str, limits: BulkLimits, progress: Callable[[int], object] | None) -> BulkWriter:
        return BulkWriter(
            self._caller,
            self._codec,
            self.logger,
            table,
            limits,
            retry_writes=self.retry_policy.retry_writes,
            progress=progress,
        )

    async def _call(self, api_name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Encode, call and decode one protobuf operation."""
        operation, body = self._codec.encode(api_name, args, kwargs)
        if api_name in BATCH_OPERATIONS:
            return await call_batch(self._caller, self._codec, self.retry_policy, operation, body, args[0])
        response = await self._caller.call(operation, body, partial(tables_to_check, api_name, args))
        return self._codec.decode(api_name, response)

    async def _call_json(self, api_name: str, request: Any) -> Any:
        """Encode, call and decode one JSON operation."""
        operation, body = encode_json(api_name, request)
        return decode_json(api_name, await self._caller.call(operation, body, lambda: None))


def identity_of(credentials: Any, settings: OTSSettings, fetch: Fetch | None = None) -> Identity:
    """Ask STS whose keys these are.

    Args:
        credentials: ``Credentials`` or a provider.
        settings: Where STS is, and the proxies.
        fetch: The HTTP callable.
    """
    address = STSAddress(settings.sts_endpoint, settings.sts_region, settings.sts_vpc)
    return caller_identity(adapted(credentials).get_credentials(), fetch or Fetcher(proxies=settings.proxies), address)
