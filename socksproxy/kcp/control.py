"""
The control block of a KCP conversation: everything that KCP is, without
sockets and without a clock.

Time comes in as an argument, in milliseconds of which only the lowest 32 bits
count; datagrams come in and go out as lists of payloads::

    block = ControlBlock(conversation, KCPConfig.forMode("fast3"), mtu=1322)
    block.send(b"...")
    for payload in block.flush(now):
        ...
    block.input(payloads, now)
    block.takeAll()
    wait = block.nextDeadline(now)

What is sent when, and what is answered, is kcp-go's to the bit. Three things
are not: numbers that nobody can have acknowledged are an error, a round trip is
only measured with what was outstanding, and an acknowledgement that nobody
waits for sends nothing.

@see: U{https://github.com/skywind3000/kcp/blob/master/protocol.txt}
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from socksproxy.errors import (
    BadCommand,
    ForeignConversation,
    LocalProtocolError,
    MalformedMessage,
    RemoteProtocolError,
    TruncatedSegment,
)
from socksproxy.kcp._flight import Flight, Segment
from socksproxy.kcp._pacing import Pacer
from socksproxy.kcp._receiving import Receiving
from socksproxy.kcp._rtt import RTTEstimator
from socksproxy.kcp._segment import HEAD, HEAD_SIZE, MASK, Command, difference
from socksproxy.kcp.config import KCPConfig
from socksproxy.kcp.congestion import CongestionControl, DeliveryRate, LossWindow
from socksproxy.kcp.statistics import SessionStatistics

INITIAL_WINDOW = 32
"""
Segments that a peer is taken to have room for before it has said so.
"""

MAX_FRAGMENTS = 255

FIRST_PROBE = 500
"""
Milliseconds after which a closed window is asked about first.
"""

MAX_PROBE = 120000

_PUSH, _ACK, _WASK, _WINS = map(int, (Command.PUSH, Command.ACK, Command.WASK, Command.WINS))


class ControlBlock:
    """
    One conversation.

    @ivar conversation: conv.
    @ivar config: The settings.
    @ivar mtu: Octets of the longest payload.
    @ivar mss: Octets of data in the longest segment.
    @ivar rmtWnd: Segments that the peer has room for.
    @ivar dead: A segment has been sent too often.
    @ivar proven: The peer has acknowledged something, so it is where it
        claims to be.
    @ivar credit: Octets of payload that may be sent while it is not, or
        L{None} if that does not matter.
    @ivar statistics: Counters, for which this block counts what is about
        segments.
    """

    def __init__(
        self,
        conversation: int,
        config: KCPConfig,
        mtu: int,
        statistics: SessionStatistics | None = None,
    ) -> None:
        """
        @param conversation: 32 bits, the same on both sides.
        @param mtu: Octets of the longest payload: the configured one without
            what cipher and forward error correction need.
        @param statistics: Counters to use.
        """
        self.conversation = conversation
        self.config = config
        self.mtu = mtu
        self.mss = mtu - HEAD_SIZE
        if self.mss <= 0:
            raise LocalProtocolError(f"an mtu of {mtu} leaves no room for data")
        self.statistics = SessionStatistics() if statistics is None else statistics
        self.rmtWnd = INITIAL_WINDOW
        self.dead = False
        self.proven = False
        self.credit: int | None = None
        self._now = 0
        self._queue: deque[tuple[int, bytes]] = deque()
        self._receiving = Receiving(config.rcvwnd, config.stream)
        self._flight = Flight(config.resend)
        self._rtt = RTTEstimator(config.interval, config.nodelay)
        self._congestion = _congestionFor(config, self.mss)
        if self._congestion.measures:
            self._flight.onAcked = self._congestion.acked
        self._pacer = Pacer()
        self._postponed: list[Segment] = []
        self._ackTs: int | None = None
        self._asking = self._telling = False
        self._probeWait = self._probeTs = 0
        self._fullDue = self._acksDue = False
        self._limitedSince: int | None = None
        # Acknowledgements that fit into a datagram go out at once.
        self._manyAcks = mtu // HEAD_SIZE

    @property
    def srtt(self) -> int:
        """
        The smoothed round trip time in milliseconds; 0 if none is known.
        """
        return self._rtt.srtt

    @property
    def rto(self) -> int:
        """
        The retransmission timeout in milliseconds.
        """
        return self._rtt.rto

    @property
    def congestion(self) -> CongestionControl:
        """
        What limits sending besides the windows.
        """
        return self._congestion

    @property
    def waiting(self) -> int:
        """
        Segments that have been taken for sending and have not all arrived.
        """
        return len(self._queue) + len(self._flight)

    @property
    def queued(self) -> int:
        """
        Segments that have not been sent at all.
        """
        return len(self._queue)

    @property
    def readable(self) -> int:
        """
        Segments that wait for the reader.
        """
        return self._receiving.waiting

    def send(self, data: bytes) -> None:
        """
        Take data for sending. How much has been taken and not acknowledged is
        the caller's to bound, by L{waiting}.

        @raise LocalProtocolError: There is no data, since the empty message
            would block kcp-go, or in message mode too much for a message.
        """
        if not data:
            raise LocalProtocolError("KCP has no empty message")
        queue, mss = self._queue, self.mss
        size = len(data)
        self.statistics.bytesSent += size
        if self.config.stream:
            offset = 0
            if queue and len(queue[-1][1]) < mss:
                _, last = queue.pop()
                offset = mss - len(last)
                queue.append((0, last + data[:offset]))
            queue.extend([(0, data[at : at + mss]) for at in range(offset, size, mss)])
            return
        count = -(-size // mss)
        # Nor can the peer's window be told to be larger than ours.
        if count > MAX_FRAGMENTS or count > self.config.rcvwnd:
            raise LocalProtocolError(f"a message of {size} octets is too long")
        for number in range(count):
            at = number * mss
            queue.append((count - number - 1, data[at : at + mss]))

    def receive(self) -> bytes | None:
        """
        Take the next message off, in stream mode whatever came in a segment.

        @return: L{None} if there is none.
        """
        full = self._receiving.free == 0
        data = self._receiving.take()
        self._tellAfter(full)
        if data is not None:
            self.statistics.bytesReceived += len(data)
        return data

    def takeAll(self) -> bytes:
        """
        Take everything that is in order; in message mode the boundaries are
        lost.
        """
        full = self._receiving.free == 0
        data = self._receiving.takeAll()
        self._tellAfter(full)
        self.statistics.bytesReceived += len(data)
        return data

    def _tellAfter(self, full: bool) -> None:
        if full and self._receiving.free:
            self._telling = True

    def input(self, payloads: Sequence[bytes], now: int, recovered: bool = False) -> None:
        """
        Take payloads that have come, all that there are; what is to be done
        about them, the next L{flush} does. Those that make no sense are
        counted, and what came before the fault counts.

        @param now: Milliseconds.
        @param recovered: They were rebuilt, so nobody can say when they came.
        """
        self._tick(now)
        shortest: int | None = None
        for payload in payloads:
            try:
                rtt = self._take(payload, not recovered)
            except RemoteProtocolError:
                self.statistics.kcpInErrors += 1
                continue
            if rtt is not None and (shortest is None or rtt < shortest):
                shortest = rtt
        if self._congestion.measures:
            self._congestion.measured(self._now, shortest)
        self.statistics.repeatSegs = self._receiving.repeated
        acks = len(self._receiving.acklist)
        if acks:
            if self._ackTs is None:
                self._ackTs = self._now
            if acks >= self._manyAcks or self.config.acknodelay:
                self._acksDue = True

    def _take(self, payload: bytes, direct: bool) -> int | None:
        """
        Take the segments of a payload.

        @param direct: It came as it is.
        @return: The round trip that it tells of.
        """
        size = len(payload)
        if size < HEAD_SIZE:
            raise TruncatedSegment("shorter than a head")
        flight, receiving = self._flight, self._receiving
        unaBefore = flight.sndUna
        latest: int | None = None
        outstanding = acked = hurry = False
        offset = 0
        while size - offset >= HEAD_SIZE:
            conv, cmd, frg, wnd, ts, sn, una, length = HEAD.unpack_from(payload, offset)
            offset += HEAD_SIZE
            if conv != self.conversation:
                raise ForeignConversation("another conversation's segment")
            if length > size - offset:
                raise TruncatedSegment("longer than its datagram")
            if cmd < _PUSH or cmd > _WINS:
                raise BadCommand("not a command of KCP")
            if direct:
                self.rmtWnd = wnd
            progress = (una - flight.sndUna) & MASK
            if progress and progress < 0x80000000:
                if flight.sndUna + progress > flight.sent:
                    raise MalformedMessage("una is ahead of what was sent")
                flight.acknowledgeUpTo(flight.sndUna + progress)
                self.proven = hurry = True
            if cmd == _PUSH:
                receiving.push(sn, ts, frg, payload[offset : offset + length])
            elif cmd == _ACK:
                acked = True
                latest = ts
                number = flight.sndUna + difference(sn, flight.sndUna & MASK)
                sentAt = self._now + difference(ts, self._now & MASK)
                # What una has just covered was outstanding until now.
                outstanding = unaBefore <= number < flight.sent or flight.wasRepeated(
                    number, sentAt
                )
                if flight.sndUna <= number < flight.sent:
                    self.proven = True
                    hurry = flight.acknowledge(number, sentAt) or hurry
            elif cmd == _WASK:
                self._telling = True
            offset += length
            self.statistics.inSegs += 1
        if hurry:
            self._fullDue = True
        rtt = None
        if acked and latest is not None and direct and outstanding:
            elapsed = difference(self._now & MASK, latest)
            if elapsed >= 0:
                self._rtt.sample(elapsed)
                rtt = elapsed
        if flight.sndUna > unaBefore:
            self._congestion.advanced(self.rmtWnd)
        return rtt

    def flush(self, now: int, acksOnly: bool = False) -> list[bytes]:
        """
        Give what is to be sent now.

        @param now: Milliseconds.
        @param acksOnly: No data.
        @return: Payloads, none longer than L{mtu}.
        """
        self._tick(now)
        flight, congestion = self._flight, self._congestion
        out: list[bytes] = []
        wnd = min(self._receiving.free, 0xFFFF)
        pending, sn, ts = self._acknowledgements(wnd, out)
        self._probe(pending, wnd, sn, ts, out)
        self._acksDue = False
        limit = min(self.config.sndwnd, self.rmtWnd)
        window = congestion.window(limit)
        rate = self._rate()
        if rate is None:
            allowance: float = 1 << 60
        else:
            allowance = self._pacer.allowance(rate, self._now, self.mss + HEAD_SIZE)
        if self.credit is not None and not self.proven:
            allowance = min(allowance, self.credit)
        fresh = self._admit(limit, allowance)
        if not acksOnly:
            self._fullDue = False
            again = flight.again(self._now, fresh > 0, self._rtt.rto, self.config.nodelay)
            segments = again.segments
            if self._postponed or segments:
                segments = self._affordable(segments, allowance)
            unsent = flight.unsent
            if unsent:
                flight.unsent = []
                for segment in unsent:
                    segment.rto = self._rtt.rto
                segments = segments + unsent if segments else unsent
                if congestion.measures:
                    congestion.sent(unsent, self._now, not self._queue or window == 0)
            if segments:
                flight.transmitted(segments, self._now)
                octets = self._write(segments, wnd, pending, out)
                if rate is not None:
                    self._pacer.spend(octets, rate)
            statistics = self.statistics
            statistics.fastRetransSegs += again.fast
            statistics.earlyRetransSegs += again.early
            statistics.lostSegs += again.lost
            congestion.flushed(again, len(flight), window, self.config.resend)
        if pending:
            out.append(pending[0] if len(pending) == 1 else b"".join(pending))
        self._noteLimit(limit)
        return out

    def _acknowledgements(self, wnd: int, out: list[bytes]) -> tuple[list[bytes], int, int]:
        """
        Write the acknowledgements that una does not imply, and the last one.

        @return: The datagram that has been begun, and sn and ts of what was
            acknowledged last.
        """
        pending: list[bytes] = []
        sn = ts = 0
        acklist = self._receiving.acklist
        if not acklist:
            return pending, sn, ts
        self._receiving.acklist = []
        self._ackTs = None
        conv, una = self.conversation, self._receiving.rcvNxt & MASK
        capacity = self.mtu // HEAD_SIZE
        last = len(acklist) - 1
        for index, entry in enumerate(acklist):
            if len(pending) == capacity:
                out.append(b"".join(pending))
                pending = []
            if index == last or difference(entry[0], una) >= 0:
                sn, ts = entry
                pending.append(HEAD.pack(conv, _ACK, 0, wnd, ts, sn, una, 0))
        return pending, sn, ts

    def _probe(self, pending: list[bytes], wnd: int, sn: int, ts: int, out: list[bytes]) -> None:
        """
        Ask the peer for its window, and tell it ours.
        """
        if self.rmtWnd == 0:
            if self._probeWait == 0:
                self._probeWait = FIRST_PROBE
                self._probeTs = self._now + FIRST_PROBE
            elif self._now >= self._probeTs:
                self._probeWait = min(max(self._probeWait, FIRST_PROBE) * 3 // 2, MAX_PROBE)
                self._probeTs = self._now + self._probeWait
                self._asking = True
        else:
            self._probeWait = self._probeTs = 0
        una = self._receiving.rcvNxt & MASK
        for wanted, command in ((self._asking, _WASK), (self._telling, _WINS)):
            if wanted:
                if (len(pending) + 1) * HEAD_SIZE > self.mtu:
                    out.append(b"".join(pending))
                    pending.clear()
                pending.append(HEAD.pack(self.conversation, command, 0, wnd, ts, sn, una, 0))
        self._asking = self._telling = False

    def _admit(self, limit: int, allowance: float) -> int:
        """
        Give numbers to what the windows have room for.

        @param limit: What both sides' windows allow.
        @param allowance: Octets that may be sent.
        @return: To how many segments.
        """
        queue, flight = self._queue, self._flight
        if not queue:
            return 0
        room = flight.sndUna + limit - flight.sndNxt
        room = min(room, self._congestion.room(flight), len(queue))
        if allowance < room * (self.mss + HEAD_SIZE):
            room = min(room, int(allowance // (self.mss + HEAD_SIZE)) - len(flight.unsent))
        if room <= 0:
            return 0
        admit, popleft = flight.admit, queue.popleft
        for _ in range(room):
            frg, data = popleft()
            admit(frg, data)
        return room

    def _affordable(self, segments: list[Segment], allowance: float) -> list[Segment]:
        """
        Postpone what must not be sent yet.
        """
        if self._postponed:
            segments = [s for s in self._postponed if not s.acked] + segments
            segments.sort(key=lambda segment: segment.sn)
            self._postponed = []
        size = self.mss + HEAD_SIZE
        if allowance >= len(segments) * size:
            return segments
        count = max(0, int(allowance // size))
        self._postponed = segments[count:]
        return segments[:count]

    def _write(
        self, segments: list[Segment], wnd: int, pending: list[bytes], out: list[bytes]
    ) -> int:
        """
        Write segments with data.

        @param pending: The datagram that has been begun, and afterwards the
            one that has not been ended.
        @return: The octets of all.
        """
        mtu, pack, conv = self.mtu, HEAD.pack, self.conversation
        una = self._receiving.rcvNxt & MASK
        size = len(pending) * HEAD_SIZE
        octets = 0
        now32 = self._now & MASK
        deadlink = self.config.deadlink
        for segment in segments:
            data = segment.data
            length = len(data)
            need = HEAD_SIZE + length
            if size + need > mtu:
                if size:
                    out.append(pending[0] if len(pending) == 1 else b"".join(pending))
                    pending.clear()
                    size = 0
            head = pack(
                conv, _PUSH, segment.frg, wnd, now32, segment.sn & MASK, una, length
            )
            pending.append(head + data)
            size += need
            octets += need
            if segment.xmit >= deadlink:
                self.dead = True
        self.statistics.outSegs += len(segments)
        return octets

    def nextDeadline(self, now: int) -> int | None:
        """
        Say when L{flush} has to be called, if nothing else happens before.

        @param now: Milliseconds.
        @return: Milliseconds from now; 0 is at once. L{None} is never: an idle
            conversation needs no clock.
        """
        self._tick(now)
        if self._fullDue or self._acksDue or self._asking or self._telling:
            return 0
        waits = []
        if self._ackTs is not None:
            waits.append(self._ackTs + self.config.interval - self._now)
        resend = self._flight.nextResend
        if resend is not None:
            waits.append(resend - self._now)
        if self._queue:
            if self.rmtWnd == 0:
                waits.append(self._probeTs - self._now if self._probeWait else 0)
            else:
                limit = min(self.config.sndwnd, self.rmtWnd)
                room = self._flight.sndUna + limit - self._flight.sndNxt
                if min(room, self._congestion.room(self._flight)) > 0:
                    self._addPacing(waits)
        elif self._flight.unsent or self._postponed:
            self._addPacing(waits)
        return max(min(waits), 0) if waits else None

    def _addPacing(self, waits: list[int]) -> None:
        """
        Say when there is an allowance for one more segment.
        """
        size = self.mss + HEAD_SIZE
        if self.credit is not None and not self.proven and self.credit < size:
            return
        rate = self._rate()
        waits.append(0 if rate is None else self._pacer.wait(rate, size))

    @property
    def fullFlushDue(self) -> bool:
        """
        What came asks for a flush at once.
        """
        return self._fullDue

    @property
    def acksDue(self) -> bool:
        """
        There are acknowledgements that should not wait.
        """
        return self._acksDue

    def _rate(self) -> float | None:
        """
        Give the octets a millisecond that may be sent, or L{None}.
        """
        config = self.config
        rate = self._congestion.rate()
        if config.pacing and rate is None and self._rtt.srtt > 0:
            window = self._congestion.window(min(config.sndwnd, self.rmtWnd))
            rate = 1.25 * max(window, 1) * (self.mss + HEAD_SIZE) / self._rtt.srtt
        if config.ratelimit:
            ceiling = config.ratelimit / 1000
            rate = ceiling if rate is None else min(rate, ceiling)
        return rate

    def _noteLimit(self, limit: int) -> None:
        """
        Count for how long data waits for the windows.
        """
        flight = self._flight
        closed = bool(self._queue) and flight.sndNxt >= flight.sndUna + limit
        if self._limitedSince is not None:
            self.statistics.windowLimited += self._now - self._limitedSince
        self._limitedSince = self._now if closed else None

    def _tick(self, now: int) -> None:
        """
        Set the clock, which never goes back.
        """
        elapsed = (now - self._now) & MASK
        if not self._now:
            # Never 0 again, and nothing is before it.
            self._now = (1 << 32) + elapsed
        elif elapsed < 0x80000000:
            self._now += elapsed


def _congestionFor(config: KCPConfig, mss: int) -> CongestionControl:
    if config.congestion == "bbr":
        return DeliveryRate(mss, config.interval)
    return (LossWindow if config.congestion == "window" else CongestionControl)(mss)
