"""
What the daemon says of KCP in its log: when a session ends, and on SIGUSR2.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.daemon import Daemon
from tests.interop.client import TIMEOUT, ask, dial, echoes, receive
from tests.socksclient import NO_AUTHENTICATION
from tests.targets import Target, echo

LOOPBACK = "127.0.0.1"
KEY = "a-secret-of-both-sides"
SIZE = 100_000


@contextmanager
def pair(style: str, *far: str, near: str) -> Iterator[tuple[Daemon, Daemon, int]]:
    """
    Run two daemons with a tunnel between them.

    @param style: The format of their logs.
    @param far: The server's options; PARAMETERS stands for the tunnel's.
    @param near: The client's option; PORT stands for the server's.
    @return: Both, and the port of the client that leads through the tunnel.
    """
    parameters = f"key={KEY}:nocomp=yes:mode=fast3"
    options = [option.replace("PARAMETERS", parameters) for option in far]
    with Daemon("--log-format", style, *options) as server:
        port = server.waitFor(r"(?:Forwarding )?kcp:.*?, at [\d.]+:(\d+)")[1]
        option, value = near.replace("PARAMETERS", parameters).replace("PORT", port).split(" ", 1)
        with Daemon("--log-format", style, option, value) as client:
            entry = client.port
            if option == "--forward":
                entry = int(client.waitFor(r"Forwarding tcp:.*?, at [\d.]+:(\d+)")[1])
            yield server, client, entry


@contextmanager
def forwarding(style: str) -> Iterator[tuple[Daemon, Daemon, int]]:
    """
    Run a tunnel to an echo.
    """
    with (
        Target(echo) as target,
        pair(
            style,
            "--forward",
            f"kcp:0:interface={LOOPBACK}:PARAMETERS,tcp:{LOOPBACK}:{target.port}",
            near=f"--forward tcp:0:interface={LOOPBACK},kcp:{LOOPBACK}:PORT:PARAMETERS",
        ) as (server, client, port),
    ):
        yield server, client, port


def state(daemon: Daemon) -> list[str]:
    """
    Ask a daemon for its state.

    @return: The lines.
    """
    daemon.process.send_signal(signal.SIGUSR2)
    daemon.waitFor("Received SIGUSR2")
    begin = len(daemon.lines)
    daemon.waitFor("End of the state")
    return daemon.lines[begin:-1]


def states(daemon: Daemon) -> dict[str, dict[str, Any]]:
    """
    Ask a daemon that logs JSON.

    @return: The last of each kind.
    """
    found = [json.loads(line) for line in state(daemon)]
    assert {event["event"] for event in found} == {"state"}
    return {event["kind"]: event for event in found}


class TestState:
    """
    SIGUSR2.
    """

    def test_text(self) -> None:
        """
        Every listener, connection, session and port has a line, and secrets
        are in none.
        """
        with forwarding("text") as (server, client, port), dial(port) as connection:
            assert echoes(connection, b"x" * SIZE)
            far, near = "\n".join(state(server)), "\n".join(state(client))
        for lines in (far, near):
            assert re.search(r"State of listener tcp:0:interface=127\.0\.0\.1: nothing", lines)
            assert re.search(
                rf"State of connection 127\.0\.0\.1:\d+: .*FORWARD.*succeeded, sent {SIZE},"
                rf" received {SIZE},",
                lines,
            )
            assert re.search(
                r"State of kcp-session 127\.0\.0\.1:\d+: port .*rto \d+, streams 1,.* InPkts \d+",
                lines,
            )
            assert KEY not in lines
        assert re.search(r"State of kcp-port 127\.0\.0\.1:\d+: PassiveOpens 1, CurrEstab 1", far)
        assert re.search(r"State of totals KCP: PassiveOpens 1, CurrEstab 1, MaxConn 1", far)
        assert re.search(r"State of kcp-client 127\.0\.0\.1:\d+: ActiveOpens 1, CurrEstab 1", near)
        assert re.search(r"State of mux-session 127\.0\.0\.1:\d+: usable yes, streams 1", near)

    def test_json(self) -> None:
        """
        The numbers are fields, and both sides agree on them.
        """
        with forwarding("json") as (server, client, port):
            with dial(port) as connection:
                assert echoes(connection, b"x" * SIZE)
                far, near = states(server), states(client)
            assert far["kcp-session"]["BytesReceived"] >= SIZE
            assert near["kcp-session"]["BytesSent"] == far["kcp-session"]["BytesReceived"]
            assert far["kcp-session"]["conversation"] == near["kcp-session"]["conversation"]
            assert (far["connection"]["sent"], far["connection"]["received"]) == (SIZE, SIZE)
            assert far["listener"]["connections"] == 1
            assert {"evicted", "InErrs", "InCsumErrors", "KCPInErrors"} <= set(far["kcp-port"])
            assert near["totals"]["ActiveOpens"] == 1

    def test_via(self) -> None:
        """
        The sessions that lead to proxies are told of, too.
        """
        near = "--via socks5h+kcp://127.0.0.1:PORT?" + f"key={KEY}&nocomp=yes&mode=fast3"
        listen = ("--listen", f"kcp:0:interface={LOOPBACK}:PARAMETERS")
        with (
            Target(echo) as target,
            pair("json", *listen, near=near) as (server, client, port),
            dial(port) as connection,
        ):
            assert ask(connection, LOOPBACK, target.port) == 0
            assert echoes(connection, b"x" * SIZE)
            found = states(client)
            assert found["mux-session"]["streams"] == 1
            assert found["kcp-client"]["BytesSent"] > SIZE
            found = states(server)
            assert found["kcp-port"]["PassiveOpens"] == 1
            assert found["connection"]["command"] == "CONNECT"

    def test_withoutKCP(self) -> None:
        """
        A daemon without KCP tells of its listeners and connections.
        """
        with Daemon() as daemon, dial(daemon.port) as connection:
            connection.sendall(NO_AUTHENTICATION)
            receive(connection, 2)
            lines = state(daemon)
            assert len(lines) == 2
            assert "State of listener tcp:0:interface=127.0.0.1: connections 1" in lines[0]
            client = f"127.0.0.1:{connection.getsockname()[1]}"
            assert f"State of connection {client}: " in lines[1]
            assert "protocol SOCKS5" in lines[1]


class TestEnd:
    """
    The line at the end of a session.
    """

    @pytest.mark.parametrize("style", ["text", "json"])
    def test_end(self, style: str) -> None:
        """
        Both daemons say what the session has carried, once it is over.
        """
        with forwarding(style) as (server, client, port):
            with dial(port) as connection:
                assert echoes(connection, b"x" * SIZE)
            for daemon in (client, server):
                daemon.waitFor("FORWARD .*client closed")
                daemon.process.send_signal(signal.SIGTERM)
                daemon.process.wait(TIMEOUT)
            lines = [daemon.waitFor("KCP session with").string for daemon in (client, server)]
        for line in lines:
            assert KEY not in line
            if style == "text":
                assert re.search(
                    r"KCP session with 127\.0\.0\.1:\d+ ended after \d+\.\d{3} s: [^;]+;"
                    r" (srtt \d+, )?rto \d+, streamsBegun 1, BytesSent 1\d{5}, BytesReceived",
                    line,
                ), line
            else:
                event = json.loads(line)
                assert event["event"] == "kcp-session"
                assert event["streamsBegun"] == 1
                assert event["BytesSent"] >= SIZE
                assert event["FECRecovered"] >= 0
