"""A source that a setting, an argument, a variable or a file names is used or refused, whatever key lies elsewhere."""

from __future__ import annotations

import json
import pickle
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import keyring
import keyring.backend
import keyring.core
import keyring.errors
import pytest

from ots_config import ChainProvider, CredentialsRefused, CredentialsUnavailable, OTSSettings, create_provider
from ots_config.credentials.providers import ecs as ecs_module
from ots_config.credentials.providers import keyring as keyring_module
from ots_config.credentials.providers.ecs import ECSRoleProvider
from ots_config.credentials.providers.environment import EnvironmentProvider
from ots_config.credentials.providers.keyring import Keychain, KeyringProvider
from ots_config.errors import ConnectFailed

BASE = {"endpoint": "https://demo.cn-hangzhou.ots.aliyuncs.com", "instance_name": "demo"}
ROLE = "acs:ram::1234567890123456:role/writer"
OIDC = "acs:ram::1234567890123456:oidc-provider/ack"


def absent(method: str, url: str, **options: Any) -> Any:
    """Answer nothing, like a network without the service."""
    raise ConnectFailed("nobody there")


def private(path: Path, text: str) -> Path:
    """Write a file that only its owner may read."""
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def profile(name: str = "default") -> dict[str, str]:
    """Return a profile of the CLI with a key that shows where it came from."""
    return {"name": name, "mode": "AK", "access_key_id": f"key-of-{name}", "access_key_secret": "s"}


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a key in ``~/.aliyun/config.json`` that nobody named, and no waiting between tries."""
    monkeypatch.setattr(ecs_module, "_NAMED_PAUSE", 0.0)
    return private(Path(".aliyun/config.json"), json.dumps({"current": "default", "profiles": [profile()]}))


Way = Callable[[Mapping[str, Any]], OTSSettings]


@pytest.fixture(params=["argument", "variable", "env file", "ots.toml"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Way:
    """Return each way to give a setting."""

    def say(settings: Mapping[str, Any]) -> OTSSettings:
        if request.param == "argument":
            return OTSSettings(**BASE, **settings)
        lines = "".join(f"OTS_{name.upper()}={value}\n" for name, value in settings.items())
        if request.param == "env file":
            return OTSSettings(**BASE, env_file=str(private(tmp_path / "named.env", lines)))
        if request.param == "variable":
            for line in lines.splitlines():
                monkeypatch.setenv(*line.split("=", 1))
        else:
            text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
            monkeypatch.setenv("OTS_CONFIG_FILE", str(private(tmp_path / "named.toml", f"[profiles.default]\n{text}")))
        return OTSSettings(**BASE)

    return say


class Backend(keyring.backend.KeyringBackend):
    """A keychain in memory that may be locked or slow."""

    priority = -1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self.slow: threading.Event | None = None

    def get_password(self, service: str, username: str) -> str | None:
        """Hold nothing."""
        if self.failure is not None:
            raise self.failure
        if self.slow is not None:
            self.slow.wait(20)
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Not needed."""

    def delete_password(self, service: str, username: str) -> None:
        """Not needed."""


@pytest.fixture
def backend() -> Iterator[Backend]:
    """Have keyring use the keychain."""
    before, chosen = keyring.core._keyring_backend, Backend()
    keyring.set_keyring(chosen)
    try:
        yield chosen
    finally:
        keyring.core._keyring_backend = before


def asked(settings: OTSSettings) -> str:
    """Return the id of the key that these settings lead to."""
    return create_provider(settings, fetch=absent).get_credentials().access_key_id


def test_nothing_named() -> None:
    """If nothing is named, the key that is there is used: the other tests would see it."""
    assert asked(OTSSettings(**BASE)) == "key-of-default"


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"credentials_profile": "typo"}, "no profile typo"),
        ({"cli_config_file": "/no/such/file"}, "/no/such/file does not exist"),
        ({"credentials_file": "/no/such/file"}, "/no/such/file does not exist"),
        ({"oidc_role_arn": ROLE}, "ALIBABA_CLOUD_OIDC_PROVIDER_ARN, ALIBABA_CLOUD_OIDC_TOKEN_FILE are not set"),
        ({"oidc_provider_arn": OIDC}, "ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_TOKEN_FILE are not set"),
        ({"oidc_token_file": "token"}, "ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN are not set"),
        ({"ecs_role": "writer"}, "the metadata service gave no answer"),
        ({"ecs_endpoint": "http://127.0.0.1:1"}, "the metadata service gave no answer"),
        ({"credentials_uri": "https://127.0.0.1/keys"}, "gave no answer"),
        ({"credentials_process": "/no/such/program"}, "cannot be run"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_a_setting_names(way: Way, named: dict[str, Any], reason: str) -> None:
    """Each setting that names a source, given in each way, is refused if the source is not there."""
    with pytest.raises(CredentialsRefused, match=reason):
        asked(way(named))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ALIBABA_CLOUD_PROFILE", "typo", r"no section \[typo\]|no profile typo"),
        ("ALIBABACLOUD_PROFILE", "typo", r"no section \[typo\]|no profile typo"),
        ("ALIBABA_CLOUD_CONFIG_FILE", "/no/such/file", "does not exist"),
        ("ALIBABA_CLOUD_CREDENTIALS_FILE", "/no/such/file", "does not exist"),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", OIDC, "are not set"),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "token", "are not set"),
        ("ALIBABA_CLOUD_ECS_METADATA", "writer", "the metadata service gave no answer"),
        ("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", "the metadata service gave no answer"),
        ("ALIBABA_CLOUD_CREDENTIALS_URI", "https://127.0.0.1/keys", "gave no answer"),
    ],
)
def test_what_a_variable_of_the_cloud_names(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each variable that names a source is refused if the source is not there."""
    monkeypatch.setenv(name, value)
    with pytest.raises(CredentialsRefused, match=reason):
        asked(OTSSettings(**BASE))


def test_a_role_alone_names_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """ALIBABA_CLOUD_ROLE_ARN may be meant for any source that takes a role."""
    monkeypatch.setenv("ALIBABA_CLOUD_ROLE_ARN", ROLE)
    assert asked(OTSSettings(**BASE)) == "key-of-default"


def test_a_profile_may_be_in_either_format(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """A profile that is named without a file is used from whichever format has it."""
    private(Path(".alibabacloud/credentials"), "[work]\naccess_key_id = ini-work\naccess_key_secret = s\n")
    monkeypatch.setenv("ALIBABA_CLOUD_PROFILE", "work")
    assert asked(OTSSettings(**BASE)) == "ini-work"
    assert asked(OTSSettings(**BASE, credentials_profile="default")) == "key-of-default"
    assert not caplog.records
    copy = pickle.loads(pickle.dumps(create_provider(OTSSettings(**BASE), fetch=None)))
    assert copy.get_credentials().access_key_id == "ini-work"


@pytest.mark.parametrize("by", ["settings", "variables"])
def test_a_profile_beside_a_file_is_that_files(by: str, monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    """A profile that is named with a file is taken from it, or refused, though the other format has it too."""
    elsewhere.write_text(json.dumps({"current": "default", "profiles": [profile(), profile("work"), profile("only")]}))
    private(Path("sdk.ini"), "[work]\naccess_key_id = ini-work\naccess_key_secret = s\n")
    for name, expected in (("work", "ini-work"), ("only", None)):
        settings = {"credentials_file": "sdk.ini", "credentials_profile": name}
        if by == "variables":
            monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_FILE", "sdk.ini")
            monkeypatch.setenv("ALIBABA_CLOUD_PROFILE", name)
            settings = {}
        if expected:
            assert asked(OTSSettings(**BASE, **settings)) == expected
        else:
            with pytest.raises(CredentialsRefused, match=r"no section \[only\]"):
                asked(OTSSettings(**BASE, **settings))


# --- the keychain ---------------------------------------------------------------------------------------------


def test_a_named_entry_that_is_missing(way: Way, backend: Backend) -> None:
    """A missing entry that a setting names is refused."""
    del backend
    with pytest.raises(CredentialsRefused, match="has no entry work"):
        asked(way({"keyring_profile": "work"}))


@pytest.mark.parametrize("failure", [keyring.errors.KeyringLocked(), keyring.errors.InitError(), OSError()])
def test_a_named_entry_in_a_keychain_that_is_locked(backend: Backend, failure: Exception) -> None:
    """A keychain that does not open is refused if its entry is named, and passed over if not."""
    backend.failure = failure
    with pytest.raises(CredentialsRefused, match="the keychain"):
        asked(OTSSettings(**BASE, keyring_profile="work"))
    assert asked(OTSSettings(**BASE)) == "key-of-default"


def test_a_named_entry_in_a_keychain_that_is_slow(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keychain gets more time if its entry is named, and is then refused."""
    assert KeyringProvider("work").keychain._timeout == keyring_module.PATIENT > keyring_module.SHORT
    assert KeyringProvider().keychain._timeout == keyring_module.SHORT
    monkeypatch.setattr("ots_config.credentials.default_chain.PATIENT", 0.05)
    backend.slow = threading.Event()
    try:
        with pytest.raises(CredentialsRefused, match=r"no answer within 0\.05 s"):
            asked(OTSSettings(**BASE, keyring_profile="work"))
    finally:
        backend.slow.set()


@pytest.fixture
def secret_service(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Have the keychain be the Secret Service, which tells while it is locked what it holds; return its entries."""
    entries: list[dict[str, str]] = []

    class Bus:
        def close(self) -> None:
            """Not needed."""

    module: Any = ModuleType("secretstorage")
    module.dbus_init = Bus
    module.search_items = lambda _, sought: (held for held in entries if sought.items() <= held.items())
    monkeypatch.setitem(sys.modules, "secretstorage", module)
    monkeypatch.setattr(Backend, "__module__", "keyring.backends.SecretService")
    backend.failure = keyring.errors.KeyringLocked()
    return entries


def test_a_locked_keychain_that_holds_our_entry(backend: Backend, secret_service: list[dict[str, str]]) -> None:
    """An entry that nobody named but that is there, behind a lock, is a failure; another service's is none."""
    secret_service.append({"service": "somebody-elses", "username": "default"})
    secret_service.append({"service": "ots-config", "username": "other"})
    assert asked(OTSSettings(**BASE)) == "key-of-default"
    secret_service.append({"service": "ots-config", "username": "default"})
    with pytest.raises(CredentialsRefused, match=r"is locked; .*\(it holds the entry default\)"):
        asked(OTSSettings(**BASE))
    backend.failure, backend.slow = None, threading.Event()
    try:
        with pytest.raises(CredentialsRefused, match=r"no answer within .*\(it holds the entry default\)"):
            Keychain(timeout=0.05).read()
    finally:
        backend.slow.set()


# --- several named sources --------------------------------------------------------------------------------------


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have keys in the environment."""
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "key-of-environment")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s")


@pytest.mark.usefixtures("keys")
def test_the_first_of_several_is_used_with_a_warning(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    """The order of the chain decides between two variables; the warning names both, once."""
    monkeypatch.setenv("ALIBABA_CLOUD_PROFILE", "default")
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA", "writer")
    chain = create_provider(OTSSettings(**BASE), fetch=absent)
    assert [chain.get_credentials().access_key_id for _ in range(3)] == ["key-of-environment"] * 3
    assert [record.getMessage() for record in caplog.records] == [
        (
            "several sources of credentials are named: environment is used, not profile (named by "
            "ALIBABA_CLOUD_PROFILE), ecs (named by ALIBABA_CLOUD_ECS_METADATA); name one in OTS_CREDENTIALS"
        )
    ]
    assert isinstance(chain, ChainProvider)
    assert len(chain.competing) == 2


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALIBABA_CLOUD_PROFILE", "typo"),
        ("OTS_CREDENTIALS_PROFILE", "typo"),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "token"),
        ("ALIBABA_CLOUD_CONFIG_FILE", "/no/such/file"),
    ],
)
def test_the_others_are_checked(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that does not exist is refused although keys in the environment would be used before it."""
    monkeypatch.setenv(name, value)
    with pytest.raises(CredentialsRefused, match=r"typo|are not set|does not exist"):
        asked(OTSSettings(**BASE))
    assert asked(OTSSettings(**BASE, credentials="environment")) == "key-of-environment"


def test_a_variable_goes_before_what_lies_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that a variable names later in the chain is asked before a key that nobody named."""
    private(Path("sdk.ini"), "[default]\naccess_key_id = key-of-ini\naccess_key_secret = s\n")
    monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_FILE", "sdk.ini")
    assert asked(OTSSettings(**BASE)) == "key-of-ini"


# --- an ordered list ----------------------------------------------------------------------------------------------


def test_the_members_of_a_list_are_asked_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not configured goes on to the next member, and nothing else is asked."""
    assert chain("env, uri,profile").get_credentials().access_key_id == "key-of-default"
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "key-of-environment")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s")
    assert chain("profile,env").get_credentials().access_key_id == "key-of-default"
    assert chain("env,profile").get_credentials().access_key_id == "key-of-environment"


def test_the_end_of_a_list_and_a_failure_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the list, and where a member fails, no source outside it is asked."""
    with pytest.raises(
        CredentialsRefused, match=r"none of the sources to ask has credentials:\n- env.*\n- oidc.*\n- ecs"
    ):
        chain("env,oidc,ecs").get_credentials()
    with pytest.raises(CredentialsRefused, match="no credentials source is named 'nonsense'"):
        chain("env,nonsense")
    with pytest.raises(CredentialsRefused, match="no credentials source is named ', ,'"):
        chain(", ,")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "half")
    with pytest.raises(CredentialsRefused, match="ALIBABA_CLOUD_ACCESS_KEY_SECRET not"):
        chain("env,profile").get_credentials()


def test_members_get_more_time() -> None:
    """The metadata service and the keychain get the time of a named source as members of a list."""
    for only, patient in (("env,ecs,keyring", True), (None, False)):
        found = {provider.name: provider._source for provider in chain(only)._providers if hasattr(provider, "_source")}
        assert isinstance(found["ecs"], ECSRoleProvider)
        assert found["ecs"]._is_patient() is patient
        assert isinstance(found["keyring"], KeyringProvider)
        expected = keyring_module.PATIENT if patient else keyring_module.SHORT
        assert found["keyring"].keychain._timeout == expected


def chain(only: str | None) -> ChainProvider:
    """Return the default chain with these members."""
    from ots_config.credentials.default_chain import ChainOptions, default_provider

    found = default_provider(ChainOptions(only=only), absent)
    assert isinstance(found, ChainProvider)
    return found


def test_a_chain_of_ones_own_keeps_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain that a user builds asks in the user's order, and still refuses what an argument names."""
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "key-of-environment")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s")
    instance = ECSRoleProvider(fetch=absent)
    assert ChainProvider([instance, EnvironmentProvider()]).get_credentials().access_key_id == "key-of-environment"
    with pytest.raises(CredentialsRefused):
        ChainProvider([ECSRoleProvider(fetch=absent, role_name="r"), EnvironmentProvider()]).get_credentials()
    with pytest.raises(CredentialsUnavailable):
        instance.fetch_credentials()
