"""
Speed over loopback of two daemons with a tunnel between them, from one TCP
connection to another, for one stream and for many.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.kcp.contenders import KCPTUN_CLIENT, KCPTUN_SERVER, KEY, MODE, MTU, SHARDS, WINDOW
from bench.kcp.figures import duration
from bench.kcp.programs import Program, cpuTime, foreign, othersTime, program
from bench.proxies import freePort
from bench.tunnel.daemons import LOCAL, daemon, parameters
from bench.tunnel.figures import DOWN, UP, Case, Transfer, cases

WARMUP = 2.0
"""
Seconds that do not count.
"""

STARTING = 4.0
"""
Seconds that programs need, about.
"""

COLUMNS = "{:<18} {:>7} {:>4} {:>8} {:>8} {:>8} {:>8} {:>9} {:>7}"


@dataclass(frozen=True)
class Contender:
    """
    @ivar needs: The programs that it is made of, besides ours.
    @ivar fec: With forward error correction.
    """

    needs: Sequence[str] = ()
    fec: bool = False

    def parameters(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """
        Give the parameters of both ends, which are kcptun's and ours.

        @param more: What is otherwise.
        """
        dataShards, parityShards = SHARDS if self.fec else (0, 0)
        return {
            "crypt": "aes-128",
            "mode": MODE,
            "mtu": MTU,
            "sndwnd": WINDOW,
            "rcvwnd": WINDOW,
            "datashard": dataShards,
            "parityshard": parityShards,
            "nocomp": True,
            "smuxver": 2,
            **more,
        }


CONTENDERS: Mapping[str, Contender] = {
    "socksproxy": Contender(),
    "kcptun": Contender((KCPTUN_CLIENT, KCPTUN_SERVER)),
    "socksproxy+fec": Contender(fec=True),
    "kcptun+fec": Contender((KCPTUN_CLIENT, KCPTUN_SERVER), fec=True),
}


def measure(contenders: Mapping[str, Contender], options: argparse.Namespace) -> Iterator[Transfer]:
    """
    Measure, contenders in turn.

    @return: Each transfer once it is over.
    """
    kinds = [(streams, direction) for streams in options.streams for direction in (UP, DOWN)]
    number = options.rounds * len(kinds) * len(contenders)
    expected = number * (STARTING + WARMUP + options.seconds)
    print(f"{number} transfers, about {duration(expected)}.", file=sys.stderr)
    for _ in range(options.rounds):
        for streams, direction in kinds:
            for name, contender in contenders.items():
                given = contender.parameters(dict(options.set))
                with _running(contender, given) as running:
                    transfer = _transfer(name, running, streams, direction, options.seconds)
                print(
                    f"{name}, {streams} {direction}: {transfer.megabytes:.1f} MB/s",
                    file=sys.stderr,
                )
                yield transfer


@dataclass(frozen=True)
class Running:
    """
    A contender that runs.

    @ivar client: The process that is the tunnel's client.
    @ivar server: The process that is its server.
    @ivar asking: Opens connections to the client.
    @ivar serving: Where they lead to.
    @ivar entrance: The client's port.
    """

    client: int
    server: int
    asking: Program
    serving: Program
    entrance: int


@contextmanager
def _running(contender: Contender, given: Mapping[str, Any]) -> Iterator[Running]:
    """
    Run a tunnel, and TCP before and behind it.
    """
    entrance, exit_, port = (freePort() for _ in range(3))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        serving = stack.enter_context(program("tunnel.traffic", "serve", str(exit_)))
        asking = stack.enter_context(program("tunnel.traffic", "ask"))
        for each in (serving, asking):
            each.answer()
        run = _kcptun if contender.needs else _ours
        client, server = run(stack, folder, given, (entrance, port, exit_))
        yield Running(client, server, asking, serving, entrance)


def _ours(
    stack: ExitStack, folder: Path, given: Mapping[str, Any], ports: tuple[int, int, int]
) -> tuple[int, int]:
    entrance, port, exit_ = ports
    key = folder / "key"
    key.write_text(KEY)
    common = ":".join(parameters({"keyFile": key, **given}))
    to = f"kcp:{port}:{LOCAL}:{common},tcp:127.0.0.1:{exit_}"
    server = stack.enter_context(daemon(["--forward", to], ("udp", port)))
    from_ = f"tcp:{entrance}:{LOCAL},kcp:127.0.0.1:{port}:{common}"
    client = stack.enter_context(daemon(["--forward", from_], ("tcp", entrance)))
    return client, server


def _kcptun(
    stack: ExitStack, folder: Path, given: Mapping[str, Any], ports: tuple[int, int, int]
) -> tuple[int, int]:
    entrance, port, exit_ = ports
    tunnel = f"127.0.0.1:{port}"
    places = {
        KCPTUN_SERVER: ({"listen": tunnel, "target": f"127.0.0.1:{exit_}"}, ("udp", port)),
        KCPTUN_CLIENT: (
            {"localaddr": f"127.0.0.1:{entrance}", "remoteaddr": tunnel},
            ("tcp", entrance),
        ),
    }
    pids = []
    for name, (place, awaited) in places.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps({**place, "key": KEY, "quiet": True, **given}))
        pids.append(stack.enter_context(foreign([name, "-c", str(path)], awaited)))
    return pids[1], pids[0]


def _transfer(
    name: str, running: Running, streams: int, direction: str, seconds: float
) -> Transfer:
    ends = running.asking, running.serving
    running.asking.ask("bulk", port=running.entrance, streams=streams, direction=direction)
    receiver = running.serving if direction == UP else running.asking
    processes = [running.client, running.server, *(end.process.pid for end in ends)]
    time.sleep(WARMUP)

    def mark() -> tuple[Any, float, float, float]:
        client, server = cpuTime([running.client]), cpuTime([running.server])
        return receiver.ask("received"), client, server, othersTime(processes)

    before = mark()
    time.sleep(seconds)
    after = mark()
    perStream = differences(before[0]["octets"], after[0]["octets"], streams)
    client, server, others = (x - y for x, y in zip(after[1:], before[1:], strict=True))
    return Transfer(
        contender=name,
        direction=direction,
        perStream=perStream,
        octets=sum(perStream),
        seconds=after[0]["time"] - before[0]["time"],
        clientCPU=client,
        serverCPU=server,
        others=max(others, 0.0),
    )


def differences(before: Mapping[str, int], after: Mapping[str, int], streams: int) -> list[int]:
    """
    Give what has come on each stream between two looks. A stream on which
    nothing has come yet may be missing.

    @param before: Octets by the numbers of the streams, as JSON has them.
    """
    numbers = [str(number) for number in range(streams)]
    return [after.get(number, 0) - before.get(number, 0) for number in numbers]


def show(transfers: Sequence[Transfer]) -> None:
    """
    Print a table.
    """
    for line in (
        ("", "streams", "", "", "client", "server", "both", "slowest /", "others"),
        ("", "", "", "MB/s", "ms/MB", "ms/MB", "ms/MB", "fastest", "% CPU"),
    ):
        print(COLUMNS.format(*line).rstrip())
    for (name, streams, direction), case in sorted(
        cases(transfers).items(), key=lambda item: (item[0][1], item[0][2] != UP)
    ):
        print(COLUMNS.format(name, streams, direction, *row(case)))


def row(case: Case) -> Sequence[str]:
    """
    Give what a table says of a case.
    """
    client, server = case.cost
    return [
        f"{case.megabytes:.1f}",
        f"{client:.2f}",
        f"{server:.2f}",
        f"{client + server:.1f}",
        "-" if math.isnan(case.fairness) else f"{case.fairness:.2f}",
        f"{case.others * 100:.0f}",
    ]
