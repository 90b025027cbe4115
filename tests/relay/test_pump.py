"""
Tests for L{socksproxy.relay.pump}: bytes and back pressure.
"""

from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.relay import RelayResult
from tests.relay.joined import FULL, Joined, QueueingTransport


class RelayTests(SynchronousTestCase):
    """
    Bytes that are carried.
    """

    def test_bothWays(self) -> None:
        """
        What one side sends comes out on the other, in order, both ways.
        """
        joined = Joined().start()
        joined.client.peerSends(b"one ")
        joined.target.peerSends(b"three")
        joined.client.peerSends(b"two")
        self.assertEqual(joined.target.take(), b"one two")
        self.assertEqual(joined.client.take(), b"three")

    def test_notBeforeStart(self) -> None:
        """
        Nothing is read of either side before the relay is started.
        """
        joined = Joined()
        joined.client.peerSends(b"early")
        self.assertTrue(joined.client.paused and joined.target.paused)
        self.assertEqual(joined.target.take(), b"")
        joined.start()
        self.assertEqual(joined.target.take(), b"early")

    def test_earlyDataFirst(self) -> None:
        """
        What the client sent with its request goes before what it sends later.
        """
        joined = Joined().start(b"early ")
        joined.client.peerSends(b"late")
        self.assertEqual(joined.target.take(), b"early late")

    def test_counted(self) -> None:
        """
        The result tells the octets of each direction, early data included.
        """
        joined = Joined().start(b"12")
        joined.client.peerSends(b"345")
        joined.target.peerSends(b"1234567")
        joined.client.peerEnds()
        joined.target.peerEnds()
        joined.settle()
        self.assertEqual(joined.results, [RelayResult(5, 7, "client closed")])

    def test_idleRelayCostsNothing(self) -> None:
        """
        A relay that waits for nothing and has no idle timer has no delayed
        call.
        """
        joined = Joined().start(b"early")
        joined.target.peerSends(b"answer")
        self.assertEqual(joined.clock.getDelayedCalls(), [])

    def test_producers(self) -> None:
        """
        Each side has a push producer from the start.
        """
        joined = Joined().start()
        for transport in (joined.client, joined.target):
            verifyObject(IPushProducer, transport.producer)


class BackPressureTests(SynchronousTestCase):
    """
    A side that does not read makes the other one wait.
    """

    def test_targetDoesNotRead(self) -> None:
        """
        The client is not read while the target has more than enough, and read
        again once the target has taken it.
        """
        joined = Joined().start()
        joined.client.peerSends(FULL)
        joined.client.peerSends(b"more")
        self.assertTrue(joined.client.paused)
        self.assertFalse(joined.target.paused)
        self.assertEqual(joined.target.take(), FULL)
        self.assertFalse(joined.client.paused)
        self.assertEqual(joined.target.take(), b"more")

    def test_clientDoesNotRead(self) -> None:
        """
        The target is not read while the client has more than enough.
        """
        joined = Joined().start()
        joined.target.peerSends(FULL)
        joined.target.peerSends(b"more")
        self.assertTrue(joined.target.paused)
        self.assertFalse(joined.client.paused)
        self.assertEqual(joined.client.take(), FULL)
        self.assertEqual(joined.client.take(), b"more")

    def test_earlyData(self) -> None:
        """
        Early data that fills the target keeps the client from being read from
        the first moment.
        """
        joined = Joined().start(FULL)
        joined.client.peerSends(b"more")
        self.assertTrue(joined.client.paused)
        self.assertEqual(joined.target.take(), FULL)
        self.assertEqual(joined.target.take(), b"more")

    def test_bannerOfTarget(self) -> None:
        """
        What the target sent before the relay began counts against the client's
        room too.
        """
        joined = Joined()
        joined.targetLeg.dataReceived(FULL)
        joined.start()
        self.assertTrue(joined.target.paused)
        joined.client.take()
        self.assertFalse(joined.target.paused)

    def test_endBehindBackPressure(self) -> None:
        """
        An end that waits behind unread bytes is passed on after them.
        """
        joined = Joined().start()
        joined.client.peerSends(FULL)
        joined.client.peerEnds()
        self.assertFalse(joined.target.ended)
        self.assertEqual(joined.target.take(), FULL)
        self.assertTrue(joined.target.ended)

    def test_endedSourceIsNotAskedForMore(self) -> None:
        """
        A side that has ended its stream is not read again when the other one
        has room: its reactor would see the end of file over and over.
        """
        joined = Joined(target=QueueingTransport).start()
        joined.client.peerSends(FULL)
        joined.clientLeg.readConnectionLost()
        self.assertTrue(joined.client.paused)
        joined.target.take()
        self.assertTrue(joined.client.paused)
        self.assertTrue(joined.target.ended)

    def test_watchStops(self) -> None:
        """
        Once both sides read again, no timer runs any more.
        """
        joined = Joined().start()
        joined.client.peerSends(FULL)
        joined.target.take()
        joined.wait(6)
        self.assertEqual(joined.clock.getDelayedCalls(), [])
