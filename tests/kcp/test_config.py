"""
Tests for L{socksproxy.kcp.config}.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from socksproxy.errors import ConfigurationError
from socksproxy.kcp.config import MODES, KCPConfig

RANGES = [
    ("mtu", 50, 1500),
    ("sndwnd", 1, 65535),
    ("rcvwnd", 1, 65535),
    ("interval", 10, 5000),
    ("resend", 0, 65535),
    ("ratelimit", 0, 1 << 40),
    ("datashard", 0, 253),
    ("parityshard", 0, 246),
    ("deadlink", 1, 65535),
]


@pytest.mark.parametrize(("name", "low", "high"), RANGES, ids=[name for name, *_ in RANGES])
def test_range(name: str, low: int, high: int) -> None:
    """
    A value at either end of its range is taken, and one beyond it is refused
    with its name and value.
    """
    for value in (low, high):
        assert getattr(KCPConfig(**{name: value}), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(ConfigurationError) as caught:
            KCPConfig(**{name: value})
        assert name in str(caught.value)


def test_everyNumber() -> None:
    """
    No number is without a range.
    """
    numbers = [field.name for field in fields(KCPConfig) if field.type == "int"]
    assert sorted(numbers) == sorted(name for name, *_ in RANGES)


def test_shards() -> None:
    """
    A group has 256 shards at the most.
    """
    assert KCPConfig(datashard=200, parityshard=56).fec
    with pytest.raises(ConfigurationError, match="256"):
        KCPConfig(datashard=200, parityshard=57)


def test_fec() -> None:
    """
    Without one kind of shards there is no forward error correction.
    """
    assert KCPConfig().fec
    assert not KCPConfig(datashard=0).fec
    assert not KCPConfig(parityshard=0).fec


def test_congestion() -> None:
    """
    There are three congestion controls.
    """
    for name in ("none", "window", "bbr"):
        assert KCPConfig(congestion=name).congestion == name
    with pytest.raises(ConfigurationError, match="cubic"):
        KCPConfig(congestion="cubic")


@pytest.mark.parametrize(
    ("overhead", "mss"),
    [(0, 1326), (8, 1318), (20, 1306), (28, 1298), (36, 1290)],
)
def test_mss(overhead: int, mss: int) -> None:
    """
    Segments are as long as with kcptun: kcptun's own mtu, without what
    ciphers and forward error correction need.
    """
    assert KCPConfig(mtu=1350).mss(overhead) == mss


def test_noRoom() -> None:
    """
    There has to be room for one octet of data.
    """
    assert KCPConfig(mtu=61).mss(36) == 1
    with pytest.raises(ConfigurationError, match="60"):
        KCPConfig(mtu=60).mss(36)


@pytest.mark.parametrize(
    ("mode", "nodelay", "interval", "resend"),
    [
        ("normal", False, 40, 2),
        ("fast", False, 30, 2),
        ("fast2", True, 20, 2),
        ("fast3", True, 10, 2),
    ],
)
def test_modes(mode: str, nodelay: bool, interval: int, resend: int) -> None:
    """
    kcptun's modes mean what they mean there.
    """
    config = KCPConfig.forMode(mode)
    assert (config.nodelay, config.interval, config.resend) == (nodelay, interval, resend)
    assert config.congestion == "none"


def test_allModes() -> None:
    """
    There are no others.
    """
    assert sorted(MODES) == ["fast", "fast2", "fast3", "normal"]
    with pytest.raises(ConfigurationError, match="fast4"):
        KCPConfig.forMode("fast4")


def test_modeWithSettings() -> None:
    """
    Single settings of a mode can be otherwise, and are checked as well.
    """
    config = KCPConfig.forMode("fast3", interval=50, sndwnd=7)
    assert (config.nodelay, config.interval, config.sndwnd) == (True, 50, 7)
    with pytest.raises(ConfigurationError):
        KCPConfig.forMode("fast3", interval=5)


def test_frozen() -> None:
    """
    Sessions can share settings, since nobody can change them.
    """
    with pytest.raises(FrozenInstanceError):
        KCPConfig().mtu = 100  # type: ignore[misc]
