"""Roles assumed with STS: what is sent, what comes of each answer, and that nothing secret is told."""

from __future__ import annotations

import json
import pickle
import time
from typing import Any, ClassVar

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.http import Timeouts
from ots_config.credentials.providers.assume_role import AssumeRoleProvider
from ots_config.credentials.sts import Identity, Pace, STSAddress, caller_identity
from ots_config.errors import CredentialsRefused, SettingsError

ROLE = "acs:ram::1234567890123:role/firstrole"
POLICY = {"Version": "1", "Statement": [{"Action": ["ots:*"], "Effect": "Allow", "Resource": ["*"]}]}


@pytest.mark.usefixtures("cloud")
def test_a_role_is_assumed(assume: Any, marked: Any) -> None:
    """The keys, the token, the end and the path of sources are those of the answer."""
    keys = assume(duration=1800).fetch_credentials()
    assert keys.access_key_id == "STS.Handed1"
    assert (keys.get_access_key_secret(), keys.get_security_token()) == (marked.NEW_SECRET, marked.NEW_TOKEN)
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
    """One error tells every fault, with its hint, and none of the values."""
    with pytest.raises(SettingsError) as caught:
        assume(duration=1, session_name="!!private!!", external_id="!")
    assert [problem.field for problem in caught.value.problems] == [
        "role.session_name",
        "role.duration",
        "role.external_id",
    ]
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
def test_address(address: dict[str, Any], environ: dict[str, str], url: str, environment: Any) -> None:
    """An endpoint goes before a region and a region before the central service; arguments before the environment."""
    environment(environ)
    assert STSAddress(**address).url() == url


def test_a_vpc_address_needs_a_region(fetch: Any, source: Credentials, environment: Any) -> None:
    """To ask for the VPC address without a region is an error, not silently the public address."""
    with pytest.raises(SettingsError, match="region"):
        STSAddress(vpc=True).url()
    environment({"OTS_STS_VPC": "true"})
    with pytest.raises(CredentialsRefused, match="region"):
        AssumeRoleProvider(source, ROLE, fetch=fetch).fetch_credentials()


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
    assert pickle.loads(pickle.dumps(provider)).describe() == provider.describe()


def test_a_pace_is_plain_numbers() -> None:
    """The pace of retries needs no library to be looked at."""
    pace = Pace(attempts=1, timeouts=Timeouts(1, 2))
    assert (pace.attempts, pace.timeouts.read) == (1, 2)


# --- who am I ---------------------------------------------------------------------------------------------------


def test_caller_identity(cloud: Any, fetch: Any, assume: Any, pace: Pace, source: Credentials) -> None:
    """GetCallerIdentity tells the account and the role, of plain keys and of a provider's."""
    identity = caller_identity(source, fetch, STSAddress(cloud.url), pace=pace)
    assert identity == Identity("1234567890123", ROLE, "AssumedRoleUser", "300:session", None, "300")
    assert caller_identity(assume().get_credentials(), fetch, STSAddress(cloud.url), pace=pace) == identity
    assert cloud.asked[-1].form["SecurityToken"] == cloud.known["STS.Handed1"][1]


def test_caller_identity_of_wrong_keys(cloud: Any, fetch: Any, pace: Pace, marked: Any, shows_no_secret: Any) -> None:
    """Wrong keys, a wrong address and an odd answer are refusals that tell nothing secret."""
    wrong = Credentials("nobody", marked.SECRET)
    with pytest.raises(CredentialsRefused, match=r"InvalidAccessKeyId\.NotFound") as caught:
        caller_identity(wrong, fetch, STSAddress(cloud.url), pace=pace)
    shows_no_secret(caught.value)
    with pytest.raises(CredentialsRefused, match="plain http"):
        caller_identity(wrong, fetch, STSAddress("http://sts.example.com"), pace=pace)
    cloud.next = [cloud.answer(200, {"Arn": "MARKED"})]
    with pytest.raises(CredentialsRefused, match="without an account") as caught:
        caller_identity(wrong, fetch, STSAddress(cloud.url), pace=pace)
    shows_no_secret(caught.value)


@pytest.mark.parametrize(
    ("known", "code", "asked"),
    [
        ("replaced", None, ["outdated", "replaced"]),
        ("nobody", "InvalidAccessKeyId.NotFound", ["outdated", "replaced"]),
        ("outdated", None, ["outdated"]),
    ],
)
def test_a_key_that_sts_no_longer_takes(
    cloud: Any, assume: Any, known: str, code: str | None, asked: list[str]
) -> None:
    """The source is asked to look again, once; other keys are tried, once; then it is a refusal."""
    cloud.known = {known: ("secret", None)}

    class Stored:
        name = "stored"
        looked: ClassVar[list[str]] = []

        def get_credentials(self) -> Credentials:
            return Credentials("outdated", "secret")

        def force_refresh(self, rejected: Credentials) -> Credentials:
            self.looked.append(rejected.access_key_id)
            return Credentials("replaced", "secret")

    source = Stored()
    source.looked.clear()
    role = assume(source=source)
    if code:
        with pytest.raises(CredentialsRefused, match=code):
            role.fetch_credentials()
    else:
        assert role.fetch_credentials().get_security_token()
    assert [request.form["AccessKeyId"] for request in cloud.asked] == asked
    assert source.looked == asked[: len(asked) - 1]


def test_the_same_key_is_not_tried_again(cloud: Any, assume: Any) -> None:
    """If the source has nothing else, or cannot look again, STS is asked once; other refusals look for no other key."""
    wrong = Credentials("unknown", "secret")

    class Fixed:
        looked = 0

        def get_credentials(self) -> Credentials:
            return wrong

        def force_refresh(self, rejected: Credentials) -> Credentials:
            self.looked += 1
            return rejected

    fixed = Fixed()
    for source in (fixed, wrong):
        cloud.asked.clear()
        with pytest.raises(CredentialsRefused, match=r"InvalidAccessKeyId\.NotFound"):
            assume(source=source).fetch_credentials()
        assert len(cloud.asked) == 1
    assert fixed.looked == 1
    cloud.next.append(cloud.refusal(403, "NoPermission", "You are not authorized to do this action."))
    with pytest.raises(CredentialsRefused, match="NoPermission"):
        assume(source=fixed).fetch_credentials()
    assert fixed.looked == 1
