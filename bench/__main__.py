"""
Measure and print a table.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from statistics import median

from bench import http, shadowsocks
from bench.kcp import command as kcp
from bench.load import Rate, connectionRate, throughput
from bench.proxies import Proxy, freePort, proxies, running
from bench.targets import datagramTarget, targets
from bench.tunnel import command as tunnel
from bench.udp import DatagramRate, datagramRate

STREAM_COLUMNS = "{:<12} {:>12} {:>9} {:>9} {:>7} {:>13} {:>13}"
DATAGRAM_COLUMNS = "{:<12} {:>12} {:>7} {:>14} {:>7}"

SIZES = (64, 1400)
"""
Octets of a small datagram, and of one that nearly fills a packet.
"""

OWN = {
    "http": http.main,
    "kcp": kcp.main,
    "shadowsocks": shadowsocks.main,
    "tunnel": tunnel.main,
}
"""
Tables with options of their own.
"""


def main() -> None:
    """
    Measure every proxy that is installed, in turn and several times, so that
    a machine whose speed drifts treats all of them alike.
    """
    own = OWN.get(sys.argv[1] if len(sys.argv) > 1 else "")
    if own is not None:
        own(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=main.__doc__,
        epilog="python -m bench kcp --help: KCP, beside kcptun and TCP;"
        " python -m bench tunnel --help: tunnels, beside kcptun, ssh and Shadowsocks;"
        " python -m bench http --help: HTTP proxies, beside tinyproxy and squid;"
        " python -m bench shadowsocks --help: Shadowsocks, beside shadowsocks-libev",
    )
    parser.add_argument("table", nargs="?", choices=("tcp", "udp", *OWN), default="tcp")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument(
        "--concurrency", type=int, default=32, help="connections or associations at a time"
    )
    parser.add_argument(
        "--window", type=int, default=2, help="datagrams of an association at a time"
    )
    options = parser.parse_args()
    if options.table == "udp":
        _datagrams(options)
    else:
        _streams(options)


def _streams(options: argparse.Namespace) -> None:
    rates: dict[str, list[Rate]] = defaultdict(list)
    single: dict[str, list[float]] = defaultdict(list)
    several: dict[str, list[float]] = defaultdict(list)
    port = freePort()
    with targets() as (echoPort, sourcePort):
        for name, proxyPort in _turns(options.rounds, port, proxies(port)):
            rates[name].append(
                connectionRate(proxyPort, echoPort, options.concurrency, options.seconds)
            )
            single[name].append(throughput(proxyPort, sourcePort, 1, options.seconds))
            several[name].append(throughput(proxyPort, sourcePort, 8, options.seconds))
    for line in (
        ("", "connections", "median", "p99", "failed", "1 stream", "8 streams"),
        ("", "per second", "ms", "ms", "", "Gbit/s", "Gbit/s"),
    ):
        print(STREAM_COLUMNS.format(*line))
    for name in rates:
        print(
            STREAM_COLUMNS.format(
                name,
                f"{_median(rate.perSecond for rate in rates[name]):,.0f}",
                f"{_median(rate.median for rate in rates[name]) * 1e3:.2f}",
                f"{_median(rate.p99 for rate in rates[name]) * 1e3:.2f}",
                sum(rate.failed for rate in rates[name]),
                f"{_median(single[name]) / 1e9:.1f}",
                f"{_median(several[name]) / 1e9:.1f}",
            )
        )


def _datagrams(options: argparse.Namespace) -> None:
    rates: dict[str, dict[int, list[DatagramRate]]] = defaultdict(lambda: defaultdict(list))
    port = freePort()
    found = {name: proxy for name, proxy in proxies(port).items() if proxy.datagrams}
    with datagramTarget() as echoPort:
        for name, proxyPort in _turns(options.rounds, port, found):
            for size in SIZES:
                rates[name][size].append(
                    datagramRate(
                        proxyPort,
                        echoPort,
                        options.concurrency,
                        options.window,
                        size,
                        options.seconds,
                    )
                )
    for line in (
        ("", f"{SIZES[0]} octets", "lost", f"{SIZES[1]} octets", "lost"),
        ("", "per second", "", "per second", ""),
    ):
        print(DATAGRAM_COLUMNS.format(*line))
    for name, measured in rates.items():
        figures: list[object] = []
        for size in SIZES:
            figures.append(f"{_median(rate.perSecond for rate in measured[size]):,.0f}")
            figures.append(sum(rate.lost for rate in measured[size]))
        print(DATAGRAM_COLUMNS.format(name, *figures))


def _turns(rounds: int, port: int, found: Mapping[str, Proxy]) -> Iterator[tuple[str, int | None]]:
    """
    Run one proxy after the other, so many times.

    @return: A name and a port, and before each round one without a proxy,
        which has none.
    """
    for _ in range(rounds):
        yield "direct", None
        for name, proxy in found.items():
            with running(proxy, port):
                yield name, port


def _median(figures: Iterable[float]) -> float:
    return median(list(figures))


if __name__ == "__main__":
    main()
