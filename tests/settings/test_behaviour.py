"""Settings are frozen, comparable, picklable, and open to fields and sources of the user's own."""

import copy
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import ots_config
from ots_config import create_client, create_provider
from ots_config.errors import SettingsError
from ots_config.settings import OTSSettings, RetrySettings, TLSSettings, settings_table

Write = Callable[..., Path]
ENDPOINT = "https://demo.cn-hangzhou.ots.aliyuncs.com"


def test_frozen() -> None:
    """Neither settings nor their parts can be changed."""
    settings = OTSSettings.explicit(endpoint=ENDPOINT)
    with pytest.raises(SettingsError, match="cannot be changed"):
        settings.endpoint = "https://other"
    with pytest.raises(SettingsError, match="cannot be changed"):
        del settings.endpoint
    with pytest.raises(SettingsError, match="cannot be changed"):
        settings.retry.deadline = 3
    with pytest.raises(SettingsError, match="cannot be changed"):
        del settings.tls.ca_bundle


def test_equality(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are equal if they do the same, wherever their values came from."""
    one = OTSSettings.explicit(endpoint=ENDPOINT, max_connection=3)
    monkeypatch.setenv("OTS_MAX_CONNECTION", "3")
    other = OTSSettings(endpoint=f"{ENDPOINT}/")
    assert one == other
    assert hash(one) == hash(other)
    assert one != OTSSettings.explicit(endpoint=ENDPOINT)
    assert one != OTSSettings.explicit(endpoint=ENDPOINT, max_connection=3, region="cn-hangzhou")
    assert one != "settings"


def test_pickle_and_copy() -> None:
    """A pickled or copied object is equal, keeps its secrets and its origins."""
    settings = OTSSettings.explicit(
        endpoint=ENDPOINT, access_key_id="id", access_key_secret="secret", proxies="http://proxy:1", retry="write"
    )
    for other in (pickle.loads(pickle.dumps(settings)), copy.copy(settings), copy.deepcopy(settings)):
        assert other == settings
        assert other.explain() == settings.explain()
        assert other.access_key_secret.get_secret_value() == "secret"


def test_model_methods() -> None:
    """A dump keeps secrets wrapped; validation builds the same settings, or returns settings as they are."""
    settings = OTSSettings(endpoint=ENDPOINT, access_key_id="id", access_key_secret="secret")
    assert settings.model_dump()["access_key_secret"] is settings.access_key_secret
    assert OTSSettings.model_validate(settings) is settings
    assert OTSSettings.model_validate(settings.model_dump()) == settings
    assert OTSSettings.model_validate_json(f'{{"endpoint": "{ENDPOINT}"}}').endpoint == ENDPOINT
    assert OTSSettings.model_validate_strings({"endpoint": ENDPOINT, "max_connection": "3"}).max_connection == 3


@pytest.mark.parametrize(
    "arguments",
    [
        {"endpoint": ENDPOINT},
        {"endpoint": ENDPOINT, "region": "cn-hangzhou"},
        {"endpoint": ENDPOINT, "signature": "v4"},
        {"region": "cn-hangzhou", "instance_name": "demo", "network": "vpc"},
        {"endpoint": "http://127.0.0.1:1", "instance_name": "demo"},
        {
            "endpoint": ENDPOINT,
            "access_key_id": "id",
            "access_key_secret": "s",
            "sts_token": "t",
            "sts_expiration": "1790000000",
            "proxies": "http://u:p@proxy:1",
            "retry": {"policy": "write", "deadline": None},
            "socket_timeout": "3,30",
            "credentials_process": "program",
            "role_arn": "acs:ram::1234567890123456:role/writer",
            "role_via": "acs:ram::1234567890123456:role/first",
            "role_policy": {"Version": "1"},
        },
    ],
    ids=["derived", "given", "v4", "from parts", "loopback", "all"],
)
def test_a_round_trip(arguments: dict[str, Any]) -> None:
    """What ``model_dump()`` gives makes equal settings, which sign alike, any number of times."""
    settings = OTSSettings(**arguments)
    again = OTSSettings(**settings.model_dump())
    third = OTSSettings.explicit(**pickle.loads(pickle.dumps(again.model_dump())))
    for other in (again, third):
        assert other == settings
        assert other.signing_region == settings.signing_region
        assert other.model_dump() == settings.model_dump()
        assert other.proxies == settings.proxies


def test_a_derived_region_without_its_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dumped region is an ordinary one where no endpoint is given with it."""
    region = OTSSettings(endpoint=ENDPOINT).model_dump()["region"]
    assert (region, f"{region}", repr(region)) == ("cn-hangzhou", "cn-hangzhou", "'cn-hangzhou'")
    settings = OTSSettings(region=region, instance_name="demo")
    assert (settings.endpoint, settings.signing_region) == (ENDPOINT, "cn-hangzhou")


def test_json_is_for_showing() -> None:
    """JSON shows no secret, and settings made of it are refused with that reason."""
    settings = OTSSettings.explicit(
        endpoint=ENDPOINT, access_key_id="LTAI5tAbCdEfGh123456", access_key_secret="s", proxies="http://u:p@proxy:1"
    )
    shown = settings.model_dump(mode="json")
    assert (shown["access_key_id"], shown["access_key_secret"]) == ("LTAI5t****3456", "**********")
    assert shown["proxies"] == {"http": "http://********@proxy:1", "https": "http://********@proxy:1"}
    with pytest.raises(SettingsError) as caught:
        OTSSettings.model_validate_json(settings.model_dump_json())
    problems = [(problem.field, problem.reason) for problem in caught.value.problems]
    reason = "is a mask, which stands for a value that is not shown"
    assert problems == [(name, reason) for name in ("access_key_id", "access_key_secret", "proxies")]
    assert OTSSettings.model_validate_json(OTSSettings(endpoint=ENDPOINT).model_dump_json()).instance_name == "demo"
    assert OTSSettings.model_json_schema(mode="serialization")["properties"].keys() == OTSSettings.model_fields.keys()


def test_explain() -> None:
    """There is one row for each setting, in the order of the fields, nested ones with a dot."""
    settings = OTSSettings.explicit(
        endpoint=ENDPOINT, socket_timeout="3,2.5", access_key_id="LTAI5tAbCdEfGh123456", access_key_secret="secret"
    )
    rows = {row.field: row for row in settings.explain()}
    top = list(dict.fromkeys(name.partition(".")[0] for name in rows))
    assert top == list(OTSSettings.model_fields)
    assert rows["retry.deadline"] == ("retry.deadline", "60", "default", ())
    assert rows["socket_timeout"][1:3] == ("3, 2.5", "argument")
    assert rows["instance_name"][1:3] == ("demo", "derived from endpoint")
    assert rows["access_key_id"].value == "LTAI5t****3456"
    assert rows["allow_http"].value == "false"
    assert rows["region"].origin == settings.origin("region")


def test_overridden_values_are_shown_if_they_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """An overridden value is shown in its normal form, or not at all if it would have been refused."""
    monkeypatch.setenv("OTS_ENDPOINT", "not-an-endpoint")
    monkeypatch.setenv("OTS_ENCODING", "ascii")
    rows = {row.field: row for row in OTSSettings(endpoint=ENDPOINT, encoding="utf8").explain()}
    assert rows["endpoint"].overrode == (("environment variable OTS_ENDPOINT", "not valid"),)
    assert rows["encoding"].overrode == (("environment variable OTS_ENCODING", "ascii"),)


def test_explicit_reads_nothing(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """Explicit settings come from arguments alone."""
    monkeypatch.setenv("OTS_MAX_CONNECTION", "3")
    monkeypatch.setenv("OTS_ENDPIONT", "x")
    write(".env", "OTS_ENCODING=ascii\n")
    write("ots.toml", "[profiles.default]\nnetwork = 'vpc'\n")
    settings = OTSSettings.explicit(endpoint=ENDPOINT)
    assert (settings.max_connection, settings.encoding, settings.network) == (50, "utf8", "public")
    with pytest.raises(SettingsError, match="env_file: is not a known setting"):
        OTSSettings.explicit(endpoint=ENDPOINT, env_file=".env")


def test_origin_of_unknown_field() -> None:
    """Asking for a field that does not exist names the nearest one."""
    with pytest.raises(SettingsError, match=r"retry\.deadlin: .*Did you mean retry\.deadline\?"):
        OTSSettings.explicit(endpoint=ENDPOINT).origin("retry.deadlin")


def test_a_second_build_is_equal_and_independent(write: Write) -> None:
    """The same inputs give an equal object that shares no value with the first."""
    write("prod.env", "OTS_MAX_CONNECTION=3\nOTS_PROXIES=http://proxy:1\n")
    first = OTSSettings(endpoint=ENDPOINT, env_file="prod.env")
    second = OTSSettings(endpoint=ENDPOINT, env_file="prod.env")
    assert (second, second.explain()) == (first, first.explain())
    assert second.proxies is not None
    second.proxies.clear()
    assert first.proxies


@pytest.mark.parametrize("change", ["file", "variable", "argument", "new file", "directory", "gone"])
def test_a_change_is_seen(change: str, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A changed file, variable, argument, directory, or a file that appears, makes a new object."""
    write("prod.env", "OTS_MAX_CONNECTION=3\n")
    arguments: dict[str, Any] = {"endpoint": ENDPOINT, "env_file": "prod.env"}
    first = OTSSettings(**arguments)
    match change:
        case "file":
            write("prod.env", "OTS_MAX_CONNECTION=4\n")
        case "variable":
            monkeypatch.setenv("OTS_MAX_CONNECTION", "4")
        case "argument":
            arguments["max_connection"] = 4
        case "new file":
            write("ots.toml", "[profiles.default]\nencoding = 'ascii'\n")
        case "directory":
            monkeypatch.chdir(tmp_path)
            arguments["env_file"] = "work/prod.env"
        case _:
            Path("prod.env").unlink()
            with pytest.raises(SettingsError, match="no such file"):
                OTSSettings(**arguments)
            return
    second = OTSSettings(**arguments)
    assert (second.max_connection, second.encoding, second.explain()) != (
        first.max_connection,
        first.encoding,
        first.explain(),
    )


def test_bare_processes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without a home, or whose working directory is gone, builds its settings all the same."""
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    place.rmdir()
    assert OTSSettings(endpoint=ENDPOINT).instance_name == "demo"


def test_defaults_are_those_of_the_documentation() -> None:
    """What the service's documentation promises is what is built."""
    settings = OTSSettings.explicit(endpoint=ENDPOINT)
    assert (settings.encoding, settings.socket_timeout, settings.max_connection) == ("utf8", 50, 50)
    assert settings.retry == RetrySettings(policy="default", max_attempts=21, max_delay=3, deadline=60)
    assert settings.tls == TLSSettings(ca_bundle=None, minimum_version="TLSv1.2")
    assert (settings.signature, settings.allow_http, settings.credentials) == ("auto", False, None)


def test_a_table_for_notebooks() -> None:
    """It has a row for each setting that is not a default, masked and escaped."""

    class Mine(OTSSettings):
        title: str = ""

    settings = Mine.explicit(
        endpoint=ENDPOINT,
        access_key_id="LTAI5tAbCdEfGh123456",
        access_key_secret="secret",
        proxies="http://u:p@proxy:1",
        title="<script>",
    )
    html = settings._repr_html_()
    assert html.count("<tr>") == 1 + sum(row.origin != "default" for row in settings.explain())
    assert "<td>access_key_id</td><td>LTAI5t****3456</td><td>argument</td>" in html
    assert "<td>title</td><td>&lt;script&gt;</td>" in html
    assert not any(secret in html for secret in (">secret<", "u:p@", "<script>", "max_connection"))


class Outer(BaseModel):
    """A user's model with our settings as a field."""

    ots: OTSSettings


def test_a_warning_points_at_the_users_line(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning about ``.env`` names the line of the program that made settings, a client or a model of its own."""
    write(".env", "OTS_MAX_CONECTION=3\n")
    monkeypatch.setenv("OTS_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTS_INSTANCE_NAME", "demo")
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "s")
    ways: list[Callable[[], object]] = [
        lambda: OTSSettings(env_file=None),
        lambda: OTSSettings().rebuilt(),
        lambda: OTSSettings.model_validate({}),
        lambda: Outer(ots={}),  # type: ignore[arg-type]
        lambda: create_client().close(),
        lambda: create_provider(settings=None),
    ]
    for way in ways:
        with pytest.warns(ots_config.SettingsWarning, match=r"^\.env line 1: OTS_MAX_CONECTION sets nothing") as seen:
            way()
        assert {(each.filename, each.lineno) for each in seen} == {(__file__, way.__code__.co_firstlineno)}


def test_table() -> None:
    """The table for the documentation has a row for each setting, with a meaning."""
    lines = settings_table().splitlines()
    assert len(lines) == 2 + len(OTSSettings.explicit(endpoint=ENDPOINT).explain())
    assert all(line.count("|") == 5 and not line.endswith("|  |") for line in lines)
    assert "| `retry.deadline` | `OTS_RETRY__DEADLINE` | `60` | The time that one call may take" in settings_table()
    assert "`OTS_INSTANCE_NAME` or `OTS_INSTANCE`" in settings_table()


def test_settings_know_their_files_and_build_anew(write: Callable[..., Path]) -> None:
    """Settings name the files that they looked for, and can be built again as those files are now."""
    path = write("prod.env", f"OTS_ENDPOINT={ENDPOINT}\nOTS_MAX_CONNECTION=3\n")
    settings = OTSSettings(env_file=path, access_key_id="id", access_key_secret="s3cr3t")
    assert path in settings.files
    write("prod.env", f"OTS_ENDPOINT={ENDPOINT}\nOTS_MAX_CONNECTION=40\n")
    again = settings.rebuilt()
    assert (settings.max_connection, again.max_connection) == (3, 40)
    assert again.access_key_secret == settings.access_key_secret
    assert "s3cr3t" not in repr(settings._provenance)
    assert OTSSettings.explicit(endpoint=ENDPOINT).files == ()
