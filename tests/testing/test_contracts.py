"""The contracts hold for our own providers and policies, and each of them catches what it is there to catch."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import tenacity

from ots_config import (
    CallableProvider,
    ChainProvider,
    Credentials,
    CredentialsRefused,
    CredentialsUnavailable,
    DefaultRetryPolicy,
    EnvironmentProvider,
    FileWatchingProvider,
    NoDelayRetryPolicy,
    NoRetryPolicy,
    ProcessProvider,
    Provider,
    RefreshingProvider,
    RetryPolicy,
    SharedCache,
    StaticProvider,
    WriteRetryPolicy,
)
from ots_config.sdk import tablestore
from ots_config.testing import ManualClock, ProviderContract, RetryPolicyContract, no_sleep

SECRET = "marked-secret-of-the-contract"
KEYS = Credentials("contract-id", SECRET, None, None, "test")


class Source(Provider):
    """A source that returns the same keys, or raises."""

    name = "source"

    def __init__(self, result: Any = KEYS) -> None:
        self.result = result

    def fetch_credentials(self) -> Credentials:
        """Return or raise."""
        if isinstance(self.result, Exception):
            raise self.result
        keys: Credentials = self.result
        return keys


def refused() -> Source:
    """Return a source that is configured and fails."""
    return Source(CredentialsRefused("the source is broken"))


def absent() -> Source:
    """Return a source that is not configured."""
    return Source(CredentialsUnavailable("there is nothing"))


class TestStatic(ProviderContract):
    """The provider of given keys."""

    def make_provider(self) -> Provider:
        """Return it."""
        return StaticProvider("contract-id", SECRET)


class TestEnvironment(ProviderContract):
    """The provider of the environment's keys."""

    @pytest.fixture(autouse=True)
    def _variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def make_provider(self) -> Provider:
        """Return it, with keys in the environment."""
        self._monkeypatch.setenv("OTS_ACCESS_KEY_ID", "contract-id")
        self._monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", SECRET)
        return EnvironmentProvider()

    def make_unconfigured(self) -> Provider:
        """Return it without variables."""
        return EnvironmentProvider()


class TestRefreshing(ProviderContract):
    """The provider that keeps and refreshes, by a clock that stands still."""

    def make_provider(self) -> Provider:
        """Return it."""
        return RefreshingProvider(Source())

    def make_unconfigured(self) -> Provider:
        """Return it over a source that is not configured."""
        return RefreshingProvider(absent())

    def make_refused(self) -> Provider:
        """Return it over a source that fails."""
        return RefreshingProvider(refused())


class TestChain(ProviderContract):
    """Several providers in their order."""

    def make_provider(self) -> Provider:
        """Return a chain whose first source is not configured."""
        return ChainProvider([absent(), Source()])

    def make_unconfigured(self) -> Provider:
        """Return a chain of nothing."""
        return ChainProvider([absent()])

    def make_refused(self) -> Provider:
        """Return a chain that a failure stops before the keys that follow."""
        return ChainProvider([refused(), Source()])


class TestCallable(ProviderContract):
    """A function as a provider."""

    def make_provider(self) -> Provider:
        """Return it."""
        return CallableProvider(lambda: KEYS)


class TestFileWatching(ProviderContract):
    """The provider that reads anew when a file changes."""

    def make_provider(self) -> Provider:
        """Return it."""
        return FileWatchingProvider(Source(), paths=())

    def make_refused(self) -> Provider:
        """Return it over a source that fails."""
        return FileWatchingProvider(refused(), paths=())


class TestShared(ProviderContract):
    """The cache that processes share."""

    def make_provider(self) -> Provider:
        """Return it over temporary keys, the only ones that it keeps."""
        return SharedCache(
            Source(Credentials("contract-id", SECRET, "marked-token", datetime.now(UTC) + timedelta(hours=1)))
        )

    def make_unconfigured(self) -> Provider:
        """Return it over a source that is not configured."""
        return SharedCache(absent())


class TestProcess(ProviderContract):
    """A program that prints keys."""

    @pytest.fixture(autouse=True)
    def _program(self, tmp_path: Path) -> None:
        self._path = tmp_path / "keys.json"
        self._path.write_text(f'{{"mode": "AK", "access_key_id": "contract-id", "access_key_secret": "{SECRET}"}}')

    def make_provider(self) -> Provider:
        """Return it."""
        return ProcessProvider(f"cat {self._path}")

    def make_refused(self) -> Provider:
        """Return one that fails."""
        return ProcessProvider("false")


class TestDefaultPolicy(RetryPolicyContract):
    """The default."""

    def make_policy(self) -> Any:
        """Return it."""
        return DefaultRetryPolicy()


class TestWritePolicy(RetryPolicyContract):
    """Also for writes."""

    def make_policy(self) -> Any:
        """Return its class, which ``retry_policy=`` takes too."""
        return WriteRetryPolicy


class TestNoDelayPolicy(RetryPolicyContract):
    """Without delays."""

    def make_policy(self) -> Any:
        """Return it."""
        return NoDelayRetryPolicy()


class TestNoPolicy(RetryPolicyContract):
    """Without retries."""

    def make_policy(self) -> Any:
        """Return it."""
        return NoRetryPolicy()


class TestComposedPolicy(RetryPolicyContract):
    """Made of tenacity's strategies."""

    def make_policy(self) -> Any:
        """Return it."""
        return RetryPolicy(stop=tenacity.stop_after_attempt(4), wait=tenacity.wait_random_exponential(0.1, 3))


class TestTenacityPolicy(RetryPolicyContract):
    """A Retrying of tenacity."""

    def make_policy(self) -> Any:
        """Return it."""
        return tenacity.Retrying(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(0.01), reraise=True)


class TestOfficialPolicy(RetryPolicyContract):
    """A policy of the official SDK."""

    def make_policy(self) -> Any:
        """Return it."""
        return tablestore.DefaultRetryPolicy()


# --- what they catch ----------------------------------------------------------------------------------------


class Tuples(Source):
    """Returns what is no snapshot."""

    def fetch_credentials(self) -> Any:
        """Return a tuple."""
        return "contract-id", SECRET


class Expired(Source):
    """Returns keys that have ended."""

    def fetch_credentials(self) -> Credentials:
        """Return them."""
        return Credentials("contract-id", SECRET, "marked-token", datetime.now(UTC) - timedelta(seconds=1))


class Mixed(Source):
    """Returns the id of one generation with the secret of another."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count()

    def fetch_credentials(self) -> Credentials:
        """Return one."""
        return Credentials("contract-id", f"secret-{next(self.numbers)}")


class Talkative(Source):
    """Shows its secret."""

    def describe(self) -> str:
        """Return too much."""
        return f"keys {SECRET}"


class Nameless(Source):
    """Has a name of two lines."""

    name = "two\nlines"


class OtherErrors(Source):
    """Raises its own errors."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)

    def force_refresh(self, rejected: Credentials, timeout: float | None = None) -> Credentials:
        """Raise another error."""
        raise KeyError("vault")

    def get_credentials(self, timeout: float | None = None) -> Credentials:
        """Return keys, or raise what was given."""
        return KEYS if isinstance(self.result, LookupError) else self.fetch_credentials()


class NoLeaving(Source):
    """Offers no end to its callbacks."""

    def on_rotate(self, callback: Any) -> Any:
        """Return nothing."""
        return None


class NoTasks(Source):
    """Returns nothing to tasks."""

    async def get_credentials_async(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """Return nothing."""
        return None


class NoHealth(Source):
    """Has no condition."""

    def health(self) -> Any:
        """Return a word."""
        return "fine"


@pytest.mark.parametrize(
    ("make", "test"),
    [
        (object, "test_it_is_a_provider"),
        (Tuples, "test_it_returns_one_whole_snapshot"),
        (Expired, "test_they_are_not_expired"),
        (Mixed, "test_an_id_has_one_secret"),
        (Mixed, "test_threads_get_whole_snapshots"),
        (NoTasks, "test_tasks_get_credentials_too"),
        (lambda: OtherErrors(LookupError()), "test_refused_credentials_are_answered"),
        (Talkative, "test_it_shows_no_secret"),
        (Nameless, "test_it_can_be_named"),
        (NoHealth, "test_its_condition_is_known"),
        (NoLeaving, "test_rotations_can_be_watched_and_left"),
        (lambda: OtherErrors(ValueError("no vault")), "test_not_configured_is_unavailable"),
        (lambda: OtherErrors(CredentialsUnavailable("no vault")), "test_failing_is_refused"),
        (Source, "test_failing_is_refused"),
    ],
)
def test_a_broken_provider_is_caught(make: Callable[[], Any], test: str) -> None:
    """For each test of the contract there is a provider that fails it, and no other fault is reported instead."""

    class Contract(ProviderContract):
        def make_provider(self) -> Provider:
            provider: Provider = make()
            return provider

        make_unconfigured = make_refused = make_provider

    with pytest.raises(
        (AssertionError, TypeError, KeyError, ValueError, CredentialsUnavailable, pytest.fail.Exception)
    ):
        getattr(Contract(), test)()
    sound = TestChain()
    getattr(sound, test)()


class Words(DefaultRetryPolicy):
    """Decides with a word."""

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> Any:
        """Return it."""
        return "yes"


class Negative(DefaultRetryPolicy):
    """Waits less than nothing."""

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> Any:
        """Return it."""
        return -1.0


class NoNumber(DefaultRetryPolicy):
    """Waits for not a number."""

    def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> Any:
        """Return it."""
        return float("nan")


class Endless(NoDelayRetryPolicy):
    """Never gives up, and never waits."""

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        """Return True."""
        return True


class Raising(DefaultRetryPolicy):
    """Knows not every error."""

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        """Read what only some errors have."""
        return bool({"PutRow": True}[api_name])


class Changing(DefaultRetryPolicy):
    """Writes into the error."""

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        """Change it."""
        exception.message = "changed"
        return False


class Counting(DefaultRetryPolicy):
    """Counts all calls together."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 20

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        """Count down."""
        self.left -= 1
        return self.left > 0


@pytest.mark.parametrize(
    ("make", "test", "error"),
    [
        (object, "test_a_client_takes_it", TypeError),
        (Words, "test_its_decisions_are_booleans", AssertionError),
        (Raising, "test_its_decisions_are_booleans", KeyError),
        (Negative, "test_its_delays_are_seconds", AssertionError),
        (NoNumber, "test_its_delays_are_seconds", AssertionError),
        (Endless, "test_it_gives_up", AssertionError),
        (Changing, "test_it_keeps_the_error_as_it_is", AssertionError),
        (Counting, "test_calls_do_not_share_a_state", AssertionError),
        (Raising, "test_its_owner_gets_the_services_error", AssertionError),
    ],
)
def test_a_broken_policy_is_caught(make: Callable[[], Any], test: str, error: type[Exception]) -> None:
    """For each test of the contract there is a policy that fails it."""

    class Contract(RetryPolicyContract):
        def make_policy(self) -> Any:
            return make()

    with pytest.raises(error):
        getattr(Contract(), test)()


def test_the_optional_parts_are_skipped() -> None:
    """A provider that cannot be absent or broken skips those tests, with the reason."""
    for test in ("test_not_configured_is_unavailable", "test_failing_is_refused"):
        with pytest.raises(pytest.skip.Exception, match="is not defined"):
            getattr(TestCallable(), test)()


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


def test_a_clock_is_moved_by_hand(clock: ManualClock) -> None:
    """Keys expire when the test says so, not later."""
    numbers = itertools.count(1)

    def fetch() -> Credentials:
        ends = datetime.fromtimestamp(clock.now + 3600, UTC)
        return Credentials(f"id-{next(numbers)}", SECRET, "token", ends)

    provider = RefreshingProvider(CallableProvider(fetch), clock=clock, wall=clock.wall)
    assert provider.get_credentials().access_key_id == "id-1"
    clock.advance(60)
    assert provider.get_credentials().access_key_id == "id-1"
    clock.advance(3600)
    assert provider.get_credentials().access_key_id == "id-2"


def test_clients_do_not_wait(emulator: Any) -> None:
    """In the block no attempt is waited for, the delays are listed, and everything is as before after it."""
    from ots_config import OTSClient
    from ots_config.request.io import BlockingIO

    before = BlockingIO.sleep
    with no_sleep() as delays, OTSClient(settings=emulator.settings, retry_policy=DefaultRetryPolicy()) as client:
        emulator.fault(operation="ListTable", kind="error", code="OTSServerBusy", count=5)
        client.list_table()
    assert len(delays) == 5
    assert all(0 < delay <= 3.0 for delay in delays)
    assert BlockingIO.sleep is before
