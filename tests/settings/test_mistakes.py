"""Typical mistakes: each is one error that names the setting, where it came from, and how to put it right."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ots_config.errors import SettingsError
from ots_config.settings import OTSSettings

Write = Callable[..., Path]
ENDPOINT = "https://demo.cn-hangzhou.ots.aliyuncs.com"
ID, SECRET = "LTAI5tAbCdEfGh123456", "Xk2mN8pQ4rS6tU8vW0xY2zA4bC6dE8"
ROLE = "acs:ram::1234567890123456:role/writer"

MISTAKES: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "nothing at all": ({}, ("endpoint", "no source", "Set endpoint (OTS_ENDPOINT), or region and instance_name.")),
    "misspelt variable": (
        {"environment": {"OTS_ENDPONT": ENDPOINT}},
        ("endpoint", "no source", "Did you mean OTS_ENDPOINT? OTS_ENDPONT is set (environment variable OTS_ENDPONT)."),
    ),
    "misspelt line of .env": (
        {".env": f"# mine\nOTS_ENDPONT={ENDPOINT}\n"},
        ("endpoint", "no source", "Did you mean OTS_ENDPOINT? OTS_ENDPONT is set (.env line 2)."),
    ),
    "misspelt line of a named env file": (
        {"prod.env": f"OTS_END_POINT_={ENDPOINT}\n"},
        ("endpoint", "no source", "Did you mean OTS_ENDPOINT? OTS_END_POINT_ is set (prod.env line 1)."),
    ),
    "misspelt key of ots.toml": (
        {"ots.toml": f"[profiles.default]\nendpont = '{ENDPOINT}'\n"},
        (
            "endpoint",
            "no source",
            "Did you mean endpoint? endpont is set (profile [profiles.default] in ots.toml line 2).",
        ),
    ),
    "misspelt file of a secret": (
        {"secrets": {"OTS_ENDPONT": ENDPOINT}},
        ("endpoint", "no source", "Did you mean OTS_ENDPOINT? OTS_ENDPONT is set (secrets file secrets/OTS_ENDPONT)."),
    ),
    "misspelt file of a secret without prefix": (
        {"secrets": {"endpont": ENDPOINT}},
        ("endpoint", "no source", "Did you mean endpoint? endpont is set (secrets file secrets/endpont)."),
    ),
    "misspelt argument": ({"arguments": {"endpont": ENDPOINT}}, ("endpont", "argument", "Did you mean endpoint?")),
    "misspelt instance": (
        {"arguments": {"region": "cn-hangzhou"}, "environment": {"OTS_INSTANCENAME": "demo"}},
        (
            "endpoint",
            "no source",
            "Did you mean OTS_INSTANCE_NAME? OTS_INSTANCENAME is set (environment variable OTS_INSTANCENAME).",
        ),
    ),
    "OTS_URL": (
        {"environment": {"OTS_URL": ENDPOINT}},
        ("endpoint", "no source", "Did you mean OTS_ENDPOINT? OTS_URL is set (environment variable OTS_URL)."),
    ),
    "OTS_HOST": (
        {"environment": {"OTS_HOST": ENDPOINT}},
        ("endpoint", "no source", "Did you mean OTS_ENDPOINT? OTS_HOST is set (environment variable OTS_HOST)."),
    ),
    "OTS_REGION_ID": (
        {"environment": {"OTS_REGION_ID": "cn-hangzhou", "OTS_INSTANCE": "demo"}},
        (
            "endpoint",
            "no source",
            "Did you mean OTS_REGION? OTS_REGION_ID is set (environment variable OTS_REGION_ID).",
        ),
    ),
    "OTS_AK": (
        {"arguments": {"endpoint": ENDPOINT, "access_key_secret": SECRET}, "environment": {"OTS_AK": ID}},
        ("access_key_id", "no source", "Did you mean OTS_ACCESS_KEY_ID? OTS_AK is set (environment variable OTS_AK)."),
    ),
    "OTS_ACCESS_KEYID": (
        {"arguments": {"endpoint": ENDPOINT, "access_key_secret": SECRET}, "environment": {"OTS_ACCESS_KEYID": ID}},
        (
            "access_key_id",
            "no source",
            "Did you mean OTS_ACCESS_KEY_ID? OTS_ACCESS_KEYID is set (environment variable OTS_ACCESS_KEYID).",
        ),
    ),
    "OTS_SK": (
        {"arguments": {"endpoint": ENDPOINT, "access_key_id": ID}, "environment": {"OTS_SK": SECRET}},
        (
            "access_key_secret",
            "no source",
            "Did you mean OTS_ACCESS_KEY_SECRET? OTS_SK is set (environment variable OTS_SK).",
        ),
    ),
    "OTS_SECRET_KEY": (
        {"arguments": {"endpoint": ENDPOINT, "access_key_id": ID}, ".env": f"OTS_SECRET_KEY={SECRET}\n"},
        ("access_key_secret", "no source", "Did you mean OTS_ACCESS_KEY_SECRET? OTS_SECRET_KEY is set (.env line 1)."),
    ),
    "OTS_TOKEN": (
        {
            "arguments": {"endpoint": ENDPOINT, "access_key_id": "STS.NVxAbCdEfGh", "access_key_secret": SECRET},
            "environment": {"OTS_TOKEN": "CAIS"},
        },
        ("sts_token", "no source", "Did you mean OTS_STS_TOKEN? OTS_TOKEN is set (environment variable OTS_TOKEN)."),
    ),
    "OTS_SECURITY_TOKEN": (
        {
            "arguments": {"endpoint": ENDPOINT, "access_key_id": "STS.NVxAbCdEfGh", "access_key_secret": SECRET},
            "environment": {"OTS_SECURITY_TOKEN": "CAIS"},
        },
        (
            "sts_token",
            "no source",
            "Did you mean OTS_STS_TOKEN? OTS_SECURITY_TOKEN is set (environment variable OTS_SECURITY_TOKEN).",
        ),
    ),
    "timeout=": (
        {"arguments": {"endpoint": ENDPOINT, "timeout": 3}},
        ("timeout", "argument", "Did you mean socket_timeout?"),
    ),
    "token=": ({"arguments": {"endpoint": ENDPOINT, "token": "x"}}, ("token", "argument", "Did you mean sts_token?")),
    "proxy=": (
        {"arguments": {"endpoint": ENDPOINT, "proxy": "http://proxy:1"}},
        ("proxy", "argument", "Did you mean proxies?"),
    ),
    "max_retries=": (
        {"arguments": {"endpoint": ENDPOINT, "max_retries": 3}},
        ("max_retries", "argument", "Did you mean retry.max_attempts?"),
    ),
    "deadline=": (
        {"arguments": {"endpoint": ENDPOINT, "deadline": 3}},
        ("deadline", "argument", "Did you mean retry.deadline?"),
    ),
    "ALIBABA_CLOUD_* in .env beside OTS_*": (
        {
            "arguments": {"endpoint": ENDPOINT},
            ".env": f"OTS_ACCESS_KEY_ID={ID}\nALIBABA_CLOUD_ACCESS_KEY_SECRET={SECRET}\n",
        },
        (
            "access_key_secret",
            "no source",
            (
                "Did you mean OTS_ACCESS_KEY_SECRET? "
                "ALIBABA_CLOUD_ACCESS_KEY_SECRET counts only in the environment (.env line 2)."
            ),
        ),
    ),
    "misspelt key of a part": (
        {"arguments": {"endpoint": ENDPOINT}, "ots.toml": "[profiles.default.retry]\ndeadlin = 3\n"},
        ("retry.deadlin", "profile [profiles.default] in ots.toml line 2", "Did you mean deadline?"),
    ),
    "misspelt name of the profile": (
        {"environment": {"OTS_PROFIL": "prod"}, "ots.toml": f"[profiles.prod]\nendpoint = '{ENDPOINT}'\n"},
        ("endpoint", "no source", "Did you mean OTS_PROFILE? OTS_PROFIL is set (environment variable OTS_PROFIL)."),
    ),
    "no profile chosen": (
        {"ots.toml": f"[profiles.prod]\nendpoint = '{ENDPOINT}'\n[profiles.test]\n"},
        ("endpoint", "no source", "Choose a profile of ots.toml with profile (OTS_PROFILE): prod, test."),
    ),
    "[prod] instead of [profiles.prod]": (
        {"ots.toml": f"[prod]\nendpoint = '{ENDPOINT}'\n"},
        (
            "endpoint",
            "no source",
            "Write [profiles.prod], not [prod]. It stands outside of every profile (ots.toml line 1).",
        ),
    ),
    "[prod], and it is chosen": (
        {"environment": {"OTS_PROFILE": "prod"}, "ots.toml": f"[prod]\nendpoint = '{ENDPOINT}'\n"},
        ("profile", "environment variable OTS_PROFILE", "Write [profiles.prod], not [prod]."),
    ),
    "settings outside of every profile": (
        {"ots.toml": f"endpoint = '{ENDPOINT}'\n"},
        (
            "endpoint",
            "no source",
            "Write endpoint below [profiles.default]. It stands outside of every profile (ots.toml line 1).",
        ),
    ),
    "profile that does not exist": (
        {"arguments": {"profile": "prd"}, "ots.toml": f"[profiles.prod]\nendpoint = '{ENDPOINT}'\n"},
        ("profile", "argument", "Did you mean prod?"),
    ),
    "profile without any ots.toml": (
        {"arguments": {"profile": "prod"}},
        ("profile", "argument", "Write one, or do not set profile."),
    ),
    "ots.toml that is not TOML": (
        {"arguments": {"endpoint": ENDPOINT}, "ots.toml": "[profiles.default]\nregion = cn-hangzhou\n"},
        ("config_file", "ots.toml", "Correct that line."),
    ),
    "env file that does not exist": (
        {"arguments": {"env_file": "prod.env"}},
        ("env_file", "argument", "Correct the path, or the file's permissions."),
    ),
    "secrets directory that does not exist": (
        {"environment": {"OTS_SECRETS_DIR": "/run/nowhere"}},
        (
            "secrets_dir",
            "environment variable OTS_SECRETS_DIR",
            "Name an existing directory that this process may read.",
        ),
    ),
    "line with a colon": (
        {"arguments": {"endpoint": ENDPOINT}, ".env": "OTS_MAX_CONNECTION: 3\n"},
        ("max_connection", ".env line 1", "Write NAME=value, and close each quote on the line that opens it."),
    ),
    "quote that is not closed": (
        {"arguments": {"endpoint": ENDPOINT, "access_key_id": ID}, ".env": f'OTS_ACCESS_KEY_SECRET="{SECRET}\n'},
        ("access_key_secret", ".env line 1", "Write NAME=value, and close each quote on the line that opens it."),
    ),
    "quotes from docker": (
        {"environment": {"OTS_ENDPOINT": f'"{ENDPOINT}"'}},
        ("endpoint", "environment variable OTS_ENDPOINT", "Remove the quotes: docker's --env-file keeps them."),
    ),
    "quotes around a secret": (
        {
            "arguments": {"endpoint": ENDPOINT},
            "environment": {"OTS_ACCESS_KEY_ID": ID, "OTS_ACCESS_KEY_SECRET": f"'{SECRET}'"},
        },
        (
            "access_key_secret",
            "environment variable OTS_ACCESS_KEY_SECRET",
            "Remove the quotes: docker's --env-file keeps them.",
        ),
    ),
    "variable that was not expanded": (
        {".env": "OTS_ENDPOINT=https://${INSTANCE}.cn-hangzhou.ots.aliyuncs.com\n"},
        ("endpoint", ".env line 1", "Write its value: nothing here expands ${NAME}."),
    ),
    "secret that was not expanded": (
        {"arguments": {"endpoint": ENDPOINT, "access_key_id": ID}, ".env": "OTS_ACCESS_KEY_SECRET=${SECRET}\n"},
        ("access_key_secret", ".env line 1", "Write its value: nothing here expands ${NAME}."),
    ),
    "id and secret exchanged": (
        {
            "arguments": {"endpoint": ENDPOINT},
            "environment": {"OTS_ACCESS_KEY_ID": SECRET, "OTS_ACCESS_KEY_SECRET": ID},
        },
        ("access_key_id", "environment variable OTS_ACCESS_KEY_ID", "Exchange the two."),
    ),
    "id without secret": (
        {"arguments": {"endpoint": ENDPOINT}, "environment": {"OTS_ACCESS_KEY_ID": ID}},
        ("access_key_secret", "no source", "Set access_key_id and access_key_secret together, or neither."),
    ),
    "secret without id": (
        {"arguments": {"endpoint": ENDPOINT}, "environment": {"OTS_ACCESS_KEY_SECRET": SECRET}},
        ("access_key_id", "no source", "Set access_key_id and access_key_secret together, or neither."),
    ),
    "STS. id without token": (
        {
            "arguments": {"endpoint": ENDPOINT},
            "environment": {"OTS_ACCESS_KEY_ID": "STS.NVxAbCdEfGh", "OTS_ACCESS_KEY_SECRET": SECRET},
        },
        (
            "sts_token",
            "no source",
            "Set sts_token where access_key_secret is set (environment variable OTS_ACCESS_KEY_SECRET).",
        ),
    ),
    "token without keys": (
        {"arguments": {"endpoint": ENDPOINT}, "environment": {"OTS_STS_TOKEN": "CAIS"}},
        (
            "sts_token",
            "environment variable OTS_STS_TOKEN",
            "Set access_key_id and access_key_secret together, or neither.",
        ),
    ),
    "token with a line break": (
        {
            "arguments": {
                "endpoint": ENDPOINT,
                "access_key_id": "STS.NVx",
                "access_key_secret": SECRET,
                "sts_token": "CA\nIS",
            }
        },
        ("sts_token", "argument", "Fetch the token again, and pass all of it."),
    ),
    "secret with a space": (
        {"arguments": {"endpoint": ENDPOINT, "access_key_id": ID, "access_key_secret": f"{SECRET} "}},
        ("access_key_secret", "argument", "Copy the AccessKey secret again."),
    ),
    "masked secret": (
        {"arguments": {"endpoint": ENDPOINT, "access_key_id": ID, "access_key_secret": "********"}},
        ("access_key_secret", "argument", "Give the value itself."),
    ),
    "masked id": (
        {"arguments": {"endpoint": ENDPOINT, "access_key_id": "LTAI5t****3456", "access_key_secret": SECRET}},
        ("access_key_id", "argument", "Give the value itself."),
    ),
    "secret of another id": (
        {
            "arguments": {"endpoint": ENDPOINT},
            "environment": {"OTS_ACCESS_KEY_ID": "LTAI5tOther12345678"},
            "prod.env": f"OTS_ACCESS_KEY_ID={ID}\nOTS_ACCESS_KEY_SECRET={SECRET}\n",
        },
        ("access_key_secret", "prod.env line 2", "Set both in the same place."),
    ),
    "endpoint without a scheme": (
        {"environment": {"OTS_ENDPOINT": "demo.cn-hangzhou.ots.aliyuncs.com"}},
        ("endpoint", "environment variable OTS_ENDPOINT", "Write it as https://demo.cn-hangzhou.ots.aliyuncs.com."),
    ),
    "instance instead of the endpoint": (
        {"environment": {"OTS_ENDPOINT": "demo"}},
        (
            "endpoint",
            "environment variable OTS_ENDPOINT",
            "Write it as https://INSTANCE.REGION.ots.aliyuncs.com, as the console shows it.",
        ),
    ),
    "http endpoint": (
        {"environment": {"OTS_ENDPOINT": "http://demo.cn-hangzhou.ots.aliyuncs.com"}},
        (
            "endpoint",
            "environment variable OTS_ENDPOINT",
            "Write https://, or set allow_http (OTS_ALLOW_HTTP) to true if the network is private.",
        ),
    ),
    "endpoint with a path": (
        {"environment": {"OTS_ENDPOINT": f"{ENDPOINT}/demo"}},
        ("endpoint", "environment variable OTS_ENDPOINT", "Give only scheme, host and, if needed, port."),
    ),
    "control plane": (
        {"environment": {"OTS_ENDPOINT": "https://tablestore.cn-hangzhou.aliyuncs.com"}},
        (
            "endpoint",
            "environment variable OTS_ENDPOINT",
            "Use the instance's own endpoint, https://INSTANCE.cn-hangzhou.ots.aliyuncs.com.",
        ),
    ),
    "ost instead of ots": (
        {"environment": {"OTS_ENDPOINT": "https://demo.cn-hangzhou.ost.aliyuncs.com"}},
        ("endpoint", "environment variable OTS_ENDPOINT", "Did you mean https://demo.cn-hangzhou.ots.aliyuncs.com?"),
    ),
    "oss instead of ots": (
        {"environment": {"OTS_ENDPOINT": "https://demo.cn-hangzhou.oss.aliyuncs.com"}},
        ("endpoint", "environment variable OTS_ENDPOINT", "Did you mean https://demo.cn-hangzhou.ots.aliyuncs.com?"),
    ),
    "endpoint of another instance": (
        {"arguments": {"endpoint": ENDPOINT, "instance_name": "other"}},
        ("instance_name", "argument", "Correct one of them, or remove instance_name."),
    ),
    "endpoint of another region": (
        {"arguments": {"endpoint": ENDPOINT, "region": "cn-beijing"}},
        ("region", "argument", "Correct one of them, or remove region."),
    ),
    "zone instead of a region": (
        {"arguments": {"region": "cn-hangzhou-b", "instance_name": "demo"}},
        ("region", "argument", "Did you mean cn-hangzhou?"),
    ),
    "zone of a numbered region": (
        {"arguments": {"region": "ap-southeast-1a", "instance_name": "demo"}},
        ("region", "argument", "Did you mean ap-southeast-1?"),
    ),
    "city instead of a region": (
        {"arguments": {"region": "hangzhou", "instance_name": "demo"}},
        ("region", "argument", "Did you mean cn-hangzhou?"),
    ),
    "misspelt region": (
        {"environment": {"OTS_REGION": "cn-hangzou", "OTS_INSTANCE": "demo"}},
        ("region", "environment variable OTS_REGION", "Did you mean cn-hangzhou?"),
    ),
    "region with an underscore": (
        {"environment": {"OTS_REGION": "cn_hangzhou", "OTS_INSTANCE": "demo"}},
        ("region", "environment variable OTS_REGION", "Did you mean cn-hangzhou?"),
    ),
    "region without instance": (
        {"environment": {"OTS_REGION": "cn-hangzhou"}},
        ("endpoint", "no source", "Set endpoint (OTS_ENDPOINT), or region and instance_name."),
    ),
    "unknown network": (
        {"arguments": {"region": "cn-hangzhou", "instance_name": "demo", "network": "privat"}},
        ("network", "argument", "Choose one of public, vpc, internal, dual-stack."),
    ),
    "milliseconds": (
        {"arguments": {"endpoint": ENDPOINT}, "environment": {"OTS_SOCKET_TIMEOUT": "30000"}},
        ("socket_timeout", "environment variable OTS_SOCKET_TIMEOUT", "Give seconds, as in 50."),
    ),
    "milliseconds of a pair": (
        {"arguments": {"endpoint": ENDPOINT, "socket_timeout": "3000,30000"}},
        ("socket_timeout", "argument", "Give seconds, as in 50."),
    ),
    "time with a unit": (
        {"arguments": {"endpoint": ENDPOINT}, ".env": "OTS_SOCKET_TIMEOUT=30s\n"},
        ("socket_timeout", ".env line 1", "Give a number."),
    ),
    "no retries as zero": (
        {"arguments": {"endpoint": ENDPOINT, "retry": {"max_attempts": 0}}},
        ("retry.max_attempts", "argument", "Give a number of at least 1."),
    ),
    "misspelt policy": (
        {"arguments": {"endpoint": ENDPOINT, "retry": "wrte"}},
        ("retry.policy", "argument", "Did you mean write?"),
    ),
    "number with a unit": (
        {"arguments": {"endpoint": ENDPOINT}, "secrets": {"max_connection": "50 connections"}},
        ("max_connection", "secrets file secrets/max_connection", "Give a whole number."),
    ),
    "huge number": (
        {"arguments": {"endpoint": ENDPOINT, "max_connection": 10**400}},
        ("max_connection", "argument", "Give a number of at most 65535."),
    ),
    "number for a flag": (
        {"arguments": {"endpoint": ENDPOINT, "allow_http": 1}},
        ("allow_http", "argument", "Write true or false."),
    ),
    "misspelt flag": (
        {"arguments": {"endpoint": ENDPOINT}, "environment": {"OTS_CREDENTIALS_CACHE": "ture"}},
        ("credentials_cache", "environment variable OTS_CREDENTIALS_CACHE", "Write true or false."),
    ),
    "V4 without a region": (
        {"arguments": {"endpoint": "https://rows.example.com", "instance_name": "demo", "signature": "v4"}},
        ("signature", "argument", "Set region (OTS_REGION)."),
    ),
    "scheme of a proxy": (
        {"arguments": {"endpoint": ENDPOINT}, "environment": {"OTS_PROXIES": "proxy.example.com:3128"}},
        (
            "proxies",
            "environment variable OTS_PROXIES",
            "Write http://HOST:PORT, or a dictionary with the keys http and https.",
        ),
    ),
    "ARN of a user as a role": (
        {"arguments": {"endpoint": ENDPOINT, "role_arn": "acs:ram::1234567890123456:user/writer"}},
        ("role_arn", "argument", "Write acs:ram::ACCOUNT:role/NAME."),
    ),
    "name of a role as its ARN": (
        {"arguments": {"endpoint": ENDPOINT}, "environment": {"OTS_ROLE_ARN": "writer"}},
        ("role_arn", "environment variable OTS_ROLE_ARN", "Write acs:ram::ACCOUNT:role/NAME."),
    ),
    "duration of a role": (
        {"arguments": {"endpoint": ENDPOINT, "role_arn": ROLE, "role_duration": 60}},
        ("role_duration", "argument", "Give a number of at least 900."),
    ),
    "roles without the last one": (
        {"arguments": {"endpoint": ENDPOINT, "role_via": ROLE}},
        ("role_via", "argument", "Name the last role in role_arn."),
    ),
    "policy that is not JSON": (
        {"arguments": {"endpoint": ENDPOINT, "role_arn": ROLE, "role_policy": "{'Version': '1'}"}},
        ("role_policy", "argument", 'Write it as JSON, {"Version": "1", "Statement": [...]}.'),
    ),
    "expiry without a zone": (
        {
            "arguments": {
                "endpoint": ENDPOINT,
                "access_key_id": ID,
                "access_key_secret": SECRET,
                "sts_token": "t",
                "sts_expiration": "2026-01-31T08:00:00",
            }
        },
        ("sts_expiration", "argument", "Write it with its zone, as in 2026-01-31T08:00:00Z, or as seconds since 1970."),
    ),
    "CA bundle that does not exist": (
        {"arguments": {"endpoint": ENDPOINT, "tls": {"ca_bundle": "/nowhere/ca.pem"}}},
        ("tls.ca_bundle", "argument", "Name a readable PEM file with the certificates of the authorities to trust."),
    ),
    "old TLS": (
        {"arguments": {"endpoint": ENDPOINT, "tls": {"minimum_version": "1.1"}}},
        ("tls.minimum_version", "argument", "Choose one of TLSv1.2, TLSv1.3."),
    ),
    "proxy in a file that nobody named": (
        {"arguments": {"endpoint": ENDPOINT}, ".env": "OTS_PROXIES=http://proxy:1\n"},
        (
            "proxies",
            ".env line 1",
            (
                "Name the file (OTS_ENV_FILE, env_file= or OTS_CONFIG_FILE), "
                "or move the line to ots.toml in your own configuration directory."
            ),
        ),
    ),
    "someone else's endpoint in such a file": (
        {
            ".env": "OTS_ENDPOINT=https://rows.example.com\nOTS_INSTANCE=demo\n",
            "environment": {"OTS_ACCESS_KEY_ID": ID, "OTS_ACCESS_KEY_SECRET": SECRET},
        },
        (
            "endpoint",
            ".env line 1",
            (
                "Name the file (OTS_ENV_FILE, env_file= or OTS_CONFIG_FILE), "
                "or move the line to ots.toml in your own configuration directory."
            ),
        ),
    ),
}
"""What is given where, then field, origin and hint of the error."""

pytestmark = pytest.mark.filterwarnings("ignore::ots_config.settings.SettingsWarning")


def test_there_are_enough_of_them() -> None:
    """The table has at least as many rows as were collected from users."""
    assert len(MISTAKES) >= 56


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake(mistake: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake is one problem, with the setting, its origin and a hint, and no secret."""
    given, expected = MISTAKES[mistake]
    arguments = dict(given.get("arguments", {}))
    for name, value in given.get("environment", {}).items():
        monkeypatch.setenv(name, value)
    for name in given.keys() & {".env", "prod.env", "ots.toml"}:
        write(name, given[name])
        if name == "prod.env":
            arguments["env_file"] = name
    for name, value in given.get("secrets", {}).items():
        write(f"secrets/{name}", value)
        arguments["secrets_dir"] = "secrets"
    with pytest.raises(SettingsError) as caught:
        OTSSettings(**arguments)
    (problem,) = caught.value.problems
    assert (problem.field, problem.origin, problem.hint) == expected
    assert caught.value.hint == problem.hint
    assert SECRET not in str(caught.value)


def test_wrong_settings_are_reported_together() -> None:
    """What would be refused later, by a role or a connection, is refused here with the rest."""
    with pytest.raises(SettingsError) as caught:
        OTSSettings(
            endpoint="https://demo.cn-hangzhou.ost.aliyuncs.com",
            access_key_id=f'"{ID}"',
            access_key_secret=SECRET,
            role_arn="writer",
            role_session_name="x",
            proxies="gopher://proxy:1",
            ecs_endpoint="100.100.100.200",
            retry={"policy": "wrte", "max_attempts": 0},
            socket_timeout=30_000,
        )
    assert [problem.field for problem in caught.value.problems] == [
        *("endpoint", "access_key_id", "socket_timeout", "retry.policy", "retry.max_attempts", "proxies"),
        *("ecs_endpoint", "role_arn", "role_session_name"),
    ]


@pytest.mark.parametrize("region", ["cn-hangzhou-test-306", "ap-southeast-9", "mars-north-1", "cn-hangzhou-lab"])
def test_a_region_may_be_new(region: str) -> None:
    """A region that is not known is used, with a warning where the endpoint is made of it."""
    with pytest.warns(UserWarning, match=r"region \(argument\): it is not one of the regions that are known"):
        assert OTSSettings(region=region, instance_name="demo").region == region


@pytest.mark.parametrize("text", ["a$b", "$", "p${w", "100%", "%s%", "it's", "'", "a'b'"])
def test_what_only_looks_like_a_mistake(text: str) -> None:
    """A secret may contain dollars, percent signs and quotes."""
    settings = OTSSettings(endpoint=ENDPOINT, access_key_id=ID, access_key_secret=text)
    assert settings.access_key_secret is not None
    assert settings.access_key_secret.get_secret_value() == text


def test_keys_of_the_cloud_in_an_env_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count only in the environment: a warning says so, unless other keys or the same variables are there."""
    write(".env", f"ALIBABA_CLOUD_ACCESS_KEY_ID={ID}\nALIBABA_CLOUD_ACCESS_KEY_SECRET={SECRET}\n")
    with pytest.warns(UserWarning, match=r"\.env line \d sets nothing\. Did you mean OTS_ACCESS_KEY_") as seen:
        OTSSettings(endpoint=ENDPOINT)
    assert len(seen) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OTSSettings(endpoint=ENDPOINT, access_key_id=ID, access_key_secret=SECRET)
        for name in ("ID", "SECRET"):
            monkeypatch.setenv(f"ALIBABA_CLOUD_ACCESS_KEY_{name}", SECRET)
        OTSSettings(endpoint=ENDPOINT)
