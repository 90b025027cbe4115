"""
Tests for L{socksproxy.tls.verification}, through a whole handshake.
"""

from __future__ import annotations

import hashlib
import ssl
from ipaddress import ip_address
from pathlib import Path

from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

from socksproxy.errors import ConfigurationError, SOCKSProxyError
from socksproxy.tls import PeerRejected, TLSFailed, clientTLS
from tests.certificates import EXPIRED, FOR_CLIENTS, NOT_YET, Authority, selfSigned
from tests.tls.tunnelled import AcceptingTestCase


class ChainTests(AcceptingTestCase):
    """
    Authorities and dates.
    """

    def test_ownAuthority(self) -> None:
        """
        A certificate of the authority that was given is accepted.
        """
        self.accepts(
            clientTLS("proxy.test", ca=self.authority.path), self.authority.issue("proxy.test")
        )

    def test_chain(self) -> None:
        """
        So is one that leads to it over another certificate, which the server
        shows.
        """
        between = Authority(self.folder, "between", above=self.authority)
        self.accepts(clientTLS("proxy.test", ca=self.authority.path), between.issue("proxy.test"))

    def test_unknownAuthority(self) -> None:
        """
        One of another authority is not.
        """
        other = Authority(self.folder, "other")
        error = self.rejects(
            clientTLS("proxy.test", ca=self.authority.path), other.issue("proxy.test")
        )
        self.assertIn("proxy.test", error)
        self.assertIn("its authority is unknown", error)

    def test_platform(self) -> None:
        """
        Without an authority of one's own those of the platform count, which
        have not signed ours.
        """
        error = self.rejects(clientTLS("proxy.test"), self.authority.issue("proxy.test"))
        self.assertIn("its authority is unknown", error)

    def test_platformTrusts(self) -> None:
        """
        What the platform trusts is accepted.
        """
        self.platformTrusts(self.authority)
        self.accepts(clientTLS("proxy.test"), self.authority.issue("proxy.test"))

    def test_selfSigned(self) -> None:
        """
        One without an authority is not accepted...
        """
        error = self.rejects(
            clientTLS("proxy.test", ca=self.authority.path), selfSigned(self.folder, "proxy.test")
        )
        self.assertIn("self-signed", error)

    def test_selfSignedAndTrusted(self) -> None:
        """
        ... unless it is what was given as the authority.
        """
        issued = selfSigned(self.folder, "proxy.test")
        self.accepts(clientTLS("proxy.test", ca=issued.certificate), issued)

    def test_dates(self) -> None:
        """
        One that is not valid today is not accepted.
        """
        for days, words in ((EXPIRED, "has expired"), (NOT_YET, "not valid yet")):
            issued = self.authority.issue("proxy.test", days=days)
            error = self.rejects(clientTLS("proxy.test", ca=self.authority.path), issued)
            self.assertIn(words, error)

    def test_purpose(self) -> None:
        """
        One that is for clients is no server's.
        """
        issued = self.authority.issue("proxy.test", purpose=FOR_CLIENTS)
        error = self.rejects(clientTLS("proxy.test", ca=self.authority.path), issued)
        self.assertIn("another purpose", error)

    def test_kindOfError(self) -> None:
        """
        The error is one of ours and one of Twisted's.
        """
        connecting, _ = self.connect(clientTLS("proxy.test"), selfSigned(self.folder, "proxy.test"))
        failure = self.failureResultOf(connecting)
        for kind in (PeerRejected, TLSFailed, SOCKSProxyError, ConnectError):
            self.assertTrue(failure.check(kind))


class NameTests(AcceptingTestCase):
    """
    Whom a certificate is for.
    """

    def creator(self, host: str) -> IOpenSSLClientConnectionCreator:
        """
        Make the client's side for a host.
        """
        return clientTLS(host, ca=self.authority.path)

    def test_wrongName(self) -> None:
        """
        A certificate for somebody else is not accepted, and the error says
        for whom it is.
        """
        issued = self.authority.issue("a.test", "b.test", "192.0.2.7")
        error = self.rejects(self.creator("proxy.test"), issued)
        self.assertEqual(
            error,
            "the certificate is not for proxy.test but for 'a.test', 'b.test', 192.0.2.7",
        )

    def test_manyNames(self) -> None:
        """
        Not all of very many names are told, nor all of a very long one.
        """
        names = ["x" * 63 + "." + "y" * 63 + ".test", *(f"{number}.test" for number in range(50))]
        error = self.rejects(self.creator("proxy.test"), self.authority.issue(*names, name="many"))
        self.assertTrue(error.endswith(", ..."), error)
        self.assertLess(len(error), 200)

    def test_noNames(self) -> None:
        """
        The name in the subject does not count (RFC 9525 section 6.3).
        """
        error = self.rejects(self.creator("proxy.test"), self.authority.issue(name="proxy.test"))
        self.assertIn("but for no host at all", error)

    def test_hostileNames(self) -> None:
        """
        A name with control characters gets into no log.
        """
        issued = self.authority.issue("a\r\nb.test", name="hostile")
        error = self.rejects(self.creator("proxy.test"), issued)
        self.assertNotIn("\r", error)

    def test_wildcard(self) -> None:
        """
        An asterisk is one label.
        """
        issued = self.authority.issue("*.proxy.test", name="wildcard")
        self.accepts(self.creator("one.proxy.test"), issued)
        self.rejects(self.creator("two.one.proxy.test"), issued)

    def test_international(self) -> None:
        """
        An international name is compared, and asked for, as ASCII.
        """
        line = self.accepts(
            self.creator("bücher.test"), self.authority.issue("xn--bcher-kva.test", name="idn")
        )
        self.assertIn(b"xn--bcher-kva.test", line.peer.raw)

    def test_case(self) -> None:
        """
        Case does not matter.
        """
        self.accepts(self.creator("Proxy.TEST"), self.authority.issue("proxy.test"))

    def test_address(self) -> None:
        """
        An address has to be there as an address.
        """
        issued = self.authority.issue("192.0.2.1", "2001:db8::1", name="addresses")
        self.accepts(self.creator("192.0.2.1"), issued)
        self.accepts(self.creator("2001:db8::1"), issued)
        self.accepts(clientTLS(ip_address("2001:db8::1"), ca=self.authority.path), issued)
        error = self.rejects(self.creator("192.0.2.2"), issued)
        self.assertIn("192.0.2.2", error)

    def test_serverName(self) -> None:
        """
        The server is told whom it is taken for (RFC 6066 section 3)...
        """
        line = self.accepts(self.creator("proxy.test"), self.authority.issue("proxy.test"))
        self.assertIn(b"proxy.test", line.peer.raw)

    def test_serverNameOfAddress(self) -> None:
        """
        ... unless that is an address.
        """
        line = self.accepts(self.creator("192.0.2.1"), self.authority.issue("192.0.2.1"))
        self.assertNotIn(b"192.0.2.1", line.peer.raw)


class PinTests(AcceptingTestCase):
    """
    Fingerprints in place of authorities.
    """

    def setUp(self) -> None:
        """
        Make a certificate without an authority.
        """
        super().setUp()
        self.issued = selfSigned(self.folder, "proxy.test")

    def test_pinned(self) -> None:
        """
        The certificate with the fingerprint is accepted, in any spelling.
        """
        pin = self.issued.fingerprint
        colons = ":".join(pin[at : at + 2] for at in range(0, 64, 2))
        for spelt in (pin, pin.upper(), colons, colons.upper(), f" {pin}\n"):
            self.accepts(clientTLS("proxy.test", pins=[spelt]), self.issued)

    def test_oneOfSeveral(self) -> None:
        """
        With several fingerprints any of them will do, as when a certificate is
        about to be replaced.
        """
        pins = ["00" * 32, self.issued.fingerprint]
        self.accepts(clientTLS("proxy.test", pins=pins), self.issued)

    def test_nothingElseCounts(self) -> None:
        """
        Neither name nor date nor authority of a pinned certificate matter.
        """
        between = Authority(self.folder, "between", above=self.authority)
        for issued in (
            selfSigned(self.folder, "other.test"),
            selfSigned(self.folder, "proxy.test", name="expired", days=EXPIRED),
            self.authority.issue("proxy.test"),
            between.issue("proxy.test", name="below", days=NOT_YET),
        ):
            self.accepts(clientTLS("proxy.test", pins=[issued.fingerprint]), issued)

    def test_nothingElsePasses(self) -> None:
        """
        A certificate without the fingerprint is not accepted, however good it
        may be otherwise, and the error tells its fingerprint.
        """
        self.platformTrusts(self.authority)
        issued = self.authority.issue("proxy.test")
        error = self.rejects(clientTLS("proxy.test", pins=[self.issued.fingerprint]), issued)
        self.assertIn("not the pinned one", error)
        self.assertIn(issued.fingerprint, error.replace(":", "").lower())

    def test_authorityIsNotPinned(self) -> None:
        """
        That a certificate above it has the fingerprint is not enough.
        """
        between = Authority(self.folder, "between", above=self.authority)
        data = Path(between.path).read_bytes()
        pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(data.decode())).hexdigest()
        issued = between.issue("proxy.test")
        self.assertIn(data, Path(issued.certificate).read_bytes())
        self.rejects(clientTLS("proxy.test", pins=[pin]), issued)

    def test_noFingerprint(self) -> None:
        """
        What is no fingerprint of SHA-256 is told.
        """
        for pin in ("", "00", "00" * 20, "00" * 33, "gg" * 32, "sha256:" + "00" * 32):
            error = self.assertRaises(ConfigurationError, clientTLS, "proxy.test", pins=[pin])
            self.assertIn("no SHA-256 fingerprint", str(error))
