"""Profiles are understood as the Aliyun CLI understands them."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from ots_config.errors import CredentialsRefused

ROLE = "acs:ram::1234567890123:role/firstrole"
OIDC = "acs:ram::1234567890123:oidc-provider/ack"
KEYS = {"access_key_id": "testid", "access_key_secret": "MARKEDsecretOfTheKey30characters"}
PROFILE = {"name": "default"}


def printing(value: Any) -> str:
    """Return the command of a program that prints something."""
    return shlex.join([sys.executable, "-S", "-c", f"print({json.dumps(value)!r})"])


# --- profiles without a mode ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "leads_to"),
    [
        (KEYS, "key "),
        ({**KEYS, "sts_token": "MARKEDt"}, "key "),
        ({**KEYS, "ram_role_arn": ROLE}, f"role {ROLE} as"),
        ({**KEYS, "ram_role_arn": ROLE, "sts_token": "MARKEDt"}, f"role {ROLE} as"),
        ({**KEYS, "ram_role_name": "worker"}, "key "),
        ({"ram_role_name": "worker"}, "role worker at http://100.100.100.200"),
        ({"process_command": "tool"}, "program tool"),
        ({"ram_role_arn": ROLE, "oidc_provider_arn": OIDC, "oidc_token_file": "token"}, f"role {ROLE} as"),
    ],
    ids=["keys", "token", "role", "role-and-token", "keys-and-instance", "instance", "program", "oidc"],
)
@pytest.mark.parametrize("mode", [{}, {"mode": ""}, {"mode": None}], ids=repr)
def test_the_mode_is_recognised(write: Any, cli: Any, mode: Any, fields: dict[str, str], leads_to: str) -> None:
    """Without a mode the fields decide; where they name a role, never the bare key."""
    write({**PROFILE, **mode, **fields})
    assert f"config.json: {leads_to}" in cli().describe()


def test_a_token_is_never_lost(write: Any, cli: Any) -> None:
    """A token beside keys makes them temporary keys; a key alone has none."""
    write({**PROFILE, **KEYS, "sts_token": "MARKEDt"})
    assert cli().fetch_credentials().get_security_token() == "MARKEDt"
    write({**PROFILE, **KEYS})
    assert cli().fetch_credentials().get_security_token() is None


def test_a_role_is_assumed(write: Any, cli: Any, cloud: Any) -> None:
    """A role beside keys is assumed with them, with a mode or without."""
    write({**PROFILE, **KEYS, "ram_role_arn": ROLE})
    assert cli().fetch_credentials().source == "profile default/assume_role/profile"
    assert cloud.asked[0].form["RoleArn"] == ROLE


def test_a_key_pair_without_a_mode(write: Any, cli: Any) -> None:
    """What the CLI takes for a key pair is refused as one."""
    write({**PROFILE, "private_key": "MARKED", "key_pair_name": "pair"})
    with pytest.raises(CredentialsRefused, match="mode RsaKeyPair cannot be used: key pairs are deprecated"):
        cli().fetch_credentials()


# --- programs and URIs --------------------------------------------------------------------------------------------


def test_a_program_prints_a_profile_of_another_mode(write: Any, cli: Any, cloud: Any) -> None:
    """What a program prints may assume a role, with its own keys or with another profile's; or be recognised."""
    printed = {"mode": "RamRoleArn", **KEYS, "ram_role_arn": ROLE}
    write({**PROFILE, "mode": "External", "process_command": printing(printed)})
    assert cli().fetch_credentials().source == "profile default/assume_role/profile"
    write(
        {
            **PROFILE,
            "mode": "External",
            "process_command": printing(
                {"mode": "ChainableRamRoleArn", "source_profile": "keys", "ram_role_arn": ROLE}
            ),
        },
        {"name": "keys", "mode": "AK", **KEYS},
    )
    assert cli().fetch_credentials().source == "profile default/assume_role/profile"
    assert [asked.form["RoleArn"] for asked in cloud.asked] == [ROLE, ROLE]


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ({"mode": "External", "process_command": "MARKED"}, "it is of mode External again"),
        ({"mode": "MARKEDmode"}, "printed a profile that cannot be used"),
        ({"mode": "RamRoleArn", **KEYS, "ram_role_arn": "x"}, "is not a valid role ARN"),
        ({"mode": "ChainableRamRoleArn", "source_profile": "default"}, "rely on each other in a circle"),
    ],
    ids=["program", "unknown", "role", "circle"],
)
def test_printed_profiles_that_cannot_be_used(write: Any, cli: Any, printed: dict[str, str], told: str) -> None:
    """A printed profile that cannot be used is refused, and no second program is run."""
    write({**PROFILE, "mode": "External", "process_command": printing(printed)})
    with pytest.raises(CredentialsRefused, match=told):
        cli().fetch_credentials()


def test_the_switch_for_programs_covers_uris(write: Any, cli: Any, cloud: Any) -> None:
    """ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS stops programs and URIs of profiles, also one from the environment."""
    off = {"ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS": "true"}
    write({**PROFILE, "mode": "CredentialsURI", "credentials_uri": f"{cloud.url}/keys"})
    with pytest.raises(CredentialsRefused, match="ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS forbids asking"):
        cli(environ=off).fetch_credentials()
    assert cloud.asked == []
    write({**PROFILE, "mode": "External", "process_command": printing(KEYS)})
    with pytest.raises(CredentialsRefused, match="ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS forbids running"):
        cli(environ=off).fetch_credentials()
    assert cli().fetch_credentials().access_key_id == "testid"


# --- fields -----------------------------------------------------------------------------------------------------


def test_an_end_that_is_past_is_left_over(write: Any, cli: Any) -> None:
    """The end of earlier keys, which the CLI does not clear, does not condemn the new ones."""
    write({**PROFILE, "mode": "StsToken", **KEYS, "sts_token": "MARKEDt", "sts_expiration": 1500000000})
    keys = cli().fetch_credentials()
    assert (keys.get_security_token(), keys.expires_at) == ("MARKEDt", None)


@pytest.mark.parametrize("endpoint", ["http://sts.example.com/", "http://sts.example.com", "sts.example.com"])
def test_the_scheme_of_the_address_of_sts(write: Any, cli: Any, endpoint: str) -> None:
    """A scheme and a slash do not count: STS is asked with https."""
    write({**PROFILE, "mode": "RamRoleArn", **KEYS, "ram_role_arn": ROLE, "sts_endpoint": endpoint})
    assert " at https://sts.example.com, from" in cli().describe()


@pytest.mark.parametrize(
    ("mode", "variables", "leads_to"),
    [
        ({"mode": "RamRoleArn", **KEYS}, {"ALIBABA_CLOUD_ROLE_ARN": ROLE}, f"role {ROLE} as"),
        ({"mode": "RamRoleArn", **KEYS}, {"ALIBABACLOUD_ROLE_ARN": ROLE}, f"role {ROLE} as"),
        (
            {"mode": "OIDC"},
            {
                "ALIBABA_CLOUD_ROLE_ARN": ROLE,
                "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": OIDC,
                "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/token",
            },
            f"with the token of {OIDC} in /token",
        ),
        (
            {"mode": "OIDC", "ram_role_arn": ROLE},
            {"ALIBABACLOUD_OIDC_PROVIDER_ARN": OIDC, "ALIBABACLOUD_OIDC_TOKEN_FILE": "/token"},
            f"with the token of {OIDC} in /token",
        ),
        (
            {"mode": "CredentialsURI"},
            {"ALIBABA_CLOUD_CREDENTIALS_URI": "https://keys.example.com/x"},
            "https://keys.example.com/x",
        ),
    ],
    ids=["role", "role-older-name", "oidc", "oidc-older-names", "uri"],
)
def test_absent_fields_come_from_variables(
    write: Any, cli: Any, mode: dict[str, str], variables: dict[str, str], leads_to: str
) -> None:
    """A field that the mode needs and the profile lacks is read from its variable; one that it has is kept."""
    write({**PROFILE, **mode})
    provider = cli(environ=variables)
    assert leads_to in provider.describe()
    other = "acs:ram::1234567890123:role/other"
    write({**PROFILE, **mode, "ram_role_arn": other, "credentials_uri": "https://own.example.com/"})
    assert ROLE not in provider.describe()
    assert "keys.example.com" not in provider.describe()


def test_a_variable_with_a_role_does_not_change_the_mode(write: Any, cli: Any) -> None:
    """ALIBABA_CLOUD_ROLE_ARN fills a field of a mode that needs it; it makes no role of a plain key."""
    write({**PROFILE, **KEYS})
    assert cli(environ={"ALIBABA_CLOUD_ROLE_ARN": ROLE}).fetch_credentials().source == "profile default"


def test_the_external_id_of_a_role(write: Any, cli: Any, cloud: Any) -> None:
    """An external id comes from the profile, else from its variable."""
    write({**PROFILE, "mode": "RamRoleArn", **KEYS, "ram_role_arn": ROLE})
    cli(environ={"ALIBABA_CLOUD_EXTERNAL_ID": "outsider"}).fetch_credentials()
    assert cloud.asked[-1].form["ExternalId"] == "outsider"


def test_a_variable_that_changes_is_noticed(write: Any, cli: Any, environment: Any) -> None:
    """What variables fill in is read when credentials are fetched."""
    write({**PROFILE, "mode": "CredentialsURI"})
    provider = cli(environ={"ALIBABA_CLOUD_CREDENTIALS_URI": "https://one.example.com"})
    assert "one.example.com" in provider.describe()
    environment({"ALIBABA_CLOUD_CREDENTIALS_URI": "https://two.example.com"})
    assert "two.example.com" in provider.describe()


def test_the_older_name_of_the_profile_variable(write: Any, cli: Any, path: Path) -> None:
    """ALIBABACLOUD_PROFILE is read before ALIBABA_CLOUD_PROFILE."""
    write(*({**KEYS, "mode": "AK", "name": name, "access_key_id": name} for name in ("a", "b")))
    assert path.exists()
    environ = {"ALIBABACLOUD_PROFILE": "a", "ALIBABA_CLOUD_PROFILE": "b"}
    assert cli(environ=environ).fetch_credentials().access_key_id == "a"
