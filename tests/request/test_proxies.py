"""Which proxy a client uses, and what is spoken with it."""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict, replace
from typing import Any

import pytest

from ots_config.errors import ConnectFailed, ProxyRefused, SettingsError
from ots_config.request.proxies import (
    ConnectResponseParser,
    Proxy,
    authentication_required,
    choose_proxy,
    connect_head,
)
from ots_config.request.route import Route

SECURE = "https://demo.cn-hangzhou.ots.aliyuncs.com"
PLAIN = "http://ots.internal:8080"


def where(endpoint: str, proxies: dict[str, str] | None = None) -> str | None:
    """Return scheme, host and port of the chosen proxy."""
    proxy = choose_proxy(endpoint, proxies)
    return None if proxy is None else f"{proxy.scheme}://{proxy.where}"


def some_proxy(url: str = "http://user:s3cr3t@proxy.example:3128") -> Proxy:
    """Return a proxy."""
    proxy = choose_proxy(SECURE, {"all": url})
    assert proxy is not None
    return proxy


# --- which one ---


@pytest.mark.parametrize(
    ("endpoint", "proxies", "chosen"),
    [
        (SECURE, {"https": "http://a:1", "http": "http://b:2"}, "http://a:1"),
        (PLAIN, {"https": "http://a:1", "http": "http://b:2"}, "http://b:2"),
        (SECURE, {"http": "http://b:2"}, None),
        (SECURE, {"all": "http://a:1"}, "http://a:1"),
        (SECURE, {"https": "http://a:1", "all": "http://b:2"}, "http://a:1"),
        (SECURE, {}, None),
        (SECURE, {"https": "http://a"}, "http://a:80"),
        (SECURE, {"https": "https://a"}, "https://a:443"),
        (SECURE, {"https": "socks5h://a"}, "socks5h://a:1080"),
        (SECURE, {"https": "a.example:3128"}, "http://a.example:3128"),
        (SECURE, {"https": "http://[2001:db8::1]:3128"}, "http://[2001:db8::1]:3128"),
    ],
)
def test_the_proxies_that_were_passed(endpoint: str, proxies: dict[str, str], chosen: str | None) -> None:
    """The endpoint's scheme decides, before ``all``; a port that is missing is the scheme's."""
    assert where(endpoint, proxies) == chosen


def test_proxies_that_were_passed_replace_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment's proxies nor its exceptions count beside them; empty ones connect directly."""
    monkeypatch.setenv("HTTPS_PROXY", "http://env:1")
    monkeypatch.setenv("NO_PROXY", "*")
    assert where(SECURE, {"https": "http://own:1"}) == "http://own:1"
    assert where(SECURE, {}) is None


@pytest.mark.parametrize(
    ("environment", "endpoint", "chosen"),
    [
        ({"HTTPS_PROXY": "http://a:1"}, SECURE, "http://a:1"),
        ({"https_proxy": "http://a:1"}, SECURE, "http://a:1"),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:1"}, SECURE, "http://lower:1"),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": ""}, SECURE, None),
        ({"HTTP_PROXY": "http://a:1"}, SECURE, None),
        ({"HTTP_PROXY": "http://a:1"}, PLAIN, "http://a:1"),
        ({"HTTP_PROXY": "http://a:1", "REQUEST_METHOD": "GET"}, PLAIN, None),
        ({"http_proxy": "http://a:1", "REQUEST_METHOD": "GET"}, PLAIN, "http://a:1"),
        ({"ALL_PROXY": "http://a:1"}, SECURE, "http://a:1"),
        ({"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:1"}, SECURE, "http://b:1"),
        ({}, SECURE, None),
    ],
)
def test_the_proxies_of_the_environment(
    environment: dict[str, str], endpoint: str, chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lower case counts before upper case, and under CGI ``HTTP_PROXY`` may come from whoever sent the request."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert where(endpoint) == chosen


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize(
    ("excluded", "endpoint", "direct"),
    [
        ("*", SECURE, True),
        ("aliyuncs.com", SECURE, True),
        ("a.example, .aliyuncs.com", SECURE, True),
        ("liyuncs.com", SECURE, False),
        ("DEMO.cn-hangzhou.ots.aliyuncs.com", SECURE, True),
        ("demo.cn-hangzhou.ots.aliyuncs.com:443", SECURE, True),
        ("demo.cn-hangzhou.ots.aliyuncs.com:444", SECURE, False),
        ("192.0.2.0/24", "https://192.0.2.9", True),
        ("192.0.2.9", "https://192.0.2.9", True),
        ("192.0.3.0/24", "https://192.0.2.9", False),
        ("2001:db8::/32", "https://[2001:db8::9]", True),
        ("", SECURE, False),
        (" , ,", SECURE, False),
    ],
)
def test_the_exceptions_of_the_environment(
    name: str, excluded: str, endpoint: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``NO_PROXY`` takes host names with what is below them, with a port or without, addresses and networks."""
    monkeypatch.setenv("HTTPS_PROXY", "http://a:1")
    monkeypatch.setenv(name, excluded)
    assert (where(endpoint) is None) is direct


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:8087",
        "http://localhost:8087",
        "http://[::1]:8087",
        "http://10.0.0.7",
        "http://192.168.1.7:8087",
        "http://169.254.169.254",
        "http://100.100.100.200",
        "http://[fd00::7]",
    ],
)
def test_a_near_address_over_http_is_asked_directly(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is trusted without TLS because it is near: a proxy would ask another machine of that address."""
    monkeypatch.setenv("HTTP_PROXY", "http://a:1")
    assert where(endpoint) is None
    assert where(endpoint, {"all": "http://a:1"}) is None


@pytest.mark.parametrize(
    "endpoint", ["https://127.0.0.1:8087", "https://localhost", "https://[::1]", "https://169.254.1.1"]
)
def test_a_proxy_of_the_environment_does_not_get_what_is_for_this_machine(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment's proxy is for the network; one that was passed is used over TLS, which shows who answers."""
    monkeypatch.setenv("ALL_PROXY", "http://a:1")
    assert where(endpoint) is None
    assert where(endpoint, {"https": "http://a:1"}) == "http://a:1"


@pytest.mark.parametrize("url", ["ftp://a:1", "http://", "http://a:99999", "http://a:x", "http://[::1", "http://a b:1"])
def test_what_is_no_proxy_is_one_error(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the setting and where the value came from, and not the value: it may hold a password."""
    with pytest.raises(SettingsError, match=r"proxies: is not the URL of a proxy \(from argument\)"):
        choose_proxy(SECURE, {"https": url})
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(SettingsError, match=r"\(from environment\)"):
        choose_proxy(SECURE, None)


def test_a_proxy_that_the_caller_cannot_speak_with_is_one_error() -> None:
    """A SOCKS proxy is refused where only HTTP proxies are supported."""
    with pytest.raises(SettingsError, match="socks5 proxy is not supported"):
        choose_proxy(SECURE, {"https": "socks5://x:s3cr3t@a:1"}, schemes=("http", "https"))


# --- its password ---


def test_the_password_is_sent_and_not_shown() -> None:
    """User name and password are decoded, joined and encoded again for the proxy; no view of the value shows them."""
    proxy = some_proxy("http://us%40er:s3%2Fcr3t@proxy.example:3128")
    head = connect_head(proxy, "demo.example", 443, "tests")
    assert b"\r\nProxy-Authorization: Basic dXNAZXI6czMvY3IzdA==\r\n" in head
    views = [repr(proxy), str(proxy), f"{proxy}", f"{proxy.url} {proxy.authorization}", repr(asdict(proxy)), repr(head)]
    views += [
        str(head),
        repr(copy.deepcopy(proxy)),
        repr(pickle.loads(pickle.dumps(proxy))),
        repr(replace(proxy, port=1)),
    ]
    views += [repr(Route.to(SECURE, proxies={"https": "http://user:s3cr3t@a:1"}))]
    for shown in views:
        assert "cr3t" not in shown
        assert "dXN" not in shown
    assert pickle.loads(pickle.dumps(proxy)) == proxy


# --- what is spoken ---


def test_a_tunnel_is_asked_for() -> None:
    """The CONNECT request names host and port, an address of IPv6 in brackets."""
    assert connect_head(some_proxy("http://a:1"), "2001:db8::1", 443, "tests") == (
        b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\nUser-Agent: tests\r\n\r\n"
    )


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_an_open_tunnel(pieces: int) -> None:
    """An interim response and the headers of the final one are read to the empty line, in whatever pieces they come."""
    raw = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 Connection established\r\nContent-Length: 5\r\n\r\n"
    parser = ConnectResponseParser(some_proxy(), "demo.example:443")
    results = [parser.feed(raw[at : at + pieces]) for at in range(0, len(raw), pieces)]
    assert results == [False] * (len(results) - 1) + [True]


@pytest.mark.parametrize(
    ("raw", "kind", "text"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", ProxyRefused, "refuses the user name and password"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\nbody", ProxyRefused, "does not connect to demo.example:443: HTTP 403"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", ProxyRefused, "HTTP 302"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", ConnectFailed, "HTTP 502"),
        (b"HTTP/1.1 200 OK\r\n\r\n\x16\x03", ProxyRefused, "is no proxy"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", ProxyRefused, "is no proxy"),
        (b"H" * 70_000, ProxyRefused, "is no proxy"),
        (b"", ConnectFailed, "closed the connection before the tunnel was open"),
    ],
)
def test_a_tunnel_that_is_not_opened(raw: bytes, kind: type[ConnectFailed], text: str) -> None:
    """Nothing was sent to the server; what a later attempt may change is not final."""
    with pytest.raises(ConnectFailed, match=text) as caught:
        ConnectResponseParser(some_proxy(), "demo.example:443").feed(raw)
    assert type(caught.value) is kind
    assert not caught.value.may_have_happened
    assert "s3cr3t" not in str(caught.value)


def test_a_proxy_that_wants_a_password() -> None:
    """The error distinguishes a missing password from a wrong one."""
    assert "asks for a user name and password" in str(authentication_required(some_proxy("http://a:1")))
    assert "refuses" in str(authentication_required(some_proxy()))


# --- the route ---


@pytest.mark.parametrize(
    ("endpoint", "proxies", "first_hop", "target"),
    [
        (SECURE, {}, ("demo.cn-hangzhou.ots.aliyuncs.com", 443), ""),
        (SECURE, {"https": "http://a:1"}, ("a", 1), ""),
        (PLAIN, {}, ("ots.internal", 8080), ""),
        (PLAIN, {"http": "http://a:1"}, ("a", 1), PLAIN),
    ],
)
def test_the_route(endpoint: str, proxies: dict[str, str], first_hop: Any, target: str) -> None:
    """A connection goes to the proxy, if there is one; a plain request then names its whole URL."""
    route = Route.to(endpoint, proxies=proxies)
    assert (route.first_hop, route.target) == (first_hop, target)
    assert (route.context is not None) is endpoint.startswith("https")
    assert route.host_header == endpoint.partition("//")[2]
