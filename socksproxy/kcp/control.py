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
    block.receiveStream()
    wait = block.nextDeadline(now)

What is sent when, and what is answered, is kcp-go's to the bit. Four things are
not: numbers that nobody can have acknowledged are an error, a round trip is only
measured with what was outstanding, an acknowledgement that nobody waits for
sends nothing, and a peer that has got everything and does not say so by una is
asked for its window.

@see: U{https://github.com/skywind3000/kcp/blob/master/protocol.txt}
"""

from __future__ import annotations

from collections.abc import Sequence

from socksproxy.errors import (
    BadCommand,
    ForeignConversation,
    LocalProtocolError,
    MalformedMessage,
    RemoteProtocolError,
    TruncatedSegment,
)
from socksproxy.kcp._flight import Segment
from socksproxy.kcp._receiving import Receiving
from socksproxy.kcp._segment import HEAD, HEAD_SIZE, MASK, Command, difference
from socksproxy.kcp._sending import Sending
from socksproxy.kcp.config import KCPConfig
from socksproxy.kcp.congestion import CongestionControl
from socksproxy.kcp.statistics import SessionStatistics

INITIAL_WINDOW = 32
"""
Segments that a peer is taken to have room for before it has said so.
"""

FIRST_PROBE = 500
"""
Milliseconds after which a closed window is asked about first.
"""

MAX_PROBE = 10000
"""
Milliseconds between two such questions at the most. kcp-go waits up to two
minutes, which is how long a lost answer can then hold things up.
"""

CHUNK = 65536
"""
Octets that a reader takes at a time.
"""

BACKWARDS = 60000
"""
Milliseconds by which the clock may seem to go back. Everything else is forward:
a conversation can have been idle for weeks.
"""

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
    @ivar proven: The peer has got something, so it is where it claims to be.
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
        self._now = 0
        self._receiving = Receiving(config.rcvwnd, config.stream)
        self._sending = Sending(config, self.mss, self.statistics)
        self._ackTs: int | None = None
        self._lastAcks: list[tuple[int, int]] = []
        self._asking = self._telling = False
        self._probeWait = self._probeTs = 0
        self._fullDue = self._acksDue = False
        # Acknowledgements that fit into a datagram go out at once.
        self._manyAcks = mtu // HEAD_SIZE

    @property
    def srtt(self) -> int:
        """
        The smoothed round trip time in milliseconds; 0 if none is known.
        """
        return self._sending.rtt.srtt

    @property
    def rto(self) -> int:
        """
        The retransmission timeout in milliseconds.
        """
        return self._sending.rtt.rto

    @property
    def congestion(self) -> CongestionControl:
        """
        What limits sending besides the windows.
        """
        return self._sending.congestion

    @property
    def waiting(self) -> int:
        """
        Segments that have been taken for sending and have not all arrived.
        """
        return self._sending.queued + len(self._sending.flight)

    @property
    def queued(self) -> int:
        """
        Segments that have not been sent at all.
        """
        return self._sending.queued

    @property
    def room(self) -> int:
        """
        How many segments more the windows admit now.
        """
        return self._sending.room(self.rmtWnd)

    @property
    def progress(self) -> int:
        """
        How many segments the peer has acknowledged without a gap.
        """
        return self._sending.flight.sndUna

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
        self._sending.push(data)
        self.statistics.bytesSent += len(data)

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

    def receiveStream(self, limit: int = CHUNK) -> bytes:
        """
        Take what is in order; in message mode the boundaries are lost.

        @param limit: Octets, at the most, but a segment is not split.
        @return: Nothing if there is none.
        """
        full = self._receiving.free == 0
        data = self._receiving.takeStream(limit)
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
        if self.congestion.measures:
            self.congestion.measured(self._now, shortest)
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
        flight, receiving = self._sending.flight, self._receiving
        unaBefore = flight.sndUna
        proven = self.proven
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
            if not proven and cmd == _ACK:
                self._prove(sn, ts)
            progress = (una - flight.sndUna) & MASK
            if progress and progress < 0x80000000:
                if flight.sndUna + progress > flight.sent:
                    raise MalformedMessage("una is ahead of what was sent")
                flight.acknowledgeUpTo(flight.sndUna + progress)
                hurry = True
            if cmd == _PUSH:
                receiving.push(sn, ts, frg, payload[offset : offset + length])
            elif cmd == _ACK:
                acked = True
                latest = ts
                number = flight.sndUna + difference(sn, flight.sndUna & MASK)
                sentAt = self._now + difference(ts, self._now & MASK)
                # What una has just covered was outstanding until now. So is a
                # repetition, but not the one for which it was sent again: the
                # error correction rebuilds that long after its time.
                outstanding = unaBefore <= number < flight.sent or (
                    flight.wasRepeated(number, sentAt)
                    and self._now - sentAt <= self._sending.rtt.rto
                )
                if flight.sndUna <= number < flight.sent:
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
                self._sending.rtt.sample(elapsed)
                rtt = elapsed
        if flight.sndUna > unaBefore:
            self._sending.congestion.advanced(self.rmtWnd)
        return rtt

    def extendCredit(self, octets: int, overhead: int) -> None:
        """
        Bound what is sent until the peer has acknowledged something, since it
        may be a stranger who has given somebody else's address.

        @param octets: Octets of datagrams that may be sent from now on.
        @param overhead: Octets of a datagram around its payload.
        """
        if not self.proven:
            self._sending.credit = octets
            self._sending.overhead = overhead

    def _prove(self, sn: int, ts: int) -> None:
        """
        See whether an acknowledgement could have been made only by somebody who
        got the segment. Numbers can be guessed, or recorded in another session;
        the time at which it was sent is not the same again.
        """
        flight = self._sending.flight
        number = flight.sndUna + difference(sn, flight.sndUna & MASK)
        if flight.wasSentAt(number, self._now + difference(ts, self._now & MASK)):
            self.proven = True
            self._sending.credit = None

    def flush(self, now: int, acksOnly: bool = False) -> list[bytes]:
        """
        Give what is to be sent now.

        @param now: Milliseconds.
        @param acksOnly: No data.
        @return: Payloads, none longer than L{mtu}.
        """
        self._tick(now)
        out: list[bytes] = []
        wnd = min(self._receiving.free, 0xFFFF)
        pending, sn, ts = self._acknowledgements(wnd, out)
        self._probe(pending, wnd, sn, ts, out)
        self._acksDue = False
        sending = self._sending
        sending.admit(self.rmtWnd, self._now, sum(map(len, out)) + HEAD_SIZE * len(pending))
        if not acksOnly:
            self._fullDue = False
            segments = sending.choose(self._now)
            if segments:
                self._write(segments, wnd, pending, out)
        if pending:
            out.append(pending[0] if len(pending) == 1 else b"".join(pending))
        return out

    def standing(self) -> tuple[int, int, int, int]:
        """
        Give wnd, ts, sn and una for a segment that says nothing new.
        """
        return min(self._receiving.free, 0xFFFF), 0, 0, self._receiving.rcvNxt & MASK

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
        if self.config.acktwice:
            again = [entry for entry in self._lastAcks if difference(entry[0], una) > 0]
            self._lastAcks = [entry for entry in acklist if difference(entry[0], una) > 0]
            acklist = again + acklist
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
        if self.rmtWnd == 0 or self._sending.settled:
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

    def _write(
        self, segments: list[Segment], wnd: int, pending: list[bytes], out: list[bytes]
    ) -> None:
        """
        Write segments with data.

        @param pending: The datagram that has been begun, and afterwards the
            one that has not been ended.
        """
        mtu, pack, conv = self.mtu, HEAD.pack, self.conversation
        una = self._receiving.rcvNxt & MASK
        size = len(pending) * HEAD_SIZE
        now32 = self._now & MASK
        deadlink = self.config.deadlink
        for segment in segments:
            data = segment.data
            length = len(data)
            need = HEAD_SIZE + length
            if size and size + need > mtu:
                out.append(pending[0] if len(pending) == 1 else b"".join(pending))
                pending.clear()
                size = 0
            head = pack(conv, _PUSH, segment.frg, wnd, now32, segment.sn & MASK, una, length)
            pending.append(head + data)
            size += need
            if segment.xmit >= deadlink:
                self.dead = True

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
        if (self.rmtWnd == 0 and self.waiting) or self._sending.settled:
            waits.append(self._probeTs - self._now if self._probeWait else 0)
        wait = self._sending.nextDeadline(self.rmtWnd, self._now)
        if wait is not None:
            waits.append(wait)
        return max(min(waits), 0) if waits else None

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

    def _tick(self, now: int) -> None:
        """
        Set the clock, which never goes back.
        """
        elapsed = (now - self._now) & MASK
        if not self._now:
            # Never 0 again, and nothing is before it.
            self._now = (1 << 32) + elapsed
        elif elapsed <= MASK - BACKWARDS:
            self._now += elapsed
