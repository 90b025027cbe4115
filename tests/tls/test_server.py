"""
Tests for the server's side of L{socksproxy.tls}.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocolNegotiationFactory, IStreamServerEndpoint
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.tls import serverTLS, wrapTLSServer
from tests.certificates import EXPIRED, FOR_SERVERS, Authority, Issued
from tests.tls.tunnelled import Applications, TLSClientTestCase
from tests.tlspeer import Line, TLSPeer, clientContext


class ServerTests(TLSClientTestCase):
    """
    The server's side.
    """

    def setUp(self) -> None:
        """
        Make an authority of clients.
        """
        super().setUp()
        self.clients = Authority(self.folder, "clients")
        self.issued = self.authority.issue("proxy.test")

    def server(self, clientCA: str | None = None) -> None:
        """
        Start a server.
        """
        creator = serverTLS(self.issued.certificate, self.issued.key, clientCA)
        below = TCP4ServerEndpoint(self.network, 1443)
        endpoint = wrapTLSServer(self.network, below, creator)
        verifyObject(IStreamServerEndpoint, endpoint)
        port = self.successResultOf(endpoint.listen(self.applications))
        self.assertEqual(port.getHost().port, 1443)

    def client(self, shown: Issued | None = None, protocols: Sequence[str] = ()) -> Line:
        """
        Connect to it.

        @param shown: The client's certificate.
        @param protocols: What the client would like to speak.
        """
        transport = self.network.listeners[0].peerConnects("192.0.2.9", 40000)
        assert transport is not None
        context = clientContext(self.authority.path, shown)
        if protocols:
            context.set_alpn_protocols(protocols)
        peer = TLSPeer(context, "proxy.test")
        peer.write(b"request")
        return Line(self.network, transport, peer)

    def test_serves(self) -> None:
        """
        Clients are talked to.
        """
        self.server()
        line = self.client()
        self.assertEqual(self.applications.made[0].received, b"request")
        self.assertEqual(line.peer.received, b"secret")

    def test_chain(self) -> None:
        """
        They get the whole chain.
        """
        between = Authority(self.folder, "between", above=self.authority)
        self.issued = between.issue("proxy.test")
        self.server()
        self.assertEqual(self.client().peer.received, b"secret")

    def test_addresses(self) -> None:
        """
        Who is connected from where is told as without TLS.
        """
        self.server()
        line = self.client()
        transport = self.applications.made[0].transport
        self.assertEqual(transport.getPeer(), line.transport.getPeer())
        self.assertEqual(transport.getHost(), line.transport.getHost())

    def test_clientOfTheAuthority(self) -> None:
        """
        With an authority of clients, those with a certificate of it get
        through.
        """
        self.server(self.clients.path)
        line = self.client(self.clients.issue("client"))
        self.assertEqual(self.applications.made[0].received, b"request")
        self.assertEqual(line.peer.received, b"secret")

    def test_otherClients(self) -> None:
        """
        Nobody else does: not a single byte in either direction.
        """
        self.server(self.clients.path)
        for shown in (
            None,
            self.authority.issue("client", name="foreign"),
            self.clients.issue("client", name="expired", days=EXPIRED),
            self.clients.issue("client", name="server", purpose=FOR_SERVERS),
        ):
            line = self.client(shown)
            application = self.applications.made[-1]
            self.assertEqual(application.received, b"")
            self.assertEqual(line.peer.received, b"")
            self.assertIsNotNone(application.reason)
            self.assertNotIsInstance(application.reason, ConnectionDone)
            self.assertTrue(line.transport.lost)

    def test_noTLS(self) -> None:
        """
        A client that speaks something else gets nothing of the application.
        """
        self.server()
        transport = self.network.listeners[0].peerConnects("192.0.2.9", 40000)
        assert transport is not None
        transport.peerSends(bytes.fromhex("050100"))
        transport.peerSends(bytes(20))
        self.network.advance(0)
        self.assertNotIn(b"secret", transport.take())
        self.assertEqual(self.applications.made[0].received, b"")
        self.assertTrue(transport.lost)

    def test_compression(self) -> None:
        """
        Nothing is compressed, which would tell of what is encrypted.
        """
        self.server()
        self.assertIsNone(self.client().peer.tls.compression())

    def test_noProtocols(self) -> None:
        """
        What a client would like to speak does not matter to a server without
        a wish of its own (RFC 7301).
        """
        self.server()
        line = self.client(protocols=["h2", "http/1.1"])
        self.assertEqual(line.peer.received, b"secret")
        self.assertIsNone(line.peer.tls.selected_alpn_protocol())

    def test_protocols(self) -> None:
        """
        A factory that has wishes gets the first one that the client shares.
        """

        @implementer(IProtocolNegotiationFactory)
        class Negotiating(Applications):
            def acceptableProtocols(self) -> list[bytes]:
                return [b"x", b"http/1.1", b"h2"]

        self.applications = Negotiating(b"secret")
        self.server()
        for protocols, selected in ((["h2", "http/1.1"], "http/1.1"), (["y"], None)):
            line = self.client(protocols=protocols)
            self.assertEqual(line.peer.received, b"secret")
            self.assertEqual(line.peer.tls.selected_alpn_protocol(), selected)

    def test_showsNothing(self) -> None:
        """
        Its C{repr} has nothing of the key.
        """
        creator = serverTLS(self.issued.both)
        self.assertNotIn("PRIVATE", repr(creator))
        self.assertNotIn(self.folder.name, repr(creator))
