"""Where requests are logged: the logger that a client was given the name of, with a file if the name asks for one."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path
from threading import Lock

DEFAULT_NAME = "ots_config"
_FILE_SIZE = 10 * 1024 * 1024
_FILES_KEPT = 5
_lock = Lock()


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
