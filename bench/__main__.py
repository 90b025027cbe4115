"""
Measure and print a table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from contextlib import nullcontext
from statistics import median

from bench.load import Rate, connectionRate, throughput
from bench.proxies import commands, freePort, running
from bench.targets import targets

COLUMNS = "{:<12} {:>12} {:>9} {:>9} {:>7} {:>13} {:>13}"


def main() -> None:
    """
    Measure every proxy that is installed, in turn and several times, so that
    a machine whose speed drifts treats all of them alike.
    """
    parser = argparse.ArgumentParser(prog="python -m bench", description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--concurrency", type=int, default=32, help="connections at a time")
    options = parser.parse_args()
    port = freePort()
    proxies: dict[str, list[str] | None] = {"direct": None, **commands(port)}
    rates: dict[str, list[Rate]] = {name: [] for name in proxies}
    single: dict[str, list[float]] = {name: [] for name in proxies}
    several: dict[str, list[float]] = {name: [] for name in proxies}
    with targets() as (echoPort, sourcePort):
        for _ in range(options.rounds):
            for name, command in proxies.items():
                proxyPort = None if command is None else port
                with nullcontext() if command is None else running(command, port):
                    rates[name].append(
                        connectionRate(proxyPort, echoPort, options.concurrency, options.seconds)
                    )
                    single[name].append(throughput(proxyPort, sourcePort, 1, options.seconds))
                    several[name].append(throughput(proxyPort, sourcePort, 8, options.seconds))
    print(COLUMNS.format("", "connections", "median", "p99", "failed", "1 stream", "8 streams"))
    print(COLUMNS.format("", "per second", "ms", "ms", "", "Gbit/s", "Gbit/s"))
    for name in proxies:
        print(
            COLUMNS.format(
                name,
                f"{_median(rate.perSecond for rate in rates[name]):,.0f}",
                f"{_median(rate.median for rate in rates[name]) * 1e3:.2f}",
                f"{_median(rate.p99 for rate in rates[name]) * 1e3:.2f}",
                sum(rate.failed for rate in rates[name]),
                f"{_median(single[name]) / 1e9:.1f}",
                f"{_median(several[name]) / 1e9:.1f}",
            )
        )


def _median(figures: Iterable[float]) -> float:
    return median(list(figures))


if __name__ == "__main__":
    main()
