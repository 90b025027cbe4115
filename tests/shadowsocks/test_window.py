"""
Tests for L{socksproxy.shadowsocks._window}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.shadowsocks._window import SIZE, Window
from tests.shadowsocks.streams import cases


def taken(window: Window, number: int) -> bool:
    """
    Take a number if it is new.
    """
    new = window.isNew(number)
    if new:
        window.mark(number)
    return new


class TestWindow(SynchronousTestCase):
    """
    Tests for L{Window}.
    """

    def test_vector(self) -> None:
        """
        It takes and refuses what another program does.
        """
        (vector,) = cases("sliding_window")
        self.assertEqual(SIZE, vector["window_size"])
        window = Window()
        self.assertEqual(
            [taken(window, number) for number in vector["packet_ids"]], vector["accepted"]
        )

    def test_looking(self) -> None:
        """
        Asking for a number changes nothing.
        """
        window = Window()
        window.mark(5)
        for number in (7, 7, 4, 4):
            self.assertTrue(window.isNew(number))
        self.assertFalse(window.isNew(5))

    def test_first(self) -> None:
        """
        A session may begin with any number, and what was before it may come
        yet.
        """
        window = Window()
        self.assertTrue(window.isNew(1000))
        self.assertTrue(window.mark(1000))
        self.assertTrue(window.isNew(0))

    def test_highest(self) -> None:
        """
        Marking tells whether the number is the highest so far.
        """
        window = Window()
        self.assertEqual(
            [window.mark(number) for number in (0, 3, 2, 1, 4, 20000, 19999)],
            [True, True, False, False, True, True, False],
        )

    def test_edge(self) -> None:
        """
        The oldest number that can be new is as old as the window is long.
        """
        window = Window()
        window.mark(SIZE + 10)
        self.assertTrue(window.isNew(10))
        self.assertFalse(window.isNew(9))
        window.mark(10)
        self.assertFalse(window.isNew(10))

    def test_jumps(self) -> None:
        """
        A number that is as high as can be costs no more than another, and what
        is kept has a bound.
        """
        window = Window()
        for number in (0, 1 << 40, (1 << 64) - 1):
            self.assertTrue(taken(window, number))
        self.assertTrue(taken(window, (1 << 64) - 1 - SIZE))
        self.assertFalse(taken(window, 1 << 40))
        for number in range(3 * SIZE):
            window = window if number else Window()
            window.mark(number)
        self.assertEqual(window._marked.bit_length(), SIZE + 1)


@given(
    st.lists(
        st.one_of(
            st.integers(0, 40),
            st.integers(SIZE - 3, SIZE + 43),
            st.integers(2 * SIZE, 2 * SIZE + 9),
            st.integers(0, (1 << 64) - 1),
        ),
        max_size=60,
    )
)
def test_asASet(numbers: list[int]) -> None:
    """
    It is the same as a set of all the numbers, of which those count as known
    that are too old.
    """
    window = Window()
    known: set[int] = set()
    for number in numbers:
        new = number not in known and number >= max(known, default=0) - SIZE
        assert taken(window, number) == new
        if new:
            known.add(number)
