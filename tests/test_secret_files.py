"""Files with secrets: read within bounds, recognised when they change, and named when others can read them."""

import errno
import logging
import os
import threading
from pathlib import Path

import pytest

from ots_config import secret_files
from ots_config.secret_files import exposure, fingerprint, read_bounded, warn_if_exposed

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, devices and modes as POSIX has them")


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    """A file of exactly the limit is read; one byte more is refused."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    content, status = read_bounded(path, 10)
    assert (content, status.st_size) == (b"x" * 10, 10)
    path.write_bytes(b"x" * 11)
    with pytest.raises(OSError, match="larger than 10 bytes") as caught:
        read_bounded(path, 10)
    assert caught.value.errno == errno.EFBIG


def test_an_endless_device_is_refused() -> None:
    """/dev/zero has no end: reading stops at the limit."""
    with pytest.raises(OSError, match="larger than 100000 bytes") as caught:
        read_bounded(Path("/dev/zero"), 100_000)
    assert caught.value.errno == errno.EFBIG


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """What a shell puts in a file's place is read whole, in however many pieces it comes."""
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            for piece in (b"one", b"x" * 200_000, b"two"):
                pipe.write(piece)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    content, _ = read_bounded(path)
    writer.join(20)
    assert content == b"one" + b"x" * 200_000 + b"two"


def test_a_pipe_that_nobody_writes_into_is_given_up(tmp_path: Path) -> None:
    """Neither opening nor reading it waits longer than allowed."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="nothing more came") as caught:
        read_bounded(path, seconds=0.05)
    assert caught.value.errno == errno.ETIMEDOUT


def test_what_is_not_there_has_no_fingerprint(tmp_path: Path) -> None:
    """An absent file and an impossible path have none; a change of the mode is a change."""
    path = tmp_path / "file"
    assert fingerprint(path) is None
    assert fingerprint("nul\0byte") is None
    path.touch(mode=0o600)
    before = fingerprint(path)
    assert before == fingerprint(path)
    path.chmod(0o400)
    assert fingerprint(path) != before


@pytest.mark.parametrize(("mode", "exposed"), [(0o600, False), (0o611, False), (0o640, True), (0o602, True)])
def test_others_must_neither_read_nor_change_it(tmp_path: Path, mode: int, exposed: bool) -> None:
    """The warning names the file, its mode and the command that helps; execution alone shows nothing."""
    path = tmp_path / "file"
    path.touch()
    path.chmod(mode)
    warning = exposure(path, path.stat())
    assert bool(warning) is exposed
    assert not exposed or f"(mode {mode:o}): chmod 600 {path}" in warning


def test_a_read_only_mount_is_no_reason_to_warn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can change the mode of a secret that is mounted into a container; a directory is not a file."""
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o644)
    assert exposure(path, path.stat())
    assert not exposure(tmp_path, tmp_path.stat())

    class Mount:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(secret_files.os, "statvfs", lambda _path: Mount)
    assert not exposure(path, path.stat())


def test_each_file_is_warned_about_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is read again does not fill the log; one that is gone is not mentioned."""
    path = tmp_path / "file"
    warn_if_exposed(path, logging.getLogger("ots_config.test"))
    path.touch()
    path.chmod(0o644)
    for _ in range(3):
        warn_if_exposed(path, logging.getLogger("ots_config.test"))
    assert [record.getMessage() for record in caplog.records] == [exposure(path, path.stat())]
