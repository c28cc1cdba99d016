"""Fresh, stale, expired: who waits for what, and how often the source is asked."""

import copy
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.expiry import AGE_CLOCK, State, refresh_window
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.external import ForeignProvider
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.errors import CredentialsError, CredentialsRefused, CredentialsUnavailable

PATIENCE = 20.0


def refreshing(source: Any, **options: Any) -> RefreshingProvider:
    """Wrap a scripted source, on its clock."""
    return RefreshingProvider(source, clock=source.clock, wall=source.clock.wall, **options)


def landed(provider: RefreshingProvider) -> None:
    """Wait until no fetch is under way."""
    flight = provider._running
    if flight is not None:
        with suppress(CredentialsError):
            flight.wait(PATIENCE)


def test_fresh_credentials_are_one_object(scripted: Any) -> None:
    """While credentials are fresh, every call returns the same snapshot and the source is asked once."""
    source = scripted()
    provider = refreshing(source)
    assert len({id(provider.get_credentials()) for _ in range(100)}) == 1
    assert source.calls == 1


def test_64_threads_without_credentials_share_one_fetch(scripted: Any, together: Any) -> None:
    """64 threads that need the first credentials cause one fetch and all get its result."""
    source = scripted()
    source.gate.clear()
    provider = refreshing(source)
    outcomes = together(
        64, provider.get_credentials, meanwhile=lambda: source.started.wait(PATIENCE) and source.gate.set()
    )
    assert {outcome.access_key_id for outcome in outcomes} == {"STS.NUMBER0001KEYKEY"}
    assert source.calls == 1


def test_64_threads_at_expiry_share_one_fetch(scripted: Any, clock: Any, together: Any) -> None:
    """64 threads that come when the credentials have ended cause one fetch and all get the new ones."""
    source = scripted()
    provider = refreshing(source)
    provider.get_credentials()
    clock.advance(3600)
    source.started.clear()
    source.gate.clear()
    outcomes = together(
        64, provider.get_credentials, meanwhile=lambda: source.started.wait(PATIENCE) and source.gate.set()
    )
    assert {outcome.access_key_id for outcome in outcomes} == {"STS.NUMBER0002KEYKEY"}
    assert source.calls == 2


def test_no_thread_waits_while_the_old_credentials_live(scripted: Any, clock: Any, together: Any) -> None:
    """64 threads in the last quarter all return the old credentials although the fetch for new ones never ends."""
    source = scripted()
    provider = refreshing(source)
    old = provider.get_credentials()
    clock.advance(3599)
    source.gate.clear()
    assert together(64, provider.get_credentials) == [old] * 64
    source.gate.set()
    landed(provider)
    assert provider.get_credentials().access_key_id == "STS.NUMBER0002KEYKEY"
    assert source.calls == 2


def test_a_slow_fetch_is_never_doubled(scripted: Any, together: Any) -> None:
    """Callers whose time is up fail, each by its own deadline; the fetch goes on, and stays the only one."""
    source = scripted()
    source.gate.clear()
    provider = refreshing(source)
    outcomes = together(64, lambda: provider.get_credentials(timeout=0.05))
    assert {str(outcome) for outcome in outcomes} == {"scripted: no answer within 0.05 s; the request goes on"}
    assert all(isinstance(outcome, CredentialsRefused) for outcome in outcomes)
    source.gate.set()
    assert provider.get_credentials().access_key_id == "STS.NUMBER0001KEYKEY"
    assert source.calls == 1


def test_a_stuck_fetch_is_given_up(scripted: Any, clock: Any) -> None:
    """A fetch that has not come back for five minutes no longer keeps a second one from being tried."""
    source = scripted()
    source.gate.clear()
    provider = refreshing(source)
    with pytest.raises(CredentialsRefused):
        provider.get_credentials(timeout=0)
    assert source.started.wait(PATIENCE)
    stuck = provider._running
    clock.advance(301)
    source.before = source.gate.set
    assert provider.get_credentials().access_key_id == "STS.NUMBER0002KEYKEY"
    assert stuck is not None
    stuck.wait(PATIENCE)
    assert provider.get_credentials().access_key_id == "STS.NUMBER0002KEYKEY"
    assert source.calls == 2


@pytest.mark.parametrize("lifetime", [900, 3600, 43200])
def test_how_often_the_source_is_asked(scripted: Any, clock: Any, lifetime: int) -> None:
    """The source is asked once per lifetime less min(15 min, 25 %) of it, not per call: 675 s for 900-second tokens."""
    source = scripted(lifetime=float(lifetime), instant=True)
    provider = refreshing(source)
    period = lifetime - min(900, lifetime / 4)
    seconds = round(40 * period)
    for _ in range(0, seconds, lifetime // 200):
        credentials = provider.get_credentials()
        assert credentials.expires_at is not None
        assert credentials.expires_at.timestamp() > clock.wall()
        clock.advance(lifetime // 200)
    assert 0.9 * seconds / period <= source.calls <= seconds / period + 1


def test_the_window_is_spread(scripted: Any, clock: Any) -> None:
    """Providers that start together do not refresh together, and none before the window opens."""
    starts = set()
    for _ in range(50):
        provider = refreshing(scripted(instant=True))
        provider.get_credentials()
        starts.add(provider._cached.stale_at - clock())
    assert len(starts) > 40
    assert all(3600 - 900 <= start <= 3600 - 720 for start in starts)
    assert refresh_window(900) == 225
    assert refresh_window(43200) == 900


def test_a_stepped_time_of_day_changes_nothing(scripted: Any, clock: Any) -> None:
    """A clock that is set a day back or forward neither ends credentials nor keeps ended ones in use."""
    source = scripted(instant=True)
    provider = refreshing(source)
    first = provider.get_credentials()
    clock.now += 86400
    assert provider.get_credentials() is first
    clock.now -= 2 * 86400
    clock.age += 3600
    assert provider.get_credentials() is not first
    assert source.calls == 2


def test_credentials_without_an_end_stay(scripted: Any, clock: Any) -> None:
    """Credentials that do not expire are never fetched again, unless an age is set."""
    source = scripted(lifetime=None, instant=True)
    provider = refreshing(source)
    provider.get_credentials()
    clock.advance(10 * 365 * 86400)
    provider.get_credentials()
    assert source.calls == 1
    aged = refreshing(source, max_age=60)
    aged.get_credentials()
    clock.advance(61)
    aged.get_credentials()
    assert source.calls == 3


def test_the_same_answer_is_not_asked_for_again_at_once(scripted: Any, clock: Any) -> None:
    """A source that has nothing newer when asked early is asked at most once a second, not by each call."""
    source = scripted(instant=True)
    provider = refreshing(source)
    same = provider.get_credentials()
    source.fetch_credentials = lambda: setattr(source, "calls", source.calls + 1) or same
    clock.advance(3599.1)
    for _ in range(100):
        assert provider.get_credentials() is same
    assert source.calls == 2


def test_force_refresh_replaces_refused_credentials_once(scripted: Any, together: Any) -> None:
    """64 threads whose requests were refused with the same credentials cause one fetch and get the same new ones."""
    source = scripted()
    provider = refreshing(source)
    refused = provider.get_credentials()
    outcomes = together(64, lambda: provider.force_refresh(refused))
    assert {outcome.access_key_id for outcome in outcomes} == {"STS.NUMBER0002KEYKEY"}
    assert provider.force_refresh(refused).access_key_id == "STS.NUMBER0002KEYKEY"
    assert source.calls == 2


def test_forced_refreshes_are_spaced_out(scripted: Any, clock: Any) -> None:
    """If the service refuses whatever it is given, the source is not asked for each refusal; later it is again."""
    source = scripted(instant=True)
    provider = refreshing(source)
    for _ in range(50):
        provider.force_refresh(provider.get_credentials())
    assert source.calls == 2
    clock.advance(1)
    provider.force_refresh(provider.get_credentials())
    assert source.calls == 3
    clock.advance(100)
    provider.force_refresh(provider.get_credentials())
    assert source.calls == 4


def test_force_refresh_keeps_what_lives_if_it_fails(scripted: Any) -> None:
    """A forced refresh that fails or takes too long returns the credentials at hand."""
    source = scripted()
    provider = refreshing(source)
    refused = provider.get_credentials()
    source.gate.clear()
    assert provider.force_refresh(refused, timeout=0.01) is refused
    source.failure = CredentialsRefused("STS says no")
    source.gate.set()
    landed(provider)
    assert provider.force_refresh(refused) is refused
    assert provider.health().last_error == "STS says no"


def test_force_refresh_after_the_end_tells_the_failure(scripted: Any, clock: Any) -> None:
    """A forced refresh that fails when the credentials have ended raises why."""
    source = scripted(instant=True)
    provider = refreshing(source)
    refused = provider.get_credentials()
    clock.advance(3600)
    source.failure = CredentialsRefused("STS says no")
    with pytest.raises(CredentialsRefused, match="STS says no"):
        provider.force_refresh(refused)


def test_health_tells_each_state(scripted: Any, clock: Any) -> None:
    """Health tells state, source, masked key, end, last refresh and last error, and asks nothing."""
    source = scripted(instant=True)
    provider = refreshing(source)
    health = provider.health()
    assert (health.state, health.source, health.last_refresh, source.calls) == (State.EXPIRED, "scripted", None, 0)
    provider.get_credentials()
    health = provider.health()
    assert health.state is State.FRESH
    assert health.access_key_id == "STS.NU****YKEY"
    assert health.last_refresh == datetime.fromtimestamp(clock.wall(), UTC)
    assert (health.refreshes, health.failures, health.last_error) == (1, 0, None)
    clock.advance(3500)
    source.failure = CredentialsRefused("STS says no")
    provider.get_credentials()
    health = provider.health()
    assert (health.state, health.last_error, health.failures) == (State.STALE, "STS says no", 1)
    clock.advance(100)
    assert provider.health().state is State.EXPIRED
    assert repr(provider) == "<RefreshingProvider scripted: expired>"
    assert provider.describe() == "a script"


def test_a_role_that_needs_another_is_refreshed_on_one_thread(scripted: Any, clock: Any) -> None:
    """A source that asks another refreshing provider does not wait for the thread it runs on."""
    inner_source, outer_source = scripted(), scripted()
    inner, outer = refreshing(inner_source), refreshing(outer_source)
    outer_source.before = lambda: inner.get_credentials(timeout=PATIENCE)
    outer.get_credentials(timeout=PATIENCE)
    clock.advance(3600)
    outer.get_credentials(timeout=PATIENCE)
    assert (inner_source.calls, outer_source.calls) == (2, 2)


def test_a_source_that_asks_itself_is_told_so(scripted: Any) -> None:
    """A provider that is its own source fails at once and does not wait for itself."""
    source = scripted()
    provider = refreshing(source)
    source.before = provider.get_credentials
    with pytest.raises(CredentialsRefused, match="scripted: the source asks itself for credentials"):
        provider.get_credentials()


def test_an_instant_source_is_asked_each_time_until_it_has_something(scripted: Any) -> None:
    """A source that answers at once has no pause after a failure without credentials: it costs nothing to ask."""
    source = scripted(instant=True)
    provider = refreshing(source)
    source.failure = CredentialsUnavailable("not set")
    for _ in range(3):
        with pytest.raises(CredentialsUnavailable):
            provider.get_credentials()
    source.failure = None
    assert provider.get_credentials()
    assert source.calls == 4


def test_a_source_may_have_only_get_credentials(clock: Any) -> None:
    """A foreign source whose one method is get_credentials can be refreshed too, and one that gives nonsense fails."""

    class Plain:
        def get_credentials(self) -> Any:
            return self.answer

        answer: Any = Credentials("LTAI5tExampleKey0001", "secret")

    source = Plain()
    provider = RefreshingProvider(ForeignProvider(source), clock=clock, wall=clock.wall)
    assert provider.get_credentials() is source.answer
    assert provider.name == "Plain"

    class Nonsense(Provider):
        name = "nonsense"

        def fetch_credentials(self) -> Any:
            return "id", "secret"

    with pytest.raises(CredentialsRefused, match="nonsense: the source returned tuple, no Credentials"):
        RefreshingProvider(Nonsense(), clock=clock, wall=clock.wall).get_credentials()


def test_a_copy_fetches_for_itself(scripted: Any) -> None:
    """A copy shares source and options, not credentials, callbacks or waits."""
    source = scripted()
    provider = refreshing(source, max_age=60)
    provider.get_credentials()
    twin = copy.copy(provider)
    assert twin.health().state is State.EXPIRED
    twin.get_credentials()
    assert source.calls == 2


def test_the_age_clock_never_goes_back() -> None:
    """The age clock tells seconds that do not go back."""
    moments = [AGE_CLOCK() for _ in range(100)]
    assert moments == sorted(moments)
