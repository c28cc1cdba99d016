"""Files of profiles, whatever their format: finds the profile, makes of it what yields its keys, and reads it anew."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.environment_names import PROFILE, SETTING, name_of_set, variable
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.profile_modes import (
    Profile,
    ProfileDefaults,
    ProfileModes,
    variables_of_fields,
)
from ots_config.credentials.providers.sso import OAuthProvider
from ots_config.credentials.providers.static import StaticProvider
from ots_config.credentials.result import Found, SourceFailure, ask_nested, missing, required, unwrap
from ots_config.credentials.sts import Pace
from ots_config.secret_files import fingerprint, warn_if_exposed

if TYPE_CHECKING:
    from ots_config.credentials.http import Fetch

logger = logging.getLogger("ots_config.credentials")

_SECRETS: Final = (
    "access_key_secret",
    "sts_token",
    "access_token",
    "oauth_access_token",
    "oauth_refresh_token",
    "private_key",
    "bearer_token",
)


@dataclass(frozen=True, slots=True)
class Document:
    """What a file of profiles holds.

    Attributes:
        profiles: The profiles by name.
        current: The name of the one to use if nothing else is named; empty if the file names none.
    """

    profiles: Mapping[str, Profile]
    current: str = ""


class ProfileFileProvider(ProfileModes, Provider):
    """The keys of a profile in a file; a subclass knows the file's format.

    The profile is the one given, else ``ALIBABA_CLOUD_PROFILE``, else the file's own choice, else ``default``. A file
    is read again when it has changed. A profile or a file that is named, by an argument or a
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
        super().__init__(fetch, defaults or ProfileDefaults(), pace or Pace(clock=clock))
        self._profile = profile
        self._path = path
        self._home = home
        self._share = share
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
        """Return what names the profile or the file; a profile beside a file of the other format is that file's."""
        if not self._named_file() and self.alternative is not None and self.alternative.has_named_file():
            return ""
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

    def has_named_file(self) -> bool:
        """Return whether an argument or a variable names the file, and nothing switches the source off."""
        return bool(self._named_file()) and not self._switched_off()

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
        expires_at, nested = found.expires_at, f"/{found.source}"
        if isinstance(provider, StaticProvider):
            nested = ""
            if expires_at is not None and expires_at.timestamp() <= self._pace.clock():
                expires_at = None  # left over from earlier keys: the CLI does not clear it
        source_name = f"{self.name} {profile}{nested}"
        return Credentials(found.access_key_id, found.access_key_secret, found.sts_token, expires_at, source_name)

    def _named(self) -> str:
        return self._profile or variable(*PROFILE)

    def _named_file(self) -> str:
        return str(self._path or variable(self.file_variable))

    def _source(self) -> tuple[Path, str, Provider] | SourceFailure:
        """Return the file, the profile and what yields its keys, built anew if a file has changed."""
        paths, named = self.paths, self._named()
        state = (named, variables_of_fields(), *((path, fingerprint(path)) for path in paths))
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
