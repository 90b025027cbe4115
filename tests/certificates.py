"""
Certificates, made when a test needs them, that nobody else trusts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = (-1, 1)
EXPIRED = (-2, -1)
NOT_YET = (1, 2)
"""
The days between which a certificate is valid, from now.
"""

FOR_SERVERS = ExtendedKeyUsageOID.SERVER_AUTH
FOR_CLIENTS = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Issued:
    """
    A certificate and its key.

    @ivar certificate: The path of the certificate and those above it.
    @ivar key: The path of the key.
    @ivar both: The path of all that in one file.
    @ivar fingerprint: The SHA-256 of the certificate, in hexadecimal.
    """

    certificate: str
    key: str
    both: str
    fingerprint: str


class Authority:
    """
    An authority.

    @ivar path: The path of its certificate.
    """

    def __init__(self, folder: Path, name: str = "authority", above: Authority | None = None):
        """
        @param folder: Where all files go.
        @param name: Its name, and that of its file.
        @param above: Who signs its certificate; without that, it does so
            itself.
        """
        self._folder = folder
        self.name = name
        self._above = above
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = _signed(
            name, self._key, above or self, VALID, [(x509.BasicConstraints(True, None), True)]
        )
        self.path = str(folder / f"{name}.pem")
        Path(self.path).write_bytes(self._certificate.public_bytes(Encoding.PEM))

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """
        What it signs with.
        """
        return self._key

    def issue(
        self,
        *hosts: str,
        name: str = "",
        days: tuple[int, int] = VALID,
        purpose: x509.ObjectIdentifier | None = None,
    ) -> Issued:
        """
        Make a certificate.

        @param hosts: The names and addresses that it is for.
        @param name: The name of its files.
        @param days: When it is valid.
        @param purpose: What alone it is good for.
        """
        chain: list[bytes] = []
        authority: Authority | None = self
        while authority is not None and authority._above is not None:
            chain.append(authority._certificate.public_bytes(Encoding.PEM))
            authority = authority._above
        return _issued(self._folder, hosts, name, self, days, purpose, b"".join(chain))


def selfSigned(
    folder: Path, *hosts: str, name: str = "self-signed", days: tuple[int, int] = VALID
) -> Issued:
    """
    Make a certificate without an authority.
    """
    return _issued(folder, hosts, name, None, days, None, b"")


def _issued(
    folder: Path,
    hosts: tuple[str, ...],
    name: str,
    authority: Authority | None,
    days: tuple[int, int],
    purpose: x509.ObjectIdentifier | None,
    chain: bytes,
) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    extensions: list[tuple[x509.ExtensionType, bool]] = []
    if hosts:
        extensions.append((x509.SubjectAlternativeName([_general(host) for host in hosts]), False))
    if purpose is not None:
        extensions.append((x509.ExtendedKeyUsage([purpose]), False))
    name = name or (hosts[0] if hosts else "nobody")
    certificate = _signed(name, key, authority, days, extensions)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = certificate.public_bytes(Encoding.PEM) + chain
    paths = [str(folder / f"{name}.{kind}.pem") for kind in ("certificate", "key", "both")]
    for path, data in zip(paths, (public, secret, public + secret), strict=True):
        Path(path).write_bytes(data)
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    return Issued(*paths, digest)


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _signed(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    authority: Authority | None,
    days: tuple[int, int],
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    now = datetime.now(UTC)
    issuer, signing = (name, key) if authority is None else (authority.name, authority.key)
    builder = x509.CertificateBuilder(
        _distinguished(issuer), _distinguished(name), key.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(now + timedelta(days=days[0]))
    builder = builder.not_valid_after(now + timedelta(days=days[1]))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signing, hashes.SHA256())


def _distinguished(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
