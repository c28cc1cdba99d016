"""Where files of profiles are, and how they are read: failures name the file, never its content."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ots_config.credentials.result import SourceFailure
from ots_config.secret_files import read_bounded


def user_home(given: Path | str | None = None) -> Path:
    """Return the user's home now: what was given, else ``HOME``, else ``USERPROFILE``, else the system's answer."""
    named = given or os.environ.get("HOME") or os.environ.get("USERPROFILE")
    return Path(named) if named else Path.home()


def read_text(path: Path, *, required: bool) -> str | SourceFailure:
    """Read a file of profiles.

    Args:
        path: The file.
        required: Whether somebody named it, so that its absence is a failure.
    """
    try:
        return read_bounded(path)[0].decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return SourceFailure(f"{path} does not exist", applies=required)
    except UnicodeDecodeError:
        return SourceFailure(f"{path} cannot be read: it is not UTF-8")
    except OSError as error:
        if error.errno == errno.EFBIG:
            return SourceFailure(f"{path} is too large for a file of credentials")
        return SourceFailure(f"{path} cannot be read: {error.strerror or type(error).__name__}")
