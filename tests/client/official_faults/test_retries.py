"""Faults of the official client's retries: what it does not send again, or sends again with the old signature."""

import time
from datetime import UTC, datetime, timedelta

import pytest
import urllib3.exceptions

from ots_config import AsyncOTSClient, Credentials, Emulator, NoRetryPolicy, ResponseInvalid, ServiceError
from ots_config.request import attempt as exchange
from ots_config.sdk import tablestore as ts
from tests.client.errors import error_of
from tests.client.official_faults.comparison import (
    FAST,
    KEY,
    ROW,
    SEEN,
    FastWrites,
    Make,
    OfficialFastWrites,
    requests_of,
)
from tests.client.official_faults.impostor import Impostor

PAGE = "<html><body>Bad Gateway</body></html>"


def test_update_row_is_a_write_that_the_write_policy_retries(emulator: Emulator, ours: Make, official: Make) -> None:
    """Under ``WriteRetryPolicy`` an UpdateRow is sent again as a PutRow is; and the reads of time series still are."""
    change = ts.Row(KEY, {"PUT": [("n", 2)]})
    for operation in ("PutRow", "UpdateRow"):
        emulator.fault(operation=operation, kind="error", code="OTSTimeout", count=1)
    client = ours(retry_policy=FastWrites())
    assert requests_of(emulator, lambda: client.put_row("t", ROW)) == 2
    # With a DescribeTable between them: the cell has no timestamp, which is safe in a table with one version.
    assert requests_of(emulator, lambda: client.update_row("t", change, None)) == 3
    lost = ServiceError(503, "OTSTimeout", "")
    lost.reads = True
    assert FastWrites().should_retry(0, lost, "GetTimeseriesData")
    if SEEN:
        emulator.fault(operation="UpdateRow", kind="error", code="OTSTimeout", count=1)
        other = official(retry_policy=OfficialFastWrites())
        assert requests_of(emulator, lambda: other.update_row("t", change, ts.Condition("IGNORE"))) == 1
        assert not OfficialFastWrites().should_retry(0, lost, "GetTimeseriesData")


def test_failures_of_the_network_are_retried_and_typed(emulator: Emulator, ours: Make, official: Make) -> None:
    """A reset costs a read one more request, and what is raised in the end is an error of the official tree."""
    emulator.fault(operation="GetRow", kind="reset_before", count=1)
    assert requests_of(emulator, lambda: ours().get_row("t", KEY, max_version=1)) == 2
    emulator.fault(operation="GetRow", kind="reset_before")
    strict = ours(retry_policy=NoRetryPolicy())
    assert isinstance(error_of(lambda: strict.get_row("t", KEY, max_version=1)), ts.OTSClientError)
    if SEEN:
        emulator.clear_log()
        raw = error_of(lambda: official().get_row("t", KEY, max_version=1), Exception)
        assert isinstance(raw, urllib3.exceptions.HTTPError)
        assert not isinstance(raw, ts.OTSError)
        assert len(emulator.log()) == 1


@pytest.mark.asyncio
async def test_failures_of_the_network_are_retried_and_typed_from_asyncio(emulator: Emulator) -> None:
    """The asynchronous client retries and types them alike; no error of aiohttp's leaves it."""
    emulator.fault(operation="GetRow", kind="reset_before", count=1)
    keys = ("testid", "testsecret", "demo")
    async with AsyncOTSClient(emulator.endpoint, *keys, retry_policy=FAST) as client:
        await client.get_row("t", KEY, max_version=1)
        assert len(emulator.log()) == 2
        emulator.fault(operation="GetRow", kind="reset_before")
        with pytest.raises(ts.OTSClientError):
            await client.get_row("t", KEY, max_version=1)
    if SEEN:
        async with ts.AsyncOTSClient(emulator.endpoint, *keys) as other:
            with pytest.raises(Exception) as caught:  # noqa: PT011 - that it is any error at all is the fault
                await other.get_row("t", KEY, max_version=1)
            assert not isinstance(caught.value, ts.OTSError)


class Rotating:
    """A provider that hands out another temporary key each time, at once."""

    instant = True

    def __init__(self, emulator: Emulator) -> None:
        self.asked = 0
        self._emulator = emulator

    def get_credentials(self) -> Credentials:
        """Return a new key."""
        self.asked += 1
        key = self._emulator.issue_key()
        return Credentials(key["AccessKeyId"], key["AccessKeySecret"], key["SecurityToken"])


def test_each_attempt_is_dated_and_signed_anew(
    emulator: Emulator, ours: Make, official: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three attempts ask the provider three times and carry three dates and three tokens."""

    def seen(make: Make) -> tuple[int, int, int]:
        emulator.clear_log()
        emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", count=2)
        provider = Rotating(emulator)
        make(access_key_id=None, access_key_secret=None, credentials_provider=provider).put_row("t", ROW)
        log = emulator.log()
        assert [entry["status"] for entry in log] == [503, 503, 200]
        return provider.asked, len({entry["x_ots_date"] for entry in log}), len({entry["token"] for entry in log})

    moments = iter(range(100))

    class Clock:
        @staticmethod
        def time() -> float:
            return time.time() + 2 * next(moments)

    monkeypatch.setattr(exchange, "time", Clock)
    assert seen(ours) == (3, 3, 3)
    if SEEN:
        monkeypatch.setattr(
            ts.utils, "get_now_utc_datetime", lambda: datetime.now(UTC) + timedelta(seconds=2 * next(moments))
        )
        assert seen(official) == (1, 1, 1)


def test_a_gateways_page_is_retried(emulator: Emulator, ours: Make, official: Make) -> None:
    """A 502 with HTML for a body is what a 502 is: a read is sent again."""
    emulator.fault(operation="ListTable", kind="status", status=502, body=PAGE, count=1)
    assert requests_of(emulator, ours().list_table) == 2
    if SEEN:
        emulator.fault(operation="ListTable", kind="status", status=502, body=PAGE, count=1)
        assert requests_of(emulator, official().list_table) == 1


def test_a_damaged_answer_is_asked_for_again(emulator: Emulator, ours: Make, official: Make) -> None:
    """A body that does not match its MD5 costs a read one more request."""
    emulator.fault(operation="ListTable", kind="corrupt_md5", count=1)
    assert requests_of(emulator, ours().list_table) == 2
    if SEEN:
        emulator.fault(operation="ListTable", kind="corrupt_md5", count=1)
        assert requests_of(emulator, official().list_table) == 1


@pytest.mark.skipif(not hasattr(ts.OTSClient, "list_knowledge_base"), reason="this version of the SDK has no such call")
def test_json_operations_are_retried_and_verified(
    emulator: Emulator, impostor: Impostor, ours: Make, official: Make
) -> None:
    """Operations that carry JSON are sent again as others are, and an unsigned answer to one is refused."""
    emulator.fault(operation="ListKnowledgeBase", kind="error", code="OTSServerBusy", count=1)
    assert requests_of(emulator, lambda: ours().list_knowledge_base({})) == 2
    client = ours(endpoint=impostor.endpoint, retry_policy=NoRetryPolicy())
    assert client.list_knowledge_base({})["a"] == 1
    impostor.respond = lambda *_: (200, {}, b'{"a":1}')
    assert isinstance(error_of(lambda: client.list_knowledge_base({})), ResponseInvalid)
    if SEEN:
        emulator.fault(operation="ListKnowledgeBase", kind="error", code="OTSServerBusy", count=1)
        assert requests_of(emulator, lambda: official().list_knowledge_base({})) == 1
        assert official(end_point=impostor.endpoint).list_knowledge_base({})["a"] == 1
