"""TLS as the service needs it: the version of OpenSSL, and a context that checks certificates and host names."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import certifi

from ots_config.errors import RequestInvalid

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


def tls_context(ca_bundle: Path | str | None = None, minimum_version: str = "TLSv1.2") -> ssl.SSLContext:
    """Return a context that checks certificates and host names.

    Args:
        ca_bundle: A PEM file whose authorities are trusted in place of certifi's.
        minimum_version: ``TLSv1.2`` or ``TLSv1.3``.
    """
    # Not create_default_context(): that one also obeys SSLKEYLOGFILE and trusts the system's authorities.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if minimum_version == "TLSv1.3" else ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca_bundle or certifi.where())
    return context
