"""A fetch that does not come back: given up after five minutes, and what its late end may still change."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.provider import Provider
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.errors import CredentialsRefused

PATIENCE = 10.0
GIVEN_UP = 301.0


class Gated(Provider):
    """A source each of whose answers waits for a gate of its own; the keys' id ends with the number of the call."""

    name = "gated"

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.calls = 0
        self.started = [threading.Event() for _ in range(4)]
        self.gates = [threading.Event() for _ in range(4)]
        self.fails: set[int] = set()
        self.lifetimes = [43200.0] * 4

    def fetch_credentials(self) -> Credentials:
        """Wait for this call's gate, then answer or fail."""
        number = self.calls
        self.calls += 1
        ends = datetime.fromtimestamp(self.clock.wall() + self.lifetimes[number], UTC)
        self.started[number].set()
        assert self.gates[number].wait(3 * PATIENCE)
        if number in self.fails:
            raise CredentialsRefused(f"call {number} fails")
        return Credentials(f"STS.EXAMPLEKEYEXAMPLE{number}", "secret", "token", ends, "gated")


@pytest.fixture
def source(clock: Any) -> Iterator[Gated]:
    """Give a gated source; its gates are open when the test is over."""
    gated = Gated(clock)
    yield gated
    for gate in gated.gates:
        gate.set()


@pytest.fixture
def provider(source: Gated, clock: Any) -> RefreshingProvider:
    """Give a provider of the gated source's credentials."""
    return RefreshingProvider(source, clock=clock, wall=clock.wall)


def begin(provider: RefreshingProvider, source: Gated, number: int) -> Any:
    """Let a caller ask that does not wait; return the fetch that it began."""
    with pytest.raises(CredentialsRefused, match="no answer within"):
        provider.get_credentials(timeout=0)
    assert source.started[number].wait(PATIENCE)
    return provider._running


def test_what_a_given_up_fetch_brings_is_used_until_the_next_ends(
    source: Gated, provider: RefreshingProvider, clock: Any
) -> None:
    """The late answer of a given-up fetch serves callers without credentials; the fetch after it stays under way."""
    first = begin(provider, source, 0)
    clock.advance(GIVEN_UP)
    second = begin(provider, source, 1)
    source.gates[0].set()
    first.wait(PATIENCE)
    assert provider.get_credentials(timeout=0).access_key_id.endswith("0")
    assert provider._running is second
    source.gates[1].set()
    second.wait(PATIENCE)
    assert provider.get_credentials(timeout=0).access_key_id.endswith("1")
    assert source.calls == 2


def test_a_given_up_fetch_that_brings_older_keys_changes_nothing(
    source: Gated, provider: RefreshingProvider, clock: Any
) -> None:
    """The late answer of a given-up fetch does not replace credentials that live longer."""
    first = begin(provider, source, 0)
    clock.advance(GIVEN_UP)
    second = begin(provider, source, 1)
    source.gates[1].set()
    second.wait(PATIENCE)
    source.gates[0].set()
    first.wait(PATIENCE)
    assert provider.get_credentials(timeout=0).access_key_id.endswith("1")
    assert provider.health().refreshes == 1


def test_a_given_up_fetch_that_fails_is_no_failure(source: Gated, provider: RefreshingProvider, clock: Any) -> None:
    """The late failure of a given-up fetch neither shows in health nor ends the fetch that took its place."""
    source.fails = {0}
    first = begin(provider, source, 0)
    clock.advance(GIVEN_UP)
    second = begin(provider, source, 1)
    source.gates[0].set()
    with pytest.raises(CredentialsRefused, match="call 0 fails"):
        first.wait(PATIENCE)
    assert provider._running is second
    assert (provider.health().failures, provider.health().last_error) == (0, None)
    source.gates[1].set()
    assert second.wait(PATIENCE) is provider.get_credentials(timeout=0)


def test_a_stuck_refresh_is_given_up_while_the_credentials_live(
    source: Gated, provider: RefreshingProvider, clock: Any
) -> None:
    """A refresh in the background that does not come back is given up after five minutes, not when keys have ended."""
    source.gates[0].set()
    old = provider.get_credentials(timeout=PATIENCE)
    clock.advance(42500)
    assert provider.get_credentials(timeout=0) is old
    stuck = provider._running
    assert stuck is not None
    clock.advance(GIVEN_UP - 2)
    assert provider.get_credentials(timeout=0) is old
    assert provider._running is stuck
    clock.advance(2)
    assert provider.get_credentials(timeout=0) is old
    assert provider._running is not stuck


def test_callers_do_not_take_turns_while_the_refresh_is_under_way(
    source: Gated, provider: RefreshingProvider, clock: Any
) -> None:
    """From the second call of a refresh on, callers get the old credentials without the provider's lock."""
    source.gates[0].set()
    old = provider.get_credentials(timeout=PATIENCE)
    clock.advance(42500)
    assert provider.get_credentials(timeout=0) is old
    found: list[Credentials] = []
    caller = threading.Thread(target=lambda: found.append(provider.get_credentials(timeout=0)), daemon=True)
    with provider._lock:
        caller.start()
        caller.join(PATIENCE)
        assert found == [old]
