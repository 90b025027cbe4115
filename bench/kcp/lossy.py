"""
Speed and echoes over a bad link, for each contender and each kind of loss.
Each case has fresh programs and a fresh link, whose losses the seed decides.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from bench.kcp.contenders import Contender, Pair, Place, running
from bench.kcp.figures import Case, duration, percentile, save
from bench.kcp.programs import Program, othersTime, program
from bench.lossylink import RIGHT_ADDRESS

STARTING = 3.0
"""
Seconds that a case needs for its programs.
"""

WARMUP = 1.0
"""
Seconds of bulk that do not count.
"""

SETTLING = 4.0
"""
Seconds of echoes that do not count: until a session knows its path.
"""

SESSIONS = 12
"""
Sessions on which echoes are measured at a time; each has losses of its own.
"""

ECHO_SIZE = 500

COLUMNS = "{:<18} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7}  {}"

LINK = ("delay", "rate", "queue", "jitter", "seed")


def conditions(losses: Iterable[float], bursts: Iterable[float]) -> list[tuple[float, float]]:
    """
    Give each loss with each length of bursts; without loss there are none.
    """
    found = [(loss, burst) for burst in bursts for loss in losses if loss > 0 or burst <= 1]
    return list(dict.fromkeys(found))


def measure(contenders: Mapping[str, Contender], options: argparse.Namespace) -> list[Case]:
    """
    Measure and print a table.
    """
    links = conditions(options.loss, options.burst)
    number = len(links) * len(contenders)
    each = STARTING + SETTLING + options.echoing + WARMUP + options.seconds
    print(f"{number} cases, about {duration(number * each)}.", file=sys.stderr)
    cases: list[Case] = []
    try:
        for loss, burst in links:
            _printHead(loss, burst, options)
            for name, contender in contenders.items():
                cases.append(_case(name, contender, loss, burst, options))
                _printCase(cases[-1])
    finally:
        if options.json and cases:
            save(options.json, cases, _settings(options))
    return cases


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    names = (*LINK, "seconds", "echoing", "set")
    return {name: getattr(options, name) for name in names}


def _case(
    name: str, contender: Contender, loss: float, burst: float, options: argparse.Namespace
) -> Case:
    case = Case(name, loss, burst)
    try:
        with _link(loss, burst, options) as (link, place):
            with running(contender, place, SESSIONS) as pair:
                case = _withEchoes(case, pair, options)
            with running(contender, place) as pair:
                return _withBulk(case, pair, link, options)
    except RuntimeError as e:
        return replace(case, failure=str(e))


@contextmanager
def _link(
    loss: float, burst: float, options: argparse.Namespace
) -> Iterator[tuple[Program, Place]]:
    """
    Run a link.
    """
    settings = [f"--{name}={getattr(options, name)}" for name in LINK]
    with program("lossylink", f"--loss={loss}", f"--burst={burst}", *settings) as link:
        sides = link.answer()
        yield link, Place(sides["left"], sides["right"], RIGHT_ADDRESS)


def _withEchoes(case: Case, pair: Pair, options: argparse.Namespace) -> Case:
    times: list[float] = pair.client.ask(
        "echo",
        SETTLING + options.echoing + 10,
        sessions=SESSIONS,
        size=ECHO_SIZE,
        settling=SETTLING,
        seconds=options.echoing,
    )
    p50, p99 = (percentile(times, share) * 1e3 for share in (0.5, 0.99))
    return replace(case, p50=p50, p99=p99, echoes=len(times))


def _withBulk(case: Case, pair: Pair, link: Program, options: argparse.Namespace) -> Case:
    pair.client.ask("bulk")
    time.sleep(WARMUP)
    processes = [link.process.pid, *pair.processes]
    octets, before, began = pair.server.ask("octets"), link.ask("counters"), time.monotonic()
    others = othersTime(processes)
    time.sleep(options.seconds)
    octets = pair.server.ask("octets") - octets
    elapsed = time.monotonic() - began
    others = max(othersTime(processes) - others, 0.0)
    counted = _difference(link.ask("counters"), before)
    return replace(
        case,
        goodput=octets * 8 / elapsed / 1e6,
        wire=counted["right"]["octets"] / octets if octets else math.nan,
        link=counted,
        counters=pair.client.ask("counters") if pair.profiled else {},
        others=others / elapsed * 100,
    )


def _difference(
    after: Mapping[str, Mapping[str, int]], before: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    return {
        way: {name: count - before[way][name] for name, count in counts.items()}
        for way, counts in after.items()
    }


def _printHead(loss: float, burst: float, options: argparse.Namespace) -> None:
    bursts = f" in bursts of {burst:g}" if burst > 1 else ""
    rate = f", {options.rate:g} Mbit/s with a queue of {options.queue:g} ms" if options.rate else ""
    print(f"\n{loss:g} % loss{bursts}, {options.delay:g} ms each way{rate}")
    for line in (
        ("", "goodput", "wire", "echo p50", "p99", "echoes", "queue", "late", "others", ""),
        ("", "Mbit/s", "octets", "ms", "ms", "", "% lost", "%", "% CPU", ""),
    ):
        print(COLUMNS.format(*line).rstrip())


def _printCase(case: Case) -> None:
    print(COLUMNS.format(case.contender, *row(case), case.failure).rstrip(), flush=True)


def row(case: Case) -> Sequence[str]:
    """
    Give what a table says of a case.
    """
    ahead = case.link.get("right", {})
    packets = max(ahead.get("packets", 0), 1)
    lost = (ahead.get("dropped", 0) + ahead.get("overflow", 0)) / packets
    return [
        f"{case.goodput:.1f}",
        f"{case.wire:.2f}",
        f"{case.p50:.1f}",
        f"{case.p99:.1f}",
        str(case.echoes),
        f"{lost * 100:.1f}",
        f"{ahead.get('late', 0) / packets * 100:.1f}",
        f"{case.others:.0f}",
    ]
