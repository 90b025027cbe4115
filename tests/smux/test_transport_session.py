"""
Tests for L{socksproxy.smux.transport}: sessions, and what becomes of streams
when their session ends.
"""

from __future__ import annotations

import gc
import weakref

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import LocalProtocolError
from socksproxy.smux.config import SmuxConfig
from socksproxy.smux.protocol import MuxProtocol
from socksproxy.testing import MemoryTransport, tcpAddress
from tests.logs import captured, texts
from tests.relay.test_leg import TunedTransport
from tests.smux.frames import frame, framesOf
from tests.smux.muxes import Application, HalfCloseable, Muxes, Producer


class SessionTestCase(SynchronousTestCase):
    """
    Tests with a client and a server.
    """

    def setUp(self) -> None:
        """
        Join them.
        """
        self.muxes = Muxes()
        self.closed: list[str] = []
        for name in ("client", "server"):
            mux: MuxProtocol = getattr(self.muxes, name)
            mux.whenClosed().addCallback(lambda _, name=name: self.closed.append(name))

    def assertOver(self) -> None:
        """
        Require that both carriers are gone, everybody knows, and no timer
        runs.
        """
        self.assertTrue(self.muxes.here.lost and self.muxes.there.lost)
        self.assertEqual(sorted(self.closed), ["client", "server"])
        self.assertEqual(self.muxes.clock.getDelayedCalls(), [])
        self.assertEqual((self.muxes.client.streams, self.muxes.server.streams), (0, 0))
        self.assertFalse(self.muxes.client.usable)
        self.assertRaises(LocalProtocolError, self.muxes.client.openStream, Application())


class ClosingTests(SessionTestCase):
    """
    Sessions that somebody ends.
    """

    def test_close(self) -> None:
        """
        A session that is to close opens no more streams, lets those that there
        are finish, and then ends its carrier.
        """
        client, server = self.muxes.pair()
        self.muxes.client.close()
        self.muxes.client.close()
        self.assertFalse(self.muxes.client.usable)
        self.assertRaises(LocalProtocolError, self.muxes.client.openStream, Application())
        client.transport.write(b"go on")
        self.muxes.settle()
        self.assertEqual(server.data, b"go on")
        self.assertFalse(self.muxes.here.disconnecting)
        server.transport.loseWriteConnection()
        client.transport.write(b" until the end")
        client.transport.loseWriteConnection()
        self.muxes.settle()
        self.assertEqual(server.data, b"go on until the end")
        self.assertEqual((client.end, server.end), (ConnectionDone, ConnectionDone))
        self.assertOver()

    def test_closeIdle(self) -> None:
        """
        Without streams it ends at once, before as after it is connected.
        """
        self.muxes.server.close()
        self.muxes.settle()
        self.assertOver()
        mux = MuxProtocol(Clock(), SmuxConfig(), client=True)
        mux.close()
        clock = Clock()
        carrier = MemoryTransport(clock, mux)
        mux.makeConnection(carrier)
        self.assertTrue(carrier.disconnecting)

    def test_closeSendsEverything(self) -> None:
        """
        The carrier is not ended before everything is on it, ends included.
        """
        client, server = self.muxes.pair()
        self.muxes.client.pauseProducing()
        client.transport.write(bytes(100000))
        client.transport.abortConnection()
        other = self.muxes.open()
        other.transport.write(b"last")
        other.transport.loseConnection()
        self.muxes.client.close()
        self.muxes.settle()
        self.assertFalse(self.muxes.here.disconnecting)
        self.muxes.client.resumeProducing()
        self.muxes.carry()
        self.assertEqual((server.data, server.told), (b"", ["made", "lost"]))
        self.assertEqual(self.muxes.accepted.made[-1].data, b"last")
        self.muxes.settle()
        self.assertOver()

    def test_closeSendsLastEnd(self) -> None:
        """
        Not even before the end of a stream that nobody holds any more.
        """
        client, server = self.muxes.pair()
        self.muxes.client.pauseProducing()
        client.transport.abortConnection()
        self.muxes.client.close()
        self.muxes.settle()
        self.assertEqual(self.muxes.client.streams, 0)
        self.assertFalse(self.muxes.here.disconnecting)
        self.muxes.client.resumeProducing()
        self.muxes.carry()
        self.assertEqual(server.told, ["made", "lost"])

    def test_closingRefuses(self) -> None:
        """
        Streams that a peer opens meanwhile are refused.
        """
        client, server = self.muxes.pair()
        self.muxes.server.close()
        late = self.muxes.open()
        self.muxes.settle()
        self.assertEqual(late.told, ["made", "read"])
        self.assertEqual(len(self.muxes.accepted.made), 1)
        late.transport.loseConnection()
        client.transport.loseConnection()
        server.transport.loseConnection()
        self.muxes.settle()
        self.assertOver()

    def test_abort(self) -> None:
        """
        A session that is aborted drops its carrier, and all streams are lost.
        """
        pairs = [self.muxes.pair() for _ in range(3)]
        self.muxes.client.abort()
        self.assertEqual([client.end for client, _ in pairs], [None] * 3)
        self.assertFalse(self.muxes.client.usable)
        self.muxes.client.abort()
        self.assertIsNone(self.muxes.here.producer)
        self.muxes.settle()
        self.assertTrue(self.muxes.here.aborted)
        self.assertEqual([client.end for client, _ in pairs], [ConnectionAborted] * 3)
        self.assertEqual([server.end for _, server in pairs], [ConnectionLost] * 3)
        self.assertOver()

    def test_abortEarly(self) -> None:
        """
        A session that is aborted before it is connected drops what it gets.
        """
        clock = Clock()
        mux = MuxProtocol(clock, SmuxConfig(), client=True)
        mux.abort()
        carrier = MemoryTransport(clock, mux)
        mux.makeConnection(carrier)
        clock.advance(0)
        self.assertTrue(carrier.aborted and carrier.lost)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_nothingAfterAbort(self) -> None:
        """
        What comes after that, or came together with what led to it, is nobody's.
        """
        client, server = self.muxes.pair()
        server.dataReceived = lambda data: self.muxes.server.abort()
        client.transport.write(b"x")
        self.muxes.there.peerSends(self.muxes.here.take() + frame("SYN", 5))
        self.muxes.server.dataReceived(frame("SYN", 7))
        self.assertEqual(len(self.muxes.accepted.made), 1)
        self.assertNotIn(7, self.muxes.server.session.streams)
        self.muxes.settle()
        self.assertEqual(server.end, ConnectionAborted)
        self.assertOver()

    def test_whenClosedAfterwards(self) -> None:
        """
        Whoever asks after the end need not wait.
        """
        self.muxes.client.abort()
        self.muxes.settle()
        self.assertIsNone(self.successResultOf(self.muxes.client.whenClosed()))


class LossTests(SessionTestCase):
    """
    Carriers that are lost.
    """

    def test_reset(self) -> None:
        """
        All streams of a carrier that is reset are lost, and why is told.
        """
        client, server = self.muxes.pair()
        self.muxes.here.peerResets()
        self.assertEqual(client.end, ConnectionLost)
        self.assertIn("the session is gone", str(client.reason.value))
        self.muxes.settle()
        self.assertEqual(server.end, ConnectionLost)
        self.assertOver()

    def test_endOfCarrier(self) -> None:
        """
        The clean end of a carrier is no clean end of the streams that there
        are, however they stand.
        """
        whole, _ = self.muxes.pair()
        half, _ = self.muxes.pair()
        ended, other = self.muxes.pair()
        half.transport.loseWriteConnection()
        other.transport.loseWriteConnection()
        self.muxes.settle()
        self.muxes.here.peerEnds()
        ends = [each.end for each in (whole, half, ended)]
        self.assertEqual(ends, [ConnectionLost] * 3)
        self.muxes.settle()
        self.assertOver()

    def test_cleanEnd(self) -> None:
        """
        A stream that both sides have ended is over as it should be, though the
        carrier is lost in the same moment.
        """
        client, server = self.muxes.pair()
        client.transport.loseWriteConnection()
        self.muxes.settle()
        server.transport.write(b"the end")
        server.transport.loseWriteConnection()
        data = self.muxes.there.take()
        client.transport.pauseProducing()
        self.muxes.here.peerSends(data)
        self.muxes.here.peerResets()
        self.assertIsNone(client.end)
        client.act(client.transport.resumeProducing)
        self.muxes.settle()
        self.assertEqual((client.data, client.end), (b"the end", ConnectionDone))

    def test_endBefore(self) -> None:
        """
        What came before the peer's end can be read after the loss, which is
        told then.
        """
        for make in (HalfCloseable, Application):
            for leave in (None, "loseConnection", "abortConnection"):
                self.setUp()
                client, server = self.muxes.pair(make())
                client.transport.pauseProducing()
                producer = Producer()
                client.transport.registerProducer(producer, True)
                server.transport.write(b"farewell")
                server.transport.loseConnection()
                self.muxes.server.close()
                self.muxes.settle()
                self.assertTrue(self.muxes.here.lost)
                self.assertEqual((client.data, client.end), (b"", None))
                self.assertEqual(producer.told, ["stop"])
                client.transport.write(b"in vain")
                self.assertEqual(client.transport.record.queued, 0)
                if leave is None:
                    client.act(client.transport.resumeProducing)
                    self.muxes.settle()
                    self.assertEqual((client.data, client.end), (b"farewell", ConnectionLost))
                    self.assertEqual("read" in client.told, make is HalfCloseable)
                else:
                    client.act(getattr(client.transport, leave))
                    self.muxes.settle()
                    self.assertEqual((client.data, client.told[1:]), (b"", ["lost"]))
                self.assertOver()

    def test_lostMeanwhile(self) -> None:
        """
        A stream that the peer has not ended is lost at once, with what its
        application has not read.
        """
        client, server = self.muxes.pair()
        client.transport.pauseProducing()
        server.transport.write(b"never read")
        self.muxes.settle()
        self.muxes.here.peerResets()
        self.assertEqual((client.data, client.end), (b"", ConnectionLost))

    def test_lostWhileBlocked(self) -> None:
        """
        A session that does not read its carrier is as lost as any other.
        """
        muxes = Muxes(SmuxConfig(version=1, smuxbuf=1000, streambuf=1000))
        client, server = muxes.pair()
        client.transport.pauseProducing()
        server.transport.write(bytes(5000))
        muxes.settle()
        self.assertTrue(muxes.here.paused)
        client.transport.resumeProducing()
        muxes.here.peerResets()
        self.assertEqual(client.end, ConnectionLost)
        # Nothing is told to it any more, and nothing waits for the next turn.
        self.assertTrue(muxes.here.paused)
        self.assertEqual([call.getTime() for call in muxes.clock.getDelayedCalls()], [10])
        muxes.settle()
        self.assertEqual(muxes.clock.getDelayedCalls(), [])

    def test_nothingAfterLoss(self) -> None:
        """
        What applications do after the loss has no effect.
        """

        class Stubborn(HalfCloseable):
            def connectionLost(self, reason: object = None) -> None:
                super().connectionLost(reason)  # type: ignore[arg-type]
                for stream in streams:
                    stream.write(b"x")
                    stream.pauseProducing()
                    stream.resumeProducing()
                    stream.loseWriteConnection()
                    stream.loseConnection()
                    stream.abortConnection()

        clients = [self.muxes.open(Stubborn()) for _ in range(3)]
        streams = [client.transport for client in clients]
        self.muxes.settle()
        self.muxes.here.peerResets()
        self.assertEqual([client.end for client in clients], [ConnectionLost] * 3)
        self.muxes.settle()
        self.assertOver()

    def test_letsGo(self) -> None:
        """
        A session that is over is freed without a garbage collection, with all
        of its streams.
        """
        client, _ = self.muxes.pair()
        client.transport.write(bytes(100000))
        self.muxes.settle()
        held = [weakref.ref(each) for each in (client, client.transport, self.muxes.client.session)]
        self.muxes.here.abortConnection()
        self.muxes.settle()
        gc.disable()
        try:
            del client
            self.muxes.accepted.made.clear()
            self.muxes.here._protocol = self.muxes.there._protocol = None  # type: ignore[assignment]
            del self.muxes
            self.assertEqual([each() for each in held[:2]], [None, None])
        finally:
            gc.enable()


class ViolationTests(SessionTestCase):
    """
    Peers that break the protocol.
    """

    def test_violation(self) -> None:
        """
        It ends that session, with one line in the log and no answer, and no
        other one.
        """
        others = Muxes()
        survivor, _ = others.pair()
        client, server = self.muxes.pair()
        with captured() as events:
            self.muxes.there.peerSends(frame("PSH", 3, b"before") + frame("NOP", 0, version=1))
            self.assertEqual((server.data, server.end), (b"before", ConnectionLost))
            self.assertIn("smuxver", str(server.reason.value))
            self.muxes.there.peerSends(frame("PSH", 3, b"after"))
            self.muxes.settle()
        (line,) = texts(events)
        self.assertIn("192.0.2.1", line)
        self.assertIn("smuxver", line)
        self.assertEqual(self.muxes.there.take(), b"")
        self.assertTrue(self.muxes.there.aborted)
        self.assertEqual(client.end, ConnectionLost)
        self.assertOver()
        survivor.transport.write(b"x")
        others.settle()
        self.assertEqual(others.accepted.made[0].data, b"x")

    def test_stream(self) -> None:
        """
        What concerns one stream ends that stream.
        """
        (first, one), (second, two) = self.muxes.pair(), self.muxes.pair()
        self.muxes.there.peerSends(frame("UPD", 3, b"\xff\xff\0\0\0\0\1\0"))
        self.assertEqual(one.end, ConnectionLost)
        self.assertIn("consumed", str(one.reason.value))
        second.transport.write(b"x")
        self.muxes.settle()
        self.assertEqual((two.data, two.end), (b"x", None))
        self.assertEqual(first.told, ["made", "lost"])

    def test_noMoreThanBound(self) -> None:
        """
        A peer that opens more streams than it may has as many as it may.
        """
        muxes = Muxes(serverConfig=SmuxConfig(streams=5))
        clients = [muxes.open() for _ in range(8)]
        muxes.settle()
        self.assertEqual(len(muxes.accepted.made), 5)
        self.assertEqual([client.told for client in clients[5:]], [["made", "read"]] * 3)
        for number, client in enumerate(clients):
            client.transport.write(b"%d" % number)
        muxes.settle()
        self.assertEqual(
            [each.data for each in muxes.accepted.made], [b"0", b"1", b"2", b"3", b"4"]
        )
        clients[0].transport.loseConnection()
        muxes.settle()
        muxes.accepted.made[0].transport.loseConnection()
        muxes.settle()
        client, server = muxes.pair()
        client.transport.write(b"again")
        muxes.settle()
        self.assertEqual(server.data, b"again")


class CarrierTests(SynchronousTestCase):
    """
    What is asked of a carrier.
    """

    def test_tuned(self) -> None:
        """
        A carrier of TCP waits with nothing that is small, on either side: a
        round trip would be lost with each.
        """
        for client in (True, False):
            transport = TunedTransport(tcpAddress("192.0.2.1", 443))
            mux = MuxProtocol(Clock(), SmuxConfig(), client=client)
            mux.makeConnection(transport)
            self.assertTrue(transport.noDelay)


class KeepAliveTests(SessionTestCase):
    """
    Signs of life.
    """

    def test_both(self) -> None:
        """
        Both sides give one every ten seconds, the server as soon as it knows
        how.
        """
        self.muxes.clock.advance(9.5)
        self.assertEqual((self.muxes.here.take(), self.muxes.there.take()), (b"", b""))
        self.muxes.clock.advance(1)
        first = self.muxes.here.take()
        self.assertEqual(framesOf(first), [("NOP", 0, b"")])
        self.assertEqual(self.muxes.there.take(), b"")
        self.muxes.there.peerSends(first)
        self.muxes.clock.advance(10)
        self.assertEqual(framesOf(self.muxes.here.take()), [("NOP", 0, b"")])
        self.assertEqual(framesOf(self.muxes.there.take()), [("NOP", 0, b"")])

    def test_oneTimer(self) -> None:
        """
        A session has one timer, however many streams it has.
        """
        for _ in range(20):
            self.muxes.pair()
        self.assertEqual(len(self.muxes.clock.getDelayedCalls()), 2)

    def test_lasts(self) -> None:
        """
        A session without streams lasts as long as both give signs of life.
        """
        self.muxes.wait(1000)
        self.assertTrue(self.muxes.client.usable)
        self.muxes.pair()

    def test_silence(self) -> None:
        """
        A peer that has been silent for thirty seconds is dead, and with it the
        session.
        """
        client, server = self.muxes.pair()
        self.muxes.clock.advance(3)
        server.transport.write(b"last words")
        self.muxes.settle()
        with captured() as events:
            for _ in range(29):
                self.muxes.clock.advance(1)
                self.muxes.here.take()
            self.assertIsNone(client.end)
            self.muxes.clock.advance(1)
        self.assertEqual(client.end, ConnectionLost)
        self.assertIn("silent", str(client.reason.value))
        self.assertTrue(self.muxes.here.aborted)
        self.assertIn("silent", " ".join(texts(events)))

    def test_anySign(self) -> None:
        """
        Whatever comes is a sign of life, be it part of a frame.
        """
        client, _ = self.muxes.pair()
        data = frame("PSH", 3, bytes(100))
        for at in range(20):
            self.muxes.clock.advance(29)
            self.muxes.here.take()
            self.muxes.here.peerSends(data[at : at + 1])
        self.assertIsNone(client.end)

    def test_blockedByUs(self) -> None:
        """
        A peer that we do not read cannot give signs of life. Its time begins
        when we read again.
        """
        muxes = Muxes(SmuxConfig(version=1, smuxbuf=100000, streambuf=100000))
        client, server = muxes.pair()
        client.transport.pauseProducing()
        server.transport.write(bytes(300000))
        muxes.settle()
        self.assertTrue(muxes.here.paused)
        for _ in range(100):
            muxes.clock.advance(1)
            muxes.there.peerSends(muxes.here.take())
        self.assertIsNone(client.end)
        muxes.clock.advance(5)
        client.transport.resumeProducing()
        muxes.clock.advance(0)
        muxes.here._incoming.clear()
        for _ in range(29):
            muxes.clock.advance(1)
            muxes.here.take()
        self.assertIsNone(client.end)
        muxes.clock.advance(1)
        self.assertEqual(client.end, ConnectionLost)

    def test_fullCarrier(self) -> None:
        """
        While the carrier takes nothing, one sign of life waits, and no more.
        """
        self.muxes.pair()
        self.muxes.client.pauseProducing()
        for _ in range(100):
            self.muxes.clock.advance(1)
            self.muxes.here.peerSends(frame("NOP", 0))
        self.muxes.client.resumeProducing()
        self.assertEqual(framesOf(self.muxes.here.take()), [("NOP", 0, b"")])

    def test_leavingCarrier(self) -> None:
        """
        A carrier that should have ended long ago is dropped, and nothing is
        written to it before.
        """
        self.muxes.here.loseConnection = lambda: None  # type: ignore[method-assign]
        self.muxes.client.close()
        self.muxes.clock.pump([1] * 31)
        self.assertEqual(self.muxes.here.take(), b"")
        self.assertTrue(self.muxes.here.aborted)
