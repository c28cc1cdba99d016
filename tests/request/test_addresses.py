"""The addresses of hosts: who looks them up, for how long, and what happens to those who do not wait."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from ots_config.errors import ConnectFailed
from ots_config.request import addresses
from ots_config.request.addresses import MAX_LOOKUPS, Address, numeric, resolve, share, start_resolving

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))]
real = socket.getaddrinfo


class Resolver:
    """Stands in for ``getaddrinfo``: names that begin with ``stuck`` are not answered before the test says so."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked: Counter[str] = Counter()
        self.threads: set[int] = set()

    def __call__(self, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        """Answer at once, late or not at all."""
        if kwargs.get("flags"):
            return real(host, port, *args, **kwargs)
        self.threads.add(threading.get_ident())
        self.asked[host] += 1
        if host.startswith("stuck"):
            self.gate.wait(20)
        if host.startswith("nobody"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return FOUND


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    """Answer in place of the system's resolver, with threads of this test's own."""
    made = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    monkeypatch.setattr(addresses, "_lookups", addresses._Lookups())
    yield made
    made.gate.set()


def test_an_address_is_its_own_and_needs_no_thread(resolver: Resolver) -> None:
    """Addresses of both families are taken as they are, and no resolver is asked."""
    assert resolve("192.0.2.7", 80, 1) == (Address(socket.AF_INET, ("192.0.2.7", 80)),)
    assert resolve("::1", 80, 1) == (Address(socket.AF_INET6, ("::1", 80, 0, 0)),)
    assert start_resolving("192.0.2.7", 80).result(0) == numeric("192.0.2.7", 80)
    assert numeric("localhost", 80) is None
    assert not resolver.asked


def test_a_name_is_looked_up_by_another_thread(resolver: Resolver) -> None:
    """The thread that asks never blocks in ``getaddrinfo``; an address that was given twice is tried once."""
    assert resolve("demo.example", 443, 5) == (Address(socket.AF_INET, ("192.0.2.1", 443)),)
    assert threading.get_ident() not in resolver.threads


def test_a_name_without_an_address_is_never_sent_to(resolver: Resolver) -> None:
    """The error names the host and what the resolver reported; a name that no resolver can be asked for, too."""
    with pytest.raises(ConnectFailed, match=r"nobody\.example cannot be resolved: Name or service not known"):
        resolve("nobody.example", 443, 5)
    assert isinstance(start_resolving("nobody.example", 443).exception(5), ConnectFailed)


def test_a_name_that_cannot_be_encoded_is_an_error() -> None:
    """A label longer than a name may have fails in the codec and not in the resolver."""
    with pytest.raises(ConnectFailed, match="cannot be resolved"):
        resolve("\u00fc" * 70 + ".example", 443, 5)


def test_a_stuck_resolver_is_not_waited_for(resolver: Resolver) -> None:
    """The caller leaves when its time is over although the resolver has not answered."""
    with pytest.raises(ConnectFailed, match=r"stuck\.example was not resolved within 0\.01 s"):
        resolve("stuck.example", 443, 0.01)
    assert not resolver.gate.is_set()


def test_a_stuck_name_takes_one_thread(resolver: Resolver) -> None:
    """Callers of one name share its look-up, so that other names are still looked up, and all get its result."""
    stuck = [start_resolving("stuck.example", 443) for _ in range(5 * MAX_LOOKUPS)]
    assert resolve("demo.example", 443, 5)
    assert resolver.asked["stuck.example"] == 1
    resolver.gate.set()
    assert {future.result(5) for future in stuck} == {(Address(socket.AF_INET, ("192.0.2.1", 443)),)}


def test_no_more_names_at_a_time_than_the_bound(resolver: Resolver) -> None:
    """With all threads stuck another name waits its turn, and is looked up when one of them has finished."""
    stuck = [start_resolving(f"stuck{number}.example", 443) for number in range(MAX_LOOKUPS)]
    while len(resolver.asked) < MAX_LOOKUPS:
        pass
    late = start_resolving("late.example", 443)
    gone = start_resolving("gone.example", 443)
    assert gone.cancel()
    with pytest.raises(ConnectFailed):
        resolve("left.example", 443, 0.01)
    resolver.gate.set()
    assert late.result(5)
    for future in stuck:
        future.result(5)
    while addresses._lookups._threads:
        pass
    assert set(resolver.asked) == {*(f"stuck{number}.example" for number in range(MAX_LOOKUPS)), "late.example"}


def test_without_another_thread_the_caller_looks_up_itself(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system starts no more threads, as when the interpreter exits, there is still an answer."""

    def no_thread(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(addresses, "start_new_thread", no_thread)
    assert resolve("demo.example", 443, 5)
    assert resolver.threads == {threading.get_ident()}
    assert not addresses._lookups._requests


def test_a_task_waits_without_blocking_its_loop(resolver: Resolver) -> None:
    """The future can be awaited; a task that is cancelled leaves, and its late result disturbs nobody."""

    async def main() -> None:
        waiting = asyncio.ensure_future(asyncio.wrap_future(start_resolving("stuck.example", 443)))
        assert await asyncio.wrap_future(start_resolving("demo.example", 443))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        resolver.gate.set()
        assert await asyncio.wrap_future(start_resolving("stuck.example", 443))

    asyncio.run(main())


def test_a_stuck_resolver_does_not_hold_up_the_end_of_the_program() -> None:
    """A program whose resolver hangs ends when it wants to."""
    program = (
        "import socket, time\n"
        "socket.getaddrinfo = lambda *_, **options: time.sleep(600) if not options.get('flags') else 1 / 0\n"
        "from ots_config.request import addresses\n"
        "addresses.numeric = lambda *_: None\n"
        "try: addresses.resolve('stuck.example', 1, 0.01)\n"
        "except Exception as error: print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "not resolved within" in ended.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_has_threads_of_its_own(resolver: Resolver) -> None:
    """After a fork nothing is left of the parent's look-ups, of which no thread lives in the child."""
    start_resolving("stuck.example", 443)
    inherited = addresses._lookups
    inherited._lock.acquire()  # a helper thread had it at the moment of the fork
    addresses._forget_threads_after_fork()  # what the interpreter runs in the child
    try:
        assert resolve("demo.example", 443, 5)
    finally:
        inherited._lock.release()


def test_each_address_gets_its_share() -> None:
    """What remains is divided among the addresses left; nobody gets a tiny part, or more than there is."""
    assert share(8.0, 4) == 2.0
    assert share(1.5, 1) == 1.5
    assert share(1.5, 30) == 0.25
    assert share(0.1, 4) == 0.1
