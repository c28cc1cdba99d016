"""Requests through an HTTP proxy: what is known of them when something breaks, and for how long they wait."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ots_config.emulator.tls import make_authority
from ots_config.errors import ConnectFailed, ProxyRefused, RequestError, ResponseLost, UntrustedServer
from ots_config.request.deadline import Deadline
from ots_config.request.transport import Transport
from tests.request.http_proxy import HTTPProxy

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
TIMEOUTS = (5.0, 5.0)
BASIC = "Basic dXNlcjpzM2NyM3Q="  # user:s3cr3t


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A server's context for a name that only a proxy reaches, and the authority to trust."""
    return make_authority(tmp_path_factory.mktemp("tls"), "demo.example")


Connect = Callable[..., tuple[Transport, HTTPProxy]]


@pytest.fixture(params=["forward", "tunnel"])
def connect(request: Any, server: Any, tls: tuple[Any, Path]) -> Iterator[Connect]:
    """Make transports to a scripted server through a proxy: with http, or with https in a tunnel."""
    context, authority = tls
    made: list[Transport] = []
    proxies: list[HTTPProxy] = []

    def connect(
        *answers: bytes, user: str = "", authorization: str | None = None, limit: int = 1
    ) -> tuple[Transport, HTTPProxy]:
        def script(connection: socket.socket) -> None:
            if request.param == "forward":
                return server.answering(*answers)(connection)
            with context.wrap_socket(connection, server_side=True) as secure:
                return server.answering(*answers)(secure)

        server.set_scripts(script)
        proxies.append(HTTPProxy(server.port, authorization=authorization))
        scheme = "http" if request.param == "forward" else "https"
        url = proxies[-1].url.replace("http://", f"http://{user}")
        options = {"proxies": {scheme: url}, "ca_bundle": authority, "max_connection": limit}
        made.append(Transport(f"{scheme}://demo.example", **options))
        return made[-1], proxies[-1]

    yield connect
    for transport in made:
        transport.close()
    for proxy in proxies:
        proxy.__exit__()


def test_a_connection_is_kept(connect: Connect, server: Any) -> None:
    """Requests one after the other share one connection to the proxy, and one from there to the server."""
    transport, proxy = connect(OK, OK, OK)
    assert [transport.send("/PutRow", {}, b"x", TIMEOUTS).body for _ in range(3)] == [b"hi"] * 3
    assert server.connections == 1
    assert len(proxy.heads) == 1
    assert transport.pool_status() == (1, 1, 1, 0)


@pytest.mark.parametrize("how", ["reset", "eof"])
def test_a_lost_response_may_have_happened(connect: Connect, server: Any, how: str) -> None:
    """The server had the request, so the loss of its response by the proxy is reported and nothing is sent again."""
    transport, proxy = connect(OK, OK)
    transport.send("/PutRow", {}, b"x", TIMEOUTS)
    proxy.lose = how
    with pytest.raises(ResponseLost) as caught:
        transport.send("/PutRow", {}, b"y", TIMEOUTS)
    assert caught.value.may_have_happened
    assert [request[-1:] for request in server.requests] == [b"x", b"y"]


def test_user_name_and_password(connect: Connect, server: Any) -> None:
    """They are sent to the proxy on a new connection, and in a tunnel the server does not see them."""
    transport, proxy = connect(OK, user="user:s3cr3t@", authorization=BASIC)
    assert transport.send("/PutRow", {}, b"x", TIMEOUTS).status == 200
    assert f"Proxy-Authorization: {BASIC}".encode() in proxy.heads[0]
    assert (b"Proxy-Authorization" in server.requests[0]) is proxy.heads[0].startswith(b"POST")


@pytest.mark.parametrize(("user", "text"), [("", "asks for"), ("user:wr0ng@", "refuses")])
def test_a_proxy_that_refuses(connect: Connect, server: Any, user: str, text: str) -> None:
    """HTTP 407 ends the call: the server had nothing, and another attempt would end the same way."""
    transport, _ = connect(OK, user=user, authorization=BASIC)
    with pytest.raises(ProxyRefused, match=text) as caught:
        transport.send("/PutRow", {}, b"x", TIMEOUTS)
    assert not caught.value.may_have_happened
    assert "wr0ng" not in str(caught.value)
    assert not server.requests


def test_a_proxy_that_is_not_there(connect: Connect) -> None:
    """A refused connection names the proxy, and nothing was sent."""
    transport, proxy = connect(OK)
    proxy.__exit__()
    with pytest.raises(ConnectFailed, match=r"no connection to the proxy 127\.0\.0\.1:\d+: "):
        transport.send("/PutRow", {}, b"x", TIMEOUTS)


def test_a_dripping_response_ends_at_the_deadline(connect: Connect) -> None:
    """Each byte comes in time, but the whole response does not: the deadline counts from the request's first byte."""
    transport, proxy = connect(OK, OK)
    transport.send("/PutRow", {}, b"x", TIMEOUTS)
    proxy.lose = "drip"
    with pytest.raises(ResponseLost, match=r"did not answer within 0\.\d+ s"):
        transport.send("/PutRow", {}, b"x", (60.0, 60.0), Deadline.after(0.2))
    assert not proxy.stop.is_set()


def test_four_callers_of_one_connection_end_at_their_deadlines(connect: Connect) -> None:
    """The first waits for its response, the others for the connection, and none waits for more than its own time."""
    transport, proxy = connect(OK, b"")
    transport.send("/PutRow", {}, b"x", TIMEOUTS)
    ended: list[object] = []

    def call() -> None:
        try:  # a caller that gets its turn in the last millisecond may still have a response
            ended.append(transport.send("/PutRow", {}, b"x", (60.0, 60.0), Deadline.after(0.3)))
        except RequestError as error:
            ended.append(error)

    threads = [threading.Thread(target=call, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)  # of 60 s that they would take without a deadline
    assert len(ended) == 4
    assert not proxy.stop.is_set()


@pytest.mark.parametrize("connect", ["tunnel"], indirect=True)
def test_a_proxy_cannot_stand_in_for_the_server(connect: Connect, server: Any) -> None:
    """Who answers in the tunnel must have the server's certificate."""
    transport, proxy = connect(OK)
    stranger = Transport("https://other.example", max_connection=1, ca_bundle=None, proxies={"https": proxy.url})
    with pytest.raises(UntrustedServer, match=r"other\.example:443 is not trusted"):
        stranger.send("/PutRow", {}, b"x", TIMEOUTS)
    assert transport.send("/PutRow", {}, b"x", TIMEOUTS).status == 200
    assert len(server.requests) == 1
    stranger.close()


@pytest.mark.parametrize("connect", ["tunnel"], indirect=True)
def test_a_proxy_that_is_silent(connect: Connect, server: Any) -> None:
    """The wait for the tunnel is cut to the deadline, and nothing was sent."""
    server.set_scripts(server.answering())
    silent = Transport("https://demo.example", max_connection=1, proxies={"https": server.endpoint})
    del connect

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.recv(1)

    server.set_scripts(script)
    with pytest.raises(ConnectFailed, match=r"opened no tunnel to demo\.example:443 within 0\.\d+ s"):
        silent.send("/PutRow", {}, b"x", (60.0, 60.0), Deadline.after(0.2))
    silent.close()
