"""Keys in the operating system's keychain."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import keyring
import keyring.backend
import keyring.backends.chainer
import keyring.backends.fail
import keyring.backends.null
import keyring.core
import keyring.errors
import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.providers.keyring import INDEX, Keychain, KeyringProvider
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.errors import CredentialsRefused, CredentialsUnavailable

KEYS = Credentials("LTAI5tExampleKey", "MARKEDsecret")


class Memory(keyring.backend.KeyringBackend):
    """A keychain in memory."""

    priority = -1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.reads = 0
        self.failure: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        """Read an entry."""
        self.reads += 1
        self.fail()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store an entry."""
        self.fail()
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Delete an entry."""
        self.fail()
        if (service, username) not in self.entries:
            raise keyring.errors.PasswordDeleteError
        del self.entries[service, username]

    def fail(self) -> None:
        """Fail if so told."""
        if self.failure is not None:
            raise self.failure


class PlaintextKeyring(Memory):
    """A keychain that says by its name that it keeps no secrets."""


@pytest.fixture
def use() -> Iterator[Any]:
    """Return what makes keyring use a backend, as an application would."""
    before = keyring.core._keyring_backend
    try:
        yield keyring.set_keyring
    finally:
        keyring.core._keyring_backend = before


@pytest.fixture
def memory(use: Any) -> Memory:
    """Have keyring use a keychain in memory."""
    backend = Memory()
    use(backend)
    return backend


def test_stored_read_listed_deleted(memory: Memory) -> None:
    """An entry goes through its life, and is found under the service ots-config by the profile's name."""
    keychain = Keychain()
    assert keychain.list() == []
    keychain.store(KEYS)
    temporary = Credentials("STS.x", "MARKEDs", "MARKEDtoken", datetime(2030, 1, 2, tzinfo=UTC))
    keychain.store(temporary, "work")
    assert set(memory.entries) == {("ots-config", "default"), ("ots-config", "work"), ("ots-config", INDEX)}
    assert keychain.read() == KEYS
    assert (keychain.read("work"), keychain.read("work").source) == (temporary, "keyring work")
    assert keychain.list() == ["default", "work"]
    assert keychain.delete("work")
    assert not keychain.delete("work")
    assert keychain.list() == ["default"]
    assert keychain.delete()
    assert memory.entries == {}
    assert keychain.backend().endswith(".Memory")


def test_one_entry_holds_the_whole_key(memory: Memory) -> None:
    """Id and secret are one JSON object, as anybody may store it with keyring's own command."""
    Keychain().store(KEYS)
    assert json.loads(memory.entries["ots-config", "default"]) == {
        "access_key_id": "LTAI5tExampleKey",
        "access_key_secret": "MARKEDsecret",
    }
    keyring.set_password("mine", "default", '{"AccessKeyId": "a", "AccessKeySecret": "b", "SecurityToken": ""}')
    keys = Keychain("mine").read()
    assert (keys.access_key_id, keys.get_access_key_secret(), keys.get_security_token()) == ("a", "b", None)


def test_what_others_deleted_is_not_listed(memory: Memory) -> None:
    """The list tells only what is there; an index that somebody broke counts as empty."""
    keychain = Keychain()
    keychain.store(KEYS, "one")
    keychain.store(KEYS, "two")
    keyring.delete_password("ots-config", "one")
    assert keychain.list() == ["two"]
    for broken in ("nonsense", "5", "[7]"):
        memory.entries["ots-config", INDEX] = broken
        assert keychain.list() == []
    keychain.store(KEYS, "two")
    assert keychain.list() == ["two"]


@pytest.mark.usefixtures("memory")
def test_no_entry() -> None:
    """Without an entry the source does not apply, and says which one it looked for."""
    with pytest.raises(CredentialsUnavailable, match="has no entry default of service ots-config"):
        KeyringProvider().fetch_credentials()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("MARKEDsecret", 'is not of the form {"access_key_id"'),
        ('["MARKED"]', "is not of the form"),
        ('{"access_key_id": "MARKED"}', "gave no access key secret"),
        ('{"access_key_id": "a b", "access_key_secret": "MARKED"}', "cannot be used: access_key_id"),
        ('{"access_key_id": "a", "access_key_secret": "MARKED", "expires_at": "MARKED"}', "not a time"),
    ],
    ids=["text", "list", "half", "space", "end"],
)
def test_entries_that_hold_no_keys(memory: Memory, text: str, told: str, shows_no_secret: Any) -> None:
    """An entry that is there and holds no keys is a refusal without its content."""
    memory.entries["ots-config", "default"] = text
    with pytest.raises(CredentialsRefused, match=told) as caught:
        KeyringProvider().fetch_credentials()
    shows_no_secret(caught.value)


@pytest.mark.parametrize("name", ["", INDEX, "two\nlines"])
def test_names_that_no_entry_may_have(memory: Memory, name: str) -> None:
    """A name that is empty, odd or the index's is refused before anything is stored."""
    for act in (lambda: Keychain().store(KEYS, name), lambda: Keychain().delete(name)):
        with pytest.raises(CredentialsRefused, match="cannot be named"):
            act()
    assert not memory.entries


@pytest.mark.parametrize(
    ("failure", "kind", "told"),
    [
        (
            keyring.errors.NoKeyringError("MARKED"),
            CredentialsUnavailable,
            "there is no keychain on this machine: install",
        ),
        (keyring.errors.KeyringLocked("MARKED"), CredentialsUnavailable, "is locked; unlock it and try again"),
        (keyring.errors.InitError("MARKED"), CredentialsUnavailable, "cannot be opened: install and unlock"),
        (
            keyring.errors.PasswordSetError("MARKED"),
            CredentialsRefused,
            "in the keychain failed with PasswordSetError$",
        ),
        (OSError("MARKED"), CredentialsUnavailable, "in the keychain failed with OSError"),
    ],
    ids=["none", "locked", "init", "set", "os"],
)
def test_keychains_that_fail(
    memory: Memory, failure: Exception, kind: type[Exception], told: str, shows_no_secret: Any
) -> None:
    """Each failure is one sentence with the hint; what the backend said is not repeated."""
    memory.failure = failure
    keychain = Keychain()
    for act in (keychain.read, lambda: keychain.store(KEYS), keychain.delete, keychain.list):
        with pytest.raises(kind, match=told) as caught:
            act()
        assert "\n" not in str(caught.value)
        shows_no_secret(caught.value)


def test_headless(use: Any, shows_no_secret: Any) -> None:
    """On a machine without any keychain one sentence tells how to get one, or to take another source."""
    use(keyring.backends.fail.Keyring())
    with pytest.raises(CredentialsUnavailable) as caught:
        KeyringProvider().fetch_credentials()
    assert str(caught.value) == (
        "there is no keychain on this machine: install and unlock a keychain (on Linux gnome-keyring or KWallet in a "
        "D-Bus session), or take another source"
    )
    shows_no_secret(caught.value)
    use(keyring.backends.null.Keyring())
    with pytest.raises(CredentialsUnavailable, match="switched off"):
        KeyringProvider().fetch_credentials()


def test_plaintext_is_refused_unless_allowed(use: Any) -> None:
    """A backend that keeps secrets in readable files is used only if the user says so in words."""
    backend = PlaintextKeyring()
    use(backend)
    for act in (lambda: Keychain().store(KEYS), lambda: Keychain().read()):
        with pytest.raises(
            CredentialsUnavailable, match=r"not safe \(PlaintextKeyring\): allow it \(keyring_plaintext\), or install"
        ):
            act()
    assert not backend.entries
    assert backend.reads == 0
    keychain = Keychain(allow_plaintext=True)
    keychain.store(KEYS)
    assert keychain.read() == KEYS


def test_the_whole_family_of_plaintext_backends_is_known(use: Any) -> None:
    """Backends of keyrings.alt are refused whatever their name is."""
    backend = type("Keyring", (Memory,), {"__module__": "keyrings.alt.Gnome"})()
    use(backend)
    with pytest.raises(CredentialsUnavailable, match="not safe"):
        Keychain().read()


def test_a_chain_of_backends_is_used_where_it_is_safe(use: Any) -> None:
    """Of several backends the best that is safe is used, and none if there is no such one."""

    class Chain(keyring.backends.chainer.ChainerBackend):
        backends: Any = ()

    Chain.__module__ = "keyring.backends.chainer"
    plain, safe = PlaintextKeyring(), Memory()
    chain = Chain()
    Chain.backends = [plain, safe]
    use(chain)
    Keychain().store(KEYS)
    assert (len(plain.entries), len(safe.entries)) == (0, 2)
    Chain.backends = [plain]
    with pytest.raises(CredentialsUnavailable, match="not safe"):
        Keychain().read()


def test_a_keychain_that_hangs_is_given_up(use: Any) -> None:
    """A call that is not answered is given up after the timeout, and calls after it at once, without more threads."""
    release = threading.Event()

    class Hanging(Memory):
        def get_password(self, service: str, username: str) -> str | None:
            release.wait(30)
            return super().get_password(service, username)

    backend = Hanging()
    use(backend)
    keychain = Keychain(timeout=0.05)
    try:
        with pytest.raises(
            CredentialsUnavailable, match=r"no answer within 0\.05 s, perhaps because it waits to be unl"
        ):
            keychain.read()
        before = threading.active_count()
        for _ in range(5):
            with pytest.raises(CredentialsUnavailable, match="has not answered an earlier call yet"):
                keychain.read()
        assert threading.active_count() == before
        assert pickle.loads(pickle.dumps(keychain))._stuck is None
    finally:
        release.set()
    stuck = keychain._stuck
    assert stuck is not None
    stuck.join(10)
    with pytest.raises(CredentialsUnavailable, match="has no entry"):
        Keychain(timeout=10).read()


def test_kept_and_read_again(memory: Memory, caplog: pytest.LogCaptureFixture, clock: Any) -> None:
    """As a client's provider, nothing is read for a minute; then a new key is noticed, and a failure costs nothing."""
    provider = RefreshingProvider(KeyringProvider(), instant=True, clock=clock, wall=clock.wall)
    Keychain().store(KEYS)
    memory.reads = 0
    first = provider.get_credentials()
    assert all(provider.get_credentials() is first for _ in range(10))
    assert memory.reads == 1
    Keychain().store(Credentials("other", "MARKEDother"))
    clock.advance(59)
    assert provider.get_credentials() is first
    clock.advance(2)
    assert provider.get_credentials().access_key_id == "other"
    memory.failure = keyring.errors.KeyringLocked("MARKED")
    for _ in range(3):
        clock.advance(61)
        assert provider.get_credentials().access_key_id == "other"
    (record,) = caplog.records
    assert "the keychain is locked; unlock it and try again" in record.getMessage()
    assert "MARKED" not in caplog.text
    memory.failure = None
    Keychain().store(KEYS)
    clock.advance(61)
    assert provider.get_credentials() == KEYS
    assert b"MARKED" not in pickle.dumps(provider)


@pytest.mark.usefixtures("memory")
def test_nothing_kept_is_told() -> None:
    """Before anything was read, a failure is told."""
    with pytest.raises(CredentialsUnavailable):
        KeyringProvider().get_credentials()


@pytest.mark.usefixtures("memory")
def test_what_it_says_of_itself() -> None:
    """Descriptions name the entry, and importing the module does not load keyring."""
    provider = KeyringProvider("work")
    assert provider.describe() == "entry work of service ots-config in the keychain"
    provider.keychain.store(KEYS, "work")
    provider.get_credentials()
    assert "MARKED" not in repr(provider) + repr(provider.keychain)
    code = "import sys, ots_config.credentials.providers.keyring; sys.exit('keyring' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
