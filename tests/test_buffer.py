"""
Tests for L{socksproxy.buffer}.
"""

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.buffer import Buffer
from socksproxy.errors import MalformedMessage, MessageTooLong
from tests.codec import counted, decodeCounted


def decodeNothing(data: bytes) -> tuple[bytes, int] | None:
    """
    Find fault with everything.
    """
    raise MalformedMessage("nothing is good enough")


def messagesIn(buffer: Buffer) -> Iterator[bytes]:
    """
    Take every complete message.
    """
    while (message := buffer.decode(decodeCounted)) is not None:
        yield message


class BufferTests(SynchronousTestCase):
    """
    A buffer holds what is not understood yet.
    """

    def test_incomplete(self) -> None:
        """
        An incomplete message is not consumed.
        """
        buffer = Buffer(10)
        buffer.feed(b"\3ab")
        self.assertIsNone(buffer.decode(decodeCounted))
        self.assertEqual(len(buffer), 3)
        buffer.feed(b"c")
        self.assertEqual(buffer.decode(decodeCounted), b"abc")
        self.assertEqual(len(buffer), 0)

    def test_several(self) -> None:
        """
        Messages that came together are taken one by one, and what follows
        them stays.
        """
        buffer = Buffer(20)
        buffer.feed(b"\1a\0\2bc\7rest")
        self.assertEqual(list(messagesIn(buffer)), [b"a", b"", b"bc"])
        self.assertEqual(buffer.takeAll(), b"\7rest")

    def test_error(self) -> None:
        """
        A decoder's error passes through and nothing is consumed.
        """
        buffer = Buffer(10)
        buffer.feed(b"abc")
        self.assertRaises(MalformedMessage, buffer.decode, decodeNothing)
        self.assertEqual(buffer.takeAll(), b"abc")

    def test_lookAhead(self) -> None:
        """
        A decoder that consumes nothing leaves its message to the next.
        """
        buffer = Buffer(10)
        buffer.feed(b"\1a")
        self.assertEqual(buffer.decode(lambda data: (data[0], 0)), 1)
        self.assertEqual(buffer.decode(decodeCounted), b"a")

    def test_takeAll(self) -> None:
        """
        Everything is given once.
        """
        buffer = Buffer(10)
        buffer.feed(b"abc")
        self.assertEqual(buffer.takeAll(), b"abc")
        self.assertEqual(buffer.takeAll(), b"")
        self.assertEqual(len(buffer), 0)

    def test_limit(self) -> None:
        """
        A buffer can be filled to its limit. What would not fit is refused as a
        whole and leaves the buffer as it was.
        """
        buffer = Buffer(4)
        buffer.feed(b"abc")
        self.assertRaises(MessageTooLong, buffer.feed, b"de")
        self.assertEqual(len(buffer), 3)
        buffer.feed(b"d")
        self.assertRaises(MessageTooLong, buffer.feed, b"e")
        self.assertEqual(buffer.takeAll(), b"abcd")

    def test_roomComesBack(self) -> None:
        """
        What has been taken does not count against the limit.
        """
        buffer = Buffer(4)
        for _ in range(5):
            buffer.feed(b"\3abc")
            self.assertEqual(buffer.decode(decodeCounted), b"abc")

    @given(
        messages=st.lists(st.binary(max_size=20), max_size=10),
        rest=st.binary(max_size=5).map(lambda octets: b"\xff" + octets),
        cuts=st.lists(st.integers(0, 220), max_size=8),
    )
    @settings(deadline=None)
    def test_anyCut(self, messages: list[bytes], rest: bytes, cuts: list[int]) -> None:
        """
        However a stream is cut, the same messages come out of it.
        """
        stream = b"".join(map(counted, messages)) + rest
        buffer = Buffer(len(stream))
        edges = [0, *sorted(cuts), len(stream)]
        found: list[bytes] = []
        for start, end in pairwise(edges):
            buffer.feed(stream[start:end])
            found += messagesIn(buffer)
        self.assertEqual(found, messages)
        self.assertEqual(buffer.takeAll(), rest)
