"""Keys in a real Secret Service, open and locked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

LIFE = textwrap.dedent("""
    import sys
    from ots_config.credentials.providers.keyring import Keychain, KeyringProvider
    from ots_config.credentials.credentials import Credentials
    from ots_config.errors import CredentialsRefused

    keychain = Keychain(timeout=20)
    backend = keychain.backend()
    assert backend == "keyring.backends.SecretService.Keyring", backend
    provider = KeyringProvider("work", keychain=keychain)
    try:
        provider.fetch_credentials()
    except CredentialsRefused as error:
        assert "has no entry work" in str(error), error
    else:
        raise SystemExit("an entry that is not there was found")
    keychain.store(Credentials("LTAI5tFirst", "first secret # % ü"), "work")
    assert provider.fetch_credentials().get_access_key_secret() == "first secret # % ü"
    token = "t" * 3000
    keychain.store(Credentials("STS.Second", "second", token), "work")
    rotated = provider.fetch_credentials()
    assert (rotated.access_key_id, rotated.get_security_token()) == ("STS.Second", token)
    assert keychain.list() == ["work"]
    import secretstorage
    bus = secretstorage.dbus_init()
    found = list(secretstorage.search_items(bus, {"service": "ots-config", "username": "work"}))
    label = found[0].get_label()
    assert label == "Password for 'work' on 'ots-config'", label
    bus.close()
    from ots_config import Emulator, create_client
    with Emulator() as emulator:
        keychain.store(Credentials(emulator.access_key_id, emulator.access_key_secret), "work")
        given = {"endpoint": emulator.endpoint, "instance_name": "demo", "keyring_profile": "work"}
        with create_client(**given, credentials="keyring") as client:
            assert client.list_table() == ()
            emulator.add_key("another-key", "another-secret")
            keychain.store(Credentials("another-key", "another-secret"), "work")
            emulator.revoke(emulator.access_key_id)
            assert client.list_table() == ()
        asked = [(entry["access_key_id"], entry["status"]) for entry in emulator.log()]
        assert asked == [("testid", 200), ("testid", 403), ("another-key", 200)], asked
    assert keychain.delete("work")
    assert keychain.list() == []
    try:
        provider.fetch_credentials()
    except CredentialsRefused:
        print("lived")
""")


LOCKED = textwrap.dedent("""
    from ots_config.credentials.providers.keyring import Keychain
    from ots_config.credentials.credentials import Credentials
    from ots_config.errors import CredentialsUnavailable

    keychain = Keychain(timeout=20)
    for act in (keychain.read, keychain.list, lambda: keychain.store(Credentials("id", "secret"))):
        try:
            act()
        except CredentialsUnavailable as error:
            assert "keychain cannot be opened: install and unlock" in str(error), error
        else:
            raise SystemExit("not locked")
    print("told")
""")


def with_a_secret_service(tmp_path: Path, start: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run a program beside a Secret Service daemon, in a session and a home of their own."""
    absent = [name for name in ("dbus-run-session", "gnome-keyring-daemon") if shutil.which(name) is None]
    if absent or sys.platform != "linux":
        pytest.skip(f"a Secret Service needs {', '.join(absent) or 'Linux'}: apt-get install gnome-keyring dbus")
    program = tmp_path / "program.py"
    program.write_text(code)
    script = f"{start} >/dev/null 2>&1\nexec {sys.executable} -W ignore::ResourceWarning {program}"
    folders = {name: str(tmp_path / name) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")}
    for folder in folders.values():
        Path(folder).mkdir(mode=0o700)
    hidden = {"DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "PYTHON_KEYRING_BACKEND"}
    return subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", script],  # noqa: S607 - found on the path, as checked above
        env={name: value for name, value in os.environ.items() if name not in hidden} | folders,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.real
def test_a_real_secret_service(tmp_path: Path) -> None:
    """A real daemon stores, gives back, replaces, lists and deletes an entry, also under a client that is at work."""
    start = f"echo word | gnome-keyring-daemon --unlock --components=secrets --control-directory={tmp_path}"
    done = with_a_secret_service(tmp_path, start, LIFE)
    assert done.stdout.strip().endswith("lived"), done.stderr


@pytest.mark.real
def test_a_real_secret_service_that_is_locked(tmp_path: Path) -> None:
    """A daemon that nobody can unlock, as on a server without a screen, is told in one sentence with the hint."""
    start = f"gnome-keyring-daemon --start --components=secrets --control-directory={tmp_path}"
    done = with_a_secret_service(tmp_path, start, LOCKED)
    assert done.stdout.strip().endswith("told"), done.stderr
