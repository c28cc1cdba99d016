"""A marked secret in any place, right or wrong, never appears in what an error or a warning shows."""

import gc
import io
import json
import logging
import pickle
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic_settings import BaseSettings, SettingsConfigDict

from ots_config.errors import SettingsError
from ots_config.settings import OTSSettings, RetrySettings, SettingsWarning, TLSSettings

MARK = "Mark3dSecretN0body5hallEverSee"
Write = Callable[..., Path]
BASE = {"endpoint": "https://demo.cn-hangzhou.ots.aliyuncs.com", "access_key_id": "id"}
WRONG = {"max_connection": 0}
FIELDS = [*OTSSettings.model_fields, "retry.policy", "retry.deadline", "retry.max_attempts", "tls.ca_bundle"]


def hold(value: object, depth: int = 6) -> bool:
    """Whether the mark can be reached from a value."""
    if isinstance(value, (str, bytes, Path)):
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        return MARK.lower() in text.lower()
    if depth == 0 or isinstance(value, (type, types.ModuleType, types.FunctionType, types.FrameType)):
        return False
    return any(hold(each, depth - 1) for each in gc.get_referents(value))


def frames(error: BaseException) -> Iterator[types.FrameType]:
    """Yield the frames of this library that the traceback keeps alive."""
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_globals.get("__name__", "").startswith("ots_config"):
            yield step.tb_frame
        step = step.tb_next


def shapes(error: SettingsError) -> Iterator[object]:
    """Yield everything that can be made of an error."""
    yield from (str(error), repr(error), error.args, error.problems, vars(error), error.message)
    yield pickle.dumps(error)
    yield str(pickle.loads(pickle.dumps(error)))
    yield [error.__cause__, error.__context__]
    for frame in frames(error):
        yield dict(frame.f_locals)
        yield repr(frame.f_locals)
    own = [step for step in traceback.extract_tb(error.__traceback__) if "ots_config" in step.filename]
    yield "".join(traceback.format_list(own))


def check(error: SettingsError) -> None:
    """Look at all that an error shows and holds."""
    assert error.__cause__ is None
    assert error.__context__ is None
    for shape in shapes(error):
        assert not hold(shape), shape


def build(**arguments: Any) -> None:
    """Build settings, fail or not, and look at all that can be seen."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            OTSSettings(**arguments)
    except SettingsError as error:
        check(error)
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(logging.WARNING)
    for warning in caught:
        assert not hold(str(warning.message))
    assert not hold(stream.getvalue())


def nested(field: str, value: object) -> dict[str, Any]:
    """Return the argument of a field."""
    part, _, leaf = field.rpartition(".")
    return {part: {leaf: value}} if part else {field: value}


@pytest.fixture(autouse=True)
def debug(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask pydantic-settings for its debug log, which prints what sources return."""
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("other", [WRONG, {}, {"endpoint": None}, {"region": "cn-beijing", "network": "dual-stack"}])
@pytest.mark.parametrize(
    "value",
    [MARK, f"{MARK}\n", f"ha sh#{MARK}", MARK.encode(), [MARK], {MARK: MARK}],
    ids=["plain", "line", "hash", "bytes", "list", "dict"],
)
def test_arguments(field: str, other: dict[str, object], value: object) -> None:
    """As an argument of any field, in any type, alone or beside another problem."""
    build(**{**BASE, **other, **nested(field, value)})


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [MARK, f"ha sh#{MARK}", f'{{"x": "{MARK}"', f'{{"{MARK}": "{MARK}"}}'])
def test_variables_and_files(field: str, value: str, monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """As a variable, a line of an env file, a secrets file and a profile's entry, for any field."""
    name = "OTS_" + field.upper().replace(".", "__")
    with monkeypatch.context() as context:
        context.setenv(name, value)
        build(**BASE, **WRONG)
        build(**WRONG)
    build(**BASE, **WRONG, env_file=write("prod.env", f"{name}='{value}'\n", 0o644))
    build(env_file="prod.env")
    write(f"secrets/{name}", value, 0o644)
    build(**BASE, **WRONG, secrets_dir="secrets")
    build(secrets_dir="secrets")
    part, _, leaf = field.rpartition(".")
    header = f"[profiles.default.{part}]\n" if part else "[profiles.default]\n"
    write("ots.toml", f"{header}{leaf} = {json.dumps(value)}\n", 0o644)
    build(**BASE, **WRONG)
    build()


@pytest.mark.parametrize(
    "line",
    [
        f"OTS_ACCES_KEY_SECRET={MARK}",
        f"OTS_ACCESS_KEY_SECRET {MARK}",
        f"OTS_ACCESS_KEY_SECRET: {MARK}",
        f"OTS_ACCESS_KEY_SECRET:{MARK}=x",
        f"OTS_ACCESS_KEY_SECRET{MARK}=",
        f"OTS_ACCESS_KEY_SECRET{MARK}=x",
        f'OTS_ACCESS_KEY_SECRET="{MARK}',
        f"{MARK}=x",
        f"{MARK}",
        f"hello {MARK}",
        f"OTS_RETRY__DEADLIN={MARK}",
        f"OTS_RETRY__{MARK}=x",
        f"ots_access_key_secret={MARK}",
        f"OTS_PROFILE={MARK}",
        f"OTS_CONFIG_FILE={MARK}",
        f"OTS_SECRETS_DIR={MARK}",
        f"OTS_PROXIES=http://user:{MARK}@proxy:x",
    ],
)
def test_slips_of_the_pen(line: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a misspelt, broken or misplaced line, or the variable of the same name."""
    build(**WRONG, env_file=write("prod.env", line + "\n"))
    name, _, value = line.partition("=")
    if value:
        monkeypatch.setenv(name, value)
        build(**BASE, **WRONG)


@pytest.mark.parametrize(
    "arguments",
    [
        {"acess_key_secret": MARK},
        {MARK: "x"},
        {MARK.lower()[:9]: MARK},
        {"retry": {MARK: 1}},
        {"env_file": MARK},
        {"secrets_dir": MARK},
        {"profile": MARK},
        {"_env_file": [MARK]},
        {"proxies": f"http://user:{MARK}@proxy:x"},
        {"proxies": {MARK: MARK}},
        {"endpoint": f"https://id:{MARK}@demo.cn-hangzhou.ots.aliyuncs.com"},
        {"endpoint": f"https://demo.cn-hangzhou.ots.aliyuncs.com/?key={MARK}"},
        {"tls": {"ca_bundle": f"/{MARK}"}},
        {"access_key_secret": MARK, "sts_token": f"{MARK}\n"},
    ],
)
def test_misplaced_arguments(arguments: dict[str, Any]) -> None:
    """Under a name that does not exist, as a file's name, and inside URLs."""
    build(**{**BASE, **arguments})


def test_other_ways_in() -> None:
    """Through every validating method of the model, its parts, assignment and unknown questions."""
    settings = OTSSettings.explicit(**BASE, access_key_secret=MARK)
    ways: list[Callable[[], object]] = [
        lambda: OTSSettings.model_validate(MARK),
        lambda: OTSSettings.model_validate([MARK]),
        lambda: OTSSettings.model_validate({"endpoint": MARK}),
        lambda: OTSSettings.model_validate_json(f'{{"endpoint": "{MARK}"'),
        lambda: OTSSettings.model_validate_json(json.dumps({"access_key_secret": MARK})),
        lambda: OTSSettings.model_validate_strings({"max_connection": MARK}),
        lambda: OTSSettings.explicit(endpoint=MARK),
        lambda: OTSSettings.explicit(**{MARK: MARK}),
        lambda: RetrySettings(policy=MARK),  # type: ignore[arg-type]
        lambda: RetrySettings(**{MARK: MARK}),
        lambda: TLSSettings(ca_bundle=MARK),  # type: ignore[arg-type]
        lambda: setattr(settings, "access_key_secret", MARK),
        lambda: setattr(settings.retry, "policy", MARK),
        lambda: settings.origin(MARK),
    ]
    for way in ways:
        with pytest.raises(SettingsError) as caught:
            way()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        for shape in shapes(caught.value):
            if isinstance(shape, dict):
                shape.pop("self", None)
            assert not hold(shape), shape


class Outer(BaseModel):
    """A user's model with our settings as fields."""

    ots: OTSSettings
    spare: OTSSettings | None = None
    retry: RetrySettings | None = None


class OuterSettings(BaseSettings):
    """A user's settings with ours as a field."""

    model_config = SettingsConfigDict(env_prefix="MY_", env_nested_delimiter="__")

    ots: OTSSettings


@pytest.mark.parametrize(
    "ots",
    [
        {**BASE, "access_key_secret": f"{MARK}\n"},
        {**BASE, "access_key_secret": MARK, "max_connection": 0},
        {**BASE, "acess_key_secret": MARK},
        {**BASE, MARK: 1},
        {**BASE, "proxies": f"http://user:{MARK}@proxy:x"},
        MARK,
        [MARK],
        {1: MARK},
        None,
    ],
    ids=["wrong", "beside", "misspelt", "name", "url", "text", "list", "key", "absent"],
)
@pytest.mark.parametrize("field", ["ots", "spare"])
def test_inside_a_users_own_model(ots: Any, field: str) -> None:
    """As a field, in Python or JSON: the error is ours, not one of pydantic's that shows what was given."""
    good = {**BASE, "access_key_secret": "s"}
    values = {"ots": good, "retry": {"policy": "write"}, field: ots}
    ways: list[Callable[[], object]] = [lambda: Outer.model_validate(values), lambda: Outer(**values)]
    if ots is None:
        if field == "spare":
            return
    elif not isinstance(ots, dict) or 1 not in ots:
        ways.append(lambda: Outer.model_validate_json(json.dumps(values)))
    ways.append(lambda: TypeAdapter(OTSSettings).validate_python(ots))
    for way in ways:
        with pytest.raises(SettingsError) as caught:
            way()
        check(caught.value)


def test_inside_a_users_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a field of a user's settings, filled from variables, and a part alone as a field."""
    monkeypatch.setenv("MY_OTS__ENDPOINT", BASE["endpoint"])
    monkeypatch.setenv("MY_OTS__ACCESS_KEY_SECRET", MARK)
    with pytest.raises(SettingsError, match="access_key_id: is not set") as caught:
        OuterSettings()
    check(caught.value)
    with pytest.raises(SettingsError, match="is not one of") as caught:
        Outer.model_validate({"ots": {**BASE, "access_key_secret": "s"}, "retry": {"policy": MARK}})
    check(caught.value)


def test_good_settings(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings in use show neither secret, token nor a proxy's password, and not the whole id."""
    monkeypatch.setenv("OTS_STS_TOKEN", MARK)
    lines = (f"OTS_ACCESS_KEY_ID=LTAI{MARK}", f"OTS_ACCESS_KEY_SECRET={MARK}", f"OTS_PROXIES=http://u:{MARK}@p:1")
    named = write("prod.env", "\n".join(lines))
    with pytest.warns(SettingsWarning, match="OTS_STS_TOKEN. is not used") as seen:
        settings = OTSSettings(endpoint=BASE["endpoint"], proxies=f"http://x:{MARK}@proxy:1", env_file=named)
    assert not hold(str(seen[0].message))
    for shown in (
        str(settings),
        repr(settings),
        f"{settings}",
        settings.explain(),
        repr(list(settings.__repr_args__())),
        repr(settings.model_dump(exclude={"access_key_id"})),
        str(settings.model_dump()["proxies"]["https"]),
        settings.model_dump_json(),
        repr(settings.model_dump(mode="json")),
        repr(settings._provenance),
        repr(vars(settings)["proxies"]),
        repr(dict(settings)["proxies"]),
        repr(vars(settings)["access_key_secret"]),
    ):
        assert not hold(shown), shown
    assert MARK[:2] in str(settings)
    assert settings.proxies is not None
    assert f"{settings.proxies['http']}" == f"http://x:{MARK}@proxy:1"
    rows = {row.field: row for row in settings.explain()}
    assert rows["proxies"].value == "http: http://********@proxy:1, https: http://********@proxy:1"
    assert rows["proxies"].overrode == (("prod.env line 3", "http: http://********@p:1, https: http://********@p:1"),)


def test_warnings_that_are_errors() -> None:
    """A warning that the user makes an error keeps no secret in its frames."""
    with pytest.raises(SettingsWarning) as caught:
        OTSSettings.explicit(
            region="cn-beijing", instance_name="a-name-too-long-to-be-one", access_key_id="id", access_key_secret=MARK
        )
    assert "ots_config" in {step.f_globals["__name__"].partition(".")[0] for step in frames(caught.value)}
    for frame in frames(caught.value):
        assert not hold({name: value for name, value in frame.f_locals.items() if name != "settings"})
        assert MARK not in repr(frame.f_locals)
