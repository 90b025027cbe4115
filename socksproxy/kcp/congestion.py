"""
What limits a sender besides the windows of both sides.

A L{CongestionControl} without more limits nothing, as most people run kcptun.
L{LossWindow} is what kcp-go does unless it is told not to. A third one is in
C{_deliveryrate}.
"""

from __future__ import annotations

from socksproxy.kcp._flight import Again, Flight, Segment
from socksproxy.kcp._segment import MASK

NEVER = 1 << 30
"""
Segments: more than any window.
"""

MIN_THRESHOLD = 2


class CongestionControl:
    """
    Limits nothing.

    @ivar measures: Wants to be told of every segment.
    @ivar cwnd: Segments that may be under way.
    @ivar ssthresh: Where quick growth ends, if there is such a thing.
    @ivar incr: Octets that the window stands for while it grows.
    """

    measures = False

    def __init__(self, mss: int) -> None:
        """
        @param mss: Octets of data in a full segment.
        """
        self.mss = mss
        self.cwnd = 0
        self.ssthresh = MIN_THRESHOLD
        self.incr = 0

    def room(self, flight: Flight) -> int:
        """
        Say how many more segments may be sent for the first time.
        """
        return NEVER

    @property
    def opens(self) -> bool:
        """
        Whether the next flush makes room, and no acknowledgement is needed.
        """
        return False

    def window(self, limit: int) -> int:
        """
        Give the window that loss is reckoned with.

        @param limit: What both sides' windows allow.
        """
        return limit

    def rate(self) -> float | None:
        """
        Give the octets a millisecond to send, or L{None}.
        """
        return None

    def leastRTO(self, rto: int) -> int:
        """
        Give the retransmission timeout to use.

        @param rto: The one that the round trips suggest.
        """
        return rto

    def advanced(self, rmtWnd: int) -> None:
        """
        A payload has moved una.

        @param rmtWnd: The peer's window.
        """

    def flushed(self, again: Again, inFlight: int, window: int, resend: int) -> None:
        """
        A flush has sent some segments once more.

        @param inFlight: Segments that are not covered by una.
        @param window: What the flush went by.
        @param resend: The setting.
        """

    def sent(self, segments: list[Segment], now: int, limited: bool) -> None:
        """
        Segments are sent for the first time.

        @param limited: There was nothing more to send, or the windows did not
            let it.
        """

    def transmitted(self, segments: list[Segment], now: int) -> None:
        """
        Segments are sent, for the first time or not.
        """

    def acked(self, segment: Segment) -> None:
        """
        A segment has arrived.
        """

    def measured(self, now: int, rtt: int | None) -> None:
        """
        Some payloads have been taken.

        @param rtt: The shortest round trip that they told of, in milliseconds.
        """


class LossWindow(CongestionControl):
    """
    A window that grows with each round trip and shrinks with each loss, to the
    letter of kcp-go.
    """

    def room(self, flight: Flight) -> int:
        """
        See L{CongestionControl}.
        """
        return flight.sndUna + self.cwnd - flight.sndNxt

    @property
    def opens(self) -> bool:
        """
        See L{CongestionControl}.
        """
        return self.cwnd < 1

    def window(self, limit: int) -> int:
        """
        See L{CongestionControl}.
        """
        return min(limit, self.cwnd)

    def advanced(self, rmtWnd: int) -> None:
        """
        See L{CongestionControl}.
        """
        if self.cwnd >= rmtWnd:
            return
        mss = self.mss
        if self.cwnd < self.ssthresh:
            self.cwnd += 1
            self.incr += mss
        else:
            self.incr = max(self.incr, mss)
            self.incr += mss * mss // self.incr + mss // 16
            if (self.cwnd + 1) * mss <= self.incr:
                self.cwnd = (self.incr + mss - 1) // mss
        if self.cwnd > rmtWnd:
            self.cwnd = rmtWnd
            self.incr = rmtWnd * mss

    def flushed(self, again: Again, inFlight: int, window: int, resend: int) -> None:
        """
        See L{CongestionControl}.
        """
        if again.fast or again.early:
            self.ssthresh = max(inFlight // 2, MIN_THRESHOLD)
            # Without fast retransmission kcp-go adds 2**32 - 1, and wraps.
            self.cwnd = self.ssthresh + resend if resend else self.ssthresh - 1
            self.incr = self.cwnd * self.mss & MASK
        if again.lost:
            self.ssthresh = max(window // 2, MIN_THRESHOLD)
            self.cwnd = 1
            self.incr = self.mss
        if self.cwnd < 1:
            self.cwnd = 1
            self.incr = self.mss
