"""How large the proofs are: a sample in every test run, all of it for ``make proof``."""

import os
from typing import TypeVar

T = TypeVar("T")

RESULTS = os.environ.get("PROOF_RESULTS", "")
"""The file that ``make proof`` writes its tables to; empty for the sample."""

MUTANTS = os.environ.get("PROOF_MUTANTS", "")
"""The file with the rows of the mutation run; empty if there was none."""

FULL = bool(RESULTS)


def scaled(sample: T, full: T) -> T:
    """Return what belongs to the run's size."""
    return full if FULL else sample
