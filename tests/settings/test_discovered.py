"""A ``.env`` or ``ots.toml`` that is read only because it is in the working directory is trusted less."""

import json
from collections.abc import Callable
from pathlib import Path

import certifi
import pytest
from pydantic_settings import SettingsConfigDict

from ots_config.errors import SettingsError
from ots_config.settings import OTSSettings, SettingsWarning

Write = Callable[..., Path]
ENDPOINT = "https://demo.cn-hangzhou.ots.aliyuncs.com"
OTHERS = "https://rows.example.com"
BASE = {"endpoint": ENDPOINT}
KEYS = {"access_key_id": "id", "access_key_secret": "s"}
REFUSED = {
    "credentials_process": "program",
    "credentials_file": "file.ini",
    "cli_config_file": "cli.json",
    "credentials_uri": "https://example.com/keys",
    "ecs_endpoint": "http://100.100.100.200",
    "sts_endpoint": "sts.example.com",
    "proxies": "http://proxy:1",
    "tls.ca_bundle": certifi.where(),
    "tls.minimum_version": "TLSv1.3",
    "allow_http": "true",
}


def env(**values: str) -> str:
    """Return the text of an env file."""
    return "".join(f"OTS_{name.upper().replace('.', '__')}='{value}'\n" for name, value in values.items())


def toml(**values: str) -> str:
    """Return the text of an ots.toml."""
    return "[profiles.default]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def refused(field: str, origin: str) -> None:
    """Check that a file's line is the only problem, with the hint how to have it used."""
    with pytest.raises(SettingsError, match="may not be set by a file that nobody named") as caught:
        OTSSettings(**BASE)
    (problem,) = caught.value.problems
    assert (problem.field, problem.origin) == (field, origin)
    assert problem.hint.startswith("Name the file (OTS_ENV_FILE, env_file= or OTS_CONFIG_FILE), or move the line to ")


@pytest.mark.parametrize("field", REFUSED)
def test_what_it_may_not_set(field: str, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It may not run a program, choose a server for secrets or weaken verification; a file that is named may."""
    line = {field: REFUSED[field]}
    write(".env", env(**line))
    refused(field, ".env line 1")
    OTSSettings(**BASE, env_file=".env")
    OTSSettings(**BASE, _env_file=".env")
    with monkeypatch.context() as context:
        context.setenv("OTS_ENV_FILE", ".env")
        OTSSettings(**BASE)
    Path(".env").rename(tmp_path / "other")
    write("ots.toml", toml(**line))
    refused(field, "profile [profiles.default] in ots.toml line 2")
    with monkeypatch.context() as context:
        context.setenv("OTS_CONFIG_FILE", "ots.toml")
        OTSSettings(**BASE)
    (tmp_path / "config").mkdir()
    Path("ots.toml").rename(tmp_path / "config" / "ots.toml")
    OTSSettings(**BASE)
    monkeypatch.chdir(tmp_path / "config")
    OTSSettings(**BASE)


@pytest.mark.parametrize("text", ['OTS_TLS={"minimum_version": "1.3"}', 'ots_tls__minimum_version="1.3"'])
def test_however_it_is_written(text: str, write: Write) -> None:
    """A part of a nested setting is refused in the whole too, and in lower case."""
    write(".env", text)
    refused("tls.minimum_version", ".env line 1")


def test_an_overridden_line_is_refused_too(write: Write) -> None:
    """The rule has no exception for a line that a stronger source overrides."""
    write(".env", env(proxies="http://proxy:1"))
    with pytest.raises(SettingsError, match="proxies: may not be set"):
        OTSSettings(**BASE, proxies="http://own:1")


def test_what_it_may_set(write: Write) -> None:
    """Everything else is used."""
    write(".env", env(max_connection="3", **KEYS))
    write("ots.toml", toml(endpoint=ENDPOINT, encoding="ascii"))
    settings = OTSSettings()
    assert (settings.max_connection, settings.encoding, settings.access_key_id) == (3, "ascii", "id")


@pytest.mark.parametrize("control", ["config_file", "secrets_dir"])
def test_what_it_names_is_not_named(control: str, write: Write) -> None:
    """A file that only such a file names is trusted no more than that."""
    names = {"config_file": "evil.toml", "secrets_dir": "evil"}
    write("evil.toml", toml(credentials_process="program"))
    write("evil/credentials_process", "program")
    write(".env", env(**{control: names[control]}))
    origins = {
        "config_file": "profile [profiles.default] in evil.toml line 2",
        "secrets_dir": "secrets file evil/credentials_process",
    }
    refused("credentials_process", origins[control])


def test_what_a_program_names_is_named(write: Write) -> None:
    """A subclass's ``env_file`` is the choice of the program's author, even if it is ``.env``."""

    class Mine(OTSSettings):
        model_config = SettingsConfigDict(env_file=".env")

    class Theirs(OTSSettings):
        table: str = "rows"

    write(".env", env(credentials_process="program"))
    assert Mine(**BASE).credentials_process is not None
    with pytest.raises(SettingsError, match="credentials_process: may not be set"):
        Theirs(**BASE)


# --- keys ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["ALIBABA_CLOUD", "ALIBABACLOUD", "ALICLOUD"])
@pytest.mark.parametrize("name", [".env", "ots.toml"])
def test_keys_of_the_environment_stay(family: str, name: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys never replace those of the environment, under any name that the credentials read."""
    values = {**KEYS, "sts_token": "t", "sts_expiration": "1790000000"}
    write(name, env(**values) if name == ".env" else toml(**values))
    monkeypatch.setenv(f"{family}_ACCESS_KEY_ID", "own")
    monkeypatch.setenv(f"{family}_ACCESS_KEY_SECRET", "own")
    with pytest.warns(
        SettingsWarning, match=rf"^the keys in {name} are not used: .*\({family}_ACCESS_KEY_ID\)\. Name the"
    ) as seen:
        settings = OTSSettings(**BASE)
    assert len(seen) == 1
    assert (settings.access_key_id, settings.access_key_secret, settings.sts_token) == (None, None, None)
    assert settings.sts_expiration is None
    row = next(row for row in settings.explain() if row.field == "access_key_secret")
    assert (row.value, row.overrode[0][1]) == ("none", "********")
    named = {"env_file": ".env"} if name == ".env" else {}
    if not named:
        monkeypatch.setenv("OTS_CONFIG_FILE", name)
    assert OTSSettings(**BASE, **named).access_key_id == "id"


def test_keys_of_our_own_variables_stay(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does a token or half a key of such a file join keys of ``OTS_*`` variables."""
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", "own")
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "own")
    write(".env", env(**KEYS, sts_token="t"))
    with pytest.warns(SettingsWarning, match=r"sts_token \(\.env line 3\) is not used"):
        settings = OTSSettings(**BASE)
    assert (settings.access_key_id, settings.sts_token) == ("own", None)
    monkeypatch.delenv("OTS_ACCESS_KEY_SECRET")
    with pytest.raises(SettingsError, match="belongs to another access_key_id"):
        OTSSettings(**BASE)


def test_keys_of_the_users_own_file_stay(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its keys are left out, those of a weaker source that somebody named are used."""
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "cloud")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "cloud")
    write(".env", env(**KEYS))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "ots.toml").write_text(toml(access_key_id="own", access_key_secret="own"))
    (tmp_path / "config" / "ots.toml").chmod(0o600)
    with pytest.warns(SettingsWarning, match=r"keys in \.env are not used"):
        assert OTSSettings(**BASE).access_key_id == "own"


# --- the endpoint -------------------------------------------------------------------------------------------


def test_someone_elses_endpoint(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its endpoint gets no request that is signed with keys from elsewhere, unless it is the provider's or loopback."""
    write(".env", env(endpoint=OTHERS, instance_name="demo"))
    match = r"^endpoint: may not be set by a file that nobody named, as it is not the provider's"
    with pytest.raises(SettingsError, match=match):
        OTSSettings()
    with pytest.raises(SettingsError, match=match):
        OTSSettings(**KEYS)
    write("ots.toml", toml(**KEYS))
    with pytest.raises(SettingsError, match=match):
        OTSSettings()
    Path("ots.toml").unlink()
    write(".env", env(endpoint=OTHERS, instance_name="demo", **KEYS))
    assert OTSSettings().endpoint == OTHERS
    assert OTSSettings(access_key_id="id").endpoint == OTHERS
    with pytest.raises(SettingsError, match=match):
        OTSSettings(credentials="ecs")
    assert OTSSettings(credentials="settings").endpoint == OTHERS
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "cloud")
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "cloud")
    with pytest.raises(SettingsError, match=match):
        OTSSettings()


@pytest.mark.parametrize("endpoint", [ENDPOINT, "http://127.0.0.1:8087", "https://localhost", "https://[::1]:1"])
def test_an_endpoint_that_it_may_set(endpoint: str, write: Write) -> None:
    """The provider's hosts and this machine may be set by any file."""
    write(".env", env(endpoint=endpoint, instance_name="demo"))
    assert OTSSettings(**KEYS).endpoint == endpoint


@pytest.mark.parametrize(
    "endpoint", ["https://aliyuncs.com.example.com", "https://xaliyuncs.com", "https://aliyuncs.com"]
)
def test_what_only_looks_like_the_providers(endpoint: str, write: Write) -> None:
    """The provider's hosts are those below its domains."""
    write(".env", env(endpoint=endpoint, instance_name="demo"))
    with pytest.raises(SettingsError, match="endpoint: may not be set"):
        OTSSettings(**KEYS)


def test_an_endpoint_of_a_named_file(write: Write) -> None:
    """A named file may set any endpoint."""
    write("prod.env", env(endpoint=OTHERS, instance_name="demo"))
    assert OTSSettings(**KEYS, env_file="prod.env").endpoint == OTHERS


def test_http_is_one_problem(write: Write) -> None:
    """An http endpoint beside a refused ``allow_http`` is not reported twice."""
    write(".env", env(endpoint="http://10.0.0.1", instance_name="demo", allow_http="true", **KEYS))
    with pytest.raises(SettingsError) as caught:
        OTSSettings()
    assert [problem.field for problem in caught.value.problems] == ["allow_http"]
