"""Temporary credentials in a file that several processes share."""

import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ots_config.credentials.file_lock import FileLock
from ots_config.credentials.provider import Provider
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.credentials.shared_cache import SharedCache, cache_directory
from ots_config.errors import CredentialsRefused

PATIENCE = 20.0
posix = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes as POSIX has them")

PROCESS = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ots_config.credentials.shared_cache import SharedCache
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.credentials.credentials import Credentials
from ots_config.credentials.provider import Provider

here = Path(sys.argv[1])

class Source(Provider):
    name = "sts"
    def describe(self):
        return "role acs:ram::1:role/demo"
    def fetch_credentials(self):
        with (here / "calls").open("a") as calls:
            calls.write("x")
        time.sleep(0.2)
        return Credentials("STS.NT4exampleExample", "s", "t", datetime.now(UTC) + timedelta(hours=1), "sts")

provider = RefreshingProvider(SharedCache(Source(), here / "cache"))
(here / f"ready-{sys.argv[2]}").touch()
while not (here / "go").exists():
    time.sleep(0.005)
print(provider.get_credentials().expires_at.timestamp())
"""


def shared(source: Any, directory: Path, **options: Any) -> SharedCache:
    """Wrap a scripted source, on its clock."""
    return SharedCache(source, directory / "cache", wall=source.clock.wall, **options)


def test_16_cold_processes_fetch_once(tmp_path: Path) -> None:
    """16 processes that start without credentials at the same moment cause one fetch, and all use its result."""
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", PROCESS, str(tmp_path)]
    processes = [
        subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, text=True, env=environ)
        for number in range(16)
    ]
    pause = threading.Event()
    for _ in range(6000):
        if len(list(tmp_path.glob("ready-*"))) == 16:
            break
        pause.wait(0.01)
    (tmp_path / "go").touch()
    told = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0] * 16
    assert len(set(told)) == 1
    assert float(told[0]) > 0
    assert (tmp_path / "calls").read_text() == "x"


def test_64_threads_with_caches_of_their_own_fetch_once(scripted: Any, together: Any, tmp_path: Path) -> None:
    """Within a process too the lock lets one fetch, whoever made the cache objects."""
    source = scripted()
    found = together(64, lambda: shared(source, tmp_path).fetch_credentials())
    assert {credentials.access_key_id for credentials in found} == {"STS.NUMBER0001KEYKEY"}
    assert source.calls == 1


def test_what_comes_back_is_what_was_kept(scripted: Any, tmp_path: Path) -> None:
    """Another process gets the same keys, token, end and source."""
    source = scripted()
    first = shared(source, tmp_path).fetch_credentials()
    second = shared(source, tmp_path).fetch_credentials()
    assert second == first
    assert second is not first
    assert second.source == first.source
    assert source.calls == 1


def test_whoever_asks_again_wants_newer_ones(scripted: Any, tmp_path: Path) -> None:
    """What a process has used already is not taken from the file again, so refused keys are replaced for all."""
    source = scripted()
    one, two = shared(source, tmp_path), shared(source, tmp_path)
    one.fetch_credentials()
    two.fetch_credentials()
    assert source.calls == 1
    assert one.fetch_credentials().access_key_id == "STS.NUMBER0002KEYKEY"
    assert two.fetch_credentials().access_key_id == "STS.NUMBER0002KEYKEY"
    assert source.calls == 2


def test_forced_refresh_goes_past_the_file(scripted: Any, clock: Any, tmp_path: Path) -> None:
    """Keys from the file that the service refuses are fetched anew."""
    source = scripted()
    shared(source, tmp_path).fetch_credentials()
    provider = RefreshingProvider(shared(source, tmp_path), clock=clock, wall=clock.wall)
    refused = provider.get_credentials()
    assert source.calls == 1
    assert provider.force_refresh(refused).access_key_id == "STS.NUMBER0002KEYKEY"


@pytest.mark.parametrize(("age", "calls"), [(2699, 1), (2700, 2), (3600, 2)])
def test_old_entries_are_replaced(scripted: Any, clock: Any, tmp_path: Path, age: int, calls: int) -> None:
    """An entry in its last quarter, where every holder would look for newer ones, is not used."""
    source = scripted()
    shared(source, tmp_path).fetch_credentials()
    clock.advance(age)
    shared(source, tmp_path).fetch_credentials()
    assert source.calls == calls


def test_an_entry_from_the_future_is_not_used(scripted: Any, clock: Any, tmp_path: Path) -> None:
    """After the clock was set back by hours, the end of an entry says nothing."""
    source = scripted()
    shared(source, tmp_path).fetch_credentials()
    clock.now -= 7200
    shared(source, tmp_path).fetch_credentials()
    assert source.calls == 2


@posix
def test_the_file_is_private_from_the_first_byte(
    scripted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file is made with mode 0600 and exclusively, then put in place at one stroke; nothing else is left."""
    made: list[tuple[str, int, int]] = []
    real = os.open

    def spy(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        made.append((str(path), flags, mode))
        return real(path, flags, mode, **options)

    monkeypatch.setattr(os, "open", spy)
    old = os.umask(0)
    try:
        cache = shared(scripted(), tmp_path)
        cache.fetch_credentials()
    finally:
        os.umask(old)
    ((_, flags, mode),) = [entry for entry in made if entry[0].endswith(".new")]
    assert flags & os.O_EXCL
    assert mode == 0o600
    assert cache.path.stat().st_mode & 0o777 == 0o600
    assert cache.path.parent.stat().st_mode & 0o777 == 0o700
    assert {path.suffix for path in cache.path.parent.iterdir()} == {".json", ".lock"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"version": 1}',
        b"[" * 100_000,
        b"{}" + b" " * 100_000,
    ],
    ids=["empty", "cut", "list", "null", "bytes", "bare", "deep", "long"],
)
def test_a_damaged_file_is_replaced(
    scripted: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """A file that holds no entry is told once and replaced by a good one."""
    source = scripted()
    cache = shared(source, tmp_path)
    cache.path.parent.mkdir()
    cache.path.write_bytes(content)
    cache.path.chmod(0o600)
    cache.fetch_credentials()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "the file is damaged" in caplog.text
    shared(source, tmp_path).fetch_credentials()
    assert source.calls == 1


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"who": "somebody else"},
        {"access_key_id": ""},
        {"access_key_id": "two words"},
        {"access_key_secret": None},
        {"sts_token": 5},
        {"expires_at": "soon"},
        {"expires_at": 1e300},
        {"expires_at": float("nan")},
        {"fetched_at": None},
    ],
    ids=str,
)
def test_an_entry_that_was_tampered_with_is_not_believed(
    scripted: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any]
) -> None:
    """An entry with a field of another kind, or of another identity, is not used."""
    source = scripted()
    cache = shared(source, tmp_path)
    cache.fetch_credentials()
    entry = json.loads(cache.path.read_text())
    cache.path.write_text(json.dumps({**entry, **change}))
    shared(source, tmp_path).fetch_credentials()
    assert source.calls == 2
    assert "the file is damaged" in caplog.text


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_a_file_that_others_can_reach_is_not_believed(
    scripted: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    """A file that group or others can read or write is told once and replaced by a private one."""
    source = scripted()
    cache = shared(source, tmp_path)
    cache.fetch_credentials()
    cache.path.chmod(mode)
    other = shared(source, tmp_path)
    other.fetch_credentials()
    other.fetch_credentials()
    assert source.calls == 3
    assert caplog.text.count("can be read or written by others") == 1
    assert cache.path.stat().st_mode & 0o777 == 0o600


@posix
def test_a_file_of_another_user_is_not_believed(
    scripted: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that belongs to someone else is told once and not used."""
    source = scripted()
    shared(source, tmp_path).fetch_credentials()
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    shared(source, tmp_path).fetch_credentials()
    assert source.calls == 2
    assert "belongs to another user" in caplog.text


@posix
@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_what_is_no_file_is_not_opened(
    scripted: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """A link, a pipe or a directory in the file's place is not followed, waited for or believed."""
    source = scripted()
    cache = shared(source, tmp_path)
    cache.path.parent.mkdir()
    if kind == "link":
        (tmp_path / "elsewhere").write_text("{}")
        cache.path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(cache.path)
    else:
        cache.path.mkdir()
    assert cache.fetch_credentials().access_key_id == "STS.NUMBER0001KEYKEY"
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
    if kind == "link":
        assert (tmp_path / "elsewhere").read_text() == "{}"


def test_a_directory_that_cannot_be_made_is_told_once(
    scripted: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing can be kept, each process fetches for itself."""
    source = scripted()
    (tmp_path / "cache").write_text("a file in the directory's place")
    cache = shared(source, tmp_path)
    cache.fetch_credentials()
    cache.fetch_credentials()
    assert source.calls == 2
    assert len(caplog.records) == 1


def test_a_file_that_cannot_be_written_is_told_once(
    scripted: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk costs the sharing, not the credentials, and leaves no half file."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    cache = shared(scripted(), tmp_path)
    assert cache.fetch_credentials()
    assert "cannot be written (No space left on device)" in caplog.text
    assert {path.suffix for path in cache.path.parent.iterdir()} == {".lock"}


def test_a_process_that_hangs_holds_others_up_for_a_while_only(
    scripted: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If the lock is not let go within the time to wait, the process fetches all the same."""
    source = scripted()
    pauses: list[float] = []
    cache = shared(source, tmp_path, wait=30.0, sleep=pauses.append)
    cache.path.parent.mkdir()
    holder = FileLock(cache.path.with_suffix(".lock"), wait=0)
    assert holder.acquire()
    assert cache.fetch_credentials()
    assert 29 < sum(pauses) < 31
    assert "is locked by another process for more than 30 s" in caplog.text
    holder.release()
    holder.release()
    assert holder.acquire()
    holder.release()


def test_a_failed_fetch_lets_the_lock_go(scripted: Any, tmp_path: Path) -> None:
    """When the source fails, its error is raised, nothing is kept and the next process may try."""
    source = scripted()
    source.failure = CredentialsRefused("STS says no")
    with pytest.raises(CredentialsRefused, match="STS says no"):
        shared(source, tmp_path).fetch_credentials()
    source.failure = None
    assert shared(source, tmp_path, wait=0).fetch_credentials()


def test_permanent_keys_are_not_kept(scripted: Any, tmp_path: Path) -> None:
    """Keys without an end are never written to disk."""
    cache = shared(scripted(lifetime=None), tmp_path)
    cache.fetch_credentials()
    assert not cache.path.exists()


def test_a_source_that_gives_nonsense_is_told(tmp_path: Path) -> None:
    """What is no Credentials is a refusal, and is not kept."""

    class Nonsense(Provider):
        name = "nonsense"

        def fetch_credentials(self) -> Any:
            return ("id", "secret")

    cache = SharedCache(Nonsense(), tmp_path)
    with pytest.raises(CredentialsRefused, match="nonsense: the source returned tuple, no Credentials"):
        cache.fetch_credentials()
    assert cache.describe() == "nonsense"


def test_the_file_is_named_for_the_identity(scripted: Any, tmp_path: Path, mark: str) -> None:
    """The name comes from who the credentials are for: another identity has another file, new secrets have not."""
    source = scripted()
    cache = shared(source, tmp_path)
    name = cache.path
    cache.fetch_credentials()
    cache.fetch_credentials()
    assert cache.path == name
    assert shared(source, tmp_path, identity="another role").path != name
    assert mark not in str(name) + repr(cache)


def test_a_description_that_changes_while_fetching_does_no_harm(scripted: Any, tmp_path: Path) -> None:
    """A source that describes itself otherwise once it has fetched still shares with processes that start."""
    source = scripted()
    source.describe = lambda: "fetched" if source.calls else "new"
    shared(source, tmp_path).fetch_credentials()
    other = scripted()
    other.describe = lambda: "new"
    assert shared(other, tmp_path).fetch_credentials().access_key_id == "STS.NUMBER0001KEYKEY"
    assert other.calls == 0


def test_the_directory_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scripted: Any) -> None:
    """Without a directory the user's cache directory is used, as the environment says at the call."""
    cache = SharedCache(scripted())
    if sys.platform not in {"win32", "darwin"}:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache_directory() == tmp_path / "ots-config" / "credentials"
        assert cache.path.parent == cache_directory()
    for platform in ("win32", "darwin"):
        monkeypatch.setattr(sys, "platform", platform)
        assert cache_directory().parts[-2:] == ("ots-config", "credentials")


def test_a_pickle_has_no_secret(scripted: Any, tmp_path: Path, mark: str) -> None:
    """A pickled cache forgets what it has handed out."""
    cache = SharedCache(scripted(), tmp_path)
    cache.fetch_credentials()
    data = pickle.dumps(cache)
    assert mark.encode() not in data
    assert pickle.loads(data)._last is None
