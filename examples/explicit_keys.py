"""A client from explicit arguments, in the positions of the service's documentation."""

from ots_config import Emulator, OTSClient, WriteRetryPolicy

with Emulator() as emulator:
    client = OTSClient(
        emulator.endpoint,
        emulator.access_key_id,
        emulator.access_key_secret,
        emulator.instance_name,
        socket_timeout=10,
        max_connection=20,
        retry_policy=WriteRetryPolicy(),
    )
    with client:
        print(client, "has the tables", client.list_table())
