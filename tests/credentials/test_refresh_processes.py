"""Forks and pickles: what a child and a copy in another process get, and what they must not get."""

import os
import pickle
import select
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from ots_config.credentials.chain import ChainProvider
from ots_config.credentials.expiry import State
from ots_config.credentials.providers.environment import EnvironmentProvider
from ots_config.credentials.refresh import RefreshingProvider

PATIENCE = 20.0
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")


def refreshing(source: Any, **options: Any) -> RefreshingProvider:
    """Wrap a scripted source, on its clock."""
    return RefreshingProvider(source, clock=source.clock, wall=source.clock.wall, **options)


def in_a_child(call: Callable[[], str]) -> str:
    """Fork, make the call in the child, and return what it came to; a child that hangs is ended."""
    here, there = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
        child = os.fork()
    if child == 0:
        try:
            told = call()
        except BaseException as error:  # noqa: BLE001 - nothing may escape into the parent's test run
            told = repr(error)
        os.write(there, told.encode())
        os._exit(0)
    os.close(there)
    try:
        ready, _, _ = select.select([here], [], [], PATIENCE)
        if not ready:
            os.kill(child, 9)
        return os.read(here, 10000).decode() if ready else "hangs"
    finally:
        os.waitpid(child, 0)
        os.close(here)


@forks
@pytest.mark.parametrize("age", [0, 3600])
def test_fork_during_a_fetch_that_callers_wait_for(scripted: Any, clock: Any, age: int) -> None:
    """A child forked while a thread of its parent fetches gets credentials from a fetch of its own."""
    source = scripted()
    provider = refreshing(source)
    if age:
        provider.get_credentials()
        clock.advance(age)
    source.started.clear()
    source.gate.clear()
    waiting = threading.Thread(target=provider.get_credentials, daemon=True)
    waiting.start()
    assert source.started.wait(PATIENCE)
    calls = source.calls
    assert in_a_child(lambda: provider.get_credentials(timeout=5).access_key_id) == f"STS.NUMBER{calls + 1:04d}KEYKEY"
    source.gate.set()
    waiting.join(PATIENCE)
    assert provider.get_credentials().access_key_id == f"STS.NUMBER{calls:04d}KEYKEY"


@forks
def test_fork_during_a_fetch_in_the_background(scripted: Any, clock: Any) -> None:
    """A child forked during a background fetch uses the old credentials at once and fetches in its own background."""
    source = scripted()
    provider = refreshing(source)
    provider.get_credentials()
    clock.advance(3500)
    source.started.clear()
    source.gate.clear()
    provider.get_credentials()
    assert source.started.wait(PATIENCE)

    def child() -> str:
        first = provider.get_credentials(timeout=0).access_key_id
        flight = provider._running
        if flight is not None:
            flight.wait(PATIENCE)
        return first + " " + provider.get_credentials(timeout=0).access_key_id

    assert in_a_child(child) == "STS.NUMBER0001KEYKEY STS.NUMBER0003KEYKEY"
    source.gate.set()


@forks
def test_fork_while_locks_are_held(scripted: Any, clock: Any) -> None:
    """Locks that another thread held at the fork do not stop the child: the provider's nor the chain's."""
    source = scripted()
    provider = refreshing(source)
    chain = ChainProvider([provider])
    chain.get_credentials()
    clock.advance(3600)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with provider._lock, chain._lock:
            held.set()
            done.wait(PATIENCE)

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    assert held.wait(PATIENCE)
    assert in_a_child(lambda: chain.get_credentials(timeout=5).access_key_id) == "STS.NUMBER0002KEYKEY"
    done.set()
    holder.join(PATIENCE)


@forks
def test_fork_during_a_search(scripted: Any) -> None:
    """A child forked while a chain of its parent searches, and holds its lock, searches anew."""
    source = scripted()
    chain = ChainProvider([refreshing(source)])
    source.gate.clear()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with chain._lock:
            held.set()
            done.wait(PATIENCE)

    threads = [threading.Thread(target=call, daemon=True) for call in (chain.get_credentials, hold)]
    threads[0].start()
    assert source.started.wait(PATIENCE)
    threads[1].start()
    assert held.wait(PATIENCE)
    assert in_a_child(lambda: chain.get_credentials(timeout=5).access_key_id) == "STS.NUMBER0002KEYKEY"
    done.set()
    source.gate.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert chain.get_credentials().access_key_id == "STS.NUMBER0001KEYKEY"


def test_a_child_refreshes_when_its_parent_would(scripted: Any, clock: Any) -> None:
    """In a forked child, credentials still grow old in their last quarter, wherever in their life the fork was."""
    source = scripted(lifetime=900.0, instant=True)
    provider = refreshing(source)
    provider.get_credentials()
    clock.advance(600)
    provider.after_fork()  # as in a child
    provider.get_credentials()
    assert source.calls == 1
    clock.advance(125)
    provider.get_credentials()
    assert source.calls == 2


@forks
def test_a_child_keeps_what_is_fresh(scripted: Any) -> None:
    """A child goes on with its parent's credentials as long as they are fresh."""
    source = scripted()
    provider = refreshing(source)
    provider.get_credentials()
    assert in_a_child(lambda: f"{provider.get_credentials(timeout=0).access_key_id} {source.calls}") == (
        "STS.NUMBER0001KEYKEY 1"
    )


def test_a_pickle_holds_the_source_and_no_secret(scripted: Any, mark: str) -> None:
    """A pickled provider has its options, fetches for itself, and carries none of the secrets it has handed out."""
    provider = refreshing(scripted(), max_age=7, wait=3.0, backoff=(2.0, 4.0))
    provider.get_credentials()
    data = pickle.dumps(provider)
    assert mark.encode() not in data
    twin = pickle.loads(data)
    assert twin.health().state is State.EXPIRED
    assert twin.get_credentials().access_key_id == "STS.NUMBER0001KEYKEY"
    assert twin.__getstate__().keys() == provider.__getstate__().keys()
    assert (twin._max_age, twin._wait, twin._backoff) == (7, 3.0, (2.0, 4.0))


def test_a_default_provider_pickles_without_clocks(scripted: Any) -> None:
    """Clocks that were not given are not pickled: another machine has its own."""
    provider = RefreshingProvider(scripted())
    assert "clock" not in provider.__getstate__()
    assert pickle.loads(pickle.dumps(provider)).name == "scripted"


def test_a_chain_pickles_without_secrets(monkeypatch: pytest.MonkeyPatch, scripted: Any, mark: str) -> None:
    """A pickled chain carries its providers and options; what they found stays behind."""
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", "LTAI5tExampleKey0001")
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", mark)
    chain = ChainProvider([EnvironmentProvider(), refreshing(scripted())], remember=3.0)
    first = chain.get_credentials()
    data = pickle.dumps(chain)
    assert mark.encode() not in data
    twin = pickle.loads(data)
    assert twin.winner is None
    assert twin.get_credentials() == first
    assert twin._remember == 3.0


def test_a_pickle_keeps_the_options(scripted: Any) -> None:
    """A pickled provider or chain waits, pauses, remembers and is pinned as the original."""
    options = {"max_age": 60.0, "wait": 7.0, "backoff": (2.0, 9.0), "instant": True}
    twin = pickle.loads(pickle.dumps(refreshing(scripted(), **options)))
    assert {name: getattr(twin, name if name == "instant" else f"_{name}") for name in options} == options
    chosen = {"pin": "scripted", "remember": 3.0, "wait": 7.0}
    chain = pickle.loads(pickle.dumps(ChainProvider([EnvironmentProvider(), scripted()], **chosen)))
    assert {name: getattr(chain, f"_{name}") for name in chosen} == chosen
    assert chain.describe() == "chain of scripted"
    assert chain.names == ("environment", "scripted")
