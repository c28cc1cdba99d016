"""The stream of a table: a log of its changes by partition, kept for some hours, that clients read from a position."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple
from uuid import NAMESPACE_OID, uuid5

from ots_config.emulator.tablestore.cells import Row, column
from ots_config.emulator.tablestore.sorted_keys import Key
from ots_config.plainbuffer import OP_INCREMENT, Cell

_HOUR = 3_600_000_000
_TRIMMED_AT_ONCE = 256  # expired records are removed in groups, as the rest of the log moves each time
_AT = attrgetter("at")


class StreamRecord(NamedTuple):
    """One change to one row.

    Attributes:
        at: When it was made, in microseconds, later than every earlier record of the stream.
        kind: PUT, UPDATE or DELETE, a number of the protocol.
        cells: The columns written, with their versions, and those deleted.
        before: The row as it was, None if there was none.
        after: The row as it became, None if it was deleted.
    """

    at: int
    kind: int
    key: Key
    cells: Sequence[Cell]
    before: Row | None
    after: Row | None


class ColumnChoice(NamedTuple):
    """Which columns of a row go with a record: a kind of the protocol, and names for the kind that has them."""

    kind: int
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Shard:
    """The records of one partition.

    Attributes:
        id: Its name.
        records: The records that have not expired, oldest first.
        trimmed: How many records were removed; positions in the shard count them too.
    """

    id: str
    records: list[StreamRecord] = field(default_factory=list)
    trimmed: int = 0

    def trim(self, oldest: int) -> None:
        """Remove the records made before a time, in microseconds."""
        expired = bisect_left(self.records, oldest, key=_AT)
        if expired >= _TRIMMED_AT_ONCE or expired == len(self.records):
            del self.records[:expired]
            self.trimmed += expired

    def position_at(self, time: int) -> int:
        """Return the position of the first record made at a time, in microseconds, or later."""
        return self.trimmed + bisect_left(self.records, time, key=_AT)


@dataclass(slots=True)
class ChangeLog:
    """The stream of a table.

    Attributes:
        id: Its name.
        enabled: When it was enabled, in microseconds.
        hours: How long records are kept.
        columns: The columns whose values before the change go with a record.
        old: Which columns of the row before the change go with a record; replaces `columns`.
        new: Which columns of the row after the change go with a record.
        shards: One for each partition of the table, in their order.
        last: When the last record was made, in microseconds.
    """

    id: str
    enabled: int
    hours: int
    shards: list[Shard]
    columns: tuple[str, ...] = ()
    old: ColumnChoice | None = None
    new: ColumnChoice | None = None
    last: int = 0

    def append(
        self, shard: int, key: Key, kind: int, cells: Sequence[Cell], before: Row | None, after: Row | None, now_ms: int
    ) -> None:
        """Record a change, and remove records of its shard that have expired."""
        self.last = max(self.last + 1, now_ms * 1000)
        part = self.shards[shard]
        part.trim(self.last - self.hours * _HOUR)
        part.records.append(StreamRecord(self.last, kind, key, _recorded(cells, after or (), now_ms), before, after))


def make_shards(stream: str, count: int) -> list[Shard]:
    """Return new, empty shards of a stream."""
    return [Shard(str(uuid5(NAMESPACE_OID, f"{stream}/{number}"))) for number in range(count)]


def _recorded(cells: Sequence[Cell], after: Row, now_ms: int) -> list[Cell]:
    """Return the cells of a change as a stream has them: values with their versions, a sum in place of an increment."""
    recorded: list[Cell] = []
    for cell in cells:
        name, value, timestamp, op = cell
        if op == OP_INCREMENT:
            for _, total, version, _ in column(after, name)[:1]:
                recorded.append(Cell(name, total, version, None))
        elif op is None:
            recorded.append(Cell(name, value, now_ms if timestamp is None else timestamp, None))
        else:
            recorded.append(cell)
    return recorded
