"""
L{socksproxy.relay.stalls} and a real kernel.
"""

from __future__ import annotations

import socket
import sys
import time

from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.relay import Leg
from socksproxy.relay.stalls import StallWatch


class LayoutTests(SynchronousTestCase):
    """
    The kernel's own words.
    """

    def test_layout(self) -> None:
        """
        The fields are where they are looked for: what loopback has taken is
        acknowledged, and a peer that does not read has no room.
        """
        if sys.platform != "linux":
            self.skipTest("TCP_INFO has another layout there")
        one, other = self.joined()
        clock = MemoryReactorClock()
        connection = Connection(one, Leg(), clock)
        connection.connected = True
        watch = StallWatch(clock, connection)
        _, _, before = watch._ask()
        one.send(bytes(1000))
        other.recv(1000)
        waiting, silent, acknowledged = watch._ask()
        self.assertEqual((waiting, acknowledged - before), (False, 1000))
        self.assertLess(silent, 10000)
        # Until it has no room left.
        one.setblocking(False)
        try:
            while True:
                one.send(bytes(65536))
        except BlockingIOError:
            pass
        deadline = time.monotonic() + 5
        while watch._ask()[0] and time.monotonic() < deadline:
            pass
        waiting, _, acknowledged = watch._ask()
        self.assertEqual((waiting, acknowledged > before + 1000), (False, True))

    def joined(self) -> tuple[socket.socket, socket.socket]:
        """
        Make a connection.
        """
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            one = socket.create_connection(listening.getsockname())
            other, _ = listening.accept()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        return one, other
