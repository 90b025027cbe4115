"""
Tests for L{socksproxy.relay.protected}, and for legs and relays over it.
"""

from __future__ import annotations

import socket

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer, ISSLTransport, ITCPTransport, ITransport
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from socksproxy.errors import SOCKSProxyError, TruncatedStream
from socksproxy.relay import Leg, Relay
from socksproxy.relay.leg import abort, endStream
from socksproxy.relay.protected import ProtectedTransport
from socksproxy.relay.sockets import tuneSocket, unacknowledged, writeThrough
from socksproxy.testing import CAPACITY, MemoryTransport, tcpAddress
from tests.relay.joined import FULL, PATIENT, Joined, NoHalfClose, QueueingTransport, TLSTransport
from tests.relay.sealing import Sealing, opened, sealed
from tests.relay.test_leg import Holder, TunedTransport
from tests.relay.test_writethrough import Producer, ScriptedSocket


class WatchedLeg(Leg):
    """
    A leg that remembers what was wrong.
    """

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[SOCKSProxyError] = []

    def protectionBroken(self, error: SOCKSProxyError) -> None:
        """
        Remember it.
        """
        self.errors.append(error)
        super().protectionBroken(error)


@implementer(IPushProducer)
class PushProducer(Producer):
    """
    A producer that says what it is.
    """


class ProtectedLegTests(SynchronousTestCase):
    """
    A leg that has been protected.
    """

    def setUp(self) -> None:
        """
        Have one that is held.
        """
        self.connect(MemoryTransport)

    def connect(self, kind: type[MemoryTransport]) -> None:
        """
        Protect a leg over a transport of a certain kind.
        """
        self.clock = Clock()
        self.leg = WatchedLeg()
        self.holder = Holder()
        self.leg.hold(self.holder)
        self.transport = kind(self.clock, self.leg)
        self.leg.makeConnection(self.transport)
        self.protection = Sealing()
        self.leg.protect(self.protection)

    def test_reads(self) -> None:
        """
        The holder gets what the peer has written, and nothing while that is
        incomplete.
        """
        data = sealed(b"hello")
        for position in range(len(data)):
            self.transport.peerSends(data[position : position + 1])
        self.assertEqual(self.holder.told, [b"hel", b"lo"])

    def test_writes(self) -> None:
        """
        What is written to the leg's transport is protected.
        """
        self.leg.transport.write(b"hello")
        writeThrough(self.leg.transport, b" world")
        assert isinstance(self.leg.transport, ProtectedTransport)
        self.leg.transport.writeSequence([b"!", b"?"])
        self.assertEqual(opened(self.transport.take()), b"hello world!?")

    def test_before(self) -> None:
        """
        What was read and written before is as it was.
        """
        leg, holder = Leg(), Holder()
        leg.hold(holder)
        transport = MemoryTransport(Clock(), leg)
        leg.makeConnection(transport)
        transport.peerSends(b"{before")
        leg.transport.write(b"{written")
        leg.protect(Sealing())
        transport.peerSends(sealed(b"x"))
        self.assertEqual(holder.told, [b"{before", b"x"])
        self.assertEqual(transport.take(), b"{written")

    def test_broken(self) -> None:
        """
        What the peer did not write drops the connection, and nothing of it
        reaches the holder, nor anything after it.
        """
        self.transport.peerSends(sealed(b"yes") + b"{1no")
        self.leg.dataReceived(sealed(b"yes"))
        self.assertEqual(self.holder.told, [])
        self.assertTrue(self.transport.aborted)
        self.assertEqual(str(self.leg.errors[0]), "broken")

    def test_end(self) -> None:
        """
        An end after whole pieces is passed on.
        """
        self.transport.peerSends(sealed(b"bye"))
        self.transport.peerEnds()
        self.assertEqual(self.holder.told, [b"bye", "end"])
        self.assertFalse(self.transport.aborted)

    def test_truncated(self) -> None:
        """
        An end in the middle of one is not: it drops the connection.
        """
        self.transport.peerSends(sealed(b"bye")[:-1])
        self.transport.peerEnds()
        self.assertEqual(self.holder.told, [])
        self.assertTrue(self.transport.aborted)
        self.assertIsInstance(self.leg.errors[0], TruncatedStream)
        self.clock.advance(0)
        self.assertEqual(len(self.holder.told), 1)

    def test_closed(self) -> None:
        """
        Where the end takes the whole connection with it, that is no clean end
        in the middle of a piece, and is one after it.
        """
        for data, expected in ((sealed(b"bye"), ConnectionDone), (b"{", TruncatedStream)):
            self.connect(TLSTransport)
            self.transport.peerSends(data)
            self.transport.peerEnds()
            self.assertEqual(self.holder.told[-1], expected)

    def test_lost(self) -> None:
        """
        A loss stays what it is.
        """
        self.transport.peerSends(b"{")
        self.leg.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.holder.told, [ConnectionLost])

    def test_localAddress(self) -> None:
        """
        The leg's address is what it was.
        """
        unprotected = Leg()
        unprotected.makeConnection(MemoryTransport(Clock(), unprotected))
        self.assertEqual(self.leg.localAddress(), unprotected.localAddress())


class ProtectedTransportTests(SynchronousTestCase):
    """
    A protected transport by itself.
    """

    def setUp(self) -> None:
        """
        Have one.
        """
        self.below = MemoryTransport(Clock(), Leg())
        self.protection = Sealing()
        self.transport = ProtectedTransport(self.below, self.protection)

    def test_passesThrough(self) -> None:
        """
        Everything but the bytes is the business of the transport below.
        """
        self.assertEqual(self.transport.getHost(), self.below.getHost())
        self.assertEqual(self.transport.getPeer(), self.below.getPeer())
        self.transport.pauseProducing()
        self.assertTrue(self.below.paused)
        self.transport.resumeProducing()
        self.assertFalse(self.below.paused)
        producer = PushProducer()
        self.transport.registerProducer(producer, True)
        self.assertIs(self.below.producer, producer)
        self.transport.unregisterProducer()
        self.assertIsNone(self.below.producer)
        self.transport.loseConnection()
        self.assertTrue(self.below.disconnecting)

    def test_interfaces(self) -> None:
        """
        It provides what the one below provides, no more and no less.
        """
        tcp = ProtectedTransport(TunedTransport(tcpAddress("127.0.0.1", 1)), Sealing())
        tls = ProtectedTransport(TLSTransport(Clock(), Leg()), Sealing())
        self.assertTrue(ITransport.providedBy(self.transport))
        self.assertFalse(ITCPTransport.providedBy(self.transport))
        self.assertTrue(ITCPTransport.providedBy(tcp))
        self.assertFalse(ISSLTransport.providedBy(tcp))
        self.assertTrue(ISSLTransport.providedBy(tls))

    def test_absent(self) -> None:
        """
        What the transport below does not have it has not either.
        """
        self.assertFalse(hasattr(self.transport, "setTcpNoDelay"))

    def test_exhausted(self) -> None:
        """
        Where nothing can be protected any more, the connection is dropped and
        nothing is written.
        """
        self.protection.exhausted = True
        self.transport.write(b"x")
        self.assertTrue(self.below.aborted)
        self.assertEqual(self.below.take(), b"")

    def test_endStream(self) -> None:
        """
        The stream ends as a half-close where the transport below knows it, and
        as a close elsewhere.
        """
        endStream(self.transport)
        self.assertTrue(self.below.ended)
        self.assertFalse(self.below.disconnecting)
        for kind in (NoHalfClose, TLSTransport):
            below = kind(Clock(), Leg())
            endStream(ProtectedTransport(below, Sealing()))
            self.assertTrue(below.disconnecting, kind)

    def test_abort(self) -> None:
        """
        It is dropped as a reset.
        """
        abort(self.transport)
        self.assertTrue(self.below.aborted)

    def test_tuneSocket(self) -> None:
        """
        The socket's options are set below.
        """
        below = TunedTransport(tcpAddress("127.0.0.1", 80))
        tuneSocket(ProtectedTransport(below, Sealing()))
        self.assertTrue(below.noDelay and below.keepAlive and below.options)

    def test_writeThrough(self) -> None:
        """
        What a socket has room for is in it when the call returns, and the rest
        follows in order.
        """
        reactor = MemoryReactorClock()
        scripted = ScriptedSocket(4)
        connection = Connection(scripted, Leg(), reactor)
        connection.connected = True
        transport = ProtectedTransport(connection, Sealing())
        writeThrough(transport, b"hello ")
        self.assertEqual(scripted.sent, [sealed(b"hello ")[:4]])
        writeThrough(transport, b"world")
        connection.doWrite()
        self.assertEqual(opened(b"".join(scripted.sent)), b"hello world")

    def test_unacknowledged(self) -> None:
        """
        The kernel is asked about the socket below.
        """
        ours, peers = socket.socketpair()
        self.addCleanup(peers.close)
        connection = Connection(ours, Leg(), MemoryReactorClock())
        self.addCleanup(ours.close)
        connection.connected = True
        transport = ProtectedTransport(connection, Sealing())
        self.assertEqual(unacknowledged(transport), 0)
        writeThrough(transport, b"x" * 1000)
        self.assertEqual(unacknowledged(transport), unacknowledged(connection))
        self.assertGreater(unacknowledged(transport), 1000)


class ProtectedRelayTests(SynchronousTestCase):
    """
    A relay whose client is protected and whose target is not.
    """

    def joined(self, kind: type[MemoryTransport] = MemoryTransport) -> Joined:
        """
        Start such a relay.

        @param kind: The kind of the transports.
        """
        joined = Joined(client=kind, target=kind)
        joined.clientLeg.protect(Sealing())
        # The relay takes the transports as it finds them.
        joined.relay = Relay(
            joined.clock, joined.clientLeg, joined.targetLeg, PATIENT, joined.results.append
        )
        return joined.start()

    def test_bothWays(self) -> None:
        """
        Each side reads what the other wrote, and plain octets are counted.
        """
        joined = self.joined()
        joined.client.peerSends(sealed(b"question"))
        joined.target.peerSends(b"answer")
        self.assertEqual(joined.target.take(), b"question")
        self.assertEqual(opened(joined.client.take()), b"answer")
        joined.client.peerEnds()
        joined.target.peerEnds()
        joined.settle()
        (result,) = joined.results
        self.assertEqual((result.sent, result.received), (8, 6))

    def test_clientDoesNotRead(self) -> None:
        """
        The target is not read while the client has more than enough.
        """
        joined = self.joined()
        joined.target.peerSends(b"x" * CAPACITY)
        self.assertTrue(joined.target.paused)
        self.assertEqual(opened(joined.client.take()), b"x" * CAPACITY)
        self.assertFalse(joined.target.paused)

    def test_targetDoesNotRead(self) -> None:
        """
        The client is not read while the target has more than enough.
        """
        joined = self.joined()
        joined.client.peerSends(sealed(FULL))
        self.assertTrue(joined.client.paused)
        self.assertEqual(joined.target.take(), FULL)
        self.assertFalse(joined.client.paused)

    def test_clientReadsNothing(self) -> None:
        """
        A client that takes nothing is reset after a while, by what waits in
        the queue below.
        """
        joined = self.joined(QueueingTransport)
        joined.target.peerSends(FULL)
        joined.wait(75)
        self.assertEqual([r.reason for r in joined.results], ["client does not read"])

    def test_slowClient(self) -> None:
        """
        A client that takes some all the time is not.
        """
        joined = self.joined(QueueingTransport)
        assert isinstance(joined.client, QueueingTransport)
        joined.target.peerSends(FULL)
        for _ in range(10):
            joined.wait(20)
            joined.client.takeSome(CAPACITY // 10)
        self.assertTrue(joined.untouched)

    def test_halfClose(self) -> None:
        """
        A half-close is passed on in both directions, after what came before
        it.
        """
        joined = self.joined()
        joined.client.peerSends(sealed(b"last"))
        joined.client.peerEnds()
        self.assertTrue(joined.target.ended)
        self.assertEqual(joined.target.take(), b"last")
        joined.target.peerSends(b"answer")
        self.assertEqual(opened(joined.client.take()), b"answer")
        joined.target.peerEnds()
        self.assertTrue(joined.client.ended)
        joined.settle()
        self.assertTrue(joined.over)

    def test_broken(self) -> None:
        """
        What the client did not write resets both sides, and nothing of it
        reaches the target.
        """
        joined = self.joined()
        joined.client.peerSends(sealed(b"yes") + b"{1no")
        joined.settle()
        self.assertTrue(joined.client.aborted and joined.target.aborted)
        self.assertEqual(joined.target.take(), b"")
        self.assertTrue(joined.over)

    def test_truncated(self) -> None:
        """
        A stream of the client's that ends too soon is no clean end for the
        target.
        """
        joined = self.joined()
        joined.client.peerSends(b"{")
        joined.client.peerEnds()
        joined.settle()
        self.assertTrue(joined.target.aborted)
        self.assertTrue(joined.over)
