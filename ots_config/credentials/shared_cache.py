"""Temporary credentials in a file that the processes of one user share, under a file lock."""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.expiry import refresh_window, same_keys
from ots_config.credentials.file_lock import FileLock
from ots_config.credentials.provider import Provider
from ots_config.errors import CredentialsRefused
from ots_config.secret_files import replace_file

logger = logging.getLogger("ots_config.credentials")

_VERSION = 1
_MAX_BYTES = 1 << 16  # bytes; credentials are a few hundred


def cache_directory() -> Path:
    """Return where this user's caches go: ``$XDG_CACHE_HOME``, or what is usual on the platform."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ots-config" / "credentials"


@dataclass(frozen=True, slots=True)
class _CachedFile:
    """Credentials and when they were fetched, in seconds since 1970."""

    credentials: Credentials
    fetched_at: float

    def is_fresh(self, now: float) -> bool:
        """Return whether they are not yet so old that a refresh is due."""
        ends = self.credentials.expires_at
        if ends is None or self.fetched_at > now + 60:  # the clock was set back: the end cannot be trusted
            return False
        return ends.timestamp() - now > refresh_window(ends.timestamp() - self.fetched_at)


class SharedCache(Provider):
    """A source whose credentials are fetched once for all processes; wrap it in ``RefreshingProvider``.

    The file holds secrets as plain text, readable by its owner only; that is why nothing is kept unless you ask for
    it. A file that is damaged, belongs to someone else or can be read by others is not believed, which is logged
    once. If nothing can be kept, each process fetches for itself.

    Credentials that this object has returned before are not taken from the file again: whoever asks once more
    needs newer ones.

    Args:
        source: A provider whose credentials expire.
        directory: Where the files lie; the user's cache directory by default.
        identity: What distinguishes this source's credentials from any other's, without secrets; by default what
            ``source.describe()`` says.
        wait: Seconds to wait for another process that is fetching, before this one fetches all the same.
        sleep: How to wait for it.
        wall: The time of day, in seconds since 1970.
    """

    def __init__(
        self,
        source: Provider,
        directory: str | os.PathLike[str] | None = None,
        *,
        identity: str | None = None,
        wait: float = 30.0,
        sleep: Callable[[float], object] = time.sleep,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._directory = directory
        self._identity = identity
        self._wait = wait
        self._sleep = sleep
        self._wall = wall
        self.name = source.name
        self._last: Credentials | None = None
        self._warned = False

    def fetch_credentials(self) -> Credentials:
        """Return what another process has fetched in the meantime, or fetch and leave it to the others."""
        who = self._who()  # once: a source's description may change while it fetches
        path = self._path_of(who)
        found = self._usable(path, who)
        if found is None:
            with self._locked(path):
                found = self._usable(path, who) or self._fetch(path, who)
        self._last = found
        return found

    @property
    def path(self) -> Path:
        """The file: its name is a digest of who the credentials are for."""
        return self._path_of(self._who())

    def named_by(self) -> str:
        """Return what names the source."""
        return self._source.named_by()

    def check_named(self) -> None:
        """Check the source."""
        self._source.check_named()

    def describe(self) -> str:
        """Return what the source says of itself."""
        return self._source.describe()

    def __repr__(self) -> str:
        return f"<SharedCache of {self._source!r}>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}

    def _who(self) -> str:
        return f"{self.name}\n{self.describe() if self._identity is None else self._identity}"

    def _path_of(self, who: str) -> Path:
        directory = cache_directory() if self._directory is None else Path(self._directory)
        return directory / f"{sha256(who.encode()).hexdigest()[:32]}.json"

    def _fetch(self, path: Path, who: str) -> Credentials:
        credentials = self._source.fetch_credentials()
        if not isinstance(credentials, Credentials):
            raise CredentialsRefused(f"{self.name}: the source returned {type(credentials).__name__}, no Credentials")
        if credentials.expires_at is not None:  # permanent keys are not ours to spread
            try:
                _write(path, _CachedFile(credentials, self._wall()), who)
            except OSError as error:
                self._warn(path, f"cannot be written ({error.strerror})")
        return credentials

    def _usable(self, path: Path, who: str) -> Credentials | None:
        entry = self._read(path, who)
        if entry is None or not entry.is_fresh(self._wall()):
            return None
        if self._last is not None and same_keys(self._last, entry.credentials):
            return None
        return entry.credentials

    def _read(self, path: Path, who: str) -> _CachedFile | None:
        try:
            found = _read(path, who)
        except FileNotFoundError:
            return None
        except OSError as error:
            found = f"cannot be read ({error.strerror})"
        if isinstance(found, _CachedFile):
            return found
        self._warn(path, found)
        return None

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        lock = FileLock(path.with_suffix(".lock"), wait=self._wait, sleep=self._sleep)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            got = lock.acquire()
        except OSError as error:
            self._warn(path, f"cannot be locked ({error.strerror})")
            yield
            return
        if not got:
            self._warn(path, f"is locked by another process for more than {self._wait:g} s")
        try:
            yield
        finally:
            lock.release()

    def _warn(self, path: Path, reason: str) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("%s: the shared credentials in %s are not used: the file %s", self.name, path, reason)


def _read(path: Path, who: str) -> _CachedFile | str:
    """Return what a file holds, or why it is not believed."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return "is no regular file"
        if sys.platform != "win32":
            if status.st_uid != os.geteuid():
                return "belongs to another user"
            if stat.S_IMODE(status.st_mode) & 0o077:
                return "can be read or written by others"
        content = file.read(_MAX_BYTES + 1)
    entry = _parse(content, who) if len(content) <= _MAX_BYTES else None
    return entry or "is damaged"


def _parse(content: bytes, who: str) -> _CachedFile | None:
    try:
        fields = json.loads(content)
        if fields["version"] != _VERSION or fields["who"] != who:
            return None
        expires_at = datetime.fromtimestamp(float(fields["expires_at"]), UTC)
        keys = fields["access_key_id"], fields["access_key_secret"], fields["sts_token"]
        return _CachedFile(Credentials(*keys, expires_at, str(fields["source"])), float(fields["fetched_at"]))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError, RecursionError):
        return None


def _write(path: Path, entry: _CachedFile, who: str) -> None:
    """Replace the file atomically; it is never readable by others."""
    credentials = entry.credentials
    content = json.dumps(
        {
            "version": _VERSION,
            "who": who,
            "access_key_id": credentials.access_key_id,
            "access_key_secret": credentials.get_access_key_secret(),
            "sts_token": credentials.get_security_token(),
            "expires_at": credentials.expires_at and credentials.expires_at.timestamp(),
            "source": credentials.source,
            "fetched_at": entry.fetched_at,
        }
    )
    replace_file(path, content.encode())
