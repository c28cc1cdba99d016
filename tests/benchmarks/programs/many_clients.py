"""Make clients, write one row with each and drop them; print what is left of them, before and after.

Usage: many_clients.py OURS|OFFICIAL ENDPOINT COUNT
"""

import gc
import json
import logging
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from time import thread_time
from typing import Any

from ots_config import OTSClient
from ots_config.sdk import tablestore

SHARE = 20  # the first and the last twentieth of the clients are timed


def left() -> dict[str, int]:
    """Count what a client could leave behind; memory in KiB."""
    gc.collect()
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    sockets = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # one of them is that of this directory
            sockets += str(descriptor.readlink()).startswith("socket:")
    return {
        "threads": threading.active_count(),
        "sockets": sockets,
        "handlers": sum(len(getattr(logger, "handlers", ())) for logger in loggers),
        "memory": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024,
    }


def main(kind: str, endpoint: str, count: int) -> dict[str, Any]:
    """Make the clients."""
    make = OTSClient if kind == "OURS" else tablestore.OTSClient
    row = tablestore.Row([("gid", 1), ("uid", "u")], [("n", 1)])

    def use(times: int) -> float:
        started = thread_time()
        for _ in range(times):
            make(endpoint, "testid", "testsecret", "demo").put_row("t", row)
        return (thread_time() - started) / times * 1e6

    share = count // SHARE
    use(share)  # what is loaded and cached by use is no leak
    before = left()
    first = use(share)
    use(count - 2 * share)
    last = use(share)
    return {"before": before, "after": left(), "first": first, "last": last}


print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))  # noqa: T201
