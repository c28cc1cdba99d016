"""Moments of credentials, and pauses between attempts, as plain numbers."""

from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.expiry import CachedCredentials, RetryPause, State, same_keys

KEYS = Credentials("STS.EXAMPLEKEYEXAMPLE", "secret", "token")


def held(**moments: float) -> CachedCredentials:
    """Return credentials that are stale at 100 and end at 200, but for what is given."""
    return CachedCredentials(KEYS, **{"stale_at": 100.0, "ends_at": 200.0, "check_again_at": 100.0, **moments})


def test_a_pause_is_spread_over_its_second_half() -> None:
    """Clients that failed together do not try again together: a pause is between half and all of its length."""
    moments = set()
    for _ in range(50):
        backoff = RetryPause(8.0, 30.0)
        backoff.extend(1000.0)
        moments.add(backoff.until)
    assert len(moments) > 40
    assert all(1004.0 <= moment <= 1008.0 for moment in moments)
    assert min(moments) < 1006.0 < max(moments)


def test_pauses_stay_at_the_longest_for_ever() -> None:
    """After thousands of failures in a row the pause is the longest, not an overflow."""
    backoff = RetryPause(1.0, 30.0)
    for _ in range(3000):
        backoff.extend(0.0)
    assert 15.0 <= backoff.until <= 30.0
    assert backoff.count == 3000


@pytest.mark.parametrize(
    "change", [{"access_key_id": "STS.OTHER"}, {"access_key_secret": "other"}, {"sts_token": "other"}]
)
def test_keys_differ_if_one_part_does(change: dict[str, Any]) -> None:
    """Keys are the same only if id, secret and token are; their end and source do not count."""
    parts = {"access_key_id": "STS.EXAMPLE", "access_key_secret": "secret", "sts_token": "token"}
    assert same_keys(Credentials(**parts), Credentials(**parts, source="elsewhere"))
    assert not same_keys(Credentials(**parts), Credentials(**{**parts, **change}))


@pytest.mark.parametrize(
    ("now", "state"),
    [(99.9, State.FRESH), (100.0, State.STALE), (199.9, State.STALE), (200.0, State.EXPIRED), (201.0, State.EXPIRED)],
)
def test_a_state_begins_at_its_moment(now: float, state: State) -> None:
    """Credentials are stale from the moment on at which a refresh should begin, and expired from their end on."""
    assert held().state(now) is state


def test_nothing_is_put_off_beyond_the_end() -> None:
    """Neither the next look nor the next refresh can be put off until after the credentials have ended."""
    assert held().check_again(150.0).check_again_at == 150.0
    assert held().check_again(300.0).check_again_at == 200.0
    assert held().not_before(150.0).stale_at == 150.0
    assert held().not_before(300.0).stale_at == 200.0


def test_a_refresh_is_only_put_off_or_only_brought_forward() -> None:
    """``not_before`` never makes a refresh begin earlier, ``stale_from`` never later."""
    assert held().not_before(50.0).stale_at == 100.0
    assert held().stale_from(50.0).stale_at == 50.0
    assert held().stale_from(150.0).stale_at == 100.0


@pytest.mark.parametrize(("max_age", "stale_at"), [(60.0, 1060.0), (3000.0, 1000.0 + 3600 - 900), (9000.0, 3700.0)])
def test_a_refresh_begins_at_the_earlier_of_age_and_window(
    monkeypatch: pytest.MonkeyPatch, max_age: float, stale_at: float
) -> None:
    """Credentials are stale when their last quarter begins, or sooner if they have reached the greatest age."""
    monkeypatch.setattr("ots_config.credentials.expiry.random.uniform", lambda _low, high: high)
    made = CachedCredentials.until(KEYS, 1000.0, 3600.0, max_age)
    assert (made.stale_at, made.check_again_at, made.ends_at) == (stale_at, stale_at, 4600.0)
