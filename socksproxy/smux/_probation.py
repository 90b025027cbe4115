"""
Streams of which it is not known yet whether their session leads anywhere.

A session may have died while there was nothing to notice it by. The next
streams are put on it all the same, since to ask first would cost a round trip,
and must learn of it soon.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

Stream = TypeVar("Stream")

PATIENCE = 4.0
"""
Seconds that a stream gets until the peer has acknowledged something.
"""

SLACK = 0.5
"""
Seconds by which a stream may have been opened before its session knows of
something to be acknowledged.
"""

AGAIN = 0.1
"""
Seconds after which it is looked again, at the soonest.
"""


class Probation(Generic[Stream]):
    """
    The streams of one session.
    """

    __slots__ = ("_callLater", "_failed", "_now", "_opened", "_stalled", "_timer")

    def __init__(
        self,
        now: Callable[[], float],
        callLater: Callable[..., Any],
        stalled: Callable[[], float | None],
        failed: Callable[[Sequence[Stream]], None],
    ) -> None:
        """
        @param now: Gives the time in seconds.
        @param callLater: As C{IReactorTime} has it.
        @param stalled: Says for how many seconds the peer has acknowledged
            nothing of what there is; L{None} if it is not known that there
            ever was a peer.
        @param failed: Called with streams for which it is too late.
        """
        self._now = now
        self._callLater = callLater
        self._stalled = stalled
        self._failed = failed
        # In the order in which they were opened.
        self._opened: dict[Stream, float] = {}
        self._timer: Any = None

    def begin(self, stream: Stream) -> None:
        """
        A stream was opened.
        """
        self._opened[stream] = self._now()
        if self._timer is None:
            self._timer = self._callLater(PATIENCE, self._look)

    def over(self, stream: Stream) -> None:
        """
        A stream is over.
        """
        self._opened.pop(stream, None)
        if not self._opened:
            self._stop()

    def _stop(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _look(self) -> None:
        """
        Let those go that were opened before the peer last acknowledged
        something, and fail the others when their time is over.
        """
        self._timer = None
        opened = self._opened
        now, stalled = self._now(), self._stalled()
        wait = PATIENCE
        if stalled is not None:
            self._takeUntil(now - stalled - SLACK)
            late = self._takeUntil(now - PATIENCE + AGAIN)
            if late:
                self._failed(late)
            wait = next(iter(opened.values()), now) + PATIENCE - now
        if opened and self._timer is None:
            self._timer = self._callLater(max(wait, AGAIN), self._look)

    def _takeUntil(self, moment: float) -> list[Stream]:
        """
        Forget the streams that were opened before a moment.
        """
        taken = []
        for stream, since in self._opened.items():
            if since > moment:
                break
            taken.append(stream)
        for stream in taken:
            del self._opened[stream]
        return taken
