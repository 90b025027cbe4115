"""
Sending no faster than at a rate: a token bucket of octets.
"""

import math

QUANTUM = 4
"""
Milliseconds whose octets may go out together after a pause: more than the
grain of the clock, and less than a queue on the way holds.
"""


class Pacer:
    """
    @ivar credit: Octets that may be sent now; negative after repetitions,
        which are never held back for long.
    """

    __slots__ = ("_last", "credit")

    def __init__(self) -> None:
        self.credit = 0.0
        self._last = 0

    def allowance(self, rate: float, now: int, least: int) -> float:
        """
        Say how much may be sent.

        @param rate: Octets a millisecond.
        @param now: Milliseconds, not wrapped.
        @param least: Octets that may always go together: those of a segment.
        """
        elapsed = now - self._last
        self._last = now
        self.credit = min(self.credit + rate * elapsed, max(rate * QUANTUM, least))
        return self.credit

    def spend(self, octets: int, rate: float) -> None:
        """
        Note what was sent.
        """
        # A burst of repetitions is paid for, but not over more than a moment.
        self.credit = max(self.credit - octets, -rate * QUANTUM * 4)

    def wait(self, rate: float, now: int, needed: int) -> int:
        """
        Say in how many milliseconds so many octets may be sent.
        """
        missing = needed - self.credit - rate * (now - self._last)
        return 0 if missing <= 0 else math.ceil(missing / rate)
