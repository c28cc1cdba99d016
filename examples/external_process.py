"""Keys that a program of yours prints: a vault's command line, for example. It is run again before they end."""

import json
import sys
import tempfile
from pathlib import Path

from ots_config import Emulator, create_client

with Emulator() as emulator, tempfile.TemporaryDirectory() as folder:
    key = emulator.issue_key(lifetime=900)
    printed = {
        "mode": "StsToken",
        "access_key_id": key["AccessKeyId"],
        "access_key_secret": key["AccessKeySecret"],
        "sts_token": key["SecurityToken"],
        "expiration": key["Expiration"],
    }
    program = Path(folder, "vault.py")
    program.touch(mode=0o600)
    program.write_text(f"print({json.dumps(printed)!r})")

    with create_client(
        endpoint=emulator.endpoint,
        instance_name=emulator.instance_name,
        credentials_process=f"{sys.executable} {program}",  # or OTS_CREDENTIALS_PROCESS, or in a profile of ots.toml
    ) as client:
        print("tables:", client.list_table(), "from", client.credentials_provider.winner)
        print("until:", client.credentials_provider.health().expires_at)
