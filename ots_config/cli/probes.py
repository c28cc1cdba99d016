"""What ``doctor`` finds out about the way to a server: name, connection, TLS, and the server's clock."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from ots_config.errors import UntrustedServer
from ots_config.http_headers import date_offset
from ots_config.request.http_parser import HTTPResponse, ResponseParser
from ots_config.request.tls import not_tls, tls_context
from ots_config.shown_text import printable

if TYPE_CHECKING:
    from ots_config.settings import OTSSettings

Status = Literal["ok", "warning", "failure", "skipped"]

PATIENCE = 5.0
"""Seconds for each step on the way to a server."""
_SKEW_REFUSED = 900.0
_SKEW_NOTABLE = 60.0
_DAYS_NOTABLE = 14
_EXPIRED = 10
_WRONG_NAME = 62
_REQUEST = "POST /ListTable HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: What was checked.
        status: ``ok``, ``warning``, ``failure`` or ``skipped``.
        text: What was found.
        hint: How to fix it; empty if nothing is wrong.
    """

    check: str
    status: Status
    text: str
    hint: str = ""


def probe(settings: OTSSettings) -> Iterator[Finding]:
    """Yield what is found on the way to the endpoint, step by step; the way ends at the first failure."""
    url = urlsplit(str(settings.endpoint))
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    addresses = _resolve(host, port)
    if isinstance(addresses, Finding):
        yield addresses
        return
    yield Finding("dns", "ok", f"{host} is {', '.join(dict.fromkeys(str(each[4][0]) for each in addresses))}")
    connected = _connect(addresses, f"{host}:{port}")
    if isinstance(connected, Finding):
        yield connected
        return
    with connected:
        yield Finding("tcp", "ok", f"{host}:{port} accepts connections")
        if url.scheme != "https":
            yield Finding("tls", "skipped", "the endpoint says http")
            yield _clock(connected, url.netloc)
            return
        secured = _secure(connected, host, port, settings)
        if isinstance(secured, Finding):
            yield secured
            return
        with secured:
            yield _certificate(secured)
            yield _clock(secured, url.netloc)


def _resolve(host: str, port: int) -> list[tuple[int, int, int, str, tuple[object, ...]]] | Finding:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
    return Finding(
        "dns",
        "failure",
        f"the host name {host} cannot be resolved: {reason}",
        "Check the instance and the region in the endpoint, and whether this machine has a name server; an endpoint "
        "with -vpc or .vpc resolves only inside its network.",
    )


def _connect(addresses: list[tuple[int, int, int, str, tuple[object, ...]]], where: str) -> socket.socket | Finding:
    reason, hint = "", ""
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(PATIENCE)
        try:
            connection.connect(address)
        except TimeoutError:
            reason = f"no answer within {PATIENCE:g} s"
            hint = "Something drops the packets: check the firewall, the security group, and whether a proxy is needed."
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            hint = "Nothing listens there: check host and port of the endpoint."
        else:
            return connection
        connection.close()
    return Finding("tcp", "failure", f"no connection to {where}: {reason}", hint)


def _secure(connected: socket.socket, host: str, port: int, settings: OTSSettings) -> ssl.SSLSocket | Finding:
    try:
        context = tls_context(settings.tls.ca_bundle, settings.tls.minimum_version)
        return context.wrap_socket(connected, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        text = f"the certificate of {host} is not trusted: {error.verify_message}"
        hint = {
            _EXPIRED: "The server's owner has to renew it; check also the date of this machine.",
            _WRONG_NAME: "The endpoint's host must be one that the certificate names.",
        }.get(error.verify_code, "If the server is yours, name its authority in OTS_TLS__CA_BUNDLE.")
    except TimeoutError:
        text = f"{host}:{port} takes the connection and says nothing for {PATIENCE:g} s"
        hint = "It is no TLS server, or something in between holds the connection: check the port and the proxy."
    except OSError as error:
        plain = not_tls(error, f"{host}:{port}")
        if isinstance(plain, UntrustedServer):
            return Finding("tls", "failure", str(plain), plain.hint)
        text = (
            f"the TLS handshake with {host}:{port} failed: {getattr(error, 'reason', None) or error.strerror or error}"
        )
        hint = "Check the port, the oldest TLS version (OTS_TLS__MINIMUM_VERSION), and what stands in between."
    return Finding("tls", "failure", text, hint)


def _certificate(secured: ssl.SSLSocket) -> Finding:
    ends = str((secured.getpeercert() or {}).get("notAfter", ""))
    days = int((ssl.cert_time_to_seconds(ends) - time.time()) // 86400) if ends else 0
    text = f"{secured.version()}, the certificate is trusted for {days} more days"
    if days < _DAYS_NOTABLE:
        return Finding("tls", "warning", text, "It ends soon: the server's owner has to renew it.")
    return Finding("tls", "ok", text)


def _clock(connection: socket.socket, host: str) -> Finding:
    """Compare the clocks: any response, an error above all, has a date."""
    began = time.time()
    response = _ask(connection, host)
    offset = None if response is None else date_offset(response.headers.get("date"), (began + time.time()) / 2)
    if offset is None:
        return Finding("clock", "skipped", "the server sent no date")
    text = f"this machine's clock is {abs(offset):.0f} s {'behind' if offset > 0 else 'ahead of'} the server's"
    if abs(offset) < _SKEW_NOTABLE:
        return Finding("clock", "ok", text)
    hint = "Set the clock of this machine, by NTP for example: requests that are 15 minutes off are refused."
    return Finding("clock", "failure" if abs(offset) >= _SKEW_REFUSED else "warning", text, hint)


def _ask(connection: socket.socket, host: str) -> HTTPResponse | None:
    parser = ResponseParser()
    ends = time.monotonic() + PATIENCE
    try:
        connection.settimeout(PATIENCE)
        connection.sendall(_REQUEST.format(host).encode("idna" if not host.isascii() else "ascii"))
        while time.monotonic() < ends:
            data = connection.recv(65536)
            response = parser.feed(data) if data else parser.end()
            if response is not None or not data:
                return response
    except (OSError, ValueError):
        pass
    return None


def shown(text: str) -> str:
    """Return the first line of a text that may come from elsewhere."""
    return printable(text.strip().partition("\n")[0], 400)
