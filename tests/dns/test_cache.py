"""
Tests for L{socksproxy.dns.cache}.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.dns.cache import Cache, lifetimeOf
from socksproxy.dns.reply import Reply, readReply
from tests.dns.messages import ANSWERED, POINTER, message, question, record, soa

TC = 0x0200


def answer(ttl: int, size: int = 4) -> Reply:
    """
    Read a reply with one address.
    """
    return readReply(message(question("a.test"), [record(POINTER, 1, ttl, bytes(size))]))


def failure(code: int = 2) -> Reply:
    """
    Read a reply that is an error.
    """
    return readReply(message(question("a.test"), flags=ANSWERED | code))


@pytest.mark.parametrize(
    ("reply", "lifetime"),
    [
        (answer(300), 300),
        (answer(0), 0),
        (answer(100_000), 86400),
        (
            readReply(
                message(
                    question("a.test"),
                    [record(POINTER, 1, ttl, bytes(4)) for ttl in (90, 60, 300)],
                    [record(POINTER, 2, 5, b"\0")],
                    [record(POINTER, 1, 6, b"\0")],
                )
            ),
            60,
        ),
        (readReply(message(question("a.test"), [], [soa(300, 200)])), 200),
        (readReply(message(question("a.test"), [], [soa(300, 200)], flags=ANSWERED | 3)), 200),
        (readReply(message(question("a.test"), [], [soa(9000, 9000)])), 900),
        (readReply(message(question("a.test"), [record(POINTER, 5, 9, b"\0")], [soa(60, 60)])), 9),
        (readReply(message(question("a.test"), [record(POINTER, 5, 99, b"\0")], [soa(6, 6)])), 6),
        (readReply(message(question("a.test"), [record(POINTER, 5, 99, b"\0")])), 0),
        (readReply(message(question("a.test"))), 0),
        (readReply(message(question("a.test"), flags=ANSWERED | 3)), 0),
        (failure(), 5),
        (failure(5), 0),
        (failure(1), 0),
        (readReply(message(question("a.test"), [], [soa(60, 60)], flags=ANSWERED | 5)), 0),
        (readReply(message(question("a.test"), flags=ANSWERED | TC)), 0),
        (readReply(message(question("a.test"), flags=ANSWERED | TC | 2)), 0),
    ],
)
def test_lifetimes(reply: Reply, lifetime: int) -> None:
    """
    An answer is good for its smallest TTL, its denial for what the SOA record
    says, a failure for seconds, and what was truncated not at all.
    """
    assert lifetimeOf(reply) == lifetime


class CacheTestCase(SynchronousTestCase):
    """
    Tests with a cache and a clock.
    """

    def setUp(self) -> None:
        """
        Make a cache of four entries.
        """
        self.clock = Clock()
        self.clock.advance(1000)
        self.cache = Cache(self.clock.seconds, 4)

    def assertHit(self, key: object, age: int, ttl: int | None = None) -> None:
        """
        Require an answer from the cache.
        """
        hit = self.cache.get(key)
        assert hit is not None
        self.assertEqual((hit.age, hit.ttl), (age, ttl))


class TestGet(CacheTestCase):
    """
    Tests for what is good.
    """

    def test_lifetime(self) -> None:
        """
        A reply is given until its lifetime is over, with its age.
        """
        reply = answer(60)
        self.assertTrue(self.cache.put("a", reply))
        self.assertHit("a", 0)
        self.clock.advance(59.5)
        hit = self.cache.get("a")
        assert hit is not None
        self.assertIs(hit.reply, reply)
        self.assertEqual((hit.age, hit.ttl), (59, None))
        self.clock.advance(0.5)
        self.assertIsNone(self.cache.get("a"))

    def test_unknown(self) -> None:
        """
        What was not put in is not there.
        """
        self.cache.put("a", answer(60))
        self.assertIsNone(self.cache.get("b"))
        self.assertIsNone(self.cache.stale("b"))

    def test_notRemembered(self) -> None:
        """
        What may not be remembered is not.
        """
        self.assertFalse(self.cache.put("a", answer(0)))
        self.assertFalse(self.cache.put("b", failure(5)))
        self.assertEqual(len(self.cache), 0)

    def test_replaced(self) -> None:
        """
        A newer answer counts, also one that may not be remembered.
        """
        self.cache.put("a", answer(60))
        self.clock.advance(30)
        self.cache.put("a", answer(40))
        self.assertHit("a", 0)
        self.clock.advance(39)
        self.assertHit("a", 39)
        self.cache.put("a", answer(0))
        self.assertIsNone(self.cache.get("a"))
        self.assertIsNone(self.cache.stale("a"))


class TestStale(CacheTestCase):
    """
    Tests for what is out of date.
    """

    def test_staleAnswers(self) -> None:
        """
        An answer is kept for an hour more, for when there is no other.
        """
        self.cache.put("a", answer(60))
        self.clock.advance(30)
        hit = self.cache.stale("a")
        assert hit is not None
        self.assertEqual((hit.age, hit.ttl, hit.refresh), (30, None, False))
        self.clock.advance(30 + 3599)
        hit = self.cache.stale("a")
        assert hit is not None
        self.assertEqual((hit.ttl, hit.refresh), (30, False))
        self.clock.advance(1)
        self.assertIsNone(self.cache.stale("a"))

    def test_failuresAreNot(self) -> None:
        """
        A failure is remembered for five seconds, and not a moment longer.
        """
        self.cache.put("a", failure())
        self.clock.advance(4)
        self.assertHit("a", 4)
        self.assertIsNone(self.cache.stale("a"))
        self.clock.advance(1)
        self.assertIsNone(self.cache.get("a"))
        self.assertIsNone(self.cache.stale("a"))

    def test_failureKeepsAnswer(self) -> None:
        """
        A failure does not replace an answer that can be used; that is given
        for five seconds before it is worth while to ask anew.
        """
        for worse in failure(), failure(5), readReply(message(question("a.test"), flags=0x8382)):
            cache = Cache(self.clock.seconds)
            cache.put("a", answer(60))
            self.clock.advance(100)
            self.assertIsNone(cache.get("a"))
            self.assertFalse(cache.put("a", worse))
            self.clock.advance(4)
            hit = cache.get("a")
            assert hit is not None
            self.assertEqual((hit.ttl, hit.reply.code), (30, 0))
            self.clock.advance(1)
            self.assertIsNone(cache.get("a"))
            self.assertIsNotNone(cache.stale("a"))

    def test_failureReplaces(self) -> None:
        """
        It does replace an answer that is too old for anything, and another
        failure.
        """
        self.cache.put("a", answer(60))
        self.clock.advance(60 + 3600)
        self.assertTrue(self.cache.put("a", failure()))
        self.clock.advance(4)
        self.assertTrue(self.cache.put("b", failure()))
        self.assertHit("a", 4)
        self.clock.advance(1)
        self.assertTrue(self.cache.put("a", failure()))
        self.assertHit("a", 0)

    def test_noReply(self) -> None:
        """
        The same holds if there was no reply at all.
        """
        self.cache.failed("a")
        self.cache.put("a", answer(60))
        self.clock.advance(60)
        self.cache.failed("a")
        self.assertHit("a", 60, 30)
        self.clock.advance(5)
        self.assertIsNone(self.cache.get("a"))

    def test_recovery(self) -> None:
        """
        The next answer ends this.
        """
        self.cache.put("a", answer(60))
        self.clock.advance(60)
        self.cache.failed("a")
        self.cache.put("a", answer(60))
        self.assertHit("a", 0)


class TestRefresh(CacheTestCase):
    """
    Tests for the hint to ask anew in time.
    """

    def refresh(self) -> bool:
        """
        Look for the answer.
        """
        hit = self.cache.get("a")
        assert hit is not None
        return hit.refresh

    def test_lastPart(self) -> None:
        """
        It is given in the last tenth of an answer's life, once.
        """
        self.cache.put("a", answer(100))
        self.assertFalse(self.refresh())
        self.clock.advance(89)
        self.assertFalse(self.refresh())
        self.clock.advance(1)
        self.assertTrue(self.refresh())
        self.assertFalse(self.refresh())
        self.cache.put("a", answer(100))
        self.assertFalse(self.refresh())
        self.clock.advance(95)
        self.assertTrue(self.refresh())

    def test_firstUse(self) -> None:
        """
        It is not given for what is used for the first time.
        """
        self.cache.put("a", answer(100))
        self.clock.advance(95)
        self.assertFalse(self.refresh())
        self.assertTrue(self.refresh())

    def test_failed(self) -> None:
        """
        If that fails it is given again, but not at once.
        """
        self.cache.put("a", answer(100))
        self.clock.advance(91)
        self.refresh()
        self.assertTrue(self.refresh())
        self.cache.put("a", failure())
        self.clock.advance(4)
        self.assertFalse(self.refresh())
        self.clock.advance(1)
        self.assertTrue(self.refresh())


class TestBounds(CacheTestCase):
    """
    Tests for what has no room.
    """

    def test_leastRecentlyUsed(self) -> None:
        """
        What was put in or used longest ago makes room.
        """
        for key in "abcd":
            self.cache.put(key, answer(60))
        self.cache.get("a")
        self.cache.put("b", answer(60))
        self.cache.put("e", answer(60))
        self.assertEqual(len(self.cache), 4)
        self.assertIsNone(self.cache.get("c"))
        self.clock.advance(60)
        self.cache.stale("d")
        self.cache.put("f", answer(60))
        self.assertIsNone(self.cache.stale("a"))
        self.assertIsNotNone(self.cache.stale("d"))

    def test_octets(self) -> None:
        """
        So it does if there are few, but long ones.
        """
        cache = Cache(self.clock.seconds, 100, 10 * 1024)
        for number in range(10):
            cache.put(number, answer(60, 2000))
        self.assertEqual([n for n in range(10) if cache.get(n)], [7, 8, 9])
        cache.put(9, answer(60))
        cache.put(10, answer(60, 2000))
        self.assertEqual([n for n in range(11) if cache.get(n)], [8, 9, 10])

    def test_exactFit(self) -> None:
        """
        What just fits is remembered.
        """
        octets = 2 * (len(answer(60).octets) + 1024)
        for room, count in (octets, 2), (octets - 1, 1):
            cache = Cache(self.clock.seconds, 100, room)
            cache.put("a", answer(60))
            cache.put("b", answer(60))
            self.assertEqual(len(cache), count)
        self.assertTrue(Cache(self.clock.seconds, 1, octets // 2).put("a", answer(60)))

    def test_tooLong(self) -> None:
        """
        What is longer than all the room there is is not remembered, and
        nothing is forgotten for it.
        """
        cache = Cache(self.clock.seconds, 100, 4096)
        cache.put("a", answer(60))
        self.assertFalse(cache.put("b", answer(60, 4096)))
        self.assertIsNotNone(cache.get("a"))

    def test_flush(self) -> None:
        """
        Everything can be forgotten at once.
        """
        cache = Cache(self.clock.seconds, 100, 4096)
        for _ in range(3):
            self.assertTrue(cache.put("a", answer(60, 2000)))
            cache.flush()
            self.assertEqual(len(cache), 0)
            self.assertIsNone(cache.stale("a"))

    def test_sweep(self) -> None:
        """
        A sweep forgets what is good for nothing.
        """
        self.cache.put("a", answer(60))
        self.cache.put("b", answer(61))
        self.cache.put("c", failure())
        self.clock.advance(5)
        self.assertEqual(self.cache.sweep(), 1)
        self.clock.advance(55 + 3600)
        self.assertEqual(self.cache.sweep(), 1)
        self.assertEqual(len(self.cache), 1)
        self.assertIsNotNone(self.cache.stale("b"))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.sampled_from("psgf"), st.integers(0, 90), st.integers(0, 2000)
        ),
        max_size=40,
    )
)
@settings(deadline=None)
def test_bounded(steps: list[tuple[int, str, int, int]]) -> None:
    """
    Whatever is done, the cache is within its bounds, and what it gives was
    put in and is still good.
    """
    clock = Clock()
    cache = Cache(clock.seconds, 3, 8 * 1024, 100)
    stored: dict[int, tuple[float, Reply]] = {}
    for key, action, number, size in steps:
        clock.advance(number / 2)
        if action == "p":
            reply = answer(number, size)
            if cache.put(key, reply):
                stored[key] = clock.seconds(), reply
        elif action == "f":
            cache.put(key, failure())
        elif action == "s":
            cache.sweep()
        else:
            hit = cache.get(key)
            if hit is not None and hit.reply.code == 0:
                when, reply = stored[key]
                assert hit.reply is reply
                assert hit.ttl is not None or clock.seconds() < when + reply.ttls[0]
                assert clock.seconds() < when + reply.ttls[0] + 100
        held = [entry.octets for entry in cache._entries.values()]
        assert len(cache) <= 3
        assert sum(held) == cache._octets <= 8 * 1024
