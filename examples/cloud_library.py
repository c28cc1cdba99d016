"""Credentials that alibabacloud-credentials provides, taken as they are: it is asked by every request."""

from ots_config import Emulator, create_client

try:
    from alibabacloud_credentials.client import Client  # type: ignore[import-untyped] # it has no types
    from alibabacloud_credentials.models import Config  # type: ignore[import-untyped] # nor here
except ImportError:
    print("pip install alibabacloud-credentials to run this")
    raise SystemExit from None

with Emulator() as emulator:
    config = Config(
        type="ram_role_arn",
        access_key_id=emulator.access_key_id,
        access_key_secret=emulator.access_key_secret,
        role_arn="acs:ram::1234567890123456:role/reader",
        role_session_name="reports",
        sts_endpoint=emulator.endpoint,  # only for the emulator
    )
    with create_client(
        credentials_provider=Client(config), endpoint=emulator.endpoint, instance_name=emulator.instance_name
    ) as client:
        print("tables:", client.list_table(), "with", client.credentials_provider.describe())
