"""
What the tests of KCP's machines have in common: segments as they are on the
wire, control blocks that talk without a network between them, and sessions
with an application that L{drive<socksproxy.testing.drive>} can run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from socksproxy.kcp._flight import MAX_REPEATED
from socksproxy.kcp._packets import PacketCipher
from socksproxy.kcp._segment import HEAD, HEAD_SIZE, MASK, Command
from socksproxy.kcp.config import KCPConfig
from socksproxy.kcp.control import ControlBlock
from socksproxy.kcp.crypt import cipherFor
from socksproxy.kcp.pipeline import Pipeline
from socksproxy.testing import Link

CONVERSATION = 0x11223344

NOW = 1000

KEY = bytes(range(32))

PUSH, ACK, WASK, WINS = map(int, (Command.PUSH, Command.ACK, Command.WASK, Command.WINS))


class Seg(NamedTuple):
    """
    A segment, as it was on the wire.
    """

    conv: int
    cmd: int
    frg: int
    wnd: int
    ts: int
    sn: int
    una: int
    data: bytes


def segment(
    cmd: int,
    *,
    sn: int = 0,
    una: int = 0,
    ts: int = 0,
    wnd: int = 32,
    frg: int = 0,
    data: bytes = b"",
    conv: int = CONVERSATION,
) -> bytes:
    """
    Write a segment.
    """
    return HEAD.pack(conv, cmd, frg, wnd, ts & MASK, sn & MASK, una & MASK, len(data)) + data


def segmentsOf(payloads: Iterable[bytes]) -> list[Seg]:
    """
    Read all segments of some payloads.
    """
    found = []
    for payload in payloads:
        offset = 0
        while offset < len(payload):
            *fields, length = HEAD.unpack_from(payload, offset)
            offset += HEAD_SIZE
            found.append(Seg._make([*fields, payload[offset : offset + length]]))
            offset += length
    return found


def commandsOf(payloads: Iterable[bytes]) -> list[tuple[int, int]]:
    """
    Give the commands and the numbers in some payloads.
    """
    return [(seg.cmd, seg.sn) for seg in segmentsOf(payloads)]


def configFor(**settings: Any) -> KCPConfig:
    """
    Make settings without forward error correction, which are quick unless they
    are told otherwise.
    """
    return KCPConfig(**{"datashard": 0, "nodelay": True, "interval": 10, **settings})


def blockFor(
    payload: int = 1000, start: int = 0, peerStart: int = 0, **settings: Any
) -> ControlBlock:
    """
    Make a control block.

    @param payload: Octets of its longest payload.
    @param start: The first number that it gives.
    @param peerStart: The first number that it expects.
    """
    block = ControlBlock(CONVERSATION, configFor(**settings), payload)
    begin(block, start, peerStart)
    return block


def pipelineFor(crypt: str = "null", trusting: bool = True, **settings: Any) -> Pipeline:
    """
    Make a session.
    """
    return Pipeline(CONVERSATION, configFor(**settings), cipherFor(crypt, KEY), trusting)


def begin(block: ControlBlock, start: int, peerStart: int) -> None:
    """
    Let a conversation begin with other numbers than 0, as if it had been going
    on for long.
    """
    flight = block._sending.flight
    flight.sndUna = flight.sndNxt = start
    block._receiving.rcvNxt = peerStart


def drain(block: ControlBlock) -> list[bytes]:
    """
    Read all messages.
    """
    found = []
    while (message := block.receive()) is not None:
        found.append(message)
    return found


def checkBounds(block: ControlBlock) -> None:
    """
    Require that nothing in a block is larger than its windows allow.
    """
    sndwnd, rcvwnd = block.config.sndwnd, block.config.rcvwnd
    receiving, sending = block._receiving, block._sending
    flight = sending.flight
    assert receiving.waiting <= rcvwnd
    assert receiving.early <= rcvwnd
    assert len(flight) <= sndwnd
    assert len(flight.unsent) <= sndwnd
    assert len(flight._counted) <= 2 * sndwnd
    assert len(flight._skipped) <= sndwnd
    assert len(flight._flushing) <= sndwnd
    assert len(flight._times) == len(flight._buckets)
    assert flight._entries <= 4 * sndwnd + 64
    assert len(flight._repeated) <= MAX_REPEATED
    assert len(sending._postponed) <= sndwnd


def checkIdle(block: ControlBlock) -> None:
    """
    Require that a block has nothing under way, and keeps nothing of what was.
    """
    receiving, sending = block._receiving, block._sending
    flight = sending.flight
    assert block.waiting == 0
    assert (receiving.waiting, receiving.early, receiving.acklist) == (0, 0, [])
    assert flight.sndUna == flight.sndNxt == flight.sent
    held = (flight.unsent, flight._counted, flight._skipped, flight._flushing)
    assert [len(each) for each in held] == [0, 0, 0, 0]
    assert (flight._entries, flight._times, flight._buckets) == (0, [], {})
    assert all(segment.acked for segment in sending._postponed)


@dataclass(frozen=True)
class Plan:
    """
    What an application does.

    @ivar writes: What it writes, and how many milliseconds after the
        beginning at the earliest.
    @ivar pauses: When it does not read: beginnings and ends, in milliseconds
        after the beginning.
    @ivar chunk: Octets that it reads at a time, or 0 if it reads messages.
    """

    writes: Sequence[tuple[int, bytes]] = ()
    pauses: Sequence[tuple[int, int]] = ()
    chunk: int = 0


class Party:
    """
    One end of a link: a session, with an application that follows a plan.

    It is flushed exactly when it has asked for that, so a session that does
    not ask does not get on.

    @ivar written: What the application has written.
    @ivar heard: What the application has read.
    """

    def __init__(
        self,
        link: Link,
        config: KCPConfig,
        plan: Plan = Plan(),
        *,
        cipher: PacketCipher | None = None,
        trusting: bool = True,
        offset: int = 0,
    ) -> None:
        """
        @param link: Whose clock tells the application what is to be done.
        @param cipher: C{null} if there is none.
        @param offset: How far this end's own clock is ahead of the link's.
        """
        self.cipher = cipher or cipherFor("null", b"")
        self.pipeline = Pipeline(CONVERSATION, config, self.cipher, trusting)
        self.control = self.pipeline.control
        self.plan = plan
        self.written: list[bytes] = []
        self.heard: list[bytes] = []
        self._unread = False
        self._link = link
        self._began = link.now
        self._offset = offset

    @property
    def elapsed(self) -> int:
        """
        Milliseconds since the beginning.
        """
        return self._link.now - self._began

    def clock(self, now: int) -> int:
        """
        Give the time of this end's own clock.
        """
        return (now + self._offset) & MASK

    def input(self, datagrams: Sequence[bytes], now: int) -> None:
        """
        See L{End<socksproxy.testing.link.End>}.
        """
        payloads = [payload for payload in self.cipher.open(datagrams) if payload is not None]
        if payloads:
            self.pipeline.input(payloads, self.clock(now), sum(map(len, datagrams)))
            self._unread = True
        checkBounds(self.control)
        self._read()

    def flush(self, now: int) -> list[bytes]:
        """
        See L{End<socksproxy.testing.link.End>}.
        """
        self._read()
        self._write()
        if self.pipeline.nextDeadline(self.clock(now)) != 0:
            return []
        datagrams = self.pipeline.flush(self.clock(now))
        checkBounds(self.control)
        return datagrams

    def nextDeadline(self, now: int) -> int | None:
        """
        See L{End<socksproxy.testing.link.End>}.
        """
        wait = self.pipeline.nextDeadline(self.clock(now))
        if wait == 0:
            return 0
        waits = [wait] if wait is not None else []
        if len(self.written) < len(self.plan.writes) and self._mayWrite:
            waits.append(max(0, self.plan.writes[len(self.written)][0] - self.elapsed))
        if self._unread:
            waits.append(max(0, self._pause - self.elapsed))
        return min(waits) if waits else None

    @property
    def idle(self) -> bool:
        """
        Whether this end has done everything, and wants nothing.
        """
        return (
            len(self.written) == len(self.plan.writes)
            and not self.control.readable
            and not self.control.waiting
            and self.pipeline.nextDeadline(self.clock(self._link.now)) is None
        )

    @property
    def _mayWrite(self) -> bool:
        return self.control.waiting < self.control.config.sndwnd

    @property
    def _pause(self) -> int:
        elapsed = self.elapsed
        return next((end for start, end in self.plan.pauses if start <= elapsed < end), 0)

    def _read(self) -> None:
        if self._pause:
            return
        self._unread = False
        control, chunk = self.control, self.plan.chunk
        if not chunk:
            self.heard += drain(control)
        while chunk and control.readable:
            self.heard.append(control.receiveStream(chunk))

    def _write(self) -> None:
        writes = self.plan.writes
        while len(self.written) < len(writes) and self._mayWrite:
            at, data = writes[len(self.written)]
            if at > self.elapsed:
                break
            self.control.send(data)
            self.written.append(data)
