"""Many rows written in many requests: batched, in parallel, in order for each key, and every row accounted for."""

from ots_config.client.bulk.report import MOST_BYTES, MOST_ROWS, BulkReport, FailedRow, Limits
from ots_config.client.bulk.writer import Progress, Wire, write_in_tasks, write_in_threads

__all__ = [
    "MOST_BYTES",
    "MOST_ROWS",
    "BulkReport",
    "FailedRow",
    "Limits",
    "Progress",
    "Wire",
    "write_in_tasks",
    "write_in_threads",
]
