"""What may be told about credentials: their masked form, and how their renewal fares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from ots_config.credentials.credentials import Credentials
    from ots_config.credentials.expiry import State


@dataclass(frozen=True, slots=True)
class MaskedCredentials:
    """Credentials without secrets, for logs, metrics and callbacks.

    Attributes:
        access_key_id: The masked AccessKey ID.
        has_token: Whether they come with an STS token.
        expires_at: When they end (aware), None if they do not.
        source: Where they came from.
    """

    access_key_id: str
    has_token: bool
    expires_at: datetime | None
    source: str

    @classmethod
    def of(cls, credentials: Credentials) -> MaskedCredentials:
        """Return what may be shown of credentials."""
        return cls(
            credentials.masked_id,
            credentials.sts_token is not None,
            credentials.expires_at,
            credentials.source,
        )

    def __str__(self) -> str:
        until = f" until {self.expires_at:%Y-%m-%dT%H:%M:%S%z}" if self.expires_at else ""
        return f"{self.access_key_id}{until}"


@dataclass(frozen=True, slots=True)
class Health:
    """How a provider's credentials fare.

    Attributes:
        state: FRESH, STALE or EXPIRED (also: none yet).
        source: Where the credentials came from; the provider's name if there are none.
        access_key_id: The masked AccessKey ID, empty if there is none.
        expires_at: When they end (aware), None if they do not.
        last_refresh: When they were last fetched (aware), None if never.
        last_error: Why the last refresh failed, None if it did not.
        failures: How many refreshes have failed in a row.
        refreshes: How many have succeeded.
    """

    state: State
    source: str
    access_key_id: str = ""
    expires_at: datetime | None = None
    last_refresh: datetime | None = None
    last_error: str | None = None
    failures: int = 0
    refreshes: int = 0
