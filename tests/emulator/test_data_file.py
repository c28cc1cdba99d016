"""Tables and keys that a data file keeps: everything of them, also after a kill, and nothing twice."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ots_config import Emulator, NoRetryPolicy, OTSClient
from ots_config.cli import main
from ots_config.emulator.data_file import DataFile, DataFileUnusable
from ots_config.emulator.tablestore.model import Table
from ots_config.sdk import tablestore as ts
from tests.client.tables import create_table
from tests.emulator.test_http import Wire, encode

pb2 = ts.protobuf.table_store_pb2
ANY = ts.Condition("IGNORE")
CAPACITY = ts.ReservedThroughput(ts.CapacityUnit(0, 0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is."""
    return tmp_path / "emulator.data"


def client_of(emulator: Emulator, instance: str = "demo", **others: Any) -> OTSClient:
    """Return a client that sends each operation once."""
    return OTSClient(settings=emulator.settings_for(instance, **others), retry_policy=NoRetryPolicy())


def contents(table: Table) -> dict[str, Any]:
    """Return everything of a table."""
    shown = {
        name: getattr(table, name) for name in Table.__slots__ if name not in {"changes", "indexes", "main", "order"}
    }
    shown["order"] = list(table.order)
    shown["main"] = None if table.main is None else table.main.name
    shown["indexes"] = {
        name: (index.columns, index.defined, index.kind, index.mode) for name, index in table.indexes.items()
    }
    return shown


def everything(emulator: Emulator) -> dict[str, dict[str, Any]]:
    """Return every table of every instance."""
    return {
        instance: {name: contents(table) for name, table in found.tables.items()}
        for instance, found in emulator.server._instances.items()
    }


def enable_stream(emulator: Emulator, table: str) -> None:
    """Give a table a stream, which the SDK has no arguments for."""
    spec = pb2.StreamSpecification(enable_stream=True, expiration_time=24)
    with Wire(emulator) as wire:
        wire.send(
            encode("/UpdateTable", pb2.UpdateTableRequest(table_name=table, stream_spec=spec).SerializeToString())
        )
        assert wire.read()[0] == 200


def use(emulator: Emulator) -> None:
    """Do something of each kind that is to be kept."""
    with client_of(emulator) as client:
        meta = ts.TableMeta(
            "all", [("k", "STRING"), ("n", "INTEGER"), ("b", "BINARY")], [("c", "INTEGER"), ("d", "STRING")]
        )
        local = ts.SecondaryIndexMeta("by_c", ["c"], ["d"])
        client.create_table(meta, ts.TableOptions(), CAPACITY, secondary_indexes=[local])
        client.update_table("all", ts.TableOptions(time_to_live=90_000))
        enable_stream(emulator, "all")
        for number in range(6):
            key = [("k", "ab"[number % 2]), ("n", 2**62 - number), ("b", bytearray([number, 255]))]
            columns = [("c", number), ("d", "水"), ("f", 1.5), ("t", True), ("x", bytearray(b"\x00"))]
            client.put_row("all", ts.Row(key, columns))
        client.update_row("all", ts.Row(key, {"INCREMENT": [("c", 7)], "DELETE_ALL": ["f"]}), ANY)
        client.delete_row("all", [("k", "a"), ("n", 2**62), ("b", bytearray([0, 255]))])
        client.delete_row("all", [("k", "none"), ("n", 1), ("b", bytearray())])
        client.create_secondary_index("all", ts.SecondaryIndexMeta("by_d", ["d"], []), include_base_data=False)
        client.put_row("all", ts.Row(key, [("d", "new"), ("c", 1)]))

        versions = ts.TableOptions(max_version=3)
        client.create_table(
            ts.TableMeta("versions", [("k", "INTEGER")]), versions, ts.ReservedThroughput(ts.CapacityUnit(3, 4))
        )
        for number in range(3):
            client.update_row("versions", ts.Row([("k", 1)], {"PUT": [("v", number)]}), ANY)
        create_table(client, "numbers", [("p", "STRING"), ("id", "INTEGER", ts.PK_AUTO_INCR)])
        client.put_row("numbers", ts.Row([("p", "x"), ("id", ts.PK_AUTO_INCR)], [("v", 1)]))
        create_table(client, "gone", [("k", "INTEGER")])
        client.put_row("gone", ts.Row([("k", 1)], []))
        client.delete_table("gone")
        request = ts.BatchWriteRowRequest()
        rows = [ts.PutRowItem(ts.Row([("k", number)], [("v", "x")]), ts.Condition("IGNORE")) for number in range(50)]
        request.add(ts.TableInBatchWriteRowItem("versions", rows))
        client.batch_write_row(request)


def test_everything_survives_a_restart(path: Path) -> None:
    """Rows, versions, indexes, streams, counters and definitions are after a restart what they were before."""
    with Emulator(data=path, instances=["demo", "other"]) as emulator:
        use(emulator)
        with client_of(emulator, "other") as client:
            create_table(client, "t", [("k", "INTEGER")])
        before = everything(emulator)
    assert len(before["demo"]["all"]["stream"].shards[0].records) == 10
    assert len(before["demo"]["by_d"]["rows"]) == 1  # made without the rows that there were
    for _ in range(2):  # the second time from what the first restart stored
        with Emulator(data=path) as again:
            assert everything(again) == before
            with client_of(again) as client:
                assert set(client.list_table()) == {"all", "versions", "numbers"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_changes_go_on_after_a_restart(path: Path) -> None:
    """Indexes follow, streams go on where they were, and generated keys are new, after each restart."""
    with Emulator(data=path) as emulator:
        use(emulator)
    ids: list[int] = []
    for number in range(3):
        with Emulator(data=path) as emulator, client_of(emulator) as client:
            row = ts.Row([("p", "x"), ("id", ts.PK_AUTO_INCR)], [("v", number)])
            returned = client.put_row("numbers", row, return_type=ts.ReturnType.RT_PK)[1]
            ids.append(returned.primary_key[1][1])
            key = [("k", "c"), ("n", number), ("b", bytearray())]
            client.put_row("all", ts.Row(key, [("c", 100 + number)]))
            tables = emulator.server._instances["demo"].tables
            assert 100 + number in {key[0] for key in tables["by_c"].rows}
            stream = tables["all"].stream
            assert stream is not None
            assert len(stream.shards[0].records) == 11 + number
            times = [record.at for record in stream.shards[0].records]
            assert times == sorted(set(times))
            before = everything(emulator)
        with Emulator(data=path) as emulator:
            assert everything(emulator) == before
    assert ids == sorted(set(ids))


def test_a_stopped_emulator_starts_with_its_data(path: Path) -> None:
    """The same object stopped and started again has its tables and its port."""
    emulator = Emulator(data=path)
    with emulator:
        use(emulator)
        before, port = everything(emulator), emulator.port
    with emulator:
        assert everything(emulator) == before
        assert emulator.port == port


def test_open_transactions_are_dropped(path: Path) -> None:
    """What a transaction wrote is gone, its lock too, and its id names no later transaction."""
    with Emulator(data=path) as emulator, client_of(emulator) as client:
        create_table(client, "t", [("k", "INTEGER"), ("n", "INTEGER")])
        old = client.start_local_transaction("t", [("k", 1)])
        client.put_row("t", ts.Row([("k", 1), ("n", 1)], []), transaction_id=old)
        second = client.start_local_transaction("t", [("k", 2)])
        client.put_row("t", ts.Row([("k", 2), ("n", 1)], []), transaction_id=second)
        client.commit_transaction(second)
    with Emulator(data=path) as emulator, client_of(emulator) as client:
        assert client.get_row("t", [("k", 1), ("n", 1)])[1] is None
        assert client.get_row("t", [("k", 2), ("n", 1)])[1] is not None
        new = client.start_local_transaction("t", [("k", 1)])
        assert new != old
        with pytest.raises(ts.OTSServiceError, match="OTSSessionNotExist"):
            client.commit_transaction(old)


def test_keys_are_kept(path: Path) -> None:
    """Added, issued and revoked keys are after a restart what they were; the key of the arguments is accepted."""
    with Emulator(data=path) as emulator:
        emulator.add_key("second", "secret")
        issued = emulator.issue_key(lifetime=3600)
        revoked = emulator.issue_key(lifetime=3600)
        emulator.revoke(revoked["AccessKeyId"])
        emulator.revoke("testid")
    with Emulator(data=path, access_key_id="third", access_key_secret="secret") as emulator:
        temporary = {
            "access_key_id": issued["AccessKeyId"],
            "access_key_secret": issued["AccessKeySecret"],
            "sts_token": issued["SecurityToken"],
        }
        for given in ({"access_key_id": "second", "access_key_secret": "secret"}, temporary, {}):
            with client_of(emulator, **given) as client:
                client.list_table()
        for name in ("testid", revoked["AccessKeyId"]):
            key = emulator.server.keys.find(name)
            assert key is not None
            assert key.revoked
    with Emulator(data=path, access_key_secret="another") as emulator, client_of(emulator) as client:
        client.list_table()


def test_reset_and_dropped_instances_are_kept(path: Path) -> None:
    """What was emptied or dropped does not come back."""
    with Emulator(data=path, instances=["demo", "other"]) as emulator:
        use(emulator)
        emulator.drop_instance("other")
        emulator.reset()
        with client_of(emulator) as client:
            create_table(client, "fresh", [("k", "INTEGER")])
    with Emulator(data=path) as emulator:
        assert {name: list(tables) for name, tables in everything(emulator).items()} == {"demo": ["fresh"]}
    with sqlite3.connect(path) as connection:
        for query in ("SELECT * FROM rows", "SELECT * FROM records"):
            assert connection.execute(query).fetchall() == []
    connection.close()


def test_a_file_is_used_by_one_process(path: Path) -> None:
    """A second emulator is refused with a sentence, and the first goes on."""
    with Emulator(data=path) as emulator:
        second = subprocess.run(
            [sys.executable, "-m", "ots_config", "emulator", "--port", "0", "--data", str(path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == f"ots-config emulator: {path} cannot be used: another process uses it\n"
        use(emulator)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 100), "it is no data file of the emulator"),
        (
            lambda path: sqlite3.connect(path).executescript("CREATE TABLE t (x)").connection.close(),
            "it is no data file",
        ),
        (lambda path: path.mkdir(), "Is a directory"),
    ],
)
def test_another_file_is_refused_and_left_alone(
    path: Path, make: Any, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no data file is not overwritten."""
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    assert main(["emulator", "--port", "0", "--data", str(path)]) == 1
    assert words in capsys.readouterr().err
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_file_of_a_later_version_is_refused(path: Path) -> None:
    """A file that this version cannot read is named with both versions."""
    with Emulator(data=path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(DataFileUnusable, match="it has version 9, not 1"):
        Emulator(data=path).start()


def test_what_cannot_be_stored_is_not_acknowledged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that the file does not take is answered with an error, and stored with the next one that it takes."""
    with Emulator(data=path) as emulator, client_of(emulator) as client:
        create_table(client, "t", [("k", "INTEGER")])
        save = DataFile._save_rows
        monkeypatch.setattr(
            DataFile, "_save_rows", lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("disk full"))
        )
        with pytest.raises(ts.OTSServiceError, match="OTSInternalServerError"):
            client.put_row("t", ts.Row([("k", 1)], []))
        monkeypatch.setattr(DataFile, "_save_rows", save)
        client.put_row("t", ts.Row([("k", 2)], []))
    with Emulator(data=path) as emulator, client_of(emulator) as client:
        assert client.get_row("t", [("k", 2)])[1] is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_leaves_the_file_alone(path: Path) -> None:
    """A child that ends, with all that Python does then, takes nothing from its parent's file."""
    code = (
        "import os, sys\nfrom ots_config import Emulator, OTSClient\nfrom ots_config.sdk import tablestore as ts\n"
        "from tests.client.tables import create_table\n"
        "with Emulator(data=sys.argv[1]) as emulator, OTSClient(settings=emulator.settings) as client:\n"
        "    create_table(client, 't', [('k', 'INTEGER')])\n"
        "    child = os.fork()\n"
        "    if child == 0:\n        sys.exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    client.put_row('t', ts.Row([('k', 1)], []))\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(path)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    with Emulator(data=path) as emulator, client_of(emulator) as client:
        assert client.get_row("t", [("k", 1)])[1] is not None


@pytest.fixture
def served(path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Collect processes; those that still run at the end are killed."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def partition(worker: int) -> tuple[list[Any], list[Any]]:
    """Return the range of a worker's rows."""
    return [("w", worker), ("n", ts.INF_MIN)], [("w", worker), ("n", ts.INF_MAX)]


def test_a_kill_under_load_loses_nothing_acknowledged(path: Path, served: list[subprocess.Popen[str]]) -> None:
    """Threads write while the process is killed: what was acknowledged is there, no batch is half there."""

    def serve() -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "ots_config", "emulator", "--port", "0", "--quiet", "--data", str(path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        served.append(process)
        assert process.stdout is not None
        return process.stdout.readline().removeprefix("listening on ").strip()

    def client(endpoint: str) -> OTSClient:
        return OTSClient(endpoint, "testid", "testsecret", "demo", retry_policy=NoRetryPolicy())

    acknowledged: list[set[int]] = [set() for _ in range(4)]
    counted = [0] * 4
    enough = threading.Event()

    def write(worker: int, endpoint: str) -> None:
        with client(endpoint) as writer:
            try:
                for number in range(10_000):
                    writer.put_row("t", ts.Row([("w", worker), ("n", number)], [("v", "x" * 200)]))
                    acknowledged[worker].add(number)
                    writer.update_row("t", ts.Row([("w", worker), ("n", -1)], {"INCREMENT": [("v", 1)]}), ANY)
                    counted[worker] += 1
                    rows = [("w", 100 + worker), ("n", 2 * number)], [("w", 100 + worker), ("n", 2 * number + 1)]
                    batch = ts.BatchWriteRowRequest()
                    items = [ts.PutRowItem(ts.Row(key, []), ts.Condition("IGNORE")) for key in rows]
                    batch.add(ts.TableInBatchWriteRowItem("t", items))
                    writer.batch_write_row(batch)
                    if sum(counted) > 200:
                        enough.set()
            except (ts.OTSClientError, ts.OTSServiceError):
                return  # the process is gone

    endpoint = serve()
    with client(endpoint) as first:
        create_table(first, "t", [("w", "INTEGER"), ("n", "INTEGER")])
    writers = [threading.Thread(target=write, args=(worker, endpoint)) for worker in range(4)]
    for writer in writers:
        writer.start()
    assert enough.wait(60)
    served[0].send_signal(signal.SIGKILL)
    for writer in writers:
        writer.join(60)
    with client(serve()) as reader:
        for worker in range(4):
            found = {row.primary_key[1][1]: row for row in reader.scan("t", *partition(worker))}
            assert acknowledged[worker] <= found.keys()
            assert found[-1].attribute_columns[0][1] in {counted[worker], counted[worker] + 1}
            assert len(list(reader.scan("t", *partition(100 + worker)))) % 2 == 0
