"""A role assumed with a key, another assumed with that role, and whose keys they are in the end."""

from ots_config import Emulator, create_client

with (
    Emulator() as emulator,
    create_client(
        endpoint=emulator.endpoint,
        instance_name=emulator.instance_name,
        access_key_id=emulator.access_key_id,
        access_key_secret=emulator.access_key_secret,
        sts_endpoint=emulator.endpoint,  # in production leave it out, or set OTS_STS_REGION
        role_via="acs:ram::1234567890123456:role/entrance",
        role_arn="acs:ram::1234567890123456:role/reader",
        role_session_name="nightly-report",
        role_policy={"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ots:Get*", "Resource": "*"}]},
    ) as client,
):
    print("tables:", client.list_table())
    print("keys:", client.credentials_provider.get_credentials())
    who = client.identity()
    print("identity:", who.identity_type, who.arn)
