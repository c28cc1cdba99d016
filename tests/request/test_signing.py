"""Signatures of requests and responses, with the official SDK's own signer as the oracle."""

import base64
import contextlib
import datetime as dt
import hashlib
import hmac
import inspect
import json
import logging
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ots_config.credentials.credentials import Credentials
from ots_config.errors import RequestInvalid, ResponseInvalid
from ots_config.http_headers import ots_date_offset
from ots_config.request.signing import (
    Signer,
    content_md5,
    derive_v4_key,
    header_lines,
    sign_response,
    verify_response,
)
from ots_config.sdk import OTSProtocol, tablestore

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "signatures.json").read_text())
SECRET = GOLDEN["access_key_secret"]
NOW = GOLDEN["epoch"]
TAKES_EXTRA_HEADERS = len(inspect.signature(OTSProtocol.__init__).parameters) > 4
"""Whether this version of the SDK signs extra headers; 6.3.8 has none."""


def snapshot(token: str | None = None) -> Credentials:
    """Return the credentials of the golden vectors."""
    return Credentials(GOLDEN["access_key_id"], SECRET, token)


@pytest.mark.parametrize("case", GOLDEN["cases"])
def test_golden_vectors(case: dict[str, Any]) -> None:
    """Our headers are those that the official signer made, for V2 and V4, with and without token and extra headers."""
    signer = Signer(GOLDEN["instance"], region=case["region"], extra_headers=case["extra"])
    headers, key = signer.sign(case["path"], bytes.fromhex(case["body"]), snapshot(case["token"]), NOW)
    if case["extra"]:
        # The SDK sorts "name:value" strings and the service's rule is by name; they differ for x-ots-date-x alone.
        assert set(headers) == set(case["headers"])
    else:
        assert headers == case["headers"]
    response = sign_response(key, case["path"], header_lines(case["response_headers"].items()))
    assert response == case["response_signature"]


_names = st.from_regex(r"x-ots-[a-z]{1,8}z", fullmatch=True)
_values = st.from_regex(r"[!-~]([ -~]{0,10}[!-~])?", fullmatch=True)


@given(
    region=st.none() | st.just("cn-beijing"),
    token=st.none() | st.from_regex(r"[!-~]{1,40}", fullmatch=True),
    body=st.binary(max_size=64),
    extra=st.dictionaries(_names, _values, max_size=3),
    path=st.sampled_from(["/PutRow", "/Search"]),
)
def test_same_as_the_official_signer(
    region: str | None, token: str | None, body: bytes, extra: dict[str, str], path: str
) -> None:
    """Whatever the body, the token and the extra headers, the official signer makes the same signature."""
    from tablestore import auth, utils

    assume(TAKES_EXTRA_HEADERS or not extra)
    when = dt.datetime.fromtimestamp(NOW, dt.UTC)
    with mock.patch.object(utils, "get_now_utc_datetime", return_value=when):
        official: Any = auth.SignV2("utf8") if region is None else auth.SignV4("utf8", region=region)
        context = auth.RequestContext(snapshot(token))
        protocol = OTSProtocol("demo", "utf8", logging.getLogger("none"), *([extra] if TAKES_EXTRA_HEADERS else []))
        expected = protocol._make_request_headers(body, path, official, context)
    del expected["User-Agent"]
    headers, _ = Signer("demo", region=region, extra_headers=extra).sign(path, body, snapshot(token), NOW)
    assert headers == expected


def test_no_token_means_no_header() -> None:
    """An empty token is no token: its header would be signed and refused."""
    headers, _ = Signer("demo").sign("/PutRow", b"", snapshot(""), NOW)
    assert "x-ots-ststoken" not in headers


def test_extra_headers_of_any_case_are_signed() -> None:
    """``X-Ots-*`` is the same header as ``x-ots-*``: it is signed whatever its case."""
    headers, key = Signer("demo", extra_headers={"X-Ots-Request-Tag": "a", "Traceparent": "b"}).sign(
        "/PutRow", b"", snapshot(), NOW
    )
    assert headers["x-ots-request-tag"] == "a"
    assert headers["traceparent"] == "b"
    plain, _ = Signer("demo").sign("/PutRow", b"", snapshot(), NOW)
    assert headers["x-ots-signature"] != plain["x-ots-signature"]
    assert bytes(key) == SECRET.encode()


@pytest.mark.parametrize("extra", [{"x-ots-a": "1\r\nx: y"}, {"x\n": "1"}, {"a b": "1"}])
def test_extra_headers_cannot_break_their_line(extra: dict[str, str]) -> None:
    """A line break in an extra header is refused when the client is made."""
    with pytest.raises(RequestInvalid, match="header"):
        Signer("demo", extra_headers=extra)


def test_nothing_signed_shows_its_secrets() -> None:
    """The headers and the key of a request show no signature, token or secret."""
    headers, key = Signer("demo").sign("/PutRow", b"", snapshot("t0ken-of-sts"), NOW)
    shown = f"{headers!r} {headers} {key!r} {key}"
    assert "t0ken" not in shown
    assert headers["x-ots-signature"] not in shown
    assert SECRET not in shown


def test_the_day_of_v4_follows_the_date() -> None:
    """The signature V4 is of the day of its request, and a fixed day can be given."""
    signer = Signer("demo", region="cn-beijing")
    assert signer.sign("/PutRow", b"", snapshot(), NOW)[0]["x-ots-signdate"] == "20260304"
    assert signer.sign("/PutRow", b"", snapshot(), NOW + 86400)[0]["x-ots-signdate"] == "20260305"
    fixed = Signer("demo", region="cn-beijing", sign_date="20200101")
    headers, key = fixed.sign("/PutRow", b"", snapshot(), NOW)
    assert headers["x-ots-signdate"] == "20200101"
    assert key == derive_v4_key(SECRET, "20200101", "cn-beijing")


def v4_signature(path: str, headers: dict[str, str], secret: str) -> tuple[str, bytes]:
    """Return the signature V4 of these headers and its key, computed from the protocol's text alone."""
    key = f"aliyun_v4{secret}".encode()
    for part in (headers["x-ots-signdate"], headers["x-ots-signregion"], "ots", "aliyun_v4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    key = base64.b64encode(key)
    text = f"{path}\nPOST\n\n"
    for name in sorted(name for name in headers if name.startswith("x-ots-") and "signature" not in name):
        text += f"{name}:{headers[name]}\n"
    return base64.b64encode(hmac.new(key, (text + "ots").encode(), hashlib.sha256).digest()).decode(), key


def test_a_client_signs_with_the_key_of_the_new_day_after_midnight() -> None:
    """One client with the same credentials signs each request, and expects its answer, with the key of its UTC day."""
    signer = Signer("demo", region="cn-beijing")
    credentials = snapshot()
    midnight = dt.datetime(2026, 3, 5, tzinfo=dt.UTC).timestamp()
    keys = []
    for seconds, day in ((-2, "20260304"), (-1, "20260304"), (0, "20260305"), (1, "20260305"), (-1, "20260304")):
        headers, key = signer.sign("/PutRow", b"body", credentials, midnight + seconds)
        assert headers["x-ots-signdate"] == day
        assert (headers["x-ots-signaturev4"], key) == v4_signature("/PutRow", headers, SECRET)
        keys.append(bytes(key))
    assert keys[0] == keys[1] == keys[4] != keys[2] == keys[3]


# --- responses ------------------------------------------------------------------------------------------------

BODY = b"\x0a\x00"
KEY = SECRET.encode()


def answer(**changes: str | None) -> dict[str, str]:
    """Return the headers of a good answer, signed after the changes; None takes a header away."""
    headers: dict[str, str | None] = {
        "x-ots-contentmd5": content_md5(BODY),
        "x-ots-requestid": "0006573a-714c-05d9-12a2-ca0b0fffafe6",
        "x-ots-date": "2026-03-04T05:06:08.123456Z",
        "x-ots-contenttype": "protocol buffer",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    present = {name: value for name, value in headers.items() if value is not None}
    signature = sign_response(KEY, "/PutRow", header_lines(present.items()))
    present.setdefault("authorization", f"OTS {GOLDEN['access_key_id']}:{signature}")
    return present


def verify(headers: dict[str, str], *, status: int = 200, body: bytes = BODY, refused: bool = False) -> None:
    """Verify an answer as the request layer does."""
    verify_response(
        "/PutRow",
        status,
        headers,
        body,
        access_key_id=GOLDEN["access_key_id"],
        key=KEY,
        now=NOW,
        refused=refused,
    )


def test_a_good_answer_passes() -> None:
    """A whole, fresh, signed answer is accepted."""
    verify(answer())


@pytest.mark.parametrize("name", ["x-ots-contentmd5", "x-ots-requestid", "x-ots-date", "x-ots-contenttype"])
def test_a_success_needs_its_headers(name: str) -> None:
    """A success without one of the four headers is refused, and the header is named."""
    with pytest.raises(ResponseInvalid, match=name):
        verify(answer(**{name: None}))


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "lacks"),
        ("OTS nocolon", "malformed"),
        ("Basic a:b", "malformed"),
        ("OTS other:AAAA", "another access key id"),
        (f"OTS {GOLDEN['access_key_id']}:AAAA", "signature is wrong"),
    ],
)
def test_a_success_needs_its_signature(authorization: str | None, reason: str) -> None:
    """A success with no, a malformed, a foreign or a wrong signature is refused."""
    headers = answer()
    del headers["authorization"]
    if authorization is not None:
        headers["authorization"] = authorization
    with pytest.raises(ResponseInvalid, match=reason):
        verify(headers)


def test_a_changed_body_is_noticed() -> None:
    """The MD5 of the body is checked on every status."""
    for status in (200, 500):
        with pytest.raises(ResponseInvalid, match="MD5"):
            verify(answer(), status=status, body=b"other")


@pytest.mark.parametrize("seconds", [-901, 901, 86400])
def test_an_old_answer_is_refused(seconds: int) -> None:
    """An answer whose date is more than 15 minutes off is refused."""
    when = dt.datetime.fromtimestamp(NOW + seconds, dt.UTC)
    with pytest.raises(ResponseInvalid, match="15 minutes"):
        verify(answer(x_ots_date=when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")))


@pytest.mark.parametrize("seconds", [-899, 0, 899])
def test_dates_are_compared_in_utc(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than 15 minutes pass in every time zone, at the edges of daylight saving too."""
    import time

    when = dt.datetime.fromtimestamp(NOW + seconds, dt.UTC)
    for zone in ("America/New_York", "Europe/London", "Asia/Shanghai"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        try:
            verify(answer(x_ots_date=when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")))
        finally:
            monkeypatch.undo()
            time.tzset()


def test_a_malformed_date_is_refused() -> None:
    """A date that is no date is one clear error."""
    with pytest.raises(ResponseInvalid, match="malformed"):
        verify(answer(x_ots_date="yesterday"))


def test_an_error_may_lack_its_signature() -> None:
    """An error without Authorization is accepted, one with a wrong signature is not."""
    headers = answer()
    del headers["authorization"]
    verify(headers, status=503)
    with pytest.raises(ResponseInvalid):
        verify(answer(authorization=f"OTS {GOLDEN['access_key_id']}:AAAA"), status=503)


def test_a_refused_key_is_not_held_to_signature_and_clock() -> None:
    """The service cannot sign for a key that it refuses, and tells a wrong clock best itself."""
    headers = answer(x_ots_date="2020-01-01T00:00:00.000000Z", authorization="OTS x:y")
    verify(headers, status=403, refused=True)


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=40), max_size=6), st.integers(100, 599))
def test_hostile_headers_raise_one_error(headers: dict[str, str], status: int) -> None:
    """Whatever headers a server sends, verification passes or raises ``ResponseInvalid``."""
    with contextlib.suppress(ResponseInvalid):
        verify({name.lower(): value for name, value in headers.items()}, status=status)


@given(st.text(max_size=30))
def test_any_date_is_read_or_refused(text: str) -> None:
    """A date that cannot be read is None, never an exception."""
    assert ots_date_offset(text, NOW) is None or text.endswith("Z")


def test_the_official_client_accepts_our_response_signature() -> None:
    """The official SDK's check accepts what ``sign_response`` makes."""
    from tablestore import auth

    context = auth.RequestContext(snapshot())
    protocol = OTSProtocol("demo", "utf8", logging.getLogger("none"))
    protocol._check_authorization("/PutRow", answer(), 200, auth.SignV2("utf8"), context)
    assert issubclass(tablestore.OTSClientError, Exception)
