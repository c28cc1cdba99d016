"""What every test has: an environment without the user's settings, and a home of its own."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

_FAMILIES = ("OTS_", "ALIBABA_CLOUD_", "ALIBABACLOUD_", "ALICLOUD_", "ACCESS_KEY_", "SECURITY_TOKEN", "OSS_")
_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hide settings, keys and proxies of whoever runs the tests; give an empty home and working directory."""
    for name in os.environ:
        if name.upper().startswith(_FAMILIES) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Have SIGINT raise ``KeyboardInterrupt``, also where the tests run with it ignored (``make test &``).

    A process that is started meanwhile gets the system's own handling of it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
