"""Room for the official encoder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plainbuffer.strategies import official, streams


@pytest.fixture(autouse=True, scope="module")
def _room() -> Iterator[None]:
    """Give the official encoder room; its estimate of a row's size is too low for timestamped changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(official, "PlainBufferOutputStream", lambda _: streams.PlainBufferOutputStream(1 << 30))
        yield
