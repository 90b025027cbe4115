"""
Congestion control after BBR: measure what the path delivers and how long it
takes, and send at that rate, whatever is lost on the way.

@see: U{https://www.ietf.org/archive/id/draft-cardwell-iccrg-bbr-congestion-control-00.html}
"""

from __future__ import annotations

from collections import deque

from socksproxy.kcp._flight import Flight, Segment
from socksproxy.kcp.congestion import CongestionControl

STARTUP_GAIN = 2.885
DRAIN_GAIN = 1 / STARTUP_GAIN
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
FULL_ROUNDS = 3
FULL_GROWTH = 1.25


class DeliveryRate(CongestionControl):
    """
    BBR, as far as one can have it over KCP: it knows the delivery rate and the
    shortest round trip, and takes no notice of loss.

    @ivar bandwidth: Octets a millisecond that the path has delivered lately;
        0 as long as nothing has been measured.
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
        self._pacingGain = STARTUP_GAIN
        self._cwndGain = STARTUP_GAIN
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
        self._cycleTs = 0
        self._minRTTTs = 0
        self._probeEnds = 0

    def room(self, flight: Flight) -> int:
        """
        See L{CongestionControl}. What has arrived beyond a gap is not under
        way any more.
        """
        return self.cwnd - self._flying

    def rate(self) -> float | None:
        """
        See L{CongestionControl}.
        """
        return self.bandwidth * self._pacingGain or None

    def sent(self, segments: list[Segment], now: int, limited: bool) -> None:
        """
        See L{CongestionControl}.
        """
        if self._flying == 0:
            self._deliveredTs = now
        self._flying += len(segments)
        if limited:
            self._limitedUntil = self._delivered + self._flying * self.mss
        for segment in segments:
            segment.firstTs = now
            segment.delivered = self._delivered
            segment.deliveredTs = self._deliveredTs
            segment.limited = self._limitedUntil > self._delivered

    def acked(self, segment: Segment) -> None:
        """
        See L{CongestionControl}.
        """
        self._flying -= 1
        self._acked += len(segment.data)
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
        elapsed = now - segment.deliveredTs
        # Nothing is measured in less than a round trip: what comes in at
        # once after a gap has been filled would look like a faster path.
        if elapsed >= (self.minRTT or 1):
            self._takeRate((self._delivered - segment.delivered) / elapsed, segment.limited)
        self._move(now, newRound and not segment.limited)
        if self.bandwidth:
            self.cwnd = self._window(self._cwndGain)

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

    def _window(self, gain: float) -> int:
        """
        Give the segments that a round trip takes, and acknowledgements that
        wait.
        """
        if self.phase == "probe-rtt":
            return MIN_CWND
        time = gain * (self.minRTT or 1) + self._interval
        return max(int(self.bandwidth * time / self.mss) + 1, MIN_CWND)

    def _move(self, now: int, fullRound: bool) -> None:
        if self.phase == "startup" and fullRound:
            if self.bandwidth >= self._full * FULL_GROWTH:
                self._full = self.bandwidth
                self._fullRounds = 0
            else:
                self._fullRounds += 1
                if self._fullRounds >= FULL_ROUNDS:
                    self._enter("drain", DRAIN_GAIN, STARTUP_GAIN)
        if self.phase == "drain" and self._flying <= self._window(1.0):
            self._cruise(now)
        if self.phase == "cruise":
            self._turn(now)
        self._probeRTT(now)

    def _turn(self, now: int) -> None:
        """
        Go through the cycle: a little faster, a little slower to let the queue
        drain which that may have made, and then as fast as the path delivers.
        """
        gain = CYCLE[self._cycle]
        if now - self._cycleTs < (self.minRTT or 1):
            return
        patient = now - self._cycleTs < 4 * (self.minRTT or 1)
        if gain > 1 and self._flying < self._window(gain) and patient:
            # The faster turn has to last until it shows.
            return
        self._cycle = (self._cycle + 1) % len(CYCLE)
        self._cycleTs = now
        self._pacingGain = CYCLE[self._cycle]

    def _probeRTT(self, now: int) -> None:
        """
        Now and then send next to nothing, to see how short a round trip is
        without our own queue.
        """
        if self.phase == "probe-rtt":
            if now >= self._probeEnds:
                self._minRTTTs = now
                self._cruise(now)
        elif now - self._minRTTTs > MIN_RTT_LIFETIME and self.phase == "cruise":
            self.minRTT = None
            self._probeEnds = now + PROBE_RTT_TIME
            self._enter("probe-rtt", 1.0, 1.0)

    def _cruise(self, now: int) -> None:
        self._enter("cruise", 1.0, CWND_GAIN)
        self._cycle = 2
        self._cycleTs = now

    def _enter(self, phase: str, pacingGain: float, cwndGain: float) -> None:
        self.phase = phase
        self._pacingGain = pacingGain
        self._cwndGain = cwndGain
