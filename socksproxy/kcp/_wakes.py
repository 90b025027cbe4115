"""
When which of many has to be looked at next, for one timer that serves all.
"""

from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

Sleeper = TypeVar("Sleeper")


class Wakes(Generic[Sleeper]):
    """
    Times at which to wake somebody up. Each sleeper has one at the most, and
    nobody who has none is held.
    """

    def __init__(self) -> None:
        self._times: dict[Sleeper, tuple[int, int]] = {}
        # Each entry has a number of its own. One that is not known any more
        # has been replaced.
        self._sleepers: dict[int, Sleeper] = {}
        self._heap: list[tuple[int, int]] = []
        self._serial = count()

    def __len__(self) -> int:
        return len(self._times)

    def set(self, sleeper: Sleeper, time: int | None) -> None:
        """
        Wake somebody at another time than before.

        @param time: Milliseconds, or L{None} for never.
        """
        before = self._times.get(sleeper)
        if before is not None:
            if before[0] == time:
                return
            del self._times[sleeper], self._sleepers[before[1]]
        if time is not None:
            entry = time, next(self._serial)
            self._times[sleeper] = entry
            self._sleepers[entry[1]] = sleeper
            heappush(self._heap, entry)
        if len(self._heap) > 4 * len(self._times) + 64:
            self._heap = list(self._times.values())
            heapify(self._heap)

    def due(self, now: int) -> list[Sleeper]:
        """
        Take off all whose time has come.
        """
        woken = []
        while self._heap and self._heap[0][0] <= now:
            _, serial = heappop(self._heap)
            sleeper = self._sleepers.pop(serial, None)
            if sleeper is not None:
                del self._times[sleeper]
                woken.append(sleeper)
        return woken

    @property
    def next(self) -> int | None:
        """
        The first time, or L{None} if everybody may sleep on.
        """
        heap, sleepers = self._heap, self._sleepers
        while heap:
            time, serial = heap[0]
            if serial in sleepers:
                return time
            heappop(heap)
        return None
