"""
How long it takes until a target's first octet is there, over a long line: from
the connection to the proxy beside the client on, to a page beside the proxy at
the other end.

Each time there is a fresh line with fresh programs, so that the first page shows
what it costs to begin, and those after it what a running tunnel costs.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.kcp.figures import duration
from bench.kcp.programs import program
from bench.lossylink import RIGHT_ADDRESS
from bench.proxies import freePort
from bench.tunnel.figures import FirstBytes, Spread, spreads
from bench.tunnel.page import PAUSE, TIMEOUT
from bench.tunnel.ways import Scene, Way

STARTING = 4.0
"""
Seconds that programs need, about.
"""

COLUMNS = "{:<18} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7}"


def measure(ways: Mapping[str, Way], options: argparse.Namespace) -> Iterator[FirstBytes]:
    """
    Measure, ways in turn.

    @return: What came of one scene once it is over.
    """
    # Most take twice the way there and back.
    expected = STARTING + options.requests * (PAUSE + 4 * options.delay / 1000)
    total = options.rounds * len(ways)
    print(f"{total} lines, about {duration(total * expected)}.", file=sys.stderr)
    for _ in range(options.rounds):
        for name, way in ways.items():
            found = _firstBytes(name, way, options)
            print(f"{name}: {found.fresh * 1e3:.1f} ms at first", file=sys.stderr)
            yield found


def _firstBytes(name: str, way: Way, options: argparse.Namespace) -> FirstBytes:
    target = freePort()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        link = stack.enter_context(program("lossylink", f"--delay={options.delay}"))
        sides = link.answer()
        serve = program("tunnel.page", "serve", str(target), prefix=sides["right"])
        stack.enter_context(serve).answer()
        asking = stack.enter_context(program("tunnel.page", "ask", prefix=sides["left"]))
        asking.answer()
        entrance = way.start(Scene(stack, folder, sides["left"], sides["right"]))
        if entrance:
            place = {"host": "127.0.0.1", "port": entrance, "target": target}
        else:
            place = {"host": RIGHT_ADDRESS, "port": target, "target": 0}
        count = options.requests
        times = asking.ask("ask", timeout=(count + 1) * (PAUSE + TIMEOUT), count=count + 1, **place)
    return taken(name, times)


def taken(name: str, times: Sequence[float | None]) -> FirstBytes:
    """
    Give what came of one scene.

    @param times: Seconds, the first of them of fresh programs; L{None} is a
        page that did not come.
    """
    fresh = times[0]
    later = [each for each in times[1:] if each is not None]
    return FirstBytes(name, math.nan if fresh is None else fresh, later, times.count(None))


def show(firstBytes: Sequence[FirstBytes]) -> None:
    """
    Print a table.
    """
    for line in (
        ("", "first", "later", "p10", "p90", "pages", "failed"),
        ("", "ms", "ms", "ms", "ms", "", ""),
    ):
        print(COLUMNS.format(*line).rstrip())
    for name, spread in spreads(firstBytes).items():
        print(COLUMNS.format(name, *row(spread)))


def row(spread: Spread) -> Sequence[str]:
    """
    Give what a table says of a way.
    """
    times = (spread.fresh, spread.p50, spread.p10, spread.p90)
    return [*(f"{each:.1f}" for each in times), str(spread.count), str(spread.failed)]
