"""A user's own settings class: fields, prefix, files and sources of its own; and ours inside another model."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AliasChoices, BaseModel, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ots_config.errors import SettingsError
from ots_config.settings import OTSSettings, RetrySettings, SettingsWarning
from ots_config.settings.sources import PRECEDENCE, PRIVATE

Write = Callable[..., Path]
ENDPOINT = "https://demo.cn-hangzhou.ots.aliyuncs.com"


class Mine(OTSSettings):
    """A user's settings: a field, and a source above the environment."""

    table: str = "rows"
    limit: int = 3

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: Any, init_settings: Any, env_settings: Any, *weaker: Any, **named: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put a vault between arguments and environment."""
        return init_settings, Vault(settings_cls), env_settings, *weaker, *named.values()


class Vault(PydanticBaseSettingsSource):
    """A source that is not ours."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing; pydantic-settings' own sources use this."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """Return what the vault holds."""
        return {"access_key_id": "id", "access_key_secret": "vault-secret", "retry": {"deadline": 4}, "unknown": 1}


def test_own_fields_and_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subclass may add fields, which get variables, and sources, which get a place."""
    monkeypatch.setenv("OTS_TABLE", "mine")
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", "weaker")
    monkeypatch.setenv("OTS_RETRY__MAX_DELAY", "2")
    settings = Mine(endpoint=ENDPOINT)
    assert (settings.table, settings.limit, settings.access_key_id) == ("mine", 3, "id")
    assert settings.retry == RetrySettings(deadline=4, max_delay=2)
    assert settings.origin("access_key_id") == "Vault"
    assert settings != OTSSettings(endpoint=ENDPOINT, access_key_id="id", access_key_secret="vault-secret")
    row = next(row for row in Mine(endpoint=ENDPOINT, table="yours").explain() if row.field == "table")
    assert row.overrode == (("environment variable OTS_TABLE", "mine"),)
    monkeypatch.setenv("OTS_LIMIT", "none")
    with pytest.raises(SettingsError, match=r"limit: is not a whole number \(from environment variable OTS_LIMIT\)"):
        Mine(endpoint=ENDPOINT)


def test_own_sources_see_what_stronger_ones_gave() -> None:
    """A user's source finds the values of the sources above it in ``current_state``, as pydantic-settings has it."""
    seen: list[dict[str, Any]] = []

    class Seeing(Vault):
        def __call__(self) -> dict[str, Any]:
            seen.append(self.current_state)
            return {"max_connection": 3, "encoding": "ascii"}

    class Settings(OTSSettings):
        @classmethod
        def settings_customise_sources(cls, settings_cls: Any, *given: Any, **named: Any) -> Any:
            return *given, *named.values(), Seeing(settings_cls)

    settings = Settings(endpoint=ENDPOINT, encoding="utf8", retry={"deadline": 3})
    assert seen == [{"endpoint": ENDPOINT, "encoding": "utf8", "retry": {"deadline": 3}}]
    assert (settings.max_connection, settings.encoding) == (3, "utf8")


def test_sources_speak_pydantic(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """Our sources are pydantic-settings' own and answer as those do, but show no values."""
    seen: list[Any] = []

    class Curious(OTSSettings):
        @classmethod
        def settings_customise_sources(cls, *given: Any, **named: Any) -> tuple[PydanticBaseSettingsSource, ...]:
            seen.extend(super().settings_customise_sources(*given, **named))
            return tuple(seen)

    write(".env", 'OTS_ENCODING=ascii\nOTS_RETRY={"deadline": 4, "policy": "write"}\n')
    write("secrets/access_key_secret", "MARKED")
    monkeypatch.setenv("OTS_RETRY__DEADLINE", "3")
    Curious(endpoint=ENDPOINT, access_key_id="id", secrets_dir="secrets")
    kinds = (InitSettingsSource, EnvSettingsSource, DotEnvSettingsSource, EnvSettingsSource)
    assert all(isinstance(source, kind) for source, kind in zip(seen, kinds, strict=True))
    arguments, environment, env_file, secrets = seen
    assert arguments() == {"endpoint": ENDPOINT, "access_key_id": "id"}
    assert environment() == {"retry": {"deadline": "3"}}
    assert env_file() == {"encoding": "ascii", "retry": {"deadline": 4, "policy": "write"}}
    assert secrets() == {"access_key_secret": SecretStr("MARKED")}
    assert repr(seen) == "[Arguments(), Environment(), EnvFiles(), SecretsDirectory()]"


class Nested(BaseModel):
    """A part of a user's own, which is not one of ours."""

    size: int = Field(default=1, ge=1)
    name: str = ""


class App(OTSSettings):
    """The settings of a user's program."""

    model_config = SettingsConfigDict(env_prefix="APP_", env_file="app.env", secrets_dir="app-secrets")

    table: str
    tags: Annotated[list[str], Field(default_factory=list)]
    labels: Annotated[dict[str, str], Field(default_factory=dict)]
    nested: Nested = Nested()
    password: SecretStr | None = None
    level: Annotated[int, Field(validation_alias=AliasChoices("LOG_LEVEL", "level"))] = 1


def test_a_program_with_its_own_prefix_and_files(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """A subclass's prefix, env file and secrets directory are used, and ours are not."""
    monkeypatch.setenv("OTS_ENDPOINT", "https://wrong.cn-hangzhou.ots.aliyuncs.com")
    monkeypatch.setenv("OTS_MAX_CONNECTION", "2")
    monkeypatch.setenv("APP_ENDPOINT", ENDPOINT)
    monkeypatch.setenv("APP_RETRY__DEADLINE", "9")
    write(".env", "APP_ENCODING=ascii\nOTS_ENCODING=ascii\n")
    write("app.env", "APP_TABLE=rows\nAPP_INSTANCE=demo\nOTS_MAX_CONNECTION=5\n")
    write("app-secrets/password", "s3cr3t")
    write("app-secrets/APP_IDLE_TIMEOUT", "7")
    settings = App()
    assert (settings.endpoint, settings.table, settings.max_connection) == (ENDPOINT, "rows", 50)
    assert (settings.encoding, settings.retry.deadline, settings.idle_timeout) == ("utf8", 9, 7)
    assert settings.password == SecretStr("s3cr3t")
    assert settings.origin("endpoint") == "environment variable APP_ENDPOINT"
    assert settings.origin("table") == "app.env line 1"
    assert settings.origin("instance_name") == "app.env line 2"
    assert settings.origin("password") == "secrets file app-secrets/password"
    assert "s3cr3t" not in repr(settings) + str(settings.explain())
    assert settings.rebuilt() == settings


def test_a_programs_files_are_named_by_its_own_variables(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """The variables that name files and profile have the subclass's prefix, and are stronger than its config."""
    write("app.env", "APP_TABLE=weaker\n")
    write("prod.env", "APP_TABLE=rows\nAPP_PROFILE=prod\n")
    write("ots.toml", f"[profiles.prod]\nendpoint = '{ENDPOINT}'\n")
    monkeypatch.setenv("OTS_ENV_FILE", "absent.env")
    monkeypatch.setenv("APP_ENV_FILE", "prod.env")
    Path("app-secrets").mkdir()
    settings = App()
    assert (settings.table, settings.profile, settings.endpoint) == ("rows", "prod", ENDPOINT)
    assert App(env_file="app.env", endpoint=ENDPOINT).table == "weaker"
    assert Path("ots.toml") in settings.files
    assert Path("app-secrets") in settings.files


def test_what_a_class_names_may_be_absent(write: Write) -> None:
    """An env file of the class may be absent; its secrets directory too, with a warning; broken ones are problems."""
    with pytest.warns(SettingsWarning, match=r"app-secrets: no such file .*\(model_config of App\); it is ignored"):
        App(endpoint=ENDPOINT, table="rows")
    Path("app-secrets").mkdir()
    App(endpoint=ENDPOINT, table="rows")
    write("app.env", b"\xff")
    with pytest.raises(SettingsError, match=r"env_file: app\.env: not UTF-8 text \(from model_config of App\)"):
        App(endpoint=ENDPOINT, table="rows")


def test_own_fields_of_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subclass's lists, dictionaries, nested models and aliases are read as pydantic-settings reads them."""
    Path("app-secrets").mkdir()
    for name, value in {
        "APP_ENDPOINT": ENDPOINT,
        "APP_TABLE": "rows",
        "APP_TAGS": '["a", "b"]',
        "APP_LABELS__EAST": "1",
        "APP_LABELS__WEST": "2",
        "APP_NESTED": '{"size": 2, "name": "x"}',
        "APP_NESTED__SIZE": "3",
        "LOG_LEVEL": "4",
    }.items():
        monkeypatch.setenv(name, value)
    settings = App()
    assert (settings.tags, settings.labels) == (["a", "b"], {"east": "1", "west": "2"})
    assert (settings.nested, settings.level) == (Nested(size=3, name="x"), 4)
    assert settings.origin("nested.size") == "environment variable APP_NESTED__SIZE"
    assert settings.origin("level") == "environment variable LOG_LEVEL"
    assert App(level=5).level == 5
    Path("ots.toml").write_text("[profiles.default]\nLOG_LEVEL = 6\n")
    monkeypatch.delenv("LOG_LEVEL")
    assert App().level == 6
    rows = {row.field: row for row in settings.explain()}
    assert rows["nested.size"].overrode == (("environment variable APP_NESTED", "2"),)


def test_own_fields_have_our_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with a subclass's fields is a problem with field, origin and hint, reported with the others."""
    Path("app-secrets").mkdir()
    monkeypatch.setenv("APP_NESTED__SIZE", "0")
    monkeypatch.setenv("APP_TAGS", "[s3cr3t")
    with pytest.raises(SettingsError) as caught:
        App(endpoint=ENDPOINT, max_connection=0, level="high")
    assert [str(problem) for problem in caught.value.problems] == [
        "max_connection: is less than 1 (from argument). Give a number of at least 1.",
        "table: is not set (from no source). Set it (APP_TABLE).",
        "tags: is not a list (from environment variable APP_TAGS). Give a list, or a JSON array in a variable.",
        "nested.size: is less than 1 (from environment variable APP_NESTED__SIZE). Give a number of at least 1.",
        "level: is not a whole number (from argument). Give a whole number.",
    ]
    monkeypatch.setenv("APP_TABEL", "x")
    with pytest.warns(SettingsWarning, match=r"APP_TABEL sets nothing\. Did you mean APP_TABLE\?"):
        App(endpoint=ENDPOINT, tags=[], nested=Nested(), table="rows")


def test_no_env_file(write: Write) -> None:
    """A subclass whose ``env_file`` is None reads none."""

    class Plain(OTSSettings):
        model_config = SettingsConfigDict(env_file=None)

    write(".env", "OTS_MAX_CONNECTION=3\n")
    assert Plain(endpoint=ENDPOINT).max_connection == 50
    assert OTSSettings(endpoint=ENDPOINT).max_connection == 3


def test_a_field_of_ours_with_another_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subclass may narrow or replace the type of one of our fields, and that type decides how its text is read."""

    class Narrowed(OTSSettings):
        network: Literal["vpc"] = "vpc"  # type: ignore[assignment]
        role_via: list[str] | None = None  # type: ignore[assignment]

    monkeypatch.setenv("OTS_ROLE_VIA", '["a", "b"]')
    role = "acs:ram::1234567890123456:role/writer"
    settings = Narrowed(region="cn-hangzhou", instance_name="demo", role_arn=role)
    assert settings.role_via == ["a", "b"]
    with pytest.raises(SettingsError, match=r"network: is not one of vpc \(from argument\)"):
        Narrowed(region="cn-hangzhou", instance_name="demo", network="public")


def test_without_a_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an empty prefix only exact names count, and no variable of another program is reported as misspelt."""

    class Bare(OTSSettings):
        model_config = SettingsConfigDict(env_prefix="")

    monkeypatch.setenv("ENDPOINT", ENDPOINT)
    monkeypatch.setenv("MAX_CONECTION", "3")
    assert Bare().origin("endpoint") == "environment variable ENDPOINT"


class Outer(BaseModel):
    """A user's model with our settings as a field."""

    ots: OTSSettings
    name: str = "x"


class OuterSettings(BaseSettings):
    """A user's settings with ours as a field."""

    model_config = SettingsConfigDict(env_prefix="MY_", env_nested_delimiter="__")

    ots: OTSSettings = Field(default_factory=OTSSettings)


def test_inside_another_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a field, settings are kept as they are, or built from a dictionary or from the outer model's variables."""
    own = OTSSettings(endpoint=ENDPOINT, retry="write")
    assert Outer(ots=own).ots is own
    built = Outer.model_validate({"ots": {"endpoint": ENDPOINT, "retry": {"deadline": 3}}}).ots
    assert (built.instance_name, built.retry.deadline) == ("demo", 3)
    assert built.origin("endpoint") == "argument"
    assert Outer.model_validate_json(f'{{"ots": {{"endpoint": "{ENDPOINT}"}}}}').ots.region == "cn-hangzhou"
    monkeypatch.setenv("MY_OTS__ENDPOINT", ENDPOINT)
    monkeypatch.setenv("MY_OTS__RETRY__DEADLINE", "4")
    assert OuterSettings().ots.retry.deadline == 4
    monkeypatch.delenv("MY_OTS__ENDPOINT")
    monkeypatch.delenv("MY_OTS__RETRY__DEADLINE")
    monkeypatch.setenv("OTS_ENDPOINT", ENDPOINT)
    assert OuterSettings().ots.origin("endpoint") == "environment variable OTS_ENDPOINT"


def test_problems_inside_another_model() -> None:
    """As a field, settings that cannot be used name every problem with our words."""
    with pytest.raises(SettingsError) as caught:
        Outer.model_validate({"ots": {"endpoint": ENDPOINT, "max_connection": 0, "encoding": "utf9"}})
    assert "max_connection: is less than 1 (from argument)" in str(caught.value)
    assert "encoding: is not a text encoding that Python knows (from argument)" in str(caught.value)


@pytest.mark.parametrize(("owner", "name"), PRIVATE, ids=lambda value: getattr(value, "__name__", value))
def test_private_methods_exist(owner: type, name: str) -> None:
    """Each private method that we override or call exists in this version of pydantic-settings."""
    assert callable(getattr(owner, name, None)), version("pydantic-settings")


def test_private_methods_are_all_named() -> None:
    """No other private method of pydantic-settings is overridden."""
    named = {name for _, name in PRIVATE}
    for source in PRECEDENCE:
        theirs = {
            name
            for base in source.__mro__
            if base.__module__.startswith("pydantic_settings")
            for name in vars(base)
            if name.startswith("_") and not name.startswith("__") and not name.startswith("_abc_")
        }
        own = {name for base in source.__mro__ if base.__module__.startswith("ots_config") for name in vars(base)}
        assert own & theirs <= named, source


def test_the_text_comes_from_our_reader(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """pydantic-settings' own reading of files and variables is never used."""

    def forbidden(*_: object, **__: object) -> Any:
        raise AssertionError

    write(".env", "OTS_ENCODING=ascii\n")
    write("ots.toml", f"[profiles.default]\nendpoint = '{ENDPOINT}'\n")
    for owner, name in PRIVATE[:3]:
        monkeypatch.setattr(owner, name, forbidden)
    monkeypatch.setattr(DotEnvSettingsSource, "_read_env_files", forbidden)
    monkeypatch.setattr(TomlConfigSettingsSource, "_read_file", forbidden)
    settings = OTSSettings()
    assert (settings.encoding, settings.endpoint) == ("ascii", ENDPOINT)
