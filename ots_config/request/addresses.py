"""The addresses of a host, looked up in a few helper threads: ``getaddrinfo`` can neither be interrupted nor timed out.

A host that is an address already needs no thread. All callers that ask for the same host at the same time share one
look-up, so a name whose resolver hangs takes one thread, however many callers there are. The threads are started when
needed and end when there is nothing left to look up; the interpreter does not wait for them when it exits.
"""

from __future__ import annotations

import os
import socket
from _thread import allocate_lock, start_new_thread
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from ots_config.errors import ConnectFailed
from ots_config.request.interruptions import is_from_system
from ots_config.shown_text import system_text

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LOOKUPS = 8
"""How many hosts are looked up at the same time."""

MIN_SHARE = 0.25
"""Seconds that each address of a host gets to accept a connection, if there are as many left."""


class Address(NamedTuple):
    """Where to connect to: the family of the socket, and what ``connect`` takes."""

    family: int
    address: Any


Found = tuple[Address, ...] | str
"""What a look-up gives: addresses, or why there are none."""


def resolve(host: str, port: int, timeout: float) -> tuple[Address, ...]:
    """Return the addresses of a host, in the order in which to try them, by blocking the thread.

    Args:
        host: Host name or address.
        port: TCP port.
        timeout: Seconds to wait for a resolver.

    Raises:
        ConnectFailed: If the host has no address, or none is known in time.
    """
    found: Found | None = numeric(host, port)
    if found is None:
        # No Future: an exception that a signal handler raises may leave the lock of its condition taken for ever.
        answer: SimpleQueue[Found] = SimpleQueue()
        gone: list[bool] = []
        try:
            _lookups.start(host, port, answer.put, gone.__len__)
            found = answer.get(timeout=timeout)
        except Empty:
            raise ConnectFailed(f"the host name {host} was not resolved within {timeout:g} s") from None
        finally:
            gone.append(True)
    if isinstance(found, str):
        raise _failure(host, found)
    return found


def start_resolving(host: str, port: int) -> Future[tuple[Address, ...]]:
    """Start to look up the addresses of a host, and return a future of them or of a ``ConnectFailed``.

    A future that is cancelled before a thread is free is not looked up. ``asyncio.wrap_future`` makes it awaitable.

    Args:
        host: Host name or address.
        port: TCP port.
    """
    future: Future[tuple[Address, ...]] = Future()

    def deliver(found: Found) -> None:
        if not future.done() and future.set_running_or_notify_cancel():
            if isinstance(found, str):
                future.set_exception(_failure(host, found))
            else:
                future.set_result(found)

    found = numeric(host, port)
    if found is None:
        _lookups.start(host, port, deliver, future.cancelled)
    else:
        deliver(found)
    return future


def numeric(host: str, port: int) -> tuple[Address, ...] | None:
    """Return the address that a text is, None for a name. No resolver is asked."""
    if not host.isascii():
        return None
    try:
        # As bytes: the codec for names is written in Python, and wraps the exception of a signal handler.
        return _addresses(host.encode("ascii"), port, socket.AI_NUMERICHOST)
    except OSError as error:
        if not is_from_system(error):
            raise
    return None


def share(remaining: float, addresses_left: int) -> float:
    """Return the seconds that the next address of a host gets: its part of what remains, but no tiny one.

    Args:
        remaining: Seconds for all of them.
        addresses_left: How many were not tried yet, this one included.
    """
    return min(max(remaining / addresses_left, MIN_SHARE), remaining)


def _addresses(host: str | bytes, port: int, flags: int = 0) -> tuple[Address, ...]:
    known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return tuple(dict.fromkeys(Address(family, address) for family, _, _, _, address in known))


def _look_up(host: str, port: int) -> Found:
    try:
        return _addresses(host, port)
    except (OSError, UnicodeError) as error:
        return system_text(error)
    except Exception as error:  # noqa: BLE001 - the thread must go on, whatever a replaced getaddrinfo raises
        return type(error).__name__


def _failure(host: str, reason: str) -> ConnectFailed:
    return ConnectFailed(f"the host name {host} cannot be resolved: {reason}")


class _Waiter(NamedTuple):
    """One caller: how it gets the result, and whether it has left."""

    deliver: Callable[[Found], object]
    is_gone: Callable[[], object]


class _Lookups:
    """The look-ups that run and wait.

    Callers only append to ``_requests``, which is atomic: whatever interrupts a caller, no lock stays taken and no
    look-up is forgotten. Everything else belongs to the helper threads.
    """

    def __init__(self) -> None:
        self._requests: deque[tuple[tuple[str, int], _Waiter]] = deque()
        self._lock = allocate_lock()
        self._waiters: dict[tuple[str, int], list[_Waiter]] = {}
        self._queue: deque[tuple[str, int]] = deque()
        self._threads = 0

    def start(self, host: str, port: int, deliver: Callable[[Found], object], is_gone: Callable[[], object]) -> None:
        request = ((host, port), _Waiter(deliver, is_gone))
        self._requests.append(request)
        try:
            start_new_thread(self._work, ())
        except RuntimeError:  # the interpreter exits, or the system has no more threads
            with suppress(ValueError, IndexError):  # another thread has it
                self._requests.remove(request)
            deliver(_look_up(host, port))

    def _work(self) -> None:
        with self._lock:
            self._accept_requests()
            if self._threads >= MAX_LOOKUPS:
                return  # one of those looks at the queue when it has finished
            self._threads += 1
        while True:
            with self._lock:
                self._accept_requests()
                key = self._next()
                if key is None:
                    self._threads -= 1
                    return
            found = _look_up(*key)
            with self._lock:
                waiters = self._waiters.pop(key)
            for waiter in waiters:
                with suppress(Exception):  # the waiter has left in the same moment
                    waiter.deliver(found)

    def _accept_requests(self) -> None:
        while self._requests:
            key, waiter = self._requests.popleft()
            if key in self._waiters:
                self._waiters[key].append(waiter)
            else:
                self._waiters[key] = [waiter]
                self._queue.append(key)

    def _next(self) -> tuple[str, int] | None:
        """Return the next host to look up, without those that nobody waits for any more."""
        while self._queue:
            key = self._queue.popleft()
            if not all(waiter.is_gone() for waiter in self._waiters[key]):
                return key
            del self._waiters[key]
        return None


_lookups = _Lookups()


def _forget_threads_after_fork() -> None:
    """Start anew in a child process: the threads are the parent's, and one of them may have held the lock."""
    global _lookups  # noqa: PLW0603 - one set of threads per process
    _lookups = _Lookups()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads_after_fork)
