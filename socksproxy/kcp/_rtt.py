"""
How long a round trip takes, and from that how long to wait for an
acknowledgement; in whole milliseconds, as kcp-go reckons.
"""

MAX_RTO = 60000
"""
Milliseconds of the longest retransmission timeout.
"""

INITIAL_RTO = 200

MIN_RTO = 100
MIN_RTO_NO_DELAY = 30


class RTTEstimator:
    """
    Smooths the round trip times of RFC 6298, except that the variance is slow
    to follow when a round trip is unusually short.

    @ivar srtt: The smoothed round trip time in milliseconds; 0 as long as
        nothing has been measured.
    @ivar rttvar: Its mean deviation.
    @ivar rto: The retransmission timeout.
    """

    __slots__ = ("_interval", "_minimum", "rto", "rttvar", "srtt")

    def __init__(self, interval: int, noDelay: bool) -> None:
        """
        @param interval: Milliseconds for which the peer may keep an
            acknowledgement.
        @param noDelay: Let the timeout be shorter.
        """
        self._interval = interval
        self._minimum = MIN_RTO_NO_DELAY if noDelay else MIN_RTO
        self.srtt = 0
        self.rttvar = 0
        self.rto = INITIAL_RTO

    def sample(self, rtt: int) -> None:
        """
        Take a measured round trip time in.

        @param rtt: Milliseconds, not negative.
        """
        if self.srtt == 0:
            self.srtt = rtt
            self.rttvar = rtt >> 1
        else:
            delta = rtt - self.srtt
            self.srtt += delta >> 3
            shift = 5 if rtt < self.srtt - self.rttvar else 2
            self.rttvar += (abs(delta) - self.rttvar) >> shift
        rto = self.srtt + max(self._interval, 4 * self.rttvar)
        self.rto = min(max(self._minimum, rto), MAX_RTO)
