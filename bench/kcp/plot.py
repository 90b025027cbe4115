"""
Drawing what has been measured over bad links. Needs matplotlib.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.kcp.figures import Case

STYLES = {
    "socksproxy+bbr": ("#c1121f", "-", "D"),
    "socksproxy+fec": ("#e36414", "-", "s"),
    "socksproxy": ("#f4a259", "-", "o"),
    "kcptun+fec": ("#1d3557", "--", "s"),
    "kcptun": ("#6a9fd4", "--", "o"),
    "tcp-bbr": ("#2b7a3d", ":", "D"),
    "tcp-cubic": ("#84b082", ":", "o"),
}
"""
Colour, line and marks: of one family is what is of one colour, and of one line.
"""

SLOWEST = 1.0
"""
Mbit/s, where the picture ends.
"""

OTHER = ("#555555", "-.", "x")


def draw(cases: Sequence[Case], path: str) -> None:
    """
    Draw goodput and the slowest hundredth of the echoes over loss, one line for
    each contender.

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

    bursts = sorted({case.burst for case in cases if case.loss}) or [1.0]
    losses = sorted({case.loss for case in cases})
    figure, rows = pyplot.subplots(
        len(bursts), 2, figsize=(11, 4.2 * len(bursts)), squeeze=False, sharey="col"
    )
    for axes, burst in zip(rows, bursts, strict=True):
        # Without loss there are no bursts: it belongs to all of them.
        some = [case for case in cases if case.burst == burst or not case.loss]
        title = f"Loss in bursts of {burst:g}" if burst > 1 else "Loss by chance"
        _panel(axes[0], some, losses, "goodput", "goodput, Mbit/s", title)
        # What is slower than that need not be told apart.
        axes[0].set_ylim(bottom=SLOWEST)
        _panel(axes[1], some, losses, "p99", "99 % of echoes within, ms", title)
    handles, labels = rows[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=min(len(labels), 7), frameon=False)
    figure.tight_layout(rect=(0, 0.09 / len(bursts), 1, 1))
    figure.savefig(path, dpi=110)


def _panel(
    axes: Any, cases: Sequence[Case], losses: Sequence[float], name: str, label: str, title: str
) -> None:
    """
    Draw one figure of all contenders.

    @param name: The attribute of a L{Case}.
    """
    for contender in dict.fromkeys(case.contender for case in cases):
        # What stood still has no place on this scale.
        points = sorted(
            (losses.index(case.loss), getattr(case, name))
            for case in cases
            if case.contender == contender and _isDrawn(getattr(case, name))
        )
        colour, line, mark = STYLES.get(contender, OTHER)
        axes.plot(
            [place for place, _ in points],
            [value for _, value in points],
            color=colour,
            linestyle=line,
            marker=mark,
            markersize=5,
            label=contender,
        )
    axes.set_yscale("log", subs=(2, 3, 5, 7))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(_twosAndFives)
    axes.tick_params(axis="y", which="minor", labelsize=8)
    axes.set_xticks(range(len(losses)), [f"{loss:g}" for loss in losses])
    axes.set_xlabel("loss, %")
    axes.set_ylabel(label)
    axes.set_title(title)
    axes.grid(True, which="major", alpha=0.35)
    axes.grid(True, which="minor", alpha=0.12)


def _twosAndFives(value: float, _: object) -> str:
    text = f"{value:g}"
    return text if text.strip("0.") in ("2", "5") else ""


def _isDrawn(value: float) -> bool:
    return math.isfinite(value) and value > 0
