"""
How long somebody is waited for who does not read what there is for them.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from socksproxy.relay.leg import StreamTransport
from socksproxy.relay.progress import Progress
from socksproxy.relay.pump import WATCH_PERIOD
from socksproxy.relay.sockets import backlogOf, unacknowledged


class Patience:
    """
    Looks after a transport while it is full, and gives up on a peer that
    takes next to nothing of what waits for it.

    @ivar full: The transport has more than enough.
    """

    def __init__(
        self,
        clock: IReactorTime,
        transport: StreamTransport,
        limit: float,
        exhausted: Callable[[], None],
    ) -> None:
        """
        @param clock: Time.
        @param transport: What is written to.
        @param limit: Seconds.
        @param exhausted: Called once the limit has been reached.
        """
        self._clock = clock
        self._transport = transport
        self._limit = limit
        self._exhausted = exhausted
        self._progress = Progress()
        self._call: IDelayedCall | None = None
        self.full = False

    def begin(self) -> None:
        """
        The transport is full.
        """
        self.full = True
        if self._call is None:
            self._progress = Progress()
            self._look()

    def end(self) -> None:
        """
        It is not any more, or nobody cares; may be called more than once.
        """
        self.full = False
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def forget(self) -> None:
        """
        Look after it no more, and hold nobody.
        """
        self.end()
        self._exhausted = _nothing

    def _look(self) -> None:
        self._call = None
        outstanding = backlogOf(self._transport) + unacknowledged(self._transport)
        self._progress.look(self._clock.seconds(), 0, outstanding, 0, True)
        if self._progress.unread >= self._limit:
            self._exhausted()
        else:
            self._call = self._clock.callLater(WATCH_PERIOD, self._look)


def _nothing() -> None:
    """
    What is called when nobody is interested.
    """
