"""The signature of Alibaba Cloud's RPC protocol, version 1.0 (HMAC-SHA1), as STS and its emulator speak it."""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping


def percent_encode(text: str) -> str:
    """Encode as RFC 3986 does: a space is ``%20``, an asterisk ``%2A``, a tilde stays."""
    return quote(text, safe="-_.~")


def string_to_sign(method: str, parameters: Mapping[str, str]) -> str:
    """Return what is signed: method, ``/`` and all parameters but ``Signature``, sorted and encoded twice."""
    pairs = sorted((name, value) for name, value in parameters.items() if name != "Signature")
    canonical = "&".join(f"{percent_encode(name)}={percent_encode(value)}" for name, value in pairs)
    return f"{method}&%2F&{percent_encode(canonical)}"


def sign_rpc(secret: str, method: str, parameters: Mapping[str, str]) -> str:
    """Return the ``Signature`` of a request.

    Args:
        secret: The AccessKey secret.
        method: ``GET`` or ``POST``.
        parameters: Every parameter of the query and of the form.
    """
    key = (secret + "&").encode()
    return b64encode(hmac.digest(key, string_to_sign(method, parameters).encode(), "sha1")).decode()
