"""
Shadowsocks over loopback: C{python -m bench shadowsocks}. A SOCKS5 port here, a
server of Shadowsocks behind it, and octets through both of them, one way at a
time; then how long a target's first octet takes.

What is in C{tunnel} is used for all that is the same there.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

from bench.kcp.figures import duration
from bench.kcp.programs import program
from bench.proxies import freePort
from bench.shadowsocksprograms import CONTENDERS, MIXED, Contender, Scene
from bench.targets import targets
from bench.tunnel.bulk import WARMUP, Running, row
from bench.tunnel.bulk import _transfer as transfer
from bench.tunnel.command import chosen, counts
from bench.tunnel.figures import DOWN, UP, FirstBytes, Transfer, cases, load, save, spreads
from bench.tunnel.firstbyte import taken
from socksproxy.shadowsocks._methods import METHODS
from socksproxy.shadowsocks.passwords import generateKey

STARTING = 4.0
"""
Seconds that programs need, about.
"""

SAVED = ("rounds", "seconds", "streams", "requests")
"""
Options that are kept with the figures.
"""

BULK_COLUMNS = "{:<30} {:<17} {:>7} {:>4} {:>8} {:>8} {:>8} {:>8} {:>7}"
FIRST_COLUMNS = "{:<30} {:<17} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7}"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the options.
    """
    known = (*CONTENDERS, *MIXED)
    parser = argparse.ArgumentParser(prog="python -m bench shadowsocks", description=main.__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="one round, and less of everything")
    add("--only", metavar="NAME,...", help=f"of {', '.join(known)}; without it, the first two")
    add("--methods", metavar="NAME,...", help="instead of all")
    add("--rounds", type=int, help="of which the median counts")
    add("--seconds", type=float, help="for each figure")
    add("--streams", type=counts, default=[1, 8], metavar="N,...", help="at a time")
    add("--requests", type=int, help="first octets in a round")
    add("--json", metavar="FILE", help="save the figures")
    add("--from", dest="saved", metavar="FILE", help="show these, and measure nothing")
    options = parser.parse_args(arguments)
    quick = {"rounds": 1, "seconds": 1.5, "requests": 50}
    defaults = quick if options.quick else {"rounds": 3, "seconds": 3.0, "requests": 200}
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
        if getattr(options, name) <= 0:
            parser.error(f"--{name} has to be more than 0")
    options.only = options.only or ",".join(CONTENDERS)
    options.methods = options.methods.split(",") if options.methods else list(METHODS)
    for names, those in ((options.only.split(","), known), (options.methods, tuple(METHODS))):
        for name in names:
            if name not in those:
                parser.error(f"{name} is not one of {', '.join(those)}")
    return options


def main(arguments: Sequence[str]) -> None:
    """
    Measure Shadowsocks over loopback, both ends ours and both ends those of
    shadowsocks-libev.
    """
    # As an interrupt: everything that was started is ended.
    signal.signal(signal.SIGTERM, _interrupted)
    options = parse(arguments)
    try:
        transfers, firstBytes = load(options.saved) if options.saved else _measured(options)
    except (RuntimeError, OSError, ValueError) as e:
        raise SystemExit(str(e)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    show(transfers, firstBytes)


def _measured(options: argparse.Namespace) -> tuple[list[Transfer], list[FirstBytes]]:
    found = chosen({**CONTENDERS, **MIXED}, options.only)
    # Those that are to be compared one after the other.
    pairs = [(m, name) for m in options.methods for name in found if m in found[name].methods]
    if not pairs:
        raise SystemExit("nothing to measure")
    one = STARTING + len(options.streams) * 2 * (WARMUP + options.seconds)
    print(f"about {duration(options.rounds * len(pairs) * one)}", file=sys.stderr)
    transfers: list[Transfer] = []
    firstBytes: list[FirstBytes] = []
    try:
        with targets() as (echo, _):
            for _ in range(options.rounds):
                for method, name in pairs:
                    print(method, name, file=sys.stderr)
                    for each in _round(name, found[name], method, echo, options):
                        if isinstance(each, Transfer):
                            transfers.append(each)
                        else:
                            firstBytes.append(each)
    finally:
        if options.json and (transfers or firstBytes):
            settings = {name: getattr(options, name) for name in SAVED}
            save(options.json, transfers, firstBytes, settings)
    return transfers, firstBytes


def _round(
    name: str, contender: Contender, method: str, echo: int, options: argparse.Namespace
) -> Iterator[Transfer | FirstBytes]:
    """
    Measure everything of one contender with one method.
    """
    label = f"{method} {name}"
    with _running(contender, method) as running:
        count = options.requests + 1
        arguments = {"port": running.entrance, "echo": echo, "count": count}
        yield taken(label, running.asking.ask("first", timeout=60.0, **arguments))
        for streams in options.streams:
            for direction in (UP, DOWN):
                yield transfer(label, running, streams, direction, options.seconds)
                running.asking.ask("stop")


@contextmanager
def _running(contender: Contender, method: str) -> Iterator[Running]:
    """
    Run both ends, and TCP before and behind them.
    """
    exit_ = freePort()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scene = Scene(folder, method, generateKey(METHODS[method]), freePort(), freePort())
        serving = stack.enter_context(program("tunnel.traffic", "serve", str(exit_)))
        asking = stack.enter_context(program("shadowsocksload", str(exit_)))
        for each in (serving, asking):
            each.answer()
        server = stack.enter_context(contender.server(scene))
        client = stack.enter_context(contender.client(scene))
        yield Running(client, server, asking, serving, scene.entrance)


def show(transfers: Sequence[Transfer], firstBytes: Sequence[FirstBytes]) -> None:
    """
    Print the tables.
    """
    if transfers:
        for line in (
            ("", "", "streams", "", "", "client", "server", "both", "others"),
            ("", "", "", "", "MB/s", "ms/MB", "ms/MB", "ms/MB", "% CPU"),
        ):
            print(BULK_COLUMNS.format(*line).rstrip())
        found = cases(transfers)
        methods = list(dict.fromkeys(_words(label)[0] for label, _, _ in found))

        def place(key: tuple[str, int, str]) -> tuple[int, int, bool]:
            """
            Have contenders that did the same stand together.
            """
            label, streams, direction = key
            return methods.index(_words(label)[0]), streams, direction != UP

        for key in sorted(found, key=place):
            label, streams, direction = key
            figures = row(found[key])
            # How fair it is to many streams is not asked here.
            shown = (*_words(label), streams, direction, *figures[:4], figures[5])
            print(BULK_COLUMNS.format(*shown))
    if transfers and firstBytes:
        print()
    if firstBytes:
        for heading in (
            ("", "", "first", "later", "p10", "p90", "number", "failed"),
            ("", "", "ms", "ms", "ms", "ms", "", ""),
        ):
            print(FIRST_COLUMNS.format(*heading).rstrip())
        for label, spread in spreads(firstBytes).items():
            times = (spread.fresh, spread.p50, spread.p10, spread.p90)
            texts = [f"{time:.2f}" for time in times]
            print(FIRST_COLUMNS.format(*_words(label), *texts, spread.count, spread.failed))


def _words(label: str) -> tuple[str, str]:
    """
    Take method and contender apart.
    """
    method, _, contender = label.partition(" ")
    return method, contender


def _interrupted(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
