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

TRIES = 5
"""
How often a segment can be sent to somebody who has not acknowledged anything.
"""

PACED_GAIN = 1.25
"""
How much faster than a window in a round trip a paced sender is.
"""

MAX_DEBT = 1000
"""
Milliseconds whose octets may have been sent too early, by what nothing holds back.
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
        # Octets a millisecond that are never exceeded, or 0.
        self._ceiling = config.ratelimit / 1000
        self._limiter = Pacer()
        self._postponed: list[Segment] = []
        self._window = 0
        self._fresh = 0
        self._allowance: float = 0
        self._limitedSince: int | None = None
        # Octets of credit that are kept for repetitions.
        self._reserved = 0
        # Octets that the limiter knows of.
        self._paid = 0
        # The next segment goes on with a message, which counts in message mode.
        self._within = False

    @property
    def queued(self) -> int:
        """
        Segments that have no number yet.
        """
        return len(self._queue)

    @property
    def settled(self) -> bool:
        """
        Whether all that is under way has arrived, and only una is missing. The
        peer had no room for it then, and what says that it has may be lost.
        """
        flight = self.flight
        if flight.unsent or self._postponed or not len(flight):
            return False
        return flight.nextResend is None

    def room(self, rmtWnd: int) -> int:
        """
        Say how many segments more the windows admit.

        @param rmtWnd: Segments that the peer has room for.
        """
        flight = self.flight
        room = flight.sndUna + min(self._config.sndwnd, rmtWnd) - flight.sndNxt
        return max(0, min(room, self.congestion.room(flight)))

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
        if self._ceiling:
            self._payForOthers()
            allowance = self._limiter.allowance(self._ceiling, now, self._size)
            self._allowance = min(self._allowance, allowance)
        if self.credit is not None:
            self.credit -= spent + self.overhead
        self._fresh = 0
        if self._queue:
            room = flight.sndUna + limit - flight.sndNxt
            room = min(room, self.congestion.room(flight), len(self._queue))
            if room > 0:
                self._fresh = self._number(room, rmtWnd)
        self._noteLimit(limit, now)

    def _number(self, room: int, rmtWnd: int) -> int:
        flight, queue = self.flight, self._queue
        if self._allowance < room * self._size:
            room = int(self._allowance // self._size) - len(flight.unsent)
        if self.credit is not None:
            return self._numberOnCredit(self.credit, room, rmtWnd)
        admit, popleft = flight.admit, queue.popleft
        for _ in range(room):
            frg, data = popleft()
            admit(frg, data)
        return max(room, 0)

    def _numberOnCredit(self, credit: int, room: int, rmtWnd: int) -> int:
        """
        Give numbers to what may be sent to somebody who may be somewhere else.
        Credit is kept for sending it again some times: once it is spent, and
        the acknowledgement is lost, neither side says another word.
        """
        queue = self._queue
        count = 0
        credit, tries = self._budget(credit)
        while queue and count < room:
            piece = self._cheap(credit, rmtWnd)
            if piece is None:
                break
            frg, data = piece
            self.flight.admit(frg, data)
            self._within = frg > 0
            count += 1
            cost = len(data) + HEAD_SIZE + self.overhead
            credit -= cost
            self._reserved += (tries - 1) * cost
        return count

    def _budget(self, credit: int) -> tuple[int, int]:
        """
        Say what may be spent on segments with new numbers. A segment that
        fits as a whole goes as that; of a longer one goes little, often.

        @param credit: Octets.
        @return: Octets, and how often there will be credit to send them.
        """
        credit -= self._reserved
        least = HEAD_SIZE + self.overhead
        whole = least + len(self._queue[0][1])
        for wanted in (whole, least + 1):
            for tries in range(TRIES, 1, -1):
                if credit // tries >= wanted:
                    return credit // tries, tries
        return credit // 2, 2

    def _cheap(self, credit: int, rmtWnd: int) -> tuple[int, bytes] | None:
        """
        Take the next segment off, or as much of it as there is credit for.

        @return: L{None} if that is nothing.
        """
        queue, space = self._queue, credit - HEAD_SIZE - self.overhead
        if not self._isAffordable(space, rmtWnd):
            return None
        frg, data = queue[0]
        if len(data) <= space:
            return queue.popleft()
        queue[0] = frg, data[space:]
        # A message gets one more fragment.
        return 0 if self._config.stream else frg + 1, data[:space]

    def _isAffordable(self, space: int, rmtWnd: int) -> bool:
        """
        Whether anything of the next segment may be sent.

        @param space: Octets of data that there is credit for.
        """
        frg, data = self._queue[0]
        if space <= 0 or len(data) <= space or self._config.stream:
            return space > 0
        # Its first fragment has to say how many follow.
        return not self._within and frg + 2 <= min(MAX_FRAGMENTS, rmtWnd)

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
            if self._ceiling:
                unsent = self._hold(unsent, segments)
        if unsent:
            for segment in unsent:
                segment.rto = rto
            if congestion.measures:
                # With nothing left to send, or the windows or credit in the way,
                # no rate shows what the path could do.
                limited = not self._queue or self._limitedSince is not None
                congestion.sent(unsent, now, limited or self.credit is not None)
            segments = segments + unsent if segments else unsent
        if segments:
            flight.transmitted(segments, now)
            if congestion.measures:
                congestion.transmitted(segments, now)
            self._statistics.outSegs += len(segments)
            rate = self._rate()
            if rate is not None:
                self._pacer.spend(_octetsOf(segments), rate)
            if self._ceiling:
                octets = _octetsOf(segments)
                self._paid += octets
                self._limiter.spend(octets, self._ceiling)
        if again.segments:
            statistics = self._statistics
            statistics.fastRetransSegs += again.fast
            statistics.earlyRetransSegs += again.early
            statistics.lostSegs += again.lost
        congestion.flushed(again, len(flight), self._window, config.resend)
        return segments

    def _payForOthers(self) -> None:
        """
        Count against the ceiling what has gone out besides segments with data:
        acknowledgements, parity, and what is around a payload.
        """
        others = self._statistics.outBytes - self._paid
        if others > 0:
            self._paid += others
            self._limiter.credit = max(self._limiter.credit - others, -self._ceiling * MAX_DEBT)

    def _hold(self, unsent: list[Segment], segments: list[Segment]) -> list[Segment]:
        """
        Keep what the ceiling has no room for after what is sent once more.

        @return: What there is room for.
        """
        count = max(0, int((self._allowance - _octetsOf(segments)) // self._size))
        self.flight.unsent = unsent[count:]
        return unsent[:count]

    def _affordable(self, segments: list[Segment]) -> list[Segment]:
        """
        Postpone what must not be sent yet.
        """
        if self._postponed:
            # One of them may have become due once more meanwhile.
            due = {s.sn: s for s in [*self._postponed, *segments] if not s.acked}
            segments = [due[sn] for sn in sorted(due)]
            self._postponed = []
        allowance = self._allowance
        if self.credit is not None:
            allowance = min(allowance, self.credit)
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
            if not self.congestion.opens:
                room = min(room, self.congestion.room(flight))
        if (room > 0 or flight.unsent or self._postponed) and (
            self.credit is None or self._hasCredit(self.credit, room > 0, rmtWnd)
        ):
            rate = self._rate()
            turn = 0 if rate is None else self._pacer.wait(rate, now, self._size)
            if self._ceiling:
                turn = max(turn, self._limiter.wait(self._ceiling, now, self._size))
            wait = turn if wait is None else min(wait, turn)
        return wait

    def _hasCredit(self, credit: int, withQueue: bool, rmtWnd: int) -> bool:
        """
        Whether any of what waits may be sent: credit comes with what the peer
        sends, and not with time.

        @param withQueue: The windows have room for what has no number yet.
        """
        credit -= self.overhead
        if self.flight.unsent:
            return True
        if self._postponed and HEAD_SIZE + len(self._postponed[0].data) <= credit:
            return True
        if not withQueue:
            return False
        space = self._budget(credit)[0] - HEAD_SIZE - self.overhead
        return self._isAffordable(space, rmtWnd)

    def _rate(self) -> float | None:
        """
        Give the octets a millisecond that are best sent, or L{None}.
        """
        rate = self.congestion.rate()
        if self._config.pacing and rate is None and self.rtt.srtt > 0:
            rate = PACED_GAIN * max(self._window, 1) * self._size / self.rtt.srtt
        return rate

    def _noteLimit(self, limit: int, now: int) -> None:
        """
        Count for how long data waits for the windows.
        """
        closed = bool(self._queue) and self.flight.sndNxt >= self.flight.sndUna + limit
        if self._limitedSince is not None:
            self._statistics.windowLimited += now - self._limitedSince
        self._limitedSince = now if closed else None


def _octetsOf(segments: list[Segment]) -> int:
    return sum([len(segment.data) for segment in segments]) + HEAD_SIZE * len(segments)


def _congestionFor(config: KCPConfig, mss: int) -> CongestionControl:
    if config.congestion == "bbr":
        return DeliveryRate(mss, config.interval)
    return (LossWindow if config.congestion == "window" else CongestionControl)(mss)
