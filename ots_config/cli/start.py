"""``ots-config init``: write the first env file or profile, with the secret in the keyring."""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ots_config.cli.keychain import ask, ask_secret, checked
from ots_config.cli.output import Output
from ots_config.cli.sources import add_command
from ots_config.errors import OTSConfigError
from ots_config.secret_files import write_private_file

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials


def add_parser(commands: Any) -> None:
    """Add the command to the command line."""
    parser = add_command(
        commands,
        "init",
        "Write an env file or a profile of ots.toml, after asking for what is not given. The file has mode 0600, and "
        "the secret goes into the keyring.",
        "ots-config init\n"
        "ots-config init --name prod --endpoint https://orders.cn-hangzhou.ots.aliyuncs.com --secret none",
        sources=False,
    )
    parser.add_argument("--file", type=Path, metavar="FILE", help="the env file to write (.env, without --name)")
    parser.add_argument("--name", metavar="NAME", help="write this profile into the ots.toml of your own instead")
    parser.add_argument("--endpoint", metavar="URL", help="https://INSTANCE.REGION.ots.aliyuncs.com")
    parser.add_argument("--instance-name", metavar="NAME", help="the instance, if the endpoint does not name it")
    parser.add_argument("--access-key-id", metavar="ID", help="the AccessKey ID")
    parser.add_argument(
        "--secret",
        choices=("keyring", "file", "none"),
        default="keyring",
        help="where the secret goes; none: the keys come from elsewhere, a role for example (%(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace the env file if it is there")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace, output: Output) -> int:
    """Ask, check, store and write; return the exit code."""
    if given.name is not None and given.file is not None:
        given.command_line.error("--file names an env file and --name a profile: give one of them")
    path = _own_profiles() if given.name is not None else (given.file or Path(".env"))
    _refuse_to_replace(path, given)
    values = _settings(given)
    keys: Credentials | None = None
    if given.secret != "none":
        keys = checked(given.access_key_id or ask("AccessKey ID"), ask_secret("AccessKey secret"), None)
    entry = given.name or values["instance_name"]
    if keys is not None and given.secret == "keyring":
        _store(keys, entry)
        values["keyring_profile"] = entry
    elif keys is not None:
        values["access_key_id"], values["access_key_secret"] = keys.access_key_id, keys.get_access_key_secret()
    text = _profile_text(path, given.name, values) if given.name is not None else _env_text(values)
    _write_private(path, text)
    stored = f"entry {entry} of the keyring" if "keyring_profile" in values else given.secret
    if output.as_json:
        output.document({"file": str(path), "profile": given.name, "secret": stored})
        return 0
    output.line(f"written: {path}", "ok")
    if "keyring_profile" in values:
        output.line(f"The secret is in {stored}.")
    if given.name is not None:
        output.line(f"Use it: OTS_PROFILE={given.name}, or create_client(profile={given.name!r}).")
    elif path != Path(".env"):
        output.line(f"Use it: OTS_ENV_FILE={path}, or create_client(env_file={str(path)!r}).")
    else:
        output.line("create_client() reads it when the program starts in this folder.")
    output.line("Next: ots-config doctor")
    return 0


def _settings(given: argparse.Namespace) -> dict[str, str]:
    """Return endpoint and instance, checked as the settings check them.

    Raises:
        SettingsError: If they cannot be used.
    """
    from ots_config.settings import OTSSettings

    endpoint = given.endpoint or ask("Endpoint (https://INSTANCE.REGION.ots.aliyuncs.com)")
    arguments = {"endpoint": endpoint} | ({"instance_name": given.instance_name} if given.instance_name else {})
    settings = OTSSettings.explicit(**arguments)
    return {"endpoint": str(settings.endpoint), "instance_name": str(settings.instance_name)}


def _store(keys: Credentials, entry: str) -> None:
    """Store keys in the keyring.

    Raises:
        OTSConfigError: If that fails; the hint names the other ways.
    """
    from ots_config.credentials.providers.keyring import PATIENT, Keychain

    try:
        Keychain(timeout=PATIENT).store(keys, entry)
    except OTSConfigError as error:
        failure = error
    else:
        return
    failure.hint = "Nothing was written. Without a keyring: --secret file, or --secret none and keys from elsewhere."
    raise failure


def _own_profiles() -> Path:
    """Return the ots.toml of the user's own configuration directory, or the one that a variable names."""
    if named := os.environ.get("OTS_CONFIG_FILE"):
        return Path(named)
    from ots_config.settings.files import profile_places

    return Path(profile_places()[1][0])  # the first is the one in the working directory


def _refuse_to_replace(path: Path, given: argparse.Namespace) -> None:
    if path.is_dir():
        raise OTSConfigError(f"{path} is a folder")
    if given.name is None:
        if path.exists() and not given.force:
            failure = OTSConfigError(f"{path} is there already")
            failure.hint = "Edit it, name another with --file, or add --force to replace it."
            raise failure
        return
    if path.exists() and given.name in _profiles_of(path):
        failure = OTSConfigError(f"{path} has a profile {given.name} already")
        failure.hint = "Edit it, or take another name."
        raise failure


def _profiles_of(path: Path) -> set[str]:
    from ots_config.settings.files import document
    from ots_config.settings.problems import Refusal

    try:
        return set(document(str(path), _text_of(path))["profiles"])
    except Refusal as refusal:
        failure = OTSConfigError(refusal.reason)
        failure.hint = refusal.hint
    raise failure


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
    raise OTSConfigError(f"{path} cannot be read: {reason}")


def _env_text(values: dict[str, str]) -> str:
    lines = [f"OTS_{name.upper()}={_quoted(value)}" for name, value in values.items()]
    return "\n".join(["# Settings of a Tablestore client: `ots-config settings` explains them.", *lines, ""])


def _quoted(value: str) -> str:
    """Return a value as env files have it: in single quotes, unless nothing in it is special."""
    if re.fullmatch(r"[A-Za-z0-9_./:@%+=,-]+", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _profile_text(path: Path, name: str, values: dict[str, str]) -> str:
    """Return the text of the file with one more profile; what is there stays as it is."""
    before = _text_of(path) if path.exists() else ""
    if before and not before.endswith("\n"):
        before += "\n"
    gap = "\n" if before else ""
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return before + gap + "\n".join([f"[profiles.{json.dumps(name)}]", *lines, ""])


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all.

    Raises:
        OTSConfigError: If it cannot be written.
    """
    target = path.resolve()  # a link stays one
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private_file(target, text)
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        return
    raise OTSConfigError(f"{path} cannot be written: {reason}")
