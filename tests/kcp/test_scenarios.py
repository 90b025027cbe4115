"""
Two thousand small transfers, each over a bad network of its own and with
settings of its own.

Everything about a scenario follows from its number. A failure says which one
it was, and C{SOCKSPROXY_SCENARIO=1234 pytest tests/kcp/test_scenarios.py} runs
that one alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from random import Random

import pytest

from socksproxy.kcp.config import KCPConfig
from socksproxy.kcp.crypt import cipherFor
from socksproxy.testing import Conditions, Link, drive
from tests.kcp.blocks import Party, Plan, begin, checkIdle

CHUNK = 50
CHUNKS = 40

ONE = os.environ.get("SOCKSPROXY_SCENARIO")

WRAP = 1 << 32

LIMIT = 4 * 3600 * 1000
"""
Milliseconds that a transfer may take by the link's clock, which costs nothing.
"""

STEPS = 60_000

MOST_SEGMENTS = 120
"""
Full segments that either side sends at the most.
"""

KEEPALIVE = 500
"""
Milliseconds after which a client says something to a server that does not
know it yet.
"""

WINDOWS = (1, 2, 3, 8, 32, 128, 1024)


@dataclass(frozen=True)
class Scenario:
    """
    What a scenario's number decides.

    @ivar cipher: The name of a cipher.
    @ivar trusting: The right side takes the left one to be where it says.
    @ivar clocks: How far either side's clock is ahead of the link's.
    @ivar starts: The first numbers that the sides give.
    """

    seed: int
    conditions: tuple[Conditions, Conditions]
    start: int
    configs: tuple[KCPConfig, KCPConfig]
    plans: tuple[Plan, Plan]
    cipher: str
    trusting: bool
    clocks: tuple[int, int]
    starts: tuple[int, int]

    def __str__(self) -> str:
        plans = [
            f"{len(plan.writes)} writes of {sum(len(data) for _, data in plan.writes)} octets, "
            f"pauses {plan.pauses}, chunk {plan.chunk}"
            for plan in self.plans
        ]
        return (
            f"scenario {self.seed}: {self.conditions}, {self.configs}, {plans}, {self.cipher}, "
            f"trusting={self.trusting}, start={self.start}, clocks={self.clocks}, "
            f"starts={self.starts}"
        )


def conditionsFor(random: Random) -> Conditions:
    """
    Choose how bad one direction is.
    """
    begins = random.randrange(1000)
    return Conditions(
        latency=random.choice((0, 1, 10, 40, 150)),
        jitter=random.choice((0, 0, 5, 30, 100)),
        loss=random.choice((0, 0, 0.02, 0.1, 0.25, 0.4)),
        burst=random.choice((1, 1, 3, 8)),
        duplicate=random.choice((0, 0, 0.05, 0.3)),
        reorder=random.choice((0, 0, 0.05, 0.3)),
        rate=random.choice((None, None, None, random.randrange(20, 500))),
        queue=random.choice((20, 100, 400)),
        blackholes=random.choice(
            ((), (), ((begins, begins + random.choice((50, 500, 3000, 12000))),))
        ),
    )


def configFor(random: Random, stream: bool) -> KCPConfig:
    """
    Choose one side's settings.
    """
    fec = random.random() < 0.4
    return KCPConfig(
        mtu=random.choice((100, 150, 300, 576, 1350, 1500, random.randrange(100, 1501))),
        sndwnd=random.choice(WINDOWS),
        rcvwnd=random.choice(WINDOWS),
        nodelay=random.random() < 0.6,
        interval=random.choice((10, 20, 40, 100)),
        resend=random.choice((0, 1, 2, 2, 2, 5)),
        congestion=random.choice(("none", "none", "window", "bbr")),
        pacing=random.random() < 0.25,
        ratelimit=random.choice((0, 0, 0, random.randrange(10_000, 500_000))),
        stream=stream,
        acknodelay=random.random() < 0.2,
        acktwice=random.random() < 0.2,
        datashard=random.choice((1, 2, 3, 5, 10)) if fec else 0,
        parityshard=random.choice((1, 1, 2, 3, 4)) if fec else 0,
        adaptive=random.random() < 0.5,
    )


def planFor(random: Random, own: KCPConfig, peer: KCPConfig, overhead: int) -> Plan:
    """
    Choose what one side's application does.
    """
    mss = own.mss(overhead)
    total = random.choice((0, 1, 300, 2_000, 10_000, 40_000, 100_000))
    total = min(total, MOST_SEGMENTS * mss)
    longest = min(own.rcvwnd, peer.rcvwnd, 255) * mss
    size = min(random.choice((1, 20, 200, 2_000, 20_000)), longest)
    # Tiny writes are as many segments in message mode.
    total = min(total, MOST_SEGMENTS * size)
    gap = random.choice((0, 0, 1, 20, 150))
    writes = []
    at = random.choice((0, 0, 300))
    while total > 0:
        data = random.randbytes(min(total, random.randint(1, size)))
        writes.append((at, data))
        total -= len(data)
        at += random.randint(0, gap)
    starts = random.randrange(300)
    length = random.choice((100, 1500, 9000))
    pauses = random.choice(((), (), ((starts, starts + length),)))
    return Plan(writes, pauses, random.choice((1, 5_000, 65536)) if own.stream else 0)


def scenarioFor(seed: int) -> Scenario:
    """
    Choose everything.
    """
    random = Random(seed)
    streams = random.choice(((True, True), (True, True), (False, False), (False, True)))
    left, right = (configFor(random, stream) for stream in streams)
    cipher = random.choice(("null",) * 8 + ("none", "aes-128-gcm"))
    overhead = cipherFor(cipher, bytes(32)).overhead + 8
    trusting = random.random() < 0.7
    plans = (planFor(random, left, right, overhead), planFor(random, right, left, overhead))
    if not trusting:
        plans = (Plan(plans[0].writes or [(0, b"?")], plans[0].pauses, plans[0].chunk), plans[1])
    return Scenario(
        seed,
        (conditionsFor(random), conditionsFor(random)),
        random.choice((0, WRAP - 1, WRAP - random.randrange(5000))),
        (left, right),
        plans,
        cipher,
        trusting,
        (random.choice((0, random.randrange(WRAP))), random.choice((0, random.randrange(WRAP)))),
        (
            random.choice((0, WRAP - random.randrange(1, 60))),
            random.choice((0, WRAP - random.randrange(1, 60))),
        ),
    )


class Client(Party):
    """
    Says something now and then, as those do who want to keep a session.

    @ivar server: Who is waited for, if it is a server that does not know its
        client.
    """

    server: Party | None = None
    _spoke = 0

    def nextDeadline(self, now: int) -> int | None:
        """
        See L{Party.nextDeadline}.
        """
        wait = super().nextDeadline(now)
        if not self._waits:
            return wait
        again = max(0, self._spoke + KEEPALIVE - self.elapsed)
        return again if wait is None else min(wait, again)

    def flush(self, now: int) -> list[bytes]:
        """
        See L{Party.flush}.
        """
        if self._waits and self.elapsed >= self._spoke + KEEPALIVE:
            self._spoke = self.elapsed
            if not self.control.waiting:
                self.plan = Plan([*self.plan.writes, (0, b"!")], self.plan.pauses, self.plan.chunk)
        return super().flush(now)

    @property
    def _waits(self) -> bool:
        return self.server is not None and not self.server.idle


def run(seed: int) -> None:
    """
    Run a scenario, and require all that has to hold for each.
    """
    scenario = scenarioFor(seed)
    try:
        _run(scenario)
    except Exception as error:
        error.add_note(str(scenario))
        raise


def _run(scenario: Scenario) -> None:
    link = Link(*scenario.conditions, seed=scenario.seed, start=scenario.start)
    cipher = cipherFor(scenario.cipher, bytes(32))
    left, right = (
        kind(link, config, plan, cipher=cipher, trusting=trusting, offset=offset)
        for kind, config, plan, trusting, offset in zip(
            (Client, Party),
            scenario.configs,
            scenario.plans,
            (True, scenario.trusting),
            scenario.clocks,
            strict=True,
        )
    )
    if not scenario.trusting:
        left.server = right
    begin(left.control, *scenario.starts)
    begin(right.control, *scenario.starts[::-1])
    drive(
        link,
        (left, right),
        lambda: left.idle and right.idle and link.nextArrival() is None,
        LIMIT,
        STEPS,
    )
    for sender, receiver in ((left, right), (right, left)):
        assert b"".join(receiver.heard) == b"".join(sender.written)
        if not (sender.control.config.stream or receiver.control.config.stream):
            assert receiver.heard == sender.written
        checkIdle(sender.control)
        assert sender.pipeline.count().kcpInErrors == 0


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_scenarios(chunk: int) -> None:
    """
    Everything arrives once and in order, whatever the network does, within
    bounded steps and with bounded state; then neither side needs a clock.
    """
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        if ONE is None or int(ONE) == seed:
            run(seed)
