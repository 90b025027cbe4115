"""
Tests for L{socksproxy.testing}: the doubles behave like what they stand for.
"""

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.testing import MemoryTransport, tcpAddress


class Recorder(Protocol):
    """
    A protocol that remembers what happened to it.

    @ivar events: Data, C{"end"}, and the class of the reason for the end.
    """

    def __init__(self) -> None:
        self.events: list[object] = []

    def dataReceived(self, data: bytes) -> None:
        """
        Remember data.
        """
        self.events.append(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        Remember why the connection is gone.
        """
        self.events.append(reason.type)


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Recorder):
    """
    A protocol that knows half-closed connections.
    """

    def readConnectionLost(self) -> None:
        """
        Remember the end of the peer's stream.
        """
        self.events.append("end")

    def writeConnectionLost(self) -> None:
        """
        Our own end is nothing to remember.
        """


class Reluctant(HalfCloseable):
    """
    A protocol that pauses its transport whenever it gets something.
    """

    def dataReceived(self, data: bytes) -> None:
        """
        Remember data, and have enough for now.
        """
        super().dataReceived(data)
        IPushProducer(self.transport).pauseProducing()


class Picky(Factory):
    """
    A factory that wants no connection.
    """

    def buildProtocol(self, addr: object) -> None:
        """
        See C{IProtocolFactory}.
        """


class MemoryTransportTests(SynchronousTestCase):
    """
    A transport whose peer is the test.
    """

    def setUp(self) -> None:
        self.clock = Clock()

    def connect(self, protocol: type[Recorder] = HalfCloseable) -> MemoryTransport:
        """
        Connect to a protocol of a kind.
        """
        transport = MemoryTransport.connect(self.clock, Factory.forProtocol(protocol))
        self.events = transport._protocol.events  # type: ignore[attr-defined]
        return transport

    def test_interfaces(self) -> None:
        """
        It provides what a stream transport does.
        """
        transport = self.connect()
        for interface in (ITransport, IPushProducer, IConsumer):
            verifyObject(interface, transport)

    def test_addresses(self) -> None:
        """
        Both addresses can be chosen.
        """
        host, peer = tcpAddress("192.0.2.1", 1), tcpAddress("2001:db8::1", 2)
        factory = Factory.forProtocol(Recorder)
        transport = MemoryTransport.connect(self.clock, factory, host, peer)
        self.assertEqual((transport.getHost(), transport.getPeer()), (host, peer))
        self.assertNotEqual(self.connect().getHost(), self.connect().getPeer())

    def test_unwanted(self) -> None:
        """
        A factory that builds no protocol is an error of the test's.
        """
        self.assertRaises(ValueError, MemoryTransport.connect, self.clock, Picky())

    def test_bothWays(self) -> None:
        """
        What either side sends reaches the other.
        """
        transport = self.connect()
        transport.peerSends(b"one")
        transport.peerSends(b"two")
        self.assertEqual(self.events, [b"one", b"two"])
        transport.write(b"three")
        transport.writeSequence([b" ", b"four"])
        self.assertEqual(transport.take(), b"three four")
        self.assertEqual(transport.take(), b"")

    def test_paused(self) -> None:
        """
        While the protocol has paused it, it is given nothing; afterwards it is
        given everything in order.
        """
        transport = self.connect()
        transport.pauseProducing()
        transport.peerSends(b"one")
        transport.peerSends(b"two")
        transport.peerEnds()
        self.assertEqual(self.events, [])
        transport.resumeProducing()
        self.assertEqual(self.events, [b"one", b"two", "end"])

    def test_pausedBetween(self) -> None:
        """
        A protocol that pauses it meanwhile is given the rest later.
        """
        transport = self.connect(Reluctant)
        transport.peerSends(b"one")
        transport.peerSends(b"two")
        transport.peerEnds()
        self.assertEqual(self.events, [b"one"])
        transport.resumeProducing()
        self.assertEqual(self.events, [b"one", b"two"])
        transport.resumeProducing()
        self.assertEqual(self.events, [b"one", b"two", "end"])

    def test_peerEnds(self) -> None:
        """
        The end of the peer's stream leaves the other direction to a protocol
        that knows half-closed connections, and is the end of everything for
        one that does not.
        """
        transport = self.connect()
        transport.peerEnds()
        transport.write(b"still here")
        self.assertEqual((self.events, transport.lost), (["end"], False))
        self.assertEqual(transport.take(), b"still here")
        transport = self.connect(Recorder)
        transport.peerEnds()
        self.assertEqual((self.events, transport.lost), ([ConnectionDone], True))

    def test_peerResets(self) -> None:
        """
        A reset is the end of everything.
        """
        transport = self.connect()
        transport.peerResets()
        self.assertEqual((self.events, transport.lost), ([ConnectionLost], True))

    def test_loseWriteConnection(self) -> None:
        """
        A protocol that has ended its stream cannot write any more, and is
        still given what the peer sends.
        """
        transport = self.connect()
        transport.write(b"one")
        transport.loseWriteConnection()
        transport.write(b"two")
        transport.peerSends(b"three")
        self.assertTrue(transport.ended)
        self.assertFalse(transport.lost)
        self.assertEqual(transport.take(), b"one")
        self.assertEqual(self.events, [b"three"])

    def test_loseConnection(self) -> None:
        """
        What the protocol closes is lost a turn of the clock later, and it is
        given nothing in between; what it has written arrives.
        """
        transport = self.connect()
        transport.write(b"last words")
        transport.loseConnection()
        transport.loseConnection()
        transport.peerSends(b"too late")
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.events, [])
        self.clock.advance(0)
        self.assertEqual((self.events, transport.lost), ([ConnectionDone], True))
        self.assertEqual(transport.take(), b"last words")

    def test_abortConnection(self) -> None:
        """
        What the protocol drops is lost a turn of the clock later.
        """
        transport = self.connect()
        transport.abortConnection()
        transport.abortConnection()
        transport.peerSends(b"too late")
        self.assertTrue(transport.aborted)
        self.assertEqual(self.events, [])
        self.clock.advance(0)
        self.assertEqual((self.events, transport.lost), ([ConnectionAborted], True))

    def test_lostOnce(self) -> None:
        """
        A connection is lost once, whoever else tries to end it.
        """
        transport = self.connect()
        transport.loseConnection()
        transport.peerResets()
        transport.abortConnection()
        transport.peerResets()
        transport.peerEnds()
        self.clock.advance(0)
        self.assertEqual(self.events, [ConnectionLost])
        self.assertFalse(transport.aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopProducing(self) -> None:
        """
        A transport that is to stop producing is closed.
        """
        transport = self.connect()
        transport.stopProducing()
        self.clock.advance(0)
        self.assertEqual(self.events, [ConnectionDone])
