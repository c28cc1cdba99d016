"""A worker that outlives its credentials: a role's keys of two seconds, and a key replaced while it runs.

The role is assumed with a key from an env file. Tokens are renewed before they end; half-way the key in the file is
replaced and the old one revoked, as an administrator would do it. No request fails.
"""

import sys
import tempfile
import time
from pathlib import Path

from ots_config import Emulator, create_client
from tablestore import CapacityUnit, ReservedThroughput, Row, TableMeta, TableOptions

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
ROLE = "acs:ram::1234567890123456:role/writer"


def write_keys(path: Path, key: str, secret: str) -> None:
    """Replace the keys in the env file as a whole, so that no reader finds half of them."""
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(f"OTS_ACCESS_KEY_ID={key}\nOTS_ACCESS_KEY_SECRET={secret}\n")
    new.replace(path)


with Emulator() as emulator, tempfile.TemporaryDirectory() as folder:
    emulator.sts(lifetime=2)
    env_file = Path(folder) / "job.env"
    write_keys(env_file, emulator.access_key_id, emulator.access_key_secret)

    with create_client(
        env_file=env_file,
        role_arn=ROLE,
        endpoint=emulator.endpoint,
        instance_name="demo",
        sts_endpoint=emulator.endpoint,
    ) as client:
        provider = client.credentials_provider
        provider.on_rotate(lambda old, new: print(f"rotated: {old.access_key_id} -> {new.access_key_id}", flush=True))
        meta = TableMeta("events", [("id", "INTEGER")])
        client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))

        started, written, replaced = time.monotonic(), 0, False
        while time.monotonic() - started < SECONDS:
            client.put_row("events", Row([("id", written)], [("text", "tick")]))
            written += 1
            if not replaced and time.monotonic() - started > SECONDS / 2:
                emulator.add_key("replacement-key", "replacement-secret")
                write_keys(env_file, "replacement-key", "replacement-secret")
                emulator.revoke(emulator.access_key_id)
                replaced = True
                print("the key in the file was replaced, and the old one revoked", flush=True)

        failed = [entry for entry in emulator.log() if entry["operation"] == "PutRow" and entry["status"] != 200]
        print(f"{written} rows written, {len(failed)} requests refused, {provider.health().state.name}")
