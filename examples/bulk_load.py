"""Load many rows through a throttle, see which failed, run the rest again, and read it all back."""

from collections.abc import Iterator
from typing import Any

from ots_config import Emulator, OTSClient
from tablestore import CapacityUnit, ReservedThroughput, Row, TableMeta, TableOptions


def measurements() -> Iterator[Any]:
    """Yield rows as they would come from a file; one has a column that the service refuses."""
    for number in range(2000):
        column = "#" if number == 1234 else "celsius"
        yield Row([("sensor", number % 7), ("number", number)], [(column, 20 + number % 5)])


with Emulator() as emulator, OTSClient(settings=emulator.settings) as client:
    meta = TableMeta("measurements", [("sensor", "INTEGER"), ("number", "INTEGER")])
    client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
    emulator.fault(operation="BatchWriteRow", kind="rows", code="OTSServerBusy", rate=0.1, count=5)

    finished: list[int] = []  # with a bar of tqdm: progress=bar.update
    report = client.bulk_write("measurements", measurements(), progress=finished.append)
    print(f"{report.written} written, {report.sent_again} sent again, {sum(finished)} finished")
    for row in report.failed:
        print(f"row {row.position} failed: {row.code}: {row.message}")
    print("another run would go on from row", report.resume_from)

    start, end = [("sensor", 3), ("number", 0)], [("sensor", 3), ("number", 2000)]
    scan = client.scan("measurements", start, end, limit=2)
    print("first:", [row.primary_key[1][1] for row in scan], "next:", scan.next_key)
    print("all:", sum(1 for _ in client.scan("measurements", page_size=500)), "rows")
