"""In a Kubernetes pod with RRSA: a role assumed with the pod's OIDC token, which the cluster replaces in its file."""

import os
import tempfile
from pathlib import Path

from ots_config import Emulator, create_client

with Emulator() as emulator, tempfile.TemporaryDirectory() as folder:
    token = Path(folder, "token")
    token.touch(mode=0o600)
    token.write_text("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.c2lnbmF0dXJl\n")
    os.environ |= {  # the cluster sets these three
        "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1234567890123456:role/pod",
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1234567890123456:oidc-provider/ack",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE": str(token),
    }
    with create_client(endpoint=emulator.endpoint, instance_name="demo", sts_endpoint=emulator.endpoint) as client:
        print("tables:", client.list_table())
        print("provider:", client.credentials_provider.winner)
