"""What a client is made of, the same for threads and for tasks: its arguments, its parts, and the SDK's codec.

The SDK keeps what it is good at, the methods of the operations, their model classes and their protobuf encoding.
Everything between an encoded request and a decoded answer is ours; both of the SDK's request paths are overridden.
"""

from __future__ import annotations

import json
import ssl
from functools import partial
from importlib.metadata import version
from inspect import signature
from platform import machine, python_version, system
from typing import Any, ClassVar

from ots_config.client.batch import BATCHES, Batch, fits
from ots_config.client.bulk import Wire
from ots_config.client.row_decoder import RowDecoder
from ots_config.client.row_encoder import RowEncoder
from ots_config.credentials.credentials import CredentialsProvider
from ots_config.credentials.http import Fetch
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.external import adapted, as_provider
from ots_config.credentials.providers.static import StaticProvider
from ots_config.credentials.sts import Identity, STSAddress, caller_identity
from ots_config.errors import (
    OTSConfigError,
    RequestError,
    RequestInvalid,
    ResponseInvalid,
    SettingsError,
    SettingsProblem,
    without_secret_frames,
)
from ots_config.request.attempt import Authenticator
from ots_config.request.call import Caller
from ots_config.request.connection import HTTPResponse
from ots_config.request.idempotency import is_repeatable
from ots_config.request.io import CallIO
from ots_config.request.logs import logger_named
from ots_config.request.operations import OPERATIONS, Operation
from ots_config.request.retry_decision import RetryBudget
from ots_config.request.retry_policy import POLICIES, DefaultRetryPolicy, RetryPolicy, as_policy
from ots_config.request.signing import Signer
from ots_config.request.transport import Fetcher, check_openssl
from ots_config.sdk import OTSProtocol, StaticCredentialsProvider, as_sdk_error, pb2
from ots_config.settings import OTSSettings

USER_AGENT = (
    f"ots-config/{version('ots-config')} tablestore/{version('tablestore')} "
    f"({system()}; {machine()}) Python/{python_version()}"
)
_STRONG_TLS = (None, ssl.PROTOCOL_TLS, ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLSv1_2)
_NATIVE_OPTIONS = "enable_native" in signature(OTSProtocol.__init__).parameters  # since 6.4.2


class Assembly:
    """The half of a client that does not care how it waits; ``OTSClient`` describes the arguments."""

    _own_options: ClassVar[frozenset[str]] = frozenset()
    """What one kind of client takes besides; ``_connect`` is handed it."""

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
        **arguments: Any,
    ) -> None:
        if ssl_version not in _STRONG_TLS:
            raise SettingsError(
                SettingsProblem("ssl_version", "it is older than TLS 1.2, or unknown", "argument", "Leave it out.")
            )
        named = {
            "endpoint": endpoint,
            "access_key_id": access_key_id,
            "access_key_secret": access_key_secret,
            "instance_name": instance_name,
            "region": region,
        }
        arguments |= {name: value for name, value in named.items() if value is not None}
        options = {name: arguments.pop(name) for name in self._own_options & arguments.keys()}
        if settings is None:
            settings = OTSSettings.explicit(**setting_arguments(arguments))
        elif arguments:
            hint = "Put it into the settings, or leave the settings out."
            raise SettingsError(
                *(SettingsProblem(n, "it is given beside settings", "argument", hint) for n in arguments)
            )
        provider = credentials_provider if credentials_provider is not None else _static_provider(settings)
        self.settings = settings
        self.credentials_provider: Any = provider  # whatever was given, with whatever else it can do
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
        native = {"enable_native": enable_native, "native_fallback": native_fallback} if _NATIVE_OPTIONS else {}
        self.protocol = OTSProtocol(
            instance_name=settings.instance_name, encoding=settings.encoding, logger=self.logger, **native
        )
        self.protocol.encoder = RowEncoder(settings.encoding, **native)
        self.protocol.decoder = RowDecoder(settings.encoding, **native)
        self.retry_policy = _policy(retry_policy, settings)
        timeout = settings.socket_timeout
        timeouts = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        instant = True if isinstance(provider, StaticCredentialsProvider) else None  # it has no word of its own
        waiting = self._connect(as_provider(provider, instant=instant), session, timeouts, options)
        signer = Signer(
            settings.instance_name,
            region=settings.signing_region,
            extra_headers=extra_headers,
            sign_date=None if auto_update_v4_sign else sign_date,
        )
        retry = settings.retry
        self._caller = Caller(
            waiting=waiting,
            authenticator=Authenticator(signer=signer, read_error=read_error, logger=self.logger),
            policy=self.retry_policy,
            budget=RetryBudget(retry.budget_share, retry.budget_rate, waits=retry.budget_waits),
            deadline=retry.deadline,
            logger=self.logger,
            present=as_sdk_error,
        )

    def _connect(
        self, provider: Provider, session: Any, timeout: tuple[float, float], options: dict[str, Any]
    ) -> CallIO:
        """Make the transport, and return the way to wait for it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.settings.instance_name} at {self.settings.endpoint}>"

    @without_secret_frames(as_sdk_error)
    def _identity(self) -> Identity:
        """Ask STS whose keys the client uses now, blocking the thread."""
        return identity_of(self.credentials_provider, self.settings)

    def _wire(self) -> Wire:
        """Return what a bulk write needs of this client."""
        encode, again = self.protocol.encoder.encode_request, self.retry_policy.retry_writes
        return Wire(self._caller, encode, self._decoded, self.logger, retry_writes=again)

    # --- the official SDK's two ways to the wire ---

    async def _call(self, api_name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Encode, call and decode one protobuf operation."""
        operation, body = self._encoded(api_name, args, kwargs)
        if api_name in BATCHES:
            return await self._call_batch(operation, body, args[0])
        answer = await self._caller.call(operation, body, partial(is_repeatable, api_name, args))
        return self._decoded(api_name, answer)

    async def _call_batch(self, operation: Operation, body: bytes, request: Any) -> Any:
        """Call a batch, and its failed rows again as long as that is safe and the policy wants it."""
        recovery = self._caller.begin(operation)

        async def carried_out(body: bytes, request: Any) -> dict[str, list[Any]]:
            safe = partial(is_repeatable, operation.name, (request,))
            answer = await self._caller.call(operation, body, safe, recovery)
            result: dict[str, list[Any]] = self._decoded(operation.name, answer)
            if not fits(request, result):
                raise _unreadable(operation.name, answer)
            return result

        batch = Batch(operation.name, request, await carried_out(body, request))
        while True:
            places, worst = batch.unfinished(self.retry_policy, recovery.retries)
            if worst is None:
                return batch.result
            recovery.repeatable = True  # of each of these rows it is known that it may be sent again
            try:
                await self._caller.recover(recovery, as_sdk_error(worst))
            except RequestError:
                return batch.result  # where each row tells how it failed
            part = batch.request_of(places)
            try:
                batch.take(places, await carried_out(self._encoded(operation.name, (part,), {})[1], part))
            except OTSConfigError as error:
                batch.give_up(places, error)
                return batch.result

    async def _call_json(self, api_name: str, request: Any) -> Any:
        """Call one JSON operation."""
        operation, body = _encoded_json(api_name, request)
        return _decoded_json(api_name, await self._caller.call(operation, body, lambda: False))

    def _encoded(self, api_name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Operation, bytes]:
        """Return a protobuf operation and its request."""
        operation = _operation(api_name)
        try:
            return operation, self.protocol.encoder.encode_request(api_name, *args, **kwargs).SerializeToString()
        except Exception as error:
            raise _refused_by_encoder(api_name, error) from error

    def _decoded(self, api_name: str, answer: HTTPResponse) -> Any:
        """Return what the SDK makes of the answer to a protobuf operation."""
        try:
            result, _ = self.protocol.decoder.decode_response(
                api_name, answer.body, answer.headers.get("x-ots-requestid", "")
            )
        except Exception as error:
            raise _unreadable(api_name, answer) from error
        return result


def identity_of(credentials: Any, settings: OTSSettings, fetch: Fetch | None = None) -> Identity:
    """Ask the STS that the settings lead to whose keys these are.

    Args:
        credentials: ``Credentials`` or a provider.
        settings: Say where STS is.
        fetch: The HTTP callable.
    """
    address = STSAddress(settings.sts_endpoint, settings.sts_region, settings.sts_vpc)
    return caller_identity(adapted(credentials).get_credentials(), fetch or Fetcher(proxies=settings.proxies), address)


def _encoded_json(api_name: str, request: Any) -> tuple[Operation, bytes]:
    """Return a JSON operation and its request, which is given as a dictionary or as text."""
    operation = _operation(api_name)
    match request:
        case dict():
            try:
                return operation, json.dumps(request, separators=(",", ":")).encode()
            except (TypeError, ValueError) as error:
                raise _refused_by_encoder(api_name, error) from error
        case str():
            return operation, request.encode()
        case bytes():
            return operation, request
        case _:
            kind = TypeError(f"the request must be a dict, str or bytes, not {type(request).__name__}")
            raise _refused_by_encoder(api_name, kind)


def _decoded_json(api_name: str, answer: HTTPResponse) -> Any:
    """Return the answer to a JSON operation, with its request id."""
    try:
        result = json.loads(answer.body)
        result["requestId"] = answer.headers.get("x-ots-requestid", "")
    except (ValueError, TypeError) as error:
        raise _unreadable(api_name, answer) from error
    return result


def setting_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Bring the clients' short and official names into the settings' own: deadline, ca_bundle, end_point."""
    given = {name: value for name, value in arguments.items() if value is not None or name == "deadline"}
    for official_name, name in (("end_point", "endpoint"), ("keepalive_timeout", "idle_timeout")):
        if official_name in given:
            given[name] = given.pop(official_name)
    for name, group in (("deadline", "retry"), ("ca_bundle", "tls")):
        if name in given:
            value = given.pop(name)
            part: Any = given.get(group, {})
            part = {"policy": part} if isinstance(part, str) else part
            part = part if isinstance(part, dict) else part.model_dump(exclude_unset=True)
            given[group] = {**part, name: value}
    return given


def read_error(body: bytes) -> tuple[str, str] | None:
    """Read code and message of an error's body, protobuf or JSON; None if it is neither.

    Args:
        body: The body of an answer that is no success.
    """
    if body[:1] == b"{":
        try:
            told = json.loads(body)
            return str(told["code"]), str(told.get("message", ""))
        except (ValueError, KeyError, TypeError):
            return None
    error = pb2.Error()  # pyright: ignore[reportAttributeAccessIssue] - its classes are made when it is loaded
    try:
        error.ParseFromString(body)
    except Exception:  # noqa: BLE001 - protobuf's implementations raise different types
        return None
    return (error.code, error.message) if error.code.isalnum() and error.code.isascii() else None


def _static_provider(settings: OTSSettings) -> CredentialsProvider:
    if settings.access_key_id is None or settings.access_key_secret is None:
        raise SettingsError(
            SettingsProblem(
                "access_key_id",
                "neither keys nor a credentials_provider are given",
                "argument",
                "Give one of them, or call create_client(), which looks for credentials.",
            )
        )
    token = settings.sts_token.get_secret_value() if settings.sts_token is not None else None
    return StaticProvider(
        settings.access_key_id,
        settings.access_key_secret.get_secret_value(),
        token,
        source=settings.origin("access_key_id"),
    )


def _policy(given: Any, settings: OTSSettings) -> RetryPolicy:
    if given is not None:
        try:
            return as_policy(given)
        except TypeError as error:
            fault = SettingsProblem("retry_policy", str(error), "argument", "Give WriteRetryPolicy(), for example.")
        raise SettingsError(fault)
    policy = POLICIES[settings.retry.policy]
    if issubclass(policy, DefaultRetryPolicy):
        return policy(settings.retry.max_attempts - 1, settings.retry.max_delay)
    return policy()


def _operation(api_name: str) -> Operation:
    try:
        return OPERATIONS[api_name]
    except KeyError:
        error = RequestInvalid(f"the operation {api_name} is not known", operation=api_name)
    raise as_sdk_error(error)


def _refused_by_encoder(api_name: str, error: Exception) -> OTSConfigError:
    return as_sdk_error(RequestInvalid(str(error) or type(error).__name__, operation=api_name))


def _unreadable(api_name: str, answer: HTTPResponse) -> OTSConfigError:
    failure = ResponseInvalid(
        "the answer is the service's, but the SDK cannot decode it",
        operation=api_name,
        http_status=answer.status,
    )
    failure.request_id = answer.headers.get("x-ots-requestid", "")
    return as_sdk_error(failure)
