"""
Telling applications things, outside of their own calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from socksproxy.smux._end import StreamEnd


class Turns:
    """
    Who has to be looked at, and when.

    @ivar depth: How many calls deep we are in what may call applications, at
        whose end everybody is looked at anyway.
    """

    __slots__ = ("_callLater", "_ends", "_later", "_look", "depth")

    def __init__(
        self, callLater: Callable[[float, Callable[[], None]], Any], look: Callable[[], None]
    ) -> None:
        """
        @param callLater: Makes a delayed call.
        @param look: Has L{settle} called, and does what follows from it.
        """
        self._callLater = callLater
        self._look = look
        self._ends: dict[StreamEnd, None] = {}
        self._later: Any = None
        self.depth = 0

    def attend(self, end: StreamEnd) -> None:
        """
        Have an end looked at.
        """
        self._ends[end] = None

    def settle(self) -> None:
        """
        Look at all that wait, and not at those that wait because of it.
        """
        ends, self._ends = self._ends, {}
        self.depth += 1
        try:
            for end in ends:
                end.settle()
        finally:
            self.depth -= 1

    def arrange(self, more: bool) -> None:
        """
        Look at those that wait in the next turn, if there are any.

        @param more: There is more to do then anyway.
        """
        needed = more or bool(self._ends)
        if needed and self._later is None:
            self._later = self._callLater(0, self._turn)
        elif self._later is not None and not needed:
            self._later.cancel()
            self._later = None

    def _turn(self) -> None:
        self._later = None
        self._look()
