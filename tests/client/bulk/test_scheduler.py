"""The scheduler of bulk writes, by itself: how many batches, of which rows, and when again."""

from itertools import pairwise
from typing import Any

import pytest

from ots_config import ServiceError
from ots_config.client.backoff import MAX_DELAY, JobBackoff
from ots_config.client.bulk import BulkLimits
from ots_config.client.bulk.pending import RowBatch
from ots_config.client.bulk.scheduler import Scheduler
from ots_config.errors import ResponseLost
from ots_config.sdk import tablestore as ts


def make_scheduler(**given: Any) -> Scheduler:
    """Return a scheduler, by default of four batches of ten rows."""
    limits = {"concurrency": 4, "max_rows": 10, "max_bytes": 1000, "retry_for": 60.0, "start": 0}
    return Scheduler(BulkLimits(**{**limits, "on_failure": "collect", **given}), retry_writes=False)


def add(scheduler: Scheduler, size: int = 10) -> None:
    """Add a row of a key of its own."""
    scheduler.add(ts.Row([("id", scheduler.position)], []), b"", size, scheduler.position)


def fill(scheduler: Scheduler, size: int = 10) -> int:
    """Add rows as long as there is room, and return how many."""
    added = 0
    while scheduler.free_rows:
        add(scheduler, size)
        added += 1
    return added


def send_all(scheduler: Scheduler, now: float) -> list[RowBatch]:
    """Return every batch that may be sent now."""
    sent = []
    while (batch := scheduler.next_batch(now)) is not None:
        sent.append(batch)
        fill(scheduler)
    return sent


def test_rows_in_flight_at_a_second_interrupt() -> None:
    """A job that is left while a batch is in flight reports its rows as open, and those never sent as not sent."""
    scheduler = make_scheduler(concurrency=1)
    fill(scheduler)
    batch = scheduler.next_batch(0.0)
    assert batch is not None
    batch.started = True
    scheduler.stop()
    scheduler.add_unsent("read and not taken")
    report = scheduler.close(1.5, 0.0)
    reported = [(row.code, row.may_have_happened) for row in report.failed]
    assert reported == [("ResponseLost", True)] * 10 + [("NotSent", False)] * 11
    assert (report.failed[-1].item, report.resume_from, report.elapsed) == ("read and not taken", 0, 1.5)


def test_look_ahead_is_bounded_by_bytes_as_well() -> None:
    """Of large rows fewer are read."""
    assert fill(make_scheduler()) == 50
    assert fill(make_scheduler(), size=500) == 10


def test_throttled_batches_halve_the_window_and_good_ones_open_it_slowly() -> None:
    """Batches of one throttle count once; the window goes from 8 to 4, to 1, and back by less than one for each."""
    scheduler = make_scheduler(concurrency=8)
    fill(scheduler)
    busy = ServiceError(503, "OTSServerBusy", "")
    now = 0.0
    sizes = []
    for _ in range(4):
        sent = send_all(scheduler, now)
        sizes.append(len(sent))
        for batch in sent:
            batch.outcome = busy
            scheduler.complete(batch, now)
        now += 2 * MAX_DELAY
    assert sizes == [8, 4, 2, 1]
    sizes.clear()
    for _ in range(8):
        sent = send_all(scheduler, now)
        sizes.append(len(sent))
        for batch in sent:
            batch.outcome = {}
            scheduler.complete(batch, now)
    assert sizes[0] == 1
    assert sizes == sorted(sizes)
    assert all(later - sooner <= 1 for sooner, later in pairwise(sizes))
    assert sizes[-1] > 4


def test_rows_to_be_tried_again_do_not_wait_for_a_full_batch() -> None:
    """When their time has come they go with what else is ready, though the input has more."""
    scheduler = make_scheduler()
    for _ in range(10):
        add(scheduler)
    batch = scheduler.next_batch(0.0)
    assert batch is not None
    batch.outcome = dict.fromkeys(range(3), ServiceError(200, "OTSServerBusy", ""))
    scheduler.complete(batch, 0.0)
    assert scheduler.free_rows
    assert scheduler.next_batch(0.0) is None
    delay = scheduler.retry_delay(0.0)
    assert delay is not None
    assert 0.1 <= delay <= 0.2
    again = scheduler.next_batch(0.2)
    assert again is not None
    assert sorted(row.position for row in again.rows) == [0, 1, 2]


def test_requests_that_the_client_itself_sent_again_close_the_window_too() -> None:
    """A batch that took retries narrows the window, though it succeeded in the end."""
    scheduler = make_scheduler(concurrency=2)
    fill(scheduler)
    sent = send_all(scheduler, 0.0)
    sent[0].outcome = {}
    sent[0].retries = 3
    scheduler.complete(sent[0], 0.0)
    assert scheduler.next_batch(0.0) is None


def test_delays_grow_and_the_last_try_comes_at_the_end() -> None:
    """The delays grow to their longest, the last is cut to what is left, and a service's own wish is heard."""
    backoff = JobBackoff(100.0)
    now, delays = 0.0, []
    while (delay := backoff.delay(ResponseLost("x"), now)) is not None:
        delays.append(delay)
        now += delay
    assert now == pytest.approx(100.0)
    assert 0.1 <= delays[0] <= 0.2
    assert all(MAX_DELAY / 2 <= delay <= MAX_DELAY for delay in delays[7:-1])
    asked = ServiceError(503, "OTSServerBusy", "")
    asked.retry_after = 30.0
    assert JobBackoff(100.0).delay(asked, 0.0) == 30.0
    assert JobBackoff(0.0).delay(asked, 0.0) is None
