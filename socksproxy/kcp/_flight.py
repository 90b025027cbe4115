"""
The sending half of a conversation: segments that have a number and are not
yet covered by una, and which of them are to be sent again.

kcp-go walks over all of them for each acknowledgement and for each flush.
Here each step touches only what it is about:

  - A segment that acknowledgements pass over is I{counted} until it has been
    passed over often enough, and is then I{skipped}: the next flush sends it
    again. That parks it: it is not counted until its timeout.
  - An acknowledged segment with a gap before it is counted like the others,
    since kcp-go does so. It is not sent again, but flushes.
  - Timeouts stand in buckets of one millisecond, and a heap has the buckets.

@see: U{https://github.com/skywind3000/kcp/blob/master/README.en.md}
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush

PARKED = -1
"""
The count of a segment that is not sent again before its timeout.
"""

MAX_REPEATED = 1024
"""
Transmissions of segments that were sent more than once, whose acknowledgements
may still be under way.
"""


class Segment:
    """
    Data that waits for its acknowledgement.

    @ivar sn: Its number, not wrapped.
    @ivar frg: Fragments of its message that follow.
    @ivar data: Its octets, none any more once they are acknowledged.
    @ivar ts: When it was last sent, in milliseconds, not wrapped.
    @ivar rto: Milliseconds to wait from then on.
    @ivar resendTs: When to send it again.
    @ivar xmit: How often it has been sent.
    @ivar fastack: How many acknowledgements have passed over it, or
        L{PARKED}.
    @ivar acked: It has arrived.
    @ivar delivered: Octets that had arrived when it was sent first.
    @ivar deliveredTs: When the last of them had.
    @ivar firstTs: When it was sent first.
    @ivar limited: More could have been sent then than there was.
    @ivar flying: It counts as being under way.
    """

    __slots__ = (
        "acked",
        "data",
        "delivered",
        "deliveredTs",
        "fastack",
        "firstTs",
        "flying",
        "frg",
        "limited",
        "resendTs",
        "rto",
        "sn",
        "ts",
        "xmit",
    )

    ts: int
    rto: int
    delivered: int
    deliveredTs: int
    firstTs: int
    limited: bool

    def __init__(self, sn: int, frg: int, data: bytes) -> None:
        self.sn = sn
        self.frg = frg
        self.data = data
        self.resendTs = 0
        self.xmit = 0
        self.fastack = 0
        self.acked = False
        self.flying = False


class Flight:
    """
    What is under way.

    @ivar sndUna: The oldest number that is not acknowledged.
    @ivar sndNxt: The next number to give.
    @ivar unsent: Segments that have a number and have never been sent.
    @ivar onAcked: Called with each segment when it has arrived, if there is
        one to call.
    """

    def __init__(self, resend: int) -> None:
        """
        @param resend: How many acknowledgements have to pass over a segment
            for it to be sent again; 0 is only when nothing else is sent.
        """
        self.sndUna = 0
        self.sndNxt = 0
        self.unsent: list[Segment] = []
        self.onAcked: Callable[[Segment], None] | None = None
        self._resend = resend
        self._enough = max(resend, 1)
        self._segments: dict[int, Segment] = {}
        # Everything below this number has been passed over, or has arrived.
        self._passed = 0
        self._counted: list[Segment] = []
        self._skipped: dict[int, Segment] = {}
        # Acknowledged ones that have been passed over often enough, by number.
        self._flushing: list[tuple[int, Segment]] = []
        self._buckets: dict[int, list[Segment]] = {}
        self._times: list[int] = []
        self._entries = 0
        # Numbers and times, the oldest first.
        self._repeated: dict[tuple[int, int], None] = {}

    def __len__(self) -> int:
        return len(self._segments)

    @property
    def sent(self) -> int:
        """
        The number after the last one that has been sent.
        """
        return self.sndNxt - len(self.unsent)

    def admit(self, frg: int, data: bytes) -> None:
        """
        Give a segment its number.
        """
        segment = Segment(self.sndNxt, frg, data)
        self._segments[self.sndNxt] = segment
        self.unsent.append(segment)
        self.sndNxt += 1

    def acknowledgeUpTo(self, una: int) -> None:
        """
        All segments before a number have arrived.

        @param una: Between L{sndUna} and L{sent}.
        """
        pop, onAcked = self._segments.pop, self.onAcked
        for sn in range(self.sndUna, una):
            segment = pop(sn)
            if not segment.acked:
                segment.acked = True
                if onAcked is not None:
                    onAcked(segment)
            # Buckets may still know it.
            segment.data = b""
        self.sndUna = una
        if self._skipped:
            self._skipped = {sn: s for sn, s in self._skipped.items() if sn >= una}
        while self._flushing and self._flushing[0][0] < una:
            heappop(self._flushing)
        if not self._segments:
            self._forget()

    def acknowledge(self, sn: int, ts: int) -> bool:
        """
        One segment has arrived.

        @param sn: Between L{sndUna} and L{sent}.
        @param ts: When that one was sent which arrived.
        @return: Something has now been passed over often enough.
        """
        segments = self._segments
        segment = segments[sn]
        if not segment.acked:
            segment.acked = True
            if self.onAcked is not None:
                self.onAcked(segment)
            segment.data = b""
            if self._skipped.pop(sn, None) is not None:
                heappush(self._flushing, (sn, segment))
        if sn > self._passed:
            first = max(self._passed, self.sndUna)
            self._counted.extend([segments[number] for number in range(first, sn)])
            self._passed = sn
        # Before counting: what has been skipped by then flushes again.
        found = self._flushesAgain(sn, ts)
        return (bool(self._counted) and self._count(sn, ts)) or found

    def _count(self, sn: int, ts: int) -> bool:
        found = False
        kept = []
        una = self.sndUna
        for segment in self._counted:
            if segment.sn < una:
                continue
            if segment.sn < sn and segment.ts <= ts:
                segment.fastack += 1
                if segment.fastack >= self._enough:
                    found = True
                    if segment.acked:
                        heappush(self._flushing, (segment.sn, segment))
                    else:
                        self._skipped[segment.sn] = segment
                    continue
            kept.append(segment)
        self._counted = kept
        return found

    def _flushesAgain(self, sn: int, ts: int) -> bool:
        return any(number < sn and segment.ts <= ts for number, segment in self._flushing) or any(
            number < sn and segment.ts <= ts for number, segment in self._skipped.items()
        )

    def again(self, now: int, fresh: bool, rto: int, noDelay: bool) -> "Again":
        """
        Choose what to send again, and set how long each then waits.

        @param fresh: Something else is sent for the first time.
        @param rto: The retransmission timeout.
        @param noDelay: Back off by half of it only.
        @return: What is due. It has to be sent, or put back by giving it to
            the next call's result.
        """
        due = Again()
        if self._skipped and (self._resend or not fresh):
            for segment in self._skipped.values():
                self._park(segment, rto, due)
            if self._resend:
                due.fast = len(due.segments)
            else:
                due.early = len(due.segments)
            self._skipped = {}
        if not fresh and self._counted:
            early = [s for s in self._counted if s.fastack > 0 and not s.acked]
            for segment in early:
                self._park(segment, rto, due)
            if early:
                due.early += len(early)
                self._counted = [s for s in self._counted if s.fastack != PARKED]
        while self._times and self._times[0] <= now:
            time = heappop(self._times)
            bucket = self._buckets.pop(time)
            self._entries -= len(bucket)
            for segment in bucket:
                if segment.resendTs == time and not segment.acked:
                    self._timeOut(segment, rto // 2 if noDelay else rto)
                    due.segments.append(segment)
                    due.lost += 1
        if len(due.segments) > 1:
            due.segments.sort(key=lambda segment: segment.sn)
        return due

    def _park(self, segment: Segment, rto: int, due: "Again") -> None:
        segment.fastack = PARKED
        segment.rto = rto
        segment.resendTs = 0
        due.segments.append(segment)

    def _timeOut(self, segment: Segment, backOff: int) -> None:
        segment.rto += backOff
        segment.resendTs = 0
        if segment.fastack == PARKED or self._skipped.pop(segment.sn, None) is not None:
            self._counted.append(segment)
        segment.fastack = 0

    def transmitted(self, segments: list[Segment], now: int) -> None:
        """
        Note that segments are being sent, and when they are to be sent again.
        """
        buckets = self._buckets
        for segment in segments:
            if segment.xmit:
                self._repeated[segment.sn, segment.ts] = None
                self._repeated[segment.sn, now] = None
            segment.ts = now
            segment.xmit += 1
            time = segment.resendTs = now + segment.rto
            bucket = buckets.get(time)
            if bucket is None:
                buckets[time] = [segment]
                heappush(self._times, time)
            else:
                bucket.append(segment)
        self._entries += len(segments)
        if self._entries > 4 * len(self._segments) + 64:
            self._sweep()
        while len(self._repeated) > MAX_REPEATED:
            del self._repeated[next(iter(self._repeated))]

    def wasRepeated(self, sn: int, ts: int) -> bool:
        """
        Whether a segment has been sent more than once, once at that time, and
        nobody has asked for that yet.
        """
        return self._repeated.pop((sn, ts), self) is None

    def wasSentAt(self, sn: int, ts: int) -> bool:
        """
        Whether a segment that is under way has been sent at that time.
        """
        segment = self._segments.get(sn)
        if segment is None or not segment.xmit:
            return False
        return segment.ts == ts or (sn, ts) in self._repeated

    @property
    def nextResend(self) -> int | None:
        """
        When the first segment is to be sent again, or L{None} if none is.
        """
        while self._times:
            time = self._times[0]
            bucket = self._buckets[time]
            while bucket:
                last = bucket[-1]
                if last.resendTs == time and not last.acked:
                    return time
                bucket.pop()
                self._entries -= 1
            heappop(self._times)
            del self._buckets[time]
        return None

    def _sweep(self) -> None:
        """
        Forget timeouts that do not count any more.
        """
        buckets: dict[int, list[Segment]] = {}
        for segment in self._segments.values():
            if segment.resendTs and not segment.acked:
                buckets.setdefault(segment.resendTs, []).append(segment)
        self._buckets = buckets
        self._times = list(buckets)
        heapify(self._times)
        self._entries = sum(map(len, buckets.values()))

    def _forget(self) -> None:
        """
        Nothing is under way.
        """
        self._buckets.clear()
        self._times.clear()
        self._entries = 0
        self._counted.clear()
        self._passed = self.sndNxt


class Again:
    """
    What is to be sent again.

    @ivar segments: In the order of their numbers.
    @ivar fast: How many of them have been passed over.
    @ivar early: How many only because nothing else is sent.
    @ivar lost: How many are due to their timeout.
    """

    __slots__ = ("early", "fast", "lost", "segments")

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.fast = 0
        self.early = 0
        self.lost = 0
