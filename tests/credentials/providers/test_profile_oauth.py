"""The Aliyun CLI's profiles of people who signed in with the console's own sign-in (OAuth)."""

from __future__ import annotations

import json
import logging
import os
import pickle
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ots_config.credentials.file_lock import FileLock
from ots_config.credentials.providers.aliyun_cli import ProfileProvider
from ots_config.credentials.providers.token_file import TokenFile
from ots_config.errors import CredentialsRefused

AK = {"name": "default", "mode": "AK", "access_key_id": "LTAI", "access_key_secret": "MARKEDs"}


class OAuth:
    """The console's sign-in service."""

    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud
        self.number = 0
        self.refresh, self.access = "MARKEDrefresh0", "MARKEDaccess0"
        cloud.routes["/v1/token"] = self.token
        cloud.routes["/v1/exchange"] = self.exchange

    def token(self, asked: Any) -> Any:
        """Renew the tokens."""
        form = asked.form
        assert form["grant_type"] == "refresh_token"
        assert form["client_id"] in {"4038181954557748008", "4103531455503354461"}
        assert form["Timestamp"].endswith("Z")
        if form["refresh_token"] != self.refresh:
            text = f"refresh token {form['refresh_token']} was revoked"
            return self.cloud.answer(400, {"error": "invalid_grant", "error_description": text, "requestId": "R-3"})
        self.number += 1
        self.refresh, self.access = f"MARKEDrefresh{self.number}", f"MARKEDaccess{self.number}"
        return self.cloud.answer(
            200,
            {"access_token": self.access, "refresh_token": self.refresh, "expires_in": 3600, "token_type": "Bearer"},
        )

    def exchange(self, asked: Any) -> Any:
        """Hand out keys."""
        if asked.headers["authorization"] != f"Bearer {self.access}":
            return self.cloud.answer(401, {"error": "invalid_token"})
        keys = self.cloud.keys()
        return self.cloud.answer(200, {name[0].lower() + name[1:]: value for name, value in keys.items()})

    def paths(self) -> list[str]:
        """Return what was asked since the last time."""
        told = [asked.path for asked in self.cloud.asked]
        self.cloud.asked.clear()
        return told


@pytest.fixture
def oauth(cloud: Any) -> OAuth:
    """Return the sign-in service."""
    return OAuth(cloud)


def signed_in(**fields: Any) -> dict[str, Any]:
    """Return a profile of mode OAuth."""
    return {
        "name": "default",
        "mode": "OAuth",
        "oauth_site_type": "INTL",
        "oauth_access_token": "MARKEDaccess0",
        "oauth_access_token_expire": int(time.time()) + 3600,
        "oauth_refresh_token": "MARKEDrefresh0",
        **fields,
    }


def test_oauth(write: Any, cli: Any, oauth: OAuth, marked: Any) -> None:
    """An access token that lives is exchanged for keys, whatever the case of the names in the answer."""
    write(signed_in())
    keys = cli().fetch_credentials()
    assert (keys.get_security_token(), keys.source) == (marked.NEW_TOKEN, "profile default/oauth")
    assert oauth.paths() == ["/v1/exchange"]


def test_oauth_follows_a_new_sign_in(write: Any, cli: Any, oauth: OAuth) -> None:
    """When the CLI writes other tokens, those are used."""
    write(signed_in(oauth_access_token_expire=int(time.time()) + 60))
    provider = cli()
    provider.fetch_credentials()
    oauth.refresh, oauth.access = "MARKEDother", "MARKEDanother"
    write(signed_in(oauth_refresh_token="MARKEDother", oauth_access_token="MARKEDanother"))
    oauth.paths()
    provider.fetch_credentials()
    assert oauth.paths() == ["/v1/exchange"]


def test_oauth_access_token_that_is_refused_is_renewed_once(write: Any, cli: Any, oauth: OAuth) -> None:
    """A 401 renews the tokens and exchanges once more."""
    oauth.access = "MARKEDelsewhere"
    write(signed_in())
    assert cli().fetch_credentials().access_key_id
    assert oauth.paths() == ["/v1/exchange", "/v1/token", "/v1/exchange"]


def test_oauth_that_cannot_be_renewed(write: Any, cli: Any, oauth: OAuth, shows_no_secret: Any) -> None:
    """While the access token lives it is used; then the error says how to sign in again, without the tokens."""
    oauth.refresh = "MARKEDrotated"
    write(signed_in(oauth_access_token_expire=int(time.time()) + 60))
    assert cli().fetch_credentials().access_key_id
    write(signed_in(oauth_access_token_expire=1))
    with pytest.raises(
        CredentialsRefused, match=r"invalid_grant: refresh token \*\*\*\* was revoked; sign in again"
    ) as caught:
        cli().fetch_credentials()
    shows_no_secret(caught.value)
    kept = {"access_key_id": "STS.kept", "access_key_secret": "MARKEDs", "sts_token": "MARKEDt"}
    write(signed_in(oauth_access_token_expire=1, sts_expiration=int(time.time()) + 300, **kept))
    assert cli().fetch_credentials().access_key_id == "STS.kept"
    for reply in ((200, {"access_token": ""}), (200, b"<html>MARKED"), (503, b"MARKED")):
        oauth.cloud.next = [oauth.cloud.answer(*reply)]
        write(signed_in(oauth_access_token_expire=1))
        with pytest.raises(CredentialsRefused, match="the OAuth service") as caught:
            cli().fetch_credentials()
        shows_no_secret(caught.value)


@pytest.mark.usefixtures("oauth")
def test_a_copy_has_no_secrets_of_the_file(write: Any, cli: Any, path: Path) -> None:
    """What travels in a pickle is which profile of which file, and nothing that was read or renewed."""
    write(signed_in(oauth_access_token_expire=1), {**AK, "name": "plain"})
    provider = ProfileProvider(fetch=None, path=path, profile="plain")  # type: ignore[arg-type]
    provider.fetch_credentials()
    assert b"MARKED" not in pickle.dumps(provider)
    provider = cli()
    provider.fetch_credentials()
    state = provider.__getstate__()
    assert "MARKED" not in repr(state)
    assert state["_sign_ins"] == {}


# --- tokens that the service replaced -----------------------------------------------------------------------------


def ending(**fields: Any) -> dict[str, Any]:
    """Return a profile whose access token ends in a minute."""
    return signed_in(oauth_access_token_expire=int(time.time()) + 60, **fields)


def tokens_in(path: Path) -> tuple[str, str]:
    """Return the tokens of the first profile in a file."""
    fields = json.loads(path.read_text())["profiles"][0]
    return fields["oauth_access_token"], fields["oauth_refresh_token"]


def test_new_tokens_are_written_as_the_cli_does(
    write: Any, cli: Any, oauth: OAuth, caplog: pytest.LogCaptureFixture
) -> None:
    """The new tokens replace the used ones in the file; all other fields, profiles and their order stay."""
    caplog.set_level(logging.DEBUG)
    first = ending(unknown={"b": [1, 2.5, None], "a": "\u00e4"})
    path = write(first, AK | {"name": "another", "zz": 1, "aa": 2})
    before = json.loads(path.read_text())
    cli().fetch_credentials()
    assert oauth.paths() == ["/v1/token", "/v1/exchange"]
    after = json.loads(path.read_text())
    changed = after["profiles"][0]
    assert changed["oauth_access_token_expire"] > time.time() + 3000
    assert tokens_in(path) == ("MARKEDaccess1", "MARKEDrefresh1")
    assert list(changed) == list(before["profiles"][0])
    tokens = ("oauth_access_token", "oauth_refresh_token", "oauth_access_token_expire")
    for document in (before, after):
        for name in tokens:
            del document["profiles"][0][name]
    assert list(after.items()) == list(before.items())
    assert list(after["profiles"][1].items()) == list(before["profiles"][1].items())
    assert "MARKED" not in caplog.text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_the_file_is_never_readable_by_others(
    write: Any, cli: Any, oauth: OAuth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file has mode 0600 before anything is in it, whatever the old one had and the umask says."""
    path = write(ending())
    path.chmod(0o644)
    modes: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    umask = os.umask(0)
    try:
        cli().fetch_credentials()
    finally:
        os.umask(umask)
    assert modes == [0o600]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert oauth.number == 1


@pytest.mark.skipif(os.name != "posix", reason="symbolic links")
def test_a_symbolic_link_is_followed(write: Any, cli: Any, oauth: OAuth, tmp_path: Path, path: Path) -> None:
    """A file that is a link, as managers of home directories make them, stays one."""
    real = tmp_path / "elsewhere" / "aliyun.json"
    real.parent.mkdir()
    write(ending(), to=real)
    path.symlink_to(real)
    cli().fetch_credentials()
    assert path.is_symlink()
    assert tokens_in(real)[1] == oauth.refresh == "MARKEDrefresh1"


def test_what_the_cli_changed_meanwhile_stays(write: Any, cli: Any, oauth: OAuth, path: Path) -> None:
    """The file is read again under the lock: a change since it was read first is not undone."""
    write(ending())
    provider = cli()
    renew = oauth.token

    def token(asked: Any) -> Any:
        document = json.loads(path.read_text())
        document["current"], document["profiles"][0]["region_id"] = "default", "cn-beijing"
        path.write_text(json.dumps(document))
        return renew(asked)

    oauth.cloud.routes["/v1/token"] = token
    provider.fetch_credentials()
    fields = json.loads(path.read_text())["profiles"][0]
    assert (fields["region_id"], fields["oauth_refresh_token"]) == ("cn-beijing", "MARKEDrefresh1")


def test_tokens_of_another_process_are_taken(write: Any, cli: Any, oauth: OAuth, path: Path) -> None:
    """Who gets the lock second finds the new tokens in the file, and does not use the old refresh token."""
    write(ending())
    first, second = cli(), cli()
    for provider in (first, second):
        provider.describe()  # reads the file
    (sign_in,) = second._sign_ins.values()
    first.fetch_credentials()
    assert oauth.paths() == ["/v1/token", "/v1/exchange"]
    assert sign_in.fetch_credentials().access_key_id.startswith("STS.")
    assert oauth.paths() == ["/v1/exchange"]
    assert tokens_in(path)[1] == oauth.refresh


def test_a_refused_access_token_that_another_process_has_replaced(write: Any, cli: Any, oauth: OAuth) -> None:
    """A 401 because another process renewed the tokens is answered with those, without another renewal."""
    write(signed_in())
    provider = cli()
    provider.describe()
    (sign_in,) = provider._sign_ins.values()
    oauth.access, oauth.refresh = "MARKEDtheirs", "MARKEDtheirsToo"
    write(signed_in(oauth_access_token="MARKEDtheirs", oauth_refresh_token="MARKEDtheirsToo"))
    assert sign_in.fetch_credentials().access_key_id
    assert oauth.paths() == ["/v1/exchange", "/v1/exchange"]


def test_a_file_that_cannot_be_written(
    write: Any, cli: Any, oauth: OAuth, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    """The new tokens are kept in memory then, and a warning names the consequence, without the tokens."""
    write(ending())
    before = path.read_bytes()

    def replace(*_: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("ots_config.credentials.providers.token_file.replace_file", replace)
    provider = cli()
    provider.fetch_credentials()
    assert oauth.paths() == ["/v1/token", "/v1/exchange"]
    provider.fetch_credentials()
    assert oauth.paths() == ["/v1/exchange"]
    assert path.read_bytes() == before
    assert "cannot be written to" in caplog.text
    assert "Read-only file system" in caplog.text
    assert "MARKED" not in caplog.text


def test_a_profile_that_is_gone_meanwhile(
    write: Any, cli: Any, oauth: OAuth, caplog: pytest.LogCaptureFixture, path: Path
) -> None:
    """A profile that was deleted is not made anew."""
    write(ending())
    provider = cli()
    provider.describe()
    (sign_in,) = provider._sign_ins.values()
    write(AK | {"name": "another"})
    before = path.read_bytes()
    assert sign_in.fetch_credentials()
    assert path.read_bytes() == before
    assert "has no profile default any more" in caplog.text
    path.unlink()
    oauth.paths()
    sign_in._tokens = type(sign_in._tokens)("", oauth.refresh, None)
    assert sign_in.fetch_credentials()
    assert not path.exists()


def test_a_lock_that_another_process_keeps(write: Any, cli: Any, oauth: OAuth, path: Path) -> None:
    """Without the lock no token is renewed: keys come from the access token while it lives, else an error."""
    write(ending())
    holder = FileLock(path, wait=0)
    assert holder.acquire()
    provider = cli()
    provider.describe()
    (sign_in,) = provider._sign_ins.values()
    sign_in._file = TokenFile(path, "default", wait=0)
    assert sign_in.fetch_credentials()
    assert oauth.paths() == ["/v1/exchange"]
    sign_in._tokens = type(sign_in._tokens)("", oauth.refresh, None)
    with pytest.raises(CredentialsRefused, match="another process has locked the file of the sign-in"):
        sign_in.fetch_credentials()
    assert oauth.paths() == []
    holder.release()
    assert sign_in.fetch_credentials()


@pytest.mark.skipif(os.name != "posix", reason="files are replaced while locked")
def test_the_lock_is_that_of_the_file_that_is_there(write: Any, path: Path) -> None:
    """Who waits for the lock of a file that is replaced meanwhile locks the new one."""
    write(ending())
    holder = FileLock(path, wait=0)
    assert holder.acquire()
    old = path.stat()

    def meanwhile(_: float) -> None:
        if path.stat().st_ino == old.st_ino:
            new = path.with_name("new")
            write(signed_in(oauth_refresh_token="MARKEDnewer"), to=new)
            new.replace(path)
            holder.release()

    with TokenFile(path, "default", wait=5, sleep=meanwhile).locked() as fields:
        assert fields is not None
        assert fields["oauth_refresh_token"] == "MARKEDnewer"
        assert not FileLock(path, wait=0).acquire()
    assert FileLock(path, wait=0).acquire()


WORKER = """
import sys
from ots_config.credentials.providers.aliyun_cli import ProfileProvider
from ots_config.request.fetcher import Fetcher

def fetch(method, url, **options):
    return Fetcher()(method, url.replace("https://oauth.alibabacloud.com", sys.argv[2]), **options)

provider = ProfileProvider(fetch=fetch, home=sys.argv[1])
provider.describe()
print("ready", flush=True)
input()
print(provider.fetch_credentials().access_key_id)
"""


def test_two_workers_that_start_together(
    write: Any, cli: Any, oauth: OAuth, tmp_path: Path, path: Path, clean_environment: Any
) -> None:
    """Both get keys with one renewal of a token that is taken once, and the CLI, which reads the file, does too."""
    write(ending())
    both_asked = threading.Barrier(2, timeout=20)
    exchange = oauth.exchange

    def exchanging(asked: Any) -> Any:
        both_asked.wait()
        return exchange(asked)

    oauth.cloud.routes["/v1/exchange"] = exchanging
    command = [sys.executable, "-c", WORKER, str(tmp_path), oauth.cloud.url]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    keys = [worker.communicate(timeout=30)[0].strip() for worker in workers]
    assert all(key.startswith("STS.Handed") for key in keys)
    assert sorted(oauth.paths()) == ["/v1/exchange", "/v1/exchange", "/v1/token"]
    assert tokens_in(path) == (oauth.access, oauth.refresh) == ("MARKEDaccess1", "MARKEDrefresh1")
    oauth.cloud.routes["/v1/exchange"] = exchange
    write(signed_in(oauth_access_token="", oauth_refresh_token=tokens_in(path)[1]))
    assert cli().fetch_credentials()
    assert oauth.number == 2
