"""The Aliyun CLI's profiles of people who signed in to CloudSSO."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ots_config.errors import CredentialsRefused

AK = {"name": "default", "mode": "AK", "access_key_id": "LTAI", "access_key_secret": "MARKEDs"}


# --- sign-ins ---------------------------------------------------------------------------------------------------


def sign_in(cloud: Any, **fields: Any) -> dict[str, Any]:
    """Return a profile of mode CloudSSO."""
    return {
        "name": "default",
        "mode": "CloudSSO",
        "cloud_sso_sign_in_url": f"{cloud.url}/start/login?x=1",
        "cloud_sso_account_id": "1234",
        "cloud_sso_access_config": "ac-1",
        "access_token": "MARKEDaccess",
        "cloud_sso_access_token_expire": int(time.time()) + 3600,
        **fields,
    }


def test_cloud_sso(write: Any, cli: Any, cloud: Any, marked: Any) -> None:
    """The access token of the sign-in buys keys of the access configuration."""
    cloud.routes["/cloud-credentials"] = lambda _asked: cloud.answer(
        200, {"CloudCredential": cloud.keys(), "RequestId": "R"}
    )
    write(sign_in(cloud))
    keys = cli().fetch_credentials()
    assert (keys.get_security_token(), keys.source) == (marked.NEW_TOKEN, "profile default/cloud_sso")
    (asked,) = cloud.asked
    assert (asked.method, asked.path, asked.headers["authorization"]) == (
        "POST",
        "/cloud-credentials",
        "Bearer MARKEDaccess",
    )
    assert json.loads(asked.body) == {"AccountId": "1234", "AccessConfigurationId": "ac-1"}
    assert "ac-1 of account 1234" in cli().describe()


@pytest.mark.parametrize(
    ("fields", "reply", "told"),
    [
        (
            {"cloud_sso_access_token_expire": 1},
            None,
            "sign-in has ended: sign in again with `aliyun configure --mode Cloud",
        ),
        ({"access_token": ""}, None, "sign-in was never done"),
        (
            {},
            (401, {"ErrorCode": "Expired", "ErrorMessage": "MARKEDaccess is old"}),
            r"Expired: \*\*\*\* is old.*sign in",
        ),
        ({}, (403, {"ErrorCode": "Denied", "ErrorMessage": "no", "RequestId": "R-9"}), "Denied: no .*request R-9"),
        ({}, (200, {"CloudCredential": {"AccessKeyId": "x"}}), "gave no access key secret"),
        ({}, (200, {"CloudCredential": None}), "gave no access key id"),
        ({}, (200, b"<html>MARKED"), "a web page"),
    ],
    ids=["ended", "never", "401", "403", "half", "none", "html"],
)
def test_cloud_sso_without_keys(
    write: Any, cli: Any, cloud: Any, fields: dict[str, Any], reply: Any, told: str, shows_no_secret: Any
) -> None:
    """A sign-in that has ended says how to renew it; nothing secret is told."""
    write(sign_in(cloud, **fields))
    if reply:
        cloud.next = [cloud.answer(*reply)]
    with pytest.raises(CredentialsRefused, match=told) as caught:
        cli().fetch_credentials()
    assert len(cloud.asked) == (1 if reply else 0)
    shows_no_secret(caught.value)


def test_keys_that_the_cli_left_are_used_while_they_live(write: Any, cli: Any, cloud: Any) -> None:
    """Keys in the profile with an hour to go need no request; near their end new ones are fetched if that can be."""
    kept = {"access_key_id": "STS.kept", "access_key_secret": "MARKEDs", "sts_token": "MARKEDt"}
    write(sign_in(cloud, **kept, sts_expiration=int(time.time()) + 3600))
    assert cli().fetch_credentials().access_key_id == "STS.kept"
    assert not cloud.asked
    cloud.next = [cloud.answer(200, {"CloudCredential": cloud.keys()})]
    write(sign_in(cloud, **kept, sts_expiration=int(time.time()) + 600))
    assert cli().fetch_credentials().access_key_id == "STS.Handed1"
    ended = {"cloud_sso_access_token_expire": 1, "sts_expiration": int(time.time()) + 600}
    write(sign_in(cloud, **kept, **ended))
    assert cli().fetch_credentials().access_key_id == "STS.kept"
