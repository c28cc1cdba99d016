"""How a call waits for credentials, for a response and between attempts: by blocking its thread, or its task only.

``Caller`` is written once, with ``await`` wherever a call may wait. What it awaits of ``SuspendingIO`` gives way to
other tasks. What it awaits of ``BlockingIO`` never does, so ``run_sync`` can run it to its end without an event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials
    from ots_config.credentials.provider import Provider
    from ots_config.request.deadline import Deadline
    from ots_config.request.http_parser import HTTPResponse

T = TypeVar("T")


class BlockingTransport(Protocol):
    """What a blocking call needs of a transport."""

    def send(
        self, path: str, headers: Mapping[str, str], body: bytes, timeouts: tuple[float, float], deadline: Deadline
    ) -> HTTPResponse:
        """Send one request and return its response."""
        ...


class SuspendingTransport(Protocol):
    """What a suspending call needs of a transport."""

    def send(
        self, path: str, headers: Mapping[str, str], body: bytes, timeouts: tuple[float, float], deadline: Deadline
    ) -> Coroutine[Any, Any, HTTPResponse]:
        """Send one request and return its response."""
        ...


class CallIO(Protocol):
    """What a call waits for. Whoever passes on another coroutine returns it: one of its own would only cost time."""

    def credentials(self, deadline: Deadline) -> Coroutine[Any, Any, Credentials]:
        """Return the credentials to use now."""
        ...

    async def refresh(self, rejected: Credentials, deadline: Deadline) -> Credentials:
        """Return other credentials than those that the service refused, if there are any."""
        ...

    def send(
        self, path: str, headers: Mapping[str, str], body: bytes, deadline: Deadline
    ) -> Coroutine[Any, Any, HTTPResponse]:
        """Send one request and return its response."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class BlockingIO:
    """Waits by blocking the thread.

    Args:
        transport: Sends requests.
        provider: Returns credentials.
        timeouts: Seconds to connect, and seconds for a response.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        transport: BlockingTransport,
        provider: Provider,
        timeouts: tuple[float, float],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = transport
        self._provider = provider
        self._timeouts = timeouts
        self._sleep = sleep

    async def credentials(self, deadline: Deadline) -> Credentials:
        """Return the provider's credentials."""
        return self._provider.get_credentials(deadline.timeout())

    async def refresh(self, rejected: Credentials, deadline: Deadline) -> Credentials:
        """Return what the provider has instead of the rejected credentials."""
        return self._provider.force_refresh(rejected, deadline.timeout())

    async def send(self, path: str, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> HTTPResponse:
        """Send one request and return its response."""
        return self._transport.send(path, headers, body, self._timeouts, deadline)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        self._sleep(seconds)


class SuspendingIO:
    """Waits by suspending the task, and never blocks the event loop.

    Args:
        transport: Sends requests.
        provider: Returns credentials.
        timeouts: Seconds to connect, and seconds for a response.
    """

    def __init__(self, transport: SuspendingTransport, provider: Provider, timeouts: tuple[float, float]) -> None:
        self._transport = transport
        self._provider = provider
        self._timeouts = timeouts

    def credentials(self, deadline: Deadline) -> Coroutine[Any, Any, Credentials]:
        """Return the provider's credentials."""
        return self._provider.get_credentials_async(deadline.timeout())

    async def refresh(self, rejected: Credentials, deadline: Deadline) -> Credentials:
        """Return what the provider has instead of the rejected credentials."""
        return await self._provider.force_refresh_async(rejected, deadline.timeout())

    def send(
        self, path: str, headers: Mapping[str, str], body: bytes, deadline: Deadline
    ) -> Coroutine[Any, Any, HTTPResponse]:
        """Send one request and return its response."""
        return self._transport.send(path, headers, body, self._timeouts, deadline)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def run_sync(call: Coroutine[Any, Any, T]) -> T:
    """Run a call that only awaits ``BlockingIO`` to its end, and return its result.

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
