"""The Aliyun CLI's profiles, every mode of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ots_config.credentials.providers.aliyun_cli import ProfileProvider
from ots_config.errors import CredentialsRefused, CredentialsUnavailable

ROLE = "acs:ram::1234567890123:role/firstrole"
AK = {"name": "default", "mode": "AK", "access_key_id": "LTAI", "access_key_secret": "MARKEDs"}


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
    for name in ("ALIBABACLOUD_PROFILE", "ALIBABA_CLOUD_PROFILE"):
        with pytest.raises(CredentialsRefused, match=rf"has no profile typo; it has other \(named by {name}\)"):
            cli(environ={name: "typo"}).fetch_credentials()
    with pytest.raises(CredentialsRefused, match="has no profile first"):
        cli(environ={"ALIBABACLOUD_PROFILE": "first", "ALIBABA_CLOUD_PROFILE": "other"}).fetch_credentials()
    with pytest.raises(CredentialsRefused, match="does not exist"):
        cli(environ={"ALIBABA_CLOUD_CONFIG_FILE": "/does/not/exist"}).fetch_credentials()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"current": "MARKED', "is not JSON: Unterminated string starting at at line 1, column 13"),
        ("[]", "holds no JSON object"),
        ("[" * 100_000, "is not JSON"),
        ("", "is not JSON"),
    ],
    ids=["broken", "list", "deep", "empty"],
)
def test_files_that_are_no_configuration(path: Path, cli: Any, text: str, told: str, shows_no_secret: Any) -> None:
    """A broken file is a refusal with line and column, and nothing of its content."""
    path.write_text(text)
    with pytest.raises(CredentialsRefused, match=told) as caught:
        cli().fetch_credentials()
    shows_no_secret(caught.value)


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
        f"{written} holds secrets and other users can read or change it (mode 640): chmod 600 {written}"
    ]


# --- keys in the file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["AK", "ak", None])
def test_permanent_keys(write: Any, cli: Any, mode: str | None) -> None:
    """Mode AK, in any case or left out; a token that is left over from another mode is not used."""
    write({**AK, "mode": mode, "sts_token": "" if mode is None else "MARKEDold"})
    keys = cli().fetch_credentials()
    assert (keys.access_key_id, keys.get_access_key_secret(), keys.get_security_token()) == ("LTAI", "MARKEDs", None)


@pytest.mark.parametrize("mode", ["StsToken", "ststoken"])
def test_temporary_keys(write: Any, cli: Any, mode: str) -> None:
    """Mode StsToken needs a token, and has an end if the file says one."""
    write({**AK, "mode": mode, "sts_token": "MARKEDt"})
    keys = cli().fetch_credentials()
    assert (keys.get_security_token(), keys.expires_at) == ("MARKEDt", None)
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
        ({"mode": "RamRoleArn", "ram_role_arn": "x"}, "is not a valid role ARN"),
        ({"mode": "RamRoleArn", "access_key_id": "", "access_key_secret": ""}, "holds no keys yet"),
        ({"mode": "RamRoleArn", "ram_role_arn": ROLE, "expired_seconds": 60}, "900 to 43200"),
        (
            {"mode": "RamRoleArn", "ram_role_arn": ROLE, "sts_endpoint": "https://example.com/path"},
            "it has a path or a query",
        ),
        ({"mode": None, "access_key_id": "", "ram_role_arn": ROLE}, "it has no mode, and its fields mean none"),
        ({"mode": "", "access_key_secret": "", "cloud_sso_sign_in_url": "x"}, "it has no mode"),
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
def test_profiles_that_yield_no_keys(
    write: Any, cli: Any, fields: dict[str, Any], told: str, shows_no_secret: Any
) -> None:
    """What is configured and cannot be used is a refusal that names profile and file and shows no value."""
    write({**AK, **fields})
    with pytest.raises(CredentialsRefused, match=f"^profile default in .*config.json: .*{told}") as caught:
        cli().fetch_credentials()
    shows_no_secret(caught.value)


def test_what_it_says_of_itself(write: Any, cli: Any, path: Path) -> None:
    """Descriptions tell the file and the profile, and where the profile leads; never keys."""
    assert cli().describe() == f"the current profile in {path}"
    assert cli(profile="dev").describe() == f"profile dev in {path}"
    write({**AK, "access_key_id": "abcdefgh"})
    assert cli().describe() == f"profile default in {path}: key ab**** from profile"
    assert repr(cli()) == f"<ProfileProvider: {cli().describe()}>"
    assert cli(environ={"ALIBABA_CLOUD_IGNORE_PROFILE": "1"}).describe() == f"the current profile in {path}"
