"""
Tests for L{socksproxy.kcp.diagnosis}.
"""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from socksproxy.kcp.diagnosis import MAX_LINES, MAX_SOURCES, Diagnosis
from tests.logs import captured, texts

REASON = "wrong in some way"


class DiagnosisTests(SynchronousTestCase):
    """
    Lines about datagrams.
    """

    def setUp(self) -> None:
        """
        Begin to collect lines.
        """
        collecting = captured()
        self.events = collecting.__enter__()
        self.addCleanup(collecting.__exit__, None, None, None)
        self.diagnosis = Diagnosis()

    def report(self, now: float, host: str = "192.0.2.7", count: int = 1, port: int = 4000) -> None:
        """
        Report something.
        """
        self.diagnosis.report(now, host, port, REASON, count)

    @property
    def lines(self) -> list[str]:
        """
        What has been said.
        """
        return texts(self.events)

    def test_line(self) -> None:
        """
        A line says how many, where from, and what is wrong.
        """
        self.report(0.0, count=12)
        self.assertEqual(
            self.lines, ["KCP: 12 datagrams from 192.0.2.7 port 4000: wrong in some way"]
        )

    def test_oneASecond(self) -> None:
        """
        A source gets one line a second, in which all are counted that came
        since the last one.
        """
        for tenth in range(31):
            self.report(tenth / 10)
        counts = [int(re.findall(r"\d+", line)[0]) for line in self.lines]
        self.assertEqual(counts, [1, 10, 10, 10])

    def test_oneASecondWhateverIsWrong(self) -> None:
        """
        A source with several faults gets no more lines.
        """
        for reason in ("one", "two", "three"):
            self.diagnosis.report(0.0, "192.0.2.7", 4000, reason, 1)
        self.assertEqual(len(self.lines), 1)

    def test_oneASecondWhateverThePort(self) -> None:
        """
        Nor does one that changes its port.
        """
        for port in range(100):
            self.report(0.0, port=port)
        self.assertEqual(len(self.lines), 1)

    def test_sources(self) -> None:
        """
        Sources do not take one another's lines.
        """
        self.report(0.0, "192.0.2.7")
        self.report(0.1, "192.0.2.8")
        self.assertEqual(len(self.lines), 2)

    def test_manySources(self) -> None:
        """
        In any second there are so many lines at the most, from however many
        sources.
        """
        times: list[float] = []
        for number in range(3000):
            before = len(self.events)
            self.report(number / 1000, f"10.0.{number >> 8}.{number & 255}")
            if len(self.events) > before:
                times.append(number / 1000)
        self.assertEqual(len(times), 3 * MAX_LINES)
        for first, later in zip(times, times[MAX_LINES:], strict=False):
            self.assertGreaterEqual(later - first, 1.0)

    def test_manySourcesAtTheBoundary(self) -> None:
        """
        Lines late in one second count for the beginning of the next.
        """
        self.report(0.0, "10.0.0.0")
        for number in range(1, 100):
            self.report(0.95, f"10.0.0.{number}")
        for number in range(100, 200):
            self.report(1.05, f"10.0.0.{number}")
        self.assertEqual(len(self.lines), MAX_LINES + 1)

    def test_countedThoughUnsaid(self) -> None:
        """
        What a source sent while there were too many lines is in its next one.
        """
        self.report(0.0)
        for number in range(MAX_LINES):
            self.report(1.5, f"10.0.0.{number}")
        self.report(1.6, count=5)
        self.report(3.0, count=2)
        self.assertIn("7 datagrams from 192.0.2.7", self.lines[-1])

    def test_bounded(self) -> None:
        """
        Only so many sources are remembered, the latest.
        """
        for number in range(2 * MAX_SOURCES):
            self.report(number, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        self.assertEqual(len(self.diagnosis._sources), MAX_SOURCES)
        self.assertIn("10.0.7.255", self.diagnosis._sources)
        self.assertNotIn("10.0.0.1", self.diagnosis._sources)
