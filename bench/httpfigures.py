"""
Figures of HTTP proxies: what a measurement brings, how several of them are
shown, and how they are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from bench.httpload import Way
from bench.httpproxies import OURS

WAYS = {
    "GET, kept": Way(False, True),
    "GET, each": Way(False, False),
    "CONNECT, kept": Way(True, True),
    "CONNECT, each": Way(True, False),
}
"""
Requests that are forwarded or go through tunnels, on connections that are kept
or on one each.
"""

TRANSFERS = {
    "GET down": (False, False),
    "PUT up": (False, True),
    "CONNECT down": (True, False),
    "CONNECT up": (True, True),
}
"""
Octets that are forwarded or go through a tunnel, to the client or from it.
"""

_REQUESTS_LINE = "{:<14} {:<11} {:>9} {:>9} {:>9} {:>8} {:>7} {:>7} {:>7}"
_TRANSFERS_LINE = "{:<14} {:<11} {:>9} {:>8} {:>7} {:>7} {:>7}"


@dataclass(frozen=True)
class Requests:
    """
    Small requests through a proxy.

    @ivar case: Of L{WAYS}.
    @ivar proxy: Its name.
    @ivar seconds: How long it took.
    @ivar count: How many were answered.
    @ivar failed: How many were not.
    @ivar p50: Milliseconds that half of them took at the most.
    @ivar p99: Likewise 99 of a hundred.
    @ivar cpu: Seconds of processor time of the proxy.
    @ivar others: Those that went to what does not belong to the measurement.
    """

    case: str
    proxy: str
    seconds: float
    count: int
    failed: int
    p50: float
    p99: float
    cpu: float
    others: float


@dataclass(frozen=True)
class Octets:
    """
    A large body through a proxy.

    @ivar case: Of L{TRANSFERS}.
    @ivar proxy: Its name.
    @ivar seconds: How long it took.
    @ivar count: Octets.
    @ivar failed: How many connections were broken off.
    @ivar cpu: Seconds of processor time of the proxy.
    @ivar others: Those that went to what does not belong to the measurement.
    """

    case: str
    proxy: str
    seconds: float
    count: int
    failed: int
    cpu: float
    others: float


def show(requests: Sequence[Requests], octets: Sequence[Octets]) -> None:
    """
    Print the tables.
    """
    if requests:
        names = ("requests", "proxy", "a second", "p50, ms", "p99, ms", "CPU, us", "ratio")
        print(_REQUESTS_LINE.format(*names, "others", "failed"))
    for case in WAYS:
        _showCase(requests, case, 1e6, _requestsLine)
    if requests and octets:
        print()
    if octets:
        names = ("octets", "proxy", "Gbit/s", "ms/MB", "ratio", "others", "failed")
        print(_TRANSFERS_LINE.format(*names))
    for case in TRANSFERS:
        _showCase(octets, case, 1e9, _octetsLine)


Figure = TypeVar("Figure", Requests, Octets)


def _showCase(
    figures: Sequence[Figure],
    case: str,
    unit: float,
    line: Callable[[str, Sequence[Figure], str, str], str],
) -> None:
    """
    Print the lines of a case.

    @param unit: In what seconds of processor time are told, by the figure's
        own unit.
    """
    groups: dict[str, list[Figure]] = {}
    for each in figures:
        if each.case == case:
            groups.setdefault(each.proxy, []).append(each)
    costs = {
        name: median(each.cpu / max(each.count, 1) for each in several) * unit
        for name, several in groups.items()
    }
    ours = costs.get(OURS, 0.0)
    for name, several in groups.items():
        cost = costs[name]
        ratio = f"{cost / ours:.2f}" if cost and ours else ""
        print(line(name, several, f"{cost:.3g}" if cost else "", ratio))


def _requestsLine(name: str, several: Sequence[Requests], cost: str, ratio: str) -> str:
    return _REQUESTS_LINE.format(
        several[0].case,
        name,
        f"{median(each.count / each.seconds for each in several):,.0f}",
        f"{median(each.p50 for each in several):.2f}",
        f"{median(each.p99 for each in several):.2f}",
        cost,
        ratio,
        _others(several),
        sum(each.failed for each in several),
    )


def _octetsLine(name: str, several: Sequence[Octets], cost: str, ratio: str) -> str:
    return _TRANSFERS_LINE.format(
        several[0].case,
        name,
        f"{median(each.count / each.seconds for each in several) * 8 / 1e9:.1f}",
        cost,
        ratio,
        _others(several),
        sum(each.failed for each in several),
    )


def _others(several: Sequence[Requests] | Sequence[Octets]) -> str:
    return f"{median(each.others / each.seconds for each in several):.0%}"


def save(
    path: str,
    requests: Sequence[Requests],
    octets: Sequence[Octets],
    settings: Mapping[str, Any],
) -> None:
    """
    Write figures to a file.

    @param settings: What they were measured with.
    """
    document = {
        "settings": settings,
        "requests": [asdict(each) for each in requests],
        "octets": [asdict(each) for each in octets],
    }
    Path(path).write_text(json.dumps(document, indent=1) + "\n")


def load(path: str) -> tuple[list[Requests], list[Octets]]:
    """
    Read figures from a file.

    @raise ValueError: There are none in it.
    """
    try:
        document = json.loads(Path(path).read_text())
        return (
            [Requests(**each) for each in document["requests"]],
            [Octets(**each) for each in document["octets"]],
        )
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{path} has no figures of HTTP proxies") from None
