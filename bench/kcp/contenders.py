"""
What is compared: our own KCP in several ways, kcptun, and the kernel's TCP.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.kcp.programs import Program, foreign, program
from bench.proxies import freePort

KEY = "a secret of this benchmark's"
MODE = "fast3"
WINDOW = 1024
MTU = 1350
SHARDS = 10, 3

KCPTUN_CLIENT = "kcptun-client"
KCPTUN_SERVER = "kcptun-server"


@dataclass(frozen=True)
class Contender:
    """
    @ivar kind: C{socksproxy}, which is a bare session; C{tunnel}, the same with
        streams that join TCP connections, as kcptun has them; C{kcptun}; or
        C{tcp}.
    @ivar crypt: The cipher.
    @ivar fec: With forward error correction.
    @ivar control: The congestion control of TCP.
    @ivar settings: More of L{KCPConfig<socksproxy.kcp.KCPConfig>}.
    """

    kind: str
    crypt: str = "aes-128"
    fec: bool = False
    control: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def having(self, settings: Mapping[str, Any]) -> Contender:
        """
        Give the same with other settings.
        """
        return replace(self, settings={**self.settings, **settings})

    def missing(self) -> str | None:
        """
        Say what this machine lacks for it.
        """
        if self.kind == "kcptun":
            for name in (KCPTUN_CLIENT, KCPTUN_SERVER):
                if shutil.which(name) is None:
                    return f"no {name}"
        if self.control:
            known = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text()
            if self.control not in known.split():
                return f"no {self.control} in this kernel"
        return None


CIPHERS = ("null", "aes-128-gcm", "aes-128", "aes")

LOOPBACK: Mapping[str, Contender] = {
    f"{name}{'+fec' if fec else ''}": Contender(kind, crypt, fec)
    for name, kind, crypt in (
        *((f"socksproxy:{crypt}", "socksproxy", crypt) for crypt in CIPHERS),
        ("socksproxy-tunnel:aes-128", "tunnel", "aes-128"),
        ("kcptun:aes-128", "kcptun", "aes-128"),
    )
    for fec in (False, True)
}
"""
What is measured over loopback.
"""

LOSSY: Mapping[str, Contender] = {
    "socksproxy": Contender("socksproxy"),
    "socksproxy+fec": Contender("socksproxy", fec=True),
    "socksproxy+bbr": Contender(
        "socksproxy", fec=True, settings={"congestion": "bbr", "adaptive": True}
    ),
    "kcptun": Contender("kcptun"),
    "kcptun+fec": Contender("kcptun", fec=True),
    "tcp-cubic": Contender("tcp", control="cubic"),
    "tcp-bbr": Contender("tcp", control="bbr"),
}
"""
What is measured over bad links.
"""


@dataclass(frozen=True)
class Place:
    """
    Where the two ends are.

    @ivar client: What to put before the client's commands.
    @ivar server: What to put before the server's.
    @ivar host: The server's address.
    """

    client: Sequence[str] = ()
    server: Sequence[str] = ()
    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Pair:
    """
    A contender that runs.

    @ivar client: Sends, and asks for echoes.
    @ivar server: Has the sink.
    @ivar clientProcesses: Those whose processor time counts as the client's.
    @ivar serverProcesses: Likewise.
    @ivar profiled: The programs that can say where their time goes: none, or
        the client's and the server's.
    """

    client: Program
    server: Program
    clientProcesses: Sequence[int]
    serverProcesses: Sequence[int]
    profiled: Sequence[Program] = ()

    @property
    def processes(self) -> list[int]:
        """
        All that belong to it.
        """
        around = (self.client.process.pid, self.server.process.pid)
        return list({*around, *self.clientProcesses, *self.serverProcesses})


@contextmanager
def running(contender: Contender, place: Place, sessions: int = 1) -> Iterator[Pair]:
    """
    Run a contender.

    @param sessions: How many sessions there will be at a time.
    """
    with ExitStack() as stack:
        if contender.kind == "socksproxy":
            yield _ours(stack, contender, place)
        elif contender.kind == "tcp":
            yield _tcp(stack, contender, place)
        else:
            yield _between(stack, contender, place, sessions)


def _ours(stack: ExitStack, contender: Contender, place: Place) -> Pair:
    port = freePort()
    server = _peer(stack, "serve", contender, place.host, port, place.server)
    client = _peer(stack, "ask", contender, place.host, port, place.client)
    for each in (server, client):
        each.answer()
    return Pair(client, server, [client.process.pid], [server.process.pid], [client, server])


def _peer(
    stack: ExitStack,
    role: str,
    contender: Contender,
    host: str,
    port: int,
    prefix: Sequence[str],
    tcpPort: int = 0,
) -> Program:
    dataShards, parityShards = SHARDS if contender.fec else (0, 0)
    settings = {
        "role": role,
        "host": host,
        "port": port,
        "tcpPort": tcpPort,
        "key": KEY,
        "crypt": contender.crypt,
        "mode": MODE,
        "config": {
            "mtu": MTU,
            "sndwnd": WINDOW,
            "rcvwnd": WINDOW,
            "datashard": dataShards,
            "parityshard": parityShards,
            **contender.settings,
        },
    }
    return stack.enter_context(program("kcp.peer", json.dumps(settings), prefix=prefix))


def _tcp(stack: ExitStack, contender: Contender, place: Place) -> Pair:
    server, client = _streams(stack, contender, place, (place.host, place.host), [freePort()] * 2)
    return Pair(client, server, [client.process.pid], [server.process.pid])


def _streams(
    stack: ExitStack,
    contender: Contender,
    place: Place,
    hosts: tuple[str, str],
    ports: Sequence[int],
) -> tuple[Program, Program]:
    """
    Run a server and a client of TCP.
    """
    ends = []
    sides = zip(("serve", "ask"), hosts, ports, (place.server, place.client), strict=True)
    for role, host, port, prefix in sides:
        arguments = (role, host, str(port), contender.control)
        end = stack.enter_context(program("kcp.streams", *arguments, prefix=prefix))
        end.answer()
        ends.append(end)
    return ends[0], ends[1]


def _between(stack: ExitStack, contender: Contender, place: Place, sessions: int) -> Pair:
    """
    Run a tunnel, and TCP before and behind it.
    """
    entrance, exit_, port = (freePort() for _ in range(3))
    local = "127.0.0.1", "127.0.0.1"
    server, client = _streams(stack, contender, place, local, (exit_, entrance))
    if contender.kind == "tunnel":
        leave = _peer(stack, "leave", contender, place.host, port, place.server, exit_)
        enter = _peer(stack, "enter", contender, place.host, port, place.client, entrance)
        for each in (leave, enter):
            each.answer()
        pids = [enter.process.pid], [leave.process.pid]
        return Pair(client, server, *pids, [enter, leave])
    common = _kcptunOptions(contender)
    listen = ["-l", f"{place.host}:{port}", "-t", f"127.0.0.1:{exit_}"]
    serverPid = stack.enter_context(
        foreign([*place.server, KCPTUN_SERVER, *listen, *common], ("udp", port))
    )
    dial = ["-l", f"127.0.0.1:{entrance}", "-r", f"{place.host}:{port}", "--conn", str(sessions)]
    clientPid = stack.enter_context(
        foreign([*place.client, KCPTUN_CLIENT, *dial, *common], ("tcp", entrance))
    )
    return Pair(client, server, [clientPid], [serverPid])


def _kcptunOptions(contender: Contender) -> list[str]:
    dataShards, parityShards = SHARDS if contender.fec else (0, 0)
    return [
        *("--key", KEY, "--crypt", contender.crypt, "--mode", MODE, "--nocomp", "--quiet"),
        *("--mtu", str(MTU), "--sndwnd", str(WINDOW), "--rcvwnd", str(WINDOW)),
        *("--datashard", str(dataShards), "--parityshard", str(parityShards)),
    ]
