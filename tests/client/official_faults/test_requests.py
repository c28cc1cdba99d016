"""Faults of what the official client sends, and where to: headers, endpoints, values, proxies, redirects."""

import logging
from contextlib import suppress
from pathlib import Path

import pytest
import urllib3.exceptions

from ots_config import Emulator, NoRetryPolicy, OTSClient, SettingsError
from ots_config.request.signing import header_lines, sign_v2
from ots_config.sdk import tablestore as ts
from tests.client.errors import error_of
from tests.client.official_faults.comparison import KEY, SEEN, Make
from tests.client.official_faults.impostor import Impostor, signed


def wire_signature_holds(asked: tuple[str, dict[str, str], bytes]) -> bool:
    """Tell whether a request is signed over all its ``x-ots-*`` headers in the order of their names."""
    path, headers, _ = asked
    return headers["x-ots-signature"] == sign_v2("testsecret", path, header_lines(headers.items()))


@pytest.mark.parametrize("extra", [{"X-Ots-Request-Tag": "nightly"}, {"x-ots-date-x": "1"}])
def test_extra_headers_are_signed_by_name(
    impostor: Impostor, ours: Make, official: Make, extra: dict[str, str]
) -> None:
    """Extra ``x-ots-*`` headers are signed whatever their case, and sorted by their names."""
    ours(endpoint=impostor.endpoint, extra_headers=extra).list_table()
    assert wire_signature_holds(impostor.asked[-1])
    assert {name.lower() for name in extra} <= impostor.asked[-1][1].keys()
    if SEEN:
        official(end_point=impostor.endpoint, extra_headers=extra).list_table()
        assert not wire_signature_holds(impostor.asked[-1])


def test_an_endpoint_without_a_host_is_refused() -> None:
    """``http://`` is refused when the client is made."""
    error_of(lambda: OTSClient("http://", "testid", "testsecret", "demo"), SettingsError)
    if SEEN:
        assert ts.OTSClient("http://", "testid", "testsecret", "demo").host == "http://"


def test_a_trailing_slash_is_not_doubled(impostor: Impostor, ours: Make, official: Make) -> None:
    """An endpoint that ends in a slash asks for ``/ListTable``."""
    assert ours(endpoint=impostor.endpoint + "/").list_table() == ("t",)
    assert impostor.asked[-1][0] == "/ListTable"
    if SEEN:
        with suppress(Exception):
            official(end_point=impostor.endpoint + "/").list_table()
        # What Python's own server makes of two slashes differs between its versions; the request line had them.
        urls: list[str] = []
        client = official(end_point=impostor.endpoint + "/")
        client.connection.pool.urlopen = lambda _, url, **__: urls.append(url)
        error_of(client.list_table, Exception)
        assert urls == [impostor.endpoint + "//ListTable"]


def test_an_empty_token_is_no_token(impostor: Impostor, ours: Make, official: Make) -> None:
    """``sts_token=""`` sends no token."""
    ours(endpoint=impostor.endpoint, sts_token="").list_table()
    assert "x-ots-ststoken" not in impostor.asked[-1][1]
    if SEEN:
        official(end_point=impostor.endpoint, sts_token="").list_table()
        assert impostor.asked[-1][1]["x-ots-ststoken"] == ""


def test_column_names_beyond_ascii_arrive(emulator: Emulator, ours: Make, official: Make) -> None:
    """A column named in Chinese is stored and read back under its name."""
    client = ours()
    client.put_row("t", ts.Row(KEY, [("公司", "水"), ("n", 1)]))
    row = client.get_row("t", KEY, max_version=1)[1]
    assert {name: value for name, value, _ in row.attribute_columns} == {"公司": "水", "n": 1}
    if SEEN:
        theirs = official(enable_native=False)  # the codec in Python, which runs on every Python but one
        refused = error_of(lambda: theirs.put_row("t", ts.Row(KEY, [("公司", "水")])), ts.OTSServiceError)
        assert refused.get_error_code() == "OTSParameterInvalid"


def test_binary_values_come_back_and_are_never_printed(
    emulator: Emulator, ours: Make, official: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A bytearray is BINARY and comes back as it was; at DEBUG our client never prints a row, which the SDK cannot.

    ``bytes`` stay STRING, as in the SDK: rows that a program has written so for years must be found again.
    """
    caplog.set_level(logging.DEBUG)
    client = ours()
    row = ts.Row(KEY, [("b", bytearray(b"\x00\xff")), ("s", b"text")])
    client.put_row("t", row)
    found = {name: value for name, value, _ in client.get_row("t", KEY, max_version=1)[1].attribute_columns}
    assert found == {"b": bytearray(b"\x00\xff"), "s": "text"}
    theirs = official().get_row("t", KEY, max_version=1)[1]
    assert {name: value for name, value, _ in theirs.attribute_columns} == found
    if SEEN:
        error_of(lambda: repr(row), Exception)


def test_proxies_are_honoured_and_nothing_else_of_the_environment(
    impostor: Impostor, ours: Make, official: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``HTTP_PROXY`` carries the requests; ``.netrc`` adds no header, and a redirect is not followed."""
    monkeypatch.setenv("HTTP_PROXY", impostor.endpoint)
    monkeypatch.setenv("http_proxy", impostor.endpoint)
    host = "demo.cn-hangzhou.ots.invalid"
    netrc = Path.home() / ".netrc"
    netrc.write_text(f"machine {host} login someone password secret\n")
    netrc.chmod(0o600)

    def proxied(path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return signed(path.removeprefix(f"http://{host}"), headers, body)

    impostor.respond = proxied
    client = ours(endpoint=f"http://{host}", allow_http=True, retry_policy=NoRetryPolicy())
    assert client.list_table() == ("t",)
    url, headers, _ = impostor.asked[-1]
    assert url == f"http://{host}/ListTable"
    assert "authorization" not in headers
    impostor.respond = lambda *_: (307, {"Location": impostor.endpoint + "/ListTable"}, b"")
    count = len(impostor.asked)
    assert error_of(client.list_table).http_status == 307
    assert len(impostor.asked) == count + 1
    if SEEN:
        error_of(official(end_point=f"http://{host}").list_table, urllib3.exceptions.HTTPError)
        assert len(impostor.asked) == count + 1


@pytest.mark.parametrize("location", ["http://127.0.0.1:1/ListTable", "/elsewhere", "http://[", "\xff"])
@pytest.mark.parametrize("status", [301, 303, 307])
def test_redirects_are_errors_wherever_they_lead(impostor: Impostor, ours: Make, status: int, location: str) -> None:
    """A redirect is one error of ours, followed nowhere, though ``requests`` looks at where it leads."""
    impostor.respond = lambda *_: (status, {"Location": location}, b"")
    error = error_of(ours(endpoint=impostor.endpoint, retry_policy=NoRetryPolicy()).list_table)
    assert isinstance(error, ts.OTSClientError)
    assert len(impostor.asked) == 1
