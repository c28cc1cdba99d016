"""The plain official client with this library's credentials, and the emulator for any Tablestore client."""

import tablestore
from ots_config import Emulator, OTSSettings, create_provider

with Emulator() as emulator:
    settings: OTSSettings = emulator.settings
    provider = create_provider(settings)
    client = tablestore.OTSClient(
        settings.endpoint, instance_name=settings.instance_name, credentials_provider=provider
    )
    print("tables:", client.list_table())
