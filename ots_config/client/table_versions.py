"""Whether a table keeps one version of each cell, which decides whether an update of it is safe to repeat."""

from __future__ import annotations

import time

from ots_config.client.codec import Codec
from ots_config.errors import OTSConfigError
from ots_config.request.call import Caller
from ots_config.request.deadline import Deadline
from ots_config.request.retry_decision import FailureKind, classify

KEPT_FOR = 60.0
"""Seconds for which a result is used: another program may change the table."""
_MAX_SECONDS = 2.0
_SHARE = 3


class TableVersions:
    """Asks about tables with DescribeTable, and remembers the results.

    Args:
        codec: The client's.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._known: dict[str, tuple[float, bool]] = {}

    async def keeps_one(self, caller: Caller, table: str, deadline: Deadline) -> bool:
        """Return whether a table is known to keep one version: what cannot be learnt at once is not known.

        Args:
            caller: Asks the service, with one attempt that takes at most 2 s and a third of the remaining time.
            table: The table.
            deadline: That of the call whose repetition depends on it.
        """
        now = time.monotonic()
        asked_at, keeps_one = self._known.get(table, (0.0, False))
        if asked_at and now - asked_at < KEPT_FOR:
            return keeps_one
        remaining = deadline.remaining()
        if remaining <= 0:
            return False
        operation, body = self._codec.encode("DescribeTable", (table,), {})
        outcome = await caller.attempt_once(operation, body, Deadline.after(min(remaining / _SHARE, _MAX_SECONDS)))
        if isinstance(outcome, OTSConfigError):
            if classify(outcome) is FailureKind.FINAL:  # no permission, no such table: asking again changes nothing
                self._known[table] = now, False
            return False
        try:
            keeps_one = bool(self._codec.decode("DescribeTable", outcome).table_options.max_version == 1)
        except OTSConfigError:
            return False
        self._known[table] = now, keeps_one
        return keeps_one
