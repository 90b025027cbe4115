"""
Speed and echoes over a bad link, for each contender and each kind of loss.
Each case has fresh programs and a fresh link, whose losses the seed decides.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from bench.kcp.contenders import Contender, Pair, Place, running
from bench.kcp.figures import Case, duration, percentile, save
from bench.kcp.programs import Program, program
from bench.lossylink import RIGHT_ADDRESS

WARMUP = 1.0
STARTUP = 2.5
"""
Seconds that a link and its programs need before anything is measured.
"""

SESSIONS = 5
"""
Sessions on which echoes are measured at a time; each has losses of its own.
"""

ECHO_SIZE = 500
IGNORED = 70
"""
Echoes at the beginning of each session that do not count: as many as it takes
until a session knows its path.
"""

COLUMNS = "{:<18} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7}  {}"

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
    fixed = STARTUP + WARMUP + options.seconds
    shortest = (options.echoes / SESSIONS + IGNORED) * 2 * options.delay / 1000
    print(
        f"{number} cases, {duration(number * (fixed + shortest))}"
        f" to {duration(number * (fixed + options.limit))}.",
        file=sys.stderr,
    )
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
    names = (*LINK, "seconds", "echoes", "limit", "set")
    return {name: getattr(options, name) for name in names}


def _case(
    name: str, contender: Contender, loss: float, burst: float, options: argparse.Namespace
) -> Case:
    case = Case(name, loss, burst)
    try:
        with (
            _link(loss, burst, options) as (link, place),
            running(contender, place, SESSIONS + 1) as pair,
        ):
            return _measured(case, contender, link, pair, options)
    except RuntimeError as e:
        return Case(**{**asdict(case), "failure": str(e)})


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


def _measured(
    case: Case, contender: Contender, link: Program, pair: Pair, options: argparse.Namespace
) -> Case:
    times: list[float] = pair.client.ask(
        "echo",
        options.limit + 10,
        sessions=SESSIONS,
        size=ECHO_SIZE,
        count=options.echoes // SESSIONS,
        ignored=IGNORED,
        limit=options.limit,
    )
    pair.client.ask("bulk")
    time.sleep(WARMUP)
    octets, before, began = pair.server.ask("octets"), link.ask("counters"), time.monotonic()
    time.sleep(options.seconds)
    octets = pair.server.ask("octets") - octets
    elapsed = time.monotonic() - began
    counted = _difference(link.ask("counters"), before)
    return Case(
        case.contender,
        case.loss,
        case.burst,
        goodput=octets * 8 / elapsed / 1e6,
        wire=counted["right"]["octets"] / octets if octets else float("nan"),
        p50=percentile(times, 0.5) * 1e3,
        p99=percentile(times, 0.99) * 1e3,
        echoes=len(times),
        link=counted,
        counters=pair.client.ask("counters") if contender.kind == "socksproxy" else {},
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
        ("", "goodput", "wire", "echo p50", "p99", "echoes", "queue", "late", ""),
        ("", "Mbit/s", "octets", "ms", "ms", "", "% lost", "%", ""),
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
    ]
