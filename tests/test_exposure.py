"""
Tests for L{socksproxy.exposure}.
"""

from __future__ import annotations

import random
import socket
from ipaddress import ip_address
from types import SimpleNamespace
from typing import NoReturn

from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.trial.unittest import SynchronousTestCase

from socksproxy import exposure as module
from socksproxy.errors import GeneralFailure, NetworkUnreachable
from socksproxy.exposure import Exposure, PortRange, PublicAddresses, localAddressTowards
from socksproxy.relay.leg import addressAndPort
from socksproxy.testing import MemoryDatagrams, MemoryListener, ScriptedNetwork

LOCAL = "10.0.0.5"


class WatchedNetwork(ScriptedNetwork):
    """
    A network that remembers what is asked of it.

    @ivar tried: The ports that somebody wanted to listen on.
    @ivar packets: How much of a datagram is read, for each socket.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tried: list[int] = []
        self.packets: list[int] = []

    def listenTCP(
        self, port: int, factory: object, backlog: int = 50, interface: str = ""
    ) -> MemoryListener:
        """
        See C{IReactorTCP}.
        """
        self.tried.append(port)
        return super().listenTCP(port, factory, backlog, interface)  # type: ignore[arg-type]

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192
    ) -> MemoryDatagrams:
        """
        See C{IReactorUDP}.
        """
        self.tried.append(port)
        self.packets.append(maxPacketSize)
        return super().listenUDP(port, protocol, interface, maxPacketSize)


class PerAddress(ScriptedNetwork):
    """
    A network on which each address has all the ports, as in a real one.
    """

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192
    ) -> MemoryDatagrams:
        """
        See C{IReactorUDP}.
        """
        others, self.datagrams = self.datagrams, []
        try:
            return super().listenUDP(port, protocol, interface, maxPacketSize)
        finally:
            self.datagrams += others


class PortRangeTests(SynchronousTestCase):
    """
    Ports from which to choose.
    """

    def test_bounds(self) -> None:
        """
        There is no privileged port in a range, nothing that is no port, and
        its ends are in order.
        """
        for first, last in ((1023, 2000), (0, 0), (2001, 2000), (2000, 65536), (-5, 3000)):
            self.assertRaises(ValueError, PortRange, first, last)
        for first, last in ((1024, 65535), (1024, 1024), (65535, 65535)):
            PortRange(first, last)

    def test_both(self) -> None:
        """
        Both ends belong to it, and every port is tried once.
        """
        self.assertEqual(
            sorted(PortRange(2000, 2009).candidates(random.Random(1))), list(range(2000, 2010))
        )
        self.assertEqual(list(PortRange(65535, 65535).candidates(random.Random(1))), [65535])

    def test_unforeseeable(self) -> None:
        """
        The order is a matter of chance, and not that of the numbers.
        """
        ports = PortRange(20000, 29999)
        orders = [list(ports.candidates(random.Random(seed))) for seed in (1, 2)]
        self.assertNotEqual(orders[0], orders[1])
        for order in orders:
            self.assertNotEqual(order, sorted(order))
            self.assertEqual(len(set(order)), len(order))

    def test_systemsChance(self) -> None:
        """
        Unless a test says otherwise that chance is the operating system's.
        """
        exposure = Exposure(ScriptedNetwork(), PortRange(2000, 60000))
        self.assertIsInstance(exposure._chance, random.SystemRandom)

    def test_largeRange(self) -> None:
        """
        A full range is given up after a number of tries that does not grow
        with it.
        """
        self.assertLessEqual(len(list(PortRange(1024, 65535).candidates(random.Random(1)))), 64)


class ListenTests(SynchronousTestCase):
    """
    Sockets that are opened.
    """

    def setUp(self) -> None:
        self.network = WatchedNetwork()

    def both(self, exposure: Exposure) -> list[IListeningPort]:
        """
        Open one of each kind.
        """
        return [
            exposure.listenTCP(Factory(), LOCAL),
            exposure.listenUDP(DatagramProtocol(), LOCAL),
        ]

    def test_kernelChooses(self) -> None:
        """
        Without a range the kernel chooses the port. The socket is on the
        address that was asked for, and on no other.
        """
        for port in self.both(Exposure(self.network)):
            self.assertEqual(port.getHost().host, LOCAL)  # type: ignore[attr-defined]
        self.assertEqual(self.network.tried, [0, 0])

    def test_wholeDatagrams(self) -> None:
        """
        The longest datagram is read whole; Twisted cuts them at 8 KiB by
        default.
        """
        self.both(Exposure(self.network))
        self.assertGreaterEqual(self.network.packets[0], 65507)

    def test_range(self) -> None:
        """
        With a range, ports come from it, those for connections and those for
        datagrams alike.
        """
        exposure = Exposure(self.network, PortRange(2000, 2001))
        for _ in range(2):
            self.both(exposure)
        for opened in (self.network.listeners, self.network.datagrams):
            ports = {port.getHost().port for port in opened}
            self.assertEqual(ports, {2000, 2001})

    def test_takenPorts(self) -> None:
        """
        Ports that are taken already are passed over.
        """
        for number in range(2000, 2010):
            if number != 2007:
                self.network.listenTCP(number, Factory())
                self.network.listenUDP(number, DatagramProtocol())
        for seed in range(5):
            exposure = Exposure(self.network, PortRange(2000, 2009), chance=random.Random(seed))
            for port in self.both(exposure):
                self.assertEqual(port.getHost().port, 2007)  # type: ignore[attr-defined]
                port.stopListening()

    def test_fullRange(self) -> None:
        """
        Where none is to be had, that is a general failure (REP 1); once one
        is given back it is to be had again.
        """
        exposure = Exposure(self.network, PortRange(2000, 2000))
        opened = self.both(exposure)
        for listen, what in (
            (exposure.listenTCP, Factory()),
            (exposure.listenUDP, DatagramProtocol()),
        ):
            error = self.assertRaises(GeneralFailure, listen, what, LOCAL)
            self.assertEqual(error.replyCode, 1)
        for port in opened:
            port.stopListening()
        self.both(exposure)

    def test_largeFullRange(self) -> None:
        """
        A client cannot have us try a large full range from end to end.
        """
        for number in range(2000, 3000):
            self.network.listenTCP(number, Factory())
        self.network.tried.clear()
        exposure = Exposure(self.network, PortRange(2000, 2999))
        self.assertRaises(GeneralFailure, exposure.listenTCP, Factory(), LOCAL)
        self.assertLessEqual(len(self.network.tried), 64)


class RelayTests(SynchronousTestCase):
    """
    Which ports are our own.
    """

    def setUp(self) -> None:
        self.network = ScriptedNetwork()
        self.exposure = Exposure(self.network)

    def open(self, interface: str) -> IListeningPort:
        """
        Open a port for datagrams.
        """
        return self.exposure.listenUDP(DatagramProtocol(), interface)

    def relaysAt(self, host: str, port: int) -> bool:
        """
        Tell whether a port is ours.
        """
        return self.exposure.relaysAt(ip_address(host), port)

    def test_address(self) -> None:
        """
        One is so at its own address and port, as long as it is open.
        """
        for host, other in ((LOCAL, "10.0.0.6"), ("2001:db8::5", "2001:db8::6")):
            port = self.open(host)
            number = addressAndPort(port.getHost())[1]
            self.assertTrue(self.relaysAt(host, number))
            self.assertFalse(self.relaysAt(host, number + 1))
            self.assertFalse(self.relaysAt(other, number))
            self.exposure.close(port)
            self.assertFalse(self.relaysAt(host, number))

    def test_everyAddress(self) -> None:
        """
        One on all addresses is so at each of this host's, of both families.
        """
        port = self.open("::")
        number = addressAndPort(port.getHost())[1]
        for host in ("127.0.0.1", "127.0.0.2", "::1"):
            self.assertTrue(self.relaysAt(host, number), host)
        for host in ("192.0.2.1", "2001:db8::1"):
            self.assertFalse(self.relaysAt(host, number), host)
        self.exposure.close(port)

    def test_connections(self) -> None:
        """
        A port for connections takes no datagrams.
        """
        number = addressAndPort(self.exposure.listenTCP(Factory(), LOCAL).getHost())[1]
        self.assertFalse(self.relaysAt(LOCAL, number))

    def test_sameNumber(self) -> None:
        """
        Ports of several addresses may have one number: each of them is ours,
        also when another one is closed.
        """
        reactor = PerAddress()
        exposure = Exposure(reactor, PortRange(2000, 2000))
        hosts = (LOCAL, "10.0.0.6", "10.0.0.7")
        ports = [exposure.listenUDP(DatagramProtocol(), host) for host in hosts]
        self.assertEqual([exposure.relaysAt(ip_address(host), 2000) for host in hosts], [True] * 3)
        exposure.close(ports[1])
        self.assertEqual(
            [exposure.relaysAt(ip_address(host), 2000) for host in hosts], [True, False, True]
        )

    def test_closedTwice(self) -> None:
        """
        It may be closed more than once, and does not take another with it
        that has got its number since.
        """
        first = self.open(LOCAL)
        self.exposure.close(first)
        second = self.open(LOCAL)
        self.assertEqual(second.getHost(), first.getHost())
        self.exposure.close(first)
        self.assertTrue(self.relaysAt(LOCAL, addressAndPort(second.getHost())[1]))
        self.exposure.close(second)

    def test_memory(self) -> None:
        """
        What is remembered does not grow with the ports that have been.
        """
        for _ in range(100):
            self.exposure.close(self.open(LOCAL))
        self.assertEqual(len(self.exposure._relays), 0)


class AdvertisedTests(SynchronousTestCase):
    """
    What clients are told.
    """

    def advertised(self, public: PublicAddresses, local: str) -> str:
        """
        Give what is told instead of a local address.
        """
        exposure = Exposure(ScriptedNetwork(), public=public)
        return str(exposure.advertised(ip_address(local)))

    def test_plain(self) -> None:
        """
        By default the local address is told.
        """
        for local in (LOCAL, "2001:db8::1", "127.0.0.1"):
            exposure = Exposure(ScriptedNetwork())
            self.assertEqual(str(exposure.advertised(ip_address(local))), local)

    def test_byFamily(self) -> None:
        """
        A public address stands for all local ones of its family, and for
        none of the other.
        """
        public: PublicAddresses = {4: ip_address("203.0.113.5")}
        self.assertEqual(self.advertised(public, LOCAL), "203.0.113.5")
        self.assertEqual(self.advertised(public, "2001:db8::1"), "2001:db8::1")
        public = {6: ip_address("2001:db8::5")}
        self.assertEqual(self.advertised(public, LOCAL), LOCAL)
        self.assertEqual(self.advertised(public, "fd00::1"), "2001:db8::5")

    def test_loopback(self) -> None:
        """
        Who came over loopback is told loopback: the public address may not be
        reached from here.
        """
        public: PublicAddresses = {
            4: ip_address("203.0.113.5"),
            6: ip_address("2001:db8::5"),
        }
        for local in ("127.0.0.1", "127.8.8.8", "::1"):
            self.assertEqual(self.advertised(public, local), local)

    def test_byAddress(self) -> None:
        """
        One that stands for a single local address goes before one for the
        family, and may stand for loopback, as in a container.
        """
        public: PublicAddresses = {
            4: ip_address("203.0.113.5"),
            ip_address(LOCAL): ip_address("198.51.100.5"),
            ip_address("127.0.0.1"): ip_address("192.0.2.5"),
        }
        self.assertEqual(self.advertised(public, LOCAL), "198.51.100.5")
        self.assertEqual(self.advertised(public, "127.0.0.1"), "192.0.2.5")
        self.assertEqual(self.advertised(public, "10.0.0.6"), "203.0.113.5")


class LocalAddressTests(SynchronousTestCase):
    """
    Our own address on the way to another. Nothing is sent to find it.
    """

    def test_loopback(self) -> None:
        """
        On the way to loopback it is loopback.
        """
        local = ip_address("127.0.0.1")
        self.assertEqual(localAddressTowards(local), local)

    def test_noWay(self) -> None:
        """
        Where there is no way that is told as such (REP 3).
        """

        def noRoute(*_: object) -> NoReturn:
            raise OSError(101, "Network is unreachable")

        stand = SimpleNamespace(
            socket=noRoute,
            AF_INET=socket.AF_INET,
            AF_INET6=socket.AF_INET6,
            SOCK_DGRAM=socket.SOCK_DGRAM,
        )
        self.patch(module, "socket", stand)
        for peer in ("192.0.2.1", "2001:db8::1"):
            error = self.assertRaises(NetworkUnreachable, localAddressTowards, ip_address(peer))
            self.assertEqual(error.replyCode, 3)

    def test_chosen(self) -> None:
        """
        A program may know a better way to find it.
        """
        here = ip_address(LOCAL)
        exposure = Exposure(ScriptedNetwork(), route=lambda peer: here)
        self.assertEqual(exposure.localAddressTowards(ip_address("192.0.2.1")), here)
