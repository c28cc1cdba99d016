"""Local transactions, as the official client sees them."""

import base64
from typing import Any

import pytest
from tablestore import (
    INF_MAX,
    INF_MIN,
    PK_AUTO_INCR,
    BatchWriteRowRequest,
    Condition,
    DeleteRowItem,
    PutRowItem,
    Row,
    SecondaryIndexMeta,
    TableInBatchWriteRowItem,
)

from ots_config.sdk import tablestore

pb2 = tablestore.protobuf.table_store_pb2
ENABLED, DISABLED = b"\x40\x01", b"\x40\x00"
BUSY = "Data is being modified by the other request."
GONE = "Session not exist or may be timeout."


def key(b: str, a: int = 1) -> list[tuple[str, Any]]:
    """Return a key of the table."""
    return [("a", a), ("b", b)]


LOW, HIGH = key(INF_MIN), key(INF_MAX)


def test_the_owner_sees_its_writes_and_others_do_not(client: Any, table: str) -> None:
    """Until it commits, a transaction's writes show in its own GetRow and GetRange only."""
    for b in "bdf":
        client.put(table, key(b), [("x", 0)])
    mine = client.start_local_transaction(table, [("a", 1)])
    client.put(table, key("a"), [("x", 1)], transaction_id=mine)
    client.update_row(table, Row(key("b"), {"INCREMENT": [("x", 5)]}), Condition("EXPECT_EXIST"), transaction_id=mine)
    client.delete_row(table, Row(key("d")), None, transaction_id=mine)
    client.put(table, key("e"), [("x", 2)], transaction_id=mine)
    client.delete_row(table, Row(key("e")), Condition("EXPECT_EXIST"), transaction_id=mine)
    client.put(table, key("g"), [("x", 3)], transaction_id=mine)

    def values(**arguments: Any) -> list[Any]:
        return [client.columns(table, key(b), **arguments) for b in "abcdefg"]

    before = [None, {"x": 0}, None, {"x": 0}, None, {"x": 0}, None]
    after = [{"x": 1}, {"x": 5}, None, None, None, {"x": 0}, {"x": 3}]
    assert values() == before
    assert values(transaction_id=mine) == after
    assert client.keys(table, LOW, HIGH) == [(1, b) for b in "bdf"]
    assert client.keys(table, LOW, HIGH, transaction_id=mine) == [(1, b) for b in "abfg"]
    assert client.keys(table, HIGH, LOW, "BACKWARD", transaction_id=mine) == [(1, b) for b in "gfba"]
    page = client.get_range(table, "FORWARD", LOW, HIGH, limit=3, transaction_id=mine)
    assert page[1] == key("g")
    client.commit_transaction(mine)
    assert values() == after
    assert client.keys(table, LOW, HIGH) == [(1, b) for b in "abfg"]


def test_abort_forgets(client: Any, table: str, refused: Any) -> None:
    """After abort nothing of it is there, its partition is free, and its id is no more."""
    mine = client.start_local_transaction(table, [("a", 1)])
    client.put(table, key("x"), [("x", 1)], transaction_id=mine)
    client.abort_transaction(mine)
    assert client.columns(table, key("x")) is None
    client.put(table, key("x"), [("x", 2)])
    for call in (
        lambda: client.commit_transaction(mine),
        lambda: client.abort_transaction(mine),
        lambda: client.get_row(table, key("x"), transaction_id=mine),
        lambda: client.put(table, key("x"), transaction_id=mine),
    ):
        with refused("OTSSessionNotExist", GONE, 404):
            call()


def test_others_cannot_write_what_is_locked(client: Any, table: str, refused: Any) -> None:
    """Writes from outside, and another transaction, meet the lock; other partitions and tables are free."""
    client.make_table("u", ("a", "INTEGER"), ("b", "STRING"))
    mine = client.start_local_transaction(table, [("a", 1)])
    for call in (
        lambda: client.put(table, key("x")),
        lambda: client.update_row(table, Row(key("x"), {"PUT": [("x", 1)]}), None),
        lambda: client.delete_row(table, Row(key("x")), None),
    ):
        with refused("OTSRowOperationConflict", BUSY, 409):
            call()
    with refused("OTSRowOperationConflict", "Failed to lock txn key: 1", 409):
        client.start_local_transaction(table, [("a", 1)])
    client.put(table, key("x", 2))
    client.put("u", key("x"))
    other = client.start_local_transaction(table, [("a", 3)])
    assert other != mine
    request = BatchWriteRowRequest()
    rows = [PutRowItem(Row(key("x", a), [("x", 1)]), Condition("IGNORE")) for a in (1, 2)]
    request.add(TableInBatchWriteRowItem(table, rows))
    good, bad = client.batch_write_row(request).get_put()
    assert [item.error_code for item in bad] == ["OTSRowOperationConflict"]
    assert len(good) == 1
    client.commit_transaction(mine)
    client.put(table, key("x"))


def test_a_transaction_lives_60_seconds(client: Any, table: str, refused: Any) -> None:
    """It works until its time is over; then its writes are lost and its lock is open."""
    mine = client.start_local_transaction(table, [("a", 1)])
    client.clock.now += 59.9
    client.put(table, key("x"), [("x", 1)], transaction_id=mine)
    client.clock.now += 0.2
    with refused("OTSSessionNotExist", GONE, 404):
        client.commit_transaction(mine)
    client.put(table, key("y"), [("x", 1)])
    assert client.columns(table, key("x")) is None
    second = client.start_local_transaction(table, [("a", 1)])
    client.clock.now += 61
    client.put(table, key("z"))
    third = client.start_local_transaction(table, [("a", 1)])
    assert len({mine, second, third}) == 3
    client.clock.now += 61
    client.start_local_transaction(table, [("a", 2)])
    assert len(client.instance.transactions) == 1


def test_a_transaction_keeps_to_its_partition(client: Any, table: str, refused: Any) -> None:
    """Reads and writes of another partition or table are refused, in a batch row by row."""
    client.make_table("u", ("a", "INTEGER"), ("b", "STRING"))
    mine = client.start_local_transaction(table, [("a", 1)])
    message = "Data out of scope of transaction. Transaction PartKey:1. Data PartKey:2"
    for call in (
        lambda: client.put(table, key("x", 2), transaction_id=mine),
        lambda: client.get_row(table, key("x", 2), transaction_id=mine),
        lambda: client.get_range(table, "FORWARD", LOW, key("x", 2), transaction_id=mine),
    ):
        with refused("OTSDataOutOfRange", message):
            call()
    with refused("OTSDataOutOfRange"):
        client.get_row("u", key("x"), transaction_id=mine)
    with refused("OTSDataOutOfRange"):
        client.keys(table, [("a", INF_MIN), ("b", INF_MIN)], HIGH, transaction_id=mine)
    request = BatchWriteRowRequest()
    request.add(
        TableInBatchWriteRowItem(
            table,
            [
                PutRowItem(Row(key("x"), [("x", 1)]), Condition("IGNORE")),
                PutRowItem(Row(key("x", 2), [("x", 1)]), Condition("IGNORE")),
                DeleteRowItem(Row(key("x")), Condition("EXPECT_EXIST")),
                PutRowItem(Row(key("y"), [("x", 1)]), Condition("IGNORE")),
            ],
        )
    )
    request.set_transaction_id(mine)
    response = client.batch_write_row(request)
    good, bad = response.get_put()
    assert ([item.error_code for item in bad], len(good)) == (["OTSDataOutOfRange"], 2)
    assert client.columns(table, key("y")) is None
    client.commit_transaction(mine)
    assert client.keys(table, LOW, HIGH) == [(1, "y")]


def test_a_transaction_starts_on_the_partition_key_alone(client: Any, table: str, refused: Any) -> None:
    """The key to lock is the partition key, by its name and type, and no more."""
    with refused("OTSParameterInvalid", "StartLocalTransaction support only one primary key."):
        client.start_local_transaction(table, key("x"))
    with refused("OTSInvalidPK", "Validate PK name fail. Input: b, Meta: a."):
        client.start_local_transaction(table, [("b", "x")])
    with refused("OTSInvalidPK", "Validate PK type fail. Input: VT_STRING, Meta: VT_INTEGER."):
        client.start_local_transaction(table, [("a", "x")])
    with refused("OTSParameterInvalid", "VT_INF_MIN is an invalid type for the primary key."):
        client.start_local_transaction(table, [("a", INF_MIN)])
    with refused("OTSObjectNotExist", status=404):
        client.start_local_transaction("none", [("a", 1)])


@pytest.mark.parametrize("bad", ["", "none", "é", "AAAA", base64.b64encode(b"\x01\0\0\0t").decode(), "AAAAAAAAAAA="])
def test_what_is_no_id_is_told_apart(client: Any, table: str, refused: Any, bad: str) -> None:
    """An id that never was one is an invalid parameter, not a session that ended."""
    with refused("OTSParameterInvalid", "TransactionID is invalid."):
        client.commit_transaction(bad)
    with refused("OTSParameterInvalid", "TransactionID is invalid."):
        client.put(table, key("x"), transaction_id=bad)


def test_ids_have_the_form_of_the_service(client: Any) -> None:
    """An id is Base64 of the table, a session of 30 characters, and the partition's value."""
    client.make_table("table", ("p", "STRING"))
    raw = base64.b64decode(client.start_local_transaction("table", [("p", "pk")]))
    assert raw[:13] == b"\x05\x00\x00\x00table\x1e\x00\x00\x00"
    session, rest = raw[13:43], raw[43:]
    assert [part.isdigit() for part in session.decode().split("-")] == [True, True]
    assert rest == b"\x03\x02\x00\x00\x00pk"


@pytest.mark.parametrize(
    ("required", "sent", "works"),
    [(False, b"", True), (False, DISABLED, False), (True, b"", False), (True, ENABLED, True)],
)
def test_tables_take_transactions_by_default(
    make_client: Any, refused: Any, required: bool, sent: bytes, works: bool
) -> None:
    """Every table takes them unless CreateTable said no, or had to say yes and did not."""
    client = make_client(require_transaction_flag=required)
    client.suffix = sent
    client.make_table("t", ("a", "INTEGER"), ("b", "STRING"))
    client.suffix = b""
    if works:
        client.commit_transaction(client.start_local_transaction("t", [("a", 1)]))
        return
    message = "Try to call method using explicit transaction on explicit-transaction-disabled table."
    with refused("OTSParameterInvalid", message):
        client.start_local_transaction("t", [("a", 1)])
    with refused("OTSParameterInvalid", message):
        client.get_row("t", key("x"), transaction_id="any")


def test_the_service_makes_no_keys_in_a_transaction(client: Any, refused: Any) -> None:
    """AUTO_INCREMENT is refused there."""
    client.make_table("t", ("a", "INTEGER"), ("b", "INTEGER", PK_AUTO_INCR))
    mine = client.start_local_transaction("t", [("a", 1)])
    with refused("OTSParameterInvalid"):
        client.put("t", key(PK_AUTO_INCR), transaction_id=mine)


def test_indexes_follow_the_commit(client: Any) -> None:
    """An index shows a transaction's rows when the table does."""
    client.make_table(
        "t",
        ("a", "INTEGER"),
        ("b", "STRING"),
        defined=[("x", "INTEGER")],
        indexes=[SecondaryIndexMeta("ix", ["x"], [])],
    )
    mine = client.start_local_transaction("t", [("a", 1)])
    client.put("t", key("k"), [("x", 7)], transaction_id=mine)
    ends = [[(name, infinity) for name in "xab"] for infinity in (INF_MIN, INF_MAX)]
    assert client.keys("ix", *ends) == []
    client.commit_transaction(mine)
    assert client.keys("ix", *ends) == [(7, 1, "k")]


def test_a_deleted_table_ends_its_transactions(client: Any, table: str, refused: Any) -> None:
    """A table of the same name starts without locks, and the old id is no more."""
    mine = client.start_local_transaction(table, [("a", 1)])
    client.delete_table(table)
    client.make_table(table, ("a", "INTEGER"), ("b", "STRING"))
    client.put(table, key("x"))
    with refused("OTSSessionNotExist", GONE, 404):
        client.commit_transaction(mine)


def test_what_a_transaction_consumes_is_told(client: Any, table: str) -> None:
    """Start, commit and abort consume one write unit, in a field behind those that the published messages have."""
    consumed = pb2.ConsumedCapacity(capacity_unit=pb2.CapacityUnit(read=0, write=1)).SerializeToString()
    key = client.protocol.encoder.encode_request("StartLocalTransaction", table, [("a", 1)]).key
    start = pb2.StartLocalTransactionRequest(table_name=table, key=key).SerializeToString()
    for operation in ("CommitTransaction", "AbortTransaction"):
        begun = client.send("StartLocalTransaction", start)
        assert begun.endswith(b"\x12" + bytes([len(consumed)]) + consumed)
        mine = pb2.StartLocalTransactionResponse.FromString(begun).transaction_id
        ended = client.send(operation, pb2.CommitTransactionRequest(transaction_id=mine).SerializeToString())
        assert ended == b"\x0a" + bytes([len(consumed)]) + consumed
