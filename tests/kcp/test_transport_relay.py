"""
Tests for L{socksproxy.kcp.transport}: relays between TCP and KCP.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone

from socksproxy.kcp.transport import RESERVE
from socksproxy.relay import Leg, Relay, RelayResult, RelayTimers
from socksproxy.testing import CAPACITY, MemoryTransport
from tests.kcp.network import OPENING, KCPNetworkTests, pattern
from tests.relay.joined import PATIENT

MUCH = pattern(5_000_000)


class RelayTests(KCPNetworkTests):
    """
    A relay between a connection in memory and a session, at whose other end is
    an application.
    """

    def setUp(self) -> None:
        """
        Start it.
        """
        self.start(Leg)
        self.application = self.connect()
        self.application.transport.write(OPENING)
        self.settle()
        (self.leg,) = self.factory.made
        tcp = Leg()
        self.tcp = MemoryTransport(self.network, tcp)
        tcp.makeConnection(self.tcp)
        self.results: list[RelayResult] = []
        self.relay = Relay(self.network, self.leg, tcp, PATIENT, self.results.append)
        self.relay.start()
        self.settle()
        self.assertEqual(self.tcp.take(), OPENING)

    def taken(self, size: int) -> bytes:
        """
        Read at the TCP side until so much has come.
        """
        data = bytearray()
        while len(data) < size:
            self.network.advance(0.01)
            self.assertLess(self.network.seconds(), 100)
            data += self.tcp.take()
        return bytes(data)

    def test_up(self) -> None:
        """
        What comes by KCP goes out by TCP, as fast as that is read, and no more
        is held than the windows and what TCP takes.
        """
        self.application.transport.write(MUCH)
        self.settle(10)
        waits = self.application.transport.pipeline.control.waiting
        window = self.config.rcvwnd * 1326
        self.assertGreater(waits * 1326, len(MUCH) - 2 * window - CAPACITY - (1 << 20))
        self.assertEqual(self.taken(len(MUCH)), MUCH)

    def test_down(self) -> None:
        """
        What comes by TCP goes out by KCP, which stops reading while the windows
        are full, and goes on when the other end reads.
        """
        self.application.transport.pauseProducing()
        sent = 0
        while not self.tcp.paused:
            self.tcp.peerSends(MUCH[sent : sent + 65536])
            sent += 65536
            self.network.advance(0.01)
        self.settle(10)
        self.assertTrue(self.tcp.paused)
        bound = (self.config.sndwnd + self.config.rcvwnd + RESERVE) * 1326 + 65536
        self.assertLess(sent, bound)
        self.application.transport.resumeProducing()
        self.settle(5)
        self.assertFalse(self.tcp.paused)
        self.assertEqual(bytes(self.application.received), MUCH[:sent])

    def test_bothWays(self) -> None:
        """
        Both directions carry at once.
        """
        self.application.transport.write(MUCH[:1_000_000])
        for at in range(0, 1_000_000, 50_000):
            self.tcp.peerSends(MUCH[at : at + 50_000])
        self.assertEqual(self.taken(1_000_000), MUCH[:1_000_000])
        self.settle(2)
        self.assertEqual(bytes(self.application.received), MUCH[:1_000_000])

    def test_tcpCloses(self) -> None:
        """
        When TCP closes the rest goes out by KCP before the session ends.
        """
        self.tcp.peerSends(MUCH[:3_000_000])
        self.tcp._lose(ConnectionDone())
        self.network.advanceUntil(lambda: bool(self.results), limit=20)
        self.assertEqual(bytes(self.application.received), MUCH[:3_000_000])
        self.assertEqual(self.results, [RelayResult(len(OPENING), 3_000_000, "target closed")])
        self.assertEqual(self.server.sessions, {})

    def test_kcpEnds(self) -> None:
        """
        When the session ends for good the connection is closed.
        """
        self.leg.transport.unregisterProducer()
        self.leg.transport.loseConnection()
        self.settle()
        self.assertTrue(self.tcp.lost and not self.tcp.aborted)
        self.assertEqual(self.results, [RelayResult(len(OPENING), 0, "client closed")])

    def test_kcpFails(self) -> None:
        """
        When it fails the connection is reset.
        """
        self.leg.transport.abortConnection()
        self.settle()
        self.assertTrue(self.tcp.aborted)
        self.assertEqual(self.results, [RelayResult(len(OPENING), 0, "client reset")])

    def test_tcpFails(self) -> None:
        """
        A reset ends the session at once.
        """
        self.tcp.peerResets()
        self.settle()
        self.assertEqual(self.results, [RelayResult(len(OPENING), 0, "target reset")])
        self.assertEqual(self.server.sessions, {})

    def test_aborted(self) -> None:
        """
        A relay that is ended drops both.
        """
        self.relay.abort("stopped")
        self.settle()
        self.assertEqual(self.results, [RelayResult(len(OPENING), 0, "stopped")])
        self.assertTrue(self.tcp.aborted)
        self.assertEqual(self.server.sessions, {})


class BetweenSessionsTests(KCPNetworkTests):
    """
    A relay between two sessions of one server.
    """

    def test_bothWays(self) -> None:
        """
        It carries both ways, back pressure included.
        """
        self.start(Leg)
        one, two = (self.connect() for _ in range(2))
        for application in (one, two):
            application.transport.write(OPENING)
        self.settle()
        results: list[RelayResult] = []
        legs: list[Any] = self.factory.made
        Relay(self.network, *legs, RelayTimers(idle=0.0), results.append).start()
        self.settle()
        self.assertEqual((bytes(one.received), bytes(two.received)), (OPENING, OPENING))
        two.transport.pauseProducing()
        one.transport.write(MUCH)
        two.transport.write(MUCH[:1_000_000])
        self.settle(5)
        self.assertEqual(len(two.received), len(OPENING))
        self.assertEqual(bytes(one.received), OPENING + MUCH[:1_000_000])
        self.assertGreater(one.transport.pipeline.control.waiting, 0)
        two.transport.resumeProducing()
        self.network.advanceUntil(lambda: len(two.received) == len(OPENING + MUCH), limit=20)
        self.assertEqual(bytes(two.received), OPENING + MUCH)
        legs[0].transport.unregisterProducer()
        legs[0].transport.loseConnection()
        self.settle()
        self.assertEqual([result.reason for result in results], ["client closed"])
