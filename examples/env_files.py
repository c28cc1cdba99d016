"""Settings from two env files and the environment: which one wins, and what it overrode."""

import os
import tempfile
from pathlib import Path

from ots_config import OTSSettings

with tempfile.TemporaryDirectory() as folder:
    common, local = Path(folder, "common.env"), Path(folder, "local.env")
    common.write_text("OTS_INSTANCE_NAME=orders\nOTS_REGION=cn-hangzhou\nOTS_SOCKET_TIMEOUT=50\n")
    local.write_text("OTS_SOCKET_TIMEOUT=3,30\nOTS_RETRY__POLICY=write\n")
    os.environ["OTS_MAX_CONNECTION"] = "8"

    settings = OTSSettings(env_file=[common, local], max_connection=16)
    print("Derived:", settings.endpoint)
    for row in settings.explain():
        if row.origin != "default":
            overrode = f", over {row.overrode}" if row.overrode else ""
            print(f"{row.field:16} {row.value:48} {row.origin}{overrode}")
