"""
Tests for L{socksproxy.testing}: back pressure on a transport in memory.
"""

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from socksproxy.testing import CAPACITY, MemoryTransport


@implementer(IPushProducer)
class Source:
    """
    A producer that remembers what it was told.
    """

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.told.append("resume")

    def stopProducing(self) -> None:
        """
        See C{IProducer}.
        """
        self.told.append("stop")


class ProducerTests(SynchronousTestCase):
    """
    Back pressure, as the protocol's producer feels it.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        factory = Factory.forProtocol(Protocol)
        self.transport = MemoryTransport.connect(self.clock, factory)
        self.source = Source()
        self.transport.registerProducer(self.source, True)

    def test_fullAndEmpty(self) -> None:
        """
        The producer is paused once when the peer reads nothing and more waits
        than there is room for, and resumed once when the peer has read.
        """
        self.transport.write(bytes(CAPACITY))
        self.assertEqual(self.source.told, [])
        self.transport.write(b"x")
        self.transport.write(b"x")
        self.assertEqual(self.source.told, ["pause"])
        self.assertEqual(len(self.transport.take()), CAPACITY + 2)
        self.transport.take()
        self.assertEqual(self.source.told, ["pause", "resume"])

    def test_one(self) -> None:
        """
        There is one producer at a time.
        """
        self.assertRaises(RuntimeError, self.transport.registerProducer, Source(), True)
        self.transport.unregisterProducer()
        self.transport.registerProducer(Source(), True)

    def test_unregistered(self) -> None:
        """
        A producer that has been unregistered is told nothing more.
        """
        self.transport.write(bytes(CAPACITY + 1))
        self.transport.unregisterProducer()
        self.transport.take()
        self.assertEqual(self.source.told, ["pause"])

    def test_close(self) -> None:
        """
        A connection that is closed while there is a producer is lost once that
        is unregistered, as C{ITransport} has it.
        """
        self.transport.loseConnection()
        self.clock.advance(0)
        self.assertFalse(self.transport.lost)
        self.transport.unregisterProducer()
        self.clock.advance(0)
        self.assertTrue(self.transport.lost)

    def test_abort(self) -> None:
        """
        A connection that is dropped does not wait for a producer.
        """
        self.transport.abortConnection()
        self.clock.advance(0)
        self.assertTrue(self.transport.lost)
