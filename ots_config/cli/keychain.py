"""``ots-config login``, ``logout`` and ``logins``: keys in the keyring of the operating system."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import TYPE_CHECKING, Any

from ots_config.cli.output import Output
from ots_config.cli.sources import add_command
from ots_config.errors import CredentialsUnavailable, OTSConfigError

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials
    from ots_config.credentials.providers.keyring import Keychain

_FORMAT = """\
The entry has the service ots-config, the profile as user name, and as password one
JSON object: {"access_key_id": "...", "access_key_secret": "...", "sts_token": "...",
"expires_at": "..."}; the last two are for temporary keys only. `keyring set
ots-config NAME` writes the same entry."""
_MAX_LINE = 64 * 1024


def add_parser(commands: Any) -> None:
    """Add the commands to the command line."""
    parser = add_command(
        commands,
        "login",
        "Store keys in the keyring. The secret comes from a prompt or from standard input, never from an argument.",
        "ots-config login\npass show ots | ots-config login work --access-key-id LTAI...",
        sources=False,
    )
    parser.description += "\n\n" + _FORMAT
    parser.add_argument("name", nargs="?", default="default", help="the entry's name (%(default)s)")
    parser.add_argument("--access-key-id", metavar="ID", help="the AccessKey ID; asked for if it is not given")
    parser.add_argument("--token", action="store_true", help="store a temporary key: also ask for its STS token")
    parser.add_argument("--allow-plaintext", action="store_true", help="use a keyring that keeps readable files, too")
    parser.set_defaults(run=login)
    parser = add_command(
        commands,
        "logout",
        "Delete keys from the keyring.",
        "ots-config logout\nots-config logout work",
        sources=False,
    )
    parser.add_argument("name", nargs="?", default="default", help="the entry's name (%(default)s)")
    parser.add_argument("--allow-plaintext", action="store_true", help="use a keyring that keeps readable files, too")
    parser.set_defaults(run=logout)
    parser = add_command(
        commands,
        "logins",
        "List the keys in the keyring, also those that `keyring set` has written.",
        "ots-config logins\nots-config logins --json",
        sources=False,
    )
    parser.add_argument("--allow-plaintext", action="store_true", help="use a keyring that keeps readable files, too")
    parser.set_defaults(run=logins)


def login(given: argparse.Namespace, output: Output) -> int:
    """Store keys; return the exit code."""
    chain = _keychain(given)
    access_key_id = given.access_key_id or ask("AccessKey ID")
    secret = ask_secret("AccessKey secret")
    token = ask_secret("STS token") if given.token else None
    keys = checked(access_key_id, secret, token)
    chain.store(keys, given.name)
    if output.as_json:
        output.document({"stored": given.name, "access_key_id": keys.masked_id, "keyring": chain.backend()})
        return 0
    output.line(f"stored: {keys.masked_id} as {given.name} in {chain.backend()}", "ok")
    if given.name != "default":
        output.line(f"Use it: OTS_KEYRING_PROFILE={given.name}")
    return 0


def logout(given: argparse.Namespace, output: Output) -> int:
    """Delete keys; return the exit code."""
    if not _keychain(given).delete(given.name):
        failure = CredentialsUnavailable(f"the keyring has no entry {given.name}")
        failure.hint = "`ots-config logins` lists the entries."
        raise failure
    if output.as_json:
        output.document({"deleted": given.name})
    else:
        output.line(f"deleted: {given.name}", "ok")
    return 0


def logins(given: argparse.Namespace, output: Output) -> int:
    """List the entries; return the exit code."""
    chain = _keychain(given)
    rows: list[dict[str, Any]] = []
    for name in chain.list():
        try:
            keys = chain.read(name)
        except OTSConfigError as error:
            rows.append({"name": name, "access_key_id": "", "expires_at": None, "problem": str(error)})
        else:
            rows.append({"name": name, "access_key_id": keys.masked_id, "expires_at": keys.expires_at, "problem": ""})
    if output.as_json:
        output.document(rows)
    elif rows:
        output.table(("name", "AccessKey ID", "expires", "problem"), [list(row.values()) for row in rows])
    else:
        output.line("the keyring has no entry: `ots-config login` stores one")
    return 0


def ask(what: str) -> str:
    """Return what a person types on the terminal, or the next line of standard input.

    Raises:
        OTSConfigError: If nothing comes.
    """
    if _has_terminal():
        sys.stderr.write(f"{what}: ")
        sys.stderr.flush()
    line = sys.stdin.readline(_MAX_LINE).rstrip("\r\n") if sys.stdin is not None else ""
    return _something(line.strip(), what)


def ask_secret(what: str) -> str:
    """Return what a person types without seeing it, or the next line of standard input.

    Raises:
        OTSConfigError: If nothing comes.
    """
    if not _has_terminal():
        return ask(what)
    try:
        return _something(getpass.getpass(f"{what} (not shown): ").strip(), what)
    except EOFError:
        return _something("", what)


def checked(access_key_id: str, secret: str, token: str | None) -> Credentials:
    """Return keys that have the form of keys.

    Raises:
        OTSConfigError: If they do not; typing them again is cheap now, and a failure later is not.
    """
    from ots_config.credentials.credentials import Credentials

    reason = ""
    if secret.startswith(("LTAI", "STS.")) and not access_key_id.startswith(("LTAI", "STS.")):
        reason = "the AccessKey ID and its secret are swapped"
    elif access_key_id.startswith("STS.") and not token:
        reason = "an id that begins with STS. belongs to a temporary key, which needs its token: add --token"
    if reason:
        raise OTSConfigError(reason)
    try:
        return Credentials(access_key_id, secret, token)
    except ValueError as error:
        reason = str(error)
    raise OTSConfigError(reason)


def _keychain(given: argparse.Namespace) -> Keychain:
    from ots_config.credentials.providers.keyring import PATIENT, Keychain

    return Keychain(timeout=PATIENT, allow_plaintext=given.allow_plaintext)


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _something(text: str, what: str) -> str:
    if not text:
        raise OTSConfigError(f"no {what} was given")
    return text
