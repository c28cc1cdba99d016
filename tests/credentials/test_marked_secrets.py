"""Every secret is marked, everything is logged, and everything goes right and wrong: no mark comes out anywhere."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from ots_config import (
    AssumeRoleProvider,
    AsyncOTSClient,
    Credentials,
    Emulator,
    NoDelayRetryPolicy,
    OTSConfigError,
    OTSSettings,
    create_async_client,
    create_client,
    create_provider,
    identity,
)
from ots_config.credentials.sts import Pace
from ots_config.request.fetcher import Fetcher

ROLE = "acs:ram::1234567890123456:role/writer"
OIDC = "acs:ram::1234567890123456:oidc-provider/ack"
KEY = "marked-key-id"
SECRET, WRONG = "M4rkedSecretOfTheKey/+=~ 1", "M4rkedSecretThatIsWrong"
TICKET, PLATFORM, NOISE = "M4rkedTicket", "M4rkedTokenOfThePlatform", "M4rkedNoiseOfAProgram"
MARKS = [SECRET, WRONG, TICKET, PLATFORM, NOISE]


class Vault:
    """All that could be seen of a run: logs, what was printed, errors in every form, texts of objects."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.seen: list[str] = []
        self.failures = 0
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s %(exc_info)s"))

    def see(self, *objects: Any) -> None:
        """Look at objects."""
        for each in objects:
            self.seen += [repr(each), str(each), f"{each}"]

    def fails(self, call: Callable[[], Any]) -> None:
        """Make a call that must fail with an error of ours, and look at the error from every side."""
        with pytest.raises(OTSConfigError) as caught:
            call()
        self.failed(caught.value)

    def failed(self, error: BaseException) -> None:
        """Look at an error from every side."""
        self.failures += 1
        self.see(error, error.args, vars(error), getattr(error, "__notes__", []), pickle.dumps(error))
        self.see(pickle.loads(pickle.dumps(error)))
        chain: BaseException | None = error
        while chain is not None:
            trace = chain.__traceback__
            while trace is not None:
                frame = trace.tb_frame
                if f"{os.sep}ots_config{os.sep}" in frame.f_code.co_filename:
                    self.seen += [f"{name}={value!r}" for name, value in frame.f_locals.items()]
                trace = trace.tb_next
            ours = [s for s in traceback.extract_tb(chain.__traceback__) if "ots_config" in s.filename]
            self.seen += traceback.format_list(ours) + traceback.format_exception_only(chain)
            chain = chain.__cause__ or chain.__context__

    def check(self, printed: str) -> None:
        """Find none of the marks, and none of the secrets and tokens that the emulator has handed out."""
        text = "\n".join([*self.seen, self._stream.getvalue(), printed])
        handed = [part for key in self._emulator.server.keys._keys.values() for part in (key.secret, key.token)]
        marks = [mark for mark in {*MARKS, *handed} if mark and mark != "testsecret"]
        assert len(marks) > len(MARKS)
        for mark in marks:
            for form in (mark, quote(mark, safe=""), repr(mark)[1:-1], json.dumps(mark)[1:-1]):
                at = text.find(form)
                assert at < 0, f"{form[:12]}... in {text[max(0, at - 200) : at]!r}"
        assert "Signature=" not in text.replace("Signature=****", "")
        assert self._stream.getvalue()  # a log that shows nothing because nothing is logged would prove nothing


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    """Run an emulator whose key is marked."""
    with Emulator(access_key_id=KEY, access_key_secret=SECRET) as emulator:
        yield emulator


@pytest.fixture
def vault(running: Emulator, capfd: pytest.CaptureFixture[str]) -> Iterator[Vault]:
    """Watch everything, and check it when the test is over."""
    running.reset()
    running.add_key(KEY, SECRET)
    running.issue_key()
    vault, root = Vault(running), logging.getLogger()
    level = root.level
    root.addHandler(vault.handler)
    root.setLevel(logging.DEBUG)
    try:
        yield vault
    finally:
        root.setLevel(level)
        root.removeHandler(vault.handler)
    captured = capfd.readouterr()
    vault.check(captured.out + captured.err)


@pytest.fixture
def given(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Give the settings of a client without credentials."""
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
    return {"endpoint": running.endpoint, "instance_name": "demo", "sts_endpoint": running.endpoint}


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("error", {"code": "OTSAuthFailed", "status": 403}),
    ("error", {"code": "OTSServerBusy"}),
    ("status", {"status": 502, "body": "<html>bad gateway</html>"}),
    ("reset_before", {}),
    ("reset_after", {}),
    ("truncate", {}),
    ("corrupt_signature", {}),
    ("corrupt_md5", {}),
]


@pytest.mark.parametrize("role", [False, True], ids=["key", "role"])
def test_a_client_through_every_failure(running: Emulator, vault: Vault, given: dict[str, Any], role: bool) -> None:
    """A client works, and fails in every way that a service has to fail."""
    options = {**given, "access_key_id": KEY, "access_key_secret": SECRET, "region": "cn-hangzhou"}
    options |= {"role_arn": ROLE, "role_external_id": "x1"} if role else {}
    with create_client(**options, retry_policy=NoDelayRetryPolicy(2), logger_name="marked") as client:
        assert client.list_table() == ()
        vault.see(client, client.settings, client.settings.explain(), vars(client), client.credentials_provider)
        vault.see(
            client.credentials_provider.health(), client.identity(), client.credentials_provider.get_credentials()
        )
        for kind, order in FAULTS:
            running.fault(operation="ListTable", kind=kind, **order)
            vault.fails(client.list_table)
            running.clear_faults()
        running.revoke(client.credentials_provider.get_credentials().access_key_id)
        with contextlib.suppress(OTSConfigError):
            client.list_table()
        vault.fails(lambda: client.describe_table("none"))
    vault.fails(client.list_table)


@pytest.mark.asyncio
async def test_an_asynchronous_client(running: Emulator, vault: Vault, given: dict[str, Any]) -> None:
    """The same of the asynchronous client."""
    options = {**given, "access_key_id": KEY, "access_key_secret": SECRET, "role_arn": ROLE}
    client: AsyncOTSClient
    async with create_async_client(**options, retry_policy=NoDelayRetryPolicy(2), logger_name="marked") as client:
        await client.list_table()
        vault.see(client, client.credentials_provider, vars(client), await client.identity())
        for kind, order in FAULTS:
            running.fault(operation="ListTable", kind=kind, **order)
            with pytest.raises(OTSConfigError) as caught:
                await client.list_table()
            vault.failed(caught.value)
            running.clear_faults()


def test_a_wrong_secret(vault: Vault, given: dict[str, Any]) -> None:
    """A secret that is wrong is refused by the service, and by an STS that repeats what was signed."""
    options = {**given, "access_key_id": KEY, "access_key_secret": WRONG}
    with create_client(**options) as client:
        vault.fails(client.list_table)
        vault.fails(client.identity)
    vault.fails(lambda: create_client(**options, role_arn=ROLE))
    vault.fails(lambda: identity(Credentials(KEY, WRONG, TICKET), settings=OTSSettings(**given)))


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "error", "code": "NoPermission", "status": 403, "message": f"no {SECRET} for {quote(SECRET)}"},
        {"kind": "error", "code": "Throttling.User", "status": 400},
        {"kind": "status", "status": 500, "body": "<html>oops</html>"},
        {"kind": "status", "status": 200, "body": "{}"},
        {"kind": "status", "status": 200, "body": "[1, 2"},
        {"kind": "reset_before"},
        {"kind": "reset_after"},
        {"kind": "truncate"},
        {"kind": "skew", "seconds": 86400},
    ],
    ids=["refused", "throttled", "page", "empty", "half", "reset", "lost", "cut", "clock"],
)
def test_an_sts_that_fails(running: Emulator, vault: Vault, given: dict[str, Any], order: dict[str, Any]) -> None:
    """STS refuses, fails, answers nonsense or nothing: to one who has no keys yet, and to one whose keys live."""
    pace = Pace(attempts=2, sleep=lambda _: None)
    keys = Credentials(KEY, SECRET)
    role = AssumeRoleProvider(keys, ROLE, fetch=Fetcher(), endpoint=running.endpoint, pace=pace, policy='{"a": 1}')
    with create_client(
        **given,
        credentials_provider=AssumeRoleProvider(keys, ROLE, fetch=Fetcher(), endpoint=running.endpoint, pace=pace),
    ) as client:
        client.list_table()
        running.fault(operation="sts", **order)
        if order["kind"] != "skew":  # the clock of a server that is a day ahead is believed
            vault.fails(role.fetch_credentials)
        old = client.credentials_provider.get_credentials()
        vault.see(client.credentials_provider.force_refresh(old), client.credentials_provider.health(), role)
        client.list_table()
        running.revoke(old.access_key_id)
        with contextlib.suppress(OTSConfigError):
            client.list_table()
    running.clear_faults()


def test_sources_that_work_and_fail(
    running: Emulator, vault: Vault, given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL with a ticket in it, a program, an OIDC token and a half-set environment, each right and wrong."""
    uri = f"{running.endpoint}/credentials?ticket={TICKET}"
    for address in (uri, uri.replace("/credentials", "/nothing"), "http://127.0.0.1:9/?" + TICKET):
        settings = OTSSettings(**given, credentials="uri", credentials_uri=address)
        provider = create_provider(settings)
        vault.see(settings, settings.explain(), provider, provider.describe())
        if address is uri:
            vault.see(provider.get_credentials())
            with create_client(settings=settings) as client:
                client.list_table()
        else:
            vault.fails(provider.get_credentials)
    vault.fails(lambda: OTSSettings(**given, credentials="uri", credentials_uri=f"ftp://{TICKET}"))

    program = tmp_path / "program.py"
    keys = json.dumps({"mode": "StsToken", "access_key_id": "k", "access_key_secret": SECRET, "sts_token": NOISE})
    for code in (
        f"print({keys!r})",
        f"import sys; print({keys!r}); sys.exit({NOISE!r})",
        f"raise ValueError({NOISE!r})",
        f"print({NOISE!r})",
    ):
        program.write_text(code)
        line = f"{sys.executable} {program} {TICKET}"
        provider = create_provider(OTSSettings(**given, credentials="process", credentials_process=line))
        try:
            vault.see(provider.get_credentials(), provider)
        except OTSConfigError as error:
            vault.failed(error)

    token = tmp_path / "token"
    oidc = {"oidc_role_arn": ROLE, "oidc_provider_arn": OIDC, "oidc_token_file": str(token), "credentials": "oidc"}
    token.write_text(PLATFORM + "\n")
    vault.see(create_provider(OTSSettings(**given, **oidc)).get_credentials())
    running.fault(operation="sts", kind="error", code="AuthenticationFail.OIDCToken.Expired", message=PLATFORM)
    vault.fails(create_provider(OTSSettings(**given, **oidc)).get_credentials)
    running.clear_faults()
    token.write_text(f"{PLATFORM} {PLATFORM}")
    vault.fails(create_provider(OTSSettings(**given, **oidc)).get_credentials)

    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", SECRET)
    vault.fails(lambda: create_client(**given))
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", f"{NOISE}\n")
    vault.fails(lambda: create_client(**{**given, "max_connection": SECRET}))


@pytest.mark.parametrize("file", [".env", "ots.toml", ".aliyun/config.json", ".alibabacloud/credentials"])
def test_files_that_hold_secrets_and_are_broken(vault: Vault, given: dict[str, Any], file: str) -> None:
    """A file of secrets that cannot be read is told by its place, never by its content, and the others can be seen."""
    path = Path(file)
    path.parent.mkdir(exist_ok=True)
    lines = [
        f"OTS_ACCESS_KEY_ID={KEY}\nOTS_ACCESS_KEY_SECRET='{SECRET}\n",
        f'[profiles.default]\naccess_key_id = "{KEY}"\naccess_key_secret = "{SECRET}\n',
        f'{{"profiles": [{{"name": "default", "mode": "AK", "access_key_id": "{KEY}", "access_key_secret": "{SECRET}',
        f"[default]\ntype = access_key\naccess_key_secret {SECRET}\n",
    ]
    names = [".env", "ots.toml", ".aliyun/config.json", ".alibabacloud/credentials"]
    path.write_text(lines[names.index(file)])
    path.chmod(0o600)
    vault.fails(lambda: create_client(**given))
    logging.getLogger("ots_config").debug("looked")


def test_a_leak_would_be_found(running: Emulator) -> None:
    """The check itself finds a secret in a log, a text and an error."""
    for leak in (SECRET, quote(SECRET, safe=""), running.issue_key()["SecurityToken"]):
        vault = Vault(running)
        vault._stream.write("x")
        vault.see(leak)
        with pytest.raises(AssertionError):
            vault.check("")
    vault = Vault(running)
    vault._stream.write("x")
    vault.check("")


def test_only_our_own_requests_are_hidden(running: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """The query of a request for credentials is not logged by urllib3; that of a program's own request still is."""
    caplog.set_level(logging.DEBUG)
    fetch = Fetcher()
    for _ in range(2):
        assert fetch("GET", f"{running.endpoint}/credentials?ticket={TICKET}").status == 200
    assert TICKET not in caplog.text
    assert caplog.text.count("GET /credentials HTTP/1.1") == 2
    requests.get(f"{running.endpoint}/credentials?page=7", timeout=10)
    assert "GET /credentials?page=7" in caplog.text
