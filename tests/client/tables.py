"""The table ``t`` of the clients' tests, a row of it, and how tables are created."""

from typing import Any

from ots_config.sdk import tablestore as ts

KEY_COLUMNS = [("gid", "INTEGER"), ("uid", "STRING")]
KEY = [("gid", 1), ("uid", "a")]
ROW = ts.Row(KEY, [("n", 1), ("d", 1.5), ("s", "水"), ("b", bytearray(b"\x00\xff")), ("t", True)])


def create_table(client: Any, name: str, key: list[tuple[str, ...]]) -> Any:
    """Create a table; of an asynchronous client, return what is to be awaited."""
    meta = ts.TableMeta(name, key)
    return client.create_table(meta, ts.TableOptions(), ts.ReservedThroughput(ts.CapacityUnit(0, 0)))
