"""
Numbers for names, from 0 up to a limit.

A name's number is a hash of it, or the next one that is free, so that it nearly
always gets the same number again. When none is left, the name gives its own
away that has not been used for the longest time.

@see: L{socksproxy.dns.fakeip}
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from hashlib import blake2b
from itertools import chain

# How many numbers are tried before somebody has to give his away.
_MAX_PROBES = 256


class Numbering:
    """
    Names and their numbers: each has one, and no number has two names.

    @ivar names: The names by their numbers.
    @ivar numbers: The numbers by their names.
    """

    def __init__(self, capacity: int, size: int) -> None:
        """
        @param capacity: How many numbers there are.
        @param size: Most names.
        """
        self._capacity = capacity
        self._size = min(size, capacity)
        self.names: dict[int, str] = {}
        self.numbers: dict[str, int] = {}
        # Those that are not held, the one used last at the end.
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._held: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[int]:
        """
        Give the numbers that have names, those used last at the end.
        """
        return chain(self._idle, self._held)

    def add(self, name: str) -> int | None:
        """
        Give a number to a name that has none.

        @return: L{None} if all are held.
        """
        number = self._free(name)
        if number is not None:
            self._assign(name, number)
        return number

    def use(self, number: int) -> None:
        """
        Note that a name has been used.
        """
        if number in self._idle:
            self._idle.move_to_end(number)

    def hold(self, number: int) -> None:
        """
        Let a number keep its name, if it has one, until it is released as
        often as it has been held.
        """
        if number in self.names:
            self._held[number] += 1
            self._idle.pop(number, None)

    def release(self, number: int) -> None:
        """
        Undo one L{hold}.
        """
        if number not in self._held:
            return
        self._held[number] -= 1
        if not self._held[number]:
            del self._held[number]
            self._idle[number] = None

    def restore(self, name: str, number: int) -> None:
        """
        Give a name the number that it had, whoever has that now, unless one
        of the two is held.
        """
        former = self.numbers.get(name)
        if number in self._held or former in self._held:
            return
        if former is not None:
            self._forget(former)
        if number not in self.names and len(self) >= self._size:
            oldest = next(iter(self._idle), None)
            if oldest is None:
                return
            self._forget(oldest)
        self._assign(name, number)

    def _free(self, name: str) -> int | None:
        """
        Find a number for a new name.
        """
        if len(self) < self._size:
            digest = blake2b(name.encode("ascii"), digest_size=8).digest()
            first = int.from_bytes(digest)
            for step in range(min(_MAX_PROBES, self._capacity)):
                number = (first + step) % self._capacity
                if number not in self.names:
                    return number
        return next(iter(self._idle), None)

    def _assign(self, name: str, number: int) -> None:
        if number in self.names:
            self._forget(number)
        self.names[number] = name
        self.numbers[name] = number
        self._idle[number] = None

    def _forget(self, number: int) -> None:
        del self.numbers[self.names.pop(number)], self._idle[number]
