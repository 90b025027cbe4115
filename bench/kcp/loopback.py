"""
Speed over loopback, where nothing but the two ends costs anything: megabytes a
second, processor time for each, echoes, and what an idle session costs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bench.kcp.contenders import Contender, Pair, Place, running
from bench.kcp.figures import Bulk, duration, percentile
from bench.kcp.layers import LAYERS
from bench.kcp.programs import cpuTime, othersTime

WARMUP = 1.0
"""
Seconds of bulk that do not count.
"""

MINIMUM = 2.0
"""
Seconds that are measured at least.
"""

POLL = 0.2
"""
Seconds between two looks at how far it is.
"""

ECHO_SIZE = 500
SETTLING = 0.2
ECHOING = 1.0
"""
Seconds of echoes that do not count, and that do.
"""

COMPARED = [
    ("socksproxy:aes-128", "kcptun:aes-128"),
    ("socksproxy-tunnel:aes-128", "kcptun:aes-128"),
    ("socksproxy:aes-128+fec", "kcptun:aes-128+fec"),
    ("socksproxy-tunnel:aes-128+fec", "kcptun:aes-128+fec"),
]
"""
Of which ratios are printed.
"""

NEWER = 1.72, 0.63
"""
Throughput and processor time of the kcptun of January 2026 over those of
Debian's of September 2021, where somebody had both.
"""

COLUMNS = "{:<28} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}"


def measure(contenders: Mapping[str, Contender], options: argparse.Namespace) -> None:
    """
    Measure and print a table.
    """
    rounds = options.rounds or 3
    each = 4.5 + options.seconds / 2
    estimate = len(contenders) * (rounds * each + options.idle + 3)
    print(f"About {duration(estimate)}.", file=sys.stderr)
    bulks: dict[str, list[Bulk]] = defaultdict(list)
    echoes: dict[str, list[list[float]]] = defaultdict(list)
    idle: dict[str, float] = {}
    for number in range(rounds):
        for name, contender in contenders.items():
            with running(contender, Place()) as pair:
                # On a session of their own, before there is another one.
                echoes[name].append(_echoes(pair))
                if not number:
                    idle[name] = _idle(pair, options.idle)
                bulks[name].append(bulk(pair, options.megabytes, options.seconds))
            latest = bulks[name][-1]
            print(f"{name}: {latest.megabytes:.1f} MB/s", file=sys.stderr)
    _print(bulks, echoes, idle)


def bulk(pair: Pair, megabytes: float, seconds: float) -> Bulk:
    """
    Send from the client to the server.

    @param megabytes: That are enough.
    @param seconds: After which less will do.
    """
    pair.client.ask("bulk")
    time.sleep(WARMUP)
    before = _mark(pair)
    while True:
        time.sleep(POLL)
        mark = _mark(pair)
        octets, now, client, server, others = (x - y for x, y in zip(mark, before, strict=True))
        if now >= seconds or (octets >= megabytes * 1e6 and now >= MINIMUM):
            break
    pair.client.ask("stop")
    return Bulk(int(octets), now, client, server, max(others, 0.0))


def _mark(pair: Pair) -> tuple[float, float, float, float, float]:
    octets = pair.server.ask("octets")
    client, server = cpuTime(pair.clientProcesses), cpuTime(pair.serverProcesses)
    return octets, time.monotonic(), client, server, othersTime(pair.processes)


def _echoes(pair: Pair) -> list[float]:
    times: list[float] = pair.client.ask(
        "echo", sessions=1, size=ECHO_SIZE, settling=SETTLING, seconds=ECHOING
    )
    return times


def _idle(pair: Pair, seconds: float) -> float:
    """
    Give the share of a processor that both ends take while nothing is to do,
    in per cent.
    """
    processes = [*pair.clientProcesses, *pair.serverProcesses]
    # The last acknowledgements, and what else follows.
    time.sleep(0.5)
    before = cpuTime(processes)
    time.sleep(seconds)
    return (cpuTime(processes) - before) / seconds * 100


def _print(
    bulks: Mapping[str, Sequence[Bulk]],
    echoes: Mapping[str, Sequence[Sequence[float]]],
    idle: Mapping[str, float],
) -> None:
    for line in (
        ("", "", "client", "server", "both", "echo p50", "p99", "idle", "others"),
        ("", "MB/s", "ms/MB", "ms/MB", "ms/MB", "ms", "ms", "% CPU", "% CPU"),
    ):
        print(COLUMNS.format(*line))
    for name, several in bulks.items():
        client, server = (median(one.cost[side] for one in several) for side in (0, 1))
        print(
            COLUMNS.format(
                name,
                f"{_speed(several):.1f}",
                *(f"{cost:.2f}" for cost in (client, server, client + server)),
                *(f"{_middle(echoes[name], share) * 1e3:.3f}" for share in (0.5, 0.99)),
                f"{idle[name]:.2f}",
                f"{median(one.others / one.seconds for one in several):.0%}".rstrip("%"),
            )
        )
    compared = [pair for pair in COMPARED if set(pair) <= set(bulks)]
    for ours, theirs in compared:
        speed = _speed(bulks[ours]) / _speed(bulks[theirs])
        cost = _cost(bulks[ours]) / _cost(bulks[theirs])
        print(f"{ours}: {speed:.2f} times the speed of {theirs}, for {cost:.2f} of the CPU")
        print(
            f"    and, reckoned from figures of others, {speed / NEWER[0]:.2f} times"
            f" and {cost / NEWER[1]:.2f} of the kcptun of January 2026"
        )


def _middle(several: Sequence[Sequence[float]], share: float) -> float:
    return median(percentile(times, share) for times in several)


def _speed(several: Sequence[Bulk]) -> float:
    return median(one.megabytes for one in several)


def _cost(several: Sequence[Bulk]) -> float:
    return median(sum(one.cost) for one in several)


def profile(contenders: Mapping[str, Contender], options: argparse.Namespace) -> None:
    """
    Print where the time of our own ends goes.
    """
    for name, contender in contenders.items():
        with running(contender, Place()) as pair:
            if not pair.profiled:
                continue
            pair.client.ask("bulk")
            time.sleep(WARMUP)
            for end in pair.profiled:
                end.ask("profile")
            before = pair.server.ask("octets")
            time.sleep(options.seconds / 2)
            octets = pair.server.ask("octets") - before
            found = [end.ask("profiled") for end in pair.profiled]
        _printProfile(name, octets, dict(zip(("client", "server"), found, strict=True)))


def _printProfile(name: str, octets: int, found: Mapping[str, Any]) -> None:
    print(f"\n{name}: {octets / 1e6:.0f} MB")
    print(f"{'':<16} {'client':>8} {'':>6} {'server':>8}")
    print(f"{'':<16} {'ms/MB':>8} {'':>6} {'ms/MB':>8}")
    cost = {side: each["cpu"] / max(octets, 1) * 1e9 for side, each in found.items()}
    for layer in LAYERS:
        shares = {side: each["layers"][layer] for side, each in found.items()}
        cells = [f"{cost[side] * share:>8.2f} {share:>6.0%}" for side, share in shares.items()]
        print(f"{layer:<16} {' '.join(cells)}")
    for side, each in found.items():
        print(f"  {side}: {cost[side]:.2f} ms/MB, {each['samples']} samples")
        for function, share in each["top"]:
            print(f"    {share:>5.1%}  {function}")
