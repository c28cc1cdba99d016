"""Joins settings, credentials and the request layer into a client: the only place that knows every wing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast

from ots_config.client.arguments import setting_arguments
from ots_config.client.core import ClientCore, identity_of
from ots_config.client.sync_client import OTSClient
from ots_config.credentials.chain import ChainProvider
from ots_config.credentials.credentials import Credentials, CredentialsProvider
from ots_config.credentials.default_chain import ChainOptions, default_chain, with_roles
from ots_config.credentials.file_watch import FileWatchingProvider
from ots_config.credentials.http import Fetch
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.external import adapted, as_provider
from ots_config.credentials.providers.static import StaticProvider
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.credentials.sts import Identity, STSAddress, caller_identity
from ots_config.errors import (
    CredentialsRefused,
    SettingsError,
    SettingsProblem,
    without_secret_frames,
)
from ots_config.request.transport import Fetcher
from ots_config.sdk import as_sdk_error
from ots_config.settings import OTSSettings

if TYPE_CHECKING:
    from os import PathLike

    from ots_config.client.async_client import AsyncOTSClient
    from ots_config.client.keywords import FactoryKeywords

    FileNames = str | PathLike[str] | list[str | PathLike[str]] | tuple[str | PathLike[str], ...] | None

Client = TypeVar("Client", bound=ClientCore)

logger = logging.getLogger("ots_config")

_KEY_VARIABLES = {"environment variable OTS_ACCESS_KEY_ID", "environment variable OTS_ACCESS_KEY_SECRET"}

_CLIENT_OPTIONS = frozenset(
    {
        "session",
        "force_close",
        "extra_headers",
        "ssl_version",
        "enable_native",
        "native_fallback",
        "sign_date",
        "auto_update_v4_sign",
    }
)


@without_secret_frames(as_sdk_error)
def create_client(
    *,
    settings: OTSSettings | None = None,
    env_file: FileNames = None,
    secrets_dir: FileNames = None,
    profile: str | None = None,
    credentials_provider: CredentialsProvider | Callable[[], Any] | None = None,
    retry_policy: Any = None,
    **arguments: Unpack[FactoryKeywords],
) -> OTSClient:
    """Return a client made of whatever is configured: arguments, environment, env files, profiles, credentials.

    Call it once, when the program starts: it asks for the credentials, so a program that has none fails here. They
    are kept fresh for as long as the client is used.

    Args:
        settings: Settings that were built already; then no argument of that kind may stand beside them.
        env_file: Env files to read; None reads ``.env`` if it is there.
        secrets_dir: Directories with one file for each setting.
        profile: The profile of ``ots.toml``.
        credentials_provider: Used in place of the chain: a provider of this library, of the
            official SDK or of alibabacloud-credentials, or a callable that returns credentials.
        retry_policy: As for ``OTSClient``.
        **arguments: Any setting of ``OTSSettings``, and the options of ``OTSClient``.

    Returns:
        The client. It is usable from many threads; close it, or use it in a ``with`` block.

    Raises:
        SettingsError: If a setting is missing or cannot be used; all problems are reported together.
        CredentialsUnavailable: If nothing holds credentials; the message names every source that was asked.
        CredentialsRefused: If what is configured yields none.
    """
    client = _joined(
        OTSClient,
        settings,
        (env_file, secrets_dir, profile),
        credentials_provider,
        retry_policy,
        cast("dict[str, Any]", arguments),
    )
    _greet(client, client.credentials_provider.get_credentials())
    return client


@without_secret_frames(as_sdk_error)
def create_async_client(
    *,
    settings: OTSSettings | None = None,
    env_file: FileNames = None,
    secrets_dir: FileNames = None,
    profile: str | None = None,
    credentials_provider: CredentialsProvider | Callable[[], Any] | None = None,
    retry_policy: Any = None,
    **arguments: Unpack[FactoryKeywords],
) -> AsyncOTSClient:
    """Return an asyncio client made of whatever is configured, as ``create_client`` does.

        async with create_async_client() as client:
            await client.put_row("orders", row)

    It may be called outside of an event loop. The credentials are asked for where the ``async with`` block begins,
    or by the first call, so a program that has none fails there.

    Args:
        settings: As for ``create_client``, like all the others.
        env_file: Env files to read.
        secrets_dir: Directories with one file for each setting.
        profile: The profile of ``ots.toml``.
        credentials_provider: Used in place of the chain.
        retry_policy: As for ``OTSClient``.
        **arguments: Any setting of ``OTSSettings``, and the options of ``AsyncOTSClient``.

    Returns:
        The client. Any number of tasks may share it; close it, or use it in an ``async with`` block.

    Raises:
        SettingsError: If a setting is missing or cannot be used; all problems are reported together.
    """
    from ots_config.client.async_client import (
        AsyncOTSClient,  # it loads aiohttp, which a client in threads does not need
    )

    client = _joined(
        AsyncOTSClient,
        settings,
        (env_file, secrets_dir, profile),
        credentials_provider,
        retry_policy,
        cast("dict[str, Any]", arguments),
    )
    client._on_first_credentials = partial(_greet, client)  # noqa: SLF001 - the moment of it is the client's affair
    return client


def _joined(
    kind: type[Client],
    settings: OTSSettings | None,
    files: tuple[FileNames, FileNames, str | None],
    credentials_provider: Any,
    retry_policy: Any,
    arguments: dict[str, Any],
) -> Client:
    """Return a client of one kind or the other."""
    options = {name: arguments.pop(name) for name in _CLIENT_OPTIONS & arguments.keys()}
    given = setting_arguments(arguments)
    sources: dict[str, Any] = dict(zip(("env_file", "secrets_dir", "profile"), files, strict=True))
    if settings is None:
        settings = OTSSettings(**sources, **given)
    else:
        beside = [*given, *(name for name, value in sources.items() if value is not None)]
        if beside:
            hint = "Put it into the settings, or leave the settings out."
            raise SettingsError(*(SettingsProblem(n, "it is given beside settings", "argument", hint) for n in beside))
    provider = create_provider(settings) if credentials_provider is None else as_provider(credentials_provider)
    return kind(settings=settings, credentials_provider=provider, retry_policy=retry_policy, **options)


def _greet(client: ClientCore, credentials: Any) -> None:
    """Log whose client it is."""
    settings = client.settings
    if isinstance(credentials, Credentials):
        key, source = credentials.masked_id, credentials.source
    else:
        key, source = "a key", type(client.credentials_provider).__name__
    logger.info("client of instance %s at %s, as %s from %s", settings.instance_name, settings.endpoint, key, source)


@without_secret_frames(as_sdk_error)
def create_provider(
    settings: OTSSettings | None = None, *, fetch: Fetch | None = None
) -> ChainProvider | RefreshingProvider:
    """Return the provider that these settings describe: a chain of every source, or a role assumed with it.

    The chain is: the settings' own keys; the environment (``OTS_*``, then ``ALIBABA_CLOUD_*``); the command
    ``credentials_process``; an OIDC role; the keychain; a profile of the Aliyun CLI; a credentials file; a credentials
    URI; the role of the ECS instance. Those that a setting names, as ``credentials_uri`` does, are asked first, then
    those that a variable of Alibaba Cloud's names, then the others. One that is named is used or refused, never
    skipped. The setting ``credentials`` names the only one to ask, or several in their order with commas between them.

    Args:
        settings: The settings; None builds them from every source.
        fetch: The HTTP callable of the sources that need one.

    Raises:
        SettingsError: If a setting cannot be used.
        CredentialsRefused: If the source to ask has no such name.
    """
    return chain_and_provider(OTSSettings() if settings is None else settings, fetch=fetch)[1]


@without_secret_frames(as_sdk_error)
def chain_and_provider(
    settings: OTSSettings, *, fetch: Fetch | None = None
) -> tuple[ChainProvider, ChainProvider | RefreshingProvider]:
    """Return the chain of sources, and the provider that assumes the settings' roles with it, if any."""
    fetch = Fetcher(proxies=settings.proxies) if fetch is None else fetch
    options = _options(settings)
    chain = default_chain(options, fetch)
    try:
        return chain, with_roles(chain, options, fetch)
    except SettingsError as error:
        problems = error.problems
    raise SettingsError(*(replace(problem, origin=settings.origin(problem.field)) for problem in problems))


@without_secret_frames(as_sdk_error)
def identity(credentials: Any = None, *, settings: OTSSettings | None = None, fetch: Fetch | None = None) -> Identity:
    """Return whose keys these are, as STS sees it: GetCallerIdentity, which needs no permission.

    Args:
        credentials: ``Credentials`` or a provider; None takes those of the settings.
        settings: The settings; None builds them from every source if no credentials are given.
        fetch: The HTTP callable.

    Raises:
        CredentialsUnavailable: If there are no credentials.
        CredentialsRefused: If STS refuses them or cannot be reached.
    """
    if credentials is None:
        settings = OTSSettings() if settings is None else settings
        credentials = create_provider(settings, fetch=fetch)
    if settings is None:
        return caller_identity(adapted(credentials).get_credentials(), fetch or Fetcher())
    return identity_of(credentials, settings, fetch)


# --- from settings to plain values --------------------------------------------------------------------------


def _options(settings: OTSSettings) -> ChainOptions:
    """Return what the settings say about credentials."""
    # Only a whole key in the usual variables is left to the provider that reads them at each call: an id whose secret
    # is in a file, or variables of another prefix, would be half a key to it, or another key.
    origins = {settings.origin(name) for name in ("access_key_id", "access_key_secret")}
    own = settings.access_key_id is not None and origins != _KEY_VARIABLES
    return ChainOptions(
        own_keys=_own_keys(settings) if own else None,
        environment_named=settings.access_key_id is not None,
        process=_revealed(settings.credentials_process),
        oidc_role_arn=settings.oidc_role_arn,
        oidc_provider_arn=settings.oidc_provider_arn,
        oidc_token_file=settings.oidc_token_file,
        keyring_profile=settings.keyring_profile,
        keyring_default=settings.profile or "default",
        keyring_plaintext=settings.keyring_plaintext,
        profile=settings.credentials_profile,
        cli_config_file=settings.cli_config_file,
        credentials_file=settings.credentials_file,
        uri=_revealed(settings.credentials_uri),
        ecs_role=settings.ecs_role,
        ecs_endpoint=settings.ecs_endpoint,
        ecs_v1=settings.ecs_v1,
        ecs_disabled=settings.ecs_disabled,
        session_name=settings.role_session_name,
        sts=STSAddress(settings.sts_endpoint, settings.sts_region, settings.sts_vpc),
        shared=settings.credentials_cache,
        only=settings.credentials,
        role_arn=settings.role_arn,
        role_via=settings.role_via or (),
        role_duration=settings.role_duration,
        role_policy=settings.role_policy,
        role_external_id=settings.role_external_id,
    )


def _revealed(secret: Any) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _own_keys(settings: OTSSettings) -> Any:
    """Return the provider of keys that the settings hold; those of a file are read again when it changes."""
    origin = settings.origin("access_key_id")
    static = _static(settings, origin)
    if not settings.files:
        return static
    return FileWatchingProvider(_KeysInFiles(settings, origin), paths=settings.files, instant=True)


def _static(settings: OTSSettings, origin: str) -> StaticProvider:
    if settings.access_key_id is None or settings.access_key_secret is None:
        raise CredentialsRefused(f"{origin} no longer holds an access key")
    return StaticProvider(
        settings.access_key_id,
        settings.access_key_secret.get_secret_value(),
        settings.sts_token.get_secret_value() if settings.sts_token is not None else None,
        expires_at=settings.sts_expiration,
        source=origin,
    )


class _KeysInFiles(Provider):
    """The keys in an env file, a secrets directory or a profile; each fetch builds the settings anew."""

    name = "settings"
    instant = True

    def __init__(self, settings: OTSSettings, origin: str) -> None:
        self._settings = settings
        self._origin = origin

    def fetch_credentials(self) -> Credentials:
        """Read the files again.

        Raises:
            CredentialsRefused: If they no longer hold usable keys.
        """
        try:
            current = self._settings.rebuilt()
        except SettingsError as error:
            reason = str(error)
        else:
            return _static(current, current.origin("access_key_id")).get_credentials()
        raise CredentialsRefused(f"the settings can no longer be read: {reason}")

    def named_by(self) -> str:
        """Return where the keys were read."""
        return self._origin

    def describe(self) -> str:
        """Return where the keys were read."""
        return self._origin
