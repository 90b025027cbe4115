"""
Tests for L{socksproxy.client.tunnel}: an application's transport behaves as if
there were no proxy.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import HostnameAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.client.tunnel import Application, TunnelTransport
from socksproxy.relay import Leg
from socksproxy.relay.leg import abort, endStream
from socksproxy.testing import CAPACITY, MemoryTransport, tcpAddress
from tests.client import scripted
from tests.relay.joined import NoHalfClose, TLSTransport
from tests.relay.sealing import Sealing, opened, sealed
from tests.relay.test_leg import TunedTransport
from tests.test_testing_producers import Source

TARGET = HostnameAddress(b"target.test", 25)


class TunnelTestCase(SynchronousTestCase):
    """
    Tests with an application on a connection that the proxy has granted.
    """

    def connect(
        self,
        protocol: scripted.Plain | None = None,
        kind: type[MemoryTransport] = MemoryTransport,
        early: bytes = b"",
        sealing: bool = False,
    ) -> TunnelTransport:
        """
        Connect an application.

        @param kind: Of the transport below.
        @param sealing: Protect the way to the proxy.
        """
        self.clock = Clock()
        leg = Leg()
        self.below = kind(self.clock, leg)
        leg.makeConnection(self.below)
        self.below.resumeProducing()
        if sealing:
            leg.protect(Sealing())
        self.protocol = protocol or scripted.Application()
        application = Application(leg, self.protocol, TARGET)
        application.connect()
        application.begin(early, False)
        tunnel: Any = self.protocol.transport
        assert isinstance(tunnel, TunnelTransport)
        return tunnel

    @property
    def told(self) -> list[object]:
        """
        Give what the application has been told after its beginning.
        """
        self.assertEqual(self.protocol.events[0], "made")
        return self.protocol.events[1:]


class TunnelTests(TunnelTestCase):
    """
    The transport of an application.
    """

    def test_interfaces(self) -> None:
        """
        It provides whatever the transport below does, and nothing else.
        """
        tunnel = self.connect()
        for interface in (ITransport, IConsumer, IPushProducer):
            verifyObject(interface, tunnel)
        for interface in (ITCPTransport, ISSLTransport):
            self.assertFalse(interface.providedBy(tunnel))
        self.assertTrue(ISSLTransport.providedBy(self.connect(kind=TLSTransport)))

    def test_tcp(self) -> None:
        """
        Options of TCP are those of the connection to the proxy.
        """
        clock = Clock()
        leg = Leg()
        below = TunedTransport(tcpAddress("127.0.0.2", 50000))
        leg.makeConnection(below)
        tunnel: Any = TunnelTransport(below, TARGET)
        self.assertTrue(ITCPTransport.providedBy(tunnel))
        tunnel.setTcpNoDelay(True)
        tunnel.setTcpKeepAlive(True)
        self.assertTrue(below.noDelay and below.keepAlive)
        clock.advance(0)

    def test_noSuchThing(self) -> None:
        """
        What the transport below cannot do, this one cannot.
        """
        tunnel: Any = self.connect()
        self.assertRaises(AttributeError, lambda: tunnel.setTcpNoDelay(True))

    def test_reads(self) -> None:
        """
        What comes is the application's, piece by piece, what came early first.
        """
        self.connect(early=b"220")
        self.below.peerSends(b" ok")
        self.below.peerSends(b"\r\n")
        self.assertEqual(self.told, [b"220", b" ok", b"\r\n"])

    def test_pauseAndResume(self) -> None:
        """
        An application that pauses is given nothing until it resumes.
        """
        tunnel = self.connect()
        tunnel.pauseProducing()
        self.below.peerSends(b"220")
        self.assertEqual(self.told, [])
        tunnel.resumeProducing()
        self.assertEqual(self.told, [b"220"])

    def test_halfCloseIn(self) -> None:
        """
        An application that knows half-closed connections is told of the
        target's end, and can go on writing.
        """
        tunnel = self.connect()
        self.below.peerSends(b"220")
        self.below.peerEnds()
        self.assertEqual(self.told, [b"220", "end"])
        tunnel.write(b"EHLO")
        self.assertEqual(self.below.take(), b"EHLO")
        self.clock.advance(60)
        self.assertFalse(self.below.ended)
        tunnel.loseConnection()
        self.clock.advance(0)
        self.assertEqual(self.told, [b"220", "end", ConnectionDone])

    def test_halfCloseOut(self) -> None:
        """
        The application can end its own stream, and go on reading.
        """
        tunnel: Any = self.connect()
        tunnel.write(b"QUIT")
        tunnel.loseWriteConnection()
        self.assertTrue(self.below.ended)
        self.assertFalse(self.below.disconnecting)
        self.below.peerSends(b"221")
        self.assertEqual(self.told, [b"221"])

    def test_halfCloseCarriedOut(self) -> None:
        """
        It is told when that has been carried out.
        """
        self.connect()
        IHalfCloseableProtocol(self.leg()).writeConnectionLost()
        self.assertEqual(self.told, ["written"])

    def test_halfCloseCarriedOutForOthers(self) -> None:
        """
        One that does not know half-closed connections is not.
        """
        self.connect(scripted.Plain())
        IHalfCloseableProtocol(self.leg()).writeConnectionLost()
        self.assertEqual(self.told, [])

    def leg(self) -> object:
        """
        Give the protocol of the transport below.
        """
        return self.below._protocol

    def test_noHalfClose(self) -> None:
        """
        To an application that does not know them the target's end is the end.
        """
        self.connect(scripted.Plain())
        self.below.peerSends(b"220")
        self.below.peerEnds()
        self.clock.advance(0)
        self.assertEqual(self.told, [b"220", ConnectionDone])
        self.assertTrue(self.below.lost)

    def test_noHalfCloseWhileProducing(self) -> None:
        """
        And so it is while a producer is at work, which is told to stop.
        """
        tunnel = self.connect(scripted.Plain())
        producer = Source()
        tunnel.registerProducer(producer, True)
        self.below.peerEnds()
        self.clock.advance(0)
        self.assertEqual(self.told, [ConnectionDone])
        self.assertEqual(producer.told, ["stop"])

    def test_lost(self) -> None:
        """
        Why the connection is gone is passed on.
        """
        self.connect()
        self.below.peerResets()
        self.assertEqual(self.told, [ConnectionLost])
        tunnel: Any = self.connect()
        tunnel.abortConnection()
        self.clock.advance(0)
        self.assertEqual(self.told, [ConnectionAborted])

    def test_endings(self) -> None:
        """
        The ways to end a stream that relays have work through it.
        """
        tunnel = self.connect()
        endStream(tunnel)
        self.assertTrue(self.below.ended)
        self.assertFalse(self.below.disconnecting)
        abort(tunnel)
        self.assertTrue(self.below.aborted)

    def test_endingsOverTLS(self) -> None:
        """
        Over TLS, which knows no half-close, the end of the stream is the end
        of the connection.
        """
        tunnel = self.connect(kind=TLSTransport)
        endStream(tunnel)
        self.assertTrue(self.below.disconnecting)

    def test_noWayToHalfClose(self) -> None:
        """
        Where the transport below has no half-close, there is none.
        """
        tunnel = self.connect(kind=NoHalfClose)
        endStream(tunnel)
        self.assertTrue(self.below.disconnecting)

    def test_protected(self) -> None:
        """
        Over a protection, everything goes through it.
        """
        tunnel = self.connect(sealing=True)
        tunnel.write(b"EHLO")
        tunnel.writeSequence([b" ", b"us"])
        self.assertEqual(opened(self.below.take()), b"EHLO us")
        self.below.peerSends(sealed(b"250"))
        self.assertEqual(self.told, [b"250"])


class ProducerTests(TunnelTestCase):
    """
    Producers of an application.
    """

    def test_push(self) -> None:
        """
        A push producer is paused while the proxy does not read, and resumed
        when it does.
        """
        tunnel = self.connect()
        producer = Source()
        tunnel.registerProducer(producer, True)
        tunnel.write(bytes(CAPACITY + 1))
        self.assertEqual(producer.told, ["pause"])
        self.below.take()
        self.assertEqual(producer.told, ["pause", "resume"])
        tunnel.unregisterProducer()
        tunnel.write(bytes(CAPACITY + 1))
        self.assertEqual(producer.told, ["pause", "resume"])

    def test_one(self) -> None:
        """
        There is one at a time, and another after that.
        """
        tunnel = self.connect()
        first, second = Source(), Source()
        tunnel.registerProducer(first, True)
        self.assertRaises(RuntimeError, tunnel.registerProducer, second, True)
        tunnel.unregisterProducer()
        tunnel.registerProducer(second, True)
        tunnel.write(bytes(CAPACITY + 1))
        self.assertEqual((first.told, second.told), ([], ["pause"]))

    def test_refused(self) -> None:
        """
        A producer that was refused is not told to stop in place of the one
        that is at work.
        """
        tunnel = self.connect(scripted.Plain())
        first, second = Source(), Source()
        tunnel.registerProducer(first, True)
        self.assertRaises(RuntimeError, tunnel.registerProducer, second, True)
        self.below.peerEnds()
        self.assertEqual((first.told, second.told), (["stop"], []))

    def test_closesAfterwards(self) -> None:
        """
        A connection that is closed while a producer is at work is closed when
        that is done.
        """
        tunnel = self.connect()
        tunnel.registerProducer(Source(), True)
        tunnel.loseConnection()
        self.clock.advance(60)
        self.assertFalse(self.below.lost)
        tunnel.write(b"the rest")
        tunnel.unregisterProducer()
        self.clock.advance(0)
        self.assertEqual(self.below.take(), b"the rest")
        self.assertEqual(self.told, [ConnectionDone])

    def test_pipe(self) -> None:
        """
        The transport is a producer itself: an application whose own consumer
        is full makes the proxy wait.
        """
        tunnel = self.connect()
        consumer = MemoryTransport(Clock(), Leg())
        consumer.registerProducer(IPushProducer(tunnel), True)
        consumer.write(bytes(CAPACITY + 1))
        self.assertTrue(self.below.paused)
        consumer.take()
        self.assertFalse(self.below.paused)
        consumer.peerResets()
        IPushProducer(tunnel).stopProducing()
        self.clock.advance(0)
        self.assertEqual(self.told, [ConnectionDone])


class BeginningTests(TunnelTestCase):
    """
    What happens between being connected and being given bytes.
    """

    def prepare(self) -> Application:
        """
        Connect an application, and give it nothing yet.
        """
        self.clock = Clock()
        self.leg = Leg()
        self.below = MemoryTransport(self.clock, self.leg)
        self.leg.makeConnection(self.below)
        self.protocol = scripted.Application()
        application = Application(self.leg, self.protocol, TARGET)
        application.connect()
        return application

    def test_resumes(self) -> None:
        """
        If the application makes its transport read in the meantime, what
        comes then follows what came early.
        """
        application = self.prepare()
        self.below.peerSends(b"more")
        IPushProducer(self.protocol.transport).resumeProducing()
        application.begin(b"early ", False)
        self.assertEqual(self.told, [b"early more"])

    def test_lost(self) -> None:
        """
        If the connection is lost in the meantime, the application is told so
        in the end.
        """
        application = self.prepare()
        self.leg.connectionLost(Failure(ConnectionLost()))
        application.begin(b"early", False)
        self.assertEqual(self.told[-1], ConnectionLost)
