"""
The options of C{python -m bench kcp}.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from bench.kcp import loopback, lossy
from bench.kcp.contenders import LOOPBACK, LOSSY, MODE, Contender
from bench.kcp.figures import load
from bench.kcp.plot import draw
from socksproxy.errors import ConfigurationError
from socksproxy.kcp import KCPConfig

LOSSES = (0.0, 1.0, 5.0, 15.0, 30.0)
BURSTS = (1.0, 5.0)

QUICK = {"loss": (5.0, 15.0), "burst": (1.0,), "seconds": 3.0, "echoing": 4.0}
"""
Less of everything, for C{--lossy}.
"""


def numbers(text: str) -> list[float]:
    """
    Read numbers with commas between them.
    """
    return [float(part) for part in text.split(",")]


def setting(text: str) -> tuple[str, Any]:
    """
    Read a name and a value, which is JSON or a word.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(text)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the options.
    """
    parser = argparse.ArgumentParser(prog="python -m bench kcp", description=__doc__)
    add = parser.add_argument
    add("--lossy", action="store_true", help="over bad links instead of loopback; needs root")
    add("--quick", action="store_true", help="fewer cases, shorter ones, or one round")
    add("--only", metavar="NAME,...", help="contenders, by the names in the table")
    add("--seconds", type=float, help="for each figure")
    add(
        "--set",
        action="append",
        type=setting,
        default=[],
        metavar="NAME=VALUE",
        help="of our own configuration, such as pacing=true",
    )
    loop = parser.add_argument_group("over loopback")
    add = loop.add_argument
    add("--rounds", type=int, help="of which the median counts")
    add("--megabytes", type=float, default=200.0, help="that are enough for a figure")
    add("--idle", type=float, default=5.0, help="seconds of doing nothing")
    add("--profile", action="store_true", help="show where the time of our own ends goes")
    bad = parser.add_argument_group("over bad links")
    add = bad.add_argument
    add("--loss", type=numbers, metavar="%,...", help="per cent each way")
    add("--burst", type=numbers, metavar="N,...", help="packets lost in a row; 1 is by chance")
    add("--delay", type=float, default=25.0, help="milliseconds each way")
    add("--jitter", type=float, default=0.0, help="milliseconds")
    add("--rate", type=float, default=0.0, metavar="MBIT", help="a bottleneck; 0 is none")
    add("--queue", type=float, default=100.0, metavar="MS", help="before the bottleneck")
    add("--seed", type=int, default=1)
    add("--echoing", type=float, metavar="SECONDS", help="for the echoes of a case")
    add("--json", metavar="FILE", help="save the figures")
    add("--from", dest="saved", metavar="FILE", help="draw these, and measure nothing")
    add("--plot", metavar="FILE", help="draw the figures, as .png or .svg")
    options = parser.parse_args(arguments)
    if (options.plot or options.json) and not (options.lossy or options.saved):
        parser.error("--plot and --json are for --lossy")
    _default(options)
    try:
        KCPConfig.forMode(MODE, **dict(options.set))
    except (TypeError, ConfigurationError) as e:
        parser.error(f"--set: {e}")
    if options.lossy:
        if not all(0 <= loss < 100 for loss in options.loss):
            parser.error("--loss has to be 0 or more and less than 100")
        if options.echoing <= 0:
            parser.error("--echoing has to be more than 0")
    if options.seconds <= 0:
        parser.error("--seconds has to be more than 0")
    return options


def _default(options: argparse.Namespace) -> None:
    """
    Set what has not been said.
    """
    if options.lossy:
        defaults: dict[str, Any] = {
            "loss": LOSSES,
            "burst": BURSTS,
            "seconds": 6.0,
            "echoing": 6.0,
        }
        if options.quick:
            defaults = QUICK
    else:
        defaults = {"rounds": 1 if options.quick else 3, "seconds": 4.0 if options.quick else 8.0}
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)


def chosen(
    known: Mapping[str, Contender], only: str | None, settings: Mapping[str, Any]
) -> dict[str, Contender]:
    """
    Give the contenders that are wanted and there.

    @param only: Names.
    @param settings: What is otherwise with our own.
    @raise SystemExit: There is none of such a name, or none at all.
    """
    names = only.split(",") if only else list(known)
    found = {}
    for name in names:
        if name not in known:
            raise SystemExit(f"{name} is not one of {', '.join(known)}")
        missing = known[name].missing()
        if missing is None:
            found[name] = known[name].having(settings)
        else:
            print(f"without {name}: {missing}", file=sys.stderr)
    if not found:
        raise SystemExit("nothing to measure")
    return found


def main(arguments: Sequence[str]) -> None:
    """
    Measure, print and draw.
    """
    # As an interrupt: everything that was started is ended.
    signal.signal(signal.SIGTERM, _interrupted)
    options = parse(arguments)
    try:
        if options.saved:
            _draw(options)
        elif options.lossy:
            _lossy(options)
        else:
            contenders = chosen(LOOPBACK, options.only, dict(options.set))
            (loopback.profile if options.profile else loopback.measure)(contenders, options)
    except RuntimeError as e:
        raise SystemExit(str(e)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _lossy(options: argparse.Namespace) -> None:
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        raise SystemExit("--lossy needs root and /dev/net/tun")
    cases = lossy.measure(chosen(LOSSY, options.only, dict(options.set)), options)
    if options.plot:
        draw(cases, options.plot)


def _draw(options: argparse.Namespace) -> None:
    if not options.plot:
        raise SystemExit("--from is for --plot")
    try:
        cases = load(options.saved)
    except (OSError, ValueError) as e:
        raise SystemExit(str(e)) from None
    draw(cases, options.plot)


def _interrupted(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
