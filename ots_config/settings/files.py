"""The files that settings are read from, within bounds of size and time: env files, secrets directories, ots.toml."""

from __future__ import annotations

import io
import os
import re
import select
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ots_config.settings.names import visible_file
from ots_config.settings.problems import Refusal

MAX_SIZE = 1 << 20
MAX_WAIT = 5.0
"""Seconds for what comes out of a pipe or a device."""

MAX_DOTS = 200
"""In one line of ots.toml: each dot of a key is a table, and the time to read them grows with their square."""

_GUESS = re.compile(r"(?:export\s+)?([A-Z][A-Z0-9_]*)")


class Binding(NamedTuple):
    """One line of an env file.

    Attributes:
        name: The variable; of a broken line the variable that it seems to set, or ``""``.
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


def exists(path: Path) -> bool:
    """Whether there is something at the path that can be read as a file; a directory named .env cannot."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode)


def read_bytes(path: Path, most: int) -> tuple[bytes, os.stat_result]:
    """Return a file's bytes and its status; read a pipe or a device for at most ``MAX_WAIT`` seconds.

    Raises:
        Refusal: If it is absent, unreadable, larger than so many bytes, or too slow.
    """
    try:
        with open(path, "rb", buffering=0, opener=_open) as file:
            status = os.fstat(file.fileno())
            content = _read(file, most, wait=not stat.S_ISREG(status.st_mode))
        if len(content) <= most:
            return content, status
        reason = f"larger than {most >> 20} MiB"
    except TimeoutError:
        reason = f"no end of file within {MAX_WAIT:g} s"
    except (OSError, ValueError) as error:
        reason = _reason(error)
    raise Refusal(reason, "Correct the path, or the file's permissions.")


def _open(path: str, flags: int) -> int:
    """Open a file; without O_NONBLOCK, opening a pipe waits until another process writes into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _read(file: io.FileIO, most: int, *, wait: bool) -> bytes:
    """Return the bytes up to the end of the file, or one more than ``most``."""
    content, end = bytearray(), time.monotonic() + MAX_WAIT
    poller = select.poll() if wait and hasattr(select, "poll") else None
    if poller is not None:
        poller.register(file, select.POLLIN)
    while len(content) <= most:
        left = end - time.monotonic()
        if poller is not None and (left < 0 or not poller.poll(left * 1000)):
            raise TimeoutError
        chunk = file.read(min(most + 1 - len(content), 1 << 18))
        if chunk == b"":
            break
        content += chunk or b""  # None: another reader of the pipe was faster
    return bytes(content)


def _reason(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or "not a path").lower()


def read(path: Path) -> tuple[str, str]:
    """Read a small text file.

    Returns:
        Its text, and a warning if others may read the file, else ``""``.

    Raises:
        Refusal: If it is absent, unreadable, too large, too slow, or not UTF-8.
    """
    try:
        content, status = read_bytes(path, MAX_SIZE)
        return content.decode("utf-8-sig"), _exposure(path, status)
    except Refusal as refusal:
        reason, hint = refusal.reason, refusal.hint
    except UnicodeDecodeError:
        reason, hint = "not UTF-8 text", "Save it as UTF-8."
    raise Refusal(f"{visible_file(path)}: {reason}", hint)


def _exposure(path: Path, status: os.stat_result) -> str:
    if os.name != "posix" or not status.st_mode & stat.S_IROTH or not stat.S_ISREG(status.st_mode):
        return ""
    # A secret mounted into a container is read-only: nobody there can change its mode.
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return ""
    mode = stat.S_IMODE(status.st_mode)
    return f"{path} contains secrets and everybody can read it (mode {mode:04o}): chmod 600 {path}"


def bindings(text: str) -> Iterator[Binding]:
    """Read an env file by python-dotenv's rules, without its interpolation.

    ``${NAME}`` in a file from someone else would copy a secret into a host name; a secret keeps its dollars.
    """
    from dotenv.parser import parse_stream

    for binding in parse_stream(io.StringIO(text)):
        written = binding.original.string
        blank = len(written) - len(written.lstrip())
        number = binding.original.line + len(re.findall(r"\r\n|\n|\r", written[:blank]))
        if binding.error:
            guess = _GUESS.match(written, blank)
            yield Binding(guess[1] if guess else "", None, number, broken=True)
        elif binding.key is not None:
            yield Binding(binding.key, binding.value, number, broken=False)


def entries(directory: Path) -> dict[str, Path]:
    """Return the files of a secrets directory by name; those that start with a dot are not secrets.

    Raises:
        Refusal: If the directory is absent or cannot be read.
    """
    try:
        return {entry.name: directory / entry.name for entry in os.scandir(directory) if not entry.name.startswith(".")}
    except (OSError, ValueError) as error:
        reason = _reason(error)
    raise Refusal(f"{visible_file(directory)}: {reason}", "Name an existing directory that this process may read.")


# --- ots.toml -----------------------------------------------------------------------------------------------


def profile_places() -> list[tuple[Path, bool]]:
    """Return where ots.toml is looked for if no variable names it, best first, and whether it is only discovered.

    The one in the working directory is, unless that is the user's configuration directory.
    """
    roaming = os.environ.get("APPDATA") if os.name == "nt" else os.environ.get("XDG_CONFIG_HOME")
    home = Path(roaming) if roaming else expand("~/.config")
    own = (home / "ots-config" / "ots.toml", home / "ots.toml")
    here = Path("ots.toml")
    return [(here, not any(_same(here, path) for path in own)), *((path, False) for path in own)]


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def profiles(path: Path, text: str) -> dict[str, Any]:
    """Return the profiles of an ots.toml.

    Raises:
        Refusal: If it is not TOML, or ``profiles`` is not a table of tables.
    """
    import tomllib

    where = ""
    dotted = next((number for number, line in enumerate(text.split("\n"), 1) if line.count(".") > MAX_DOTS), 0)
    if dotted:
        raise Refusal(f"{path} has more than {MAX_DOTS} dots in line {dotted}", "Correct that line.")
    try:
        document: dict[str, Any] | None = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is no TOMLDecodeError
        found = re.search(r"at line (\d+)", str(error))
        document, where = None, f" (line {found[1]})" if found else ""
    if document is None:
        raise Refusal(f"{path} is not valid TOML{where}", "Correct that line.")
    table = document.get("profiles", {})
    if not isinstance(table, dict) or not all(isinstance(profile, dict) for profile in table.values()):
        raise Refusal(f"{path} has profiles that are not tables", "Begin each with [profiles.NAME].")
    return table


def key_lines(text: str, profile: str) -> dict[str, int]:
    """Return the line of each key of a profile, nested with dots, as far as it is certain.

    Only lines count that are TOML by themselves; text in triple quotes may look like such lines, so none count then.
    """
    import tomllib

    lines: dict[str, int] = {}
    path: list[str] = []
    if '"""' in text or "'''" in text:
        return {}
    for number, line in enumerate(text.split("\n"), 1):
        header = line.lstrip().startswith("[")
        if not header and (path[:2] != ["profiles", profile] or "=" not in line):
            continue
        try:
            document = tomllib.loads(line)
        except (ValueError, RecursionError):
            continue
        keys = list(_keys(document))
        if header:
            path = _keys_of_header(document)
        else:
            lines |= {".".join([*path[2:], *key]): number for key in keys}
    return lines


def _keys_of_header(document: dict[str, Any]) -> list[str]:
    path: list[str] = []
    while document:
        (name, inner), *_ = document.items()
        path.append(name)
        document = inner if isinstance(inner, dict) else {}
    return path


def _keys(document: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each value."""
    for name, value in document.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from _keys(value, (*path, name))
