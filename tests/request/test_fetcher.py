"""The HTTP callable of credential sources: one deadline, little memory, no redirect."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ots_config.emulator.tls import make_authority
from ots_config.errors import ConnectFailed, RequestError, ResponseInvalid, ResponseLost
from ots_config.request import fetcher
from ots_config.request.fetcher import Fetcher
from tests.request.conftest import ScriptedServer

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


# --- one deadline and a limit ---------------------------------------------------------------------------------


def dripping(first: bytes, ended: threading.Event) -> Callable[[socket.socket], None]:
    """Return a script that sends something and then a byte now and then, until the other end is gone."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(first)
        try:
            while not ended.wait(0.01):
                connection.sendall(b"x")
        except OSError:
            ended.set()

    return script


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Header: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["status", "header", "length", "chunk", "to the end"],
)
@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxy"])
def test_a_dripping_response_ends_at_the_deadline(server: Any, first: bytes, proxied: bool) -> None:
    """Each byte is in time, but the whole is not: the request fails and the connection is shut down."""
    ended = threading.Event()
    server.set_scripts(dripping(first, ended))
    fetch = Fetcher(proxies={"http": server.endpoint}) if proxied else Fetcher()
    with pytest.raises(ResponseLost, match=r"within 0\.2 s"):
        fetch("GET", "http://sts.example/" if proxied else server.endpoint, connect_timeout=0.1, read_timeout=0.1)
    assert ended.wait(20), "the connection is still open"


def test_a_proxy_that_drips_its_answer_to_connect(server: Any) -> None:
    """What a proxy sends before the tunnel stands is bounded too."""
    ended = threading.Event()
    server.set_scripts(dripping(b"HTTP/1.1 200 OK\r\nX-Header: ", ended))
    fetch = Fetcher(proxies={"https": server.endpoint})
    with pytest.raises(ResponseLost):
        fetch("GET", "https://sts.example/", connect_timeout=0.1, read_timeout=0.1)
    assert ended.wait(20), "the connection is still open"


def test_a_tls_server_that_drips(tmp_path: Path) -> None:
    """The connection of a TLS server is shut down too."""
    context, authority = make_authority(tmp_path, "127.0.0.1")
    ended = threading.Event()

    def script(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", ended)(secured)

    server = ScriptedServer(script)
    fetch = Fetcher(ca_bundle=authority)
    with pytest.raises(ResponseLost):
        fetch("GET", f"https://127.0.0.1:{server.port}/", connect_timeout=0.4, read_timeout=0.1)
    assert ended.wait(20), "the connection is still open"
    server.close()


def test_slow_name_resolution(monkeypatch: pytest.MonkeyPatch, server: Any) -> None:
    """A resolver cannot be interrupted: the caller leaves, and what the resolver finds too late is not used."""
    resolved, go_on, asked = socket.getaddrinfo, threading.Event(), threading.Event()
    server.set_scripts(server.answering(OK))

    def resolve(*_: Any, **__: Any) -> Any:
        asked.set()
        go_on.wait(20)
        return resolved("127.0.0.1", server.port, type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ConnectFailed, match=r"no connection within 0\.1 s"):
        Fetcher()("GET", f"http://sts.example:{server.port}/", connect_timeout=0.05, read_timeout=0.05)
    assert asked.is_set()
    (thread,) = fetcher._abandoned
    go_on.set()
    thread.join(20)
    assert not thread.is_alive()
    assert server.requests == []


def test_threads_stuck_in_a_resolver_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen threads may hang in a resolver; then nothing more is asked until one of them has ended."""
    go_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: go_on.wait(20) and [])
    for _ in range(16):
        with pytest.raises(ConnectFailed, match="no connection within"):
            Fetcher()("GET", "http://sts.example/", connect_timeout=0.0005, read_timeout=0.0005)
    with pytest.raises(ConnectFailed, match="16 earlier requests have not ended yet"):
        Fetcher()("GET", "http://sts.example/")
    stuck = list(fetcher._abandoned)
    go_on.set()
    for thread in stuck:
        thread.join(20)
    with pytest.raises(ConnectFailed, match="NewConnectionError"):
        Fetcher()("GET", "http://sts.example/")
    assert fetcher._abandoned == []


@pytest.mark.parametrize("length", [b"Content-Length: 1073741824\r\n", b""], ids=["declared", "not declared"])
def test_a_large_body_is_not_read(server: Any, length: bytes) -> None:
    """Of a body of a gigabyte one mebibyte is read, then the connection is closed."""
    sent, ended = [0], threading.Event()

    def script(connection: socket.socket) -> None:
        server.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")
        piece = bytes(1 << 20)
        try:
            while sent[0] < 1024:
                connection.sendall(piece)
                sent[0] += 1
        except OSError:
            ended.set()

    server.set_scripts(script)
    with pytest.raises(ResponseInvalid, match="more than 1048576 bytes"):
        Fetcher()("POST", server.endpoint, body=b"")
    assert ended.wait(20)
    assert sent[0] < 64  # what sockets buffer


def test_a_compressed_body_is_refused(server: Any) -> None:
    """A small body may unpack to gigabytes: none is asked for, and none is unpacked."""
    bomb = gzip.compress(bytes(10 << 20))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    server.set_scripts(server.answering(head + bomb))
    with pytest.raises(ResponseInvalid, match="compressed"):
        Fetcher()("POST", server.endpoint, body=b"")
    assert b"accept-encoding: identity\r\n" in server.requests[0].lower()


@pytest.mark.parametrize(
    "header",
    [
        b"Location: http://[",
        b"Location: http://h\xc3\xa4\xff/",
        b"Location: \xff",
        b"Set-Cookie: a=\xff\xfe; Expires=x",
    ],
)
def test_absurd_headers(server: Any, header: bytes) -> None:
    """Bytes above 127 and addresses that are none come through as text; nothing reads them as a redirect."""
    server.set_scripts(server.answering(b"HTTP/1.1 302 F\xffund\r\n" + header + b"\r\nContent-Length: 0\r\n\r\n"))
    response = Fetcher()("POST", server.endpoint, body=b"x")
    name, _, value = header.partition(b": ")
    assert (response.status, response.headers[name.decode().lower()]) == (302, value.decode("latin-1"))


@pytest.mark.parametrize("value", ["s3cr3t\nx", "s3cr3t\u20ac"])
def test_headers_that_cannot_be_sent(server: Any, value: str) -> None:
    """A token that no header can carry is an error of ours, without the token in its text or its frames."""
    server.set_scripts(server.answering(OK))
    with pytest.raises(RequestError) as caught:
        Fetcher()("POST", server.endpoint, headers={"authorization": value}, body=b"")
    error = caught.value
    assert "s3cr3t" not in f"{error!r}{error}{error.__cause__}{error.__context__}"


@pytest.mark.parametrize("url", ["http://[", "http://\u2603.example:99999/", "http://a b/", "nonsense", "http://"])
def test_addresses_that_are_none(url: str) -> None:
    """Whatever is given, an error of ours comes."""
    with pytest.raises(RequestError):
        Fetcher()("GET", url)


def test_near_addresses_are_not_asked_through_a_proxy(server: Any) -> None:
    """An address that may be asked over http because it is private would reach a proxy in plain text."""
    server.set_scripts(server.answering(OK))
    fetch = Fetcher(proxies={"http": server.endpoint})
    with pytest.raises((ConnectFailed, ResponseLost)):
        fetch("GET", "http://127.1.2.3:9/", connect_timeout=0.1, read_timeout=0.1)
    assert server.connections == 0


def test_an_interrupted_wait_ends_the_request(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C leaves at once, shows no frame of urllib3, and closes the connection."""
    ended = threading.Event()
    server.set_scripts(dripping(b"", ended))

    class Interrupted:
        """A lock whose wait is interrupted."""

        def __init__(self) -> None:
            self.real = threading.Lock()

        def acquire(self, timeout: float = -1) -> bool:
            if timeout < 0:
                return self.real.acquire()
            while not server.connections:
                time.sleep(0.001)
            raise KeyboardInterrupt

        def release(self) -> None:
            self.real.release()

    made = fetcher._Exchange.__init__

    def make(self: Any, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        self._done = Interrupted()

    monkeypatch.setattr(fetcher._Exchange, "__init__", make)
    with pytest.raises(KeyboardInterrupt):
        Fetcher()("POST", server.endpoint, body=b"")
    assert ended.wait(20), "the connection is still open"
