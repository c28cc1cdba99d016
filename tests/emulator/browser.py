"""Headless Chromium, driven by its own protocol; only what the tests of the console need."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
from itertools import count
from pathlib import Path
from typing import Any, Self

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_WAIT = 30.0  # seconds
_OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*", "--window-size=1500,950"),
]


class Browser:
    """One page of a browser of its own.

    Args:
        folder: An empty directory for its profile.
    """

    def __init__(self, folder: Path) -> None:
        assert CHROMIUM is not None
        self._folder = folder
        self._process = subprocess.Popen(
            [CHROMIUM, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._numbers = count(1)
        self.messages: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        file = self._folder / "DevToolsActivePort"
        async with asyncio.timeout(_WAIT):
            while not (file.exists() and "\n" in file.read_text()):  # noqa: ASYNC110  a file has no event
                await asyncio.sleep(0.05)
        port = file.read_text().split()[0]
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as response:
            pages = [page for page in await response.json() if page["type"] == "page"]
        self._socket = await self._session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._session.close()
        self._process.kill()
        self._process.wait(20)

    async def send(self, method: str, **parameters: Any) -> Any:
        """Send a command and return its result; events that come meanwhile are kept in ``messages``."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_WAIT):
            while True:
                message = json.loads((await self._socket.receive()).data)
                if message.get("id") == number:
                    assert "error" not in message, message
                    return message["result"]
                self.messages.append(message)

    async def run(self, script: str) -> Any:
        """Return the value of an expression of JavaScript."""
        result = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def wait_for(self, script: str) -> Any:
        """Return the value of an expression as soon as it is true."""
        async with asyncio.timeout(_WAIT):
            while not (value := await self.run(script)):  # noqa: ASYNC110  nor has a page
                await asyncio.sleep(0.05)
        return value

    async def open(self, url: str) -> None:
        """Open a page, as if its address had been typed."""
        await self.send("Page.navigate", url=url)
        await self.wait_for(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    async def screenshot(self) -> bytes:
        """Return what the page looks like, as PNG."""
        return base64.b64decode((await self.send("Page.captureScreenshot"))["data"])
