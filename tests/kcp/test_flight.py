"""
Tests for L{socksproxy.kcp._flight}.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp._flight import MAX_REPEATED, PARKED, Flight, Segment

RTO = 200
NOW = 10_000


class Plain:
    """
    A segment of L{Walking}.
    """

    def __init__(self, sn: int) -> None:
        self.sn = sn
        self.ts = self.deadline = self.rto = self.xmit = self.fastack = 0
        self.acked = False


class Walking:
    """
    What a flight is, told as simply as possible: everything is found by walking
    over all segments, as kcp-go does it.
    """

    def __init__(self, resend: int, start: int) -> None:
        self.resend = resend
        self.una = self.next = start
        self.segments: list[Plain] = []

    @property
    def sent(self) -> int:
        """
        The number after the last that has been sent.
        """
        return self.una + sum(1 for segment in self.segments if segment.xmit)

    @property
    def nextResend(self) -> int | None:
        """
        The first deadline.
        """
        return min((s.deadline for s in self.segments if s.xmit and not s.acked), default=None)

    def admit(self) -> None:
        """
        Give a number.
        """
        self.segments.append(Plain(self.next))
        self.next += 1

    def acknowledgeUpTo(self, una: int) -> None:
        """
        Drop from the front.
        """
        self.segments = [segment for segment in self.segments if segment.sn >= una]
        self.una = una

    def acknowledge(self, sn: int, ts: int) -> bool:
        """
        Count for all that are older.
        """
        hurry = False
        for segment in self.segments:
            if segment.sn == sn:
                segment.acked = True
            elif segment.sn < sn and segment.ts <= ts and segment.fastack != PARKED:
                segment.fastack += 1
                hurry = hurry or segment.fastack >= self.resend
        return hurry

    def flush(self, now: int, fresh: bool, rto: int, noDelay: bool) -> dict[str, list[int]]:
        """
        Send.

        @return: What is sent for which reason.
        """
        sent: dict[str, list[int]] = {"first": [], "fast": [], "early": [], "lost": []}
        for segment in self.segments:
            if segment.acked:
                continue
            if not segment.xmit:
                reason, segment.rto = "first", rto
            elif self.resend and segment.fastack >= self.resend:
                reason, segment.rto, segment.fastack = "fast", rto, PARKED
            elif segment.fastack > 0 and not fresh:
                reason, segment.rto, segment.fastack = "early", rto, PARKED
            elif now >= segment.deadline:
                reason, segment.fastack = "lost", 0
                segment.rto += rto // 2 if noDelay else rto
            else:
                continue
            segment.deadline = now + segment.rto
            segment.xmit += 1
            segment.ts = now
            sent[reason].append(segment.sn)
        return sent


Step = tuple[str, int, int]

steps = st.tuples(
    st.sampled_from(("admit", "flush", "flush", "ack", "ack", "ack", "una", "wait")),
    st.integers(0, 63),
    st.integers(0, 63),
)


def compare(resend: int, noDelay: bool, start: int, steps: Iterable[Step]) -> None:
    """
    Do the same to a flight and to its model, and require the same of both.
    """
    flight, model = Flight(resend), Walking(resend, start)
    flight.sndUna = flight.sndNxt = start
    now, fresh = NOW, False
    for step, first, second in steps:
        if step == "admit":
            for _ in range(min(first % 8, 40 - len(flight))):
                flight.admit(0, b"data")
                model.admit()
                fresh = True
        elif step == "wait":
            now += (0, 1, 7, 30, 150, 400)[first % 6]
        elif step == "una":
            una = model.una + first % (model.sent - model.una + 1)
            if una > model.una:
                flight.acknowledgeUpTo(una)
                model.acknowledgeUpTo(una)
        elif step == "ack":
            if model.sent > model.una:
                sn = model.una + first % (model.sent - model.una)
                own = model.segments[sn - model.una].ts
                ts = (own, own, own, now, now - 20 * second, now + 500)[second % 6]
                assert flight.acknowledge(sn, ts) == model.acknowledge(sn, ts), (step, sn, ts)
        else:
            rto = (30, 100, RTO)[first % 3]
            expected = model.flush(now, fresh, rto, noDelay)
            again = flight.again(now, fresh, rto, noDelay)
            counts = {"fast": again.fast, "early": again.early, "lost": again.lost}
            assert counts == {reason: len(expected[reason]) for reason in counts}
            repeated = [segment.sn for segment in again.segments]
            assert repeated == sorted(expected["fast"] + expected["early"] + expected["lost"])
            unsent, flight.unsent = flight.unsent, []
            assert [segment.sn for segment in unsent] == expected["first"]
            for segment in unsent:
                segment.rto = rto
            flight.transmitted(again.segments + unsent, now)
            fresh = False
        assert (flight.sndUna, flight.sndNxt, flight.sent) == (model.una, model.next, model.sent)
        assert flight.nextResend == model.nextResend
        assert len(flight) == len(model.segments)
        held = [flight._counted, flight._skipped, flight._flushing]
        assert max(map(len, held)) <= 80
        assert flight._entries == sum(map(len, flight._buckets.values())) <= 4 * 40 + 64
        assert set(flight._times) == set(flight._buckets)


@given(st.sampled_from((0, 1, 2, 3, 5)), st.booleans(), st.lists(steps, max_size=120))
@settings(deadline=None, max_examples=300)
def test_model(resend: int, noDelay: bool, steps: list[Step]) -> None:
    """
    Whatever is sent, acknowledged and waited for, the same is sent again at the
    same time for the same reason as by walking over everything, and the same
    acknowledgements ask for a flush.
    """
    compare(resend, noDelay, 0, steps)


@pytest.mark.parametrize("resend", [0, 1, 2, 5])
def test_modelForLong(resend: int) -> None:
    """
    So it is in long conversations, across the wrap of numbers.
    """
    for seed in range(12):
        random = Random(seed)
        names = ("admit", "admit", "flush", "flush", "ack", "ack", "ack", "ack", "una", "wait")
        long = [
            (random.choice(names), random.randrange(64), random.randrange(64)) for _ in range(1500)
        ]
        compare(resend, seed % 2 == 0, (0, (1 << 32) - 100)[seed % 3 == 0], long)


def flightOf(count: int, resend: int = 2, now: int = NOW) -> Flight:
    """
    Make a flight of segments that have all been sent at the same time.
    """
    flight = Flight(resend)
    for number in range(count):
        flight.admit(0, b"%d" % number)
    send(flight, now)
    return flight


def send(flight: Flight, now: int, fresh: bool = False) -> list[tuple[int, int]]:
    """
    Send what has not been sent, and what is due again.

    @return: The number and the transmissions of what is sent again.
    """
    again = flight.again(now, fresh, RTO, False)
    for segment in flight.unsent:
        segment.rto = RTO
    flight.transmitted(again.segments + flight.unsent, now)
    flight.unsent = []
    return [(segment.sn, segment.xmit) for segment in again.segments]


class FlightTests(SynchronousTestCase):
    """
    What is under way, and what is sent again.
    """

    def test_timeout(self) -> None:
        """
        A segment that is not acknowledged is sent again when its timeout has
        passed, and not before; then it waits for longer each time.
        """
        flight = flightOf(1)
        sent = [NOW]
        for now in range(NOW, NOW + 2500):
            if send(flight, now):
                sent.append(now)
        self.assertEqual([b - a for a, b in pairwise(sent)], [200, 400, 600, 800])

    def test_backOffByHalf(self) -> None:
        """
        Without delay the wait grows by half a timeout.
        """
        flight = flightOf(1)
        sent = [NOW]
        for now in range(NOW, NOW + 2500):
            again = flight.again(now, False, RTO, True)
            flight.transmitted(again.segments, now)
            if again.lost:
                sent.append(now)
        waits = [b - a for a, b in pairwise(sent)]
        self.assertEqual(waits, [200, 300, 400, 500, 600])

    def test_passedOver(self) -> None:
        """
        A segment is sent again after as many acknowledgements of later ones as
        are enough, once.
        """
        flight = flightOf(5)
        self.assertFalse(flight.acknowledge(1, NOW))
        self.assertTrue(flight.acknowledge(2, NOW))
        self.assertEqual(send(flight, NOW + 20, fresh=True), [(0, 2)])
        flight.acknowledge(3, NOW + 20)
        flight.acknowledge(4, NOW + 20)
        self.assertEqual(send(flight, NOW + 21, fresh=True), [])

    def test_passedOverAgain(self) -> None:
        """
        After its timeout a segment is counted anew.
        """
        flight = flightOf(4)
        flight.acknowledge(1, NOW)
        flight.acknowledge(2, NOW)
        send(flight, NOW + 20, fresh=True)
        later = NOW + 20 + RTO
        self.assertEqual(send(flight, later), [(0, 3), (3, 2)])
        flight.acknowledge(3, later)
        self.assertEqual(send(flight, later + 20, fresh=True), [])
        flight.acknowledge(3, later)
        self.assertEqual(send(flight, later + 20, fresh=True), [(0, 4)])

    def test_sentLater(self) -> None:
        """
        An acknowledgement of what was sent earlier passes over nothing.
        """
        flight = flightOf(1)
        flight.admit(0, b"later")
        send(flight, NOW + 5, fresh=True)
        # Segment 0 is sent again after segment 1.
        send(flight, NOW + RTO)
        self.assertFalse(flight.acknowledge(1, NOW + 5))
        self.assertFalse(flight.acknowledge(1, NOW + 5))
        self.assertEqual(send(flight, NOW + RTO + 1), [])

    def test_early(self) -> None:
        """
        When nothing else is sent, having been passed over once is enough.
        """
        flight = flightOf(3)
        flight.acknowledge(1, NOW)
        self.assertEqual(send(flight, NOW + 10, fresh=True), [])
        again = flight.again(NOW + 10, False, RTO, False)
        self.assertEqual((again.early, [segment.sn for segment in again.segments]), (1, [0]))

    def test_onlyEarly(self) -> None:
        """
        Without a threshold, any number of acknowledgements is enough, but only
        when nothing else is sent; each of them asks for a flush.
        """
        flight = flightOf(4, resend=0)
        self.assertTrue(flight.acknowledge(2, NOW))
        self.assertTrue(flight.acknowledge(3, NOW))
        self.assertEqual(send(flight, NOW + 10, fresh=True), [])
        again = flight.again(NOW + 10, False, RTO, False)
        self.assertEqual((again.fast, again.early), (0, 2))

    def test_acknowledgedBehindGap(self) -> None:
        """
        What has arrived behind a gap is not sent again, whatever passes over
        it; but passing over it goes on asking for a flush.
        """
        flight = flightOf(6)
        flight.acknowledge(1, NOW)
        flight.acknowledge(2, NOW)
        flight.acknowledge(3, NOW)
        self.assertEqual(send(flight, NOW + 10), [(0, 2)])
        self.assertTrue(flight.acknowledge(4, NOW))
        self.assertEqual(send(flight, NOW + 11), [])

    def test_acknowledged(self) -> None:
        """
        What has arrived keeps no data, and does not time out.
        """
        flight = flightOf(2)
        segment = flight._segments[1]
        flight.acknowledge(1, NOW)
        self.assertEqual((segment.acked, segment.data), (True, b""))
        self.assertEqual(flight.nextResend, NOW + RTO)
        self.assertEqual(send(flight, NOW + RTO), [(0, 2)])

    def test_upTo(self) -> None:
        """
        What is covered is gone, and nothing of it is kept.
        """
        flight = flightOf(5)
        flight.acknowledge(3, NOW)
        flight.acknowledge(4, NOW)
        flight.acknowledgeUpTo(3)
        self.assertEqual((len(flight), flight.sndUna), (2, 3))
        self.assertIsNone(flight.nextResend)
        flight.acknowledgeUpTo(5)
        self.assertEqual((len(flight), flight._counted, flight._flushing), (0, [], []))

    def test_onAcked(self) -> None:
        """
        Each segment is reported once, with its data, when it has arrived.
        """
        flight = flightOf(4)
        reported = []

        def report(segment: Segment) -> None:
            reported.append((segment.sn, segment.data))

        flight.onAcked = report
        flight.acknowledge(2, NOW)
        flight.acknowledge(2, NOW)
        flight.acknowledgeUpTo(4)
        self.assertEqual(reported, [(2, b"2"), (0, b"0"), (1, b"1"), (3, b"3")])

    def test_wasRepeated(self) -> None:
        """
        All times at which a repeated segment was sent are known, until each was
        asked for; those of one that was sent once are not.
        """
        flight = flightOf(2)
        flight.acknowledge(1, NOW)
        send(flight, NOW + 10)
        flight.acknowledgeUpTo(2)
        self.assertFalse(flight.wasRepeated(1, NOW))
        self.assertFalse(flight.wasRepeated(0, NOW + 9))
        self.assertTrue(flight.wasRepeated(0, NOW + 10))
        self.assertFalse(flight.wasRepeated(0, NOW + 10))
        self.assertTrue(flight.wasRepeated(0, NOW))

    def test_repeatedAreBounded(self) -> None:
        """
        Only the last repetitions are known.
        """
        flight = flightOf(MAX_REPEATED)
        send(flight, NOW + RTO)
        self.assertEqual(len(flight._repeated), MAX_REPEATED)
        self.assertFalse(flight.wasRepeated(0, NOW + RTO))
        self.assertTrue(flight.wasRepeated(MAX_REPEATED - 1, NOW + RTO))

    def test_wasSentAt(self) -> None:
        """
        A segment that is under way was sent when it was sent, first and last,
        and never else.
        """
        flight = flightOf(1)
        flight.admit(0, b"not yet")
        self.assertTrue(flight.wasSentAt(0, NOW))
        for sn, ts in ((0, NOW - 1), (0, NOW + RTO), (1, 0), (2, NOW), (-1, NOW)):
            self.assertFalse(flight.wasSentAt(sn, ts), (sn, ts))
        send(flight, NOW + RTO, fresh=True)
        self.assertTrue(flight.wasSentAt(0, NOW))
        self.assertTrue(flight.wasSentAt(0, NOW + RTO))
        flight.acknowledgeUpTo(1)
        self.assertFalse(flight.wasSentAt(0, NOW))

    def test_timeoutsAreForgotten(self) -> None:
        """
        Timeouts of what has arrived do not pile up behind one that has not.
        """
        flight = flightOf(1)
        for number in range(1, 500):
            now = NOW + number % RTO
            flight.admit(0, b"")
            for segment in flight.unsent:
                segment.rto = RTO + number
            flight.transmitted(flight.unsent, now)
            flight.unsent = []
            flight.acknowledge(number, now)
            self.assertLessEqual(flight._entries, 4 * len(flight) + 64)
        # All but the first have arrived.
        self.assertEqual(flight.nextResend, NOW + RTO)
