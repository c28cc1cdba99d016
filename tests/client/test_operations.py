"""``OTSClient`` against the emulator: the same results as the official client, and what is sent."""

from collections.abc import Callable
from pathlib import Path

import pytest
import requests

import ots_config
from ots_config import Credentials, DefaultRetryPolicy, Emulator, NoDelayRetryPolicy, OTSClient, ServiceError
from ots_config.sdk import tablestore as ts
from tests.client.tables import KEY, ROW

FAST = NoDelayRetryPolicy()


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


def test_every_attempt_is_dated_and_signed_anew(emulator: Emulator, connect: Callable[..., OTSClient]) -> None:
    """A retry asks the provider again and carries a token of its own (a fault of the official client)."""
    temporary = [emulator.issue_key() for _ in range(3)]

    class Rotating:
        instant = True

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
