"""The profiles that the Aliyun CLI keeps in ``~/.aliyun/config.json``, every mode that yields keys."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.files import home_of, read_text, version, warn_if_exposed
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.ecs import ECSRoleProvider
from ots_config.credentials.providers.external import adapted
from ots_config.credentials.providers.oidc import OIDCRoleProvider
from ots_config.credentials.providers.process import ProcessProvider
from ots_config.credentials.providers.sso import CloudSSOProvider, OAuthProvider, moment_of
from ots_config.credentials.providers.uri import URIProvider
from ots_config.credentials.result import SourceFailure, asked_within, hand_out, missing
from ots_config.credentials.sts import AssumeRoleProvider, Pace
from ots_config.credentials.variables import CONFIG_FILE, PROFILE, PROFILE_DISABLED, is_yes, switched_on, variable
from ots_config.errors import SettingsError

if TYPE_CHECKING:
    from ots_config.credentials.http import Fetch

_SECRETS: Final = (
    "access_key_secret",
    "sts_token",
    "access_token",
    "oauth_access_token",
    "oauth_refresh_token",
    "private_key",
    "bearer_token",
)
_OF_NO_USE: Final = {
    "bearertoken": "Tablestore knows no bearer tokens",
    "anonymous": "Tablestore serves nobody anonymously",
    "rsakeypair": "key pairs are deprecated and not supported",
}


class ProfileProvider(Provider):
    """The keys of a profile of the Aliyun CLI.

    The profile is the one given, else ``ALIBABA_CLOUD_PROFILE``, else the file's current one; the file is the one
    given, else ``ALIBABA_CLOUD_CONFIG_FILE``, else ``~/.aliyun/config.json``. It is read again when it has changed,
    and never written: tokens that a sign-in service replaces are kept in memory only.
    ``ALIBABA_CLOUD_CLI_PROFILE_DISABLED`` and ``ALIBABA_CLOUD_IGNORE_PROFILE`` switch the source off unless a
    profile or a file is given as argument.

    Args:
        fetch: The HTTP callable.
        profile: The profile's name.
        path: The file.
        home: The user's home; ``HOME`` if not given.
        environ: The environment; None is this process's.
        allow_v1: Whether a profile of mode EcsRamRole may speak version 1 of the metadata service.
        share: Wraps what fetches keys, such as ``SharedCache``; keys in the file itself are not wrapped,
            nor are those of OAuth sign-ins, which do not say whose they are.
        pace: How hard STS is tried.
        clock: Our time, as ``time.time`` tells it.
    """

    name = "profile"

    def __init__(
        self,
        *,
        fetch: Fetch,
        profile: str | None = None,
        path: Path | str | None = None,
        home: Path | str | None = None,
        environ: Mapping[str, str] | None = None,
        allow_v1: bool = False,
        share: Callable[[Any], Any] | None = None,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._profile = profile
        self._path = path
        self._home = home
        self._environ = environ
        self._share = share
        self._sources = _Sources(fetch, environ, pace or Pace(clock=clock), allow_v1=allow_v1)
        self._built: tuple[Any, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Let the configuration travel; the file is read where the copy arrives."""
        return {**self.__dict__, "_built": None}

    @property
    def path(self) -> Path:
        """The file as the environment says now."""
        named = self._path or variable(self._environ, CONFIG_FILE)
        return Path(named).expanduser() if named else home_of(self._environ, self._home) / ".aliyun" / "config.json"

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files whose change makes another look worthwhile."""
        return (self.path,)

    def fetch_credentials(self) -> Credentials:
        """Read the profile, if the file has changed, and get its keys.

        Raises:
            CredentialsUnavailable: If there is no file, or no such profile, or it is empty.
            CredentialsRefused: If the profile is there and yields no keys.
        """
        return hand_out(self._found())

    def _found(self) -> Credentials | SourceFailure:
        if off := self._switched_off():
            return missing(f"{off} switches it off")
        path, source = self.path, self._source()
        if isinstance(source, SourceFailure):
            return source
        name, provider = source
        found = asked_within(f"profile {name} in {path}", adapted(provider).get_credentials)
        if isinstance(found, SourceFailure):
            return found
        below = "" if isinstance(provider, Credentials) else f"/{found.source}"
        return Credentials(
            found.access_key_id,
            found.access_key_secret,
            found.sts_token,
            found.expires_at,
            f"{self.name} {name}{below}",
        )

    def _switched_off(self) -> str:
        if self._profile or self._path:
            return ""
        return next((name for name in PROFILE_DISABLED if switched_on(self._environ, name)), "")

    def _source(self) -> tuple[str, Any] | SourceFailure:
        """Return the profile's name and what yields its keys, built anew if the file has changed."""
        path = self.path
        named = self._profile or variable(self._environ, PROFILE)
        state = (path, version(path), named)
        if self._built is not None and self._built[0] == state:
            return self._built[1]  # type: ignore[no-any-return]
        document = _read(path, required=bool(self._path or variable(self._environ, CONFIG_FILE)))
        if isinstance(document, SourceFailure):
            return document
        profiles = _profiles(document)
        name = named or str(document.get("current") or "") or "default"
        if name not in profiles:
            known = f"it has {', '.join(profiles)}" if profiles else "it has none"
            current = bool(document.get("current")) and not named
            return SourceFailure(f"{path} has no profile {name}; {known}", applies=bool(self._profile) or current)
        if any(fields.get(secret) for fields in profiles.values() for secret in _SECRETS):
            warn_if_exposed(path)
        provider = self._sources.of(name, profiles)
        if isinstance(provider, SourceFailure):
            where = f"profile {name} in {path}: " if provider.applies else f"{path}: "
            return SourceFailure(where + provider.reason, applies=provider.applies)
        if self._share is not None and not isinstance(provider, Credentials | OAuthProvider):
            provider = self._share(provider)
        self._built = (state, (name, provider))
        return name, provider

    def describe(self) -> str:
        """Tell the file, the profile, and what the profile looks at."""
        source = None if self._switched_off() else self._source()
        if isinstance(source, tuple):
            return f"profile {source[0]} in {self.path}: {adapted(source[1]).describe()}"
        named = self._profile or variable(self._environ, PROFILE)
        return f"{f'profile {named}' if named else 'the current profile'} in {self.path}"

    def __repr__(self) -> str:
        named = self._profile or variable(self._environ, PROFILE) or "current"
        return f"<ProfileProvider: {named} in {self.path}>"


class _Sources:
    """Makes of a profile what yields its keys; remembers sign-ins, whose tokens live in memory."""

    def __init__(self, fetch: Fetch, environ: Mapping[str, str] | None, pace: Pace, *, allow_v1: bool) -> None:
        self._fetch = fetch
        self._environ = environ
        self._pace = pace
        self._allow_v1 = allow_v1
        self._sign_ins: dict[str, OAuthProvider] = {}
        self._made: tuple[str, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sign_ins": {}}

    def of(
        self, name: str, profiles: Mapping[str, Mapping[str, Any]], via: tuple[str, ...] = ()
    ) -> Any | SourceFailure:
        """Return a provider, or credentials if that is all there is.

        Args:
            name: The profile.
            profiles: All of them.
            via: The profiles that rely on this one, the first asked first.
        """
        if name in via:
            return SourceFailure(f"profiles rely on each other in a circle: {' -> '.join((*via, name))}")
        fields = profiles.get(name)
        if fields is None:
            return SourceFailure(f"profile {via[-1]} relies on profile {name or '(none)'}, which is not there")
        mode = str(fields.get("mode") or "AK").lower()
        try:
            if mode == "chainableramrolearn":
                source = self.of(str(fields.get("source_profile") or ""), profiles, (*via, name))
                return source if isinstance(source, SourceFailure) else self._role(fields, source)
            make = _MODES.get(mode)
            if make is None:
                reason = _OF_NO_USE.get(mode, "no such mode is known")
                return SourceFailure(f"its mode {fields.get('mode')} cannot be used: {reason}")
            return make(self, fields)
        except SettingsError as error:
            return SourceFailure(error.message)

    def keys(self, fields: Mapping[str, Any]) -> Credentials | SourceFailure:
        """Return the keys that are in the profile."""
        key_id, secret = str(fields.get("access_key_id") or ""), str(fields.get("access_key_secret") or "")
        token = str(fields.get("sts_token") or "")
        mode = str(fields.get("mode") or "AK").lower()
        if not key_id and not secret and not token:
            return missing(f"profile {fields.get('name')} holds no keys yet")
        wanted = {"access_key_id": key_id, "access_key_secret": secret}
        wanted |= {"sts_token": token} if mode == "ststoken" else {}
        absent = [name for name, value in wanted.items() if not value]
        if absent:
            return SourceFailure(f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} empty")
        ends_at = moment_of(fields.get("sts_expiration")) if mode == "ststoken" else None
        try:
            return Credentials(key_id, secret, None if mode == "ak" else token, ends_at, "profile")
        except ValueError as error:  # its text names the field, never the value
            return SourceFailure(f"its keys cannot be used: {error}")

    def _role_with_keys(self, fields: Mapping[str, Any]) -> Any | SourceFailure:
        keys = self.keys(fields)
        if isinstance(keys, SourceFailure):
            return SourceFailure(keys.reason)
        return self._role(fields, keys)

    def _role(self, fields: Mapping[str, Any], source: Any) -> AssumeRoleProvider:
        return AssumeRoleProvider(
            source,
            str(fields.get("ram_role_arn") or ""),
            fetch=self._fetch,
            external_id=fields.get("external_id"),
            origin="the profile",
            **_role_settings(fields),
            environ=self._environ,
            pace=self._pace,
        )

    def _ecs(self, fields: Mapping[str, Any]) -> ECSRoleProvider:
        role = str(fields.get("ram_role_name") or "")
        return ECSRoleProvider(
            fetch=self._fetch,
            role_name=role or None,
            allow_v1=self._allow_v1,
            environ=self._environ,
            clock=self._pace.clock,
        )

    def _role_with_ecs(self, fields: Mapping[str, Any]) -> AssumeRoleProvider:
        return self._role(fields, self._ecs(fields))

    def _oidc(self, fields: Mapping[str, Any]) -> Any | SourceFailure:
        needed = ("ram_role_arn", "oidc_provider_arn", "oidc_token_file")
        absent = [name for name in needed if not fields.get(name)]
        if absent:
            return SourceFailure(f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} empty")
        return OIDCRoleProvider(
            fetch=self._fetch,
            role_arn=str(fields["ram_role_arn"]),
            provider_arn=str(fields["oidc_provider_arn"]),
            token_file=str(fields["oidc_token_file"]),
            **_role_settings(fields),
            environ=self._environ,
            pace=self._pace,
        )

    def _uri(self, fields: Mapping[str, Any]) -> Any | SourceFailure:
        uri = str(fields.get("credentials_uri") or "")
        return (
            URIProvider(fetch=self._fetch, uri=uri, clock=self._pace.clock)
            if uri
            else SourceFailure("credentials_uri is empty")
        )

    def _process(self, fields: Mapping[str, Any]) -> Any | SourceFailure:
        command = str(fields.get("process_command") or "")
        if not command.strip():
            return SourceFailure("process_command is empty")
        return ProcessProvider(command, environ=self._environ, clock=self._pace.clock)

    def _cloud_sso(self, fields: Mapping[str, Any]) -> CloudSSOProvider:
        return CloudSSOProvider(fields, fetch=self._fetch, clock=self._pace.clock)

    def _oauth(self, fields: Mapping[str, Any]) -> OAuthProvider:
        name = str(fields.get("name"))
        known = self._sign_ins.get(name)
        if known is None or not known.is_of(fields):
            known = self._sign_ins[name] = OAuthProvider(fields, fetch=self._fetch, clock=self._pace.clock)
        return known


_MODES: Final[Mapping[str, Callable[[_Sources, Mapping[str, Any]], Any | SourceFailure]]] = {
    "ak": _Sources.keys,
    "ststoken": _Sources.keys,
    "ramrolearn": _Sources._role_with_keys,  # noqa: SLF001 - the table belongs to the class
    "ramrolearnwithrolename": _Sources._role_with_ecs,  # noqa: SLF001
    "ecsramrole": _Sources._ecs,  # noqa: SLF001
    "oidc": _Sources._oidc,  # noqa: SLF001
    "credentialsuri": _Sources._uri,  # noqa: SLF001
    "external": _Sources._process,  # noqa: SLF001
    "cloudsso": _Sources._cloud_sso,  # noqa: SLF001
    "oauth": _Sources._oauth,  # noqa: SLF001
}


def _role_settings(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a profile says of a role, by the names of our arguments."""
    vpc = fields.get("enable_vpc")
    return {
        "session_name": fields.get("ram_session_name") or fields.get("role_session_name"),
        "duration": fields.get("expired_seconds"),
        "policy": fields.get("policy"),
        "endpoint": fields.get("sts_endpoint") or None,
        "region": fields.get("sts_region") or None,
        "vpc": None if vpc is None else is_yes(vpc),
    }


def _read(path: Path, *, required: bool) -> dict[str, Any] | SourceFailure:
    text = read_text(path, required=required)
    if isinstance(text, SourceFailure):
        return text
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        return SourceFailure(f"{path} is no JSON: {error.msg} at line {error.lineno}, column {error.colno}")
    except RecursionError:
        return SourceFailure(f"{path} is no JSON that the CLI writes")
    return document if isinstance(document, dict) else SourceFailure(f"{path} holds no JSON object")


def _profiles(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the profiles by name; of two of the same name the CLI takes the first."""
    found: dict[str, Mapping[str, Any]] = {}
    entries = document.get("profiles")
    for fields in entries if isinstance(entries, list) else []:
        if isinstance(fields, dict) and isinstance(fields.get("name"), str):
            found.setdefault(fields["name"], fields)
    return found
