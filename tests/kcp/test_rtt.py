"""
Tests for L{socksproxy.kcp._rtt}.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from socksproxy.kcp._rtt import INITIAL_RTO, MAX_RTO, MIN_RTO, MIN_RTO_NO_DELAY, RTTEstimator
from tests.vectors import Vector, document

RUNS = document("kcp_vectors")["rtt"]


def test_allVectors() -> None:
    """
    Both runs are there.
    """
    assert [len(run["rows_rtt_srtt_rttvar_rto"]) for run in RUNS] == [20, 11]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"nodelay{run['nodelay']}")
def test_run(run: Vector) -> None:
    """
    Every sample moves the estimate as in kcp-go, to the millisecond.
    """
    estimator = RTTEstimator(run["interval"], bool(run["nodelay"]))
    for rtt, *expected in run["rows_rtt_srtt_rttvar_rto"]:
        estimator.sample(rtt)
        assert [estimator.srtt, estimator.rttvar, estimator.rto] == expected, rtt


def test_beginning() -> None:
    """
    Before the first sample nothing is known, and the timeout is that of the
    protocol.
    """
    estimator = RTTEstimator(10, True)
    assert (estimator.srtt, estimator.rttvar, estimator.rto) == (0, 0, INITIAL_RTO)


def test_least() -> None:
    """
    The timeout does not get shorter than what the mode allows.
    """
    for noDelay, least in ((False, MIN_RTO), (True, MIN_RTO_NO_DELAY)):
        estimator = RTTEstimator(10, noDelay)
        for _ in range(100):
            estimator.sample(1)
        assert estimator.rto == least


def test_peersDelay() -> None:
    """
    On a path on which every round trip is the same, the timeout leaves the
    peer the time for which it may keep an acknowledgement.
    """
    estimator = RTTEstimator(300, True)
    for _ in range(100):
        estimator.sample(80)
    assert estimator.rto == 380


@given(st.lists(st.integers(0, 1 << 31), max_size=60), st.integers(10, 5000), st.booleans())
def test_anySamples(samples: list[int], interval: int, noDelay: bool) -> None:
    """
    Whatever is measured, the timeout stays within its bounds.
    """
    estimator = RTTEstimator(interval, noDelay)
    for rtt in samples:
        estimator.sample(rtt)
        least = MIN_RTO_NO_DELAY if noDelay else MIN_RTO
        assert least <= estimator.rto <= MAX_RTO
        assert 0 <= estimator.srtt <= max(samples)
