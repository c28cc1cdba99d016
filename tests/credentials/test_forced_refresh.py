"""How often refused credentials make the source be asked again."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.errors import CredentialsRefused

PATIENCE = 20.0


def refreshing(source: Any, **options: Any) -> RefreshingProvider:
    """Wrap a scripted source, on its clock."""
    return RefreshingProvider(source, clock=source.clock, wall=source.clock.wall, **options)


def repeat(source: Any, answer: Credentials) -> None:
    """Make the source return these credentials from now on, and count."""
    source.fetch_credentials = lambda: setattr(source, "calls", source.calls + 1) or answer


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every random pause the longest that it may be."""
    monkeypatch.setattr("ots_config.backoff.random.random", lambda: 1.0)


def forced_at(provider: RefreshingProvider, source: Any, seconds: int) -> list[int]:
    """Refuse the credentials once a second; return the seconds at which the source was asked."""
    asked = []
    for second in range(seconds):
        before = source.calls
        provider.force_refresh(provider.get_credentials())
        if source.calls > before:
            asked.append(second)
        source.clock.advance(1)
    return asked


@pytest.mark.usefixtures("no_jitter")
def test_pauses_between_forced_refreshes_grow(scripted: Any) -> None:
    """The first forced refresh is immediate; the pause before the next doubles each time, up to half a minute."""
    source = scripted(lifetime=None, instant=True)
    provider = refreshing(source)
    provider.get_credentials()
    asked = forced_at(provider, source, 130)
    assert asked[0] == 0
    assert [later - earlier for earlier, later in pairwise(asked)] == [1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.usefixtures("no_jitter")
def test_pauses_between_forced_refreshes_are_forgotten(scripted: Any, clock: Any) -> None:
    """A minute after the last pause without a forced refresh, pauses begin with the shortest; before, they grow on."""
    source = scripted(lifetime=None, instant=True)
    provider = refreshing(source)
    provider.get_credentials()
    assert forced_at(provider, source, 16) == [0, 1, 3, 7, 15]
    clock.advance(15 + 60)  # the pause of 16 s that began a second ago, and a minute
    assert forced_at(provider, source, 31) == [0, 30]
    clock.advance(29 + 61)
    assert forced_at(provider, source, 8) == [0, 1, 3, 7]


@pytest.mark.parametrize("max_age", [None, 0])
def test_unchanged_keys_are_not_fetched_again_at_once(scripted: Any, clock: Any, max_age: float | None) -> None:
    """When a forced refresh brings the same keys, the next refused requests do not ask the source again at once."""
    source = scripted(lifetime=None, instant=True)
    provider = refreshing(source, max_age=max_age)
    same = provider.get_credentials()
    repeat(source, same)
    for _ in range(50):
        assert provider.force_refresh(same) is same
    assert source.calls == 2
    clock.advance(1)
    assert provider.force_refresh(same) is same
    assert source.calls == 3


def test_unchanged_keys_that_are_old_are_fetched_again_after_a_second(scripted: Any, clock: Any) -> None:
    """Keys that are old at once, and that the source gives unchanged, are fetched once a second."""
    source = scripted(lifetime=None, instant=True)
    provider = refreshing(source, max_age=0)
    same = provider.get_credentials()
    repeat(source, same)
    for _ in range(10):
        assert [provider.get_credentials() for _ in range(5)] == [same] * 5
        clock.advance(1)
    assert source.calls == 11


def test_unchanged_keys_near_their_end_are_not_fetched_again_at_once(scripted: Any, clock: Any) -> None:
    """Keys of which the source still gives the same in their last second are not fetched again before they end."""
    source = scripted(instant=True)
    provider = refreshing(source)
    same = provider.get_credentials()
    repeat(source, same)
    clock.advance(3599.1)
    for _ in range(8):
        assert provider.get_credentials() is same
        clock.advance(0.1)
    assert source.calls == 2


@pytest.mark.usefixtures("no_jitter")
def test_a_forced_refresh_waits_for_the_pause_after_a_failed_one(scripted: Any, clock: Any) -> None:
    """While failed refreshes are spaced out, refused credentials do not make the source be asked earlier."""
    source = scripted(instant=True)
    provider = refreshing(source, backoff=(10.0, 300.0))
    old = provider.get_credentials()
    clock.advance(3000)
    source.failure = CredentialsRefused("STS is down")
    assert provider.get_credentials() is old
    source.failure = None
    clock.advance(9)
    assert provider.force_refresh(old) is old
    assert source.calls == 2
    clock.advance(1)
    assert provider.force_refresh(old) is not old
    assert source.calls == 3


def test_a_forced_refresh_waits_for_the_one_under_way(scripted: Any, clock: Any) -> None:
    """Credentials that are refused while their refresh is under way are replaced by it, not by another fetch."""
    source = scripted()
    provider = refreshing(source)
    old = provider.get_credentials()
    clock.advance(3500)
    source.started.clear()
    source.gate.clear()
    assert provider.get_credentials() is old
    assert source.started.wait(PATIENCE)
    assert provider.force_refresh(old, timeout=0) is old
    source.gate.set()
    assert provider.force_refresh(old, timeout=PATIENCE).access_key_id == "STS.NUMBER0002KEYKEY"
    assert source.calls == 2


def test_keys_that_were_replaced_already_are_not_replaced_again(scripted: Any, clock: Any) -> None:
    """A late refusal of old keys returns the newer ones at hand, however long ago they were fetched."""
    source = scripted(instant=True)
    provider = refreshing(source)
    refused = provider.get_credentials()
    newer = provider.force_refresh(refused)
    clock.advance(600)
    assert provider.force_refresh(refused) is newer
    assert source.calls == 2


def test_a_forced_refresh_keeps_to_its_timeout(scripted: Any, clock: Any) -> None:
    """A forced refresh waits no longer than its caller may, whether or not it is the one that asks the source."""
    source = scripted()
    provider = refreshing(source)
    replaced = provider.get_credentials()
    held = provider.force_refresh(replaced)
    clock.advance(1)
    source.gate.clear()
    assert provider.force_refresh(held, timeout=0) is held
    assert asyncio.run(provider.force_refresh_async(held, timeout=0.001)) is held
    clock.advance(3600)
    for refused in (replaced, held):
        with pytest.raises(CredentialsRefused):
            provider.force_refresh(refused, timeout=0)
        with pytest.raises(CredentialsRefused):
            asyncio.run(provider.force_refresh_async(refused, timeout=0.001))
    assert provider._running is not None  # nobody waited until the source answered
    source.gate.set()


def test_a_caller_without_a_timeout_waits_as_long_as_the_provider_says(scripted: Any) -> None:
    """Without a timeout of its own, each call waits for the provider's ``wait``."""
    source = scripted()
    provider = refreshing(source, wait=0.001)
    refused = refreshing(scripted()).get_credentials()
    source.gate.clear()
    with pytest.raises(CredentialsRefused, match=r"no answer within 0\.001 s"):
        provider.get_credentials()
    with pytest.raises(CredentialsRefused, match=r"no answer within 0\.001 s"):
        asyncio.run(provider.get_credentials_async())
    with pytest.raises(CredentialsRefused, match="new ones have not come yet"):
        provider.force_refresh(refused)
    with pytest.raises(CredentialsRefused, match="new ones have not come yet"):
        asyncio.run(provider.force_refresh_async(refused))
    assert provider._running is not None  # nobody waited until the source answered
    source.gate.set()
