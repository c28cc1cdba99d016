"""The profiles of Alibaba Cloud's SDKs in ``~/.alibabacloud/credentials`` or ``credentials.ini``."""

from __future__ import annotations

import configparser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.files import home_of, read_text, version, warn_if_exposed
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.ecs import ECSRoleProvider
from ots_config.credentials.providers.external import adapted
from ots_config.credentials.providers.oidc import OIDCRoleProvider
from ots_config.credentials.result import SourceFailure, asked_within, hand_out
from ots_config.credentials.sts import AssumeRoleProvider, Pace
from ots_config.credentials.variables import CREDENTIALS_FILE, PROFILE, is_yes, variable
from ots_config.errors import SettingsError

if TYPE_CHECKING:
    from ots_config.credentials.http import Fetch

_OF_NO_USE: Final = {
    "rsa_key_pair": "key pairs are deprecated and not supported",
    "bearer": "Tablestore knows no bearer tokens",
}


class INIProvider(Provider):
    """The keys of a section of the SDKs' credentials file.

    The section is the one given, else ``ALIBABA_CLOUD_PROFILE``, else ``default``; the file is the one given, else
    ``ALIBABA_CLOUD_CREDENTIALS_FILE``, else the first of ``~/.alibabacloud/credentials`` and ``credentials.ini`` that
    has the section. Its ``type`` is ``access_key``, ``sts``, ``ram_role_arn``, ``oidc_role_arn`` or
    ``ecs_ram_role``. Values are taken as they stand: ``#``, ``;`` and ``%`` in them mean nothing.

    Args:
        fetch: The HTTP callable.
        profile: The section's name.
        path: The file.
        home: The user's home; ``HOME`` if not given.
        environ: The environment; None is this process's.
        allow_v1: Whether a section of type ecs_ram_role may speak version 1 of the metadata service.
        share: Wraps what fetches keys, such as ``SharedCache``; keys in the file itself are not wrapped.
        pace: How hard STS is tried.
    """

    name = "ini"

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
    ) -> None:
        self._fetch = fetch
        self._profile = profile
        self._path = path
        self._home = home
        self._environ = environ
        self._share = share
        self._allow_v1 = allow_v1
        self._pace = pace or Pace()
        self._built: tuple[Any, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Let the configuration travel; the file is read where the copy arrives."""
        return {**self.__dict__, "_built": None}

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are looked at, in this order."""
        named = self._path or variable(self._environ, CREDENTIALS_FILE)
        if named:
            return (Path(named).expanduser(),)
        folder = home_of(self._environ, self._home) / ".alibabacloud"
        return folder / "credentials", folder / "credentials.ini"

    def fetch_credentials(self) -> Credentials:
        """Read the section, if a file has changed, and get its keys.

        Raises:
            CredentialsUnavailable: If there is no file or no such section.
            CredentialsRefused: If the section is there and yields no keys.
        """
        return hand_out(self._found())

    def _found(self) -> Credentials | SourceFailure:
        source = self._source()
        if isinstance(source, SourceFailure):
            return source
        path, provider = source
        found = asked_within(f"[{self._section()}] in {path}", adapted(provider).get_credentials)
        if isinstance(found, SourceFailure):
            return found
        below = "" if isinstance(provider, Credentials) else f"/{found.source}"
        return Credentials(
            found.access_key_id,
            found.access_key_secret,
            found.sts_token,
            found.expires_at,
            f"{self.name} {self._section()}{below}",
        )

    def _section(self) -> str:
        return self._profile or variable(self._environ, PROFILE) or "default"

    def _source(self) -> tuple[Path, Any] | SourceFailure:
        """Return the file and what yields the section's keys, built anew if a file has changed."""
        paths, section = self.paths, self._section()
        state = (section, *((path, version(path)) for path in paths))
        if self._built is not None and self._built[0] == state:
            return self._built[1]  # type: ignore[no-any-return]
        named = bool(self._path or variable(self._environ, CREDENTIALS_FILE))
        absent: list[str] = []
        for path in paths:
            sections = _read(path, required=named)
            if isinstance(sections, SourceFailure):
                if sections.applies:
                    return sections
                absent.append(sections.reason)
            elif section not in sections:
                absent.append(f"{path} has no section [{section}]")
            else:
                return self._build(state, path, section, sections)
        return SourceFailure("; ".join(absent), applies=bool(self._profile and self._path))

    def _build(
        self, state: Any, path: Path, section: str, sections: Mapping[str, Mapping[str, str]]
    ) -> tuple[Path, Any] | SourceFailure:
        if any(fields.get("access_key_secret") for fields in sections.values()):
            warn_if_exposed(path)
        fields = sections[section]
        kind = fields.get("type", "").lower() or ("sts" if _token(fields) else "access_key")
        make = _TYPES.get(kind)
        if make is None:
            reason = _OF_NO_USE.get(kind, "no such type is known")
            return SourceFailure(f"[{section}] in {path}: its type {kind} cannot be used: {reason}")
        try:
            provider = make(self, fields)
        except SettingsError as error:
            provider = SourceFailure(error.message)
        if isinstance(provider, SourceFailure):
            return SourceFailure(f"[{section}] in {path}: {provider.reason}", applies=provider.applies)
        if self._share is not None and not isinstance(provider, Credentials):
            provider = self._share(provider)
        self._built = (state, (path, provider))
        return path, provider

    def _keys(self, fields: Mapping[str, str]) -> Credentials | SourceFailure:
        kind = fields.get("type", "").lower()
        key_id, secret, token = fields.get("access_key_id"), fields.get("access_key_secret"), _token(fields)
        wanted = {"access_key_id": key_id, "access_key_secret": secret}
        wanted |= {"security_token": token} if kind == "sts" else {}
        absent = [name for name, value in wanted.items() if not value]
        if absent:
            return SourceFailure(f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} empty")
        try:
            with_token = kind != "access_key"
            return Credentials(str(key_id), str(secret), token if with_token else None, source=self.name)
        except ValueError as error:  # its text names the field, never the value
            return SourceFailure(f"its keys cannot be used: {error}")

    def _role(self, fields: Mapping[str, str]) -> Any | SourceFailure:
        keys = self._keys(fields)
        if isinstance(keys, SourceFailure):
            return keys
        return AssumeRoleProvider(
            keys,
            fields.get("role_arn", ""),
            fetch=self._fetch,
            external_id=fields.get("external_id"),
            origin="the file",
            **_role_settings(fields),
            environ=self._environ,
            pace=self._pace,
        )

    def _oidc(self, fields: Mapping[str, str]) -> Any | SourceFailure:
        needed = ("role_arn", "oidc_provider_arn", "oidc_token_file_path")
        absent = [name for name in needed if not fields.get(name)]
        if absent:
            return SourceFailure(f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} empty")
        return OIDCRoleProvider(
            fetch=self._fetch,
            role_arn=fields["role_arn"],
            provider_arn=fields["oidc_provider_arn"],
            token_file=fields["oidc_token_file_path"],
            **_role_settings(fields),
            environ=self._environ,
            pace=self._pace,
        )

    def _ecs(self, fields: Mapping[str, str]) -> ECSRoleProvider:
        return ECSRoleProvider(
            fetch=self._fetch,
            role_name=fields.get("role_name") or None,
            allow_v1=self._allow_v1,
            environ=self._environ,
            clock=self._pace.clock,
        )

    def describe(self) -> str:
        """Tell the section, the files, and what the section looks at."""
        source = self._source()
        if isinstance(source, tuple):
            return f"[{self._section()}] in {source[0]}: {adapted(source[1]).describe()}"
        return f"[{self._section()}] in {' or '.join(str(path) for path in self.paths)}"

    def __repr__(self) -> str:
        return f"<INIProvider: [{self._section()}] in {' or '.join(str(path) for path in self.paths)}>"


_TYPES: Final[Mapping[str, Callable[[INIProvider, Mapping[str, str]], Any | SourceFailure]]] = {
    "access_key": INIProvider._keys,  # noqa: SLF001 - the table belongs to the class
    "sts": INIProvider._keys,  # noqa: SLF001
    "ram_role_arn": INIProvider._role,  # noqa: SLF001
    "oidc_role_arn": INIProvider._oidc,  # noqa: SLF001
    "ecs_ram_role": INIProvider._ecs,  # noqa: SLF001
}


def _role_settings(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return what a section says of a role, by the names of our arguments."""
    vpc = fields.get("enable_vpc")
    return {
        "session_name": fields.get("role_session_name"),
        "duration": fields.get("role_session_expiration") or fields.get("duration_seconds"),
        "policy": fields.get("policy"),
        "endpoint": fields.get("sts_endpoint") or None,
        "region": fields.get("sts_region") or None,
        "vpc": is_yes(vpc) if vpc else None,
    }


def _token(fields: Mapping[str, str]) -> str | None:
    return fields.get("security_token") or fields.get("sts_token") or None


def _read(path: Path, *, required: bool) -> dict[str, dict[str, str]] | SourceFailure:
    """Read the sections; a file that cannot be parsed is told by line, as its lines may hold secrets."""
    text = read_text(path, required=required)
    if isinstance(text, SourceFailure):
        return text
    parser = configparser.RawConfigParser(
        # No section passes its values on to the others.
        default_section="\0",
        interpolation=None,
        inline_comment_prefixes=None,
        empty_lines_in_values=False,
    )
    try:
        parser.read_string(text)
    except configparser.MissingSectionHeaderError as error:
        return SourceFailure(f"{path} cannot be read: no section is open at line {error.lineno}")
    except configparser.ParsingError as error:
        lines = ", ".join(str(line) for line, _ in error.errors)
        return SourceFailure(f"{path} cannot be read: line {lines} is neither a section nor a setting")
    except (configparser.DuplicateOptionError, configparser.DuplicateSectionError) as error:
        return SourceFailure(f"{path} cannot be read: line {error.lineno} says again what was said before")
    return {name: {key: _bare(value) for key, value in parser.items(name)} for name in parser.sections()}


def _bare(value: str | None) -> str:
    """Return a value without the quotation marks that are around all of it."""
    text = (value or "").strip()
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'`" else text
