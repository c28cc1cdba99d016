"""The files that settings are read from, within bounds of size and time: env files, secrets directories, ots.toml."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ots_config import secret_files
from ots_config.settings.names import visible_file
from ots_config.settings.problems import Refusal

MAX_SIZE = 1 << 20
MAX_WAIT = 5.0
"""Seconds for what comes out of a pipe or a device."""

MAX_DOTS = 200
"""In one line of ots.toml: each dot of a key is a table, and the time to read them grows with their square."""

MAX_PARSED = 4 << 20
"""Characters of ots.toml that are read again to find lines: a value of many lines is read once for each."""

_GUESS = re.compile(r"(?:export\s+)?([A-Z][A-Z0-9_]*)")


class Binding(NamedTuple):
    """One line of an env file.

    Attributes:
        name: The variable; of a line that cannot be read the variable that it seems to set, or ``""``.
        value: Its value; None if the line cannot be read.
        line: The number of its line.
    """

    name: str
    value: str | None
    line: int


def expand(name: str | os.PathLike[str]) -> str:
    """Return a path with its ``~`` expanded, as it is if this process has no home."""
    return str(Path(os.path.expanduser(name)))  # noqa: PTH111 - pathlib's raises where there is no home


def exists(path: str) -> bool:
    """Whether there is something at the path that can be read as a file; a directory named .env cannot."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - it is asked of each place for each client
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode)


def read_bytes(path: str, most: int) -> tuple[bytes, os.stat_result]:
    """Return a file's bytes and its status; read a pipe or a device for at most ``MAX_WAIT`` seconds.

    Raises:
        Refusal: If it is absent, unreadable, larger than so many bytes, or too slow.
    """
    try:
        return secret_files.read_bounded(Path(path), most, MAX_WAIT)
    except (OSError, ValueError) as error:
        reasons = {
            errno.EFBIG: f"larger than {most >> 20} MiB",
            errno.ETIMEDOUT: f"no end of file within {MAX_WAIT:g} s",
        }
        reason = reasons.get(getattr(error, "errno", None) or 0) or _reason(error)
    raise Refusal(reason, "Correct the path, or the file's permissions.")


def _reason(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or "not a path").lower()


def read(path: str) -> tuple[str, str]:
    """Read a small text file.

    Returns:
        Its text, and a warning if others may read the file, else ``""``.

    Raises:
        Refusal: If it is absent, unreadable, too large, too slow, or not UTF-8.
    """
    try:
        content, status = read_bytes(path, MAX_SIZE)
        return content.decode("utf-8-sig"), secret_files.exposure(path, status)
    except Refusal as refusal:
        reason, hint = refusal.reason, refusal.hint
    except UnicodeDecodeError:
        reason, hint = "not UTF-8 text", "Save it as UTF-8."
    raise Refusal(f"{visible_file(path)}: {reason}", hint)


def bindings(text: str) -> Iterator[Binding]:
    """Read an env file by python-dotenv's rules, without its interpolation; lines without a value are left out.

    ``${NAME}`` in a file from someone else would copy a secret into a host name; a secret keeps its dollars.
    """
    from dotenv.parser import parse_stream

    for binding in parse_stream(io.StringIO(text)):
        written = binding.original.string
        blank = len(written) - len(written.lstrip())
        number = binding.original.line + len(re.findall(r"\r\n|\n|\r", written[:blank]))
        if binding.error:
            guess = _GUESS.match(written, blank)
            yield Binding(guess[1] if guess else "", None, number)
        elif binding.key is not None and binding.value:
            yield Binding(binding.key, binding.value, number)


def entries(directory: str) -> dict[str, str]:
    """Return the files of a secrets directory by name; those that start with a dot are not secrets.

    Raises:
        Refusal: If the directory is absent or cannot be read.
    """
    try:
        return {each.name: each.path for each in os.scandir(directory) if not each.name.startswith(".")}
    except (OSError, ValueError) as error:
        reason = _reason(error)
    raise Refusal(f"{visible_file(directory)}: {reason}", "Name an existing directory that this process may read.")


# --- ots.toml -----------------------------------------------------------------------------------------------


def profile_places() -> list[tuple[str, bool]]:
    """Return where ots.toml is looked for if no variable names it, best first, and whether it is only discovered.

    The one in the working directory is, unless that is the user's configuration directory.
    """
    roaming = os.environ.get("APPDATA") if os.name == "nt" else os.environ.get("XDG_CONFIG_HOME")
    home = roaming or os.path.expanduser("~/.config")  # noqa: PTH111 - pathlib's raises where there is no home
    here, *own = "ots.toml", f"{home}/ots-config/ots.toml", f"{home}/ots.toml"
    known = exists(here) and any(exists(path) and Path(here).samefile(path) for path in own)
    return [(here, not known), *((path, False) for path in own)]


def document(path: str, text: str) -> dict[str, Any]:
    """Return what an ots.toml says.

    Raises:
        Refusal: If it is not TOML, or ``profiles`` is not a table of tables.
    """
    import tomllib

    where = ""
    dotted = next((number for number, line in enumerate(text.split("\n"), 1) if line.count(".") > MAX_DOTS), 0)
    if dotted:
        raise Refusal(f"{path} has more than {MAX_DOTS} dots in line {dotted}", "Correct that line.")
    try:
        found: dict[str, Any] | None = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is no TOMLDecodeError
        line = re.search(r"at line (\d+)", str(error))
        found, where = None, f" (line {line[1]})" if line else ""
    if found is None:
        raise Refusal(f"{path} is not valid TOML{where}", "Correct that line.")
    table = found.setdefault("profiles", {})
    if not isinstance(table, dict) or not all(isinstance(profile, dict) for profile in table.values()):
        raise Refusal(f"{path} has profiles that are not tables", "Begin each with [profiles.NAME].")
    return found


def key_lines(text: str, *table: str) -> dict[str, int]:
    """Return the line of each key of a table, nested with dots, as far as they are found in a bounded time.

    Args:
        text: Valid TOML.
        table: The path of the table; its keys may stand in it, in a part of it, or be written with dots elsewhere.
    """
    import tomllib

    lines: dict[str, int] = {}
    path: tuple[str, ...] = ()
    statement, first, left = "", 0, MAX_PARSED
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        # A statement has as many lines as it takes to be TOML.
        statement, first = (f"{statement}\n{line}", first) if statement else (line, number)
        left -= len(statement)
        if left < 0:
            break
        try:
            keys = list(_keys(tomllib.loads(statement)))
        except (ValueError, RecursionError):
            continue
        if statement.lstrip().startswith("["):
            path, keys = keys[-1], [()]
        statement = ""
        for key in keys:
            whole = (*path, *key)
            if whole[: len(table)] == table:
                lines.setdefault(".".join(whole[len(table) :]), first)
    return lines


def _keys(table: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each value."""
    for name, value in table.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from _keys(value, (*path, name))
