"""
Tests for L{socksproxy.smux._backlog}.
"""

from __future__ import annotations

import sys

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.smux._backlog import Backlog


class BacklogTests(SynchronousTestCase):
    """
    Data that waits.
    """

    def test_order(self) -> None:
        """
        What is put in comes out in order, in pieces of the size asked for.
        """
        backlog = Backlog()
        backlog.put([b"abc", memoryview(b"def")])
        backlog.put([b"g"])
        self.assertEqual(len(backlog), 7)
        self.assertEqual(
            [backlog.take(3), backlog.take(3), backlog.take(3)], [b"abc", b"def", b"g"]
        )
        self.assertEqual((len(backlog), backlog.take(3)), (0, b""))

    def test_clear(self) -> None:
        """
        What is thrown away is gone.
        """
        backlog = Backlog()
        backlog.put([b"abcdef"])
        backlog.take(1)
        backlog.clear()
        self.assertEqual((len(backlog), backlog.take(9)), (0, b""))
        backlog.put([b"x"])
        self.assertEqual(backlog.take(9), b"x")

    def test_smallPieces(self) -> None:
        """
        A hundred thousand single octets take little more room than one piece
        of that length.
        """
        backlog = Backlog()
        for _ in range(100000):
            backlog.put([b"x"])
        self.assertLess(sys.getsizeof(backlog._data), 130000)

    def test_keepsNothingTaken(self) -> None:
        """
        What has been taken does not pile up before what has not.
        """
        backlog = Backlog()
        backlog.put([bytes(1000)])
        for _ in range(1000):
            backlog.put([bytes(100)])
            backlog.take(100)
            self.assertLess(len(backlog._data), 2300)
        self.assertEqual(len(backlog), 1000)


@given(st.lists(st.one_of(st.binary(max_size=50), st.integers(1, 60)), max_size=60))
@settings(deadline=None)
def test_sameOctets(steps: list[bytes | int]) -> None:
    """
    Nothing is lost, doubled or moved, in whatever order it goes in and out.
    """
    backlog = Backlog()
    expected = b""
    for step in steps:
        if isinstance(step, bytes):
            backlog.put([step])
            expected += step
        else:
            assert backlog.take(step) == expected[:step]
            expected = expected[step:]
        assert len(backlog) == len(expected)
    assert backlog.take(len(expected)) == expected
