"""What a whole call sends over the wire."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ots_config import DefaultRetryPolicy, NoRetryPolicy, OTSClient, ResponseInvalid, ResponseLost

PAGE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
"""A whole answer that is not the service's: it ends the call and leaves its connection open."""


@pytest.fixture
def connect(server: Any) -> Iterator[Callable[..., OTSClient]]:
    """Make clients of the scripted server."""
    made: list[OTSClient] = []

    def connect(**options: Any) -> OTSClient:
        made.append(OTSClient(server.endpoint, "id", "secret", "demo", **options))
        return made[-1]

    yield connect
    for client in made:
        client.close()


def test_without_retries_a_request_on_a_stale_connection_is_sent_once(
    server: Any, connect: Callable[..., OTSClient]
) -> None:
    """With ``NoRetryPolicy`` a read that is lost on a kept connection is raised and not sent again."""
    server.set_scripts(server.answering(PAGE, b"", then_close=True), server.answering(PAGE))
    client = connect(retry_policy=NoRetryPolicy())
    with pytest.raises(ResponseInvalid):
        client.list_table()
    with pytest.raises(ResponseLost):
        client.list_table()
    assert (len(server.requests), server.connections) == (2, 1)


def test_by_default_a_read_on_a_stale_connection_is_sent_again(server: Any, connect: Callable[..., OTSClient]) -> None:
    """The default policy sends a read that is lost on a kept connection once more, over a new connection."""
    server.set_scripts(server.answering(PAGE, b"", then_close=True), server.answering(PAGE))
    client = connect(retry_policy=DefaultRetryPolicy())
    for _ in range(2):
        with pytest.raises(ResponseInvalid):
            client.list_table()
    assert (len(server.requests), server.connections) == (3, 2)
