"""
Tests for L{socksproxy.smux.endpoints}: sessions that die without a word, and
those that end because nobody needs them any more.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.relay import stalls
from socksproxy.smux import MuxProtocol, SmuxConfig
from socksproxy.smux._probation import PATIENCE
from socksproxy.state import IKeepsSessions
from socksproxy.testing import tcpAddress
from tests.logs import captured, texts
from tests.relay.test_stalls import Kernel
from tests.smux.carriers import Counted, EndpointTestCase
from tests.smux.muxes import Applications, HalfCloseable

LIMIT = 5
"""
Seconds after which a stream on a dead session is over.
"""


class DeadTests(EndpointTestCase):
    """
    Sessions that are dead.
    """

    make = HalfCloseable

    def setUp(self) -> None:
        """
        Have a session that has been of use.
        """
        self.start()
        self.old = self.connect()
        self.old.transport.write(b"hello")
        self.settle()
        self.accepted.made[0].transport.write(b"world")
        self.settle()
        self.line = self.carrier.lines[0]

    def end(self) -> None:
        """
        Have its stream end.
        """
        self.old.transport.loseConnection()
        self.accepted.made[0].transport.loseConnection()
        self.settle()
        self.assertEqual(self.loads, [0])

    def die(self) -> None:
        """
        From now on have nothing arrive.
        """
        self.line.carry = lambda: False  # type: ignore[method-assign]

    def stalled(self, seconds: float) -> None:
        """
        Let time pass in which nothing is acknowledged.
        """
        here: Any = self.line.here
        for _ in range(int(seconds * 10)):
            here.stalled = getattr(here, "stalled", 0.0) + 0.1
            self.clock.advance(0.1)
            self.settle()

    def test_firstStream(self) -> None:
        """
        The first stream on a session that has died meanwhile is lost in less
        than five seconds, and the session with it. Who connects then has
        another made.
        """
        self.end()
        self.die()
        client = self.connect()
        client.transport.write(b"question")
        self.stalled(PATIENCE - 0.5)
        self.assertIsNone(client.reason)
        with captured() as events:
            self.stalled(LIMIT - PATIENCE)
        self.assertIs(client.end, ConnectionLost)
        self.assertIn("the peer acknowledges nothing", str(client.reason.value))
        self.assertTrue(self.line.here.aborted)
        self.assertEqual(len(texts(events)), 1)
        self.connect()
        self.assertEqual(self.loads, [0, 1])

    def test_silentStream(self) -> None:
        """
        So is one on which nothing was written.
        """
        self.end()
        self.die()
        client = self.connect()
        self.stalled(LIMIT)
        self.assertIs(client.end, ConnectionLost)

    def test_olderStreams(self) -> None:
        """
        Streams that have been of use before stay for as long as the session
        does; the path may come back.
        """
        carry = self.line.carry
        self.clock.advance(10)
        self.die()
        client = self.connect()
        self.stalled(2)
        second = self.connect()
        self.stalled(LIMIT)
        self.assertEqual([client.end, second.end], [ConnectionLost] * 2)
        self.assertIsNone(self.old.reason)
        self.assertFalse(self.line.here.aborted)
        self.connect()
        self.assertEqual(self.loads, [1, 1])
        self.line.carry = carry  # type: ignore[method-assign]
        self.line.here.stalled = 0.0  # type: ignore[attr-defined]
        self.old.transport.write(b"again")
        self.settle()
        self.assertEqual(self.accepted.made[0].data, b"helloagain")

    def test_answered(self) -> None:
        """
        One that was opened just before, and answered, is one of those.
        """
        client = self.connect()
        client.transport.write(b"question")
        self.settle()
        self.accepted.made[1].transport.write(b"answer")
        self.settle()
        client.transport.write(b"more")
        self.die()
        self.stalled(2 * LIMIT)
        self.assertEqual(client.data, b"answer")
        self.assertIsNone(client.reason)
        self.assertFalse(self.line.here.aborted)

    def test_comesBack(self) -> None:
        """
        A stream stays if what was sent is acknowledged after all.
        """
        self.end()
        client = self.connect()
        self.stalled(3.5)
        self.line.here.stalled = 0.0  # type: ignore[attr-defined]
        self.wait(20)
        self.assertIsNone(client.reason)

    def test_peerDoesNotRead(self) -> None:
        """
        A peer that reads nothing is not dead.
        """
        client = self.connect()
        self.line.mux.pauseProducing()
        client.transport.write(b"question")
        self.wait(20)
        self.assertGreater(self.line.mux.stalled, LIMIT)
        self.assertIsNone(client.reason)

    def test_newSession(self) -> None:
        """
        A session of which it is not known yet whether there is a peer has the
        time that its carrier takes.
        """
        self.start()
        client = self.connect()
        self.line = self.carrier.lines[0]
        self.line.here.srtt = 0  # type: ignore[attr-defined]
        self.die()
        self.stalled(15)
        self.assertIsNone(client.reason)
        self.line.here.srtt = 5  # type: ignore[attr-defined]
        self.stalled(LIMIT)
        self.assertIs(client.end, ConnectionLost)

    def test_heardOf(self) -> None:
        """
        One from which something has come has not, whatever the carrier thinks
        of round trips.
        """
        self.line.here.srtt = 0  # type: ignore[attr-defined]
        self.end()
        self.die()
        client = self.connect()
        self.stalled(LIMIT)
        self.assertIs(client.end, ConnectionLost)

    def test_nothingLeft(self) -> None:
        """
        No timer is left, however streams end.
        """
        self.connect().transport.abortConnection()
        self.settle()
        self.end()
        self.endpoint.close()
        self.assertNothingLeft()


class KernelTests(SynchronousTestCase):
    """
    Sessions over TCP.
    """

    def session(self, client: bool) -> tuple[MuxProtocol, Kernel, MemoryReactorClock]:
        """
        Make one that has written something.
        """
        self.patch(stalls, "_OPTION", 11)
        clock = MemoryReactorClock()
        kernel = Kernel(clock)
        mux = MuxProtocol(clock, SmuxConfig(keepalive=20), client)
        connection: Any = Connection(kernel, mux, clock)
        connection.connected = True
        connection.getHost = connection.getPeer = lambda: tcpAddress("192.0.2.1", 443)
        mux.makeConnection(connection)
        clock.advance(1)
        if client:
            mux.openStream(HalfCloseable())
        return mux, kernel, clock

    def test_client(self) -> None:
        """
        A client's session is stalled from when it has written something that
        is not acknowledged, until it is; nobody looks after it is gone.
        """
        mux, kernel, clock = self.session(True)
        clock.advance(0.5)
        kernel.heard = clock.seconds()
        clock.advance(3)
        self.assertApproximates(mux.stalled, 3.5, 0.01)
        self.assertApproximates(mux.unacknowledged, 3.5, 0.01)
        kernel.acknowledge()
        self.assertEqual(mux.stalled, 0)
        kernel.unacknowledged = 1
        mux.connectionLost(Failure(ConnectionLost()))
        clock.advance(0)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_server(self) -> None:
        """
        A server has nowhere else to go, and does not ask.
        """
        mux, kernel, clock = self.session(False)
        kernel.unacknowledged = 1
        clock.advance(5)
        self.assertEqual((mux.stalled, kernel.asked), (0, 0))


class CloseTests(EndpointTestCase):
    """
    The end of all sessions.
    """

    def test_interface(self) -> None:
        """
        A client keeps sessions.
        """
        verifyObject(IKeepsSessions, self.endpoint)

    def test_nothing(self) -> None:
        """
        Without any there is nothing to wait for.
        """
        self.assertIsNone(self.successResultOf(self.endpoint.close()))
        self.assertIsNone(self.successResultOf(self.endpoint.close(2)))
        self.assertNothingLeft()

    def test_waits(self) -> None:
        """
        Who closes them learns when all are gone, each after its last stream.
        The peer sees an end and no reset.
        """
        self.start(sessions=2)
        clients = [self.connect() for _ in range(2)]
        clients[0].transport.loseConnection()
        self.settle()
        closing = self.endpoint.close(10)
        self.settle()
        self.assertNoResult(closing)
        clients[1].transport.loseConnection()
        self.settle()
        self.assertIsNone(self.successResultOf(closing))
        self.assertFalse(any(line.here.aborted for line in self.carrier.lines))
        self.assertNothingLeft()

    def test_patience(self) -> None:
        """
        Those which do not end in time are dropped.
        """
        client = self.connect()
        closing = self.endpoint.close(2)
        self.wait(1)
        self.assertNoResult(closing)
        self.assertIsNone(client.reason)
        self.wait(1)
        self.successResultOf(closing)
        self.assertIs(client.end, ConnectionAborted)
        self.assertNothingLeft()

    def test_others(self) -> None:
        """
        Sessions that are made afterwards are left alone.
        """
        self.connect()
        closing = self.endpoint.close(2)
        later = self.connect()
        self.wait(3)
        self.successResultOf(closing)
        self.assertIsNone(later.reason)

    def test_cancelsDial(self) -> None:
        """
        Nobody waits for one that is still being made.
        """
        self.carrier.held = True
        connecting = self.endpoint.connect(Counted())
        self.successResultOf(self.endpoint.close(2))
        self.carrier.answer()
        client: Any = self.successResultOf(connecting)
        client.transport.loseConnection()
        self.assertNothingLeft()

    def test_again(self) -> None:
        """
        Closing twice does no harm.
        """
        self.successResultOf(self.endpoint.connect(Applications(HalfCloseable)))
        closing = [self.endpoint.close(2), self.endpoint.close(1)]
        self.wait(2)
        for each in closing:
            self.successResultOf(each)
        self.assertNothingLeft()
