"""
Slowing down those who guess passwords.
"""

from collections import OrderedDict

FIRST_DELAY = 1.0
LONGEST_DELAY = 8.0
FORGET_AFTER = 600.0
MAX_SOURCES = 4096


class FailureThrottle:
    """
    For each source the delay that its next failure is answered with: one
    second, and twice as much every time, up to eight; forgotten ten minutes
    after the last failure, or on success.
    """

    def __init__(self) -> None:
        # Source to (failures, time of the last), the latest last. Bounded,
        # so that a flood of sources costs the oldest their record and us
        # nothing.
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def failed(self, source: str, now: float) -> float:
        """
        Record a failure.

        @param now: Seconds on any clock that does not go back.
        @return: Seconds to wait before answering it.
        """
        count, last = self._failures.pop(source, (0, now))
        if now - last > FORGET_AFTER:
            count = 0
        self._failures[source] = (count + 1, now)
        while len(self._failures) > MAX_SOURCES:
            self._failures.popitem(last=False)
        return min(FIRST_DELAY * 2.0 ** min(count, 10), LONGEST_DELAY)

    def succeeded(self, source: str) -> None:
        """
        Forget the failures of a source.
        """
        self._failures.pop(source, None)
