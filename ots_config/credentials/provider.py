"""The base class of every source of credentials, with a default for each optional method."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from ots_config.credentials.expiry import AGE_CLOCK, State, same_keys
from ots_config.credentials.health import Health, RefusalRecord, Rotation
from ots_config.errors import CredentialsRefused

if TYPE_CHECKING:
    from ots_config.credentials.credentials import Credentials


class Provider(ABC):
    """A source of credentials.

    A subclass implements ``fetch_credentials``. It returns one snapshot or raises ``CredentialsUnavailable`` (not
    configured here: a chain goes on) or ``CredentialsRefused`` (configured and failing: a chain stops).

    Attributes:
        name: The source's name in reports, ``keyring``.
        instant: Whether the source answers at once, so that it may be asked on an event loop.
        max_age: Seconds after which credentials that do not end are asked for again; None for never.
        cached: Whether ``get_credentials`` may be called for each request. A provider of which this is not true is
            wrapped in a ``RefreshingProvider`` when it is given to a client.
    """

    __slots__ = ()

    name: str = "provider"
    instant: bool = False
    max_age: ClassVar[float | None] = None
    cached: bool = False

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
            timeout: Seconds that this call may take if it has to wait; None for the provider's own limit.

        Raises:
            CredentialsUnavailable: If there are none, and the source is not configured here.
            CredentialsRefused: If there are none, and the source fails or takes too long.
        """
        return self.fetch_credentials()

    async def get_credentials_async(self, timeout: float | None = None) -> Credentials:  # noqa: ASYNC109
        """Return the credentials to use now without blocking the event loop; see ``get_credentials``."""
        if self.instant:
            return self.get_credentials(timeout)
        return await in_thread(self.name, lambda: self.get_credentials(timeout), timeout)

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
        return await in_thread(self.name, lambda: self.force_refresh(rejected, timeout), timeout)

    def on_rotate(self, callback: Rotation) -> Callable[[], None]:  # noqa: ARG002
        """Call ``callback(old, new)``, both masked, when credentials replace others; return a function that ends this.

        A source that keeps nothing does not know of replacements and never calls it.
        """
        return lambda: None

    def health(self) -> Health:
        """Return the condition of the credentials, without asking the source."""
        return Health(State.FRESH, self.name)

    def named_by(self) -> str:
        """Return what names this source now, a setting, an argument or a variable; empty if nothing does."""
        return ""

    def check_named(self) -> None:  # noqa: B027 - most sources have nothing to check without asking
        """Check, on this machine only, that what names this source names something that exists.

        Raises:
            CredentialsRefused: If it does not.
            CredentialsUnavailable: If what is named exists, but in another source.
        """

    def describe(self) -> str:
        """Return what the source reads or asks, without secrets."""
        return self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.describe()}>"


class DirectProvider(Provider):
    """A source that answers at once and is asked by each request; it records whether the service refuses its keys."""

    instant = True
    cached = True

    def __init__(self) -> None:
        self._refusals = RefusalRecord(self.name)
        self._last: Credentials | None = None
        """The credentials that it returned last."""

    def force_refresh(self, rejected: Credentials, timeout: float | None = None) -> Credentials:
        """Ask again; if the source has what the service refused, ``health()`` reports that."""
        current = self._ask_again(rejected, timeout)
        if same_keys(rejected, current):
            self._refusals.refused(current, AGE_CLOCK(), asked=self._can_change)
        else:
            self._refusals.forget()
        return current

    _can_change: ClassVar[bool] = True
    """Whether it may have other keys when it is asked again."""

    def _ask_again(self, rejected: Credentials, timeout: float | None) -> Credentials:  # noqa: ARG002 - for subclasses
        return self.get_credentials(timeout)

    def health(self) -> Health:
        """Return whether the service refuses the keys that were returned last."""
        last = self._last
        if last is None:
            return Health(State.FRESH, self.name)
        return self._refusals.shown(Health(State.FRESH, last.source, last.masked_id, last.expires_at), AGE_CLOCK())

    def __getstate__(self) -> dict[str, Any]:
        """Keep the configuration, and nothing of what was learnt in this process."""
        return {**self.__dict__, "_last": None, "_refusals": RefusalRecord(self.name)}


async def in_thread(name: str, ask: Callable[[], Credentials], timeout: float | None) -> Credentials:  # noqa: ASYNC109
    """Return what a blocking call returns, from a thread of its own.

    Args:
        name: The provider's name, for the message.
        ask: The call.
        timeout: Seconds to wait for it, None for no limit.

    Raises:
        CredentialsRefused: If it takes longer.
    """
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            return await asyncio.to_thread(ask)
    except TimeoutError:
        if not limit.expired():
            raise  # the source's own
    raise CredentialsRefused(f"{name}: no answer within {timeout:.3g} s")
