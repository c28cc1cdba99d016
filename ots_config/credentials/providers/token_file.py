"""The tokens of one sign-in in the Aliyun CLI's file, read and replaced under a lock."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ots_config.credentials.file_lock import FileLock
from ots_config.secret_files import read_bounded, replace_file

logger = logging.getLogger("ots_config.credentials")

_WAIT: Final = 30.0
"""Seconds to wait for another process that renews the tokens: twice what its request may take."""


class TokenFile:
    """The fields of one profile in the CLI's file.

    A service may end a refresh token when it gives a new one. So whoever renews a token holds a lock from reading the
    file until the new token is in it: no token is used twice, and the CLI and other processes stay signed in. The file
    itself is locked, as Alibaba Cloud's SDKs do.

    Args:
        path: The file; a symbolic link is followed.
        profile: The profile's name.
        wait: Seconds to wait for another holder of the lock.
        sleep: How to wait.
    """

    def __init__(
        self, path: Path, profile: str, *, wait: float = _WAIT, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._path = path
        self._profile = profile
        self._wait = wait
        self._sleep = sleep

    @contextmanager
    def locked(self) -> Iterator[Mapping[str, Any] | None]:
        """Hold the lock, and give the profile's fields as they are now; None if the file cannot be locked or read.

        Raises:
            TimeoutError: If another process held the lock all the time.
        """
        path = Path(os.path.realpath(self._path))
        # Windows does not replace a file that is open.
        beside = None if os.name == "posix" else path.with_name(f"{path.name}.lock")
        lock = FileLock(beside or path, wait=self._wait, create=beside is not None, sleep=self._sleep)
        try:
            fields = self._fields(path) if self._acquire(lock) else None
        except (OSError, ValueError, RecursionError) as error:
            lock.release()
            if isinstance(error, TimeoutError):
                raise
            fields = None
        try:
            yield fields
        finally:
            lock.release()

    def replace(self, changes: Mapping[str, Any]) -> bool:
        """Replace fields of the profile, and nothing else of the file; call it while the lock is held.

        Returns:
            Whether that could be done; if not, a warning says so.
        """
        path = Path(os.path.realpath(self._path))
        try:
            document = _read(path)
            fields = _profile(document, self._profile)
            if fields is not None:
                fields.update(changes)
                replace_file(path, json.dumps(document, indent="\t", ensure_ascii=False).encode())
                return True
            reason = f"it has no profile {self._profile} any more"
        except (OSError, ValueError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
        logger.warning(
            "the new tokens of profile %s cannot be written to %s (%s): they are kept in memory, and the Aliyun CLI "
            "may ask for a new sign-in",
            self._profile,
            path,
            reason,
        )
        return False

    def _acquire(self, lock: FileLock) -> bool:
        """Lock the file that is there now; it may be replaced while this waits."""
        ends = time.monotonic() + self._wait
        while lock.acquire():
            if lock.is_current():
                return True
            lock.release()
            if time.monotonic() > ends:
                break
        raise TimeoutError

    def _fields(self, path: Path) -> Mapping[str, Any] | None:
        return _profile(_read(path), self._profile)


def _read(path: Path) -> Any:
    return json.loads(read_bounded(path)[0].decode("utf-8-sig"))


def _profile(document: Any, name: str) -> dict[str, Any] | None:
    """Return a profile's fields; of two of the same name the CLI takes the first."""
    profiles = document.get("profiles") if isinstance(document, dict) else None
    for fields in profiles if isinstance(profiles, list) else []:
        if isinstance(fields, dict) and fields.get("name") == name:
            return fields
    return None
