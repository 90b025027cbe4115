"""
Tests for L{socksproxy.relay.stalls}.
"""

from __future__ import annotations

import socket
import struct
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from socksproxy.relay import Leg, stalls
from socksproxy.relay.stalls import StallWatch
from socksproxy.testing import MemoryTransport


class Kernel:
    """
    A socket, and what the kernel knows of it.

    @ivar unacknowledged: Segments.
    @ivar unsent: Octets.
    @ivar room: Octets that the peer has room for.
    @ivar acknowledged: Octets.
    @ivar heard: When the peer last acknowledged anything, in seconds.
    @ivar asked: How often somebody wanted to know.
    @ivar known: Octets of that which this kernel knows.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self.unacknowledged = self.unsent = self.acknowledged = self.asked = 0
        self.room = 65536
        self.heard = 0.0
        self.known = 232
        self.error = False

    def fileno(self) -> int:
        """
        Give some number.
        """
        return 99

    def setblocking(self, flag: bool) -> None:
        """
        Change nothing.
        """

    def send(self, data: bytes) -> int:
        """
        Take all of it.
        """
        self.unacknowledged += 1
        return len(data)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """
        Take an option.
        """

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """
        Tell it, at the places of C{linux/tcp.h}.
        """
        assert level == socket.IPPROTO_TCP
        self.asked += 1
        if self.error:
            raise OSError
        info = bytearray(248)
        silent = int((self._clock.seconds() - self.heard) * 1000)
        struct.pack_into("=I", info, 24, self.unacknowledged)
        struct.pack_into("=I", info, 56, silent)
        struct.pack_into("=Q", info, 120, self.acknowledged)
        struct.pack_into("=I", info, 144, self.unsent)
        struct.pack_into("=I", info, 228, self.room)
        return bytes(info[: min(size, self.known)])

    def acknowledge(self) -> None:
        """
        Acknowledge everything.
        """
        self.unacknowledged = 0
        self.acknowledged += 100
        self.heard = self._clock.seconds()


class StallWatchTests(SynchronousTestCase):
    """
    A connection that may get through or not.
    """

    def setUp(self) -> None:
        """
        Make one.
        """
        self.patch(stalls, "_OPTION", 11)
        self.clock = MemoryReactorClock()
        self.kernel = Kernel(self.clock)
        self.connection = Connection(self.kernel, Leg(), self.clock)
        self.connection.connected = True
        self.watch = StallWatch(self.clock, self.connection)

    def write(self) -> None:
        """
        Write something.
        """
        self.watch.writing()
        self.kernel.unacknowledged += 1

    def assertStalled(self, seconds: float, within: float = 0.01) -> None:
        """
        Require that nothing has been acknowledged for so long.
        """
        self.assertApproximates(self.watch.stalled(), seconds, within)

    def test_idle(self) -> None:
        """
        Without anything to acknowledge it is never stalled, and nobody looks.
        """
        self.clock.advance(100)
        self.assertStalled(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_afterSilence(self) -> None:
        """
        After a long silence it counts from the next write, not from the last
        acknowledgement.
        """
        self.write()
        self.clock.advance(0.1)
        self.kernel.acknowledge()
        self.clock.pump([1] * 100)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.write()
        self.assertStalled(0)
        self.clock.advance(0.5)
        self.assertStalled(0.5)
        self.clock.pump([1] * 4)
        self.assertStalled(4.5)
        self.kernel.acknowledge()
        self.assertStalled(0)

    def test_onItsWay(self) -> None:
        """
        What was written is counted from then, though it takes a moment until
        the kernel has it.
        """
        self.watch.writing()
        self.assertStalled(0)
        self.kernel.unacknowledged = 1
        self.clock.pump([1] * 3)
        self.assertStalled(3)
        self.kernel.acknowledge()
        self.clock.advance(1)
        self.watch.writing()
        self.clock.advance(0.99)
        self.watch.writing()
        self.clock.advance(0.02)
        self.kernel.unacknowledged = 1
        self.clock.pump([1] * 3)
        self.assertStalled(3.5, within=0.6)

    def test_busy(self) -> None:
        """
        While something is written all the time it counts from the last
        acknowledgement.
        """
        for _ in range(100):
            self.write()
            self.clock.advance(0.1)
            self.kernel.acknowledge()
            self.kernel.unacknowledged = 1
        self.assertStalled(0)
        for _ in range(45):
            self.write()
            self.clock.advance(0.1)
        self.assertStalled(4.5)

    def test_asymmetric(self) -> None:
        """
        What comes from the peer does not count if it acknowledges nothing new.
        """
        self.write()
        for _ in range(50):
            self.clock.advance(0.1)
            self.kernel.heard = self.clock.seconds()
        self.assertStalled(5)

    def test_looks(self) -> None:
        """
        Also if nobody asks, it is known to a second when something was last
        acknowledged, whatever else comes from the peer since then.
        """
        self.write()
        self.clock.advance(0.5)
        self.kernel.acknowledge()
        self.kernel.unacknowledged = 1
        for _ in range(40):
            self.clock.advance(0.1)
            if self.clock.seconds() > 1:
                self.kernel.heard = self.clock.seconds()
        self.assertStalled(4, within=0.5)

    def test_progress(self) -> None:
        """
        As long as something is acknowledged now and then, it is not stalled
        for longer.
        """
        self.kernel.unacknowledged = 10
        for _ in range(10):
            self.write()
            self.clock.pump([0.1] * 15)
            self.kernel.acknowledge()
            self.kernel.unacknowledged = 10
            self.assertLess(self.watch.stalled(), 2.6)

    def test_closedWindow(self) -> None:
        """
        A peer that has no room is not to blame.
        """
        self.write()
        self.kernel.acknowledge()
        self.kernel.unsent, self.kernel.room = 5000, 0
        self.clock.pump([1] * 10)
        self.assertStalled(0)

    def test_noRoute(self) -> None:
        """
        Where nothing can be sent at all, it is stalled too.
        """
        self.watch.writing()
        self.kernel.unsent = 100
        self.clock.pump([1] * 4)
        self.assertStalled(4)

    def test_looksRarely(self) -> None:
        """
        However much is written, the kernel is asked once in a second.
        """
        for _ in range(1000):
            self.write()
            self.clock.advance(0.01)
        self.assertLessEqual(self.kernel.asked, 10)

    def test_olderKernel(self) -> None:
        """
        A kernel that does not know everything is asked for the rest.
        """
        self.kernel.known = 192
        self.write()
        self.clock.pump([1] * 4)
        self.assertStalled(4)

    def test_stop(self) -> None:
        """
        When the connection is gone nobody looks any more.
        """
        self.write()
        self.watch.stop()
        asked = self.kernel.asked
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.write()
        self.assertStalled(0)
        self.assertEqual((self.clock.getDelayedCalls(), self.kernel.asked), ([], asked))

    def test_closed(self) -> None:
        """
        Nor is a socket asked that the reactor has closed.
        """
        self.write()
        self.connection.connected = False
        self.assertStalled(0)
        self.assertEqual(self.kernel.asked, 0)

    def test_elsewhere(self) -> None:
        """
        Where the system does not tell, or the socket is none of TCP, it is
        never stalled.
        """
        self.write()
        self.clock.advance(0.5)
        with patch.object(stalls, "_OPTION", None):
            self.assertStalled(0)
        self.kernel.error = True
        self.assertStalled(0)
        watch = StallWatch(self.clock, MemoryTransport(self.clock, Leg()))
        watch.writing()
        self.assertEqual(watch.stalled(), 0)

    def test_below(self) -> None:
        """
        Of what is wrapped the lowest transport is asked.
        """
        wrapper = ProtocolWrapper(WrappingFactory(SimpleNamespace()), Leg())  # type: ignore[arg-type]
        wrapper.transport = self.connection  # type: ignore[assignment]
        watch = StallWatch(self.clock, wrapper)  # type: ignore[arg-type]
        watch.writing()
        self.kernel.unacknowledged = 1
        self.clock.advance(1)
        self.assertApproximates(watch.stalled(), 1, 0.01)
