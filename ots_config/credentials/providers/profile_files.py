"""Files of profiles, whatever their format: finds the profile, makes of it what yields its keys, and reads it anew."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.environment_names import PROFILE, SETTING, is_yes, name_of_set, variable
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.assume_role import AssumeRoleProvider
from ots_config.credentials.providers.ecs import ECSRoleProvider
from ots_config.credentials.providers.oidc import OIDCRoleProvider
from ots_config.credentials.providers.process import ProcessProvider
from ots_config.credentials.providers.sso import CloudSSOProvider, OAuthProvider, moment_of
from ots_config.credentials.providers.static import StaticProvider
from ots_config.credentials.providers.uri import URIProvider
from ots_config.credentials.result import Found, SourceFailure, ask_nested, missing, required, unwrap
from ots_config.credentials.sts import Pace, STSAddress
from ots_config.errors import SettingsError
from ots_config.secret_files import fingerprint, warn_if_exposed

if TYPE_CHECKING:
    from ots_config.credentials.http import Fetch

logger = logging.getLogger("ots_config.credentials")

Profile = Mapping[str, Any]
"""The fields of one profile, by the names that the Aliyun CLI gives them."""

_SECRETS: Final = (
    "access_key_secret",
    "sts_token",
    "access_token",
    "oauth_access_token",
    "oauth_refresh_token",
    "private_key",
    "bearer_token",
)
_UNSUPPORTED: Final = {
    "bearertoken": "Tablestore knows no bearer tokens",
    "anonymous": "Tablestore serves nobody anonymously",
    "rsakeypair": "key pairs are deprecated and not supported",
}


@dataclass(frozen=True, slots=True)
class Document:
    """What a file of profiles holds.

    Attributes:
        profiles: The profiles by name.
        current: The name of the one to use if nothing else is named; empty if the file names none.
    """

    profiles: Mapping[str, Profile]
    current: str = ""


@dataclass(frozen=True, slots=True)
class ProfileDefaults:
    """What a profile uses where it says nothing itself.

    Attributes:
        session_name: The session name of roles.
        sts: Where STS is asked.
        ecs_role: The role of the ECS instance.
        ecs_endpoint: The address of the metadata service.
        ecs_v1: Whether version 1 of the metadata service may be used.
    """

    session_name: str | None = None
    sts: STSAddress = field(default_factory=STSAddress)
    ecs_role: str | None = None
    ecs_endpoint: str | None = None
    ecs_v1: bool = False


class ProfileFileProvider(Provider):
    """The keys of a profile in a file; a subclass knows the file's format.

    The profile is the one given, else ``ALIBABA_CLOUD_PROFILE``, else the file's own choice, else ``default``. A file
    is read again when it has changed, and never written. A profile or a file that is named, by an argument or a
    variable, and is not there is refused.

    Args:
        fetch: The HTTP callable.
        profile: The profile's name.
        path: The file.
        home: The user's home; by default what the environment says now.
        defaults: What the profile uses where it says nothing itself.
        share: Wraps what fetches keys, such as ``SharedCache``; keys in the file itself are not wrapped, nor are those
            of OAuth sign-ins, which do not say whose they are.
        pace: How hard STS is tried.
        clock: Our time, in seconds since 1970.
    """

    file_variable: ClassVar[str]
    """The variable that names the file."""
    mode_field: ClassVar[str]
    """The field that says how a profile gets its keys."""
    empty_is_missing: ClassVar[bool] = False
    """Whether a profile without keys counts as not configured."""
    shown_names: ClassVar[Mapping[str, str]] = {}
    """The names of fields in this format, where they differ from the CLI's."""

    def __init__(
        self,
        *,
        fetch: Fetch,
        profile: str | None = None,
        path: Path | str | None = None,
        home: Path | str | None = None,
        defaults: ProfileDefaults | None = None,
        share: Callable[[Provider], Provider] | None = None,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._profile = profile
        self._path = path
        self._home = home
        self._defaults = defaults or ProfileDefaults()
        self._share = share
        self._pace = pace or Pace(clock=clock)
        self._sign_ins: dict[str, OAuthProvider] = {}
        self._built: tuple[Any, tuple[Path, str, Provider]] | None = None
        self.alternative: ProfileFileProvider | None = None
        """Files of another format, where a profile that is named without a file may be instead."""

    def __getstate__(self) -> dict[str, Any]:
        """Keep the configuration; the file is read where the copy arrives, and sign-ins stay in this process."""
        return {**self.__dict__, "_built": None, "_sign_ins": {}}

    # --- what a format defines ---------------------------------------------------------------------------

    @property
    @abstractmethod
    def paths(self) -> tuple[Path, ...]:
        """The files to read, best first, as the environment says now."""

    @abstractmethod
    def _read(self, path: Path) -> Document | SourceFailure:
        """Read a file."""

    @abstractmethod
    def _label(self, profile: str) -> str:
        """Return how a message names a profile."""

    @abstractmethod
    def _no_profile(self, path: Path, profile: str, document: Document) -> SourceFailure:
        """Return the failure of a file without the profile."""

    def _switched_off(self) -> str:
        """Return the variable that switches the source off, else ``""``."""
        return ""

    # --- what callers ask -----------------------------------------------------------------------------

    def fetch_credentials(self) -> Credentials:
        """Read the profile, if its file has changed, and get its keys."""
        return unwrap(self._required(self._found()))

    def named_by(self) -> str:
        """Return what names the profile or the file."""
        if self._profile or self._path:
            return SETTING
        return "" if self._switched_off() else name_of_set(*PROFILE, self.file_variable)

    def check_named(self) -> None:
        """Check that the profile is in the file, or in the alternative's.

        Raises:
            CredentialsRefused: If it is in neither.
            CredentialsUnavailable: If it is in the alternative's.
        """
        unwrap(self._required(self._source()))

    def _required(self, result: Found | SourceFailure) -> Found | SourceFailure:
        """Return the result; if the profile is named and in no file, that is a failure."""
        other = None if self._named_file() else self.alternative
        return result if other is not None and other.has_profile() else required(result, self.named_by())

    def has_profile(self) -> bool:
        """Return whether there is something to use here, if only something that fails."""
        if self._switched_off():
            return False
        source = self._source()
        return not isinstance(source, SourceFailure) or source.applies

    def describe(self) -> str:
        """Return the file, the profile, and what the profile reads or asks."""
        source = missing("") if self._switched_off() else self._source()
        if isinstance(source, SourceFailure):
            named = self._named()
            where = " or ".join(str(path) for path in self.paths)
            return f"{self._label(named) if named else 'the current profile'} in {where}"
        path, profile, provider = source
        return f"{self._label(profile)} in {path}: {provider.describe()}"

    def _found(self) -> Credentials | SourceFailure:
        if off := self._switched_off():
            return missing(f"{off} switches it off")
        source = self._source()
        if isinstance(source, SourceFailure):
            return source
        path, profile, provider = source
        found = ask_nested(f"{self._label(profile)} in {path}", provider.get_credentials)
        if isinstance(found, SourceFailure):
            return found
        nested = "" if isinstance(provider, StaticProvider) else f"/{found.source}"
        source_name = f"{self.name} {profile}{nested}"
        return Credentials(found.access_key_id, found.access_key_secret, found.sts_token, found.expires_at, source_name)

    def _named(self) -> str:
        return self._profile or variable(*PROFILE)

    def _named_file(self) -> str:
        return str(self._path or variable(self.file_variable))

    def _source(self) -> tuple[Path, str, Provider] | SourceFailure:
        """Return the file, the profile and what yields its keys, built anew if a file has changed."""
        paths, named = self.paths, self._named()
        state = (named, *((path, fingerprint(path)) for path in paths))
        if self._built is not None and self._built[0] == state:
            return self._built[1]
        absent: list[str] = []
        for path in paths:
            document = self._read(path)
            if isinstance(document, SourceFailure):
                failure = document
            else:
                profile = named or document.current or "default"
                if profile in document.profiles:
                    return self._build(state, path, profile, document.profiles)
                failure = self._no_profile(path, profile, document)
            if failure.applies:
                return failure
            absent.append(failure.reason)
        return missing("; ".join(absent))

    def _build(
        self, state: Any, path: Path, profile: str, profiles: Mapping[str, Profile]
    ) -> tuple[Path, str, Provider] | SourceFailure:
        if any(fields.get(secret) for fields in profiles.values() for secret in _SECRETS):
            warn_if_exposed(path, logger)
        provider = self._source_of(profile, profiles)
        if isinstance(provider, SourceFailure):
            where = f"{self._label(profile)} in {path}" if provider.applies else str(path)
            return SourceFailure(f"{where}: {provider.reason}", applies=provider.applies)
        if self._share is not None and not isinstance(provider, StaticProvider | OAuthProvider):
            provider = self._share(provider)
        self._built = (state, (path, profile, provider))
        return path, profile, provider

    # --- from a profile to a provider -----------------------------------------------------------------------

    def _source_of(
        self, name: str, profiles: Mapping[str, Profile], via: tuple[str, ...] = ()
    ) -> Provider | SourceFailure:
        """Return what yields a profile's keys; ``via`` are the profiles that rely on it, the first asked first."""
        if name in via:
            return SourceFailure(f"profiles rely on each other in a circle: {' -> '.join((*via, name))}")
        fields = profiles.get(name)
        if fields is None:
            return SourceFailure(f"profile {via[-1]} relies on profile {name or '(none)'}, which is not there")
        mode = _mode(fields)
        try:
            if mode == "chainableramrolearn":
                source = self._source_of(_text(fields, "source_profile"), profiles, (*via, name))
                return source if isinstance(source, SourceFailure) else self._role(fields, source)
            build = _MODES.get(mode)
            if build is None:
                reason = _UNSUPPORTED.get(mode, f"no such {self.mode_field} is known")
                return SourceFailure(f"its {self.mode_field} {fields[self.mode_field]} cannot be used: {reason}")
            return build(self, {**fields, "name": name})
        except SettingsError as error:
            return SourceFailure(error.message)

    def _keys(self, fields: Profile) -> Provider | SourceFailure:
        """Return the keys that are in the profile."""
        key_id, secret, token = (_text(fields, key) for key in ("access_key_id", "access_key_secret", "sts_token"))
        mode = _mode(fields)
        if self.empty_is_missing and not key_id and not secret and not token:
            return missing(f"profile {fields['name']} holds no keys yet")
        needed = ("access_key_id", "access_key_secret", *(("sts_token",) if mode == "ststoken" else ()))
        if empty := self._empty(fields, needed):
            return SourceFailure(empty)
        ends_at = moment_of(fields.get("sts_expiration")) if mode == "ststoken" else None
        try:
            return StaticProvider.of(Credentials(key_id, secret, None if mode == "ak" else token, ends_at, self.name))
        except ValueError as error:  # its text names the field, never the value
            return SourceFailure(f"its keys cannot be used: {error}")

    def _empty(self, fields: Profile, names: tuple[str, ...]) -> str:
        """Return which of these fields are empty, ``""`` if none is."""
        absent = [self.shown_names.get(name, name) for name in names if not _text(fields, name).strip()]
        return f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} empty" if absent else ""

    def _role_settings(self, fields: Profile) -> dict[str, Any]:
        """Return what a profile says of a role, by the names of our arguments."""
        defaults, vpc = self._defaults, fields.get("enable_vpc")
        return {
            "session_name": fields.get("ram_session_name") or fields.get("role_session_name") or defaults.session_name,
            "duration": fields.get("expired_seconds"),
            "policy": fields.get("policy"),
            "endpoint": fields.get("sts_endpoint") or defaults.sts.endpoint,
            "region": fields.get("sts_region") or defaults.sts.region,
            "vpc": defaults.sts.vpc if vpc is None or vpc == "" else is_yes(vpc),
            "pace": self._pace,
        }

    def _role(self, fields: Profile, source: Provider) -> Provider:
        return AssumeRoleProvider(
            source,
            _text(fields, "ram_role_arn"),
            fetch=self._fetch,
            external_id=fields.get("external_id"),
            origin="the profile",
            **self._role_settings(fields),
        )

    def _role_with_keys(self, fields: Profile) -> Provider | SourceFailure:
        keys = self._keys(fields)
        return SourceFailure(keys.reason) if isinstance(keys, SourceFailure) else self._role(fields, keys)

    def _role_with_ecs(self, fields: Profile) -> Provider:
        return self._role(fields, self._ecs(fields))

    def _ecs(self, fields: Profile) -> Provider:
        defaults = self._defaults
        return ECSRoleProvider(
            fetch=self._fetch,
            role_name=_text(fields, "ram_role_name") or defaults.ecs_role,
            endpoint=defaults.ecs_endpoint,
            allow_v1=defaults.ecs_v1,
            patient=True,
            clock=self._pace.clock,
        )

    def _oidc(self, fields: Profile) -> Provider | SourceFailure:
        if empty := self._empty(fields, ("ram_role_arn", "oidc_provider_arn", "oidc_token_file")):
            return SourceFailure(empty)
        return OIDCRoleProvider(
            fetch=self._fetch,
            role_arn=_text(fields, "ram_role_arn"),
            provider_arn=_text(fields, "oidc_provider_arn"),
            token_file=_text(fields, "oidc_token_file"),
            **self._role_settings(fields),
        )

    def _uri(self, fields: Profile) -> Provider | SourceFailure:
        if empty := self._empty(fields, ("credentials_uri",)):
            return SourceFailure(empty)
        return URIProvider(fetch=self._fetch, uri=_text(fields, "credentials_uri"), clock=self._pace.clock)

    def _process(self, fields: Profile) -> Provider | SourceFailure:
        if empty := self._empty(fields, ("process_command",)):
            return SourceFailure(empty)
        return ProcessProvider(_text(fields, "process_command"), clock=self._pace.clock)

    def _cloud_sso(self, fields: Profile) -> Provider:
        return CloudSSOProvider(fields, fetch=self._fetch, clock=self._pace.clock)

    def _oauth(self, fields: Profile) -> Provider:
        name = _text(fields, "name")
        known = self._sign_ins.get(name)  # its newest tokens are in memory
        if known is None or not known.is_of(fields):
            known = self._sign_ins[name] = OAuthProvider(fields, fetch=self._fetch, clock=self._pace.clock)
        return known


_MODES: Final[Mapping[str, Callable[[ProfileFileProvider, Profile], Provider | SourceFailure]]] = {
    "ak": ProfileFileProvider._keys,  # noqa: SLF001 - the table belongs to the class
    "ststoken": ProfileFileProvider._keys,  # noqa: SLF001
    "ramrolearn": ProfileFileProvider._role_with_keys,  # noqa: SLF001
    "ramrolearnwithrolename": ProfileFileProvider._role_with_ecs,  # noqa: SLF001
    "ecsramrole": ProfileFileProvider._ecs,  # noqa: SLF001
    "oidc": ProfileFileProvider._oidc,  # noqa: SLF001
    "credentialsuri": ProfileFileProvider._uri,  # noqa: SLF001
    "external": ProfileFileProvider._process,  # noqa: SLF001
    "cloudsso": ProfileFileProvider._cloud_sso,  # noqa: SLF001
    "oauth": ProfileFileProvider._oauth,  # noqa: SLF001
}


def _mode(fields: Profile) -> str:
    return (_text(fields, "mode") or "AK").lower()


def _text(fields: Profile, name: str) -> str:
    return str(fields.get(name) or "")
