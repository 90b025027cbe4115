"""
Tests for L{socksproxy.smux.compression}.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from socksproxy.errors import ConfigurationError, MalformedMessage, TruncatedStream
from socksproxy.smux._snappy import PIECE, Decoder, Encoder
from socksproxy.smux.compression import CompressedFactory, CompressedProtocol, compressed
from socksproxy.state import placeOf
from socksproxy.testing import CAPACITY, MemoryTransport
from tests.codec import splitsOf

SMUX = b"\x02\x00\x00\x00\x03\x00\x00\x00"


class Above(Protocol):
    """
    A protocol that remembers what it is told.

    @ivar told: Data, and C{"read"} and C{"write"} for the ends of directions.
    @ivar reason: Why the connection ended.
    @ivar whenTold: Called with each piece of data.
    """

    transport: Any
    reason: Failure | None = None

    def __init__(self) -> None:
        self.told: list[bytes | str] = []
        self.whenTold: Callable[[bytes], object] = lambda data: None

    @property
    def data(self) -> bytes:
        """
        All data so far.
        """
        return b"".join(each for each in self.told if isinstance(each, bytes))

    def dataReceived(self, data: bytes) -> None:
        """
        Remember it.
        """
        self.told.append(data)
        self.whenTold(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        Remember it.
        """
        assert self.reason is None
        self.reason = reason


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Above):
    """
    One that wants to be told of half-closes.
    """

    def readConnectionLost(self) -> None:
        """
        Remember it.
        """
        self.told.append("read")

    def writeConnectionLost(self) -> None:
        """
        Remember it.
        """
        self.told.append("write")


class PlainTransport(MemoryTransport):
    """
    A transport that cannot be aborted.
    """

    @property
    def abortConnection(self) -> Any:  # type: ignore[override]
        """
        Be without it.
        """
        raise AttributeError("abortConnection")


def decompressed(data: bytes) -> bytes:
    """
    Read a whole stream.
    """
    decoder = Decoder()
    decoder.feed(data)
    pieces = []
    while piece := decoder.next():
        pieces.append(piece)
    decoder.endOfStream()
    return b"".join(pieces)


class Compressed(SynchronousTestCase):
    """
    A test of a compressed connection.
    """

    kind: type[Above] = Above
    carrierKind = MemoryTransport

    def setUp(self) -> None:
        """
        Have one.
        """
        self.clock = Clock()
        self.above = self.kind()
        factory = Factory.forProtocol(lambda: self.above)
        self.factory = compressed(factory, self.clock)
        self.carrier = self.carrierKind.connect(self.clock, self.factory)
        self.peer = Encoder()

    def peerWrites(self, data: bytes) -> None:
        """
        Let the peer write something.
        """
        self.carrier.peerSends(self.peer.encode(data))

    def reasonOf(self, kind: type[Exception]) -> str:
        """
        Require that the connection has ended, for a kind of reason.

        @return: Its text.
        """
        assert self.above.reason is not None
        self.assertIsInstance(self.above.reason.value, kind)
        return self.above.reason.getErrorMessage()


class WritingTests(Compressed):
    """
    What is written.
    """

    def test_compresses(self) -> None:
        """
        Every write is compressed, and the peer can read it at once.
        """
        decoder = Decoder()
        written = 0
        for data in (b"hello", b"a" * 1000, bytes(200000)):
            self.above.transport.write(data)
            compressedData = self.carrier.take()
            written += len(compressedData)
            decoder.feed(compressedData)
            read = b""
            while piece := decoder.next():
                read += piece
            self.assertEqual(read, data)
        self.assertLess(written, 12000)

    def test_nothing(self) -> None:
        """
        Nothing is written for nothing.
        """
        self.above.transport.write(b"")
        self.above.transport.writeSequence([b"", b""])
        self.assertEqual(self.carrier._written, [])

    def test_writeSequence(self) -> None:
        """
        A sequence is compressed together.
        """
        self.above.transport.writeSequence([b"hello "] * 20)
        self.assertEqual(self.carrier.take(), Encoder().encode(b"hello " * 20))

    def test_producer(self) -> None:
        """
        A producer is the carrier's, whose queue is the one that counts.
        """
        calls: list[str] = []

        @implementer(IPushProducer)
        class Producer:
            def pauseProducing(self) -> None:
                calls.append("pause")

            def resumeProducing(self) -> None:
                calls.append("resume")

            def stopProducing(self) -> None:
                calls.append("stop")

        producer = Producer()
        transport = self.above.transport
        transport.registerProducer(producer, True)
        self.assertIs(self.carrier.producer, producer)
        transport.write(bytes(CAPACITY + 1))
        self.assertEqual(calls, [])
        transport.write(random.Random(1).randbytes(CAPACITY + 1))
        self.assertEqual(calls, ["pause"])
        self.carrier.take()
        self.assertEqual(calls, ["pause", "resume"])
        transport.unregisterProducer()
        self.assertIsNone(self.carrier.producer)


class ReadingTests(Compressed):
    """
    What is read.
    """

    def test_decompresses(self) -> None:
        """
        What the peer has written is read, however it is cut.
        """
        data = Encoder().encode(b"hello") + Encoder().encode(b"a" * 100)
        for pieces in splitsOf(data):
            self.setUp()
            for piece in pieces:
                self.carrier.peerSends(piece)
            self.assertEqual(self.above.data, b"hello" + b"a" * 100)

    def test_atOnce(self) -> None:
        """
        What is complete is not kept.
        """
        for number in range(5):
            self.peerWrites(b"%d" % number)
            self.assertEqual(self.above.told[-1], b"%d" % number)

    def test_pausedBefore(self) -> None:
        """
        The carrier is paused and resumed with the connection.
        """
        self.above.transport.pauseProducing()
        self.assertTrue(self.carrier.paused)
        self.peerWrites(b"hello")
        self.assertEqual(self.above.told, [])
        self.above.transport.resumeProducing()
        self.assertFalse(self.carrier.paused)
        self.assertEqual(self.above.told, [b"hello"])

    def pauseAfterFirst(self) -> bytes:
        """
        Let much come at once, and pause the connection when the first of it is
        given.

        @return: All of it.
        """
        data = bytes(10 * PIECE)
        self.above.whenTold = lambda _: self.above.transport.pauseProducing()
        self.peerWrites(data)
        self.assertEqual(self.above.told, [bytes(PIECE)])
        self.assertTrue(self.carrier.paused)
        return data

    def test_pausedWithin(self) -> None:
        """
        Nothing is given to a protocol that has paused the connection, though
        it has come, and the rest is given later than it is resumed.
        """
        data = self.pauseAfterFirst()
        self.clock.advance(10)
        self.assertEqual(len(self.above.told), 1)
        for number in range(2, 11):
            self.above.transport.resumeProducing()
            self.assertEqual(len(self.above.told), number - 1)
            self.clock.advance(0)
            self.assertEqual(len(self.above.told), number)
            self.assertTrue(self.carrier.paused)
        self.assertEqual(self.above.data, data)
        self.above.transport.resumeProducing()
        self.clock.advance(0)
        self.assertFalse(self.carrier.paused)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_resumedWithin(self) -> None:
        """
        A protocol may pause and resume the connection as it is given data.
        """

        def twice(data: bytes) -> None:
            self.above.transport.pauseProducing()
            self.above.transport.resumeProducing()

        self.above.whenTold = twice
        self.peerWrites(bytes(5 * PIECE))
        self.assertEqual(self.above.told, [bytes(PIECE)] * 5)
        self.assertFalse(self.carrier.paused)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pausedAgain(self) -> None:
        """
        A connection that is resumed and paused again at once gives nothing,
        and all of it when it is resumed for good.
        """
        data = self.pauseAfterFirst()
        transport = self.above.transport
        transport.resumeProducing()
        transport.pauseProducing()
        self.clock.advance(0)
        self.assertEqual(len(self.above.told), 1)
        self.above.whenTold = lambda _: None
        transport.resumeProducing()
        transport.pauseProducing()
        transport.resumeProducing()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0)
        self.assertEqual(self.above.data, data)
        self.assertFalse(self.carrier.paused)

    def test_carrierGoesOn(self) -> None:
        """
        What a carrier gives although it is paused stays in order.
        """
        data = self.pauseAfterFirst()
        self.carrier.paused = False
        self.peerWrites(b"second")
        self.above.whenTold = lambda _: None
        self.above.transport.resumeProducing()
        self.peerWrites(b"third")
        self.assertEqual(len(self.above.told), 1)
        self.clock.advance(0)
        self.assertEqual(self.above.data, data + b"secondthird")

    def test_notWithinItself(self) -> None:
        """
        What a carrier gives while a protocol is given something comes after
        that.
        """
        within = []

        def answered(data: bytes) -> None:
            within.append("in")
            if data == b"question":
                self.peerWrites(b"answer")
            within.append("out")

        self.above.whenTold = answered
        self.peerWrites(b"question")
        self.assertEqual(self.above.told, [b"question", b"answer"])
        self.assertEqual(within, ["in", "out"] * 2)

    def test_notResumedInVain(self) -> None:
        """
        A carrier that has not been paused is not resumed.
        """
        calls: list[int] = []
        self.carrier.resumeProducing = lambda: calls.append(1)  # type: ignore[method-assign]
        self.peerWrites(b"hello")
        self.above.transport.resumeProducing()
        self.assertEqual(calls, [])

    def test_failure(self) -> None:
        """
        What goes wrong above is the carrier's to deal with, as always, and
        nothing more is given.
        """

        def fail(data: bytes) -> None:
            raise ValueError("above")

        self.above.whenTold = fail
        self.assertRaises(ValueError, self.peerWrites, bytes(3 * PIECE))
        self.carrier.peerResets()
        self.assertEqual(self.above.told, [bytes(PIECE)])
        self.reasonOf(ConnectionLost)

    def test_failureLater(self) -> None:
        """
        Where the carrier cannot know, what goes wrong above is logged and ends
        the connection.
        """
        self.pauseAfterFirst()

        def fail(data: bytes) -> None:
            raise ValueError("above")

        self.above.whenTold = fail
        self.above.transport.resumeProducing()
        self.clock.advance(0)
        self.assertTrue(self.carrier.aborted)
        self.clock.advance(0)
        self.assertEqual(self.reasonOf(ValueError), "above")
        self.assertEqual(len(self.above.told), 2)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class FaultTests(Compressed):
    """
    What the peer must not send.
    """

    def refused(self, data: bytes) -> str:
        """
        Send what has to end the connection.

        @return: Why.
        """
        with capturedLogs() as logs:
            self.carrier.peerSends(data)
        (event,) = [each for each in logs if each["log_level"] is LogLevel.warn]
        self.assertTrue(self.carrier.aborted)
        self.carrier.disconnecting = False
        self.peerWrites(b"more")
        self.clock.advance(0)
        why = self.reasonOf(MalformedMessage)
        self.assertEqual(str(event["error"]), why)
        self.assertEqual(event["peer"], placeOf(self.carrier.getPeer()))
        return why

    def test_bad(self) -> None:
        """
        A bad chunk drops the connection, and the protocol learns why, after it
        has been given what was good.
        """
        good = self.peer.encode(b"good")
        bad = bytearray(self.peer.encode(b"bad"))
        bad[-1] ^= 1
        self.assertIn("checksum", self.refused(good + bytes(bad)))
        self.assertEqual(self.above.told, [b"good"])

    def test_uncompressed(self) -> None:
        """
        A peer that does not compress is recognised.
        """
        why = self.refused(SMUX)
        self.assertIn("the peer does not compress: set nocomp on this side", why)
        self.assertEqual(self.above.told, [])

    def test_whilePaused(self) -> None:
        """
        What is wrong after what has not been given yet is found when it has.
        """
        self.above.whenTold = lambda _: self.above.transport.pauseProducing()
        self.carrier.peerSends(self.peer.encode(bytes(2 * PIECE)) + b"\x7f\x00\x00\x00")
        self.assertFalse(self.carrier.aborted)
        for _ in range(2):
            self.above.transport.resumeProducing()
            self.clock.advance(0)
        self.assertTrue(self.carrier.aborted)
        self.clock.advance(0)
        self.assertIn("0x7f", self.reasonOf(MalformedMessage))
        self.assertEqual(self.above.told, [bytes(PIECE)] * 2)

    def test_withoutAbort(self) -> None:
        """
        A carrier that cannot be aborted is closed.
        """
        self.carrierKind = PlainTransport
        self.setUp()
        self.carrier.peerSends(SMUX)
        self.assertTrue(self.carrier.ended)
        self.clock.advance(0)
        self.reasonOf(MalformedMessage)


class EndTests(Compressed):
    """
    The end of the connection.
    """

    def test_done(self) -> None:
        """
        The end of the carrier is that of the connection.
        """
        self.peerWrites(b"bye")
        self.carrier.peerEnds()
        self.reasonOf(ConnectionDone)
        self.assertEqual(self.above.told, [b"bye"])
        self.assertEqual(self.factory.protocols, {})

    def test_lost(self) -> None:
        """
        A reason that the carrier knows is passed on, also in the middle of a
        chunk.
        """
        self.carrier.peerSends(self.peer.encode(b"hello")[:-1])
        self.carrier.peerResets()
        self.reasonOf(ConnectionLost)

    def test_truncated(self) -> None:
        """
        An end that comes inside a chunk is not a good one.
        """
        self.carrier.peerSends(self.peer.encode(b"hello")[:-1])
        self.carrier.peerEnds()
        self.reasonOf(TruncatedStream)
        self.assertFalse(self.carrier.aborted)

    def test_beforeAnything(self) -> None:
        """
        A peer may leave without having written anything.
        """
        self.carrier.peerEnds()
        self.reasonOf(ConnectionDone)

    def test_pausedRest(self) -> None:
        """
        What has come when the carrier is lost is given before the protocol
        is told, paused or not.
        """
        self.above.whenTold = lambda _: self.above.transport.pauseProducing()
        self.peerWrites(bytes(3 * PIECE))
        self.above.transport.resumeProducing()
        self.carrier._lose(ConnectionDone())
        self.reasonOf(ConnectionDone)
        self.assertEqual(self.above.data, bytes(3 * PIECE))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_resumedRest(self) -> None:
        """
        Nor is the rest lost that was about to be given. A carrier that is gone
        is not resumed.
        """
        self.above.whenTold = lambda _: self.above.transport.pauseProducing()
        self.peerWrites(bytes(3 * PIECE))
        self.above.whenTold = lambda _: None
        self.above.transport.resumeProducing()
        self.carrier._lose(ConnectionDone())
        self.reasonOf(ConnectionDone)
        self.assertEqual(self.above.data, bytes(3 * PIECE))
        self.assertTrue(self.carrier.paused)

    def test_lostWithin(self) -> None:
        """
        A carrier may be lost as the protocol is given something, which is not
        called again then.
        """
        self.above.whenTold = lambda _: self.carrier._lose(ConnectionDone())
        self.peerWrites(bytes(3 * PIECE))
        self.assertEqual(self.above.told, [bytes(PIECE)])
        self.reasonOf(ConnectionDone)

    def test_badRest(self) -> None:
        """
        That may also be wrong.
        """
        self.above.whenTold = lambda _: self.above.transport.pauseProducing()
        self.carrier.peerSends(self.peer.encode(bytes(2 * PIECE)) + b"\x7f\x00\x00\x00")
        aborts: list[int] = []
        self.carrier.abortConnection = lambda: aborts.append(1)  # type: ignore[method-assign]
        self.carrier.peerResets()
        self.reasonOf(MalformedMessage)
        self.assertEqual(self.above.data, bytes(2 * PIECE))
        self.assertEqual(aborts, [])

    def test_loseConnection(self) -> None:
        """
        A connection is closed with its carrier, after what was written, and
        gives nothing more.
        """

        def lose(data: bytes) -> None:
            self.above.transport.write(b"bye")
            self.above.transport.loseConnection()

        self.above.whenTold = lose
        self.peerWrites(bytes(3 * PIECE))
        self.assertTrue(self.above.transport.disconnecting)
        self.assertTrue(self.carrier.ended)
        self.assertFalse(self.carrier.aborted)
        self.clock.advance(0)
        self.reasonOf(ConnectionDone)
        self.assertEqual(self.above.told, [bytes(PIECE)])
        self.assertEqual(decompressed(self.carrier.take()), b"bye")

    def test_loseConnectionWhilePaused(self) -> None:
        """
        A protocol that has paused and asked for the end gets neither the rest
        nor a complaint about it.
        """
        self.above.whenTold = lambda _: self.above.transport.pauseProducing()
        self.peerWrites(bytes(3 * PIECE))
        self.above.transport.loseConnection()
        self.clock.advance(0)
        self.reasonOf(ConnectionDone)
        self.assertEqual(self.above.told, [bytes(PIECE)])

    def test_loseConnectionInsideChunk(self) -> None:
        """
        What a protocol does not wait for may be incomplete, and is not kept.
        """
        self.carrier.peerSends(self.peer.encode(b"hello")[:-1])
        self.above.transport.loseConnection()
        held = len(self.above.transport._decoder._data)
        self.carrier.disconnecting = False
        self.carrier.peerSends(bytes(1000))
        self.assertEqual(len(self.above.transport._decoder._data), held)
        self.clock.advance(0)
        self.reasonOf(ConnectionDone)

    def test_producerGoesOn(self) -> None:
        """
        A producer may go on after C{loseConnection} until it unregisters.
        """
        transport = self.above.transport
        transport.registerProducer(implementer(IPushProducer)(type("Producer", (), {}))(), True)
        transport.loseConnection()
        self.assertFalse(self.carrier.ended)
        transport.write(b"late")
        transport.unregisterProducer()
        self.assertTrue(self.carrier.ended)
        self.assertEqual(decompressed(self.carrier.take()), b"late")

    def test_stopProducing(self) -> None:
        """
        To stop producing is to close.
        """
        self.above.transport.stopProducing()
        self.assertTrue(self.above.transport.disconnecting)
        self.assertTrue(self.carrier.ended)

    def test_abortConnection(self) -> None:
        """
        A connection is aborted with its carrier, and gives nothing more.
        """
        self.above.whenTold = lambda _: self.above.transport.abortConnection()
        self.peerWrites(bytes(3 * PIECE))
        self.assertTrue(self.carrier.aborted)
        self.assertTrue(self.above.transport.disconnecting)
        self.clock.advance(0)
        self.reasonOf(ConnectionAborted)
        self.assertEqual(self.above.told, [bytes(PIECE)])


class HalfCloseTests(Compressed):
    """
    A protocol that knows of half-closes, on a carrier that has them.
    """

    kind = HalfCloseable

    def test_read(self) -> None:
        """
        The end of the peer's stream is told after its data.
        """
        self.peerWrites(b"bye")
        self.carrier.peerEnds()
        self.assertEqual(self.above.told, [b"bye", "read"])
        self.assertIsNone(self.above.reason)
        self.above.transport.write(b"answer")
        self.assertEqual(decompressed(self.carrier.take()), b"answer")
        self.carrier.peerResets()
        self.assertEqual(self.above.told, [b"bye", "read"])
        self.reasonOf(ConnectionLost)

    def test_readWhilePaused(self) -> None:
        """
        It is told after what a paused protocol has not been given yet.
        """
        self.above.whenTold = lambda _: self.above.transport.pauseProducing()
        self.peerWrites(bytes(2 * PIECE))
        self.carrier.paused = False
        self.carrier.peerEnds()
        self.assertEqual(self.above.told, [bytes(PIECE)])
        self.above.transport.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(self.above.told, [bytes(PIECE)] * 2)
        self.above.transport.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(self.above.told, [bytes(PIECE), bytes(PIECE), "read"])

    def test_readWhileResumed(self) -> None:
        """
        It is told after what a protocol is about to be given, which no end of
        anything hurries.
        """
        self.above.whenTold = lambda _: self.above.transport.pauseProducing()
        self.peerWrites(bytes(2 * PIECE))
        self.above.whenTold = lambda _: None
        self.above.transport.resumeProducing()
        self.carrier.paused = False
        self.carrier.peerEnds()
        self.assertEqual(self.above.told, [bytes(PIECE)])
        self.clock.advance(0)
        self.assertEqual(self.above.told, [bytes(PIECE), bytes(PIECE), "read"])

    def test_readThenLost(self) -> None:
        """
        It is told before the end of all.
        """
        self.above.whenTold = lambda _: self.above.transport.pauseProducing()
        self.peerWrites(bytes(2 * PIECE))
        self.carrier.paused = False
        self.carrier.peerEnds()
        self.carrier.peerResets()
        self.assertEqual(self.above.told, [bytes(PIECE), bytes(PIECE), "read"])
        self.reasonOf(ConnectionLost)

    def test_truncated(self) -> None:
        """
        An end inside a chunk drops the connection.
        """
        self.carrier.peerSends(self.peer.encode(b"hello")[:-1])
        self.carrier.peerEnds()
        self.assertEqual(self.above.told, [])
        self.assertTrue(self.carrier.aborted)
        self.clock.advance(0)
        self.reasonOf(TruncatedStream)

    def test_write(self) -> None:
        """
        Our own direction can be ended alone, and the protocol is told of it.
        """
        transport = self.above.transport
        transport.write(b"bye")
        transport.loseWriteConnection()
        self.assertTrue(self.carrier.ended)
        IHalfCloseableProtocol(transport).writeConnectionLost()
        self.assertEqual(self.above.told, ["write"])
        self.peerWrites(b"answer")
        self.assertEqual(self.above.told, ["write", b"answer"])

    def test_whoWants(self) -> None:
        """
        The carrier is told that half-closes matter if they do.
        """
        self.assertTrue(IHalfCloseableProtocol.providedBy(self.above.transport))
        verifyObject(IHalfCloseableProtocol, self.above.transport)
        self.kind = Above
        self.setUp()
        self.assertFalse(IHalfCloseableProtocol.providedBy(self.above.transport))


class ConnectionTests(Compressed):
    """
    The connection as a transport, and its factory.
    """

    def test_interfaces(self) -> None:
        """
        It is what its carrier is.
        """
        for interface in (ITransport, IPushProducer, IConsumer):
            verifyObject(interface, self.above.transport)

    def test_carrier(self) -> None:
        """
        It has its carrier's addresses and whatever else it may have.
        """
        transport = self.above.transport
        self.assertIsInstance(transport, CompressedProtocol)
        self.assertIs(transport.carrier, self.carrier)
        self.assertIs(transport.wrappedProtocol, self.above)
        self.assertEqual(transport.getHost(), self.carrier.getHost())
        self.assertEqual(transport.getPeer(), self.carrier.getPeer())
        self.carrier.conversation = 17  # type: ignore[attr-defined]
        self.assertEqual(transport.conversation, 17)
        self.assertRaises(AttributeError, getattr, transport, "somethingElse")

    def test_pair(self) -> None:
        """
        Two of them understand one another, both ways.
        """
        other = Above()
        carrier = MemoryTransport.connect(
            self.clock, compressed(Factory.forProtocol(lambda: other), self.clock)
        )
        source = random.Random(2)
        for one, two, below, beyond in (
            (self.above, other, self.carrier, carrier),
            (other, self.above, carrier, self.carrier),
        ):
            data = b""
            for size in (1, 17, 3000, 70000, 200000):
                some = source.randbytes(size // 2) + bytes(size)
                data += some
                one.transport.write(some)
                beyond.peerSends(below.take())
                self.assertEqual(two.data, data)

    def test_noProtocol(self) -> None:
        """
        A connection that the other factory does not want is not made.
        """
        factory = Factory()
        factory.buildProtocol = lambda addr: None  # type: ignore[method-assign]
        self.assertIsNone(compressed(factory, self.clock).buildProtocol(None))

    def test_startAndStop(self) -> None:
        """
        The other factory is started and stopped with it.
        """
        calls = []
        factory = Factory()
        factory.noisy = False
        factory.startFactory = lambda: calls.append("start")  # type: ignore[method-assign]
        factory.stopFactory = lambda: calls.append("stop")  # type: ignore[method-assign]
        outer = compressed(factory, self.clock)
        outer.doStart()
        outer.doStop()
        self.assertEqual(calls, ["start", "stop"])

    def test_withoutCramjam(self) -> None:
        """
        Without the extra no factory is made, and it is said why.
        """
        self.patch(sys, "modules", {**sys.modules, "cramjam": None})
        error = self.assertRaises(ConfigurationError, CompressedFactory, Factory(), self.clock)
        self.assertIn("extra 'snappy'", str(error))
