"""Each source is reached by arguments, ``OTS_*`` variables, a profile of ``ots.toml`` and the cloud's own names."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from ots_config import (
    CredentialsRefused,
    Emulator,
    OTSSettings,
    SettingsError,
    create_client,
    create_provider,
)
from ots_config.request.fetcher import Fetcher
from tests.credentials.fakes import toml

ROLE = "acs:ram::1234567890123456:role/writer"
FIRST = "acs:ram::1234567890123456:role/first"
OIDC = "acs:ram::1234567890123456:oidc-provider/ack"
POLICY = '{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ots:*", "Resource": "*"}]}'
NAMES = ("environment", "process", "oidc", "keyring", "profile", "ini", "uri", "ecs")

Way = Callable[[Mapping[str, Any], Mapping[str, str]], OTSSettings]


class Recorder:
    """A fetch that keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._fetch = Fetcher()

    def __call__(self, method: str, url: str, **options: Any) -> Any:
        """Send it on."""
        form = dict(parse_qsl((options.get("body") or b"").decode()))
        self.asked.append((f"{method} {url}", form))
        return self._fetch(method, url, **options)


@pytest.fixture
def fetch() -> Recorder:
    """Give a fetch that keeps what was asked."""
    return Recorder()


@pytest.fixture(params=["arguments", "variables", "toml", "cloud"])
def way(request: pytest.FixtureRequest, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Way:
    """Give each way to say the same; the last with the names that Alibaba Cloud's own libraries read."""
    base = {"endpoint": emulator.endpoint, "instance_name": "demo"}

    def say(settings: Mapping[str, Any], cloud: Mapping[str, str]) -> OTSSettings:
        chosen: dict[str, Any] = dict(base)
        if request.param == "arguments":
            chosen |= settings
        elif request.param == "variables":
            for name, value in settings.items():
                monkeypatch.setenv(f"OTS_{name.upper()}", str(value))  # the names are the settings' own
        elif request.param == "toml":
            Path("ots.toml").touch(mode=0o600)
            Path("ots.toml").write_text(toml(settings))
            monkeypatch.setenv("OTS_CONFIG_FILE", "ots.toml")  # a file that nobody names may not set all of these
        else:
            for name, value in cloud.items():
                monkeypatch.setenv(name, value)
            chosen |= {"credentials": settings["credentials"]}
        return OTSSettings(**chosen)

    return say


def test_a_credentials_uri(emulator: Emulator, way: Way) -> None:
    """``credentials_uri`` or ALIBABA_CLOUD_CREDENTIALS_URI; as it may hold a secret, it is never shown."""
    uri = f"{emulator.endpoint}/credentials?ticket=MARKED"
    settings = way({"credentials": "uri", "credentials_uri": uri}, {"ALIBABA_CLOUD_CREDENTIALS_URI": uri})
    provider = create_provider(settings)
    assert provider.get_credentials().source == "uri"
    assert "MARKED" not in repr(settings) + str(settings.explain()) + repr(provider) + provider.describe()


def test_a_profile_of_the_cli(emulator: Emulator, way: Way, tmp_path: Path) -> None:
    """``cli_config_file`` and ``credentials_profile``, or ALIBABA_CLOUD_CONFIG_FILE and ALIBABA_CLOUD_PROFILE."""
    path = tmp_path / "cli.json"
    path.touch(mode=0o600)
    keys = {"access_key_id": emulator.access_key_id, "access_key_secret": emulator.access_key_secret}
    path.write_text(json.dumps({"current": "other", "profiles": [{"name": "work", "mode": "AK", **keys}]}))
    settings = way(
        {"credentials": "profile", "cli_config_file": str(path), "credentials_profile": "work"},
        {"ALIBABA_CLOUD_CONFIG_FILE": str(path), "ALIBABA_CLOUD_PROFILE": "work"},
    )
    assert create_provider(settings).get_credentials().source == "profile work"


def test_a_profile_of_the_sdks(emulator: Emulator, way: Way, tmp_path: Path) -> None:
    """``credentials_file`` and ``credentials_profile``, or ALIBABA_CLOUD_CREDENTIALS_FILE and ALIBABA_CLOUD_PROFILE."""
    path = tmp_path / "sdk.ini"
    path.touch(mode=0o600)
    path.write_text(
        f"[work]\ntype = access_key\naccess_key_id = {emulator.access_key_id}\n"
        f"access_key_secret = {emulator.access_key_secret}\n"
    )
    settings = way(
        {"credentials": "ini", "credentials_file": str(path), "credentials_profile": "work"},
        {"ALIBABA_CLOUD_CREDENTIALS_FILE": str(path), "ALIBABA_CLOUD_PROFILE": "work"},
    )
    assert create_provider(settings).get_credentials().source == "ini work"


def test_an_oidc_role(emulator: Emulator, way: Way, tmp_path: Path, fetch: Recorder) -> None:
    """The role, the provider, the token file, the session name and STS's address, under either name of each."""
    token = tmp_path / "token"
    token.write_text("token-of-the-platform\n")
    settings = way(
        {
            "credentials": "oidc",
            "oidc_role_arn": ROLE,
            "oidc_provider_arn": OIDC,
            "oidc_token_file": str(token),
            "role_session_name": "pod",
            "sts_endpoint": emulator.endpoint,
        },
        {
            "ALIBABA_CLOUD_ROLE_ARN": ROLE,
            "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": OIDC,
            "ALIBABA_CLOUD_OIDC_TOKEN_FILE": str(token),
            "ALIBABA_CLOUD_ROLE_SESSION_NAME": "pod",
            "ALIBABA_CLOUD_STS_ENDPOINT": emulator.endpoint,
        },
    )
    assert create_provider(settings, fetch=fetch).get_credentials().source == "oidc"
    ((_, form),) = fetch.asked
    assert (form["RoleArn"], form["RoleSessionName"], form["OIDCProviderArn"]) == (ROLE, "pod", OIDC)


def test_the_role_of_an_instance(emulator: Emulator, way: Way, fetch: Recorder) -> None:
    """``ecs_endpoint`` and ``ecs_role``, or ALIBABA_CLOUD_ECS_METADATA and ..._SERVICE_ENDPOINT."""
    settings = way(
        {"credentials": "ecs", "ecs_endpoint": emulator.endpoint, "ecs_role": "emulator-role"},
        {
            "ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT": emulator.endpoint,
            "ALIBABA_CLOUD_ECS_METADATA": "emulator-role",
        },
    )
    assert create_provider(settings, fetch=fetch).get_credentials().source == "ecs"
    assert [asked.rpartition("/")[2] for asked, _ in fetch.asked] == ["token", "emulator-role"]


def test_an_instance_is_not_asked(emulator: Emulator, way: Way, fetch: Recorder) -> None:
    """``ecs_disabled`` or ALIBABA_CLOUD_ECS_METADATA_DISABLED keeps the metadata service from being asked."""
    settings = way({"credentials": "ecs", "ecs_disabled": True}, {"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"})
    with pytest.raises(CredentialsRefused, match=r"it is switched off|ALIBABA_CLOUD_ECS_METADATA_DISABLED is set"):
        create_provider(settings, fetch=fetch).get_credentials()
    assert fetch.asked == []


# --- roles ----------------------------------------------------------------------------------------------------


@pytest.fixture
def own(emulator: Emulator) -> dict[str, Any]:
    """Give arguments that hold keys and the address of STS."""
    return {
        "endpoint": emulator.endpoint,
        "instance_name": "demo",
        "access_key_id": emulator.access_key_id,
        "access_key_secret": emulator.access_key_secret,
        "sts_endpoint": emulator.endpoint,
    }


@pytest.mark.parametrize("by", ["arguments", "variables", "cloud"])
def test_a_role_and_all_that_it_takes(
    emulator: Emulator, own: dict[str, Any], by: str, fetch: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything about a role has a setting and its variable; what has a name of the cloud's own is read there too."""
    del own["sts_endpoint"]
    cloud = {
        "ALIBABA_CLOUD_ROLE_SESSION_NAME": "job",
        "ALIBABA_CLOUD_EXTERNAL_ID": "a/b:c",
        "ALIBABA_CLOUD_STS_ENDPOINT": emulator.endpoint,
    }
    settings = {"role_session_name": "job", "role_external_id": "a/b:c", "sts_endpoint": emulator.endpoint}
    role = {"role_arn": ROLE, "role_duration": 1800, "role_policy": POLICY}
    if by == "variables":
        for name, value in (settings | role).items():
            monkeypatch.setenv(f"OTS_{name.upper()}", str(value))
        settings, role = {}, {}
    if by == "cloud":
        for name, value in cloud.items():
            monkeypatch.setenv(name, value)
        settings = {}
    provider = create_provider(OTSSettings(**own, **settings, **role), fetch=fetch)
    assert provider.get_credentials().source.startswith("assume_role/")
    ((asked, form),) = fetch.asked
    assert asked == f"POST {emulator.endpoint}/"
    assert form["RoleArn"] == ROLE
    assert form["DurationSeconds"] == "1800"
    assert form["Policy"] == POLICY
    assert (form["RoleSessionName"], form["ExternalId"]) == ("job", "a/b:c")


@pytest.mark.parametrize(
    ("settings", "cloud"),
    [
        ({"sts_region": "cn-beijing", "sts_vpc": True}, {}),
        ({}, {"OTS_STS_REGION": "cn-beijing", "OTS_STS_VPC": "true"}),
        ({}, {"ALIBABA_CLOUD_STS_REGION": "cn-beijing", "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED": "true"}),
    ],
    ids=["arguments", "variables", "cloud"],
)
def test_the_region_and_the_vpc_of_sts(
    own: dict[str, Any], settings: dict[str, Any], cloud: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Region and VPC make the address of STS, whichever way they are given."""
    del own["sts_endpoint"]
    for name, value in cloud.items():
        monkeypatch.setenv(name, value)
    provider = create_provider(OTSSettings(**own, **settings, role_arn=ROLE))
    assert " at https://sts-vpc.cn-beijing.aliyuncs.com, from " in provider.describe()


@pytest.mark.parametrize("by", ["argument", "variable", "toml"])
def test_a_chain_of_roles(
    emulator: Emulator, own: dict[str, Any], by: str, fetch: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``role_via`` names the roles on the way: each is assumed with the one before, the last is ``role_arn``'s."""
    second = FIRST.replace("first", "second")
    if by == "argument":
        own["role_via"] = [FIRST, second]
    elif by == "variable":
        monkeypatch.setenv("OTS_ROLE_VIA", f"{FIRST}, {second}")
    else:
        Path("ots.toml").write_text(toml({"role_via": [FIRST, second]}))
    provider = create_provider(OTSSettings(**own, role_arn=ROLE, role_external_id="outsider"), fetch=fetch)
    assert provider.get_credentials().source == "assume_role/assume_role/assume_role/argument"
    forms = [form for _, form in fetch.asked]
    assert [form["RoleArn"] for form in forms] == [FIRST, second, ROLE]
    assert ["SecurityToken" in form for form in forms] == [False, True, True]
    assert [form.get("ExternalId") for form in forms] == [None, None, "outsider"]
    assert emulator.log()[-1]["code"] is None


def test_roles_on_the_way_to_nothing(own: dict[str, Any]) -> None:
    """``role_via`` without ``role_arn`` is an error, as is an ARN that is none, with the setting's name."""
    with pytest.raises(SettingsError, match=r"role_via.*there is no role_arn"):
        create_provider(OTSSettings(**own, role_via=FIRST))
    with pytest.raises(SettingsError, match="role_via: contains what is not a valid role ARN"):
        create_provider(OTSSettings(**own, role_via="role/first", role_arn=ROLE))
    for value in (7, [], [FIRST, 7], f"{FIRST},,"):
        with pytest.raises(SettingsError, match="role_via"):
            OTSSettings(**own, role_via=value)


def test_what_sts_would_refuse(own: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is wrong with a role is told before anything is sent, by the settings' names and where they are set."""
    monkeypatch.setenv("OTS_ROLE_DURATION", "100")
    monkeypatch.setenv("OTS_ROLE_VIA", "role/first")
    wrong = {"role_arn": "role/last", "role_session_name": "a b"}
    with pytest.raises(SettingsError) as caught:
        create_client(**own, **wrong)
    assert [(problem.field, problem.origin) for problem in caught.value.problems] == [
        ("role_arn", "argument"),
        ("role_via", "environment variable OTS_ROLE_VIA"),
        ("role_session_name", "argument"),
        ("role_duration", "environment variable OTS_ROLE_DURATION"),
    ]
    monkeypatch.delenv("OTS_ROLE_VIA")
    monkeypatch.delenv("OTS_ROLE_DURATION")
    monkeypatch.setenv("OTS_STS_ENDPOINT", "http://sts.cn-hangzhou.aliyuncs.com")
    del own["sts_endpoint"]
    assert OTSSettings(**own, role_arn=ROLE).sts_endpoint == "sts.cn-hangzhou.aliyuncs.com"  # it is asked by https


@pytest.mark.parametrize(
    "policy",
    [json.loads(POLICY), json.dumps(json.loads(POLICY), indent=2), POLICY],
    ids=["dictionary", "lines", "text"],
)
def test_a_policy_in_any_form(own: dict[str, Any], policy: Any, fetch: Recorder) -> None:
    """A policy may be a dictionary, a table of ``ots.toml``, or JSON with spaces, on one line or several."""
    create_provider(OTSSettings(**own, role_arn=ROLE, role_policy=policy), fetch=fetch).get_credentials()
    assert json.loads(fetch.asked[0][1]["Policy"]) == json.loads(POLICY)


@pytest.mark.parametrize("policy", ["allow everything", "[1]", 7, {"a": object()}])
def test_what_is_no_policy(own: dict[str, Any], policy: Any) -> None:
    """What is no JSON object is refused where it is written."""
    with pytest.raises(SettingsError, match="role_policy"):
        OTSSettings(**own, role_arn=ROLE, role_policy=policy)


def test_the_settings_address_of_sts_serves_profiles_too(emulator: Emulator, own: dict[str, Any]) -> None:
    """A profile of the CLI that assumes a role asks the STS that the settings name."""
    path = Path(".aliyun/config.json")
    path.parent.mkdir()
    path.touch(mode=0o600)
    keys = {"access_key_id": emulator.access_key_id, "access_key_secret": emulator.access_key_secret}
    path.write_text(json.dumps({"profiles": [{"name": "default", "mode": "RamRoleArn", "ram_role_arn": ROLE, **keys}]}))
    settings = OTSSettings(**own, credentials="profile")
    assert create_provider(settings).get_credentials().source == "profile default/assume_role/profile"


@pytest.mark.parametrize("kind", ["profile", "ini"])
@pytest.mark.parametrize("shared", [True, False])
def test_profiles_share_what_they_fetch(
    emulator: Emulator, own: dict[str, Any], kind: str, shared: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With ``credentials_cache`` a role in a profile is assumed once for all processes; plain keys are never kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    del own["access_key_id"], own["access_key_secret"]
    keys = {"access_key_id": emulator.access_key_id, "access_key_secret": emulator.access_key_secret}
    cli = [
        {"name": "role", "mode": "RamRoleArn", "ram_role_arn": ROLE, **keys},
        {"name": "keys", "mode": "AK", **keys},
    ]
    ini = f"[role]\ntype = ram_role_arn\nrole_arn = {ROLE}\n{{0}}[keys]\ntype = access_key\n{{0}}"
    files = {
        ".aliyun/config.json": json.dumps({"profiles": cli}),
        ".alibabacloud/credentials": ini.format("".join(f"{name} = {value}\n" for name, value in keys.items())),
    }
    for name, text in files.items():
        Path(name).parent.mkdir()
        Path(name).touch(mode=0o600)
        Path(name).write_text(text)

    def ask(profile: str) -> str:
        settings = OTSSettings(**own, credentials=kind, credentials_profile=profile, credentials_cache=shared)
        provider = pickle.loads(pickle.dumps(create_provider(settings)))
        return provider.get_credentials().access_key_id

    assert (ask("role") == ask("role")) is shared
    assert [entry["operation"] for entry in emulator.log()] == ["sts"] * (1 if shared else 2)
    assert ask("keys") == emulator.access_key_id
    kept = list((tmp_path / "cache").rglob("*.json"))
    assert len(kept) == (1 if shared else 0)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept)
