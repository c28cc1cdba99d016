"""Servers that must not be trusted get nothing, whichever way leads to them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import certifi
import pytest

from ots_config import AsyncOTSClient, DefaultRetryPolicy, Emulator, OTSClient, UntrustedServer
from ots_config.sdk import tablestore as ts
from tests.proof.calls import KEYS
from tests.proof.certificates import HOST, Authority, Certificate
from tests.proof.conftest import Tell
from tests.proof.fault_proxy import FaultProxy
from tests.proof.scale import FULL

CASES = ("expired", "wrong host", "common name only", "unknown authority", "self-signed", "TLS 1.1", "plain http")
CLIENTS = ("sync", "async", "official sync", "official async") if FULL else ("sync", "async")


class TLSServer:
    """Shakes hands as a certificate says, and counts the connections and the bytes that came after.

    Args:
        certificate: The certificate; None speaks plain HTTP.
        version: The newest version of TLS.
    """

    def __init__(self, certificate: Certificate | None, version: ssl.TLSVersion | None = None) -> None:
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate.chain, certificate.key)
            if version is not None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
                    self._context.minimum_version = ssl.TLSVersion.TLSv1
                    self._context.maximum_version = version
                self._context.set_ciphers("ALL:@SECLEVEL=0")
        self.connections = self.received = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            plain.settimeout(5)
            with plain, contextlib.suppress(OSError):
                if self._context is None:
                    plain.recv(65536)
                    plain.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    continue
                with self._context.wrap_socket(plain, server_side=True) as secure:
                    self.received += len(secure.recv(65536))

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def untrusted(case: str, authority: Authority, folder: Path) -> TLSServer:  # noqa: PLR0911 - a table
    """Return a server with one thing wrong; what it listens to as localhost, it is as HOST behind a proxy too."""
    match case:
        case "expired":
            return TLSServer(authority.issue("expired", expired=True))
        case "wrong host":
            return TLSServer(authority.issue("elsewhere", ("other.test",), subject="other.test"))
        case "common name only":
            return TLSServer(authority.issue("subject", (), subject="localhost"))
        case "unknown authority":
            return TLSServer(Authority(folder, "stranger").issue("server"))
        case "self-signed":
            return TLSServer(authority.issue("self", self_signed=True))
        case "TLS 1.1":
            return TLSServer(authority.issue("old"), ssl.TLSVersion.TLSv1_1)
        case _:
            return TLSServer(None)


@contextmanager
def way_to(port: int, *, connect: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the endpoint and options that lead to a port, directly or through a proxy."""
    if not connect:
        yield f"https://localhost:{port}", {}
        return
    with FaultProxy(port, speaks_http=True) as proxy:
        yield f"https://{HOST}", {"proxies": {"https": proxy.url}}


def error_of(client: str, endpoint: str, bundle: Path, options: dict[str, Any]) -> BaseException | None:
    """List the tables; return what that raises."""

    async def listed(kind: Any, **named: Any) -> None:
        async with kind(endpoint, *KEYS, **named) as made:
            await made.list_table()

    options = {"retry_policy": DefaultRetryPolicy(2, 0.01), **options}  # a retry, where there is one, is soon
    try:
        match client:
            case "sync":
                with OTSClient(endpoint, *KEYS, ca_bundle=bundle, **options) as made:
                    made.list_table()
            case "async":
                asyncio.run(listed(AsyncOTSClient, ca_bundle=bundle, **options))
            case "official sync":
                with patch.object(certifi, "where", lambda: str(bundle)):
                    ts.OTSClient(endpoint, *KEYS).list_table()
            case _:
                trusting = ssl.create_default_context(cafile=bundle)
                with (
                    patch.object(ssl, "create_default_context", lambda *_, **__: trusting),
                    warnings.catch_warnings(action="ignore"),
                ):
                    asyncio.run(listed(ts.AsyncOTSClient, ssl_version=ssl.TLSVersion.TLSv1_2))
    except Exception as error:  # noqa: BLE001 - which one is what is looked at
        return error
    return None


@pytest.mark.parametrize("connect", [False, True], ids=["direct", "CONNECT"])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("case", CASES)
def test_a_server_that_is_not_trusted_gets_nothing(
    authority: Authority, tmp_path: Path, case: str, client: str, connect: bool, show: Tell
) -> None:
    """One attempt, an error that says what is wrong with the server, and no byte of a request."""
    ours = not client.startswith("official")
    if connect and not ours:
        return  # the official client has no setting for a proxy
    server = untrusted(case, authority, tmp_path)
    try:
        with way_to(server.port, connect=connect) as (endpoint, options):
            error = error_of(client, endpoint, authority.bundle, options)
    finally:
        server.close()
    column = f"{client}{', CONNECT' if connect else ''}"
    show("tls", server=case, **{column: f"{type(error).__name__}, {server.connections} tries"})
    assert server.received == 0
    if ours:
        assert isinstance(error, UntrustedServer), error
        assert not error.sent
        assert not error.may_have_happened
        assert (error.attempts, server.connections) == (1, 1)


@pytest.mark.parametrize("connect", [False, True], ids=["direct", "CONNECT"])
@pytest.mark.parametrize("client", ["sync", "async"])
def test_a_server_that_is_trusted_is_reached(
    running_tls: Emulator, authority: Authority, client: str, connect: bool
) -> None:
    """The control: with nothing wrong the same call succeeds, so what fails above fails for its reason."""
    with way_to(running_tls.port, connect=connect) as (endpoint, options):
        assert error_of(client, endpoint, authority.bundle, options) is None
