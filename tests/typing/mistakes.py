# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Mistakes that a user's type checker catches; checked by mypy and pyright, which fail if one goes unnoticed."""

from typing import assert_type

from tablestore import (
    INF_MAX,
    INF_MIN,
    PK_AUTO_INCR,
    CapacityUnit,
    Condition,
    DescribeTableResponse,
    Direction,
    ReservedThroughput,
    Row,
    TableMeta,
    TableOptions,
)

from ots_config import OTSClient, create_async_client, create_client

client = create_client(socket_timeout=5)
row = Row([("id", 1)], [("name", "x"), ("age", 1, 1234567890000)])

# --- what is right stays quiet -------------------------------------------------------------------------------

client.create_table(
    TableMeta("t", [("user", "STRING"), ("id", "INTEGER", PK_AUTO_INCR)]),
    TableOptions(),
    ReservedThroughput(CapacityUnit(0, 0)),
)
assert_type(client.put_row("t", row), tuple[CapacityUnit, Row | None])
assert_type(client.describe_table("t"), DescribeTableResponse)
client.update_row("t", Row([("id", 1)], {"PUT": [("name", "y")]}), Condition("IGNORE"))
client.delete_row("t", primary_key=[("id", 1)])
found = client.get_row("t", [("id", 1)])[1]
assert_type(found, Row | None)
client.get_range("t", Direction.FORWARD, [("id", INF_MIN)], [("id", INF_MAX)], limit=10)

# --- what is wrong is caught ---------------------------------------------------------------------------------

client.put_rwo("t", row)  # type: ignore[attr-defined]
client.put_row("t")  # type: ignore[call-arg]
client.put_row("t", [("id", 1)])  # type: ignore[arg-type]
client.get_row("t", [("id", 1)], max_versions=1)  # type: ignore[call-arg]
create_client(socket_timeot=5)  # type: ignore[call-arg]
create_client(max_connection="many")  # type: ignore[arg-type]
OTSClient("https://demo.cn-hangzhou.ots.aliyuncs.com", "id", "secret", "demo", ssts_token="")  # type: ignore[call-arg]
print(found.attribute_columns)  # type: ignore[union-attr]


async def forgotten() -> None:
    """Forget to await."""
    async with create_async_client() as tasks:
        tasks.put_row("t", row)  # type: ignore[unused-coroutine]
        await tasks.put_row("t", row)
