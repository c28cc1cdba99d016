"""Files with secrets: reads and replaces them, notices changes, and says which ones other users can read."""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 4 << 20
MAX_SECONDS: Final = 10.0

_warned: set[str] = set()

Fingerprint = tuple[int, ...] | None
"""What differs between two contents of a file; None if there is no such file."""


def fingerprint(path: str | os.PathLike[str]) -> Fingerprint:
    """Return what changes whenever the file does; the change time reveals writers that restore the old mtime."""
    try:
        return fingerprint_of(os.stat(path))  # noqa: PTH116 - called once a second for each file: a microsecond counts
    except (OSError, ValueError):
        return None


def fingerprint_of(status: os.stat_result) -> tuple[int, ...]:
    """Return the fingerprint of a file whose status is known."""
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev, status.st_mode


def read_bounded(path: Path, limit: int = MAX_BYTES, seconds: float = MAX_SECONDS) -> tuple[bytes, os.stat_result]:
    """Read a file, or a pipe that a shell put in its place.

    Args:
        path: The file.
        limit: How many bytes it may have.
        seconds: How long whoever writes into a pipe may take.

    Returns:
        The content and the file's status.

    Raises:
        OSError: If it cannot be read; EFBIG if it is too large, ETIMEDOUT if nothing more came in time.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) or os.name == "nt":
            content = file.read(limit + 1)
        else:
            content = _read_pipe(descriptor, limit + 1, seconds)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes")
    return content, status


def _read_pipe(descriptor: int, limit: int, seconds: float) -> bytes:
    import select

    ends, content = time.monotonic() + seconds, bytearray()
    while len(content) < limit:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, ends - time.monotonic()))
        if not ready:
            raise OSError(errno.ETIMEDOUT, f"nothing more came within {seconds:g} s")
        piece = os.read(descriptor, min(65536, limit - len(content)))
        if not piece:
            break
        content += piece
    return bytes(content)


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file atomically; what it holds is never readable by others, and a file of somebody else stays theirs.

    Args:
        path: The file, which need not exist; no symbolic link. Only the holder of its lock may replace it.
        content: What it shall hold.

    Raises:
        OSError: If that cannot be done; then the file is what it was.
    """
    new = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):  # left by a process that died
        new.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
            if os.name == "posix" and path.exists() and (status := path.stat()).st_uid != os.geteuid():
                os.chown(file.fileno(), status.st_uid, status.st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise


def write_private_file(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all, also beside others that write it.

    Args:
        path: The file, which need not exist; no symbolic link. Its folder exists.
        text: What it shall hold, as UTF-8.

    Raises:
        OSError: If that cannot be done; then the file is what it was.
    """
    import tempfile

    descriptor, written = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(written).replace(path)
    except BaseException:
        Path(written).unlink(missing_ok=True)
        raise


def warn_if_exposed(path: Path, logger: logging.Logger) -> None:
    """Log once for each file with secrets that other users can read or change it."""
    if str(path) in _warned:
        return
    try:
        warning = exposure(path, path.stat())
    except OSError:
        return
    if warning:
        _warned.add(str(path))
        logger.warning("%s", warning)


def exposure(path: str | os.PathLike[str], status: os.stat_result) -> str:
    """Return a warning if users other than the owner can read or change a file with secrets, else ``""``."""
    if os.name != "posix" or not status.st_mode & 0o066 or not stat.S_ISREG(status.st_mode):
        return ""
    # A secret mounted into a container is read-only: nobody there can change its mode.
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return ""
    mode = stat.S_IMODE(status.st_mode)
    return f"{path} holds secrets and other users can read or change it (mode {mode:03o}): chmod 600 {path}"
