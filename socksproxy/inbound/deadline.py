"""
A limit of time that can be interrupted.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

LEAST = 1.0
"""
Seconds that are left after any interruption, for what the other side sends in
answer to us.
"""


class Deadline:
    """
    Calls a function once a time is used up, of which only what passes between
    C{start} and C{stop} counts.
    """

    def __init__(self, clock: IReactorTime, seconds: float, expired: Callable[[], object]) -> None:
        """
        @param clock: Time.
        @param seconds: The time.
        @param expired: What to call.
        """
        self._clock = clock
        self._remaining = seconds
        self._expired = expired
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """
        Let the time run, if it does not already.
        """
        if self._call is None:
            self._call = self._clock.callLater(self._remaining, self._expired)

    def stop(self) -> None:
        """
        Stop the time.
        """
        call, self._call = self._call, None
        if call is not None and call.active():
            self._remaining = max(LEAST, call.getTime() - self._clock.seconds())
            call.cancel()

    def close(self) -> None:
        """
        Stop the time for good.
        """
        self.stop()
        self._expired = _nothing

    def renew(self, seconds: float | None, expired: Callable[[], object]) -> None:
        """
        Let another time run, which has another end.

        @param seconds: The time, or L{None} for what is left.
        @param expired: What to call.
        """
        self.stop()
        if seconds is not None:
            self._remaining = seconds
        self._expired = expired
        self.start()

    def spend(self) -> None:
        """
        Use the time up: at the next turn it is over, unless it is stopped.
        """
        self.stop()
        self._remaining = 0.0


def _nothing() -> None:
    """
    What a closed deadline calls, which holds nobody.
    """
