"""What STS answers: keys, refusals, throttling, outages, and clocks that disagree."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.http import in_our_time, parse_expiry
from ots_config.credentials.providers.assume_role import AssumeRoleProvider
from ots_config.credentials.sts import Pace
from ots_config.errors import CredentialsRefused, CredentialsUnavailable

ROLE = "acs:ram::1234567890123:role/firstrole"


# --- refusals, throttling, outages -------------------------------------------------------------------------------


def test_a_refusal_is_told_whole_and_not_repeated(
    cloud: Any, assume: Any, pauses: list[float], shows_no_secret: Any
) -> None:
    """Host, code, message, request id, link and status reach the error; nothing is tried again."""
    cloud.next = [cloud.refusal(403, "NoPermission", "You are not authorized to do this action.")]
    with pytest.raises(CredentialsRefused) as caught:
        assume().fetch_credentials()
    error = caught.value
    assert str(error) == (
        f"{ROLE}, assumed with te****: STS at {cloud.url.removeprefix('http://')} refused: NoPermission: "
        "You are not authorized to do this action. (HTTP 403, request 8A5B2C3D-0000-1111-2222-333344445555, "
        "see https://api.aliyun.com/troubleshoot?q=NoPermission&product=Sts)"
    )
    assert (error.http_status, error.code, error.request_id) == (
        403,
        "NoPermission",
        "8A5B2C3D-0000-1111-2222-333344445555",
    )
    assert len(cloud.asked) == 1
    assert pauses == []
    shows_no_secret(error)


@pytest.mark.parametrize(
    "failure",
    [
        (400, {"Code": "Throttling.User", "Message": "Request was denied due to user flow control."}),
        (429, {"Code": "Throttling"}),
        (429, b"slow down"),
        (500, {"Code": "InternalError"}),
        (503, b"<html>unavailable</html>"),
        (502, b""),
        None,
    ],
    ids=["throttled", "429", "429-text", "500", "503-html", "502-empty", "closed"],
)
def test_what_passes_is_tried_again(cloud: Any, assume: Any, pauses: list[float], failure: Any) -> None:
    """Throttling, 5xx and lost answers are tried again within one fetch, with growing and jittered pauses."""
    cloud.next = [cloud.answer(*failure) if failure else cloud.close] * 3
    assert assume().fetch_credentials().access_key_id == "STS.Handed1"
    assert len(cloud.asked) == 4
    first = 1.0 if failure and failure[0] in {400, 429} else 0.2
    for attempt, pause in enumerate(pauses):
        assert first * 2**attempt / 2 <= pause <= first * 2**attempt


def test_retry_after_is_honoured_within_bounds(cloud: Any, assume: Any, pauses: list[float]) -> None:
    """A server that asks for time gets it, but no more than five seconds."""
    cloud.next = [cloud.answer(503, {}, retry_after="3"), cloud.answer(503, {}, retry_after="3600")]
    assume().fetch_credentials()
    assert pauses[0] == 3.0
    assert pauses[1] == 5.0


def test_an_outage_ends_after_four_attempts(cloud: Any, assume: Any, shows_no_secret: Any) -> None:
    """A service that stays down is asked four times, then the last answer is told."""
    cloud.next = [cloud.answer(503, {"Code": "ServiceUnavailable", "Message": "later"})] * 9
    with pytest.raises(CredentialsRefused, match="ServiceUnavailable: later"):
        assume().fetch_credentials()
    assert len(cloud.asked) == 4
    try:
        assume().fetch_credentials()
    except CredentialsRefused as error:
        shows_no_secret(error)


def test_nobody_there(fetch: Any, source: Credentials, pace: Pace, shows_no_secret: Any) -> None:
    """An address that nothing listens on is refused, told without parameters."""
    provider = AssumeRoleProvider(source, ROLE, fetch=fetch, endpoint="http://127.0.0.1:1", pace=pace)
    with pytest.raises(CredentialsRefused, match=r"STS at 127\.0\.0\.1:1 gave no answer: no connection") as caught:
        provider.fetch_credentials()
    shows_no_secret(caught.value)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ((200, b"<html><form>sign in</form></html>"), "a web page instead of JSON"),
        ((200, b"<!doctype html>", {"Content-Type": "text/html; charset=utf-8"}), "a web page"),
        ((200, b""), "the body is empty"),
        ((200, b"MARKED no json"), "not JSON"),
        ((200, b"[1]"), "not an object"),
        ((200, b'{"a":' + b" " * (1 << 20) + b"1}"), "far more than credentials need"),
        ((200, b"[" * 100_000), "not JSON"),
        ((302, b"", {"Location": "https://elsewhere.example.com/"}), "a redirect, which is never followed"),
        ((200, {}), "gave no access key id and no access key secret and no token"),
        ((200, {"Credentials": None}), "gave no access key id"),
        ((200, {"Credentials": {"AccessKeyId": "x", "AccessKeySecret": "MARKED"}}), "gave no token"),
        (
            (200, {"Credentials": {"AccessKeyId": 5, "AccessKeySecret": "MARKED", "SecurityToken": "t"}}),
            "no access key id",
        ),
        (
            (200, {"Credentials": {"AccessKeyId": "x\ny", "AccessKeySecret": "MARKED", "SecurityToken": "t"}}),
            "cannot be used: access_key_id",
        ),
        (
            (
                200,
                {
                    "Credentials": {
                        "AccessKeyId": "x",
                        "AccessKeySecret": "s",
                        "SecurityToken": "t",
                        "Expiration": "MARKED",
                    }
                },
            ),
            "not a time",
        ),
        ((403, b"MARKED forbidden"), "not JSON"),
        ((403, {"Message": "MARKED0123456789abcdefghijklmnop"}), r"STS at [\d.:]+ refused: \*\*\*\*"),
    ],
)
def test_answers_that_are_no_keys(cloud: Any, assume: Any, reply: Any, told: str, shows_no_secret: Any) -> None:
    """HTML, nothing, too much, half of it, redirects: each is a sentence of its own and shows nothing of the body."""
    status, value, *headers = reply
    cloud.next = [cloud.answer(status, value, **(headers[0] if headers else {}))]
    with pytest.raises(CredentialsRefused, match=told) as caught:
        assume().fetch_credentials()
    assert len(cloud.asked) == 1
    shows_no_secret(caught.value)


def test_a_refusal_that_repeats_the_request_is_cut(cloud: Any, assume: Any, marked: Any, shows_no_secret: Any) -> None:
    """STS repeats what was signed, token included, when a signature is wrong: that part is not told."""
    cloud.known["STS.Source"] = ("another secret", marked.TOKEN)
    source = Credentials("STS.Source", marked.SECRET, marked.TOKEN)
    with pytest.raises(CredentialsRefused, match="SignatureDoesNotMatch: Specified signature is not matched") as caught:
        assume(source=source).fetch_credentials()
    assert caught.value.code == "SignatureDoesNotMatch"
    shows_no_secret(caught.value)
    cloud.next = [cloud.refusal(403, "X", f"your token {marked.TOKEN} and {marked.SECRET}")]
    with pytest.raises(CredentialsRefused, match=r"your token \*\*\*\* and \*\*\*\*") as caught:
        assume(source=source).fetch_credentials()
    shows_no_secret(caught.value)


def test_a_source_without_keys_stays_what_it_says(assume: Any, cloud: Any) -> None:
    """If the source does not apply, the role does not either; if it fails, so does the role."""
    for kind in (CredentialsUnavailable, CredentialsRefused):

        def source(kind: type[Exception] = kind) -> None:
            message = "the source says so"
            raise kind(message)

        with pytest.raises(kind, match="the source says so"):
            assume(source=source).fetch_credentials()
    assert not cloud.asked


# --- time -----------------------------------------------------------------------------------------------------------


def test_a_slow_local_clock_is_corrected(cloud: Any, assume: Any) -> None:
    """If our clock is ten minutes behind, the keys end ten minutes earlier by it."""
    cloud.ahead = 600
    keys = assume(duration=900).fetch_credentials()
    assert keys.expires_at.timestamp() == pytest.approx(time.time() + 900, abs=5)
    assert len(cloud.asked) == 1


def test_a_clock_that_sts_refuses_is_corrected(cloud: Any, assume: Any) -> None:
    """If our clock is hours off, the refusal's Date dates the second request, and the keys end when they do."""
    for ahead in (7200, -7200):
        cloud.asked.clear()
        cloud.ahead = ahead
        keys = assume().fetch_credentials()
        assert len(cloud.asked) == 2
        assert keys.expires_at.timestamp() == pytest.approx(time.time() + 3600, abs=5)


def test_a_refused_time_is_not_tried_for_ever(cloud: Any, assume: Any) -> None:
    """A server that refuses each time is asked twice."""
    cloud.next = [cloud.refusal(400, "InvalidTimeStamp.Expired", "no")] * 5
    with pytest.raises(CredentialsRefused, match="InvalidTimeStamp"):
        assume().fetch_credentials()
    assert len(cloud.asked) <= 2


@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT", "no date", ""])
def test_a_foolish_date_is_not_believed(cloud: Any, assume: Any, date: str) -> None:
    """A Date that cannot be, set by something on the way, changes nothing."""
    status, headers, body = cloud.answer(200, {"Credentials": cloud.keys(3600)})
    cloud.next = [(status, {**headers, "Date": date}, body)]
    assert assume().fetch_credentials().expires_at.timestamp() == pytest.approx(time.time() + 3600, abs=5)


def test_a_missing_end_is_what_was_asked_for(cloud: Any, assume: Any) -> None:
    """An answer without Expiration is no TypeError: the keys live as long as was asked for."""
    keys = cloud.keys()
    del keys["Expiration"]
    cloud.next = [cloud.answer(200, {"Credentials": keys})]
    assert assume(duration=1200).fetch_credentials().expires_at.timestamp() == pytest.approx(time.time() + 1200, abs=5)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2030-01-02T03:04:05Z", 1893553445),
        ("2030-01-02T03:04:05.123Z", 1893553445.123),
        ("2030-01-02T03:04:05.123456789Z", 1893553445.123456),
        ("2030-01-02T11:04:05+08:00", 1893553445),
        ("2030-01-02T03:04:05", 1893553445),
        (" 2030-01-02 03:04:05Z ", 1893553445),
        (1893553445, 1893553445),
        (1893553445000, 1893553445),
        ("1893553445", 1893553445),
        (1893553445.5, 1893553445.5),
    ],
    ids=["Z", "fraction", "long-fraction", "offset", "naive", "spaces", "seconds", "milliseconds", "digits", "float"],
)
def test_ends_are_read(text: Any, seconds: float) -> None:
    """Fractions, offsets, spaces, seconds and milliseconds are all read as UTC."""
    moment = parse_expiry(text)
    assert moment is not None
    assert moment.timestamp() == pytest.approx(seconds, abs=1e-6)
    assert moment.utcoffset().total_seconds() == 0


@pytest.mark.parametrize("value", [None, "", 0])
def test_no_end(value: Any) -> None:
    """Nothing and 0 mean that no end is given."""
    assert parse_expiry(value) is None


@pytest.mark.parametrize(
    "value", ["MARKED", "  ", True, 1e300, "9" * 30, [1], {}, "0001-01-01T00:00:00+23:00x"], ids=repr
)
def test_ends_that_cannot_be_read(value: Any) -> None:
    """Anything else is an error of one kind, which does not repeat it."""
    with pytest.raises(ValueError, match=r"^the expiration is not a time$"):
        parse_expiry(value)


def test_small_differences_say_nothing() -> None:
    """A Date within two seconds of ours leaves the end as it was told."""
    end = parse_expiry(1893553445)
    assert in_our_time(end, 1.9, 1893550000.0) == end
    assert in_our_time(end, None, 1893550000.0) == end
    assert in_our_time(end, 10.0, 1893550000.0).timestamp() == 1893553435
