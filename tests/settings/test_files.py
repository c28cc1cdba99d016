"""Env files, secrets directories and profiles are read as their users expect, and named when they cannot be."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ots_config.errors import SettingsError
from ots_config.settings import OTSSettings, SettingsWarning, files

Write = Callable[..., Path]
BASE = {"endpoint": "https://demo.cn-hangzhou.ots.aliyuncs.com"}
KEY = {**BASE, "access_key_id": "id"}


def secret(settings: OTSSettings) -> str:
    """Return the secret in the clear."""
    assert settings.access_key_secret is not None
    return settings.access_key_secret.get_secret_value()


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('OTS_ACCESS_KEY_SECRET="p #a$s${HOME}w"', "p #a$s${HOME}w"),
        ("OTS_ACCESS_KEY_SECRET='p #a$s${HOME}w'", "p #a$s${HOME}w"),
        ("OTS_ACCESS_KEY_SECRET=p#a$s${HOME}", "p#a$s${HOME}"),
        ("OTS_ACCESS_KEY_SECRET=abc # the key", "abc"),
        ("  export OTS_ACCESS_KEY_SECRET = abc  ", "abc"),
        ("OTS_ACCESS_KEY_SECRET=a=b==", "a=b=="),
    ],
)
def test_values_stay_intact(write: Write, line: str, value: str) -> None:
    """Nothing is interpolated, quotes protect a number sign, and an unquoted one after a space starts a comment."""
    assert secret(OTSSettings(**KEY, env_file=write("prod.env", line))) == value


def test_lines_are_counted(write: Write) -> None:
    """Comments, blank lines, CRLF, a byte order mark and values of several lines leave the line numbers right."""
    text = b'\xef\xbb\xbf# first\r\n\r\nexport OTS_ENCODING=utf8\r\nFOO="a\r\nb"\r\n\r\nOTS_MAX_CONNECTION=3\r\n'
    settings = OTSSettings(**BASE, env_file=write("prod.env", text))
    assert settings.origin("encoding") == "prod.env line 3"
    assert settings.origin("max_connection") == "prod.env line 7"


def test_last_of_several_wins(write: Write) -> None:
    """Of several lines and several files the last wins, and the row shows the others."""
    write("one.env", "OTS_MAX_CONNECTION=1\nOTS_MAX_CONNECTION=2\nOTS_ENCODING=ascii\n")
    write("two.env", "OTS_MAX_CONNECTION=3\nOTS_MAX_CONNECTION=\n")
    settings = OTSSettings(**BASE, env_file=["one.env", "two.env"])
    row = next(row for row in settings.explain() if row.field == "max_connection")
    assert row == ("max_connection", "3", "two.env line 1", (("one.env line 2", "2"), ("one.env line 1", "1")))
    assert settings.encoding == "ascii"


def test_foreign_keys_are_ignored(write: Write) -> None:
    """A shared env file may hold whatever other programs need, and the names that credentials read."""
    OTSSettings(**BASE, env_file=write("prod.env", "DATABASE_URL=x\nOTS_STS_VPC=y\nOTS_TEST_ENDPOINT=z\nFLAG\n"))


def test_default_env_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """``.env`` is read if it exists, unless another is named or none is wanted; a directory is none."""
    assert OTSSettings(**BASE).max_connection == 50
    write(".env", "OTS_MAX_CONNECTION=3\n")
    assert OTSSettings(**BASE).max_connection == 3
    assert OTSSettings(**BASE, env_file=None).max_connection == 3
    assert OTSSettings(**BASE, env_file=()).max_connection == 50
    assert OTSSettings(**BASE, _env_file=None).max_connection == 50
    monkeypatch.setenv("OTS_ENV_FILE", str(write("prod.env", "OTS_MAX_CONNECTION=4\n")))
    assert OTSSettings(**BASE).max_connection == 4
    assert OTSSettings(**BASE, _env_file=".env").max_connection == 3
    monkeypatch.setenv("OTS_ENV_FILE", os.devnull)
    assert OTSSettings(**BASE).max_connection == 50
    monkeypatch.delenv("OTS_ENV_FILE")
    Path(".env").unlink()
    Path(".env").mkdir()
    assert OTSSettings(**BASE).max_connection == 50


def test_missing_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named env file that is missing is one problem, and what it might have given is not reported as missing too."""
    with pytest.raises(SettingsError) as caught:
        OTSSettings(env_file="prod.env")
    (problem,) = caught.value.problems
    assert (problem.field, problem.reason, problem.origin) == (
        "env_file",
        "prod.env: no such file or directory",
        "argument",
    )
    monkeypatch.setenv("OTS_ENV_FILE", "other.env")
    with pytest.raises(SettingsError, match=r"other\.env: no such file.*environment variable OTS_ENV_FILE"):
        OTSSettings()


def test_unreadable_env_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """An env file that is a directory, not text, too large or forbidden is named with the reason."""
    Path("folder.env").mkdir()
    write("binary.env", b"OTS_ENCODING=\xff\xfe")
    write("large.env", "#" * (1 << 20) + "\n")
    for name, reason in (("folder", "is a directory"), ("binary", "not UTF-8"), ("large", "larger than 1 MiB")):
        with pytest.raises(SettingsError, match=reason):
            OTSSettings(**BASE, env_file=f"{name}.env")

    def forbidden(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    write(".env", "")
    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(SettingsError, match="permission denied"):
        OTSSettings(**BASE, env_file="prod.env")
    with pytest.warns(SettingsWarning, match=r"\.env: permission denied; it is ignored"):
        OTSSettings(**BASE)


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a POSIX matter")


@needs_pipes
def test_a_pipe_is_read_to_its_end() -> None:
    """An env file may be a pipe whose writer comes late and writes in pieces, as a secret manager's does."""
    os.mkfifo("pipe.env")
    second = threading.Event()

    def write_slowly() -> None:
        with Path("pipe.env").open("wb", buffering=0) as pipe:
            pipe.write(b"OTS_MAX_CONNECTION=3\nOTS_ENC")
            second.wait(0.05)
            pipe.write(b"ODING=ascii\n")

    writer = threading.Thread(target=write_slowly)
    writer.start()
    settings = OTSSettings(**BASE, env_file="pipe.env")
    writer.join()
    assert (settings.max_connection, settings.encoding) == (3, "ascii")
    assert settings.origin("encoding") == "pipe.env line 2"


@needs_pipes
def test_a_pipe_without_an_end(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """A pipe that nobody writes into, or whose writer never closes it, is a problem after a time and not a hang."""
    monkeypatch.setattr(files, "MAX_WAIT", 0.05)
    os.mkfifo("pipe.env")
    with pytest.raises(SettingsError, match=r"env_file: pipe\.env: no end of file within 0\.05 s"):
        OTSSettings(**BASE, env_file="pipe.env")
    held = os.open("pipe.env", os.O_RDWR)
    os.write(held, b"OTS_ENCODING=ascii\n")
    with pytest.raises(SettingsError, match=r"pipe\.env: no end of file"):
        OTSSettings(**BASE, env_file="pipe.env")
    os.close(held)
    os.mkfifo(".env")
    with pytest.warns(SettingsWarning, match=r"\.env: no end of file within 0\.05 s; it is ignored"):
        OTSSettings(**BASE)
    Path(".env").unlink()
    os.mkfifo("ots.toml")
    with pytest.raises(SettingsError, match=r"ots\.toml: no end of file"):
        OTSSettings(**BASE)
    Path("ots.toml").unlink()
    write("secrets/encoding", "ascii")
    os.mkfifo("secrets/sts_token")
    with pytest.raises(SettingsError, match=r"sts_token: .*no end of file within 0\.05 s \(from secrets file"):
        OTSSettings(**BASE, secrets_dir="secrets")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
def test_endless_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a device that never ends at most 1 MiB is read, whichever source names it; an empty one is empty."""
    with pytest.raises(SettingsError, match=r"env_file: /dev/zero: larger than 1 MiB"):
        OTSSettings(**BASE, env_file="/dev/zero")
    Path("secrets").mkdir()
    Path("secrets/encoding").symlink_to("/dev/zero")
    with pytest.raises(SettingsError, match=r"encoding: secrets/encoding: larger than 1 MiB"):
        OTSSettings(**BASE, secrets_dir="secrets")
    monkeypatch.setenv("OTS_CONFIG_FILE", "/dev/zero")
    with pytest.raises(SettingsError, match=r"config_file: /dev/zero: larger than 1 MiB \(from environment variable"):
        OTSSettings(**BASE)
    monkeypatch.setenv("OTS_CONFIG_FILE", os.devnull)
    assert OTSSettings(**BASE, env_file=os.devnull).max_connection == 50


def test_impossible_env_file() -> None:
    """A name that no file can have is refused as such."""
    with pytest.raises(SettingsError, match="not a path"):
        OTSSettings(**BASE, env_file="a\0.b")


def test_broken_lines(write: Write) -> None:
    """A line that cannot be read is named: a problem if it is about a setting, else a warning."""
    with pytest.raises(SettingsError) as caught:
        OTSSettings(**BASE, env_file=write("prod.env", '\nOTS_ACCESS_KEY_SECRET="abc\n'))
    (problem,) = (problem for problem in caught.value.problems if "line" in problem.origin)
    assert (problem.field, problem.origin) == ("access_key_secret", "prod.env line 2")
    with pytest.raises(SettingsError, match=r"env_file: is on a line that cannot be read \(from prod.env line 1\)"):
        OTSSettings(**BASE, env_file=write("prod.env", "OTS_NEW abc\n"))
    with pytest.warns(SettingsWarning, match=r"prod\.env line 2 cannot be read"):
        OTSSettings(**BASE, env_file=write("prod.env", "\nhello world\n"))


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_files_that_others_can_read(write: Write) -> None:
    """Env file, secrets file and profile that everybody can read get a warning with the hint, if they hold secrets."""
    line = "OTS_ACCESS_KEY_SECRET=abc\n"
    with pytest.warns(SettingsWarning, match=r"prod\.env .*mode 644.*chmod 600 prod\.env"):
        OTSSettings(**KEY, env_file=write("prod.env", line, 0o644))
    write("secrets/sts_token", "abc\n", 0o604)
    with pytest.warns(SettingsWarning, match="mode 604.*chmod 600 secrets/sts_token"):
        OTSSettings(**KEY, access_key_secret="s", secrets_dir="secrets", sts_token="t")
    write("ots.toml", '[profiles.default]\nsts_token = "t"\n', 0o644)
    with pytest.warns(SettingsWarning, match=r"chmod 600 ots\.toml"):
        OTSSettings(**KEY, access_key_secret="s", sts_token="t")
    write("ots.toml", "[profiles.default]\nmax_connection = 1\n", 0o644)
    OTSSettings(**BASE, env_file=write("plain.env", "OTS_ENCODING=utf8\n", 0o644))


@pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX matter")
def test_read_only_mounts(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret on a read-only file system, as containers mount them, gets no warning, as nobody there can change it."""
    write("secrets/access_key_secret", "abc\n", 0o444)
    monkeypatch.setattr(os, "statvfs", lambda _: type("Status", (), {"f_flag": os.ST_RDONLY}))
    assert secret(OTSSettings(**KEY, secrets_dir="secrets")) == "abc"


def test_secrets_directory(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file for each setting, by either name, without its trailing line break; others are ignored."""
    write("one/access_key_id", "id\r\n")
    write("one/OTS_ACCESS_KEY_SECRET", "p #w $\n")
    write("one/retry__deadline", "7\n")
    write("one/database_password", "x")
    write("one/.hidden", "x")
    write("two/encoding", "ascii")
    monkeypatch.setenv("OTS_SECRETS_DIR", "one")
    settings = OTSSettings(**BASE)
    assert (settings.access_key_id, secret(settings), settings.retry.deadline) == ("id", "p #w $", 7.0)
    assert settings.origin("retry.deadline") == "secrets file one/retry__deadline"
    assert OTSSettings(**BASE, secrets_dir=("one", "two")).encoding == "ascii"
    assert OTSSettings(**BASE, _secrets_dir="two").access_key_id is None


def test_secrets_directory_problems(write: Write) -> None:
    """A missing directory, a folder in a file's place and a misspelt name are reported."""
    with pytest.raises(SettingsError, match="secrets_dir: nowhere: no such file"):
        OTSSettings(**BASE, secrets_dir="nowhere")
    write("secrets/encoding/file", "x")
    with pytest.raises(SettingsError, match=r"encoding: .*is a directory \(from secrets file secrets/encoding\)"):
        OTSSettings(**BASE, secrets_dir="secrets")
    write("misspelt/OTS_ENDPIONT", "x")
    with pytest.warns(SettingsWarning, match="OTS_ENDPIONT sets nothing. Did you mean OTS_ENDPOINT"):
        OTSSettings(**BASE, secrets_dir="misspelt")


PROFILES = """
[profiles.default]
max_connection = 1
[profiles.prod]
max_connection = 2
socket_timeout = [3, 30]
credentials_cache = true
role_session_name = "job"
[profiles.prod.retry]
policy = "write"
[other]
x = 1
"""


def test_profiles(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile is named by argument, variable or env file, else it is ``default``."""
    write("ots.toml", PROFILES)
    assert OTSSettings(**BASE).max_connection == 1
    prod = OTSSettings(**BASE, profile="prod")
    assert (prod.max_connection, prod.socket_timeout, prod.credentials_cache) == (2, (3, 30), True)
    assert prod.origin("retry.policy") == "profile [profiles.prod] in ots.toml line 10"
    assert OTSSettings(**BASE, env_file=write("prod.env", "OTS_PROFILE=prod\n")).max_connection == 2
    monkeypatch.setenv("OTS_PROFILE", "prod")
    assert OTSSettings(**BASE).max_connection == 2
    assert OTSSettings(**BASE, _profile="default").max_connection == 1


def test_profile_places(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OTS_CONFIG_FILE is stronger than ./ots.toml, and that than the user's configuration directory."""
    for folder, number in (("config", 4), ("config/ots-config", 3)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "ots.toml").write_text(f"[profiles.default]\nmax_connection = {number}\n")
    assert OTSSettings(**BASE).max_connection == 3
    (tmp_path / "config/ots-config/ots.toml").unlink()
    assert OTSSettings(**BASE).max_connection == 4
    write("ots.toml", "[profiles.default]\nmax_connection = 2\n")
    assert OTSSettings(**BASE).max_connection == 2
    monkeypatch.setenv("OTS_CONFIG_FILE", str(write("my.toml", "[profiles.default]\nmax_connection = 1\n")))
    assert OTSSettings(**BASE).origin("max_connection") == "profile [profiles.default] in my.toml line 2"


LINES = """# a comment
[profiles.default]   # the usual one
max_connection = 3
"encoding" = "ascii"
retry = { policy = "write", deadline = 3 }
socket_timeout = [
  3,
  30,
]
tls.minimum_version = "1.3"
[profiles.default.proxies]
https = "http://proxy:1"
[profiles."other"]
idle_timeout = 7
[ profiles . default2 ]
idle_timeout = 8
"""


def test_lines_of_a_profile(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value of a profile names its line, a value of several lines the first, a table that of its name."""
    monkeypatch.setenv("OTS_CONFIG_FILE", str(write("ots.toml", LINES)))
    settings = OTSSettings(**BASE)
    place = "profile [profiles.default] in ots.toml"
    for field, line in (
        ("max_connection", 3),
        ("encoding", 4),
        ("retry.policy", 5),
        ("retry.deadline", 5),
        ("tls.minimum_version", 10),
        ("socket_timeout", 6),
        ("proxies", 11),
    ):
        assert settings.origin(field) == f"{place} line {line}"
    assert OTSSettings(**BASE, profile="other").origin("idle_timeout") == "profile [profiles.other] in ots.toml line 14"
    other = OTSSettings(**BASE, profile="default2")
    assert (other.origin("idle_timeout"), other.idle_timeout) == ("profile [profiles.default2] in ots.toml line 16", 8)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[profiles.default]\nunknown = '''\nencoding = \"x\"\n'''\nencoding = \"ascii\"\n", 5),
        ('profiles = { default = { encoding = "ascii" } }\n', 1),
        ('# mine\nprofiles.default.encoding = "ascii"\n', 2),
        ('[profiles.default]\r\nunknown = [\r\n  1,\r\n]\r\nencoding = "ascii"\r\n', 5),
    ],
    ids=["text of several lines", "an inline table", "a dotted key", "lines as Windows ends them"],
)
def test_lines_however_they_are_written(write: Write, text: str, line: int) -> None:
    """The line is that of the key, whatever stands around it."""
    write("ots.toml", text)
    settings = OTSSettings(**BASE)
    origin = f"profile [profiles.default] in ots.toml line {line}"
    assert (settings.encoding, settings.origin("encoding")) == ("ascii", origin)


def test_no_line_if_it_takes_too_long(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the search for lines takes too long, the origin names the profile and no line."""
    monkeypatch.setattr(files, "MAX_PARSED", 40)
    write("ots.toml", "[profiles.default]\nunknown = [\n1,\n2,\n3\n]\nencoding = 'ascii'\n")
    settings = OTSSettings(**BASE)
    assert (settings.encoding, settings.origin("encoding")) == ("ascii", "profile [profiles.default] in ots.toml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1\ny = = 2\n", r"ots\.toml is not valid TOML \(line 2\)"),
        ("profiles = 3\n", "profiles that are not tables"),
        ("[profiles]\nprod = 3\n", "profiles that are not tables"),
        (PROFILES, r"profile: does not exist in ots\.toml \(from argument\)\. Did you mean prod\?"),
        ("", "There are none"),
    ],
)
def test_profile_problems(write: Write, text: str, reason: str) -> None:
    """An ots.toml that cannot be used, or without the profile that was named, is one problem."""
    write("ots.toml", text)
    with pytest.raises(SettingsError, match=reason) as caught:
        OTSSettings(profile="prd")
    assert len(caught.value.problems) == 1


def test_profile_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile without any ots.toml, and an ots.toml that was named and is missing, are problems."""
    with pytest.raises(SettingsError, match=r"profile: needs an ots\.toml, and there is none; looked for ots\.toml, "):
        OTSSettings(**BASE, profile="prod")
    monkeypatch.setenv("OTS_CONFIG_FILE", "my.toml")
    with pytest.raises(SettingsError, match=r"my\.toml: no such file.*environment variable OTS_CONFIG_FILE"):
        OTSSettings(**BASE)
