"""Over TLS only clients that trust the emulator's authority connect."""

import os
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ots_config.emulator import Emulator
from ots_config.emulator.tls import make_authority, server_context

pytest.importorskip("cryptography")
REQUEST = b"GET /latest/meta-data/region-id HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """Run an emulator that speaks https."""
    with Emulator(tls=True) as running:
        yield running


def talk(emulator: Emulator, context: ssl.SSLContext, name: str) -> bytes:
    """Send a request to a host of this name; return the answer."""
    with (
        socket.create_connection(("127.0.0.1", emulator.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=name, suppress_ragged_eofs=False) as wire,
    ):
        wire.sendall(REQUEST)
        return b"".join(iter(lambda: wire.recv(4096), b""))


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_who_trusts_the_authority_connects(emulator: Emulator, name: str) -> None:
    """The certificate is for each name of this machine, and strict rules for certificates are kept."""
    context = ssl.create_default_context(cafile=emulator.ca_bundle)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    assert talk(emulator, context, name).endswith(b"cn-hangzhou")


def test_others_refuse(emulator: Emulator) -> None:
    """A client that knows only public authorities does not connect, nor one that asks for another name."""
    with pytest.raises(ssl.SSLCertVerificationError):
        talk(emulator, ssl.create_default_context(), "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        talk(emulator, ssl.create_default_context(cafile=emulator.ca_bundle), "example.com")


def test_old_versions_are_refused(emulator: Emulator) -> None:
    """Nothing below TLS 1.2 is spoken, and HTTP/1.1 is agreed on."""
    context = ssl.create_default_context(cafile=emulator.ca_bundle)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", emulator.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        assert wire.version() in {"TLSv1.2", "TLSv1.3"}
        assert wire.selected_alpn_protocol() == "http/1.1"
    assert emulator._context is not None
    assert emulator._context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_plain_http_on_the_port_hangs_up(emulator: Emulator) -> None:
    """A client that speaks no TLS is not left waiting, and the others go on."""
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=20) as wire:
        wire.sendall(REQUEST)
        with suppress(ConnectionResetError):
            assert b"200" not in wire.recv(100)
    assert talk(emulator, ssl.create_default_context(cafile=emulator.ca_bundle), "localhost")


def test_resets_and_halves_are_done_over_tls_too(emulator: Emulator) -> None:
    """Faults of the connection need no plain socket."""
    context = ssl.create_default_context(cafile=emulator.ca_bundle)
    emulator.fault(operation="metadata", kind="reset_before", count=1)
    with pytest.raises((ConnectionResetError, ssl.SSLError)):
        talk(emulator, context, "localhost")
    emulator.fault(operation="metadata", kind="truncate", count=1)
    assert talk(emulator, context, "localhost").endswith(b"cn-ha")
    emulator.clear_faults()


def test_a_large_body_is_refused_over_tls(emulator: Emulator) -> None:
    """Over TLS no half of a connection can be closed, and the refusal is read all the same."""
    context = ssl.create_default_context(cafile=emulator.ca_bundle)
    with (
        socket.create_connection(("127.0.0.1", emulator.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wire,
    ):
        wire.sendall(b"POST /PutRow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 8_000_000)
        assert wire.recv(4096).startswith(b"HTTP/1.1 413")


def test_only_the_authority_is_left_on_disk(emulator: Emulator) -> None:
    """The private keys exist only in memory, in a folder for its owner only that goes with the emulator."""
    assert emulator.ca_bundle is not None
    folder = Path(emulator.ca_bundle).parent
    assert [file.name for file in folder.iterdir()] == ["ca.pem"]
    assert b"PRIVATE" not in Path(emulator.ca_bundle).read_bytes()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_settings_trust_it(emulator: Emulator) -> None:
    """The settings that it gives lead to https with its authority."""
    settings = emulator.settings
    assert settings.endpoint.startswith("https://")
    assert str(settings.tls.ca_bundle) == emulator.ca_bundle


def test_the_folder_goes_with_the_emulator() -> None:
    """Nothing is left when the object is gone."""
    emulator = Emulator(tls=True)
    with emulator:
        folder = Path(emulator.ca_bundle or "").parent
    assert folder.exists()  # a new start has the same authority
    with emulator:
        assert emulator.ca_bundle == str(folder / "ca.pem")
    del emulator
    assert not folder.exists()


def test_a_certificate_of_ones_own(tmp_path: Path) -> None:
    """A certificate that was given is shown, and is what clients trust if it signs itself."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=own"),
            *("-addext", "subjectAltName=DNS:own.example", "-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    with Emulator(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem") as emulator:
        assert emulator.ca_bundle == str(tmp_path / "cert.pem")
        context = ssl.create_default_context(cafile=emulator.ca_bundle)
        assert talk(emulator, context, "own.example").endswith(b"cn-hangzhou")


def test_what_is_no_certificate_is_told(tmp_path: Path) -> None:
    """A file that is not there, or holds something else, is an OSError where the emulator is started."""
    with pytest.raises(FileNotFoundError):
        Emulator(certificate=tmp_path / "none.pem").start()
    (tmp_path / "text.pem").write_text("nothing")
    with pytest.raises(ssl.SSLError):
        server_context(tmp_path / "text.pem")


def test_the_host_is_in_the_certificate(tmp_path: Path) -> None:
    """A host that is listened on by another name is named in the certificate too."""
    from cryptography import x509

    _, bundle = make_authority(tmp_path, "ots.test")
    authority = x509.load_pem_x509_certificate(bundle.read_bytes())
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with Emulator(tls=True, host="localhost") as emulator:
        certificate = ssl.get_server_certificate(("127.0.0.1", emulator.port))
    names = x509.load_pem_x509_certificate(certificate.encode()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["localhost"]


def test_without_the_library_the_extra_is_named(tmp_path: Path) -> None:
    """Without cryptography the error says what to install."""
    code = (
        "import sys, pathlib; sys.modules['cryptography'] = None\n"
        "from ots_config.emulator.tls import make_authority\n"
        f"make_authority(pathlib.Path({os.fspath(tmp_path)!r}), 'localhost')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stderr.splitlines()[-1].endswith("needs the package cryptography: pip install 'ots-config[test]'")
