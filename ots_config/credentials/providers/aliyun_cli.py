"""The profiles that the Aliyun CLI keeps in ``~/.aliyun/config.json``, every mode that yields keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ots_config.credentials.environment_names import CONFIG_FILE, PROFILE_DISABLED, switched_on
from ots_config.credentials.providers.profile_files import Document, ProfileFileProvider
from ots_config.credentials.providers.profile_text import read_text, user_home
from ots_config.credentials.providers.token_file import TokenFile
from ots_config.credentials.result import SourceFailure


class ProfileProvider(ProfileFileProvider):
    """The keys of a profile of the Aliyun CLI.

    The profile is the one given, else ``ALIBABACLOUD_PROFILE`` or ``ALIBABA_CLOUD_PROFILE``, else the file's
    current one; the file is the one given, else ``ALIBABA_CLOUD_CONFIG_FILE``, else ``~/.aliyun/config.json``. It is
    read again when it has changed. Only tokens that the service of an OAuth sign-in replaced are written to it, under a
    lock, so that the CLI and other programs stay signed in.
    ``ALIBABA_CLOUD_CLI_PROFILE_DISABLED`` and ``ALIBABA_CLOUD_IGNORE_PROFILE`` switch the source off unless a
    profile or a file is given as argument. The arguments are those of ``ProfileFileProvider``.
    """

    name = "profile"
    file_variable = CONFIG_FILE
    mode_field = "mode"
    empty_is_missing = True

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file as the environment says now."""
        named = self._named_file()
        return (Path(named).expanduser() if named else user_home(self._home) / ".aliyun" / "config.json",)

    def _switched_off(self) -> str:
        if self._profile or self._path:
            return ""
        return next((name for name in PROFILE_DISABLED if switched_on(name)), "")

    def _label(self, profile: str) -> str:
        return f"profile {profile}"

    def _no_profile(self, path: Path, profile: str, document: Document) -> SourceFailure:
        known = f"it has {', '.join(document.profiles)}" if document.profiles else "it has none"
        broken = bool(document.current) and not self._named()  # the file names a profile that it does not have
        return SourceFailure(f"{path} has no profile {profile}; {known}", applies=broken)

    def _token_file(self, name: str) -> TokenFile | None:
        return TokenFile(self.paths[0], name)

    def _read(self, path: Path) -> Document | SourceFailure:
        text = read_text(path, required=bool(self._named_file()))
        if isinstance(text, SourceFailure):
            return text
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            return SourceFailure(f"{path} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}")
        except RecursionError:
            return SourceFailure(f"{path} is not JSON that the CLI writes")
        if not isinstance(document, dict):
            return SourceFailure(f"{path} holds no JSON object")
        return Document(_profiles(document), str(document.get("current") or ""))


def _profiles(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the profiles by name; of two of the same name the CLI takes the first."""
    found: dict[str, Mapping[str, Any]] = {}
    entries = document.get("profiles")
    for fields in entries if isinstance(entries, list) else []:
        if isinstance(fields, dict) and isinstance(fields.get("name"), str):
            found.setdefault(fields["name"], fields)
    return found
