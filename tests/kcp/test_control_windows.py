"""
Tests for L{socksproxy.kcp.control}: windows that close and open.
"""

from __future__ import annotations

from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp.control import FIRST_PROBE, MAX_PROBE, ControlBlock
from tests.kcp.blocks import (
    ACK,
    NOW,
    PUSH,
    WASK,
    WINS,
    blockFor,
    commandsOf,
    drain,
    segment,
    segmentsOf,
)


class ClosedTests(SynchronousTestCase):
    """
    The peer has no room.
    """

    def closed(self) -> ControlBlock:
        """
        Make a block with data for a peer that has no room.
        """
        block = blockFor()
        block.input([segment(WINS, wnd=0)], NOW)
        block.send(b"x")
        return block

    def probes(self, block: ControlBlock, count: int) -> list[int]:
        """
        Follow a block's own deadlines, and note when it asks.
        """
        now, asked = NOW, []
        for _ in range(10 * count):
            if len(asked) == count:
                return asked
            wait = block.nextDeadline(now)
            self.assertIsNotNone(wait)
            now += wait or 0
            segs = segmentsOf(block.flush(now))
            if segs:
                self.assertEqual([seg.cmd for seg in segs], [WASK])
                asked.append(now)
        raise self.failureException("does not ask")

    def test_probes(self) -> None:
        """
        It is asked after half a second, then after ever longer, by a half,
        and at least every ten seconds; no data is sent meanwhile.
        """
        asked = self.probes(self.closed(), 20)
        waits = [b - a for a, b in pairwise([NOW, *asked])]
        expected = [FIRST_PROBE]
        while len(expected) < 20:
            expected.append(min(expected[-1] * 3 // 2, MAX_PROBE))
        self.assertEqual(waits, expected)
        self.assertEqual((waits[0], waits[1], waits[-1]), (500, 750, 10_000))

    def test_opened(self) -> None:
        """
        An answer that there is room lets data through at once, and the next
        time begins with half a second again.
        """
        block = self.closed()
        asked = self.probes(block, 5)
        now = asked[-1]
        block.input([segment(WINS, wnd=3)], now)
        self.assertEqual(block.nextDeadline(now), 0)
        self.assertEqual(commandsOf(block.flush(now)), [(PUSH, 0)])
        block.input([segment(ACK, sn=0, ts=now, una=1, wnd=0)], now)
        block.send(b"y")
        block.flush(now)
        self.assertEqual(block.nextDeadline(now), FIRST_PROBE)

    def test_stillClosed(self) -> None:
        """
        An answer that there is none changes nothing.
        """
        block = self.closed()
        (asked,) = self.probes(block, 1)
        block.input([segment(WINS, wnd=0)], asked + 10)
        self.assertEqual(block.nextDeadline(asked + 10), 740)

    def test_nothingToSend(self) -> None:
        """
        A closed window does not matter to somebody who has nothing to send.
        """
        block = blockFor()
        block.input([segment(WINS, wnd=0)], NOW)
        block.flush(NOW)
        self.assertIsNone(block.nextDeadline(NOW))
        self.assertIsNone(block.nextDeadline(NOW + 600))

    def test_underWay(self) -> None:
        """
        What is under way is sent again, whatever the window.
        """
        block = blockFor()
        block.send(b"x")
        block.flush(NOW)
        block.input([segment(WINS, wnd=0)], NOW)
        block.flush(NOW)
        self.assertEqual(block.nextDeadline(NOW), 200)
        self.assertEqual(commandsOf(block.flush(NOW + 200)), [(PUSH, 0)])

    def test_arrivedWithoutRoom(self) -> None:
        """
        A peer that has acknowledged a segment for which it had no room is asked
        until it says that it has; otherwise its word may be lost, and nobody
        ever say anything again.
        """
        block = blockFor()
        block.send(b"x")
        block.flush(NOW)
        block.input([segment(ACK, sn=0, ts=NOW, una=0, wnd=0)], NOW)
        self.assertEqual(self.probes(block, 2), [NOW + 500, NOW + 1250])
        block.input([segment(WINS, una=1, wnd=4)], NOW + 1300)
        self.assertEqual(block.flush(NOW + 1300), [])
        self.assertEqual((block.waiting, block.nextDeadline(NOW + 1300)), (0, None))

    def test_arrivedWithoutWord(self) -> None:
        """
        So it is if the window that it told was not believed, since the word was
        rebuilt.
        """
        block = blockFor(sndwnd=1)
        block.send(b"x")
        block.flush(NOW)
        block.input([segment(ACK, sn=0, ts=NOW, una=0, wnd=0)], NOW, recovered=True)
        self.assertEqual((block.rmtWnd, block.nextDeadline(NOW)), (32, 0))
        self.assertEqual(self.probes(block, 1), [NOW + 500])


class ReaderTests(SynchronousTestCase):
    """
    Our reader is slow.
    """

    def full(self, rcvwnd: int = 3) -> ControlBlock:
        """
        Make a block whose reader has not read a window of data.
        """
        block = blockFor(rcvwnd=rcvwnd)
        block.input([segment(PUSH, sn=sn, data=b"%d" % sn) for sn in range(rcvwnd)], NOW)
        block.flush(NOW)
        return block

    def test_window(self) -> None:
        """
        What waits for the reader makes the window smaller.
        """
        block = blockFor(rcvwnd=3)
        windows = []
        for sn in range(3):
            block.input([segment(PUSH, sn=sn, data=b"x")], NOW)
            windows += [seg.wnd for seg in segmentsOf(block.flush(NOW))]
        self.assertEqual(windows, [2, 1, 0])

    def test_told(self) -> None:
        """
        When there is room again after there was none, the peer is told at once,
        and once.
        """
        block = self.full()
        self.assertIsNone(block.nextDeadline(NOW))
        block.receive()
        self.assertEqual(block.nextDeadline(NOW), 0)
        (seg,) = segmentsOf(block.flush(NOW))
        self.assertEqual((seg.cmd, seg.wnd, seg.una), (WINS, 1, 3))
        block.receive()
        self.assertIsNone(block.nextDeadline(NOW))

    def test_toldByStream(self) -> None:
        """
        So it is when the reader does not care for messages.
        """
        block = self.full()
        block.receiveStream(1)
        (seg,) = segmentsOf(block.flush(NOW))
        self.assertEqual((seg.cmd, seg.wnd), (WINS, 1))

    def test_neverFull(self) -> None:
        """
        Without having been full, reading says nothing.
        """
        block = blockFor(rcvwnd=3)
        block.input([segment(PUSH, sn=sn, data=b"x") for sn in range(2)], NOW)
        block.flush(NOW)
        drain(block)
        self.assertIsNone(block.nextDeadline(NOW))

    def test_filledAtOnce(self) -> None:
        """
        Nothing is told while what came early takes the room that was made; una
        goes on with the next word.
        """
        block = self.full()
        block.input([segment(PUSH, sn=3, data=b"3")], NOW)
        (seg,) = segmentsOf(block.flush(NOW))
        self.assertEqual((seg.cmd, seg.sn, seg.una, seg.wnd), (ACK, 3, 3, 0))
        block.receive()
        self.assertIsNone(block.nextDeadline(NOW))
        block.receive()
        (seg,) = segmentsOf(block.flush(NOW))
        self.assertEqual((seg.cmd, seg.una, seg.wnd), (WINS, 4, 1))

    def test_asked(self) -> None:
        """
        Whoever asks is told, at once.
        """
        block = self.full()
        block.input([segment(WASK)], NOW)
        self.assertEqual(block.nextDeadline(NOW), 0)
        (seg,) = segmentsOf(block.flush(NOW))
        self.assertEqual((seg.cmd, seg.wnd, seg.una), (WINS, 0, 3))

    def test_askedOften(self) -> None:
        """
        However often it is asked at a time, one answer will do.
        """
        block = self.full()
        block.input([segment(WASK)] * 10, NOW)
        self.assertEqual(commandsOf(block.flush(NOW)), [(WINS, 0)])

    def test_ownPayload(self) -> None:
        """
        What is told goes with acknowledgements if there is room.
        """
        for payload, count in ((48, 1), (47, 2)):
            block = blockFor(payload)
            block.input([segment(WASK), segment(PUSH, sn=0, ts=9, data=b"x")], NOW)
            payloads = block.flush(NOW)
            self.assertEqual(commandsOf(payloads), [(ACK, 0), (WINS, 0)])
            self.assertEqual(len(payloads), count)

    def test_wordOfWindow(self) -> None:
        """
        A word about a window is not answered.
        """
        block = self.full()
        block.input([segment(WINS)], NOW)
        self.assertIsNone(block.nextDeadline(NOW))
