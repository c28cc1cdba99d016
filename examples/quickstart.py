"""The main job, end to end: settings, credentials, a client, a table, rows; on the emulator, or on your own instance.

python examples/quickstart.py                        # needs nothing: everything runs against the embedded emulator
python examples/quickstart.py --env-file prod.env    # a table ots_config_demo_... is created, used and deleted
"""

import argparse
import secrets
import sys
import time
from contextlib import ExitStack

from ots_config import Emulator, OTSClient, OTSSettings, ServiceError, create_client
from tablestore import INF_MAX, INF_MIN, CapacityUnit, Condition, ReservedThroughput, Row, TableMeta, TableOptions


def main() -> int:
    """Make a client and run the steps; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env-file", metavar="FILE", help="use your own instance, as this file describes it")
    given = parser.parse_args()
    with ExitStack() as stack:
        emulator = None if given.env_file else stack.enter_context(Emulator())
        settings = OTSSettings(env_file=given.env_file) if emulator is None else emulator.settings
        print("Settings that are set:")
        for row in settings.explain():
            if row.origin != "default":
                print(f"  {row.field:18} {row.value:24} {row.origin}")
        table = "notes" if emulator is not None else f"ots_config_demo_{secrets.token_hex(4)}"
        if emulator is None and sys.stdin.isatty():
            answer = input(f"Create the table {table} in {settings.instance_name} and delete it afterwards? [y/N] ")
            if answer.strip().lower() not in ("y", "yes"):
                return 1
        client = stack.enter_context(create_client(settings=settings))
        meta = TableMeta(table, [("author", "STRING"), ("number", "INTEGER")])
        client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
        try:
            use(client, table)
            if emulator is not None:
                emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", count=2)
                client.put_row(table, Row([("author", "bob"), ("number", 0)], [("text", "in a throttle")]))
                print("A throttled write:", [entry["code"] or entry["status"] for entry in emulator.log()[-3:]])
        finally:
            client.delete_table(table)
    print("Deleted:", table)
    return 0


def use(client: OTSClient, table: str) -> None:
    """Write rows, change one, and read them."""
    wait_until_ready(client, table)
    for number in range(3):
        client.put_row(table, Row([("author", "ada"), ("number", number)], [("text", f"note {number}")]))
    changed = Row([("author", "ada"), ("number", 1)], {"PUT": [("text", "changed")]})
    client.update_row(table, changed, Condition("EXPECT_EXIST"))
    note = client.get_row(table, [("author", "ada"), ("number", 1)], max_version=1)[1]
    assert note is not None  # it was written above
    print("Read:", note.primary_key, [column[:2] for column in note.attribute_columns])
    low, high = [("author", INF_MIN), ("number", INF_MIN)], [("author", INF_MAX), ("number", INF_MAX)]
    print("Scan:", len(client.get_range(table, "FORWARD", low, high, max_version=1)[2]), "rows")


def wait_until_ready(client: OTSClient, table: str) -> None:
    """Wait until a new table can be read, which takes the service up to a minute."""
    ends = time.monotonic() + 90
    while True:
        try:
            client.get_row(table, [("author", ""), ("number", 0)])
        except ServiceError as error:
            if error.code not in ("OTSObjectNotExist", "OTSTableNotReady") or time.monotonic() > ends:
                raise
            print("Waiting for the table...")
            time.sleep(3)
        else:
            return


if __name__ == "__main__":
    sys.exit(main())
