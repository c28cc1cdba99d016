"""Key, secret and token belong together: the id may stand elsewhere than its secret, the token may not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ots_config.errors import SettingsError
from ots_config.settings import OTSSettings, SettingsWarning

Write = Callable[..., Path]
Put = Callable[..., None]
ENDPOINT = "https://demo.cn-hangzhou.ots.aliyuncs.com"
SOURCES = ["arguments", "environment", "env file", "secrets directory", "profile"]
PAIRS = [(one, other) for one in SOURCES for other in SOURCES if one != other]
FOLLOWERS = {"sts_token": "old-token", "sts_expiration": "2026-01-31T08:00:00Z"}


class Sources:
    """Every source, each with what a test puts there."""

    def __init__(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        self.arguments: dict[str, Any] = {"endpoint": ENDPOINT}
        self._write, self._monkeypatch = write, monkeypatch
        self._lines = {"prod.env": "", "ots.toml": "[profiles.default]\n"}

    def put(self, source: str, **values: str) -> None:
        """Put settings into a source."""
        for name, value in values.items():
            match source:
                case "arguments":
                    self.arguments[name] = value
                case "environment":
                    self._monkeypatch.setenv(f"OTS_{name.upper()}", value)
                case "env file":
                    self._append("prod.env", f"OTS_{name.upper()}={value}\n")
                    self.arguments["env_file"] = "prod.env"
                case "secrets directory":
                    self._write(f"secrets/{name}", value)
                    self.arguments["secrets_dir"] = "secrets"
                case _:
                    self._append("ots.toml", f"{name} = '{value}'\n")

    def _append(self, name: str, line: str) -> None:
        self._lines[name] += line
        self._write(name, self._lines[name])

    def build(self) -> OTSSettings:
        """Build the settings."""
        return OTSSettings(**self.arguments)


@pytest.fixture
def sources(write: Write, monkeypatch: pytest.MonkeyPatch) -> Sources:
    """Return sources that hold an endpoint and nothing else."""
    return Sources(write, monkeypatch)


def values(settings: OTSSettings) -> tuple[str | None, ...]:
    """Return id, secret and token in the clear."""
    secrets = [each and each.get_secret_value() for each in (settings.access_key_secret, settings.sts_token)]
    return (settings.access_key_id, *secrets)


def place(source: str, name: str) -> str:
    """Return what the origin of a setting from a source begins with."""
    places = {
        "arguments": "argument",
        "environment": f"environment variable OTS_{name.upper()}",
        "env file": "prod.env line ",
        "secrets directory": f"secrets file secrets/{name}",
        "profile": "profile [profiles.default] in ots.toml line ",
    }
    return places[source]


@pytest.mark.parametrize(("keys", "elsewhere"), PAIRS)
@pytest.mark.parametrize("follower", FOLLOWERS)
def test_a_token_from_elsewhere_is_left_out(sources: Sources, keys: str, elsewhere: str, follower: str) -> None:
    """A token, or its expiry, counts only from the source of the secret; the warning names both places."""
    sources.put(keys, access_key_id="id", access_key_secret="secret")
    sources.put(elsewhere, **{follower: FOLLOWERS[follower]})
    with pytest.warns(SettingsWarning, match=f"^{follower} .* is not used") as seen:
        settings = sources.build()
    (warning,) = seen
    assert f"({place(elsewhere, follower)}" in str(warning.message)
    assert f"which comes from {place(keys, 'access_key_secret')}" in str(warning.message)
    assert (values(settings), settings.sts_expiration) == (("id", "secret", None), None)
    row = next(row for row in settings.explain() if row.field == follower)
    assert (row.value, row.origin) == ("none", "default")
    assert row.overrode[0][0].startswith(place(elsewhere, follower))


@pytest.mark.parametrize(("keys", "elsewhere"), PAIRS)
def test_the_token_of_the_secrets_source_is_used(sources: Sources, keys: str, elsewhere: str) -> None:
    """Where both sources have a token, that of the secret's is used, even if the other source is the stronger one."""
    sources.put(keys, access_key_id="id", access_key_secret="secret", sts_token="own", sts_expiration="1790000000")
    sources.put(elsewhere, **FOLLOWERS)
    if SOURCES.index(elsewhere) < SOURCES.index(keys):
        with pytest.warns(SettingsWarning, match="is not used"):
            settings = sources.build()
    else:
        settings = sources.build()
    assert values(settings) == ("id", "secret", "own")
    assert settings.sts_expiration == datetime.fromtimestamp(1_790_000_000, UTC)
    assert settings.origin("sts_token").startswith(place(keys, "sts_token"))


@pytest.mark.parametrize(("identity", "secret"), PAIRS)
def test_the_id_may_stand_elsewhere(sources: Sources, identity: str, secret: str) -> None:
    """An id in one source and its secret and token in another make a set."""
    sources.put(identity, access_key_id="id")
    sources.put(secret, access_key_secret="secret", sts_token="token")
    settings = sources.build()
    assert values(settings) == ("id", "secret", "token")
    assert settings.origin("access_key_id").startswith(place(identity, "access_key_id"))


@pytest.mark.parametrize(
    ("identity", "secret"), [(one, other) for one, other in PAIRS if SOURCES.index(one) < SOURCES.index(other)]
)
def test_a_secret_of_another_id_is_refused(sources: Sources, identity: str, secret: str) -> None:
    """An id that overrides the one beside the secret is a problem, unless both are the same."""
    sources.put(identity, access_key_id="new")
    sources.put(secret, access_key_id="old", access_key_secret="secret")
    with pytest.raises(SettingsError, match="belongs to another access_key_id") as caught:
        sources.build()
    (problem,) = caught.value.problems
    assert problem.field == "access_key_secret"
    assert problem.origin.startswith(place(secret, "access_key_secret"))
    assert place(identity, "access_key_id") in problem.reason
    sources.put(identity, access_key_id="old")
    assert values(sources.build())[:2] == ("old", "secret")


def test_files_of_one_kind_are_different_sources(write: Write) -> None:
    """A token of the first env file or secrets directory does not belong to keys of the second."""
    write("one.env", "OTS_ACCESS_KEY_ID=a\nOTS_ACCESS_KEY_SECRET=a\nOTS_STS_TOKEN=a\n")
    write("two.env", "OTS_ACCESS_KEY_ID=b\nOTS_ACCESS_KEY_SECRET=b\n")
    with pytest.warns(SettingsWarning, match=r"sts_token \(one\.env line 3\) is not used"):
        assert values(OTSSettings(endpoint=ENDPOINT, env_file=["one.env", "two.env"])) == ("b", "b", None)
    for folder, names in (("one", ("id", "secret", "token")), ("two", ("id", "secret"))):
        for name in names:
            write(f"{folder}/{'sts_token' if name == 'token' else f'access_key_{name}'}", folder)
    with pytest.warns(SettingsWarning, match=r"sts_token \(secrets file one/sts_token\) is not used"):
        settings = OTSSettings(endpoint=ENDPOINT, secrets_dir=["one", "two"])
    assert values(settings) == ("two", "two", None)


@pytest.mark.parametrize("follower", FOLLOWERS)
def test_a_token_alone(sources: Sources, follower: str) -> None:
    """A token or an expiry without keys is one problem."""
    sources.put("environment", **{follower: FOLLOWERS[follower]})
    with pytest.raises(SettingsError, match=f"{follower}: is set without the keys that it belongs to") as caught:
        sources.build()
    assert len(caught.value.problems) == 1


WHEN = datetime(2026, 1, 31, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-31T08:00:00Z",
        " 2026-01-31 16:00:00+08:00 ",
        " 1769846400",
        1769846400,
        1769846400.0,
        WHEN,
        WHEN.astimezone(timezone(timedelta(hours=8))),
    ],
)
def test_an_expiry(value: Any) -> None:
    """An expiry is a text with a zone, a number of seconds, or a datetime; it becomes one in UTC."""
    keys = {"endpoint": ENDPOINT, "access_key_id": "id", "access_key_secret": "s", "sts_token": "t"}
    settings = OTSSettings.explicit(**keys, sts_expiration=value)
    assert settings.sts_expiration == WHEN
    assert settings.sts_expiration is not None
    assert settings.sts_expiration.tzinfo is UTC


def test_an_expiry_in_toml(write: Write) -> None:
    """A time of TOML's own is one too."""
    keys = "access_key_id = 'id'\naccess_key_secret = 's'\nsts_token = 't'\n"
    write("ots.toml", f"[profiles.default]\n{keys}sts_expiration = 2026-01-31T16:00:00+08:00\n")
    assert OTSSettings(endpoint=ENDPOINT).sts_expiration == WHEN


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2026-01-31T08:00:00", "has no time zone"),
        (datetime(2026, 1, 31), "has no time zone"),  # noqa: DTZ001 - that is what is refused
        ("soon", "is not a time"),
        ("", "is not a time"),
        ("9" * 30, "is not a time"),
        ("-" + "9" * 30, "is not a time"),
        ("nan", "is not a time"),
        (10**400, "is not a time"),
        (1769846400000, "is not a time"),
        (True, "is not a time"),
        ("0001-01-01T00:00:00+23:00", "is not a time"),
    ],
)
def test_not_an_expiry(value: Any, reason: str) -> None:
    """A time without a zone, or out of range, is refused."""
    with pytest.raises(SettingsError, match=rf"^sts_expiration: {reason} \(from argument\)\. Write it with its zone"):
        OTSSettings.explicit(endpoint=ENDPOINT, access_key_id="id", access_key_secret="s", sts_expiration=value)
