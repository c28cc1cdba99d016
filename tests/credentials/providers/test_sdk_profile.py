"""The SDKs' credentials file."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from ots_config.credentials.providers.sdk_profile import INIProvider
from ots_config.credentials.sts import Pace
from ots_config.errors import CredentialsRefused, CredentialsUnavailable

ROLE = "acs:ram::1234567890123:role/firstrole"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of the files in a home."""
    folder = tmp_path / ".alibabacloud"
    folder.mkdir()
    return folder


@pytest.fixture
def ini(fetch: Any, pace: Pace, tmp_path: Path, cloud: Any, environment: Any) -> Any:
    """Return what makes a provider in that home."""

    def make(**options: Any) -> INIProvider:
        environment({"ALIBABA_CLOUD_STS_ENDPOINT": cloud.url, **options.pop("environ", {})})
        return INIProvider(fetch=fetch, pace=pace, home=tmp_path, **options)

    return make


def write(path: Path, text: str) -> Path:
    """Write a file that only its owner can read."""
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("name", ["credentials", "credentials.ini"])
def test_access_key(folder: Path, ini: Any, name: str) -> None:
    """Both file names are found, and the section default without being named."""
    write(folder / name, "[default]\ntype = access_key\naccess_key_id = LTAI\naccess_key_secret = MARKEDs\n")
    keys = ini().fetch_credentials()
    assert (keys.access_key_id, keys.get_access_key_secret(), keys.get_security_token()) == ("LTAI", "MARKEDs", None)
    assert keys.source == "ini default"


@pytest.mark.parametrize(
    "secret", ["se#cret", "#secret", "se;cret", "a ; b", "100%", "%(default)s", "%%", "a=b", "a:b", "[x]", "ü", "'"]
)
def test_values_are_taken_as_they_stand(folder: Path, ini: Any, secret: str) -> None:
    """Comment signs, percent signs, equal signs and brackets inside a value mean nothing."""
    write(folder / "credentials", f"[default]\naccess_key_id = LTAI\naccess_key_secret = {secret}\n")
    assert ini().fetch_credentials().get_access_key_secret() == secret


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("secret   # of the key", "secret"),
        ("secret\t#comment", "secret"),
        ("se#cret # comment # more", "se#cret"),
        ("'se # cret' # comment", "se # cret"),
        ('"secret"   # comment', "secret"),
        ("secret#", "secret#"),
    ],
)
def test_comments_after_values(folder: Path, ini: Any, written: str, read: str) -> None:
    """A ``#`` after white space starts a comment, except in a value in quotation marks."""
    keys = f"access_key_id = LTAI # key\naccess_key_secret = {written}\n"
    text = f"[default]\ntype = access_key   # authentication method\n{keys}"
    write(folder / "credentials", text)
    found = ini().fetch_credentials()
    assert (found.access_key_id, found.get_access_key_secret()) == ("LTAI", read)


def test_a_comment_in_place_of_a_value(folder: Path, ini: Any) -> None:
    """A value that is nothing but a comment is empty."""
    text = "[default]\naccess_key_id = LTAI\naccess_key_secret = s\nsecurity_token = # none\n"
    write(folder / "credentials", text)
    assert ini().fetch_credentials().get_security_token() is None


def test_a_section_without_a_type(folder: Path, ini: Any) -> None:
    """Without a type the fields decide: where they name a role, never the bare key."""
    keys = "access_key_id = LTAI\naccess_key_secret = s\n"
    write(folder / "credentials", f"[default]\n{keys}role_arn = {ROLE}\n")
    assert f"role {ROLE} as" in ini().describe()
    write(folder / "credentials", f"[default]\n{keys}security_token = MARKEDt\n")
    assert ini().fetch_credentials().get_security_token() == "MARKEDt"
    write(folder / "credentials", "[default]\nrole_name = worker\n")
    assert "role worker at" in ini().describe()


def test_quotation_marks_around_a_value_are_taken_off(folder: Path, ini: Any) -> None:
    """A value in quotation marks is what stands between them, as in Alibaba Cloud's Go SDK."""
    write(folder / "credentials", "[default]\naccess_key_id = 'LTAI'\naccess_key_secret = \"MARKED#s\"\n")
    keys = ini().fetch_credentials()
    assert (keys.access_key_id, keys.get_access_key_secret()) == ("LTAI", "MARKED#s")


def test_byte_order_mark_comments_and_windows_lines(folder: Path, ini: Any) -> None:
    """A file from a Windows editor, with comments on lines of their own, is read."""
    text = "\ufeff; mine\r\n# too\r\n[default]\r\nTYPE = sts\r\naccess_key_id: STS.x\r\n"
    (folder / "credentials").write_bytes(f"{text}access_key_secret: s\r\nsecurity_token: MARKEDt\r\n".encode())
    (folder / "credentials").chmod(0o600)
    keys = ini().fetch_credentials()
    assert (keys.access_key_id, keys.get_security_token()) == ("STS.x", "MARKEDt")


def test_which_section(folder: Path, ini: Any) -> None:
    """An argument goes before ALIBABA_CLOUD_PROFILE, that before default; sections share nothing."""
    text = "".join(f"[{name}]\naccess_key_id = {name}\naccess_key_secret = s\n" for name in ("default", "a", "b"))
    write(folder / "credentials", text + "[DEFAULT]\nsecurity_token = MARKED\n")
    environ = {"ALIBABA_CLOUD_PROFILE": "a"}
    assert ini().fetch_credentials().access_key_id == "default"
    assert ini(environ=environ).fetch_credentials().access_key_id == "a"
    keys = ini(environ=environ, profile="b").fetch_credentials()
    assert (keys.access_key_id, keys.get_security_token()) == ("b", None)


def test_which_file(folder: Path, ini: Any, tmp_path: Path) -> None:
    """An argument goes before ALIBABA_CLOUD_CREDENTIALS_FILE, that before the home; the first with the section wins."""
    files = {
        name: write(path, f"[{section}]\naccess_key_id = {name}\naccess_key_secret = s\n")
        for name, path, section in (
            ("argument", tmp_path / "argument", "default"),
            ("variable", tmp_path / "variable", "default"),
            ("first", folder / "credentials", "other"),
            ("second", folder / "credentials.ini", "default"),
        )
    }
    environ = {"ALIBABA_CLOUD_CREDENTIALS_FILE": str(files["variable"])}
    assert ini(environ=environ, path=files["argument"]).fetch_credentials().access_key_id == "argument"
    assert ini(environ=environ).fetch_credentials().access_key_id == "variable"
    assert ini().fetch_credentials().access_key_id == "second"
    assert ini(profile="other").fetch_credentials().access_key_id == "first"
    assert ini().paths == (files["first"], files["second"])


def test_what_does_not_apply(folder: Path, ini: Any) -> None:
    """Without a file, or without the section in it, a chain goes on."""
    with pytest.raises(CredentialsUnavailable, match=r"credentials does not exist; .*credentials\.ini does not exist"):
        ini().fetch_credentials()
    write(folder / "credentials", "[other]\naccess_key_id = a\naccess_key_secret = b\n")
    with pytest.raises(CredentialsUnavailable, match=r"has no section \[default\]"):
        ini().fetch_credentials()


def test_what_somebody_named_must_be_there(folder: Path, ini: Any) -> None:
    """A section or a file that an argument or a variable names is refused if it is not there."""
    write(folder / "credentials", "[other]\naccess_key_id = a\naccess_key_secret = b\n")
    for name in ("ALIBABACLOUD_PROFILE", "ALIBABA_CLOUD_PROFILE"):
        with pytest.raises(CredentialsRefused, match=rf"has no section \[typo\].*\(named by {name}\)"):
            ini(environ={name: "typo"}).fetch_credentials()
    with pytest.raises(CredentialsRefused, match=r"has no section \[typo\].*\(named by a setting or argument\)"):
        ini(profile="typo").fetch_credentials()
    with pytest.raises(CredentialsRefused, match="does not exist"):
        ini(environ={"ALIBABA_CLOUD_CREDENTIALS_FILE": "/does/not/exist"}).fetch_credentials()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[default]\naccess_key_id = a\n", "access_key_secret is empty"),
        ("[default]\n", "access_key_id and access_key_secret are empty"),
        ("[default]\ntype = sts\naccess_key_id = a\naccess_key_secret = MARKED\n", "security_token is empty"),
        ("[default]\naccess_key_id = a b\naccess_key_secret = MARKED\n", "cannot be used: access_key_id"),
        ("[default]\ntype = rsa_key_pair\nprivate_key_file = MARKED\n", "key pairs are deprecated"),
        ("[default]\ntype = bearer\nbearer_token = MARKED\n", "no bearer tokens"),
        ("[default]\ntype = other\n", "no such type is known"),
        ("[default]\ntype = ram_role_arn\naccess_key_id = a\naccess_key_secret = MARKED\n", "is not a valid role ARN"),
        (f"[default]\ntype = ram_role_arn\nrole_arn = {ROLE}\n", "access_key_id and access_key_secret are empty"),
        (
            f"[default]\ntype=ram_role_arn\nrole_arn={ROLE}\naccess_key_id=a\naccess_key_secret=MARKED\n"  # noqa: ISC004
            "role_session_expiration = 5\n",
            "900 to 43200",
        ),
        ("[default]\ntype = oidc_role_arn\nrole_arn = x\n", "oidc_provider_arn and oidc_token_file_path are empty"),
        ("access_key_secret = MARKED\n", "no section is open at line 1"),
        ("[default]\naccess_key_id = a\nMARKED\n", "line 3 is neither"),
        ("[default]\naccess_key_id = a\naccess_key_id = MARKED\n", "line 3 repeats"),
        ("[default]\naccess_key_id = a\n[default]\n", "line 3 repeats"),
    ],
)
def test_sections_that_yield_no_keys(folder: Path, ini: Any, text: str, told: str, shows_no_secret: Any) -> None:
    """What is there and cannot be used is a refusal that tells the place and no value."""
    write(folder / "credentials", text)
    with pytest.raises(CredentialsRefused, match=told) as caught:
        ini().fetch_credentials()
    shows_no_secret(caught.value)


def test_files_that_cannot_be_read(folder: Path, ini: Any, shows_no_secret: Any) -> None:
    """A folder, bytes that are no text and a file that is far too large are refusals."""
    path = folder / "credentials"
    path.mkdir()
    with pytest.raises(CredentialsRefused, match="cannot be read: Is a directory"):
        ini().fetch_credentials()
    path.rmdir()
    path.write_bytes(b"[default]\nMARKED = \xff")
    with pytest.raises(CredentialsRefused, match="not UTF-8") as caught:
        ini().fetch_credentials()
    shows_no_secret(caught.value)
    path.write_bytes(b" " * ((4 << 20) + 1))
    with pytest.raises(CredentialsRefused, match="too large"):
        ini().fetch_credentials()


def test_a_role(folder: Path, ini: Any, cloud: Any, marked: Any) -> None:
    """Type ram_role_arn assumes the role, with everything that the section says; a policy may take several lines."""
    write(
        folder / "credentials",
        f"[default]\ntype = ram_role_arn\naccess_key_id = testid\naccess_key_secret = {marked.SECRET}\n"
        f"role_arn = {ROLE}\nrole_session_name = job\nrole_session_expiration = 900\nexternal_id = outside\n"
        'policy = {"Version": "1",\n  "Statement": []}\n',
    )
    keys = ini().fetch_credentials()
    form = cloud.asked[0].form
    assert (form["RoleArn"], form["RoleSessionName"], form["DurationSeconds"]) == (ROLE, "job", "900")
    assert (form["ExternalId"], form["Policy"]) == ("outside", '{"Version": "1",\n"Statement": []}')
    assert keys.source == "ini default/assume_role/ini"
    assert ROLE in ini().describe()


def test_a_role_with_oidc(folder: Path, ini: Any, cloud: Any, tmp_path: Path) -> None:
    """Type oidc_role_arn assumes the role with the token of the file."""
    token = write(tmp_path / "token", "MARKEDtoken\n")
    write(
        folder / "credentials",
        f"[default]\ntype = oidc_role_arn\nrole_arn = {ROLE}\noidc_provider_arn = acs:p\n"
        f"oidc_token_file_path = {token}\nrole_session_name = pod\n",
    )
    assert ini().fetch_credentials().source == "ini default/oidc"
    assert (cloud.asked[0].form["OIDCToken"], cloud.asked[0].form["RoleSessionName"]) == ("MARKEDtoken", "pod")


def test_the_role_of_the_instance(folder: Path, ini: Any, cloud: Any) -> None:
    """Type ecs_ram_role asks the metadata service; configured and not there is a refusal, not drifting on."""
    write(folder / "credentials", "[default]\ntype = ecs_ram_role\nrole_name = worker\n")
    path = "/latest/meta-data/ram/security-credentials/worker"
    cloud.routes["/latest/api/token"] = lambda _asked: cloud.answer(200, b"token")
    cloud.routes[path] = lambda _asked: cloud.answer(200, {"Code": "Success", **cloud.keys()})
    environ = {"ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT": cloud.url}
    provider = ini(environ=environ)
    assert provider.fetch_credentials().source == "ini default/ecs"
    provider.fetch_credentials()
    assert [asked.path for asked in cloud.asked] == ["/latest/api/token", path, path]
    nowhere = {"ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}
    with pytest.raises(CredentialsRefused, match=r"\[default\] in .*: the metadata service gave no answer"):
        ini(environ=nowhere).fetch_credentials()


def test_a_changed_file_is_read_again(folder: Path, ini: Any) -> None:
    """Keys that are replaced in the file are the next ones."""
    path = write(folder / "credentials", "[default]\naccess_key_id = one\naccess_key_secret = s\n")
    provider = ini()
    assert provider.fetch_credentials().access_key_id == "one"
    write(path, "[default]\naccess_key_id = second\naccess_key_secret = s\n")
    assert provider.fetch_credentials().access_key_id == "second"
    path.unlink()
    with pytest.raises(CredentialsUnavailable):
        provider.fetch_credentials()


def test_refusals_of_sts_say_which_section(folder: Path, ini: Any, shows_no_secret: Any) -> None:
    """The section and the file lead the message; code and request id stay with the error."""
    write(
        folder / "credentials",
        f"[default]\ntype = ram_role_arn\naccess_key_id = testid\naccess_key_secret = MARKEDwrong\nrole_arn = {ROLE}\n",
    )
    with pytest.raises(
        CredentialsRefused, match=r"^\[default\] in .*credentials: acs:ram.*SignatureDoesNotMatch"
    ) as caught:
        ini().fetch_credentials()
    assert (caught.value.code, caught.value.http_status) == ("SignatureDoesNotMatch", 400)
    assert str(caught.value).count("HTTP 400") == 1
    shows_no_secret(caught.value)


def test_a_file_that_others_can_read_is_warned_about_once(
    folder: Path, ini: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning for each file with secrets, with the hint; none if only the owner can read it."""
    path = write(folder / "credentials", "[default]\naccess_key_id = a\naccess_key_secret = MARKED\n")
    ini().fetch_credentials()
    assert not caplog.records
    path.chmod(0o644)
    for _ in range(3):
        ini().fetch_credentials()
    (record,) = caplog.records
    assert record.name == "ots_config.credentials"
    assert record.getMessage() == (
        f"{path} holds secrets and other users can read or change it (mode 644): chmod 600 {path}"
    )


def test_what_it_says_of_itself(folder: Path, ini: Any) -> None:
    """Descriptions name the section and the files, a copy carries the configuration only."""
    assert ini().describe() == f"[default] in {folder}/credentials or {folder}/credentials.ini"
    write(folder / "credentials", "[default]\naccess_key_id = abcdefgh\naccess_key_secret = MARKED\n")
    assert ini().describe() == f"[default] in {folder}/credentials: key ab**** from ini"
    assert "MARKED" not in repr(ini())
    provider = INIProvider(fetch=None, home=folder.parent)  # type: ignore[arg-type]
    provider.fetch_credentials()
    assert b"MARKED" not in pickle.dumps(provider)
