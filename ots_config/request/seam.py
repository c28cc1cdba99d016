"""Temporary: makes any provider answer as the base class does, until the credentials package has its own adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from inspect import signature
from typing import Any, cast

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.provider import Provider
from ots_config.errors import CredentialsRefused, OTSConfigError


class _Seam:
    def __init__(self, provider: Any, instant: bool | None) -> None:
        self._provider = provider
        self._instant = bool(getattr(provider, "instant", False)) if instant is None else instant
        self._official: tuple[Any, Credentials | None] = (None, None)
        self._get = _timed(provider.get_credentials)
        force = getattr(provider, "force_refresh", None)
        self._force = None if force is None else _timed(force)
        self._get_async = self._awaitable("get_credentials")
        self._force_async = self._awaitable("force_refresh") if force is not None else None

    def get_credentials(self, timeout: float | None = None) -> Credentials:
        try:
            return self._snapshot(self._get(timeout))
        except Exception as error:  # noqa: BLE001
            failure = self._failure(error)
        raise failure

    def force_refresh(self, rejected: Credentials, timeout: float | None = None) -> Credentials:
        if self._force is None:
            return self.get_credentials(timeout)
        try:
            return self._snapshot(self._force(timeout, rejected))
        except Exception as error:  # noqa: BLE001
            failure = self._failure(error)
        raise failure

    async def get_credentials_async(self, timeout: float | None = None) -> Credentials:
        try:
            return self._snapshot(await self._get_async(timeout))
        except Exception as error:  # noqa: BLE001
            failure = self._failure(error)
        raise failure

    async def force_refresh_async(self, rejected: Credentials, timeout: float | None = None) -> Credentials:
        if self._force_async is None:
            return await self.get_credentials_async(timeout)
        try:
            return self._snapshot(await self._force_async(timeout, rejected))
        except Exception as error:  # noqa: BLE001
            failure = self._failure(error)
        raise failure

    def _snapshot(self, found: Any) -> Credentials:
        if type(found) is Credentials:
            return found
        known, ours = self._official
        if known is found and ours is not None:
            return ours
        name = type(self._provider).__name__
        try:
            ours = Credentials(
                found.get_access_key_id(), found.get_access_key_secret(), found.get_security_token(), source=name
            )
        except (AttributeError, TypeError, ValueError) as error:
            failure = CredentialsRefused(f"{name} returned no usable credentials: {type(error).__name__}")
        else:
            self._official = (found, ours)
            return ours
        raise failure

    def _failure(self, error: Exception) -> OTSConfigError:
        if isinstance(error, OTSConfigError):
            return error
        return CredentialsRefused(f"{type(self._provider).__name__} failed with {type(error).__name__}")

    def _awaitable(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
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
                    raise
            raise CredentialsRefused(f"{type(self._provider).__name__}: no answer within {left:.3g} s")

        return at_once if self._instant else in_a_thread


def _timed(method: Callable[..., Any]) -> Callable[..., Any]:
    try:
        wanted = "timeout" in signature(method).parameters
    except (TypeError, ValueError):
        wanted = False
    if wanted:
        return lambda left, *arguments: method(*arguments, timeout=left)
    return lambda _left, *arguments: method(*arguments)


def adapt(provider: Any, instant: bool | None = None) -> Provider:
    """Return the provider with the base class's methods."""
    return provider if isinstance(provider, Provider) else cast("Provider", _Seam(provider, instant))
