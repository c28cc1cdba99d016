"""A user's function, and providers of the official SDKs as they are."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from alibabacloud_credentials.client import Client
from alibabacloud_credentials.models import Config
from alibabacloud_credentials.provider import StaticAKCredentialsProvider, StaticSTSCredentialsProvider

from ots_config import OTSClient
from ots_config.credentials.chain import ChainProvider
from ots_config.credentials.credentials import Credentials
from ots_config.credentials.providers.external import CallableProvider, ForeignProvider, described, snapshot_from
from ots_config.credentials.refresh import RefreshingProvider
from ots_config.credentials.sts import AssumeRoleProvider
from ots_config.errors import CredentialsError, CredentialsRefused, CredentialsUnavailable
from ots_config.request.io import BlockingIO, SuspendingIO
from ots_config.request.transport import Fetcher
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
    assert (keys.access_key_id, keys.access_key_secret, keys.sts_token) == ("id", "MARKEDsecret", token)
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

    with pytest.raises(CredentialsRefused, match=r"raised RuntimeError at test_external\.py:\d+$") as caught:
        CallableProvider(fails).fetch_credentials()
    shows_no_secret(caught.value)


FAILS_ON_WARNINGS = pytest.mark.filterwarnings("error:the old way:DeprecationWarning")


def old_way() -> tuple[str, str]:
    """Return keys, and warn of how it was done."""
    warnings.warn("the old way, with MARKEDpassword", DeprecationWarning, stacklevel=1)
    return "id", "MARKEDsecret"


class OldWay:
    """A provider of somebody else's that warns."""

    def get_credentials(self) -> Any:
        """Return keys in the form of the official SDK."""
        return tablestore.credentials.Credentials(*old_way())


def asked_by_a_client() -> Any:
    """Give a client the provider, which asks it at once."""
    return OTSClient("http://127.0.0.1:1", instance_name="demo", credentials_provider=OldWay()).list_table()


def asked_for_a_role() -> Any:
    """Have a role assumed with keys of the provider."""
    role = AssumeRoleProvider(
        ForeignProvider(OldWay()), "acs:ram::1:role/r", fetch=Fetcher(), endpoint="http://127.0.0.1:1"
    )
    return role.fetch_credentials()


@FAILS_ON_WARNINGS
@pytest.mark.parametrize(
    "ask",
    [
        lambda: snapshot_from(OldWay()),
        lambda: ForeignProvider(OldWay()).get_credentials(),
        lambda: CallableProvider(old_way).fetch_credentials(),
        lambda: RefreshingProvider(CallableProvider(old_way)).get_credentials(),
        lambda: RefreshingProvider(OldWay()).get_credentials(),
        lambda: ChainProvider([ForeignProvider(OldWay())]).get_credentials(),
        lambda: ChainProvider([OldWay()]).get_credentials(),
        lambda: BlockingIO(None, OldWay(), (1.0, 1.0)).credentials(None).send(None),
        asked_for_a_role,
        asked_by_a_client,
    ],
    ids=["snapshot", "foreign", "function", "refreshing", "bare", "chain", "bare-in-chain", "call", "role", "client"],
)
def test_a_warning_that_a_filter_makes_an_error_is_no_refusal(ask: Any, shows_no_secret: Any) -> None:
    """The error names the warning, its place and the filters as the cause; it is not ``CredentialsRefused``."""
    with pytest.raises(CredentialsError) as caught:
        ask()
    assert not isinstance(caught.value, CredentialsRefused | CredentialsUnavailable)
    assert re.search(
        r"stopped by a DeprecationWarning at test_external\.py:\d+, which a warnings filter", str(caught.value)
    )
    shows_no_secret(caught.value)


@pytest.mark.asyncio
@FAILS_ON_WARNINGS
async def test_a_warning_that_a_filter_makes_an_error_is_no_refusal_in_tasks() -> None:
    """The same holds where the provider is asked in a thread, beside tasks."""
    with pytest.raises(CredentialsError, match="stopped by a DeprecationWarning") as caught:
        await SuspendingIO(None, OldWay(), (1.0, 1.0)).credentials(None)
    assert type(caught.value) is CredentialsError


@pytest.mark.parametrize("action", ["default", "always", "ignore"])
def test_a_warning_is_left_to_the_filters(action: Any) -> None:
    """A provider that warns serves, and its warning is shown or ignored as the process has chosen."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter(action)
        assert ForeignProvider(OldWay()).get_credentials().access_key_id == "id"
    assert [warning.category for warning in shown] == ([] if action == "ignore" else [DeprecationWarning])


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
        assert (keys.access_key_id, keys.access_key_secret, keys.sts_token) == ("id", "MARKEDsecret", token)
        assert keys.source == "foreign"


def test_alibabacloud_failures(shows_no_secret: Any) -> None:
    """What such a provider raises is told by kind; its text may hold a whole URL with tokens."""

    class Broken(StaticAKCredentialsProvider):
        def get_credentials(self) -> Any:
            message = "HTTPSConnectionPool: /?SecurityToken=MARKEDtoken"
            raise ConnectionError(message)

    provider = ForeignProvider(Broken(access_key_id="id", access_key_secret="MARKEDsecret"))
    with pytest.raises(CredentialsRefused, match="Broken raised ConnectionError at") as caught:
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
        assert (keys.access_key_id, keys.access_key_secret, keys.sts_token) == (
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
    with pytest.raises(CredentialsRefused, match=r"^int is no credentials provider") as caught:
        snapshot_from(5)
    shows_no_secret(caught.value)


def test_descriptions_show_no_secret() -> None:
    """Functions, providers and snapshots are named, not shown."""
    provider = CallableProvider(test_what_is_no_provider, name="mine")
    assert provider.describe().endswith("test_what_is_no_provider")
    assert provider.name == "mine"
    foreign = ForeignProvider(StaticAKCredentialsProvider(access_key_id="id", access_key_secret="MARKEDsecret"))
    assert foreign.describe().endswith("StaticAKCredentialsProvider")
    assert described(Credentials("id", "MARKED")) == "arguments ****"
    assert described(foreign) == foreign.describe()
    assert described(object()) == "object"
    for shown in (repr(provider), repr(foreign), described(provider)):
        assert "MARKED" not in shown
    assert pickle.loads(pickle.dumps(CallableProvider(described))).name == "callable"
