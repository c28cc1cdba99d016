"""The session of a client: TLS, proxies, and foreign errors in our terms."""

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as urllib3_errors

from ots_config.emulator.tls import make_authority
from ots_config.errors import (
    ConnectFailed,
    RequestInvalid,
    ResponseInvalid,
    ResponseLost,
    SettingsError,
    UntrustedServer,
)
from ots_config.request import transport as transports
from ots_config.request.tls import check_openssl, tls_context
from ots_config.request.transport import Transport, _translate

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Ots-RequestId: r1\r\n\r\nhi"
TIMEOUT = (5.0, 5.0)


def transport(endpoint: str, **options: Any) -> Transport:
    """Return a transport with few connections."""
    return Transport(endpoint, max_connection=2, **options)


def test_what_is_sent(server: Any) -> None:
    """A request carries its headers, a user agent, and nothing that requests would add."""
    server.set_scripts(server.answering(OK))
    sender = transport(server.endpoint, user_agent="tests")
    answer = sender.send("/PutRow", {"x-ots-date": "now"}, b"body", TIMEOUT)
    assert (answer.status, answer.body, answer.headers["x-ots-requestid"]) == (200, b"hi", "r1")
    head = server.requests[0].split(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head[0] == "POST /PutRow HTTP/1.1"
    names = {line.split(":")[0].lower() for line in head[1:]}
    assert names == {"host", "content-length", "user-agent", "accept-encoding", "x-ots-date"}
    sender.close()


def test_netrc_and_environment_are_not_asked(
    server: Any, monkeypatch: pytest.MonkeyPatch, clean_environment: Any
) -> None:
    """A ``.netrc`` entry would replace the Authorization header, and a proxy would see requests to this machine."""
    (clean_environment / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    (clean_environment / ".netrc").chmod(0o600)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    server.set_scripts(server.answering(OK))
    sender = transport(server.endpoint)
    assert sender.send("/PutRow", {}, b"", TIMEOUT).status == 200
    assert b"authorization" not in server.requests[0].lower()
    sender.close()


def test_a_proxy_of_the_environment_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """``HTTPS_PROXY`` counts when the client is made, and not afterwards; ``{}`` goes straight."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    sender = transport("https://demo.cn-hangzhou.ots.aliyuncs.com")
    monkeypatch.delenv("HTTPS_PROXY")
    assert sender._pool is not None
    assert sender._pool._route.first_hop == ("proxy.example", 3128)
    direct = transport("https://demo.cn-hangzhou.ots.aliyuncs.com", proxies={})
    assert direct._pool is not None
    assert direct._pool._route.proxy is None


def test_through_a_proxy(server: Any) -> None:
    """A request to a plain endpoint goes to the proxy with its whole URL."""
    server.set_scripts(server.answering(OK))
    sender = transport("http://ots.internal:8080", proxies={"http": server.endpoint})
    assert sender.send("/PutRow", {}, b"x", TIMEOUT).status == 200
    assert server.requests[0].startswith(b"POST http://ots.internal:8080/PutRow HTTP/1.1\r\n")
    sender.close()


def test_a_proxy_that_is_not_there() -> None:
    """A proxy that refuses the connection means that nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    sender = transport("https://demo.cn-hangzhou.ots.aliyuncs.com", proxies={"https": f"http://127.0.0.1:{port}"})
    with pytest.raises(ConnectFailed):
        sender.send("/PutRow", {"x-ots-signature": "S3CRET"}, b"", TIMEOUT)
    sender.close()


@pytest.mark.parametrize("scheme", ["https", "socks5"])
def test_what_urllib3_speaks_with(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy with TLS of its own or SOCKS is left to urllib3, without a look into the environment per request."""
    monkeypatch.setattr(transports, "find_spec", lambda _: True)
    sender = transport("https://demo.example", proxies={"https": f"{scheme}://user:s3cr3t@proxy.example:1"})
    assert sender.pool_status() is None
    assert sender._options["proxies"] == {"https": f"{scheme}://user:s3cr3t@proxy.example:1"}
    assert "s3cr3t" not in repr(sender._options)
    sender.close()


def test_a_socks_proxy_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PySocks the client is not made: its first request would fail."""
    monkeypatch.setattr(transports, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="PySocks"):
        transport("https://demo.example", proxies={"https": "socks5://proxy.example:1"})


def test_a_session_of_the_users(server: Any) -> None:
    """A foreign session sends with its own adapters, and its errors are translated."""
    server.set_scripts(server.answering(OK), lambda _: None)
    with requests.Session() as session:
        sender = transport(server.endpoint, session=session)
        assert sender.send("/PutRow", {}, b"x", TIMEOUT).body == b"hi"
        sender.close()
        server.close()
        with pytest.raises((ConnectFailed, ResponseLost)):
            sender.send("/PutRow", {}, b"x", (0.5, 0.5))


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (requests.exceptions.ConnectTimeout(), ConnectFailed),
        (requests.exceptions.ProxyError(), ResponseLost),
        (requests.exceptions.SSLError(ssl.SSLCertVerificationError()), UntrustedServer),
        (requests.exceptions.SSLError(), ResponseLost),
        (
            requests.exceptions.ConnectionError(
                urllib3_errors.MaxRetryError(None, "/", urllib3_errors.NewConnectionError(None, "refused"))  # type: ignore[arg-type]
            ),
            ConnectFailed,
        ),
        (requests.exceptions.ReadTimeout(), ResponseLost),
        (requests.exceptions.ConnectionError(urllib3_errors.ProtocolError("aborted")), ResponseLost),
        (requests.exceptions.ChunkedEncodingError(), ResponseLost),
        (requests.exceptions.ContentDecodingError(), ResponseInvalid),
        (requests.exceptions.InvalidURL(), RequestInvalid),
        (requests.exceptions.InvalidHeader(), RequestInvalid),
        (requests.exceptions.TooManyRedirects(), ResponseLost),
        (OSError("broken"), ResponseLost),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_foreign_errors(error: Exception, ours: type) -> None:
    """Each error of requests and urllib3 becomes one of ours; what is not known to be unsent may have happened."""
    assert type(_translate(error)) is ours


@pytest.mark.parametrize(
    ("cause", "ours"),
    [
        (ConnectionResetError("lost"), ResponseLost),
        (OSError("Tunnel connection failed"), ResponseLost),
        (urllib3_errors.NewConnectionError(None, "refused"), ConnectFailed),  # type: ignore[arg-type]
        (urllib3_errors.ConnectTimeoutError(), ConnectFailed),
        (urllib3_errors.NameResolutionError("proxy", None, socket.gaierror()), ConnectFailed),  # type: ignore[arg-type]
    ],
    ids=["reset", "unknown", "refused", "timeout", "name"],
)
def test_a_proxy_error_is_no_proof(cause: Exception, ours: type) -> None:
    """urllib3 raises ``ProxyError`` for a lost response too: only what it wraps shows that nothing was sent."""
    wrapped = urllib3_errors.MaxRetryError(None, "/", urllib3_errors.ProxyError("proxy", cause))  # type: ignore[arg-type]
    assert type(_translate(requests.exceptions.ProxyError(wrapped))) is ours


def test_a_session_that_retries_proves_nothing() -> None:
    """After urllib3's own retries a refused connection says nothing of the attempts before it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with requests.Session() as session:
        with pytest.raises(ConnectFailed):
            transport(endpoint, session=session).send("/PutRow", {}, b"", TIMEOUT)
        session.mount("http://", HTTPAdapter(max_retries=1))
        with pytest.raises(ResponseLost, match="no connection"):
            transport(endpoint, session=session).send("/PutRow", {}, b"", TIMEOUT)


def test_tls_failures_of_a_foreign_session(server: Any, tmp_path: Path) -> None:
    """A failed handshake sent nothing; TLS that breaks after the request may have lost an answer."""
    context, authority = make_authority(tmp_path, "127.0.0.1")

    def breaking(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            server.read_request(secure)
            with socket.socket(fileno=secure.detach()) as plain:
                plain.sendall(b"no record of TLS")

    with requests.Session() as session:
        session.verify = str(authority)
        sender = transport(server.endpoint.replace("http:", "https:"), session=session)
        server.set_scripts(server.answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        with pytest.raises(ConnectFailed, match="handshake"):
            sender.send("/PutRow", {}, b"x", (1, 1))
        server.set_scripts(breaking)
        with pytest.raises(ResponseLost):
            sender.send("/PutRow", {"content-length": "1"}, b"x", TIMEOUT)
    assert len(server.requests) == 1


def test_every_error_of_requests_is_translated() -> None:
    """The map is complete: whatever requests raises becomes one of ours."""
    kinds = [
        kind
        for kind in vars(requests.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, requests.RequestException)
    ]
    assert len(kinds) > 15
    for kind in kinds:
        made = kind.__new__(kind)
        assert isinstance(_translate(made), ConnectFailed | RequestInvalid | ResponseInvalid | ResponseLost)


def test_foreign_texts_are_not_shown() -> None:
    """An error of requests may hold a URL with its parameters: only kinds are named."""
    error = requests.exceptions.ConnectionError("https://sts/?SecurityToken=s3cr3t")
    assert "s3cr3t" not in str(_translate(error))


def test_the_pool_tells_how_it_stands(server: Any) -> None:
    """A transport tells how many connections are open, free and waited for; a foreign session's are its own affair."""
    server.set_scripts(server.answering(OK))
    sender = transport(server.endpoint)
    assert sender.pool_status() == (2, 0, 0, 0)
    sender.send("/PutRow", {}, b"x", TIMEOUT)
    assert sender.pool_status() == (2, 1, 1, 0)
    sender.close()
    with requests.Session() as session:
        assert transport(server.endpoint, session=session).pool_status() is None


# --- TLS --------------------------------------------------------------------------------------------------------


def test_tls_has_a_floor() -> None:
    """Certificates and host names are checked, TLS 1.2 is the oldest, 1.3 can be asked for."""
    context = tls_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls_context(minimum_version="TLSv1.3").minimum_version is ssl.TLSVersion.TLSv1_3
    assert len(context.get_ca_certs()) > 50


def test_the_environment_does_not_weaken_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """``SSL_CERT_FILE`` and ``SSLKEYLOGFILE`` change nothing."""
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    monkeypatch.setenv("SSLKEYLOGFILE", "keys.txt")
    context = tls_context()
    assert len(context.get_ca_certs()) > 50
    assert context.keylog_filename is None


def test_openssl_has_a_floor() -> None:
    """OpenSSL before 0.9.8j is refused, before 1.0.2d warned about, and this one is fine."""
    assert check_openssl() is None
    assert "1.0.2d" in (check_openssl((1, 0, 2, 3, 15)) or "")
    with pytest.raises(RequestInvalid, match=r"0\.9\.8j"):
        check_openssl((0, 9, 8, 9, 15))
