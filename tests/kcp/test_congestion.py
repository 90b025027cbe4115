"""
Tests for L{socksproxy.kcp.congestion}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp._flight import Again, Flight
from socksproxy.kcp.congestion import MIN_THRESHOLD, NEVER, CongestionControl, LossWindow

MSS = 1000


def again(fast: int = 0, early: int = 0, lost: int = 0) -> Again:
    """
    Say how many segments have been sent again, and why.
    """
    result = Again()
    result.fast, result.early, result.lost = fast, early, lost
    return result


class CongestionControlTests(SynchronousTestCase):
    """
    No congestion control.
    """

    def test_limitsNothing(self) -> None:
        """
        It leaves everything to the windows, whatever happens.
        """
        control = CongestionControl(MSS)
        control.flushed(again(fast=3, lost=3), 10, 32, 2)
        control.advanced(32)
        self.assertEqual(control.room(Flight(2)), NEVER)
        self.assertEqual(control.window(77), 77)
        self.assertIsNone(control.rate())
        self.assertEqual(control.leastRTO(200), 200)
        self.assertEqual((control.measures, control.opens), (False, False))


class LossWindowTests(SynchronousTestCase):
    """
    kcp-go's window.
    """

    def opened(self) -> LossWindow:
        """
        Make a window after the first flush.
        """
        control = LossWindow(MSS)
        control.flushed(again(), 0, 0, 2)
        return control

    def grown(self, cwnd: int, ssthresh: int) -> LossWindow:
        """
        Make a window in the middle of a conversation.
        """
        control = LossWindow(MSS)
        control.cwnd, control.ssthresh, control.incr = cwnd, ssthresh, cwnd * MSS
        return control

    def test_opens(self) -> None:
        """
        It is closed before the first flush, which opens it.
        """
        control = LossWindow(MSS)
        self.assertEqual((control.room(Flight(2)), control.window(32)), (0, 0))
        self.assertTrue(control.opens)
        control.flushed(again(), 0, 0, 2)
        self.assertEqual((control.cwnd, control.incr, control.opens), (1, MSS, False))
        self.assertEqual((control.room(Flight(2)), control.window(32)), (1, 1))

    def test_room(self) -> None:
        """
        What is under way takes its part of it.
        """
        flight = Flight(2)
        flight.sndUna, flight.sndNxt = 100, 103
        self.assertEqual(self.grown(5, 2).room(flight), 2)
        self.assertLessEqual(self.grown(2, 2).room(flight), 0)

    def test_quickGrowth(self) -> None:
        """
        Below the threshold each progress adds a segment.
        """
        control = self.grown(1, 8)
        sizes = []
        for _ in range(7):
            control.advanced(100)
            sizes.append(control.cwnd)
        self.assertEqual(sizes, [2, 3, 4, 5, 6, 7, 8])

    def test_slowGrowth(self) -> None:
        """
        From the threshold on it takes about a window of progress to grow, by
        two at a time, since kcp-go rounds up.
        """
        control = self.grown(8, 8)
        steps = 0
        while control.cwnd == 8:
            control.advanced(100)
            steps += 1
        self.assertEqual((control.cwnd, steps), (10, 6))
        self.assertEqual(control.incr, 9080)

    def test_peersWindow(self) -> None:
        """
        It does not grow over the peer's window.
        """
        control = self.grown(4, 8)
        control.advanced(4)
        self.assertEqual((control.cwnd, control.incr), (4, 4000))
        control = self.grown(4, 2)
        control.incr = 5900
        control.advanced(5)
        self.assertEqual((control.cwnd, control.incr), (5, 5000))

    def test_closedWindow(self) -> None:
        """
        A peer without room does not shut it.
        """
        control = self.grown(4, 8)
        control.advanced(0)
        self.assertEqual(control.cwnd, 4)

    def test_passedOver(self) -> None:
        """
        When segments were passed over it is half of what was under way, and
        those that are sent again do not count.
        """
        for repeated in (again(fast=1), again(early=1)):
            control = self.grown(30, 40)
            control.flushed(repeated, 20, 32, 2)
            self.assertEqual((control.ssthresh, control.cwnd, control.incr), (10, 12, 12 * MSS))

    def test_timeout(self) -> None:
        """
        After a timeout it begins with one segment, also if others were passed
        over at the same time.
        """
        for repeated in (again(lost=1), again(fast=1, lost=1)):
            control = self.grown(30, 40)
            control.flushed(repeated, 20, 24, 2)
            self.assertEqual((control.ssthresh, control.cwnd, control.incr), (12, 1, MSS))

    def test_leastThreshold(self) -> None:
        """
        The threshold does not become less than two.
        """
        control = self.grown(2, 8)
        control.flushed(again(fast=1), 1, 2, 2)
        self.assertEqual(control.ssthresh, MIN_THRESHOLD)
        control.flushed(again(lost=1), 1, 1, 2)
        self.assertEqual(control.ssthresh, MIN_THRESHOLD)

    def test_withoutThreshold(self) -> None:
        """
        Without fast retransmission kcp-go reckons with 2**32 - 1, and so it
        comes out one less than the threshold.
        """
        control = self.grown(30, 40)
        control.flushed(again(early=1), 20, 32, 0)
        self.assertEqual((control.ssthresh, control.cwnd), (10, 9))

    def test_nothingRepeated(self) -> None:
        """
        A flush that sends nothing again changes nothing.
        """
        control = self.grown(7, 9)
        control.flushed(again(), 5, 7, 2)
        self.assertEqual((control.cwnd, control.ssthresh, control.incr), (7, 9, 7000))
