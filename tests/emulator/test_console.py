"""The console: what the page gets as JSON, what it may load, and what a browser shows of it."""

import asyncio
import http.client
import http.server
import json
import os
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ots_config import Emulator, OTSClient, WriteRetryPolicy
from ots_config.sdk import tablestore
from tests.client.tables import create_table
from tests.emulator.browser import CHROMIUM, Browser

HOSTILE = "<img src=x onerror=alert(1)>"


def get(emulator: Emulator, path: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
    """Return status and JSON of a response."""
    with closing(http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=20)) as connection:
        connection.request(method, "/_emulator/" + path, headers=headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def fill(emulator: Emulator, rows: int = 5) -> None:
    """Make a table with rows."""
    with OTSClient(settings=emulator.settings) as client:
        create_table(client, "orders", [("region", "STRING"), ("id", "INTEGER")])
        for number in range(rows):
            key = [("region", "ab"[number % 2]), ("id", number)]
            client.put_row("orders", tablestore.Row(key, [("state", HOSTILE), ("paid", number % 2 == 0)]))


def test_tables_are_listed(emulator: Emulator) -> None:
    """Each table has its name, its key, the number of its rows and its indexes."""
    fill(emulator)
    status, found = get(emulator, "tables")
    assert status == 200
    assert (found["instance"], found["instances"]) == ("demo", ["demo"])
    assert [table["name"] for table in found["tables"]] == ["orders"]
    assert found["tables"][0]["rows"] == 5
    assert [(column["name"], column["type"]) for column in found["tables"][0]["key"]] == [
        ("region", "str"),
        ("id", "int"),
    ]
    assert get(emulator, "tables/orders") == (200, found["tables"][0])
    assert get(emulator, "tables?instance=other") == (404, {"error": "there is no instance 'other'"})
    assert get(emulator, "tables/none") == (404, {"error": "there is no table 'none'"})
    assert get(emulator, "tables/none/rows")[0] == 404
    assert get(emulator, "tables", "POST")[0] == 405


def keys_of(found: Any) -> list[Any]:
    """Return the keys of rows."""
    return [row["key"] for row in found["rows"]]


def test_rows_are_read_by_range(emulator: Emulator) -> None:
    """A range has an inclusive start and an exclusive end, each a whole key or the first part of one, and pages."""
    fill(emulator)
    everything = [["a", 0], ["a", 2], ["a", 4], ["b", 1], ["b", 3]]
    assert keys_of(get(emulator, "tables/orders/rows")[1]) == everything
    for start, end, expected in (
        (["b"], None, everything[3:]),
        (["a", 2], None, everything[1:]),
        (["a", 2], ["b", 1], everything[1:3]),
        ([], ["b"], everything[:3]),
    ):
        query = f"start={quote(json.dumps(start))}" + (f"&end={quote(json.dumps(end))}" if end else "")
        assert keys_of(get(emulator, f"tables/orders/rows?{query}")[1]) == expected
    page = get(emulator, "tables/orders/rows?limit=2")[1]
    assert page["next"] == ["a", 4]
    rest = get(emulator, f"tables/orders/rows?start={quote(json.dumps(page['next']))}")[1]
    assert keys_of(page) + keys_of(rest) == everything
    assert rest["next"] is None
    first = page["rows"][0]["columns"]
    assert [(column["name"], column["type"], column["value"]) for column in first] == [
        ("paid", "bool", True),
        ("state", "str", HOSTILE),
    ]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "start=a", "start={}", "start=[1]", 'start=["a",1,2]', "end=[null]"]
)
def test_a_range_that_makes_no_sense_is_refused(emulator: Emulator, query: str) -> None:
    """It is answered with 400 and a sentence."""
    fill(emulator, 0)
    status, found = get(emulator, f"tables/orders/rows?{quote(query, safe='=&')}")
    assert status == 400
    assert found["error"]


def test_values_that_json_lacks_come_and_go(emulator: Emulator) -> None:
    """Binary and large values are shown as objects, which bounds may be made of too."""
    with OTSClient(settings=emulator.settings) as client:
        create_table(client, "odd", [("k", "BINARY"), ("n", "INTEGER")])
        for number in (1, 2**60):
            key = [("k", bytearray(b"\xff")), ("n", number)]
            client.put_row("odd", tablestore.Row(key, [("b", bytearray(b"\x00"))]))
    row = get(emulator, "tables/odd/rows")[1]["rows"][1]
    assert row["key"] == [{"bytes": "/w=="}, {"int": str(2**60)}]
    assert [column["value"] for column in row["columns"]] == [{"bytes": "AA=="}]
    start = quote(json.dumps(row["key"]))
    assert keys_of(get(emulator, f"tables/odd/rows?start={start}")[1]) == [row["key"]]


def test_keys_are_listed_without_secrets(emulator: Emulator) -> None:
    """Ids, ends and revocations are shown; secrets and tokens are not."""
    issued = emulator.issue_key(lifetime=900)
    status, found = get(emulator, "keys")
    assert status == 200
    assert found[0]["access_key_id"] == issued["AccessKeyId"]
    assert {entry["access_key_id"] for entry in found} >= {"testid"}
    shown = json.dumps(found)
    for secret in ("testsecret", issued["AccessKeySecret"], issued["SecurityToken"]):
        assert secret not in shown


@contextmanager
def events(emulator: Emulator) -> Iterator[http.client.HTTPResponse]:
    """Open the stream of events."""
    with closing(http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=20)) as connection:
        connection.request("GET", "/_emulator/events")
        response = connection.getresponse()
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
        yield response


def next_event(response: http.client.HTTPResponse) -> tuple[str, Any]:
    """Return the name and the value of the next event."""
    while not (line := response.readline()).startswith(b"event: "):
        assert line
    data = response.readline()
    assert data.startswith(b"data: ")
    return line[7:].decode().strip(), json.loads(data[6:])


def test_events_come_as_they_happen(emulator: Emulator) -> None:
    """The stream begins with what there was, and goes on with each request and each change of the faults."""
    with OTSClient(settings=emulator.settings) as client:
        client.list_table()
        with events(emulator) as stream:
            name, entry = next_event(stream)
            assert (name, entry["operation"], entry["status"]) == ("request", "ListTable", 200)
            assert next_event(stream) == ("faults", [])
            emulator.fault(operation="GetRow", kind="truncate")
            assert next_event(stream)[1][0]["kind"] == "truncate"
            create_table(client, "t", [("k", "INTEGER")])
            name, entry = next_event(stream)
            assert (name, entry["operation"], entry["table"]) == ("request", "CreateTable", "t")
            assert entry["seconds"] > 0
        with events(emulator) as stream:  # a second one, after the first was left
            assert next_event(stream)[0] == "request"


def test_streams_of_events_are_bounded_and_end_with_the_emulator() -> None:
    """Only so many are open at once, and stopping does not wait for them."""
    with Emulator() as emulator:
        streams = [events(emulator) for _ in range(20)]
        for stream in streams:
            next_event(stream.__enter__())
        assert get(emulator, "events")[0] == 400
    assert emulator.server.log.watchers == []


def test_the_page_may_load_nothing(emulator: Emulator) -> None:
    """Its policy allows its own script and style by their digests, requests to itself, and nothing else."""
    with closing(http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=20)) as connection:
        connection.request("GET", "/_emulator/")
        response = connection.getresponse()
        text = response.read().decode()
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";"))
    for kind in ("script", "style"):
        (inside,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        assert policy[f"{kind}-src"] == f"'sha256-{b64encode(sha256(inside.encode()).digest()).decode()}'"
    assert {name: value for name, value in policy.items() if name not in {"script-src", "style-src"}} == {
        "default-src": "'none'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert not re.search(r"https?:|src=|href=|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|style=", text)
    assert not re.search(r"\son[a-z]+=", text)


# --- in a browser -------------------------------------------------------------------------------------------


def page_problems(browser: Browser) -> list[Any]:
    """Return what the page complained of: errors, refused loads, dialogs."""
    kinds = {"Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening"}
    return [message for message in browser.messages if message["method"] in kinds]


def requested(browser: Browser) -> set[str]:
    """Return the addresses that the page loaded from."""
    sent = [
        message["params"]["request"]["url"]
        for message in browser.messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    return {re.sub(r"^(https?://[^/]+).*", r"\1", url) for url in sent if url.startswith("http")}


@pytest.mark.real
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_the_console_in_a_browser(tmp_path: Path) -> None:
    """Requests appear as they come, a retry inside its call; rows, faults, keys and the STS can be seen and changed."""
    pictures: dict[str, bytes] = {}

    async def play(emulator: Emulator, client: OTSClient) -> None:
        async with Browser(tmp_path) as browser:
            await browser.open(f"{emulator.endpoint}/_emulator/")
            await browser.wait_for("document.getElementById('live').textContent === 'live'")
            await browser.wait_for("document.querySelectorAll('#log tr.call').length >= 6")

            # A fault that is added by hand makes a call of three attempts, which stand together.
            await browser.run("document.getElementById('operation').value = 'GetRow'")
            await browser.run("document.getElementById('count').value = '2'")
            await browser.run("document.querySelector('#fault button').click()")
            await browser.wait_for("document.getElementById('faults').innerText.includes('OTSServerBusy')")
            await asyncio.to_thread(client.get_row, "orders", [("region", "a"), ("id", 0)])
            await browser.wait_for("document.querySelectorAll('#log tr.attempt').length === 3")
            first = await browser.run("document.querySelector('#log tr').innerText")
            assert "GetRow" in first
            assert "3 attempts" in first
            attempts = "Array.from(document.querySelectorAll('#log tr.attempt')).map(row => row.cells[3].textContent)"
            assert await browser.run(attempts) == ["503", "503", "200"]
            await browser.wait_for("document.getElementById('faults').innerText.includes('hit 2')")

            # Rows are text, whatever is in them, and can be filtered by their key.
            await browser.run("document.querySelector('.tables button').click()")
            await browser.wait_for("document.querySelectorAll('#rows tr').length === 5")
            assert HOSTILE in await browser.run("document.getElementById('rows').textContent")
            assert await browser.run("document.querySelectorAll('img').length") == 0
            await browser.run("document.getElementById('start').value = '[\"b\"]'")
            await browser.run("document.querySelector('#range button').click()")
            await browser.wait_for("document.querySelectorAll('#rows tr').length === 2")

            # Keys and the STS.
            await browser.run("document.getElementById('keyid').value = 'second'")
            await browser.run("document.getElementById('keysecret').value = 'secret'")
            await browser.run("document.querySelector('#key button').click()")
            await browser.wait_for("document.getElementById('keys').innerText.includes('second')")
            await browser.run("document.getElementById('lifetime').value = '900'")
            await browser.run("document.querySelector('#sts button').click()")
            await browser.wait_for("fetch('sts').then(given => given.json()).then(sts => sts.lifetime === 900)")
            if picture := os.environ.get("CONSOLE_PICTURE"):
                pictures[picture] = await browser.screenshot()

            await browser.run("document.getElementById('nofaults').click()")
            await browser.wait_for("document.getElementById('faults').innerText === ''")
            assert page_problems(browser) == []
            assert requested(browser) == {emulator.endpoint}

    with Emulator() as emulator, OTSClient(settings=emulator.settings, retry_policy=WriteRetryPolicy()) as client:
        fill(emulator)
        asyncio.run(play(emulator, client))
        for name, data in pictures.items():
            Path(name).write_bytes(data)
        assert emulator.server.keys.lifetime == 900
        assert emulator.server.keys.find("second") is not None


class _Page(http.server.BaseHTTPRequestHandler):
    """A page of another origin on this machine."""

    def do_GET(self) -> None:
        """Respond with an empty page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.mark.real
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_a_foreign_page_in_a_browser_has_no_access(tmp_path: Path) -> None:
    """A page of another port of this machine reads no keys, gives no orders and cannot embed the console."""

    async def play(emulator: Emulator, other: str) -> None:
        async with Browser(tmp_path) as browser:
            await browser.open(other)
            order = json.dumps({"operation": "*", "kind": "reset_before"})
            json_body = f"{{method: 'POST', body: {order!r}, headers: {{'Content-Type': 'application/json'}}}}"
            for path, options in (("credentials", "{}"), ("_emulator/log", "{}"), ("_emulator/faults", json_body)):
                script = f"fetch('{emulator.endpoint}/{path}', {options}).then(given => given.text())"
                assert await browser.run(f"{script}.catch(error => 'refused')") == "refused"
            blind = f"{{method: 'POST', mode: 'no-cors', body: {order!r}}}"
            await browser.run(f"fetch('{emulator.endpoint}/_emulator/faults', {blind}).catch(error => '')")

    with Emulator() as emulator, http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asyncio.run(play(emulator, f"http://127.0.0.1:{server.server_port}/"))
        server.shutdown()
        assert emulator.server.faults.describe() == []
        assert emulator.server.keys._temporary == []
