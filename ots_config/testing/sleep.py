"""Clients that do not wait between attempts, for tests of retries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch


@contextmanager
def no_sleep() -> Iterator[list[float]]:
    """Let no client of this process wait between attempts, nor a scan between pages, while the block runs.

    Yields:
        The delays that were left out, in seconds, as they are asked for. Deadlines go on by the real clock.
    """
    import asyncio

    from ots_config.client import scan
    from ots_config.request import io

    delays: list[float] = []

    async def note(_: Any, seconds: float) -> None:
        delays.append(seconds)

    async def note_and_yield(_: Any, seconds: float) -> None:
        delays.append(seconds)
        await asyncio.sleep(0)

    with ExitStack() as stack:
        for owner, name, replacement in (
            (io.BlockingIO, "sleep", note),
            (io.SuspendingIO, "sleep", note_and_yield),
            (scan.Scan, "_sleep", note),
            (scan.AsyncScan, "_sleep", note_and_yield),
        ):
            stack.enter_context(patch.object(owner, name, replacement))
        yield delays
