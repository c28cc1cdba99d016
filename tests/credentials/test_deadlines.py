"""Whatever is fetched for credentials ends with its deadline, and what a server sends is only ever an error of ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from ots_config import create_client, create_provider, identity
from ots_config.credentials.credentials import Credentials
from ots_config.credentials.http import Timeouts, ask, send
from ots_config.credentials.providers.assume_role import AssumeRoleProvider
from ots_config.credentials.providers.ecs import ECSRoleProvider
from ots_config.credentials.result import SourceFailure
from ots_config.credentials.sts import Pace
from ots_config.errors import CredentialsError, CredentialsRefused
from ots_config.request.fetcher import Fetcher
from ots_config.request.http_parser import HTTPResponse
from ots_config.settings import OTSSettings
from tests.request.conftest import ScriptedServer

ROLE = "acs:ram::1234567890123:role/firstrole"
KEYS = ("LTAI5tExampleKey0001", "MARKEDsecretOfTheKey")
CLIENT: dict[str, Any] = {"endpoint": "https://demo.cn-hangzhou.ots.aliyuncs.com", "instance_name": "demo"}


@pytest.fixture
def dripping() -> Iterator[ScriptedServer]:
    """A server that sends a byte of a header now and then, until the other end is gone."""

    def script(connection: Any) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Header: ")
        while True:
            time.sleep(0.01)
            connection.sendall(b"x")

    server = ScriptedServer(script)
    yield server
    server.close()


def test_a_client_is_not_made_later_than_its_deadline(dripping: ScriptedServer) -> None:
    """``create_client`` leaves at the deadline, whatever the source of its credentials does."""
    with pytest.raises(CredentialsRefused, match=r"no answer within 0\.\d+ s"):
        create_client(**CLIENT, credentials_uri=f"{dripping.endpoint}/keys", deadline=0.2)
    with pytest.raises(CredentialsRefused, match=r"no answer within 0\.\d+ s"):
        create_client(**CLIENT, ecs_endpoint=dripping.endpoint, deadline=0.2)


def test_the_identity_is_not_known_later_than_the_deadline(dripping: ScriptedServer) -> None:
    """The question whose keys they are shares the deadline of the settings."""
    settings = OTSSettings(
        **CLIENT,
        access_key_id=KEYS[0],
        access_key_secret=KEYS[1],
        sts_endpoint=dripping.endpoint,
        retry={"deadline": 0.2},
    )
    with pytest.raises(CredentialsError, match=r"STS at 127\.0\.0\.1:\d+ gave no answer: no "):
        identity(Credentials(*KEYS), settings=settings)


def test_the_tries_of_one_call_share_its_time() -> None:
    """Each attempt gets no more than what the attempts before it have left."""
    began = time.monotonic()
    ends: list[float] = []

    def slow(*_: Any, connect_timeout: float, read_timeout: float, **__: Any) -> Any:
        ends.append(time.monotonic() - began + connect_timeout + read_timeout)
        time.sleep(0.01)
        raise TimeoutError

    pace = Pace(attempts=3, seconds=5, sleep=lambda _: None, timeouts=Timeouts(4, 4))
    with pytest.raises(CredentialsRefused, match="gave no answer"):
        AssumeRoleProvider(Credentials(*KEYS), ROLE, fetch=slow, pace=pace).fetch_credentials()
    began_at_the_latest = time.monotonic() - began
    assert len(ends) == 3
    assert max(ends) <= 5 + began_at_the_latest


# --- hostile answers -------------------------------------------------------------------------------------------


def answering(status: int = 200, body: bytes = b"", **headers: str) -> Callable[..., HTTPResponse]:
    """Return an HTTP callable that gives one answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def fetch(*_: Any, **__: Any) -> HTTPResponse:
        return HTTPResponse(status, "", named, body)

    return fetch


ABSURD = [
    "Fri, 31 Dec 99999 23:59:59 GMT",
    "Mon, 01 Jan 10000 00:00:00 GMT",
    "9" * 400,
    "-1",
    "1e400",
    "nan",
    "\xff\xfe",
    "Mon, 99 Xxx 2026 99:99:99 +9999",
    "",
    "\u0662\u0663",
]


@pytest.mark.parametrize("value", ABSURD)
@pytest.mark.parametrize("header", ["date", "retry_after", "location", "content_type"])
def test_absurd_headers(header: str, value: str) -> None:
    """A header that means nothing changes nothing: the failure is what the status and the body say."""
    failure = ask(
        answering(503, b'{"Code": "Down"}', **{header: value}), "POST", "http://x", who="STS", timeouts=Timeouts()
    )
    assert isinstance(failure, SourceFailure)
    assert failure.code == "Down" or header == "content_type"
    assert failure.wait is None
    assert failure.offset is None


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b'{"Code": "\xff"}',
        b"[" * 100_000,
        b'{"Code": 1e999, "Message": {"a": []}, "RequestId": [1], "Recommend": 7}',
        b'{"Code": "\\u001b[31m", "Message": "\\ud800\\u202e\\n"}',
        b'{"Expiration": 1e999, "AccessKeyId": "a", "AccessKeySecret": "b", "SecurityToken": "c"}',
        b'{"Credentials": {"Expiration": NaN, "AccessKeyId": "a", "AccessKeySecret": "b", "SecurityToken": "c"}}',
        b'{"Credentials": {"AccessKeyId": "\\u00e9", "AccessKeySecret": "b", "SecurityToken": "c\\n"}}',
        b'{"Credentials": {"AccessKeyId": [], "AccessKeySecret": {}, "SecurityToken": 5}}',
        b"9" * 5000,
    ],
)
@pytest.mark.parametrize("status", [200, 403])
def test_absurd_bodies(status: int, body: bytes) -> None:
    """Whatever STS, a URL or the metadata service sends, a caller gets an error of ours in one printable line."""
    fetch = answering(status, body, content_type="application/json")
    role = AssumeRoleProvider(Credentials(*KEYS), ROLE, fetch=fetch, pace=Pace(attempts=1))
    chain = create_provider(OTSSettings(**CLIENT, credentials_uri="https://keys.example/"), fetch=fetch)
    ecs = ECSRoleProvider(fetch=fetch, role_name="role", sleep=lambda _: None)
    for provider in (role, chain, ecs):
        with pytest.raises(CredentialsError) as caught:
            provider.fetch_credentials()
        assert all(line.isprintable() for line in str(caught.value).splitlines())


@pytest.mark.parametrize("token", [b"\xff\xfe", "töken".encode(), b"a b", b"a\x1bb", b"<html>"])
def test_a_metadata_token_that_no_header_can_carry(token: bytes) -> None:
    """It is not sent, and the failure names the service."""
    sent: list[Mapping[str, str]] = []

    def fetch(method: str, url: str, *, headers: Mapping[str, str], **_: Any) -> HTTPResponse:
        sent.append(headers)
        return HTTPResponse(200, "", {}, token)

    with pytest.raises(CredentialsRefused, match="the metadata service gave no token"):
        ECSRoleProvider(fetch=fetch, role_name="role", sleep=lambda _: None).fetch_credentials()
    assert all("x-aliyun-ecs-metadata-token" not in headers for headers in sent)


def test_a_callable_that_fails() -> None:
    """Whatever a user's own HTTP callable raises, its text is not shown."""

    def fetch(*_: Any, **__: Any) -> Any:
        raise ValueError(KEYS[1])

    failure = send(fetch, "GET", "https://x", who="STS", timeouts=Timeouts())
    assert isinstance(failure, SourceFailure)
    assert failure.reason == "STS gave no answer: ValueError"


def test_an_answer_without_bounds_is_not_asked_for_again() -> None:
    """A body that is too large or compressed is so again a moment later: it is no reason for another try."""
    server = ScriptedServer()
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"
    server.set_scripts(server.answering(head, then_close=True))
    with pytest.raises(CredentialsRefused, match=r"STS at 127\.0\.0\.1:\d+ gave no answer: the response is compressed"):
        AssumeRoleProvider(Credentials(*KEYS), ROLE, fetch=Fetcher(), endpoint=server.endpoint).fetch_credentials()
    assert server.connections == 1
    server.close()
