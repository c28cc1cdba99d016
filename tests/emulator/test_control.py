"""The control surface does what it documents, and the log shows what happened."""

import hashlib
import http.client
import json
import time
from typing import Any

import pytest

from ots_config.emulator import Emulator
from ots_config.emulator.request_log import LogEntry, RequestLog
from ots_config.sdk import tablestore


def order(emulator: Emulator, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return status and answer of an order, whose body may be text that is no JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=20)
    try:
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        connection.request(method, "/_emulator/" + path, data)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def make_client(emulator: Emulator, **changes: Any) -> Any:
    """Return the official client, without its retries."""
    given = {"access_key_id": "testid", "access_key_secret": "testsecret", "instance_name": "demo", **changes}
    return tablestore.OTSClient(emulator.endpoint, retry_policy=tablestore.NoRetryPolicy(), **given)


def test_the_log_tells_each_request(emulator: Emulator) -> None:
    """There is one entry for each request, with the documented fields and no secret."""
    before = time.time()
    client = make_client(emulator)
    client.list_table()
    with pytest.raises(tablestore.OTSServiceError):
        client.delete_table("none")
    status, log = order(emulator, "GET", "log")
    assert status == 200
    assert before - 1 < log[0].pop("at") <= log[1].pop("at") < time.time() + 1
    dates = [entry.pop("x_ots_date") for entry in log]
    assert all(time.strptime(date, "%Y-%m-%dT%H:%M:%S.000Z") for date in dates)
    shared = {"access_key_id": "testid", "token": None}
    assert log == [
        {"operation": "ListTable", **shared, "status": 200, "code": None, "applied": True},
        {"operation": "DeleteTable", **shared, "status": 404, "code": "OTSObjectNotExist", "applied": False},
    ]
    assert order(emulator, "DELETE", "log") == (200, {})
    assert order(emulator, "GET", "log") == (200, [])


def test_the_log_shows_a_token_by_its_hash(emulator: Emulator) -> None:
    """The log distinguishes tokens without showing them."""
    key = emulator.issue_key()
    client = make_client(
        emulator,
        access_key_id=key["AccessKeyId"],
        access_key_secret=key["AccessKeySecret"],
        sts_token=key["SecurityToken"],
    )
    client.list_table()
    entry = emulator.log()[-1]
    assert entry["token"] == hashlib.sha256(key["SecurityToken"].encode()).hexdigest()
    assert entry["access_key_id"] == key["AccessKeyId"]


def test_the_log_keeps_the_newest() -> None:
    """Old entries go, so that a run of days does not fill the memory."""
    log = RequestLog(max_entries=2)
    for number in range(3):
        log.add(LogEntry(f"Op{number}", 0.0, None, None, None, 200, None, applied=True))
    assert [entry["operation"] for entry in log.entries()] == ["Op1", "Op2"]


def test_faults_are_ordered_shown_and_removed(emulator: Emulator) -> None:
    """A fault is in force from its order to the next DELETE."""
    fault = {"operation": "ListTable", "kind": "error", "code": "OTSServerBusy", "rate": 1, "count": 5}
    assert order(emulator, "POST", "faults", fault) == (200, {**fault, "message": "", "fired": 0})
    client = make_client(emulator)
    with pytest.raises(tablestore.OTSServiceError):
        client.list_table()
    assert order(emulator, "GET", "faults")[1][0]["fired"] == 1
    assert order(emulator, "DELETE", "faults") == (200, {})
    client.list_table()
    assert order(emulator, "GET", "faults") == (200, [])


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("faults", "{", "the body must be JSON"),
        ("faults", "[" * 100_000, "the body must be JSON"),
        ("faults", [], "must be a JSON object"),
        ("faults", {"operation": "PutRow", "kind": "truncate", "rate": 2}, "rate must be from 0 to 1, not 2"),
        ("sts", {"lifetime": 0}, "lifetime must be seconds"),
        ("sts", {"lifetime": "900"}, "lifetime must be seconds"),
        ("sts", {"reject": 5}, "reject must be an error code"),
        ("sts", {"refuse": None}, "'refuse' is not known here; known are: lifetime, reject"),
        ("revoke", {}, "access_key_id must be"),
        ("revoke", {"access_key_id": "stranger"}, "there is no access key 'stranger'"),
        ("keys", {"access_key_id": "one"}, "access_key_secret must be"),
        ("keys", {"access_key_id": "a\nb", "access_key_secret": "x"}, "access_key_id must be printable"),
        ("reset", {"all": True}, "'all' is not known here; known are: none"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(emulator: Emulator, path: str, body: Any, words: str) -> None:
    """It is answered with 400 and one sentence, and nothing is changed."""
    status, answer = order(emulator, "POST", path, body)
    assert status == 400
    assert words in answer["error"]
    assert (emulator.server.keys.lifetime, emulator.server.sts.reject, bool(emulator.server.faults)) == (
        None,
        None,
        False,
    )


def test_unknown_orders_are_told(emulator: Emulator) -> None:
    """An unknown path and a method that a path does not take have their own statuses."""
    assert order(emulator, "GET", "fault") == (
        404,
        {"error": "there is no /_emulator/fault; there are faults, log, sts, keys, revoke, reset"},
    )
    assert order(emulator, "POST", "log")[0] == 405
    assert order(emulator, "POST", "log", "x" * 6_000_000)[0] == 405
    assert order(emulator, "POST", "faults", "x" * 6_000_000)[0] == 413


def test_a_key_is_revoked_and_another_one_accepted(emulator: Emulator) -> None:
    """A job's key can be taken from it while it runs, and a new one given."""
    client = make_client(emulator)
    assert order(emulator, "POST", "keys", {"access_key_id": "second", "access_key_secret": "s"})[0] == 200
    assert order(emulator, "POST", "revoke", {"access_key_id": "testid"}) == (200, {"access_key_id": "testid"})
    with pytest.raises(tablestore.OTSServiceError, match="The AccessKeyID is disabled"):
        client.list_table()
    make_client(emulator, access_key_id="second", access_key_secret="s").list_table()
    emulator.add_key("testid", "testsecret")
    client.list_table()
    assert emulator.revoke("second")
    assert not emulator.revoke("third")


def test_orders_to_the_sts_are_kept_apart(emulator: Emulator) -> None:
    """What is not named stays as it is, and null takes an order back."""
    assert order(emulator, "POST", "sts", {"lifetime": 2.5}) == (200, {"lifetime": 2.5, "reject": None})
    both = {"lifetime": 2.5, "reject": "Throttling.User"}
    assert order(emulator, "POST", "sts", {"reject": "Throttling.User"}) == (200, both)
    assert order(emulator, "GET", "sts") == (200, both)
    assert order(emulator, "POST", "sts", {"lifetime": None, "reject": None})[1] == {"lifetime": None, "reject": None}
    emulator.sts(lifetime=3, reject="InternalError")
    assert order(emulator, "GET", "sts")[1] == {"lifetime": 3, "reject": "InternalError"}


def test_reset_forgets_all_but_the_keys(emulator: Emulator) -> None:
    """Tables, faults, orders and log are gone; keys are not."""
    client = make_client(emulator)
    client.create_table(
        tablestore.TableMeta("t", [("k", "INTEGER")]),
        tablestore.TableOptions(),
        tablestore.ReservedThroughput(tablestore.CapacityUnit(0, 0)),
    )
    emulator.fault(kind="truncate", operation="GetRow")
    emulator.sts(lifetime=1)
    assert order(emulator, "POST", "reset") == (200, {})
    assert order(emulator, "GET", "log") == (200, [])
    assert client.list_table() == ()
    assert order(emulator, "GET", "faults") == (200, [])
    assert order(emulator, "GET", "sts")[1]["lifetime"] is None
