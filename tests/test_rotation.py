"""Credentials that change under a running client: every attempt has the current ones, and no call fails for it."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import select
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import keyring.core
import pytest

from ots_config import (
    AssumeRoleProvider,
    AuthenticationFailed,
    Credentials,
    CredentialsError,
    Emulator,
    NoDelayRetryPolicy,
    OTSClient,
    OTSSettings,
    RefreshingProvider,
    create_async_client,
    create_client,
    create_provider,
)
from ots_config.credentials.expiry import State
from ots_config.credentials.sts import Pace
from ots_config.request.fetcher import Fetcher
from ots_config.sdk import tablestore as ts
from ots_config.testing.clock import ManualClock

ROLE = "acs:ram::1234567890123456:role/writer"
PATIENCE = 30.0  # seconds until a test that hangs fails
OLD, NEW = ("old-key-of-ours", "old-secret-of-ours"), ("new-key-of-ours", "new-secret-of-ours")


@pytest.fixture
def emulator(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Give the emulator with an empty table ``t`` and the key ``OLD``; no real metadata service is asked."""
    running.reset()
    running.add_key(*OLD)
    running.add_key("testid", "testsecret")
    with OTSClient(settings=running.settings) as client:
        meta = ts.TableMeta("t", [("id", "INTEGER")])
        client.create_table(meta, ts.TableOptions(), ts.ReservedThroughput(ts.CapacityUnit(0, 0)))
    running.clear_log()
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
    return running


@pytest.fixture
def base(emulator: Emulator) -> dict[str, Any]:
    """Give the settings that are no credentials."""
    return {"endpoint": emulator.endpoint, "instance_name": "demo", "sts_endpoint": emulator.endpoint}


class Memory(keyring.backend.KeyringBackend):
    """A keychain in memory."""

    priority = -1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.entry: str | None = None

    def get_password(self, service: str, username: str) -> str | None:
        """Read the entry."""
        return self.entry if (service, username) == ("ots-config", "default") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store the entry."""
        self.entry = password


@pytest.fixture
def keychain() -> Iterator[Memory]:
    """Have keyring use a keychain in memory."""
    before, backend = keyring.core._keyring_backend, Memory()
    keyring.set_keyring(backend)
    try:
        yield backend
    finally:
        keyring.core._keyring_backend = before


def replace(path: Path, text: str) -> None:
    """Write a file as a whole, readable by its owner only."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(text)
    new.replace(path)


def env_file(key: tuple[str, str]) -> None:
    """Write a key into ``.env``."""
    replace(Path(".env"), f"OTS_ACCESS_KEY_ID={key[0]}\nOTS_ACCESS_KEY_SECRET={key[1]}\n")


def entries(emulator: Emulator, *operations: str) -> list[dict[str, Any]]:
    """Return what the emulator was asked of these operations."""
    return [entry for entry in emulator.log() if entry["operation"] in operations]


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends, f"never: {what}"
        time.sleep(0.005)


# --- every attempt has the current credentials --------------------------------------------------------------------


class Rotating:
    """Hands out another temporary key each time, as a provider may that rotates."""

    instant = True

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.handed: list[str] = []

    def get_credentials(self) -> Credentials:
        """Issue one more."""
        key = self._emulator.issue_key()
        self.handed.append(key["AccessKeyId"])
        return Credentials(key["AccessKeyId"], key["AccessKeySecret"], key["SecurityToken"])


def test_every_attempt_takes_the_current_snapshot(emulator: Emulator, base: dict[str, Any]) -> None:
    """Each attempt of one call, first or retried, asks for the credentials and signs with those."""
    provider = Rotating(emulator)
    with create_client(**base, credentials_provider=provider, retry_policy=NoDelayRetryPolicy()) as client:
        emulator.clear_log()
        handed = len(provider.handed)
        emulator.fault(operation="ListTable", kind="error", code="OTSServerBusy", count=2)
        client.list_table()
    log = entries(emulator, "ListTable")
    assert [entry["status"] for entry in log] == [503, 503, 200]
    assert [entry["access_key_id"] for entry in log] == provider.handed[handed:]
    assert len({entry["token"] for entry in log}) == 3


@pytest.mark.asyncio
async def test_every_attempt_of_a_task_takes_the_current_snapshot(emulator: Emulator, base: dict[str, Any]) -> None:
    """The same is true of the asynchronous client."""
    provider = Rotating(emulator)
    policy = NoDelayRetryPolicy()
    async with create_async_client(**base, credentials_provider=provider, retry_policy=policy) as client:
        handed = len(provider.handed)
        emulator.fault(operation="ListTable", kind="error", code="OTSServerBusy", count=2)
        await client.list_table()
    log = entries(emulator, "ListTable")
    assert [entry["status"] for entry in log] == [503, 503, 200]
    assert [entry["access_key_id"] for entry in log] == provider.handed[handed:]


# --- a key that was replaced: one refresh, one more request -------------------------------------------------------


def in_ots_toml(key: tuple[str, str]) -> None:
    """Write a key into a profile of ``ots.toml``."""
    replace(Path("ots.toml"), f'[profiles.default]\naccess_key_id = "{key[0]}"\naccess_key_secret = "{key[1]}"\n')


def in_cli_profile(key: tuple[str, str]) -> None:
    """Write a key into the Aliyun CLI's profile."""
    keys = {"access_key_id": key[0], "access_key_secret": key[1]}
    replace(Path(".aliyun/config.json"), json.dumps({"profiles": [{"name": "default", "mode": "AK", **keys}]}))


def in_ini(key: tuple[str, str]) -> None:
    """Write a key into the SDKs' file."""
    text = f"[default]\ntype = access_key\naccess_key_id = {key[0]}\naccess_key_secret = {key[1]}\n"
    replace(Path(".alibabacloud/credentials"), text)


def in_variables(key: tuple[str, str]) -> None:
    """Set a key in the environment; the test's fixture takes it out again."""
    os.environ["OTS_ACCESS_KEY_ID"], os.environ["OTS_ACCESS_KEY_SECRET"] = key


def in_keychain(key: tuple[str, str]) -> None:
    """Store a key in the keychain."""
    keyring.set_password("ots-config", "default", json.dumps({"access_key_id": key[0], "access_key_secret": key[1]}))


PLACES = [env_file, in_ots_toml, in_cli_profile, in_ini, in_variables, in_keychain]


@pytest.mark.parametrize("put", PLACES, ids=lambda put: put.__name__)
@pytest.mark.usefixtures("keychain")
def test_a_key_that_is_replaced_where_it_lies(
    emulator: Emulator, base: dict[str, Any], put: Callable[[tuple[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revoked at the service and replaced where it lies, a key costs one refused request at most, and no call."""
    for name in ("OTS_ACCESS_KEY_ID", "OTS_ACCESS_KEY_SECRET"):
        monkeypatch.setenv(name, "")  # so that whatever is set meanwhile is taken out again; empty counts as unset
    put(OLD)
    with create_client(**base) as client:
        client.list_table()
        emulator.add_key(*NEW)
        put(NEW)
        emulator.revoke(OLD[0])
        client.list_table()
        client.list_table()
        assert client.credentials_provider.get_credentials().access_key_id == NEW[0]
    log = entries(emulator, "ListTable")
    statuses = [entry["status"] for entry in log]
    assert statuses in ([200, 403, 200, 200], [200, 200, 200])
    assert [entry["access_key_id"] for entry in log if entry["status"] == 200] == [OLD[0], NEW[0], NEW[0]]
    if put is in_keychain:  # it is read once a minute: only the refusal can have told of the new key so soon
        assert statuses == [200, 403, 200, 200]


def test_a_program_is_run_again(emulator: Emulator, base: dict[str, Any]) -> None:
    """A key without an end that a program printed is asked for again when the service refuses it."""
    printed = Path("printed.json")
    write = lambda key: replace(printed, json.dumps({"access_key_id": key[0], "access_key_secret": key[1]}))  # noqa: E731
    write(OLD)
    with create_client(**base, credentials_process=f"cat {printed.absolute()}") as client:
        client.list_table()
        emulator.add_key(*NEW)
        write(NEW)
        emulator.revoke(OLD[0])
        client.list_table()
    assert [entry["status"] for entry in entries(emulator, "ListTable")] == [200, 403, 200]


@pytest.mark.parametrize("source", ["role", "uri", "ecs", "function"])
def test_a_temporary_key_that_is_revoked(
    emulator: Emulator, base: dict[str, Any], source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary key that the service no longer takes is replaced by one refresh, and the request sent once more."""
    asked = {"role": "sts", "uri": "uri", "ecs": "metadata", "function": ""}[source]
    options: dict[str, Any] = {"credentials": source} if source in {"uri", "ecs"} else {}
    if source == "role":
        options = {"role_arn": ROLE, "access_key_id": OLD[0], "access_key_secret": OLD[1]}
    elif source == "function":

        def fetch() -> tuple[str, ...]:
            key = emulator.issue_key()
            return key["AccessKeyId"], key["AccessKeySecret"], key["SecurityToken"], key["Expiration"]

        options = {"credentials_provider": fetch}
    else:
        monkeypatch.delenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED")
        options |= {"ecs_endpoint": emulator.endpoint, "credentials_uri": f"{emulator.endpoint}/credentials"}
    with create_client(**base, **options) as client:
        client.list_table()
        before = len(entries(emulator, asked))
        emulator.revoke(client.credentials_provider.get_credentials().access_key_id)
        client.list_table()
        refreshes = client.credentials_provider.health().refreshes
    log = entries(emulator, "ListTable")
    assert [entry["status"] for entry in log] == [200, 403, 200]
    assert len({entry["token"] for entry in log}) == 2
    assert refreshes == 2
    assert len(entries(emulator, asked)) - before == (0 if source == "function" else 1)


def test_64_threads_whose_key_was_revoked(emulator: Emulator, base: dict[str, Any]) -> None:
    """64 threads that are refused at the same time cause one refresh, and none of their calls fails."""
    options = {"role_arn": ROLE, "access_key_id": OLD[0], "access_key_secret": OLD[1], "max_connection": 64}
    with create_client(**base, **options) as client:
        emulator.revoke(client.credentials_provider.get_credentials().access_key_id)
        barrier, failed = threading.Barrier(64), []

        def call() -> None:
            barrier.wait(PATIENCE)
            try:
                client.list_table()
            except ts.OTSClientError as error:  # the base of every error of ours that is not the service's
                failed.append(error)
            except ts.OTSServiceError as error:
                failed.append(error)

        threads = [threading.Thread(target=call, daemon=True) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert failed == []
    assert len(entries(emulator, "sts")) == 2
    assert len([entry for entry in entries(emulator, "ListTable") if entry["status"] == 200]) == 64


# --- a wrong secret: never a loop ---------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["arguments", "env_file", "in_keychain", "in_variables", "official"])
@pytest.mark.usefixtures("keychain")
def test_a_wrong_secret_is_sent_once(
    emulator: Emulator, base: dict[str, Any], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret that is wrong, and stays so, costs each call one request."""
    wrong = (OLD[0], "another-secret-of-ours")
    options: dict[str, Any] = {}
    if place == "arguments":
        options = {"access_key_id": wrong[0], "access_key_secret": wrong[1]}
    elif place == "official":
        options = {"credentials_provider": ts.credentials.StaticCredentialsProvider(*wrong)}
    else:
        for name in ("OTS_ACCESS_KEY_ID", "OTS_ACCESS_KEY_SECRET"):
            monkeypatch.setenv(name, "")  # taken out again after the test, like what ``in_variables`` sets
        {"env_file": env_file, "in_keychain": in_keychain, "in_variables": in_variables}[place](wrong)
    with create_client(**base, **options) as client:
        for calls in (1, 2, 3):
            with pytest.raises(AuthenticationFailed) as caught:
                client.list_table()
            assert len(entries(emulator, "ListTable")) == calls
    assert "another-secret" not in str(caught.value)


def test_a_role_that_is_always_refused(emulator: Emulator, base: dict[str, Any]) -> None:
    """If the service refuses whatever the role gives, a call is sent twice at most, and STS is not stormed."""
    with create_client(**base, role_arn=ROLE, access_key_id=OLD[0], access_key_secret=OLD[1]) as client:
        emulator.fault(operation="ListTable", kind="error", code="OTSAuthFailed", status=403)
        for _ in range(10):
            with pytest.raises(AuthenticationFailed):
                client.list_table()
    assert 11 <= len(entries(emulator, "ListTable")) <= 12
    assert 2 <= len(entries(emulator, "sts")) <= 3


# --- token after token --------------------------------------------------------------------------------------------


def work(client: OTSClient, enough: Callable[[], bool], meanwhile: Callable[[], object] = lambda: None) -> list[str]:
    """Write on eight threads until it is enough; return how calls failed."""
    failed: list[str] = []
    ends = time.monotonic() + PATIENCE

    def write(number: int) -> None:
        while not enough() and time.monotonic() < ends:
            try:
                client.put_row("t", ts.Row([("id", number)], [("n", 1)]))
            except (ts.OTSClientError, ts.OTSServiceError) as error:
                failed.append(str(error))
            time.sleep(0.002)

    threads = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(8)]
    for thread in threads:
        thread.start()
    meanwhile()
    for thread in threads:
        thread.join(2 * PATIENCE)
    assert enough()
    return failed


def test_tokens_of_seconds_under_threads(emulator: Emulator, base: dict[str, Any]) -> None:
    """Eight threads write through four rotations of tokens that live a second or two; no call fails."""
    emulator.sts(lifetime=1)
    rotated: list[tuple[str, str]] = []
    with create_client(**base, role_arn=ROLE, access_key_id=OLD[0], access_key_secret=OLD[1]) as client:
        provider = client.credentials_provider
        provider.on_rotate(lambda old, new: rotated.append((old.access_key_id, new.access_key_id)))
        assert work(client, lambda: len(rotated) >= 4) == []
        assert provider.health().failures == 0
    assert len({entry["access_key_id"] for entry in entries(emulator, "PutRow")}) >= 4
    assert len(entries(emulator, "sts")) <= len(rotated) + 2
    emulator.sts()


@pytest.mark.parametrize("put", [env_file, in_keychain], ids=lambda put: put.__name__)
@pytest.mark.usefixtures("keychain")
def test_the_roles_own_key_is_replaced(
    emulator: Emulator, base: dict[str, Any], put: Callable[[tuple[str, str]], None]
) -> None:
    """The key that assumes the role is revoked and replaced where it lies while eight threads write; no call fails."""
    emulator.sts(lifetime=2)
    put(OLD)
    replaced = threading.Event()
    with create_client(**base, role_arn=ROLE) as client:
        health = client.credentials_provider.health

        def administrator() -> None:
            until(lambda: health().refreshes >= 2, "a first rotation")
            emulator.add_key(*NEW)
            put(NEW)
            emulator.revoke(OLD[0])
            administrator.at = health().refreshes  # type: ignore[attr-defined]
            replaced.set()

        def enough() -> bool:
            return replaced.is_set() and health().refreshes >= administrator.at + 2  # type: ignore[attr-defined]

        assert work(client, enough, administrator) == []
    assert [entry["access_key_id"] for entry in entries(emulator, "sts")][-1] == NEW[0]
    emulator.sts()


# --- an outage of STS -----------------------------------------------------------------------------------------------


def test_an_outage_with_life_left(emulator: Emulator, base: dict[str, Any]) -> None:
    """While STS is down and the token lives, 50 calls succeed, few attempts are made, and then it rotates."""
    clock = ManualClock()
    source = AssumeRoleProvider(
        Credentials(*OLD),
        ROLE,
        fetch=Fetcher(),
        duration=900,
        endpoint=emulator.endpoint,
        pace=Pace(sleep=lambda _: None),
    )
    provider = RefreshingProvider(source, clock=clock)
    with create_client(**base, credentials_provider=provider) as client:
        emulator.fault(operation="sts", kind="status", status=503, body="down")
        emulator.clear_log()
        clock.age += 760
        for _ in range(50):
            client.list_table()
        until(lambda: provider.health().failures, "the refresh fails")
        for _ in range(50):
            client.list_table()
        assert len(entries(emulator, "sts")) == 4  # the tries of one fetch; the next one waits
        assert provider.health().state is State.STALE
        assert "HTTP 503" in str(provider.health().last_error)
        emulator.clear_faults()
        clock.age += 40
        client.list_table()
        until(lambda: provider.health().refreshes == 2, "it rotates after the outage")
    assert {entry["status"] for entry in entries(emulator, "ListTable")} == {200}


def test_an_outage_after_the_end(emulator: Emulator, base: dict[str, Any]) -> None:
    """When the token has ended and STS is still down, the calls tell so at once, and work again when it is back."""
    clock = ManualClock()
    source = AssumeRoleProvider(
        Credentials(*OLD), ROLE, fetch=Fetcher(), endpoint=emulator.endpoint, pace=Pace(sleep=lambda _: None)
    )
    provider = RefreshingProvider(source, clock=clock)
    with create_client(**base, credentials_provider=provider) as client:
        emulator.fault(operation="sts", kind="status", status=503, body="down")
        emulator.clear_log()
        clock.age += 3601
        for _ in range(50):
            with pytest.raises(CredentialsError, match="503"):
                client.list_table()
        assert len(entries(emulator, "sts")) == 4
        assert entries(emulator, "ListTable") == []
        emulator.clear_faults()
        clock.age += 40
        client.list_table()


# --- forks, tasks, pickles, processes --------------------------------------------------------------------------------


class GatedFetch(Fetcher):
    """A fetch that waits at a gate, in the process where it was made."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        self._pid = os.getpid()

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Wait, then fetch."""
        if os.getpid() == self._pid:
            self.waiting.set()
            assert self.gate.wait(PATIENCE)
        return super().__call__(*args, **options)


def in_a_child(call: Callable[[], str]) -> str:
    """Fork, make the call in the child and return what it came to; a child that hangs is ended."""
    here, there = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
        child = os.fork()
    if child == 0:
        try:
            told = call()
        except BaseException as error:  # noqa: BLE001 - nothing may escape into the parent's test run
            told = repr(error)
        os.write(there, told.encode())
        os._exit(0)
    os.close(there)
    try:
        ready, _, _ = select.select([here], [], [], PATIENCE)
        if not ready:
            os.kill(child, 9)
        return os.read(here, 10_000).decode() if ready else "hangs"
    finally:
        os.waitpid(child, 0)
        os.close(here)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.parametrize("age", [3000, 3601], ids=["stale", "ended"])
def test_fork_during_a_refresh(emulator: Emulator, base: dict[str, Any], age: float) -> None:
    """A child that is forked while its parent refreshes can call at once; so can the parent when it is done."""
    clock, fetch = ManualClock(), GatedFetch()
    source = AssumeRoleProvider(Credentials(*OLD), ROLE, fetch=fetch, endpoint=emulator.endpoint)
    provider = RefreshingProvider(source, clock=clock)
    with create_client(**base, credentials_provider=provider) as client:
        client.list_table()
        fetch.gate.clear()
        fetch.waiting.clear()
        clock.age += age
        caller = threading.Thread(target=client.list_table, daemon=True)
        caller.start()
        assert fetch.waiting.wait(PATIENCE)
        assert in_a_child(lambda: str(client.list_table())) == "('t',)"
        fetch.gate.set()
        caller.join(PATIENCE)
        assert client.list_table() == ("t",)


@pytest.mark.asyncio
async def test_100_tasks_at_the_end(emulator: Emulator, base: dict[str, Any]) -> None:
    """100 tasks whose token has ended cause one refresh; while STS takes its time the event loop runs on."""
    delay = 0.8
    emulator.sts(lifetime=1)
    settings = OTSSettings(**base, role_arn=ROLE, access_key_id=OLD[0], access_key_secret=OLD[1])
    async with create_async_client(settings=settings) as client:
        health = client.credentials_provider.health
        await client.list_table()
        await asyncio.to_thread(until, lambda: health().state is State.EXPIRED, "the token ends")
        emulator.sts()
        emulator.fault(operation="sts", kind="delay", seconds=delay, count=1)
        emulator.clear_log()
        tasks = [asyncio.create_task(client.list_table()) for _ in range(100)]
        longest, ticks, last = 0.0, 0, time.perf_counter()
        while health().state is State.EXPIRED:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, ticks, last = max(longest, now - last), ticks + 1, now
        assert {tuple(tables) for tables in await asyncio.gather(*tasks)} == {("t",)}
    assert len(entries(emulator, "sts")) == 1
    assert ticks > 20
    assert longest < delay / 2  # a loop that waited for STS would have stood still for all of it
    assert {entry["status"] for entry in entries(emulator, "ListTable")} == {200}


@pytest.mark.parametrize("options", [{}, {"role_arn": ROLE}, {"role_arn": ROLE, "role_via": ROLE}])
def test_a_provider_travels(emulator: Emulator, base: dict[str, Any], options: dict[str, Any]) -> None:
    """What ``create_provider`` makes can be pickled: the copy fetches for itself, and holds nothing handed out."""
    env_file(OLD)
    provider = create_provider(OTSSettings(**base, **options))
    handed = provider.get_credentials()
    packed = pickle.dumps(provider)
    if options:
        assert handed.get_access_key_secret().encode() not in packed
        assert str(handed.get_security_token()).encode() not in packed
    copy = pickle.loads(packed)
    with create_client(**base, credentials_provider=copy) as client:
        assert client.list_table() == ("t",)


PROCESS = """
import sys, time
from pathlib import Path
from ots_config import OTSSettings, create_provider

here = Path(sys.argv[1])
provider = create_provider(OTSSettings())
(here / f"ready-{sys.argv[2]}").touch()
while not (here / "go").exists():
    time.sleep(0.005)
print(provider.get_credentials().access_key_id)
"""


def test_cold_processes_share_one_token(emulator: Emulator, base: dict[str, Any], tmp_path: Path) -> None:
    """With ``OTS_CREDENTIALS_CACHE`` processes that start together ask STS once, and all have the same token."""
    given = {**base, "role_arn": ROLE, "access_key_id": OLD[0], "access_key_secret": OLD[1], "credentials_cache": "1"}
    environ = {**os.environ, **{f"OTS_{name.upper()}": str(value) for name, value in given.items()}}
    environ["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, str(tmp_path), str(n)], env=environ, stdout=subprocess.PIPE)
        for n in range(4)
    ]
    until(lambda: len(list(tmp_path.glob("ready-*"))) == len(processes), "the processes start")
    (tmp_path / "go").touch()
    keys = {process.communicate(timeout=PATIENCE)[0] for process in processes}
    assert len(keys) == 1
    assert b"STS." in keys.pop()
    assert len(entries(emulator, "sts")) == 1
