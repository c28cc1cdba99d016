"""A user's function, and providers of the official SDKs as they are."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from alibabacloud_credentials.client import Client
from alibabacloud_credentials.models import Config
from alibabacloud_credentials.provider import StaticAKCredentialsProvider, StaticSTSCredentialsProvider

from ots_config.credentials.credentials import Credentials
from ots_config.credentials.provider import Provider
from ots_config.credentials.providers.external import CallableProvider, ForeignProvider, adapted, as_provider
from ots_config.credentials.providers.static import StaticProvider
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.errors import CredentialsRefused, CredentialsUnavailable
from ots_config.sdk import tablestore

END = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


class Attributes:
    """Keys as attributes, as OSS has them."""

    access_key_id = "id"
    access_key_secret = "MARKEDsecret"
    security_token = "MARKEDtoken"
    expiration = END


@pytest.mark.parametrize(
    ("value", "token", "end"),
    [
        (Credentials("id", "MARKEDsecret", "MARKEDtoken", END), "MARKEDtoken", END),
        (("id", "MARKEDsecret"), None, None),
        (["id", "MARKEDsecret", ""], None, None),
        (("id", "MARKEDsecret", "MARKEDtoken"), "MARKEDtoken", None),
        (("id", "MARKEDsecret", "MARKEDtoken", END), "MARKEDtoken", END),
        (("id", "MARKEDsecret", None, "2030-01-02T03:04:05Z"), None, END),
        ({"access_key_id": "id", "access_key_secret": "MARKEDsecret"}, None, None),
        ({"access_key_id": "id", "access_key_secret": "MARKEDsecret", "sts_token": "MARKEDtoken"}, "MARKEDtoken", None),
        (
            {
                "AccessKeyId": "id",
                "AccessKeySecret": "MARKEDsecret",
                "SecurityToken": "MARKEDtoken",
                "Expiration": "2030-01-02T03:04:05Z",
            },
            "MARKEDtoken",
            END,
        ),
        (Attributes(), "MARKEDtoken", END),
        (tablestore.credentials.Credentials("id", "MARKEDsecret", "MARKEDtoken"), "MARKEDtoken", None),
    ],
    ids=["ours", "pair", "list", "triple", "four", "text-end", "dict", "dict-token", "api", "attributes", "official"],
)
def test_what_a_function_may_return(value: Any, token: str | None, end: datetime | None) -> None:
    """Snapshots, tuples, mappings in every spelling and the official SDKs' objects all become one snapshot."""
    keys = CallableProvider(lambda: value, name="mine").get_credentials()
    assert (keys.access_key_id, keys.get_access_key_secret(), keys.get_security_token()) == (
        "id",
        "MARKEDsecret",
        token,
    )
    assert keys.expires_at == end


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "gave NoneType without access_key_id and access_key_secret"),
        ("MARKED", "gave str without"),
        (b"MARKED", "gave bytes without"),
        (("MARKED",), "gave 1 values"),
        (("MARKED",) * 5, "gave 5 values"),
        ({"access_key_id": "MARKED"}, "gave dict without access_key_secret"),
        (("id", "MARKED", "with space"), "cannot be used: sts_token must be"),
        (("id", "MARKED", 5), "cannot be used: the token is no text"),
        (("id", "MARKED", "t", "MARKED"), "cannot be used: the expiration"),
        (("id\n", "MARKED"), "cannot be used: access_key_id must be"),
    ],
    ids=["none", "str", "bytes", "one", "five", "half", "token", "token-type", "end", "id"],
)
def test_what_a_function_must_not_return(value: Any, told: str, shows_no_secret: Any) -> None:
    """Anything else is a refusal that names the function and the kind, never the value."""
    with pytest.raises(CredentialsRefused, match=told) as caught:
        CallableProvider(lambda: value).fetch_credentials()
    assert "test_what_a_function_must_not_return" in str(caught.value)
    shows_no_secret(caught.value)


def test_a_function_that_raises(shows_no_secret: Any) -> None:
    """The kind and the place are told, the text is not: it may hold what the function was working with."""

    def fails() -> None:
        message = "cannot open the vault with MARKEDpassword"
        raise RuntimeError(message)

    with pytest.raises(
        CredentialsRefused, match=r"failed with RuntimeError at test_external\.py:\d+ \(its text"
    ) as caught:
        CallableProvider(fails).fetch_credentials()
    shows_no_secret(caught.value)


def test_a_function_may_say_that_it_does_not_apply() -> None:
    """Our own errors pass as they are."""

    def absent() -> None:
        message = "no vault here"
        raise CredentialsUnavailable(message)

    with pytest.raises(CredentialsUnavailable, match=r"^no vault here$"):
        CallableProvider(absent).fetch_credentials()


def test_an_asynchronous_function_is_told_so() -> None:
    """A coroutine is closed and refused with a sentence."""

    async def later() -> tuple[str, str]:
        return "id", "MARKED"

    with pytest.raises(CredentialsRefused, match="is asynchronous"):
        CallableProvider(later).fetch_credentials()


def test_alibabacloud_providers_and_clients() -> None:
    """Providers and clients of alibabacloud-credentials serve as they are, temporary keys too."""
    plain = StaticAKCredentialsProvider(access_key_id="id", access_key_secret="MARKEDsecret")
    temporary = StaticSTSCredentialsProvider(
        access_key_id="id", access_key_secret="MARKEDsecret", security_token="MARKEDtoken"
    )
    client = Client(
        Config(type="sts", access_key_id="id", access_key_secret="MARKEDsecret", security_token="MARKEDtoken")
    )
    for provider, token in ((plain, None), (temporary, "MARKEDtoken"), (client, "MARKEDtoken")):
        keys = ForeignProvider(provider).get_credentials()
        assert (keys.access_key_id, keys.get_access_key_secret(), keys.get_security_token()) == (
            "id",
            "MARKEDsecret",
            token,
        )
        assert keys.source == type(provider).__name__


def test_alibabacloud_failures(shows_no_secret: Any) -> None:
    """What such a provider raises is told by kind; its text may hold a whole URL with tokens."""

    class Broken(StaticAKCredentialsProvider):
        def get_credentials(self) -> Any:
            message = "HTTPSConnectionPool: /?SecurityToken=MARKEDtoken"
            raise ConnectionError(message)

    provider = ForeignProvider(Broken(access_key_id="id", access_key_secret="MARKEDsecret"))
    with pytest.raises(CredentialsRefused, match="Broken: failed with ConnectionError at") as caught:
        provider.get_credentials()
    shows_no_secret(caught.value)


def test_one_snapshot_from_one_call() -> None:
    """Id, secret and token come from one answer, though the provider rotates between any two calls."""
    generations: Iterator[int] = iter(range(100))

    class Rotating:
        def get_credentials(self) -> Any:
            number = next(generations)
            return tablestore.credentials.Credentials(f"id{number}", f"secret{number}", f"token{number}")

        def get_access_key_id(self) -> str:
            return f"id{next(generations)}"

        def get_access_key_secret(self) -> str:
            return f"secret{next(generations)}"

    provider = ForeignProvider(Rotating())
    for number in range(3):
        keys = provider.get_credentials()
        assert (keys.access_key_id, keys.get_access_key_secret(), keys.get_security_token()) == (
            f"id{number}",
            f"secret{number}",
            f"token{number}",
        )


def test_the_official_sdk_takes_ours_and_we_take_its() -> None:
    """An official static provider serves here, and a provider of ours answers as the official client asks."""
    official = tablestore.credentials.StaticCredentialsProvider("id", "MARKEDsecret")
    keys = ForeignProvider(official, name="official").get_credentials()
    assert (keys.get_access_key_id(), keys.get_access_key_secret(), keys.get_security_token()) == (
        "id",
        "MARKEDsecret",
        None,
    )
    assert keys.source == "official"


def test_what_is_no_provider(shows_no_secret: Any) -> None:
    """An object without any of the methods is refused by its type's name."""
    for adapt in (adapted, as_provider):
        with pytest.raises(CredentialsUnavailable, match=r"^int is no credentials provider") as caught:
            adapt(5)
        shows_no_secret(caught.value)


def test_descriptions_show_no_secret() -> None:
    """Functions, providers and snapshots are named, not shown."""
    provider = CallableProvider(test_what_is_no_provider, name="mine")
    assert provider.describe().endswith("test_what_is_no_provider")
    assert provider.name == "mine"
    foreign = ForeignProvider(StaticAKCredentialsProvider(access_key_id="id", access_key_secret="MARKEDsecret"))
    assert foreign.describe().endswith("StaticAKCredentialsProvider")
    given = adapted(Credentials("id", "MARKED"))
    assert given.describe() == "key **** from arguments"
    for shown in (repr(provider), repr(foreign), repr(given)):
        assert "MARKED" not in shown
    assert pickle.loads(pickle.dumps(CallableProvider(adapted))).name == "callable"


class Foreign:
    """A provider of somebody's that takes the seconds left and can look again."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def get_credentials(self, timeout: float | None = None) -> Credentials:
        """Record the question."""
        self.asked.append(("get", timeout))
        return Credentials("id", "MARKEDsecret")

    def force_refresh(self, rejected: Credentials) -> Credentials:
        """Record the question."""
        self.asked.append(("force", rejected.access_key_id))
        return Credentials("other", "MARKEDsecret")


class ForeignAsync(Foreign):
    """The same with methods for tasks."""

    async def get_credentials_async(self) -> Credentials:
        """Record the question."""
        self.asked.append(("get_async", None))
        return Credentials("id", "MARKEDsecret")

    async def force_refresh_async(self, rejected: Credentials, timeout: float | None) -> Credentials:  # noqa: ASYNC109 - as ours
        """Record the question."""
        self.asked.append(("force_async", timeout))
        return rejected


def test_the_optional_methods_of_a_foreign_provider_are_used() -> None:
    """The seconds left are passed to methods that take them, force_refresh is called, and a pickle does so too."""
    for given in (Foreign(), ForeignAsync()):
        for provider in (as_provider(given), pickle.loads(pickle.dumps(as_provider(given)))):
            keys = provider.get_credentials(2.5)
            assert provider.force_refresh(keys, 1.5).access_key_id == "other"
            assert provider._provider.asked == [("get", 2.5), ("force", "id")]


@pytest.mark.asyncio
async def test_the_asynchronous_methods_of_a_foreign_provider_are_awaited() -> None:
    """Without them the provider is called in a thread, unless it answers at once."""
    given = ForeignAsync()
    provider = as_provider(given)
    keys = await provider.get_credentials_async(2.5)
    assert await provider.force_refresh_async(keys, 1.5) is keys
    assert given.asked == [("get_async", None), ("force_async", 1.5)]
    for instant in (False, True):
        plain = Foreign()
        provider = as_provider(plain, instant=instant)
        keys = await provider.get_credentials_async(2.5)
        assert (await provider.force_refresh_async(keys, 1.5)).access_key_id == "other"
        assert plain.asked == [("get", 2.5), ("force", "id")]


@pytest.mark.asyncio
async def test_a_failure_of_an_asynchronous_method_is_not_shown(shows_no_secret: Any) -> None:
    """Of an exception that an awaited method raises only the type and the place are shown."""

    class Broken(Foreign):
        async def get_credentials_async(self) -> Credentials:
            message = "MARKEDtoken"
            raise KeyError(message)

    with pytest.raises(CredentialsRefused, match=r"^Broken: failed with KeyError at test_external\.py:\d+") as caught:
        await as_provider(Broken()).get_credentials_async()
    shows_no_secret(caught.value)


def test_the_same_foreign_snapshot_is_the_same_credentials() -> None:
    """An official provider that returns one object makes us build one Credentials, however often it is asked."""
    provider = as_provider(tablestore.credentials.StaticCredentialsProvider("id", "MARKEDsecret"))
    assert provider.get_credentials() is provider.get_credentials()


class Uncached(Provider):
    """A provider of a user's that only fetches."""

    name = "uncached"

    def fetch_credentials(self) -> Credentials:
        """Return the same keys each time."""
        return Credentials("id", "MARKEDsecret", source=self.name)


class Cached(Uncached):
    """A provider of a user's that says that it keeps its keys, and fails."""

    cached = True

    def fetch_credentials(self) -> Credentials:
        """Fail with a secret in the text."""
        message = "MARKEDsecret"
        raise LookupError(message)


def test_what_is_kept_fresh_for_its_owner(shows_no_secret: Any) -> None:
    """What only fetches is wrapped, with an own period for functions; what keeps its keys is asked each time."""
    static = StaticProvider("id", "MARKEDsecret")
    assert as_provider(static) is static
    assert isinstance(as_provider(Credentials("id", "MARKEDsecret")), StaticProvider)
    for given, max_age in ((Uncached(), None), (lambda: ("id", "MARKEDsecret"), 60.0)):
        provider = as_provider(given)
        assert isinstance(provider, RefreshingProvider)
        assert provider._max_age == max_age
        assert provider.get_credentials().access_key_id == "id"
    with pytest.raises(CredentialsRefused, match=r"^uncached: failed with LookupError") as caught:
        as_provider(Cached()).get_credentials()
    shows_no_secret(caught.value)
