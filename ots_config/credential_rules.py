"""What the service accepts for roles and for addresses of credentials: rules that settings and credentials share."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

MIN_DURATION, MAX_DURATION = 900, 43_200
"""Seconds that a role's keys may be valid."""

MAX_POLICY = 2048
"""Characters of a policy that limits a role further."""

ROLE_ARN = re.compile(r"acs:ram:[\w-]*:\d+:role/\S+", re.ASCII)
PROVIDER_ARN = re.compile(r"acs:ram:[\w-]*:\d+:oidc-provider/\S+", re.ASCII)
SESSION_NAME = re.compile(r"[a-zA-Z0-9.@_-]{2,64}")
EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)


def url_problem(url: str, *, http: Literal["loopback", "private", "anywhere"] = "loopback") -> str:
    """Return why a URL may not be asked for credentials; ``""`` if it may.

    Args:
        url: The URL.
        http: Where plain ``http`` is allowed: on loopback; on addresses of private and link-local networks too, never
            by name; or anywhere.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in {"http", "https"} or not host:
        return "does not begin with https:// or http:// and a host"
    if parts.username is not None or parts.password is not None:
        return "contains a user name or password"
    if parts.scheme == "https" or http == "anywhere" or is_near(host, private=http == "private"):
        return ""
    near = "loopback and private addresses" if http == "private" else "loopback addresses"
    return f"is http, and plain http is only for {near}; use https"


def is_near(host: str, *, private: bool) -> bool:
    """Return whether a host is this machine, or an address of a private network; a name may lead anywhere."""
    from ipaddress import ip_address

    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or (private and not address.is_global and not address.is_unspecified)
