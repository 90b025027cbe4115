"""
Telling a slow reader from one that does not read.
"""

from __future__ import annotations

LEAST = 4096
"""
Octets that a reader has to take within the limit to count as one. A few find
their way into the kernel's buffers without being read, when memory for them
becomes free.
"""


class Progress:
    """
    One direction of a relay, as seen from time to time.

    @ivar still: Seconds in which nothing has moved: no octet came, none went,
        and neither side ended.
    @ivar unread: Seconds in which the reader has taken next to nothing of
        what waited for it.
    """

    def __init__(self) -> None:
        self._mark: object = None
        self._moved = 0.0
        self._taken = 0
        self._read = 0.0
        self._seen = False
        self.still = 0.0
        self.unread = 0.0

    def look(self, now: float, count: int, outstanding: int, phase: int, waiting: bool) -> None:
        """
        Take notice.

        @param now: The time in seconds.
        @param count: Octets that have come.
        @param outstanding: How many of them the reader has not taken.
        @param phase: How many ends and losses the relay has had.
        @param waiting: Something waits for the reader.
        """
        taken = count - outstanding
        mark = (count, taken, phase)
        if mark != self._mark:
            self._mark, self._moved = mark, now
        if not (waiting and self._seen) or taken - self._taken >= LEAST:
            self._taken, self._read = taken, now
        self._seen = waiting
        self.still = now - self._moved
        self.unread = now - self._read
