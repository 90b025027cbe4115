"""
Peers that have the key and mean harm: segments of any content, put between
those of an honest exchange.

Nobody can prevent that data from somebody with the key is taken for data, nor
that a lie about what has arrived is believed. But nothing that comes may raise,
make a block grow beyond its windows, or leave it with something to do and
without a deadline; and what is not a lie about something under way must leave
the honest exchange alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from socksproxy.kcp._segment import HEAD, HEAD_SIZE, MASK
from socksproxy.kcp.control import ControlBlock
from socksproxy.kcp.crypt import cipherFor
from socksproxy.kcp.fec import FECEncoder
from socksproxy.kcp.pipeline import Pipeline
from tests.kcp.blocks import (
    ACK,
    CONVERSATION,
    NOW,
    PUSH,
    WASK,
    WINS,
    blockFor,
    checkBounds,
    checkIdle,
    configFor,
    segment,
)

RCVWND = 8
START = (1 << 32) - 20

# What a number is near to, and how near.
numbers = st.one_of(
    st.tuples(st.sampled_from(("una", "una", "sent", "rcv")), st.integers(-4, 10)),
    st.tuples(st.just("zero"), st.sampled_from((0, 1, MASK, 1 << 31, (1 << 31) - 1))),
)

times = st.one_of(st.integers(NOW - 300, NOW + 3000), st.integers(0, MASK))

windows = st.sampled_from((0, 0, 1, 5, 32, 65535))


@dataclass(frozen=True)
class Forged:
    """
    A segment of any content, sometimes of another conversation, sometimes of no
    known command, sometimes with a wrong length; its numbers depend on what is
    under way when it is sent.
    """

    conv: int
    cmd: int
    frg: int
    wnd: int
    ts: int
    sn: tuple[str, int]
    una: tuple[str, int]
    length: int
    wrong: int | None

    def encode(self, block: ControlBlock) -> bytes:
        """
        Write it for somebody.
        """
        flight, receiving = block._sending.flight, block._receiving
        bases = {
            "una": flight.sndUna,
            "sent": flight.sent,
            "rcv": receiving.rcvNxt,
            "zero": 0,
        }
        sn, una = (bases[base] + offset & MASK for base, offset in (self.sn, self.una))
        said = self.length if self.wrong is None else self.wrong
        head = HEAD.pack(self.conv, self.cmd, self.frg, self.wnd, self.ts, sn, una, said)
        return head + bytes(self.length)


forged = st.builds(
    Forged,
    st.sampled_from((CONVERSATION,) * 9 + (0,)),
    st.sampled_from((PUSH, PUSH, ACK, ACK, ACK, WASK, WINS, 80, 85, 0, 255)),
    st.sampled_from((0, 0, 1, RCVWND - 1, RCVWND, 254, 255)),
    windows,
    times,
    numbers,
    numbers,
    st.sampled_from((0, 0, 1, 40)),
    st.sampled_from((None, None, None, None, 0, 41, MASK)),
)


@dataclass
class Exchange:
    """
    A victim and an honest peer, with nothing but time between them.

    @ivar cut: Nothing arrives.
    """

    victim: ControlBlock
    peer: ControlBlock
    now: int = NOW
    sent: dict[int, bytes] = field(default_factory=dict)
    read: dict[int, bytes] = field(default_factory=dict)
    clock: int = 0
    cut: bool = False

    def __post_init__(self) -> None:
        self.sides = ((self.victim, self.peer), (self.peer, self.victim))
        for number in (0, 1):
            self.sent[number] = self.read[number] = b""

    def write(self) -> None:
        """
        Have both say something.
        """
        for number, (block, _) in enumerate(self.sides):
            if block.waiting < block.config.sndwnd:
                self.clock += 1
                data = b"%06d" % self.clock * 3
                block.send(data)
                self.sent[number] += data

    def readAll(self) -> None:
        """
        Have both read.
        """
        for number, (_, reader) in enumerate(self.sides):
            while (data := reader.receive()) is not None:
                self.read[number] += data

    def carry(self) -> None:
        """
        Let both send what they want to send now.
        """
        for block, other in self.sides:
            for _ in range(4):
                if block.nextDeadline(self.now) != 0:
                    break
                payloads = block.flush(self.now)
                if not self.cut:
                    other.input(payloads, self.now)
            checkBounds(block)
            # A flush is followed by rest.
            assert block.nextDeadline(self.now) != 0
            assert not block._receiving.acklist or block.nextDeadline(self.now) is not None

    def wait(self, milliseconds: int) -> None:
        """
        Let time pass, with everything at its own time.
        """
        end = self.now + milliseconds
        while True:
            self.carry()
            waits = [block.nextDeadline(self.now) for block, _ in self.sides]
            waits = [wait for wait in waits if wait is not None]
            if not waits or self.now + min(waits) > end:
                break
            self.now += max(1, min(waits))
        self.now = end

    def finish(self) -> None:
        """
        Let the honest exchange end.
        """
        self.cut = False
        for _ in range(40):
            self.readAll()
            self.wait(1000)
        self.readAll()
        self.wait(1000)


def exchangeFor(congestion: str, stream: bool, acknodelay: bool = False) -> Exchange:
    """
    Make an exchange whose numbers will wrap, and which has begun.
    """
    own = {
        "stream": stream,
        "congestion": congestion,
        "sndwnd": 16,
        "rcvwnd": RCVWND,
        "acknodelay": acknodelay,
    }
    exchange = Exchange(blockFor(200, START, START, **own), blockFor(200, START, START, **own))
    exchange.write()
    exchange.wait(30)
    return exchange


steps = st.one_of(
    st.lists(st.lists(forged, min_size=1, max_size=4), min_size=1, max_size=3),
    st.integers(0, 800),
    st.sampled_from(("write", "write", "read", "cut")),
)


@given(
    st.sampled_from(("none", "window", "bbr")),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.lists(steps, max_size=30),
)
@settings(deadline=None, max_examples=250)
def test_anything(
    congestion: str, stream: bool, acknodelay: bool, recovered: bool, steps: list[Any]
) -> None:
    """
    Whatever comes, nothing raises, everything stays within the windows, a flush
    is followed by rest, and whoever waits for something has a deadline.
    """
    exchange = exchangeFor(congestion, stream, acknodelay)
    victim = exchange.victim
    for step in steps:
        if step == "write":
            exchange.write()
        elif step == "read":
            exchange.readAll()
        elif step == "cut":
            exchange.cut = not exchange.cut
        elif isinstance(step, int):
            exchange.wait(step)
        else:
            payloads = [b"".join(each.encode(victim) for each in several) for several in step]
            victim.input(payloads, exchange.now, recovered)
            checkBounds(victim)
            exchange.carry()
        assert victim.waiting == 0 or victim.nextDeadline(exchange.now) is not None
        assert victim.srtt >= 0
        assert 30 <= victim.rto <= 60000
        assert victim._sending.flight.sndUna <= victim._sending.flight.sent


@st.composite
def lies(draw: Any) -> tuple[str, int, int, int, int]:
    """
    Choose what cannot be believed: a kind, and numbers for it.
    """
    return (
        draw(
            st.sampled_from(
                ("una", "ahead", "ack", "never", "old", "beyond", "huge", "ask", "foreign", "bad")
            )
        ),
        draw(st.integers(0, 40)),
        draw(times),
        draw(windows),
        draw(st.integers(0, 3)),
    )


def harmless(exchange: Exchange, lie: tuple[str, int, int, int, int]) -> bytes:
    """
    Make a segment that says nothing wrong about what is under way.
    """
    kind, number, ts, wnd, length = lie
    flight, receiving = exchange.victim._sending.flight, exchange.victim._receiving
    arrived = min(exchange.peer._receiving.rcvNxt, flight.sent)
    una = max(flight.sndUna - number, START - 5)
    data = bytes(length)
    if kind == "una":
        return segment(WINS, ts=ts, wnd=wnd, una=max(una, arrived - number))
    if kind == "ahead":
        return segment(PUSH, ts=ts, wnd=wnd, una=flight.sent + 1 + number, data=data)
    if kind == "ack":
        return segment(ACK, ts=ts, wnd=wnd, una=una, sn=flight.sndUna - 1 - number)
    if kind == "never":
        return segment(ACK, ts=ts, wnd=wnd, una=una, sn=flight.sent + number)
    if kind == "old":
        sn = receiving.rcvNxt - 1 - number
        return segment(PUSH, ts=ts, wnd=wnd, una=una, sn=sn, data=data)
    if kind == "beyond":
        sn = receiving.rcvNxt + RCVWND + number
        return segment(PUSH, ts=ts, wnd=wnd, una=una, sn=sn, data=data)
    if kind == "huge":
        sn, frg = receiving.rcvNxt + number, RCVWND + 200 + length
        # In stream mode it would be data like other data.
        cmd = WINS if exchange.victim.config.stream else PUSH
        return segment(cmd, ts=ts, wnd=wnd, una=una, sn=sn, frg=frg, data=data)
    if kind == "ask":
        return segment(WASK, ts=ts, wnd=wnd, una=una)
    if kind == "foreign":
        return segment(PUSH, wnd=wnd, sn=receiving.rcvNxt, data=data, conv=CONVERSATION + 1)
    return segment(85 + number, wnd=wnd, una=una, sn=receiving.rcvNxt, data=data)


harmlessSteps = st.one_of(
    st.lists(st.lists(lies(), min_size=1, max_size=4), min_size=1, max_size=3),
    st.integers(0, 800),
    st.sampled_from(("write", "write", "read", "cut")),
)


@given(
    st.sampled_from(("none", "window", "bbr")),
    st.booleans(),
    st.lists(harmlessSteps, max_size=30),
)
@settings(deadline=None, max_examples=250)
def test_harmless(congestion: str, stream: bool, steps: list[Any]) -> None:
    """
    What can be seen to be wrong or is not about anything under way changes no
    estimate, and leaves the honest exchange alone, however windows flap: all of
    it arrives, and then both are idle.
    """
    exchange = exchangeFor(congestion, stream)
    victim = exchange.victim
    for step in steps:
        if step == "write":
            exchange.write()
        elif step == "read":
            exchange.readAll()
        elif step == "cut":
            exchange.cut = not exchange.cut
        elif isinstance(step, int):
            exchange.wait(step)
        else:
            before = victim.srtt, victim.rto
            payloads = [b"".join(harmless(exchange, lie) for lie in each) for each in step]
            repeated = {(sn & MASK, ts & MASK) for sn, ts in victim._sending.flight._repeated}
            told = {HEAD.unpack_from(payload)[4:6][::-1] for payload in payloads}
            victim.input(payloads, exchange.now)
            if not repeated & told:
                assert (victim.srtt, victim.rto) == before
            exchange.carry()
    exchange.finish()
    assert exchange.read == exchange.sent
    for block, _ in exchange.sides:
        checkIdle(block)
        assert block.nextDeadline(exchange.now) is None
    event(f"errors: {victim.statistics.kcpInErrors > 0}")


def test_ackStorm() -> None:
    """
    However many acknowledgements of the same kind come, a segment is sent again
    once.
    """
    block = blockFor(stream=False)
    for _ in range(10):
        block.send(b"x")
    block.flush(NOW)
    again = 0
    for _ in range(200):
        block.input([segment(ACK, sn=9, ts=NOW) * 30], NOW + 20)
        again += len(block.flush(NOW + 20))
        checkBounds(block)
    assert block.statistics.retransSegs == 9
    # All in one payload.
    assert again == 1


def test_pushStorm() -> None:
    """
    Acknowledgements that somebody makes us owe do not pile up: those of a batch
    are sent at once.
    """
    block = blockFor()
    for _ in range(20):
        block.input([segment(PUSH, sn=3) * 30] * 20, NOW)
        assert block.nextDeadline(NOW) == 0
        out = block.flush(NOW)
        assert sum(map(len, out)) <= 600 * HEAD_SIZE
        assert block._receiving.acklist == []
        checkBounds(block)


def test_messageWithoutEnd() -> None:
    """
    A message that does not end fills the window, and is then given to the
    reader as far as it got, so the window opens again.
    """
    block = blockFor(stream=False, rcvwnd=RCVWND)
    for sn in range(100):
        block.input([segment(PUSH, sn=sn, frg=RCVWND - 1, data=b"x")], NOW)
        checkBounds(block)
        block.receive()
        block.flush(NOW)
    assert block.statistics.bytesReceived >= 90


segments = forged.map(lambda each: each.encode(blockFor()))

octets = st.one_of(
    st.binary(max_size=80),
    segments,
    st.lists(segments, min_size=1, max_size=6).map(
        lambda each: FECEncoder(2, 1).encode(each, 0)[-1]
    ),
    st.builds(
        lambda seqid, kind, rest: seqid.to_bytes(4, "little") + bytes([kind, 0]) + rest,
        st.integers(0, MASK),
        st.sampled_from((0xF1, 0xF2, 0xF3, 0xF4)),
        st.binary(max_size=60),
    ),
)


@given(
    st.sampled_from((0, 2)),
    st.booleans(),
    st.booleans(),
    st.lists(st.tuples(st.lists(octets, max_size=8), st.integers(0, 500)), max_size=25),
)
@settings(deadline=None, max_examples=120)
def test_anyOctets(
    datashard: int, adaptive: bool, trusting: bool, rounds: list[tuple[list[bytes], int]]
) -> None:
    """
    No octets are too strange for a whole session, with or without error
    correction.
    """
    config = configFor(datashard=datashard, parityshard=1, adaptive=adaptive, rcvwnd=RCVWND)
    pipeline = Pipeline(CONVERSATION, config, cipherFor("null", b""), trusting)
    pipeline.control.send(bytes(3000))
    now = NOW
    for payloads, wait in rounds:
        pipeline.input(payloads, now, sum(map(len, payloads)))
        pipeline.control.receiveStream()
        for _ in range(8):
            if pipeline.nextDeadline(now) != 0:
                break
            pipeline.flush(now)
        assert pipeline.nextDeadline(now) != 0
        checkBounds(pipeline.control)
        pipeline.count()
        now += wait
