"""What a program loads until its first row is written: on a serverless platform its user waits for that."""

import json
import os
import subprocess
import sys
from pathlib import Path

from ots_config import Emulator

PROGRAM = """
import json, sys
from ots_config import create_client
from tablestore import Row
with create_client() as client:
    client.put_row("t", Row([("gid", 1), ("uid", "u")], [("n", 1)]))
print(json.dumps(sorted(sys.modules)))
"""
NEEDED = {
    *("ots_config", "ots_sdk", "tablestore", "crc32c", "fastcrc", "flatbuffers", "google", "six"),  # the SDK, and rows
    *("certifi", "charset_normalizer", "chardet", "idna", "requests", "urllib3", "backports", "brotli", "brotlicffi"),
    *("annotated_types", "dotenv", "pydantic", "pydantic_core", "pydantic_settings", "typing_extensions"),
    "typing_inspection",
}
"""The packages from outside of the standard library: those of the SDK, of HTTP and of the settings that are read."""
UNUSED = {
    *("aiohttp", "keyring", "numpy", "pandas", "tenacity", "unittest", "sqlite3", "multiprocessing", "xml"),
    *("ots_config.client.async_client", "ots_config.client.bulk.writer", "ots_config.emulator", "ots_config.cli"),
}
"""What is loaded only by those who use it."""


def test_what_a_first_write_loads(emulator: Emulator) -> None:
    """The modules of a program that is configured by its environment and writes a row are these and no other."""
    settings = emulator.settings
    assert settings.access_key_secret is not None
    configured = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HOME": os.environ["HOME"],
        "OTS_ENDPOINT": settings.endpoint,
        "OTS_INSTANCE_NAME": settings.instance_name,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": emulator.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": emulator.access_key_secret,
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=configured, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert not UNUSED & loaded
    packages = {name.partition(".")[0] for name in loaded}
    named = {name for name in packages if not name.startswith(("_", "cython_runtime", "sitecustomize", "coverage"))}
    assert named - NEEDED <= set(sys.stdlib_module_names)
