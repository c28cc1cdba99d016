"""Reads credentials anew when the file they are in changes, or periodically where no change can be seen."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ots_config.credentials.refresh import RefreshingProvider
from ots_config.secret_files import Fingerprint, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ots_config.credentials.credentials import Credentials
    from ots_config.credentials.provider import Provider


class FileWatchingProvider(RefreshingProvider):
    """Credentials that somebody may change where they are kept: a profile file, an env file, a keyring entry.

    With ``paths`` the files are checked every ``period`` seconds and read only when one of them changed. Without,
    the source is read every ``period`` seconds in the background. If the new content cannot be read, the last good
    credentials stay in use, which is logged once, and the next change is tried at once.

    Args:
        source: A provider whose ``fetch_credentials`` reads anew each time.
        paths: The files that the source reads, whether they exist or not.
        period: Seconds between two checks; 1 with paths, 60 without.
        options: As for ``RefreshingProvider``.
    """

    __slots__ = ("_check_every", "_paths", "_period", "_tried")

    def __init__(
        self,
        source: Provider,
        *,
        paths: Iterable[str | os.PathLike[str]] = (),
        period: float | None = None,
        **options: Any,
    ) -> None:
        self._paths = tuple([path if isinstance(path, Path) else Path(path) for path in paths])
        self._period = period
        self._tried: tuple[Fingerprint, ...] = ()
        if self._paths:
            self._check_every = 1.0 if period is None else period
        else:
            self._check_every = math.inf
            options["max_age"] = 60.0 if period is None else period
        super().__init__(source, **options)

    def _changed(self) -> bool:
        return bool(self._paths) and self._fingerprints() != self._tried

    def _ask(self, rejected: Credentials | None) -> Credentials:
        # Taken before the file is read: a change in between is seen at the next check.
        self._tried = self._fingerprints()
        return super()._ask(rejected)

    def _fingerprints(self) -> tuple[Fingerprint, ...]:
        return tuple(fingerprint(path) for path in self._paths)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if not self._paths:
            del state["max_age"]
        return {**state, "paths": self._paths, "period": self._period}
