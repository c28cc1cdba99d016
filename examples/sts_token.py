"""A client with temporary keys: the STS token goes in as ``sts_token``, and is never printed."""

from ots_config import Emulator, OTSClient

with Emulator() as emulator:
    key = emulator.issue_key(lifetime=900)  # in production: from STS, or let create_client() fetch it
    with OTSClient(
        emulator.endpoint,
        key["AccessKeyId"],
        key["AccessKeySecret"],
        emulator.instance_name,
        sts_token=key["SecurityToken"],
    ) as client:
        print("tables:", client.list_table())
        print("provider:", client.credentials_provider)
