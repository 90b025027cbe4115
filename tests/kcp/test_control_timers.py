"""
Tests for L{socksproxy.kcp.control}: time.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp._segment import MASK
from socksproxy.kcp.control import ControlBlock
from tests.kcp.blocks import ACK, NOW, PUSH, blockFor, commandsOf, segment, segmentsOf

WEEKS = 40 * 86_400_000


def transmissions(block: ControlBlock, count: int, now: int) -> list[int]:
    """
    Follow a block's own deadlines, and note when it sends.
    """
    times = []
    for _ in range(10 * count):
        if block.flush(now):
            times.append(now)
        if len(times) == count:
            break
        wait = block.nextDeadline(now)
        assert wait is not None
        assert wait > 0
        now += wait
    return times


class TimeoutTests(SynchronousTestCase):
    """
    What nobody acknowledges.
    """

    def test_deadline(self) -> None:
        """
        The deadline is the first segment's, wherever the clock stands.
        """
        for now in (0, NOW, MASK, MASK - 100):
            block = blockFor()
            block.send(b"x")
            self.assertEqual(block.nextDeadline(now), 0)
            block.flush(now)
            self.assertEqual(block.nextDeadline(now), 200)
            self.assertEqual(block.nextDeadline(now + 150 & MASK), 50)
            self.assertEqual(block.nextDeadline(now + 250 & MASK), 0)
            self.assertEqual(commandsOf(block.flush(now + 250 & MASK)), [(PUSH, 0)])

    def test_backOff(self) -> None:
        """
        In a black hole a segment is sent again after ever longer.
        """
        for noDelay, waits in (
            (False, [200, 400, 600, 800, 1000]),
            (True, [200, 300, 400, 500, 600]),
        ):
            block = blockFor(nodelay=noDelay)
            block.send(b"x")
            times = transmissions(block, 6, NOW)
            self.assertEqual([b - a for a, b in pairwise(times)], waits)

    def test_dead(self) -> None:
        """
        A conversation is called dead when a segment has been sent twenty
        times; it is sent on all the same, and acknowledged when it arrives.
        """
        block = blockFor()
        block.send(b"x")
        times = transmissions(block, 19, NOW)
        self.assertFalse(block.dead)
        now = times[-1] + (block.nextDeadline(times[-1]) or 0)
        self.assertEqual(transmissions(block, 1, now), [now])
        self.assertTrue(block.dead)
        self.assertIsNotNone(block.nextDeadline(now))
        block.input([segment(ACK, sn=0, ts=now, una=1)], now)
        block.flush(now)
        self.assertEqual((block.waiting, block.nextDeadline(now)), (0, None))

    def test_deadLink(self) -> None:
        """
        How often that is can be set.
        """
        block = blockFor(deadlink=2)
        block.send(b"x")
        transmissions(block, 1, NOW)
        self.assertFalse(block.dead)
        block.flush(NOW + 200)
        self.assertTrue(block.dead)


class ClockTests(SynchronousTestCase):
    """
    The clock of a conversation.
    """

    def block(self, now: int) -> ControlBlock:
        """
        Make a block that has just had something acknowledged.
        """
        block = blockFor()
        block.send(b"x")
        block.flush(now)
        block.input([segment(ACK, sn=0, ts=now, una=1)], now + 20 & MASK)
        block.flush(now + 20 & MASK)
        return block

    def test_idleForWeeks(self) -> None:
        """
        After weeks without anything a conversation goes on.
        """
        now = MASK - 20
        block = self.block(now)
        now = now + WEEKS & MASK
        block.send(b"y")
        self.assertEqual(block.nextDeadline(now), 0)
        (seg,) = segmentsOf(block.flush(now))
        self.assertEqual(seg.ts, now)
        wait = block.nextDeadline(now)
        self.assertEqual(wait, block.rto)
        now = now + block.rto & MASK
        self.assertEqual(block.nextDeadline(now), 0)
        self.assertEqual(commandsOf(block.flush(now)), [(PUSH, 1)])

    def test_back(self) -> None:
        """
        A clock that goes back a little is taken to stand still.
        """
        block = self.block(NOW)
        block.send(b"y")
        block.flush(NOW + 5)
        # It had shown 20 already.
        self.assertEqual(block.nextDeadline(NOW + 5), block.rto)
        self.assertEqual(block.nextDeadline(NOW + 30), block.rto - 10)

    def test_beginning(self) -> None:
        """
        Time may begin with 0.
        """
        block = blockFor(interval=30)
        block.input([segment(PUSH, data=b"x")], 0)
        self.assertEqual(block.nextDeadline(0), 30)
        self.assertEqual(block.nextDeadline(29), 1)
        self.assertEqual(block.nextDeadline(30), 0)


@given(st.integers(0, MASK), st.lists(st.integers(0, 1 << 31), min_size=1, max_size=20))
def test_goesOn(start: int, steps: list[int]) -> None:
    """
    However time passes, what is not acknowledged is sent again when it is due,
    and a flush never leaves a deadline behind it.
    """
    block = blockFor()
    block.send(b"x")
    now, due = start, 0
    for step in steps:
        payloads = block.flush(now)
        assert bool(payloads) == (due <= 0)
        wait = block.nextDeadline(now)
        assert wait is not None
        assert wait > 0
        due = wait - step
        now = now + step & MASK
