"""
Tests for L{socksproxy.kcp.statistics}.
"""

from dataclasses import fields

from socksproxy.kcp.statistics import SessionStatistics


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
