"""What every source of credentials is: the one base class, with a default for whatever a source does not do itself."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from ots_config.errors import CredentialsRefused

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials
    from ots_config.credentials.health import MaskedCredentials

Rotation = Callable[["MaskedCredentials", "MaskedCredentials"], object]
"""Called with the masked credentials that were replaced and those that replace them."""


class Provider(ABC):
    """A source of credentials.

    A subclass implements ``fetch_credentials``. It returns one snapshot or raises ``CredentialsUnavailable`` (not
    configured here: a chain goes on) or ``CredentialsRefused`` (configured and failing: a chain stops).

    Attributes:
        name: What the source is called in reports, ``keyring``.
        instant: Whether the source answers at once, so that it may be asked on an event loop.
        cached: Whether ``get_credentials`` keeps what it fetched, or costs nothing. One that does neither is wrapped
            in a ``RefreshingProvider`` when it is given to a client.
    """

    name: str = "provider"
    instant: bool = False
    cached: ClassVar[bool] = False

    @abstractmethod
    def fetch_credentials(self) -> Credentials:
        """Ask the source now.

        Raises:
            CredentialsUnavailable: If it is not configured here.
            CredentialsRefused: If it is configured and fails.
        """

    def get_credentials(self, timeout: float | None = None) -> Credentials:  # noqa: ARG002 - for those that wait
        """Return the credentials to use now.

        Args:
            timeout: Seconds that the call may take, None for no limit of the caller's.

        Raises:
            CredentialsError: If there are none.
        """
        return self.fetch_credentials()

    async def get_credentials_async(self, timeout: float | None = None) -> Credentials:  # noqa: ASYNC109
        """Return the credentials to use now without blocking the event loop; see ``get_credentials``."""
        if self.instant:
            return self.get_credentials(timeout)
        return await self._in_thread(lambda: self.get_credentials(timeout), timeout)

    def force_refresh(self, rejected: Credentials, timeout: float | None = None) -> Credentials:  # noqa: ARG002
        """Return other credentials than those that the service refused, if the source has others by now.

        Args:
            rejected: What the refused request was signed with.
            timeout: As in ``get_credentials``.

        Raises:
            CredentialsError: If there are none.
        """
        return self.get_credentials(timeout)

    async def force_refresh_async(self, rejected: Credentials, timeout: float | None = None) -> Credentials:  # noqa: ASYNC109
        """Return other credentials without blocking the event loop; see ``force_refresh``."""
        if self.instant:
            return self.force_refresh(rejected, timeout)
        return await self._in_thread(lambda: self.force_refresh(rejected, timeout), timeout)

    def on_rotate(self, callback: Rotation) -> Callable[[], None]:  # noqa: ARG002
        """Call ``callback(old, new)`` whenever the credentials are replaced; return a function that ends this.

        A source that keeps nothing does not know of replacements, and never calls it.
        """
        return lambda: None

    def describe(self) -> str:
        """Return what the source looks at, without secrets."""
        return self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.describe()}>"

    async def _in_thread(self, ask: Callable[[], Credentials], timeout: float | None) -> Credentials:  # noqa: ASYNC109
        clock = asyncio.timeout(timeout)
        try:
            async with clock:
                return await asyncio.to_thread(ask)
        except TimeoutError:
            if not clock.expired():
                raise  # the source's own
        raise CredentialsRefused(f"{self.name}: no answer within {timeout:.3g} s")
