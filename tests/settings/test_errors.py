"""Problems are reported together, in the order of the fields, with origin and hint; misspelt names are found."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from ots_config.errors import SettingsError, SettingsProblem
from ots_config.settings import OTSSettings, SettingsWarning

Write = Callable[..., Path]
ENDPOINT = "https://demo.cn-hangzhou.ots.aliyuncs.com"


def test_all_problems_at_once(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """Problems of every source and contradictions between them are one error, sorted by field."""
    monkeypatch.setenv("OTS_SOCKET_TIMEOUT", "0")
    write("prod.env", "# x\nOTS_ENCODING=utf9\nOTS_RETRY__DEADLINE=soon\n")
    write("secrets/max_connection", "many")
    write("ots.toml", "[profiles.default]\nallow_http = 3\nregion = 'cn-beijing'\n")
    with pytest.raises(SettingsError) as caught:
        OTSSettings(endpoint=ENDPOINT, access_key_id="id", sgnature="v2", env_file="prod.env", secrets_dir="secrets")
    assert [(problem.field, problem.origin) for problem in caught.value.problems] == [
        ("region", "profile [profiles.default] in ots.toml line 3"),
        ("access_key_secret", "no source"),
        ("encoding", "prod.env line 2"),
        ("socket_timeout", "environment variable OTS_SOCKET_TIMEOUT"),
        ("max_connection", "secrets file secrets/max_connection"),
        ("retry.deadline", "prod.env line 3"),
        ("allow_http", "profile [profiles.default] in ots.toml line 2"),
        ("sgnature", "argument"),
    ]
    assert str(caught.value).startswith("8 settings are wrong:\n- region: ")
    assert not isinstance(caught.value, ValueError)


def test_one_problem_reads_as_a_sentence() -> None:
    """A single problem says field, reason, origin and hint in one line."""
    with pytest.raises(SettingsError) as caught:
        OTSSettings(endpoint=ENDPOINT, max_connection=0)
    assert str(caught.value) == ("max_connection: is less than 1 (from argument). Give a number of at least 1.")
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.problems == caught.value.problems


def test_one_cause_is_one_problem() -> None:
    """What cannot be derived because of another problem is not reported as missing too."""
    for arguments, field in (
        ({"endpoint": "demo"}, "endpoint"),
        ({"region": "no region", "instance_name": "demo"}, "region"),
        ({"endpoint": "https://rows.example.com", "instance_name": "a b"}, "instance_name"),
        ({"endpoint": ENDPOINT, "region": "no region", "signature": "v4"}, "region"),
        ({"endpoint": "http://rows.example.com", "instance_name": "demo", "allow_http": "perhaps"}, "allow_http"),
    ):
        with pytest.raises(SettingsError) as caught:
            OTSSettings.explicit(**arguments)
        assert [problem.field for problem in caught.value.problems] == [field]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("endpiont", "Did you mean endpoint?"),
        ("end_point", "Did you mean endpoint?"),
        ("accessKeyId", "Did you mean access_key_id?"),
        ("deadline", "Did you mean retry.deadline?"),
        ("qqqq", "Choose one of access_key_id, access_key_secret, allow_http, cli_config_file,"),
    ],
)
def test_unknown_arguments(name: str, hint: str) -> None:
    """An unknown argument is a SettingsError with the nearest real name."""
    for build in (OTSSettings, OTSSettings.explicit):
        with pytest.raises(SettingsError, match="is not a known setting") as caught:
            build(**{"endpoint": ENDPOINT, name: 1})
        assert caught.value.problems[0].hint.startswith(hint)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("OTS_ENDPIONT", "OTS_ENDPOINT"),
        ("OTS_RETRY__DEADLIN", "OTS_RETRY__DEADLINE"),
        ("OTS_RETRY_DEADLINE", "OTS_RETRY__DEADLINE"),
        ("OTS_RETRY__TIMEOUT", "OTS_RETRY__"),
        ("OTS_TLS__CABUNDLE", "OTS_TLS__CA_BUNDLE"),
        ("OTS_ACCESS_KEY", "OTS_ACCESS_KEY_ID"),
        ("OTS_ACCESSKEYSECRET", "OTS_ACCESS_KEY_SECRET"),
        ("ots_endpoint", "OTS_ENDPOINT"),
        ("OTS_ROLE_AARN", "OTS_ROLE_ARN"),
        ("OTS_PROFIL", "OTS_PROFILE"),
    ],
)
def test_misspelt_variables(name: str, meant: str, monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """A misspelt variable, in the environment or an env file, is reported with the nearest real name."""
    with pytest.warns(SettingsWarning, match=rf"^prod\.env line 1: {name} sets nothing\. Did you mean {meant}") as seen:
        OTSSettings(endpoint=ENDPOINT, env_file=write("prod.env", f"{name}=x\n"))
    assert seen[0].filename == __file__
    monkeypatch.setenv(name, "x")
    with pytest.warns(SettingsWarning, match=rf"^environment variable {name} sets nothing\. Did you mean {meant}"):
        OTSSettings(endpoint=ENDPOINT)


@pytest.mark.parametrize(
    "name",
    [
        "OTS_CREDENTIALS",
        "OTS_TEST_ENDPOINT",
        "OTS_TEST_ACCESS_KEY_ID",
        "OTS_ENDPOINT_STAGING",
        "OTS_CALENDAR",
        "OTSELOT",
    ],
)
def test_names_of_others(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that the credentials read, and names that a user chose, are ignored."""
    monkeypatch.setenv(name, "x")
    OTSSettings(endpoint=ENDPOINT)


def test_misspelt_profile_entry(write: Write) -> None:
    """A misspelt entry of a profile is reported too."""
    write("ots.toml", "[profiles.default]\nmax_conection = 3\nrole_arn = 'x'\n")
    with pytest.warns(
        SettingsWarning, match=r"in ots\.toml line 2: max_conection sets nothing\. Did you mean max_connection\?"
    ):
        OTSSettings(endpoint=ENDPOINT)


def test_problems_are_plain_data() -> None:
    """A problem is plain data."""
    problem = SettingsProblem("field", "is wrong", "argument", "Correct it.")
    assert str(problem) == "field: is wrong (from argument). Correct it."
