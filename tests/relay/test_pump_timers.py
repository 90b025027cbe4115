"""
Tests for L{socksproxy.relay.pump}: how long a relay waits for its peers.
"""

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.relay import RelayTimers
from socksproxy.relay.progress import LEAST
from tests.relay.joined import FULL, PATIENT, Joined, QueueingTransport, TLSTransport

SLACK = 15
"""
Seconds by which a timer of this module may be late.
"""


class DefaultTests(SynchronousTestCase):
    """
    The times as they are without anybody's wish.
    """

    def test_times(self) -> None:
        """
        A reader has a minute, a half-closed connection five, and a silent one
        longer than any NAT keeps it.
        """
        timers = RelayTimers()
        self.assertEqual((timers.drain, timers.halfClosed), (60.0, 300.0))
        self.assertGreaterEqual(timers.idle, 7440)


class DrainTests(SynchronousTestCase):
    """
    Readers that do not read.
    """

    def joined(self, timers: RelayTimers = PATIENT) -> Joined:
        """
        Start a relay between transports whose queues can be seen.
        """
        return Joined(timers, QueueingTransport, QueueingTransport).start()

    def test_targetReadsNothing(self) -> None:
        """
        A target that takes nothing for a minute is reset, and so is the
        client, and nothing is left of them.
        """
        joined = self.joined()
        joined.client.peerSends(FULL)
        joined.wait(59)
        self.assertTrue(joined.untouched)
        joined.wait(1 + SLACK)
        self.assertTrue(joined.target.aborted and joined.client.aborted)
        self.assertEqual([r.reason for r in joined.results], ["target does not read"])
        self.assertTrue(joined.over)

    def test_clientReadsNothing(self) -> None:
        """
        A client that takes nothing for a minute is reset likewise.
        """
        joined = self.joined()
        joined.target.peerSends(FULL)
        joined.wait(60 + SLACK)
        self.assertEqual([r.reason for r in joined.results], ["client does not read"])
        self.assertTrue(joined.over)

    def test_earlyDataUnread(self) -> None:
        """
        The minute also runs for a target that does not take the early data.
        """
        joined = Joined(PATIENT, QueueingTransport, QueueingTransport).start(FULL)
        joined.wait(60 + SLACK)
        self.assertTrue(joined.over)

    def test_slowReader(self) -> None:
        """
        A reader that takes a little at a time keeps its connection, for as
        long as it likes.
        """
        joined = self.joined()
        joined.client.peerSends(FULL)
        for _ in range(30):
            joined.wait(20)
            self.assertEqual(len(joined.target.takeSome(LEAST // 2)), LEAST // 2)
        self.assertTrue(joined.untouched)

    def test_nextToNothing(self) -> None:
        """
        A few octets in a minute, as the kernel takes when it gets memory, do
        not make a reader.
        """
        joined = self.joined()
        joined.client.peerSends(FULL)
        for _ in range(4):
            joined.wait(15)
            joined.target.takeSome(100)
        joined.wait(SLACK)
        self.assertEqual([r.reason for r in joined.results], ["target does not read"])

    def test_otherDirectionDoesNotCount(self) -> None:
        """
        A reader that takes nothing is reset even if it goes on sending.
        """
        joined = self.joined()
        joined.client.peerSends(FULL)
        for _ in range(60 + SLACK):
            joined.target.peerSends(b"x")
            joined.client.take()
            joined.wait(1)
        self.assertTrue(joined.over)

    def test_stopsAndGoes(self) -> None:
        """
        A reader that pauses again and again, less than a minute each time, is
        not reset.
        """
        joined = self.joined()
        for _ in range(10):
            joined.client.peerSends(FULL)
            joined.wait(50)
            self.assertEqual(joined.target.take(), FULL)
        self.assertTrue(joined.untouched)

    def test_lastBytesUnread(self) -> None:
        """
        After the client's end, a target that does not take the last bytes is
        reset after a minute.
        """
        joined = self.joined()
        joined.client.peerSends(b"last words")
        joined.client.peerEnds()
        joined.wait(59)
        self.assertTrue(joined.untouched)
        joined.wait(1 + SLACK)
        self.assertTrue(joined.target.aborted)
        self.assertTrue(joined.over)

    def test_unreadAfterBothEnds(self) -> None:
        """
        When both sides have ended and one does not take its last bytes, it is
        reset after a minute.
        """
        joined = self.joined()
        joined.target.peerSends(b"page")
        joined.target.peerEnds()
        joined.client.peerEnds()
        joined.wait(59)
        self.assertTrue(joined.untouched)
        joined.wait(1 + SLACK)
        self.assertTrue(joined.client.aborted)
        self.assertTrue(joined.over)

    def test_slowReaderAfterBothEnds(self) -> None:
        """
        When both sides have ended, a reader that takes its last bytes slowly
        but steadily gets them all.
        """
        joined = self.joined()
        joined.target.peerSends(b"x" * 12 * LEAST)
        joined.target.peerEnds()
        joined.client.peerEnds()
        for _ in range(12):
            joined.wait(20)
            self.assertEqual(len(joined.client.takeSome(LEAST)), LEAST)
        joined.settle()
        self.assertFalse(joined.client.aborted)
        self.assertTrue(joined.over)

    def test_slowReaderAfterLoss(self) -> None:
        """
        When the client has closed its connection, a target that takes the last
        bytes slowly but steadily gets them all.
        """
        joined = Joined(PATIENT, TLSTransport, QueueingTransport).start()
        joined.client.peerSends(b"x" * 12 * LEAST)
        joined.client.peerEnds()
        for _ in range(12):
            joined.wait(20)
            self.assertEqual(len(joined.target.takeSome(LEAST)), LEAST)
        joined.settle()
        self.assertFalse(joined.target.aborted)
        self.assertTrue(joined.over)

    def test_drainBeginsWithTheLoss(self) -> None:
        """
        The minute for the last bytes begins when the client closes, however
        long the target has been silent before.
        """
        joined = Joined(RelayTimers(), TLSTransport, QueueingTransport).start()
        joined.wait(1000)
        joined.client.peerSends(b"last words")
        joined.client.peerEnds()
        joined.wait(40)
        self.assertEqual(joined.target.take(), b"last words")
        joined.settle()
        self.assertFalse(joined.target.aborted)
        self.assertTrue(joined.over)


class HalfClosedTests(SynchronousTestCase):
    """
    Connections with one direction left.
    """

    def test_silence(self) -> None:
        """
        A half-closed connection on which nothing comes for five minutes is
        ended.
        """
        joined = Joined().start()
        joined.client.peerEnds()
        joined.wait(299)
        self.assertTrue(joined.untouched)
        joined.wait(1 + SLACK)
        self.assertTrue(joined.over)

    def test_silenceOfClient(self) -> None:
        """
        The same where it is the target that has ended.
        """
        joined = Joined().start()
        joined.target.peerEnds()
        joined.wait(299)
        self.assertTrue(joined.untouched)
        joined.wait(1 + SLACK)
        self.assertTrue(joined.over)

    def test_bytes(self) -> None:
        """
        Any byte begins the five minutes anew.
        """
        joined = Joined().start()
        joined.client.peerEnds()
        for _ in range(5):
            joined.wait(290)
            joined.target.peerSends(b".")
            joined.client.take()
        self.assertTrue(joined.untouched)
        joined.wait(300 + SLACK)
        self.assertTrue(joined.over)

    def test_beginsWithTheEnd(self) -> None:
        """
        The five minutes begin when one side ends, however long the other has
        been silent before.
        """
        joined = Joined(RelayTimers()).start()
        joined.wait(400)
        joined.client.peerEnds()
        joined.wait(290)
        self.assertTrue(joined.untouched)
        joined.target.peerSends(b"answer")
        self.assertEqual(joined.client.take(), b"answer")

    def test_longUpload(self) -> None:
        """
        A target that is silent during a long upload has five minutes to
        answer after its end.
        """
        joined = Joined(PATIENT, QueueingTransport, QueueingTransport).start()
        for _ in range(40):
            joined.client.peerSends(FULL)
            joined.wait(10)
            joined.target.take()
        joined.client.peerEnds()
        joined.wait(290)
        self.assertTrue(joined.untouched)


class IdleTests(SynchronousTestCase):
    """
    Connections on which nothing comes.
    """

    timers = RelayTimers(idle=100)

    def test_silence(self) -> None:
        """
        A connection on which nothing comes for the time given is ended.
        """
        joined = Joined(self.timers).start()
        joined.wait(99)
        self.assertTrue(joined.untouched)
        joined.wait(1 + 2 * SLACK)
        self.assertEqual([r.reason for r in joined.results], ["idle for too long"])
        self.assertTrue(joined.over)

    def test_eitherDirection(self) -> None:
        """
        Bytes in one direction are enough to keep it.
        """
        joined = Joined(self.timers).start()
        for number in range(10):
            joined.wait(90)
            side = joined.client if number % 2 else joined.target
            side.peerSends(b".")
        self.assertTrue(joined.untouched)

    def test_switchedOff(self) -> None:
        """
        Without the timer a connection may be silent for ever.
        """
        joined = Joined(PATIENT).start(b"hello")
        joined.clock.advance(1e6)
        self.assertTrue(joined.untouched)

    def test_silentRelayIsSeldomLookedAt(self) -> None:
        """
        A silent connection costs few looks, since there may be thousands.
        """
        joined = Joined(RelayTimers(idle=7200)).start()
        looks = 0
        while not joined.results and looks < 100:
            looks += 1
            call = min(joined.clock.getDelayedCalls(), key=lambda call: call.getTime())
            joined.clock.advance(max(0.0, call.getTime() - joined.clock.seconds()))
        self.assertTrue(joined.over)
        self.assertLess(looks, 20)
