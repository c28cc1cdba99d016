"""A clean place for settings: no variables, no files but the test's own."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ENDPOINT = "https://demo.cn-hangzhou.ots.aliyuncs.com"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory, with no variables and no configuration of the user's own."""
    for name in list(os.environ):
        if name.upper().startswith("OTS_"):
            monkeypatch.delenv(name)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return work


@pytest.fixture
def write(place: Path) -> Callable[..., Path]:
    """Return a function that writes a private file below the working directory."""

    def writer(name: str, text: str | bytes, mode: int = 0o600) -> Path:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return Path(name)

    return writer
