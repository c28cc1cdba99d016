"""How a call waits, for credentials, for an answer and between two attempts: blocking its thread, or its task only.

``Caller`` is written once, with ``await`` wherever a call may wait. What it awaits of ``SuspendingIO`` gives way to
other tasks. What it awaits of ``BlockingIO`` never does, so ``run`` can carry it to its end without an event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ots_config.credentials.provider import Provider

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials
    from ots_config.request.connection import HTTPResponse

T = TypeVar("T")


class Sends(Protocol):
    """What a blocking call needs of a transport."""

    def send(self, path: str, headers: Mapping[str, str], body: bytes, timeout: tuple[float, float]) -> HTTPResponse:
        """Send one request and return its answer."""
        ...


class SendsInTime(Protocol):
    """What a suspending call needs of a transport."""

    async def send(
        self, path: str, headers: Mapping[str, str], body: bytes, timeouts: tuple[float, float], left: float | None
    ) -> HTTPResponse:
        """Send one request and return its answer, all of it in the seconds that are left."""
        ...


class CallIO(Protocol):
    """What a call waits for; ``left`` is always the seconds left of its deadline, None if there is none."""

    async def credentials(self, left: float | None) -> Credentials:
        """Return the credentials to use now."""
        ...

    async def refresh(self, rejected: Credentials | None, left: float | None) -> Credentials:
        """Return other credentials than those that the service refused, if there are any."""
        ...

    async def send(self, path: str, headers: Mapping[str, str], body: bytes, left: float | None) -> HTTPResponse:
        """Send one request and return its answer."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class BlockingIO:
    """Waits by blocking the thread.

    Args:
        transport: Sends requests.
        provider: Hands out credentials.
        timeout: Seconds to connect, and seconds for an answer.
        sleep: How to wait.
    """

    def __init__(
        self,
        transport: Sends,
        provider: Provider,
        timeout: tuple[float, float],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._provider = provider
        self._transport = transport
        self._timeout = timeout
        self._sleep = sleep

    async def credentials(self, left: float | None) -> Credentials:
        """Return the provider's credentials."""
        return self._provider.get_credentials(left)

    async def refresh(self, rejected: Credentials | None, left: float | None) -> Credentials:
        """Ask the provider for other credentials."""
        return await self.credentials(left) if rejected is None else self._provider.force_refresh(rejected, left)

    async def send(self, path: str, headers: Mapping[str, str], body: bytes, left: float | None) -> HTTPResponse:
        """Send one request and return its answer."""
        return self._transport.send(path, headers, body, clamp_timeouts(self._timeout, left))

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        self._sleep(seconds)


class SuspendingIO:
    """Waits by suspending the task; the event loop is never blocked, whatever the provider does.

    Args:
        transport: Sends requests.
        provider: Hands out credentials.
        timeout: Seconds to connect, and seconds for an answer.
    """

    def __init__(
        self,
        transport: SendsInTime,
        provider: Provider,
        timeout: tuple[float, float],
    ) -> None:
        self._provider = provider
        self._transport = transport
        self._timeout = timeout

    async def credentials(self, left: float | None) -> Credentials:
        """Return the provider's credentials."""
        return await self._provider.get_credentials_async(left)

    async def refresh(self, rejected: Credentials | None, left: float | None) -> Credentials:
        """Ask the provider for other credentials."""
        if rejected is None:
            return await self.credentials(left)
        return await self._provider.force_refresh_async(rejected, left)

    async def send(self, path: str, headers: Mapping[str, str], body: bytes, left: float | None) -> HTTPResponse:
        """Send one request and return its answer."""
        return await self._transport.send(path, headers, body, self._timeout, left)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def run_sync(call: Coroutine[Any, Any, T]) -> T:
    """Carry a call that only awaits ``BlockingIO`` to its end.

    Args:
        call: The coroutine; it never suspends, so one step is all of it.
    """
    try:
        call.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    call.close()
    raise RuntimeError("a blocking call has tried to suspend")


def clamp_timeouts(timeout: tuple[float, float], left: float | None) -> tuple[float, float]:
    """Cut an attempt's timeouts to what is left of the call.

    Args:
        timeout: Seconds to connect, and seconds for an answer.
        left: Seconds left, None for any number.
    """
    connect, read = timeout
    return timeout if left is None or connect <= left >= read else (min(connect, left), min(read, left))
