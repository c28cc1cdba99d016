"""The emulator's STS, metadata service and credentials URI serve us and ``alibabacloud-credentials`` alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_credentials.http import HttpOptions
from alibabacloud_credentials.provider import (
    EcsRamRoleCredentialsProvider,
    OIDCRoleArnCredentialsProvider,
    RamRoleArnCredentialsProvider,
    StaticAKCredentialsProvider,
    URLCredentialsProvider,
)

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.providers.assume_role import AssumeRoleProvider
from ots_config.credentials.providers.ecs import ECSRoleProvider
from ots_config.credentials.providers.external import ForeignProvider, adapted
from ots_config.credentials.providers.oidc import OIDCRoleProvider
from ots_config.credentials.providers.uri import URIProvider
from ots_config.credentials.sts import Identity, Pace, STSAddress, caller_identity
from ots_config.emulator import Emulator
from ots_config.errors import CredentialsRefused
from ots_config.request.fetcher import Fetcher

ROLE = "acs:ram::1234567890123456:role/worker"
OIDC = "acs:ram::1234567890123456:oidc-provider/ack"
FETCH = Fetcher()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Any]:
    """Run the emulator."""
    with Emulator() as running:
        yield running


@pytest.fixture
def who(emulator: Any, pace: Pace) -> Any:
    """Return what tells whose keys a provider hands out, as the emulator's STS sees it."""

    def ask(provider: Any) -> Identity:
        return caller_identity(adapted(provider).get_credentials(), FETCH, STSAddress(emulator.endpoint), pace=pace)

    return ask


@pytest.fixture
def key(emulator: Any) -> Credentials:
    """Return the emulator's permanent key."""
    return Credentials(emulator.access_key_id, emulator.access_key_secret)


def test_permanent_keys(who: Any, key: Credentials) -> None:
    """The account is the same, whoever holds the key."""
    peer = StaticAKCredentialsProvider(access_key_id=key.access_key_id, access_key_secret=key.get_access_key_secret())
    assert who(key) == who(ForeignProvider(peer))


def test_assume_role(emulator: Any, who: Any, key: Credentials, pace: Pace) -> None:
    """The same role with the same session name is the same identity."""
    ours = AssumeRoleProvider(key, ROLE, fetch=FETCH, session_name="job", endpoint=emulator.endpoint, pace=pace)
    peer = RamRoleArnCredentialsProvider(
        access_key_id=key.access_key_id,
        access_key_secret=key.get_access_key_secret(),
        role_arn=ROLE,
        role_session_name="job",
        sts_endpoint=emulator.endpoint,
    )
    identity = who(ours)
    assert identity == who(ForeignProvider(peer))
    assert (identity.identity_type, identity.account_id) == ("AssumedRoleUser", "1234567890123456")
    assert identity.arn.endswith("role/worker/job")


def test_a_policy_with_spaces_works_here_only(emulator: Any, who: Any, key: Credentials, pace: Pace) -> None:
    """The README's own policy of the peer, with spaces, is signed wrongly there and rightly here."""
    policy = '{"Version": "1", "Statement": [{"Action": ["ots:*"], "Effect": "Allow", "Resource": ["*"]}]}'
    ours = AssumeRoleProvider(key, ROLE, fetch=FETCH, policy=policy, endpoint=emulator.endpoint, pace=pace)
    assert who(ours).identity_type == "AssumedRoleUser"
    peer = RamRoleArnCredentialsProvider(
        access_key_id=key.access_key_id,
        access_key_secret=key.get_access_key_secret(),
        role_arn=ROLE,
        policy=policy,
        sts_endpoint=emulator.endpoint,
    )
    with pytest.raises(CredentialsRefused, match="failed with CredentialException"):
        ForeignProvider(peer).get_credentials()


def test_chained_roles(emulator: Any, who: Any, key: Credentials, pace: Pace) -> None:
    """A role assumed with a role's keys is the second role."""
    options: dict[str, Any] = {"fetch": FETCH, "endpoint": emulator.endpoint, "pace": pace}
    second = "acs:ram::1234567890123456:role/second"
    provider = AssumeRoleProvider(AssumeRoleProvider(key, ROLE, **options), second, session_name="last", **options)
    assert who(provider).arn.endswith("role/second/last")


def test_oidc(emulator: Any, who: Any, pace: Pace, tmp_path: Path) -> None:
    """The same token file, line end and all, gives the same identity."""
    token = tmp_path / "token"
    token.write_text("a-token-of-the-platform\n")
    ours = OIDCRoleProvider(
        fetch=FETCH,
        role_arn=ROLE,
        provider_arn=OIDC,
        token_file=token,
        session_name="pod",
        endpoint=emulator.endpoint,
        pace=pace,
    )
    peer = OIDCRoleArnCredentialsProvider(
        role_arn=ROLE,
        oidc_provider_arn=OIDC,
        oidc_token_file_path=str(token),
        role_session_name="pod",
        sts_endpoint=emulator.endpoint,
    )
    assert who(ours) == who(ForeignProvider(peer))


def test_metadata(emulator: Any, who: Any) -> None:
    """The instance's role is the same for both; the peer asks as through a proxy."""
    ours = ECSRoleProvider(fetch=FETCH, endpoint=emulator.endpoint)
    peer = EcsRamRoleCredentialsProvider(http_options=HttpOptions(proxy=emulator.endpoint))
    assert who(ours) == who(ForeignProvider(peer))


def test_credentials_uri(emulator: Any, who: Any) -> None:
    """The credentials URI gives the same identity to both."""
    uri = f"{emulator.endpoint}/credentials"
    assert who(URIProvider(fetch=FETCH, uri=uri)) == who(ForeignProvider(URLCredentialsProvider(uri=uri)))


def test_the_emulators_clock_and_throttle(emulator: Any, key: Credentials, pace: Pace) -> None:
    """A clock that is an hour off is corrected, and throttling that ends within one fetch is not seen."""
    provider = AssumeRoleProvider(key, ROLE, fetch=FETCH, endpoint=emulator.endpoint, pace=pace)
    try:
        emulator.fault(operation="sts", kind="skew", seconds=3600)
        left = provider.fetch_credentials().expires_at.timestamp() - pace.clock()
        assert left == pytest.approx(3600, abs=5)
        emulator.clear_faults()
        emulator.fault(operation="sts", kind="error", code="Throttling.User", status=400, message="slow", count=2)
        assert provider.fetch_credentials().access_key_id
        emulator.fault(operation="sts", kind="status", status=502, body="<html>bad gateway</html>", count=2)
        assert provider.fetch_credentials().access_key_id
    finally:
        emulator.clear_faults()
