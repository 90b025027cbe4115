"""
Tests for L{socksproxy.smux._probation}.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.smux._probation import AGAIN, PATIENCE, SLACK, Probation


class ProbationTests(SynchronousTestCase):
    """
    Streams of a session that may be dead.
    """

    def setUp(self) -> None:
        """
        Have a session whose peer acknowledges everything.
        """
        self.clock = Clock()
        # Since when nothing has been acknowledged.
        self.since: float | None = None
        self.known = True
        self.failed: list[tuple[float, str]] = []
        self.probation: Probation[str] = Probation(
            self.clock.seconds, self.clock.callLater, self.stalled, self.fail_
        )

    def stalled(self) -> float | None:
        """
        Say for how long.
        """
        if not self.known:
            return None
        return 0.0 if self.since is None else self.clock.seconds() - self.since

    def fail_(self, streams: Sequence[str]) -> None:
        """
        Note which streams failed, and when.
        """
        self.failed += [(self.clock.seconds(), stream) for stream in streams]
        for stream in streams:
            self.probation.over(stream)

    def wait(self, seconds: float) -> None:
        """
        Let time pass, in small steps.
        """
        self.clock.pump([0.125] * int(seconds * 8))

    def test_acknowledged(self) -> None:
        """
        Streams of a session that gets through are left alone, and nothing is
        left to do.
        """
        for stream in "abc":
            self.probation.begin(stream)
            self.wait(1)
        self.wait(2 * PATIENCE)
        self.assertEqual((self.failed, self.clock.getDelayedCalls()), ([], []))

    def test_dead(self) -> None:
        """
        One that was opened on a dead session fails after four seconds.
        """
        self.probation.begin("a")
        self.since = self.clock.seconds()
        self.wait(10)
        ((when, stream),) = self.failed
        self.assertEqual(stream, "a")
        self.assertApproximates(when, PATIENCE, 2 * AGAIN)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_each(self) -> None:
        """
        Each has its own four seconds, also where the session was dead before.
        """
        self.since = 0.0
        self.wait(2)
        for stream in "ab":
            self.probation.begin(stream)
            self.wait(1)
        self.wait(10)
        self.assertEqual([stream for _, stream in self.failed], ["a", "b"])
        for (when, _), expected in zip(self.failed, (6, 7), strict=True):
            self.assertApproximates(when, expected, 2 * AGAIN)

    def test_older(self) -> None:
        """
        One that was opened before the peer last acknowledged something stays.
        """
        self.probation.begin("old")
        self.wait(SLACK + 0.25)
        self.since = self.clock.seconds()
        self.probation.begin("new")
        self.wait(10)
        self.assertEqual([stream for _, stream in self.failed], ["new"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slack(self) -> None:
        """
        The session may take a moment to know that something waits.
        """
        self.probation.begin("a")
        self.wait(SLACK / 2)
        self.since = self.clock.seconds()
        self.wait(10)
        self.assertEqual([stream for _, stream in self.failed], ["a"])

    def test_recovers(self) -> None:
        """
        One that is acknowledged in time stays.
        """
        self.since = 0.0
        self.probation.begin("a")
        self.wait(3.5)
        self.since = None
        self.wait(10)
        self.assertEqual((self.failed, self.clock.getDelayedCalls()), ([], []))

    def test_unknown(self) -> None:
        """
        Where it is not known that there ever was a peer, nothing fails before
        it is.
        """
        self.known = False
        self.probation.begin("a")
        self.wait(20)
        self.assertEqual(self.failed, [])
        self.known, self.since = True, 0.0
        self.wait(PATIENCE)
        self.assertEqual([stream for _, stream in self.failed], ["a"])

    def test_over(self) -> None:
        """
        Nothing happens to a stream that is over, and with the last one there
        is no timer.
        """
        self.since = 0.0
        for stream in "ab":
            self.probation.begin(stream)
        self.probation.over("a")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.wait(PATIENCE)
        self.assertEqual([stream for _, stream in self.failed], ["b"])
        self.probation.begin("c")
        self.probation.over("c")
        self.probation.over("c")
        self.assertEqual(self.clock.getDelayedCalls(), [])
