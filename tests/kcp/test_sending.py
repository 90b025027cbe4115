"""
Tests for L{socksproxy.kcp._sending}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import LocalProtocolError
from socksproxy.kcp._flight import Segment
from socksproxy.kcp._segment import HEAD_SIZE
from socksproxy.kcp._sending import MAX_FRAGMENTS, TRIES, Sending
from socksproxy.kcp.congestion import CongestionControl, LossWindow
from socksproxy.kcp.statistics import SessionStatistics
from tests.kcp.blocks import configFor

MSS = 100
SIZE = MSS + HEAD_SIZE
NOW = 10_000
PLENTY = 1000


def sendingFor(**settings: Any) -> Sending:
    """
    Make a sending half, for segments of 100 octets of data.
    """
    return Sending(configFor(**settings), MSS, SessionStatistics())


def flush(sending: Sending, now: int = NOW, rmtWnd: int = PLENTY, spent: int = 0) -> list[Segment]:
    """
    Send what is due.
    """
    sending.admit(rmtWnd, now, spent)
    return sending.choose(now)


def numbers(segments: list[Segment]) -> list[int]:
    """
    Give the numbers of segments.
    """
    return [segment.sn for segment in segments]


class QueueTests(SynchronousTestCase):
    """
    What is taken becomes segments.
    """

    def sent(self, sending: Sending) -> list[tuple[int, bytes]]:
        """
        Send everything, and tell what it was.
        """
        return [(segment.frg, segment.data) for segment in flush(sending)]

    def test_stream(self) -> None:
        """
        In stream mode writes are joined to full segments.
        """
        sending = sendingFor()
        for data in (b"a" * 60, b"b" * 60, b"c" * 300):
            sending.push(data)
        self.assertEqual(sending.queued, 5)
        whole = b"a" * 60 + b"b" * 60 + b"c" * 300
        pieces = [(0, whole[at : at + MSS]) for at in range(0, len(whole), MSS)]
        self.assertEqual(self.sent(sending), pieces)

    def test_streamExactly(self) -> None:
        """
        What just fills the last segment makes no other one.
        """
        sending = sendingFor()
        sending.push(b"a" * 60)
        sending.push(b"b" * 40)
        self.assertEqual(self.sent(sending), [(0, b"a" * 60 + b"b" * 40)])

    def test_notJoinedWithSent(self) -> None:
        """
        What has a number already is not changed any more.
        """
        sending = sendingFor()
        sending.push(b"a")
        flush(sending)
        sending.push(b"b")
        self.assertEqual(self.sent(sending), [(0, b"b")])

    def test_messages(self) -> None:
        """
        In message mode each message has segments of its own, which say how
        many follow.
        """
        sending = sendingFor(stream=False)
        sending.push(b"a" * 210)
        sending.push(b"b")
        self.assertEqual(
            self.sent(sending),
            [(2, b"a" * 100), (1, b"a" * 100), (0, b"a" * 10), (0, b"b")],
        )

    def test_longestMessage(self) -> None:
        """
        A message has at most 255 fragments, and fits into a window: nothing of
        a longer one is taken.
        """
        for rcvwnd, most in ((1024, MAX_FRAGMENTS), (8, 8)):
            sending = sendingFor(stream=False, rcvwnd=rcvwnd)
            self.assertRaises(LocalProtocolError, sending.push, bytes(most * MSS + 1))
            self.assertEqual(sending.queued, 0)
            sending.push(bytes(most * MSS))
            self.assertEqual(sending.queued, most)


class WindowTests(SynchronousTestCase):
    """
    How much is sent at a time.
    """

    def test_windows(self) -> None:
        """
        No more is under way than the smaller one of both windows.
        """
        for sndwnd, rmtWnd in ((4, 9), (9, 4)):
            sending = sendingFor(sndwnd=sndwnd)
            sending.push(bytes(20 * MSS))
            self.assertEqual(numbers(flush(sending, rmtWnd=rmtWnd)), [0, 1, 2, 3])
            self.assertEqual(flush(sending, rmtWnd=rmtWnd), [])
            sending.flight.acknowledgeUpTo(1)
            self.assertEqual(numbers(flush(sending, rmtWnd=rmtWnd)), [4])

    def test_closed(self) -> None:
        """
        Nothing is sent into a closed window, and no time helps.
        """
        sending = sendingFor()
        sending.push(b"a")
        self.assertEqual(flush(sending, rmtWnd=0), [])
        self.assertIsNone(sending.nextDeadline(0, NOW))
        self.assertEqual(sending.nextDeadline(1, NOW), 0)

    def test_acknowledgedBehindGap(self) -> None:
        """
        What has arrived behind a gap still takes its part of the window.
        """
        sending = sendingFor(sndwnd=3)
        sending.push(bytes(5 * MSS))
        flush(sending)
        sending.flight.acknowledge(1, NOW)
        sending.flight.acknowledge(2, NOW)
        self.assertNotIn(3, numbers(flush(sending)))

    def test_admittedOnly(self) -> None:
        """
        What got a number without being sent is sent at the next flush.
        """
        sending = sendingFor()
        sending.push(b"a")
        sending.admit(PLENTY, NOW, 0)
        self.assertEqual((sending.queued, sending.flight.sent), (0, 0))
        self.assertEqual(sending.nextDeadline(PLENTY, NOW), 0)
        self.assertEqual(numbers(flush(sending)), [0])

    def test_windowLimited(self) -> None:
        """
        It is counted how long data waits for the window.
        """
        sending = sendingFor(sndwnd=1)
        sending.push(bytes(2 * MSS))
        flush(sending, NOW)
        flush(sending, NOW + 30)
        sending.flight.acknowledgeUpTo(1)
        flush(sending, NOW + 50)
        flush(sending, NOW + 99)
        self.assertEqual(sending._statistics.windowLimited, 50)

    def test_opensByItself(self) -> None:
        """
        The first flush with kcp-go's congestion window sends nothing, and the
        next one is due at once.
        """
        sending = sendingFor(congestion="window")
        sending.push(bytes(3 * MSS))
        self.assertEqual(sending.nextDeadline(PLENTY, NOW), 0)
        self.assertEqual(flush(sending), [])
        self.assertEqual(sending.nextDeadline(PLENTY, NOW), 0)
        self.assertEqual(numbers(flush(sending)), [0])
        self.assertEqual(sending.nextDeadline(PLENTY, NOW), sending.rtt.rto)

    def test_controls(self) -> None:
        """
        The setting chooses what limits.
        """
        kinds = [type(sendingFor(congestion=name).congestion) for name in ("none", "window", "bbr")]
        self.assertEqual(kinds[:2], [CongestionControl, LossWindow])
        self.assertTrue(kinds[2].measures)


class RepetitionTests(SynchronousTestCase):
    """
    What is sent again.
    """

    def test_statistics(self) -> None:
        """
        Repetitions are counted by their reasons, and as segments sent.
        """
        sending = sendingFor(resend=2)
        sending.push(bytes(5 * MSS))
        flush(sending)
        sending.flight.acknowledge(2, NOW)
        sending.flight.acknowledge(3, NOW)
        self.assertEqual(numbers(flush(sending, NOW + 20)), [0, 1])
        self.assertEqual(numbers(flush(sending, NOW + 200)), [4])
        statistics = sending._statistics
        self.assertEqual(
            (statistics.fastRetransSegs, statistics.earlyRetransSegs, statistics.lostSegs),
            (2, 0, 1),
        )
        self.assertEqual(statistics.outSegs, 8)

    def test_beforeNew(self) -> None:
        """
        What is sent again goes before what is sent for the first time.
        """
        sending = sendingFor()
        sending.push(bytes(2 * MSS))
        flush(sending)
        sending.push(bytes(MSS))
        self.assertEqual(numbers(flush(sending, NOW + 200)), [0, 1, 2])

    def test_settled(self) -> None:
        """
        It is known when all has arrived that is under way, and only una does
        not say so yet.
        """
        sending = sendingFor()
        self.assertFalse(sending.settled)
        sending.push(bytes(2 * MSS))
        self.assertFalse(sending.settled)
        flush(sending)
        sending.flight.acknowledge(1, NOW)
        self.assertFalse(sending.settled)
        sending.flight.acknowledge(0, NOW)
        self.assertTrue(sending.settled)
        sending.push(b"more")
        sending.admit(PLENTY, NOW, 0)
        self.assertFalse(sending.settled)
        sending.choose(NOW)
        sending.flight.acknowledgeUpTo(3)
        self.assertFalse(sending.settled)


class PaceTests(SynchronousTestCase):
    """
    Sending no faster than something allows.
    """

    def test_ratelimit(self) -> None:
        """
        A ceiling lets a segment through now and then, and says when.
        """
        # 1.24 octets a millisecond: a segment of 124 octets in 100.
        sending = sendingFor(ratelimit=1240)
        sending.push(bytes(4 * MSS))
        self.assertEqual(numbers(flush(sending)), [0])
        self.assertEqual(sending.nextDeadline(PLENTY, NOW), 100)
        self.assertEqual(sending.nextDeadline(PLENTY, NOW + 60), 40)
        self.assertEqual(flush(sending, NOW + 99), [])
        self.assertEqual(numbers(flush(sending, NOW + 100)), [1])

    def test_ratelimitOfRepetitions(self) -> None:
        """
        A ceiling holds for what is sent again, which goes first, and for what
        is sent besides.
        """
        sending = sendingFor(ratelimit=1240)
        sending.push(bytes(MSS))
        flush(sending)
        sending.push(bytes(MSS))
        self.assertEqual(numbers(flush(sending, NOW + 200)), [0])
        self.assertEqual(sending.nextDeadline(PLENTY, NOW + 200), 100)
        self.assertEqual(numbers(flush(sending, NOW + 300)), [1])

    def test_ratelimitOfOthers(self) -> None:
        """
        What else goes out counts against the ceiling.
        """
        sending = sendingFor(ratelimit=1240)
        sending.push(bytes(3 * MSS))
        flush(sending)
        # The datagram had 62 octets around the segment.
        sending._statistics.outBytes += SIZE + 62
        self.assertEqual(flush(sending, NOW + 100), [])
        self.assertEqual(sending.nextDeadline(PLENTY, NOW + 100), 50)
        self.assertEqual(numbers(flush(sending, NOW + 150)), [1])

    def test_ratelimitForgets(self) -> None:
        """
        Acknowledgements, which nothing holds back, keep data waiting for a
        second at most.
        """
        sending = sendingFor(ratelimit=1240)
        sending.push(bytes(3 * MSS))
        flush(sending)
        sending.flight.acknowledgeUpTo(1)
        sending._statistics.outBytes += 1_000_000
        flush(sending, NOW + 1)
        self.assertEqual(sending.nextDeadline(PLENTY, NOW + 1), 1100 - 1)

    def test_postponed(self) -> None:
        """
        Repetitions for which there is no room wait, and are not sent if they
        have arrived meanwhile.
        """
        sending = sendingFor(ratelimit=124_000)
        sending.push(bytes(4 * MSS))
        flush(sending)
        self.assertEqual(sending.flight.sent, 4)
        # At a hundredth of the rate only one of them may go.
        slow = sendingFor(ratelimit=1240)
        slow.flight = sending.flight
        self.assertEqual(numbers(flush(slow, NOW + 200)), [0])
        self.assertEqual(slow.nextDeadline(PLENTY, NOW + 200), 100)
        slow.flight.acknowledge(1, NOW)
        self.assertEqual(numbers(flush(slow, NOW + 300)), [2])
        self.assertEqual(numbers(flush(slow, NOW + 400)), [3])

    def test_postponedOnce(self) -> None:
        """
        What is postponed and becomes due for another reason is sent once.
        """
        sending = sendingFor(ratelimit=1_000_000, resend=1)
        sending.push(bytes(10 * MSS))
        flush(sending)
        slow = sendingFor(ratelimit=3 * SIZE * 250, resend=1)
        slow.flight = sending.flight
        # All time out, and three may go.
        self.assertEqual(numbers(flush(slow, NOW + 200)), [0, 1, 2])
        # What waits is passed over besides.
        self.assertTrue(slow.flight.acknowledge(9, NOW))
        self.assertEqual(numbers(flush(slow, NOW + 204)), [3, 4, 5])
        self.assertEqual(numbers(flush(slow, NOW + 208)), [6, 7, 8])
        self.assertEqual(flush(slow, NOW + 212), [])

    def test_pacing(self) -> None:
        """
        A paced sender spreads a window over a round trip.
        """
        sending = sendingFor(pacing=True, sndwnd=32)
        sending.rtt.sample(100)
        sending.push(bytes(32 * MSS))
        sent = []
        for now in range(NOW, NOW + 100):
            if sending.nextDeadline(PLENTY, now) == 0:
                sent.append((now - NOW, len(flush(sending, now))))
        self.assertEqual(sum(count for _, count in sent), 32)
        self.assertLessEqual(max(count for _, count in sent), 2)
        self.assertTrue(70 <= sent[-1][0] <= 85, sent)


class CreditTests(SynchronousTestCase):
    """
    What is sent to somebody who may be somewhere else.
    """

    def sending(self, credit: int, **settings: Any) -> Sending:
        """
        Make a sending half with data, that may send so many octets.
        """
        sending = sendingFor(**settings)
        sending.push(bytes(4 * MSS))
        sending.credit, sending.overhead = credit, 20
        return sending

    def test_part(self) -> None:
        """
        A part of the credit is used, for a piece that fits and can be sent
        some times.
        """
        sending = self.sending(260)
        (segment,) = flush(sending)
        # What goes out with a datagram of its own costs 20 octets.
        self.assertEqual(len(segment.data), (260 - 20) // TRIES - 20 - HEAD_SIZE)
        self.assertEqual(sending.queued, 4)

    def test_whole(self) -> None:
        """
        A segment that can be sent twice at least is not taken apart.
        """
        sending = self.sending(20 + 3 * (20 + SIZE) + 10)
        (segment,) = flush(sending)
        self.assertEqual(len(segment.data), MSS)
        self.assertEqual(sending._reserved, 2 * (20 + SIZE))

    def test_fewerTries(self) -> None:
        """
        With little credit there are fewer tries, and two at least.
        """
        for credit, tries in ((180, 4), (140, 3), (132, 2), (90, 2)):
            sending = self.sending(20 + credit)
            (segment,) = flush(sending)
            cost = 20 + HEAD_SIZE + len(segment.data)
            self.assertEqual((cost, sending._reserved), (credit // tries, (tries - 1) * cost))

    def test_nothing(self) -> None:
        """
        Without credit nothing is sent, and no time changes that.
        """
        for credit in (0, 50, 20 + 2 * (20 + HEAD_SIZE)):
            sending = self.sending(credit)
            self.assertIsNone(sending.nextDeadline(PLENTY, NOW), credit)
            self.assertEqual(flush(sending), [])

    def test_least(self) -> None:
        """
        Credit for a single octet is used, and asked for.
        """
        sending = self.sending(20 + 2 * (20 + HEAD_SIZE + 1))
        self.assertEqual(sending.nextDeadline(PLENTY, NOW), 0)
        self.assertEqual([len(segment.data) for segment in flush(sending)], [1])

    def test_several(self) -> None:
        """
        Several segments go if there is credit for them.
        """
        sending = self.sending(TRIES * (SIZE + 20) * 2 + 20)
        self.assertEqual([len(segment.data) for segment in flush(sending)], [MSS, MSS])

    def test_kept(self) -> None:
        """
        What is kept for a repetition is not used for anything else.
        """
        sending = self.sending(20 + 1000)
        flush(sending)
        self.assertEqual(sending._reserved, 800)
        sending.credit = 20 + 800 + 87
        self.assertEqual(sending.nextDeadline(PLENTY, NOW), 200)
        self.assertEqual(flush(sending), [])
        sending.credit = 20 + 800 + 90
        self.assertEqual(sending.nextDeadline(PLENTY, NOW), 0)
        self.assertEqual([len(segment.data) for segment in flush(sending)], [1])

    def test_spent(self) -> None:
        """
        What goes before it costs credit, too.
        """
        self.assertEqual(len(flush(self.sending(200), spent=48)[0].data), 22)

    def test_message(self) -> None:
        """
        A message gets a fragment more when there is credit for a part of the
        first one only; others are not cut.
        """
        sending = self.sending(260, stream=False)
        (first,) = flush(sending)
        self.assertEqual((first.frg, len(first.data)), (4, 4))
        sending.credit = 200
        self.assertEqual(flush(sending), [])
        sending.credit = None
        rest = flush(sending)
        self.assertEqual([segment.frg for segment in rest], [3, 2, 1, 0])
        self.assertEqual(sum(len(segment.data) for segment in rest), 4 * MSS - 4)

    def test_messageThatFits(self) -> None:
        """
        A message is not cut if the peer has no room for one more fragment.
        """
        sending = self.sending(200, stream=False, rcvwnd=8)
        self.assertIsNone(sending.nextDeadline(4, NOW))
        self.assertEqual(flush(sending, rmtWnd=4), [])
        self.assertEqual(sending.nextDeadline(5, NOW), 0)

    def test_repetition(self) -> None:
        """
        A repetition has the rest, and waits if that is not enough.
        """
        sending = self.sending(200)
        flush(sending)
        sending.credit = 40
        self.assertEqual(flush(sending, NOW + 200), [])
        self.assertIsNone(sending.nextDeadline(0, NOW + 200))
        sending.credit = 200
        self.assertEqual(sending.nextDeadline(0, NOW + 200), 0)
        self.assertEqual(numbers(flush(sending, NOW + 200, rmtWnd=0)), [0])

    def test_pacedOnCredit(self) -> None:
        """
        A part of the credit is not a part of what the pace allows.
        """
        sending = self.sending(100_000, ratelimit=1240)
        self.assertEqual(numbers(flush(sending)), [0])
