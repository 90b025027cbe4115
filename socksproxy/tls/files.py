"""
Certificates and keys from PEM files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from OpenSSL.crypto import X509, PKey

from socksproxy.errors import ConfigurationError

# Other blocks may stand before it, such as a certificate or the parameters of
# a curve.
_PRIVATE_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True)
class Identity:
    """
    What one side shows of itself, and the key that proves it.

    @ivar key: The private key.
    @ivar certificate: The certificate.
    @ivar chain: The certificates that lead to an authority.
    """

    key: PKey = field(repr=False)
    certificate: X509
    chain: tuple[X509, ...]


def loadIdentity(certificate: str, privateKey: str | None = None) -> Identity:
    """
    Read an identity.

    @param certificate: The path of the certificate, followed by those that
        lead to its authority.
    @param privateKey: The path of the key, if it is not in the same file.
    @raise ConfigurationError: A file cannot be read, something is missing in
        it, or the two do not belong together.
    """
    leaf, *chain = _certificates(certificate)
    keyFile = privateKey or certificate
    key, public = _key(keyFile)
    if leaf.public_key().public_bytes(*_PUBLIC) != public:
        raise ConfigurationError(
            f"{keyFile}: the private key does not belong to the certificate in {certificate}"
        )
    return Identity(
        key, X509.from_cryptography(leaf), tuple(X509.from_cryptography(each) for each in chain)
    )


def loadAuthorities(path: str) -> list[X509]:
    """
    Read the certificates of authorities.

    @param path: The path of the file; there may be several in it.
    @raise ConfigurationError: The file cannot be read, or holds none.
    """
    return [X509.from_cryptography(each) for each in _certificates(path)]


_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as e:
        raise ConfigurationError(f"{path}: {e.strerror}") from e


def _certificates(path: str) -> list[x509.Certificate]:
    data = _read(path)
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as e:
        raise ConfigurationError(f"{path}: there is no certificate in it, or a broken one") from e


def _key(path: str) -> tuple[PKey, bytes]:
    """
    Give the private key in a file, and its public half.
    """
    found = _PRIVATE_KEY.search(_read(path))
    if found is None:
        raise ConfigurationError(f"{path}: there is no private key in it")
    # The cause would show where the key is broken, which is of no use to
    # anybody who may know it.
    try:
        key = load_pem_private_key(found[0], None)
        return PKey.from_cryptography_key(key), key.public_key().public_bytes(*_PUBLIC)  # type: ignore[arg-type]
    except TypeError:
        reason = "the private key is encrypted, or of a kind that TLS does not take"
    except (ValueError, ArithmeticError):
        reason = "the private key is broken"
    raise ConfigurationError(f"{path}: {reason}")
