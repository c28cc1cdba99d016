"""A user's function, and providers of the official SDKs as they are."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alibabacloud_credentials.client import Client
from alibabacloud_credentials.models import Config
from alibabacloud_credentials.provider import StaticAKCredentialsProvider, StaticSTSCredentialsProvider

from ots_config import OTSClient, create_client
from ots_config.credentials.chain import ChainProvider
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
        (("id", "MARKED", 5), "cannot be used: sts_token must be printable"),
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
    """A provider of somebody's that can look again."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get_credentials(self) -> Credentials:
        """Record the question."""
        self.asked.append("get")
        return Credentials("id", "MARKEDsecret")

    def force_refresh(self, rejected: Credentials) -> Credentials:
        """Record the question."""
        self.asked.append(f"force {rejected.access_key_id}")
        return Credentials("other", "MARKEDsecret")


@pytest.mark.parametrize("instant", [False, True])
def test_the_optional_methods_of_a_foreign_provider_are_used(instant: bool) -> None:
    """After a refusal force_refresh is called if there is one; one that answers at once is asked by each request."""
    foreign = Foreign()
    provider = as_provider(foreign, instant=instant)
    keys = provider.get_credentials()
    assert provider.get_credentials() == keys
    assert provider.force_refresh(keys).access_key_id == "other"
    assert foreign.asked == (["get", "get", "force id"] if instant else ["get", "force id"])
    copy = pickle.loads(pickle.dumps(as_provider(Foreign(), instant=instant)))
    assert copy.force_refresh(copy.get_credentials()).access_key_id == "other"


class Blocking:
    """A provider whose answer waits for a gate, and that counts how many wait."""

    def __init__(self, *, lifetime: float | None = None) -> None:
        self.gate = threading.Event()
        self.started = threading.Event()
        self.lifetime = lifetime
        self.calls = self.working = self.most = 0
        self.threads: set[threading.Thread] = set()

    def get_credentials(self) -> Credentials:
        """Wait."""
        self.calls += 1
        self.working += 1
        self.most = max(self.most, self.working)
        self.threads.add(threading.current_thread())
        self.started.set()
        assert self.gate.wait(20)
        self.working -= 1
        ends = None if self.lifetime is None else datetime.now(UTC) + timedelta(seconds=self.lifetime)
        return Credentials(f"id{self.calls}", "MARKEDsecret", "token", ends)


def test_callers_leave_a_blocking_provider_at_their_deadline() -> None:
    """Threads and tasks leave in time; the provider is asked once, on another thread than theirs."""
    blocking = Blocking()
    provider = as_provider(blocking)

    async def task() -> None:
        with pytest.raises(CredentialsRefused, match=r"Blocking: no answer within 0\.01 s"):
            await provider.get_credentials_async(0.01)

    for _ in range(3):
        with pytest.raises(CredentialsRefused, match=r"Blocking: no answer within 0\.01 s"):
            provider.get_credentials(0.01)
        asyncio.run(task())
    assert (blocking.calls, blocking.most) == (1, 1)
    blocking.gate.set()
    assert provider.get_credentials(20).access_key_id == "id1"
    assert threading.current_thread() not in blocking.threads


def test_a_client_leaves_a_blocking_provider_at_its_deadline() -> None:
    """A call, the making of a client and the question for the identity end with the client's deadline."""
    blocking = Blocking()
    options: dict[str, Any] = {"endpoint": "http://127.0.0.1:9", "instance_name": "demo", "deadline": 0.1}
    for ask in (
        lambda: OTSClient(**options, credentials_provider=blocking).list_table(),
        lambda: OTSClient(**options, credentials_provider=blocking).identity(),
        lambda: create_client(**options, credentials_provider=blocking),
        lambda: ChainProvider([blocking]).get_credentials(0.1),
    ):
        with pytest.raises(CredentialsRefused, match=r"Blocking: no answer within 0\.\d+ s|chain: no answer within"):
            ask()
    blocking.gate.set()


def test_how_long_a_foreign_snapshot_is_kept(clock: Any) -> None:
    """Without an end it is kept for a minute, with one until that is near; after a refusal it is asked for at once."""
    for lifetime, kept in ((None, 60.0), (3600.0, 2600.0)):
        foreign = Blocking(lifetime=lifetime)
        foreign.gate.set()
        provider = RefreshingProvider(ForeignProvider(foreign, instant=True), clock=clock)
        first = provider.get_credentials()
        clock.advance(kept - 1)
        assert provider.get_credentials() is first
        second = provider.force_refresh(first)
        assert (second.access_key_id, foreign.calls) == ("id2", 2)
        clock.advance(kept - 1)
        assert provider.get_credentials() is second
        clock.advance(1000 if lifetime else 1)
        assert provider.get_credentials().access_key_id == "id3"


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
    """What only fetches is wrapped; functions and foreign objects whose keys do not end are asked once a minute."""
    static = StaticProvider("id", "MARKEDsecret")
    assert as_provider(static) is static
    assert isinstance(as_provider(Credentials("id", "MARKEDsecret")), StaticProvider)
    for given, max_age in ((Uncached(), None), (lambda: ("id", "MARKEDsecret"), 60.0)):
        provider = as_provider(given)
        assert isinstance(provider, RefreshingProvider)
        assert provider._source.max_age == max_age
        assert provider.get_credentials().access_key_id == "id"
    with pytest.raises(CredentialsRefused, match=r"^uncached: failed with LookupError") as caught:
        as_provider(Cached()).get_credentials()
    shows_no_secret(caught.value)
