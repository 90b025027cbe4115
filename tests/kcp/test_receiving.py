"""
Tests for L{socksproxy.kcp._receiving}.
"""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.errors import MalformedMessage
from socksproxy.kcp._receiving import Receiving
from socksproxy.kcp._segment import MASK


def messagesOf(receiving: Receiving) -> list[bytes]:
    """
    Take all messages.
    """
    found = []
    while (message := receiving.take()) is not None:
        found.append(message)
    return found


class ReceivingTests(SynchronousTestCase):
    """
    Data is put in order, and acknowledged.
    """

    def receiving(self, rcvWnd: int = 4, stream: bool = True) -> Receiving:
        """
        Make a receiving half.
        """
        return Receiving(rcvWnd, stream)

    def test_inOrder(self) -> None:
        """
        What comes in order can be read at once, and is acknowledged with the
        time that it carried.
        """
        receiving = self.receiving()
        receiving.push(0, 1000, 0, b"a")
        receiving.push(1, 1001, 0, b"b")
        self.assertEqual((receiving.rcvNxt, receiving.waiting, receiving.free), (2, 2, 2))
        self.assertEqual(receiving.acklist, [(0, 1000), (1, 1001)])
        self.assertEqual(messagesOf(receiving), [b"a", b"b"])
        self.assertEqual(receiving.free, 4)

    def test_gap(self) -> None:
        """
        What is ahead of a gap is acknowledged, and waits until the gap is
        filled. It does not make the window smaller.
        """
        receiving = self.receiving()
        receiving.push(2, 1000, 0, b"c")
        receiving.push(1, 1001, 0, b"b")
        self.assertEqual((receiving.rcvNxt, receiving.waiting, receiving.early), (0, 0, 2))
        self.assertEqual((receiving.free, receiving.take()), (4, None))
        receiving.push(0, 1002, 0, b"a")
        self.assertEqual((receiving.rcvNxt, receiving.early), (3, 0))
        self.assertEqual(messagesOf(receiving), [b"a", b"b", b"c"])
        self.assertEqual(receiving.acklist, [(2, 1000), (1, 1001), (0, 1002)])

    def test_repeated(self) -> None:
        """
        What has come already is acknowledged again and not read twice, whether
        it was read, can be, or waits for others.
        """
        receiving = self.receiving()
        receiving.push(0, 1000, 0, b"a")
        receiving.take()
        receiving.push(1, 1000, 0, b"b")
        receiving.push(3, 1000, 0, b"d")
        for sn in (0, 1, 3):
            receiving.push(sn, 2000, 0, b"again")
        self.assertEqual(receiving.repeated, 3)
        self.assertEqual(receiving.acklist[3:], [(0, 2000), (1, 2000), (3, 2000)])
        receiving.push(2, 1000, 0, b"c")
        self.assertEqual(messagesOf(receiving), [b"b", b"c", b"d"])

    def test_beyond(self) -> None:
        """
        What is beyond the window is dropped and not acknowledged.
        """
        receiving = self.receiving()
        receiving.push(4, 1000, 0, b"e")
        receiving.push(1 << 30, 1000, 0, b"far")
        self.assertEqual((receiving.beyond, receiving.early, receiving.acklist), (2, 0, []))
        receiving.push(3, 1000, 0, b"d")
        self.assertEqual((receiving.beyond, receiving.early), (2, 1))

    def test_longAgo(self) -> None:
        """
        A number from long ago is acknowledged: what acknowledged it before was
        lost perhaps.
        """
        receiving = self.receiving()
        receiving.rcvNxt = 1 << 20
        receiving.push(3, 1000, 0, b"old")
        self.assertEqual((receiving.repeated, receiving.acklist), (1, [(3, 1000)]))

    def test_full(self) -> None:
        """
        When as much waits for the reader as there is room for, what comes next
        is kept for later, and each segment that is read lets one in.
        """
        receiving = self.receiving(2)
        for sn in range(5):
            receiving.push(sn, 1000, 0, b"%d" % sn)
        self.assertEqual((receiving.waiting, receiving.early, receiving.free), (2, 2, 0))
        self.assertEqual((receiving.rcvNxt, receiving.beyond), (2, 1))
        self.assertEqual(receiving.take(), b"0")
        self.assertEqual((receiving.waiting, receiving.early, receiving.rcvNxt), (2, 1, 3))
        self.assertEqual(messagesOf(receiving), [b"1", b"2", b"3"])

    def test_message(self) -> None:
        """
        A message is read when its last fragment is there, and as one.
        """
        receiving = self.receiving(stream=False)
        receiving.push(0, 1000, 2, b"a")
        receiving.push(1, 1000, 1, b"b")
        self.assertIsNone(receiving.take())
        receiving.push(2, 1000, 0, b"c")
        receiving.push(3, 1000, 0, b"next")
        self.assertEqual(receiving.take(), b"abc")
        self.assertEqual(receiving.take(), b"next")
        self.assertIsNone(receiving.take())

    def test_largestMessage(self) -> None:
        """
        A message may need the whole window, but not more: such a fragment is
        not acknowledged, since it could never be read.
        """
        receiving = self.receiving(stream=False)
        self.assertRaises(MalformedMessage, receiving.push, 0, 1000, 4, b"")
        self.assertEqual((receiving.waiting, receiving.early, receiving.acklist), (0, 0, []))
        for sn in range(4):
            receiving.push(sn, 1000, 3 - sn, b"x")
        self.assertEqual(receiving.take(), b"xxxx")

    def test_fragmentsInStream(self) -> None:
        """
        In stream mode fragments do not count, however many are to follow.
        """
        receiving = self.receiving()
        receiving.push(0, 1000, 200, b"a")
        self.assertEqual(receiving.take(), b"a")

    def test_inconsistentFragments(self) -> None:
        """
        A message whose fragments say different things ends where one says so,
        or where there are no more.
        """
        receiving = self.receiving(stream=False)
        receiving.push(0, 1000, 1, b"a")
        receiving.push(1, 1000, 3, b"b")
        receiving.push(2, 1000, 0, b"c")
        self.assertEqual(receiving.take(), b"abc")
        receiving.push(3, 1000, 1, b"d")
        receiving.push(4, 1000, 1, b"e")
        self.assertEqual(receiving.take(), b"de")

    def test_takeStream(self) -> None:
        """
        A reader that does not care for messages takes as much as it wants, in
        whole segments.
        """
        receiving = self.receiving(stream=False)
        for sn, frg in enumerate((1, 0, 1)):
            receiving.push(sn, 1000, frg, b"ab")
        self.assertEqual(receiving.takeStream(5), b"abab")
        self.assertEqual(receiving.takeStream(1), b"ab")
        self.assertEqual(receiving.takeStream(1), b"")

    def test_takeStreamOfMore(self) -> None:
        """
        It gets what had to wait for room, too.
        """
        receiving = self.receiving(2)
        for sn in range(4):
            receiving.push(sn, 1000, 0, b"%d" % sn)
        self.assertEqual(receiving.takeStream(100), b"0123")
        self.assertEqual((receiving.waiting, receiving.early, receiving.rcvNxt), (0, 0, 4))

    def test_nothingInIt(self) -> None:
        """
        Segments without data take their turn and do not end what is read.
        """
        receiving = self.receiving()
        for sn, data in enumerate((b"", b"a", b"")):
            receiving.push(sn, 1000, 0, data)
        self.assertEqual(receiving.takeStream(100), b"a")
        self.assertEqual(receiving.waiting, 0)

    def test_wrap(self) -> None:
        """
        Numbers go on over 2**32.
        """
        receiving = self.receiving()
        receiving.rcvNxt = (1 << 32) - 2
        for sn in (0, 1, 0xFFFFFFFF, 0xFFFFFFFE):
            receiving.push(sn, 1000, 0, b"%d" % (sn & 15))
        self.assertEqual(messagesOf(receiving), [b"14", b"15", b"0", b"1"])
        self.assertEqual(receiving.rcvNxt, (1 << 32) + 2)
        receiving.push(0xFFFFFFFF, 1000, 0, b"again")
        self.assertEqual((receiving.repeated, receiving.waiting), (1, 0))


@given(
    st.integers(1, 6),
    st.sampled_from((0, (1 << 32) - 3)),
    st.lists(st.one_of(st.integers(-3, 12), st.none()), max_size=80),
)
@settings(deadline=None)
def test_anyOrder(rcvWnd: int, start: int, events: list[int | None]) -> None:
    """
    Whatever comes in whatever order, and however it is read, what is read is
    each segment once and in order, and no more is kept than two windows.
    """
    receiving = Receiving(rcvWnd, True)
    receiving.rcvNxt = start
    read = []
    held: set[int] = set()
    for event in events:
        if event is None:
            data = receiving.take()
            if data is not None:
                read.append(int(data))
            continue
        sn, expected = start + event, receiving.rcvNxt
        acknowledged = len(receiving.acklist)
        receiving.push(sn & MASK, 1000, 0, b"%d" % sn)
        assert len(receiving.acklist) - acknowledged == (sn < expected + rcvWnd)
        if expected <= sn < expected + rcvWnd:
            held.add(sn)
        assert receiving.waiting <= rcvWnd
        assert receiving.early <= rcvWnd
    while (data := receiving.take()) is not None:
        read.append(int(data))
    assert read == list(range(start, start + len(read)))
    assert set(read) <= held
    # Only what is ahead of a gap is left.
    assert start + len(read) not in held


def test_shuffled() -> None:
    """
    A window that comes in any order is put in order.
    """
    for seed in range(50):
        order = list(range(100))
        Random(seed).shuffle(order)
        receiving = Receiving(100, True)
        for sn in order:
            receiving.push(sn, 1000, 0, bytes([sn]))
        assert receiving.takeStream(1 << 20) == bytes(range(100))
