"""
Figures: what a measurement brings, and how it is kept.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any


def percentile(values: Sequence[float], share: float) -> float:
    """
    Give the value that a share of all values does not exceed.

    @param share: 0 to 1.
    @return: NaN if there are no values.
    """
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


@dataclass(frozen=True)
class Bulk:
    """
    How data goes from a client to a server.

    @ivar octets: What arrived.
    @ivar seconds: In what time.
    @ivar clientCPU: Seconds of processor time of the sender.
    @ivar serverCPU: Of the receiver.
    @ivar others: Seconds for which the processors were busy with what does not
        belong to the measurement.
    """

    octets: int
    seconds: float
    clientCPU: float
    serverCPU: float
    others: float = 0.0

    @property
    def megabytes(self) -> float:
        """
        A second.
        """
        return self.octets / self.seconds / 1e6

    @property
    def cost(self) -> tuple[float, float]:
        """
        Milliseconds of processor time for a megabyte, of client and server.
        """
        unit = self.octets / 1e9
        return (self.clientCPU / unit, self.serverCPU / unit) if unit else (math.nan, math.nan)


@dataclass(frozen=True)
class Case:
    """
    One contender on one kind of bad link.

    @ivar contender: Its name.
    @ivar loss: Per cent.
    @ivar burst: Packets lost in a row on average; 1 is by chance.
    @ivar goodput: Mbit/s that arrived; NaN if nothing did.
    @ivar wire: Octets sent towards the receiver for each that arrived.
    @ivar p50: Milliseconds of an echo, in the middle.
    @ivar p99: The same, of the slowest hundredth.
    @ivar echoes: How many that is reckoned from.
    @ivar link: The link's counters over the bulk, by direction.
    @ivar counters: Those of our own sender.
    @ivar others: Of a processor, per cent that was busy with what does not
        belong to the measurement.
    @ivar failure: Why there is nothing of all that.
    """

    contender: str
    loss: float
    burst: float
    goodput: float = math.nan
    wire: float = math.nan
    p50: float = math.nan
    p99: float = math.nan
    echoes: int = 0
    link: dict[str, dict[str, int]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    others: float = 0.0
    failure: str = ""


def save(path: str, cases: Sequence[Case], settings: dict[str, Any]) -> None:
    """
    Write cases to a file.

    @param settings: What they were measured with.
    """
    document = {"settings": settings, "cases": [asdict(case) for case in cases]}
    Path(path).write_text(json.dumps(document, indent=1) + "\n")


def load(path: str) -> list[Case]:
    """
    Read cases from a file.

    @raise ValueError: There are none in it.
    """
    try:
        document = json.loads(Path(path).read_text())
    except ValueError:
        document = None
    if not isinstance(document, dict) or not document.get("cases"):
        raise ValueError(f"{path} has no figures of lossy links")
    names = {each.name for each in fields(Case)}
    return [
        Case(**{name: value for name, value in case.items() if name in names})
        for case in document["cases"]
    ]


def duration(seconds: float) -> str:
    """
    Say how long something takes.
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
