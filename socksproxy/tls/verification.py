"""
Telling whether a peer's certificate is the one that was expected.

A check is called for each certificate of the peer's chain, from the authority
down to the peer's own, before anything of ours is sent.

@see: U{https://www.rfc-editor.org/rfc/rfc9525}
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol as Interface

from OpenSSL.crypto import X509
from OpenSSL.SSL import X509VerificationCodes as Codes
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import (
    DNS_ID,
    CertificatePattern,
    DNSPattern,
    IPAddress_ID,
    IPAddressPattern,
    verify_service_identity,
)

from socksproxy.address import Host
from socksproxy.errors import ConfigurationError

_REASONS = {
    Codes.ERR_CERT_HAS_EXPIRED: "it has expired",
    Codes.ERR_CERT_NOT_YET_VALID: "it is not valid yet",
    Codes.ERR_CERT_REVOKED: "it has been revoked",
    Codes.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: "it is self-signed, and not one of those trusted",
    Codes.ERR_SELF_SIGNED_CERT_IN_CHAIN: "its authority is unknown",
    Codes.ERR_UNABLE_TO_GET_ISSUER_CERT: "its authority is unknown",
    Codes.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its authority is unknown",
    Codes.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its authority is unknown",
    Codes.ERR_INVALID_PURPOSE: "it is for another purpose",
}

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")

_SHOWN = 3
"""
How many of the names of a certificate are told.
"""


class PeerCheck(Interface):
    """
    What decides about the certificates of a peer.
    """

    def objection(self, certificate: X509, depth: int, code: int) -> str | None:
        """
        Look at one of them.

        @param certificate: The certificate.
        @param depth: 0 for the peer's own, more for those above it.
        @param code: What OpenSSL has against it; 0 is nothing.
        @return: Why the peer is not let through, or L{None}.
        """


class NameCheck:
    """
    Wants a valid chain, and a certificate for the host that was asked for.
    """

    def __init__(self, host: Host) -> None:
        """
        @param host: Its name or address.
        """
        self._host = host
        self._identity = DNS_ID(host) if isinstance(host, str) else IPAddress_ID(str(host))

    def objection(self, certificate: X509, depth: int, code: int) -> str | None:
        """
        See L{PeerCheck.objection}.
        """
        if code:
            which = "the certificate" if depth == 0 else "a certificate of the chain"
            reason = _REASONS.get(code, f"verification error {code}")
            return f"{which} of {self._host} is not accepted: {reason}"
        if depth:
            return None
        patterns: Sequence[CertificatePattern] = ()
        try:
            patterns = extract_patterns(certificate.to_cryptography())
            verify_service_identity(patterns, [self._identity], [])
        except (VerificationError, CertificateError):
            return f"the certificate is not for {self._host} but for {_namesIn(patterns)}"
        except Exception:
            # Whoever sends it may put anything into it, and not every parser
            # says what it raises then.
            return f"the certificate of {self._host} cannot be read"
        return None


class PinCheck:
    """
    Wants a certificate with one of some fingerprints. Nothing else counts.
    """

    def __init__(self, pins: Sequence[str]) -> None:
        """
        @param pins: SHA-256 fingerprints in hexadecimal, with or without
            colons.
        @raise ConfigurationError: One of them is none.
        """
        self._pins = frozenset(_normalized(pin) for pin in pins)

    def objection(self, certificate: X509, depth: int, code: int) -> str | None:
        """
        See L{PeerCheck.objection}.
        """
        if depth:
            return None
        fingerprint = certificate.digest("sha256").decode("ascii")
        if _normalized(fingerprint) in self._pins:
            return None
        return f"the certificate is not the pinned one, its fingerprint is {fingerprint}"


def _normalized(pin: str) -> str:
    fingerprint = pin.replace(":", "").strip().lower()
    if _FINGERPRINT.fullmatch(fingerprint) is None:
        raise ConfigurationError(f"{pin!r} is no SHA-256 fingerprint of a certificate")
    return fingerprint


def _namesIn(patterns: Sequence[CertificatePattern]) -> str:
    """
    Give the hosts that a certificate is for, fit for a log whatever they are.
    """
    names = [
        ascii(str(pattern.pattern, "ascii", "replace"))
        if isinstance(pattern, DNSPattern)
        else str(pattern.pattern)
        for pattern in patterns
        if isinstance(pattern, DNSPattern | IPAddressPattern)
    ]
    more = ", ..." if len(names) > _SHOWN else ""
    return ", ".join(name[:80] for name in names[:_SHOWN]) + more if names else "no host at all"
