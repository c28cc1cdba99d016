"""Files with secrets that the user keeps: where they are, what they hold, who else can read them."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ots_config.credentials.result import SourceFailure

logger = logging.getLogger("ots_config.credentials")

LARGEST_FILE: Final = 4 << 20

_warned: set[str] = set()


def home_of(environ: Mapping[str, str] | None, home: Path | str | None = None) -> Path:
    """Return the user's home as it is now: what was given, else ``HOME``, else ``USERPROFILE``, else the system's."""
    if home is not None:
        return Path(home)
    known = os.environ if environ is None else environ
    named = known.get("HOME") or known.get("USERPROFILE")
    return Path(named) if named else Path.home()


def read_text(path: Path, *, required: bool) -> str | SourceFailure:
    """Read a file with secrets.

    Args:
        path: The file.
        required: Whether somebody named it, so that its absence is a failure.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            return SourceFailure(f"{path} is too large for a file of credentials")
        return path.read_text("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return SourceFailure(f"{path} does not exist", applies=required)
    except OSError as error:
        return SourceFailure(f"{path} cannot be read: {error.strerror or type(error).__name__}")
    except UnicodeDecodeError:
        return SourceFailure(f"{path} cannot be read: it is not UTF-8")


def version(path: Path) -> tuple[int, int, int, int] | None:
    """Return what changes when a file does; None if there is no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def warn_if_exposed(path: Path) -> None:
    """Warn once for each file with secrets that others than its owner can read or change."""
    if os.name == "nt" or str(path) in _warned:
        return
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return
    if mode & 0o066:
        _warned.add(str(path))
        logger.warning("%s holds secrets and other users can read or change it (mode %03o): chmod 600 it", path, mode)
