"""Certificates, good and bad ones, of an authority made for the run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = "demo.cn-hangzhou.ots.test"
"""A name that nobody resolves: only a proxy reaches it."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files of a certificate.

    Attributes:
        chain: The certificate.
        key: Its private key.
    """

    chain: Path
    key: Path


class Authority:
    """An authority that signs whatever is asked.

    Args:
        folder: Where its files go.
        name: Its name, and the prefix of its files.

    Attributes:
        bundle: The file to trust.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._prefix = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        made = (
            _builder(self._name, self._name, self._key, datetime.now(UTC) - 30 * _DAY, datetime.now(UTC) + 30 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(self._identifier, critical=False)
            .add_extension(_signing_usage(), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.bundle = folder / f"{name}.pem"
        self.bundle.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        label: str,
        names: tuple[str, ...] = (HOST, "localhost"),
        *,
        subject: str = HOST,
        expired: bool = False,
        self_signed: bool = False,
    ) -> Certificate:
        """Return a certificate.

        Args:
            label: Names its files.
            names: The alternative names; none leaves the subject only.
            subject: The common name.
            expired: Whether its time is over.
            self_signed: Whether it signs itself.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        begins, ends = datetime.now(UTC) - 10 * _DAY, datetime.now(UTC) + (-_DAY if expired else 10 * _DAY)
        issuer = _name(subject) if self_signed else self._name
        builder = _builder(_name(subject), issuer, key, begins, ends)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if not self_signed:
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier), critical=False
            )
        made = builder.sign(key if self_signed else self._key, hashes.SHA256())
        chain, private = self._folder / f"{self._prefix}-{label}.pem", self._folder / f"{self._prefix}-{label}.key"
        chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return Certificate(chain, private)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _signing_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
