"""
Traces of kcp-go's own control block, replayed step by step.
"""

import pytest

from socksproxy.kcp._segment import MASK
from socksproxy.kcp.config import KCPConfig
from socksproxy.kcp.control import ControlBlock
from tests.vectors import Vector, document, nameOf

TRACES = document("kcp_traces")["traces"]

ALWAYS_DEAD = 0xFFFFFFFF


def blockFor(settings: dict[str, int]) -> ControlBlock:
    """
    Make one of the two ends of a trace.
    """
    config = KCPConfig(
        mtu=settings["mtu"],
        sndwnd=settings["sndwnd"],
        rcvwnd=settings["rcvwnd"],
        nodelay=bool(settings["nodelay"]),
        interval=settings["interval"],
        resend=settings["resend"],
        congestion="none" if settings["nc"] else "window",
        stream=bool(settings["stream"]),
        acknodelay=bool(settings["acknodelay"]),
        datashard=0,
    )
    return ControlBlock(0x11223344, config, settings["mtu"])


def stateOf(block: ControlBlock) -> list[int]:
    """
    Give what a trace shows of a block after each step.
    """
    flight, receiving, congestion = block._sending.flight, block._receiving, block.congestion
    rtt = block._sending.rtt
    return [
        flight.sndUna & MASK,
        flight.sndNxt & MASK,
        receiving.rcvNxt & MASK,
        rtt.srtt,
        rtt.rttvar,
        rtt.rto,
        block.rmtWnd,
        congestion.cwnd,
        congestion.ssthresh,
        congestion.incr,
        block._asking | block._telling << 1,
        block._probeWait,
        block.queued,
        len(flight),
        receiving.waiting,
        receiving.early,
        ALWAYS_DEAD if block.dead else 0,
    ]


def waitOf(block: ControlBlock, now: int) -> int:
    """
    Give how long kcp-go waits after a flush.
    """
    resend = block._sending.flight.nextResend
    interval = block.config.interval
    return interval if resend is None else min(interval, resend - block._now)


def test_allTraces() -> None:
    """
    All of them are there.
    """
    assert len(TRACES) == 14
    assert sum(len(trace["steps"]) for trace in TRACES) == 1835


@pytest.mark.parametrize("trace", TRACES, ids=nameOf)
def test_replay(trace: Vector) -> None:
    """
    The block sends what kcp-go sent, when it sent it, and is in the same state
    after every step.
    """
    settings = trace["config"]
    ends = {name: blockFor(settings) for name in "ab"}
    start = settings.get("start_sn", 0)
    flight = ends["a"]._sending.flight
    flight.sndUna = flight.sndNxt = ends["b"]._receiving.rcvNxt = start
    for number, step in enumerate(trace["steps"]):
        block, now = ends[step["who"]], step["t"]
        out: list[bytes] = []
        result = 0
        if step["op"] == "input":
            block.input([bytes.fromhex(step["arg"])], now, step["kind"] != "regular")
            if block.fullFlushDue:
                out = block.flush(now)
            elif block.acksDue:
                out = block.flush(now, acksOnly=True)
        elif step["op"] == "send":
            block.send(bytes.fromhex(step["arg"]))
        elif step["op"] == "recv":
            data = block.receive()
            assert data == bytes.fromhex(step["arg"]), number
            result = len(data)
        else:
            out = block.flush(now)
            result = waitOf(block, now)
        where = (trace["name"], number, step["op"])
        assert [payload.hex() for payload in out] == step["out"], where
        assert stateOf(block) == step["state"], where
        assert result == step["ret"], where
    assert block.statistics.kcpInErrors == 0
