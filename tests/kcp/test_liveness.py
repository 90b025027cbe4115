"""
Tests for L{socksproxy.kcp._liveness}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConfigurationError
from socksproxy.kcp._liveness import (
    ASKED,
    DEAD,
    IDLE,
    LINGERED,
    MAX_REST,
    REST,
    Liveness,
    SessionTimers,
)
from socksproxy.kcp.control import MAX_PROBE

BOTH = SessionTimers(dead=30, idle=600, linger=10)
DEAD_ONLY = SessionTimers(dead=30, idle=None, linger=None)
LINGER_ONLY = SessionTimers(dead=None, idle=None, linger=10)
IDLE_ONLY = SessionTimers(dead=None, idle=600, linger=None)


class SessionTimersTests(SynchronousTestCase):
    """
    What may be asked for.
    """

    def test_wrong(self) -> None:
        """
        A time has to be positive, and the error says which one is not.
        """
        for name in ("dead", "idle", "linger"):
            error = self.assertRaises(ConfigurationError, SessionTimers, **{name: -1})
            self.assertEqual(str(error), f"{name} is -1 and has to be positive seconds, or None")
        for name in ("dead", "idle"):
            self.assertRaises(ConfigurationError, SessionTimers, **{name: 0})

    def test_right(self) -> None:
        """
        No lingering is a choice, and so is never to end.
        """
        self.assertEqual(SessionTimers(linger=0).linger, 0)
        self.assertIsNone(SessionTimers(dead=None, idle=None, linger=None).dead)


class LivenessTests(SynchronousTestCase):
    """
    Sessions that end.
    """

    def test_nothing(self) -> None:
        """
        A session with which nothing is wrong has no deadline.
        """
        liveness = Liveness(DEAD_ONLY)
        liveness.heard(1000)
        liveness.look(0, False, False, 1000)
        self.assertEqual((liveness.deadline, liveness.verdict(1 << 40)), (None, None))

    def test_dead(self) -> None:
        """
        A session is dead when what is under way is not acknowledged for as
        long as was said, and not a millisecond earlier.
        """
        liveness = Liveness(DEAD_ONLY)
        liveness.look(0, True, False, 1000)
        liveness.look(0, True, False, 20_000)
        self.assertEqual(liveness.deadline, 31_000)
        self.assertIsNone(liveness.verdict(30_999))
        self.assertEqual(liveness.verdict(31_000), DEAD)

    def test_progress(self) -> None:
        """
        Any acknowledgement begins the time anew, and the last one ends it.
        """
        liveness = Liveness(DEAD_ONLY)
        liveness.look(0, True, False, 1000)
        liveness.look(1, True, False, 20_000)
        self.assertEqual(liveness.deadline, 50_000)
        liveness.look(2, False, False, 21_000)
        self.assertIsNone(liveness.deadline)
        liveness.look(2, True, False, 90_000)
        self.assertEqual(liveness.deadline, 120_000)

    def test_heardIsNotEnough(self) -> None:
        """
        A peer that is heard of and acknowledges nothing is dead as well.
        """
        liveness = Liveness(DEAD_ONLY)
        liveness.look(0, True, False, 1000)
        liveness.heard(30_000)
        liveness.look(0, True, False, 30_000)
        self.assertEqual(liveness.deadline, 31_000)

    def test_closedWindow(self) -> None:
        """
        A peer whose window is closed acknowledges nothing, and lives as long as
        it is heard of: so much longer as it may take until it has been asked
        some times.
        """
        liveness = Liveness(DEAD_ONLY)
        liveness.heard(1000)
        liveness.look(5, True, True, 1000)
        self.assertEqual(liveness.deadline, 31_000 + ASKED)
        liveness.heard(400_000)
        liveness.look(5, True, True, 400_000)
        self.assertEqual(liveness.deadline, 430_000 + ASKED)
        self.assertEqual(liveness.verdict(430_000 + ASKED), DEAD)
        self.assertGreaterEqual(ASKED, 2 * MAX_PROBE)

    def test_windowOpens(self) -> None:
        """
        Once its window has opened again it has as much time as any.
        """
        liveness = Liveness(DEAD_ONLY)
        liveness.heard(1000)
        liveness.look(5, True, True, 1000)
        liveness.heard(400_000)
        liveness.look(5, True, False, 400_000)
        self.assertEqual(liveness.deadline, 430_000)
        liveness.look(5, True, False, 420_000)
        self.assertEqual(liveness.deadline, 430_000)

    def test_idle(self) -> None:
        """
        A session is idle by what is heard only.
        """
        liveness = Liveness(IDLE_ONLY)
        liveness.heard(1000)
        liveness.look(0, True, False, 500_000)
        self.assertEqual(liveness.deadline, 601_000)
        self.assertEqual((liveness.verdict(600_999), liveness.verdict(601_000)), (None, IDLE))
        liveness.heard(601_000)
        self.assertIsNone(liveness.verdict(601_000))

    def test_linger(self) -> None:
        """
        After the end was asked for, the peer has some time to acknowledge, from
        then on and from each acknowledgement on.
        """
        liveness = Liveness(LINGER_ONLY)
        liveness.look(0, True, False, 1000)
        self.assertIsNone(liveness.deadline)
        liveness.closing(50_000)
        liveness.look(0, True, False, 50_000)
        self.assertEqual(liveness.deadline, 60_000)
        liveness.closing(55_000)
        self.assertEqual(liveness.deadline, 60_000)
        liveness.look(1, True, False, 59_000)
        self.assertEqual(liveness.deadline, 69_000)
        self.assertEqual(liveness.verdict(69_000), LINGERED)

    def test_lingerWithClosedWindow(self) -> None:
        """
        A closed window gives no more time to linger, heard of or not.
        """
        liveness = Liveness(LINGER_ONLY)
        liveness.closing(1000)
        for now in range(1000, 11_000, 1000):
            liveness.heard(now)
            liveness.look(0, True, True, now)
        self.assertEqual(liveness.verdict(11_000), LINGERED)

    def test_first(self) -> None:
        """
        Of several ends the first one counts.
        """
        liveness = Liveness(BOTH)
        liveness.heard(1000)
        liveness.look(0, True, False, 1000)
        self.assertEqual((liveness.deadline, liveness.verdict(31_000)), (31_000, DEAD))
        liveness.closing(2000)
        self.assertEqual((liveness.deadline, liveness.verdict(12_000)), (12_000, LINGERED))

    def test_lingersForNothing(self) -> None:
        """
        With nothing left to be acknowledged there is nothing to linger for.
        """
        liveness = Liveness(LINGER_ONLY)
        liveness.look(0, True, False, 1000)
        liveness.closing(1000)
        liveness.look(1, False, False, 2000)
        self.assertEqual((liveness.deadline, liveness.verdict(100_000)), (None, None))


class RestTests(SynchronousTestCase):
    """
    Sessions that stay for the peer's sake.
    """

    def test_silence(self) -> None:
        """
        A session rests until the peer has been silent for some timeouts.
        """
        liveness = Liveness(LINGER_ONLY)
        liveness.heard(1000)
        self.assertTrue(liveness.rests(1000, 50))
        self.assertEqual(liveness.deadline, 1000 + REST * 50)
        liveness.heard(1100)
        self.assertTrue(liveness.rests(1000 + REST * 50, 50))
        self.assertFalse(liveness.rests(1100 + REST * 50, 50))

    def test_notForever(self) -> None:
        """
        But not for longer than a second, whatever the peer does.
        """
        liveness = Liveness(LINGER_ONLY)
        for now in range(1000, 1000 + MAX_REST, 10):
            liveness.heard(now)
            self.assertTrue(liveness.rests(now, 50))
        self.assertFalse(liveness.rests(1000 + MAX_REST, 50))
        self.assertLessEqual(liveness.deadline, 1000 + MAX_REST)

    def test_noNeed(self) -> None:
        """
        Nor if the peer has been silent for long already, or was never heard of,
        or nobody wants to linger at all.
        """
        liveness = Liveness(LINGER_ONLY)
        self.assertFalse(liveness.rests(1000, 50))
        liveness.heard(1000)
        self.assertFalse(liveness.rests(2000, 50))
        hasty = Liveness(SessionTimers(linger=0))
        hasty.heard(1000)
        self.assertFalse(hasty.rests(1000, 50))
