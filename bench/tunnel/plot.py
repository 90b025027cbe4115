"""
Drawing what has been measured of tunnels. Needs matplotlib.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.tunnel.figures import DOWN, UP, Case, FirstBytes, Transfer, cases, spreads

COLOURS = {
    "socksproxy": "#f4a259",
    "socksproxy+fec": "#e36414",
    "kcptun": "#6a9fd4",
    "kcptun+fec": "#1d3557",
}

OURS = "#e36414"
OTHERS = "#6a9fd4"
UNKNOWN = "#555555"


def draw(transfers: Sequence[Transfer], firstBytes: Sequence[FirstBytes], path: str) -> None:
    """
    Draw speed and cost of bulk, and the times of first octets, as far as there
    are any.

    @param path: The file, whose name says in which format.
    @raise SystemExit: There is no matplotlib.
    """
    try:
        import matplotlib
    except ImportError:
        raise SystemExit(
            "--plot needs matplotlib: pip install 'twisted-socksproxy[bench]'"
        ) from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [_speed, _cost] if transfers else []
    number = len(panels) + bool(firstBytes)
    figure, axes = pyplot.subplots(1, number, figsize=(5.2 * number, 4.4), squeeze=False)
    for panel, one in zip(panels, axes[0], strict=False):
        panel(one, cases(transfers))
    if firstBytes:
        _firstBytes(axes[0][-1], firstBytes)
    if transfers:
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False)
    figure.tight_layout(rect=(0, 0.08 if transfers else 0, 1, 1))
    figure.savefig(path, dpi=110)


def _speed(axes: Any, found: dict[tuple[str, int, str], Case]) -> None:
    _bars(axes, found, {key: case.megabytes for key, case in found.items()})
    axes.set_ylabel("MB/s")
    axes.set_title("Speed")


def _cost(axes: Any, found: dict[tuple[str, int, str], Case]) -> None:
    _bars(axes, found, {key: sum(case.cost) for key, case in found.items()})
    axes.set_ylabel("ms of processor time for a MB, both ends")
    axes.set_title("Cost")


def _bars(
    axes: Any, found: dict[tuple[str, int, str], Case], values: dict[tuple[str, int, str], float]
) -> None:
    """
    Draw a group of bars for each number of streams and direction.
    """
    names = list(dict.fromkeys(name for name, _, _ in found))
    streams = sorted({number for _, number, _ in found})
    groups = [(number, direction) for number in streams for direction in (UP, DOWN)]
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        places = [group + (index - (len(names) - 1) / 2) * width for group in range(len(groups))]
        heights = [values.get((name, *group), math.nan) for group in groups]
        axes.bar(places, heights, width, color=COLOURS.get(name, UNKNOWN), label=name)
    axes.set_xticks(range(len(groups)), [f"{number} {way}" for number, way in groups])
    axes.set_xlabel("streams, and the direction of data")
    axes.grid(True, axis="y", alpha=0.35)


def _firstBytes(axes: Any, firstBytes: Sequence[FirstBytes]) -> None:
    """
    Draw the times: a bar for the median, a line from the fastest tenth to the
    slowest, and a mark for the first time.
    """
    found = spreads(firstBytes)
    for place, (name, spread) in enumerate(found.items()):
        colour = OURS if name.startswith("socks5h") else OTHERS
        axes.barh(place, spread.p50, 0.6, color=colour)
        axes.plot([spread.p10, spread.p90], [place, place], color="black", linewidth=1)
        axes.plot([spread.fresh], [place], "D", color="black", markersize=5)
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.set_xlabel("ms; a diamond is the first time")
    axes.set_title("First octet of a target")
    axes.grid(True, axis="x", alpha=0.35)
