"""The order of the sources, what stops a chain, and what it stays with."""

import asyncio
import traceback
from typing import Any

import pytest

from ots_config.credentials.chain import ChainProvider
from ots_config.credentials.credentials import Credentials
from ots_config.credentials.expiry import State
from ots_config.credentials.providers.environment import EnvironmentProvider
from ots_config.credentials.providers.static import StaticProvider
from ots_config.errors import CredentialsError, CredentialsRefused, CredentialsUnavailable
from tests.credentials.fakes import MARK, Fake, keys

KEY = "LTAI5tExampleKey0001"
PATIENCE = 20.0


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
        (ValueError(MARK), r"^b: failed with ValueError at fakes.py:\d+ "),
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
    with pytest.raises(CredentialsRefused, match=r"a: failed with RuntimeError at fakes.py:\d+") as caught:
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
