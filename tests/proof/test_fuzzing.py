"""Hostile input to every reader: only errors of this library come out, soon, and without a secret."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ots_config import (
    AssumeRoleProvider,
    AsyncOTSClient,
    ECSRoleProvider,
    Emulator,
    INIProvider,
    NoRetryPolicy,
    OIDCRoleProvider,
    OTSClient,
    OTSConfigError,
    OTSSettings,
    ProcessProvider,
    ProfileProvider,
    StaticProvider,
    URIProvider,
    create_provider,
)
from ots_config.credentials.providers import process
from ots_config.request.http_parser import HTTPResponse
from ots_config.sdk import tablestore as ts
from tests.client.official_faults.impostor import signed_headers
from tests.proof.calls import KEYS, TABLE, direct_client, make_tables
from tests.proof.conftest import Tell
from tests.proof.scale import scaled

MARK = "M4rkedSecretValue"
HUNG = 10.0
"""Seconds that no reader takes for a few bytes, on any machine."""
OIDC = "acs:ram::1234567890123456:oidc-provider/proof"
ROLE = "acs:ram::1234567890123456:role/proof"
EXAMPLES = scaled(8, 250)
calmly = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

# --- damage --------------------------------------------------------------------------------------------------------

SNIPPETS = [
    *(
        b"",
        b"\x00",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\r\n",
        b"\n\n",
        b'"',
        b"'",
        b"=",
        b"[",
        b"]",
        b"{",
        b"}",
        b"\\u0000",
    ),
    *(b"${HOME}", b"%(x)s", b"1" * 400, b"-1", b"1e999", b"NaN", b"null", b"true", b"[" * 2000, b'{"a":' * 2000),
    *("\uff11\uff12".encode(), "\u202e".encode(), b"9999-12-31T23:59:59Z", b"0000-00-00", b"\x1b[31m", b"A" * 5000),
]
snippets = st.sampled_from(SNIPPETS) | st.binary(max_size=12)


@st.composite
def damaged(draw: st.DrawFn, genuine: bytes) -> bytes:
    """Return something that began as what a reader expects."""
    data = genuine
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(data)))
        end = min(begin + draw(st.sampled_from([0, 0, 1, 2, 8, 40, 4000])), len(data))
        data = data[:begin] + draw(snippets) + data[end:]
    return data


def check(reader: Callable[[], Any]) -> int:
    """Let a reader read; return 1 if it raised an error of ours, which must not show the mark."""
    began = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a mistyped name, which is what most damage makes
            reader()
    except OTSConfigError as error:
        told = f"{error} {error.__dict__!r}"
    else:
        told = ""
    assert MARK not in told
    assert time.monotonic() - began < HUNG
    return int(bool(told))


@pytest.fixture
def count(request: pytest.FixtureRequest, show: Tell) -> Iterator[list[int]]:
    """Yield a list for what ``check`` returned, and add a row to the report."""
    found: list[int] = []
    yield found
    show(
        "fuzzing",
        reader=request.node.callspec.id if hasattr(request.node, "callspec") else request.node.name,
        inputs=len(found),
        refused=sum(found),
    )
    assert sum(found) > 0  # else the damage does nothing


# --- files ----------------------------------------------------------------------------------------------------------

ENV_FILE = f"""OTS_ENDPOINT=https://demo.cn-hangzhou.ots.aliyuncs.com
OTS_INSTANCE_NAME="demo"
OTS_ACCESS_KEY_ID=LTAIproof
export OTS_ACCESS_KEY_SECRET='{MARK}'
OTS_RETRY={{"max_attempts": 3, "deadline": 20}}
OTS_SOCKET_TIMEOUT=3,30
""".encode()
TOML = f"""[profiles.default]
endpoint = "https://demo.cn-hangzhou.ots.aliyuncs.com"
instance_name = "demo"
access_key_id = "LTAIproof"
access_key_secret = "{MARK}"
socket_timeout = [3, 30]
[profiles.default.retry]
max_attempts = 3
""".encode()
CLI = json.dumps(
    {
        "current": "default",
        "profiles": [
            {
                "name": "default",
                "mode": "StsToken",
                "access_key_id": "LTAIproof",
                "access_key_secret": MARK,
                "sts_token": MARK,
                "sts_expiration": 1_900_000_000,
                "region_id": "cn-hangzhou",
            },
            {"name": "other", "mode": "RamRoleArn", "ram_role_arn": ROLE, "source_profile": "default"},
        ],
    }
).encode()
INI = f"""[default]
type = access_key
access_key_id = LTAIproof  # a comment
access_key_secret = {MARK}
[client1]
type = ecs_ram_role
role_name = x
enable = true
""".encode()


def read_env(path: Path) -> None:
    """Read an env file."""
    OTSSettings(env_file=path)


def read_toml(path: Path) -> None:
    """Read ots.toml."""
    OTSSettings(profile="default")


def read_cli(path: Path) -> None:
    """Read a file of the Aliyun CLI."""
    ProfileProvider(fetch=Answers(), path=path).fetch_credentials()


def read_ini(path: Path) -> None:
    """Read a file of the SDKs."""
    INIProvider(fetch=Answers(), path=path).fetch_credentials()


FILES: dict[str, tuple[str, bytes, Callable[[Path], None]]] = {
    "env file": (".env.proof", ENV_FILE, read_env),
    "ots.toml": ("ots.toml", TOML, read_toml),
    "config.json": ("config.json", CLI, read_cli),
    "credentials.ini": ("credentials.ini", INI, read_ini),
}


@pytest.mark.parametrize("name", FILES)
def test_files(clean_environment: Path, count: list[int], name: str) -> None:
    """A damaged file is read or refused."""
    file, genuine, read = FILES[name]
    path = clean_environment / file
    path.touch(mode=0o600)
    path.write_bytes(genuine)
    read(path)  # the control: undamaged, it is accepted

    @calmly
    @given(damaged(genuine))
    def run(data: bytes) -> None:
        path.write_bytes(data)
        count.append(check(lambda: read(path)))

    run()


# --- programs and services -----------------------------------------------------------------------------------------

KEYS_JSON = {
    "AccessKeyId": "STS.proof",
    "AccessKeySecret": MARK,
    "SecurityToken": MARK,
    "Expiration": "2099-01-01T00:00:00Z",
}
STS_BODY = json.dumps({"RequestId": "A-1", "Credentials": KEYS_JSON}).encode()
METADATA_BODY = json.dumps({"Code": "Success", **KEYS_JSON, "LastUpdated": "2026-01-01T00:00:00Z"}).encode()
PROCESS_BODY = json.dumps(
    {"mode": "StsToken", "access_key_id": "STS.proof", "access_key_secret": MARK, "sts_token": MARK}
).encode()
STS_ERROR = json.dumps(
    {"RequestId": "A-2", "HostId": "sts", "Code": "NoPermission", "Message": f"no {MARK}"[:2]}
).encode()


class Answers:
    """The HTTP callable of a source: answers what the test says."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b""
        self.headers: dict[str, str] = {}

    def __call__(self, method: str, url: str, **_: Any) -> HTTPResponse:
        """Answer; what leads to the keys is sound."""
        if method == "PUT":
            return HTTPResponse(200, "OK", {}, b"a-token")
        if url.endswith("security-credentials/"):
            return HTTPResponse(200, "OK", {}, b"role")
        return HTTPResponse(self.status, "OK", self.headers, self.body)


def sources(fetch: Answers, folder: Path) -> Mapping[str, tuple[bytes, Callable[[], Any]]]:
    """Return each source that asks a service, and what it expects."""
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text("an-oidc-token")
    keys = StaticProvider("LTAIproof", MARK)
    return {
        "credentials URI": (METADATA_BODY, URIProvider(uri="http://127.0.0.1:1/x", fetch=fetch).fetch_credentials),
        "metadata service": (METADATA_BODY, ECSRoleProvider(role_name="role", fetch=fetch).fetch_credentials),
        "AssumeRole": (STS_BODY, AssumeRoleProvider(keys, ROLE, fetch=fetch).fetch_credentials),
        "AssumeRoleWithOIDC": (
            STS_BODY,
            OIDCRoleProvider(role_arn=ROLE, provider_arn=OIDC, token_file=token, fetch=fetch).fetch_credentials,
        ),
    }


SOURCES = ("credentials URI", "metadata service", "AssumeRole", "AssumeRoleWithOIDC")
header_texts = st.sampled_from(
    [
        "",
        "x",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 01 Jan 0000 00:00:00 GMT",
        "9" * 400,
        "-1",
        "1e400",
        "nan",
        "\xff",
        "٣",
    ]
)


@pytest.mark.parametrize("name", SOURCES)
def test_services(clean_environment: Path, count: list[int], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged response of a service gives keys or an error of ours, whatever its status and headers."""
    monkeypatch.setattr("ots_config.credentials.sts.time.sleep", lambda _: None)
    fetch = Answers()
    genuine, ask = sources(fetch, clean_environment)[name]
    fetch.body = genuine
    ask()

    @calmly
    @given(damaged(genuine) | damaged(STS_ERROR), st.sampled_from([200, 200, 400, 403, 404, 204]), header_texts)
    def run(body: bytes, status: int, text: str) -> None:
        fetch.body, fetch.status, fetch.headers = body, status, {"date": text, "retry-after": text, "location": text}
        count.append(check(ask))

    run()


def test_what_a_program_prints(count: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged output of a program gives keys or an error of ours."""
    printed = [PROCESS_BODY]
    monkeypatch.setattr(process, "_run", lambda *_, **__: printed[0])
    provider = ProcessProvider("program")
    provider.fetch_credentials()

    @calmly
    @given(damaged(PROCESS_BODY))
    def run(data: bytes) -> None:
        printed[0] = data
        count.append(check(provider.fetch_credentials))

    run()


# --- Tablestore -----------------------------------------------------------------------------------------------------


class RawServer:
    """Answers every request with the same bytes, and closes."""

    def __init__(self) -> None:
        self.answer = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(5)
            with connection, contextlib.suppress(OSError):
                data = b""
                while b"\r\n\r\n" not in data:
                    data += connection.recv(65536)
                connection.sendall(self.answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def server() -> Iterator[RawServer]:
    """A server of raw bytes."""
    found = RawServer()
    yield found
    found.close()


def get_row(client: Any) -> Any:
    """Read a row."""
    return client.get_row(TABLE, [("k", 1)], max_version=1)


def get_range(client: Any) -> Any:
    """Read a range."""
    return client.get_range(TABLE, "FORWARD", [("k", ts.INF_MIN)], [("k", ts.INF_MAX)], max_version=1)


def batch_get(client: Any) -> Any:
    """Read some rows."""
    request = ts.BatchGetRowRequest()
    request.add(ts.TableInBatchGetRowItem(TABLE, [[("k", 1)], [("k", 2)]], None, None, 1))
    return client.batch_get_row(request)


def describe(client: Any) -> Any:
    """Describe the table."""
    return client.describe_table(TABLE)


READS: dict[str, Callable[[Any], Any]] = {
    "GetRow": get_row,
    "GetRange": get_range,
    "BatchGetRow": batch_get,
    "DescribeTable": describe,
}


@pytest.fixture(scope="module")
def bodies(running: Emulator) -> dict[str, bytes]:
    """Return what the service answers to each read."""
    running.reset()
    make_tables(direct_client(running))
    row = [("n", 1), ("d", 1.5), ("s", "水" * 20), ("b", bytearray(b"\x00\xff")), ("t", True)]
    found: dict[str, bytes] = {}
    session = requests.Session()
    session.hooks["response"].append(
        lambda response, **_: found.__setitem__(response.request.path_url[1:], response.content)
    )
    with direct_client(running) as client:
        for number in (1, 2):
            client.put_row(TABLE, ts.Row([("k", number)], row), None)
    with OTSClient(running.endpoint, *KEYS, session=session) as client:
        for read in READS.values():
            read(client)
    session.close()
    return {name: found[name] for name in READS}


def whole(path: str, body: bytes) -> bytes:
    """Return a response that passes every check but those of its content."""
    head = "".join(f"{name}: {value}\r\n" for name, value in signed_headers(path, body).items())
    return f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def caller(kind: str, endpoint: str) -> Callable[[Callable[[Any], Any]], Any]:
    """Return a function that makes one call with a client of a kind."""
    options: dict[str, Any] = {"retry_policy": NoRetryPolicy(), "deadline": 5, "socket_timeout": 5}
    if kind == "sync":
        client = OTSClient(endpoint, *KEYS, **options)
        return lambda read: read(client)

    def asynchronous(read: Callable[[Any], Any]) -> Any:
        async def run() -> Any:
            async with AsyncOTSClient(endpoint, *KEYS, **options) as client:
                return await read(client)

        return asyncio.run(run())

    return asynchronous


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("name", READS)
def test_content_of_responses(
    server: RawServer, bodies: dict[str, bytes], count: list[int], name: str, kind: str
) -> None:
    """Damaged protobuf and PlainBuffer, properly signed, is a result or an error of ours."""
    call = caller(kind, server.endpoint)
    server.answer = whole(f"/{name}", bodies[name])
    call(READS[name])

    @calmly
    @given(damaged(bodies[name]))
    def run(body: bytes) -> None:
        server.answer = whole(f"/{name}", body)
        count.append(check(lambda: call(READS[name])))

    run()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_heads_of_responses(server: RawServer, bodies: dict[str, bytes], count: list[int], kind: str) -> None:
    """So is a response whose HTTP is damaged, in whatever place."""
    call = caller(kind, server.endpoint)
    genuine = whole("/GetRow", bodies["GetRow"])

    @calmly
    @given(damaged(genuine) | damaged(genuine[:20]))
    def run(data: bytes) -> None:
        server.answer = data
        count.append(check(lambda: call(get_row)))

    run()


# --- bounds ---------------------------------------------------------------------------------------------------------


class Endless:
    """A server whose body never ends."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/x"
        self.sent = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while self.sent < 1 << 28:
                    self.sent += connection.send(b" " * 65536)

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def endless_file(path: Path) -> None:
    """Make a file without an end."""
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("name", ["env file", "ots.toml", "config.json", "credentials.ini"])
def test_files_without_an_end(clean_environment: Path, name: str) -> None:
    """A file without an end is refused, with little of it in memory."""
    file, _, read = FILES[name]
    path = clean_environment / file
    endless_file(path)
    tracemalloc.start()
    try:
        assert check(lambda: read(path)) == 1
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_a_service_without_an_end() -> None:
    """So is a response without an end."""
    server = Endless()
    settings = OTSSettings(endpoint="http://127.0.0.1:1", instance_name="demo", credentials_uri=server.url)
    try:
        assert check(create_provider(settings).get_credentials) == 1
        assert server.sent < 64 << 20
    finally:
        server.close()
