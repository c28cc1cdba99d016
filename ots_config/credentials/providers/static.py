"""Credentials that were given as they are."""

from __future__ import annotations

from datetime import datetime

from ots_config.credentials.credentials import Credentials, Secret
from ots_config.credentials.environment_names import SETTING
from ots_config.credentials.provider import DirectProvider
from ots_config.errors import CredentialsRefused


class StaticProvider(DirectProvider):
    """The credentials of a client's arguments; they never change.

    Args:
        access_key_id: The AccessKey ID.
        access_key_secret: The AccessKey secret.
        sts_token: The STS token of temporary keys.
        expires_at: When temporary keys end, an aware datetime; None if that is not known.
        source: Where they came from, for messages.

    Raises:
        CredentialsRefused: If they cannot be used.
    """

    name = "arguments"
    _can_change = False

    def __init__(
        self,
        access_key_id: str,
        access_key_secret: str | Secret,
        sts_token: str | Secret | None = None,
        *,
        expires_at: datetime | None = None,
        source: str = "arguments",
    ) -> None:
        super().__init__()
        problem = ""
        try:
            self._credentials = Credentials(access_key_id, access_key_secret, sts_token, expires_at, source=source)
        except ValueError as error:
            problem = str(error)
        del access_key_id, access_key_secret, sts_token  # whoever prints a traceback may show this frame
        if problem:
            raise CredentialsRefused(f"{source}: {problem}")
        self._last = self._credentials

    @classmethod
    def of(cls, credentials: Credentials) -> StaticProvider:
        """Return a provider of these credentials."""
        provider = cls.__new__(cls)
        super(cls, provider).__init__()
        provider._credentials = provider._last = credentials  # noqa: SLF001 - it is one of ours
        return provider

    def fetch_credentials(self) -> Credentials:
        """Return the credentials."""
        return self._credentials

    def get_credentials(self, timeout: float | None = None) -> Credentials:  # noqa: ARG002 - nothing to wait for
        """Return the credentials; each attempt asks, so it costs no further call."""
        return self._credentials

    def named_by(self) -> str:
        """Return that they were given."""
        return SETTING

    def describe(self) -> str:
        """Return the masked key and where it came from."""
        if "_credentials" not in self.__dict__:  # the constructor has failed
            return "no key"
        return f"key {self._credentials.masked_id} from {self._credentials.source}"
