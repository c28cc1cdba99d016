"""What the terminal shows of each request, and what the log says of calls, tables and faults."""

import os
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ots_config import Emulator, NoRetryPolicy, OTSClient, WriteRetryPolicy, create_client
from ots_config.cli.request_printer import RequestPrinter, request_line
from ots_config.emulator.request_log import LogEntry, RequestLog, table_named
from ots_config.sdk import tablestore
from tests.client.tables import KEY_COLUMNS, ROW, create_table

pb2 = tablestore.protobuf.table_store_pb2
ENTRY = LogEntry("PutRow", 0.0, "id", None, None, 503, "OTSServerBusy", False, "demo", "orders", 0.00125, "error", 1)  # noqa: FBT003


def read_until(descriptor: int, done: Callable[[str], bool]) -> str:
    """Read from a pipe until its text is complete."""
    text = ""
    deadline = time.monotonic() + 20
    while not done(text) and time.monotonic() < deadline:
        text += os.read(descriptor, 65_536).decode()
    return text


def test_a_line_has_what_happened() -> None:
    """Operation, table, status, error code, duration and injected fault stand in one line, in columns."""
    fields = request_line(ENTRY).split()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.000", fields[0])
    assert fields[1:] == ["PutRow", "orders", "503", "OTSServerBusy", "1.2", "ms", "fault:", "error"]
    quiet = request_line(ENTRY._replace(status=None, code=None, table=None, fault=None)).split()
    assert quiet[1:] == ["PutRow", "-", "-", "-", "1.2", "ms"]


def test_a_line_is_one_line() -> None:
    """What a client sends cannot forge a line or move the cursor."""
    line = request_line(ENTRY._replace(operation="Put\nRow", table="\x1b[2J"))
    assert line.isprintable()


def test_each_request_is_printed(emulator: Emulator) -> None:
    """While the printer is entered each request has its line, in order; before and after it none has."""
    reading, writing = os.pipe()
    client = OTSClient(settings=emulator.settings, retry_policy=NoRetryPolicy())
    client.list_table()
    with RequestPrinter(emulator, writing):
        create_table(client, "orders", KEY_COLUMNS)
        emulator.fault(operation="PutRow", kind="delay", seconds=0.01)
        client.put_row("orders", ROW)
        with pytest.raises(tablestore.OTSServiceError):
            client.delete_table("none")
        text = read_until(reading, lambda text: text.count("\n") >= 3)
    client.list_table()
    os.close(writing)
    assert os.read(reading, 1000) == b""
    os.close(reading)
    columns = [line.split()[1:5] for line in text.splitlines()]
    assert columns == [
        ["CreateTable", "orders", "200", "-"],
        ["PutRow", "orders", "200", "-"],
        ["DeleteTable", "none", "404", "OTSObjectNotExist"],
    ]
    assert text.splitlines()[1].endswith("fault: delay")
    assert emulator.server.log.watchers == []


def test_a_terminal_that_is_not_read_delays_nobody(emulator: Emulator) -> None:
    """A full pipe stops the lines, not the server, and what was not printed is counted."""
    reading, writing = os.pipe()
    printer = RequestPrinter(emulator, writing)
    for _ in range(600):
        printer._add(ENTRY)
    with printer, OTSClient(settings=emulator.settings) as client:
        text = read_until(reading, lambda text: "more\n" in text)
        client.list_table()
    os.close(reading)
    os.close(writing)
    assert text.count("OTSServerBusy") == 500
    assert "... and 100 more" in text


def test_a_reader_that_leaves_ends_the_lines(emulator: Emulator) -> None:
    """The server goes on when whoever read the lines is gone."""
    reading, writing = os.pipe()
    os.close(reading)
    with RequestPrinter(emulator, writing) as printer, OTSClient(settings=emulator.settings) as client:
        client.list_table()
        printer._thread.join(20)
        assert not printer._thread.is_alive()
        assert emulator.server.log.watchers == []
        client.list_table()
    os.close(writing)


def test_the_attempts_of_a_call_share_its_number(emulator: Emulator) -> None:
    """A retry has the number of the request that it repeats; equal calls one after the other have their own."""
    with OTSClient(settings=emulator.settings, retry_policy=WriteRetryPolicy()) as client:
        create_table(client, "t", KEY_COLUMNS)
        emulator.clear_log()
        for fault in ({"kind": "error", "code": "OTSServerBusy"}, {"kind": "truncate"}, {"kind": "reset_before"}):
            emulator.fault(operation="GetRow", count=1, **fault)
        for _ in range(2):
            client.get_row("t", ROW.primary_key)
    log = emulator.requests()
    first, second = log[0].call, log[-1].call
    assert [entry.call for entry in log] == [first] * 4 + [second]
    assert first != second
    assert [entry.fault for entry in log] == ["error", "truncate", "reset_before", None, None]
    assert [entry.table for entry in log] == ["t"] * 5
    assert all(0 <= entry.seconds < 20 for entry in log)


def test_the_memory_of_failed_calls_is_bounded() -> None:
    """Requests that fail and are never repeated are forgotten."""
    log = RequestLog()
    numbers = [log.number(request, delivered=False) for request in range(3000)]
    assert len(log._failed) == 1000
    assert log.number(2999, delivered=True) == numbers[-1]
    assert log.number(0, delivered=True) == 3001


@pytest.mark.parametrize(
    ("operation", "message", "table"),
    [
        ("PutRow", pb2.PutRowRequest(table_name="t", row=b""), "t"),
        ("GetRow", pb2.GetRowRequest(table_name="x" * 200, primary_key=b""), "x" * 200),
        ("CreateTable", pb2.CreateTableRequest(table_meta=pb2.TableMeta(table_name="t")), "t"),
        ("BatchWriteRow", pb2.BatchWriteRowRequest(tables=[{"table_name": "a"}, {"table_name": "b"}]), "a"),
        ("ListTable", pb2.ListTableRequest(), None),
        ("CommitTransaction", pb2.CommitTransactionRequest(transaction_id="t"), None),
    ],
)
def test_a_table_is_found_in_the_request(operation: str, message: Any, table: str | None) -> None:
    """The first table that a request names is shown, whatever the message."""
    assert table_named(operation, message.SerializePartialToString()) == table


@pytest.mark.parametrize(
    "body", [b"", b"\x0a", b"\x0a\xff", b"\x0a\xff\xff\xff\xff\xff\xff", b"\x0a\x02\xff\xfe", b"{}"]
)
def test_a_body_that_is_no_message_is_no_failure(body: bytes) -> None:
    """Whatever was sent, the log has an entry."""
    for operation in ("PutRow", "BatchWriteRow"):
        assert len(table_named(operation, body) or "") <= 255


@pytest.fixture
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fail to resolve any name but addresses of this machine; return the names that were asked for."""
    asked: list[str] = []
    resolve = socket.getaddrinfo

    def refuse(host: Any, *arguments: Any, **options: Any) -> Any:
        if (host.decode() if isinstance(host, bytes) else host) not in ("127.0.0.1", "localhost", "::1"):
            asked.append(str(host))
            raise socket.gaierror(socket.EAI_NONAME, "the test allows no other host")
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


def test_its_clients_reach_no_other_host(emulator: Emulator, only_this_machine: list[str]) -> None:
    """Rows, identity, a role and the instance's role all come from the emulator, by its settings alone."""
    with OTSClient(settings=emulator.settings) as client:
        client.list_table()
        assert client.identity().arn.endswith(":user/emulator")
    role = emulator.settings_for("demo", role_arn="acs:ram::1234567890123456:role/reader")
    with create_client(settings=role) as client:
        client.list_table()
        assert "reader" in client.identity().arn
    with create_client(settings=emulator.settings_for("demo", credentials="ecs")) as client:
        client.list_table()
        assert "emulator-role" in client.identity().arn
    assert only_this_machine == []
    assert {entry["operation"] for entry in emulator.log()} == {"ListTable", "sts", "metadata"}


def test_its_variables_are_enough(
    emulator: Emulator,
    only_this_machine: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A program with the printed variables reaches the emulator and nothing else, without a warning."""
    for name, value in emulator.environment_for("demo").items():
        monkeypatch.setenv(name, value)
    with create_client() as client:
        client.list_table()
        client.identity()
    assert only_this_machine == []
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_an_emulator_on_all_addresses_is_reached_on_this_machine() -> None:
    """Its settings and variables have an address that clients can use."""
    with Emulator(host="0.0.0.0") as emulator, OTSClient(settings=emulator.settings) as client:  # noqa: S104  for a moment
        client.list_table()
        assert client.identity().arn
        assert emulator.environment_for("demo")["OTS_ENDPOINT"] == f"http://127.0.0.1:{emulator.port}"


def test_watchers_see_requests_in_the_servers_thread(emulator: Emulator) -> None:
    """A watcher is called once for each request until it is removed."""
    seen: list[tuple[str, str]] = []

    def watcher(entry: LogEntry) -> None:
        seen.append((entry.operation, threading.current_thread().name))

    emulator.watch(watcher)
    with OTSClient(settings=emulator.settings) as client:
        client.list_table()
        emulator.unwatch(watcher)
        client.list_table()
    assert seen == [("ListTable", "ots-emulator")]
