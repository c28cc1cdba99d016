"""The order of the sources, what stops a chain, and what it stays with."""

import asyncio
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from ots_config.credentials.chain import ChainProvider
from ots_config.credentials.credentials import Credentials
from ots_config.credentials.expiry import State
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.environment import EnvironmentProvider
from ots_config.credentials.providers.static import StaticProvider
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.errors import CredentialsError, CredentialsRefused, CredentialsUnavailable

MARK = "S3cr3tM4rk"
KEY = "LTAI5tExampleKey0001"
PATIENCE = 20.0


class Fake(Provider):
    """A provider that counts how often it is asked, and answers or fails as told."""

    def __init__(self, name: str, answer: Credentials | BaseException | None = None, *, instant: bool = False) -> None:
        self.name = name
        self.instant = instant
        self.answer = answer if answer is not None else CredentialsUnavailable(f"{name} is not configured")
        self.calls = 0
        self.before: Callable[[], object] | None = None

    def fetch_credentials(self) -> Credentials:
        """Count, and answer or fail."""
        self.calls += 1
        if self.before is not None:
            self.before()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def describe(self) -> str:
        """Tell what it looks at."""
        return f"drawer {self.name}"


def keys(name: str) -> Credentials:
    """Make keys that tell who gave them."""
    return Credentials(f"LTAI5t{name:0<14}", f"{MARK}{name}", source=name)


@pytest.mark.parametrize("instant", [True, False])
def test_the_first_that_is_configured_wins(instant: bool) -> None:
    """Providers are asked in order until one has credentials; those behind it are not asked."""
    a, b, c = Fake("a", instant=instant), Fake("b", keys("b"), instant=instant), Fake("c", keys("c"))
    chain = ChainProvider([a, b, c])
    assert chain.get_credentials() == keys("b")
    assert (a.calls, b.calls, c.calls) == (1, 1, 0)
    assert chain.winner == "b"
    assert chain.names == ("a", "b", "c")
    assert [attempt.result for attempt in chain.attempts] == ["unavailable", "found"]


def test_the_winner_is_asked_alone_from_then_on() -> None:
    """After the first success only the winner is asked, though one before it has credentials by now."""
    a, b = Fake("a"), Fake("b", keys("b"))
    chain = ChainProvider([a, b])
    chain.get_credentials()
    a.answer = keys("a")
    assert chain.get_credentials() == keys("b")
    assert (a.calls, b.calls) == (1, 2)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (CredentialsRefused("the server says no"), "^the server says no$"),
        (CredentialsUnavailable("gone"), "^b, where the credentials came from so far: gone$"),
        (ValueError(MARK), r"^b: failed with ValueError at test_chain.py:\d+ "),
    ],
    ids=["refused", "unavailable", "foreign"],
)
def test_a_winner_that_fails_never_gives_way_to_another(failure: Exception, message: str) -> None:
    """When the provider in use fails, in whatever way, its failure is raised; no other identity is tried."""
    a, b, c = Fake("a"), Fake("b", keys("b")), Fake("c", keys("c"))
    chain = ChainProvider([a, b, c])
    chain.get_credentials()
    b.answer = failure
    for call in (
        chain.get_credentials,
        lambda: chain.force_refresh(keys("b")),
        lambda: asyncio.run(chain.get_credentials_async()),
    ):
        with pytest.raises(CredentialsRefused, match=message) as caught:
            call()
        assert MARK not in "".join(traceback.format_exception(caught.value))
    assert (a.calls, c.calls) == (1, 0)
    b.answer = keys("b")
    assert chain.get_credentials() == keys("b")


@pytest.mark.parametrize("instant", [True, False])
def test_a_refusal_stops_the_chain(instant: bool) -> None:
    """A provider that is configured and fails stops the chain; the error tells those that were passed over."""
    refused = CredentialsRefused("keyring is locked")
    vars(refused)["code"] = "Locked"
    a, b, c = Fake("a", instant=instant), Fake("b", refused, instant=instant), Fake("c", keys("c"))
    chain = ChainProvider([a, b, c])
    with pytest.raises(CredentialsRefused) as caught:
        chain.get_credentials()
    first, second, third, fourth = str(caught.value).splitlines()
    assert first.startswith("b (drawer b): keyring is locked [")
    assert second == "No other source is asked: it could be another identity."
    assert third == "Not configured, before it:"
    assert fourth.startswith("- a: not configured (a is not configured) [")
    assert vars(caught.value)["code"] == "Locked"
    assert c.calls == 0
    assert chain.winner is None


def test_half_a_pair_in_the_environment_stops_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id without a secret does not silently become the identity of the next source."""
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", KEY)
    monkeypatch.delenv("OTS_ACCESS_KEY_SECRET", raising=False)
    with pytest.raises(CredentialsRefused, match="OTS_ACCESS_KEY_ID is set, but OTS_ACCESS_KEY_SECRET not"):
        ChainProvider([EnvironmentProvider(), StaticProvider(KEY, MARK)]).get_credentials()


def test_an_unconfigured_chain_tells_of_every_provider() -> None:
    """The report names each provider, what it looked at, why it did not apply, and how long it took."""
    chain = ChainProvider([Fake("a", instant=True), Fake("b"), EnvironmentProvider()])
    with pytest.raises(CredentialsUnavailable) as caught:
        chain.get_credentials()
    head, *lines = str(caught.value).splitlines()
    assert head.startswith("no credentials: set OTS_ACCESS_KEY_ID and OTS_ACCESS_KEY_SECRET")
    assert [line.split(" ")[1] for line in lines] == ["a:", "b:", "environment:"]
    assert lines[1].startswith("- b: not configured (b is not configured) [")
    assert all(line.endswith(" ms]") for line in lines)
    assert chain.health().state is State.EXPIRED
    assert chain.health().last_error is not None


def test_a_provider_that_breaks_stops_the_chain_without_its_text() -> None:
    """An exception that is no credentials error counts as a refusal, told by type and place."""
    chain = ChainProvider([Fake("a", RuntimeError(MARK)), Fake("b", keys("b"))])
    with pytest.raises(CredentialsRefused, match=r"a: failed with RuntimeError at test_chain.py:\d+") as caught:
        chain.get_credentials()
    assert MARK not in "".join(traceback.format_exception(caught.value))


def test_what_was_learnt_is_remembered_for_a_while(clock: Any) -> None:
    """A provider without credentials is not asked by each call, one that answers at once is; later both are."""
    quick, slow, refusing = Fake("quick", instant=True), Fake("slow"), Fake("refusing", CredentialsRefused("no"))
    for last, kind in ((slow, CredentialsUnavailable), (refusing, CredentialsRefused)):
        quick.calls = 0
        chain = ChainProvider([quick, last], clock=clock)
        for _ in range(10):
            with pytest.raises(kind):
                chain.get_credentials()
        assert (quick.calls, last.calls) == (10, 1)
        clock.advance(10)
        with pytest.raises(kind):
            chain.get_credentials()
        assert (quick.calls, last.calls) == (11, 2)


def test_a_variable_set_after_a_failure_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that found nothing finds a key that is set in the environment by the next call."""
    for name in ("OTS_ACCESS_KEY_ID", "OTS_ACCESS_KEY_SECRET", "OTS_STS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    chain = ChainProvider([EnvironmentProvider(), Fake("slow")])
    with pytest.raises(CredentialsUnavailable):
        chain.get_credentials()
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", MARK)
    assert chain.get_credentials().access_key_id == KEY


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


def test_a_pin_asks_one_provider_only() -> None:
    """With a pin only the provider of that name is asked, and its not being configured is a refusal."""
    a, b = Fake("a", keys("a")), Fake("b", keys("b"))
    assert ChainProvider([a, b], pin="b").get_credentials() == keys("b")
    assert a.calls == 0
    b.answer = CredentialsUnavailable("not here")
    for instant in (False, True):
        b.instant = instant
        with pytest.raises(CredentialsRefused, match=r"the only source to ask is b: not configured \(not here\)"):
            ChainProvider([a, b], pin="b").get_credentials()


def test_an_unknown_pin_is_refused_when_the_chain_is_made() -> None:
    """A pin that is no provider's name is told at once, with the nearest name."""
    with pytest.raises(CredentialsRefused) as caught:
        ChainProvider([Fake("environment"), Fake("keyring")], pin="keyrng")
    assert str(caught.value) == (
        "no credentials source is named 'keyrng' (did you mean 'keyring'?). There are: environment, keyring"
    )


def test_chains_nest() -> None:
    """A chain is a provider: an unconfigured one is passed over by another."""
    inner = ChainProvider([Fake("a"), Fake("b")])
    chain = ChainProvider([inner, Fake("c", keys("c"))])
    assert chain.get_credentials() == keys("c")


def test_texts_show_names_and_no_secrets() -> None:
    """The chain's text tells its order and what it stays with; its description, an identity, does not change."""
    chain = ChainProvider([Fake("a"), StaticProvider(KEY, MARK)])
    assert repr(chain) == "<ChainProvider: chain of a, arguments>"
    chain.get_credentials()
    assert repr(chain) == "<ChainProvider: chain of a, arguments, stays with arguments>"
    assert MARK not in repr(chain.attempts)
    assert chain.health().state is State.FRESH


def test_providers_of_others_fit_in() -> None:
    """A provider with no more than get_credentials, as the official SDK's, takes part under its type's name."""

    class Official:
        def get_credentials(self) -> Credentials:
            return keys("x")

    chain = ChainProvider([Fake("a"), Official()])
    assert chain.get_credentials() == keys("x")
    assert chain.winner == "Official"
    assert chain.describe() == "chain of a, Official"


def test_an_empty_chain_says_so() -> None:
    """A chain of nothing is unavailable."""
    with pytest.raises(CredentialsError, match="no credentials"):
        ChainProvider([]).get_credentials()
