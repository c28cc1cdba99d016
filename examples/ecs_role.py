"""On an ECS instance with a RAM role, or behind a credentials URI: nothing to configure, nothing to store."""

import os

from ots_config import Emulator, create_client

with Emulator() as emulator:
    os.environ["ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT"] = emulator.endpoint  # only for the emulator
    with create_client(credentials="ecs", endpoint=emulator.endpoint, instance_name=emulator.instance_name) as client:
        print("from the metadata service:", client.list_table(), client.credentials_provider.get_credentials())

    os.environ["ALIBABA_CLOUD_CREDENTIALS_URI"] = f"{emulator.endpoint}/credentials"
    with create_client(credentials="uri", endpoint=emulator.endpoint, instance_name=emulator.instance_name) as client:
        print("from a credentials URI:", client.list_table(), client.credentials_provider.get_credentials())
