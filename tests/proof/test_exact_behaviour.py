"""Small facts of signing, retry decision and budget that only a mutant has ever got wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from ots_config import Credentials, DefaultRetryPolicy, RequestError, RequestInvalid, ResponseInvalid
from ots_config.request.retry_budget import RetryBudget
from ots_config.request.retry_decision import asks_delay, seconds, yes_or_no
from ots_config.request.signing import (
    SIGNATURE_V2,
    Signer,
    content_md5,
    header_lines,
    sign_response,
    sign_v2,
    verify_response,
)

KEY = Credentials("id", "secret")
NOW = 1_795_000_000.0
BODY = b"body"


def sound(**changes: str) -> dict[str, str]:
    """Return the headers of a response that passes, but for what is changed."""
    headers = {
        "x-ots-contentmd5": content_md5(BODY),
        "x-ots-requestid": "r",
        "x-ots-date": datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "x-ots-contenttype": "protocol buffer",
        **changes,
    }
    headers.setdefault("authorization", f"OTS id:{sign_response(b'secret', '/GetRow', header_lines(headers.items()))}")
    return {name: value for name, value in headers.items() if value}


def verify(headers: Mapping[str, str], status: int = 200, now: float = NOW) -> None:
    """Verify a response, with every default."""
    verify_response("/GetRow", status, headers, BODY, access_key_id="id", key=b"secret", now=now)


WRONG: list[tuple[dict[str, str], str]] = [
    ({"x-ots-requestid": ""}, "the response lacks its header x-ots-requestid"),
    ({"x-ots-contentmd5": content_md5(b"other")}, "the response's body does not match its MD5"),
    ({"x-ots-date": "yesterday"}, "the response's x-ots-date is malformed"),
    ({"authorization": ""}, "the response lacks its header Authorization"),
    ({"authorization": "OTS id"}, "the response's header Authorization is malformed"),
    ({"authorization": "Basic id:x"}, "the response's header Authorization is malformed"),
    ({"authorization": "OTS other:x"}, "the response is signed for another access key id"),
    ({"authorization": "OTS id:x"}, "the response's signature is wrong"),
    ({"authorization": "OTS id:x:y"}, "the response's signature is wrong"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_what_is_wrong_with_a_response_is_said(changes: dict[str, str], message: str) -> None:
    """Each check has its sentence, and every error knows the status."""
    verify(sound())
    with pytest.raises(ResponseInvalid) as caught:
        verify(sound(**changes))
    assert (caught.value.message, caught.value.http_status) == (message, 200)


def test_fifteen_minutes_are_the_limit_of_a_date() -> None:
    """Exactly fifteen minutes are accepted, a second more is not, and the error knows the status."""
    verify(sound(), now=NOW - 900)
    with pytest.raises(ResponseInvalid, match="differ by \\+901 s") as caught:
        verify(sound(), now=NOW - 901)
    assert caught.value.http_status == 200


def test_only_2xx_must_be_complete() -> None:
    """A response of status 300 may lack what one of 299 must have."""
    verify({}, status=300)
    with pytest.raises(ResponseInvalid):
        verify({}, status=299)


def test_blanks_before_the_signature_do_not_matter() -> None:
    """The scheme ends at the first blank."""
    headers = sound()
    headers["authorization"] = headers["authorization"].replace(" ", "  ")
    verify(headers)


def test_both_ends_sign_alike() -> None:
    """The signature V2 that the client sends is what the formula of the server gives."""
    headers, _ = Signer("demo", extra_headers={"X-Ots-A": "1"}).sign("/GetRow", BODY, KEY, NOW)
    assert headers[SIGNATURE_V2] == sign_v2("secret", "/GetRow", header_lines(headers.items()))


def test_what_signing_keeps() -> None:
    """The text of a second and the key of the newest credentials are made once, also for the first second of all."""
    signer = Signer("demo", region="cn-hangzhou")
    first, key = signer.sign("/GetRow", BODY, KEY, 1.5)
    second, same = signer.sign("/GetRow", BODY, KEY, 1.9)
    assert first["x-ots-date"] == "1970-01-01T00:00:01.000Z"
    assert second["x-ots-date"] is first["x-ots-date"]
    assert same is key


def test_how_signed_things_are_shown() -> None:
    """Headers show their names, keys nothing."""
    headers, key = Signer("demo").sign("/GetRow", BODY, KEY, NOW)
    assert repr(headers) == f"<SignedHeaders {', '.join(headers)}>"
    assert repr(key) == str(key) == "<SigningKey>"


@pytest.mark.parametrize("name", ["a b", "a:b"])
def test_names_of_headers_have_neither_blanks_nor_colons(name: str) -> None:
    """Such a header is refused."""
    with pytest.raises(RequestInvalid):
        Signer("demo", extra_headers={name: "1"})


@pytest.mark.parametrize(("answer", "shown"), [(None, "None"), ("soon", "a str"), (b"", "a bytes")])
def test_what_a_policy_returned_is_said(answer: Any, shown: str) -> None:
    """The note names what came, and what was wanted."""
    with pytest.raises(TypeError, match=f"^it returned {shown} in place of True or False$"):
        yes_or_no(answer)
    with pytest.raises(TypeError, match=f"^it returned {shown} in place of seconds$"):
        seconds(answer)


def test_a_policy_is_told_the_operation() -> None:
    """``get_retry_delay`` gets the number of retries, the error and the operation's name."""

    class Policy(DefaultRetryPolicy):
        def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
            self.asked = (retry_times, exception, api_name)
            return 0.25

    policy, error = Policy(), RequestError("it failed")
    assert asks_delay(policy, 3, error, "PutRow") == 0.25
    assert policy.asked == (3, error, "PutRow")


def test_the_budget_counts_each_call_once() -> None:
    """Two calls at a share of one half allow one retry, again and again, and not a second one."""
    budget = RetryBudget(share=0.5, per_second=0.0, waits=False)
    for _ in range(3):
        budget.count_call()
        budget.count_call()
        assert budget.reserve(60.0) == 0.0
        assert budget.reserve(60.0) is None
