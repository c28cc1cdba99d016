"""The Aliyun CLI's profiles that lead to a role or to another source."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ots_config.credentials.providers.aliyun_cli import ProfileProvider
from ots_config.credentials.sts import Pace
from ots_config.errors import CredentialsRefused

ROLE = "acs:ram::1234567890123:role/firstrole"


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
    assert (keys.get_security_token(), keys.source) == (marked.NEW_TOKEN, "profile default/assume_role/profile")
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
        ProfileProvider(fetch=looking, path=path, pace=pace).fetch_credentials()
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


def test_refusals_of_sts_say_which_profile(write: Any, cli: Any, marked: Any, shows_no_secret: Any) -> None:
    """Profile and file lead the message; code and request id stay with the error."""
    write(role(marked, access_key_secret="MARKEDwrong"))
    with pytest.raises(CredentialsRefused, match=r"^profile default in .*SignatureDoesNotMatch") as caught:
        cli().fetch_credentials()
    assert (caught.value.code, caught.value.http_status) == ("SignatureDoesNotMatch", 400)
    shows_no_secret(caught.value)


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
    with pytest.raises(CredentialsRefused, match="forbids running"):
        cli(environ={"ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS": "1"}).fetch_credentials()
