"""``OTSClient`` against the emulator: the same results as the official client, and every failure one clear error."""

import logging
import pickle
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import ots_config
from ots_config import (
    AuthenticationFailed,
    ConnectFailed,
    Credentials,
    CredentialsRefused,
    DefaultRetryPolicy,
    Emulator,
    NoDelayRetryPolicy,
    NoRetryPolicy,
    OTSClient,
    OTSConfigError,
    ResponseInvalid,
    ResponseLost,
    RetryPolicy,
    ServiceError,
    SettingsError,
    Throttled,
    UntrustedServer,
    WriteRetryPolicy,
)
from ots_config.sdk import tablestore as ts

KEY = [("gid", 1), ("uid", "a")]
ROW = ts.Row(KEY, [("n", 1), ("d", 1.5), ("s", "水"), ("b", bytearray(b"\x00\xff")), ("t", True)])
META = ts.TableMeta("t", [("gid", "INTEGER"), ("uid", "STRING")])
FAST = NoDelayRetryPolicy()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One emulator for this module."""
    with Emulator() as running:
        yield running


@pytest.fixture
def connect(emulator: Emulator) -> Iterator[Callable[..., OTSClient]]:
    """Make clients of an empty instance with the table ``t``; they are closed after the test."""
    emulator.reset()
    made: list[OTSClient] = []

    def make(**options: Any) -> OTSClient:
        given = {
            "endpoint": emulator.endpoint,
            "access_key_id": emulator.access_key_id,
            "access_key_secret": emulator.access_key_secret,
            "instance_name": emulator.instance_name,
        }
        client = OTSClient(**{**given, **options})
        made.append(client)
        return client

    make().create_table(META, ts.TableOptions(), ts.ReservedThroughput(ts.CapacityUnit(0, 0)))
    emulator.clear_log()
    yield make
    for client in made:
        client.close()


# --- the same as the official client -------------------------------------------------------------------------


@pytest.mark.parametrize("region", [None, "cn-hangzhou"])
def test_same_results_as_the_official_client(
    emulator: Emulator, connect: Callable[..., OTSClient], region: str | None
) -> None:
    """Rows of every type come back the same from our client and the official one, under V2 and V4."""
    keys = (emulator.access_key_id, emulator.access_key_secret, emulator.instance_name)
    official = ts.OTSClient(emulator.endpoint, *keys, region=region)
    ours = connect(region=region)
    ours.put_row("t", ROW)
    official.put_row("t", ts.Row([("gid", 2), ("uid", "b")], ROW.attribute_columns))
    for key in (KEY, [("gid", 2), ("uid", "b")]):
        mine, theirs = (client.get_row("t", key, max_version=1)[1] for client in (ours, official))
        assert mine.primary_key == theirs.primary_key
        assert mine.attribute_columns == theirs.attribute_columns
        assert {name: value for name, value, _ in mine.attribute_columns} == dict(ROW.attribute_columns)
    assert ours.list_table() == official.list_table() == ("t",)
    described = [vars(client.describe_table("t").table_options) for client in (ours, official)]
    assert described[0] == described[1]


def test_every_row_operation(connect: Callable[..., OTSClient]) -> None:
    """A row is written, updated, read, scanned, batched and deleted."""
    client = connect()
    client.put_row("t", ROW)
    client.update_row("t", ts.Row(KEY, {"PUT": [("n", 2)], "DELETE_ALL": ["d"]}), ts.Condition("EXPECT_EXIST"))
    _, row, _ = client.get_row("t", KEY, columns_to_get=["n", "d"], max_version=1)
    assert [(name, value) for name, value, _ in row.attribute_columns] == [("n", 2)]
    request = ts.BatchWriteRowRequest()
    items = [ts.PutRowItem(ts.Row([("gid", n), ("uid", "x")], [("n", n)]), None) for n in range(10, 20)]
    request.add(ts.TableInBatchWriteRowItem("t", items))
    assert client.batch_write_row(request).is_all_succeed()
    low, high = ([("gid", bound), ("uid", bound)] for bound in (ts.INF_MIN, ts.INF_MAX))
    seen = list(client.xget_range("t", "FORWARD", low, high, ts.CapacityUnit(0, 0), count=100, max_version=1))
    assert [row.primary_key[0][1] for row in seen] == [1, *range(10, 20)]
    read = ts.BatchGetRowRequest()
    read.add(ts.TableInBatchGetRowItem("t", [KEY, [("gid", 10), ("uid", "x")]], [], None, 1))
    assert len(client.batch_get_row(read).get_succeed_rows()) == 2
    client.delete_row("t", KEY)
    assert client.get_row("t", KEY, max_version=1)[1] is None
    client.delete_table("t")
    assert client.list_table() == ()


def test_the_documented_examples_run(emulator: Emulator, connect: Callable[..., OTSClient], tmp_path: Path) -> None:
    """The documentation's two examples run with real values in their placeholders and only the import changed."""
    from ots_config import OTSClient, WriteRetryPolicy

    log = tmp_path / "table_store.log"
    endpoint, name = emulator.endpoint, emulator.instance_name
    client = OTSClient(
        endpoint,
        emulator.access_key_id,
        emulator.access_key_secret,
        name,
        logger_name=str(log),
        retry_policy=WriteRetryPolicy(),
    )
    connect()
    with client:
        client.put_row("t", ROW)
    assert "PutRow" in log.read_text()
    temporary = emulator.issue_key()
    with OTSClient(
        endpoint,
        temporary["AccessKeyId"],
        temporary["AccessKeySecret"],
        name,
        sts_token=temporary["SecurityToken"],
    ) as client:
        assert client.list_table() == ("t",)


def test_it_is_an_official_client(connect: Callable[..., OTSClient]) -> None:
    """Frameworks that ask ``isinstance`` get the answer that they want, and the official attributes are there."""
    client = connect()
    assert isinstance(client, ts.OTSClient)
    assert (client.encoding, client.socket_timeout, client.max_connection) == ("utf8", 50, 50)
    assert isinstance(client.retry_policy, DefaultRetryPolicy)
    assert repr(client).startswith("<OTSClient demo at http://127.0.0.1:")


def test_end_point_is_the_official_name(emulator: Emulator) -> None:
    """``end_point=`` works as ``endpoint=`` does."""
    client = OTSClient(
        end_point=emulator.endpoint, access_key_id="testid", access_key_secret="testsecret", instance_name="demo"
    )
    with client:
        client.list_table()


# --- what is sent ----------------------------------------------------------------------------------------------


def test_every_attempt_is_dated_and_signed_anew(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A retry asks the provider again and carries a token of its own (a fault of the official client)."""
    temporary = [emulator.issue_key() for _ in range(3)]

    class Rotating:
        def __init__(self) -> None:
            self.asked = 0

        def get_credentials(self) -> Credentials:
            key = temporary[min(self.asked, 2)]
            self.asked += 1
            return Credentials(key["AccessKeyId"], key["AccessKeySecret"], key["SecurityToken"])

    provider = Rotating()
    client = connect(access_key_id=None, access_key_secret=None, credentials_provider=provider, retry_policy=FAST)
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", count=2)
    client.put_row("t", ROW)
    log = emulator.log()
    assert provider.asked == 3
    assert [entry["status"] for entry in log] == [503, 503, 200]
    assert len({entry["token"] for entry in log}) == 3


def test_official_and_foreign_providers(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A provider of the official SDK works in ours, and one of ours in the official client."""
    from tablestore.credentials import StaticCredentialsProvider

    official = StaticCredentialsProvider(emulator.access_key_id, emulator.access_key_secret)
    client = connect(access_key_id=None, access_key_secret=None, credentials_provider=official)
    assert client.list_table() == ("t",)
    ours = ots_config.StaticProvider(emulator.access_key_id, emulator.access_key_secret)
    other = ts.OTSClient(emulator.endpoint, instance_name="demo", credentials_provider=ours)
    assert other.list_table() == ("t",)


def test_extra_headers_are_signed(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Extra ``x-ots-*`` headers of any case pass the service's signature check."""
    assert connect(extra_headers={"X-Ots-Request-Tag": "nightly"}).list_table() == ("t",)
    assert connect(extra_headers={"x-ots-date-x": "1"}).list_table() == ("t",)


def test_the_users_own_session(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A session of the user's is sent through, with its hooks, and stays open."""
    seen: list[int] = []
    with requests.Session() as session:
        session.hooks["response"].append(lambda response, **_: seen.append(response.status_code))
        client = connect(session=session)
        client.put_row("t", ROW)
        client.close()
        assert seen == [200]
        assert session.get(emulator.endpoint + "/_emulator/log").status_code == 200


def test_sessions_of_ours_run_hooks(connect: Callable[..., OTSClient]) -> None:
    """What instruments ``requests`` sees our requests too."""
    seen: list[str] = []
    client = connect()
    client.connection.session.hooks["response"].append(lambda response, **_: seen.append(response.url))
    client.put_row("t", ROW)
    assert seen[0].endswith("/PutRow")


@pytest.mark.skipif(not hasattr(ts.OTSClient, "list_knowledge_base"), reason="this version of the SDK has no such call")
def test_json_operations_use_the_same_layer(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """The SDK's second way to the wire is ours too: signed, verified and with typed errors."""
    with pytest.raises(ServiceError) as caught:
        connect().list_knowledge_base({})
    assert caught.value.operation == "ListKnowledgeBase"
    with pytest.raises(ts.OTSClientError, match="must be a dict"):
        connect().list_knowledge_base(3)
    assert emulator.log()[-1]["operation"] == "ListKnowledgeBase"


# --- failures ------------------------------------------------------------------------------------------------------


def error_of(call: Callable[[], Any]) -> Any:
    """Return what a call raises."""
    with pytest.raises(OTSConfigError) as caught:
        call()
    return caught.value


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
    """An unknown key is told as the service tells it, with the masked key and its source."""
    error = error_of(connect(access_key_id="LTAI5tUnknownKey0000").list_table)
    assert "does not exist" in str(error)
    assert error.access_key_id == "LTAI5t****0000"
    assert "LTAI5tUnknownKey0000" not in str(error)


def test_a_missing_instance_is_one_error(connect: Callable[..., OTSClient]) -> None:
    """An instance that is not there is told in the service's words."""
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


# --- retries against faults ------------------------------------------------------------------------------------


def test_a_throttle_is_survived(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Three refusals cost three more attempts, and the row is stored once."""
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", count=3)
    connect(retry_policy=FAST).put_row("t", ROW)
    assert [entry["applied"] for entry in emulator.log()] == [False, False, False, True]


def test_the_number_of_attempts_is_bounded(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A throttle without an end is raised after the policy's attempts, and tells how many there were."""
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy")
    policy = NoDelayRetryPolicy(max_retry_times=4)
    error = error_of(lambda: connect(retry_policy=policy).put_row("t", ROW))
    assert isinstance(error, Throttled)
    assert error.attempts == 5
    assert len(error.request_ids) == len(emulator.log()) == 5


@pytest.mark.parametrize("kind", ["reset_after", "truncate", "corrupt_signature", "corrupt_md5"])
def test_a_lost_answer_of_a_write(emulator: Emulator, connect: Callable[..., OTSClient], kind: str) -> None:
    """The default policy raises a write that may have happened; the write policy sends a safe one again."""
    emulator.fault(operation="PutRow", kind=kind, count=1)
    error = error_of(lambda: connect(retry_policy=FAST).put_row("t", ROW))
    assert isinstance(error, ResponseLost | ResponseInvalid)
    assert error.may_have_happened
    assert len(emulator.log()) == 1
    emulator.fault(operation="PutRow", kind=kind, count=1)
    connect(retry_policy=WriteRetryPolicy()).put_row("t", ROW)
    assert len(emulator.log()) == 3


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncate", "corrupt_signature", "corrupt_md5"])
def test_a_lost_answer_of_a_read(emulator: Emulator, connect: Callable[..., OTSClient], kind: str) -> None:
    """Reads are sent again, whatever became of the answer."""
    emulator.fault(operation="GetRow", kind=kind, count=2)
    connect(retry_policy=FAST).get_row("t", KEY, max_version=1)
    assert len(emulator.log()) == 3


@pytest.mark.parametrize("policy", [WriteRetryPolicy(), FAST])
def test_an_increment_is_never_sent_twice(
    emulator: Emulator, connect: Callable[..., OTSClient], policy: RetryPolicy
) -> None:
    """An increment whose answer is lost is raised under every policy, and was applied once."""
    client = connect(retry_policy=policy)
    emulator.fault(operation="UpdateRow", kind="reset_after", count=1)
    increment = ts.Row(KEY, {"INCREMENT": [("n", 1)]})
    assert error_of(lambda: client.update_row("t", increment, ts.Condition("IGNORE"))).may_have_happened
    assert client.get_row("t", KEY, max_version=1)[1].attribute_columns[0][1] == 1


def test_a_gateway_page_is_treated_by_its_status(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A 502 in HTML is retried for reads, and raised for writes as something that may have happened."""
    emulator.fault(kind="status", status=502, body="<html>Bad Gateway</html>", count=2)
    client = connect(retry_policy=FAST)
    assert client.list_table() == ("t",)
    emulator.fault(kind="status", status=502, body="<html>Bad Gateway</html>", count=1)
    error = error_of(lambda: client.put_row("t", ROW))
    assert (error.http_status, error.may_have_happened) == (502, True)


def test_a_redirect_is_not_followed(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """Credentials go to the configured endpoint only: a redirect is an error."""
    emulator.fault(kind="status", status=307, body="", count=1)
    error = error_of(connect().list_table)
    assert (error.http_status, error.attempts) == (307, 1)


def test_a_users_own_policy(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A subclass of ``RetryPolicy`` is asked with the number of retries, the error and the operation."""
    asked: list[tuple[int, str, str]] = []

    class Thrice(RetryPolicy):
        def should_retry(self, retry_times: int, exception: Any, api_name: str) -> bool:
            asked.append((retry_times, exception.code, api_name))
            return retry_times < 2

        def get_retry_delay(self, retry_times: int, exception: Any, api_name: str) -> float:
            return 0.0

    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy")
    assert error_of(lambda: connect(retry_policy=Thrice()).put_row("t", ROW)).attempts == 3
    assert asked == [(n, "OTSServerBusy", "PutRow") for n in range(3)]


def test_a_policy_from_the_settings(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """``retry=`` names the policy and its numbers."""
    emulator.fault(operation="ListTable", kind="error", code="OTSServerBusy")
    client = connect(retry={"policy": "no-delay", "max_attempts": 3})
    assert error_of(client.list_table).attempts == 3
    emulator.clear_log()
    assert error_of(connect(retry="none").list_table).attempts == 1


def test_the_deadline_ends_a_call(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A deadline cuts the socket's timeout: a silent server does not hold a call for its 50 seconds."""
    emulator.fault(operation="ListTable", kind="delay", seconds=20)
    started = time.monotonic()
    error = error_of(connect(deadline=0.3).list_table)
    assert isinstance(error, ResponseLost)
    assert error.elapsed <= time.monotonic() - started


def test_a_rotated_key_is_fetched_once(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A refused key makes the client ask its provider again, and send once more if there is another."""

    class Stored:
        current = Credentials("testid", "outdated-secret")

        def get_credentials(self) -> Credentials:
            return self.current

        def force_refresh(self, rejected: Credentials) -> Credentials:
            assert rejected is self.current
            self.current = Credentials(emulator.access_key_id, emulator.access_key_secret)
            return self.current

    client = connect(access_key_id=None, access_key_secret=None, credentials_provider=Stored())
    assert client.list_table() == ("t",)
    assert [entry["status"] for entry in emulator.log()] == [403, 200]


# --- logs and leaks ---------------------------------------------------------------------------------------------


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


def test_no_secret_is_ever_told(
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
    told = [repr(client), str(client), repr(vars(client))]
    kinds = ("error", "status", "reset_before", "reset_after", "truncate", "corrupt_signature", "corrupt_md5")
    for kind in kinds:
        emulator.clear_faults()
        extra = {"error": {"code": "OTSAuthFailed"}, "status": {"status": 502, "body": "x"}}.get(kind, {})
        emulator.fault(operation="PutRow", kind=kind, **extra)
        error = error_of(lambda: client.put_row("t", row))
        told += [str(error), repr(error), repr(error.args), repr(vars(error)), repr(pickle.loads(pickle.dumps(error)))]
        told += [repr(pickle.dumps(error))]
        told += traceback.TracebackException.from_exception(error, capture_locals=True).format()
        context = error.__context__
        assert context is None
    told += [record.getMessage() for record in caplog.records]
    everything = "\n".join(told)
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
