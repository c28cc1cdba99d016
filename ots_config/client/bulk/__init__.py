"""Bulk writes: many rows in batches, in parallel, in order for each key, with a report about every row.

``writer``, which carries them out, is loaded by the first bulk write: most programs make none.
"""

from ots_config.client.bulk.report import MAX_BYTES, MAX_ROWS, BulkLimits, BulkReport, FailedRow

__all__ = ["MAX_BYTES", "MAX_ROWS", "BulkLimits", "BulkReport", "FailedRow"]
