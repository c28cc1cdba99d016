"""What a program meets in production, ordered from the emulator: throttles, resets, gateway pages, lost answers."""

from ots_config import Emulator, OTSClient, ResponseLost, WriteRetryPolicy
from tablestore import CapacityUnit, Condition, ReservedThroughput, Row, TableMeta, TableOptions

with Emulator() as emulator, OTSClient(settings=emulator.settings, retry_policy=WriteRetryPolicy()) as client:
    meta = TableMeta("counters", [("name", "STRING")])
    client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
    row = Row([("name", "visits")], [("count", 0)])

    emulator.fault(operation="PutRow", kind="status", status=502, body="<html>Bad Gateway</html>", count=1)
    emulator.fault(operation="PutRow", kind="reset_before", count=1)
    client.put_row("counters", row)
    print("a put survived:", [entry["status"] for entry in emulator.log() if entry["operation"] == "PutRow"])

    emulator.fault(operation="UpdateRow", kind="reset_after", count=1)
    try:
        client.update_row("counters", Row([("name", "visits")], {"INCREMENT": [("count", 1)]}), Condition("IGNORE"))
    except ResponseLost as error:
        print("an increment is not sent twice:", error)
    stored = client.get_row("counters", [("name", "visits")], max_version=1)[1]
    assert stored is not None  # it was written above
    print("stored once:", stored.attribute_columns[0][:2])
