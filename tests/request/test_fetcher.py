"""The HTTP callable of credential sources: one deadline, little memory, no redirect."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from ots_config.errors import ConnectFailed, ResponseLost
from ots_config.request.fetcher import Fetcher

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def test_the_fetcher(server: Any) -> None:
    """The callable of credential sources sends one request, follows no redirect and asks no environment."""
    redirect = b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n"
    server.set_scripts(server.answering(redirect))
    answer = Fetcher()("POST", f"{server.endpoint}/token", headers={"X-A": "1"}, body=b"form")
    assert (answer.status, answer.headers["location"]) == (302, "http://elsewhere/")
    assert b"x-a: 1" in server.requests[0].lower()


def test_the_fetcher_keeps_the_metadata_service_off_proxies(server: Any) -> None:
    """The metadata service and this machine are asked directly, whatever proxy is configured."""
    server.set_scripts(server.answering(OK))
    fetch = Fetcher(proxies={"http": "http://127.0.0.1:9", "https": "http://127.0.0.1:9"})
    assert fetch("POST", server.endpoint, headers={}, body=b"x").status == 200


def test_the_fetcher_tells_what_happened(server: Any) -> None:
    """A refused connection was never sent; a silent server may have done something."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectFailed):
        Fetcher()("GET", f"http://127.0.0.1:{port}/?Secret=s3cr3t", headers={})
    server.set_scripts(server.answering(b""))
    with pytest.raises(ResponseLost) as caught:
        Fetcher()("POST", f"{server.endpoint}/?Secret=s3cr3t", headers={}, body=b"x", read_timeout=0.05)
    assert "s3cr3t" not in str(caught.value)
