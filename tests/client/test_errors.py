"""``OTSClient`` against the emulator: every failure is one clear error, and no secret is logged or shown."""

import logging
import pickle
import socket
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from ots_config import (
    AuthenticationFailed,
    ConnectFailed,
    Credentials,
    CredentialsRefused,
    Emulator,
    NoDelayRetryPolicy,
    NoRetryPolicy,
    OTSClient,
    SettingsError,
    UntrustedServer,
)
from ots_config.sdk import tablestore as ts
from tests.client.errors import error_of
from tests.client.tables import KEY

FAST = NoDelayRetryPolicy()


def test_existing_except_clauses_work(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A service error is an ``OTSServiceError`` with its fields, all others are ``OTSClientError``."""
    client = connect(retry_policy=NoRetryPolicy())
    with pytest.raises(ts.OTSServiceError) as caught:
        client.get_row("none", KEY, max_version=1)
    service = caught.value
    assert (service.get_error_code(), service.get_http_status()) == ("OTSObjectNotExist", 404)
    assert service.get_request_id() == service.request_ids[0]
    assert str(service).startswith("ErrorCode: OTSObjectNotExist, ErrorMessage: ")
    emulator.fault(operation="GetRow", kind="reset_before")
    with pytest.raises(ts.OTSClientError):
        client.get_row("t", KEY, max_version=1)
    with pytest.raises(ts.OTSClientError):
        client.put_row("t", ts.Row(KEY, [("x", object())]))
    with pytest.raises(ts.OTSClientError):
        OTSClient("ftp://x", "a", "b", "demo")


def test_a_wrong_secret_is_one_error(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A wrong secret ends after one attempt, never in a loop."""
    error = error_of(connect(access_key_secret="wrong-one").list_table)
    assert isinstance(error, AuthenticationFailed)
    assert "Signature mismatch" in str(error)
    assert len(emulator.log()) == 1


def test_a_wrong_key_is_one_error(connect: Callable[..., OTSClient]) -> None:
    """An unknown key is reported in the service's words, with the masked key and its source."""
    error = error_of(connect(access_key_id="LTAI5tUnknownKey0000").list_table)
    assert "does not exist" in str(error)
    assert error.access_key_id == "LTAI5t****0000"
    assert "LTAI5tUnknownKey0000" not in str(error)


def test_a_missing_instance_is_one_error(connect: Callable[..., OTSClient]) -> None:
    """An instance that is not there is shown in the service's words."""
    assert isinstance(error_of(connect(instance_name="nowhere").list_table), AuthenticationFailed)


def test_a_clock_off_by_twenty_minutes_is_healed(
    emulator: Emulator, connect: Callable[..., OTSClient], caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong clock costs one refused attempt; then requests carry the service's time."""
    client = connect()
    emulator.fault(kind="skew", seconds=1200)
    assert client.list_table() == ("t",)
    assert client.list_table() == ("t",)
    assert [entry["status"] for entry in emulator.log()] == [403, 200, 200]
    assert sum("clock differs" in record.message for record in caplog.records) == 1


def test_a_closed_port_fails_within_the_deadline() -> None:
    """A server that is not there ends in ``ConnectFailed`` when the deadline leaves no time for another try."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with OTSClient(f"http://127.0.0.1:{port}", "testid", "testsecret", "demo", deadline=0.5) as client:
        error = error_of(client.list_table)
    assert isinstance(error, ConnectFailed)
    assert error.attempts > 1
    assert not error.may_have_happened


def test_a_certificate_that_certifi_does_not_know() -> None:
    """An unknown authority is refused at once, and the error names the hint; with its bundle it is trusted."""
    with Emulator(tls=True) as emulator:
        keys = (emulator.access_key_id, emulator.access_key_secret, emulator.instance_name)
        with OTSClient(emulator.endpoint, *keys) as client:
            error = error_of(client.list_table)
        assert isinstance(error, UntrustedServer)
        assert "ca_bundle" in str(error)
        assert error.attempts == 1
        with OTSClient(emulator.endpoint, *keys, ca_bundle=emulator.ca_bundle) as client:
            assert client.list_table() == ()
        with OTSClient(settings=emulator.settings) as client:
            assert client.list_table() == ()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"endpoint": "http://instance.cn-hangzhou.ots.aliyuncs.com"}, "endpoint"),
        ({"encoding": "utf9"}, "encoding"),
        ({"socket_timeout": 0}, "socket_timeout"),
        ({"max_connection": 0}, "max_connection"),
        ({"no_such_setting": 1}, "no_such_setting"),
        ({"retry_policy": "sometimes"}, "retry_policy"),
        ({"ssl_version": 1}, "ssl_version"),
        ({"access_key_id": None, "access_key_secret": None}, "access_key_id"),
    ],
)
def test_bad_arguments_are_one_error(changes: dict[str, Any], field: str) -> None:
    """What cannot be used is refused when the client is made, by the field's name and without the secret."""
    given = {
        "endpoint": "http://127.0.0.1:1",
        "access_key_id": "testid",
        "access_key_secret": "s3cr3t-one",
        "instance_name": "demo",
    }
    with pytest.raises(SettingsError) as caught:
        OTSClient(**{**given, **changes})
    assert isinstance(caught.value, ts.OTSClientError)
    assert field in str(caught.value)
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.args)


def test_settings_stand_alone(emulator: Emulator) -> None:
    """A setting beside ``settings=`` is a clear error, not a silent winner."""
    with pytest.raises(SettingsError, match="encoding"):
        OTSClient(settings=emulator.settings, encoding="gbk")


def test_a_failing_provider_is_one_error(connect: Callable[..., OTSClient]) -> None:
    """Whatever a provider raises becomes an error of ours, without its text, which may hold secrets."""

    class Broken:
        def get_credentials(self) -> Credentials:
            raise ValueError("token=s3cr3t")

    client = connect(access_key_id=None, access_key_secret=None, credentials_provider=Broken())
    error = error_of(client.list_table)
    assert isinstance(error, CredentialsRefused)
    assert isinstance(error, ts.OTSClientError)
    assert "s3cr3t" not in "".join(traceback.format_exception(error))


def test_one_record_per_request_and_per_failure(
    emulator: Emulator, connect: Callable[..., OTSClient], caplog: pytest.LogCaptureFixture
) -> None:
    """Requests are logged at DEBUG; only a failed call, not a retried attempt, is an ERROR."""
    caplog.set_level(logging.DEBUG, "my-ots")
    client = connect(logger_name="my-ots", retry_policy=FAST)
    emulator.fault(operation="ListTable", kind="error", code="OTSServerBusy", count=1)
    client.list_table()
    assert [record.levelname for record in caplog.records].count("ERROR") == 0
    assert sum("ListTable with key" in record.message for record in caplog.records) == 2
    error_of(lambda: client.describe_table("none"))
    assert [record.levelname for record in caplog.records].count("ERROR") == 1


def test_a_refused_key_that_does_not_change(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """The error says that the source was asked again and had no other key."""
    error = error_of(connect(access_key_secret="wrong").list_table)
    assert any("asked for credentials again and returned the same key" in note for note in error.__notes__)


def test_a_condition_that_does_not_hold_is_no_error_record(
    emulator: Emulator, connect: Callable[..., OTSClient], caplog: pytest.LogCaptureFixture
) -> None:
    """It is an answer that the program asked for, so the log shows it at DEBUG only."""
    client = connect()
    row = ts.Row(KEY, [("v", 1)])
    error = error_of(lambda: client.put_row("t", row, ts.Condition(ts.RowExistenceExpectation.EXPECT_EXIST)))
    assert error.code == "OTSConditionCheckFail"
    assert [record.levelname for record in caplog.records].count("ERROR") == 0


def test_no_secret_is_ever_shown(
    emulator: Emulator, connect: Callable[..., OTSClient], caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG, through success and every failure, no secret, token or signature is in a log, an error or a frame."""
    caplog.set_level(logging.DEBUG)
    key = emulator.issue_key()
    secrets = [key["AccessKeySecret"], key["SecurityToken"]]
    client = connect(
        access_key_id=key["AccessKeyId"],
        access_key_secret=key["AccessKeySecret"],
        sts_token=key["SecurityToken"],
        retry_policy=NoDelayRetryPolicy(max_retry_times=1),
    )
    row = ts.Row(KEY, [("n", 1)])  # the SDK cannot show a row with a bytearray
    client.put_row("t", row)
    shown = [repr(client), str(client), repr(vars(client))]
    kinds = ("error", "status", "reset_before", "reset_after", "truncate", "corrupt_signature", "corrupt_md5")
    for kind in kinds:
        emulator.clear_faults()
        extra = {"error": {"code": "OTSAuthFailed"}, "status": {"status": 502, "body": "x"}}.get(kind, {})
        emulator.fault(operation="PutRow", kind=kind, **extra)
        error = error_of(lambda: client.put_row("t", row))
        shown += [str(error), repr(error), repr(error.args), repr(vars(error)), repr(pickle.loads(pickle.dumps(error)))]
        shown += [repr(pickle.dumps(error))]
        shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
        context = error.__context__
        assert context is None
    shown += [record.getMessage() for record in caplog.records]
    everything = "\n".join(shown)
    for secret in secrets:
        assert secret not in everything
    assert "signature:" not in everything.lower()


def test_errors_pickle(connect: Callable[..., OTSClient]) -> None:
    """An error crosses process borders with its fields and its official type."""
    error = error_of(lambda: connect().describe_table("none"))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert isinstance(copy, ts.OTSServiceError)
    assert (copy.code, copy.request_id, str(copy)) == (error.code, error.request_id, str(error))


def test_a_closed_client_says_so(connect: Callable[..., OTSClient]) -> None:
    """A call after close() fails at once."""
    client = connect()
    client.close()
    with pytest.raises(ts.OTSClientError, match="closed"):
        client.list_table()
