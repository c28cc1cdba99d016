"""What a profile's fields mean: its mode, and the provider that yields its keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from ots_config.credential_rules import url_problem
from ots_config.credentials.credentials import Credentials
from ots_config.credentials.environment_names import (
    CREDENTIALS_URI,
    OIDC_PROVIDER_ARN,
    OIDC_ROLE_ARN,
    OIDC_TOKEN_FILE,
    ROLE_EXTERNAL_ID,
    is_yes,
    variable,
)
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.assume_role import AssumeRoleProvider
from ots_config.credentials.providers.ecs import ECSRoleProvider
from ots_config.credentials.providers.oidc import OIDCRoleProvider
from ots_config.credentials.providers.process import ProcessProvider
from ots_config.credentials.providers.sso import CloudSSOProvider, OAuthProvider, moment_of
from ots_config.credentials.providers.static import StaticProvider
from ots_config.credentials.providers.token_file import TokenFile
from ots_config.credentials.providers.uri import URIProvider
from ots_config.credentials.result import SourceFailure, missing
from ots_config.credentials.sts import Pace, STSAddress
from ots_config.errors import SettingsError

if TYPE_CHECKING:
    from ots_config.credentials.http import Fetch

Profile = Mapping[str, Any]
"""The fields of one profile, by the names that the Aliyun CLI gives them."""

_UNSUPPORTED: Final = {
    "bearertoken": "Tablestore knows no bearer tokens",
    "anonymous": "Tablestore serves nobody anonymously",
    "rsakeypair": "key pairs are deprecated and not supported",
}
_MEANINGFUL: Final = (
    "access_key_id",
    "access_key_secret",
    "sts_token",
    "ram_role_arn",
    "ram_role_name",
    "source_profile",
    "private_key",
    "process_command",
    "credentials_uri",
    "oidc_provider_arn",
    "oidc_token_file",
    "cloud_sso_sign_in_url",
    "oauth_refresh_token",
    "bearer_token",
)
_FILLED: Final = {
    "ram_role_arn": ("ALIBABACLOUD_ROLE_ARN", OIDC_ROLE_ARN),
    "oidc_provider_arn": ("ALIBABACLOUD_OIDC_PROVIDER_ARN", OIDC_PROVIDER_ARN),
    "oidc_token_file": ("ALIBABACLOUD_OIDC_TOKEN_FILE", OIDC_TOKEN_FILE),
    "external_id": (*ROLE_EXTERNAL_ID, "ALIBABACLOUD_EXTERNAL_ID"),
    "credentials_uri": (CREDENTIALS_URI,),
}
"""The variables that fill fields which a profile leaves empty."""


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


def variables_of_fields() -> dict[str, str]:
    """Return the fields that variables give now."""
    return {name: value for name, variables in _FILLED.items() if (value := variable(*variables))}


def recognised_mode(fields: Profile) -> str:
    """Return the mode that a profile without one means by its fields; empty if they mean none.

    A role or a token decides before the bare keys, which may be allowed more.
    """
    if _text(fields, "access_key_id") and _text(fields, "access_key_secret"):
        if _text(fields, "ram_role_arn"):
            return "RamRoleArn"
        return "StsToken" if _text(fields, "sts_token") else "AK"
    for mode, names in (
        ("EcsRamRole", ("ram_role_name",)),
        ("RsaKeyPair", ("private_key", "key_pair_name")),
        ("External", ("process_command",)),
        ("OIDC", ("oidc_provider_arn", "oidc_token_file")),
    ):
        if all(_text(fields, name) for name in names):
            return mode
    return ""


class ProfileModes:
    """Makes providers of profiles.

    Args:
        fetch: The HTTP callable.
        defaults: What a profile uses where it says nothing itself.
        pace: How hard STS is tried.
    """

    name: str
    mode_field: ClassVar[str]
    """The field that says how a profile gets its keys."""
    empty_is_missing: ClassVar[bool] = False
    """Whether a profile without keys counts as not configured."""
    shown_names: ClassVar[Mapping[str, str]] = {}
    """The names of fields in this format, where they differ from the CLI's."""

    def __init__(self, fetch: Fetch, defaults: ProfileDefaults, pace: Pace) -> None:
        self._fetch = fetch
        self._defaults = defaults
        self._pace = pace
        self._sign_ins: dict[str, OAuthProvider] = {}

    def _source_of(
        self, name: str, profiles: Mapping[str, Profile], via: tuple[str, ...] = ()
    ) -> Provider | SourceFailure:
        """Return what yields a profile's keys; ``via`` are the profiles that rely on it, the first asked first."""
        if name in via:
            return SourceFailure(f"profiles rely on each other in a circle: {' -> '.join((*via, name))}")
        fields = profiles.get(name)
        if fields is None:
            return SourceFailure(f"profile {via[-1]} relies on profile {name or '(none)'}, which is not there")
        fields = _completed(name, fields)
        if not fields["mode"]:
            return SourceFailure(f"it has no {self.mode_field}, and its fields mean none")
        try:
            return self._provider_of(fields, profiles, (*via, name))
        except SettingsError as error:
            return SourceFailure(error.message)

    def _provider_of(
        self, fields: Profile, profiles: Mapping[str, Profile], via: tuple[str, ...]
    ) -> Provider | SourceFailure:
        mode = _mode(fields)
        if mode == "external":
            return self._external(fields, profiles, via)
        if mode == "chainableramrolearn":
            source = self._source_of(_text(fields, "source_profile"), profiles, via)
            return source if isinstance(source, SourceFailure) else self._role(fields, source)
        build = _MODES.get(mode)
        if build is None:
            reason = _UNSUPPORTED.get(mode, f"no such {self.mode_field} is known")
            shown = fields.get(self.mode_field) or fields["mode"]
            return SourceFailure(f"its {self.mode_field} {shown} cannot be used: {reason}")
        return build(self, fields)

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
            "endpoint": _host(_text(fields, "sts_endpoint")) or defaults.sts.endpoint,
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
        return URIProvider(
            fetch=self._fetch, uri=_text(fields, "credentials_uri"), external=True, clock=self._pace.clock
        )

    def _external(
        self, fields: Profile, profiles: Mapping[str, Profile], via: tuple[str, ...]
    ) -> Provider | SourceFailure:
        """Return the program's provider; what it prints is a profile of any mode, but no further program."""
        if empty := self._empty(fields, ("process_command",)):
            return SourceFailure(empty)
        name = f"printed by {via[-1]}"

        def printed(profile: Profile) -> Provider | SourceFailure:
            if (_text(profile, "mode") or recognised_mode(profile)).lower() == "external":
                return SourceFailure("it is of mode External again")
            return self._source_of(name, {**profiles, name: profile}, via)

        command = _text(fields, "process_command")
        return ProcessProvider(command, terminal=True, other_modes=printed, clock=self._pace.clock)

    def _cloud_sso(self, fields: Profile) -> Provider:
        return CloudSSOProvider(fields, fetch=self._fetch, clock=self._pace.clock)

    def _oauth(self, fields: Profile) -> Provider:
        name = _text(fields, "name")
        known = self._sign_ins.get(name)  # its newest tokens are in memory
        if known is None or not known.is_of(fields):
            known = self._sign_ins[name] = OAuthProvider(
                fields, file=self._token_file(name), fetch=self._fetch, clock=self._pace.clock
            )
        return known

    def _token_file(self, name: str) -> TokenFile | None:  # noqa: ARG002 - only the CLI's format has sign-ins
        """Return where the tokens of a profile are written; None keeps them in memory."""
        return None


_MODES: Final[Mapping[str, Callable[[ProfileModes, Profile], Provider | SourceFailure]]] = {
    "ak": ProfileModes._keys,  # noqa: SLF001 - the table belongs to the class
    "ststoken": ProfileModes._keys,  # noqa: SLF001
    "ramrolearn": ProfileModes._role_with_keys,  # noqa: SLF001
    "ramrolearnwithrolename": ProfileModes._role_with_ecs,  # noqa: SLF001
    "ecsramrole": ProfileModes._ecs,  # noqa: SLF001
    "oidc": ProfileModes._oidc,  # noqa: SLF001
    "credentialsuri": ProfileModes._uri,  # noqa: SLF001
    "cloudsso": ProfileModes._cloud_sso,  # noqa: SLF001
    "oauth": ProfileModes._oauth,  # noqa: SLF001
}


def _mode(fields: Profile) -> str:
    return (_text(fields, "mode") or "AK").lower()


def _completed(name: str, fields: Profile) -> dict[str, Any]:
    """Return a profile with its name, its mode, and what variables give; the mode is empty if there is none."""
    mode = _text(fields, "mode") or recognised_mode(fields)
    if not mode and not any(_text(fields, field_name) for field_name in _MEANINGFUL):
        mode = "AK"  # as the CLI leaves a profile that is not configured yet
    given = {key: value for key, value in variables_of_fields().items() if not _text(fields, key)}
    return {**fields, **given, "mode": mode, "name": name}


def _host(endpoint: str) -> str:
    """Return an address of STS; plain http, where it may not be used, is left out, as the CLI speaks https anyway."""
    return urlsplit(endpoint).netloc if endpoint.startswith("http://") and url_problem(endpoint) else endpoint


def _text(fields: Profile, name: str) -> str:
    return str(fields.get(name) or "")
