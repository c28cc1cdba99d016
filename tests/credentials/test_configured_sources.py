"""Programs, version 1 of the metadata service, entries in the keychain and pins, as settings configure them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import keyring.core
import pytest

from ots_config import (
    CredentialsRefused,
    CredentialsUnavailable,
    Emulator,
    OTSSettings,
    create_client,
    create_provider,
)
from tests.credentials.fakes import toml

ROLE = "acs:ram::1234567890123456:role/writer"
NAMES = ("environment", "process", "oidc", "keyring", "profile", "ini", "uri", "ecs")


# --- a program --------------------------------------------------------------------------------------------------


def command(emulator: Emulator, *secrets: str) -> str:
    """Return a command that prints the emulator's key."""
    keys = {"mode": "AK", "access_key_id": emulator.access_key_id, "access_key_secret": emulator.access_key_secret}
    return f"{sys.executable} -c 'print({json.dumps(json.dumps(keys))})' {' '.join(secrets)}"


@pytest.mark.parametrize("by", ["argument", "variable", "toml"])
def test_a_program(emulator: Emulator, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``credentials_process`` is run for the keys; its arguments may hold a secret and are never shown."""
    line = command(emulator, "MARKED")
    given = {"credentials_process": line} if by == "argument" else {}
    if by == "variable":
        monkeypatch.setenv("OTS_CREDENTIALS_PROCESS", line)
    if by == "toml":
        Path("ots.toml").touch(mode=0o600)
        Path("ots.toml").write_text(toml({"credentials_process": line}))
        monkeypatch.setenv("OTS_CONFIG_FILE", "ots.toml")
    settings = OTSSettings(endpoint=emulator.endpoint, instance_name="demo", **given)
    with create_client(settings=settings) as client:
        assert client.list_table() == ()
        assert client.credentials_provider.winner == "process"
        shown = repr(settings) + str(settings.explain()) + repr(client) + repr(client.credentials_provider)
    assert "MARKED" not in shown


def test_a_program_that_is_forbidden(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS is stronger than the setting, and no other identity takes its place."""
    monkeypatch.setenv("ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS", "1")
    monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_URI", f"{emulator.endpoint}/credentials")
    with pytest.raises(CredentialsRefused, match="forbids running"):
        create_client(endpoint=emulator.endpoint, instance_name="demo", credentials_process=command(emulator))
    assert emulator.log() == []


# --- version 1 of the metadata service --------------------------------------------------------------------------


@pytest.mark.parametrize(("allowed", "forbidden", "works"), [(True, "", True), (False, "", False), (True, "1", False)])
def test_version_1_of_the_metadata_service(
    emulator: Emulator, allowed: bool, forbidden: str, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service without tokens serves if ``ecs_v1`` allows it and ALIBABA_CLOUD_IMDSV1_DISABLED does not forbid it."""
    monkeypatch.setenv("ALIBABA_CLOUD_IMDSV1_DISABLED", forbidden)
    emulator.fault(operation="metadata", kind="status", status=405, body="no tokens", count=1)
    settings = OTSSettings(
        endpoint=emulator.endpoint,
        instance_name="demo",
        credentials="ecs",
        ecs_v1=allowed,
        ecs_endpoint=emulator.endpoint,
        ecs_role="emulator-role",
    )
    provider = create_provider(settings)
    if works:
        assert provider.get_credentials().source == "ecs"
        assert [entry["status"] for entry in emulator.log()] == [405, 200]
        return
    with pytest.raises(CredentialsRefused, match="version 1 without tokens is not allowed"):
        provider.get_credentials()
    assert [entry["status"] for entry in emulator.log()] == [405]


# --- the keychain -----------------------------------------------------------------------------------------------


class Memory(keyring.backend.KeyringBackend):
    """A keychain in memory."""

    priority = -1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        """Read an entry of ours."""
        return self.entries.get(username) if service == "ots-config" else None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store an entry."""
        self.entries[username] = password


@pytest.fixture
def keychain(emulator: Emulator) -> Iterator[Memory]:
    """Have keyring use a keychain in memory whose entries default, prod and work hold keys."""
    before, backend = keyring.core._keyring_backend, Memory()
    for name in ("default", "prod", "work"):
        backend.entries[name] = json.dumps({"access_key_id": f"key-of-{name}", "access_key_secret": "s"})
    keyring.set_keyring(backend)
    try:
        yield backend
    finally:
        keyring.core._keyring_backend = before


@pytest.mark.parametrize("profile", [None, "prod"])
@pytest.mark.parametrize("entry", [None, "work"])
@pytest.mark.usefixtures("keychain")
def test_the_entry_in_the_keychain(
    emulator: Emulator, profile: str | None, entry: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the one of ``keyring_profile``, else that of the chosen profile of ``ots.toml``, else ``default``."""
    Path("ots.toml").write_text("[profiles.default]\n[profiles.prod]\n")
    if entry:
        monkeypatch.setenv("OTS_KEYRING_PROFILE", entry)
    settings = OTSSettings(endpoint=emulator.endpoint, instance_name="demo", profile=profile)
    assert create_provider(settings).get_credentials().access_key_id == f"key-of-{entry or profile or 'default'}"


def test_another_entry_is_never_taken(emulator: Emulator, keychain: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the chosen profile has no entry, nobody else's is used in its place."""
    Path("ots.toml").write_text("[profiles.prod]\n")
    monkeypatch.setenv("OTS_PROFILE", "prod")
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
    del keychain.entries["prod"]
    with pytest.raises(CredentialsUnavailable, match="the keychain has no entry prod of service ots-config"):
        create_client(endpoint=emulator.endpoint, instance_name="demo")


# --- profiles of ots.toml, pins -----------------------------------------------------------------------------------


def test_a_profile_of_ots_toml(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile holds everything: the instance, the keys, the role; another profile is another identity."""
    keys = {"access_key_id": emulator.access_key_id, "access_key_secret": emulator.access_key_secret}
    base = {"endpoint": emulator.endpoint, "instance_name": "demo", **keys}
    role = {"role_arn": ROLE, "role_session_name": "nightly", "sts_endpoint": emulator.endpoint}
    path = Path("ots.toml")
    path.touch(mode=0o600)
    path.write_text(toml(base) + toml(base | role).replace("default", "nightly"))
    monkeypatch.setenv("OTS_CONFIG_FILE", str(path))
    with create_client() as client:
        assert client.list_table() == ()
        assert client.credentials_provider.get_credentials().source.startswith("profile [profiles.default] in ")
    with create_client(profile="nightly") as client:
        assert client.list_table() == ()
        source = client.credentials_provider.get_credentials().source
        assert source.startswith("assume_role/profile [profiles.nightly] in ")


def test_keys_that_change_in_ots_toml(emulator: Emulator) -> None:
    """A key that is replaced in the profile and revoked costs no failed call."""
    keys = {"access_key_id": "first-key", "access_key_secret": "first-secret"}
    emulator.add_key("first-key", "first-secret")
    path = Path("ots.toml")
    path.touch(mode=0o600)
    path.write_text(toml({"endpoint": emulator.endpoint, "instance_name": "demo", **keys}))
    with create_client() as client:
        client.list_table()
        emulator.add_key("other-key", "other-secret")
        path.write_text(path.read_text().replace("first-", "other-"))
        emulator.revoke("first-key")
        assert client.list_table() == ()
        assert client.credentials_provider.get_credentials().access_key_id == "other-key"


@pytest.mark.parametrize("pin", ["keychain", "ECS", "nonsense"])
def test_a_pin_that_is_no_name(emulator: Emulator, pin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``OTS_CREDENTIALS`` with a wrong name gives one error with every right one, and nothing is asked."""
    monkeypatch.setenv("OTS_CREDENTIALS", pin)
    with pytest.raises(CredentialsRefused, match=f"no credentials source is named '{pin}'") as caught:
        create_client(endpoint=emulator.endpoint, instance_name="demo")
    assert str(caught.value).endswith(f"There are: {', '.join(NAMES)}")
    assert emulator.log() == []


@pytest.mark.parametrize("pin", NAMES)
def test_each_name_is_a_pin(emulator: Emulator, pin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each source can be pinned; where it is not configured that is one refusal which names it alone."""
    monkeypatch.setenv("OTS_CREDENTIALS", pin)
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
    with pytest.raises(CredentialsRefused, match=f"^the only source to ask is {pin}") as caught:
        create_client(endpoint=emulator.endpoint, instance_name="demo")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("named", "first"),
    [
        ({}, "environment"),
        ({"credentials_process": "true"}, "process"),
        ({"oidc_token_file": "token"}, "oidc"),
        ({"keyring_profile": "work"}, "keyring"),
        ({"cli_config_file": "config.json"}, "profile"),
        ({"credentials_file": "credentials"}, "ini"),
        ({"credentials_uri": "https://127.0.0.1/"}, "uri"),
        ({"ecs_role": "writer"}, "ecs"),
        ({"ecs_role": "writer", "credentials_uri": "https://127.0.0.1/"}, "uri"),
        ({"ecs_role": "writer", "access_key_id": "id", "access_key_secret": "s"}, "settings"),
    ],
)
def test_what_is_named_goes_first(emulator: Emulator, named: dict[str, Any], first: str) -> None:
    """A source that a setting names is asked before those that merely happen to be there; keys before any other."""
    provider = create_provider(OTSSettings(endpoint=emulator.endpoint, instance_name="demo", **named))
    assert provider.names[0] == first
    others = [name for name in provider.names if name != "settings"]
    assert sorted(others) == sorted(NAMES)


def test_a_named_source_is_not_outdone_by_the_environment(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's key in the environment does not take the place of a source that was named; ``OTS_*`` keys do."""
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "somebody-elses")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret")
    named = {"endpoint": emulator.endpoint, "instance_name": "demo", "credentials_process": command(emulator)}
    assert create_provider(OTSSettings(**named)).get_credentials().source == "process"
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", "ours")
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "secret")
    assert create_provider(OTSSettings(**named)).get_credentials().access_key_id == "ours"
