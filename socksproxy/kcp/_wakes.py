"""
When which of many has to be looked at next, for one timer that serves all.
"""

from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

Sleeper = TypeVar("Sleeper")


class Wakes(Generic[Sleeper]):
    """
    Times at which to wake somebody up. Each sleeper has one at the most.
    """

    def __init__(self) -> None:
        self._times: dict[Sleeper, int] = {}
        self._heap: list[tuple[int, int, Sleeper]] = []
        self._serial = count()

    def __len__(self) -> int:
        return len(self._times)

    def set(self, sleeper: Sleeper, time: int | None) -> None:
        """
        Wake somebody at another time than before.

        @param time: Milliseconds, or L{None} for never.
        """
        if time is None:
            self._times.pop(sleeper, None)
        elif self._times.get(sleeper) != time:
            self._times[sleeper] = time
            heappush(self._heap, (time, next(self._serial), sleeper))
            if len(self._heap) > 4 * len(self._times) + 64:
                self._heap = [(at, next(self._serial), who) for who, at in self._times.items()]
                heapify(self._heap)

    def due(self, now: int) -> list[Sleeper]:
        """
        Take off all whose time has come.
        """
        woken = []
        while self._heap and self._heap[0][0] <= now:
            time, _, sleeper = heappop(self._heap)
            if self._times.get(sleeper) == time:
                del self._times[sleeper]
                woken.append(sleeper)
        return woken

    @property
    def next(self) -> int | None:
        """
        The first time, or L{None} if everybody may sleep on.
        """
        while self._heap:
            time, _, sleeper = self._heap[0]
            if self._times.get(sleeper) == time:
                return time
            heappop(self._heap)
        return None
