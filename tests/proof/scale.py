"""How large the proofs are: a sample in every test run, all of it for ``make proof``."""

import os
from typing import TypeVar

T = TypeVar("T")

RESULTS = os.environ.get("PROOF_RESULTS", "")
"""The file that ``make proof`` writes its tables to; empty for the sample."""

FULL = bool(RESULTS)


def scaled(sample: T, full: T) -> T:
    """Return what belongs to the run's size."""
    return full if FULL else sample
