"""The table of the bulk writes."""

import pytest


@pytest.fixture
def tables() -> dict[str, list[tuple[str, ...]]]:
    """Return the tables that there are."""
    return {"t": [("id", "INTEGER")]}
