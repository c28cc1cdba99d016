"""Keys given as they are, and keys from the environment: which variables, when, and what half a pair does."""

import os
import pickle
import subprocess
import sys
import traceback
from datetime import UTC, datetime

import pytest

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.providers.environment import EXPIRATION, FAMILIES, EnvironmentProvider
from ots_config.credentials.providers.static import StaticProvider
from ots_config.errors import CredentialsRefused, CredentialsUnavailable

MARK = "S3cr3tM4rk"
KEY = "LTAI5tExampleKey0001"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in FAMILIES:
        for name in family:
            monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.access_key_id)
@pytest.mark.parametrize("token", ["", "a-token"])
def test_each_family_is_read(monkeypatch: pytest.MonkeyPatch, family: tuple[str, str, str], token: str) -> None:
    """Id, secret and token of each family are read, and the source names its first variable."""
    for name, value in zip(family, (KEY, MARK, token), strict=True):
        monkeypatch.setenv(name, value)
    found = EnvironmentProvider().get_credentials()
    assert (found.access_key_id, found.get_access_key_secret(), found.get_security_token()) == (
        KEY,
        MARK,
        token or None,
    )
    assert found.source == f"environment {family[0]}"


@pytest.mark.parametrize("index", range(len(FAMILIES) - 1))
def test_the_earlier_family_wins(monkeypatch: pytest.MonkeyPatch, index: int) -> None:
    """Of two neighbouring families the earlier one is used, whole: no token is borrowed from the other."""
    for family in FAMILIES[index : index + 2]:
        monkeypatch.setenv(family.access_key_id, f"{KEY}{family.access_key_id}")
        monkeypatch.setenv(family.access_key_secret, MARK)
    monkeypatch.setenv(FAMILIES[index + 1].token, "a-token")
    found = EnvironmentProvider().get_credentials()
    assert found.access_key_id == KEY + FAMILIES[index].access_key_id
    assert found.get_security_token() is None


def test_nothing_set_is_unavailable() -> None:
    """Without any variable the provider does not apply, and says where it looked."""
    with pytest.raises(CredentialsUnavailable) as caught:
        EnvironmentProvider().get_credentials()
    assert str(caught.value) == (
        "none of OTS_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABACLOUD_ACCESS_KEY_ID and ALICLOUD_ACCESS_KEY_ID "
        "is set"
    )


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_empty_counts_as_unset(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """A family of empty variables is passed over, and so is an empty token."""
    for name in FAMILIES[0]:
        monkeypatch.setenv(name, value)
    with pytest.raises(CredentialsUnavailable):
        EnvironmentProvider().get_credentials()
    for name, content in zip(FAMILIES[1], (KEY, MARK, value), strict=True):
        monkeypatch.setenv(name, content)
    assert EnvironmentProvider().get_credentials().get_security_token() is None


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.access_key_id)
@pytest.mark.parametrize(
    ("present", "message"),
    [
        ((0,), "{0} is set, but {1} not: set both or neither"),
        ((1,), "{1} is set, but {0} not: set both or neither"),
        ((0, 2), "{0} and {2} are set, but {1} not: set both or neither"),
        ((2,), "{2} is set, but {0} and {1} not: set both or neither"),
    ],
)
def test_half_a_pair_is_refused(
    monkeypatch: pytest.MonkeyPatch, family: tuple[str, str, str], present: tuple[int, ...], message: str
) -> None:
    """A family set by half is refused with the missing variable's name, though the next one is whole."""
    for other in FAMILIES[FAMILIES.index(family) + 1 :]:
        monkeypatch.setenv(other.access_key_id, KEY)
        monkeypatch.setenv(other.access_key_secret, MARK)
    for index in present:
        monkeypatch.setenv(family[index], MARK)
    with pytest.raises(CredentialsRefused) as caught:
        EnvironmentProvider().get_credentials()
    assert str(caught.value) == message.format(*family)


def test_the_environment_is_read_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that changes is seen by the next call; one that does not gives the same snapshot."""
    provider = EnvironmentProvider()
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "one")
    first = provider.get_credentials()
    assert provider.get_credentials() is first
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "two")
    assert provider.get_credentials().get_access_key_secret() == "two"
    monkeypatch.delenv("OTS_ACCESS_KEY_ID")
    monkeypatch.delenv("OTS_ACCESS_KEY_SECRET")
    with pytest.raises(CredentialsUnavailable):
        provider.get_credentials()
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "two")
    assert provider.get_credentials().source == "environment ALIBABA_CLOUD_ACCESS_KEY_ID"


def test_keys_that_fit_no_header_are_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that cannot be sent is refused by the variable's name; its value is in no error and no frame."""
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", f"{MARK} \u00e9")
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", MARK)
    provider = EnvironmentProvider()
    with pytest.raises(CredentialsRefused, match="OTS_ACCESS_KEY_ID and its companions cannot be used") as caught:
        provider.get_credentials()
    assert MARK not in "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert caught.value.__context__ is None


def test_the_environment_stays_out_of_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickled provider carries no key: the other process has an environment of its own."""
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", MARK)
    provider = EnvironmentProvider()
    first = provider.get_credentials()
    data = pickle.dumps(provider)
    assert MARK.encode() not in data
    assert pickle.loads(data).get_credentials() == first
    assert MARK not in repr(provider)
    assert "OTS_ACCESS_KEY_ID" in repr(provider)


def test_importing_reads_no_variable() -> None:
    """Variables set after the import count."""
    program = (
        "import os\n"
        "from ots_config.credentials.providers.environment import EnvironmentProvider\n"
        f"os.environ.update(OTS_ACCESS_KEY_ID={KEY!r}, OTS_ACCESS_KEY_SECRET='s')\n"
        "print(EnvironmentProvider().get_credentials().access_key_id)\n"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTS_", "ALI"))}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == KEY


def test_static_keys_are_handed_out_as_given() -> None:
    """Given keys come back as one snapshot, with their source, and only masked in texts."""
    provider = StaticProvider(KEY, MARK, "", source="settings")
    found = provider.get_credentials()
    assert provider.get_credentials() is found
    assert (found.access_key_id, found.get_access_key_secret(), found.get_security_token(), found.source) == (
        KEY,
        MARK,
        None,
        "settings",
    )
    assert repr(provider) == "<StaticProvider: key LTAI5t****0001 from settings>"
    assert StaticProvider.of(found).get_credentials() is found
    assert pickle.loads(pickle.dumps(provider)).get_credentials() == found


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("", MARK), "arguments: access_key_id must be a non-empty string"),
        ((KEY, ""), "arguments: access_key_secret must be a non-empty string"),
        ((KEY, MARK, f"{MARK}\n"), "arguments: sts_token must be printable ASCII without spaces"),
    ],
)
def test_static_keys_that_cannot_be_used_are_refused(keys: tuple[str, ...], message: str) -> None:
    """Keys that are missing or fit no header are refused by name, without their values."""
    with pytest.raises(CredentialsRefused, match=message) as caught:
        StaticProvider(*keys)
    assert MARK not in str(caught.value)
    assert caught.value.__context__ is None


def test_our_providers_satisfy_the_official_sdk() -> None:
    """The snapshot of either provider answers the getters that the official client calls."""
    provider = StaticProvider(KEY, MARK)
    found: Credentials = provider.get_credentials()
    assert (found.get_access_key_id(), found.get_access_key_secret(), found.get_security_token()) == (KEY, MARK, None)


@pytest.mark.parametrize(("text", "ends"), [("2030-01-02T03:04:05Z", True), ("1893553445", True), ("", False)])
def test_temporary_keys_may_say_when_they_end(monkeypatch: pytest.MonkeyPatch, text: str, ends: bool) -> None:
    """OTS_STS_EXPIRATION is the end of the keys in OTS_*, and a new one is a new snapshot."""
    for name, value in (("ACCESS_KEY_ID", "STS.x"), ("ACCESS_KEY_SECRET", "s"), ("STS_TOKEN", "t")):
        monkeypatch.setenv(f"OTS_{name}", value)
    provider = EnvironmentProvider()
    assert provider.get_credentials().expires_at is None
    monkeypatch.setenv("OTS_STS_EXPIRATION", text)
    found = provider.get_credentials()
    assert (found.expires_at == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)) is ends
    assert provider.get_credentials() is found
    monkeypatch.setenv("OTS_STS_EXPIRATION", "soon")
    with pytest.raises(CredentialsRefused, match="the expiration is not a time"):
        provider.get_credentials()


@pytest.mark.parametrize("kind", ["as it is", "another mapping"])
@pytest.mark.parametrize("family", [0, 1, 3])
def test_each_change_of_a_variable_is_noticed(monkeypatch: pytest.MonkeyPatch, kind: str, family: int) -> None:
    """The same snapshot is returned while no variable that counts has changed, and another one at once when one has."""
    if kind == "another mapping":
        monkeypatch.setattr(os, "environ", dict(os.environ))
    key_id, secret, token = FAMILIES[family]
    for name in (key_id, secret, token):
        monkeypatch.setitem(os.environ, name, f"value-of-{name}")
    provider = EnvironmentProvider()
    last = provider.get_credentials()
    assert provider.get_credentials() is last
    others = [name for before in FAMILIES[:family] for name in before[:2]]
    for name in (key_id, secret, token, *((EXPIRATION,) if family == 0 else ())):
        monkeypatch.setitem(os.environ, name, "2030-01-02T03:04:05Z")
        assert provider.get_credentials() != last
        last = provider.get_credentials()
        assert provider.get_credentials() is last
    monkeypatch.setitem(os.environ, "SOMETHING_ELSE", "x")
    assert provider.get_credentials() is last
    if others:
        monkeypatch.setitem(os.environ, others[0], "another")
        with pytest.raises(CredentialsRefused, match=others[0]):
            provider.get_credentials()
        monkeypatch.setitem(os.environ, others[1], "another")
        assert provider.get_credentials().access_key_id == "another"
    for name in list(os.environ):
        monkeypatch.delitem(os.environ, name)
    with pytest.raises(CredentialsUnavailable):
        provider.get_credentials()


def test_the_secrets_that_are_compared_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the provider remembers of the variables is in none of its attributes, and not in a pickle."""
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", "LTAI5tExampleKey0001")
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "MARKEDsecret")
    provider = EnvironmentProvider()
    provider.get_credentials()
    assert "MARKED" not in repr(vars(provider)) + repr(provider)
    assert b"MARKED" not in pickle.dumps(provider)
