"""
Figures of tunnels: what a measurement brings, what several of them come to, and
how they are kept.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from bench.kcp.figures import Bulk, percentile

UP = "up"
DOWN = "down"


@dataclass(frozen=True, kw_only=True)
class Transfer(Bulk):
    """
    How data goes through a tunnel, all streams together. The client is the
    end that streams are opened at, whichever direction data takes.

    @ivar contender: Its name.
    @ivar direction: L{UP} is from the client to the server.
    @ivar perStream: Octets that arrived on each stream.
    """

    contender: str
    direction: str
    perStream: Sequence[int]

    @property
    def streams(self) -> int:
        """
        Say how many there were.
        """
        return len(self.perStream)

    @property
    def fairness(self) -> float:
        """
        Give what the slowest stream got for each octet of the fastest, 0 to 1;
        NaN if there is nothing to be compared.
        """
        if self.streams < 2:
            return math.nan
        return min(self.perStream) / max(*self.perStream, 1)


@dataclass(frozen=True)
class FirstBytes:
    """
    How long it took until a target's first octet was there, from the
    beginning of the connection to the proxy on, with programs that had just
    been started.

    @ivar way: The name of the way there.
    @ivar fresh: Seconds, of the first time.
    @ivar later: Seconds, of the times after that.
    @ivar failed: How often there was none.
    """

    way: str
    fresh: float
    later: Sequence[float] = field(default_factory=list)
    failed: int = 0


@dataclass(frozen=True)
class Case:
    """
    Several transfers of a kind.

    @ivar megabytes: A second, in the middle.
    @ivar cost: Milliseconds of processor time for a megabyte, of client and
        server.
    @ivar fairness: See L{Transfer}; in the middle, too.
    @ivar others: Of a processor, the share that was busy with what does not
        belong to the measurement.
    """

    megabytes: float
    cost: tuple[float, float]
    fairness: float
    others: float


@dataclass(frozen=True)
class Spread:
    """
    Several times, in milliseconds.

    @ivar fresh: Of programs that have just been started, in the middle.
    @ivar p10: Later, what a tenth of them does not exceed.
    @ivar p50: Likewise the half.
    @ivar p90: Likewise nine tenths.
    @ivar count: How many later ones there were.
    @ivar failed: How many there should have been.
    """

    fresh: float
    p10: float
    p50: float
    p90: float
    count: int
    failed: int


def cases(transfers: Sequence[Transfer]) -> dict[tuple[str, int, str], Case]:
    """
    Put together what was measured several times.

    @return: By contender, number of streams, and direction.
    """
    found: dict[tuple[str, int, str], list[Transfer]] = {}
    for each in transfers:
        found.setdefault((each.contender, each.streams, each.direction), []).append(each)
    return {
        key: Case(
            median(one.megabytes for one in several),
            (median(one.cost[0] for one in several), median(one.cost[1] for one in several)),
            median(one.fairness for one in several),
            median(one.others / one.seconds for one in several),
        )
        for key, several in found.items()
    }


def spreads(firstBytes: Sequence[FirstBytes]) -> dict[str, Spread]:
    """
    Put together what was measured several times.

    @return: By way.
    """
    found: dict[str, list[FirstBytes]] = {}
    for each in firstBytes:
        found.setdefault(each.way, []).append(each)
    return {way: _spread(several) for way, several in found.items()}


def _spread(several: Sequence[FirstBytes]) -> Spread:
    later = [seconds for one in several for seconds in one.later]
    fresh = [one.fresh for one in several if math.isfinite(one.fresh)]
    p10, p50, p90 = (percentile(later, share) * 1e3 for share in (0.1, 0.5, 0.9))
    return Spread(
        median(fresh) * 1e3 if fresh else math.nan,
        p10,
        p50,
        p90,
        len(later),
        sum(one.failed for one in several),
    )


def save(
    path: str,
    transfers: Sequence[Transfer],
    firstBytes: Sequence[FirstBytes],
    settings: Mapping[str, Any],
) -> None:
    """
    Write figures to a file.

    @param settings: What they were measured with.
    """
    document = {
        "settings": settings,
        "transfers": [asdict(each) for each in transfers],
        "firstBytes": [asdict(each) for each in firstBytes],
    }
    Path(path).write_text(json.dumps(document, indent=1) + "\n")


def load(path: str) -> tuple[list[Transfer], list[FirstBytes]]:
    """
    Read figures from a file.

    @raise ValueError: There are none in it.
    """
    try:
        document = json.loads(Path(path).read_text())
        transfers = _read(Transfer, document["transfers"])
        firstBytes = _read(FirstBytes, document["firstBytes"])
    except (ValueError, TypeError, KeyError):
        transfers, firstBytes = [], []
    if not transfers and not firstBytes:
        raise ValueError(f"{path} has no figures of tunnels")
    return transfers, firstBytes


_Read = TypeVar("_Read", Transfer, FirstBytes)


def _read(kind: type[_Read], written: Sequence[Mapping[str, Any]]) -> list[_Read]:
    """
    Read what there is of a kind; what a later version has added is left out.
    """
    names = {each.name for each in fields(kind)}
    return [
        kind(**{name: value for name, value in one.items() if name in names}) for one in written
    ]
