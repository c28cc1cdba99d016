"""Write rows with ``bulk_write`` where the interpreter ends, or where Ctrl-C is pressed, and print the report.

Usage: job.py HOW ENDPOINT COUNT, where HOW is ``thread`` (a thread that outlives the main thread), ``atexit`` (a
function of ``atexit``) or ``main``.
"""

import atexit
import json
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from ots_config import OTSClient
from ots_config.sdk import tablestore as ts

read: list[int] = []


def rows(how: str, count: int) -> Iterator[Any]:
    """Yield rows; of a thread most of them when the main thread has ended."""
    for number in range(count):
        if how == "thread" and number == count // 10:
            threading.main_thread().join()
        read.append(number)
        yield ts.UpdateRowItem(ts.Row([("id", number)], {"INCREMENT": [("n", 1)]}), ts.Condition("IGNORE"))


def interrupt(*_: object) -> None:
    """Handle Ctrl-C as the interpreter does, and show that it has come."""
    print("interrupted", flush=True)  # noqa: T201
    raise KeyboardInterrupt


def write(how: str, endpoint: str, count: int) -> None:
    """Write the rows, and print what became of them as JSON."""
    error = None
    with OTSClient(endpoint, "testid", "testsecret", "demo") as client:
        try:
            report = client.bulk_write("t", rows(how, count), max_rows=10)
        except KeyboardInterrupt as stop:
            error, report = "KeyboardInterrupt", vars(stop)["report"]
    shown = {
        "read": len(read),
        "written": report.written,
        "failed": [[row.position, row.code, row.may_have_happened] for row in report.failed],
        "error": error,
    }
    print(json.dumps(shown), flush=True)  # noqa: T201


def main(how: str, endpoint: str, count: int) -> None:
    """Start the job."""
    print("started", flush=True)  # noqa: T201
    if how == "thread":
        threading.Thread(target=write, args=(how, endpoint, count)).start()
    elif how == "atexit":
        atexit.register(write, how, endpoint, count)
    else:
        signal.signal(signal.SIGINT, interrupt)
        write(how, endpoint, count)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
