"""What is called when credentials rotate: on a thread of its own, in order, and at nobody's expense."""

import logging
import threading
from itertools import pairwise
from typing import Any

import pytest

from ots_config.credentials.credentials import MaskedCredentials
from ots_config.credentials.refresh import RefreshingProvider

PATIENCE = 20.0


def refreshing(source: Any, **options: Any) -> RefreshingProvider:
    """Wrap a scripted source, on its clock."""
    return RefreshingProvider(source, clock=source.clock, wall=source.clock.wall, **options)


def test_rotation_is_told_with_masked_credentials(scripted: Any, clock: Any, mark: str, callbacks_done: Any) -> None:
    """Callbacks get old and new credentials without secrets, from the second credentials on, until ended."""
    told: list[tuple[MaskedCredentials, MaskedCredentials]] = []
    provider = refreshing(scripted(instant=True))
    end = provider.on_rotate(lambda old, new: told.append((old, new)))
    provider.get_credentials()
    assert told == []
    clock.advance(3600)
    provider.get_credentials()
    callbacks_done(provider)
    ((old, new),) = told
    assert (old.access_key_id, new.access_key_id) == ("STS.NU****YKEY", "STS.NU****YKEY")
    assert new.has_token
    assert new.source == "scripted"
    assert mark not in repr(told) + str(new)
    end()
    end()
    clock.advance(3600)
    provider.get_credentials()
    callbacks_done(provider)
    assert len(told) == 1


def test_a_failing_callback_costs_nothing(
    scripted: Any, clock: Any, caplog: pytest.LogCaptureFixture, mark: str, callbacks_done: Any
) -> None:
    """What a callback raises is logged without its text, and the credentials are handed out."""

    def callback(_old: MaskedCredentials, _new: MaskedCredentials) -> None:
        raise RuntimeError(mark)

    provider = refreshing(scripted(instant=True))
    provider.on_rotate(callback)
    provider.get_credentials()
    clock.advance(3600)
    assert provider.get_credentials().access_key_id == "STS.NUMBER0002KEYKEY"
    callbacks_done(provider)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "an on_rotate callback: failed with RuntimeError at test_callbacks.py" in record.getMessage()
    assert mark not in caplog.text


@pytest.mark.parametrize("instant", [True, False])
@pytest.mark.parametrize("forced", [True, False])
def test_a_callback_that_hangs_delays_nobody(
    scripted: Any, clock: Any, instant: bool, forced: bool, callbacks_done: Any
) -> None:
    """Callers get the new credentials, and refreshes go on, while a callback has not come back."""
    called, go_on = threading.Event(), threading.Event()
    told: list[str] = []

    def hang(_old: MaskedCredentials, _new: MaskedCredentials) -> None:
        told.append(provider.get_credentials(timeout=0).access_key_id)  # the new ones are in use by now
        called.set()
        assert go_on.wait(PATIENCE)

    provider = refreshing(scripted(instant=instant))
    provider.on_rotate(hang)
    current = provider.get_credentials()
    for number in (2, 3, 4):
        if forced:
            current = provider.force_refresh(current, timeout=PATIENCE)
        else:
            clock.advance(3600)
            current = provider.get_credentials(timeout=PATIENCE)
        assert current.access_key_id == f"STS.NUMBER000{number}KEYKEY"
        assert called.wait(PATIENCE)
        clock.advance(60)
    assert told == ["STS.NUMBER0002KEYKEY"]
    go_on.set()
    callbacks_done(provider)
    assert len(told) == 3


def test_callbacks_keep_the_order_of_the_rotations(scripted: Any, clock: Any, callbacks_done: Any) -> None:
    """Each of several callbacks gets every rotation once, one after the other."""
    told: dict[str, list[Any]] = {"a": [], "b": []}
    working: list[str] = []

    def callback(name: str) -> Any:
        def call(old: MaskedCredentials, new: MaskedCredentials) -> None:
            working.append(name)
            assert len(working) == 1
            told[name].append((old.expires_at, new.expires_at))
            working.remove(name)

        return call

    provider = refreshing(scripted(instant=True))
    for name in told:
        provider.on_rotate(callback(name))
    ends = []
    for _ in range(50):
        ends.append(provider.get_credentials().expires_at)
        clock.advance(3600)
    callbacks_done(provider)
    assert told["a"] == told["b"] == list(pairwise(ends))


def test_a_callback_that_was_taken_off_is_not_called_late(scripted: Any, clock: Any, callbacks_done: Any) -> None:
    """A rotation that waits for its turn is not reported to a callback that has been ended meanwhile."""
    called, go_on = threading.Event(), threading.Event()
    told: list[int] = []

    def hang(_old: MaskedCredentials, _new: MaskedCredentials) -> None:
        called.set()
        assert go_on.wait(PATIENCE)

    provider = refreshing(scripted(instant=True))
    provider.on_rotate(hang)
    end = provider.on_rotate(lambda _old, _new: told.append(1))
    provider.get_credentials()
    clock.advance(3600)
    provider.get_credentials()
    assert called.wait(PATIENCE)
    end()
    go_on.set()
    callbacks_done(provider)
    assert told == []
