"""A lock that one thread of one process holds at a time, for files that several processes change."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ots_config.credentials.single_flight import reset_after_fork

_PAUSE = 0.02  # seconds between two tries


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class FileLock:
    """One holder at a time, among threads and processes.

    Args:
        path: The file, no symbolic link.
        create: Whether to make the file if need be.
        wait: Seconds to wait for another holder.
        sleep: How to wait.
    """

    def __init__(
        self,
        path: os.PathLike[str],
        *,
        wait: float,
        create: bool = True,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._path = path
        self._wait = wait
        self._create = create
        self._sleep = sleep
        self._descriptor: int | None = None
        self._held = False
        reset_after_fork(self)

    def acquire(self) -> bool:
        """Take the lock.

        Returns:
            Whether it was free in time.

        Raises:
            OSError: If the file cannot be made or the file system knows no locks.
        """
        flags = os.O_RDWR | (os.O_CREAT if self._create else 0) | getattr(os, "O_NOFOLLOW", 0)
        self._descriptor = os.open(self._path, flags, 0o600)
        for _ in range(max(1, int(self._wait / _PAUSE))):
            try:
                _try_lock(self._descriptor)
            except (BlockingIOError, PermissionError):
                self._sleep(_PAUSE)
            except OSError:
                self.after_fork()
                raise
            else:
                self._held = True
                return True
        return False

    def is_current(self) -> bool:
        """Return whether the locked file is still the one at its path: who replaced it has released its own lock."""
        if self._descriptor is None:
            return False
        try:
            there = Path(self._path).lstat()
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._descriptor is not None and self._held:
            _unlock(self._descriptor)
        self.after_fork()

    def after_fork(self) -> None:
        """Close the file: a child that kept it open would keep the lock after its parent's death."""
        descriptor, self._descriptor, self._held = self._descriptor, None, False
        if descriptor is not None:
            os.close(descriptor)
