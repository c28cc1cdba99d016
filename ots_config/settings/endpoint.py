"""The endpoint of an instance: parsed, checked, and made from region, instance and network."""

from __future__ import annotations

import ipaddress
import re
from difflib import get_close_matches
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from ots_config.settings.problems import Refusal

# fmt: off
REGIONS = frozenset({
    "cn-hangzhou", "cn-shanghai", "cn-qingdao", "cn-beijing", "cn-zhangjiakou", "cn-huhehaote", "cn-wulanchabu",
    "cn-shenzhen", "cn-heyuan", "cn-guangzhou", "cn-chengdu", "cn-hongkong", "cn-nanjing", "cn-fuzhou",
    "cn-wuhan-lr", "cn-zhengzhou-jva", "cn-hangzhou-finance", "cn-shanghai-finance-1", "cn-shenzhen-finance-1",
    "cn-beijing-finance-1", "cn-north-2-gov-1", "me-east-1", "me-central-1", "eu-central-1", "eu-west-1",
    "us-west-1", "us-east-1", "us-southeast-1", "na-south-1", "ap-south-1", "ap-northeast-1", "ap-northeast-2",
    "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7",
})
# fmt: on
"""The regions that are known; new ones may come, so none is refused only because it is missing here."""

DUAL_STACK_REGIONS = frozenset(
    f"cn-{city}"
    for city in (
        "hangzhou",
        "shanghai",
        "qingdao",
        "beijing",
        "zhangjiakou",
        "huhehaote",
        "shenzhen",
        "chengdu",
        "hongkong",
    )
)

# The part of a host after instance and region, for each network.
_ZONES = {
    "public": "ots",
    "vpc": "vpc.tablestore",
    "internal": "ots-internal",
    "dual-stack": "tablestore",
}
_NETWORKS = {zone: network for network, zone in _ZONES.items()} | {"vpc.ots": "vpc"}
_OLD_BINDING = "vpc.ots"
_DATA = re.compile(
    r"(?P<name>[a-z0-9_-]+)\.(?P<region>[a-z0-9-]+)\.(?P<zone>{})\.aliyun(?:cs)?\.com".format(
        "|".join(re.escape(zone) for zone in _NETWORKS)
    ),
    re.IGNORECASE,
)
_ANY_DATA = re.compile(r"(?P<own>[a-z0-9_-]+\.[a-z0-9]+-[a-z0-9-]+)\.(?P<zone>[a-z0-9.-]+)\.aliyun(?:cs)?\.com")
_MAX_REGION = 30
_CONTROL = re.compile(r"tablestore(?P<vpc>-vpc)?\.(?P<region>[a-z0-9-]+)\.aliyuncs\.com", re.IGNORECASE)
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*", re.IGNORECASE)
_CONSOLE = "Write it as https://INSTANCE.REGION.ots.aliyuncs.com, as the console shows it."
_BARE = "Give only scheme, host and, if needed, port."
_DEFAULT_PORTS = {"https": 443, "http": 80}


class Endpoint(NamedTuple):
    """A parsed endpoint.

    Attributes:
        url: Its one normal form: scheme and host in lower case, no default port, no slash at the end.
        host: The host in lower case, without brackets.
        secure: Whether it is https.
        loopback: Whether it can only be this machine.
        instance: The instance that the host names, if it is one of the service's hosts.
        region: The region that the host names, likewise.
        network: The network that the host belongs to, likewise.
        binding: The first label of an old VPC binding, which ends with the instance's name.
    """

    url: str
    host: str
    secure: bool
    loopback: bool
    instance: str | None = None
    region: str | None = None
    network: str | None = None
    binding: str | None = None

    @property
    def provider(self) -> bool:
        """Whether the host is the provider's."""
        return re.search(r"\.aliyun(cs)?\.com\Z", self.host) is not None

    @property
    def unusual(self) -> bool:
        """Whether the host is the provider's but has none of the forms of an instance's endpoint."""
        return self.network is None and self.provider


def make(region: str, instance: str, network: str) -> str:
    """Return the endpoint of an instance in a region, as seen from a network."""
    return f"https://{instance.lower()}.{region}.{_ZONES[network]}.aliyuncs.com"


def parse(value: object) -> Endpoint:
    """Parse an endpoint.

    Args:
        value: The value found, or what was parsed of it before; no error shows it.

    Raises:
        Refusal: If it is not the URL of a data endpoint.
    """
    if isinstance(value, Endpoint):
        return value
    text = _plain(value)
    parts = _split(text)
    scheme = parts.scheme.lower()
    if "@" in parts.netloc:
        raise Refusal("contains a user name or password", "Set keys in access_key_id and access_key_secret.")
    if "?" in text or "#" in text or parts.path.strip("/"):
        raise Refusal("has a path, query or fragment", _BARE)
    host, original, loopback = _host(parts)
    port = _port(parts)
    shown = f"[{host}]" if ":" in host else host
    url = f"{scheme}://{shown}" + (f":{port}" if port not in (None, _DEFAULT_PORTS[scheme]) else "")
    control = _CONTROL.fullmatch(host)
    if control:
        zone = "vpc.tablestore" if control["vpc"] else "ots"
        raise Refusal(
            "is the control plane, which manages instances and has no rows",
            f"Use the instance's own endpoint, https://INSTANCE.{control['region']}.{zone}.aliyuncs.com.",
        )
    endpoint = Endpoint(url, host, scheme == "https", loopback)
    data = _DATA.fullmatch(original)
    if not data:
        _check_zone(host)
        return endpoint
    zone, region = data["zone"].lower(), data["region"].lower()
    if zone == _OLD_BINDING:
        return endpoint._replace(region=region, network="vpc", binding=data["name"])
    return endpoint._replace(region=region, network=_NETWORKS[zone], instance=data["name"])


def _check_zone(host: str) -> None:
    """Refuse a host of the provider's whose middle part is almost one of the service's: ost instead of ots."""
    found = _ANY_DATA.fullmatch(host)
    near = get_close_matches(found["zone"], _NETWORKS, n=1) if found else []
    if found and near:
        own = f"https://{found['own']}.{near[0]}.aliyuncs.com"
        raise Refusal("has a host that is not one of Tablestore's", f"Did you mean {own}?")


def region_hint(region: str) -> str:
    """Return the hint for a name that is no region but almost one, or a part of one; ``""`` if it may be a new one."""
    if region in REGIONS or len(region) > _MAX_REGION:
        return ""
    plain = region.replace("_", "-").replace(" ", "-")
    for known in (plain, f"cn-{plain}", plain[:-1].rstrip("-")):  # the last is the region of a zone
        if known in REGIONS:
            return f"Did you mean {known}?"
    letters = re.sub(r"\d", "", region)
    for known in REGIONS:  # the next one of a series, or one beside it
        if region.startswith(f"{known}-") or letters == re.sub(r"\d", "", known):
            return ""
    near = get_close_matches(region, REGIONS, n=1, cutoff=0.8)
    return f"Did you mean {near[0]}?" if near else ""


def _plain(value: object) -> str:
    if not isinstance(value, str):
        raise Refusal("is not text", _CONSOLE)
    if not value.strip(" "):
        raise Refusal("is empty", _CONSOLE)
    if not (value.isascii() and value.isprintable()):
        raise Refusal(
            "contains characters that a host cannot have",
            "Remove control characters; write a name in another script in its xn-- form.",
        )
    return value.strip(" ")


def _split(text: str) -> SplitResult:
    if "://" not in text:
        known = _DATA.fullmatch(text.rstrip("/"))
        raise Refusal("does not begin with https://", f"Write it as https://{known[0]}." if known else _CONSOLE)
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = None
    if parts is None:
        raise Refusal("is not a URL", _CONSOLE)
    if parts.scheme not in _DEFAULT_PORTS:
        raise Refusal("has a scheme that is neither https nor http", _CONSOLE)
    return parts


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise Refusal("has a port that is not a number from 1 to 65535", "Correct the port, or remove it.")
    return port


def _host(parts: SplitResult) -> tuple[str, str, bool]:
    """Return the host in lower case, the host as it was written, and whether it is this machine."""
    written = parts.netloc.rpartition(":")[0] if re.search(r":[^\]]*\Z", parts.netloc) else parts.netloc
    if written.startswith("["):
        try:
            address = ipaddress.IPv6Address(written[1:-1])
        except ValueError:  # pragma: no cover - since Python 3.11.4 urlsplit refuses it
            address = None
        if address is None or address.scope_id is not None:
            raise Refusal("has an invalid IPv6 address", "Write it in brackets, https://[2001:db8::1].")
        mapped = address.ipv4_mapped
        return address.compressed, written, mapped.is_loopback if mapped else address.is_loopback
    written = written.removesuffix(".")
    host = written.lower()
    if not _HOST.fullmatch(host):
        raise Refusal("has an invalid host" if host else "has no host", _CONSOLE)
    try:
        loopback = ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        loopback = host == "localhost" or host.endswith(".localhost")
    return host, written, loopback
