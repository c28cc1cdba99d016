"""Endpoints are parsed, compared with the other settings, and derived."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ots_config.errors import SettingsError
from ots_config.sdk import tablestore
from ots_config.settings import OTSSettings, SettingsWarning
from ots_config.settings.endpoint import parse
from ots_config.settings.problems import Refusal

PUBLIC = "https://demo.cn-hangzhou.ots.aliyuncs.com"


@pytest.mark.parametrize(
    ("text", "url", "parts"),
    [
        (PUBLIC, PUBLIC, ("demo", "cn-hangzhou", "public")),
        (f" {PUBLIC}// ", PUBLIC, ("demo", "cn-hangzhou", "public")),
        ("HTTPS://Demo.CN-Hangzhou.OTS.aliyuncs.com:443/", PUBLIC, ("Demo", "cn-hangzhou", "public")),
        (f"{PUBLIC}.", PUBLIC, ("demo", "cn-hangzhou", "public")),
        (
            "https://instance.cn-hangzhou.ots.aliyun.com:80",
            "https://instance.cn-hangzhou.ots.aliyun.com:80",
            ("instance", "cn-hangzhou", "public"),
        ),
        (
            "https://de-mo_1.ap-southeast-1.vpc.tablestore.aliyuncs.com",
            "https://de-mo_1.ap-southeast-1.vpc.tablestore.aliyuncs.com",
            ("de-mo_1", "ap-southeast-1", "vpc"),
        ),
        (
            "https://demo.cn-beijing.ots-internal.aliyuncs.com",
            "https://demo.cn-beijing.ots-internal.aliyuncs.com",
            ("demo", "cn-beijing", "internal"),
        ),
        (
            "https://demo.cn-beijing.tablestore.aliyuncs.com",
            "https://demo.cn-beijing.tablestore.aliyuncs.com",
            ("demo", "cn-beijing", "dual-stack"),
        ),
        (
            "https://vpc1-demo.cn-beijing.vpc.ots.aliyuncs.com",
            "https://vpc1-demo.cn-beijing.vpc.ots.aliyuncs.com",
            (None, "cn-beijing", "vpc"),
        ),
        ("https://rows.example.com:8443", "https://rows.example.com:8443", (None, None, None)),
        ("https://[2001:DB8:0::1]:443", "https://[2001:db8::1]", (None, None, None)),
        ("http://[::1]:8087/", "http://[::1]:8087", (None, None, None)),
    ],
)
def test_forms(text: str, url: str, parts: tuple[str | None, ...]) -> None:
    """Every documented form gives instance, region and network, and has one normal form, which the SDK takes too."""
    endpoint = parse(text)
    assert (endpoint.url, (endpoint.instance, endpoint.region, endpoint.network)) == (url, parts)
    assert parse(endpoint.url).url == endpoint.url
    official = tablestore.OTSClient(endpoint.url, "id", "secret", "demo")
    assert (official.host, official.path) == (url, "")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("demo.localhost", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.1]", True),
        ("0.0.0.0", False),  # noqa: S104 - an address to judge, not to bind
        ("127.1", False),
        ("127.0.0.1.example.com", False),
        ("localhost.example.com", False),
        ("[::]", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    """Plain http needs no permission on this machine alone."""
    assert parse(f"http://{host}:1").loopback is loopback
    if loopback:
        assert OTSSettings.explicit(endpoint=f"http://{host}:1", instance_name="any-name-will-do-here")
    else:
        with pytest.raises(SettingsError, match=r"endpoint: is http.*OTS_ALLOW_HTTP"):
            OTSSettings.explicit(endpoint=f"http://{host}:1", instance_name="demo")
        assert OTSSettings.explicit(endpoint=f"http://{host}:1", instance_name="demo", allow_http=True)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not text"),
        (b"https://x.com", "not text"),
        ("  ", "empty"),
        ("endpoint", "does not begin with https://"),
        ("demo.cn-hangzhou.ots.aliyuncs.com/", "does not begin with https://"),
        ("ftp://x.com", "neither https nor http"),
        ("https://", "has no host"),
        ("https:///x", "path"),
        ("https://x.com/table", "path, query or fragment"),
        ("https://x.com?", "path, query or fragment"),
        ("https://x.com#", "path, query or fragment"),
        ("https://id:secret@x.com", "user name or password"),
        ("https://x.com\r\nX-Evil: 1", "characters that a host cannot have"),
        ("https://x.com\n", "characters that a host cannot have"),
        ("https://表格.com", "characters that a host cannot have"),
        ("https://x y.com", "invalid host"),
        ("https://x..com", "invalid host"),
        ("https://x.com\\y", "invalid host"),
        ("https://-x.com", "invalid host"),
        (f"https://{'x' * 64}.com", "invalid host"),
        ("https://x.com:0", "port"),
        ("https://x.com:65536", "port"),
        ("https://x.com:x", "port"),
        ("https://[::1", "not a URL"),
        ("https://[::g]", "not a URL|IPv6"),
        ("https://[fe80::1%25eth0]", "not a URL|IPv6"),
        ("https://tablestore.cn-hangzhou.aliyuncs.com", "control plane"),
        ("https://tablestore-vpc.cn-hangzhou.aliyuncs.com", "control plane"),
    ],
)
def test_refused(value: object, reason: str) -> None:
    """What is not a data endpoint is refused with the reason."""
    with pytest.raises(Refusal, match=reason):
        parse(value)


def test_hints() -> None:
    """The hints for a missing scheme and a control-plane endpoint say what to write instead."""
    with pytest.raises(SettingsError, match=rf"Write it as {PUBLIC}\."):
        OTSSettings.explicit(endpoint=PUBLIC[8:])
    with pytest.raises(SettingsError, match=r"INSTANCE\.cn-beijing\.vpc\.tablestore\.aliyuncs\.com"):
        OTSSettings.explicit(endpoint="https://tablestore-vpc.cn-beijing.aliyuncs.com")


@given(st.text() | st.from_regex(r"\Ahttps?://[\x20-\x7e]{0,40}\Z"))
def test_any_text(text: str) -> None:
    """Any text is refused, or has a normal form that is its own normal form."""
    try:
        endpoint = parse(text)
    except Refusal:
        return
    assert parse(endpoint.url) == endpoint._replace(
        instance=endpoint.instance and endpoint.instance.lower(),
        binding=endpoint.binding and endpoint.binding.lower(),
    )
    assert endpoint.url.isascii()
    assert endpoint.url.isprintable()


@pytest.mark.parametrize(
    ("network", "endpoint"),
    [
        ("public", PUBLIC),
        ("vpc", "https://demo.cn-hangzhou.vpc.tablestore.aliyuncs.com"),
        ("internal", "https://demo.cn-hangzhou.ots-internal.aliyuncs.com"),
        ("dual-stack", "https://demo.cn-hangzhou.tablestore.aliyuncs.com"),
    ],
)
def test_endpoint_is_derived(network: str, endpoint: str) -> None:
    """Region, instance and network make the endpoint, from which they follow in turn."""
    settings = OTSSettings.explicit(region="CN-Hangzhou", instance_name="Demo", network=network)
    assert settings.endpoint == endpoint
    assert settings.origin("endpoint") == f"derived from region, instance_name and network {network}"
    back = OTSSettings.explicit(endpoint=endpoint)
    assert (back.region, back.instance_name, back.network) == ("cn-hangzhou", "demo", network)


def test_contradictions() -> None:
    """What is given beside the endpoint must agree with it, whatever the case of the instance."""
    assert OTSSettings.explicit(endpoint=PUBLIC, instance_name="DEMO", region="cn-hangzhou").instance_name == "DEMO"
    with pytest.raises(SettingsError) as caught:
        OTSSettings.explicit(endpoint=PUBLIC, instance_name="other", region="cn-beijing", network="vpc")
    assert [problem.field for problem in caught.value.problems] == ["instance_name", "region", "network"]
    assert "whose instance is demo" in str(caught.value)
    assert "whose region is cn-hangzhou" in str(caught.value)
    custom = OTSSettings.explicit(endpoint="https://rows.example.com", instance_name="demo", region="cn-beijing")
    assert custom.region == "cn-beijing"


def test_old_vpc_binding() -> None:
    """An old VPC binding gives the instance if it has one hyphen, and else is compared with a given one."""
    host = ".cn-beijing.vpc.ots.aliyuncs.com"
    assert OTSSettings.explicit(endpoint=f"https://vpc1-demo{host}").instance_name == "demo"
    hyphens = f"https://my-vpc-my-demo{host}"
    assert OTSSettings.explicit(endpoint=hyphens, instance_name="my-demo").instance_name == "my-demo"
    with pytest.raises(SettingsError, match="old VPC binding with several hyphens"):
        OTSSettings.explicit(endpoint=hyphens)
    with pytest.raises(SettingsError, match="contradicts the endpoint"):
        OTSSettings.explicit(endpoint=hyphens, instance_name="other")


def test_what_is_missing() -> None:
    """Without endpoint, or without the instance of an unknown host, one problem says what to set."""
    with pytest.raises(SettingsError, match="without region and instance_name") as caught:
        OTSSettings.explicit()
    assert len(caught.value.problems) == 1
    with pytest.raises(SettingsError, match="without region"):
        OTSSettings.explicit(instance_name="demo")
    with pytest.raises(SettingsError, match="instance_name: is not set, and the endpoint does not name it"):
        OTSSettings.explicit(endpoint="http://127.0.0.1:8087")


def test_warnings() -> None:
    """Odd hosts of the provider, odd instance names and unknown dual-stack regions are warned about, not refused."""
    with pytest.warns(SettingsWarning, match="does not have the form"):
        OTSSettings.explicit(endpoint="https://demo.ots.aliyuncs.com", instance_name="demo")
    with pytest.warns(SettingsWarning, match="3 to 16 letters"):
        OTSSettings.explicit(region="cn-beijing", instance_name="my_admin")
    with pytest.warns(SettingsWarning, match="dual-stack"):
        OTSSettings.explicit(region="eu-west-1", instance_name="demo", network="dual-stack")
    generated = OTSSettings.explicit(endpoint="https://ots_generated-0123456789.cn-beijing.ots.aliyuncs.com")
    assert generated.instance_name == "ots_generated-0123456789"


def test_signing_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """``auto`` means V4 only for a region that was given; v4 takes any, and needs one; v2 takes none."""
    assert OTSSettings.explicit(endpoint=PUBLIC).signing_region is None
    assert OTSSettings.explicit(endpoint=PUBLIC, region="cn-hangzhou").signing_region == "cn-hangzhou"
    assert OTSSettings.explicit(endpoint=PUBLIC, signature="v4").signing_region == "cn-hangzhou"
    assert OTSSettings.explicit(endpoint=PUBLIC, region="cn-hangzhou", signature="V2").signing_region is None
    monkeypatch.setenv("OTS_REGION", "cn-hangzhou")
    assert OTSSettings(endpoint=PUBLIC).signing_region == "cn-hangzhou"
    with pytest.raises(SettingsError, match="signature: is v4, which needs a region"):
        OTSSettings.explicit(endpoint="http://127.0.0.1:1", instance_name="demo", signature="v4")
