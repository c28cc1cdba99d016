"""Credentials from a place of your own: a function that returns them with their end, and is asked again in time."""

from datetime import UTC, datetime, timedelta

from ots_config import Credentials, Emulator, create_client

with Emulator() as emulator:

    def from_our_vault() -> Credentials:
        """Fetch temporary keys; this stands in for a call of your vault."""
        key = emulator.issue_key(lifetime=900)
        ends = datetime.now(UTC) + timedelta(seconds=900)
        return Credentials(key["AccessKeyId"], key["AccessKeySecret"], key["SecurityToken"], ends, source="our vault")

    with create_client(
        credentials_provider=from_our_vault, endpoint=emulator.endpoint, instance_name=emulator.instance_name
    ) as client:
        for _ in range(3):
            client.list_table()
        print("provider:", client.credentials_provider)
        print("health:", client.credentials_provider.health())
