"""
A relay between connections over TLS: what ends on one side must not look
whole on the other if it is not.
"""

from __future__ import annotations

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory

from socksproxy.relay import Leg, Relay, RelayResult, RelayTimers
from socksproxy.testing import MemoryTransport
from socksproxy.tls import clientTLS, serverTLS, wrapTLSServer
from tests.certificates import Issued
from tests.tls.tunnelled import TLSClientTestCase
from tests.tlspeer import Line, TLSPeer, clientContext, serverContext

DATA = b"x" * 50_000


class RelayTestCase(TLSClientTestCase):
    """
    Tests with a relay whose sides are over TLS or not.

    @ivar results: What the relay has said at its end.
    """

    def setUp(self) -> None:
        """
        Make a certificate.
        """
        super().setUp()
        self.issued: Issued = self.authority.issue("here.test")
        self.results: list[RelayResult] = []

    def plain(self) -> tuple[Leg, MemoryTransport]:
        """
        Make a connection without TLS.
        """
        leg = Leg()
        transport = MemoryTransport(self.network, leg)
        leg.makeConnection(transport)
        return leg, transport

    def clientInTLS(self) -> tuple[Leg, Line]:
        """
        Make a connection that a client of TLS has made.
        """
        legs: list[Leg] = []

        class Legs(Factory):
            noisy = False

            def buildProtocol(self, addr: object) -> Leg:
                legs.append(Leg())
                return legs[0]

        below = TCP4ServerEndpoint(self.network, 1443)
        wrapTLSServer(self.network, below, serverTLS(self.issued.both)).listen(Legs())
        transport = self.network.listeners[0].peerConnects("192.0.2.9", 40000)
        assert transport is not None
        # As in the daemon, where a handshake reads before there is a relay.
        transport.resumeProducing()
        peer = TLSPeer(clientContext(self.authority.path), "here.test")
        return legs[0], Line(self.network, transport, peer)

    def targetInTLS(self) -> tuple[Leg, Line]:
        """
        Make a connection to a server of TLS.
        """
        legs = Factory.forProtocol(Leg)
        legs.noisy = False
        creator = clientTLS("here.test", self.authority.path)
        connecting, transport = self.dial(creator, legs)
        line = Line(self.network, transport, TLSPeer(serverContext(self.issued)))
        leg = self.successResultOf(connecting)
        assert isinstance(leg, Leg)
        return leg, line

    def join(self, client: Leg, target: Leg) -> None:
        """
        Start the relay.
        """
        timers = RelayTimers(idle=0.0)
        Relay(self.network, client, target, timers, self.results.append).start()

    def settle(self, *lines: Line) -> None:
        """
        Let everything come through that is under way.
        """
        for _ in range(3):
            for line in lines:
                line.settle()
            self.network.advance(0)


class TLSClientTests(RelayTestCase):
    """
    The client is over TLS.
    """

    def setUp(self) -> None:
        """
        Start the relay, and have both sides send something.
        """
        super().setUp()
        leg, self.client = self.clientInTLS()
        targetLeg, self.target = self.plain()
        self.join(leg, targetLeg)
        self.target.peerSends(DATA)
        self.client.peerWrites(DATA)
        self.assertEqual(self.client.peer.received, DATA)
        self.assertEqual(self.target.take(), DATA)

    def test_clientCloses(self) -> None:
        """
        After a C{close_notify} the target sees the end of the stream.
        """
        self.client.peer.write(b"the end")
        self.client.peerCloses()
        self.assertEqual(self.target.take(), b"the end")
        self.assertTrue(self.target.ended)
        self.assertFalse(self.target.aborted)
        self.assertTrue(self.client.peer.ended)
        [result] = self.results
        self.assertEqual(result.reason, "client closed")

    def test_clientVanishes(self) -> None:
        """
        Without one it sees a reset.
        """
        self.client.peerWrites(b"the en")
        self.client.peerVanishes()
        self.assertTrue(self.target.aborted)
        [result] = self.results
        self.assertEqual(result.reason, "client reset")

    def test_targetCloses(self) -> None:
        """
        When the target closes, the client gets everything and a
        C{close_notify}, and what the client has answered gets to the target.
        """
        self.target.peerSends(b"the end")
        self.target.peerEnds()
        self.settle(self.client)
        self.assertEqual(self.client.peer.received, DATA + b"the end")
        self.assertTrue(self.client.peer.ended)
        self.client.peer.write(b"answer")
        self.client.peerCloses()
        self.assertEqual(self.target.take(), b"answer")
        self.assertTrue(self.target.ended)
        self.assertFalse(self.target.aborted)
        self.assertFalse(self.client.transport.aborted)

    def test_targetClosesAndClientVanishes(self) -> None:
        """
        A client that does not say goodbye even then has been cut off.
        """
        self.target.peerEnds()
        self.settle(self.client)
        self.client.peerVanishes()
        self.assertTrue(self.target.aborted)

    def test_targetResets(self) -> None:
        """
        When the target resets, the client gets no C{close_notify}.
        """
        self.target.peerSends(b"the en")
        self.target.peerResets()
        self.settle(self.client)
        self.assertTrue(self.client.transport.aborted)
        self.assertFalse(self.client.peer.ended)


class TLSTargetTests(RelayTestCase):
    """
    The target is over TLS.
    """

    def setUp(self) -> None:
        """
        Start the relay, and have both sides send something.
        """
        super().setUp()
        clientLeg, self.client = self.plain()
        leg, self.target = self.targetInTLS()
        self.join(clientLeg, leg)
        self.client.peerSends(DATA)
        self.target.peerWrites(DATA)
        self.assertEqual(self.client.take(), DATA)
        self.assertEqual(self.target.peer.received, DATA)

    def test_targetCloses(self) -> None:
        """
        After a C{close_notify} the client sees the end of the stream.
        """
        self.target.peer.write(b"the end")
        self.target.peerCloses()
        self.assertEqual(self.client.take(), b"the end")
        self.assertTrue(self.client.ended)
        self.assertFalse(self.client.aborted)
        [result] = self.results
        self.assertEqual(result.reason, "target closed")

    def test_targetVanishes(self) -> None:
        """
        Without one it sees a reset.
        """
        self.target.peerWrites(b"the en")
        self.target.peerVanishes()
        self.assertTrue(self.client.aborted)
        [result] = self.results
        self.assertEqual(result.reason, "target reset")

    def test_clientCloses(self) -> None:
        """
        When the client ends its stream, the target gets a C{close_notify}
        after everything else, and can still answer.
        """
        self.client.peerSends(b"the end")
        self.client.peerEnds()
        self.settle(self.target)
        self.assertEqual(self.target.peer.received, DATA + b"the end")
        self.assertTrue(self.target.peer.ended)
        self.target.peer.write(b"answer")
        self.target.peerCloses()
        self.assertEqual(self.client.take(), b"answer")
        self.assertTrue(self.client.ended)
        self.assertFalse(self.client.aborted)

    def test_clientResets(self) -> None:
        """
        When the client resets, the target gets no C{close_notify}.
        """
        self.client.peerSends(b"the en")
        self.client.peerResets()
        self.settle(self.target)
        self.assertTrue(self.target.transport.aborted)
        self.assertFalse(self.target.peer.ended)


class BothTests(RelayTestCase):
    """
    Both sides are over TLS, each over its own.
    """

    def setUp(self) -> None:
        """
        Start the relay.
        """
        super().setUp()
        clientLeg, self.client = self.clientInTLS()
        targetLeg, self.target = self.targetInTLS()
        self.join(clientLeg, targetLeg)

    def test_close(self) -> None:
        """
        A C{close_notify} comes out as one.
        """
        self.client.peerWrites(DATA)
        self.client.peerCloses()
        self.settle(self.target, self.client)
        self.assertEqual(self.target.peer.received, DATA)
        self.assertTrue(self.target.peer.ended)
        self.assertFalse(self.target.transport.aborted)

    def test_vanish(self) -> None:
        """
        None comes out as none.
        """
        self.client.peerWrites(DATA)
        self.client.peerVanishes()
        self.settle(self.target)
        self.assertFalse(self.target.peer.ended)
        self.assertTrue(self.target.transport.aborted)
