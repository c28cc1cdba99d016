"""Roles assumed with STS: what is sent, what comes of each answer, and that nothing secret is told."""

from __future__ import annotations

import json
import pickle
import time
from typing import Any

import pytest

from ots_config.credentials.fetch import Timeouts, in_our_time, parse_expiry
from ots_config.credentials.identity import Identity, caller_identity
from ots_config.credentials.snapshot import Credentials
from ots_config.credentials.sts import AssumeRoleProvider, Pace, STSAddress
from ots_config.errors import CredentialsRefused, CredentialsUnavailable, SettingsError

ROLE = "acs:ram::1234567890123:role/firstrole"
POLICY = {"Version": "1", "Statement": [{"Action": ["ots:*"], "Effect": "Allow", "Resource": ["*"]}]}


@pytest.fixture
def assume(cloud: Any, fetch: Any, pace: Pace, source: Credentials) -> Any:
    """Return what makes a provider that asks the cloud."""

    def make(**options: Any) -> AssumeRoleProvider:
        given = {"source": source, "role_arn": ROLE, "fetch": fetch, "endpoint": cloud.url, "pace": pace, **options}
        return AssumeRoleProvider(given.pop("source"), given.pop("role_arn"), **given)

    return make


@pytest.mark.usefixtures("cloud")
def test_a_role_is_assumed(assume: Any, marked: Any) -> None:
    """The keys, the token, the end and the path of sources are those of the answer."""
    keys = assume(duration=1800).fetch_credentials()
    assert keys.access_key_id == "STS.Handed1"
    assert (keys.access_key_secret, keys.sts_token) == (marked.NEW_SECRET, marked.NEW_TOKEN)
    assert keys.expires_at.timestamp() == pytest.approx(time.time() + 1800, abs=5)
    assert keys.source == "assume_role/arguments"


def test_everything_travels_in_the_body(cloud: Any, assume: Any) -> None:
    """The request is a POST to the root without a query: a log of addresses holds no token and no signature."""
    assume().fetch_credentials()
    (asked,) = cloud.asked
    assert (asked.method, asked.path) == ("POST", "/")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    form = asked.form
    assert {name: form[name] for name in ("Action", "Version", "Format", "SignatureMethod", "SignatureVersion")} == {
        "Action": "AssumeRole",
        "Version": "2015-04-01",
        "Format": "JSON",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
    }
    assert (form["RoleArn"], form["RoleSessionName"], form["DurationSeconds"]) == (ROLE, "ots-config", "3600")
    assert "Policy" not in form
    assert "ExternalId" not in form
    assert "SecurityToken" not in form


@pytest.mark.parametrize("policy", [json.dumps(POLICY), POLICY], ids=["text", "object"])
def test_a_policy_with_spaces_and_an_external_id(cloud: Any, assume: Any, policy: Any) -> None:
    """A policy with spaces and an external id with odd characters arrive as they are, under a right signature."""
    assume(policy=policy, external_id="a+b=c,d.e@f:g/h-i", session_name="job.7@host").fetch_credentials()
    form = cloud.asked[0].form
    assert json.loads(form["Policy"]) == POLICY
    assert " " in form["Policy"]
    assert (form["ExternalId"], form["RoleSessionName"]) == ("a+b=c,d.e@f:g/h-i", "job.7@host")


def test_roles_chain(cloud: Any, assume: Any) -> None:
    """A role may be assumed with another role's keys: the second request is signed with the first one's token."""
    second = "acs:ram::999:role/second"
    keys = assume(source=assume(), role_arn=second).fetch_credentials()
    first_form, second_form = (asked.form for asked in cloud.asked)
    assert first_form["RoleArn"] == ROLE
    assert (second_form["RoleArn"], second_form["AccessKeyId"]) == (second, "STS.Handed1")
    assert second_form["SecurityToken"] == cloud.known["STS.Handed1"][1]
    assert keys.source == "assume_role/assume_role/arguments"


def test_the_source_is_asked_at_each_fetch(cloud: Any, assume: Any, marked: Any) -> None:
    """A key that was replaced in the source signs the next request."""
    cloud.known["other"] = (marked.SECRET, None)
    names = iter(["testid", "other"])
    provider = assume(source=lambda: (next(names), marked.SECRET))
    provider.fetch_credentials()
    provider.fetch_credentials()
    assert [asked.form["AccessKeyId"] for asked in cloud.asked] == ["testid", "other"]


def test_each_request_has_its_own_nonce(cloud: Any, assume: Any) -> None:
    """No two requests carry the same nonce, retries included."""
    cloud.next = [cloud.answer(500, {"Code": "InternalError"})] * 2
    provider = assume()
    provider.fetch_credentials()
    provider.fetch_credentials()
    assert len({asked.form["SignatureNonce"] for asked in cloud.asked}) == len(cloud.asked) == 4


# --- what is refused before anything is sent -------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"duration": 899},
        {"duration": 43201},
        {"duration": "an hour"},
        {"duration": 900.5},
        {"duration": True},
        {"session_name": "a"},
        {"session_name": "a" * 65},
        {"session_name": "with space"},
        {"external_id": "x"},
        {"external_id": "with space"},
        {"policy": "x" * 2049},
        {"role_arn": "firstrole"},
        {"role_arn": ""},
        {"endpoint": "http://sts.example.com"},
        {"endpoint": "http://192.168.0.1"},
        {"endpoint": "ftp://sts.example.com"},
        {"endpoint": "https://user:word@sts.example.com"},
        {"endpoint": "https://sts.example.com/path"},
        {"endpoint": None, "region": "cn hangzhou"},
    ],
    ids=str,
)
def test_wrong_arguments(assume: Any, options: dict[str, Any], cloud: Any) -> None:
    """What STS would refuse, or must not be asked, is refused where it is written."""
    with pytest.raises(SettingsError):
        assume(**options)
    assert not cloud.asked


def test_all_wrong_arguments_are_told_together(assume: Any) -> None:
    """One error tells every fault, with its mend, and none of the values."""
    with pytest.raises(SettingsError) as caught:
        assume(duration=1, session_name="!!private!!", external_id="!")
    assert [fault.field for fault in caught.value.faults] == ["role.session_name", "role.duration", "role.external_id"]
    assert "private" not in str(caught.value)


@pytest.mark.parametrize("duration", [900, "900", 43200, 0, None, ""], ids=repr)
def test_allowed_durations(cloud: Any, assume: Any, duration: Any) -> None:
    """The bounds are allowed, and nothing or 0 is an hour."""
    assume(duration=duration).fetch_credentials()
    assert cloud.asked[0].form["DurationSeconds"] == str(duration or 3600)


# --- addresses -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "environ", "url"),
    [
        ({}, {}, "https://sts.aliyuncs.com/"),
        ({"region": "cn-beijing"}, {}, "https://sts.cn-beijing.aliyuncs.com/"),
        ({"region": "cn-beijing", "vpc": True}, {}, "https://sts-vpc.cn-beijing.aliyuncs.com/"),
        ({}, {"ALIBABA_CLOUD_STS_REGION": "cn-hangzhou"}, "https://sts.cn-hangzhou.aliyuncs.com/"),
        ({}, {"OTS_STS_REGION": "cn-a", "ALIBABA_CLOUD_STS_REGION": "cn-b"}, "https://sts.cn-a.aliyuncs.com/"),
        ({"region": "cn-x"}, {"OTS_STS_REGION": "cn-a"}, "https://sts.cn-x.aliyuncs.com/"),
        (
            {"region": "cn-x"},
            {"ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "true"},
            "https://sts-vpc.cn-x.aliyuncs.com/",
        ),
        ({"region": "cn-x", "vpc": False}, {"OTS_STS_VPC": "true"}, "https://sts.cn-x.aliyuncs.com/"),
        ({"region": "cn-x"}, {"OTS_STS_VPC": "0"}, "https://sts.cn-x.aliyuncs.com/"),
        ({"region": "cn-x"}, {"ALIBABA_CLOUD_STS_ENDPOINT": "sts.example.com"}, "https://sts.example.com/"),
        (
            {},
            {"OTS_STS_ENDPOINT": "http://127.0.0.1:8087", "ALIBABA_CLOUD_STS_ENDPOINT": "b"},
            "http://127.0.0.1:8087/",
        ),
        ({"endpoint": "sts.a.com:8443"}, {"OTS_STS_ENDPOINT": "sts.b.com"}, "https://sts.a.com:8443/"),
        ({"endpoint": "http://[::1]:80/"}, {}, "http://[::1]:80/"),
        ({"endpoint": "http://localhost:80"}, {}, "http://localhost:80/"),
    ],
)
def test_address(address: dict[str, Any], environ: dict[str, str], url: str) -> None:
    """An endpoint goes before a region and a region before the central service; arguments before the environment."""
    assert STSAddress(**address, environ=environ).url() == url


def test_a_vpc_address_needs_a_region(fetch: Any, source: Credentials) -> None:
    """To ask for the VPC address without a region is an error, not silently the public address."""
    with pytest.raises(SettingsError, match="region"):
        STSAddress(vpc=True, environ={}).url()
    with pytest.raises(CredentialsRefused, match="region"):
        AssumeRoleProvider(source, ROLE, fetch=fetch, environ={"OTS_STS_VPC": "true"}).fetch_credentials()


def test_the_environment_is_read_at_each_fetch(
    cloud: Any, fetch: Any, pace: Pace, source: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables that are set after the provider was made count."""
    provider = AssumeRoleProvider(source, ROLE, fetch=fetch, pace=pace)
    monkeypatch.setenv("OTS_STS_ENDPOINT", cloud.url)
    monkeypatch.setenv("ALIBABA_CLOUD_ROLE_SESSION_NAME", "from-environment")
    provider.fetch_credentials()
    assert cloud.asked[0].form["RoleSessionName"] == "from-environment"
    monkeypatch.setenv("ALIBABA_CLOUD_ROLE_SESSION_NAME", "not allowed")
    with pytest.raises(CredentialsRefused, match="ALIBABA_CLOUD_ROLE_SESSION_NAME"):
        provider.fetch_credentials()


def test_a_role_from_the_environment(cloud: Any, fetch: Any, pace: Pace, source: Credentials) -> None:
    """OTS_ROLE_ARN and its companions say everything about a role."""
    environ = {
        "OTS_ROLE_ARN": ROLE,
        "OTS_ROLE_SESSION_NAME": "worker",
        "ALIBABA_CLOUD_ROLE_SESSION_NAME": "other",
        "OTS_ROLE_DURATION": "900",
        "OTS_ROLE_POLICY": '{"Version": "1"}',
        "OTS_ROLE_EXTERNAL_ID": "outside",
        "OTS_STS_ENDPOINT": cloud.url,
    }
    AssumeRoleProvider.from_environment(source, fetch=fetch, environ=environ, pace=pace).fetch_credentials()
    form = cloud.asked[0].form
    assert (form["RoleArn"], form["RoleSessionName"], form["DurationSeconds"]) == (ROLE, "worker", "900")
    assert (form["Policy"], form["ExternalId"]) == ('{"Version": "1"}', "outside")
    with pytest.raises(SettingsError, match="OTS_ROLE"):
        AssumeRoleProvider.from_environment(source, fetch=fetch, environ={**environ, "OTS_ROLE_DURATION": "5"})
    with pytest.raises(CredentialsUnavailable, match="OTS_ROLE_ARN is not set"):
        AssumeRoleProvider.from_environment(source, fetch=fetch, environ={})


# --- refusals, throttling, outages -------------------------------------------------------------------------------


def test_a_refusal_is_told_whole_and_not_repeated(cloud: Any, assume: Any, pauses: list[float], sealed: Any) -> None:
    """Code, message, request id, link and status reach the error; nothing is tried again."""
    cloud.next = [cloud.refusal(403, "NoPermission", "You are not authorized to do this action.")]
    with pytest.raises(CredentialsRefused) as caught:
        assume().fetch_credentials()
    error = caught.value
    assert str(error) == (
        f"{ROLE}, assumed with te****: STS refused: NoPermission: You are not authorized to do this action. "
        "(HTTP 403, request 8A5B2C3D-0000-1111-2222-333344445555, "
        "see https://api.aliyun.com/troubleshoot?q=NoPermission&product=Sts)"
    )
    assert (error.http_status, error.code, error.request_id) == (
        403,
        "NoPermission",
        "8A5B2C3D-0000-1111-2222-333344445555",
    )
    assert len(cloud.asked) == 1
    assert pauses == []
    sealed(error)


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


def test_an_outage_ends_after_four_attempts(cloud: Any, assume: Any, sealed: Any) -> None:
    """A service that stays down is asked four times, then the last answer is told."""
    cloud.next = [cloud.answer(503, {"Code": "ServiceUnavailable", "Message": "later"})] * 9
    with pytest.raises(CredentialsRefused, match="ServiceUnavailable: later"):
        assume().fetch_credentials()
    assert len(cloud.asked) == 4
    try:
        assume().fetch_credentials()
    except CredentialsRefused as error:
        sealed(error)


def test_nobody_there(fetch: Any, source: Credentials, pace: Pace, sealed: Any) -> None:
    """An address that nothing listens on is refused, told without parameters."""
    provider = AssumeRoleProvider(source, ROLE, fetch=fetch, endpoint="http://127.0.0.1:1", pace=pace)
    with pytest.raises(CredentialsRefused, match="STS gave no answer: no connection") as caught:
        provider.fetch_credentials()
    sealed(caught.value)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ((200, b"<html><form>sign in</form></html>"), "a web page instead of JSON"),
        ((200, b"<!doctype html>", {"Content-Type": "text/html; charset=utf-8"}), "a web page"),
        ((200, b""), "the body is empty"),
        ((200, b"MARKED no json"), "no JSON"),
        ((200, b"[1]"), "no object"),
        ((200, b'{"a":' + b" " * (1 << 20) + b"1}"), "far more than credentials need"),
        ((200, b"[" * 100_000), "no JSON"),
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
            "no time that can be read",
        ),
        ((403, b"MARKED forbidden"), "no JSON"),
        ((403, {"Message": "MARKED0123456789abcdefghijklmnop"}), r"STS refused: \*\*\*\*"),
    ],
)
def test_answers_that_are_no_keys(cloud: Any, assume: Any, reply: Any, told: str, sealed: Any) -> None:
    """HTML, nothing, too much, half of it, redirects: each is a sentence of its own and shows nothing of the body."""
    status, value, *headers = reply
    cloud.next = [cloud.answer(status, value, **(headers[0] if headers else {}))]
    with pytest.raises(CredentialsRefused, match=told) as caught:
        assume().fetch_credentials()
    assert len(cloud.asked) == 1
    sealed(caught.value)


def test_a_refusal_that_repeats_the_request_is_cut(cloud: Any, assume: Any, marked: Any, sealed: Any) -> None:
    """STS repeats what was signed, token included, when a signature is wrong: that part is not told."""
    cloud.known["STS.Source"] = ("another secret", marked.TOKEN)
    source = Credentials("STS.Source", marked.SECRET, marked.TOKEN)
    with pytest.raises(CredentialsRefused, match="SignatureDoesNotMatch: Specified signature is not matched") as caught:
        assume(source=source).fetch_credentials()
    assert caught.value.code == "SignatureDoesNotMatch"
    sealed(caught.value)
    cloud.next = [cloud.refusal(403, "X", f"your token {marked.TOKEN} and {marked.SECRET}")]
    with pytest.raises(CredentialsRefused, match=r"your token \*\*\*\* and \*\*\*\*") as caught:
        assume(source=source).fetch_credentials()
    sealed(caught.value)


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
    with pytest.raises(ValueError, match=r"^the expiration is no time that can be read$"):
        parse_expiry(value)


def test_small_differences_say_nothing() -> None:
    """A Date within two seconds of ours leaves the end as it was told."""
    end = parse_expiry(1893553445)
    assert in_our_time(end, 1.9, 1893550000.0) == end
    assert in_our_time(end, None, 1893550000.0) == end
    assert in_our_time(end, 10.0, 1893550000.0).timestamp() == 1893553435


# --- what it says of itself ---------------------------------------------------------------------------------------


def test_description_tells_roles_apart_and_no_secret(assume: Any, marked: Any) -> None:
    """Two roles that give other keys describe themselves otherwise; the same arguments, in another process, alike."""
    plain, narrow = assume(), assume(policy=POLICY)
    told = {
        provider.describe()
        for provider in (
            plain,
            narrow,
            assume(policy="{}"),
            assume(external_id="outside"),
            assume(session_name="other"),
            assume(duration=900),
            assume(role_arn="acs:ram::1:role/b"),
            assume(source=Credentials("otherkey", marked.SECRET)),
        )
    }
    assert len(told) == 8
    assert assume(policy=POLICY).describe() == narrow.describe()
    assert all(marked.MARK not in text and "outside" not in text for text in told)
    assert "te****" in repr(plain)


def test_pickled_and_used_elsewhere(cloud: Any, source: Credentials) -> None:
    """A provider travels to another process and works there."""
    provider = AssumeRoleProvider(source, ROLE, fetch=None, endpoint=cloud.url)  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(provider)).describe() == provider.describe()  # noqa: S301 - our own


def test_a_pace_is_plain_numbers() -> None:
    """The pace of retries needs no library to be looked at."""
    pace = Pace(attempts=1, timeouts=Timeouts(1, 2))
    assert (pace.attempts, pace.timeouts.read) == (1, 2)


# --- who am I ---------------------------------------------------------------------------------------------------


def test_caller_identity(cloud: Any, fetch: Any, assume: Any, pace: Pace, source: Credentials) -> None:
    """GetCallerIdentity tells the account and the role, of plain keys and of a provider's."""
    identity = caller_identity(source, fetch, endpoint=cloud.url, pace=pace)
    assert identity == Identity("1234567890123", ROLE, "AssumedRoleUser", "300:session", None, "300")
    assert caller_identity(assume(), fetch, endpoint=cloud.url, pace=pace) == identity
    assert cloud.asked[-1].form["SecurityToken"] == cloud.known["STS.Handed1"][1]


def test_caller_identity_of_wrong_keys(cloud: Any, fetch: Any, pace: Pace, marked: Any, sealed: Any) -> None:
    """Wrong keys, a wrong address and an odd answer are refusals that tell nothing secret."""
    wrong = Credentials("nobody", marked.SECRET)
    with pytest.raises(CredentialsRefused, match=r"InvalidAccessKeyId\.NotFound") as caught:
        caller_identity(wrong, fetch, endpoint=cloud.url, pace=pace)
    sealed(caught.value)
    with pytest.raises(CredentialsRefused, match="plain http"):
        caller_identity(wrong, fetch, endpoint="http://sts.example.com", pace=pace)
    cloud.next = [cloud.answer(200, {"Arn": "MARKED"})]
    with pytest.raises(CredentialsRefused, match="without an account") as caught:
        caller_identity(wrong, fetch, endpoint=cloud.url, pace=pace)
    sealed(caught.value)
