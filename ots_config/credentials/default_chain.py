"""The default chain: every source in its order, and the roles that are assumed with what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ots_config.credentials.chain import ChainProvider
from ots_config.credentials.environment_names import ROLE_EXTERNAL_ID, variable
from ots_config.credentials.file_watch import FileWatchingProvider
from ots_config.credentials.http import Fetch
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.aliyun_cli import ProfileProvider
from ots_config.credentials.providers.assume_role import AssumeRoleProvider
from ots_config.credentials.providers.ecs import ECSRoleProvider
from ots_config.credentials.providers.environment import EnvironmentProvider
from ots_config.credentials.providers.keyring import PATIENT, SHORT, Keychain, KeyringProvider
from ots_config.credentials.providers.oidc import OIDCRoleProvider
from ots_config.credentials.providers.process import ProcessProvider
from ots_config.credentials.providers.profile_modes import ProfileDefaults
from ots_config.credentials.providers.sdk_profile import INIProvider
from ots_config.credentials.providers.uri import URIProvider
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.credentials.shared_cache import SharedCache
from ots_config.credentials.sts import STSAddress
from ots_config.errors import SettingsError, SettingsProblem

_SHORT_NAMES: Final = {"env": EnvironmentProvider.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainOptions:
    """What is configured explicitly; each source reads what is None from its environment variable, when it is asked.

    Attributes:
        own_keys: The provider of keys that were configured themselves; it comes first.
        environment_named: Whether the keys in the environment were configured explicitly.
        process: The command line of a program that prints keys.
        oidc_role_arn: The role of the OIDC source.
        oidc_provider_arn: Its provider.
        oidc_token_file: Its token file.
        keyring_profile: The entry in the keyring, if it was named.
        keyring_default: The entry in the keyring if none was named.
        keyring_plaintext: Whether keyring backends that keep readable files may be used.
        profile: The profile of the CLI's and the SDKs' files.
        cli_config_file: The CLI's file.
        credentials_file: The SDKs' file.
        uri: The credentials URI.
        ecs_role: The role of the ECS instance.
        ecs_endpoint: The address of the metadata service.
        ecs_v1: Whether its version 1 may be used.
        ecs_disabled: Whether it is never asked.
        session_name: The session name of roles.
        sts: Where STS is asked.
        shared: Whether temporary keys are kept in a file that processes share.
        only: The name of the only source to ask, or several in their order with commas between them.
        role_arn: The role to assume with what the chain finds.
        role_via: The roles to assume before it, in this order.
        role_duration: Seconds that the role's keys live.
        role_policy: The policy that narrows it.
        role_external_id: The external id that its trust policy asks for.
    """

    own_keys: Provider | None = None
    environment_named: bool = False
    process: str | None = None
    oidc_role_arn: str | None = None
    oidc_provider_arn: str | None = None
    oidc_token_file: str | None = None
    keyring_profile: str | None = None
    keyring_default: str = "default"
    keyring_plaintext: bool = False
    profile: str | None = None
    cli_config_file: str | None = None
    credentials_file: str | None = None
    uri: str | None = None
    ecs_role: str | None = None
    ecs_endpoint: str | None = None
    ecs_v1: bool = False
    ecs_disabled: bool = False
    session_name: str | None = None
    sts: STSAddress = field(default_factory=STSAddress)
    shared: bool = False
    only: str | None = None
    role_arn: str | None = None
    role_via: tuple[str, ...] = ()
    role_duration: int | None = None
    role_policy: str | None = None
    role_external_id: str | None = None


def default_provider(options: ChainOptions, fetch: Fetch) -> ChainProvider | RefreshingProvider:
    """Return the chain of every source, or the role assumed with it; see ``default_chain`` and ``with_roles``."""
    return with_roles(default_chain(options, fetch), options, fetch)


def default_chain(options: ChainOptions, fetch: Fetch) -> ChainProvider:
    """Return the chain of every source, without the roles that are assumed with it.

    Args:
        options: What is configured.
        fetch: The HTTP callable of the sources that need one.

    Raises:
        CredentialsRefused: If no source has the name of one to ask.
    """
    chosen = _chosen(options.only)
    return ChainProvider(_sources(options, fetch, chosen), pin=chosen or None, named_first=not chosen)


def with_roles(chain: ChainProvider, options: ChainOptions, fetch: Fetch) -> ChainProvider | RefreshingProvider:
    """Return the provider of the role that is assumed with the chain, or the chain if there is none.

    Raises:
        SettingsError: If an option cannot be used; its ``field`` is the option's name.
    """
    if options.role_arn is None:
        if options.role_via:
            hint = "Name the last role in role_arn."
            raise SettingsError(SettingsProblem("role_via", "there is no role_arn", "", hint))
        return chain
    source: Provider = chain
    for arn in options.role_via:
        source = _refreshing(_role(options, "role_via", source, arn, fetch), options)
    role = _role(
        options,
        "role_arn",
        source,
        options.role_arn,
        fetch,
        duration=options.role_duration,
        policy=options.role_policy,
        external_id=options.role_external_id or variable(*ROLE_EXTERNAL_ID),
    )
    return _refreshing(role, options)


def _chosen(only: str | None) -> tuple[str, ...]:
    """Return the names of the sources to ask, ``()`` for all."""
    names = (name.strip() for name in (only or "").split(","))
    found = tuple(_SHORT_NAMES.get(name, name) for name in names if name)
    return found or ((only,) if only else ())  # a list without names is refused as a wrong name


def _sources(options: ChainOptions, fetch: Fetch, chosen: tuple[str, ...]) -> list[Provider]:
    """Return the providers: those that settings name first, the others after, each group in its order.

    Args:
        options: What is configured.
        fetch: The HTTP callable.
        chosen: The names of the only ones to ask; these get more time to answer.
    """
    defaults = ProfileDefaults(
        options.session_name, options.sts, options.ecs_role, options.ecs_endpoint, options.ecs_v1
    )
    profiles: dict[str, Any] = {
        "fetch": fetch,
        "profile": options.profile,
        "defaults": defaults,
        "share": SharedCache if options.shared else None,
    }
    cli = ProfileProvider(path=options.cli_config_file, **profiles)
    ini = INIProvider(path=options.credentials_file, **profiles)
    cli.alternative, ini.alternative = ini, cli
    cli_watched = FileWatchingProvider(cli, paths=cli.paths)
    ini_watched = FileWatchingProvider(ini, paths=ini.paths)
    oidc = OIDCRoleProvider(
        fetch=fetch,
        role_arn=options.oidc_role_arn,
        provider_arn=options.oidc_provider_arn,
        token_file=options.oidc_token_file,
        session_name=options.session_name,
        endpoint=options.sts.endpoint,
        region=options.sts.region,
        vpc=options.sts.vpc,
    )
    keyring = KeyringProvider(
        options.keyring_profile,
        default=options.keyring_default,
        keychain=Keychain(
            timeout=PATIENT if options.keyring_profile or KeyringProvider.name in chosen else SHORT,
            allow_plaintext=options.keyring_plaintext,
        ),
    )
    ecs = ECSRoleProvider(
        fetch=fetch,
        role_name=options.ecs_role,
        endpoint=options.ecs_endpoint,
        allow_v1=options.ecs_v1,
        disabled=options.ecs_disabled,
        patient=ECSRoleProvider.name in chosen,
    )
    sources: list[tuple[object, Provider]] = [
        (options.own_keys, options.own_keys or EnvironmentProvider()),
        (options.environment_named, EnvironmentProvider()),
        (options.process, _refreshing(ProcessProvider(options.process), options)),
        (
            options.oidc_role_arn or options.oidc_provider_arn or options.oidc_token_file,
            _refreshing(oidc, options),
        ),
        (options.keyring_profile, FileWatchingProvider(keyring)),
        (options.cli_config_file or (options.profile and not options.credentials_file), cli_watched),
        (options.credentials_file or (options.profile and not options.cli_config_file), ini_watched),
        (options.uri, _refreshing(URIProvider(fetch=fetch, uri=options.uri), options)),
        (options.ecs_role or options.ecs_endpoint, _refreshing(ecs, options)),
    ]
    if options.own_keys is None:
        del sources[0]
    named = [provider for configured, provider in sources if configured]
    return named + [provider for configured, provider in sources if not configured]


def _role(
    options: ChainOptions, option: str, source: Provider, arn: str, fetch: Fetch, **details: Any
) -> AssumeRoleProvider:
    """Return the provider of a role; a problem is reported by the name of the option."""
    try:
        return AssumeRoleProvider(
            source,
            arn,
            fetch=fetch,
            session_name=options.session_name,
            endpoint=options.sts.endpoint,
            region=options.sts.region,
            vpc=options.sts.vpc,
            **details,
        )
    except SettingsError as error:
        problems = error.problems
    names = [option if problem.field == "role.arn" else problem.field.replace(".", "_") for problem in problems]
    raise SettingsError(
        *(
            SettingsProblem(name, problem.reason, problem.origin, problem.hint)
            for name, problem in zip(names, problems, strict=True)
        )
    )


def _refreshing(source: Provider, options: ChainOptions) -> RefreshingProvider:
    return RefreshingProvider(SharedCache(source) if options.shared else source)
