"""Hostile values, names and files: one clear error in bounded time, and no other type of exception."""

import json
import math
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ots_config.errors import SettingsError
from ots_config.settings import OTSSettings
from ots_config.settings.files import MAX_DOTS, document

Write = Callable[..., Path]
BASE = {"endpoint": "https://demo.cn-hangzhou.ots.aliyuncs.com"}
FIELDS = [*OTSSettings.model_fields, "retry.policy", "retry.deadline", "retry.max_attempts", "tls.ca_bundle"]

pytestmark = pytest.mark.filterwarnings("ignore::ots_config.settings.SettingsWarning")


class Hostile:
    """An object that cannot be shown, compared or hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError


def nest(depth: int) -> list[Any]:
    """Return lists in lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


OBJECTS: dict[str, Any] = {
    "huge": 10**400,
    "huger": 10**5000,
    "digits": "9" * 1_000_000,
    "nan": math.nan,
    "infinite": -math.inf,
    "bytes": b"\xff",
    "surrogate": "\ud800",
    "nul": "a\0b",
    "deep": nest(50_000),
    "keys": {10**5000: 1, None: 2},
    "hostile": Hostile(),
    "hostile parts": {"policy": Hostile(), "http": Hostile(), "ca_bundle": Hostile()},
    "type": Hostile,
}


def check(**arguments: Any) -> None:
    """Build settings: nothing but a SettingsError may leave, and each problem has a field, a reason and a hint."""
    try:
        OTSSettings(**arguments)
    except SettingsError as error:
        for problem in error.problems:
            assert problem.field
            assert problem.reason
            assert problem.hint.endswith((".", "?"))
            assert len(str(problem)) < 2_000
            str(problem).encode()


@pytest.mark.parametrize("field", OTSSettings.model_fields)
@pytest.mark.parametrize("kind", OBJECTS)
def test_objects_as_arguments(field: str, kind: str) -> None:
    """As an argument of any field, alone and beside what it is compared with."""
    check(**{**BASE, field: OBJECTS[kind]})
    check(**{"access_key_id": "id", "access_key_secret": "s", "sts_token": "t", **BASE, field: OBJECTS[kind]})


@pytest.mark.parametrize("name", ["env_file", "secrets_dir", "profile"])
@pytest.mark.parametrize("kind", [*OBJECTS, "list"])
def test_objects_as_names_of_files(name: str, kind: str) -> None:
    """As the name of a file, a directory or a profile."""
    with pytest.raises(SettingsError) as caught:
        OTSSettings(**BASE, **{name: OBJECTS.get(kind, [3])})
    assert caught.value.problems[0].field == name
    str(caught.value).encode()


def test_a_huge_number_has_one_clear_error() -> None:
    """A number that no machine type holds is just too large."""
    with pytest.raises(SettingsError) as caught:
        OTSSettings(**BASE, max_connection=10**400)
    assert str(caught.value) == (
        "max_connection: is greater than 65535 (from argument). Give a number of at most 65535."
    )


TOML = {
    "long key": "a" * 200_000 + " = 1\n",
    "long quoted key": '"' + "\\n" * 100_000 + '" = 1\n',
    "dotted key": "a." * 100_000 + "b = 1\n",
    "dotted keys": ("x = {" + "a." * (MAX_DOTS - 1) + "b = 1}\n")
    + "".join(f"y{number}." + "a." * (MAX_DOTS - 2) + "b = 1\n" for number in range(500)),
    "nested": "x = " + "[" * 100_000,
    "digits": "max_connection = " + "9" * 5_000 + "\n",
    "hexadecimal": "max_connection = 0x" + "9" * 500_000 + "\n",
    "proxies": "proxies = 0x" + "9" * 5_000 + "\n",
    "unknown keys": "".join(f"max_conectio{number} = 1\n" for number in range(20_000)),
    "not finite": "retry.deadline = nan\nidle_timeout = inf\n",
    "time": "max_connection = 1979-05-27\nsts_expiration = 07:32:00\n",
}


@pytest.mark.parametrize("kind", TOML)
def test_profiles(kind: str, write: Write) -> None:
    """In an ots.toml."""
    write("ots.toml", "[profiles.default]\n" + TOML[kind])
    check(**BASE)


def test_dots() -> None:
    """A line of ots.toml has a bound of dots, as tomllib takes a time that grows with their square."""
    with pytest.raises(ValueError, match=r"x has more than 200 dots in line 2"):
        document("x", "[profiles.default]\n" + "a." * 201 + "b = 1\n")
    assert document("x", "[profiles.default]\n" + "a." * 198 + "b = 1\n")


LINES = {
    "repeated": "OTS_MAX_CONNECTION=1\n" * 40_000,
    "repeated whole": 'OTS_RETRY={"deadline": 1}\n' * 20_000,
    "unknown names": "".join(f"OTS_MAX_CONNECTIO{number}=1\n" for number in range(20_000)),
    "unknown parts": "".join(f"OTS_RETRY__X{number}=1\n" for number in range(20_000)),
    "long name": "OTS_" + "A" * 900_000 + "=1\n",
    "digits": "OTS_MAX_CONNECTION=" + "9" * 900_000 + "\n",
    "nested": "OTS_RETRY=" + '{"a":' * 100_000 + "\n",
    "lists": "OTS_ROLE_VIA=" + "[" * 500_000 + "\n",
    "policy": "OTS_ROLE_POLICY=" + '{"a":[' * 100_000 + "\n",
    "commas": "OTS_SOCKET_TIMEOUT=" + "," * 500_000 + "\n",
    "host": "OTS_ENDPOINT=https://" + "a." * 200_000 + "\n",
    "arn": "OTS_ROLE_ARN=acs:ram::" + "1" * 500_000 + "\n",
}


@pytest.mark.parametrize("kind", LINES)
def test_env_files(kind: str, write: Write) -> None:
    """In an env file."""
    write(".env", LINES[kind])
    check(**({} if kind == "host" else BASE))


def test_of_repeated_lines_the_last_wins(write: Write) -> None:
    """However many lines there are for one variable, the last one wins, and ``explain()`` shows some of the others."""
    write(".env", "".join(f"OTS_MAX_CONNECTION={number}\n" for number in range(1, 101)))
    row = next(row for row in OTSSettings(**BASE).explain() if row.field == "max_connection")
    assert (row.value, row.overrode[0]) == ("100", (".env line 99", "99"))
    assert len(row.overrode) == 15


# --- anything -----------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(), max_size=30) | st.sampled_from(
    [
        "",
        " ",
        "{",
        "[",
        "[1]",
        "{}",
        '{"policy": 1}',
        "****",
        "none",
        "true",
        "1e999",
        "-1",
        "http://[",
        "a@b://c@d",
        "1,2",
    ]
)
NUMBERS = st.integers() | st.floats() | st.integers(min_value=10**18).map(lambda number: number**9)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ANYTHING = JSON | st.binary(max_size=9) | st.dates() | st.datetimes() | st.sets(st.integers()) | st.complex_numbers()
bounded = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@bounded
@given(st.sampled_from(FIELDS), ANYTHING)
def test_any_argument(field: str, value: Any) -> None:
    """Anything as an argument."""
    part, _, leaf = field.rpartition(".")
    check(**{**BASE, **({part: {leaf: value}} if part else {field: value})})


@bounded
@given(st.sampled_from(FIELDS), st.sampled_from(["env_file", "secrets_dir", "environment"]), TEXTS | JSON.map(repr))
def test_any_text(field: str, source: str, text: str) -> None:
    """Any text as a variable, a line or a file."""
    name = "OTS_" + field.upper().replace(".", "__")
    raw = text.encode("utf-8", "surrogatepass")
    if source == "environment":
        os.environb[name.encode()] = raw.replace(b"\0", b"")
        try:
            check()
            check(**{key: value for key, value in BASE.items() if key != field})
        finally:
            del os.environ[name]
        return
    path = Path("fuzz" if source == "secrets_dir" else "fuzz.env")
    if source == "secrets_dir":
        path.mkdir(exist_ok=True)
        (path / name).write_bytes(raw)
    else:
        path.write_bytes(name.encode() + b"=" + raw + b"\n")
    check(**{source: path})
    check(**BASE, **{source: path})
    if source == "secrets_dir":
        (path / name).unlink()


def as_toml(value: Any) -> str:
    """Return a value in TOML, whose texts and lists are JSON's; what it cannot say becomes a text."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {as_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(str(value) if value is None or isinstance(value, float) else value)


@bounded
@given(st.sampled_from(FIELDS), JSON)
def test_any_entry_of_a_profile(field: str, value: Any) -> None:
    """Any value of TOML's in a profile."""
    Path("fuzz.toml").write_bytes(f"[profiles.default]\n{field} = {as_toml(value)}\n".encode("utf-8", "surrogatepass"))
    os.environ["OTS_CONFIG_FILE"] = "fuzz.toml"
    try:
        check()
        check(**{key: value for key, value in BASE.items() if key != field})
    finally:
        del os.environ["OTS_CONFIG_FILE"]


def test_the_toml_of_this_test_is_toml() -> None:
    """The values that are written as TOML are read as such."""
    assert tomllib.loads(f"x = {as_toml({'a': [1, True, 'ü'], 'b c': {'d': 1.5}})}")["x"] == {
        "a": [1, True, "ü"],
        "b c": {"d": "1.5"},
    }
