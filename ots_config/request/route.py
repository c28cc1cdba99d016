"""The way of a client's requests to the service: host and port, TLS and proxy, the same for both kinds of client."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlsplit

from ots_config.request.proxies import Proxy, bracketed, choose_proxy, connect_head
from ots_config.request.tls import tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path


class Route(NamedTuple):
    """How connections to one endpoint are opened, and how requests are written on them.

    Attributes:
        host: Host name or address of the server, without brackets.
        port: Its TCP port.
        context: The TLS context; None speaks plain HTTP.
        proxy: The proxy to connect to instead; None connects directly.
        user_agent: What the ``User-Agent`` header says.
        host_header: What the ``Host`` header says.
        target: What stands before the path in the request line: the endpoint for a plain request to a proxy.
    """

    host: str
    port: int
    context: ssl.SSLContext | None = None
    proxy: Proxy | None = None
    user_agent: str = "ots-config"
    host_header: str = ""
    target: str = ""

    @classmethod
    def to(
        cls,
        endpoint: str,
        *,
        ca_bundle: Path | str | None = None,
        minimum_tls: str = "TLSv1.2",
        proxies: Mapping[str, str] | None = None,
        schemes: tuple[str, ...] = ("http",),
        user_agent: str = "ots-config",
    ) -> Self:
        """Return the route to an endpoint.

        Args:
            endpoint: ``https://host[:port]``, without a trailing slash.
            ca_bundle: A PEM file of authorities to trust in place of certifi's.
            minimum_tls: The oldest TLS version.
            proxies: As for ``choose_proxy``.
            schemes: The schemes of proxies that the caller can speak with.
            user_agent: What the ``User-Agent`` header says.

        Raises:
            SettingsError: If the proxy cannot be used.
        """
        url = urlsplit(endpoint)
        secure = url.scheme == "https"
        proxy = choose_proxy(endpoint, proxies, schemes=schemes)
        return cls(
            url.hostname or "",
            url.port or (443 if secure else 80),
            tls_context(ca_bundle, minimum_tls) if secure else None,
            proxy,
            user_agent,
            url.netloc,
            endpoint if proxy is not None and not secure else "",
        )

    @property
    def where(self) -> str:
        """Host and port of the server, for messages."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def first_hop(self) -> tuple[str, int]:
        """Host and port to open a connection to: the proxy's, if there is one."""
        return (self.host, self.port) if self.proxy is None else (self.proxy.host, self.proxy.port)

    @property
    def first_where(self) -> str:
        """The same of whom a connection is opened to, for messages."""
        return self.where if self.proxy is None else f"the proxy {self.proxy.where}"

    def connect_head(self) -> bytes:
        """Return the CONNECT request that opens a tunnel through the proxy.

        Raises:
            ValueError: If there is no proxy.
        """
        if self.proxy is None:
            raise ValueError("a direct route needs no tunnel")
        return connect_head(self.proxy, self.host, self.port, self.user_agent)
