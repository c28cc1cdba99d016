"""No secret, token or signature is told: in no log at DEBUG, by no error, and in no frame that an error reaches."""

import asyncio
import gc
import http.client
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import pytest
import requests

from ots_config import (
    AsyncOTSClient,
    Credentials,
    Emulator,
    NoDelayRetryPolicy,
    OTSClient,
    OTSConfigError,
    StaticProvider,
)
from ots_config.request import attempt as exchange
from ots_config.request import signing
from ots_config.request.connection import Connection
from ots_config.request.signing import SIGNATURE_V2, SIGNATURE_V4, Signer
from ots_config.sdk import tablestore as ts

KEY = [("k", 1)]
ROW = ts.Row(KEY, [("n", 1)])
KINDS: dict[str, dict[str, Any]] = {
    "success": {},
    "unauthenticated": {"kind": "error", "code": "OTSAuthFailed", "status": 403},
    "refused": {"kind": "error", "code": "OTSServerBusy"},
    "uncertain": {"kind": "error", "code": "OTSInternalServerError"},
    "final": {"kind": "error", "code": "OTSParameterInvalid", "status": 400},
    "gateway": {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>"},
    "redirect": {"kind": "status", "status": 307, "body": ""},
    "reset_before": {"kind": "reset_before"},
    "reset_after": {"kind": "reset_after"},
    "truncate": {"kind": "truncate"},
    "corrupt_signature": {"kind": "corrupt_signature"},
    "corrupt_md5": {"kind": "corrupt_md5"},
    "skew": {"kind": "skew", "seconds": -2000},
    "silence": {"kind": "delay", "seconds": 0.4},
}


class Secrets:
    """What must not be told: a temporary key's secret and token, and every key and signature made of them."""

    def __init__(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        key = emulator.issue_key()
        self.key_id = key["AccessKeyId"]
        self.values: dict[str, str] = {key["AccessKeySecret"]: "the secret", key["SecurityToken"]: "the token"}
        self.credentials = Credentials(key["AccessKeyId"], key["AccessKeySecret"], key["SecurityToken"])
        genuine_sign, genuine_verify, genuine_answer = Signer.sign, exchange.verify_response, signing.sign_response

        def sign(*args: Any) -> Any:
            headers, signing_key = genuine_sign(*args)
            name = SIGNATURE_V2 if SIGNATURE_V2 in headers else SIGNATURE_V4
            self.values[headers[name]] = "a request's signature"
            self.values[bytes(signing_key).decode()] = "a signing key"
            return headers, signing_key

        def verify(path: str, status: int, headers: Any, body: bytes, **others: Any) -> None:
            if "authorization" in headers:
                self.values[headers["authorization"].rpartition(":")[2]] = "an answer's signature"
            genuine_verify(path, status, headers, body, **others)

        def answer(*args: Any) -> str:
            signature = genuine_answer(*args)
            self.values[signature] = "the signature that an answer should have"
            return signature

        monkeypatch.setattr(Signer, "sign", sign)
        monkeypatch.setattr(exchange, "verify_response", verify)
        monkeypatch.setattr(signing, "sign_response", answer)

    def check(self, told: list[str]) -> None:
        """Fail if a secret is in a text; the failure names its kind only."""
        assert len(self.values) > 2
        kinds = {kind for text in told for value, kind in self.values.items() if value in text}
        assert kinds == set()


@pytest.fixture
def emulator(running: Emulator) -> Iterator[Emulator]:
    """Return the emulator with the empty table ``t``."""
    running.reset()
    with OTSClient(settings=running.settings) as client:
        meta = ts.TableMeta("t", [("k", "INTEGER")])
        client.create_table(meta, ts.TableOptions(), ts.ReservedThroughput(ts.CapacityUnit(0, 0)))
    yield running
    running.clear_faults()


@pytest.fixture
def secrets(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Secrets:
    """Return a key, and watch what is made of it."""
    return Secrets(emulator, monkeypatch)


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch every debug output on: all loggers, and what http.client prints."""
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "requests", "aiohttp.client", "asyncio", "ots_config", "tablestore-client"):
        caplog.set_level(logging.DEBUG, name)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)


# --- what an error tells --------------------------------------------------------------------------------------------


def told_by(error: BaseException | None) -> list[str]:
    """Return every text that an error gives away, to a log, a debugger, an error tracker or another process."""
    told: list[str] = []
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        told += [str(current), repr(current), repr(current.args), repr(vars(current))]
        told += [f"{name}={value!r} {value}" for name, value in vars(current).items()]
        told += list(getattr(current, "__notes__", ()))
        if isinstance(current, OTSConfigError):
            told += [pickle.dumps(current, protocol).decode("latin-1") for protocol in (0, pickle.HIGHEST_PROTOCOL)]
        told += traceback.TracebackException.from_exception(current, capture_locals=False).format()
        told += in_frames(current.__traceback__)
        waiting += [current.__cause__, current.__context__, *(a for a in current.args if isinstance(a, BaseException))]
    return told


def in_frames(trace: TracebackType | None) -> list[str]:
    """Return what the frames of a traceback show: each local, what it contains, and its attributes."""
    told: list[str] = []
    while trace is not None:
        if trace.tb_frame.f_code.co_filename != __file__:  # the tests know the secrets
            for name, value in trace.tb_frame.f_locals.items():
                told += shown(name, value, 3)
        trace = trace.tb_next
    return told


def shown(name: str, value: Any, depth: int) -> list[str]:
    """Return what a debugger shows of a value, and of what is in it."""
    try:
        told = [f"{name}: {value!r}", f"{name}: {value}"]
    except Exception:  # noqa: BLE001 - the SDK cannot show every row of its own
        told = [name]
    if depth == 0:
        return told
    if isinstance(value, dict) and type(value) is dict:
        for key, content in value.items():
            told += shown(f"{name}[{key!r}]", content, depth - 1)
    elif type(value) in (list, tuple, set, frozenset):
        for content in value:
            told += shown(name, content, depth - 1)
    elif isinstance(value, BaseException):
        told += [repr(value.args)]
    return told


def error_of(call: Callable[[], Any]) -> BaseException | None:
    """Return what a call raises, None if nothing."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    return None


async def async_error_of(call: Callable[[], Any]) -> BaseException | None:
    """Return what awaiting a call raises, None if nothing."""
    try:
        await call()
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    return None


def operations(client: Any) -> list[Callable[[], Any]]:
    """Return calls of both ways to the wire: rows, batches, JSON, and what cannot be encoded."""
    batch = ts.BatchWriteRowRequest()
    batch.add(ts.TableInBatchWriteRowItem("t", [ts.PutRowItem(ROW, None)]))
    return [
        lambda: client.put_row("t", ROW),
        lambda: client.get_row("t", KEY, max_version=1),
        lambda: client.batch_write_row(batch),
        lambda: client.list_knowledge_base({}),
        lambda: client.put_row("t", ts.Row(KEY, [("x", object())])),
        lambda: client.describe_table("none"),
    ]


def options(emulator: Emulator, secrets: Secrets, **others: Any) -> dict[str, Any]:
    """Return the arguments of a client with the key to be kept."""
    given = {
        "endpoint": emulator.endpoint,
        "access_key_id": secrets.key_id,
        "access_key_secret": secrets.credentials.get_access_key_secret(),
        "sts_token": secrets.credentials.get_security_token(),
        "instance_name": "demo",
        "retry_policy": NoDelayRetryPolicy(max_retry_times=1),
        "socket_timeout": 0.2,
    }
    return {**given, **others}


# --- through every failure -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("region", [None, "cn-hangzhou"], ids=["V2", "V4"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_told(
    emulator: Emulator,
    secrets: Secrets,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    kind: str,
    region: str | None,
) -> None:
    """Whatever happens to a call, nothing secret is in a log, in what is printed, in an error or in its frames."""
    if KINDS[kind]:
        emulator.fault(**KINDS[kind])
    with OTSClient(**options(emulator, secrets, region=region)) as client:
        errors = [error_of(call) for call in operations(client)]
        told = [repr(client), str(client), repr(vars(client)), repr(client.settings), str(client.settings)]
    assert sum(error is None for error in errors) >= 3 or kind != "success"
    assert all(error is None or isinstance(error, ts.OTSError) for error in errors)
    told += [text for error in errors for text in told_by(error)]
    told += texts_of(caplog)
    told += capfd.readouterr()
    assert len(caplog.records) >= len(errors)
    secrets.check(told)


@pytest.mark.asyncio
@pytest.mark.parametrize("region", [None, "cn-hangzhou"], ids=["V2", "V4"])
@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_is_told_from_asyncio(
    emulator: Emulator,
    secrets: Secrets,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    kind: str,
    region: str | None,
) -> None:
    """The same of the asynchronous client."""
    asyncio.get_running_loop().set_debug(True)
    if KINDS[kind]:
        emulator.fault(**KINDS[kind])
    async with AsyncOTSClient(**options(emulator, secrets, region=region)) as client:
        errors = [await async_error_of(call) for call in operations(client)]
        told = [repr(client), str(client), repr(vars(client))]
    assert sum(error is None for error in errors) >= 3 or kind != "success"
    assert all(error is None or isinstance(error, ts.OTSError) for error in errors)
    told += [text for error in errors for text in told_by(error)]
    told += texts_of(caplog)
    told += capfd.readouterr()
    secrets.check(told)


def texts_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged, as written and as it was handed in."""
    formatter = logging.Formatter("%(name)s %(message)s")
    return [text for record in caplog.records for text in (formatter.format(record), repr(record.args))]


@pytest.mark.asyncio
async def test_a_cancelled_call_tells_nothing(emulator: Emulator, secrets: Secrets) -> None:
    """The frames of a cancellation, or of a time limit of the caller's, show no secret."""
    emulator.fault(kind="delay", seconds=0.3)
    told: list[str] = []
    async with AsyncOTSClient(**options(emulator, secrets, socket_timeout=5)) as client:
        task = asyncio.create_task(client.put_row("t", ROW))
        await asyncio.sleep(0.05)
        task.cancel()
        error = await async_error_of(lambda: task)
        assert isinstance(error, asyncio.CancelledError)
        told += told_by(error)

        async def limited() -> None:
            async with asyncio.timeout(0.05):
                await client.put_row("t", ROW)

        error = await async_error_of(limited)
        assert isinstance(error, TimeoutError)
        told += told_by(error)
    secrets.check(told)


@pytest.mark.parametrize("place", ["_connect", "_read"])
def test_an_interrupted_call_tells_nothing(
    emulator: Emulator, secrets: Secrets, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A ``KeyboardInterrupt`` in the middle of a call shows no secret by the frames that it passed."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Connection, place, interrupted)
    with OTSClient(**options(emulator, secrets)) as client:
        error = error_of(lambda: client.put_row("t", ROW))
    assert isinstance(error, KeyboardInterrupt)
    secrets.check(told_by(error))


def test_a_server_that_is_not_there(secrets: Secrets, emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """Refused connections, unknown hosts, untrusted certificates and closed clients tell nothing secret."""
    told: list[str] = []
    with Emulator(tls=True) as untrusted:
        for endpoint in ("http://127.0.0.1:9", "https://demo.invalid", untrusted.endpoint):
            client = OTSClient(**options(emulator, secrets, endpoint=endpoint))
            told += told_by(error_of(client.list_table))
            client.close()
            told += told_by(error_of(client.list_table))
    told += texts_of(caplog)
    secrets.check(told)
    assert any("not trusted" in text for text in told)


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_of_the_users(
    emulator: Emulator, secrets: Secrets, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Through a user's own session and requests' own adapters the errors and the logs tell nothing secret either.

    What http.client prints at its debug level, through adapters that use it, is the user's own order.
    """
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 0)
    if KINDS[kind]:
        emulator.fault(**KINDS[kind])
    with requests.Session() as session:
        session.trust_env = False
        client = OTSClient(**options(emulator, secrets, session=session))
        told = [text for call in operations(client) for text in told_by(error_of(call))]
        emulator.stop()
        try:
            told += told_by(error_of(client.list_table))
        finally:
            emulator.start()
    secrets.check(told + texts_of(caplog))


def test_a_failing_provider(emulator: Emulator, secrets: Secrets, caplog: pytest.LogCaptureFixture) -> None:
    """A provider whose error's text and frames hold the secret gives it away to nobody."""
    hidden = secrets.credentials

    class Broken:
        def get_credentials(self) -> Credentials:
            secret = hidden.get_access_key_secret()
            raise ValueError(f"{secret} {hidden.get_security_token()}")

    class Odd:
        def get_credentials(self) -> Any:
            return {"secret": hidden.get_access_key_secret()}

    told: list[str] = []
    for provider in (Broken(), Odd()):
        given = options(emulator, secrets, credentials_provider=provider)
        for name in ("access_key_id", "access_key_secret", "sts_token"):
            del given[name]
        with OTSClient(**given) as client:
            error = error_of(client.list_table)
        assert isinstance(error, OTSConfigError)
        told += told_by(error)
    # Nothing was signed here: the two values of the key are all there is.
    assert not {kind for text in told + texts_of(caplog) for value, kind in secrets.values.items() if value in text}


def test_arguments_that_cannot_be_used(emulator: Emulator, secrets: Secrets) -> None:
    """A client that cannot be made gives away none of the secrets that it was given."""
    wrong: list[dict[str, Any]] = [
        {"endpoint": "ftp://x"},
        {"socket_timeout": -1},
        {"no_such_setting": 1},
        {"retry_policy": "sometimes"},
        {"extra_headers": {"x ots": "1"}},
        {"ssl_version": 2},
        {"sts_token": secrets.credentials.get_security_token() + "\n"},
        {"access_key_secret": secrets.credentials.get_access_key_secret() + "\r\n"},
    ]
    told: list[str] = []
    for change in wrong:
        error = error_of(lambda change=change: OTSClient(**options(emulator, secrets, **change)))
        told += told_by(error)
    assert not {kind for text in told for value, kind in secrets.values.items() if value in text}


def test_credentials_and_providers_show_nothing(secrets: Secrets) -> None:
    """A snapshot and a static provider show neither secret nor token, by whatever means they are shown."""
    snapshot = secrets.credentials
    provider = StaticProvider(secrets.key_id, snapshot.get_access_key_secret(), snapshot.get_security_token())
    for shown_thing in (snapshot, provider):
        told = [repr(shown_thing), str(shown_thing), f"{shown_thing}", f"{shown_thing!r:>10}", repr([shown_thing])]
        assert not {kind for text in told for value, kind in secrets.values.items() if value in text}


def test_the_tests_would_see_a_leak(emulator: Emulator, secrets: Secrets, caplog: pytest.LogCaptureFixture) -> None:
    """The official client, through the same harness, is seen to tell its token and its signature."""
    client = ts.OTSClient(
        emulator.endpoint,
        secrets.key_id,
        secrets.credentials.get_access_key_secret(),
        "demo",
        sts_token=secrets.credentials.get_security_token(),
        logger_name="would-leak",
        retry_policy=ts.NoRetryPolicy(),
    )
    emulator.fault(kind="reset_before")
    error = error_of(client.list_table)
    client.connection.pool.clear()
    told = told_by(error)
    token = secrets.credentials.get_security_token()
    assert token is not None
    assert any(token in text for text in told)
    assert any(token in text for text in texts_of(caplog))
    del error
    gc.collect()
