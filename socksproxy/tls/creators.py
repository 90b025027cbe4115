"""
What Twisted makes the connections of a TLS client or server with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocolNegotiationFactory,
)
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    TLSVersion,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Host, hostFromName
from socksproxy.errors import BadName, ConfigurationError
from socksproxy.tls.errors import PeerRejected
from socksproxy.tls.files import Identity, loadAuthorities, loadIdentity
from socksproxy.tls.verification import NameCheck, PeerCheck, PinCheck


def clientTLS(
    host: Host,
    ca: str | None = None,
    certificate: str | None = None,
    privateKey: str | None = None,
    pins: Sequence[str] = (),
) -> IOpenSSLClientConnectionCreator:
    """
    Make the client's side of TLS.

    @param host: The server's name, which may be international, or address.
        Its certificate has to be for that.
    @param ca: The path of the certificates of authorities to trust, in place
        of the platform's.
    @param certificate: The path of our own certificate, for servers that ask
        for one.
    @param privateKey: The path of its key, if it is not in the same file.
    @param pins: SHA-256 fingerprints of certificates, in hexadecimal, with or
        without colons. With any, the server has to have one of these, and
        neither authorities nor names nor dates count.
    @raise ConfigurationError: A file cannot be used, or an argument makes no
        sense.
    """
    checkedHost = _checked(host)
    if pins and ca is not None:
        raise ConfigurationError("a pinned certificate needs no authority: give one of the two")
    if privateKey is not None and certificate is None:
        raise ConfigurationError(f"{privateKey}: a private key is of no use without a certificate")
    identity = None if certificate is None else loadIdentity(certificate, privateKey)
    check: PeerCheck
    trusted: dict[str, Any]
    if pins:
        check, trusted = PinCheck(pins), {}
    else:
        check = NameCheck(checkedHost)
        trusted = {"trustRoot": platformTrust() if ca is None else _trusting(loadAuthorities(ca))}
    context = _options(identity, trusted).getContext()
    return _ClientConnections(context, checkedHost, check)


def serverTLS(
    certificate: str, privateKey: str | None = None, clientCA: str | None = None
) -> IOpenSSLServerConnectionCreator:
    """
    Make the server's side of TLS.

    @param certificate: The path of the certificate, followed by those that
        lead to its authority.
    @param privateKey: The path of its key, if it is not in the same file.
    @param clientCA: The path of the certificates of authorities. With it, only
        clients with a certificate of one of them get through the handshake.
    @raise ConfigurationError: A file cannot be used.
    """
    identity = loadIdentity(certificate, privateKey)
    trusted = {} if clientCA is None else {"trustRoot": _trusting(loadAuthorities(clientCA))}
    options = _options(identity, trusted)
    options.getContext().set_alpn_select_callback(_selectProtocol)
    creator: IOpenSSLServerConnectionCreator = options
    return creator


@implementer(IOpenSSLClientConnectionCreator)
class _ClientConnections:
    """
    Makes the connections of a client that looks at its peer's certificates
    itself.
    """

    def __init__(self, context: SSL.Context, host: Host, check: PeerCheck) -> None:
        self._context = context
        self._check = check
        # RFC 6066 section 3: an address is no name.
        self._serverName = host.encode("ascii") if isinstance(host, str) else None

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """
        See C{IOpenSSLClientConnectionCreator}.
        """
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(tlsProtocol)
        if self._serverName is not None:
            connection.set_tlsext_host_name(self._serverName)
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verify)
        return connection

    def _verify(
        self, connection: SSL.Connection, certificate: X509, code: int, depth: int, valid: int
    ) -> bool:
        """
        Called by OpenSSL, in the middle of the handshake.
        """
        objection = self._check.objection(certificate, depth, 0 if valid else code)
        if objection is None:
            return True
        connection.get_app_data().failVerification(Failure(PeerRejected(objection)))
        return False


def _selectProtocol(connection: SSL.Connection, offered: Sequence[bytes]) -> Any:
    """
    Choose among the protocols that a client offers (RFC 7301). Twisted's own
    way breaks the handshake with clients that offer something to a server
    which does not care, as curl does with a proxy.
    """
    tls = connection.get_app_data()
    factory = None if tls is None else IProtocolNegotiationFactory(tls.factory.wrappedFactory, None)
    ours = () if factory is None else factory.acceptableProtocols()
    return next((each for each in ours if each in offered), SSL.NO_OVERLAPPING_PROTOCOLS)


def _checked(host: Host) -> Host:
    """
    @raise ConfigurationError: It is no host.
    """
    if not isinstance(host, str):
        return host
    try:
        return hostFromName(host.encode())
    except (BadName, UnicodeError) as e:
        raise ConfigurationError(f"{host!r} is no host: {e}") from e


def _trusting(authorities: Sequence[X509]) -> Any:
    return trustRootFromCertificates([Certificate(each) for each in authorities])


def _options(identity: Identity | None, trusted: dict[str, Any]) -> CertificateOptions:
    """
    Make what Twisted has for both sides: compression and tickets are off, and
    its ciphers have forward secrecy.
    """
    own: dict[str, Any] = {}
    if identity is not None:
        own = {
            "privateKey": identity.key,
            "certificate": identity.certificate,
            "extraCertChain": list(identity.chain),
        }
    options = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2, **own, **trusted)
    options.getContext().set_options(SSL.OP_NO_RENEGOTIATION)
    return options
