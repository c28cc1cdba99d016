"""A lock on a file: what a forked child keeps of it, and whether the file is still there."""

import os
import sys
import warnings
from pathlib import Path

import pytest

from ots_config.credentials.file_lock import FileLock


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_child_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    """A child forked while the lock is held closes its copy, so the lock goes when the parent lets it go."""
    path = tmp_path / "lock"
    lock = FileLock(path, wait=0)
    assert lock.acquire()
    here, there = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
        child = os.fork()
    if child == 0:
        closed = lock._descriptor is None and not lock._held
        os.write(there, b"closed" if closed else b"open")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(here, 10) == b"closed"
    os.close(here)
    os.close(there)
    assert not FileLock(path, wait=0).acquire()
    lock.release()
    other = FileLock(path, wait=0)
    assert other.acquire()
    other.release()


@pytest.mark.skipif(sys.platform == "win32", reason="files are replaced while they are open")
def test_a_lock_knows_whether_its_file_was_replaced(tmp_path: Path) -> None:
    """The lock of a file that somebody has replaced or removed is not the lock of the file that is there."""
    path = tmp_path / "lock"
    lock = FileLock(path, wait=0)
    assert not lock.is_current()
    assert lock.acquire()
    assert lock.is_current()
    (tmp_path / "new").touch()
    (tmp_path / "new").replace(path)
    assert not lock.is_current()
    path.unlink()
    assert not lock.is_current()
    lock.release()


def test_a_file_is_made_only_if_that_is_wanted(tmp_path: Path) -> None:
    """The lock of a file that must exist makes none."""
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "lock", wait=0, create=False).acquire()
    assert not (tmp_path / "lock").exists()
