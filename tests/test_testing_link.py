"""
Tests for L{socksproxy.testing}: a bad network between two ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import FrozenInstanceError, replace
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.testing import Conditions, Link, NoProgress, drive

WRAP = 2**32


class Watched:
    """
    A link whose right side remembers when what came.

    @ivar arrivals: Times since the beginning, and numbers of datagrams.
    """

    def __init__(self, conditions: Conditions | None = None, **given: Any) -> None:
        self.link = Link(conditions or Conditions(), **given)
        self.start = self.link.now
        self.arrivals: list[tuple[int, int]] = []
        self.link.right.received = self.arrived

    def arrived(self, datagram: bytes) -> None:
        self.arrivals.append((self.link.now - self.start, int.from_bytes(datagram, "big")))

    def send(self, number: int, every: int = 0) -> Watched:
        """
        Send datagrams that are numbered, so many milliseconds apart, and wait
        until the last has arrived.
        """
        for index in range(number):
            self.link.left.send(index.to_bytes(4, "big"))
            if every:
                self.link.advance(every)
        while (arrival := self.link.nextArrival()) is not None:
            self.link.advance(arrival - self.link.now)
        return self

    @property
    def numbers(self) -> list[int]:
        return [number for _, number in self.arrivals]

    def missing(self, number: int) -> list[int]:
        return sorted(set(range(number)) - set(self.numbers))


def runs(numbers: Sequence[int]) -> list[int]:
    """
    Give the lengths of runs of consecutive numbers.
    """
    places = enumerate(numbers)
    return [len(list(run)) for _, run in groupby(places, lambda each: each[1] - each[0])]


class ConditionsTests(SynchronousTestCase):
    """
    The parameters of a link.
    """

    def test_frozen(self) -> None:
        """
        They are values: equal, hashable and not to be changed, even when made
        from lists.
        """
        first = Conditions(loss=[1, 2], blackholes=[(0, 5)])
        self.assertEqual(first, Conditions(loss=(1, 2), blackholes=((0, 5),)))
        self.assertEqual(hash(first), hash(Conditions(loss=(1, 2), blackholes=((0, 5),))))
        self.assertRaises(FrozenInstanceError, setattr, first, "latency", 1)

    def test_impossible(self) -> None:
        """
        What cannot be is refused, and the error names it.
        """
        for wrong in (
            {"loss": -0.1},
            {"loss": 1.1},
            {"duplicate": 2},
            {"reorder": -1},
            {"latency": -1},
            {"jitter": -1},
            {"burst": 0.5},
            {"queue": -1},
            {"mtu": -1},
            {"rate": 0},
        ):
            (name,) = wrong
            with self.subTest(name), pytest.raises(ValueError, match=name):
                Conditions(**wrong)
        self.assertRaises(TypeError, Link, delay=3)


class LinkTests(SynchronousTestCase):
    """
    Time, and what arrives.
    """

    def test_latency(self) -> None:
        """
        A datagram arrives once its latency has passed, and not before.
        """
        link = Link(latency=40)
        received: list[bytes] = []
        link.right.received = received.append
        link.left.send(b"x")
        self.assertEqual(link.nextArrival(), 40)
        link.advance(39)
        self.assertEqual(received, [])
        link.advance(1)
        self.assertEqual(received, [b"x"])
        self.assertEqual((link.now, link.nextArrival()), (40, None))

    def test_bothWays(self) -> None:
        """
        Both sides send and receive, each under its direction's conditions.
        """
        link = Link(Conditions(latency=10), Conditions(latency=30))
        seen: list[tuple[str, bytes, int]] = []
        link.left.received = lambda datagram: seen.append(("left", datagram, link.now))
        link.right.received = lambda datagram: seen.append(("right", datagram, link.now))
        link.right.send(b"down")
        link.left.send(b"up")
        link.advance(100)
        self.assertEqual(seen, [("right", b"up", 10), ("left", b"down", 30)])

    def test_changes(self) -> None:
        """
        Fields may be given without making conditions first, for both ways
        unless one has its own.
        """
        link = Link(Conditions(latency=7, jitter=2), loss=[0])
        self.assertEqual(link.forwards.conditions, Conditions(latency=7, jitter=2, loss=[0]))
        self.assertEqual(link.backwards.conditions, link.forwards.conditions)
        other = Link(backwards=Conditions(latency=1), latency=9)
        self.assertEqual(other.forwards.conditions, Conditions(latency=9))
        self.assertEqual(other.backwards.conditions, Conditions(latency=1))

    def test_answers(self) -> None:
        """
        What is sent on arrival leaves at that time, however far the test moves
        the clock at once.
        """
        link = Link(latency=10)
        answers: list[int] = []
        link.right.received = link.right.send
        link.left.received = lambda datagram: answers.append(link.now)
        link.left.send(b"x")
        link.advance(1000)
        self.assertEqual((answers, link.now), ([20], 1000))

    def test_nobody(self) -> None:
        """
        A side at which nobody listens is no error.
        """
        link = Link()
        link.left.send(b"x")
        link.advance(100)
        self.assertEqual(link.forwards.delivered, 1)

    def test_wrap(self) -> None:
        """
        Time may begin anywhere; it grows for ever, and shows modulo 2**32 what
        protocols see.
        """
        watched = Watched(latency=25, start=WRAP - 10)
        self.assertEqual((watched.link.now, watched.link.now32), (WRAP - 10, WRAP - 10))
        watched.send(1)
        self.assertEqual(watched.arrivals, [(25, 0)])
        self.assertEqual((watched.link.now, watched.link.now32), (WRAP + 15, 15))

    def test_startChangesNothing(self) -> None:
        """
        When time begins makes no difference to what happens.
        """
        bad = Conditions(
            jitter=9, loss=0.2, duplicate=0.1, reorder=0.1, rate=0.5, blackholes=[(50, 90)]
        )
        first, second = (Watched(bad, start=start).send(200, 1) for start in (0, WRAP - 100))
        self.assertEqual(first.arrivals, second.arrivals)

    def test_backInTime(self) -> None:
        """
        Time does not go back.
        """
        self.assertRaises(ValueError, Link().advance, -1)

    def test_repr(self) -> None:
        """
        Its description makes it again.
        """
        link = Link(
            Conditions(loss=[1], jitter=3), Conditions(rate=2.5, blackholes=[(1, 2)]), seed=9
        )
        again = eval(repr(link))
        self.assertEqual(repr(again), repr(link))
        self.assertEqual(again.forwards.conditions, link.forwards.conditions)
        self.assertEqual(again.backwards.conditions, link.backwards.conditions)
        self.assertIn("seed=9", repr(link))
        self.assertIn("start=5", repr(Link(start=5)))


class BadnessTests(SynchronousTestCase):
    """
    Each of the things that happen to datagrams, one at a time.
    """

    def test_chosenLosses(self) -> None:
        """
        Exactly those datagrams are lost whose numbers were given.
        """
        watched = Watched(loss=[0, 3]).send(6)
        self.assertEqual(watched.numbers, [1, 2, 4, 5])
        self.assertEqual(watched.link.forwards.lost, 2)

    def test_loss(self) -> None:
        """
        As many are lost as was asked for, independently: runs of losses are as
        long as chance makes them.
        """
        missing = Watched(loss=0.1, seed=1).send(10_000).missing(10_000)
        self.assertTrue(910 < len(missing) < 1090, len(missing))
        mean = len(missing) / len(runs(missing))
        self.assertTrue(1.05 < mean < 1.18, mean)

    def test_bursts(self) -> None:
        """
        Losses come in runs of the mean length that was asked for, and are no
        more for that.
        """
        for loss, burst in ((0.1, 4.0), (0.3, 10.0), (0.6, 5.0)):
            with self.subTest(loss=loss, burst=burst):
                missing = Watched(loss=loss, burst=burst, seed=3).send(40_000).missing(40_000)
                part = len(missing) / 40_000
                self.assertTrue(0.85 * loss < part < 1.15 * loss, part)
                mean = len(missing) / len(runs(missing))
                self.assertTrue(0.85 * burst < mean < 1.15 * burst, mean)

    def test_all(self) -> None:
        """
        All can be lost, or nothing.
        """
        self.assertEqual(Watched(loss=1, burst=3).send(1000).numbers, [])
        self.assertEqual(Watched(loss=0.0).send(1000).numbers, list(range(1000)))

    def test_jitter(self) -> None:
        """
        Each takes its own time between the bounds, and none overtakes.
        """
        watched = Watched(latency=20, jitter=10, seed=2).send(2000, 20)
        times = [time - 20 * number for time, number in watched.arrivals]
        self.assertEqual((min(times), max(times)), (20, 30))
        self.assertEqual(len(set(times)), 11)
        crowded = Watched(latency=20, jitter=10, seed=2).send(2000, 1)
        self.assertEqual(crowded.numbers, list(range(2000)))

    def test_reorder(self) -> None:
        """
        As many overtake as was asked for, arriving before their time; the
        others keep their order and their time.
        """
        watched = Watched(latency=20, reorder=0.1, seed=4).send(5000, 1)
        times = {number: time - number for time, number in watched.arrivals}
        early = {number for number, time in times.items() if time < 20}
        self.assertTrue(400 < len(early) < 600, len(early))
        self.assertEqual({times[number] for number in early}, set(range(20)))
        kept = [number for number in watched.numbers if number not in early]
        self.assertEqual(kept, sorted(kept))
        self.assertEqual({times[number] for number in kept}, {20})

    def test_reorderAtOnce(self) -> None:
        """
        Also among those that arrive in the same millisecond some overtake.
        """
        watched = Watched(latency=0, reorder=0.2, seed=4).send(50)
        self.assertEqual({time for time, _ in watched.arrivals}, {0})
        self.assertNotEqual(watched.numbers, list(range(50)))
        self.assertEqual(watched.missing(50), [])

    def test_duplicate(self) -> None:
        """
        As many arrive twice as was asked for, the second time up to a delay
        later.
        """
        watched = Watched(latency=20, duplicate=0.1, seed=5).send(5000, 1)
        twice = watched.link.forwards.duplicated
        self.assertTrue(400 < twice < 600, twice)
        self.assertEqual(len(watched.arrivals), 5000 + twice)
        late = {time - number for time, number in watched.arrivals}
        self.assertEqual((min(late), max(late)), (20, 40))

    def test_rate(self) -> None:
        """
        A datagram takes its octets' time, and waits for those before it.
        """
        watched = Watched(latency=10, rate=2)
        for _ in range(3):
            watched.link.left.send(bytes(9))
        watched.link.advance(100)
        self.assertEqual([time for time, _ in watched.arrivals], [15, 19, 24])

    def test_queue(self) -> None:
        """
        Who would have to wait too long for the rate is dropped; once the queue
        has drained, there is room again.
        """
        watched = Watched(latency=0, rate=4, queue=2).send(10)
        self.assertEqual(watched.arrivals, [(1, 0), (2, 1), (3, 2)])
        self.assertEqual(watched.link.forwards.lost, 7)
        watched.send(1)
        self.assertEqual(watched.arrivals[3:], [(4, 0)])

    def test_throughput(self) -> None:
        """
        In the long run what is offered too fast gets through at the rate.
        """
        watched = Watched(rate=0.5).send(10_000, 1)
        rate = len(watched.arrivals) * 4 / watched.link.now
        self.assertTrue(0.498 < rate <= 0.5, rate)

    def test_mtu(self) -> None:
        """
        Longer datagrams are dropped.
        """
        link = Link(mtu=1400)
        received: list[bytes] = []
        link.right.received = received.append
        for octets in (1401, 1400):
            link.left.send(bytes(octets))
        link.advance(100)
        self.assertEqual([len(datagram) for datagram in received], [1400])
        self.assertEqual(link.forwards.lost, 1)

    def test_blackholes(self) -> None:
        """
        What is sent while the way is interrupted is lost; what is under way is
        not.
        """
        watched = Watched(latency=5, blackholes=[(3, 6), (8, 9)], start=1000).send(10, 1)
        self.assertEqual(watched.numbers, [0, 1, 2, 6, 7, 9])

    def test_change(self) -> None:
        """
        Conditions can be changed on the way, for what is sent from then on.
        """
        watched = Watched(latency=20)
        direction = watched.link.forwards
        watched.link.left.send(b"\0")
        direction.conditions = replace(direction.conditions, loss=1.0)
        watched.link.left.send(b"\1")
        direction.conditions = replace(direction.conditions, loss=0.0, latency=30)
        watched.link.left.send(b"\2")
        watched.link.advance(100)
        self.assertEqual(watched.arrivals, [(20, 0), (30, 2)])


class SeedTests(SynchronousTestCase):
    """
    Nothing but the seed decides.
    """

    BAD = Conditions(jitter=20, loss=0.1, burst=2, duplicate=0.1, reorder=0.1)

    def test_same(self) -> None:
        """
        The same seed gives the same arrivals.
        """
        first, second = (Watched(self.BAD, seed=11).send(500, 1).arrivals for _ in range(2))
        self.assertEqual(first, second)

    def test_other(self) -> None:
        """
        Another seed gives others; and so does the other direction.
        """
        first, second = (Watched(self.BAD, seed=seed).send(500, 1).arrivals for seed in (11, 12))
        self.assertNotEqual(first, second)
        link = Link(self.BAD)
        there: list[bytes] = []
        back: list[bytes] = []
        link.right.received, link.left.received = there.append, back.append
        for number in range(200):
            for side in (link.left, link.right):
                side.send(bytes([number]))
        link.advance(200)
        self.assertNotEqual(there, back)

    def test_known(self) -> None:
        """
        A seed means the same in every process: it does not depend on what
        Python hashes to.
        """
        self.assertEqual(Watched(loss=0.2, seed=1).send(30).missing(30), [0, 3, 6, 9, 11, 22, 27])

    def test_directionsApart(self) -> None:
        """
        What is sent one way has no influence on the other.
        """
        quiet, busy = Watched(self.BAD), Watched(self.BAD)
        for _ in range(50):
            busy.link.right.send(b"noise")
        self.assertEqual(quiet.send(200, 1).arrivals, busy.send(200, 1).arrivals)


@settings(max_examples=60, deadline=None)
@given(
    conditions=st.builds(
        Conditions,
        latency=st.integers(0, 50),
        jitter=st.integers(0, 50),
        loss=st.floats(0, 1) | st.lists(st.integers(0, 100)),
        burst=st.floats(1, 20),
        duplicate=st.floats(0, 1),
        reorder=st.floats(0, 1),
        rate=st.none() | st.floats(0.1, 100),
        queue=st.integers(0, 50),
        mtu=st.none() | st.integers(0, 8),
    ),
    seed=st.integers(),
    every=st.integers(0, 5),
)
def test_nothingIsMadeUp(conditions: Conditions, seed: int, every: int) -> None:
    """
    Whatever the conditions, each datagram that was sent is lost or delivered,
    or delivered twice; time only grows, and nothing arrives before it was
    sent.
    """
    watched = Watched(conditions, seed=seed).send(100, every)
    way = watched.link.forwards
    assert way.sent == 100
    assert way.delivered == way.sent - way.lost + way.duplicated == len(watched.arrivals)
    assert len(set(watched.numbers)) == 100 - way.lost
    times = [time for time, _ in watched.arrivals]
    assert times == sorted(times)
    assert all(time >= number * every for time, number in watched.arrivals)


class Stubborn:
    """
    An end that sends each of its words until it is confirmed, one at a time.

    @ivar heard: The other's words.
    @ivar batches: What it was given, and when.
    """

    def __init__(self, words: Sequence[bytes] = (), patience: int = 100) -> None:
        self.words = list(words)
        self.patience = patience
        self.heard: list[bytes] = []
        self.batches: list[tuple[int, list[bytes]]] = []
        self._confirm: list[bytes] = []
        self._again: int | None = None

    def input(self, payloads: Sequence[bytes], now: int) -> None:
        self.batches.append((now, list(payloads)))
        for payload in payloads:
            kind, word = payload[:1], payload[1:]
            if kind == b"?":
                self._confirm.append(b"!" + word)
                if word not in self.heard:
                    self.heard.append(word)
            elif self.words and self.words[0] == word:
                self.words.pop(0)
                self._again = None

    def flush(self, now: int) -> list[bytes]:
        sent, self._confirm = self._confirm, []
        if self.nextDeadline(now) == 0:
            sent.append(b"?" + self.words[0])
            self._again = (now + self.patience) % WRAP
        return sent

    def nextDeadline(self, now: int) -> int | None:
        if self._confirm:
            return 0
        if not self.words:
            return None
        if self._again is None:
            return 0
        left = (self._again - now) % WRAP
        return left if left < WRAP // 2 else 0


class Restless(Stubborn):
    """
    An end that always wants to be flushed, and has nothing to send.
    """

    def nextDeadline(self, now: int) -> int | None:
        return 0

    def flush(self, now: int) -> list[bytes]:
        return []


class DriveTests(SynchronousTestCase):
    """
    Two machines against each other.
    """

    WORDS = [b"%d" % number for number in range(20)]

    def test_toTheEnd(self) -> None:
        """
        It runs until what is wanted is so, and says how long that took.
        """
        left, right = Stubborn([b"a", b"b"]), Stubborn()
        link = Link(latency=30)
        self.assertEqual(drive(link, (left, right), lambda: not left.words), 120)
        self.assertEqual((right.heard, link.now), ([b"a", b"b"], 120))

    def test_already(self) -> None:
        """
        Nothing is done when it is so already.
        """
        left = Stubborn([b"a"])
        link = Link()
        self.assertEqual(drive(link, (left, Stubborn()), lambda: True), 0)
        self.assertEqual(link.forwards.sent, 0)

    def test_deadlines(self) -> None:
        """
        An end is flushed when it wants to, neither before nor after.
        """
        left, right = Stubborn([b"a"], patience=70), Stubborn()
        link = Link(latency=10, loss=[0, 1])
        drive(link, (left, right), lambda: bool(right.heard))
        self.assertEqual(right.batches, [(70 * 2 + 10, [b"?a"])])

    def test_lossy(self) -> None:
        """
        Both get all of it over a bad network, across the wrap of time, and the
        same again with the same seed.
        """
        outcomes = []
        for _ in range(2):
            left, right = Stubborn(self.WORDS), Stubborn(self.WORDS)
            link = Link(loss=0.3, jitter=20, duplicate=0.2, seed=5, start=WRAP - 500)
            drive(link, (left, right), lambda left=left, right=right: not left.words + right.words)  # type: ignore[misc]
            self.assertEqual((left.heard, right.heard), (self.WORDS, self.WORDS))
            self.assertGreater(link.now, WRAP)
            outcomes.append((link.now, left.batches, right.batches))
        self.assertEqual(outcomes[0], outcomes[1])

    def test_wrapped(self) -> None:
        """
        Ends are told the time modulo 2**32.
        """
        left, right = Stubborn([b"a"]), Stubborn()
        drive(Link(latency=25, start=WRAP - 10), (left, right), lambda: bool(right.heard))
        self.assertEqual(right.batches[0][0], 15)

    def test_batches(self) -> None:
        """
        What arrives in the same millisecond is given together.
        """
        link = Link(latency=10)
        right = Stubborn()
        for word in (b"?a", b"?b"):
            link.left.send(word)
        link.advance(1)
        link.left.send(b"?c")
        drive(link, (Stubborn(), right), lambda: len(right.heard) == 3)
        self.assertEqual(right.batches, [(10, [b"?a", b"?b"]), (11, [b"?c"])])

    def test_sentMeanwhile(self) -> None:
        """
        The test may give the ends something to do while it is asked.
        """
        left, right = Stubborn(), Stubborn()

        def until() -> bool:
            if len(right.heard) < 3 and not left.words:
                left.words.append(b"%d" % len(right.heard))
            return len(right.heard) == 3

        drive(Link(), (left, right), until)
        self.assertEqual(right.heard, [b"0", b"1", b"2"])

    def test_tooLong(self) -> None:
        """
        It fails when it takes longer than it may, and says what makes the same
        happen again.
        """
        link = Link(loss=1.0, seed=77)
        with pytest.raises(NoProgress) as caught:
            drive(link, (Stubborn([b"a"]), Stubborn()), lambda: False, limit=1000)
        self.assertIn("1000 ms", str(caught.value))
        self.assertIn(repr(link), str(caught.value))
        self.assertIn("11 sent, 11 lost", str(caught.value))
        self.assertEqual(link.now, 1000)
        self.assertIsInstance(caught.value, AssertionError)

    def test_liveLock(self) -> None:
        """
        An end that always wants to be flushed fails instead of hanging.
        """
        link = Link(seed=78)
        with pytest.raises(NoProgress) as caught:
            drive(link, (Restless(), Stubborn()), lambda: False, steps=500)
        self.assertIn("500 steps", str(caught.value))
        self.assertIn(repr(link), str(caught.value))
        self.assertEqual(link.now, 0)

    def test_atOnce(self) -> None:
        """
        So do ends that answer each other for ever in no time.
        """
        left, right = Stubborn(), Stubborn()
        left.flush = right.flush = lambda now: [b"?a"]  # type: ignore[method-assign]
        left.words.append(b"b")
        link = Link(latency=0)
        self.assertRaises(
            NoProgress, drive, link, (left, right), lambda: False, limit=10, steps=1000
        )
        self.assertEqual(link.now, 0)

    def test_nothingToWaitFor(self) -> None:
        """
        It fails at once when nothing will ever happen any more.
        """
        link = Link(seed=79)
        with pytest.raises(NoProgress) as caught:
            drive(link, (Stubborn([b"a"]), Stubborn()), lambda: False)
        self.assertIn("nothing is under way", str(caught.value))
        self.assertIn(repr(link), str(caught.value))
        self.assertEqual(link.now, 50)

    def test_faults(self) -> None:
        """
        A fault of an end goes to the test, with what makes it happen again.
        """
        left = Stubborn([b"a"])
        left.flush = lambda now: [b"%d" % (1 // now)]  # type: ignore[method-assign]
        link = Link(seed=80)
        with pytest.raises(ZeroDivisionError) as caught:
            drive(link, (left, Stubborn()), lambda: False)
        self.assertIn(repr(link), "".join(caught.value.__notes__))

    def test_receivers(self) -> None:
        """
        Who listened before listens again afterwards, however it ends.
        """
        link = Link()
        before = link.left.received, link.right.received
        drive(link, (Stubborn([b"a"]), Stubborn()), lambda: link.now > 0)
        self.assertRaises(NoProgress, drive, link, (Restless(), Stubborn()), bool, steps=1)
        self.assertEqual((link.left.received, link.right.received), before)
