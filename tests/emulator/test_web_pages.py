"""Web pages in the user's browser have no access to what checks no signature; programs have."""

import http.client
import json
from collections.abc import Mapping

import pytest

from ots_config.emulator import Emulator
from ots_config.emulator.messages import EmulatorRequest
from ots_config.emulator.server import EmulatorServer
from ots_config.emulator.web_pages import refusal

UNSIGNED = ["/_emulator/log", "/credentials", "/latest/meta-data/instance-id"]
SITE = "https://attacker.example"


def get(emulator: Emulator, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """Return status and body of a response; names of headers are given with underscores."""
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=20)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", UNSIGNED)
def test_a_program_is_served(emulator: Emulator, path: str) -> None:
    """A client that is no browser needs no header, and may use any address of the machine or localhost."""
    assert get(emulator, path)[0] == 200
    for host in (f"localhost:{emulator.port}", "[::1]:80", "127.0.0.9", "LOCALHOST", "100.100.100.200"):
        assert get(emulator, path, Host=host)[0] == 200


@pytest.mark.parametrize("path", UNSIGNED)
def test_a_foreign_page_is_refused(emulator: Emulator, path: str) -> None:
    """A page of another site, or of another port of this machine, reads nothing, whichever header shows it."""
    for headers in (
        {"Origin": SITE},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
    ):
        status, body = get(emulator, path, **headers)
        assert status == 403, headers
        assert b"AccessKey" not in body


@pytest.mark.parametrize("path", UNSIGNED)
def test_a_name_that_leads_here_is_refused(emulator: Emulator, path: str) -> None:
    """A site whose name resolves to this machine is its own origin to the browser, so the name itself is refused."""
    for host in ("attacker.example", "localhost.attacker.example:8087", "127.0.0.1.attacker.example", "x", ""):
        assert get(emulator, path, Host=host)[0] == 403, host
        assert get(emulator, path, Host=host, Origin=f"http://{host}")[0] == 403, host


def test_a_foreign_page_gives_no_order(emulator: Emulator) -> None:
    """No order is carried out, and no preflight is answered with permission."""
    order = json.dumps({"operation": "*", "kind": "reset_before"}).encode()
    for kind in ("text/plain", "application/json", "application/x-www-form-urlencoded"):
        assert get(emulator, "/_emulator/faults", "POST", order, Origin=SITE, Content_Type=kind)[0] == 403
    asked = {"Origin": SITE, "Access_Control_Request_Method": "POST"}
    assert get(emulator, "/_emulator/faults", "OPTIONS", **asked)[0] == 403
    assert get(emulator, "/_emulator/faults")[1] == b"[]\n"


def test_a_body_of_a_browser_must_be_declared_json(emulator: Emulator) -> None:
    """A form needs no preflight, so a browser must declare JSON; a program need not."""
    order = b'{"lifetime": 900}'
    browser = {"User_Agent": "Mozilla/5.0", "Content_Type": "text/plain"}
    assert get(emulator, "/_emulator/sts", "POST", order, **browser)[0] == 403
    own = {"Origin": f"http://127.0.0.1:{emulator.port}", "Sec_Fetch_Site": "same-origin"}
    assert get(emulator, "/_emulator/sts", "POST", order, **own)[0] == 403
    json_type = "application/json; charset=utf-8"
    assert get(emulator, "/_emulator/sts", "POST", order, **own, Content_Type=json_type)[0] == 200
    form = "application/x-www-form-urlencoded"  # what curl -d sends
    assert get(emulator, "/_emulator/sts", "POST", order, Content_Type=form, User_Agent="curl/8")[0] == 200


def test_a_page_gets_no_key_of_the_sts(emulator: Emulator) -> None:
    """AssumeRoleWithOIDC needs no signature; a browser under a foreign name gets no key, an SDK under any name does."""
    query = (
        "/?Action=AssumeRoleWithOIDC&Version=2015-04-01&RoleArn=acs:ram::1:role/x&RoleSessionName=me"
        "&OIDCProviderArn=acs:ram::1:oidc-provider/x&OIDCToken=token"
    )
    assert get(emulator, query, Host="sts.aliyuncs.com")[0] == 200
    for headers in ({"Origin": SITE}, {"User_Agent": "Mozilla/5.0", "Host": "attacker.example"}):
        status, body = get(emulator, query, **headers)
        assert status == 403
        assert b"AccessKey" not in body


def test_the_host_that_was_asked_for_is_accepted() -> None:
    """A name that the emulator was started with is its own."""
    server = EmulatorServer(host="emulator.test")
    statuses: Mapping[str, int] = {"emulator.test:8087": 200, "Emulator.Test": 200, "other.test:8087": 403}
    for host, status in statuses.items():
        request = EmulatorRequest("GET", "/latest/meta-data/instance-id", {"host": host})
        response = server(request)
        assert getattr(response, "status", None) == status, host
    assert refusal(EmulatorRequest("GET", "/", {})) == ""  # HTTP/1.0 needs no Host, and no browser speaks it


def test_responses_tell_browsers_to_keep_them_from_other_pages(emulator: Emulator) -> None:
    """Even an old browser that sends no Sec-Fetch-Site does not hand the control surface to another origin."""
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=20)
    connection.request("GET", "/_emulator/log")
    headers = connection.getresponse().headers
    connection.close()
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Access-Control-Allow-Origin"] is None
