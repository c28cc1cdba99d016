"""A small cloud on loopback that checks signatures by the published rule, and a check that nothing secret gets out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import logging
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.providers.aliyun_cli import ProfileProvider
from ots_config.credentials.providers.assume_role import AssumeRoleProvider
from ots_config.credentials.sts import Pace
from ots_config.errors import ConnectFailed, ResponseLost


class Marked:
    """What the tests hand in, each with a mark that must come out nowhere."""

    MARK = "MARKED"
    SECRET = f"{MARK}secretOfTheKey30characters"
    TOKEN = f"{MARK}/token+of=the~source"
    NEW_SECRET = f"{MARK}secretHandedOutByTheCloud"
    NEW_TOKEN = f"{MARK}/tokenHandedOut+by=the~cloud"


ROLE = "acs:ram::1234567890123:role/firstrole"


@dataclass
class Answered:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


def plain_fetch(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    connect_timeout: float,
    read_timeout: float,
) -> Answered:
    """Speak HTTP with the standard library, as the protocol of a fetch asks."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=connect_timeout)
    failure: Exception | None = None
    try:
        connection.connect()
    except OSError as error:
        failure = ConnectFailed(f"no connection: {type(error).__name__}")
    if failure:
        raise failure
    try:
        connection.sock.settimeout(read_timeout)
        connection.request(
            method, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, dict(headers)
        )
        response = connection.getresponse()
        return Answered(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    except (OSError, http.client.HTTPException) as error:
        failure = ResponseLost(f"no whole answer came: {type(error).__name__}")
    finally:
        connection.close()
    raise failure


@dataclass
class Asked:
    """A request that the cloud got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The parameters of query and body."""
        query = parse_qsl(urlsplit(self.path).query, keep_blank_values=True)
        return dict(query + parse_qsl(self.body.decode(), keep_blank_values=True))


Reply = tuple[int, Mapping[str, str], bytes]
CLOSE: Reply = (0, {}, b"")
"""Answers nothing at all."""


def answer(status: int, value: Any, **headers: str) -> Reply:
    """Return a JSON answer, or bytes as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return status, {name.replace("_", "-"): text for name, text in headers.items()}, body


def moment(at: float) -> str:
    """Return a time as STS writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def published_signature(secret: str, method: str, parameters: Mapping[str, str]) -> str:
    """Sign by the published rule, written without the library's own code."""

    def encode(text: str) -> str:
        plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
        return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in text.encode())

    names = sorted(name for name in parameters if name != "Signature")
    canonical = "&".join(encode(name) + "=" + encode(parameters[name]) for name in names)
    text = method + "&" + encode("/") + "&" + encode(canonical)
    return base64.b64encode(hmac.new((secret + "&").encode(), text.encode(), hashlib.sha1).digest()).decode()


@dataclass
class Cloud:
    """What the cloud knows and was asked.

    Attributes:
        url: Its address.
        known: The secret and the token of each key that may sign.
        asked: The requests, oldest first.
        next: Answers to give before any other, oldest first.
        routes: What answers at a path, besides STS at ``/``.
        lifetime: Seconds that keys live, None for as long as was asked.
        ahead: Seconds that its clock is ahead.
        role: A role that it has.
        close: The answer that is none.
    """

    url: str
    known: dict[str, tuple[str, str | None]] = field(default_factory=lambda: {"testid": (Marked.SECRET, None)})
    asked: list[Asked] = field(default_factory=list)
    next: list[Reply] = field(default_factory=list)
    routes: dict[str, Callable[[Asked], Reply]] = field(default_factory=dict)
    lifetime: float | None = None
    ahead: float = 0.0
    role: str = ROLE
    close: Reply = CLOSE

    answer = staticmethod(answer)
    moment = staticmethod(moment)

    def now(self) -> float:
        """Return the time by the cloud's clock."""
        return datetime.now(UTC).timestamp() + self.ahead

    def handle(self, asked: Asked) -> Reply:
        """Answer a request."""
        self.asked.append(asked)
        if self.next:
            return self.next.pop(0)
        route = self.routes.get(urlsplit(asked.path).path)
        return route(asked) if route else self.sts(asked)

    def sts(self, asked: Asked) -> Reply:
        """Answer as STS does."""
        form = asked.form
        action = form.get("Action", "")
        if action != "AssumeRoleWithOIDC":
            secret, token = self.known.get(form.get("AccessKeyId", ""), (None, None))
            if secret is None:
                return self.refusal(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
            if token != form.get("SecurityToken"):
                return self.refusal(403, "InvalidSecurityToken.MismatchWithAccessKey", "the token is another key's")
            if published_signature(secret, asked.method, form) != form.get("Signature"):
                text = f"server string to sign is:{asked.method}&%2F&{asked.body.decode()}"
                return self.refusal(400, "SignatureDoesNotMatch", f"Specified signature is not matched. {text}")
            sent_at = datetime.strptime(form["Timestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
            if abs(sent_at - self.now()) > 900:
                return self.refusal(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        if action == "GetCallerIdentity":
            return answer(
                200,
                {
                    "AccountId": "1234567890123",
                    "Arn": ROLE,
                    "IdentityType": "AssumedRoleUser",
                    "PrincipalId": "300:session",
                    "RoleId": "300",
                    "RequestId": "R-1",
                },
            )
        return answer(200, {"RequestId": "R-1", "Credentials": self.keys(float(form["DurationSeconds"]))})

    def keys(self, lifetime: float = 3600) -> dict[str, str]:
        """Make keys and remember them."""
        key_id = f"STS.Handed{len(self.known)}"
        self.known[key_id] = (Marked.NEW_SECRET, Marked.NEW_TOKEN)
        ends_at = moment(self.now() + (lifetime if self.lifetime is None else self.lifetime))
        return {
            "AccessKeyId": key_id,
            "AccessKeySecret": Marked.NEW_SECRET,
            "SecurityToken": Marked.NEW_TOKEN,
            "Expiration": ends_at,
        }

    @staticmethod
    def refusal(status: int, code: str, message: str) -> Reply:
        """Refuse as STS does."""
        link = f"https://api.aliyun.com/troubleshoot?q={code}&product=Sts"
        return answer(
            status,
            {
                "RequestId": "8A5B2C3D-0000-1111-2222-333344445555",
                "HostId": "sts.aliyuncs.com",
                "Code": code,
                "Message": message,
                "Recommend": link,
            },
        )


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """Run a cloud on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, extra, content = served.handle(Asked(self.command, self.path, headers, body))
            self.close_connection = True
            if not status:
                return
            self.send_response_only(status)
            known = {name.lower() for name in extra}
            if "date" not in known:
                self.send_header("Date", self.date_time_string(served.now()))
            for name, value in {"Content-Type": "application/json", **extra}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = serve  # noqa: N815 - names of the standard library

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Cloud(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def marked() -> type[Marked]:
    """Return the marked secrets."""
    return Marked


@pytest.fixture
def fetch() -> Any:
    """Return a fetch on the standard library."""
    return plain_fetch


@pytest.fixture
def pauses() -> list[float]:
    """Collect how long sources would have slept."""
    return []


@pytest.fixture
def pace(pauses: list[float]) -> Pace:
    """Try without sleeping."""
    return Pace(sleep=pauses.append)


@pytest.fixture
def source() -> Credentials:
    """Return the keys that the cloud knows."""
    return Credentials("testid", Marked.SECRET, source="arguments")


@pytest.fixture
def shows_no_secret(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[BaseException], None]]:
    """Check that an error shows nothing secret, whichever way it is looked at, and the log neither."""
    caplog.set_level(logging.DEBUG)

    def check(error: BaseException) -> None:
        assert error.__cause__ is None
        assert error.__context__ is None
        vault = [str(error), repr(error), repr(vars(error)), repr(pickle.dumps(error))]
        vault.append(repr(pickle.loads(pickle.dumps(error))))
        trace = error.__traceback__
        while trace is not None:
            if "/ots_config/" in trace.tb_frame.f_code.co_filename:
                vault += [f"{name}={value!r}" for name, value in trace.tb_frame.f_locals.items()]
            trace = trace.tb_next
        for text in vault:
            assert Marked.MARK not in text

    yield check
    assert Marked.MARK not in caplog.text


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    """Return what sets variables in place of those that it set before."""
    known: list[str] = []

    def put(variables: Mapping[str, str]) -> None:
        for name in known:
            monkeypatch.delenv(name)
        known[:] = variables
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


@pytest.fixture
def assume(cloud: Any, fetch: Any, pace: Pace, source: Credentials) -> Any:
    """Return what makes a provider that asks the cloud."""

    def make(**options: Any) -> AssumeRoleProvider:
        given = {"source": source, "role_arn": ROLE, "fetch": fetch, "endpoint": cloud.url, "pace": pace, **options}
        return AssumeRoleProvider(given.pop("source"), given.pop("role_arn"), **given)

    return make


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the CLI keeps its profiles in a home."""
    path = tmp_path / ".aliyun" / "config.json"
    path.parent.mkdir()
    return path


@pytest.fixture
def write(path: Path) -> Any:
    """Return what writes profiles as the CLI does."""

    def write(*profiles: dict[str, Any], current: Any = "default", to: Path = path) -> Path:
        to.write_text(json.dumps({"current": current, "profiles": profiles, "meta_path": ""}))
        to.chmod(0o600)
        return to

    return write


@pytest.fixture
def cli(fetch: Any, pace: Pace, tmp_path: Path, cloud: Any, environment: Any) -> Any:
    """Return what makes a provider in that home, whose STS and sign-in services are the cloud's."""

    def diverted(method: str, url: str, **options: Any) -> Any:
        for site in ("https://oauth.aliyun.com", "https://oauth.alibabacloud.com"):
            url = url.replace(site, cloud.url)
        return fetch(method, url, **options)

    def make(**options: Any) -> ProfileProvider:
        environment({"ALIBABA_CLOUD_STS_ENDPOINT": cloud.url, **options.pop("environ", {})})
        return ProfileProvider(fetch=diverted, pace=pace, home=tmp_path, **options)

    return make
