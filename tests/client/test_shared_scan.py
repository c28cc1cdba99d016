"""A scan that two threads or tasks use at once: the second one is refused, and the first one reads every row once."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ots_config import AsyncOTSClient, Emulator, OTSClient
from ots_config.sdk import tablestore as ts


def write_rows(client: OTSClient, count: int) -> None:
    """Write rows to the table ``t``."""
    client.bulk_write("t", [ts.Row([("gid", n), ("uid", "a")], [("n", n)]) for n in range(count)])


def test_two_threads(emulator: Emulator, connect: Callable[..., OTSClient], monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread waits for a page, the other one's ``next`` raises ValueError; no row is lost or read twice."""
    client = connect()
    write_rows(client, 30)
    waiting, go_on = threading.Event(), threading.Event()
    get_range = client.get_range

    def slow(**arguments: Any) -> Any:
        waiting.set()
        assert go_on.wait(20)
        return get_range(**arguments)

    monkeypatch.setattr(client, "get_range", slow)
    scan = client.scan("t", page_size=10)
    rows: list[Any] = []
    first = threading.Thread(target=lambda: rows.extend(scan))
    first.start()
    assert waiting.wait(20)
    with pytest.raises(ValueError, match="already executing"):
        next(scan)
    go_on.set()
    first.join()
    assert [row.primary_key[0][1] for row in rows] == list(range(30))
    assert scan.done
    assert next(scan, None) is None
    assert emulator.log()


@pytest.mark.asyncio
async def test_two_tasks(connect: Callable[..., OTSClient], connect_async: Callable[..., AsyncOTSClient]) -> None:
    """Of two tasks that read one scan, the one that comes second is refused, and the other one reads every row."""
    write_rows(connect(), 30)
    scan = connect_async().scan("t", page_size=10)

    async def read() -> list[int]:
        return [row.primary_key[0][1] async for row in scan]

    first, second = await asyncio.gather(read(), read(), return_exceptions=True)
    assert first == list(range(30))
    assert isinstance(second, ValueError)


def test_an_interrupted_scan_can_be_used_again(
    connect: Callable[..., OTSClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C within a page the scan reads that page again."""
    client = connect()
    write_rows(client, 5)
    scan = client.scan("t")
    with monkeypatch.context() as patched:
        patched.setattr(client, "get_range", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            next(scan)
    assert len(list(scan)) == 5
