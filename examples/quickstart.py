"""The main job, end to end: settings from an env file, credentials found, a client made, rows written and read.

Everything runs against the embedded emulator, over a real socket, with signed and verified requests.
"""

import logging
import tempfile
from pathlib import Path

from ots_config import Emulator, OTSClient, OTSSettings, create_client
from tablestore import INF_MAX, INF_MIN, CapacityUnit, Condition, ReservedThroughput, Row, TableMeta, TableOptions


def main() -> None:
    """Run the steps and print each one's result."""
    with Emulator() as emulator, tempfile.TemporaryDirectory() as folder:
        env_file = Path(folder) / "demo.env"
        env_file.touch(mode=0o600)
        env_file.write_text(
            f"OTS_ENDPOINT={emulator.endpoint}\nOTS_INSTANCE_NAME={emulator.instance_name}\n"
            f"OTS_ACCESS_KEY_ID={emulator.access_key_id}\nOTS_ACCESS_KEY_SECRET={emulator.access_key_secret}\n"
        )
        print("Settings, and where each came from:")
        for row in OTSSettings(env_file=env_file).explain():
            print(f"  {row.field:24} {row.value:28} {row.origin.replace(folder + '/', '')}")

        logging.basicConfig(format="  log: %(message)s", level=logging.INFO)
        with create_client(env_file=env_file) as client:
            run(client, emulator)


def run(client: OTSClient, emulator: Emulator) -> None:
    """Create a table, use it, and survive a throttle."""
    meta = TableMeta("notes", [("author", "STRING"), ("number", "INTEGER")])
    client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
    print("Tables:", client.list_table())

    for number in range(3):
        client.put_row("notes", Row([("author", "ada"), ("number", number)], [("text", f"note {number}")]))
    client.update_row(
        "notes", Row([("author", "ada"), ("number", 1)], {"PUT": [("text", "changed")]}), Condition("EXPECT_EXIST")
    )
    _, note, _ = client.get_row("notes", [("author", "ada"), ("number", 1)], max_version=1)
    assert note is not None  # it was written above
    print("Read:  ", note.primary_key, [column[:2] for column in note.attribute_columns])

    low, high = [("author", INF_MIN), ("number", INF_MIN)], [("author", INF_MAX), ("number", INF_MAX)]
    print("Scan:  ", len(client.get_range("notes", "FORWARD", low, high, max_version=1)[2]), "rows")

    emulator.clear_log()
    emulator.fault(operation="PutRow", kind="error", code="OTSServerBusy", count=2)
    client.put_row("notes", Row([("author", "bob"), ("number", 0)], [("text", "in a throttle")]))
    print("A throttled write, attempt by attempt:", [entry["code"] or entry["status"] for entry in emulator.log()])

    client.delete_row("notes", Row([("author", "bob"), ("number", 0)]))
    client.delete_table("notes")
    print("Tables:", client.list_table())


if __name__ == "__main__":
    main()
