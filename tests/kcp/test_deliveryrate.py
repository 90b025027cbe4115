"""
Tests for L{socksproxy.kcp._deliveryrate}, most of them on a simulated link.
"""

from dataclasses import dataclass

import pytest

from socksproxy.kcp import KCPConfig, Pipeline, cipherFor
from socksproxy.kcp._deliveryrate import MIN_CWND, DeliveryRate
from socksproxy.testing import Conditions, Link

BOTTLENECK = Conditions(latency=25, rate=2500, queue=100)
"""
20 Mbit/s, 50 ms there and back, and twice as much of a queue.
"""


@dataclass
class Outcome:
    """
    @ivar goodput: Octets a millisecond that arrived.
    @ivar wire: Datagrams that were sent for each that was needed.
    @ivar lost: The part of the datagrams that was lost.
    @ivar srtt: Milliseconds, at the end.
    """

    goodput: float
    wire: float
    lost: float
    srtt: int
    congestion: DeliveryRate


def bulk(
    conditions: Conditions,
    milliseconds: int,
    message: int = 65536,
    every: int = 1,
    congestion: str = "bbr",
    **changes: object,
) -> Outcome:
    """
    Send as much as the sender takes, or a message now and then.

    @param message: Octets.
    @param every: Milliseconds between two of them.
    @param changes: To the conditions.
    """
    link = Link(conditions, seed=3, **changes)  # type: ignore[arg-type]
    config = KCPConfig.forMode("fast3", datashard=0, congestion=congestion)
    cipher = cipherFor("null", b"")
    left, right = (Pipeline(1, config, cipher, trusting=True) for _ in range(2))
    sides = ((left, link.left), (right, link.right))
    arrived: tuple[list[bytes], list[bytes]] = ([], [])
    for (_, side), inbox in zip(sides, arrived, strict=True):
        side.received = inbox.append
    received = 0
    while link.now < milliseconds:
        if left.control.waiting < config.sndwnd and link.now % every == 0:
            left.control.send(bytes(message))
        for (end, side), inbox in zip(sides, arrived, strict=True):
            if inbox:
                end.input(list(inbox), link.now)
                inbox.clear()
            while data := end.control.receiveStream():
                received += len(data)
            if end.nextDeadline(link.now) == 0 or end is left:
                for datagram in end.flush(link.now):
                    side.send(datagram)
        link.advance(1)
    way = link.forwards
    congested = left.control.congestion
    assert isinstance(congested, DeliveryRate) or congestion != "bbr"
    needed = received / left.control.mss
    return Outcome(
        received / milliseconds,
        way.sent / needed,
        way.lost / way.sent,
        left.control.srtt,
        congested,  # type: ignore[arg-type]
    )


def test_fillsTheBottleneck() -> None:
    """
    Without loss it sends what the bottleneck takes, and its queue stays short.
    """
    outcome = bulk(BOTTLENECK, 6000)
    assert outcome.goodput > 0.93 * 2500
    assert outcome.wire < 1.05
    assert outcome.srtt < 75


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.15])
def test_lossDoesNotSlowItDown(loss: float) -> None:
    """
    What is lost at random costs its own share and hardly more.
    """
    outcome = bulk(BOTTLENECK, 8000, loss=loss)
    assert outcome.goodput > (1 - loss) * 2500 * 0.88
    assert outcome.lost < loss + 0.03
    assert outcome.srtt < 90


def test_doesNotFlood() -> None:
    """
    Into the same bottleneck a sender without congestion control puts two and
    a half times as much, and most of that is lost.
    """
    flood = bulk(BOTTLENECK, 6000, congestion="none", loss=0.05)
    outcome = bulk(BOTTLENECK, 6000, loss=0.05)
    assert flood.lost > 0.4
    assert outcome.wire < flood.wire / 2
    assert outcome.goodput > flood.goodput


def test_doesNotCollapse() -> None:
    """
    With every third datagram lost each way a good part of what could arrive
    does.
    """
    outcome = bulk(BOTTLENECK, 8000, loss=0.3)
    assert outcome.goodput > 0.7 * 2500 * 0.5


@pytest.mark.parametrize("octets", [1, 50, 200])
def test_smallMessagesAreNotHeldBack(octets: int) -> None:
    """
    An application that says little is not taken for a slow path.
    """
    outcome = bulk(Conditions(latency=20), 3000, message=octets, every=5)
    assert outcome.goodput > octets / 5 * 0.95


def test_bandwidthIsThatOfTheWay() -> None:
    """
    What has been measured is what the bottleneck lets through.
    """
    for rate in (500, 2500):
        outcome = bulk(Conditions(latency=25, rate=rate), 4000)
        assert 0.85 * rate < outcome.congestion.bandwidth < 1.15 * rate


def test_beginsBeforeAnythingIsKnown() -> None:
    """
    Without a measurement there is a window, and no rate.
    """
    congestion = DeliveryRate(1000, 10)
    assert congestion.rate() is None
    assert congestion.cwnd >= MIN_CWND
    assert congestion.phase == "startup"


def test_retransmissionTimeoutAllowsForOurQueue() -> None:
    """
    While the path is being measured a round trip may take twice as long as the
    shortest.
    """
    congestion = DeliveryRate(1000, 10)
    congestion.minRTT = 50
    assert congestion.leastRTO(60) == 120
    congestion.phase = "cruise"
    assert congestion.leastRTO(60) == 82
    assert congestion.leastRTO(300) == 300
