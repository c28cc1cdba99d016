"""Problems are reported together, in the order of the fields, with origin and hint; misspelt names are found."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic_settings import SettingsConfigDict

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


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AK", "OTS_ACCESS_KEY_ID"),
        ("ACCESS_KEYID", "OTS_ACCESS_KEY_ID"),
        ("SECRET_KEY", "OTS_ACCESS_KEY_SECRET"),
        ("TOKEN", "OTS_STS_TOKEN"),
        ("SECURITY_TOKEN", "OTS_STS_TOKEN"),
        ("REGION_ID", "OTS_REGION"),
        ("TIMEOUT", "OTS_SOCKET_TIMEOUT"),
        ("PROXY", "OTS_PROXIES"),
        ("MAX_RETRIES", "OTS_RETRY__MAX_ATTEMPTS"),
    ],
)
def test_names_that_others_use(name: str, meant: str, write: Write) -> None:
    """Names that other programs use for the same things are reported with ours."""
    with pytest.warns(SettingsWarning, match=rf"OTS_{name} sets nothing\. Did you mean {meant}\?"):
        OTSSettings(endpoint=ENDPOINT, env_file=write("prod.env", f"OTS_{name}=x\n"))


PLACES = {
    "environment": ("OTS_ENDPONT", "OTS_ENDPOINT", "environment variable OTS_ENDPONT"),
    "env file": ("OTS_ENDPONT", "OTS_ENDPOINT", ".env line 1"),
    "profile": ("endpont", "endpoint", "profile [profiles.default] in ots.toml line 2"),
    "secrets directory": ("OTS_ENDPONT", "OTS_ENDPOINT", "secrets file secrets/OTS_ENDPONT"),
}


@pytest.mark.parametrize("source", PLACES)
def test_the_cause_is_part_of_the_error(source: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt name that is the reason why a setting is missing is in the error: nobody sees a warning then."""
    match source:
        case "environment":
            monkeypatch.setenv("OTS_ENDPONT", ENDPOINT)
        case "env file":
            write(".env", f"OTS_ENDPONT={ENDPOINT}\n")
        case "profile":
            write("ots.toml", f"[profiles.default]\nendpont = '{ENDPOINT}'\n")
        case _:
            write("secrets/OTS_ENDPONT", ENDPOINT)
    with pytest.raises(SettingsError, match=r"^endpoint: is not set") as caught:
        OTSSettings(secrets_dir="secrets" if source == "secrets directory" else None)
    (problem,) = caught.value.problems
    written, meant, origin = PLACES[source]
    assert problem.hint == f"Did you mean {meant}? {written} is set ({origin})."


@pytest.mark.parametrize(
    ("given", "line", "field", "hint"),
    [
        ({"region": "cn-hangzhou"}, "OTS_INSTANCENAME=demo", "endpoint", "OTS_INSTANCE_NAME? OTS_INSTANCENAME is"),
        ({"endpoint": "https://rows.example.com"}, "OTS_INSTANSE=x", "instance_name", "OTS_INSTANCE? OTS_INSTANSE is"),
        (
            {"endpoint": ENDPOINT, "access_key_id": "x"},
            "OTS_SECRET_KEY=x",
            "access_key_secret",
            "OTS_ACCESS_KEY_SECRET?",
        ),
        ({"endpoint": ENDPOINT, "access_key_secret": "x"}, "OTS_AK=x", "access_key_id", "OTS_ACCESS_KEY_ID? OTS_AK is"),
        ({}, "OTS_PROFIL=prod", "endpoint", "OTS_PROFILE? OTS_PROFIL is set (prod.env line 1)."),
        (
            {"endpoint": "http://127.0.0.1:1", "instance_name": "demo", "signature": "v4"},
            "OTS_REGION_ID=cn-hangzhou",
            "signature",
            "OTS_REGION? OTS_REGION_ID is set",
        ),
    ],
)
def test_the_cause_of_other_errors(given: dict[str, str], line: str, field: str, hint: str, write: Write) -> None:
    """So it is for whatever else is missing, and for a misspelt name of a file or profile."""
    with pytest.raises(SettingsError) as caught:
        OTSSettings(**given, env_file=write("prod.env", line + "\n"))
    (problem,) = caught.value.problems
    assert problem.field == field
    assert problem.hint.startswith(f"Did you mean {hint}")


def test_lower_case_names(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names in lower or mixed case work in the environment and in env files, also those of files and profile."""
    monkeypatch.setenv("ots_endpoint", ENDPOINT)
    monkeypatch.setenv("Ots_Retry__deadline", "4")
    monkeypatch.setenv("ots_env_file", str(write("prod.env", "ots_max_connection=3\nots_profile=prod\n")))
    write("ots.toml", "[profiles.prod]\nencoding = 'ascii'\n")
    settings = OTSSettings()
    assert (settings.endpoint, settings.retry.deadline, settings.max_connection) == (ENDPOINT, 4, 3)
    assert (settings.profile, settings.encoding) == ("prod", "ascii")
    assert settings.origin("endpoint") == "environment variable ots_endpoint"
    assert settings.origin("max_connection") == "prod.env line 1"


def test_both_spellings(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The upper-case spelling of a name wins, and a warning names both; an empty one counts as unset."""
    monkeypatch.setenv("ots_encoding", "latin-1")
    monkeypatch.setenv("OTS_ENCODING", "ascii")
    with pytest.warns(SettingsWarning, match=r"^ots_encoding \(?.*is not used: OTS_ENCODING is set too") as seen:
        assert OTSSettings(endpoint=ENDPOINT).encoding == "ascii"
    assert len(seen) == 1
    monkeypatch.setenv("OTS_ENCODING", "")
    assert OTSSettings(endpoint=ENDPOINT).encoding == "latin-1"
    text = "OTS_MAX_CONNECTION=1\nots_max_connection=2\n"
    warning = (
        r"^ots_max_connection \(prod\.env line 2\) is not used: OTS_MAX_CONNECTION is set too \(prod\.env line 1\)$"
    )
    with pytest.warns(SettingsWarning, match=warning):
        assert OTSSettings(endpoint=ENDPOINT, env_file=write("prod.env", text)).max_connection == 1


def test_case_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subclass may say that case matters; another spelling is then a misspelt name."""

    class Cased(OTSSettings):
        model_config = SettingsConfigDict(case_sensitive=True)

    monkeypatch.setenv("OTS_encoding", "ascii")
    monkeypatch.setenv("ots_max_connection", "3")
    with pytest.warns(SettingsWarning, match=r"ots_max_connection sets nothing\. Did you mean OTS_max_connection\?"):
        settings = Cased(endpoint=ENDPOINT)
    assert (settings.encoding, settings.max_connection) == ("ascii", 50)


def test_misspelt_profile_entry(write: Write) -> None:
    """A misspelt entry of a profile is reported too."""
    write("ots.toml", "[profiles.default]\nmax_conection = 3\nrole_session_name = 'job'\n")
    with pytest.warns(
        SettingsWarning, match=r"in ots\.toml line 2: max_conection sets nothing\. Did you mean max_connection\?"
    ):
        OTSSettings(endpoint=ENDPOINT)


def test_problems_are_plain_data() -> None:
    """A problem is plain data."""
    problem = SettingsProblem("field", "is wrong", "argument", "Correct it.")
    assert str(problem) == "field: is wrong (from argument). Correct it."
