"""
Streams of one session that have a stream beside them whose reader does not
read, through C{kcp:} and C{tunnel:} between two daemons.
"""

from __future__ import annotations

import socket
import tempfile
import time
import unittest
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.daemon import Daemon
from tests.interop.client import dial, receive, receiveAll
from tests.interop.processes import steady
from tests.interop.tunnels import LOOPBACK, forwardedPorts, kinds
from tests.targets import Target

OCTETS = 16 << 20
BLOCK = bytes(1 << 18)
ROUNDS = 3
MORE_ROUNDS = 20
"""
How often it is measured what a stream has alone, and how often at the most
until one beside a stalled one is fast enough: others use this machine.
"""

SHARE = 0.5
"""
What a stream beside a stalled one has at least of the speed that it has alone.
"""

STALLED = 1 << 20
"""
Octets that a stream has taken at least before it stalls.
"""


class Streams:
    """
    A server for L{tests.targets.Target} which is told by the first octet what
    to do: to send so much or without end, or to take all or nothing.

    @ivar sent: Octets that were sent without end.
    """

    def __init__(self) -> None:
        self.sent = 0

    def __call__(self, connection: socket.socket) -> None:
        """
        Serve one connection.
        """
        word = receive(connection, 1)
        if word == b"d":
            for _ in range(OCTETS // len(BLOCK)):
                connection.sendall(BLOCK)
            connection.shutdown(socket.SHUT_WR)
        elif word == b"u":
            connection.sendall(b"%d" % len(receiveAll(connection)))
            connection.shutdown(socket.SHUT_WR)
        elif word == b"D":
            while True:
                self.sent += connection.send(BLOCK)


def download(port: int) -> None:
    """
    Receive so much.
    """
    with dial(port) as connection:
        connection.sendall(b"d")
        count = 0
        while data := connection.recv(1 << 20):
            count += len(data)
    assert count == OCTETS


def upload(port: int) -> None:
    """
    Send so much.
    """
    with dial(port) as connection:
        connection.sendall(b"u")
        for _ in range(OCTETS // len(BLOCK)):
            connection.sendall(BLOCK)
        connection.shutdown(socket.SHUT_WR)
        assert int(receiveAll(connection)) == OCTETS


def speed(transfer: Callable[[int], None], port: int) -> float:
    """
    Give the octets per second of a transfer.
    """
    began = time.monotonic()
    transfer(port)
    return OCTETS / (time.monotonic() - began)


class StalledStreamTests(unittest.TestCase):
    """
    A tunnel of each kind, with version 2 of smux.
    """

    def setUp(self) -> None:
        """
        Start the daemons.
        """
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.streams = Streams()
        target = self.enterContext(Target(self.streams))
        both = kinds(folder)
        far = (f"--forward={kind.listener()},tcp:{LOOPBACK}:{target.port}" for kind in both)
        server = self.enterContext(Daemon(*far))
        ways = (
            f"--forward=tcp:0:interface={LOOPBACK},{kind.way(port, smuxver='2')}"
            for kind, port in zip(both, forwardedPorts(server, 2), strict=True)
        )
        client = self.enterContext(Daemon(*ways))
        ports = forwardedPorts(client, 2)
        self.ports = {kind.name: port for kind, port in zip(both, ports, strict=True)}

    def check(
        self, transfer: Callable[[int], None], stall: Callable[[int, ExitStack], int]
    ) -> None:
        """
        Compare the speed of a transfer alone with that of one beside a stream
        that does not get on.

        @param stall: Begins that one, and gives how much it has taken.
        """
        for name, port in self.ports.items():
            with self.subTest(name), ExitStack() as undo:
                alone = max(speed(transfer, port) for _ in range(ROUNDS))
                self.assertGreater(stall(port, undo), STALLED)
                beside: list[float] = []
                while len(beside) < MORE_ROUNDS and max(beside, default=0.0) < SHARE * alone:
                    beside.append(speed(transfer, port))
                self.assertGreaterEqual(max(beside), SHARE * alone)

    def test_download(self) -> None:
        """
        A client that does not read what its target sends without end does not
        slow down what another one is sent.
        """

        def stall(port: int, undo: ExitStack) -> int:
            before = self.streams.sent
            undo.enter_context(dial(port)).sendall(b"D")
            return steady(lambda: self.streams.sent) - before

        self.check(download, stall)

    def test_upload(self) -> None:
        """
        A target that does not read what its client sends without end does not
        slow down what another one is sent.
        """

        def stall(port: int, undo: ExitStack) -> int:
            connection = undo.enter_context(dial(port))
            connection.sendall(b"n")
            connection.setblocking(False)
            sent = 0

            def more() -> int:
                nonlocal sent
                try:
                    sent += connection.send(BLOCK)
                except BlockingIOError:
                    pass
                return sent

            return steady(more)

        self.check(upload, stall)
