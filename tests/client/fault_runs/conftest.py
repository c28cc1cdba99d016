"""The table of the runs."""

import pytest


@pytest.fixture
def tables() -> dict[str, list[tuple[str, ...]]]:
    """Return the tables that there are."""
    return {"t": [("k", "INTEGER")]}
