"""The profiles of Alibaba Cloud's SDKs in ``~/.alibabacloud/credentials`` or ``credentials.ini``."""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from ots_config.credentials.environment_names import CREDENTIALS_FILE
from ots_config.credentials.providers.profile_files import Document, ProfileFileProvider
from ots_config.credentials.providers.profile_modes import recognised_mode
from ots_config.credentials.providers.profile_text import read_text, user_home
from ots_config.credentials.result import SourceFailure, missing

_MODES: Final = {
    "access_key": "AK",
    "sts": "StsToken",
    "ram_role_arn": "RamRoleArn",
    "oidc_role_arn": "OIDC",
    "ecs_ram_role": "EcsRamRole",
    "rsa_key_pair": "RsaKeyPair",
    "bearer": "BearerToken",
}
"""The types of a section, as modes of the CLI."""
# A ``#`` starts a comment only after white space: a secret may contain one.
_COMMENT: Final = re.compile(r"(?:^|\s+)#(?=\s|$)|\s+#")
_QUOTED: Final = re.compile(r"""(?s)((["'`]).*\2)(?:\s+#.*)?""")
_CLI_NAMES: Final = {
    "role_arn": "ram_role_arn",
    "role_name": "ram_role_name",
    "oidc_token_file_path": "oidc_token_file",
    "security_token": "sts_token",
}


class INIProvider(ProfileFileProvider):
    """The keys of a section of the SDKs' credentials file.

    The section is the one given, else ``ALIBABACLOUD_PROFILE`` or ``ALIBABA_CLOUD_PROFILE``, else ``default``;
    the file is the one given, else ``ALIBABA_CLOUD_CREDENTIALS_FILE``, else the first of
    ``~/.alibabacloud/credentials`` and ``credentials.ini`` that has the section. Its ``type`` is ``access_key``,
    ``sts``, ``ram_role_arn``, ``oidc_role_arn`` or ``ecs_ram_role``. A ``#`` after white space starts a comment; ``#``
    elsewhere, ``;`` and ``%`` mean nothing in a value. The arguments are those of ``ProfileFileProvider``.
    """

    name = "ini"
    file_variable = CREDENTIALS_FILE
    mode_field = "type"
    shown_names: ClassVar[Mapping[str, str]] = {cli: own for own, cli in _CLI_NAMES.items()}

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files to read, in this order."""
        named = self._named_file()
        if named:
            return (Path(named).expanduser(),)
        folder = user_home(self._home) / ".alibabacloud"
        return folder / "credentials", folder / "credentials.ini"

    def _named(self) -> str:
        return super()._named() or "default"

    def _label(self, profile: str) -> str:
        return f"[{profile}]"

    def _no_profile(self, path: Path, profile: str, document: Document) -> SourceFailure:  # noqa: ARG002
        return missing(f"{path} has no section [{profile}]")

    def _read(self, path: Path) -> Document | SourceFailure:
        """Read the sections; the failure names lines by number, as they may hold secrets."""
        text = read_text(path, required=bool(self._named_file()))
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
            return SourceFailure(f"{path} cannot be read: line {error.lineno} repeats an earlier line")
        return Document({name: _as_cli_profile(dict(parser.items(name))) for name in parser.sections()})


def _as_cli_profile(section: Mapping[str, str | None]) -> dict[str, str]:
    """Return a section in the words of the CLI, so that both formats are understood by the same code."""
    values = {name: _unquoted(value) for name, value in section.items()}
    fields = {_CLI_NAMES.get(name, name): value for name, value in values.items() if value}
    fields["sts_token"] = values.get("security_token") or values.get("sts_token") or ""
    fields["expired_seconds"] = values.get("role_session_expiration") or values.get("duration_seconds") or ""
    kind = fields.get("type", "").lower()
    if not kind and (mode := recognised_mode(fields)):
        kind = next(name for name, known in _MODES.items() if known == mode)
    kind = kind or ("sts" if fields["sts_token"] else "access_key")
    fields["type"] = kind
    fields["mode"] = _MODES.get(kind, f"unknown {kind}")
    return fields


def _unquoted(value: str | None) -> str:
    """Return a value without a comment after it, and without the quotation marks that are around all of it."""
    text = (value or "").strip()
    quoted = _QUOTED.fullmatch(text)
    text = quoted[1] if quoted else _COMMENT.split(text, maxsplit=1)[0]
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'`" else text
