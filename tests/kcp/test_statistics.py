"""
Tests for L{socksproxy.kcp.statistics}.
"""

from dataclasses import fields

from socksproxy.kcp.statistics import SessionStatistics, Totals


def test_beginning() -> None:
    """
    Everything begins at 0.
    """
    statistics = SessionStatistics()
    assert {getattr(statistics, field.name) for field in fields(statistics)} == {0}
    assert (statistics.retransSegs, statistics.loss) == (0, 0.0)


def test_retransmissions() -> None:
    """
    What was sent again is the sum of all reasons.
    """
    statistics = SessionStatistics(fastRetransSegs=1, earlyRetransSegs=20, lostSegs=300)
    assert statistics.retransSegs == 321


def test_loss() -> None:
    """
    Loss is the share of what was sent that was sent again.
    """
    assert SessionStatistics(outSegs=200, lostSegs=10, fastRetransSegs=10).loss == 0.1


def test_names() -> None:
    """
    kcptun's users find its names, and none of ours is missing.
    """
    statistics = SessionStatistics()
    for number, counter in enumerate(fields(statistics), 1):
        setattr(statistics, counter.name, number)
    shown = statistics.snmp()
    assert set(shown.values()) >= set(range(1, len(fields(statistics)) + 1))
    assert set(shown) >= {
        "BytesSent",
        "BytesReceived",
        "InPkts",
        "OutPkts",
        "InSegs",
        "OutSegs",
        "InBytes",
        "OutBytes",
        "RetransSegs",
        "FastRetransSegs",
        "EarlyRetransSegs",
        "LostSegs",
        "RepeatSegs",
        "FECRecovered",
        "FECParityShards",
        "KCPInErrors",
    }
    assert shown["FECRecovered"] == statistics.fecRecovered
    assert shown["RetransSegs"] == statistics.retransSegs


def test_add() -> None:
    """
    What is added comes on top, in all counters, and what was added stays.
    """
    one = SessionStatistics(*range(1, len(fields(SessionStatistics)) + 1))
    sum_ = SessionStatistics(*([100] * len(fields(SessionStatistics))))
    sum_.add(one)
    assert [getattr(sum_, f.name) for f in fields(sum_)] == [
        101 + n for n in range(len(fields(sum_)))
    ]
    assert one.bytesSent == 1


def test_totals() -> None:
    """
    Sessions are counted while they are there and after; the most at a time is
    kept.
    """
    totals = Totals()
    live = SessionStatistics(bytesSent=1)
    ended = SessionStatistics(bytesSent=10)
    totals.began(active=True)
    totals.began(active=False)
    totals.began(active=False)
    totals.over(ended)
    totals.over(ended)
    totals.began(active=False)
    for _ in range(2):
        shown = totals.snmp([live, live])
        assert shown["BytesSent"] == 22
        assert (shown["ActiveOpens"], shown["PassiveOpens"]) == (1, 3)
        assert (shown["CurrEstab"], shown["MaxConn"]) == (2, 3)
    assert (live.bytesSent, totals.ended.bytesSent) == (1, 20)
