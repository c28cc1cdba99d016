"""Refuses what a web page in the user's browser sends to the services that check no signature.

A page of any site can make the browser send requests to this machine, and by a name of its own that leads here
(DNS rebinding) also read the responses. Programs other than browsers are never refused.
"""

from __future__ import annotations

from ipaddress import ip_address

from ots_config.emulator.messages import EmulatorRequest

_OWN_SITES = frozenset({"same-origin", "none"})
"""Values of ``Sec-Fetch-Site`` for this page itself and for what the user typed; other ports are ``same-site``."""


def from_browser(request: EmulatorRequest) -> bool:
    """Return whether a browser sent the request."""
    headers = request.headers
    return (
        "origin" in headers
        or any(name.startswith("sec-fetch-") for name in headers)
        or headers.get("user-agent", "").startswith("Mozilla/")
    )


def refusal(request: EmulatorRequest, own_host: str = "") -> str:
    """Return why a request is refused, empty if it is not.

    Args:
        request: The request.
        own_host: A host name that the emulator was explicitly started with.
    """
    headers = request.headers
    host = headers.get("host")
    if host is not None and not _is_near(host, own_host):
        return "the Host must be an address or localhost"
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != (host or "").lower():
        return "pages of another origin have no access"
    if headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        return "pages of another origin have no access; open the address by typing it"
    if request.body and from_browser(request) and _media_type(headers.get("content-type", "")) != "application/json":
        return "the body must be declared as application/json"
    return ""


def _is_near(host: str, own_host: str) -> bool:
    if host.startswith("["):
        name = host[1:].partition("]")[0]
    else:
        name = host.rpartition(":")[0] if host.count(":") == 1 else host
    name = name.lower()
    if name == "localhost" or (own_host and name == own_host.lower()):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()
