"""
Tests for L{socksproxy.relay.pump}: ends, closes and losses.
"""

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.relay import RelayResult, RelayTimers
from tests.relay.joined import FULL, Joined, NoHalfClose, QueueingTransport, TLSTransport


class HalfCloseTests(SynchronousTestCase):
    """
    One direction ends and the other goes on.
    """

    def test_clientEnds(self) -> None:
        """
        The client's end is the target's end, and the target can still answer
        at length.
        """
        joined = Joined().start()
        joined.client.peerSends(b"question")
        joined.client.peerEnds()
        self.assertTrue(joined.target.ended)
        self.assertFalse(joined.target.disconnecting or joined.client.ended)
        joined.target.peerSends(b"long ")
        joined.wait(200)
        joined.target.peerSends(b"answer")
        self.assertEqual(joined.client.take(), b"long answer")
        joined.target.peerEnds()
        joined.settle()
        self.assertEqual(joined.results, [RelayResult(8, 11, "client closed")])
        self.assertTrue(joined.over)

    def test_targetEnds(self) -> None:
        """
        The target's end is the client's end, and the client can still send.
        """
        joined = Joined().start()
        joined.target.peerEnds()
        self.assertTrue(joined.client.ended)
        self.assertFalse(joined.client.disconnecting or joined.target.ended)
        joined.client.peerSends(b"upload")
        self.assertEqual(joined.target.take(), b"upload")
        joined.client.peerEnds()
        joined.settle()
        self.assertEqual(joined.results, [RelayResult(6, 0, "target closed")])
        self.assertTrue(joined.over)

    def test_closeWithinCall(self) -> None:
        """
        Transports that are gone the moment they are closed, as those of TCP
        are after a half-close, leave nothing behind either.
        """
        joined = Joined(client=QueueingTransport, target=QueueingTransport).start()
        joined.client.peerEnds()
        joined.target.peerEnds()
        joined.settle()
        self.assertTrue(joined.over)

    def test_clientEndedBefore(self) -> None:
        """
        A client that ended before the relay began has its early data and its
        end passed on.
        """
        joined = Joined().start(b"request", clientEnded=True)
        self.assertEqual(joined.target.take(), b"request")
        self.assertTrue(joined.target.ended)
        joined.target.peerSends(b"answer")
        self.assertEqual(joined.client.take(), b"answer")

    def test_endToldTwice(self) -> None:
        """
        A client whose end is known and is then told again has ended once.
        """
        joined = Joined().start(clientEnded=True)
        joined.clientLeg.readConnectionLost()
        self.assertFalse(joined.client.ended or joined.target.disconnecting)
        joined.target.peerEnds()
        joined.settle()
        self.assertTrue(joined.over)

    def test_queueGoesOutFirst(self) -> None:
        """
        When both sides have ended, what one of them has not read yet still
        reaches it.
        """
        joined = Joined(client=QueueingTransport).start()
        joined.target.peerSends(b"page")
        joined.target.peerEnds()
        joined.client.peerEnds()
        joined.settle()
        self.assertEqual(joined.client.take(), b"page")
        joined.settle()
        self.assertTrue(joined.over)
        self.assertFalse(joined.client.aborted)


class FullCloseTests(SynchronousTestCase):
    """
    Transports without a half-close.
    """

    def assertClosed(self, joined: Joined) -> None:
        """
        Fail unless the client's end became the target's close, and that the
        end of everything.
        """
        joined.client.peerSends(b"last words")
        joined.client.peerEnds()
        self.assertTrue(joined.target.disconnecting)
        self.assertFalse(joined.target.aborted)
        self.assertEqual(joined.target.take(), b"last words")
        joined.settle()
        self.assertEqual(joined.results, [RelayResult(10, 0, "client closed")])
        self.assertTrue(joined.over)

    def test_tlsTarget(self) -> None:
        """
        A target over TLS is closed when the client ends.
        """
        self.assertClosed(Joined(target=TLSTransport).start())

    def test_targetWithout(self) -> None:
        """
        A target whose transport knows no half-close is closed when the client
        ends.
        """
        self.assertClosed(Joined(target=NoHalfClose).start())

    def test_tlsClient(self) -> None:
        """
        A client over TLS that closes is gone both ways, so that the target is
        closed, once it has got everything.
        """
        self.assertClosed(Joined(client=TLSTransport).start())

    def test_tlsClientOfQueueingTarget(self) -> None:
        """
        A target that has not read everything yet gets it before the close.
        """
        joined = Joined(client=TLSTransport, target=QueueingTransport).start()
        joined.client.peerSends(b"last words")
        joined.client.peerEnds()
        joined.settle()
        self.assertFalse(joined.target.lost)
        self.assertEqual(joined.target.take(), b"last words")
        joined.settle()
        self.assertTrue(joined.over)

    def test_targetClosesTLSClient(self) -> None:
        """
        A client over TLS is closed when the target ends.
        """
        joined = Joined(client=TLSTransport).start()
        joined.target.peerSends(b"page")
        joined.target.peerEnds()
        self.assertTrue(joined.client.disconnecting)
        self.assertEqual(joined.client.take(), b"page")
        joined.settle()
        self.assertEqual(joined.results, [RelayResult(0, 4, "target closed")])
        self.assertTrue(joined.over)


class LossTests(SynchronousTestCase):
    """
    Connections that break.
    """

    def test_clientResets(self) -> None:
        """
        A reset by the client becomes a reset of the target.
        """
        joined = Joined().start()
        joined.client.peerResets()
        self.assertTrue(joined.target.aborted)
        joined.settle()
        self.assertEqual(joined.results, [RelayResult(0, 0, "client reset")])
        self.assertTrue(joined.over)

    def test_targetResets(self) -> None:
        """
        A reset by the target becomes a reset of the client.
        """
        joined = Joined().start()
        joined.target.peerResets()
        self.assertTrue(joined.client.aborted)
        joined.settle()
        self.assertEqual(joined.results, [RelayResult(0, 0, "target reset")])
        self.assertTrue(joined.over)

    def test_resetAfterHalfClose(self) -> None:
        """
        A reset is passed on as one even after that direction has ended.
        """
        joined = Joined().start()
        joined.client.peerEnds()
        joined.target.peerResets()
        self.assertTrue(joined.client.aborted)
        joined.settle()
        self.assertTrue(joined.over)

    def test_resetUnderBackPressure(self) -> None:
        """
        A reset behind back pressure leaves no timer running.
        """
        joined = Joined(target=QueueingTransport).start()
        joined.client.peerSends(FULL)
        joined.target.peerResets()
        joined.settle()
        self.assertTrue(joined.over)

    def test_resetWithTimers(self) -> None:
        """
        Timers that run from the start end with the relay.
        """
        joined = Joined(RelayTimers(idle=100)).start()
        self.assertNotEqual(joined.clock.getDelayedCalls(), [])
        joined.target.peerResets()
        joined.settle()
        self.assertTrue(joined.over)

    def test_abort(self) -> None:
        """
        Whoever holds the relay can end it at once and say why.
        """
        joined = Joined().start(b"1")
        joined.relay.abort("shut down")
        self.assertTrue(joined.client.aborted and joined.target.aborted)
        joined.settle()
        self.assertEqual(joined.results, [RelayResult(1, 0, "shut down")])
        self.assertTrue(joined.over)

    def test_abortWhileClosing(self) -> None:
        """
        A relay that waits for the last bytes to be read can be ended too.
        """
        joined = Joined(client=TLSTransport, target=QueueingTransport).start(b"unread")
        joined.client.peerEnds()
        joined.settle()
        joined.relay.abort("shut down")
        joined.settle()
        self.assertTrue(joined.over)
        self.assertEqual(joined.results[0].reason, "client closed")

    def test_lostBeforeStart(self) -> None:
        """
        A target that is lost before the relay begins takes the client with it.
        """
        joined = Joined()
        joined.target.peerResets()
        joined.start(b"early")
        self.assertTrue(joined.client.aborted)
        joined.settle()
        self.assertEqual(joined.results, [RelayResult(5, 0, "target reset")])
        self.assertTrue(joined.over)

    def test_clientLostBeforeStart(self) -> None:
        """
        A client that is lost before the relay begins takes the target with it.
        """
        joined = Joined()
        joined.client.peerResets()
        joined.start()
        self.assertTrue(joined.target.aborted)
        joined.settle()
        self.assertTrue(joined.over)

    def test_bothLostBeforeStart(self) -> None:
        """
        Two connections that are gone before the relay begins are the end of
        it, told once.
        """
        joined = Joined()
        joined.client.peerResets()
        joined.target.peerResets()
        joined.start()
        joined.settle()
        self.assertTrue(joined.over)

    def test_endedBeforeStart(self) -> None:
        """
        A banner and an end that the target sent before the relay began reach
        the client, and the client can still send.
        """
        joined = Joined()
        joined.targetLeg.dataReceived(b"banner")
        joined.targetLeg.readConnectionLost()
        joined.start()
        self.assertEqual(joined.client.take(), b"banner")
        self.assertTrue(joined.client.ended)
        joined.client.peerSends(b"so?")
        self.assertEqual(joined.target.take(), b"so?")
