"""A key kept in the system's keychain: stored once, read by every program, replaced without a restart.

On a machine without a keychain this prints the one sentence that says so.
"""

from ots_config import Credentials, CredentialsError, Emulator, Keychain, KeyringProvider, create_client

ENTRY = "ots-config-example"

with Emulator() as emulator:
    keychain = Keychain()
    try:
        keychain.store(Credentials(emulator.access_key_id, emulator.access_key_secret), ENTRY)
    except CredentialsError as error:
        print("No keychain here:", error)
        raise SystemExit from None
    provider = KeyringProvider(ENTRY, keychain=keychain)
    with create_client(
        credentials_provider=provider, endpoint=emulator.endpoint, instance_name=emulator.instance_name
    ) as client:
        print("tables:", client.list_table(), "with", provider.describe())
    keychain.delete(ENTRY)
