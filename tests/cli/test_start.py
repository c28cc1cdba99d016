"""``init``, ``login``, ``logout`` and ``logins``: what is asked, checked, stored and written."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import keyring
import keyring.backends.fail
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from ots_config.settings import OTSSettings
from tests.cli.conftest import Command

ENDPOINT = "https://orders.cn-hangzhou.ots.aliyuncs.com"


class Memory(KeyringBackend):
    """A keychain that lasts for one test."""

    priority = -1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        """Get an entry."""
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Set an entry."""
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Delete an entry."""
        if self.entries.pop((service, username), None) is None:
            raise PasswordDeleteError(username)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Put a keychain in memory in place of the machine's."""
    backend = Memory()
    monkeypatch.setattr(keyring, "get_keyring", lambda: backend)
    return backend


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of lines that come from standard input."""
    lines: list[str] = []

    class Typed(io.StringIO):
        def readline(self, *_: object) -> str:  # type: ignore[override]
            return lines.pop(0) + "\n" if lines else ""

    monkeypatch.setattr("sys.stdin", Typed())
    return lines


def test_init_writes_an_env_file_with_the_secret_in_the_keychain(
    command: Command, memory: Memory, typed: list[str]
) -> None:
    """The file has mode 0600 and no secret; settings built from it lead to the entry."""
    typed += [ENDPOINT, "LTAI5tFirst", "MARKED"]
    done = command("init")
    assert done.code == 0, done.err
    path = Path(".env")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "MARKED" not in path.read_text() + done.out + done.err
    settings = OTSSettings()
    assert (settings.instance_name, settings.keyring_profile) == ("orders", "orders")
    assert json.loads(memory.entries["ots-config", "orders"])["access_key_secret"] == "MARKED"
    assert command("credentials", "--json").document["used"]["source"].startswith("keyring")


def test_init_replaces_no_file_and_loses_nothing(command: Command, memory: Memory, typed: list[str]) -> None:
    """A file that is there stays as it is, without ``--force``; nothing was asked or stored before."""
    Path(".env").write_text("KEEP=1\n")
    done = command("init", "--endpoint", ENDPOINT)
    assert done.code == 1
    assert "--force" in done.err
    assert Path(".env").read_text() == "KEEP=1\n"
    assert memory.entries == {}
    typed += ["LTAI5tFirst", "secret"]
    assert command("init", "--endpoint", ENDPOINT, "--force").code == 0
    assert "KEEP" not in Path(".env").read_text()


def test_init_adds_a_profile_to_what_is_there(
    command: Command, memory: Memory, typed: list[str], clean_environment: Path
) -> None:
    """Other profiles and comments of the user's own ots.toml stay; the same name twice is refused."""
    path = clean_environment / ".config" / "ots-config" / "ots.toml"
    path.parent.mkdir(parents=True)
    path.write_text("# mine\n[profiles.test]\nsocket_timeout = 3")
    typed += ["LTAI5tFirst", "secret"]
    done = command("init", "--name", "prod", "--endpoint", ENDPOINT)
    assert done.code == 0, done.err
    assert path.read_text().startswith("# mine\n[profiles.test]\nsocket_timeout = 3\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert OTSSettings(profile="prod").keyring_profile == "prod"
    again = command("init", "--name", "prod", "--endpoint", ENDPOINT)
    assert (again.code, "has a profile prod already" in again.err) == (1, True)


def test_init_writes_nothing_where_anything_is_wrong(
    command: Command, memory: Memory, typed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong endpoint, swapped keys, no input and a keychain that fails each leave no file."""
    assert "endpoint" in command("init", "--endpoint", "ftp://x", "--secret", "none").err
    typed += ["verysecretvalue", "LTAI5tFirst"]
    assert "swapped" in command("init", "--endpoint", ENDPOINT).err
    assert "no AccessKey ID was given" in command("init", "--endpoint", ENDPOINT).err
    typed += ["STS.temporary", "secret"]
    assert "needs its token" in command("init", "--endpoint", ENDPOINT).err
    monkeypatch.setattr(memory, "set_password", lambda *_: 1 / 0)
    typed += ["LTAI5tFirst", "secret"]
    assert "--secret file" in command("init", "--endpoint", ENDPOINT).err
    assert not Path(".env").exists()
    assert command("init", "--file", "x", "--name", "y").code == 2


def test_init_without_a_secret_or_with_it_in_the_file(command: Command, typed: list[str]) -> None:
    """For a role no key is asked for; ``--secret file`` writes both into the file of mode 0600."""
    assert command("init", "--endpoint", ENDPOINT, "--secret", "none", "--json").document == {
        "file": ".env",
        "profile": None,
        "secret": "none",
    }
    typed += ["LTAI5tFirst", "it's $x"]
    assert command("init", "--endpoint", ENDPOINT, "--secret", "file", "--file", "own.env").code == 0
    settings = OTSSettings(env_file="own.env")
    assert settings.access_key_secret is not None
    assert settings.access_key_secret.get_secret_value() == "it's $x"


def test_keys_are_stored_listed_and_deleted(command: Command, memory: Memory, typed: list[str]) -> None:
    """``login`` takes the secret from standard input, ``logins`` masks the id, ``logout`` deletes."""
    typed += ["STS.Second123456789", "MARKED", "MARKED-token"]
    done = command("login", "work", "--token")
    assert done.code == 0, done.err
    assert "MARKED" not in done.out + done.err
    rows = command("logins", "--json").document
    assert [row["name"] for row in rows] == ["work"]
    assert "*" in rows[0]["access_key_id"]
    memory.entries["ots-config", "work"] = "no JSON"
    assert "is not of the form" in command("logins", "--json").document[0]["problem"]
    assert command("logout", "work").code == 0
    assert command("logout", "work").code == 1
    assert "no entry" in command("logins").out


def test_without_a_keychain_every_command_says_so(
    command: Command, typed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without a keychain gets a sentence with a way out."""
    monkeypatch.setattr(keyring, "get_keyring", keyring.backends.fail.Keyring)
    typed += ["LTAI5tFirst", "secret"]
    for arguments in (["login"], ["logout"], ["logins"]):
        done = command(*arguments)
        assert (done.code, done.out) == (1, "")
        assert "keychain" in done.err
