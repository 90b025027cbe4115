"""
Tests for L{socksproxy.kcp._wakes}.
"""

from __future__ import annotations

import gc
import weakref
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp._wakes import Wakes


class Sleeper:
    """
    Somebody to be woken.
    """


class WakesTests(SynchronousTestCase):
    """
    Times for many.
    """

    def test_order(self) -> None:
        """
        Who is due first comes first, and nobody before the time.
        """
        wakes: Wakes[str] = Wakes()
        for name, time in (("late", 30), ("early", 10), ("middle", 20)):
            wakes.set(name, time)
        self.assertEqual(wakes.next, 10)
        self.assertEqual(wakes.due(9), [])
        self.assertEqual(wakes.due(20), ["early", "middle"])
        self.assertEqual((wakes.next, len(wakes)), (30, 1))

    def test_nobody(self) -> None:
        """
        With nobody to be woken there is no time.
        """
        wakes: Wakes[str] = Wakes()
        self.assertEqual((wakes.next, wakes.due(1 << 40), len(wakes)), (None, [], 0))

    def test_onceOnly(self) -> None:
        """
        A time that was replaced, by a later or an earlier one, wakes nobody.
        """
        for first, second in ((10, 20), (20, 10)):
            wakes: Wakes[str] = Wakes()
            wakes.set("a", first)
            wakes.set("a", second)
            self.assertEqual((wakes.next, len(wakes)), (second, 1))
            self.assertEqual(wakes.due(100), ["a"])
            self.assertEqual((wakes.due(100), wakes.next), ([], None))

    def test_backToAnEarlierChoice(self) -> None:
        """
        Who goes back to a time that was replaced is woken once then.
        """
        wakes: Wakes[str] = Wakes()
        for time in (10, 20, 10):
            wakes.set("a", time)
        self.assertEqual(wakes.due(100), ["a"])
        self.assertEqual(wakes.due(100), [])

    def test_never(self) -> None:
        """
        Who has been told to sleep on is not woken, and may be so twice.
        """
        wakes: Wakes[str] = Wakes()
        wakes.set("a", 10)
        wakes.set("a", None)
        wakes.set("a", None)
        self.assertEqual((wakes.next, len(wakes), wakes.due(100)), (None, 0, []))

    def test_nobodyIsHeld(self) -> None:
        """
        Nothing keeps who has no time any more.
        """
        wakes: Wakes[Sleeper] = Wakes()
        sleepers = [Sleeper() for _ in range(20)]
        gone = [weakref.ref(sleeper) for sleeper in sleepers]
        for sleeper in sleepers:
            wakes.set(sleeper, 600_000)
            wakes.set(sleeper, 700_000)
        for sleeper in sleepers:
            wakes.set(sleeper, None)
        del sleepers, sleeper
        gc.collect()
        self.assertEqual([ref() for ref in gone], [None] * 20)

    def test_bounded(self) -> None:
        """
        Times that are replaced again and again take no more room than a few
        for each sleeper, also when the sleepers go.
        """
        wakes: Wakes[int] = Wakes()
        for time in range(20_000):
            wakes.set(time % 100, 1000 + time)
        self.assertLessEqual(len(wakes._heap), 4 * 100 + 64)
        for number in range(100):
            wakes.set(number, None)
        self.assertLessEqual(len(wakes._heap), 64)
        self.assertEqual((len(wakes._sleepers), len(wakes)), (0, 0))

    @given(st.integers(0, 1000))
    def test_likeSorting(self, seed: int) -> None:
        """
        Whatever is set and replaced, it wakes whom a plain list would.
        """
        random = Random(seed)
        wakes: Wakes[int] = Wakes()
        plain: dict[int, int] = {}
        now = 0
        for _ in range(300):
            sleeper = random.randrange(8)
            time = random.choice((None, now + random.randrange(50)))
            wakes.set(sleeper, time)
            plain.pop(sleeper, None)
            if time is not None:
                plain[sleeper] = time
            if random.random() < 0.2:
                now += random.randrange(30)
                due = {who for who, when in plain.items() if when <= now}
                woken = wakes.due(now)
                self.assertEqual((set(woken), len(woken)), (due, len(due)))
                for who in due:
                    del plain[who]
            self.assertEqual(wakes.next, min(plain.values(), default=None))
