"""
Congestion control after BBR: measure what the path delivers and how long it
takes, and send at that rate, whatever is lost on the way.

@see: U{https://www.ietf.org/archive/id/draft-cardwell-iccrg-bbr-congestion-control-00.html}
"""

from __future__ import annotations

from collections import deque

from socksproxy.kcp._flight import Flight, Segment
from socksproxy.kcp._segment import HEAD_SIZE
from socksproxy.kcp.congestion import NEVER, CongestionControl

STARTUP_GAIN = 2.77
DRAIN_GAIN = 0.5
CWND_GAIN = 2.0
CYCLE = (1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)

RATE_ROUNDS = 10
"""
Round trips for which the best delivery rate counts.
"""

MIN_RTT_LIFETIME = 10000
"""
Milliseconds for which the shortest round trip counts.
"""

PROBE_RTT_TIME = 200
MIN_CWND = 4
INITIAL_CWND = 32
DRAIN_ROUNDS = 4
MAX_EFFORT = 2.5
SAMPLE = 16
FULL_ROUNDS = 3
PATIENT_ROUNDS = 8
QUEUE = 1.25
YIELD = 0.95
DRAIN_TURN = 0.75
PROBED_GROWTH = 1.03
FULL_GROWTH = 1.25


class DeliveryRate(CongestionControl):
    """
    BBR, as far as one can have it over KCP: it knows the delivery rate and the
    shortest round trip, and takes no notice of loss.

    @ivar bandwidth: Octets a millisecond that the path has delivered lately,
        heads of segments included; 0 as long as nothing has been measured.
    @ivar minRTT: Milliseconds of the shortest round trip lately.
    @ivar phase: C{startup}, C{drain}, C{cruise} or C{probe-rtt}.
    """

    measures = True

    def __init__(self, mss: int, interval: int) -> None:
        """
        @param interval: Milliseconds for which the peer may keep
            acknowledgements.
        """
        super().__init__(mss)
        self.cwnd = INITIAL_CWND
        self.bandwidth = 0.0
        self.minRTT: int | None = None
        self.phase = "startup"
        self._interval = interval
        self._size = mss + HEAD_SIZE
        self._pacingGain = STARTUP_GAIN
        self._delivered = 0
        self._deliveredTs = 0
        self._limitedUntil = 0
        self._newest: Segment | None = None
        self._acked = 0
        self._flying = 0
        self._round = 0
        self._roundEnds = 0
        # Rounds and rates: the best one first, then the best after it.
        self._rates: deque[tuple[int, float]] = deque()
        self._full = 0.0
        self._fullRounds = 0
        self._cycle = 0
        self._turnBandwidth = 0.0
        self._queueing = False
        self._roundRTT = NEVER
        self._minRTTTs = 0
        self._probeEnds = 0
        self._drainEnds = 0
        # What was sent when, the oldest first.
        self._flights: deque[tuple[int, list[Segment]]] = deque()
        # How often a segment has to be sent, as seldom as lately.
        self._effort = 1.0
        self._efforts: deque[float] = deque(maxlen=RATE_ROUNDS)
        self._arrived = self._transmissions = 0

    def room(self, flight: Flight) -> int:
        """
        See L{CongestionControl}. What has arrived beyond a gap is not under
        way any more.
        """
        return self.cwnd - self._flying // self._size

    def rate(self) -> float | None:
        """
        See L{CongestionControl}.
        """
        gain = self._pacingGain
        # A slow turn is to empty the queue, and to show what is lost without.
        rate = self.bandwidth * (gain if gain < 1 else gain * self._effort)
        if rate and self.phase == "startup":
            # What little was sent first does not tell how fast the path is.
            rate = max(rate, INITIAL_CWND * self._size / (self.minRTT or 1))
        return rate or None

    def leastRTO(self, rto: int) -> int:
        """
        See L{CongestionControl}. Our own queue must not look like loss: it is
        as long as a round trip at the most while the path is being measured.
        """
        minRTT = self.minRTT or 0
        slack = minRTT if self.phase == "startup" else minRTT // 4
        return max(rto, minRTT + slack + 2 * self._interval)

    def sent(self, segments: list[Segment], now: int, limited: bool) -> None:
        """
        See L{CongestionControl}.
        """
        if self._flying == 0:
            self._deliveredTs = now
        if limited:
            self._limitedUntil = self._delivered + self._flying + len(segments) * self._size
        for segment in segments:
            segment.firstTs = now
            segment.delivered = self._delivered
            segment.deliveredTs = self._deliveredTs
            segment.limited = self._limitedUntil > self._delivered

    def transmitted(self, segments: list[Segment], now: int) -> None:
        """
        See L{CongestionControl}. A segment that has not been acknowledged for
        longer than it can take is not under way any more.
        """
        for segment in segments:
            if not segment.flying:
                segment.flying = True
                self._flying += HEAD_SIZE + len(segment.data)
        flights = self._flights
        flights.append((now, segments))
        gone = now - (self.minRTT or 1000) * 3 // 2 - 2 * self._interval
        while flights[0][0] < gone:
            sent, old = flights.popleft()
            for segment in old:
                if segment.flying and segment.ts == sent:
                    segment.flying = False
                    self._flying -= HEAD_SIZE + len(segment.data)

    def acked(self, segment: Segment) -> None:
        """
        See L{CongestionControl}.
        """
        octets = HEAD_SIZE + len(segment.data)
        if segment.flying:
            segment.flying = False
            self._flying -= octets
        self._acked += octets
        self._arrived += 1
        self._transmissions += segment.xmit
        newest = self._newest
        if newest is None or segment.firstTs >= newest.firstTs:
            self._newest = segment

    def measured(self, now: int, rtt: int | None) -> None:
        """
        See L{CongestionControl}.
        """
        segment, self._newest = self._newest, None
        if segment is None:
            return
        self._delivered += self._acked
        self._acked = 0
        self._deliveredTs = now
        if rtt is not None and (self.minRTT is None or rtt <= self.minRTT):
            self.minRTT = max(rtt, 1)
            self._minRTTTs = now
        newRound = segment.delivered >= self._roundEnds
        if newRound:
            self._round += 1
            self._roundEnds = self._delivered
            self._takeEffort()
        elapsed = now - segment.deliveredTs
        # Nothing is measured in less than a round trip: what comes in at
        # once after a gap has been filled would look like a faster path.
        if elapsed >= (self.minRTT or 1):
            self._takeRate((self._delivered - segment.delivered) / elapsed, segment.limited)
        self._roundRTT = min(self._roundRTT, NEVER if rtt is None else rtt)
        drained = self._flying <= self._window() * self._size or now >= self._drainEnds
        if self.phase == "drain" and drained:
            self._cruise()
        if newRound:
            self._queueing = NEVER > self._roundRTT > QUEUE * (self.minRTT or 1) + self._interval
            self._roundRTT = NEVER
            if not segment.limited or self._queueing:
                self._move(now)
        self._probeRTT(now)
        if self.bandwidth:
            self.cwnd = MIN_CWND if self.phase == "probe-rtt" else self._window(CWND_GAIN)

    def _takeRate(self, rate: float, limited: bool) -> None:
        rates = self._rates
        while rates and rates[0][0] < self._round - RATE_ROUNDS:
            rates.popleft()
        if limited and rate < self.bandwidth:
            # It tells nothing of what the path could do.
            if not rates:
                rates.append((self._round, self.bandwidth))
            return
        while rates and rates[-1][1] <= rate:
            rates.pop()
        rates.append((self._round, rate))
        self.bandwidth = rates[0][1]

    def _takeEffort(self) -> None:
        """
        See how often segments have to be sent. What is lost in our own queue
        does not count: in one of the last rounds that was short.
        """
        if self._arrived >= SAMPLE:
            effort = self._transmissions / self._arrived
            self._efforts.append(min(effort, MAX_EFFORT))
            self._effort = min(self._efforts)
            self._arrived = self._transmissions = 0

    def _window(self, gain: float = 1.0) -> int:
        """
        Give the segments that a round trip takes, and acknowledgements that
        wait.
        """
        time = gain * (self.minRTT or 1) + self._interval
        return max(int(self.bandwidth * self._effort * time / self._size) + 1, MIN_CWND)

    def _move(self, now: int) -> None:
        if self.phase == "startup":
            if self.bandwidth >= self._full * FULL_GROWTH:
                self._full = self.bandwidth
                self._fullRounds = 0
            else:
                self._fullRounds += 1
            # Loss hides growth; a queue shows that there is no more of it.
            if self._fullRounds >= (FULL_ROUNDS if self._queueing else PATIENT_ROUNDS):
                self._enter("drain", DRAIN_GAIN)
                self._drainEnds = now + DRAIN_ROUNDS * (self.minRTT or 1)
        elif self.phase == "cruise":
            self._turn()

    def _turn(self) -> None:
        """
        Go through the cycle: a little faster, a little slower to let the queue
        drain which that may have made, and then as fast as the path delivers.
        """
        if self._queueing:
            # What has been measured is more than there is.
            self._rates = deque((round_, rate * YIELD) for round_, rate in self._rates)
            self.bandwidth *= YIELD
            self._pacingGain = DRAIN_TURN
            return
        growing = self.bandwidth > self._turnBandwidth * PROBED_GROWTH
        self._turnBandwidth = self.bandwidth
        if CYCLE[self._cycle] > 1 and growing:
            return
        self._cycle = (self._cycle + 1) % len(CYCLE)
        self._pacingGain = CYCLE[self._cycle]

    def _probeRTT(self, now: int) -> None:
        """
        Now and then send next to nothing, to see how short a round trip is
        without our own queue.
        """
        if self.phase == "probe-rtt":
            if now >= self._probeEnds:
                self._minRTTTs = now
                self._cruise()
        elif now - self._minRTTTs > MIN_RTT_LIFETIME and self.phase == "cruise":
            self.minRTT = None
            self._probeEnds = now + PROBE_RTT_TIME
            self._enter("probe-rtt", 1.0)

    def _cruise(self) -> None:
        self._enter("cruise", 1.0)
        self._cycle = 2
        self._turnBandwidth = self.bandwidth

    def _enter(self, phase: str, pacingGain: float) -> None:
        self.phase = phase
        self._pacingGain = pacingGain
