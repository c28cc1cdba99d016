"""Rows that a client writes to a table and reads back."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from ots_config import Emulator, OTSClient, RequestInvalid
from ots_config.sdk import tablestore as ts
from tests.client.rows.strategies import batch


@pytest.fixture(params=[True, False], ids=["native", "no native"])
def client(emulator: Emulator, request: pytest.FixtureRequest) -> Iterator[OTSClient]:
    """A client, with and without the SDK's native code, of an empty table ``t`` with names that are not ASCII."""
    emulator.reset()
    with OTSClient(settings=emulator.settings, enable_native=request.param) as client:
        meta = ts.TableMeta("t", [("公司", "INTEGER"), ("naïve key", "STRING")])
        client.create_table(meta, ts.TableOptions(max_version=5), ts.ReservedThroughput(ts.CapacityUnit(0, 0)))
        yield client


KEY = [("公司", 1), ("naïve key", "水")]


def test_rows_come_back_from_a_table(client: OTSClient) -> None:
    """Rows with names of any script, of every type, many versions or no columns are stored, read and deleted."""
    written = [("名", 1), ("x", b"bytes"), ("b", bytearray(b"\0\xff")), ("d", 0.5), ("t", True), ("s", "字" * 200)]
    client.put_row("t", ts.Row(KEY, written))
    client.put_row("t", ts.Row([("公司", 2), ("naïve key", "")], []))
    request = batch(
        ts.BatchGetRowRequest, [ts.TableInBatchGetRowItem("t", [KEY, [("公司", 3), KEY[1]]], max_version=1)]
    )
    first, second = client.batch_get_row(request).get_succeed_rows()
    row = client.get_row("t", KEY, max_version=1)[1]
    low, high = ([("公司", bound), ("naïve key", bound)] for bound in (ts.INF_MIN, ts.INF_MAX))
    page = client.get_range("t", "FORWARD", low, high, limit=1, max_version=1)
    expected = {**dict(written), "x": "bytes"}  # as the SDK has it, bytes are a STRING
    for found in (row, first.row, page[2][0]):
        assert found.primary_key == KEY
        assert {name: value for name, value, _ in found.attribute_columns} == expected
        assert all(isinstance(version, int) for _, _, version in found.attribute_columns)
    assert second.row is None
    assert page[1] == [("公司", 2), ("naïve key", "")]
    assert client.get_range("t", "FORWARD", page[1], high, max_version=1)[2][0].attribute_columns == []
    client.delete_row("t", KEY)
    assert client.get_row("t", KEY, max_version=1)[1] is None


def test_versions_of_a_table_can_be_deleted(client: OTSClient) -> None:
    """Five versions are written and deleted, each in one request; an increment beside them counts."""
    now = int(time.time() * 1000)
    versions = [("名", number, now + number) for number in range(5)]
    client.put_row("t", ts.Row(KEY, versions))
    assert len(client.get_row("t", KEY, max_version=5)[1].attribute_columns) == 5
    deleted = [(name, None, version) for name, _, version in versions]
    client.update_row("t", ts.Row(KEY, {"DELETE": deleted, "INCREMENT": [("计", 3)]}), None)
    assert [cell[:2] for cell in client.get_row("t", KEY, max_version=5)[1].attribute_columns] == [("计", 3)]


def test_a_batch_tells_of_each_row(client: OTSClient) -> None:
    """Rows of a batch that succeeded have units, the others an error code."""
    there = ts.Condition("EXPECT_EXIST")
    some = [
        ts.PutRowItem(ts.Row(KEY, [("名", 1)]), None, "RT_PK"),
        ts.UpdateRowItem(ts.Row([("公司", 9), KEY[1]], {"PUT": [("名", 1)]}), there),
        ts.DeleteRowItem(ts.Row([("公司", 2), KEY[1]]), None),
    ]
    response = client.batch_write_row(batch(ts.BatchWriteRowRequest, [ts.TableInBatchWriteRowItem("t", some)]))
    put, update, delete = (getattr(response, f"table_of_{kind}")["t"][0] for kind in ("put", "update", "delete"))
    assert (put.is_ok, put.consumed.write, put.row.primary_key) == (True, 1, KEY)
    assert (update.is_ok, update.error_code) == (False, "OTSConditionCheckFail")
    assert delete.is_ok


def test_a_wrong_row_is_an_invalid_request(client: OTSClient) -> None:
    """The official encoder's refusal reaches the caller as this library's error, with its words."""
    with pytest.raises(RequestInvalid, match="Unsupported primary key type:<class 'float'>"):
        client.put_row("t", ts.Row([("公司", 1.5)], []))
