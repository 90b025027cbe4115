"""
A KCP session without sockets and without a clock: the control block, and around
it forward error correction and encryption.

What comes in has been decrypted already, since only then it is known whose it
is; what goes out is ready to be sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from socksproxy.kcp._redundancy import Redundancy
from socksproxy.kcp._segment import HEAD, Command, ShardType, difference
from socksproxy.kcp.config import KCPConfig
from socksproxy.kcp.control import ControlBlock
from socksproxy.kcp.crypt import PacketCipher
from socksproxy.kcp.fec import OVERHEAD, FECDecoder, FECEncoder
from socksproxy.kcp.statistics import SessionStatistics

AMPLIFICATION = 3
"""
Octets that are sent for each that was received, as long as the peer has not
acknowledged anything (RFC 9000 section 8.1 has the same).
"""

OPENING = 1200
"""
Octets of the payload that opens a session, at the least where the MTU admits
that.
"""

BATCH = 128
"""
Payloads that are sealed at a time.
"""

LONE = 2
"""
Datagrams that go out together and still count as lone ones.
"""

REPEAT_AFTER = 4
"""
Milliseconds between the two times that a lone datagram is sent.
"""

CERTAIN = 32
"""
Datagrams after which what is rebuilt is believed. As long as none has come that
tells that the peer's groups are not like ours, perhaps it was lost; and what is
rebuilt by wrong numbers has heads that look right.
"""

_SHARDS = frozenset(map(int, ShardType))


class Pipeline:
    """
    One session.

    @ivar control: The control block.
    @ivar statistics: Counters of everything.
    """

    def __init__(
        self, conversation: int, config: KCPConfig, cipher: PacketCipher, trusting: bool
    ) -> None:
        """
        @param conversation: conv.
        @param cipher: What seals datagrams.
        @param trusting: Whether the peer is taken to be where it claims to be;
            otherwise it gets little before it has acknowledged something.
        """
        overhead = cipher.overhead + (OVERHEAD if config.fec else 0)
        self.statistics = SessionStatistics()
        mtu = config.mtu - overhead
        config.mss(overhead)
        self.control = ControlBlock(conversation, config, mtu, self.statistics)
        self._config = config
        self._cipher = cipher
        self._overhead = overhead
        self._trusting = trusting
        self._encoder: FECEncoder | None = None
        self._decoder: FECDecoder | None = None
        if config.fec:
            self._encoder = FECEncoder(config.datashard, config.parityshard)
            self._decoder = FECDecoder(config.datashard, config.parityshard)
        self._shards = 0
        self._redundancy = Redundancy() if config.adaptive else None
        self._lone: list[bytes] = []
        self._loneTs = 0

    def input(self, payloads: Sequence[bytes], now: int, octets: int = 0) -> None:
        """
        Take what has come.

        @param payloads: Decrypted datagrams.
        @param now: Milliseconds, of which the lowest 32 bits count.
        @param octets: Of all the datagrams.
        """
        statistics = self.statistics
        statistics.inPkts += len(payloads)
        statistics.inBytes += octets
        if self._decoder is None and any(map(_isShard, payloads)):
            # It learns what the peer's groups are like.
            self._decoder = FECDecoder(1, 1)
        if self._decoder is None:
            self.control.input(payloads, now)
            return
        self._shards += len(payloads)
        decoded = self._decoder.decode(payloads)
        self.control.input([segments for segments, rebuilt in decoded if not rebuilt], now)
        recovered = [segments for segments, rebuilt in decoded if rebuilt]
        if recovered and self._shards >= CERTAIN:
            self.control.input(recovered, now, recovered=True)

    def flush(self, now: int) -> list[bytes]:
        """
        Give the datagrams that are to be sent now.
        """
        return [datagram for batch in self.batches(now) for datagram in batch]

    def batches(self, now: int) -> Iterator[list[bytes]]:
        """
        Give the datagrams that are to be sent now, some at a time, so that the
        first are on their way while the others are being sealed.
        """
        control, statistics = self.control, self.statistics
        acksOnly = control.acksDue and not control.fullFlushDue and not control.queued
        self._lend()
        before = statistics.outSegs
        payloads = control.flush(now, acksOnly)
        if payloads and self._trusting and not statistics.outPkts:
            payloads[-1] = self._padded(payloads[-1])
        if self._redundancy is not None:
            payloads = self._repeat(payloads, statistics.outSegs > before, now)
        for start in range(0, len(payloads), BATCH):
            some = payloads[start : start + BATCH] if len(payloads) > BATCH else payloads
            if self._encoder is not None:
                last = start + BATCH >= len(payloads)
                some = self._protect(self._encoder, some, last, now)
            datagrams = self._cipher.seal(some)
            octets = sum(map(len, datagrams))
            if not (self._trusting or control.proven):
                while octets > self._credit:
                    octets -= len(datagrams.pop())
            statistics.outPkts += len(datagrams)
            statistics.outBytes += octets
            yield datagrams

    def _lend(self) -> None:
        if not (self._trusting or self.control.proven):
            self.control.extendCredit(self._credit, self._overhead)

    @property
    def _credit(self) -> int:
        statistics = self.statistics
        return AMPLIFICATION * statistics.inBytes - statistics.outBytes

    def _protect(
        self, encoder: FECEncoder, payloads: list[bytes], last: bool, now: int
    ) -> list[bytes]:
        redundancy = self._redundancy
        if redundancy is None:
            return encoder.encode(payloads, now)
        statistics, decoder = self.statistics, self._decoder
        redundancy.observe(
            statistics.outSegs,
            statistics.retransSegs,
            decoder.shardsExpected if decoder else 0,
            decoder.shardsMissing if decoder else 0,
        )
        config = self._config
        encoder.parityToSend = redundancy.parity(config.datashard, config.parityshard)
        shards = encoder.encode(payloads, now)
        missing = config.datashard - encoder.waiting
        atEnd = last and not self.control.queued
        if atEnd and 0 < missing <= encoder.parityToSend < config.datashard:
            # The end of what there is to send: its group would wait for more.
            shards += encoder.completeGroup(self._filler(), now)
        return shards

    def _repeat(self, payloads: list[bytes], withData: bool, now: int) -> list[bytes]:
        """
        Send what goes out alone a second time, since no group of shards will be
        there in time to save it.

        @param withData: There is data in the payloads.
        """
        redundancy, lone = self._redundancy, self._lone
        if lone and difference(now, self._loneTs) >= 0:
            self._lone = []
        else:
            lone = []
        if (
            redundancy is not None
            and redundancy.repeats
            and withData
            and len(payloads) + len(self._lone) <= LONE
            and not self.control.queued
        ):
            if not self._lone:
                self._loneTs = now + REPEAT_AFTER
            self._lone = self._lone + payloads
        return payloads + lone

    def _padded(self, payload: bytes) -> bytes:
        """
        Make the opening longer. What a peer may answer before it knows that we
        are where we claim to be depends on that, as in QUIC, and without room
        for it a first answer takes a second round trip.
        """
        filler = self._filler()
        room = min(OPENING, self.control.mtu) - len(payload)
        return payload + filler * max(0, room // len(filler))

    def _filler(self) -> bytes:
        """
        Give a segment that says nothing new.
        """
        return HEAD.pack(self.control.conversation, Command.WINS, 0, *self.control.standing(), 0)

    def nextDeadline(self, now: int) -> int | None:
        """
        Say in how many milliseconds L{flush} has to be called, or L{None} if
        that need not be before something else happens.
        """
        self._lend()
        wait = self.control.nextDeadline(now)
        if self._lone:
            repeat = max(0, difference(self._loneTs, now))
            return repeat if wait is None else min(wait, repeat)
        return wait

    def count(self) -> SessionStatistics:
        """
        Give the counters, brought up to date.
        """
        statistics, decoder, encoder = self.statistics, self._decoder, self._encoder
        if decoder is not None:
            statistics.fecRecovered = decoder.recovered
            statistics.fecParityShards = decoder.parityReceived
            statistics.fecParityUseless = decoder.parityUseless
        if encoder is not None:
            statistics.fecParitySent = encoder.paritySent
        return statistics


def _isShard(payload: bytes) -> bool:
    return len(payload) > 5 and payload[4] in _SHARDS and payload[5] == 0
