"""
Tests for L{socksproxy.dns._numbering}.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from socksproxy.dns._numbering import Numbering


def added(numbering: Numbering, *names: str) -> list[int | None]:
    """
    Give numbers to names.
    """
    return [numbering.add(name) for name in names]


class TestAdd:
    """
    Tests for C{Numbering.add}.
    """

    def test_sameAgain(self) -> None:
        """
        A name gets the same number wherever it comes first.
        """
        names = [f"{number}.test" for number in range(50)]
        first = dict(zip(names, added(Numbering(131070, 65536), *names), strict=True))
        names.reverse()
        second = dict(zip(names, added(Numbering(131070, 65536), *names), strict=True))
        assert first == second
        assert len(set(first.values())) == 50

    def test_nextOne(self) -> None:
        """
        If its number is taken, it gets the next one that is free, and the
        first one after the last.
        """
        names = [f"{number}.test" for number in range(5)]
        firsts = [Numbering(5, 5).add(name) for name in names]
        assert len(set(firsts)) < 5
        numbering = Numbering(5, 5)
        for name, first in zip(names, firsts, strict=True):
            assert first is not None
            free = [n % 5 for n in range(first, first + 5) if n % 5 not in numbering.names]
            assert numbering.add(name) == free[0]
        assert sorted(numbering.names) == [0, 1, 2, 3, 4]

    def test_full(self) -> None:
        """
        When there is none left, the name that was used longest ago gives its
        number away.
        """
        numbering = Numbering(3, 3)
        a, b, c = added(numbering, "a", "b", "c")
        assert a is not None
        numbering.use(a)
        assert added(numbering, "d", "e", "f") == [b, c, a]
        assert set(numbering.numbers) == {"d", "e", "f"}

    def test_size(self) -> None:
        """
        The same happens when there are as many names as there may be.
        """
        numbering = Numbering(100, 2)
        a, b = added(numbering, "a", "b")
        assert added(numbering, "c", "d") == [a, b]
        assert len(numbering) == 2

    def test_crowd(self) -> None:
        """
        Not too many numbers are tried.
        """
        numbering = Numbering(1000, 1000)
        first = numbering.add("a")
        assert first is not None
        for step in range(1, 256):
            numbering.restore(f"{step}", (first + step) % 1000)
        again = Numbering(1000, 1000)
        for number, name in numbering.names.items():
            if number != first:
                again.restore(name, number)
        again.restore("x", first)
        assert again.add("a") == again.numbers["a"] == numbering.numbers["1"]
        assert "1" not in again.numbers

    def test_held(self) -> None:
        """
        A number that is held keeps its name, until it has been released as
        often.
        """
        numbering = Numbering(2, 2)
        a, b = added(numbering, "a", "b")
        assert a is not None
        assert b is not None
        numbering.hold(a)
        numbering.hold(a)
        assert added(numbering, "c", "d") == [b, b]
        numbering.hold(b)
        assert numbering.add("e") is None
        numbering.release(a)
        assert numbering.add("e") is None
        numbering.release(a)
        assert numbering.add("e") == a
        assert set(numbering.numbers) == {"d", "e"}

    def test_releasedLast(self) -> None:
        """
        What is released counts as used then.
        """
        numbering = Numbering(2, 2)
        a, b = added(numbering, "a", "b")
        assert a is not None
        numbering.hold(a)
        numbering.use(a)
        numbering.release(a)
        assert numbering.add("c") == b

    def test_withoutName(self) -> None:
        """
        A number without a name cannot be held.
        """
        numbering = Numbering(2, 2)
        numbering.hold(0)
        numbering.release(0)
        numbering.use(1)
        assert list(numbering) == []


class TestRestore:
    """
    Tests for C{Numbering.restore}.
    """

    def test_instead(self) -> None:
        """
        What is restored last counts, for the name and for the number.
        """
        numbering = Numbering(10, 10)
        numbering.restore("a", 1)
        numbering.restore("b", 2)
        numbering.restore("a", 2)
        assert numbering.names == {2: "a"}
        assert numbering.numbers == {"a": 2}

    def test_full(self) -> None:
        """
        When there are too many, the oldest goes.
        """
        numbering = Numbering(10, 2)
        for number, name in enumerate("abc"):
            numbering.restore(name, number)
        numbering.restore("d", 2)
        assert numbering.names == {1: "b", 2: "d"}

    def test_held(self) -> None:
        """
        What is held is not touched.
        """
        numbering = Numbering(10, 1)
        numbering.restore("a", 1)
        numbering.hold(1)
        numbering.restore("b", 1)
        numbering.restore("a", 2)
        numbering.restore("c", 3)
        assert numbering.names == {1: "a"}


@given(
    st.lists(
        st.tuples(st.sampled_from("ahrux"), st.sampled_from("abcdefghij"), st.integers(0, 4)),
        max_size=60,
    ),
    st.integers(1, 5),
)
@settings(deadline=None)
def test_oneToOne(steps: list[tuple[str, str, int]], size: int) -> None:
    """
    Whatever is done, each name has one number and each number one name, each
    is in order exactly once, and what is held stays.
    """
    numbering = Numbering(5, size)
    held: dict[int, tuple[str, int]] = {}
    for action, name, number in steps:
        if action == "a" and name not in numbering.numbers:
            numbering.add(name)
        elif action == "h" and number in numbering.names:
            numbering.hold(number)
            held[number] = numbering.names[number], held.get(number, ("", 0))[1] + 1
        elif action == "r":
            numbering.release(number)
            if number in held:
                was, count = held.pop(number)
                if count > 1:
                    held[number] = was, count - 1
        elif action == "u":
            numbering.use(number)
        elif action == "x":
            numbering.restore(name, number)
        assert {n: number for number, n in numbering.names.items()} == numbering.numbers
        assert sorted(numbering) == sorted(numbering.names)
        assert len(numbering) <= size
        assert all(numbering.names[number] == was for number, (was, _) in held.items())
