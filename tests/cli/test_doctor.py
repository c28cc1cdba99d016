"""``ots-config doctor`` finds each of fifteen planted faults and prints the hint that repairs it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ots_config import Emulator
from tests.cli.conftest import Command

pytestmark = pytest.mark.usefixtures("reach")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a silent port no longer than a moment."""
    monkeypatch.setattr("ots_config.cli.probes.PATIENCE", 0.3)


@pytest.fixture
def found(command: Command) -> Callable[[], dict[str, dict[str, str]]]:
    """Return a function that runs the doctor and returns what is not in order, by the name of the check."""

    def run() -> dict[str, dict[str, str]]:
        done = command("doctor", "--json")
        findings = {each["check"]: each for each in done.document["findings"] if each["status"] in _WRONG}
        assert done.code == int(any(each["status"] == "failure" for each in findings.values()))
        for each in findings.values():
            assert each["hint"], each
        return findings

    return run


_WRONG = ("warning", "failure")
Found = Callable[[], dict[str, dict[str, str]]]


def test_nothing_is_found_where_all_is_well(found: Found, command: Command) -> None:
    """Every check has a line that says ok."""
    assert found() == {}
    done = command("doctor")
    checks = [line.split()[1] for line in done.out.splitlines() if line.startswith("ok ")]
    assert checks == (
        [
            "openssl",
            "certifi",
            "tablestore",
            "settings",
            "file",
            "credentials",
            "dns",
            "tcp",
            "clock",
            "signature",
            "latency",
            "identity",
        ]
    )


# --- who ------------------------------------------------------------------------------------------------------


def test_1_a_wrong_key(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    """An AccessKey ID that does not exist."""
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", "nobody")
    signature = found()["signature"]
    assert "does not exist" in signature["text"]
    assert "Check the AccessKey ID" in signature["hint"]


def test_2_a_wrong_secret(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that belongs to another key."""
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "wrong")
    assert "Check the AccessKey secret" in found()["signature"]["hint"]


def test_3_an_expired_token(found: Found, reach: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary key whose end has passed, known from the variable and refused by the service."""
    keys = reach.issue_key(1.0)
    reach.fault(operation="*", kind="skew", seconds=10)
    monkeypatch.setenv("OTS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", keys["AccessKeySecret"])
    monkeypatch.setenv("OTS_STS_TOKEN", keys["SecurityToken"])
    assert "whether it has expired" in found()["signature"]["hint"]
    reach.clear_faults()
    monkeypatch.setenv("OTS_STS_EXPIRATION", "2020-01-01T00:00:00Z")
    assert "expired" in str(found())


def test_4_a_clock_that_is_20_minutes_off(found: Found, reach: Emulator) -> None:
    """The server's date shows it; the client corrects it, other tools cannot."""
    reach.fault(operation="*", kind="skew", seconds=1200)
    clock = found()["clock"]
    assert clock["status"] == "failure"
    assert "1200 s behind" in clock["text"] or "1199 s behind" in clock["text"]
    assert "Set the clock" in clock["hint"]


def test_5_a_wrong_region(found: Found, reach: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature for another region is refused as any wrong signature: the hint names the region."""
    monkeypatch.setenv("OTS_REGION", "cn-beijing")
    refusal = {"code": "OTSAuthFailed", "status": 403, "message": "Signature mismatch."}
    reach.fault(operation="ListTable", kind="error", **refusal)
    assert "the region (cn-beijing)" in found()["signature"]["hint"]


def test_6_permission_denied(found: Found, reach: Emulator) -> None:
    """A policy that is missing is named."""
    refusal = {"code": "OTSNoPermissionAccess", "status": 403, "message": "You have no permission to access it."}
    reach.fault(operation="ListTable", kind="error", **refusal)
    assert "AliyunOTSReadOnlyAccess" in found()["permission"]["hint"]


# --- the way ----------------------------------------------------------------------------------------------------


@pytest.fixture
def port() -> Iterator[socket.socket]:
    """Return a port of this machine that is bound, and not yet listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def reach_port(monkeypatch: pytest.MonkeyPatch, bound: socket.socket, scheme: str) -> None:
    """Set the endpoint to a port of this machine."""
    monkeypatch.setenv("OTS_ENDPOINT", f"{scheme}://localhost:{bound.getsockname()[1]}")


def test_7_a_closed_port(found: Found, port: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens."""
    reach_port(monkeypatch, port, "http")
    assert "Nothing listens there" in found()["tcp"]["hint"]


def test_8_a_silent_port(found: Found, port: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that takes the connection and never speaks."""
    port.listen()
    reach_port(monkeypatch, port, "https")
    tls = found()["tls"]
    assert "says nothing" in tls["text"]
    assert "check the port and the proxy" in tls["hint"]


def certificate(folder: Path, *, days: int) -> tuple[Path, Path]:
    """Write a certificate for localhost that signs itself and ends in so many days, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "planted")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(built.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return paths


@pytest.fixture
def serve_tls(port: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Return a function that speaks TLS with a certificate on the port, and returns the certificate's file."""
    threads = []

    def serve(*, days: int) -> Path:
        paths = certificate(tmp_path, days=days)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*paths)
        port.listen()
        reach_port(monkeypatch, port, "https")

        def handle() -> None:
            while True:
                try:
                    connection, _ = port.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    try:
                        context.wrap_socket(connection, server_side=True).close()
                    except OSError:
                        continue

        threads.append(threading.Thread(target=handle, daemon=True))
        threads[0].start()
        return paths[0]

    yield serve
    port.shutdown(socket.SHUT_RDWR)
    port.close()
    for thread in threads:
        thread.join(5)


def test_9_an_unknown_authority(found: Found, serve_tls: Callable[..., Path]) -> None:
    """A certificate that certifi's authorities did not sign."""
    serve_tls(days=30)
    assert "OTS_TLS__CA_BUNDLE" in found()["tls"]["hint"]


def test_10_an_expired_certificate(
    found: Found, serve_tls: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate of a trusted authority that has ended."""
    monkeypatch.setenv("OTS_TLS__CA_BUNDLE", str(serve_tls(days=-1)))
    tls = found()["tls"]
    assert "expired" in tls["text"]
    assert "renew" in tls["hint"]


def test_a_certificate_that_ends_soon(
    found: Found, serve_tls: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days before it ends there is a warning."""
    monkeypatch.setenv("OTS_TLS__CA_BUNDLE", str(serve_tls(days=3)))
    assert found()["tls"]["status"] == "warning"


def test_11_an_http_port(found: Found, reach: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that says https, of a port that speaks http."""
    monkeypatch.setenv("OTS_ENDPOINT", reach.endpoint.replace("http:", "https:"))
    tls = found()["tls"]
    assert "does not speak TLS" in tls["text"]
    assert "http" in tls["hint"]


# --- what is configured -----------------------------------------------------------------------------------------


def test_12_a_misspelt_variable(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable that was meant."""
    monkeypatch.delenv("OTS_ENDPOINT")
    monkeypatch.setenv("OTS_ENDPONT", "https://demo.cn-hangzhou.ots.aliyuncs.com")
    assert "OTS_ENDPONT" in json.dumps(found())


def test_13_a_file_that_everybody_can_read(found: Found, clean_environment: Path) -> None:
    """A file of credentials with mode 644 gets the command that repairs it."""
    path = clean_environment / ".aliyun" / "config.json"
    path.parent.mkdir()
    path.write_text('{"current": "default", "profiles": []}')
    path.chmod(0o644)
    modes = found()["file modes"]
    assert modes["status"] == "warning"
    assert modes["hint"] == f"chmod 600 {path}"


def test_14_a_named_profile_that_is_missing(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that was named and is nowhere is refused, whatever other keys there are."""
    monkeypatch.setenv("OTS_CREDENTIALS_PROFILE", "prodution")
    credentials = found()["credentials"]
    assert credentials["status"] == "failure"
    assert "config.json does not exist (named by a setting" in credentials["text"]


def test_15_two_competing_identities(
    found: Found, clean_environment: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """Keys in the environment beside a named profile: the one in use and the other are both named."""
    path = clean_environment / ".aliyun" / "config.json"
    path.parent.mkdir()
    profile: dict[str, Any] = {
        "name": "other",
        "mode": "AK",
        "access_key_id": "LTAI5tOther",
        "access_key_secret": "secret",
    }
    path.write_text(json.dumps({"current": "other", "profiles": [profile]}))
    path.chmod(0o600)
    monkeypatch.setenv("OTS_CREDENTIALS_PROFILE", "other")
    credentials = found()["credentials"]
    assert credentials["status"] == "warning"
    assert "OTS_CREDENTIALS" in credentials["hint"]
    assert "not used" in credentials["text"]
    assert "te****" in command("doctor").out


def test_secrets_are_never_shown(command: Command, reach: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither form of the report holds the secret or the token."""
    monkeypatch.setenv("OTS_ACCESS_KEY_SECRET", "MARKED-secret")
    monkeypatch.setenv("OTS_STS_TOKEN", "MARKED-token")
    for arguments in (["doctor"], ["doctor", "--json"], ["settings", "--all"], ["credentials"], ["check"]):
        done = command(*arguments)
        assert "MARKED" not in done.out + done.err
