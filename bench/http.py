"""
The options of C{python -m bench http}, and what is done with them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import NoReturn

from bench.httpfigures import TRANSFERS, WAYS, Octets, Requests, load, save, show
from bench.httpload import Load
from bench.httporigin import origin
from bench.httpproxies import PROXIES, isInstalled, proxy
from bench.kcp.figures import duration, percentile
from bench.kcp.programs import cpuTime, othersTime

DIRECT = "direct"
"""
Without a proxy.
"""

SAVED = ("rounds", "seconds", "concurrency")
"""
Options that are kept with the figures.
"""

WARMUP = 0.3
"""
Seconds that do not count.
"""


class Meter:
    """
    Counts processor time.

    @ivar cpu: Seconds that the proxy has had since the beginning.
    @ivar others: Those that went to what does not belong to the measurement.
    """

    def __init__(self, proxy: int | None) -> None:
        """
        @param proxy: The number of its process, if there is one.
        """
        self._proxy = [] if proxy is None else [proxy]
        origins = [child.pid for child in multiprocessing.active_children() if child.pid]
        self._all = [*self._proxy, *origins]
        self._cpu, self._others = cpuTime(self._proxy), othersTime(self._all)

    @property
    def cpu(self) -> float:
        """
        See the class.
        """
        return cpuTime(self._proxy) - self._cpu

    @property
    def others(self) -> float:
        """
        See the class.
        """
        return max(0.0, othersTime(self._all) - self._others)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the options.
    """
    parser = argparse.ArgumentParser(prog="python -m bench http", description=main.__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="one round, and less of everything")
    add("--only", metavar="NAME,...", help=f"of {', '.join((DIRECT, *PROXIES))}")
    add("--rounds", type=int, help="of which the median counts")
    add("--seconds", type=float, help="for each figure")
    add("--concurrency", type=int, default=32, help="connections at a time")
    add("--json", metavar="FILE", help="save the figures")
    add("--from", dest="saved", metavar="FILE", help="show these, and measure nothing")
    options = parser.parse_args(arguments)
    defaults = {"rounds": 1, "seconds": 1.0} if options.quick else {"rounds": 3, "seconds": 3.0}
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    for name in ("rounds", "seconds", "concurrency"):
        if getattr(options, name) <= 0:
            parser.error(f"--{name} has to be more than 0")
    options.proxies = [DIRECT, *PROXIES]
    if options.only:
        options.proxies = options.only.split(",")
        for name in options.proxies:
            if name not in (DIRECT, *PROXIES):
                parser.error(f"{name} is not one of {', '.join((DIRECT, *PROXIES))}")
    return options


def main(arguments: Sequence[str]) -> None:
    """
    Measure HTTP proxies, beside tinyproxy and squid: small requests and large
    bodies, forwarded and in tunnels.
    """
    # As an interrupt: everything that was started is ended.
    signal.signal(signal.SIGTERM, _interrupted)
    options = parse(arguments)
    try:
        requests, octets = load(options.saved) if options.saved else _measured(options)
    except (RuntimeError, OSError, ValueError) as e:
        raise SystemExit(str(e)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    show(requests, octets)


def _measured(options: argparse.Namespace) -> tuple[list[Requests], list[Octets]]:
    names = []
    for name in options.proxies:
        if name == DIRECT or isInstalled(name):
            names.append(name)
        else:
            print(f"without {name}: it is not installed", file=sys.stderr)
    cases = len(WAYS) + len(TRANSFERS)
    print(
        f"about {duration(options.rounds * len(names) * (cases * options.seconds + 1))}",
        file=sys.stderr,
    )
    requests: list[Requests] = []
    octets: list[Octets] = []
    try:
        with origin() as port:
            # In turn, so that a machine whose speed drifts treats all alike.
            for _ in range(options.rounds):
                for name in names:
                    for each in _round(name, port, options):
                        if isinstance(each, Requests):
                            requests.append(each)
                        else:
                            octets.append(each)
    finally:
        if options.json and (requests or octets):
            settings = {name: getattr(options, name) for name in SAVED}
            save(options.json, requests, octets, settings)
    return requests, octets


def _round(name: str, origin: int, options: argparse.Namespace) -> Iterator[Requests | Octets]:
    """
    Measure everything of one proxy.
    """
    with ExitStack() as stack:
        process, port = (None, None) if name == DIRECT else stack.enter_context(proxy(name))
        sender = Load(port, origin)
        seconds = options.seconds
        for case, way in WAYS.items():
            sender.requests(way, options.concurrency, WARMUP)
            meter = Meter(process)
            latencies, failed = sender.requests(way, options.concurrency, seconds)
            p50, p99 = (percentile(latencies, share) * 1e3 for share in (0.5, 0.99))
            figures = (seconds, len(latencies), failed, p50, p99, meter.cpu, meter.others)
            yield Requests(case, name, *figures)
        for case, (tunnels, up) in TRANSFERS.items():
            meter = Meter(process)
            count, took, failed = sender.octets(tunnels, up, seconds)
            yield Octets(case, name, took, count, failed, meter.cpu, meter.others)


def _interrupted(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
