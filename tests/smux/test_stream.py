"""
Tests for L{socksproxy.smux._stream}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.smux._stream import INITIAL_WINDOW, Stream

WRAP = 1 << 32


def streamAt(written: int) -> Stream:
    """
    Make a stream on which so much has been sent and consumed.
    """
    stream = Stream(3, True)
    stream.written = written % WRAP
    assert stream.update(written % WRAP, INITIAL_WINDOW)
    return stream


def take(stream: Stream, octets: int) -> bytes:
    """
    Take octets off the queue.
    """
    parts: list[bytes | memoryview] = []
    stream.take(octets, parts)
    return b"".join(parts)


class WindowTests(SynchronousTestCase):
    """
    How much may be sent.
    """

    def test_beginning(self) -> None:
        """
        Without a word of the peer's there are 262144 octets.
        """
        stream = Stream(3, True)
        self.assertEqual(stream.room, 262144)
        stream.put(bytes(262144))
        take(stream, 262143)
        self.assertEqual(stream.room, 1)
        take(stream, 1)
        self.assertEqual(stream.room, 0)

    def test_update(self) -> None:
        """
        The window begins after what has been consumed, wherever the counter
        is.
        """
        for start in (0, 1000, WRAP - 150, WRAP - 100, WRAP - 1):
            stream = streamAt(start)
            stream.put(bytes(200))
            take(stream, 200)
            self.assertTrue(stream.update((start + 10) % WRAP, 1000))
            self.assertEqual(stream.room, 810)
            self.assertTrue(stream.update((start + 150) % WRAP, 1000))
            self.assertEqual(stream.room, 950)
            self.assertTrue(stream.update((start + 200) % WRAP, 1000))
            self.assertEqual(stream.room, 1000)

    def test_smallerWindow(self) -> None:
        """
        A window that has become smaller than what is under way admits nothing.
        """
        stream = Stream(3, True)
        stream.put(bytes(1000))
        take(stream, 1000)
        self.assertTrue(stream.update(0, 400))
        self.assertEqual(stream.room, -600)

    def test_tooMuch(self) -> None:
        """
        More cannot have been consumed than has been sent.
        """
        for start in (0, WRAP - 100, WRAP - 1):
            stream = streamAt(start)
            stream.put(bytes(200))
            take(stream, 200)
            self.assertFalse(stream.update((start + 201) % WRAP, 1000))
            self.assertFalse(stream.update((start + 200 + (1 << 31)) % WRAP, 1000))
            self.assertEqual(stream.room, INITIAL_WINDOW - 200)

    def test_hugeWindow(self) -> None:
        """
        A window that is too large to count is as large as can be counted.
        """
        stream = Stream(3, True)
        self.assertTrue(stream.update(0, WRAP - 1))
        self.assertEqual(stream.room, (1 << 31) - 1)


@given(
    st.lists(
        st.one_of(st.binary(min_size=1, max_size=40), st.integers(1, 50)), min_size=1, max_size=50
    )
)
@settings(deadline=None)
def test_queue(steps: list[bytes | int]) -> None:
    """
    What is queued is taken in order, in pieces of any size, and counted.
    """
    stream = streamAt(WRAP - 100)
    expected = b""
    taken = 0
    for step in steps:
        if isinstance(step, bytes):
            stream.put(step)
            expected += step
        else:
            octets = min(step, len(expected))
            assert take(stream, octets) == expected[:octets]
            expected = expected[octets:]
            taken += octets
        assert stream.queued == len(expected)
        assert stream.written == (WRAP - 100 + taken) % WRAP
        assert stream.room == INITIAL_WINDOW - taken
    assert stream.drop() == len(expected)
    assert stream.queued == 0
    stream.put(b"next")
    assert take(stream, 4) == b"next"


def test_takesWithoutCopying() -> None:
    """
    A large piece is cut without being copied, and a whole one is handed on.
    """
    stream = Stream(3, True)
    data, small = bytes(100000), b"small"
    stream.put(data)
    stream.put(small)
    parts: list[bytes | memoryview] = []
    stream.take(60000, parts)
    stream.take(40005, parts)
    assert [part.obj for part in parts[:2] if isinstance(part, memoryview)] == [data, data]
    assert parts[2] is small
