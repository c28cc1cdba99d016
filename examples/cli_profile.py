"""The profile that `aliyun configure` wrote: every mode of the Aliyun CLI is read, and the file is never written."""

import json
import os
import tempfile
from pathlib import Path

from ots_config import Emulator, create_client

with Emulator() as emulator, tempfile.TemporaryDirectory() as folder:
    config = Path(folder, "config.json")
    config.touch(mode=0o600)
    profile = {
        "name": "prod",
        "mode": "AK",
        "access_key_id": emulator.access_key_id,
        "access_key_secret": emulator.access_key_secret,
    }
    config.write_text(json.dumps({"current": "prod", "profiles": [profile]}))
    os.environ["ALIBABA_CLOUD_CONFIG_FILE"] = str(config)  # the default is ~/.aliyun/config.json

    with create_client(endpoint=emulator.endpoint, instance_name="demo", credentials="profile") as client:
        print("tables:", client.list_table(), "from", client.credentials_provider.winner)
