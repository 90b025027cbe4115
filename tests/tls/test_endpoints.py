"""
Tests for L{socksproxy.tls.endpoints}: what a handshake leads to.
"""

from __future__ import annotations

from twisted.internet import error
from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    NoProtocol,
)
from twisted.internet.interfaces import (
    IHandshakeListener,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.testing import MemoryTransport
from socksproxy.tls import (
    TLSFailed,
    TLSTimedOut,
    clientTLS,
    wrapTLSClient,
)
from tests.certificates import Authority
from tests.tls.tunnelled import ADDRESS, Applications, Below, TLSClientTestCase
from tests.tlspeer import Line, TLSPeer, serverContext


class ClientEndpointTestCase(TLSClientTestCase):
    """
    Tests with a server that the client accepts.
    """

    def setUp(self) -> None:
        """
        Make the server's certificate.
        """
        super().setUp()
        self.issued = self.authority.issue("proxy.test")
        self.creator = clientTLS("proxy.test", ca=self.authority.path)

    def established(self) -> Line:
        """
        Connect.
        """
        connecting, line = self.connect(self.creator, self.issued)
        self.successResultOf(connecting)
        return line


class ConnectTests(ClientEndpointTestCase):
    """
    Connecting.
    """

    def test_interface(self) -> None:
        """
        It is an endpoint of Twisted's.
        """
        verifyObject(IStreamClientEndpoint, self.endpoint(self.creator))

    def test_waitsForTheHandshake(self) -> None:
        """
        There is no application before the handshake is over, and afterwards
        it has the connection's addresses.
        """
        connecting, transport = self.dial(self.creator)
        self.assertNoResult(connecting)
        self.assertEqual(self.applications.made, [])
        Line(self.network, transport, TLSPeer(serverContext(self.issued)))
        application = self.successResultOf(connecting)
        self.assertIs(application, self.applications.made[0])
        self.assertEqual(application.transport.getPeer(), transport.getPeer())
        self.assertEqual(application.transport.getHost(), transport.getHost())

    def test_serverSpeaksFirst(self) -> None:
        """
        What comes with the end of the handshake is for the application.
        """
        connecting, transport = self.dial(self.creator)
        peer = TLSPeer(serverContext(self.issued))
        peer.write(b"welcome")
        Line(self.network, transport, peer)
        self.successResultOf(connecting)
        self.assertEqual(self.applications.made[0].received, b"welcome")

    def test_piecemeal(self) -> None:
        """
        The handshake may come octet by octet.
        """
        connecting, transport = self.dial(self.creator)
        peer = TLSPeer(serverContext(self.issued))
        for _ in range(4):
            for octet in peer.take(transport.take()):
                transport.peerSends(bytes([octet]))
            self.network.advance(0)
        self.successResultOf(connecting)
        peer.take(transport.take())
        self.assertEqual(peer.received, b"secret")

    def test_silence(self) -> None:
        """
        A server that does not answer is not waited for any longer than the
        handshake may take.
        """
        connecting, transport = self.dial(self.creator, timeout=5)
        self.network.advance(4.9)
        self.assertNoResult(connecting)
        self.network.advance(0.1)
        failure = self.failureResultOf(connecting, TLSTimedOut)
        self.assertTrue(failure.check(error.TimeoutError))
        self.assertEqual(str(failure.value), "the TLS handshake took more than 5 s")
        self.network.advance(0)
        self.assertTrue(transport.aborted)
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertEqual(self.applications.made, [])

    def test_noTimeLimitAfterwards(self) -> None:
        """
        What comes after the handshake may take as long as it likes.
        """
        line = self.established()
        self.network.advance(1000)
        line.peerWrites(b"late")
        self.assertEqual(self.applications.made[0].received, b"late")

    def test_cancelled(self) -> None:
        """
        Cancelling in the handshake drops the connection.
        """
        connecting, transport = self.dial(self.creator)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.network.advance(0)
        self.assertTrue(transport.aborted)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_cancelledBefore(self) -> None:
        """
        Cancelling before that cancels what leads to the server.
        """
        below = Below()
        connecting = wrapTLSClient(self.network, below, self.creator).connect(self.applications)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertEqual(len(below.cancelled), 1)

    def test_notConnected(self) -> None:
        """
        That there is no connection is told as it is.
        """
        self.network.world[f"{ADDRESS}:1443"] = "ECONNREFUSED"
        connecting = self.endpoint(self.creator).connect(self.applications)
        self.network.advance(0)
        self.failureResultOf(connecting, error.ConnectionRefusedError)

    def test_closedInTheHandshake(self) -> None:
        """
        A server that closes during the handshake is told, and nothing else
        happens.
        """
        for ending in ("peerEnds", "peerResets"):
            connecting, transport = self.dial(self.creator)
            getattr(transport, ending)()
            failed = self.failureResultOf(connecting, TLSFailed).value
            self.assertIn("closed the connection during the TLS handshake", str(failed))

    def test_closedBefore(self) -> None:
        """
        So is one that has closed before anybody could wait for it.
        """
        below = Below()
        connecting = wrapTLSClient(self.network, below, self.creator).connect(self.applications)
        transport = MemoryTransport.connect(self.network, below.factories[0])
        transport.peerEnds()
        below.attempts[0].callback(transport._protocol)
        failed = self.failureResultOf(connecting, TLSFailed).value
        self.assertIn("closed the connection", str(failed))
        self.assertEqual(self.applications.made, [])

    def test_noTLS(self) -> None:
        """
        A server that speaks something else is told in one line.
        """
        connecting, transport = self.dial(self.creator)
        transport.peerSends(b"220 mail.test ESMTP ready\r\n")
        self.network.advance(0)
        failed = self.failureResultOf(connecting, TLSFailed).value
        self.assertEqual(str(failed), "the TLS handshake failed: wrong version number")
        self.assertTrue(transport.lost)

    def test_nobodyWantsIt(self) -> None:
        """
        A factory may decline the connection; nothing of it remains.
        """

        class Declining(Factory):
            noisy = False

            def buildProtocol(self, addr: object) -> None:
                return None

        connecting, transport = self.dial(self.creator, Declining())
        Line(self.network, transport, TLSPeer(serverContext(self.issued)))
        self.failureResultOf(connecting, NoProtocol)
        self.assertTrue(transport.aborted)

    def test_brokenApplication(self) -> None:
        """
        An application that fails as it is connected fails the connection.
        """

        class Broken(Protocol):
            def connectionMade(self) -> None:
                raise ZeroDivisionError

        connecting, transport = self.dial(self.creator, Factory.forProtocol(Broken))
        Line(self.network, transport, TLSPeer(serverContext(self.issued)))
        self.failureResultOf(connecting, ZeroDivisionError)
        self.assertTrue(transport.aborted)

    def test_factoryIsStarted(self) -> None:
        """
        The application's factory is started and stopped as by every endpoint.
        """
        done = []

        class Counting(Applications):
            def startFactory(self) -> None:
                done.append("started")

            def stopFactory(self) -> None:
                done.append("stopped")

        below = Below()
        wrapTLSClient(self.network, below, self.creator).connect(Counting())
        below.factories[0].doStart()
        self.assertEqual(done, ["started"])
        below.factories[0].doStop()
        self.assertEqual(done, ["started", "stopped"])

    def test_handshakeListener(self) -> None:
        """
        An application that wants to know of the handshake is told, once it is
        connected.
        """
        told = []

        @implementer(IHandshakeListener)
        class Listening(Protocol):
            def connectionMade(self) -> None:
                told.append("connected")

            def handshakeCompleted(self) -> None:
                told.append("handshake")

        connecting, transport = self.dial(self.creator, Factory.forProtocol(Listening))
        Line(self.network, transport, TLSPeer(serverContext(self.issued)))
        self.successResultOf(connecting)
        self.assertEqual(told, ["connected", "handshake"])

    def test_overTLS(self) -> None:
        """
        TLS runs over any endpoint, itself included.
        """
        inner = Authority(self.folder, "inner").issue("inner.test")
        endpoint = wrapTLSClient(
            self.network,
            self.endpoint(self.creator),
            clientTLS("inner.test", pins=[inner.fingerprint]),
        )
        connecting = endpoint.connect(self.applications)
        self.network.advance(0)
        transport = self.network.attempts[0].transport
        assert transport is not None
        innerPeer = TLSPeer(serverContext(inner))
        outer = Line(self.network, transport, TLSPeer(serverContext(self.issued)))
        for _ in range(3):
            data = bytes(outer.peer.received)
            outer.peer.received.clear()
            outer.peerWrites(innerPeer.take(data))
        self.successResultOf(connecting)
        self.assertEqual(innerPeer.take(bytes(outer.peer.received)), b"")
        self.assertEqual(innerPeer.received, b"secret")
