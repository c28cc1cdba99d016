"""The log of a client: its logger, with a file if the name asks for one, and the records of failed calls.

Records carry their facts as attributes too, for formatters that write JSON: ``ots_operation``, ``ots_code``,
``ots_request_id``, ``ots_attempts``, ``ots_elapsed`` and ``ots_may_have_happened``. The prefix keeps them apart from
what a program adds to its own records, as ``request_id`` often is.
"""

from __future__ import annotations

import logging
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from ots_config.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ots_config.errors import OTSConfigError

DEFAULT_NAME = "ots_config"
_FILE_SIZE = 10 * 1024 * 1024
_FILES_KEPT = 5
_lock = Lock()

EXPECTED_CODES = frozenset({"OTSConditionCheckFail"})
"""What the service reports when it did what was asked: the condition of a write was checked, and it does not hold."""

REPEAT_AFTER = 60.0
"""Seconds in which failures of one operation with one code leave one record."""

_MAX_KINDS = 1000  # of failures that are remembered; a client has far fewer


def logger_named(name: str | None) -> logging.Logger:
    """Return the logger of a client's requests.

    A name that ends in ``.log`` names a file as well, as in the service's documentation: the records go there, from
    DEBUG on and unless the program has set the logger up itself to nowhere else. The file is opened by its first
    record and rotates at 10 MB; five old ones are kept.

    Args:
        name: The logger's name; None is ``ots_config``.
    """
    logger = logging.getLogger(name or DEFAULT_NAME)
    if name is None or not name.endswith(".log"):
        return logger
    path = str(Path(name).absolute())
    with _lock:
        if not any(getattr(handler, "baseFilename", None) == path for handler in logger.handlers):
            if not logger.handlers and logger.level == logging.NOTSET:
                logger.setLevel(logging.DEBUG)
                logger.propagate = False  # or each request would also be printed by the program's own handlers
            handler = RotatingFileHandler(
                path, maxBytes=_FILE_SIZE, backupCount=_FILES_KEPT, encoding="utf-8", delay=True
            )
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            logger.addHandler(handler)
    return logger


class FailureLog:
    """Logs the failed calls of one client, those of one operation with one code once a minute.

    Args:
        logger: Gets an ERROR record with how many were left out since the last one; those are DEBUG records. What is no
            failure, as a condition that does not hold, is a DEBUG record always.
        clock: Returns seconds.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._logged: dict[tuple[str, str], tuple[float, int]] = {}

    def add(self, operation: str, error: OTSConfigError) -> None:
        """Log that a call ended with an error."""
        level = logging.DEBUG if error.code in EXPECTED_CODES else logging.ERROR
        text, left_out = "%s failed: %s", 0
        if level == logging.ERROR:
            kind = (operation, error.code)
            now = self._clock()
            logged_at, left_out = self._logged.get(kind, (now - REPEAT_AFTER, 0))
            if now - logged_at < REPEAT_AFTER:
                level = logging.DEBUG
                self._logged[kind] = (logged_at, left_out + 1)
            else:
                if len(self._logged) >= _MAX_KINDS:
                    self._logged.clear()
                self._logged[kind] = (now, 0)
                if left_out:
                    text += f" ({left_out} more like it since the last record)"
        self._logger.log(level, text, operation, error, extra={**fields_of(error), "ots_operation": operation})


def fields_of(error: OTSConfigError) -> dict[str, object]:
    """Return the attributes of a record about an error."""
    fields: dict[str, object] = {"ots_code": error.code, "ots_request_id": error.request_id}
    if isinstance(error, RequestError):
        fields["ots_operation"] = error.operation
        fields["ots_attempts"] = error.attempts
        fields["ots_elapsed"] = error.elapsed
        fields["ots_may_have_happened"] = error.may_have_happened
    return fields
