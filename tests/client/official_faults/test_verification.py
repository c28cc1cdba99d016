"""Faults of the official client's checks of a response: clocks, signatures, headers."""

import inspect
import logging
import time
from datetime import UTC, datetime, timedelta

import pytest

from ots_config import AuthenticationFailed, Emulator, NoRetryPolicy, ResponseInvalid
from ots_config.request import signing
from ots_config.request.signing import verify_response
from ots_config.sdk import OTSProtocol, pb2
from ots_config.sdk import tablestore as ts
from tests.client.errors import error_of
from tests.client.official_faults.comparison import SEEN, Make
from tests.client.official_faults.impostor import Impostor, signed_headers


def test_clocks_are_compared_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Around each change to and from summer time a second is a second, and 59 minutes are 59 minutes."""
    edges = [datetime(2026, month, day, hour, tzinfo=UTC) for month, day in ((3, 8), (11, 1)) for hour in range(4)]
    protocol = OTSProtocol("demo", "utf8", logging.getLogger("unused"))
    theirs: set[tuple[str, bool]] = set()
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        for edge in edges:
            for name, now, server in (
                ("1 s", edge - timedelta(seconds=1), edge),
                ("59 min", edge + timedelta(minutes=1), edge + timedelta(hours=1)),
            ):
                headers = {key.lower(): value for key, value in signed_headers("/X", b"", server).items()}
                answer = ("/X", 200, headers, b"")
                check = {"access_key_id": "testid", "key": b"testsecret", "now": now.timestamp()}
                if name == "1 s":
                    verify_response(*answer, **check)
                else:
                    with pytest.raises(ResponseInvalid, match="more than 15 minutes"):
                        verify_response(*answer, **check)
                monkeypatch.setattr(ts.utils, "get_now_utc_datetime", lambda now=now: now)
                try:
                    protocol._check_headers(headers, b"", status=200)
                except ts.OTSClientError:
                    theirs.add((name, False))
                else:
                    theirs.add((name, True))
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    if SEEN:
        assert {("1 s", False), ("59 min", True)} <= theirs


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature of an answer goes through ``hmac.compare_digest``."""
    compared: list[bytes] = []
    genuine = signing.hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return genuine(one, other)

    headers = {key.lower(): value for key, value in signed_headers("/X", b"").items()}
    monkeypatch.setattr(signing.hmac, "compare_digest", compare)
    verify_response("/X", 200, headers, b"", access_key_id="testid", key=b"testsecret", now=time.time())
    assert headers["authorization"].partition(":")[2].encode() in compared
    if SEEN:
        source = inspect.getsource(OTSProtocol._check_authorization)
        assert "compare_digest" not in source
        assert "signature != " in source


@pytest.mark.parametrize("header", ["OTS testid", "OTS ", "OTS a:b:c", "Bearer testid:x", ""])
def test_a_malformed_authorization_is_one_clear_error(
    impostor: Impostor, ours: Make, official: Make, header: str
) -> None:
    """An ``Authorization`` that cannot be read is an answer that is not the service's, not a ``ValueError``."""
    body = pb2.ListTableResponse(table_names=["t"]).SerializeToString()
    impostor.respond = lambda path, *_: (200, {**signed_headers(path, body), "Authorization": header}, body)
    error = error_of(ours(endpoint=impostor.endpoint, retry_policy=NoRetryPolicy()).list_table)
    assert isinstance(error, ResponseInvalid)
    if SEEN and header == "OTS testid":
        raw = error_of(official(end_point=impostor.endpoint).list_table, Exception)
        assert type(raw) is ValueError


def test_a_wrong_clock_is_told_in_the_services_words(emulator: Emulator, ours: Make, official: Make) -> None:
    """A clock that is off is corrected once; where that does not help, the error says what the service said."""
    emulator.fault(kind="skew", seconds=1200)
    assert ours().list_table() == ("t",)
    if SEEN:
        assert "difference between date" in str(error_of(official().list_table, ts.OTSClientError))
    emulator.clear_faults()
    words = "Mismatch between system time and x-ots-date: 2026-01-01T00:00:00.000Z."
    emulator.fault(kind="error", code="OTSAuthFailed", status=403, message=words)
    error = error_of(ours().list_table)
    assert isinstance(error, AuthenticationFailed)
    assert words in str(error)
    assert error.clock_offset is not None
