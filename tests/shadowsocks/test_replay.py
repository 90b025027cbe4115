"""
Tests for L{socksproxy.shadowsocks._replay}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import ConfigurationError
from socksproxy.shadowsocks._replay import GENERATION, LIFETIME, SaltMemory, SaltPool


def saltOf(number: int) -> bytes:
    """
    Make a salt.
    """
    return number.to_bytes(16, "big")


class TestSaltMemory(SynchronousTestCase):
    """
    Tests for L{SaltMemory}.
    """

    def test_seen(self) -> None:
        """
        A salt that has been added was seen, and no other.
        """
        memory = SaltMemory(b"key")
        self.assertFalse(memory.seen(saltOf(1)))
        memory.add(saltOf(1))
        self.assertTrue(memory.seen(saltOf(1)))
        self.assertFalse(memory.seen(saltOf(2)))

    def test_looking(self) -> None:
        """
        Asking for a salt does not add it.
        """
        memory = SaltMemory(b"key")
        self.assertFalse(memory.seen(saltOf(1)))
        self.assertFalse(memory.seen(saltOf(1)))
        self.assertEqual(len(memory), 0)

    def test_generations(self) -> None:
        """
        At least so many salts are remembered as a generation has, and at most
        twice as many.
        """
        memory = SaltMemory(b"key", 10)
        for number in range(100):
            memory.add(saltOf(number))
            self.assertLessEqual(len(memory), 20)
            for recent in range(max(0, number - 9), number + 1):
                self.assertTrue(memory.seen(saltOf(recent)), (number, recent))
        self.assertFalse(memory.seen(saltOf(0)))

    def test_secret(self) -> None:
        """
        What is kept of a salt depends on the key, so that nobody can look for
        two salts that are the same to it.
        """
        kept = []
        for key in (b"one", b"two"):
            memory = SaltMemory(key)
            memory.add(saltOf(1))
            kept.append(memory._recent)
        self.assertNotEqual(*kept)

    def test_default(self) -> None:
        """
        A generation has a hundred thousand salts.
        """
        self.assertEqual(GENERATION, 100_000)
        self.assertEqual(SaltMemory(b"")._generation, GENERATION)


class TestSaltPool(SynchronousTestCase):
    """
    Tests for L{SaltPool}.
    """

    def setUp(self) -> None:
        """
        Make a pool with a clock that can be moved.
        """
        self.clock = Clock()
        self.pool = SaltPool(self.clock.seconds)

    def test_expiry(self) -> None:
        """
        A salt is remembered for 65 seconds.
        """
        self.assertEqual(LIFETIME, 65)
        self.pool.add(saltOf(1))
        for step, seen in ((0, True), (59, True), (2, True), (3.9, True), (0.1, False)):
            self.clock.advance(step)
            self.assertEqual(self.pool.seen(saltOf(1)), seen, self.clock.seconds())
        self.assertEqual(len(self.pool), 0)

    def test_looking(self) -> None:
        """
        Asking for a salt does not add it.
        """
        self.assertFalse(self.pool.seen(saltOf(1)))
        self.assertFalse(self.pool.seen(saltOf(1)))

    def test_whole(self) -> None:
        """
        Salts that differ in one bit are different.
        """
        self.pool.add(bytes(32))
        for bit in range(256):
            self.assertFalse(self.pool.seen((1 << bit).to_bytes(32, "big")))

    def test_forgets(self) -> None:
        """
        Those whose time has come are forgotten, whatever is asked for.
        """
        for number in range(100):
            self.pool.add(saltOf(number))
            self.clock.advance(1)
        self.assertFalse(self.pool.seen(b"another"))
        self.assertEqual(len(self.pool), 64)

    def test_full(self) -> None:
        """
        With the most salts that there is room for nobody is let in, until the
        first are forgotten.
        """
        pool = SaltPool(self.clock.seconds, limit=2)
        pool.add(saltOf(1))
        self.assertFalse(pool.seen(saltOf(3)))
        self.clock.advance(1)
        pool.add(saltOf(2))
        self.assertTrue(pool.seen(saltOf(3)))
        self.clock.advance(LIFETIME - 1)
        self.assertFalse(pool.seen(saltOf(3)))
        self.assertTrue(pool.seen(saltOf(2)))

    def restarted(self, saved: bytes, wallClock: float) -> SaltPool:
        """
        Load into a new pool, whose clock has nothing to do with the other's.
        """
        self.other = Clock()
        self.other.advance(12345)
        pool = SaltPool(self.other.seconds)
        pool.load(saved, wallClock)
        return pool

    def test_restart(self) -> None:
        """
        What was saved is remembered after a restart for as long as it would
        have been without one.
        """
        self.pool.add(saltOf(1))
        self.clock.advance(20)
        self.pool.add(saltOf(2) * 2)
        pool = self.restarted(self.pool.save(1_000_000.0), 1_000_010.0)
        for step, first, second in ((0, True, True), (34, True, True), (1.1, False, True)):
            self.other.advance(step)
            self.assertEqual(pool.seen(saltOf(1)), first)
            self.assertEqual(pool.seen(saltOf(2) * 2), second)
        self.other.advance(20)
        self.assertFalse(pool.seen(saltOf(2) * 2))

    def test_late(self) -> None:
        """
        What is loaded too late is not remembered.
        """
        self.pool.add(saltOf(1))
        pool = self.restarted(self.pool.save(1_000_000.0), 1_000_065.0)
        self.assertEqual(len(pool), 0)

    def test_wallClockSetBack(self) -> None:
        """
        Nothing is remembered for longer than it needs, whatever happened to
        the wall clock.
        """
        self.pool.add(saltOf(1))
        pool = self.restarted(self.pool.save(1_000_000.0), 1_000.0)
        self.assertTrue(pool.seen(saltOf(1)))
        self.other.advance(LIFETIME)
        self.assertFalse(pool.seen(saltOf(1)))

    def test_both(self) -> None:
        """
        What was there already stays, and both are forgotten in their time.
        """
        self.pool.add(saltOf(1))
        saved = self.pool.save(1000.0)
        self.clock.advance(30)
        pool = SaltPool(self.clock.seconds)
        pool.add(saltOf(2))
        pool.load(saved, 1030.0)
        self.assertTrue(pool.seen(saltOf(1)))
        self.clock.advance(35)
        self.assertFalse(pool.seen(saltOf(1)))
        self.assertTrue(pool.seen(saltOf(2)))

    def test_longest(self) -> None:
        """
        A salt that is there and is loaded, too, is remembered for the longer
        of both times.
        """
        for added in (0, 30):
            clock = Clock()
            old, new = SaltPool(clock.seconds), SaltPool(clock.seconds)
            old.add(saltOf(1))
            clock.advance(added)
            new.add(saltOf(1))
            new.load(old.save(1000.0), 1000.0)
            clock.advance(LIFETIME - 1)
            self.assertTrue(new.seen(saltOf(1)))
            clock.advance(1)
            self.assertFalse(new.seen(saltOf(1)))

    def test_damaged(self) -> None:
        """
        What was not saved here, or was cut off, is refused whole.
        """
        self.pool.add(saltOf(1))
        saved = self.pool.save(1000.0)
        whole = SaltPool(self.clock.seconds)
        for length in (*range(20), *range(21, len(saved))):
            error = self.assertRaises(ConfigurationError, whole.load, saved[:length], 1000.0)
            self.assertIn("Shadowsocks", str(error))
        self.assertEqual(len(whole), 0)
        whole.load(saved, 1000.0)
        self.assertTrue(whole.seen(saltOf(1)))

    def test_savesNoMore(self) -> None:
        """
        What need not be remembered is not saved.
        """
        self.pool.add(saltOf(1))
        self.clock.advance(LIFETIME)
        self.assertEqual(self.pool.save(1000.0), SaltPool(self.clock.seconds).save(1000.0))

    def test_quick(self) -> None:
        """
        Forgetting many at once takes no longer than remembering them did.
        """
        for number in range(50_000):
            self.pool.add(saltOf(number))
        self.clock.advance(LIFETIME)
        self.assertFalse(self.pool.seen(saltOf(1)))
        self.assertEqual(len(self.pool), 0)


@given(st.binary(max_size=200))
def test_anySaved(saved: bytes) -> None:
    """
    Any octets are loaded, or refused.
    """
    pool = SaltPool(lambda: 0.0)
    for octets in (saved, b"shadowsocks salts 1\n" + saved):
        try:
            pool.load(octets, 0.0)
        except ConfigurationError:
            pass
