"""How a connection of an event loop is opened: every step within the time limit, through proxies and with TLS."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from ots_config.emulator.tls import make_authority
from ots_config.errors import ConnectFailed, ProxyRefused, RequestError, SettingsError, UntrustedServer
from ots_config.request import addresses, async_opening
from ots_config.request.addresses import Address
from ots_config.request.async_transport import AsyncTransport
from ots_config.request.deadline import Deadline

pytestmark = pytest.mark.asyncio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
Script = Callable[[socket.socket], None]
DIRECT: dict[str, str] = {}


class Certificate:
    """A certificate for this machine's names, and its authority."""

    def __init__(self, folder: Path) -> None:
        self.context, self.authority = make_authority(folder, "127.0.0.1")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Make a certificate."""
    return Certificate(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def proxy(server: Any) -> Iterator[Any]:
    """Return another scripted server."""
    other = type(server)()
    yield other
    other.close()


def over_tls(script: Script, context: ssl.SSLContext) -> Script:
    """Return a script that speaks TLS first."""

    def wrapped(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            script(secure)

    return wrapped


def read_head(connection: socket.socket) -> bytes:
    """Read to the empty line."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        assert part
        data += part
    return data


def tunnel(heads: list[bytes], answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> Script:
    """Return a script of a proxy that notes CONNECT requests, and carries bytes both ways."""

    def script(connection: socket.socket) -> None:
        head = read_head(connection)
        heads.append(head)
        host, _, port = head.split()[1].decode().rpartition(":")
        connection.sendall(answer)
        if not answer.startswith(b"HTTP/1.1 200"):
            connection.recv(1)
            return
        with socket.create_connection((host, int(port))) as target:
            back = threading.Thread(target=copy, args=(target, connection))
            back.start()
            copy(connection, target)
            back.join()

    return script


def copy(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes one way, and then the end of the stream."""
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def silent(connection: socket.socket) -> None:
    """Accept, and say nothing."""
    with contextlib.suppress(OSError):
        while connection.recv(65536):
            pass


async def ask(endpoint: str, *, connect: float = 5.0, deadline: float | None = None, **options: Any) -> bytes:
    """Send one request over a new connection, and check that nothing of it is left."""
    transport = AsyncTransport(endpoint, **{"max_connection": 1, "proxies": DIRECT, **options})
    try:
        return (await transport.send("/PutRow", {}, b"x", (connect, 5.0), Deadline.after(deadline))).body
    except RequestError:
        status = transport.pool_status()
        assert (status.open, status.waiting) == (status.idle, 0)
        raise
    finally:
        await transport.close()


# --- time ---


@pytest.mark.parametrize("bound", ["connect", "deadline"])
@pytest.mark.parametrize("kind", ["tls", "proxy", "proxy tls", "dripping proxy"])
async def test_every_step_is_bounded(server: Any, certificate: Certificate, kind: str, bound: str) -> None:
    """A server or proxy that accepts and says nothing, or drips, ends with the time to connect or the deadline."""
    end = threading.Event()

    def drip(connection: socket.socket) -> None:
        read_head(connection)
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
            if end.wait(0.01):
                return
            connection.sendall(bytes((byte,)))

    server.set_scripts(drip if "dripping" in kind else silent)
    secure = server.endpoint.replace("http:", "https:")
    endpoint, proxies = secure, DIRECT
    if "proxy" in kind:
        endpoint, proxies = "https://demo.example", {"all": secure if kind == "proxy tls" else server.endpoint}
    try:
        async with asyncio.timeout(5):
            with pytest.raises(ConnectFailed, match=r"within 0\.") as caught:
                await ask(endpoint, proxies=proxies, ca_bundle=certificate.authority, **{bound: 0.1})
    finally:
        end.set()
    assert type(caught.value) is ConnectFailed


async def test_a_slow_resolver_does_not_hold_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller leaves at its time, and the event loop goes on meanwhile."""
    gate = threading.Event()
    real = socket.getaddrinfo

    def slow(host: str, *args: Any, **kwargs: Any) -> Any:
        if not kwargs.get("flags"):
            gate.wait(20)
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(addresses, "_lookups", addresses._Lookups())
    try:
        with pytest.raises(ConnectFailed, match=r"within 0\."):
            await ask("http://slow.example", deadline=0.05)
    finally:
        gate.set()


async def test_an_unknown_host() -> None:
    """A name without an address is one clear error."""
    with pytest.raises(ConnectFailed, match=r"nobody\.invalid cannot be resolved"):
        await ask("https://nobody.invalid")


class Dead:
    """An address that nobody answers: its queue of connections is full."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port: int = self._server.getsockname()[1]
        self._fillers: list[socket.socket] = []

    def __enter__(self) -> Self:
        for _ in range(4):
            filler = socket.socket()
            filler.settimeout(0)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._server, *self._fillers):
            one.close()


async def test_each_address_gets_its_share(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not answer leaves time for the next, and one that refuses costs nothing."""
    server.set_scripts(server.answering(OK))
    with Dead() as dead, socket.create_server(("127.0.0.1", 0)) as closed:
        refusing = closed.getsockname()[1]
        closed.close()
        found = tuple(Address(socket.AF_INET, ("127.0.0.1", port)) for port in (refusing, dead.port, server.port))
        monkeypatch.setattr(async_opening, "numeric", lambda *_: found)
        monkeypatch.setattr(async_opening, "share", lambda remaining, left: min(remaining / left, 0.05))
        assert await ask("http://some.example", connect=5) == b"hi"
        monkeypatch.setattr(async_opening, "numeric", lambda *_: found[:2])
        with pytest.raises(ConnectFailed, match=r"no connection to some\.example:80: no answer within 0\.05 s"):
            await ask("http://some.example", connect=5)


# --- TLS ---


async def test_a_server_that_speaks_tls(server: Any, certificate: Certificate) -> None:
    """Its connection is kept like a plain one."""
    server.set_scripts(over_tls(server.answering(OK, OK), certificate.context))
    transport = AsyncTransport(
        server.endpoint.replace("http:", "https:"), max_connection=1, proxies=DIRECT, ca_bundle=certificate.authority
    )
    for _ in range(2):
        response = await transport.send("/PutRow", {}, b"x", (5, 5))
        assert response.body == b"hi"
    assert server.connections == 1
    await transport.close()


@pytest.mark.parametrize(
    ("kind", "expected", "text"),
    [
        ("untrusted", UntrustedServer, "not trusted"),
        ("for another name", UntrustedServer, "not trusted"),
        ("plain", UntrustedServer, "does not speak TLS"),
        ("closing", ConnectFailed, "TLS handshake"),
    ],
)
async def test_a_server_that_is_not_trusted(
    server: Any,
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    expected: type[RequestError],
    text: str,
) -> None:
    """The error says why, and nothing was sent."""

    def plain(connection: socket.socket) -> None:
        connection.recv(10)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    scripts: dict[str, Script] = {"plain": plain, "closing": lambda _: None}
    server.set_scripts(scripts.get(kind, over_tls(server.answering(OK), certificate.context)))
    host = "ip6-localhost" if kind == "for another name" else "127.0.0.1"
    found = (Address(socket.AF_INET, ("127.0.0.1", server.port)),)
    monkeypatch.setattr(async_opening, "numeric", lambda *_: found)
    with pytest.raises(expected, match=text) as caught:
        await ask(f"https://{host}:{server.port}", ca_bundle=None if kind == "untrusted" else certificate.authority)
    assert type(caught.value) is expected
    assert server.requests == []


# --- proxies ---


@pytest.mark.parametrize("proxy_tls", [False, True], ids=["http proxy", "https proxy"])
async def test_a_tunnel_through_a_proxy(server: Any, proxy: Any, certificate: Certificate, *, proxy_tls: bool) -> None:
    """CONNECT carries user name and password, and TLS goes through it to the server, on TLS to the proxy too."""
    heads: list[bytes] = []
    script = tunnel(heads)
    proxy.set_scripts(over_tls(script, certificate.context) if proxy_tls else script)
    server.set_scripts(over_tls(server.answering(OK), certificate.context))
    scheme = "https" if proxy_tls else "http"
    body = await ask(
        server.endpoint.replace("http:", "https:"),
        proxies={"all": f"{scheme}://user:word@127.0.0.1:{proxy.port}"},
        ca_bundle=certificate.authority,
    )
    assert body == b"hi"
    assert heads[0].startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n".encode())
    assert b"\r\nProxy-Authorization: Basic dXNlcjp3b3Jk\r\n" in heads[0]
    assert b"roxy" not in server.requests[0]


@pytest.mark.parametrize("proxy_tls", [False, True], ids=["http proxy", "https proxy"])
async def test_a_plain_request_through_a_proxy(server: Any, certificate: Certificate, *, proxy_tls: bool) -> None:
    """The proxy gets the whole URL, with user name and password."""
    script = server.answering(OK)
    server.set_scripts(over_tls(script, certificate.context) if proxy_tls else script)
    scheme = "https" if proxy_tls else "http"
    proxies = {"http": f"{scheme}://user:word@127.0.0.1:{server.port}"}
    assert await ask("http://demo.example:81", proxies=proxies, ca_bundle=certificate.authority) == b"hi"
    (request,) = server.requests
    assert request.startswith(b"POST http://demo.example:81/PutRow HTTP/1.1\r\nHost: demo.example:81\r\n")
    assert b"\r\nProxy-Authorization: Basic dXNlcjp3b3Jk\r\n" in request


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_a_password(server: Any, scheme: str) -> None:
    """407 is final, and says that the proxy refuses."""
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    server.set_scripts(tunnel([], answer) if scheme == "https" else server.answering(answer))
    with pytest.raises(ProxyRefused, match="HTTP 407") as caught:
        await ask(f"{scheme}://demo.example", proxies={"all": server.endpoint})
    assert caught.value.http_status == 407


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", ProxyRefused),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", ConnectFailed),
        (b"no http\r\n\r\n", ProxyRefused),
        (b"", ConnectFailed),
    ],
    ids=["forbidden", "bad gateway", "no http", "nothing"],
)
async def test_a_proxy_that_opens_no_tunnel(server: Any, answer: bytes, expected: type[RequestError]) -> None:
    """Whatever it answers, nothing was sent to the server."""

    def script(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(answer)

    server.set_scripts(script)
    with pytest.raises(expected) as caught:
        await ask("https://demo.example", proxies={"all": server.endpoint})
    assert type(caught.value) is expected


async def test_a_proxy_that_is_not_there() -> None:
    """The error names the proxy, without its password."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ConnectFailed, match=rf"no connection to the proxy 127\.0\.0\.1:{port}") as caught:
        await ask("https://demo.example", proxies={"all": f"http://user:s3cr3t@127.0.0.1:{port}"})
    assert "s3cr3t" not in str(caught.value)


async def test_the_environments_proxy(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used when no proxies are passed."""
    monkeypatch.setenv("http_proxy", server.endpoint)
    server.set_scripts(server.answering(OK))
    assert await ask("http://demo.example", proxies=None) == b"hi"


async def test_a_socks_proxy_is_refused() -> None:
    """It is one error when the client is made."""
    with pytest.raises(SettingsError, match="socks5"):
        AsyncTransport("https://demo.example", max_connection=1, proxies={"all": "socks5://127.0.0.1:1"})
