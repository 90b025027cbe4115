"""
Tests for L{socksproxy.smux.transport}: back pressure, and fairness.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.smux._end import HIGH_WATER
from socksproxy.smux._sending import LOW_WATER
from socksproxy.smux.config import SmuxConfig
from socksproxy.testing import CAPACITY
from tests.smux.muxes import Application, HalfCloseable, Muxes, Producer

WINDOW = 262144


class Puller:
    """
    A pull producer: it writes one piece each time that it is asked.

    @ivar pieces: What is left to be written.
    @ivar stopped: It has been told to stop.
    """

    def __init__(self, application: Application, pieces: list[bytes]) -> None:
        self.application = application
        self.pieces = pieces
        self.stopped = False

    def resumeProducing(self) -> None:
        """
        See C{IPullProducer}.
        """
        self.application.transport.write(self.pieces.pop(0))
        if not self.pieces:
            self.application.transport.unregisterProducer()
            self.application.transport.loseConnection()

    def stopProducing(self) -> None:
        """
        See C{IPullProducer}.
        """
        self.stopped = True


class ReadingTests(SynchronousTestCase):
    """
    Applications that do not read.
    """

    def test_paused(self) -> None:
        """
        Who has paused is given nothing before it resumes, and then all there
        is, in the next turn.
        """
        muxes = Muxes()
        client, server = muxes.pair()
        server.transport.pauseProducing()
        client.transport.write(b"first")
        client.transport.write(b"second")
        client.transport.loseWriteConnection()
        muxes.settle()
        self.assertEqual((server.data, server.told), (b"", ["made"]))
        server.act(server.transport.resumeProducing)
        muxes.settle()
        self.assertEqual((server.data, server.told), (b"firstsecond", ["made", "read"]))

    def test_order(self) -> None:
        """
        What comes between the resumption and the next turn comes after what
        has waited.
        """
        muxes = Muxes()
        client, server = muxes.pair()
        server.transport.pauseProducing()
        client.transport.write(b"first ")
        muxes.settle()
        server.act(server.transport.resumeProducing)
        client.transport.write(b"second")
        muxes.there.peerSends(muxes.here.take())
        muxes.settle()
        self.assertEqual(server.data, b"first second")

    def test_pausedAgain(self) -> None:
        """
        Who pauses again before the next turn is given nothing.
        """
        muxes = Muxes()
        client, server = muxes.pair()
        server.transport.pauseProducing()
        client.transport.write(b"data")
        muxes.settle()
        server.transport.resumeProducing()
        server.transport.pauseProducing()
        muxes.settle()
        self.assertEqual(server.data, b"")

    def test_endWaits(self) -> None:
        """
        The end waits for who has paused, even if nothing is before it.
        """
        muxes = Muxes()
        client, server = muxes.pair()
        server.transport.pauseProducing()
        client.transport.loseWriteConnection()
        muxes.settle()
        self.assertEqual(server.told, ["made"])
        server.act(server.transport.resumeProducing)
        muxes.settle()
        self.assertEqual(server.told, ["made", "read"])

    def test_pausesInBetween(self) -> None:
        """
        Who pauses while it is given what has waited gets the rest later, in
        pieces of a sensible size and in order.
        """
        muxes = Muxes()
        sizes: list[int] = []

        class Sipping(HalfCloseable):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                sizes.append(len(data))
                self.transport.pauseProducing()

        muxes.accepted.make = Sipping
        client, server = muxes.pair()
        server.transport.pauseProducing()
        data = bytes(range(256)) * 800
        client.transport.write(data)
        client.transport.loseWriteConnection()
        muxes.settle()
        while len(server.data) < len(data):
            self.assertEqual(server.told, ["made"])
            server.act(server.transport.resumeProducing)
            muxes.settle()
        self.assertEqual(server.data, data)
        self.assertLessEqual(max(sizes), 65536)
        self.assertGreaterEqual(len(sizes), 4)
        self.assertEqual(server.told, ["made"])
        server.transport.resumeProducing()
        muxes.settle()
        self.assertEqual(server.told, ["made", "read"])

    def test_turns(self) -> None:
        """
        A long backlog is not given in one turn.
        """
        muxes = Muxes()
        client, server = muxes.pair()
        client.transport.write(b"x")
        muxes.settle()
        server.transport.pauseProducing()
        client.transport.write(bytes(1500000))
        muxes.settle()
        server.transport.resumeProducing()
        turns: list[int] = []
        muxes.clock.callLater(0, lambda: turns.append(len(server.data)))
        muxes.settle()
        self.assertEqual(turns, [1 + 262144])
        self.assertEqual(len(server.data), 1500001)

    def test_window(self) -> None:
        """
        A stream that is not read takes as much as its window, and then makes
        its writer stop; with what is read the writer goes on.
        """
        muxes = Muxes(SmuxConfig(streambuf=500000))
        client, server = muxes.pair()
        server.transport.pauseProducing()
        producer = Producer()
        client.transport.registerProducer(producer, True)
        for _ in range(8):
            client.transport.write(bytes(WINDOW // 8))
            muxes.settle()
        self.assertEqual(muxes.server.session.unread, WINDOW)
        client.transport.write(bytes(HIGH_WATER))
        self.assertEqual(producer.told, [])
        client.transport.write(b"x")
        self.assertEqual(producer.told, ["pause"])
        muxes.settle()
        self.assertEqual(muxes.server.session.unread, WINDOW)
        self.assertEqual(client.transport.record.queued, HIGH_WATER + 1)
        client.transport.write(b"more")
        self.assertEqual(producer.told, ["pause"])
        server.transport.resumeProducing()
        muxes.settle()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.assertEqual(len(server.data), WINDOW + HIGH_WATER + 5)
        server.transport.pauseProducing()
        client.transport.write(bytes(1000000))
        muxes.settle()
        self.assertLessEqual(muxes.server.session.unread, 500000)
        self.assertGreaterEqual(muxes.server.session.unread, 250000)

    def test_stalledStream(self) -> None:
        """
        With version 2 a stream that nobody reads stops no other.
        """
        muxes = Muxes()
        stalled, never = muxes.pair()
        client, server = muxes.pair()
        never.transport.pauseProducing()
        stalled.transport.write(bytes(10000000))
        for _ in range(5):
            client.transport.write(bytes(2000000))
            muxes.settle()
        self.assertEqual(len(server.data), 10000000)
        self.assertEqual(muxes.server.session.unread, WINDOW)
        self.assertFalse(muxes.there.paused)

    def test_stalledSession(self) -> None:
        """
        With version 1 it does, once it has filled the buffer of the session.
        Then the carrier is not read, until somebody reads.
        """
        muxes = Muxes(SmuxConfig(version=1, smuxbuf=1000000, streambuf=1000000))
        stalled, never = muxes.pair()
        client, server = muxes.pair()
        never.transport.pauseProducing()
        stalled.transport.write(bytes(1500000))
        muxes.settle()
        client.transport.write(b"hello?")
        muxes.settle()
        self.assertTrue(muxes.there.paused)
        self.assertEqual(server.data, b"")
        self.assertLess(muxes.server.session.unread, 1000000 + 2 * CAPACITY)
        never.transport.resumeProducing()
        muxes.settle()
        self.assertFalse(muxes.there.paused)
        self.assertEqual((len(never.data), server.data), (1500000, b"hello?"))
        self.assertEqual(muxes.server.session.unread, 0)

    def test_leavingMakesRoom(self) -> None:
        """
        So does a stream that is left.
        """
        for leave, full in (
            ("loseConnection", False),
            ("abortConnection", False),
            ("loseConnection", True),
        ):
            muxes = Muxes(SmuxConfig(version=1, smuxbuf=1000000, streambuf=1000000))
            stalled, never = muxes.pair()
            client, server = muxes.pair()
            never.transport.pauseProducing()
            stalled.transport.write(bytes(1500000))
            client.transport.write(b"hello?")
            muxes.settle()
            self.assertTrue(muxes.there.paused)
            if full:
                # Its end cannot be sent.
                muxes.server.pauseProducing()
            stream = never.transport
            self.assertGreater(len(stream._backlog), 900000)
            never.act(getattr(stream, leave))
            self.assertEqual(len(stream._backlog), 0)
            muxes.settle()
            self.assertFalse(muxes.there.paused)
            self.assertEqual(server.data, b"hello?")
            self.assertEqual(muxes.server.session.unread, 0)

    def test_smallPieces(self) -> None:
        """
        What waits takes the room that it has to, though it came octet by
        octet.
        """
        muxes = Muxes()
        client, server = muxes.pair()
        server.transport.pauseProducing()
        for number in range(3000):
            client.transport.write(bytes([number & 0xFF]))
            muxes.there.peerSends(muxes.here.take())
        backlog = server.transport._backlog
        self.assertEqual(len(backlog), 3000)
        self.assertIsInstance(backlog._data, bytearray)
        server.transport.resumeProducing()
        muxes.settle()
        self.assertEqual(server.data, bytes(number & 0xFF for number in range(3000)))


class ProducerTests(SynchronousTestCase):
    """
    Producers of a stream.
    """

    def setUp(self) -> None:
        """
        Have a carrier that takes nothing.
        """
        self.muxes = Muxes()
        self.client, self.server = self.muxes.pair()
        self.transport = self.client.transport
        self.muxes.client.pauseProducing()

    def test_streaming(self) -> None:
        """
        A producer is paused when much is queued, once, and resumed when little
        is.
        """
        producer = Producer()
        self.transport.registerProducer(producer, True)
        self.transport.write(bytes(HIGH_WATER))
        self.assertEqual(producer.told, [])
        for _ in range(3):
            self.transport.write(b"x")
        self.assertEqual(producer.told, ["pause"])
        self.muxes.client.resumeProducing()
        self.assertEqual(producer.told, ["pause", "resume"])
        self.assertLessEqual(self.transport.record.queued, LOW_WATER)
        self.muxes.client.pauseProducing()
        self.transport.write(bytes(HIGH_WATER + 1))
        self.assertEqual(producer.told, ["pause", "resume", "pause"])

    def test_registersFull(self) -> None:
        """
        A producer that comes when much is queued is paused at once.
        """
        self.transport.write(bytes(HIGH_WATER + 1))
        producer = Producer()
        self.transport.registerProducer(producer, True)
        self.assertEqual(producer.told, ["pause"])

    def test_onlyOne(self) -> None:
        """
        There is one at a time.
        """
        producer = Producer()
        self.transport.registerProducer(producer, True)
        self.assertRaises(RuntimeError, self.transport.registerProducer, Producer(), True)
        self.transport.unregisterProducer()
        self.transport.registerProducer(Producer(), False)

    def test_pull(self) -> None:
        """
        A pull producer is asked for one piece after another, a turn each, and
        not faster than the carrier takes them.
        """
        puller = Puller(self.client, [bytes(10000)] * 20)
        self.transport.registerProducer(puller, False)
        self.muxes.settle()
        self.assertEqual(len(puller.pieces), 19)
        self.muxes.client.resumeProducing()
        self.assertGreaterEqual(len(puller.pieces), 17)
        self.muxes.settle()
        self.assertEqual((puller.pieces, len(self.server.data)), ([], 200000))
        self.assertEqual((self.client.end, puller.stopped), (ConnectionDone, False))

    def test_closeWaitsForProducer(self) -> None:
        """
        Whoever closes while there is a producer closes when it has finished.
        """
        for close in ("loseConnection", "loseWriteConnection"):
            self.setUp()
            self.muxes.client.resumeProducing()
            producer = Producer()
            self.transport.registerProducer(producer, True)
            self.client.act(getattr(self.transport, close))
            self.transport.write(b"still ")
            self.muxes.settle()
            self.assertEqual(self.server.told, ["made"])
            self.transport.write(b"something")
            self.transport.unregisterProducer()
            self.transport.write(b"nothing")
            self.muxes.settle()
            self.assertEqual(self.server.data, b"still something")
            self.assertEqual(self.server.told, ["made", "read"])
            self.assertEqual(producer.told, [])

    def test_stopped(self) -> None:
        """
        A producer is told to stop when the stream is over, and at once if it
        comes later.
        """
        for streaming in (True, False):
            self.setUp()
            producer = Producer()
            self.transport.registerProducer(producer, streaming)
            self.transport.abortConnection()
            self.muxes.settle()
            self.assertEqual(producer.told[-1], "stop")
            late = Producer()
            self.transport.registerProducer(late, streaming)
            self.assertEqual(late.told, ["stop"])

    def test_stoppedByPeer(self) -> None:
        """
        That of an application that does not know half-close is told so when
        the peer ends, and what it has written is sent.
        """
        muxes = Muxes(make=Application)
        client, server = muxes.pair()
        producer = Producer()
        server.transport.registerProducer(producer, True)
        server.transport.write(b"as far as it got")
        client.transport.loseWriteConnection()
        muxes.settle()
        self.assertEqual(producer.told, ["stop"])
        self.assertEqual((server.end, client.data), (ConnectionDone, b"as far as it got"))

    def test_failing(self) -> None:
        """
        A producer that fails when it is to go on ends its stream only.
        """
        other = self.muxes.open()

        class Failing(Producer):
            def resumeProducing(self) -> None:
                raise ZeroDivisionError

        self.transport.registerProducer(Failing(), True)
        self.transport.write(bytes(HIGH_WATER + 1))
        self.muxes.client.resumeProducing()
        self.muxes.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.client.end, ZeroDivisionError)
        other.transport.write(b"x")
        self.muxes.settle()
        self.assertEqual(self.muxes.accepted.made[-1].data, b"x")


class CarrierTests(SynchronousTestCase):
    """
    A carrier that does not take everything.
    """

    def setUp(self) -> None:
        """
        Have two streams.
        """
        self.muxes = Muxes()
        self.pairs: list[tuple[Any, Any]] = [self.muxes.pair() for _ in range(2)]

    def test_paused(self) -> None:
        """
        Nothing is written to a carrier that has enough, and it gets no more
        than it has room for when it goes on.
        """
        for client, _ in self.pairs:
            client.transport.write(bytes(WINDOW))
        waiting = sum(map(len, self.muxes.here._written))
        self.assertLessEqual(waiting, 3 * CAPACITY)
        for client, _ in self.pairs:
            client.transport.write(b"x" * 10)
        self.muxes.client.session.keepAlive()
        self.muxes.client.touched()
        self.assertEqual(sum(map(len, self.muxes.here._written)), waiting)
        self.muxes.carry()
        self.assertLessEqual(sum(map(len, self.muxes.here._written)), 3 * CAPACITY)
        self.muxes.settle()
        self.assertEqual([len(server.data) for _, server in self.pairs], [WINDOW + 10] * 2)

    def test_fair(self) -> None:
        """
        Little data of one stream does not wait for much of another.
        """
        (bulk, sink), (small, target) = self.pairs
        bulk.transport.write(b"x")
        self.muxes.settle()
        bulk.transport.write(bytes(1500000))
        self.muxes.carry()
        small.transport.write(b"urgent")
        before = len(sink.data)
        while not target.data:
            self.muxes.carry()
        self.assertLessEqual(len(sink.data) - before, 4 * CAPACITY)
        self.assertLess(len(sink.data), 1000000)

    def test_fairShares(self) -> None:
        """
        Streams with much to send get on alike.
        """
        pairs = self.pairs + [self.muxes.pair() for _ in range(8)]
        self.muxes.client.pauseProducing()
        for client, _ in pairs:
            client.transport.write(bytes(WINDOW))
        self.muxes.client.resumeProducing()
        while sum(len(server.data) for _, server in pairs) < 1000000:
            self.muxes.carry()
        shares = [len(server.data) for _, server in pairs]
        self.assertLessEqual(max(shares) - min(shares), 2 * 8192)

    def test_manyStreams(self) -> None:
        """
        Five hundred streams carry their own data each, in both directions.
        """
        muxes = Muxes()
        pairs = [muxes.pair() for _ in range(500)]
        for number, (client, server) in enumerate(pairs):
            client.transport.write(b"%d" % number * 3000)
            server.transport.write(b"%d" % -number * 2000)
            client.transport.loseWriteConnection()
            server.transport.loseWriteConnection()
        self.assertEqual((muxes.client.streams, muxes.server.streams), (500, 500))
        muxes.settle()
        for number, (client, server) in enumerate(pairs):
            self.assertEqual(server.data, b"%d" % number * 3000)
            self.assertEqual(client.data, b"%d" % -number * 2000)
            self.assertEqual((client.end, server.end), (ConnectionDone, ConnectionDone))
        self.assertTrue(muxes.idle)

    def test_stalled(self) -> None:
        """
        A session says for how long its carrier has not taken anything.
        """
        self.assertEqual(self.muxes.client.stalled, 0)
        self.pairs[0][0].transport.write(bytes(WINDOW))
        self.muxes.clock.advance(4)
        self.assertEqual(self.muxes.client.stalled, 4)
        self.muxes.settle()
        self.assertEqual(self.muxes.client.stalled, 0)
        self.muxes.here.stalled = 7.5  # type: ignore[attr-defined]
        self.assertEqual(self.muxes.client.stalled, 7.5)


class LingerTests(SynchronousTestCase):
    """
    Peers that have ended a stream, and do not read it.
    """

    def setUp(self) -> None:
        """
        Have a peer that has ended its direction, and a writer with more than
        the window has room for.
        """
        self.muxes = Muxes()
        self.client, self.server = self.muxes.pair()
        self.client.transport.pauseProducing()
        self.client.transport.loseWriteConnection()
        self.server.transport.write(bytes(WINDOW + 100000))
        self.muxes.settle()

    def test_closedPeer(self) -> None:
        """
        A writer whose peer takes nothing after its end, for a minute, is told
        that the stream is lost: kcptun says no more when it closes. A writer
        that has asked for the end waits no longer either.
        """
        for close in (False, True):
            self.setUp()
            if close:
                self.server.transport.loseConnection()
            self.muxes.wait(50)
            self.assertIsNone(self.server.end)
            self.muxes.wait(25)
            self.assertEqual(self.server.end, ConnectionLost)
            self.assertEqual(self.muxes.server.session.queued, 0)

    def test_slowPeer(self) -> None:
        """
        One that takes something now and then has all the time it needs.
        """
        for _ in range(4):
            self.muxes.wait(45)
            self.server.transport.write(bytes(WINDOW * 8))
            self.client.transport.resumeProducing()
            self.muxes.clock.advance(0)
            self.client.transport.pauseProducing()
            self.muxes.settle()
        self.assertIsNone(self.server.end)
        self.client.transport.resumeProducing()
        self.muxes.settle()
        self.assertEqual(len(self.client.data), WINDOW + 100000 + 4 * WINDOW * 8)

    def test_openPeer(self) -> None:
        """
        One that has not ended its direction may be as slow as it likes.
        """
        client, server = self.muxes.pair()
        client.transport.pauseProducing()
        server.transport.write(bytes(WINDOW + 100000))
        self.muxes.wait(600)
        self.assertIsNone(server.end)
        client.transport.resumeProducing()
        self.muxes.settle()
        self.assertEqual(len(client.data), WINDOW + 100000)
