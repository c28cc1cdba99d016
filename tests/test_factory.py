"""``create_client``: settings and credentials from wherever they are, and what it says of them."""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alibabacloud_credentials.client import Client
from alibabacloud_credentials.models import Config
from alibabacloud_credentials.provider import RamRoleArnCredentialsProvider, StaticAKCredentialsProvider

from ots_config import (
    AssumeRoleProvider,
    ChainProvider,
    Credentials,
    CredentialsError,
    CredentialsRefused,
    CredentialsUnavailable,
    Emulator,
    OTSClient,
    OTSSettings,
    SettingsError,
    create_async_client,
    create_client,
    create_provider,
    identity,
)
from ots_config.request.fetcher import Fetcher
from ots_config.sdk import tablestore as ts

from tablestore.credentials import StaticCredentialsProvider  # isort: skip

ROLE = "acs:ram::1234567890123456:role/writer"


@pytest.fixture
def emulator(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator, fresh, and no real metadata service to be asked."""
    running.reset()
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
    return running


@pytest.fixture
def env_file(emulator: Emulator, tmp_path: Path) -> Path:
    """An env file that names everything."""
    path = tmp_path / "prod.env"
    path.touch(mode=0o600)
    path.write_text(
        f"OTS_ENDPOINT={emulator.endpoint}\nOTS_INSTANCE_NAME={emulator.instance_name}\n"
        f"OTS_ACCESS_KEY_ID={emulator.access_key_id}\nOTS_ACCESS_KEY_SECRET={emulator.access_key_secret}\n"
    )
    return path


def test_from_an_env_file(env_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One call makes a client of an env file, and one INFO line says what it connected to, as whom, from where."""
    caplog.set_level(logging.INFO)
    with create_client(env_file=env_file) as client:
        assert isinstance(client, ts.OTSClient)
        assert client.list_table() == ()
    lines = [record.getMessage() for record in caplog.records if record.name == "ots_config"]
    assert len(lines) == 1
    assert "instance demo at http://127.0.0.1:" in lines[0]
    assert "as te**** from" in lines[0]
    assert "prod.env line 3" in lines[0]
    assert "testsecret" not in lines[0]


def test_from_the_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments everything may come from variables."""
    for name, value in (
        ("OTS_ENDPOINT", emulator.endpoint),
        ("OTS_INSTANCE", emulator.instance_name),
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", emulator.access_key_id),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", emulator.access_key_secret),
    ):
        monkeypatch.setenv(name, value)
    with create_client() as client:
        assert client.list_table() == ()
        assert client.credentials_provider.winner == "environment"


def test_arguments_win(emulator: Emulator, env_file: Path) -> None:
    """Arguments, the client's short names too, win over the env file."""
    with create_client(env_file=env_file, socket_timeout=7, deadline=3, logger_name="x.y") as client:
        assert client.settings.socket_timeout == 7
        assert client.settings.retry.deadline == 3
        assert client.logger.name == "x.y"
    with create_client(env_file=env_file, deadline=None) as client:
        assert client.settings.retry.deadline is None


def test_settings_stand_alone(emulator: Emulator, env_file: Path) -> None:
    """``settings=`` takes no setting and no source beside it."""
    with create_client(settings=emulator.settings) as client:
        assert client.list_table() == ()
    with pytest.raises(SettingsError, match="env_file"):
        create_client(settings=emulator.settings, env_file=env_file)
    with pytest.raises(SettingsError, match="max_connection"):
        create_client(settings=emulator.settings, max_connection=3)


def test_several_faults_are_told_together(emulator: Emulator) -> None:
    """Everything that is wrong is told in one error, and no secret."""
    with pytest.raises(SettingsError) as caught:
        create_client(
            endpoint="http://demo.cn-hangzhou.ots.aliyuncs.com",
            access_key_id="id",
            access_key_secret="s3cr3t-one",
            encoding="utf9",
            socket_timeout=0,
        )
    assert {problem.field for problem in caught.value.problems} == {"endpoint", "encoding", "socket_timeout"}
    assert isinstance(caught.value, ts.OTSClientError)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [line for line in frames.format() if "ots_config" in line]
    assert "s3cr3t-one" not in "".join(ours)


def test_no_credentials_are_told_source_by_source(emulator: Emulator) -> None:
    """Without credentials the program fails at its start, with each source that was asked and why not."""
    started = time.monotonic()
    with pytest.raises(CredentialsUnavailable) as caught:
        create_client(endpoint=emulator.endpoint, instance_name="demo")
    for name in ("environment", "oidc", "keyring", "profile", "ini", "uri", "ecs"):
        assert f"- {name}" in str(caught.value)
    assert time.monotonic() - started < 60


def test_a_pinned_source(emulator: Emulator, env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``credentials=`` names the only source to ask; an unknown name is refused with the nearest one."""
    monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_URI", f"{emulator.endpoint}/credentials")
    with create_client(env_file=env_file, credentials="uri") as client:
        assert client.list_table() == ()
        assert client.credentials_provider.winner == "uri"
    with pytest.raises(CredentialsRefused, match="uri"):
        create_client(env_file=env_file, credentials="urii")


def test_a_configured_and_failing_source_stops_the_search(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-set environment is an error, not a reason to become somebody else."""
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", "id-only")
    monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_URI", f"{emulator.endpoint}/credentials")
    with pytest.raises((SettingsError, CredentialsRefused), match=r"(?i)access_key_secret"):
        create_client(endpoint=emulator.endpoint, instance_name="demo")


def test_an_assumed_role(emulator: Emulator, env_file: Path) -> None:
    """``role_arn`` assumes a role with what the chain found, at the STS that is named."""
    with create_client(env_file=env_file, role_arn=ROLE, sts_endpoint=emulator.endpoint) as client:
        assert client.list_table() == ()
        credentials = client.credentials_provider.get_credentials()
    assert credentials.sts_token
    assert credentials.expires_at is not None
    assert credentials.source.startswith("assume_role/")
    actions = [entry["operation"] for entry in emulator.log()]
    assert actions.count("sts") == 1


@pytest.mark.parametrize(
    "given",
    [
        lambda key, secret: lambda: (key, secret),
        Credentials,
        StaticCredentialsProvider,
        lambda key, secret: StaticAKCredentialsProvider(access_key_id=key, access_key_secret=secret),
        lambda key, secret: Client(Config(type="access_key", access_key_id=key, access_key_secret=secret)),
    ],
    ids=["function", "credentials", "official provider", "cloud's provider", "cloud's client"],
)
def test_credentials_of_the_users_own(emulator: Emulator, given: Callable[[str, str], Any]) -> None:
    """A function, a snapshot, and what the official SDK and alibabacloud-credentials provide are taken as they are."""
    provider = given(emulator.access_key_id, emulator.access_key_secret)
    with create_client(endpoint=emulator.endpoint, instance_name="demo", credentials_provider=provider) as client:
        assert client.list_table() == ()


@pytest.mark.asyncio
async def test_credentials_of_the_clouds_library_in_tasks(emulator: Emulator) -> None:
    """Temporary keys of alibabacloud-credentials, whose library blocks, serve tasks too: it is asked in a thread."""
    provider = RamRoleArnCredentialsProvider(
        access_key_id=emulator.access_key_id,
        access_key_secret=emulator.access_key_secret,
        role_arn=ROLE,
        sts_endpoint=emulator.endpoint,
    )
    given = {"endpoint": emulator.endpoint, "instance_name": "demo", "credentials_provider": provider}
    async with create_async_client(**given) as client:
        emulator.clear_log()
        provider._credentials_cache._cached_value._stale_time = 1
        emulator.fault(operation="sts", kind="delay", seconds=0.3, count=1)
        asking = asyncio.create_task(client.list_table())
        turns = 0
        while not asking.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert await asking == ()
    assert turns > 10
    assert [entry["operation"] for entry in emulator.log()] == ["sts", "ListTable"]


def test_what_is_no_provider(emulator: Emulator) -> None:
    """Anything else is refused in one sentence."""
    with pytest.raises(CredentialsUnavailable, match="int is no credentials provider"):
        create_client(endpoint=emulator.endpoint, instance_name="demo", credentials_provider=3)  # type: ignore[arg-type]


def test_keys_that_change_in_their_file(emulator: Emulator, env_file: Path) -> None:
    """A key that is replaced in the env file and revoked at the service costs no failed request."""
    with create_client(env_file=env_file) as client:
        client.list_table()
        emulator.add_key("second-key", "second-secret")
        text = env_file.read_text().replace("=testid", "=second-key").replace("=testsecret", "=second-secret")
        env_file.write_text(text)
        emulator.revoke("testid")
        try:
            for _ in range(5):
                client.list_table()
            assert client.credentials_provider.get_credentials().access_key_id == "second-key"
        finally:
            emulator.add_key("testid", "testsecret")


def test_options_of_the_client_pass(emulator: Emulator, env_file: Path) -> None:
    """``session``, ``extra_headers`` and the SDK's own options go through to the client."""
    with create_client(env_file=env_file, extra_headers={"x-ots-request-tag": "a"}) as client:
        assert isinstance(client, OTSClient)
        assert client.list_table() == ()


def test_the_provider_alone(emulator: Emulator, env_file: Path) -> None:
    """``create_provider`` gives the chain, for a client of someone else's."""
    provider = create_provider(OTSSettings(env_file=env_file))
    assert isinstance(provider, ChainProvider)
    official = ts.OTSClient(emulator.endpoint, instance_name="demo", credentials_provider=provider)
    assert official.list_table() == ()


def test_who_am_i(emulator: Emulator, env_file: Path) -> None:
    """``identity`` asks STS whose keys these are."""
    settings = OTSSettings(env_file=env_file, sts_endpoint=emulator.endpoint)
    found = identity(settings=settings)
    assert found.account_id == "1234567890123456"
    role = AssumeRoleProvider(
        Credentials(emulator.access_key_id, emulator.access_key_secret),
        ROLE,
        fetch=Fetcher(),
        endpoint=emulator.endpoint,
    )
    assert identity(role.fetch_credentials(), settings=settings).identity_type == "AssumedRoleUser"


@pytest.mark.parametrize("role", [False, True], ids=["key", "role"])
def test_whose_client_it_is(emulator: Emulator, env_file: Path, role: bool) -> None:
    """``client.identity()`` tells whose keys the client uses, with one question to STS beside those for the keys."""
    options: dict[str, Any] = {"role_arn": ROLE, "role_session_name": "nightly"} if role else {}
    with create_client(env_file=env_file, sts_endpoint=emulator.endpoint, **options) as client:
        found = client.identity()
        assert found == identity(client.credentials_provider, settings=client.settings)
    assert found.account_id == "1234567890123456"
    assert found.identity_type == ("AssumedRoleUser" if role else "RAMUser")
    assert found.arn.startswith("acs:ram::1234567890123456:" + ("assumed-role/writer/nightly" if role else "user/"))
    assert (found.role_id is not None, found.user_id is not None) == (role, not role)
    assert [entry["operation"] for entry in emulator.log()] == ["sts"] * (3 if role else 2)


@pytest.mark.asyncio
async def test_whose_asynchronous_client_it_is(emulator: Emulator, env_file: Path) -> None:
    """The asynchronous client tells the same, and the event loop goes on while STS takes its time."""
    settings = OTSSettings(env_file=env_file, role_arn=ROLE, sts_endpoint=emulator.endpoint)
    async with create_async_client(settings=settings) as client:
        emulator.fault(operation="sts", kind="delay", seconds=0.5, count=1)
        asking = asyncio.create_task(client.identity())
        turns = 0
        while not asking.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert (await asking).identity_type == "AssumedRoleUser"
    assert turns > 10


def test_an_identity_that_is_refused(emulator: Emulator) -> None:
    """Wrong keys are refused with STS's own code, in an error that the official SDK's users catch."""
    given = {"endpoint": emulator.endpoint, "instance_name": "demo", "sts_endpoint": emulator.endpoint}
    with create_client(**given, access_key_id="testid", access_key_secret="a-wrong-secret-of-ours") as client:
        with pytest.raises(CredentialsRefused, match="SignatureDoesNotMatch") as caught:
            client.identity()
        provider = StaticCredentialsProvider("nobody", "secret")
        with pytest.raises(CredentialsRefused, match="InvalidAccessKeyId"):
            identity(provider, settings=client.settings)
    assert isinstance(caught.value, ts.OTSClientError)
    assert "a-wrong-secret" not in str(caught.value)


def test_the_identity_of_an_explicit_client(emulator: Emulator) -> None:
    """A client made by its constructor, with an official provider too, can be asked as well."""
    provider = StaticCredentialsProvider(emulator.access_key_id, emulator.access_key_secret)
    with OTSClient(
        emulator.endpoint, instance_name="demo", credentials_provider=provider, sts_endpoint=emulator.endpoint
    ) as client:
        assert client.identity().identity_type == "RAMUser"


def test_several_providers_in_their_order(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """``OTS_CREDENTIALS`` as a list asks its members in their order, and nothing else."""
    monkeypatch.setenv("OTS_CREDENTIALS", "process, env")
    with pytest.raises(CredentialsError):
        create_client(endpoint=emulator.endpoint, instance_name=emulator.instance_name)
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", emulator.access_key_id)
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", emulator.access_key_secret)
    with create_client(endpoint=emulator.endpoint, instance_name=emulator.instance_name) as client:
        assert client.list_table() == ()
