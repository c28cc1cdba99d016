"""A source that fails: no error while the old credentials live, one shared error afterwards, and few attempts."""

import logging
import pickle
import traceback
from itertools import pairwise
from typing import Any

import pytest

from ots_config.credentials.expiry import State
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.errors import ConnectFailed, CredentialsError, CredentialsRefused, CredentialsUnavailable

PATIENCE = 20.0


def refreshing(source: Any, **options: Any) -> RefreshingProvider:
    """Wrap a scripted source, on its clock."""
    return RefreshingProvider(source, clock=source.clock, wall=source.clock.wall, **options)


def test_50_calls_in_an_outage_with_life_left(scripted: Any, clock: Any) -> None:
    """50 calls, one after the other, get the old credentials without an error, and the source is asked once."""
    source = scripted(instant=True)
    provider = refreshing(source)
    old = provider.get_credentials()
    clock.advance(3000)
    source.failure = CredentialsRefused("STS is down")
    assert [provider.get_credentials() for _ in range(50)] == [old] * 50
    assert source.calls == 2


def test_a_long_outage_with_life_left(scripted: Any, clock: Any) -> None:
    """Over twelve minutes of an outage the source is asked about twice a minute, and never is an error raised."""
    source = scripted(instant=True)
    provider = refreshing(source)
    old = provider.get_credentials()
    clock.advance(2880)
    source.failure = CredentialsRefused("STS is down")
    for _ in range(719):
        assert provider.get_credentials() is old
        clock.advance(1)
    assert 720 / 30 <= source.calls <= 720 / 15 + 6


def test_outage_in_the_background(scripted: Any, clock: Any) -> None:
    """The thread in the background fails in silence: callers notice nothing, before, during and after."""
    source = scripted()
    provider = refreshing(source)
    old = provider.get_credentials()
    clock.advance(3000)
    source.failure = CredentialsRefused("STS is down")
    source.gate.clear()
    assert provider.get_credentials() is old
    flight = provider._running
    assert flight is not None
    source.gate.set()
    with pytest.raises(CredentialsRefused):
        flight.wait(PATIENCE)
    assert provider.get_credentials() is old
    assert provider.health().state is State.STALE
    source.failure = None
    clock.advance(1)
    assert provider.get_credentials() is old
    flight = provider._running
    if flight is not None:
        flight.wait(PATIENCE)
    assert provider.get_credentials().access_key_id == "STS.NUMBER0003KEYKEY"


def test_64_threads_after_the_end_share_one_failure(scripted: Any, clock: Any, together: Any) -> None:
    """After the end, 64 threads cause one attempt and all are told the same, each in an error of its own."""
    source = scripted()
    provider = refreshing(source)
    provider.get_credentials()
    clock.advance(3600)
    source.failure = CredentialsRefused("STS is down")
    source.started.clear()
    source.gate.clear()
    outcomes = together(
        64, provider.get_credentials, meanwhile=lambda: source.started.wait(PATIENCE) and source.gate.set()
    )
    assert {(type(outcome), str(outcome)) for outcome in outcomes} == {(CredentialsRefused, "STS is down")}
    assert len({id(outcome) for outcome in outcomes}) == 64
    assert source.calls == 2


def test_failures_without_credentials_are_spaced_out(scripted: Any, clock: Any) -> None:
    """Until the next attempt is due, callers are told the last failure; pauses double up to half a minute."""
    source = scripted()
    source.failure = CredentialsUnavailable("no metadata service")
    provider = refreshing(source)
    attempts = []
    for second in range(300):
        with pytest.raises(CredentialsUnavailable, match="no metadata service"):
            provider.get_credentials()
        if source.calls > len(attempts):
            attempts.append(second)
        clock.advance(1)
    gaps = [later - earlier for earlier, later in pairwise(attempts)]
    assert gaps[0] == 1
    assert 15 <= gaps[-1] <= 31
    assert source.calls <= 20
    source.failure = None
    clock.advance(30)
    assert provider.get_credentials()


def test_each_outage_begins_with_the_shortest_pause(scripted: Any, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a success, failures are spaced out as if there had been none before."""
    monkeypatch.setattr("ots_config.backoff.random.random", lambda: 1.0)
    source = scripted(instant=True)
    provider = refreshing(source)
    for _ in range(2):
        source.failure = None
        provider.get_credentials()
        clock.advance(3000)
        source.failure = CredentialsRefused("STS is down")
        attempts, before = [], source.calls
        for second in range(16):
            provider.get_credentials()
            if source.calls > before:
                attempts.append(second)
                before = source.calls
            clock.advance(1)
        assert attempts == [0, 1, 3, 7, 15]
        clock.advance(600)


def test_a_failure_is_forgotten_by_the_next_success(scripted: Any, clock: Any) -> None:
    """A caller whose time is up is not told of a failure after which credentials came."""
    source = scripted()
    provider = refreshing(source)
    source.failure = CredentialsRefused("STS is down")
    with pytest.raises(CredentialsRefused, match="STS is down"):
        provider.get_credentials()
    source.failure = None
    clock.advance(1)
    ended = provider.get_credentials()
    clock.advance(3600)
    source.gate.clear()
    with pytest.raises(CredentialsRefused, match="new ones have not come yet"):
        provider.force_refresh(ended, timeout=0)
    source.gate.set()


def test_a_failure_keeps_no_frames(scripted: Any) -> None:
    """The error that is remembered has no traceback, no cause and no context, and does not grow by being raised."""
    source = scripted()
    source.failure = CredentialsRefused("STS is down")
    source.failure.__cause__ = ConnectFailed("refused")
    provider = refreshing(source)
    depths = []
    for _ in range(5):
        with pytest.raises(CredentialsRefused) as caught:
            provider.get_credentials()
        depths.append(len(traceback.extract_tb(caught.value.__traceback__)))
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
    assert len(set(depths[1:])) == 1
    assert provider._failure is not None
    assert provider._failure.__traceback__ is None


def test_details_of_an_error_reach_each_caller(scripted: Any) -> None:
    """What a source's error carries besides its text, such as an error code, is on every caller's error."""
    source = scripted()
    source.failure = CredentialsRefused("STS says no")
    vars(source.failure)["code"] = "NoPermission"
    provider = refreshing(source)
    for _ in range(2):
        with pytest.raises(CredentialsRefused) as caught:
            provider.get_credentials()
        assert vars(caught.value)["code"] == "NoPermission"


def test_errors_that_are_not_ours_are_told_without_their_text(scripted: Any, mark: str) -> None:
    """An unexpected exception is told by type and place; an error of ours of another kind by its message."""
    source = scripted()
    source.failure = ValueError(f"cannot parse {mark}")
    with pytest.raises(CredentialsRefused, match=r"^scripted: failed with ValueError at conftest.py:\d+ ") as caught:
        refreshing(source).get_credentials()
    assert mark not in "".join(traceback.format_exception(caught.value))
    source.failure = ConnectFailed("connection refused")
    with pytest.raises(CredentialsRefused, match=r"^scripted: connection refused$"):
        refreshing(source).get_credentials()


@pytest.mark.parametrize("ago", [0, 100])
def test_credentials_that_arrive_ended_are_a_failure(scripted: Any, clock: Any, ago: int) -> None:
    """A source that gives ended credentials fails with a hint at the clocks, and is not asked by each call."""
    source = scripted(lifetime=float(-ago))
    provider = refreshing(source)
    for _ in range(10):
        with pytest.raises(CredentialsRefused, match=rf"ended -?{ago} s ago by the clock of this machine"):
            provider.get_credentials()
    assert source.calls == 1
    good = scripted(instant=True)
    provider = refreshing(good)
    old = provider.get_credentials()
    good.lifetime = -100.0
    clock.advance(3000)
    assert provider.get_credentials() is old


def test_each_change_is_logged_once(scripted: Any, clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Failing, having ended and working again are logged once each, not per attempt."""
    caplog.set_level(logging.INFO, "ots_config.credentials")
    source = scripted(instant=True, lifetime=900.0)
    provider = refreshing(source)
    provider.get_credentials()
    clock.advance(720)
    source.failure = CredentialsRefused("STS is down")
    for _ in range(600):
        try:
            provider.get_credentials()
        except CredentialsError:
            assert provider.health().state is State.EXPIRED
        clock.advance(1)
    source.failure = None
    clock.advance(30)
    provider.get_credentials()
    levels = [(record.levelname, record.getMessage().split(":")[1].strip()[:20]) for record in caplog.records]
    assert levels == [
        ("WARNING", "the refresh failed, "),
        ("ERROR", "the credentials have"),
        ("INFO", "refreshed again afte"),
        ("INFO", "credentials rotated "),
    ]


def test_a_source_that_never_worked_is_not_logged(scripted: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A provider without credentials leaves it to its caller, such as a chain, to say so."""
    source = scripted()
    source.failure = CredentialsUnavailable("not here")
    with pytest.raises(CredentialsUnavailable):
        refreshing(source).get_credentials()
    assert caplog.records == []


def test_no_secret_is_shown(
    scripted: Any, clock: Any, caplog: pytest.LogCaptureFixture, mark: str, callbacks_done: Any
) -> None:
    """Through fetches, rotation, failure and end, no secret is in logs, texts, health or pickled errors."""
    caplog.set_level(logging.DEBUG)
    source = scripted(instant=True)
    provider = refreshing(source)
    shown: list[object] = []
    provider.on_rotate(lambda *told: shown.extend(told))
    for failure in (None, CredentialsRefused("STS says no"), ValueError(mark)):
        source.failure = failure
        for _ in range(3):
            clock.advance(3500)
            try:
                shown.append(provider.get_credentials())
            except CredentialsError as error:
                shown += [error, traceback.format_exception(error), pickle.dumps(error), vars(error)]
            shown += [provider, provider.health(), repr(provider._cached)]
    callbacks_done(provider)
    assert len(shown) > 20
    texts = "".join(f"{thing!r} {thing} {thing:}" if not isinstance(thing, list) else repr(thing) for thing in shown)
    assert mark not in texts
    assert mark not in caplog.text
    assert "rotated" in caplog.text
