"""What users' type checkers see of the public names; checked by mypy and pyright, never run."""

from collections.abc import Iterator
from typing import Any, assert_type

import tenacity

from ots_config import (
    AsyncOTSClient,
    Credentials,
    CredentialsProvider,
    DefaultRetryPolicy,
    Emulator,
    OTSClient,
    OTSSettings,
    RequestError,
    RetryEvent,
    RetryPolicy,
    Secret,
    ServiceError,
    SettingsError,
    WriteRetryPolicy,
    create_async_client,
    create_client,
    create_provider,
)


class OwnPolicy(DefaultRetryPolicy):
    """A policy as users write it."""

    def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
        """Decide."""
        return retry_times < 3 and super().should_retry(retry_times, exception, api_name)


class OwnProvider:
    """A provider as users write it; it need not inherit anything."""

    def get_credentials(self) -> Credentials:
        """Return a key."""
        return Credentials("id", "secret", source="mine")


def told(event: RetryEvent) -> None:
    """Take what a policy tells."""
    assert_type(event.operation, str)
    assert_type(event.attempt, int)
    assert_type(event.delay, float)
    assert_type(event.error, RequestError)


def clients() -> Iterator[OTSClient]:
    """Make clients in every way."""
    provider: CredentialsProvider = OwnProvider()
    assert_type(create_client(), OTSClient)
    with create_client(env_file="prod.env", retry_policy=WriteRetryPolicy(), socket_timeout=2.5) as client:
        assert_type(client, OTSClient)
        assert_type(client.settings, OTSSettings)
        yield client
    yield OTSClient("https://demo.cn-hangzhou.ots.aliyuncs.com", "id", "secret", "demo", sts_token="token")
    yield OTSClient("https://demo.cn-hangzhou.ots.aliyuncs.com", credentials_provider=provider)
    yield create_client(credentials_provider=lambda: ("id", "secret"), retry_policy=OwnPolicy)
    policy = RetryPolicy(stop=tenacity.stop_after_delay(10), wait=tenacity.wait_fixed(1), on_retry=told)
    assert_type(policy.get_retry_delay(0, None, "GetRow"), float)
    yield create_client(settings=OTSSettings(), retry_policy=policy)
    with Emulator() as emulator:
        assert_type(emulator.endpoint, str)
        yield create_client(settings=emulator.settings)


async def asynchronous() -> None:
    """Make a client for tasks."""
    async with create_async_client(region="cn-hangzhou") as client:
        assert_type(client, AsyncOTSClient)
        await client.list_table()


def failures(error: Exception) -> None:
    """Look into errors."""
    if isinstance(error, ServiceError):
        assert_type(error.code, str)
        assert_type(error.request_id, str)
    if isinstance(error, RequestError):
        assert_type(error.may_have_happened, bool)
        assert_type(error.attempts, int)
        assert_type(error.elapsed, float)
        assert_type(error.request_ids, tuple[str, ...])
    if isinstance(error, SettingsError):
        assert_type([problem.field for problem in error.problems], list[str])


def credentials() -> None:
    """Look into credentials."""
    found = create_provider().get_credentials()
    assert_type(found, Credentials)
    assert_type(found.access_key_id, str)
    assert_type(found.sts_token, Secret | None)
