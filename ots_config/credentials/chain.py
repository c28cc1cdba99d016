"""Asks providers in order, and stays with the first that has credentials."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.expiry import AGE_CLOCK, State
from ots_config.credentials.health import Health, Rotation
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.external import adapted
from ots_config.credentials.single_flight import BACKGROUND, SingleFlight, reset_after_fork, translated
from ots_config.errors import CredentialsError, CredentialsRefused, CredentialsUnavailable

logger = logging.getLogger("ots_config.credentials")


@dataclass(frozen=True, slots=True)
class SourceAttempt:
    """Result of asking one provider.

    Attributes:
        provider: Its name.
        described: What it reads or asks; empty if it cannot say.
        error: Why it has no credentials; None if it has.
        elapsed: Milliseconds that it took.
        asked_at: When it was asked, on the age clock.
    """

    provider: str
    described: str
    error: CredentialsError | None
    elapsed: float
    asked_at: float

    @property
    def result(self) -> str:
        """``found``, ``unavailable`` (not configured here) or ``refused`` (configured and failing)."""
        if self.error is None:
            return "found"
        return "unavailable" if isinstance(self.error, CredentialsUnavailable) else "refused"

    def __str__(self) -> str:
        if self.result == "unavailable":
            text = f"{self.provider}: not configured ({self.error})"
        else:
            where = f" ({self.described})" if self.described not in {"", self.provider} else ""
            text = f"{self.provider}{where}: {self.error or 'found'}"
        return f"{text} [{self.elapsed:.1f} ms]"


class ChainProvider(Provider):
    """Several providers, of which the first that is configured decides who the caller is.

    A provider that is not configured here (``CredentialsUnavailable``) is passed over. One that is configured and
    fails stops the chain: another identity would be a surprise. For the same reason the chain stays with the
    provider that it once got credentials from, whatever becomes of it. What was learnt of a provider without
    credentials is remembered for a while, so that a chain without any is not probed again by each call; providers
    that answer at once (``instant``) are asked each time.

    Args:
        providers: The providers, the most important first; of anyone's, see ``OTSClient``'s ``credentials_provider``.
        pin: The name of the only provider to ask, or several names in their order; None for all.
        named_first: Whether providers that a setting or a variable names are asked before those that nothing names.
            If several are named, the first is used, the others are checked without network (a profile that does not
            exist is refused), and a warning names them.
        remember: Seconds that a provider without credentials is not asked again.
        wait: Seconds that a caller waits who names no timeout of its own.
        clock: The age clock; only differences count.

    Raises:
        CredentialsRefused: If no provider has the pin's name.
    """

    name = "chain"
    cached = True
    _searching: SingleFlight | None

    def __init__(
        self,
        providers: Iterable[Any],
        *,
        pin: str | Sequence[str] | None = None,
        named_first: bool = False,
        remember: float = 10.0,
        wait: float = 60.0,
        clock: Callable[[], float] = AGE_CLOCK,
    ) -> None:
        self._providers = tuple(adapted(provider) for provider in providers)
        self._pin = pin
        self._named_first = named_first
        self._remember = remember
        self._wait = wait
        self._clock = clock
        pins = () if pin is None else dict.fromkeys((pin,) if isinstance(pin, str) else pin)
        self._asked = tuple(_pinned(self._providers, one) for one in pins) if pins else self._providers
        self._known: dict[int, SourceAttempt] = {}
        self._winner: Provider | None = None
        self._named: tuple[str, ...] = ()
        self.attempts: tuple[SourceAttempt, ...] = ()
        """Results of the last search, provider by provider."""
        self.competing: tuple[str, ...] = ()
        """The other providers that are named too, each with what names it, after a search that found credentials."""
        self.after_fork()
        reset_after_fork(self)

    # --- what callers ask -----------------------------------------------------------------------------

    def fetch_credentials(self) -> Credentials:
        """Return the credentials to use now; see ``get_credentials``."""
        return self.get_credentials()

    def get_credentials(self, timeout: float | None = None) -> Credentials:
        """Return the credentials to use now."""
        winner = self._winner
        if winner is None:
            found = self._search()
            if isinstance(found, SingleFlight):
                return found.wait(self._wait if timeout is None else timeout)
            if isinstance(found, Credentials):
                return found
            winner = found
        try:
            return winner.get_credentials(timeout)
        except Exception as error:  # noqa: BLE001 - a user's provider may raise anything
            failure = _failure(winner, error)
        raise failure

    async def get_credentials_async(self, timeout: float | None = None) -> Credentials:  # noqa: ASYNC109
        """Return the credentials to use now, without blocking the event loop; see ``get_credentials``."""
        winner = self._winner
        if winner is None:
            found = self._search()
            if isinstance(found, SingleFlight):
                return await found.wait_async(self._wait if timeout is None else timeout)
            if isinstance(found, Credentials):
                return found
            winner = found
        try:
            return await winner.get_credentials_async(timeout)
        except Exception as error:  # noqa: BLE001 - a user's provider may raise anything
            failure = _failure(winner, error)
        raise failure

    def force_refresh(self, rejected: Credentials, timeout: float | None = None) -> Credentials:
        """Refresh credentials that the service refused; see ``RefreshingProvider.force_refresh``."""
        winner = self._winner
        if winner is None:
            return self.get_credentials(timeout)
        try:
            return winner.force_refresh(rejected, timeout)
        except Exception as error:  # noqa: BLE001 - a user's provider may raise anything
            failure = _failure(winner, error)
        raise failure

    async def force_refresh_async(self, rejected: Credentials, timeout: float | None = None) -> Credentials:  # noqa: ASYNC109
        """Refresh credentials that the service refused; see ``force_refresh``."""
        winner = self._winner
        if winner is None:
            return await self.get_credentials_async(timeout)
        try:
            return await winner.force_refresh_async(rejected, timeout)
        except Exception as error:  # noqa: BLE001 - a user's provider may raise anything
            failure = _failure(winner, error)
        raise failure

    def on_rotate(self, callback: Rotation) -> Callable[[], None]:
        """Call ``callback(old, new)``, both masked, when the credentials are replaced."""
        ends = [provider.on_rotate(callback) for provider in self._asked]

        def end() -> None:
            for one in ends:
                one()

        return end

    def health(self) -> Health:
        """Return the condition of the credentials, without asking a provider."""
        winner = self._winner
        if winner is None:
            failed = self.attempts[-1].error if self.attempts else None
            return Health(State.EXPIRED, self.name, last_error=None if failed is None else str(failed))
        return winner.health()

    @property
    def winner(self) -> str | None:
        """The name of the provider that the chain stays with, None as long as there is none."""
        winner = self._winner
        return None if winner is None else winner.name

    @property
    def names(self) -> tuple[str, ...]:
        """The names that a pin may be."""
        return tuple(provider.name for provider in self._providers)

    def describe(self) -> str:
        """Return the order; it stays the same, whichever provider has credentials."""
        return "chain of " + ", ".join(provider.name for provider in self._asked)

    def __repr__(self) -> str:
        stays = f", stays with {self.winner}" if self.winner else ""
        return f"<ChainProvider: {self.describe()}{stays}>"

    # --- the search -----------------------------------------------------------------------------------------

    def _search(self) -> Credentials | SingleFlight | Provider:
        """Ask the instant ones in front; return the search that asks the others, or the winner if there is one."""
        attempts: list[SourceAttempt] = []
        order = self._order()
        # Those in front that answer at once are asked on the caller's thread: most programs need no other.
        leading = next((place for place, index in enumerate(order) if not self._asked[index].instant), len(order))
        found = self._ask(order[:leading], attempts)
        if found is not None:
            return found
        if leading == len(order):
            raise self._nothing(attempts)
        with self._lock:
            if self._winner is not None:
                return self._winner
            search = self._searching
            if search is None or search.is_over:
                self._searching = search = SingleFlight(
                    partial(self._ask_others, order[leading:], tuple(attempts)), self.name
                )
        BACKGROUND.submit(search, urgent=True)
        return search

    def _order(self) -> list[int]:
        """Return the places of the providers in the order in which they are asked now."""
        order = list(range(len(self._asked)))
        if not self._named_first:
            return order
        self._named = named = tuple([provider.named_by() for provider in self._asked])
        return sorted(order, key=lambda index: not named[index])

    def _ask_others(self, order: Sequence[int], attempts: Sequence[SourceAttempt]) -> Credentials:
        """Ask those that may take long."""
        done = list(attempts)
        try:
            found = self._ask(order, done)
        finally:
            self._searching = None
        if found is not None:
            return found
        raise self._nothing(done)

    def _ask(self, order: Sequence[int], attempts: list[SourceAttempt]) -> Credentials | None:
        """Ask providers in order until one has credentials, and stay with that one."""
        for index in order:
            provider = self._asked[index]
            attempt, found = self._known.get(index), None
            if attempt is None or self._clock() - attempt.asked_at >= self._remember:
                attempt, found = self._try(provider)
                if attempt.error is not None and not provider.instant:
                    self._known[index] = attempt
            attempts.append(attempt)
            if attempt.result == "unavailable":
                continue
            self.attempts = tuple(attempts)
            if found is None:
                raise self._refused(attempts)
            if self._named_first:
                self.competing = self._check_competing(provider)
            with self._lock:
                winner = self._winner = self._winner or provider
            self._known.clear()
            return found if winner is provider else winner.get_credentials()
        return None

    def _try(self, provider: Provider) -> tuple[SourceAttempt, Credentials | None]:
        started, asked_at = time.perf_counter(), self._clock()
        found, error = None, None
        try:
            found = provider.get_credentials()
        except Exception as caught:  # noqa: BLE001 - a user's provider may raise anything
            error = translated(caught, provider.name)
        elapsed = 1000 * (time.perf_counter() - started)
        return SourceAttempt(provider.name, _described(provider), error, elapsed, asked_at), found

    def _check_competing(self, found: Provider) -> tuple[str, ...]:
        """Check the other providers that were named when the search began; return them, each with what names it."""
        competing = []
        for provider, named_by in zip(self._asked, self._named, strict=True):
            if not named_by or provider is found:
                continue
            try:
                provider.check_named()
            except CredentialsUnavailable:
                continue
            except CredentialsError as error:
                failure = error
                break
            competing.append(f"{provider.name} (named by {named_by})")
        else:
            if competing:
                logger.warning(
                    "several sources of credentials are named: %s is used, not %s; name one in OTS_CREDENTIALS",
                    found.name,
                    ", ".join(competing),
                )
            return tuple(competing)
        raise CredentialsRefused(
            f"{provider.name}: {failure.message}\n{found.name} has credentials, but they could be another identity: "
            "remove one of the two, or name one in OTS_CREDENTIALS."
        )

    def _nothing(self, attempts: Sequence[SourceAttempt]) -> CredentialsError:
        self.attempts = tuple(attempts)
        if self._pin is not None and len(attempts) == 1:
            return CredentialsRefused(f"the only source to ask is {attempts[0]}")
        listed = "".join(f"\n- {attempt}" for attempt in attempts)
        if self._pin is not None:
            return CredentialsRefused(f"none of the sources to ask has credentials:{listed}")
        return CredentialsUnavailable(
            "no credentials: set OTS_ACCESS_KEY_ID and OTS_ACCESS_KEY_SECRET, or configure one of the sources that "
            f"were asked, in this order:{listed}"
        )

    @staticmethod
    def _refused(attempts: Sequence[SourceAttempt]) -> CredentialsError:
        *before, refused = attempts
        listed = "".join(f"\n- {attempt}" for attempt in before)
        passed = f"\nNot configured, before it:{listed}" if before else ""
        kind = CredentialsError if type(refused.error) is CredentialsError else CredentialsRefused
        error = kind(f"{refused}\nNo other source is asked: it could be another identity.{passed}")
        if refused.error is not None:  # an error code or a request id stays with the error
            details = {name: value for name, value in vars(refused.error).items() if name != "message"}
            vars(error).update(details)
        return error

    # --- forks and pickles --------------------------------------------------------------------------------

    def after_fork(self) -> None:
        """Forget the parent's lock and search; the provider that it found stays."""
        self._lock = threading.RLock()
        self._searching = None

    def __getstate__(self) -> dict[str, Any]:
        state = {
            "providers": self._providers,
            "pin": self._pin,
            "named_first": self._named_first,
            "remember": self._remember,
            "wait": self._wait,
        }
        return state if self._clock is AGE_CLOCK else {**state, "clock": self._clock}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def _failure(winner: Provider, error: Exception) -> CredentialsError:
    """Return the winner's failure, never as "unavailable", so that no chain switches to another identity."""
    failure = translated(error, winner.name)
    if not isinstance(failure, CredentialsUnavailable):
        return failure
    return CredentialsRefused(f"{winner.name}, where the credentials came from so far: {failure}")


def _described(provider: Provider) -> str:
    try:
        return provider.describe()
    except Exception:  # noqa: BLE001 - a report must not fail because one detail is missing
        return ""


def _pinned(providers: Sequence[Provider], pin: str) -> Provider:
    for provider in providers:
        if provider.name == pin:
            return provider
    from difflib import get_close_matches

    names = [provider.name for provider in providers]
    near = get_close_matches(pin, names, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise CredentialsRefused(f"no credentials source is named {pin!r}{hint}. There are: {', '.join(names)}")
