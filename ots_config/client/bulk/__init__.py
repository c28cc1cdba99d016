"""Bulk writes: many rows in batches, in parallel, in order for each key, with a report about every row."""

from ots_config.client.bulk.report import MAX_BYTES, MAX_ROWS, BulkLimits, BulkReport, FailedRow
from ots_config.client.bulk.writer import BulkWriter

__all__ = ["MAX_BYTES", "MAX_ROWS", "BulkLimits", "BulkReport", "BulkWriter", "FailedRow"]
