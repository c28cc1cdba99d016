"""Credentials in files and keyrings that someone changes while a client runs."""

import logging
import os
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.expiry import State
from ots_config.credentials.file_watch import FileWatchingProvider
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.environment import EnvironmentProvider
from ots_config.errors import CredentialsRefused, CredentialsUnavailable

KEY = "LTAI5tExampleKey0001"


class LinesFile(Provider):
    """Keys in a file of two lines."""

    name = "file"
    instant = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reads = 0

    def fetch_credentials(self) -> Credentials:
        """Read the file."""
        self.reads += 1
        try:
            key_id, secret = self.path.read_text().split()
        except FileNotFoundError:
            missing = True
        except ValueError:
            missing = False
        else:
            return Credentials(key_id, secret, source="file")
        raise CredentialsUnavailable("no file") if missing else CredentialsRefused("the file has not two lines")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a file with keys."""
    path = tmp_path / "keys"
    path.write_text(f"{KEY}\none")
    return path


def reloading(source: Any, clock: Any, **options: Any) -> FileWatchingProvider:
    """Wrap a source, on the test's clock."""
    return FileWatchingProvider(source, clock=clock, wall=clock.wall, **options)


def test_an_unchanged_file_is_read_once(path: Path, clock: Any) -> None:
    """A file that does not change is not read again, however often it is looked at."""
    source = LinesFile(path)
    provider = reloading(source, clock, paths=[path])
    first = provider.get_credentials()
    for _ in range(100):
        clock.advance(1)
        assert provider.get_credentials() is first
    assert source.reads == 1


@pytest.mark.parametrize("how", ["in place", "replaced", "same size and time"])
def test_a_changed_file_is_read_again(path: Path, clock: Any, how: str) -> None:
    """A file written in place, replaced, or changed behind an unchanged size and time is seen within a second."""
    provider = reloading(LinesFile(path), clock, paths=[path])
    assert provider.get_credentials().get_access_key_secret() == "one"
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    if how == "in place":
        path.write_text(f"{KEY}\nother")
    else:
        new = path.with_suffix(".new")
        new.write_text(f"{KEY}\ntwo")
        new.replace(path)
        if how == "same size and time":
            os.utime(path, ns=times)
    assert provider.get_credentials().get_access_key_secret() == "one"
    clock.advance(1)
    assert provider.get_credentials().get_access_key_secret() in {"other", "two"}


@pytest.mark.parametrize("changed", ["st_mtime_ns", "st_ctime_ns", "st_size", "st_ino", "st_dev", "st_mode"])
def test_each_sign_of_a_change_is_enough(path: Path, clock: Any, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    """A file is read again if one of its times, its size or its inode differs: systems and writers differ in these."""
    status = dict.fromkeys(("st_mtime_ns", "st_ctime_ns", "st_size", "st_ino", "st_dev", "st_mode"), 1)
    source = LinesFile(path)
    provider = reloading(source, clock, paths=[path])
    real = os.stat
    with monkeypatch.context() as patch:
        patch.setattr(
            "ots_config.secret_files.os.stat",
            lambda of, **how: SimpleNamespace(**status) if of == path else real(of, **how),
        )
        provider.get_credentials()
        clock.advance(1)
        provider.get_credentials()
        assert source.reads == 1
        status[changed] = 2
        clock.advance(1)
        provider.get_credentials()
    assert source.reads == 2


def test_a_file_is_looked_at_once_per_period(path: Path, clock: Any) -> None:
    """With a period of its own, a change is seen when it is over, and not before."""
    provider = reloading(LinesFile(path), clock, paths=[path], period=5)
    provider.get_credentials()
    path.write_text(f"{KEY}\nother")
    clock.advance(4)
    assert provider.get_credentials().get_access_key_secret() == "one"
    clock.advance(1)
    assert provider.get_credentials().get_access_key_secret() == "other"


def test_a_linked_directory_is_followed(tmp_path: Path, clock: Any) -> None:
    """A link that is turned to another directory, as mounted secrets are renewed, is a change."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys").write_text(f"{KEY}\n{name}")
    (tmp_path / "data").symlink_to("one")
    path = tmp_path / "data" / "keys"
    provider = reloading(LinesFile(path), clock, paths=[path])
    assert provider.get_credentials().get_access_key_secret() == "one"
    (tmp_path / "turned").symlink_to("two")
    (tmp_path / "turned").replace(tmp_path / "data")
    clock.advance(1)
    assert provider.get_credentials().get_access_key_secret() == "two"


def test_what_cannot_be_read_leaves_the_last_good_keys(
    path: Path, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken or missing file is told once; the last good keys stay in use, and a mended file is taken at once."""
    caplog.set_level(logging.INFO, "ots_config.credentials")
    source = LinesFile(path)
    provider = reloading(source, clock, paths=[path])
    good = provider.get_credentials()
    path.write_text("half")
    for _ in range(120):
        clock.advance(1)
        assert provider.get_credentials() is good
    path.unlink()
    clock.advance(1)
    assert provider.get_credentials() is good
    assert provider.health().state is State.STALE
    assert source.reads < 20
    path.write_text(f"{KEY}\nmended")
    clock.advance(1)
    assert provider.get_credentials().get_access_key_secret() == "mended"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "INFO"]
    assert "the file has not two lines" in caplog.records[0].getMessage()


def test_a_file_that_appears_is_found(tmp_path: Path, clock: Any) -> None:
    """A file that is not there yet is unavailable, and taken as soon as it is."""
    path = tmp_path / "later"
    source = LinesFile(path)
    for options in ({}, {"instant": False}):
        provider = reloading(source, clock, paths=[path], **options)
        with pytest.raises(CredentialsUnavailable):
            provider.get_credentials()
        path.write_text(f"{KEY}\none")
        assert provider.get_credentials().get_access_key_secret() == "one"
        path.unlink()


def test_a_change_while_the_file_is_read_is_seen_next(path: Path, clock: Any) -> None:
    """A file that changes between being looked at and being read is read again at the next look."""
    source = LinesFile(path)
    read = source.fetch_credentials

    def read_then_change() -> Credentials:
        found = read()
        source.fetch_credentials = read  # type: ignore[method-assign]
        path.write_text(f"{KEY}\nchanged")
        return found

    source.fetch_credentials = read_then_change  # type: ignore[method-assign]
    provider = reloading(source, clock, paths=[path])
    assert provider.get_credentials().get_access_key_secret() == "one"
    clock.advance(1)
    assert provider.get_credentials().get_access_key_secret() == "changed"


@pytest.mark.parametrize("options", [{}, {"period": 60}])
def test_without_a_file_the_source_is_read_now_and_then(scripted: Any, clock: Any, options: dict[str, Any]) -> None:
    """A source whose changes cannot be seen is read once per period, in the background, and callers do not wait."""
    source = scripted(lifetime=None)
    provider = reloading(source, clock, **options)
    old = provider.get_credentials()
    assert provider._cached.check_again_at == clock() + 60  # until then callers look at nothing
    clock.advance(59)
    assert provider.get_credentials() is old
    clock.advance(1)
    source.gate.clear()
    assert provider.get_credentials(timeout=0) is old
    flight = provider._running
    assert flight is not None
    source.gate.set()
    flight.wait(20)
    assert provider.get_credentials() is not old
    assert source.calls == 2


def test_refused_keys_are_read_again_at_once(path: Path, clock: Any) -> None:
    """After a refusal the file is read without waiting for the next look; if it is the same, so are the keys."""
    source = LinesFile(path)
    provider = reloading(source, clock, paths=[path])
    refused = provider.get_credentials()
    path.write_text(f"{KEY}\nnew")
    assert provider.force_refresh(refused).get_access_key_secret() == "new"
    clock.advance(1)
    same = provider.get_credentials()
    assert provider.force_refresh(same) == same
    assert source.reads == 3


def test_keys_in_a_file_may_end(path: Path, scripted: Any, clock: Any) -> None:
    """Keys with an end that lie in a file are read again when they near it, changed or not."""
    source = scripted(lifetime=900.0, instant=True)
    provider = reloading(source, clock, paths=[path])
    provider.get_credentials()
    clock.advance(725)
    provider.get_credentials()
    assert source.calls == 2


def test_the_environment_may_be_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch, clock: Any) -> None:
    """Wrapped, the environment is read once per period on the caller's thread, and a change is seen after it."""
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "one")
    provider = reloading(EnvironmentProvider(), clock, period=1)
    provider.get_credentials()
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "two")
    assert provider.get_credentials().get_access_key_secret() == "one"
    clock.advance(1)
    assert provider.get_credentials().get_access_key_secret() == "two"


def test_a_pickle_keeps_the_age_of_a_file_that_is_watched(path: Path) -> None:
    """Keys in a watched file that are also read again by age are so after pickling."""
    twin = pickle.loads(pickle.dumps(FileWatchingProvider(LinesFile(path), paths=[path], max_age=600.0)))
    assert (twin._paths, twin._max_age) == ((path,), 600.0)


def test_a_pickle_has_the_paths(path: Path) -> None:
    """A pickled provider knows its files and its period."""
    for provider in (
        FileWatchingProvider(LinesFile(path), paths=[path], period=3),
        FileWatchingProvider(LinesFile(path), period=7),
    ):
        provider.get_credentials()
        twin = pickle.loads(pickle.dumps(provider))
        assert (twin._paths, twin._period, twin._max_age) == (provider._paths, provider._period, provider._max_age)
        assert twin.get_credentials().get_access_key_secret() == "one"
