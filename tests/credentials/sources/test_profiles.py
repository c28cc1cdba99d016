"""The Aliyun CLI's profiles, every mode of them."""

from __future__ import annotations

import json
import logging
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ots_config.credentials.profiles import ProfileProvider
from ots_config.credentials.sts import Pace
from ots_config.errors import CredentialsRefused, CredentialsUnavailable

ROLE = "acs:ram::1234567890123:role/firstrole"
AK = {"name": "default", "mode": "AK", "access_key_id": "LTAI", "access_key_secret": "MARKEDs"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the CLI keeps its profiles in a home."""
    path = tmp_path / ".aliyun" / "config.json"
    path.parent.mkdir()
    return path


@pytest.fixture
def write(path: Path) -> Any:
    """Return what writes profiles as the CLI does."""

    def write(*profiles: dict[str, Any], current: Any = "default", to: Path = path) -> Path:
        to.write_text(json.dumps({"current": current, "profiles": profiles, "meta_path": ""}))
        to.chmod(0o600)
        return to

    return write


@pytest.fixture
def cli(fetch: Any, pace: Pace, tmp_path: Path, cloud: Any) -> Any:
    """Return what makes a provider in that home, whose STS and sign-in services are the cloud's."""

    def diverted(method: str, url: str, **options: Any) -> Any:
        for site in ("https://oauth.aliyun.com", "https://oauth.alibabacloud.com"):
            url = url.replace(site, cloud.url)
        return fetch(method, url, **options)

    def make(**options: Any) -> ProfileProvider:
        environ = {"ALIBABA_CLOUD_STS_ENDPOINT": cloud.url, **options.pop("environ", {})}
        return ProfileProvider(fetch=diverted, pace=pace, home=tmp_path, environ=environ, **options)

    return make


# --- which file, which profile --------------------------------------------------------------------------------


def test_which_profile(write: Any, cli: Any) -> None:
    """An argument goes before ALIBABA_CLOUD_PROFILE, that before the current one; without current it is default."""
    profiles = [{**AK, "name": name, "access_key_id": name} for name in ("default", "a", "b", "c")]
    write(*profiles, current="a")
    environ = {"ALIBABA_CLOUD_PROFILE": "b"}
    assert cli().fetch_credentials().access_key_id == "a"
    assert cli(environ=environ).fetch_credentials().access_key_id == "b"
    keys = cli(environ=environ, profile="c").fetch_credentials()
    assert (keys.access_key_id, keys.source) == ("c", "profile c")
    write(*profiles, current="")
    assert cli().fetch_credentials().access_key_id == "default"


def test_which_file(write: Any, cli: Any, tmp_path: Path) -> None:
    """An argument goes before ALIBABA_CLOUD_CONFIG_FILE, that before the home."""
    for name in ("argument", "variable"):
        write({**AK, "access_key_id": name}, to=tmp_path / name)
    write({**AK, "access_key_id": "home"})
    environ = {"ALIBABA_CLOUD_CONFIG_FILE": str(tmp_path / "variable")}
    assert cli(environ=environ, path=tmp_path / "argument").fetch_credentials().access_key_id == "argument"
    assert cli(environ=environ).fetch_credentials().access_key_id == "variable"
    assert cli().fetch_credentials().access_key_id == "home"


def test_the_home_is_found_when_asked(write: Any, fetch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOME counts as it is when credentials are fetched, not as it was at import."""
    provider = ProfileProvider(fetch=fetch)
    with pytest.raises(CredentialsUnavailable):
        provider.fetch_credentials()
    write(AK)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert provider.fetch_credentials().access_key_id == "LTAI"


@pytest.mark.parametrize("name", ["ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "ALIBABA_CLOUD_IGNORE_PROFILE"])
def test_switched_off(write: Any, cli: Any, path: Path, name: str) -> None:
    """Two variables switch the source off; what is named by argument is used all the same."""
    write(AK)
    with pytest.raises(CredentialsUnavailable, match=f"{name} switches it off"):
        cli(environ={name: "TRUE"}).fetch_credentials()
    assert cli(environ={name: "TRUE"}, profile="default").fetch_credentials().access_key_id == "LTAI"
    assert cli(environ={name: "TRUE"}, path=path).fetch_credentials().access_key_id == "LTAI"
    assert cli(environ={name: "false"}).fetch_credentials().access_key_id == "LTAI"


def test_what_does_not_apply(write: Any, cli: Any) -> None:
    """No file, no such profile, an empty profile as the CLI leaves one: a chain goes on."""
    with pytest.raises(CredentialsUnavailable, match="does not exist"):
        cli().fetch_credentials()
    write({**AK, "name": "other"}, current="")
    with pytest.raises(CredentialsUnavailable, match="has no profile default; it has other"):
        cli().fetch_credentials()
    with pytest.raises(CredentialsUnavailable, match="has no profile named"):
        cli(environ={"ALIBABA_CLOUD_PROFILE": "named"}).fetch_credentials()
    write(current="")
    with pytest.raises(CredentialsUnavailable, match="has no profile default; it has none"):
        cli().fetch_credentials()
    write({"name": "default", "mode": "AK", "access_key_id": "", "access_key_secret": ""})
    with pytest.raises(CredentialsUnavailable, match="holds no keys yet"):
        cli().fetch_credentials()


def test_what_somebody_asked_for_must_be_there(write: Any, cli: Any) -> None:
    """A profile or a file that an argument, a variable or the file itself names is a failure if it is not there."""
    write({**AK, "name": "other"}, current="gone")
    with pytest.raises(CredentialsRefused, match="has no profile gone"):
        cli().fetch_credentials()
    with pytest.raises(CredentialsRefused, match="has no profile named"):
        cli(profile="named").fetch_credentials()
    with pytest.raises(CredentialsRefused, match="does not exist"):
        cli(environ={"ALIBABA_CLOUD_CONFIG_FILE": "/does/not/exist"}).fetch_credentials()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"current": "MARKED', "is no JSON: Unterminated string starting at at line 1, column 13"),
        ("[]", "holds no JSON object"),
        ("[" * 100_000, "is no JSON"),
        ("", "is no JSON"),
    ],
    ids=["broken", "list", "deep", "empty"],
)
def test_files_that_are_no_configuration(path: Path, cli: Any, text: str, told: str, sealed: Any) -> None:
    """A broken file is a refusal with line and column, and nothing of its content."""
    path.write_text(text)
    with pytest.raises(CredentialsRefused, match=told) as caught:
        cli().fetch_credentials()
    sealed(caught.value)


def test_odd_entries_are_passed_over(path: Path, cli: Any) -> None:
    """Entries that are no profiles do no harm, and of two with one name the first counts."""
    second = {**AK, "access_key_id": "second"}
    path.write_text(json.dumps({"profiles": [None, 5, {"mode": "AK"}, {"name": 7}, AK, second]}))
    path.chmod(0o600)
    assert cli().fetch_credentials().access_key_id == "LTAI"


def test_the_file_is_read_when_it_changes_and_never_written(write: Any, cli: Any) -> None:
    """A replaced key is the next one; the file stays as the CLI wrote it."""
    written = write(AK)
    provider = cli()
    assert provider.fetch_credentials().access_key_id == "LTAI"
    before = written.read_bytes()
    write({**AK, "access_key_id": "replaced"})
    assert provider.fetch_credentials().access_key_id == "replaced"
    assert written.read_bytes() == before.replace(b"LTAI", b"replaced")
    assert provider.paths == (written,)


def test_a_file_that_others_can_read_is_warned_about_once(
    write: Any, cli: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning for a file with secrets; none for one without."""
    written = write({"name": "default", "mode": "EcsRamRole"})
    written.chmod(0o644)
    cli().describe()
    assert not caplog.records
    write({"name": "default", "mode": "EcsRamRole"}, {**AK, "name": "other"}).chmod(0o640)
    for _ in range(3):
        cli().describe()
    assert [record.getMessage() for record in caplog.records] == [
        f"{written} holds secrets and other users can read or change it (mode 640): chmod 600 it"
    ]


# --- keys in the file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["AK", "ak", None])
def test_permanent_keys(write: Any, cli: Any, mode: str | None) -> None:
    """Mode AK, in any case or left out; a token that is left over from another mode is not used."""
    write({**AK, "mode": mode, "sts_token": "" if mode is None else "MARKEDold"})
    keys = cli().fetch_credentials()
    assert (keys.access_key_id, keys.access_key_secret, keys.sts_token) == ("LTAI", "MARKEDs", None)


@pytest.mark.parametrize("mode", ["StsToken", "ststoken"])
def test_temporary_keys(write: Any, cli: Any, mode: str) -> None:
    """Mode StsToken needs a token, and has an end if the file says one."""
    write({**AK, "mode": mode, "sts_token": "MARKEDt"})
    keys = cli().fetch_credentials()
    assert (keys.sts_token, keys.expires_at) == ("MARKEDt", None)
    write({**AK, "mode": mode, "sts_token": "MARKEDt", "sts_expiration": 1893553445})
    assert cli().fetch_credentials().expires_at.timestamp() == 1893553445


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"access_key_id": ""}, "access_key_id is empty"),
        ({"access_key_id": "MARKED key"}, "cannot be used: access_key_id must be"),
        ({"mode": "StsToken"}, "sts_token is empty"),
        (
            {"mode": "BearerToken", "bearer_token": "MARKED"},
            "mode BearerToken cannot be used: Tablestore knows no bearer",
        ),
        ({"mode": "Anonymous"}, "nobody anonymously"),
        ({"mode": "RsaKeyPair", "private_key": "MARKED"}, "key pairs are deprecated"),
        ({"mode": "Other"}, "mode Other cannot be used: no such mode is known"),
        ({"mode": "RamRoleArn", "ram_role_arn": "x"}, "no role's ARN"),
        ({"mode": "RamRoleArn", "access_key_id": "", "access_key_secret": ""}, "holds no keys yet"),
        ({"mode": "RamRoleArn", "ram_role_arn": ROLE, "expired_seconds": 60}, "900 to 43200"),
        ({"mode": "RamRoleArn", "ram_role_arn": ROLE, "sts_endpoint": "http://example.com"}, "plain http"),
        ({"mode": "OIDC", "ram_role_arn": ROLE}, "oidc_provider_arn and oidc_token_file are empty"),
        ({"mode": "OIDC", "ram_role_arn": ROLE, "oidc_provider_arn": "p"}, "oidc_token_file is empty"),
        ({"mode": "CredentialsURI"}, "credentials_uri is empty"),
        ({"mode": "External", "process_command": " "}, "process_command is empty"),
        ({"mode": "CloudSSO"}, "cloud_sso_sign_in_url is not set"),
        ({"mode": "CloudSSO", "cloud_sso_sign_in_url": "http://sso.example.com/MARKED"}, "plain http"),
        ({"mode": "OAuth", "oauth_site_type": "EU"}, "neither CN nor INTL"),
        (
            {"mode": "OAuth"},
            "there is no sign-in; sign in again with `aliyun configure --mode OAuth --profile default`",
        ),
        ({"mode": "ChainableRamRoleArn", "ram_role_arn": ROLE}, r"relies on profile \(none\), which is not there"),
        ({"mode": "ChainableRamRoleArn", "source_profile": "gone"}, "relies on profile gone, which is not there"),
    ],
)
def test_profiles_that_yield_no_keys(write: Any, cli: Any, fields: dict[str, Any], told: str, sealed: Any) -> None:
    """What is configured and cannot be used is a refusal that names profile and file and shows no value."""
    write({**AK, **fields})
    with pytest.raises(CredentialsRefused, match=f"^profile default in .*config.json: .*{told}") as caught:
        cli().fetch_credentials()
    sealed(caught.value)


# --- roles ------------------------------------------------------------------------------------------------------


def role(marked: Any, **fields: Any) -> dict[str, Any]:
    """Return a profile of mode RamRoleArn that the cloud accepts."""
    return {
        "name": "default",
        "mode": "RamRoleArn",
        "access_key_id": "testid",
        "access_key_secret": marked.SECRET,
        "ram_role_arn": ROLE,
        **fields,
    }


def test_a_role(write: Any, cli: Any, cloud: Any, marked: Any) -> None:
    """Mode RamRoleArn sends everything that the profile says."""
    write(role(marked, ram_session_name="job", expired_seconds=900, policy='{"Version": "1"}', external_id="outside"))
    keys = cli().fetch_credentials()
    form = cloud.asked[0].form
    assert (form["RoleArn"], form["RoleSessionName"], form["DurationSeconds"]) == (ROLE, "job", "900")
    assert (form["Policy"], form["ExternalId"]) == ('{"Version": "1"}', "outside")
    assert (keys.sts_token, keys.source) == (marked.NEW_TOKEN, "profile default/assume_role/profile")
    assert ROLE in cli().describe()


def test_a_role_assumed_with_temporary_keys(write: Any, cli: Any, cloud: Any, marked: Any) -> None:
    """A token in a profile of mode RamRoleArn is the source's, and 0 seconds are an hour."""
    cloud.known["testid"] = (marked.SECRET, marked.TOKEN)
    write(role(marked, mode="ramrolearn", sts_token=marked.TOKEN, expired_seconds=0))
    cli().fetch_credentials()
    form = cloud.asked[0].form
    assert (form["SecurityToken"], form["DurationSeconds"]) == (marked.TOKEN, "3600")


@pytest.mark.parametrize(
    ("fields", "host"),
    [
        ({"sts_region": "cn-beijing"}, "sts.cn-beijing.aliyuncs.com"),
        ({"sts_region": "cn-beijing", "enable_vpc": True}, "sts-vpc.cn-beijing.aliyuncs.com"),
        ({"sts_region": "cn-beijing", "enable_vpc": "true"}, "sts-vpc.cn-beijing.aliyuncs.com"),
        ({"sts_region": "cn-beijing", "enable_vpc": False}, "sts.cn-beijing.aliyuncs.com"),
        ({"sts_endpoint": "sts.example.com"}, "sts.example.com"),
        ({}, "sts.aliyuncs.com"),
    ],
)
def test_the_address_of_a_role(
    write: Any, marked: Any, path: Path, pace: Pace, fields: dict[str, Any], host: str
) -> None:
    """The profile's region, VPC switch and endpoint choose where STS is asked."""
    asked: list[str] = []

    def looking(_method: str, url: str, **_options: Any) -> Any:
        asked.append(url)
        raise OSError

    write(role(marked, **fields))
    with pytest.raises(CredentialsRefused):
        ProfileProvider(fetch=looking, path=path, environ={}, pace=pace).fetch_credentials()
    assert set(asked) == {f"https://{host}/"}


def test_chains_of_roles(write: Any, cli: Any, cloud: Any, marked: Any) -> None:
    """Mode ChainableRamRoleArn assumes its role with what its source profile yields, over several links."""
    second, third = "acs:ram::2:role/second", "acs:ram::3:role/third"
    write(
        role(marked, name="base"),
        {"name": "middle", "mode": "ChainableRamRoleArn", "source_profile": "base", "ram_role_arn": second},
        {"name": "default", "mode": "chainableramrolearn", "source_profile": "middle", "ram_role_arn": third},
    )
    keys = cli().fetch_credentials()
    assert [asked.form["RoleArn"] for asked in cloud.asked] == [ROLE, second, third]
    assert keys.source == "profile default/assume_role/assume_role/assume_role/profile"


@pytest.mark.parametrize(
    ("links", "told"),
    [
        ({"default": "default"}, "default -> default"),
        ({"default": "a", "a": "b", "b": "a"}, "default -> a -> b -> a"),
    ],
    ids=["itself", "circle"],
)
def test_circles_are_refused(write: Any, cli: Any, links: dict[str, str], told: str) -> None:
    """Profiles that rely on each other are refused with the path, and end in no recursion."""
    write(
        *(
            {"name": name, "mode": "ChainableRamRoleArn", "source_profile": source, "ram_role_arn": ROLE}
            for name, source in links.items()
        )
    )
    with pytest.raises(CredentialsRefused, match=f"in a circle: {told}$"):
        cli().fetch_credentials()


def test_refusals_of_sts_say_which_profile(write: Any, cli: Any, marked: Any, sealed: Any) -> None:
    """Profile and file lead the message; code and request id stay with the error."""
    write(role(marked, access_key_secret="MARKEDwrong"))
    with pytest.raises(CredentialsRefused, match=r"^profile default in .*SignatureDoesNotMatch") as caught:
        cli().fetch_credentials()
    assert (caught.value.code, caught.value.http_status) == ("SignatureDoesNotMatch", 400)
    sealed(caught.value)


def test_oidc(write: Any, cli: Any, cloud: Any, tmp_path: Path) -> None:
    """Mode OIDC reads the session name under the CLI's name for it, which a peer does not."""
    token = tmp_path / "token"
    token.write_text("MARKEDtoken\n")
    write(
        {
            "name": "default",
            "mode": "OIDC",
            "oidc_provider_arn": "acs:p",
            "oidc_token_file": str(token),
            "ram_role_arn": ROLE,
            "ram_session_name": "from-cli",
            "expired_seconds": 1000,
        }
    )
    assert cli().fetch_credentials().source == "profile default/oidc"
    form = cloud.asked[0].form
    assert (form["RoleSessionName"], form["DurationSeconds"], form["OIDCToken"]) == ("from-cli", "1000", "MARKEDtoken")


@pytest.mark.parametrize("mode", ["EcsRamRole", "RamRoleArnWithRoleName"])
def test_the_role_of_the_instance(write: Any, cli: Any, cloud: Any, mode: str) -> None:
    """Mode EcsRamRole asks the metadata service; RamRoleArnWithRoleName assumes another role with what it gave."""
    keys_path = "/latest/meta-data/ram/security-credentials/worker"
    cloud.routes["/latest/api/token"] = lambda _asked: cloud.answer(200, b"token")
    cloud.routes[keys_path] = lambda _asked: cloud.answer(200, {"Code": "Success", **cloud.keys()})
    write({"name": "default", "mode": mode, "ram_role_name": "worker", "ram_role_arn": ROLE})
    provider = cli(environ={"ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT": cloud.url})
    keys = provider.fetch_credentials()
    provider.fetch_credentials()
    assert [asked.path for asked in cloud.asked].count("/latest/api/token") == 1
    assert keys.source == ("profile default/ecs" if mode == "EcsRamRole" else "profile default/assume_role/ecs")


def test_a_profile_of_an_instance_does_not_drift_on(write: Any, cli: Any) -> None:
    """Off the cloud, a profile of mode EcsRamRole is a refusal: it is configured."""
    write({"name": "default", "mode": "EcsRamRole"})
    with pytest.raises(CredentialsRefused, match="gave no answer"):
        cli(environ={"ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}).fetch_credentials()


def test_credentials_uri_and_external(write: Any, cli: Any, cloud: Any) -> None:
    """Modes CredentialsURI and External ask the URL and run the program."""
    cloud.routes["/keys"] = lambda _asked: cloud.answer(200, {"Code": "Success", **cloud.keys()})
    write({"name": "default", "mode": "CredentialsURI", "credentials_uri": f"{cloud.url}/keys"})
    assert cli().fetch_credentials().source == "profile default/uri"
    text = "import json; print(json.dumps({'mode': 'AK', 'access_key_id': 'x', 'access_key_secret': 's'}))"
    write({"name": "default", "mode": "External", "process_command": f'"{sys.executable}" -S -c "{text}"'})
    assert cli().fetch_credentials().source == "profile default/process"
    with pytest.raises(CredentialsRefused, match="forbids to run"):
        cli(environ={"ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS": "1"}).fetch_credentials()


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
    assert (keys.sts_token, keys.source) == (marked.NEW_TOKEN, "profile default/cloud_sso")
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
    write: Any, cli: Any, cloud: Any, fields: dict[str, Any], reply: Any, told: str, sealed: Any
) -> None:
    """A sign-in that has ended says how to renew it; nothing secret is told."""
    write(sign_in(cloud, **fields))
    if reply:
        cloud.next = [cloud.answer(*reply)]
    with pytest.raises(CredentialsRefused, match=told) as caught:
        cli().fetch_credentials()
    assert len(cloud.asked) == (1 if reply else 0)
    sealed(caught.value)


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
    assert (keys.sts_token, keys.source) == (marked.NEW_TOKEN, "profile default/oauth")
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


def test_oauth_that_cannot_be_renewed(write: Any, cli: Any, oauth: OAuth, sealed: Any) -> None:
    """While the access token lives it is used; then the error says how to sign in again, without the tokens."""
    oauth.refresh = "MARKEDrotated"
    write(signed_in(oauth_access_token_expire=int(time.time()) + 60))
    assert cli().fetch_credentials().access_key_id
    write(signed_in(oauth_access_token_expire=1))
    with pytest.raises(
        CredentialsRefused, match=r"invalid_grant: refresh token \*\*\*\* was revoked; sign in again"
    ) as caught:
        cli().fetch_credentials()
    sealed(caught.value)
    kept = {"access_key_id": "STS.kept", "access_key_secret": "MARKEDs", "sts_token": "MARKEDt"}
    write(signed_in(oauth_access_token_expire=1, sts_expiration=int(time.time()) + 300, **kept))
    assert cli().fetch_credentials().access_key_id == "STS.kept"
    for reply in ((200, {"access_token": ""}), (200, b"<html>MARKED"), (503, b"MARKED")):
        oauth.cloud.next = [oauth.cloud.answer(*reply)]
        write(signed_in(oauth_access_token_expire=1))
        with pytest.raises(CredentialsRefused, match="the OAuth service") as caught:
            cli().fetch_credentials()
        sealed(caught.value)


@pytest.mark.usefixtures("oauth")
def test_a_copy_has_no_secrets_of_the_file(write: Any, cli: Any, path: Path) -> None:
    """What travels in a pickle is which profile of which file, and nothing that was read or renewed."""
    write(signed_in(oauth_access_token_expire=1), {**AK, "name": "plain"})
    provider = ProfileProvider(fetch=None, path=path, profile="plain", environ={})  # type: ignore[arg-type]
    provider.fetch_credentials()
    assert b"MARKED" not in pickle.dumps(provider)
    provider = cli()
    provider.fetch_credentials()
    state = provider.__getstate__()
    assert "MARKED" not in repr({name: vars(value) if name == "_sources" else value for name, value in state.items()})
    assert state["_sources"].__getstate__()["_sign_ins"] == {}


def test_what_it_says_of_itself(write: Any, cli: Any, path: Path) -> None:
    """Descriptions tell the file and the profile, and where the profile leads; never keys."""
    assert cli().describe() == f"the current profile in {path}"
    assert cli(profile="dev").describe() == f"profile dev in {path}"
    write({**AK, "access_key_id": "abcdefgh"})
    assert cli().describe() == f"profile default in {path}: profile ab****"
    assert repr(cli()) == f"<ProfileProvider: current in {path}>"
    assert cli(environ={"ALIBABA_CLOUD_IGNORE_PROFILE": "1"}).describe() == f"the current profile in {path}"
