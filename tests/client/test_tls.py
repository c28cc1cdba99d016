"""https where it cannot be spoken: a port for http, and a certificate that names its host in the subject only."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ots_config import AsyncOTSClient, Emulator, OTSClient, UntrustedServer
from ots_config.request.tls import tls_context

KEYS = ("testid", "testsecret", "demo")


def list_tables(kind: str, endpoint: str, **options: Any) -> Any:
    """List the tables with a client for threads or for tasks."""

    async def listed() -> Any:
        async with AsyncOTSClient(endpoint, *KEYS, **options) as client:
            return await client.list_table()

    if kind == "async":
        return asyncio.run(listed())
    if kind == "session":
        options["session"] = requests.Session()
    with OTSClient(endpoint, *KEYS, **options) as client:
        return client.list_table()


@pytest.mark.parametrize("kind", ["sync", "async", "session"])
def test_a_port_for_http_fails_at_once(emulator: Emulator, kind: str) -> None:
    """The error says that the server does not speak TLS, after one attempt."""
    endpoint = emulator.endpoint.replace("http:", "https:")
    with pytest.raises(UntrustedServer, match="does not speak TLS") as caught:
        list_tables(kind, endpoint)
    assert caught.value.attempts == 1
    assert not caught.value.sent
    assert "https" in caught.value.hint
    assert "ca_bundle" not in caught.value.hint


def certificate(folder: Path, *, in_subject_only: bool) -> tuple[Path, Path]:
    """Write a certificate for localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    if not in_subject_only:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    made = builder.sign(key, hashes.SHA256())
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, private


@pytest.mark.parametrize("in_subject_only", [False, True])
def test_host_names_are_checked_against_the_alternative_names_only(tmp_path: Path, in_subject_only: bool) -> None:
    """A certificate with the host's name only in its subject is not one for that host."""
    chain, private = certificate(tmp_path, in_subject_only=in_subject_only)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(chain, private)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls_context(chain).wrap_bio(to_client, to_server, server_hostname="localhost")
    server = serving.wrap_bio(to_server, to_client, server_side=True)

    def shake_hands() -> None:
        for _ in range(4):
            for end in (client, server):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue

    if in_subject_only:
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            shake_hands()
    else:
        shake_hands()
        assert client.version() == "TLSv1.3"
