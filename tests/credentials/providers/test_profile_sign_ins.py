"""The Aliyun CLI's profiles of people who signed in: CloudSSO and OAuth."""

from __future__ import annotations

import json
import logging
import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from ots_config.credentials.providers.aliyun_cli import ProfileProvider
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


class OAuth:
    """The console's sign-in service."""

    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud
        self.number = 0
        self.refresh, self.access = "MARKEDrefresh0", "MARKEDaccess0"
        cloud.routes["/v1/token"] = self.token
        cloud.routes["/v1/exchange"] = self.exchange

    def token(self, asked: Any) -> Any:
        """Renew the tokens."""
        form = asked.form
        assert form["grant_type"] == "refresh_token"
        assert form["client_id"] in {"4038181954557748008", "4103531455503354461"}
        assert form["Timestamp"].endswith("Z")
        if form["refresh_token"] != self.refresh:
            text = f"refresh token {form['refresh_token']} was revoked"
            return self.cloud.answer(400, {"error": "invalid_grant", "error_description": text, "requestId": "R-3"})
        self.number += 1
        self.refresh, self.access = f"MARKEDrefresh{self.number}", f"MARKEDaccess{self.number}"
        return self.cloud.answer(
            200,
            {"access_token": self.access, "refresh_token": self.refresh, "expires_in": 3600, "token_type": "Bearer"},
        )

    def exchange(self, asked: Any) -> Any:
        """Hand out keys."""
        if asked.headers["authorization"] != f"Bearer {self.access}":
            return self.cloud.answer(401, {"error": "invalid_token"})
        keys = self.cloud.keys()
        return self.cloud.answer(200, {name[0].lower() + name[1:]: value for name, value in keys.items()})

    def paths(self) -> list[str]:
        """Return what was asked since the last time."""
        told = [asked.path for asked in self.cloud.asked]
        self.cloud.asked.clear()
        return told


@pytest.fixture
def oauth(cloud: Any) -> OAuth:
    """Return the sign-in service."""
    return OAuth(cloud)


def signed_in(**fields: Any) -> dict[str, Any]:
    """Return a profile of mode OAuth."""
    return {
        "name": "default",
        "mode": "OAuth",
        "oauth_site_type": "INTL",
        "oauth_access_token": "MARKEDaccess0",
        "oauth_access_token_expire": int(time.time()) + 3600,
        "oauth_refresh_token": "MARKEDrefresh0",
        **fields,
    }


def test_oauth(write: Any, cli: Any, oauth: OAuth, marked: Any) -> None:
    """An access token that lives is exchanged for keys, whatever the case of the names in the answer."""
    write(signed_in())
    keys = cli().fetch_credentials()
    assert (keys.get_security_token(), keys.source) == (marked.NEW_TOKEN, "profile default/oauth")
    assert oauth.paths() == ["/v1/exchange"]


def test_oauth_tokens_are_renewed_in_memory(
    write: Any, cli: Any, oauth: OAuth, caplog: pytest.LogCaptureFixture
) -> None:
    """An access token near its end is renewed; the new refresh token is kept, told of in the log, and not written."""
    caplog.set_level(logging.INFO)
    written = write(signed_in(oauth_access_token_expire=int(time.time()) + 60))
    before = written.read_bytes()
    provider = cli()
    provider.fetch_credentials()
    assert oauth.paths() == ["/v1/token", "/v1/exchange"]
    provider.fetch_credentials()
    assert oauth.paths() == ["/v1/exchange"]
    assert "the new one is kept in memory only" in caplog.text
    assert "MARKED" not in caplog.text
    assert written.read_bytes() == before
    write(signed_in(oauth_access_token_expire=int(time.time()) + 60), AK | {"name": "another"})
    provider.fetch_credentials()
    assert oauth.paths() == ["/v1/exchange"]


def test_oauth_follows_a_new_sign_in(write: Any, cli: Any, oauth: OAuth) -> None:
    """When the CLI writes other tokens, those are used."""
    write(signed_in(oauth_access_token_expire=int(time.time()) + 60))
    provider = cli()
    provider.fetch_credentials()
    oauth.refresh, oauth.access = "MARKEDother", "MARKEDanother"
    write(signed_in(oauth_refresh_token="MARKEDother", oauth_access_token="MARKEDanother"))
    oauth.paths()
    provider.fetch_credentials()
    assert oauth.paths() == ["/v1/exchange"]


def test_oauth_access_token_that_is_refused_is_renewed_once(write: Any, cli: Any, oauth: OAuth) -> None:
    """A 401 renews the tokens and exchanges once more."""
    oauth.access = "MARKEDelsewhere"
    write(signed_in())
    assert cli().fetch_credentials().access_key_id
    assert oauth.paths() == ["/v1/exchange", "/v1/token", "/v1/exchange"]


def test_oauth_that_cannot_be_renewed(write: Any, cli: Any, oauth: OAuth, shows_no_secret: Any) -> None:
    """While the access token lives it is used; then the error says how to sign in again, without the tokens."""
    oauth.refresh = "MARKEDrotated"
    write(signed_in(oauth_access_token_expire=int(time.time()) + 60))
    assert cli().fetch_credentials().access_key_id
    write(signed_in(oauth_access_token_expire=1))
    with pytest.raises(
        CredentialsRefused, match=r"invalid_grant: refresh token \*\*\*\* was revoked; sign in again"
    ) as caught:
        cli().fetch_credentials()
    shows_no_secret(caught.value)
    kept = {"access_key_id": "STS.kept", "access_key_secret": "MARKEDs", "sts_token": "MARKEDt"}
    write(signed_in(oauth_access_token_expire=1, sts_expiration=int(time.time()) + 300, **kept))
    assert cli().fetch_credentials().access_key_id == "STS.kept"
    for reply in ((200, {"access_token": ""}), (200, b"<html>MARKED"), (503, b"MARKED")):
        oauth.cloud.next = [oauth.cloud.answer(*reply)]
        write(signed_in(oauth_access_token_expire=1))
        with pytest.raises(CredentialsRefused, match="the OAuth service") as caught:
            cli().fetch_credentials()
        shows_no_secret(caught.value)


@pytest.mark.usefixtures("oauth")
def test_a_copy_has_no_secrets_of_the_file(write: Any, cli: Any, path: Path) -> None:
    """What travels in a pickle is which profile of which file, and nothing that was read or renewed."""
    write(signed_in(oauth_access_token_expire=1), {**AK, "name": "plain"})
    provider = ProfileProvider(fetch=None, path=path, profile="plain")  # type: ignore[arg-type]
    provider.fetch_credentials()
    assert b"MARKED" not in pickle.dumps(provider)
    provider = cli()
    provider.fetch_credentials()
    state = provider.__getstate__()
    assert "MARKED" not in repr(state)
    assert state["_sign_ins"] == {}
