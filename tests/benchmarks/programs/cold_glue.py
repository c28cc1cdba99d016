"""The same with the official SDK, its peer for credentials and pydantic-settings, glued by hand."""

import tablestore
from alibabacloud_credentials.client import Client
from pydantic_settings import BaseSettings, SettingsConfigDict
from tablestore.credentials import Credentials, CredentialsProvider


class Settings(BaseSettings):
    """Where the instance is."""

    model_config = SettingsConfigDict(env_prefix="OTS_")

    endpoint: str
    instance_name: str


class Provider(CredentialsProvider):
    """Hands the peer's credentials to the SDK."""

    def __init__(self) -> None:
        self._client = Client()

    def get_credentials(self) -> Credentials:
        """Return what the peer has now."""
        found = self._client.get_credential()
        return Credentials(found.access_key_id, found.access_key_secret, found.security_token)


settings = Settings()
client = tablestore.OTSClient(settings.endpoint, instance_name=settings.instance_name, credentials_provider=Provider())
client.put_row("t", tablestore.Row([("gid", 1), ("uid", "u")], [("text", "x" * 50)]))
