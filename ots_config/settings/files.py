"""The files that settings are read from: env files, secrets directories and ots.toml."""

from __future__ import annotations

import io
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ots_config.settings.ledger import name_of
from ots_config.settings.problems import Refusal

LARGEST = 1 << 20

Signature = tuple[int, ...] | None
"""What tells one state of a file from another; None if it is absent."""


class Binding(NamedTuple):
    """One line of an env file.

    Attributes:
        name: The variable; of a broken line the variable it seems to be about, or ``""``.
        value: Its value, None if there was no equals sign.
        line: The number of its line.
        broken: Whether the line could not be read.
    """

    name: str
    value: str | None
    line: int
    broken: bool


def expand(name: str | os.PathLike[str]) -> Path:
    """Return a path with its ``~`` expanded, as it is if this process has no home."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 - pathlib's raises where there is no home


def signature(path: Path) -> Signature:
    """Return what changes whenever the file does."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return _signature(status)


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev, status.st_mode


def exists(path: Path) -> bool:
    """Whether there is something at the path that can be read as a file; a directory named .env is none."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode)


def read(path: Path, seen: dict[Path, Signature]) -> tuple[str, str]:
    """Read a small text file.

    Args:
        path: The file.
        seen: Gains the signature of what was read.

    Returns:
        Its text, and a warning if others may read the file, else ``""``.

    Raises:
        Refusal: If it is absent, unreadable, too large, or not UTF-8.
    """
    shown = name_of(path)
    raw, status, why = _bytes(path)
    if status is None:
        raise Refusal(f"{shown}: {why}", "Correct the path, or the file's permissions.")
    if len(raw) > LARGEST:
        raise Refusal(f"{shown} is larger than 1 MiB", "Name the right file.")
    # What comes out of a pipe cannot be read again, so it never counts as unchanged.
    seen[path] = _signature(status) if stat.S_ISREG(status.st_mode) else (-1,)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None
    if text is None:
        raise Refusal(f"{shown} is not UTF-8 text", "Save it as UTF-8.")
    return text, _exposure(path, status)


def _bytes(path: Path) -> tuple[bytes, os.stat_result | None, str]:
    """Return a file's bytes and status, or why they cannot be had."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            return file.read(LARGEST + 1), status, ""
    except (OSError, ValueError) as error:
        return b"", None, _why(error)


def _why(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or "not a path").lower()


def _exposure(path: Path, status: os.stat_result) -> str:
    if os.name != "posix" or not status.st_mode & stat.S_IROTH or not stat.S_ISREG(status.st_mode):
        return ""
    # A secret mounted into a container is read-only: nobody there can change its mode.
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return ""
    mode = stat.S_IMODE(status.st_mode)
    return f"{path} holds secrets and everybody can read it (mode {mode:04o}): chmod 600 {path}"


_GUESS = re.compile(r"(?:export\s+)?([A-Z][A-Z0-9_]*)")


def bindings(text: str) -> Iterator[Binding]:
    """Read an env file by python-dotenv's rules, without its interpolation: a secret keeps its dollars."""
    from dotenv.parser import parse_stream

    for binding in parse_stream(io.StringIO(text)):
        written = binding.original.string
        blank = len(written) - len(written.lstrip())
        line = binding.original.line + len(re.findall(r"\r\n|\n|\r", written[:blank]))
        if binding.error:
            guess = _GUESS.match(written, blank)
            yield Binding(guess[1] if guess else "", None, line, broken=True)
        elif binding.key is not None:
            yield Binding(binding.key, binding.value, line, broken=False)


def entries(directory: Path, seen: dict[Path, Signature]) -> dict[str, Path]:
    """Return the files of a secrets directory by name; those that start with a dot are not secrets.

    Raises:
        Refusal: If the directory is absent or cannot be read.
    """
    shown = name_of(directory)
    seen[directory] = signature(directory)
    try:
        return {entry.name: directory / entry.name for entry in os.scandir(directory) if not entry.name.startswith(".")}
    except (OSError, ValueError) as error:
        reason = f"{shown}: {_why(error)}"
    raise Refusal(reason, "Name an existing directory that this process may read.")


def profile_places() -> tuple[Path, ...]:
    """Return where ots.toml is looked for if no variable names it, best first."""
    roaming = os.environ.get("APPDATA") if os.name == "nt" else os.environ.get("XDG_CONFIG_HOME")
    home = Path(roaming) if roaming else expand("~/.config")
    return Path("ots.toml"), home / "ots-config" / "ots.toml", home / "ots.toml"


def profiles(path: Path, text: str) -> dict[str, Any]:
    """Return the profiles of an ots.toml.

    Raises:
        Refusal: If it is not TOML, or ``profiles`` is not a table of tables.
    """
    where = ""
    try:
        document: dict[str, Any] | None = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"at line (\d+)", str(error))
        document, where = None, f" (line {found[1]})" if found else ""
    if document is None:
        raise Refusal(f"{path} is not valid TOML{where}", "Correct that line.")
    table = document.get("profiles", {})
    if not isinstance(table, dict) or not all(isinstance(profile, dict) for profile in table.values()):
        raise Refusal(f"{path} has profiles that are not tables", "Head each with [profiles.NAME].")
    return table
