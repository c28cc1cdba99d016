"""One line for each request of an emulator, written beside the server so that a slow terminal delays no request."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from time import localtime, strftime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ots_config.shown_text import printable

if TYPE_CHECKING:
    from ots_config.emulator import Emulator
    from ots_config.emulator.request_log import LogEntry

_PAUSE = 0.05  # seconds between two writes
_MAX_LINES = 500  # of one write; more are counted only
_WAIT_AT_END = 1.0  # seconds for the last lines


def request_line(entry: LogEntry) -> str:
    """Return the line of a request: time, operation, table, status, error code, duration and injected fault."""
    at = f"{strftime('%H:%M:%S', localtime(entry.at))}.{int(entry.at * 1000) % 1000:03}"
    status = "-" if entry.status is None else str(entry.status)
    line = (
        f"{at}  {entry.operation:<20} {entry.table or '-':<20} {status:<4} {entry.code or '-':<24} "
        f"{entry.seconds * 1000:8.1f} ms"
    )
    return printable(line if entry.fault is None else f"{line}  fault: {entry.fault}")


class RequestPrinter:
    """Writes a line for each request while it is entered.

    Args:
        emulator: The emulator.
        descriptor: The file to write to.
    """

    def __init__(self, emulator: Emulator, descriptor: int) -> None:
        self._emulator = emulator
        self._descriptor = descriptor
        self._waiting: deque[LogEntry] = deque()
        self._dropped = 0
        self._stopped = threading.Event()
        # A daemon, as it may hang in a pipe that nobody reads; it writes without the lock of sys.stdout.
        self._thread = threading.Thread(target=self._run, name="ots-emulator-requests", daemon=True)

    def __enter__(self) -> Self:
        self._emulator.watch(self._add)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        time.sleep(_PAUSE)  # a request whose response has just left is being recorded
        self._emulator.unwatch(self._add)
        self._stopped.set()
        self._thread.join(_WAIT_AT_END)

    def _add(self, entry: LogEntry) -> None:
        if len(self._waiting) < _MAX_LINES:
            self._waiting.append(entry)
        else:
            self._dropped += 1

    def _run(self) -> None:
        try:
            while not self._stopped.wait(_PAUSE):
                self._write()
            self._write()
        except OSError:  # whoever read the lines is gone
            self._emulator.unwatch(self._add)

    def _write(self) -> None:
        lines = [request_line(self._waiting.popleft()) for _ in range(len(self._waiting))]
        dropped, self._dropped = self._dropped, 0
        if dropped:
            lines.append(f"... and {dropped} more")
        if lines:
            data = memoryview(("\n".join(lines) + "\n").encode())
            while data:
                data = data[os.write(self._descriptor, data) :]
