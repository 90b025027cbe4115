"""
Tests for L{socksproxy.kcp._pacing}.
"""

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp._pacing import QUANTUM, Pacer


class PacerTests(SynchronousTestCase):
    """
    A token bucket of octets.
    """

    def setUp(self) -> None:
        self.pacer = Pacer()
        self.pacer.allowance(100.0, 1000, 10)
        self.pacer.credit = 0.0

    def test_creditGrowsWithTime(self) -> None:
        """
        A millisecond brings as many octets as the rate says.
        """
        self.assertEqual(self.pacer.allowance(100.0, 1002, 10), 200)

    def test_creditIsBounded(self) -> None:
        """
        After a pause no more may go out together than in a few milliseconds.
        """
        self.assertEqual(self.pacer.allowance(100.0, 2000, 10), 100 * QUANTUM)

    def test_segmentAlwaysFits(self) -> None:
        """
        However low the rate is, a segment can be saved up for.
        """
        self.assertEqual(self.pacer.allowance(1.0, 9000, 1400), 1400)

    def test_spending(self) -> None:
        """
        What was sent is paid for, and so is what was sent on credit.
        """
        self.pacer.spend(150, 100.0)
        self.assertEqual(self.pacer.allowance(100.0, 1001, 10), -50)

    def test_debtIsBounded(self) -> None:
        """
        A burst that nothing could hold back does not stop what follows for
        long.
        """
        self.pacer.spend(10**6, 100.0)
        self.assertEqual(self.pacer.credit, -100 * QUANTUM * 4)

    def test_wait(self) -> None:
        """
        The wait is rounded up to whole milliseconds, and counts the time that
        has passed since the last look.
        """
        self.assertEqual(self.pacer.wait(100.0, 1000, 250), 3)
        self.assertEqual(self.pacer.wait(100.0, 1002, 250), 1)
        self.assertEqual(self.pacer.wait(100.0, 1003, 250), 0)
