"""
Tests for L{socksproxy.kcp.datagram}: time, and none of it for nothing.
"""

from __future__ import annotations

import time
from typing import Any

from twisted.internet.base import ReactorBase
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IDelayedCall

from socksproxy.kcp import SessionTimers
from socksproxy.kcp.datagram import milliseconds
from socksproxy.testing import Conditions, DatagramNetwork
from tests.kcp.network import PLAIN, REDUNDANT, Echo, KCPNetworkTests, pattern

HOUR = 3600.0


class TimerTests(KCPNetworkTests):
    """
    Reactor timers.
    """

    def calls(self) -> list[IDelayedCall]:
        """
        Give what waits for its time. The network has one call of its own while
        something is under way.
        """
        own = self.network._wake
        return [call for call in self.network.getDelayedCalls() if call is not own]

    def ran(self, seconds: float) -> int:
        """
        Let time pass, and count the calls that ran.
        """
        count = 0
        end = self.network.seconds() + seconds

        def counted() -> bool:
            nonlocal count
            count += 1
            return False

        self.network._run(end, counted)
        self.network.rightNow = max(self.network.rightNow, end)
        return count

    def test_idle(self) -> None:
        """
        Sessions for which there is nothing to do, whatever they have done
        before, wait for nothing: there is no call for an hour, or ever.
        """
        for config in (PLAIN, REDUNDANT):
            self.start(Echo, config=config, loss=0.1, seed=6)
            clients = [self.joined()[0] for _ in range(5)]
            for client in clients:
                client.transport.write(pattern(100_000))
            self.settle(20)
            for client in clients:
                self.assertEqual(len(client.received) // 1000, 100)
            self.assertEqual(self.network.getDelayedCalls(), [])
            self.assertEqual(self.ran(HOUR), 0)
            clients[0].transport.write(b"still there?")
            self.settle(1)
            self.assertEqual(bytes(clients[0].received[-12:]), b"still there?")

    def test_onlyIdleTimer(self) -> None:
        """
        A server whose sessions end when they are idle has one call for all of
        them, and wakes for that alone.
        """
        self.start(timers=SessionTimers(idle=600))
        for _ in range(20):
            self.joined()
        self.settle(10)
        self.assertEqual(len(self.calls()), 1)
        self.assertLessEqual(self.ran(500), 2)
        self.assertEqual(len(self.server.sessions), 20)
        self.settle(100)
        self.assertEqual(self.server.sessions, {})
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_oneForAll(self) -> None:
        """
        A port has one timer, and another call at most for the end of a turn,
        however many of its sessions wait.
        """
        self.start(timers=SessionTimers(idle=600))
        pairs = [self.joined() for _ in range(50)]
        for client, _ in pairs:
            client.transport.abortConnection()
        self.settle()
        for _, server in pairs:
            server.transport.write(pattern(5000))
        self.assertEqual(len(self.calls()), 2)
        self.network.advance(0)
        for _ in range(100):
            self.network.advance(0.02)
            self.assertEqual(len(self.calls()), 1)
        self.settle(40)
        self.assertEqual([server.lost for _, server in pairs], [True] * 50)
        self.assertEqual(self.calls(), [])

    def test_retransmission(self) -> None:
        """
        What is lost is sent again in time, by the timer alone.
        """
        self.start()
        client, server = self.joined()
        self.settle()
        self.network.setConditions(Conditions(loss=1.0))
        client.transport.write(b"lost")
        self.network.advance(0.001)
        self.network.setConditions(Conditions())
        rto = client.transport.rto / 1000
        self.settle(rto + 0.03)
        self.assertEqual(bytes(server.received), b"lost")

    def test_earlierThanBefore(self) -> None:
        """
        What is due before the timer that runs is done in time.
        """
        self.start(timers=SessionTimers(idle=600))
        _, server = self.joined()
        self.settle(100)
        self.network.setConditions(Conditions(loss=1.0))
        server.transport.write(b"x")
        began = self.network.seconds()
        self.network.advanceUntil(lambda: server.transport.statistics.lostSegs == 1, limit=5)
        waited = self.network.seconds() - began
        self.assertLessEqual(waited, server.transport.rto / 1000 + 0.002)

    def test_noTimersOfTheDead(self) -> None:
        """
        When the last session has ended no timer is left.
        """
        self.start(timers=SessionTimers(idle=600))
        client, server = self.joined()
        server.transport.write(b"x" * 10_000)
        client.transport.abortConnection()
        server.transport.abortConnection()
        self.settle(0)
        self.assertEqual(self.calls(), [])
        self.assertIsInstance(self.factory.made[0].reason, Exception)

    def test_portClosed(self) -> None:
        """
        When the port is closed none is left either.
        """
        self.start(timers=SessionTimers(idle=600))
        client, server = self.joined()
        client.transport.write(b"x" * 10_000)
        server.transport.write(b"x" * 10_000)
        self.onWire(client.transport).stopListening()
        self.listening._port.stopListening()
        self.settle(0)
        self.assertIsInstance(client.reason, ConnectionLost)
        self.settle(1)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_withoutCredit(self) -> None:
        """
        A session with much to send and a peer that proves nothing costs next to
        nothing.
        """
        self.start(timers=SessionTimers(dead=None))
        client, server = self.joined()
        self.assertFalse(server.transport.pipeline.control.proven)
        client.transport.abortConnection()
        self.settle()
        server.transport.write(pattern(200_000))
        self.settle(10)
        self.assertLess(self.ran(HOUR), 20)

    def test_probing(self) -> None:
        """
        A closed window is asked about now and then, and not more often.
        """
        self.start()
        client, server = self.joined()
        server.transport.pauseProducing()
        client.transport.write(pattern(3_000_000))
        self.settle(60)
        self.assertTrue(0 < self.ran(HOUR) < 5000)
        self.assertFalse(client.lost)


class ClockTests(KCPNetworkTests):
    """
    Where the time comes from.
    """

    def test_network(self) -> None:
        """
        From a clock that is no real reactor it is what that shows.
        """
        network = DatagramNetwork()
        now = milliseconds(network)
        network.advance(1.5)
        self.assertEqual(now(), 1500)

    def test_reactor(self) -> None:
        """
        With a real one it is a clock that nobody sets.
        """

        class Reactor(ReactorBase):
            def __init__(self) -> None:
                pass

            def seconds(self) -> Any:
                raise AssertionError("the wall clock may jump")

        before = time.monotonic_ns() // 1_000_000
        now = milliseconds(Reactor())()
        self.assertTrue(before <= now <= before + 10_000)

    def test_wrap(self) -> None:
        """
        Sessions outlive the time at which 32 bits of milliseconds are full.
        """
        self.start(Echo)
        self.network.rightNow = (1 << 32) / 1000 - 1
        client, _ = self.joined()
        for _ in range(20):
            client.transport.write(b"0123456789")
            self.settle(0.1)
        self.settle(1)
        self.assertEqual(bytes(client.received[-200:]), b"0123456789" * 20)
        self.assertEqual(client.transport.statistics.retransSegs, 0)
