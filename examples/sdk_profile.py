"""The file of profiles that Alibaba Cloud's SDKs read: here a section that assumes a role, signed with its own key."""

import tempfile
from pathlib import Path

from ots_config import Emulator, create_client

with Emulator() as emulator, tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "credentials.ini")
    file.touch(mode=0o600)
    file.write_text(
        "[reports]\n"
        "type = ram_role_arn\n"
        f"access_key_id = {emulator.access_key_id}\n"
        f"access_key_secret = {emulator.access_key_secret}\n"
        "role_arn = acs:ram::1234567890123456:role/reports\n"
    )
    with create_client(
        endpoint=emulator.endpoint,
        instance_name=emulator.instance_name,
        sts_endpoint=emulator.endpoint,  # in production leave it out
        credentials_file=str(file),  # the default is ~/.alibabacloud/credentials
        credentials_profile="reports",
    ) as client:
        print("tables:", client.list_table(), "from", client.credentials_provider.get_credentials().source)
