"""Requests are believed or refused as the service does it, in its order and its words, and every answer is signed."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from ots_config.emulator.messages import EmulatorRequest, EmulatorResponse
from ots_config.emulator.server import EmulatorServer
from ots_config.request.signing import (
    content_md5,
    derive_v4_key,
    header_lines,
    sign_response,
    sign_v2,
    sign_v4,
    verify_response,
)
from ots_config.sdk import tablestore

NOW = 1_790_000_000.5
ERROR = tablestore.protobuf.table_store_pb2.Error


@pytest.fixture
def server() -> EmulatorServer:
    """Return the services with a clock that stands still."""
    return EmulatorServer(clock=lambda: NOW)


def date(offset: float = 0) -> str:
    """Return a request's date."""
    return (datetime.fromtimestamp(NOW, UTC) + timedelta(seconds=offset)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def make_request(
    path: str = "/ListTable",
    body: bytes = b"",
    *,
    secret: str = "testsecret",
    region: str | None = None,
    sort: Callable[[list[str]], list[str]] = list,
    without: str = "",
    **changes: str,
) -> EmulatorRequest:
    """Return a signed request; headers are changed or left out before they are signed."""
    headers = {
        "x-ots-date": date(),
        "x-ots-apiversion": "2015-12-31",
        "x-ots-accesskeyid": "testid",
        "x-ots-instancename": "demo",
        "x-ots-contentmd5": content_md5(body),
    }
    if region is not None:
        headers |= {"x-ots-signdate": "20260922", "x-ots-signregion": region}
    headers |= {"x-ots-" + name.replace("_", "-"): value for name, value in changes.items()}
    headers.pop(without, None)
    lines = sort(header_lines(headers.items()))
    if region is None:
        headers["x-ots-signature"] = sign_v2(secret, path, lines)
    else:
        key = derive_v4_key(secret, headers.get("x-ots-signdate", ""), headers.get("x-ots-signregion", ""))
        headers["x-ots-signaturev4"] = sign_v4(key, path, lines)
    headers.pop(without, None)
    request = EmulatorRequest("POST", path, headers)
    request.body = body
    return request


def ask(server: EmulatorServer, request: EmulatorRequest) -> tuple[int, str, str]:
    """Return status, code and message of the answer."""
    answer = server(request)
    assert isinstance(answer, EmulatorResponse)
    if answer.status == 200:
        return 200, "", ""
    error = ERROR.FromString(answer.body)
    return answer.status, error.code, error.message


def headers_of(answer: object) -> dict[str, str]:
    """Return the headers of an answer, names in lower case."""
    assert isinstance(answer, EmulatorResponse)
    return {name.lower(): value for name, value in answer.headers.items()}


@pytest.mark.parametrize("region", [None, "cn-hangzhou"])
def test_a_signed_request_is_believed(server: EmulatorServer, region: str | None) -> None:
    """Version 2 and version 4 of the signature are both accepted."""
    assert ask(server, make_request(region=region)) == (200, "", "")


@pytest.mark.parametrize(
    "name",
    [
        "x-ots-date",
        "x-ots-apiversion",
        "x-ots-accesskeyid",
        "x-ots-instancename",
        "x-ots-contentmd5",
        "x-ots-signature",
    ],
)
def test_a_missing_header_is_named(server: EmulatorServer, name: str) -> None:
    """Each missing required header is named."""
    request = make_request(without=name)
    assert ask(server, request) == (400, "OTSParameterInvalid", f"Missing header: '{name}'.")


@pytest.mark.parametrize("name", ["x-ots-signdate", "x-ots-signregion"])
def test_version_4_needs_its_scope(server: EmulatorServer, name: str) -> None:
    """A signature of version 4 without its day or region is no signature."""
    request = make_request(region="cn-hangzhou", without=name)
    assert ask(server, request) == (400, "OTSParameterInvalid", f"Missing header: '{name}'.")


def test_the_first_missing_header_is_told() -> None:
    """Headers are looked for in the documented order, so a request without any lacks its date."""
    assert ask(EmulatorServer(), EmulatorRequest("POST", "/PutRow", {}))[2] == "Missing header: 'x-ots-date'."


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01T00:00:00.000Z", "2026-09-21T14:13:20", "20260921T141320Z"]
)
def test_a_date_must_be_one(server: EmulatorServer, text: str) -> None:
    """A malformed date is shown in the message."""
    assert ask(server, make_request(date=text)) == (400, "OTSParameterInvalid", f"Invalid date format: {text}.")


def test_a_date_may_have_any_fraction(server: EmulatorServer) -> None:
    """Milliseconds, microseconds or no fraction at all are accepted: SDKs differ."""
    for fraction in ("", ".5", ".123", ".123456"):
        assert ask(server, make_request(date=date()[:19] + fraction + "Z"))[0] == 200


@pytest.mark.parametrize("minutes", [-15.5, 15.5])
def test_a_clock_that_is_wrong_is_told(server: EmulatorServer, minutes: float) -> None:
    """A date more than 15 minutes off either way is refused with the date that was sent."""
    wrong = date(minutes * 60)
    assert ask(server, make_request(date=wrong)) == (
        403,
        "OTSAuthFailed",
        f"Mismatch between system time and x-ots-date: {wrong}.",
    )


@pytest.mark.parametrize("minutes", [-14.9, 14.9])
def test_a_clock_may_be_a_little_wrong(server: EmulatorServer, minutes: float) -> None:
    """Up to 15 minutes are tolerated."""
    assert ask(server, make_request(date=date(minutes * 60)))[0] == 200


def test_a_changed_body_is_refused(server: EmulatorServer) -> None:
    """A body that does not match its MD5 is refused before the signature is looked at."""
    request = make_request(secret="wrong")
    request.body = b"changed"
    assert ask(server, request) == (
        403,
        "OTSAuthFailed",
        "Mismatch between MD5 value of request body and x-ots-contentmd5 in header.",
    )


def test_an_unknown_key_is_refused(server: EmulatorServer) -> None:
    """An unknown key is refused, in a response with the shape of a signed one."""
    request = make_request(accesskeyid="stranger")
    assert ask(server, request) == (403, "OTSAuthFailed", "The AccessKeyID does not exist.")
    assert re.fullmatch(r"OTS stranger:[A-Za-z0-9+/]{27}=", headers_of(server(request))["authorization"])


@pytest.mark.parametrize("region", [None, "cn-hangzhou"])
def test_a_wrong_secret_is_refused(server: EmulatorServer, region: str | None) -> None:
    """A signature made with another secret does not match."""
    request = make_request(secret="wrong", region=region)
    assert ask(server, request) == (403, "OTSAuthFailed", "Signature mismatch.")


def test_a_changed_header_is_refused(server: EmulatorServer) -> None:
    """Every x-ots header is covered by the signature, also those that the service does not use."""
    request = make_request(request_tag="mine")
    assert ask(server, request)[0] == 200
    request.headers["x-ots-request-tag"] = "yours"
    assert ask(server, request)[2] == "Signature mismatch."


def test_a_signature_for_another_operation_is_refused(server: EmulatorServer) -> None:
    """The path is covered by the signature."""
    request = make_request("/ListTable")
    request.path = "/DeleteTable"
    assert ask(server, request)[2] == "Signature mismatch."


def test_both_orders_of_header_lines_are_believed(server: EmulatorServer) -> None:
    """Some SDKs sort names and some sort whole lines; they differ if one name begins another."""

    def by_line(lines: list[str]) -> list[str]:
        assert sorted(lines) != lines
        return sorted(lines)

    assert ask(server, make_request(date_x="1"))[0] == 200
    assert ask(server, make_request(date_x="1", sort=by_line))[0] == 200


def test_an_unknown_instance_is_refused_only_after_the_signature(server: EmulatorServer) -> None:
    """Only a client that can sign learns whether an instance exists."""
    assert ask(server, make_request(instancename="other")) == (403, "OTSAuthFailed", "The instance is not found.")
    assert ask(server, make_request(instancename="other", secret="wrong"))[2] == "Signature mismatch."


def test_an_instance_has_no_case(server: EmulatorServer) -> None:
    """Small and capital letters name the same instance."""
    assert ask(server, make_request(instancename="DEMO"))[0] == 200


def test_an_instance_name_must_be_one(server: EmulatorServer) -> None:
    """A name that no instance can have is invalid."""
    assert ask(server, make_request(instancename="de.mo")) == (
        400,
        "OTSParameterInvalid",
        "Invalid instance name: de.mo.",
    )


def test_an_unknown_operation_is_told_signed(server: EmulatorServer) -> None:
    """An operation that there is not is answered in the service's words, under a signature that holds."""
    request = make_request("/PutRows")
    assert ask(server, request) == (400, "OTSParameterInvalid", "Unsupported operation: 'PutRows'.")
    answer = server(request)
    assert isinstance(answer, EmulatorResponse)
    verify_response(
        "/PutRows", 400, headers_of(answer), answer.body, access_key_id="testid", key=b"testsecret", now=NOW
    )


def test_only_post_is_an_operation(server: EmulatorServer) -> None:
    """Any other method is answered with 405, whatever else is wrong with the request."""
    for method in ("GET", "HEAD", "PUT", "OPTIONS"):
        assert ask(server, EmulatorRequest(method, "/PutRow", {})) == (
            405,
            "OTSMethodNotAllowed",
            "Only POST method for requests is supported.",
        )


def test_a_revoked_key_is_refused(server: EmulatorServer) -> None:
    """A revoked key is disabled, which only a client that can sign with it learns."""
    server.keys.revoke("testid")
    assert ask(server, make_request())[2] == "The AccessKeyID is disabled."
    assert ask(server, make_request(secret="wrong"))[2] == "Signature mismatch."


def test_a_temporary_key_needs_its_token() -> None:
    """A key of the STS works with its own token, until it ends, and not otherwise."""
    now = NOW
    server = EmulatorServer(clock=lambda: now)
    key = server.keys.issue(now, 60, role="worker", session="one")
    unknown = (403, "OTSAuthFailed", "The AccessKeyID does not exist.")

    def with_token(token: str | None) -> EmulatorRequest:
        given = {} if token is None else {"ststoken": token}
        return make_request(accesskeyid=key.id, secret=key.secret, **given)

    assert ask(server, with_token(key.token))[0] == 200
    assert ask(server, with_token(None)) == unknown
    assert ask(server, with_token("another")) == unknown
    now += 61
    assert ask(server, with_token(key.token)) == unknown


def test_a_permanent_key_has_no_token(server: EmulatorServer) -> None:
    """A token with a permanent key is refused, but the empty one that some SDKs send is none."""
    assert ask(server, make_request(ststoken="token"))[2] == "The AccessKeyID does not exist."
    assert ask(server, make_request(ststoken=""))[0] == 200


@pytest.mark.parametrize("region", [None, "cn-hangzhou"])
@pytest.mark.parametrize("path", ["/ListTable", "/GetRow", "/Nothing"])
def test_every_answer_is_signed(server: EmulatorServer, region: str | None, path: str) -> None:
    """Answers are signed with the key of the request under HMAC-SHA1, under version 4 too, whatever their status."""
    request = make_request(path, region=region)
    answer = server(request)
    assert isinstance(answer, EmulatorResponse)
    headers = headers_of(answer)
    key = b"testsecret" if region is None else derive_v4_key("testsecret", "20260922", region)
    verify_response(path, answer.status, headers, answer.body, access_key_id="testid", key=key, now=NOW)
    text = "\n".join(header_lines(headers.items())) + "\n" + path
    by_hand = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha1).digest()).decode()
    assert (
        headers["authorization"]
        == f"OTS testid:{by_hand}"
        == f"OTS testid:{sign_response(key, path, header_lines(headers.items()))}"
    )


def test_an_answer_has_the_recorded_headers(server: EmulatorServer) -> None:
    """The date has microseconds, and the request id the shape of the recorded ones and is never the same."""
    first, second = (headers_of(server(make_request())) for _ in range(2))
    assert first["x-ots-date"] == "2026-09-21T14:13:20.500000Z"
    assert first["x-ots-contenttype"] == "protocol buffer"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", first["x-ots-requestid"])
    assert first["x-ots-requestid"] != second["x-ots-requestid"]


def test_who_names_no_key_gets_an_unsigned_answer(server: EmulatorServer) -> None:
    """There is nothing to sign for with; the official SDK takes such an answer."""
    assert "authorization" not in headers_of(server(make_request(without="x-ots-accesskeyid")))
