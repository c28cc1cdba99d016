"""Keys that a URL answers with."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ots_config.credentials.providers.uri import URIProvider
from ots_config.errors import CredentialsRefused, CredentialsUnavailable


@pytest.fixture
def served(cloud: Any) -> Any:
    """Return a cloud that hands out keys at /keys."""
    cloud.routes["/keys"] = lambda _asked: cloud.answer(200, {"Code": "Success", **cloud.keys()})
    return cloud


@pytest.mark.parametrize("by", ["argument", "variable"])
def test_keys_of_a_url(served: Any, fetch: Any, marked: Any, by: str, environment: Any) -> None:
    """The URL given, or that of ALIBABA_CLOUD_CREDENTIALS_URI, answers with temporary keys."""
    uri = f"{served.url}/keys"
    environment({"ALIBABA_CLOUD_CREDENTIALS_URI": uri} if by == "variable" else {})
    provider = URIProvider(fetch=fetch, uri=uri) if by == "argument" else URIProvider(fetch=fetch)
    keys = provider.fetch_credentials()
    assert (keys.get_access_key_secret(), keys.get_security_token(), keys.source) == (
        marked.NEW_SECRET,
        marked.NEW_TOKEN,
        "uri",
    )
    assert keys.expires_at.timestamp() == pytest.approx(time.time() + 3600, abs=5)


def test_the_url_is_asked_as_it_is(served: Any, fetch: Any) -> None:
    """Repeated query keys, their order and the port arrive."""
    URIProvider(fetch=fetch, uri=f"{served.url}/keys?b=1&a=2&b=3&c=%20x").fetch_credentials()
    (asked,) = served.asked
    assert asked.path == "/keys?b=1&a=2&b=3&c=%20x"
    assert asked.headers["host"] == served.url.removeprefix("http://")


def test_not_set(fetch: Any) -> None:
    """Without a URL the source does not apply, and says which variable it looked at."""
    provider = URIProvider(fetch=fetch)
    with pytest.raises(CredentialsUnavailable, match="ALIBABA_CLOUD_CREDENTIALS_URI is not set"):
        provider.fetch_credentials()
    assert "not set" in provider.describe()


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("https://keys.example.com/", True),
        ("http://127.0.0.1/", True),
        ("http://localhost:8080/", True),
        ("http://[::1]/", True),
        ("http://10.1.2.3/", True),
        ("http://100.100.100.200/", True),
        ("http://169.254.169.254/", True),
        ("http://8.8.8.8/", False),
        ("http://0.0.0.0/", False),
        ("http://keys.example.com/", False),
        ("http://localhost.example.com/", False),
        ("http://127.0.0.1.example.com/", False),
        ("https://user:MARKED@keys.example.com/", False),
        ("ftp://127.0.0.1/", False),
        ("file:///etc/keys", False),
        ("http://[::1/", False),
        ("http://127.0.0.1:x/", False),
        ("https://", False),
    ],
)
def test_which_urls_may_be_asked(uri: str, allowed: bool, shows_no_secret: Any) -> None:
    """Plain http is for this machine and private networks; a name could lead anywhere."""
    asked: list[str] = []

    def looking(_method: str, url: str, **_options: Any) -> Any:
        asked.append(url)
        raise OSError

    with pytest.raises(
        CredentialsRefused, match="gave no answer" if allowed else "^the credentials URI (is|contains|does not begin)"
    ) as caught:
        URIProvider(fetch=looking, uri=uri).fetch_credentials()
    assert asked == ([uri] if allowed else [])
    shows_no_secret(caught.value)


def test_http_anywhere_if_the_user_says_so() -> None:
    """With allow_http a name may be asked without TLS."""

    def looking(*_asked: Any, **_options: Any) -> Any:
        raise OSError

    with pytest.raises(CredentialsRefused, match="gave no answer"):
        URIProvider(fetch=looking, uri="http://keys.svc.cluster.local/", allow_http=True).fetch_credentials()


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (
            (200, {"Code": "Denied", "Message": "not you", "RequestId": "R-7"}),
            r"refused: Denied: not you \(request R-7\)",
        ),
        ((403, {"Code": "Denied", "Message": "not you"}), r"refused: Denied: not you \(HTTP 403\)"),
        ((404, b"MARKED"), "not JSON"),
        ((200, b"<html>MARKED"), "a web page"),
        ((200, b""), "the body is empty"),
        ((200, {"Code": "Success"}), "gave no access key id and no access key secret"),
        ((301, b""), "a redirect"),
    ],
    ids=["code", "403", "404", "html", "empty", "no-keys", "redirect"],
)
def test_answers_that_are_no_keys(cloud: Any, fetch: Any, reply: Any, told: str, shows_no_secret: Any) -> None:
    """Each is a refusal that shows nothing of the body, and of the URL not the query."""
    cloud.next = [cloud.answer(*reply)]
    with pytest.raises(CredentialsRefused, match=told) as caught:
        URIProvider(fetch=fetch, uri=f"{cloud.url}/keys?secret=MARKEDquery").fetch_credentials()
    shows_no_secret(caught.value)
    assert f"{cloud.url}/keys?…" in str(caught.value)


def test_permanent_keys_and_keys_without_an_end(cloud: Any, fetch: Any) -> None:
    """Keys without token do not end; keys with one and no Expiration live a quarter of an hour; Code may be absent."""
    cloud.next = [cloud.answer(200, {"AccessKeyId": "LTAI", "AccessKeySecret": "s", "SecurityToken": ""})]
    keys = URIProvider(fetch=fetch, uri=f"{cloud.url}/keys").fetch_credentials()
    assert (keys.get_security_token(), keys.expires_at) == (None, None)
    cloud.next = [cloud.answer(200, {"AccessKeyId": "STS.x", "AccessKeySecret": "s", "SecurityToken": "t"})]
    keys = URIProvider(fetch=fetch, uri=f"{cloud.url}/keys").fetch_credentials()
    assert keys.expires_at.timestamp() == pytest.approx(time.time() + 900, abs=5)


def test_description_hides_the_query(fetch: Any) -> None:
    """The query is a mark that tells two URLs apart."""
    one, two = (URIProvider(fetch=fetch, uri=f"https://h:8443/p?token=MARKED{n}").describe() for n in (1, 2))
    assert one != two
    assert one.startswith("https://h:8443/p?…")
    assert "MARKED" not in one + repr(URIProvider(fetch=fetch, uri="https://a:MARKED@h/"))
