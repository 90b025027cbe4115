"""
The options of C{python -m bench tunnel}.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn, Protocol, TypeVar

from bench.kcp.command import setting
from bench.proxies import installed
from bench.tunnel import bulk, firstbyte
from bench.tunnel.bulk import CONTENDERS
from bench.tunnel.figures import FirstBytes, Transfer, load, save
from bench.tunnel.plot import draw
from bench.tunnel.ways import WAYS

TABLES = ("bulk", "first")

SAVED = ("rounds", "seconds", "streams", "delay", "requests", "set")
"""
Options that are kept with the figures.
"""


def counts(text: str) -> list[int]:
    """
    Read numbers of streams with commas between them.
    """
    found = [int(part) for part in text.split(",")]
    if not all(0 < count <= 10_000 for count in found):
        raise ValueError(text)
    return found


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the options.
    """
    parser = argparse.ArgumentParser(prog="python -m bench tunnel", description=__doc__)
    add = parser.add_argument
    add(
        "tables",
        nargs="*",
        metavar="TABLE",
        help="bulk for speed over loopback, first for the time of the first octet over a long"
        " line, which needs root; both if there is none",
    )
    add("--quick", action="store_true", help="one round, and less of everything")
    add("--only", metavar="NAME,...", help="rows, by the names in the tables")
    add("--rounds", type=int, help="of which the median counts")
    add("--json", metavar="FILE", help="save the figures")
    add("--from", dest="saved", metavar="FILE", help="show these, and measure nothing")
    add("--plot", metavar="FILE", help="draw the figures, as .png or .svg")
    add = parser.add_argument_group("bulk").add_argument
    add("--seconds", type=float, help="for each figure")
    add("--streams", type=counts, default=[1, 100], metavar="N,...", help="at a time")
    add(
        "--set",
        action="append",
        type=setting,
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of both ends of kcptun and of ours, such as smuxver=1",
    )
    add = parser.add_argument_group("first").add_argument
    add("--delay", type=float, default=50.0, help="milliseconds each way")
    add("--requests", type=int, help="pages on a line after the first one")
    options = parser.parse_args(arguments)
    for name in options.tables:
        if name not in TABLES:
            parser.error(f"{name} is not one of {', '.join(TABLES)}")
    options.tables = options.tables or list(TABLES)
    defaults = {"rounds": 1, "seconds": 3.0, "requests": 5} if options.quick else {}
    for name, value in {"rounds": 3, "seconds": 6.0, "requests": 20, **defaults}.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    for name in ("rounds", "seconds", "requests", "delay"):
        if getattr(options, name) <= 0:
            parser.error(f"--{name} has to be more than 0")
    return options


class _Needing(Protocol):
    @property
    def needs(self) -> Sequence[str]: ...


_Row = TypeVar("_Row", bound=_Needing)


def chosen(known: Mapping[str, _Row], only: str | None) -> dict[str, _Row]:
    """
    Give the rows of a table that are wanted and whose programs are there; of
    others it is said what is missing.

    @param only: Names.
    """
    found = {}
    for name, row in known.items():
        if only and name not in only.split(","):
            continue
        missing = [each for each in row.needs if installed(each) is None]
        if missing:
            print(f"without {name}: no {', '.join(missing)}", file=sys.stderr)
        else:
            found[name] = row
    return found


def main(arguments: Sequence[str]) -> None:
    """
    Measure, print and draw.
    """
    # As an interrupt: everything that was started is ended.
    signal.signal(signal.SIGTERM, _interrupted)
    options = parse(arguments)
    try:
        transfers, firstBytes = _saved(options) if options.saved else _measured(options)
    except RuntimeError as e:
        raise SystemExit(str(e)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    if transfers:
        bulk.show(transfers)
    if transfers and firstBytes:
        print()
    if firstBytes:
        firstbyte.show(firstBytes)
    if options.plot:
        draw(transfers, firstBytes, options.plot)


def _saved(options: argparse.Namespace) -> tuple[list[Transfer], list[FirstBytes]]:
    try:
        return load(options.saved)
    except (OSError, ValueError) as e:
        raise SystemExit(str(e)) from None


def _measured(options: argparse.Namespace) -> tuple[list[Transfer], list[FirstBytes]]:
    for name in options.only.split(",") if options.only else ():
        if name not in CONTENDERS and name not in WAYS:
            raise SystemExit(f"{name} is not one of {', '.join((*CONTENDERS, *WAYS))}")
    contenders = chosen(CONTENDERS, options.only) if "bulk" in options.tables else {}
    ways = chosen(WAYS, options.only) if "first" in options.tables else {}
    if ways and (os.geteuid() != 0 or not os.path.exists("/dev/net/tun")):
        print("without the first octets: they need root and /dev/net/tun", file=sys.stderr)
        ways = {}
    if not contenders and not ways:
        raise SystemExit("nothing to measure")
    transfers: list[Transfer] = []
    firstBytes: list[FirstBytes] = []
    try:
        if contenders:
            _into(transfers, bulk.measure(contenders, options))
        if ways:
            _into(firstBytes, firstbyte.measure(ways, options))
    finally:
        if options.json and (transfers or firstBytes):
            settings = {name: getattr(options, name) for name in SAVED}
            save(options.json, transfers, firstBytes, settings)
    return transfers, firstBytes


_Figure = TypeVar("_Figure")


def _into(kept: list[_Figure], measured: Iterable[_Figure]) -> None:
    # One by one: what there is when something goes wrong is kept.
    for each in measured:
        kept.append(each)


def _interrupted(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
