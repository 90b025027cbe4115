"""
The parts of the KCP benchmark that need no network.
"""

import argparse
import math
from pathlib import Path
from random import Random

import pytest

from bench.kcp.command import chosen, parse
from bench.kcp.contenders import LOOPBACK, LOSSY, Contender
from bench.kcp.figures import Bulk, Case, duration, load, percentile, save
from bench.kcp.layers import LAYERS, layerOf
from bench.kcp.lossy import conditions, row
from bench.lossylink import Losses, Way
from socksproxy.kcp import KCPConfig
from tests.daemon import ROOT

FLOW = bytes(9) + b"\x11" + bytes(2) + bytes(12)
"""
As much of a packet as a flow is known by.
"""


def link(**settings: float) -> argparse.Namespace:
    """
    Give the settings of a link which is good where it is not told otherwise.
    """
    good = {"delay": 25, "jitter": 0, "loss": 0, "burst": 1, "rate": 0, "queue": 100, "seed": 1}
    return argparse.Namespace(**{**good, **settings})


def runs(lost: list[bool]) -> list[int]:
    """
    Give how many packets are lost in each row.
    """
    text = "".join("x" if one else " " for one in lost)
    return [len(run) for run in text.split()]


class TestLosses:
    """
    Which packets are lost.
    """

    @pytest.mark.parametrize("burst", [1, 5])
    @pytest.mark.parametrize("share", [0.01, 0.15, 0.3])
    def test_share(self, share: float, burst: int) -> None:
        """
        As many as they should be, whether by chance or in bursts.
        """
        losses = Losses(share, burst, Random(1))
        lost = sum(losses.isLost() for _ in range(200_000))
        assert lost / 200_000 == pytest.approx(share, rel=0.06)

    def test_bursts(self) -> None:
        """
        Bursts have the length that they should have, on average, and losses by
        chance follow each other no more often than chance has it.
        """
        for burst, expected in ((5, 5.0), (1, 1 / 0.85)):
            losses = Losses(0.15, burst, Random(2))
            found = runs([losses.isLost() for _ in range(200_000)])
            assert sum(found) / len(found) == pytest.approx(expected, rel=0.05)


class TestWay:
    """
    One direction of the link.
    """

    def test_delay(self) -> None:
        """
        Without loss each packet leaves after the delay.
        """
        way = Way("right", 0, link())
        assert [way.arrival(FLOW, now) for now in (1.0, 1.5)] == [1.025, 1.525]
        assert way.counters() == {
            "packets": 2,
            "octets": 2 * len(FLOW),
            "lost": 0,
            "dropped": 0,
            "late": 0,
        }

    def test_flows(self) -> None:
        """
        What one flow loses does not depend on what else there is, and the same
        seed loses the same.
        """
        alone, shared = (Way("right", 0, link(loss=30)) for _ in range(2))
        other = FLOW[:-1] + b"\1"
        first, second = [], []
        for _ in range(200):
            first.append(alone.arrival(FLOW, 0.0))
            second.append(shared.arrival(FLOW, 0.0))
            shared.arrival(other, 0.0)
        assert first == second
        assert 30 < first.count(None) < 90
        otherwise = Way("right", 0, link(loss=30, seed=2))
        assert first != [otherwise.arrival(FLOW, 0.0) for _ in range(200)]

    def test_bottleneck(self) -> None:
        """
        Packets follow one another at the rate, and those that would wait longer
        than the queue is are dropped.
        """
        # A packet takes a millisecond.
        way = Way("right", 0, link(delay=0, rate=0.1 * 8 * 1250 / 1000, queue=3))
        packet = FLOW + bytes(125 - len(FLOW))
        leaving = [way.arrival(packet, 0.0) for _ in range(6)]
        assert leaving[:4] == pytest.approx([0.001, 0.002, 0.003, 0.004])
        assert leaving[4:] == [None, None]
        assert way.dropped == 2
        assert way.lost == 0
        assert way.arrival(packet, 1.0) == pytest.approx(1.001)


class TestFigures:
    """
    Percentiles, and figures in files.
    """

    @pytest.mark.parametrize(
        ("share", "value"), [(0.0, 1), (0.5, 50), (0.501, 51), (0.99, 99), (1.0, 100)]
    )
    def test_percentile(self, share: float, value: float) -> None:
        """
        The value is one of those that there are: the least that is enough.
        """
        values = [float(number) for number in range(100, 0, -1)]
        assert percentile(values, share) == value

    def test_nothing(self) -> None:
        """
        Of nothing there is no percentile and no cost.
        """
        assert math.isnan(percentile([], 0.5))
        assert all(map(math.isnan, Bulk(0, 1.0, 0.1, 0.1).cost))

    def test_cost(self) -> None:
        """
        Costs are in milliseconds for a megabyte of a million octets.
        """
        bulk = Bulk(200_000_000, 2.0, 1.0, 3.0)
        assert bulk.megabytes == 100
        assert bulk.cost == (5.0, 15.0)

    def test_file(self, tmp_path: Path) -> None:
        """
        Cases are read as they were written, and what a later version has added
        does not hurt.
        """
        cases = [
            Case("kcptun", 5.0, 1.0, 100.0, 1.2, 51.0, 300.0, 450, {"right": {"lost": 3}}),
            Case("tcp-bbr", 30.0, 5.0, failure="no answer"),
        ]
        path = tmp_path / "figures.json"
        save(str(path), cases, {"seed": 1})
        path.write_text(path.read_text().replace('"loss":', '"new": 1, "loss":'))
        first, second = load(str(path))
        assert first == cases[0]
        assert second.failure == "no answer"
        assert math.isnan(second.goodput)

    @pytest.mark.parametrize("text", ["{}", "[]", '{"cases": []}', "no JSON"])
    def test_noFigures(self, text: str, tmp_path: Path) -> None:
        """
        A file without cases is named.
        """
        path = tmp_path / "other.json"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"other\.json has no figures"):
            load(str(path))

    def test_duration(self) -> None:
        """
        Minutes are only said where there are any.
        """
        assert duration(59.4) == "59 s"
        assert duration(119.6) == "2 min 0 s"


class TestCommand:
    """
    Options.
    """

    def test_conditions(self) -> None:
        """
        Without loss there are no bursts.
        """
        assert conditions([0, 5], [1, 5]) == [(0, 1), (5, 1), (5, 5)]
        assert conditions([5, 5], [5]) == [(5, 5)]

    def test_quick(self) -> None:
        """
        A quick table asks for less, but for what was said all the same.
        """
        full, quick = parse(["--lossy"]), parse(["--lossy", "--quick", "--loss", "1,2.5"])
        assert quick.loss == [1, 2.5]
        assert quick.echoing < full.echoing
        assert len(quick.burst) < len(full.burst)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--plot", "x.png"], "are for --lossy"),
            (["--set", "pacing"], "invalid setting value"),
            (["--set", "speed=9"], "speed"),
            (["--set", "mtu=1"], "mtu is 1"),
            (["--lossy", "--loss", "5;6"], "invalid numbers value"),
            (["--lossy", "--loss", "100"], "less than 100"),
            (["--lossy", "--echoing", "0"], "more than"),
            (["--seconds", "0"], "more than"),
        ],
    )
    def test_wrong(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        Options that make no sense are said to.
        """
        with pytest.raises(SystemExit):
            parse(arguments)
        assert message in capsys.readouterr().err

    def test_chosen(self) -> None:
        """
        Contenders are chosen by name and have what is set.
        """
        options = parse(["--set", "pacing=true", "--set", "congestion=bbr"])
        found = chosen(LOSSY, "socksproxy+fec,socksproxy", dict(options.set))
        assert list(found) == ["socksproxy+fec", "socksproxy"]
        for contender in found.values():
            assert contender.settings == {"pacing": True, "congestion": "bbr"}

    def test_unknown(self) -> None:
        """
        A name that there is not is named.
        """
        with pytest.raises(SystemExit, match=r"^nobody is not one of socksproxy,"):
            chosen(LOSSY, "socksproxy,nobody", {})

    def test_missing(self, capsys: pytest.CaptureFixture[str]) -> None:
        """
        What this machine has not is left out, with the reason; if nothing is
        left that is an error.
        """
        known = {"odd": Contender("tcp", control="odd"), "ours": Contender("socksproxy")}
        assert list(chosen(known, None, {})) == ["ours"]
        assert capsys.readouterr().err == "without odd: no odd in this kernel\n"
        with pytest.raises(SystemExit, match="nothing to measure"):
            chosen(known, "odd", {})

    def test_settings(self) -> None:
        """
        What contenders set is there to be set.
        """
        for contender in (*LOSSY.values(), *LOOPBACK.values()):
            KCPConfig(**contender.settings)


class TestLayers:
    """
    Which part of ours a file belongs to.
    """

    @pytest.mark.parametrize(
        ("file", "layer"),
        [
            ("socksproxy/kcp/_flight.py", "control block"),
            ("socksproxy/kcp/_cfb.py", "cipher"),
            ("socksproxy/kcp/fec.py", "FEC"),
            ("socksproxy/kcp/port.py", "port"),
            ("socksproxy/kcp/transport.py", "sessions"),
            ("socksproxy/smux/transport.py", "smux"),
            ("socksproxy/relay/pump.py", "application"),
            ("bench/kcp/applications.py", "application"),
            ("site-packages/twisted/internet/base.py", "reactor"),
            ("lib/python3.11/heapq.py", None),
        ],
    )
    def test_layerOf(self, file: str, layer: str | None) -> None:
        """
        Each file belongs to a part, or to whoever calls it.
        """
        assert layerOf(str(ROOT / file)) == layer
        assert layer is None or layer in LAYERS


def test_row() -> None:
    """
    A table tells the losses of queues from those that the link should have.
    """
    ahead = {"packets": 200, "lost": 20, "dropped": 3, "overflow": 1, "late": 4}
    case = Case("kcptun", 5.0, 1.0, 100.0, 1.25, 51.04, 300.0, 450, {"right": ahead}, others=6.4)
    assert row(case) == ["100.0", "1.25", "51.0", "300.0", "450", "2.0", "2.0", "6"]
