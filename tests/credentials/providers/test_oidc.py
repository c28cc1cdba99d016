"""A role assumed with the platform's OIDC token."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ots_config.credentials.providers.oidc import OIDCRoleProvider
from ots_config.credentials.sts import Pace
from ots_config.errors import CredentialsRefused, CredentialsUnavailable

ROLE = "acs:ram::1234567890123:role/pod"
PROVIDER = "acs:ram::1234567890123:oidc-provider/ack"


@pytest.fixture
def token_file(tmp_path: Path, marked: Any) -> Path:
    """Return a token file as a platform writes it, with a line end."""
    path = tmp_path / "token"
    path.write_text(f"{marked.MARK}.json.web+token\n")
    return path


@pytest.fixture
def environ(token_file: Path, cloud: Any, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set the variables that a platform sets; return what changes them."""
    monkeypatch.setenv("ALIBABA_CLOUD_ROLE_ARN", ROLE)
    monkeypatch.setenv("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", PROVIDER)
    monkeypatch.setenv("ALIBABA_CLOUD_OIDC_TOKEN_FILE", str(token_file))
    monkeypatch.setenv("ALIBABA_CLOUD_STS_ENDPOINT", cloud.url)
    return monkeypatch


@pytest.fixture
def oidc(fetch: Any, pace: Pace, environ: pytest.MonkeyPatch) -> Any:
    """Return what makes a provider."""

    def make(**options: Any) -> OIDCRoleProvider:
        return OIDCRoleProvider(**{"fetch": fetch, "pace": pace, **options})

    return make


def test_the_token_is_posted_unsigned(cloud: Any, oidc: Any, environ: pytest.MonkeyPatch, marked: Any) -> None:
    """The request has no key and no signature; the token, without its line end, is in the body and in no address."""
    environ.setenv("ALIBABA_CLOUD_ROLE_SESSION_NAME", "pod-7")
    keys = oidc(duration=900, policy={"Version": "1"}).fetch_credentials()
    (asked,) = cloud.asked
    assert (asked.method, asked.path) == ("POST", "/")
    form = asked.form
    assert form.pop("Timestamp")
    assert form == {
        "Action": "AssumeRoleWithOIDC",
        "Version": "2015-04-01",
        "Format": "JSON",
        "RoleArn": ROLE,
        "OIDCProviderArn": PROVIDER,
        "OIDCToken": f"{marked.MARK}.json.web+token",
        "RoleSessionName": "pod-7",
        "DurationSeconds": "900",
        "Policy": '{"Version": "1"}',
    }
    assert (keys.source, keys.get_security_token()) == ("oidc", marked.NEW_TOKEN)
    assert keys.expires_at.timestamp() == pytest.approx(time.time() + 900, abs=5)


def test_the_token_is_read_again_at_each_fetch(cloud: Any, oidc: Any, token_file: Path) -> None:
    """A platform that replaces the token is followed."""
    provider = oidc()
    provider.fetch_credentials()
    token_file.write_text("second\r\n")
    provider.fetch_credentials()
    assert [asked.form["OIDCToken"] for asked in cloud.asked] == ["MARKED.json.web+token", "second"]


@pytest.mark.parametrize("absent", ["ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE"])
def test_an_incomplete_set_is_refused(oidc: Any, environ: pytest.MonkeyPatch, absent: str) -> None:
    """Without any one of the three variables, or with an empty one, the others name a source that cannot be used."""
    environ.setenv(f"ALIBABA_CLOUD_{absent}", "")
    with pytest.raises(CredentialsRefused, match=f"ALIBABA_CLOUD_{absent} is not set"):
        oidc().fetch_credentials()


@pytest.mark.parametrize("argument", ["role_arn", "provider_arn", "token_file"])
def test_one_argument_names_the_source(oidc: Any, environ: pytest.MonkeyPatch, argument: str) -> None:
    """One of the three as argument is enough to name the source."""
    for name in ("ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE"):
        environ.delenv(f"ALIBABA_CLOUD_{name}")
    with pytest.raises(CredentialsRefused, match=r"are not set \(named by a setting or argument\)"):
        oidc(**{argument: "acs:x"}).fetch_credentials()


def test_a_role_alone_names_nothing(oidc: Any, environ: pytest.MonkeyPatch) -> None:
    """ALIBABA_CLOUD_ROLE_ARN alone may be meant for another source: a chain goes on."""
    for name in ("OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE"):
        environ.delenv(f"ALIBABA_CLOUD_{name}")
    with pytest.raises(CredentialsUnavailable, match="are not set"):
        oidc().fetch_credentials()


def test_arguments_go_before_variables(cloud: Any, oidc: Any, tmp_path: Path) -> None:
    """What is given as argument is used, whatever the environment says."""
    other = tmp_path / "other"
    other.write_text("other")
    role = "acs:ram::2:role/other"
    oidc(role_arn=role, provider_arn="acs:p", token_file=other, session_name="named").fetch_credentials()
    form = cloud.asked[0].form
    assert (form["RoleArn"], form["OIDCProviderArn"], form["OIDCToken"]) == (role, "acs:p", "other")
    assert form["RoleSessionName"] == "named"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file"),
        (b"", "holds no token"),
        (b" \n", "holds no token"),
        (b"MARKED two", "holds no token"),
        (b"M" * 20001, "holds no token"),
        (b"MARKED\xff\xfe", "not ASCII"),
    ],
    ids=["absent", "empty", "blank", "two-words", "too-long", "binary"],
)
def test_token_files_that_hold_none(
    cloud: Any, oidc: Any, token_file: Path, content: bytes | None, told: str, shows_no_secret: Any
) -> None:
    """A file that is configured and holds no token is a refusal before anything is sent."""
    token_file.unlink()
    if content is not None:
        token_file.write_bytes(content)
    with pytest.raises(CredentialsRefused, match=told) as caught:
        oidc().fetch_credentials()
    assert not cloud.asked
    shows_no_secret(caught.value)


def test_refusals(cloud: Any, oidc: Any, environ: pytest.MonkeyPatch, marked: Any, shows_no_secret: Any) -> None:
    """An expired token, a server that repeats it, and a wrong role are refusals that do not show it."""
    cloud.next = [
        cloud.refusal(400, "AuthenticationFail.OIDCToken.Expired", "This JsonWebToken is expired."),
        cloud.refusal(400, "X", f"bad {marked.MARK}.json.web+token"),
        cloud.refusal(400, "X", f"bad {marked.MARK}.json.web%2Btoken"),
        cloud.answer(200, b"<html>"),
        cloud.close,
        cloud.close,
        cloud.close,
        cloud.close,
    ]
    for told in ("JsonWebToken is expired", r"X: bad \*\*\*\*", r"X: bad \*\*\*\*", "web page", "no whole answer"):
        with pytest.raises(CredentialsRefused, match=told) as caught:
            oidc().fetch_credentials()
        shows_no_secret(caught.value)
    environ.setenv("ALIBABA_CLOUD_ROLE_ARN", "nonsense")
    with pytest.raises(CredentialsRefused, match="is not a valid role ARN") as caught:
        oidc().fetch_credentials()
    shows_no_secret(caught.value)


def test_description(oidc: Any, environ: pytest.MonkeyPatch, token_file: Path) -> None:
    """It tells the role, the provider and the file, and says so if there are none."""
    told = oidc().describe()
    assert all(text in told for text in (ROLE, PROVIDER, str(token_file)))
    assert told in repr(oidc())
    for name in ("ROLE_ARN", "OIDC_PROVIDER_ARN", "OIDC_TOKEN_FILE", "STS_ENDPOINT"):
        environ.delenv(f"ALIBABA_CLOUD_{name}")
    assert oidc().describe() == "no role at no address, with the token of no provider in no token file"
