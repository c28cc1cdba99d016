"""What sources leave behind in a program: no log handlers, no threads, no output, no changed files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ots_config import Emulator

PROGRAM = """
import logging, sys, threading

import ots_config
from ots_config import OTSSettings, create_provider
from ots_config.errors import CredentialsError

levels = {name: logger.level for name, logger in logging.root.manager.loggerDict.items() if hasattr(logger, "level")}
settings = OTSSettings()
providers = [create_provider(settings) for _ in range(100)]
assert threading.active_count() == 1, threading.enumerate()
for provider in providers[:10]:
    provider.get_credentials()
assert threading.active_count() <= 2, threading.enumerate()
try:
    create_provider(OTSSettings(role_session_name="refused", sts_endpoint="http://127.0.0.1:9")).get_credentials()
except CredentialsError:
    pass
else:
    raise SystemExit("the role was assumed at an address where nobody is")
for name, logger in logging.root.manager.loggerDict.items():
    if name.startswith(("ots_config", "requests", "urllib3", "keyring", "tenacity")) and hasattr(logger, "handlers"):
        assert all(isinstance(handler, logging.NullHandler) for handler in logger.handlers), name
        assert levels.get(name, 0) == logger.level, name
assert logging.root.handlers == []
print("clean")
"""


def test_a_program_keeps_its_logs_and_threads(tmp_path: Path) -> None:
    """100 providers start no thread, ten that fetch share one; no handler is added, no level set, nothing printed."""
    with Emulator() as emulator:
        variables = {
            "OTS_ENDPOINT": emulator.endpoint,
            "OTS_INSTANCE": "demo",
            "OTS_ACCESS_KEY_ID": emulator.access_key_id,
            "OTS_ACCESS_KEY_SECRET": emulator.access_key_secret,
            "OTS_ROLE_ARN": "acs:ram::1234567890123456:role/quiet",
            "OTS_STS_ENDPOINT": emulator.endpoint,
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM],
            env=os.environ | variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.stdout, done.stderr) == ("clean\n", "")
    assert list(tmp_path.iterdir()) == []
    assert list(Path(os.environ["HOME"]).iterdir()) == []
