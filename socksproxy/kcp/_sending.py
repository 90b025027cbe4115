"""
The sending half of a conversation: what waits for its turn, when that comes,
and what has to go before it once more.
"""

from __future__ import annotations

from collections import deque

from socksproxy.errors import LocalProtocolError
from socksproxy.kcp._deliveryrate import DeliveryRate
from socksproxy.kcp._flight import Flight, Segment
from socksproxy.kcp._pacing import Pacer
from socksproxy.kcp._rtt import RTTEstimator
from socksproxy.kcp._segment import HEAD_SIZE
from socksproxy.kcp.config import KCPConfig
from socksproxy.kcp.congestion import CongestionControl, LossWindow
from socksproxy.kcp.statistics import SessionStatistics

MAX_FRAGMENTS = 255

PACED_GAIN = 1.25
"""
How much faster than a window in a round trip a paced sender is.
"""

UNLIMITED = 1 << 60
"""
Octets.
"""


class Sending:
    """
    @ivar flight: What is under way.
    @ivar rtt: How long that takes.
    @ivar congestion: What limits it besides the windows.
    @ivar credit: Octets of datagrams that may be sent, or L{None} if that
        does not matter.
    @ivar overhead: Octets around a payload, as far as L{credit} goes.
    """

    def __init__(self, config: KCPConfig, mss: int, statistics: SessionStatistics) -> None:
        """
        @param mss: Octets of data in a full segment.
        @param statistics: Where to count.
        """
        self.flight = Flight(config.resend)
        self.rtt = RTTEstimator(config.interval, config.nodelay)
        self.congestion = _congestionFor(config, mss)
        if self.congestion.measures:
            self.flight.onAcked = self.congestion.acked
        self.credit: int | None = None
        self.overhead = 0
        self._config = config
        self._mss = mss
        self._size = mss + HEAD_SIZE
        self._statistics = statistics
        self._queue: deque[tuple[int, bytes]] = deque()
        self._pacer = Pacer()
        self._postponed: list[Segment] = []
        self._window = 0
        self._fresh = 0
        self._allowance: float = 0
        self._limitedSince: int | None = None

    @property
    def queued(self) -> int:
        """
        Segments that have no number yet.
        """
        return len(self._queue)

    def push(self, data: bytes) -> None:
        """
        Take data.

        @raise LocalProtocolError: In message mode it is too much for a
            message.
        """
        queue, mss, size = self._queue, self._mss, len(data)
        if self._config.stream:
            offset = 0
            if queue and len(queue[-1][1]) < mss:
                _, last = queue.pop()
                offset = mss - len(last)
                queue.append((0, last + data[:offset]))
            queue.extend([(0, data[at : at + mss]) for at in range(offset, size, mss)])
            return
        count = -(-size // mss)
        # The peer's window is taken to be like ours: a message that is larger
        # never gets complete there.
        if count > MAX_FRAGMENTS or count > self._config.rcvwnd:
            raise LocalProtocolError(f"a message of {size} octets is too long")
        for number in range(count):
            at = number * mss
            queue.append((count - number - 1, data[at : at + mss]))

    def admit(self, rmtWnd: int, now: int, spent: int) -> None:
        """
        Give numbers to what the windows have room for.

        @param rmtWnd: Segments that the peer has room for.
        @param now: Milliseconds, not wrapped.
        @param spent: Octets of payloads that are sent before it.
        """
        flight = self.flight
        limit = min(self._config.sndwnd, rmtWnd)
        self._window = self.congestion.window(limit)
        self._allowance = UNLIMITED
        rate = self._rate()
        if rate is not None:
            self._allowance = self._pacer.allowance(rate, now, self._size)
        if self.credit is not None:
            spent += self.overhead
            self._allowance = min(self._allowance, self.credit - spent)
        self._fresh = 0
        if self._queue:
            room = flight.sndUna + limit - flight.sndNxt
            room = min(room, self.congestion.room(flight), len(self._queue))
            if room > 0:
                self._fresh = self._number(room)
        self._noteLimit(limit, now)

    def _number(self, room: int) -> int:
        flight, queue = self.flight, self._queue
        if self.credit is not None:
            return self._numberOnCredit(room)
        if self._allowance < room * self._size:
            room = int(self._allowance // self._size) - len(flight.unsent)
        admit, popleft = flight.admit, queue.popleft
        for _ in range(room):
            frg, data = popleft()
            admit(frg, data)
        return max(room, 0)

    def _numberOnCredit(self, room: int) -> int:
        """
        Give numbers to what may be sent to somebody who may be somewhere else.
        Half of the credit is kept, since it may have to be sent again.
        """
        queue, stream = self._queue, self._config.stream
        credit = int(self._allowance) // 2
        count = 0
        while queue and count < room:
            space = credit - HEAD_SIZE - self.overhead
            frg, data = queue.popleft()
            if space <= 0 or (len(data) > space and not stream):
                queue.appendleft((frg, data))
                break
            if len(data) > space:
                queue.appendleft((frg, data[space:]))
                data = data[:space]
            self.flight.admit(frg, data)
            count += 1
            credit -= len(data) + HEAD_SIZE + self.overhead
        return count

    def choose(self, now: int) -> list[Segment]:
        """
        Say which segments are sent now, with or without having been before.
        What they need for the next time is set.
        """
        flight, congestion, config = self.flight, self.congestion, self._config
        rto = congestion.leastRTO(self.rtt.rto)
        again = flight.again(now, self._fresh > 0, rto, config.nodelay)
        segments = again.segments
        if self._postponed or segments:
            segments = self._affordable(segments)
        unsent = flight.unsent
        if unsent:
            flight.unsent = []
            for segment in unsent:
                segment.rto = rto
            if congestion.measures:
                # With nothing left to send, or the windows in the way, no
                # rate shows what the path could do.
                limited = not self._queue or self._limitedSince is not None
                congestion.sent(unsent, now, limited)
            segments = segments + unsent if segments else unsent
        if segments:
            flight.transmitted(segments, now)
            if congestion.measures:
                congestion.transmitted(segments, now)
            self._statistics.outSegs += len(segments)
            rate = self._rate()
            if rate is not None:
                octets = sum([len(segment.data) for segment in segments])
                self._pacer.spend(octets + len(segments) * HEAD_SIZE, rate)
        if again.segments:
            statistics = self._statistics
            statistics.fastRetransSegs += again.fast
            statistics.earlyRetransSegs += again.early
            statistics.lostSegs += again.lost
        congestion.flushed(again, len(flight), self._window, config.resend)
        return segments

    def _affordable(self, segments: list[Segment]) -> list[Segment]:
        """
        Postpone what must not be sent yet.
        """
        if self._postponed:
            segments = [s for s in self._postponed if not s.acked] + segments
            segments.sort(key=lambda segment: segment.sn)
            self._postponed = []
        allowance = self._allowance
        if allowance >= len(segments) * self._size:
            return segments
        for count, segment in enumerate(segments):
            allowance -= HEAD_SIZE + len(segment.data)
            if allowance < 0:
                self._postponed = segments[count:]
                return segments[:count]
        return segments

    def nextDeadline(self, rmtWnd: int, now: int) -> int | None:
        """
        Say in how many milliseconds something is to be sent, or L{None} if it
        is not time that it waits for.
        """
        flight = self.flight
        resend = flight.nextResend
        wait = None if resend is None else resend - now
        room = 0
        if self._queue:
            limit = min(self._config.sndwnd, rmtWnd)
            room = flight.sndUna + limit - flight.sndNxt
            room = min(room, self.congestion.room(flight))
        # Credit comes with what the peer sends, and not with time.
        if (room > 0 or flight.unsent or self._postponed) and self.credit is None:
            rate = self._rate()
            turn = 0 if rate is None else self._pacer.wait(rate, now, self._size)
            wait = turn if wait is None else min(wait, turn)
        return wait

    def _rate(self) -> float | None:
        """
        Give the octets a millisecond that may be sent, or L{None}.
        """
        config = self._config
        rate = self.congestion.rate()
        if config.pacing and rate is None and self.rtt.srtt > 0:
            rate = PACED_GAIN * max(self._window, 1) * self._size / self.rtt.srtt
        if config.ratelimit:
            ceiling = config.ratelimit / 1000
            rate = ceiling if rate is None else min(rate, ceiling)
        return rate

    def _noteLimit(self, limit: int, now: int) -> None:
        """
        Count for how long data waits for the windows.
        """
        closed = bool(self._queue) and self.flight.sndNxt >= self.flight.sndUna + limit
        if self._limitedSince is not None:
            self._statistics.windowLimited += now - self._limitedSince
        self._limitedSince = now if closed else None


def _congestionFor(config: KCPConfig, mss: int) -> CongestionControl:
    if config.congestion == "bbr":
        return DeliveryRate(mss, config.interval)
    return (LossWindow if config.congestion == "window" else CongestionControl)(mss)
