"""One moment's credentials: unchangeable, comparable, and silent about their secrets."""

import copy
import dataclasses
import json
import pickle
import traceback
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from ots_config.credentials.credentials import Credentials, CredentialsProvider, Secret
from ots_config.credentials.providers.static import StaticProvider
from ots_config.errors import mask

SECRET, TOKEN = "S3cr3tM4rk", "T0k3nM4rk"
ENDS = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def credentials() -> Credentials:
    """Give temporary credentials."""
    return Credentials("STS.NT4exampleExample", SECRET, TOKEN, ENDS, "sts")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("LTAI5tExampleKey0001", "LTAI5t****0001"),
        ("0123456789abcdef", "012345****cdef"),
        ("testid", "te****"),
        ("0123456789abcde", "01****"),
        ("abcde", "****"),
        ("", "****"),
    ],
)
def test_mask_shows_little(value: str, shown: str) -> None:
    """Long ids show six and four characters, short ones two, the shortest none."""
    assert mask(value) == shown


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        lambda it: f"{it!r:>200}",
        lambda it: "%s %r" % (it, it),  # noqa: UP031 - one more way to be shown
        lambda it: repr([it, {"it": it}]),
        lambda it: repr(dataclasses.asdict(it)),
        lambda it: repr(dataclasses.astuple(it)),
        lambda it: repr(dataclasses.fields(it)),
        lambda it: repr(dataclasses.asdict(dataclasses.make_dataclass("Outer", ["inner"])(it))),
        lambda it: json.dumps(it, default=str),
    ],
    ids=range(11),
)
def test_no_text_shows_a_secret(credentials: Credentials, show: Any) -> None:
    """No way of showing credentials shows the secret or the token."""
    text = show(credentials)
    assert SECRET not in text
    assert TOKEN not in text


def test_repr_tells_key_source_and_end(credentials: Credentials) -> None:
    """What is shown is enough to know which keys they are."""
    assert repr(credentials) == "<Credentials STS.NT****mple from sts, with a token, until 2026-11-22T12:00:00Z>"
    assert repr(Credentials("LTAI5tExampleKey0001", SECRET)) == "<Credentials LTAI5t****0001 from arguments>"


@pytest.mark.parametrize("name", ["access_key_id", "access_key_secret", "sts_token", "expires_at", "source", "other"])
def test_nothing_can_be_changed(credentials: Credentials, name: str) -> None:
    """No attribute can be set, added or deleted."""
    with pytest.raises(AttributeError):
        setattr(credentials, name, "changed")
    with pytest.raises(AttributeError):
        delattr(credentials, name)
    assert not hasattr(credentials, "__dict__")


def test_an_empty_token_is_none() -> None:
    """An empty token becomes None, as an empty header must never be sent."""
    assert Credentials("id", "secret", "").sts_token is None
    assert Credentials("id", "secret", "").get_security_token() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"access_key_id": ""}, "access_key_id must be a non-empty string"),
        ({"access_key_id": None}, "access_key_id must be a non-empty string"),
        ({"access_key_secret": ""}, "access_key_secret must be a non-empty string"),
        ({"access_key_secret": b"bytes"}, "access_key_secret must be a non-empty string"),
        ({"access_key_id": "two words"}, "access_key_id must be printable ASCII"),
        ({"access_key_id": "line\r\nInjected: 1"}, "access_key_id must be printable ASCII"),
        ({"sts_token": "\u4e2d"}, "sts_token must be printable ASCII"),
        ({"sts_token": f"{TOKEN}\n"}, "sts_token must be printable ASCII"),
        ({"expires_at": datetime(2026, 1, 1)}, "expires_at must be an aware datetime"),  # noqa: DTZ001 - the fault
    ],
)
def test_what_cannot_be_sent_is_refused(arguments: dict[str, Any], message: str) -> None:
    """Values that are missing, of another type or unfit for a header are refused by name, never by value."""
    with pytest.raises(ValueError, match=message) as caught:
        Credentials(**{"access_key_id": "id", "access_key_secret": SECRET, **arguments})
    text = "".join(traceback.format_exception(caught.value))
    assert SECRET not in text
    assert TOKEN not in text


def test_equal_keys_are_equal_whatever_their_source(credentials: Credentials) -> None:
    """Equality and hash go by the keys and their end, not by where they came from."""
    twin = Credentials("STS.NT4exampleExample", SECRET, TOKEN, ENDS, "elsewhere")
    assert twin == credentials
    assert hash(twin) == hash(credentials)
    assert twin != Credentials("STS.NT4exampleExample", SECRET, None, ENDS)
    assert twin != Credentials("STS.NT4exampleExample", SECRET, TOKEN, ENDS + timedelta(seconds=1))
    assert twin != "STS.NT4exampleExample"
    assert ENDS.astimezone(timezone(timedelta(hours=8))) == credentials.expires_at


def test_copies_are_the_same_and_pickles_are_equal(credentials: Credentials) -> None:
    """A copy is the object itself; a pickle holds the keys, which is what it is for."""
    assert copy.copy(credentials) is credentials
    assert copy.deepcopy([credentials])[0] is credentials
    twin = pickle.loads(pickle.dumps(credentials))
    assert twin == credentials
    assert twin.source == "sts"


def test_official_getters(credentials: Credentials) -> None:
    """The getters of the official SDK's credentials answer."""
    assert credentials.get_access_key_id() == "STS.NT4exampleExample"
    assert credentials.get_access_key_secret() == SECRET
    assert credentials.get_security_token() == TOKEN
    assert credentials.masked_id == "STS.NT****mple"


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        lambda it: f"{it:>20}|{it!r}|{it!s}",
        lambda it: "%s %r" % (it, it),  # noqa: UP031 - one more way to be shown
        lambda it: repr({it: [it]}),
        lambda it: json.dumps([it], default=str),
    ],
    ids=range(7),
)
def test_a_secret_shows_a_mask(show: Any) -> None:
    """Whatever makes a text of a secret gets a mask; ``reveal`` returns the text."""
    secret = Secret(SECRET)
    assert "****" in show(secret)
    assert SECRET not in show(secret)
    assert secret.reveal() == SECRET


def test_a_secret_is_no_string() -> None:
    """It is refused where a str is needed, JSON included, and has no dictionary of attributes to look into."""
    secret: Any = Secret(SECRET)
    assert not isinstance(secret, str)
    for use in (json.dumps, lambda it: "key " + it, vars):
        with pytest.raises(TypeError) as caught:
            use(secret)
        assert SECRET not in str(caught.value)


def test_secrets_are_compared_by_their_text() -> None:
    """Equal texts are equal secrets with equal hashes, of any alphabet; a secret never equals a str."""
    assert Secret("\u4e2d\u6587") == Secret("\u4e2d\u6587")
    assert Secret(SECRET) != Secret(TOKEN)
    assert Secret(SECRET) != SECRET
    assert len({Secret(SECRET), Secret(SECRET), Secret(TOKEN)}) == 2


def test_a_pickled_secret_stays_one() -> None:
    """Copies and pickles are secrets too, those of whole credentials included."""
    for twin in (copy.deepcopy(Secret(SECRET)), pickle.loads(pickle.dumps(Secret(SECRET)))):
        assert isinstance(twin, Secret)
        assert twin == Secret(SECRET)
    twin = pickle.loads(pickle.dumps(Credentials("id", SECRET, TOKEN)))
    assert twin.sts_token == Secret(TOKEN)


def test_credentials_take_secrets_too(credentials: Credentials) -> None:
    """Plain strings and secrets make equal credentials, whose attributes are secrets and whose getters give strings."""
    twin = Credentials("STS.NT4exampleExample", Secret(SECRET), Secret(TOKEN), ENDS)
    assert twin == credentials
    assert twin.access_key_secret == Secret(SECRET)
    assert (twin.get_access_key_secret(), twin.get_security_token()) == (SECRET, TOKEN)
    assert StaticProvider("id", Secret(SECRET)).get_credentials() == Credentials("id", SECRET)
    with pytest.raises(ValueError, match="access_key_secret must be a non-empty string"):
        Credentials("id", Secret(""))


def test_the_official_client_takes_our_providers() -> None:
    """The official client signs with credentials from one of our providers."""
    from ots_config.sdk import tablestore

    provider = StaticProvider("LTAI5tExampleKey0001", SECRET)
    assert isinstance(provider, CredentialsProvider)
    client = tablestore.OTSClient("http://127.0.0.1:1", None, None, "demo", credentials_provider=provider)
    assert client.credentials_provider.get_credentials() is provider.get_credentials()
