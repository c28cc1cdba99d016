"""Each source is stronger than the next: one test for each neighbouring pair, and how parts and sets merge."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ots_config.settings import OTSSettings, RetrySettings
from ots_config.settings.sources import PRECEDENCE

Write = Callable[..., Path]
BASE = {"endpoint": "https://demo.cn-hangzhou.ots.aliyuncs.com"}


def test_the_order_is_one_tuple() -> None:
    """The precedence is one tuple."""
    names = [source.__name__ for source in PRECEDENCE]
    assert names == ["Arguments", "Environment", "EnvFiles", "SecretsDirectory", "Profile", "Derived"]


def test_argument_over_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument beats the environment."""
    monkeypatch.setenv("OTS_MAX_CONNECTION", "2")
    settings = OTSSettings(**BASE, max_connection=1)
    assert settings.max_connection == 1
    assert settings.origin("max_connection") == "argument"


def test_environment_over_env_file(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """The environment beats an env file."""
    monkeypatch.setenv("OTS_MAX_CONNECTION", "2")
    settings = OTSSettings(**BASE, env_file=write("prod.env", "OTS_MAX_CONNECTION=3\n"))
    assert settings.max_connection == 2
    assert settings.origin("max_connection") == "environment variable OTS_MAX_CONNECTION"


def test_env_file_over_secrets_directory(write: Write) -> None:
    """An env file beats a secrets directory."""
    write("secrets/max_connection", "4\n")
    settings = OTSSettings(**BASE, env_file=write("prod.env", "\nOTS_MAX_CONNECTION=3\n"), secrets_dir="secrets")
    assert settings.max_connection == 3
    assert settings.origin("max_connection") == "prod.env line 2"


def test_secrets_directory_over_profile(write: Write) -> None:
    """A secrets directory beats a profile."""
    write("secrets/max_connection", "4\n")
    write("ots.toml", "[profiles.default]\nmax_connection = 5\n")
    settings = OTSSettings(**BASE, secrets_dir="secrets")
    assert settings.max_connection == 4
    assert settings.origin("max_connection") == "secrets file secrets/max_connection"


def test_profile_over_derived(write: Write) -> None:
    """A profile's instance_name is kept where the endpoint would imply it in another case."""
    write("ots.toml", '[profiles.default]\ninstance_name = "DEMO"\n')
    settings = OTSSettings(**BASE)
    assert settings.instance_name == "DEMO"
    assert settings.origin("instance_name") == "profile [profiles.default] in ots.toml line 2"


def test_derived_over_default() -> None:
    """What the endpoint implies beats the default."""
    settings = OTSSettings(endpoint="https://demo.cn-hangzhou.vpc.tablestore.aliyuncs.com")
    assert settings.network == "vpc"
    assert settings.origin("network") == "derived from endpoint"
    assert settings.origin("encoding") == "default"


def test_every_overridden_value_is_explained(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """The row of a setting names all that it overrode, the strongest first."""
    monkeypatch.setenv("OTS_MAX_CONNECTION", "2")
    write(".env", "OTS_MAX_CONNECTION=3\n")
    write("secrets/OTS_MAX_CONNECTION", "4")
    write("ots.toml", "[profiles.default]\nmax_connection = 5\n")
    row = {row.field: row for row in OTSSettings(**BASE, max_connection=1, secrets_dir="secrets").explain()}
    assert row["max_connection"].value == "1"
    assert row["max_connection"].overrode == (
        ("environment variable OTS_MAX_CONNECTION", "2"),
        (".env line 1", "3"),
        ("secrets file secrets/OTS_MAX_CONNECTION", "4"),
        ("profile [profiles.default] in ots.toml line 2", "5"),
    )


def test_none_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument of None leaves the choice to the weaker sources."""
    monkeypatch.setenv("OTS_REGION", "cn-hangzhou")
    assert OTSSettings(**BASE, region=None).origin("region") == "environment variable OTS_REGION"


def test_empty_is_unset(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """Empty variables, lines, files and profile entries leave the choice to the weaker sources."""
    monkeypatch.setenv("OTS_ENCODING", "")
    write(".env", "OTS_ENCODING=\n")
    write("secrets/encoding", "\n")
    write("ots.toml", '[profiles.default]\nencoding = ""\n')
    assert OTSSettings(**BASE, secrets_dir="secrets").origin("encoding") == "default"


def test_parts_merge(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """The parts of a nested setting may come from different sources."""
    monkeypatch.setenv("OTS_RETRY__DEADLINE", "none")
    write(".env", "OTS_RETRY__MAX_DELAY=1.5\nOTS_RETRY__DEADLINE=9\n")
    settings = OTSSettings(**BASE, retry="write")
    assert settings.retry == RetrySettings(policy="write", max_delay=1.5, deadline=None)
    assert settings.origin("retry.deadline") == "environment variable OTS_RETRY__DEADLINE"


def test_a_whole_part_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A RetrySettings given as argument is used as it is, defaults included."""
    monkeypatch.setenv("OTS_RETRY__DEADLINE", "9")
    assert OTSSettings(**BASE, retry=RetrySettings(policy="write")).retry.deadline == 60.0


def test_json_and_shorthand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A nested setting may be given whole, and its own variables are stronger."""
    monkeypatch.setenv("OTS_RETRY", '{"policy": "none", "deadline": 4}')
    monkeypatch.setenv("OTS_RETRY__POLICY", "write")
    settings = OTSSettings(**BASE)
    assert (settings.retry.policy, settings.retry.deadline) == ("write", 4.0)
    assert OTSSettings.explicit(**BASE, retry={"policy": "no_delay"}).retry.policy == "no-delay"


def test_instance_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTS_INSTANCE is accepted, and OTS_INSTANCE_NAME is stronger."""
    monkeypatch.setenv("OTS_INSTANCE", "demo")
    monkeypatch.setenv("OTS_REGION", "cn-hangzhou")
    assert OTSSettings().origin("instance_name") == "environment variable OTS_INSTANCE"
    monkeypatch.setenv("OTS_INSTANCE_NAME", "other")
    assert OTSSettings().endpoint == "https://other.cn-hangzhou.ots.aliyuncs.com"
