"""How a call waits, for credentials, for an answer and between two attempts: blocking its thread, or its task only.

``Caller`` is written once, with ``await`` wherever a call may wait. What it awaits of ``SuspendingIO`` gives way to
other tasks. What it awaits of ``BlockingIO`` never does, so ``run`` can carry it to its end without an event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ots_config.credentials.credentials import Credentials, CredentialsProvider
from ots_config.errors import CredentialsRefused, OTSConfigError, stopped_by_filter

if TYPE_CHECKING:
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


class _Asking:
    """A provider of anyone's: whatever it does becomes a snapshot of ours or an error of ours."""

    def __init__(self, provider: CredentialsProvider) -> None:
        self._provider: Any = provider
        self._official_snapshot: tuple[Any, Credentials | None] = (None, None)

    def _snapshot(self, found: Any) -> Credentials:
        if type(found) is Credentials:
            return found
        known, ours = self._official_snapshot
        if known is found and ours is not None:
            return ours
        name = type(self._provider).__name__
        try:
            ours = Credentials(
                found.get_access_key_id(),
                found.get_access_key_secret(),
                found.get_security_token(),
                source=name,
            )
        except (AttributeError, TypeError, ValueError) as error:
            failure = CredentialsRefused(f"{name} returned no usable credentials: {type(error).__name__}")
        else:
            self._official_snapshot = (found, ours)
            return ours
        raise failure

    def _failure(self, error: Exception) -> OTSConfigError:
        """Return what to raise for a provider's failure; the text of a foreign one may hold secrets."""
        if isinstance(error, OTSConfigError):
            return error
        if isinstance(error, Warning):
            return stopped_by_filter(error, type(self._provider).__name__)
        return CredentialsRefused(f"{type(self._provider).__name__} failed with {type(error).__name__}")


class BlockingIO(_Asking):
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
        provider: CredentialsProvider,
        timeout: tuple[float, float],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(provider)
        self._transport = transport
        self._timeout = timeout
        self._sleep = sleep
        self._get = _timed(provider.get_credentials)
        force = getattr(provider, "force_refresh", None)
        self._force = None if force is None else _timed(force)

    async def credentials(self, left: float | None) -> Credentials:
        """Return the provider's credentials."""
        try:
            return self._snapshot(self._get(left))
        except Exception as error:  # noqa: BLE001 - whatever a foreign provider raises
            failure = self._failure(error)
        raise failure

    async def refresh(self, rejected: Credentials | None, left: float | None) -> Credentials:
        """Have the provider refresh its credentials, or ask it again if it cannot."""
        if self._force is None:
            return await self.credentials(left)
        try:
            return self._snapshot(self._force(left, rejected))
        except Exception as error:  # noqa: BLE001 - as above
            failure = self._failure(error)
        raise failure

    async def send(self, path: str, headers: Mapping[str, str], body: bytes, left: float | None) -> HTTPResponse:
        """Send one request and return its answer."""
        return self._transport.send(path, headers, body, clamp_timeouts(self._timeout, left))

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        self._sleep(seconds)


class SuspendingIO(_Asking):
    """Waits by suspending the task; the event loop is never blocked, whatever the provider does.

    Args:
        transport: Sends requests.
        provider: Hands out credentials. It is awaited if it has ``get_credentials_async``, called on the event loop
            if it answers at once, and in a thread of its own if neither is known.
        timeout: Seconds to connect, and seconds for an answer.
        instant: Whether the provider answers at once; None takes its own word, ``provider.instant``.
    """

    def __init__(
        self,
        transport: SendsInTime,
        provider: CredentialsProvider,
        timeout: tuple[float, float],
        *,
        instant: bool | None = None,
    ) -> None:
        super().__init__(provider)
        self._transport = transport
        self._timeout = timeout
        self._instant = bool(getattr(provider, "instant", False)) if instant is None else instant
        self._get = self._awaitable("get_credentials")
        self._force = self._awaitable("force_refresh") if hasattr(provider, "force_refresh") else None

    async def credentials(self, left: float | None) -> Credentials:
        """Return the provider's credentials."""
        try:
            return self._snapshot(await self._get(left))
        except Exception as error:  # noqa: BLE001 - whatever a foreign provider raises
            failure = self._failure(error)
        raise failure

    async def refresh(self, rejected: Credentials | None, left: float | None) -> Credentials:
        """Have the provider refresh its credentials, or ask it again if it cannot."""
        if self._force is None:
            return await self.credentials(left)
        try:
            return self._snapshot(await self._force(left, rejected))
        except Exception as error:  # noqa: BLE001 - as above
            failure = self._failure(error)
        raise failure

    async def send(self, path: str, headers: Mapping[str, str], body: bytes, left: float | None) -> HTTPResponse:
        """Send one request and return its answer."""
        return await self._transport.send(path, headers, body, self._timeout, left)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def _awaitable(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Return a provider's method as one to await, by the way that blocks the event loop least."""
        asynchronous = getattr(self._provider, f"{name}_async", None)
        if asynchronous is not None:
            return _timed(asynchronous)
        method = _timed(getattr(self._provider, name))

        async def at_once(left: float | None, *arguments: Any) -> Any:
            return method(left, *arguments)

        async def in_a_thread(left: float | None, *arguments: Any) -> Any:
            clock = asyncio.timeout(left)
            try:
                async with clock:
                    return await asyncio.to_thread(method, left, *arguments)
            except TimeoutError:
                if not clock.expired():
                    raise  # the provider's own
            raise CredentialsRefused(f"{type(self._provider).__name__}: no answer within {left:.3g} s")

        return at_once if self._instant else in_a_thread


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


def _timed(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a provider's method as one that takes the seconds left first, and passes them on if they are wanted."""
    try:
        wanted = "timeout" in signature(method).parameters
    except (TypeError, ValueError):  # not every callable can tell
        wanted = False
    if wanted:
        return lambda left, *arguments: method(*arguments, timeout=left)
    return lambda _left, *arguments: method(*arguments)


def clamp_timeouts(timeout: tuple[float, float], left: float | None) -> tuple[float, float]:
    """Cut an attempt's timeouts to what is left of the call.

    Args:
        timeout: Seconds to connect, and seconds for an answer.
        left: Seconds left, None for any number.
    """
    connect, read = timeout
    return timeout if left is None or connect <= left >= read else (min(connect, left), min(read, left))
