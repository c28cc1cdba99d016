"""The proxy of a client: which one, if any, and what is spoken with it.

It is chosen once, when a client is made, and by the same rules for both kinds of client.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ots_config.credential_rules import is_near
from ots_config.errors import ConnectFailed, ProxyRefused, SettingsError, SettingsProblem
from ots_config.request.http_parser import MAX_HEAD, MalformedResponse, parse_head

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA_HOST = "100.100.100.200"
"""The ECS metadata service; it answers each machine about that machine, so a proxy must not be asked."""

_DEFAULT_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}
_HOST = re.compile(r"[A-Za-z0-9._:%-]+")
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_HINT = "Write http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT."


class HiddenText(str):
    """A secret text that is shown as stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "****"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "****"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that requests are sent through.

    Attributes:
        scheme: ``http``, ``https`` or one of ``socks4``, ``socks4a``, ``socks5``, ``socks5h``.
        host: Host name or address.
        port: TCP port.
        authorization: The value of ``Proxy-Authorization``, shown as stars; None without user name and password.
        url: The whole URL, shown as stars, for a library that takes one.
    """

    scheme: str
    host: str
    port: int
    authorization: HiddenText | None
    url: HiddenText

    @property
    def is_http(self) -> bool:
        """Whether it is spoken with in plain HTTP."""
        return self.scheme == "http"

    @property
    def where(self) -> str:
        """Host and port, for messages."""
        return f"{bracketed(self.host)}:{self.port}"


def choose_proxy(
    endpoint: str, proxies: Mapping[str, str] | None, *, schemes: tuple[str, ...] = tuple(_DEFAULT_PORTS)
) -> Proxy | None:
    """Return the proxy to reach an endpoint through, None to connect directly.

    A loopback or private address over http is never asked through a proxy: it is trusted because it is near, and the
    proxy would connect to another machine. The environment's proxies do not apply to loopback and link-local
    addresses over https either.

    Args:
        endpoint: ``https://host[:port]``.
        proxies: Proxy URLs by scheme (``http``, ``https``, ``all``); empty connects directly; None takes what the
            environment says now: ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in lower case first.
        schemes: The schemes of proxies that the caller can speak with.

    Raises:
        SettingsError: If the proxy cannot be used.
    """
    target = urlsplit(endpoint)
    host = target.hostname or ""
    if host == METADATA_HOST or (target.scheme == "http" and is_near(host, private=True)):
        return None
    origin = "argument"
    if proxies is None:
        if _is_bypassed(host, target.port or _DEFAULT_PORTS[target.scheme]):
            return None
        proxies = getproxies()  # HTTP_PROXY does not count under CGI, where a client's header may have set it
        origin = "environment"
    url = proxies.get(target.scheme) or proxies.get("all")
    return _parsed(url, origin, schemes) if url else None


def _is_bypassed(host: str, port: int) -> bool:
    """Return whether the environment says to connect directly."""
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address is not None and (address.is_loopback or address.is_link_local)):
        return True
    excluded = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    for name in filter(None, (part.strip().lower() for part in excluded.split(","))):
        if name == "*":
            return True
        try:
            network = ip_network(name, strict=False)
        except ValueError:
            bare = name.lstrip(".")
            if any(text == bare or text.endswith(f".{bare}") for text in (host, f"{host}:{port}")):
                return True
        else:
            if address is not None and address in network:
                return True
    return bool(proxy_bypass(host))  # on Windows and macOS, what the system's settings exclude


def _parsed(url: str, origin: str, schemes: tuple[str, ...]) -> Proxy:
    text = str.__str__(url).strip()
    if "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        scheme, host = parts.scheme, parts.hostname or ""
        port = parts.port if parts.port is not None else _DEFAULT_PORTS.get(scheme, 0)
    except ValueError:
        scheme, host, port, parts = "", "", 0, SplitResult("", "", "", "", "")
    if not _HOST.fullmatch(host) or not port or scheme not in _DEFAULT_PORTS:
        raise SettingsError(SettingsProblem("proxies", "is not the URL of a proxy", origin, _HINT))
    if scheme not in schemes:
        reason = f"a {scheme} proxy is not supported here"
        raise SettingsError(SettingsProblem("proxies", reason, origin, f"Name one of {', '.join(schemes)}."))
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = HiddenText("Basic " + b64encode(pair.encode()).decode("ascii"))
    return Proxy(scheme, host, port, authorization, HiddenText(text))


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL: an address of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


# --- what is spoken with a proxy ----------------------------------------------------------------------------


class ConnectHead(bytes):
    """The head of a CONNECT request; a debugger or a log does not show the password in it."""

    def __repr__(self) -> str:
        return f"<ConnectHead of {len(self)} bytes>"

    __str__ = __repr__


def connect_head(proxy: Proxy, host: str, port: int, user_agent: str) -> ConnectHead:
    """Return the CONNECT request that opens a tunnel through a proxy.

    Args:
        proxy: The proxy.
        host: The host to connect to.
        port: Its TCP port.
        user_agent: What the ``User-Agent`` header says.
    """
    where = f"{bracketed(host)}:{port}"
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}", f"User-Agent: {user_agent}"]
    if proxy.authorization is not None:
        lines.append("Proxy-Authorization: " + proxy.authorization)  # not formatted: that gives stars
    return ConnectHead(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


class ConnectResponseParser:
    """Parses the response to a CONNECT request. Whatever it says, nothing of the tunnelled request was sent.

    Args:
        proxy: The proxy.
        where: The server, ``host:port``.
    """

    def __init__(self, proxy: Proxy, where: str) -> None:
        self._buffer = b""
        self._proxy = proxy
        self._where = where

    def feed(self, data: bytes) -> bool:
        """Take the next bytes, and return whether the tunnel is open.

        Args:
            data: The bytes; empty at the end of the stream.

        Raises:
            ProxyRefused: If the proxy does not open a tunnel and would not the next time either.
            ConnectFailed: If it does not open one now.
        """
        if not data:
            raise ConnectFailed(f"the proxy {self._proxy.where} closed the connection before the tunnel was open")
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            try:
                _, status, _, _ = parse_head(head)
            except MalformedResponse:
                break
            if status < 200:
                continue
            if status >= 300:
                raise self._refusal(status)
            if self._buffer:  # in the tunnel the server is not the first to speak
                break
            return True
        else:
            if len(self._buffer) <= MAX_HEAD:
                return False
        raise ProxyRefused(f"{self._proxy.where} did not answer in HTTP/1.1, so it is no proxy")

    def _refusal(self, status: int) -> ConnectFailed:
        if status == 407:
            return authentication_required(self._proxy)
        text = f"the proxy {self._proxy.where} does not connect to {self._where}: HTTP {status}"
        failure = ConnectFailed(text) if status in _TRANSIENT else ProxyRefused(text)
        failure.http_status = status
        return failure


def authentication_required(proxy: Proxy) -> ProxyRefused:
    """Return the error for a proxy that wants a user name and password, or others than it got (HTTP 407)."""
    what = "asks for a user name and password" if proxy.authorization is None else "refuses the user name and password"
    return ProxyRefused(f"the proxy {proxy.where} {what}: HTTP 407", 407)
