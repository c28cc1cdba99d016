"""``scan`` against the emulator: every row of a range once, in order, over pages, filters and failures."""

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ots_config import AsyncOTSClient, Emulator, NoRetryPolicy, OTSClient, ResponseInvalid, ServiceError
from ots_config.client import scan as scan_module
from ots_config.client.scan import Scan
from ots_config.sdk import tablestore as ts
from tests.client.tables import KEY_COLUMNS, create_table

ONCE = NoRetryPolicy()
COUNT = 300


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    """One emulator for this module, with 300 rows in the table ``t``, three to each ``gid``, and an empty table."""
    with Emulator() as emulator:
        with OTSClient(settings=emulator.settings) as client:
            create_table(client, "t", KEY_COLUMNS)
            create_table(client, "empty", [("id", "BINARY")])
            client.bulk_write("t", (ts.Row(key(n), [("n", n), ("half", n // 2)]) for n in range(COUNT)))
        yield emulator


@pytest.fixture
def emulator(running: Emulator) -> Emulator:
    """Return the module's emulator, which no test changes, without faults and log."""
    running.clear_faults()
    running.clear_log()
    return running


def key(number: int) -> list[tuple[str, Any]]:
    """Return the key of a row."""
    return [("gid", number // 3), ("uid", "abc"[number % 3])]


def keys(rows: Any) -> list[int]:
    """Return the numbers of rows, from their keys."""
    return [row.primary_key[0][1] * 3 + "abc".index(row.primary_key[1][1]) for row in rows]


def pages(emulator: Emulator) -> list[dict[str, Any]]:
    """Return the log of the pages."""
    return [entry for entry in emulator.log() if entry["operation"] == "GetRange"]


# --- ranges ------------------------------------------------------------------------------------------------------


def test_a_whole_table_in_both_directions(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Without bounds the table's own key gives them; pages are as large as asked for."""
    client = connect()
    assert keys(client.scan("t")) == list(range(COUNT))
    assert keys(client.scan("t", direction="BACKWARD", page_size=70)) == list(reversed(range(COUNT)))
    assert len(pages(emulator)) == 1 + 5
    assert list(client.scan("empty")) == []


def test_nothing_is_asked_before_the_first_row(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Making a scan costs no request, and a range that is given costs no look at the table."""
    client = connect()
    scan = client.scan("t", key(10), key(14))
    assert emulator.log() == []
    assert keys(scan) == [10, 11, 12, 13]
    assert [entry["operation"] for entry in emulator.log()] == ["GetRange"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"start": key(290)}, range(290, 300)),
        ({"end": key(5)}, range(5)),
        ({"start": key(5), "direction": "BACKWARD"}, range(5, -1, -1)),
        ({"end": key(295), "direction": "BACKWARD"}, range(299, 295, -1)),
        ({"start": [("gid", 2), ("uid", ts.INF_MIN)], "end": [("gid", 2), ("uid", ts.INF_MAX)]}, range(6, 9)),
        ({"start": key(5), "limit": 4}, range(5, 9)),
        ({"limit": 0}, range(0)),
        ({"limit": 10, "page_size": 4}, range(10)),
    ],
)
def test_ranges_and_limits(connect: Callable[..., OTSClient], given: dict[str, Any], expected: range) -> None:
    """The start belongs to the range, the end does not; one that is left out is the end of the table."""
    assert keys(connect().scan("t", **given)) == list(expected)


def test_what_is_read_of_a_row(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Columns, versions and a filter are those of ``get_range``; a limit counts rows that pass the filter."""
    client = connect()
    odd = ts.SingleColumnCondition("half", 100, ts.ComparatorType.GREATER_EQUAL)
    rows = list(client.scan("t", filter=odd, columns=["half", "n"], limit=7, page_size=10))
    assert keys(rows) == list(range(200, 207))
    assert [column[0] for column in rows[0].attribute_columns] == ["half", "n"]
    emulator.clear_log()
    assert keys(client.scan("t", filter=odd, limit=7)) == list(range(200, 207))
    assert len(pages(emulator)) == 1
    written = rows[0].attribute_columns[0][2]
    assert len(list(client.scan("t", max_version=None, time_range=(0, written)))) == COUNT
    assert not any(row.attribute_columns for row in client.scan("t", max_version=1, time_range=(0, 1)))


def test_a_scan_within_a_transaction(connect: Callable[..., OTSClient]) -> None:
    """Rows that a local transaction has written are seen in it, and not outside."""
    client = connect()
    transaction = client.start_local_transaction("t", [("gid", 7)])
    client.put_row("t", ts.Row([("gid", 7), ("uid", "d")], []), transaction_id=transaction)
    within = {"start": [("gid", 7), ("uid", ts.INF_MIN)], "end": [("gid", 7), ("uid", ts.INF_MAX)]}
    assert len(list(client.scan("t", **within, transaction_id=transaction))) == 4
    assert len(list(client.scan("t", **within))) == 3
    client.abort_transaction(transaction)


# --- where it stands -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["FORWARD", "BACKWARD"])
@pytest.mark.parametrize("stop", [1, 5, 49, 50, 51, 299])
def test_another_scan_goes_on_from_next_key(connect: Callable[..., OTSClient], direction: Any, stop: int) -> None:
    """Wherever the first scan stops, within a page or at its end, both together return each row once."""
    client = connect()
    first = client.scan("t", direction=direction, page_size=50)
    rows = [next(first) for _ in range(stop)]
    assert not first.done
    second = client.scan("t", first.next_key, direction=direction)
    rows += second
    assert sorted(keys(rows)) == list(range(COUNT))
    assert second.done
    assert second.next_key is None
    assert "done" in repr(second)


def test_a_limit_leaves_the_place_to_go_on(connect: Callable[..., OTSClient]) -> None:
    """A scan that its limit has ended knows the next key and is not done, also when a filter has read too far."""
    client = connect()
    scan = client.scan("t", limit=20)
    assert keys(scan) == list(range(20))
    assert (scan.next_key, scan.done) == (key(20), False)
    anything = ts.SingleColumnCondition("n", 0, ts.ComparatorType.GREATER_EQUAL)
    scan = client.scan("t", limit=20, filter=anything)
    assert keys(scan) == list(range(20))
    assert (scan.next_key, scan.done) == (key(20), False)
    assert list(scan) == []


# --- failures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["FORWARD", "BACKWARD"])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "code": "OTSServerUnavailable"},
        {"kind": "reset_after"},
        {"kind": "status", "status": 502},
        {"kind": "truncate"},
        {"kind": "corrupt_signature"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_every_row_once_over_failing_pages(
    emulator: Emulator, connect: Callable[..., OTSClient], fault: dict[str, Any], direction: Any
) -> None:
    """Errors, lost answers, gateway pages and forged answers in mid-scan: the rows are complete and in order."""
    scan = connect(retry_policy=ONCE).scan("t", page_size=50, direction=direction)
    rows = [next(scan) for _ in range(75)]
    emulator.fault(operation="GetRange", **fault, count=2)
    rows += scan
    expected = list(range(COUNT))
    assert keys(rows) == (expected if direction == "FORWARD" else expected[::-1])
    assert len(pages(emulator)) == COUNT // 50 + 2


def test_the_look_at_the_table_is_tried_again_too(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A scan of a whole table begins although its first request is refused."""
    emulator.fault(operation="DescribeTable", kind="error", code="OTSServerBusy", count=1)
    assert keys(connect(retry_policy=ONCE).scan("t")) == list(range(COUNT))


def test_after_retry_for_the_error_is_raised_and_the_scan_can_go_on(
    emulator: Emulator, connect: Callable[..., OTSClient]
) -> None:
    """A page that keeps failing ends in its error; the scan knows its next key, and ``next`` tries again."""
    scan = connect(retry_policy=ONCE).scan("t", page_size=10, retry_for=0.3)
    rows = [next(scan) for _ in range(10)]
    emulator.fault(operation="GetRange", kind="error", code="OTSServerBusy")
    with pytest.raises(ServiceError, match="OTSServerBusy"):
        next(scan)
    assert len([entry for entry in pages(emulator) if entry["status"] == 503]) >= 2
    assert scan.next_key == key(10)
    emulator.clear_log()
    with pytest.raises(ServiceError, match="OTSServerBusy"):
        next(scan)
    assert len(pages(emulator)) >= 2
    emulator.clear_faults()
    rows += scan
    assert keys(rows) == list(range(COUNT))


def test_without_retry_for_the_first_failure_is_raised(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """With ``retry_for=0`` the first failure is raised."""
    emulator.fault(operation="GetRange", kind="corrupt_md5", count=1)
    scan = connect(retry_policy=ONCE).scan("t", retry_for=0)
    with pytest.raises(ResponseInvalid):
        next(scan)
    assert len(pages(emulator)) == 1
    assert keys(scan) == list(range(COUNT))


def test_what_would_fail_again_is_raised_at_once(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A table that is not there, or a range that is none, is not asked for twice."""
    client = connect()
    with pytest.raises(ServiceError, match="OTSObjectNotExist"):
        next(client.scan("absent"))
    with pytest.raises(ServiceError, match="Begin key must less than end key"):
        next(client.scan("t", key(3), key(2)))
    assert len(emulator.log()) == 2


def test_the_server_restarts_in_mid_scan(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A scan goes on over a restart of the server."""
    scan = connect().scan("t", page_size=30)
    rows = [next(scan) for _ in range(100)]
    emulator.stop()
    emulator.start()
    rows += scan
    assert keys(rows) == list(range(COUNT))


def test_tasks_do_what_threads_do(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """The asyncio client's scan is an asynchronous iterator with the same decisions."""
    emulator.fault(operation="GetRange", kind="reset_after", rate=0.4, seed=2)

    async def main() -> None:
        async with AsyncOTSClient(settings=emulator.settings, retry_policy=ONCE) as client:
            scan = client.scan("t", direction="BACKWARD", page_size=40, limit=250)
            rows = [row async for row in scan]
            assert keys(rows) == list(range(299, 49, -1))
            assert (scan.next_key, scan.done) == (key(49), False)
            rest = client.scan("t", scan.next_key, direction="BACKWARD")
            assert [row async for row in rest][-1].primary_key == key(0)
            assert rest.done

    asyncio.run(main())
    assert any(entry["status"] is None for entry in pages(emulator))


# --- arguments and pages that the emulator has none of ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"), [("direction", "SIDEWAYS"), ("limit", -1), ("page_size", 0), ("retry_for", -1.0)]
)
def test_arguments_that_cannot_be(connect: Callable[..., OTSClient], name: str, value: Any) -> None:
    """They are refused when the scan is made."""
    given = {name: value}
    with pytest.raises(ValueError, match=name):
        connect().scan("t", **given)


class ScriptedClient:
    """Returns pages, or raises errors, in their order.

    Attributes:
        asked: The arguments of each call.
    """

    def __init__(self, *outcomes: Any) -> None:
        self.asked: list[dict[str, Any]] = []
        self._outcomes = iter(outcomes)

    def get_range(self, **arguments: Any) -> Any:
        """Return the next page."""
        self.asked.append(arguments)
        outcome = next(self._outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def scan_of(client: ScriptedClient) -> Scan:
    """Return a scan of what a client returns."""
    return Scan(client, "t", key(0), key(9), direction="FORWARD", limit=None, page_size=None, retry_for=60.0)


def test_progress_starts_the_delays_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that fail now and then do not add up: after each page that was read the delays begin anew."""
    delays: list[float] = []
    monkeypatch.setattr(scan_module, "time", SimpleNamespace(sleep=delays.append, monotonic=lambda: sum(delays)))
    busy = ServiceError(503, "OTSServerBusy", "")
    first, second = ((None, key(n + 1), [ts.Row(key(n), [])], b"") for n in range(2))
    scan = scan_of(ScriptedClient(*[busy] * 5, first, busy, second))
    assert next(scan).primary_key == key(0)
    assert len(delays) == 5
    assert delays[4] > 1
    assert next(scan).primary_key == key(1)
    assert delays[5] <= 0.2


def test_a_row_that_pages_cut_is_one_row() -> None:
    """A row too wide for a page comes with a token, which the next request returns."""
    wide = ts.Row(key(1), [("a", 1, 5)])
    client = ScriptedClient(
        (None, None, [ts.Row(key(0), []), wide], b"token"),
        (None, None, [ts.Row(key(1), [("b", 2, 5)]), ts.Row(key(2), [])], b""),
    )
    scan = scan_of(client)
    assert next(scan).primary_key == key(0)
    assert scan.next_key == key(1)
    assert not scan.done
    assert next(scan).attribute_columns == [("a", 1, 5), ("b", 2, 5)]
    assert (client.asked[1]["token"], client.asked[1]["inclusive_start_primary_key"]) == (b"token", key(1))
    assert next(scan).primary_key == key(2)
    assert scan.done
