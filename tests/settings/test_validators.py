"""What each setting accepts and refuses."""

import math
import os
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import certifi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ots_config.errors import SettingsError
from ots_config.settings import OTSSettings, RetrySettings, TLSSettings

ENDPOINT = "https://demo.cn-hangzhou.ots.aliyuncs.com"
KEYS = {"access_key_id": "id", "access_key_secret": "secret"}


def build(**arguments: Any) -> OTSSettings:
    """Build settings of one instance."""
    return OTSSettings.explicit(**{"endpoint": ENDPOINT, **arguments})


@pytest.mark.parametrize(
    ("field", "given_value", "accepted"),
    [
        ("region", " CN-Hangzhou ", "cn-hangzhou"),
        ("network", "Public", "public"),
        ("encoding", "UTF-8", "UTF-8"),
        ("socket_timeout", 1, 1.0),
        ("socket_timeout", " 2.5", 2.5),
        ("socket_timeout", "3,30", (3.0, 30.0)),
        ("socket_timeout", "[3, 30]", (3.0, 30.0)),
        ("socket_timeout", [3, "30"], (3.0, 30.0)),
        ("socket_timeout", Fraction(1, 2), 0.5),
        ("max_connection", "65535", 65535),
        ("logger_name", "table_store.log", "table_store.log"),
        ("signature", "V4", "v4"),
        ("proxies", "", None),
        ("proxies", {}, None),
        ("proxies", "http://u:p@proxy:80", {"http": "http://u:p@proxy:80", "https": "http://u:p@proxy:80"}),
        ("proxies", '{"https": "socks5h://proxy:1"}', {"https": "socks5h://proxy:1"}),
        ("proxies", {"HTTP://": "http://proxy"}, {"http": "http://proxy"}),
        ("allow_http", "Yes", True),
        ("allow_http", "0", False),
        ("credentials", "ecs_ram_role", "ecs_ram_role"),
    ],
)
def test_accepted(field: str, given_value: object, accepted: object) -> None:
    """Values are converted to one form."""
    assert getattr(build(**{field: given_value}), field) == accepted


REFUSED: list[tuple[str, object, str]] = [
    ("instance_name", "", "empty"),
    ("instance_name", "demo\n", "line break"),
    ("instance_name", "de mo", "characters other than"),
    ("instance_name", 3, "not text"),
    ("region", "", "empty"),
    ("region", "cn hangzhou", "not a valid region id"),
    ("region", "cn-hangzhou\r\nx: 1", "line break"),
    ("network", "privat", "is not one of public, vpc, internal, dual-stack"),
    ("network", 1, "is not one of"),
    ("encoding", "utf9", "not a text encoding that Python knows"),
    ("encoding", "base64", "not a text encoding that Python knows"),
    ("encoding", "utf8\0", "control character"),
    ("encoding", None.__class__, "not text"),
    ("socket_timeout", 0, "is not greater than 0"),
    ("socket_timeout", -1.5, "is not greater than 0"),
    ("socket_timeout", math.nan, "finite"),
    ("socket_timeout", "inf", "finite"),
    ("socket_timeout", True, "not a number"),
    ("socket_timeout", "50s", "not a number"),
    ("socket_timeout", Decimal(1), "not a number"),
    ("socket_timeout", Fraction(10**400), "not a number"),
    ("socket_timeout", 10**400, "not a number"),
    ("max_connection", "9" * 5000, "not a whole number"),
    ("socket_timeout", 3_000_000, "as if it were milliseconds"),
    ("idle_timeout", 3_000_000, "is greater than 2000000"),
    ("socket_timeout", (1, 2, 3), "3 parts"),
    ("socket_timeout", (1, 0), "is not greater than 0"),
    ("socket_timeout", "1,2,3", "3 parts"),
    ("max_connection", 0, "is less than 1"),
    ("max_connection", 70_000, "is greater than 65535"),
    ("max_connection", 1.0, "not a whole number"),
    ("max_connection", False, "not a whole number"),
    ("logger_name", "a\nb", "line break"),
    ("signature", "v3", "is not one of auto, v2, v4"),
    ("proxies", "proxy:80", "not the URL of a proxy"),
    ("proxies", "http://", "not the URL of a proxy"),
    ("proxies", "http://proxy:99999", "not the URL of a proxy"),
    ("proxies", {"ftp": "http://proxy"}, "not one of http, https, all"),
    ("proxies", {"http": 3}, "not text"),
    ("proxies", 3, "neither a URL nor a dictionary"),
    ("proxies", "{", "neither a URL nor a dictionary"),
    ("allow_http", 1, "neither true nor false"),
    ("allow_http", "maybe", "neither true nor false"),
    ("credentials", "a b", "characters other than"),
    ("retry", 3, "is not a policy, a dictionary or RetrySettings"),
    ("retry", "{", "is not a policy, a dictionary or RetrySettings"),
    ("tls", "TLSv1.3", "is not a dictionary or TLSSettings"),
]


@pytest.mark.parametrize(("field", "value", "reason"), REFUSED)
def test_refused(field: str, value: object, reason: str) -> None:
    """A value that cannot be used is one problem of its field, with reason and hint."""
    with pytest.raises(SettingsError, match=reason) as caught:
        build(**{field: value})
    (problem,) = caught.value.problems
    assert (problem.field, problem.origin) == (field, "argument")
    assert problem.hint.endswith((".", "?"))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("access_key_id", "", "empty"),
        ("access_key_id", "id\n", "line break"),
        ("access_key_id", "密", "characters other than"),
        ("access_key_id", SecretStr("id"), "not text"),
        ("access_key_secret", "", "empty"),
        ("access_key_secret", "secret\n", "line break"),
        ("access_key_secret", "secret ", "white space"),
        ("access_key_secret", b"secret", "not text"),
        ("access_key_secret", "\ud800", "control character"),
        ("sts_token", "token\r\nx: 1", "HTTP header cannot contain"),
        ("sts_token", "tökén", "HTTP header cannot contain"),
        ("sts_token", "to ken", "HTTP header cannot contain"),
        ("sts_token", 3, "not text"),
    ],
)
def test_keys_refused(field: str, value: object, reason: str) -> None:
    """Keys that would not fit a header, or were copied badly, are refused."""
    with pytest.raises(SettingsError, match=reason) as caught:
        build(**{**KEYS, field: value})
    assert [problem.field for problem in caught.value.problems] == [field]


def test_keys_accepted() -> None:
    """Keys may be texts or SecretStr; an empty token means none."""
    settings = build(access_key_id="STS.abc", access_key_secret=SecretStr("p #w"), sts_token="CAIS/+==")
    assert settings.sts_token == SecretStr("CAIS/+==")
    assert build(**KEYS, sts_token="").sts_token is None
    assert build(sts_token="").sts_token is None
    assert build().access_key_id is None


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        ({"access_key_id": "id"}, "access_key_secret"),
        ({"access_key_secret": "secret"}, "access_key_id"),
        ({"sts_token": "token"}, "sts_token"),
        ({"access_key_id": "id", "sts_token": "token"}, "access_key_secret"),
    ],
)
def test_half_a_key(keys: dict[str, str], field: str) -> None:
    """Keys that do not make a set are one problem."""
    with pytest.raises(SettingsError, match=r"is(?: not)? set") as caught:
        build(**keys)
    assert [problem.field for problem in caught.value.problems] == [field]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"policy": "wrte"}, r"policy: is not one of .* Did you mean write\?"),
        ({"max_attempts": 0}, "max_attempts: is less than 1"),
        ({"max_attempts": None}, "max_attempts: is not a whole number"),
        ({"max_delay": -1}, "max_delay: is less than 0"),
        ({"deadline": math.inf}, "deadline: is not a finite number"),
        ({"deadline": 0}, "deadline: is not greater than 0"),
        ({"deadlin": 1}, "is not a known setting"),
    ],
)
def test_retry_refused(arguments: dict[str, Any], reason: str) -> None:
    """Retry settings are checked alone and as a part, with the same words."""
    with pytest.raises(SettingsError, match=reason):
        RetrySettings(**arguments)
    with pytest.raises(
        SettingsError, match=reason if "deadlin" not in arguments else "Did you mean deadline"
    ) as caught:
        build(retry=arguments)
    assert caught.value.problems[0].field == f"retry.{next(iter(arguments))}"


def test_retry_accepted() -> None:
    """Zero delay and no deadline are possible."""
    retry = build(retry={"policy": "No_Delay", "max_delay": 0, "deadline": "None", "max_attempts": "3"}).retry
    assert retry == RetrySettings(policy="no-delay", max_delay=0, deadline=None, max_attempts=3)


def test_tls(tmp_path: Path, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle must be a readable file with a certificate, and TLS at least 1.2."""
    monkeypatch.setenv("HOME", str(tmp_path / "work"))
    pem = Path(certifi.where()).read_text(encoding="utf-8")
    one = pem[: pem.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
    write("ca.pem", "a comment in 中文\n" + one)
    write("empty.pem", "")
    write("broken.pem", one.replace("M", "N"))
    assert build(tls={"ca_bundle": "~/ca.pem"}).tls.ca_bundle == tmp_path / "work" / "ca.pem"
    assert build(tls={"ca_bundle": certifi.where(), "minimum_version": "1.3"}).tls.minimum_version == "TLSv1.3"
    for name, reason in (
        ("empty.pem", "no valid certificate"),
        ("broken.pem", "no valid certificate"),
        ("none.pem", "cannot be read: no such file or directory"),
        (".", "cannot be read: is a directory"),
        ("", "not the name of a file"),
        (3, "not the name of a file"),
    ):
        with pytest.raises(SettingsError, match=rf"tls\.ca_bundle: .*{reason}"):
            build(tls={"ca_bundle": name})
    with pytest.raises(SettingsError, match=r"minimum_version: is not one of TLSv1\.2, TLSv1\.3"):
        TLSSettings(minimum_version="TLSv1.1")  # type: ignore[arg-type]

    def forbidden(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as context:
        context.setattr(os, "open", forbidden)
        with pytest.raises(SettingsError, match="cannot be read: permission denied"):
            build(tls={"ca_bundle": "ca.pem"})
    with pytest.raises(SettingsError, match="cannot be read: larger than 16 MiB"):
        build(tls={"ca_bundle": "/dev/zero"})


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.integers())


@pytest.mark.filterwarnings("ignore::ots_config.settings.SettingsWarning")
@given(st.sampled_from(sorted(OTSSettings.model_fields)), ANYTHING | st.dictionaries(st.text(), ANYTHING))
def test_anything(field: str, value: object) -> None:
    """Whatever is given, the settings can be used or a SettingsError is raised, and nothing reaches a header raw."""
    arguments = {"endpoint": "https://rows.example.com", "instance_name": "demo", **KEYS, field: value}
    try:
        settings = OTSSettings.explicit(**arguments)
    except SettingsError as error:
        assert error.problems  # noqa: PT017 - either outcome is right
        return
    for name in ("access_key_id", "instance_name", "region", "endpoint"):
        text = getattr(settings, name) or ""
        assert text.isascii()
        assert text.isprintable()


ROLE = "acs:ram::1234567890123456:role/writer"
PROVIDER = "acs:ram::1234567890123456:oidc-provider/ack"


@pytest.mark.parametrize(
    ("field", "given_value", "accepted"),
    [
        ("role_arn", ROLE, ROLE),
        ("oidc_role_arn", ROLE, ROLE),
        ("oidc_provider_arn", PROVIDER, PROVIDER),
        ("role_session_name", "job@host-1", "job@host-1"),
        ("role_duration", "900", 900),
        ("role_duration", 43_200, 43_200),
        ("role_policy", "{" + " " * 2046 + "}", "{" + " " * 2046 + "}"),
        ("role_external_id", "a/b:c", "a/b:c"),
        ("sts_endpoint", "sts.cn-hangzhou.aliyuncs.com", "sts.cn-hangzhou.aliyuncs.com"),
        ("sts_endpoint", "https://sts.cn-hangzhou.aliyuncs.com/", "sts.cn-hangzhou.aliyuncs.com"),
        ("sts_endpoint", "http://sts.cn-hangzhou.aliyuncs.com", "sts.cn-hangzhou.aliyuncs.com"),
        ("sts_endpoint", "http://127.0.0.1:8087/", "http://127.0.0.1:8087"),
        ("sts_endpoint", "https://127.0.0.1:8087", "127.0.0.1:8087"),
        ("ecs_endpoint", "http://100.100.100.200", "http://100.100.100.200"),
        ("ecs_endpoint", "http://localhost:1", "http://localhost:1"),
        ("credentials_uri", "https://example.com/?x=y", SecretStr("https://example.com/?x=y")),
        ("credentials_uri", "http://10.0.0.1/keys", SecretStr("http://10.0.0.1/keys")),
    ],
)
def test_roles_and_addresses_accepted(field: str, given_value: object, accepted: object) -> None:
    """What STS and the sources of credentials take is accepted, the address of STS without its scheme."""
    assert getattr(build(**{field: given_value}), field) == accepted


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("role_arn", "role/writer", "is not a valid role ARN"),
        ("role_arn", PROVIDER, "is not a valid role ARN"),
        ("role_arn", f"{ROLE} ", "is not a valid role ARN"),
        ("oidc_role_arn", "acs:ram::x:role/y", "is not a valid role ARN"),
        ("oidc_provider_arn", ROLE, "is not the ARN of an OIDC provider"),
        ("role_session_name", "a b", "is not a session's name"),
        ("role_session_name", "a", "is not a session's name"),
        ("role_session_name", "a" * 65, "is not a session's name"),
        ("role_duration", 899, "is less than 900"),
        ("role_duration", "43201", "is greater than 43200"),
        ("role_policy", "{" + " " * 2047 + "}", "has 2049 characters"),
        ("role_policy", {"Statement": ["x" * 2048]}, "has 20[0-9]+ characters"),
        ("role_external_id", "x", "is not an external id"),
        ("role_external_id", "a b", "is not an external id"),
        ("sts_endpoint", "ftp://sts.aliyuncs.com", "does not begin with https:// or http://"),
        ("sts_endpoint", "https://", "does not begin with https:// or http:// and a host"),
        ("sts_endpoint", "https://sts.aliyuncs.com/path", "is not a host"),
        ("sts_endpoint", "sts.aliyuncs.com?x=y", "is not a host"),
        ("sts_endpoint", "sts aliyuncs com", "is not a host"),
        ("sts_endpoint", "http://user:p@sts.aliyuncs.com", "contains a user name or password"),
        ("sts_endpoint", "https://[", "is not a URL"),
        ("sts_endpoint", "sts.aliyuncs.com:99999", "is not a URL"),
        ("ecs_endpoint", "100.100.100.200", "does not begin with https:// or http://"),
        ("ecs_endpoint", "http://8.8.8.8", "plain http is only for loopback and private addresses"),
        ("ecs_endpoint", "http://0.0.0.0", "plain http is only for loopback and private addresses"),
        ("credentials_uri", "http://example.com", "plain http is only for loopback and private addresses"),
        ("credentials_uri", "keys", "does not begin with https:// or http://"),
        ("proxies", "ftp://proxy:1", "is not the URL of a proxy"),
        ("proxies", {"https": "gopher://proxy:1"}, "is not the URL of a proxy"),
    ],
)
def test_roles_and_addresses_refused(field: str, value: object, reason: str) -> None:
    """What would be refused when a client is made, or by STS, is refused with the other problems."""
    with pytest.raises(SettingsError, match=rf"^{field}: .*{reason}") as caught:
        build(**{field: value})
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [(ROLE, "is set, but there is no role_arn"), ("role/first", "contains what is not a valid role ARN")],
)
def test_roles_on_the_way(value: str, reason: str) -> None:
    """``role_via`` holds ARNs, and needs a last role."""
    with pytest.raises(SettingsError, match=f"role_via: {reason}"):
        build(role_via=value, **({} if "no role_arn" in reason else {"role_arn": ROLE}))
    assert build(role_via=f"{ROLE}, {ROLE}", role_arn=ROLE).role_via == (ROLE, ROLE)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("access_key_id", "LTAI****"),
        ("access_key_id", "LTAI5t****3456"),
        ("access_key_id", "****"),
        ("access_key_secret", "********"),
        ("access_key_secret", "**********"),
        ("access_key_secret", SecretStr("**********")),
        ("sts_token", "**********"),
        ("credentials_process", "**********"),
        ("credentials_uri", "**********"),
        ("proxies", "http://********@proxy:1"),
        ("proxies", {"https": "http://**********@proxy:1"}),
        ("proxies", "********"),
    ],
)
def test_masks_are_not_values(field: str, value: object) -> None:
    """What is shown in place of a secret is refused with that reason: it was copied from a log or a dump."""
    with pytest.raises(SettingsError, match=rf"^{field}: is a mask, which stands for a value that is not shown"):
        build(**{**KEYS, field: value})
