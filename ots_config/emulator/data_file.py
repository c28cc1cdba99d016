"""Keeps tables and keys in an SQLite file, so that they survive the end of the process, also a sudden one.

Each operation is one transaction of the file, committed before the response is sent. In write-ahead mode that is a
write without waiting for the disk: what was acknowledged survives the process, and a power loss may cost the last
seconds. Open local transactions of Tablestore are not kept.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ots_config.emulator.cloud.access_keys import AccessKey, KeyOwner
from ots_config.emulator.tablestore import stored_tables
from ots_config.emulator.tablestore.change_log import ChangeLog
from ots_config.emulator.tablestore.model import Instance, Table, UnsavedChanges
from ots_config.emulator.tablestore.sorted_keys import Key

_APPLICATION = 0x4F545345
_VERSION = 1
_FORGOTTEN_AFTER = 86_400  # seconds after their end for which temporary keys are kept
_SCHEMA = """
CREATE TABLE instances (name TEXT PRIMARY KEY);
CREATE TABLE tables (id INTEGER PRIMARY KEY, instance TEXT NOT NULL, main INTEGER, definition TEXT NOT NULL);
CREATE TABLE rows (table_id INTEGER, key BLOB, row BLOB NOT NULL, PRIMARY KEY (table_id, key)) WITHOUT ROWID;
CREATE TABLE records (table_id INTEGER, shard INTEGER, position INTEGER, at INTEGER NOT NULL, kind INTEGER NOT NULL,
    change BLOB NOT NULL, before BLOB, after BLOB, PRIMARY KEY (table_id, shard, position)) WITHOUT ROWID;
CREATE TABLE keys (id TEXT PRIMARY KEY, secret TEXT NOT NULL, token TEXT, expires_at REAL, kind TEXT NOT NULL,
    arn TEXT NOT NULL, principal TEXT NOT NULL, revoked INTEGER NOT NULL);
"""


class DataFileUnusable(OSError):
    """The data file cannot be used; the message says why."""


@dataclass(slots=True)
class _StoredStream:
    """What the file has of a stream: for each shard the positions from the first to before the next."""

    log: ChangeLog
    first: list[int]
    next: list[int]


@dataclass(slots=True)
class _StoredInstance:
    """What the file has of an instance."""

    name: str
    instance: Instance
    changes: UnsavedChanges = field(default_factory=UnsavedChanges)
    tables: dict[Table, int] = field(default_factory=dict)
    streams: dict[Table, _StoredStream] = field(default_factory=dict)

    @property
    def unchanged(self) -> bool:
        """Whether the file has everything; no operation replaces a table by another."""
        changes = self.changes
        return not (changes.rows or changes.definitions or changes.streams) and len(self.tables) == len(
            self.instance.tables
        )


class DataFile:
    """One open file, which no other process can open meanwhile.

    Args:
        path: The file; it is made, for its owner only, if it does not exist.

    Raises:
        OSError: If it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._stored: dict[int, _StoredInstance] = {}
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # it holds secrets
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.5)
        problem = ""
        try:
            self._prepare()
        except sqlite3.OperationalError as error:
            problem = "another process uses it" if "locked" in str(error) else str(error)
        except sqlite3.DatabaseError:
            problem = "it is no data file of the emulator"
        except DataFileUnusable as error:
            problem = str(error)
        if problem:
            self._connection.close()
            raise DataFileUnusable(f"{path} cannot be used: {problem}")
        _open_files.add(self)

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        ((tables,),) = run("SELECT count(*) FROM sqlite_master")
        ((application,),) = run("PRAGMA application_id")
        ((version,),) = run("PRAGMA user_version")
        if tables and application != _APPLICATION:
            raise DataFileUnusable("it is no data file of the emulator")
        if tables and version != _VERSION:
            raise DataFileUnusable(f"it has version {version}, not {_VERSION}")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        with self._transaction():  # takes the lock, which is kept
            if not tables:
                for statement in _SCHEMA.split(";")[:-1]:
                    run(statement)
                run(f"PRAGMA application_id = {_APPLICATION}")
                run(f"PRAGMA user_version = {_VERSION}")

    def close(self) -> None:
        """Close the file; the tables in memory change nothing in it any more."""
        for stored in self._stored.values():
            for table in stored.tables:
                table.changes = None
        self._stored.clear()
        _open_files.discard(self)
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            run("ROLLBACK")
            raise
        run("COMMIT")

    # --- instances --------------------------------------------------------------------------------------------

    def instances(self) -> list[str]:
        """Return the names of the instances in the file."""
        return [name for (name,) in self._connection.execute("SELECT name FROM instances ORDER BY rowid")]

    def attach(self, name: str, instance: Instance) -> None:
        """Fill an empty instance from the file, and store what changes in it from now on."""
        run = self._connection.execute
        run("INSERT OR IGNORE INTO instances VALUES (?)", (name,))
        stored = _StoredInstance(name, instance)
        by_id: dict[int, Table] = {}
        found = run("SELECT id, main, definition FROM tables WHERE instance = ? ORDER BY id", (name,))
        for number, main, definition in found.fetchall():
            table = stored_tables.read_definition(definition, by_id.get(main))
            by_id[number] = instance.tables[table.name] = table
            self._read_rows(number, table)
            if table.stream is not None:
                stored.streams[table] = self._read_records(number, table.stream)
            stored.tables[table] = number
            table.changes = stored.changes
        # The ids of transactions hold this number: one from before the restart must not name a new transaction.
        instance.transactions_started = int(time.time() * 1000)
        self._stored[id(instance)] = stored

    def _read_rows(self, number: int, table: Table) -> None:
        found = self._connection.execute("SELECT row FROM rows WHERE table_id = ?", (number,))
        rows = dict(stored_tables.read_row(row) for (row,) in found)
        table.rows = rows
        for key in sorted(rows):
            table.order.add(key)

    def _read_records(self, number: int, log: ChangeLog) -> _StoredStream:
        for position, shard in enumerate(log.shards):
            found = self._connection.execute(
                "SELECT position, at, kind, change, before, after FROM records WHERE table_id = ? AND shard = ? "
                "ORDER BY position",
                (number, position),
            ).fetchall()
            shard.records = [stored_tables.read_record(*record) for _, *record in found]
            shard.trimmed = found[0][0] if found else 0
        firsts = [shard.trimmed for shard in log.shards]
        return _StoredStream(log, firsts, [shard.trimmed + len(shard.records) for shard in log.shards])

    def drop(self, name: str) -> None:
        """Remove an instance with its tables."""
        for key, stored in list(self._stored.items()):
            if stored.name == name:
                del self._stored[key]
        with self._transaction():
            found = self._connection.execute("SELECT id FROM tables WHERE instance = ?", (name,)).fetchall()
            for (number,) in found:
                self._remove(number)
            self._connection.execute("DELETE FROM instances WHERE name = ?", (name,))

    # --- saving -----------------------------------------------------------------------------------------------

    def save(self, instance: Instance) -> None:
        """Store what an operation changed, all of it or nothing.

        Raises:
            sqlite3.Error: If the file cannot be written; what is missing is stored by the next call that succeeds.
        """
        stored = self._stored.get(id(instance))
        if stored is None or stored.unchanged:
            return
        changes = stored.changes
        with self._transaction():
            if len(stored.tables) != len(instance.tables):
                self._save_tables(stored)
            rows = dict.fromkeys(changes.rows)
            self._save_rows(stored, rows)
            for table in changes.definitions | changes.streams:
                if table in stored.tables:
                    self._save_definition(stored, table)
        changes.clear()

    def _save_tables(self, stored: _StoredInstance) -> None:
        tables = stored.instance.tables
        for table, number in list(stored.tables.items()):
            if tables.get(table.name) is not table:
                self._remove(number)
                del stored.tables[table]
                stored.streams.pop(table, None)
                table.changes = None
        added = [table for table in tables.values() if table not in stored.tables]
        for table in sorted(added, key=lambda table: table.main is not None):
            main = None if table.main is None else stored.tables[table.main]
            cursor = self._connection.execute(
                "INSERT INTO tables (instance, main, definition) VALUES (?, ?, '')", (stored.name, main)
            )
            stored.tables[table] = cursor.lastrowid or 0
            table.changes = stored.changes
            self._save_definition(stored, table)
            self._save_rows(stored, ((table, key) for key in table.rows))

    def _save_rows(self, stored: _StoredInstance, changed: Iterable[tuple[Table, Key]]) -> None:
        run = self._connection.execute
        for table, key in changed:
            number = stored.tables.get(table)
            if number is None:  # removed since
                continue
            row = table.rows.get(key)
            if row is None:
                run("DELETE FROM rows WHERE table_id = ? AND key = ?", (number, stored_tables.write_key(table, key)))
            else:
                data = (number, stored_tables.write_key(table, key), stored_tables.write_row(table, key, row))
                run("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", data)

    def _save_definition(self, stored: _StoredInstance, table: Table) -> None:
        number = stored.tables[table]
        self._connection.execute(
            "UPDATE tables SET definition = ? WHERE id = ?", (stored_tables.write_definition(table), number)
        )
        known = stored.streams.get(table)
        if known is not None and known.log is not table.stream:
            self._connection.execute("DELETE FROM records WHERE table_id = ?", (number,))
            del stored.streams[table]
            known = None
        if table.stream is not None:
            shards = len(table.stream.shards)
            known = known or _StoredStream(table.stream, [0] * shards, [0] * shards)
            stored.streams[table] = known
            self._save_records(number, table, known)

    def _save_records(self, number: int, table: Table, known: _StoredStream) -> None:
        for position, shard in enumerate(known.log.shards):
            if shard.trimmed > known.first[position]:
                self._connection.execute(
                    "DELETE FROM records WHERE table_id = ? AND shard = ? AND position < ?",
                    (number, position, shard.trimmed),
                )
                known.first[position] = shard.trimmed
            start = max(known.next[position], shard.trimmed)
            new = shard.records[start - shard.trimmed :]
            self._connection.executemany(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (number, position, start + index, *stored_tables.write_record(table, record))
                    for index, record in enumerate(new)
                ],
            )
            known.next[position] = start + len(new)

    def _remove(self, number: int) -> None:
        for statement in ("rows WHERE table_id", "records WHERE table_id", "tables WHERE id"):
            self._connection.execute(f"DELETE FROM {statement} = ?", (number,))  # noqa: S608  three constants

    # --- keys -------------------------------------------------------------------------------------------------

    def keys(self, now: float) -> list[AccessKey]:
        """Return the stored keys, oldest first, without temporary ones that ended long ago."""
        run = self._connection.execute
        run("DELETE FROM keys WHERE expires_at < ?", (now - _FORGOTTEN_AFTER,))
        return [
            AccessKey(name, secret, token, expires_at, KeyOwner(kind, arn, principal), bool(revoked))
            for name, secret, token, expires_at, kind, arn, principal, revoked in run(
                "SELECT * FROM keys ORDER BY rowid"
            )
        ]

    def save_key(self, key: AccessKey) -> None:
        """Store a key that is new or changed."""
        owner = key.owner
        self._connection.execute(
            "INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (key.id, key.secret, key.token, key.expires_at, owner.kind, owner.arn, owner.principal, key.revoked),
        )


_open_files: weakref.WeakSet[DataFile] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for file in list(_open_files):
        # The file is the parent's. Closing the copy of its connection would complete and remove the parent's log.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(file._connection))  # noqa: SLF001
    _open_files.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
