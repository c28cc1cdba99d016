"""Profiles of ots.toml: each is an instance with its own identity, chosen by name, reread when the file changes."""

import os
import tempfile
from pathlib import Path

from ots_config import Emulator, create_client

with Emulator() as emulator, tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "ots.toml")
    file.touch(mode=0o600)
    common = f'endpoint = "{emulator.endpoint}"\ninstance_name = "{emulator.instance_name}"\n'
    keys = f'access_key_id = "{emulator.access_key_id}"\naccess_key_secret = "{emulator.access_key_secret}"\n'
    role = f'role_arn = "acs:ram::1234567890123456:role/ops"\nsts_endpoint = "{emulator.endpoint}"\n'
    file.write_text(f"[profiles.default]\n{common}{keys}[profiles.ops]\n{common}{keys}{role}")
    os.environ["OTS_CONFIG_FILE"] = str(file)  # the default is ./ots.toml, else the one of your configuration folder

    for profile in (None, "ops"):
        with create_client(profile=profile) as client:
            credentials = client.credentials_provider.get_credentials()
            print(client.list_table(), "as", credentials.masked_id, "from", credentials.source.replace(folder, "..."))
