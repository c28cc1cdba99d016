"""Input for bulk writes, and what became of it."""

from collections.abc import Iterable, Iterator
from typing import Any

from ots_config import Emulator, NoRetryPolicy, OTSClient
from ots_config.sdk import tablestore as ts

FREE = ts.ReservedThroughput(ts.CapacityUnit(0, 0))
ONCE = NoRetryPolicy()


def puts(count: int, value: Any = "text") -> Iterator[Any]:
    """Yield rows to put."""
    return (ts.Row([("id", number)], [("v", value)]) for number in range(count))


def additions(count: int) -> Iterator[Any]:
    """Yield rows that add one to a column: a row that is written twice shows it."""
    return (
        ts.UpdateRowItem(ts.Row([("id", number)], {"INCREMENT": [("n", 1)]}), ts.Condition("IGNORE"))
        for number in range(count)
    )


def stored(client: OTSClient, column: str = "v") -> dict[int, Any]:
    """Return the stored rows: key -> value of a column."""
    found = {}
    for row in client.scan("t"):
        values = {name: value for name, value, _ in row.attribute_columns}
        found[row.primary_key[0][1]] = values.get(column)
    return found


def batches(emulator: Emulator) -> list[dict[str, Any]]:
    """Return the log of the batches."""
    return [entry for entry in emulator.log() if entry["operation"] == "BatchWriteRow"]


class Watched:
    """An input that counts what was read of it, and a progress that checks how far it is ahead."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = rows
        self.read = 0
        self.finished: list[int] = []
        self.furthest = 0

    def __iter__(self) -> Iterator[Any]:
        for row in self._rows:
            self.read += 1
            self.furthest = max(self.furthest, self.read - sum(self.finished))
            yield row

    def progress(self, finished: int) -> None:
        """Note progress."""
        self.finished.append(finished)
