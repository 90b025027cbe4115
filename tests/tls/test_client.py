"""
Tests for the client's side of L{socksproxy.tls.creators}, through a whole
handshake: certificates of ours, versions, and what makes no sense.
"""

from __future__ import annotations

import hashlib
import ssl
import warnings

from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface.verify import verifyObject

from socksproxy.errors import ConfigurationError
from socksproxy.tls import TLSBroken, TLSFailed, clientTLS
from tests.certificates import selfSigned
from tests.tls.tunnelled import TLSClientTestCase
from tests.tlspeer import serverContext


class ClientCertificateTests(TLSClientTestCase):
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


class ArgumentTests(TLSClientTestCase):
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


class VersionTests(TLSClientTestCase):
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
