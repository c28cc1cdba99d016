"""TLS as the service needs it: the version of OpenSSL, and a context that checks certificates and host names."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import certifi

from ots_config.errors import RequestInvalid, UntrustedServer

if TYPE_CHECKING:
    from pathlib import Path

_OLDEST_OPENSSL = (0, 9, 8, 10)  # 0.9.8j: the oldest that the service speaks to
_ADVISED_OPENSSL = (1, 0, 2, 4)  # 1.0.2d


def check_openssl(version: tuple[int, int, int, int, int] = ssl.OPENSSL_VERSION_INFO) -> str | None:
    """Refuse an OpenSSL that the service does not support, and return a warning about one that it advises against.

    Raises:
        RequestInvalid: If OpenSSL is older than 0.9.8j.
    """
    if version[:4] < _OLDEST_OPENSSL:
        raise RequestInvalid(f"{ssl.OPENSSL_VERSION} is too old: Tablestore needs OpenSSL 0.9.8j or newer")
    if version[:4] < _ADVISED_OPENSSL:
        return f"{ssl.OPENSSL_VERSION} is old: Tablestore advises OpenSSL 1.0.2d or newer"
    return None


_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)
"""What OpenSSL reports, by its version, when the first bytes from the other end are no TLS."""


_OLD_TLS = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "VERSION_TOO_LOW"})
"""What OpenSSL reports where the other end speaks only versions of TLS that this one does not."""


def not_tls(error: BaseException, where: str) -> UntrustedServer | None:
    """Return the error for a server that answers a TLS handshake in plain text or an old TLS, else None.

    Args:
        error: What the handshake raised.
        where: The server, ``host:port``.
    """
    if isinstance(error, ssl.SSLError) and error.reason in _OLD_TLS:
        failure = UntrustedServer(f"{where} and this client have no version of TLS in common")
        failure.hint = "Only TLS 1.2 and newer are spoken; check also the setting tls.minimum_version."
        return failure
    if not isinstance(error, ssl.SSLError) or error.reason not in _NOT_TLS:
        return None
    failure = UntrustedServer(f"{where} does not speak TLS: it is a port for http, and the endpoint says https")
    failure.hint = "Name the server's port for https, or, for a server of your own, an endpoint with http."
    return failure


def tls_context(ca_bundle: Path | str | None = None, minimum_version: str = "TLSv1.2") -> ssl.SSLContext:
    """Return a context that checks certificates and host names.

    Args:
        ca_bundle: A PEM file whose authorities are trusted in place of certifi's.
        minimum_version: ``TLSv1.2`` or ``TLSv1.3``.
    """
    # Not create_default_context(): that one also obeys SSLKEYLOGFILE and trusts the system's authorities.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if minimum_version == "TLSv1.3" else ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # a name in the subject was never checked by an authority as one
    context.load_verify_locations(ca_bundle or certifi.where())
    return context
