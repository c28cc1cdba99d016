"""The search of a chain: done once for threads and tasks, each of which waits as long as it may."""

import asyncio
import threading
from typing import Any

import pytest

from ots_config.credentials.chain import ChainProvider
from ots_config.credentials.credentials import Credentials
from ots_config.credentials.expiry import State
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.errors import CredentialsRefused, CredentialsUnavailable
from tests.credentials.fakes import Fake, keys

PATIENCE = 20.0


def test_64_threads_search_once(together: Any) -> None:
    """64 threads that ask a new chain at once cause one search and get the same credentials."""
    gate, started = threading.Event(), threading.Event()
    a, b = Fake("a"), Fake("b", keys("b"))
    a.before = lambda: (started.set(), gate.wait(PATIENCE))
    chain = ChainProvider([Fake("quick", instant=True), a, b])
    found = together(64, chain.get_credentials, meanwhile=lambda: started.wait(PATIENCE) and gate.set())
    assert found == [keys("b")] * 64
    assert a.calls == 1


@pytest.mark.parametrize("instant", [True, False])
def test_of_two_searches_the_first_winner_stays(instant: bool) -> None:
    """A search that ends after another has found a winner gives that one's credentials and leaves it the winner."""
    a, b = Fake("a", instant=True), Fake("b", keys("b"), instant=instant)
    chain = ChainProvider([a, b])
    other: list[Credentials] = []

    def search_meanwhile() -> None:
        b.before = None
        a.answer = keys("a")
        other.append(chain.get_credentials())

    b.before = search_meanwhile
    assert chain.get_credentials() == keys("a")
    assert other == [keys("a")]
    assert chain.winner == "a"
    assert chain.get_credentials() == keys("a")
    assert b.calls == 1


def test_a_search_stops_at_a_winner_found_meanwhile() -> None:
    """A caller that has asked the quick providers in vain does not ask the slow ones if another found a winner."""
    quick, slow, b = Fake("quick", instant=True), Fake("slow"), Fake("b", keys("b"))
    chain = ChainProvider([quick, slow, b])

    def search_meanwhile() -> None:
        quick.before = None
        assert chain.get_credentials() == keys("b")

    quick.before = search_meanwhile
    assert chain.get_credentials() == keys("b")
    assert (quick.calls, slow.calls) == (2, 1)


def test_64_threads_share_a_failed_search(together: Any) -> None:
    """64 threads that ask a chain without credentials cause one search and are told the same."""
    a, b = Fake("a"), Fake("b")
    chain = ChainProvider([a, b])
    outcomes = together(64, chain.get_credentials)
    assert len({str(outcome) for outcome in outcomes}) == 1
    assert all(isinstance(outcome, CredentialsUnavailable) for outcome in outcomes)
    assert (a.calls, b.calls) == (1, 1)


def test_a_caller_waits_no_longer_than_it_may() -> None:
    """A provider that does not answer costs a caller its own deadline, not more; the search goes on."""
    gate = threading.Event()
    a = Fake("a", keys("a"))
    a.before = lambda: gate.wait(PATIENCE)
    chain = ChainProvider([a])
    with pytest.raises(CredentialsRefused, match=r"chain: no answer within 0\.01 s"):
        chain.get_credentials(timeout=0.01)
    gate.set()
    assert chain.get_credentials() == keys("a")


def test_a_caller_without_a_timeout_waits_as_long_as_the_chain_says() -> None:
    """Without a timeout of its own, a call waits for the chain's ``wait``."""
    gate = threading.Event()
    a = Fake("a", keys("a"))
    a.before = lambda: gate.wait(PATIENCE)
    chain = ChainProvider([a], wait=0.001)
    with pytest.raises(CredentialsRefused, match=r"chain: no answer within 0\.001 s"):
        chain.get_credentials()
    with pytest.raises(CredentialsRefused, match=r"chain: no answer within 0\.001 s"):
        asyncio.run(chain.get_credentials_async())
    gate.set()


def test_the_winner_is_given_the_callers_timeout(scripted: Any, clock: Any) -> None:
    """What a caller may wait holds for the provider that the chain stays with, too."""
    source = scripted()
    chain = ChainProvider([RefreshingProvider(source, clock=clock, wall=clock.wall)])
    refused = chain.get_credentials()
    clock.advance(3600)
    source.gate.clear()
    for late in (
        lambda: chain.get_credentials(timeout=0.001),
        lambda: asyncio.run(chain.get_credentials_async(timeout=0.001)),
    ):
        with pytest.raises(CredentialsRefused, match=r"scripted: no answer within 0\.001 s"):
            late()
    for late in (
        lambda: chain.force_refresh(refused, timeout=0.001),
        lambda: asyncio.run(chain.force_refresh_async(refused, timeout=0.001)),
    ):
        with pytest.raises(CredentialsRefused, match="new ones have not come yet"):
            late()
    assert source.calls == 2
    source.gate.set()
    assert chain.get_credentials().access_key_id == "STS.NUMBER0002KEYKEY"


@pytest.mark.asyncio
async def test_100_tasks_search_once_and_the_loop_runs_on() -> None:
    """100 tasks that ask a new chain cause one search, which only the running loop can end."""
    gate, started = threading.Event(), threading.Event()
    a = Fake("a", keys("a"))
    a.before = lambda: (started.set(), gate.wait(PATIENCE))
    chain = ChainProvider([a])
    tasks = [asyncio.create_task(chain.get_credentials_async()) for _ in range(100)]
    for _ in range(int(PATIENCE * 1000)):
        await asyncio.sleep(0.001)
        if started.is_set():
            break
    gate.set()
    assert await asyncio.gather(*tasks) == [keys("a")] * 100
    assert a.calls == 1
    assert await chain.get_credentials_async() == keys("a")
    assert await chain.force_refresh_async(keys("a")) == keys("a")


@pytest.mark.asyncio
async def test_a_slow_winner_is_asked_beside_the_loop() -> None:
    """A winner that may take long and refreshes nothing is asked on another thread, within the deadline."""
    gate = threading.Event()
    a = Fake("a", keys("a"))
    chain = ChainProvider([a])
    await chain.get_credentials_async()
    a.before = lambda: gate.wait(PATIENCE)
    with pytest.raises(CredentialsRefused, match=r"a: no answer within 0\.01 s"):
        await chain.get_credentials_async(timeout=0.01)
    gate.set()
    b = Fake("b", keys("b"), instant=True)
    threads: list[threading.Thread] = []
    b.before = lambda: threads.append(threading.current_thread())
    quick = ChainProvider([b])
    assert await quick.get_credentials_async() == await quick.get_credentials_async() == keys("b")
    assert threads == [threading.current_thread()] * 2


@pytest.mark.asyncio
async def test_the_loop_runs_on_while_the_winner_is_renewed(scripted: Any, clock: Any) -> None:
    """A task that waits for the winner's new credentials does not block the loop, which alone can end the wait."""
    source = scripted()
    chain = ChainProvider([RefreshingProvider(source, clock=clock, wall=clock.wall)])
    refused = await chain.get_credentials_async()
    for ask in (lambda: chain.force_refresh_async(refused), chain.get_credentials_async):
        source.gate.clear()
        task = asyncio.create_task(ask())
        await asyncio.sleep(0.001)
        source.gate.set()
        assert (await task).access_key_id == f"STS.NUMBER{source.calls:04d}KEYKEY"
        clock.advance(3600)
    assert source.calls == 3


def test_a_refreshing_winner_is_renewed_through_the_chain(scripted: Any, clock: Any, callbacks_done: Any) -> None:
    """Refresh, forced refresh, rotation and health of the winner are had through the chain."""
    source = scripted(instant=True)
    told: list[Any] = []
    renewing = RefreshingProvider(source, clock=clock, wall=clock.wall)
    chain = ChainProvider([Fake("a"), renewing])
    end = chain.on_rotate(lambda *pair: told.append(pair))
    refused = chain.get_credentials()
    assert chain.winner == "scripted"
    assert chain.force_refresh(refused).access_key_id == "STS.NUMBER0002KEYKEY"
    assert asyncio.run(chain.force_refresh_async(refused)).access_key_id == "STS.NUMBER0002KEYKEY"
    clock.advance(3600)
    assert asyncio.run(chain.get_credentials_async()).access_key_id == "STS.NUMBER0003KEYKEY"
    callbacks_done(renewing)
    assert len(told) == 2
    end()
    assert chain.health() == renewing.health()
    assert chain.describe() == "chain of a, scripted"
    source.failure = CredentialsUnavailable("the metadata service is gone")
    clock.advance(3600)
    with pytest.raises(CredentialsRefused, match="scripted, where the credentials came from so far"):
        chain.force_refresh(chain.get_credentials() if chain.health().state is not State.EXPIRED else refused)
    with pytest.raises(CredentialsRefused, match="scripted, where the credentials came from so far"):
        asyncio.run(chain.force_refresh_async(refused))
