"""
Tests for what a TLS client of ours accepts: L{socksproxy.tls.creators} and
L{socksproxy.tls.verification}, through a whole handshake.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import warnings
from ipaddress import ip_address
from pathlib import Path

from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface.verify import verifyObject

from socksproxy.errors import ConfigurationError, SOCKSProxyError
from socksproxy.tls import PeerRejected, TLSBroken, TLSFailed, clientTLS
from tests.certificates import EXPIRED, FOR_CLIENTS, NOT_YET, Authority, Issued, selfSigned
from tests.tls.tunnelled import TLSClientTestCase
from tests.tlspeer import Line, serverContext


class ClientTestCase(TLSClientTestCase):
    """
    What the tests below have in common.
    """

    def accepts(self, creator: IOpenSSLClientConnectionCreator, issued: Issued) -> Line:
        """
        Fail unless the client talks to such a server.
        """
        connecting, line = self.connect(creator, issued)
        self.assertIs(self.successResultOf(connecting), self.applications.made[-1])
        self.assertEqual(line.peer.received, b"secret")
        line.peerWrites(b"answer")
        self.assertEqual(self.applications.made[-1].received, b"answer")
        return line

    def rejects(self, creator: IOpenSSLClientConnectionCreator, issued: Issued) -> str:
        """
        Fail unless the client does not talk to such a server.

        @return: What it says.
        """
        before = list(self.applications.made)
        connecting, line = self.connect(creator, issued)
        error = self.failureResultOf(connecting, PeerRejected).value
        self.assertEqual(self.applications.made, before)
        self.assertFalse(line.peer.ready)
        self.assertEqual(line.peer.received, b"")
        self.assertTrue(line.transport.lost)
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertNotIn("\n", str(error))
        return str(error)

    def platformTrusts(self, authority: Authority) -> None:
        """
        Make the platform trust an authority, by the variable that OpenSSL
        has for it.
        """
        before = os.environ.get("SSL_CERT_FILE")

        def restore() -> None:
            del os.environ["SSL_CERT_FILE"]
            if before is not None:
                os.environ["SSL_CERT_FILE"] = before

        os.environ["SSL_CERT_FILE"] = authority.path
        self.addCleanup(restore)


class ChainTests(ClientTestCase):
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


class NameTests(ClientTestCase):
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


class PinTests(ClientTestCase):
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


class ClientCertificateTests(ClientTestCase):
    """
    Servers that want to know who their clients are.
    """

    def test_shown(self) -> None:
        """
        Our certificate is shown to a server that asks for it.
        """
        own = self.authority.issue("client.test")
        for files in ((own.both, None), (own.certificate, own.key)):
            creator = clientTLS("proxy.test", self.authority.path, *files)
            connecting, line = self.connect(
                creator, self.authority.issue("proxy.test"), clientCA=self.authority.path
            )
            self.successResultOf(connecting)
            self.assertEqual(line.peer.received, b"secret")
            shown = line.peer.tls.getpeercert(binary_form=True)
            assert shown is not None
            self.assertEqual(hashlib.sha256(shown).hexdigest(), own.fingerprint)

    def test_shownToPinned(self) -> None:
        """
        So it is to a server that is known by its fingerprint.
        """
        own, issued = self.authority.issue("client.test"), selfSigned(self.folder, "proxy.test")
        creator = clientTLS("proxy.test", None, own.both, pins=[issued.fingerprint])
        connecting, line = self.connect(creator, issued, clientCA=self.authority.path)
        self.successResultOf(connecting)
        self.assertEqual(line.peer.received, b"secret")

    def test_missing(self) -> None:
        """
        Without one the connection breaks, and the application is told why,
        in one line.
        """
        connecting, line = self.connect(
            clientTLS("proxy.test", self.authority.path),
            self.authority.issue("proxy.test"),
            clientCA=self.authority.path,
        )
        # In TLS 1.3 the client is through before the server has looked at it.
        [application] = self.applications.made
        self.assertIs(self.successResultOf(connecting), application)
        self.assertEqual(line.peer.received, b"")
        self.assertIsInstance(application.reason, TLSBroken)
        self.assertIn("certificate required", str(application.reason))
        self.assertNotIn("\n", str(application.reason))

    def test_missingBeforeTLS13(self) -> None:
        """
        With TLS 1.2 it is not even made.
        """
        context = serverContext(self.authority.issue("proxy.test"), self.authority.path)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        connecting, _ = self.connect(
            clientTLS("proxy.test", self.authority.path),
            self.authority.issue("proxy.test"),
            context=context,
        )
        error = self.failureResultOf(connecting, TLSFailed).value
        self.assertIn("handshake failure", str(error))
        self.assertEqual(self.applications.made, [])


class ArgumentTests(ClientTestCase):
    """
    What makes no sense.
    """

    def test_interface(self) -> None:
        """
        What is made is what Twisted wants.
        """
        verifyObject(IOpenSSLClientConnectionCreator, clientTLS("proxy.test"))

    def test_pinAndAuthority(self) -> None:
        """
        A fingerprint and an authority contradict each other.
        """
        error = self.assertRaises(
            ConfigurationError, clientTLS, "proxy.test", self.authority.path, pins=["00" * 32]
        )
        self.assertIn("one of the two", str(error))

    def test_keyWithoutCertificate(self) -> None:
        """
        So do a key and no certificate.
        """
        error = self.assertRaises(ConfigurationError, clientTLS, "proxy.test", privateKey="key.pem")
        self.assertIn("key.pem", str(error))

    def test_noHost(self) -> None:
        """
        What is no host cannot be in a certificate.
        """
        for host in ("", "a b", "127.1", "\ud800"):
            self.assertRaises(ConfigurationError, clientTLS, host)

    def test_files(self) -> None:
        """
        Every file that cannot be used is named.
        """
        nowhere = str(self.folder / "nowhere")
        for arguments in ((nowhere,), (None, nowhere), (None, self.authority.path, nowhere)):
            error = self.assertRaises(ConfigurationError, clientTLS, "proxy.test", *arguments)
            self.assertIn(nowhere, str(error))

    def test_showsNothing(self) -> None:
        """
        Its C{repr} has no key in it, and no file.
        """
        own = self.authority.issue("client.test")
        creator = clientTLS("proxy.test", certificate=own.both)
        self.assertNotIn("PRIVATE", repr(creator) + repr(vars(creator)))


class VersionTests(ClientTestCase):
    """
    Old versions of the protocol.
    """

    def test_oldServer(self) -> None:
        """
        A server that knows nothing newer than TLS 1.1 is not talked to.
        """
        context = serverContext(self.authority.issue("proxy.test"))
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        connecting, line = self.connect(
            clientTLS("proxy.test", self.authority.path),
            self.authority.issue("proxy.test"),
            context=context,
        )
        error = self.failureResultOf(connecting, TLSFailed).value
        self.assertNotIn("\n", str(error))
        self.assertFalse(line.peer.ready)

    def test_versions(self) -> None:
        """
        TLS 1.2 and 1.3 are spoken.
        """
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = serverContext(self.authority.issue("proxy.test"))
            context.minimum_version = context.maximum_version = version
            connecting, line = self.connect(
                clientTLS("proxy.test", self.authority.path),
                self.authority.issue("proxy.test"),
                context=context,
            )
            self.successResultOf(connecting)
            self.assertEqual(line.peer.received, b"secret")
