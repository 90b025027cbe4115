"""
Tests for L{socksproxy.socks.associate}: associations that nobody uses any
more, and many of them.
"""

from __future__ import annotations

from itertools import count
from operator import attrgetter

from twisted.internet.protocol import DatagramProtocol

from socksproxy.inbound import InboundTimers
from socksproxy.outbound.conduit import MAPPING_IDLE
from socksproxy.relay import RelayTimers
from socksproxy.testing import MemoryDatagrams, MemoryTransport, ScriptedNetwork, tcpAddress
from tests.memoryproxy import MemoryProxy
from tests.socks.associating import ANSWER, PORT, QUESTION, AssociationTestCase
from tests.socksrequests import UDP_ASSOCIATE, command, datagram

REQUEST = command(UDP_ASSOCIATE)


class IdleTests(AssociationTestCase):
    """
    Associations that nobody uses.
    """

    idle = 800.0

    def setUp(self) -> None:
        super().setUp()
        self.start(timers=InboundTimers(relay=RelayTimers(idle=self.idle)))

    def passes(self, seconds: float) -> None:
        """
        Let time pass, little by little.
        """
        self.proxy.network.pump([seconds / 100] * 100)

    def assertEnds(self, client: MemoryTransport) -> None:
        """
        Fail unless an association that something has just gone through is
        ended after the time that relays of connections get, and not before. A
        quarter of it more may pass until somebody looks, as for those.
        """
        self.passes(self.idle - 1)
        self.assertFalse(client.ended)
        self.passes(self.idle / 4 + 1)
        self.assertEqual(self.opened, [])
        self.proxy.settle()
        self.assertTrue(client.lost)
        self.assertNothingLeft()
        (line,) = self.lines()
        self.assertEqual(line["reason"], "idle for too long")

    def test_unused(self) -> None:
        """
        One that nothing has gone through ends then, counted from its
        beginning, whenever that was.
        """
        self.assertEnds(self.associate())
        self.passes(3 * self.idle)
        self.assertEnds(self.associate())

    def test_sent(self) -> None:
        """
        That time begins anew with every datagram to others.
        """
        client = self.associate()
        for _ in range(3):
            self.exchange()
            self.passes(self.idle / 2)
        self.send()
        self.assertEnds(client)

    def test_received(self) -> None:
        """
        And with every one to the client.
        """
        client = self.associate()
        self.exchange()
        self.passes(MAPPING_IDLE - 1)
        self.answer()
        self.assertEnds(client)

    def test_strangersAreNoUse(self) -> None:
        """
        Datagrams that are dropped do not keep it.
        """
        client = self.associate()
        for _ in range(7):
            self.send(source=("198.51.100.9", PORT))
            self.passes(self.idle / 8)
        self.passes(self.idle / 4)
        self.proxy.settle()
        self.assertTrue(client.lost)

    def test_forEver(self) -> None:
        """
        Where there is no such time there is no timer.
        """
        self.start(timers=InboundTimers(relay=RelayTimers(idle=0)))
        client = self.associate()
        self.assertEqual(self.proxy.network.getDelayedCalls(), [])
        self.proxy.network.advance(10**6)
        self.assertFalse(client.ended)
        self.exchange()


class RoomyNetwork(ScriptedNetwork):
    """
    A network that is quick enough with thousands of sockets and timers.
    """

    def __init__(self) -> None:
        super().__init__()
        self._free = count(20000)

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192
    ) -> MemoryDatagrams:
        """
        See C{IReactorUDP}.
        """
        return super().listenUDP(port or next(self._free), protocol, interface, maxPacketSize)

    def _sortCalls(self) -> None:
        self.calls.sort(key=attrgetter("time"))


class ManyTests(AssociationTestCase):
    """
    Many associations with many destinations each.
    """

    def test_many(self) -> None:
        """
        A thousand associations with twenty destinations each have two sockets
        each at most. Those on the way out are gone when nobody has been
        written to for five minutes, and all the rest when the associations
        have been idle for too long.
        """
        proxy: MemoryProxy = self.start(network=RoomyNetwork())
        network = proxy.network
        for number in range(1000):
            client = f"10.1.{number // 250}.{number % 250 + 1}"
            transport = proxy.connect(tcpAddress(client, 40000))
            transport.peerSends(b"\5\1\0" + REQUEST)
            relay = network.datagrams[-1]
            for target in range(20):
                relay.peerSends(datagram(QUESTION, f"198.18.0.{target}", 53), client, PORT)
            outside = network.datagrams[-1]
            for target in range(20):
                outside.peerSends(ANSWER, f"198.18.0.{target}", 53)
            self.assertEqual((len(outside.take()), len(relay.take())), (20, 20))
        self.assertEqual(len(network.datagrams), 2000)
        self.assertEqual(len(proxy.inbound.connections), 1000)
        network.advance(MAPPING_IDLE)
        self.assertEqual(len(self.opened), 1000)
        network.advance(2 * InboundTimers().relay.idle)
        network.advance(2 * InboundTimers().relay.idle)
        proxy.settle()
        self.assertNothingLeft()
        lines = self.lines()
        self.assertEqual(len(lines), 1000)
        for line in lines:
            self.assertEqual((line["datagramsSent"], line["datagramsReceived"]), (20, 20))
