"""
Tests for L{socksproxy.testing}: ports in memory behave like what they stand
for.
"""

from __future__ import annotations

import contextlib

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IReactorTCP,
    IReactorUDP,
    IUDPTransport,
)
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from socksproxy.testing import (
    MemoryDatagrams,
    MemoryListener,
    MemoryTransport,
    ScriptedNetwork,
    tcpAddress,
)
from socksproxy.testing.network import FIRST_PORT


class Picky(Factory):
    """
    A factory that wants connections from one host only.

    @ivar built: What it has made.
    """

    noisy = False

    def __init__(self) -> None:
        self.built: list[Protocol] = []

    def buildProtocol(self, addr: object) -> Protocol | None:
        """
        See C{IProtocolFactory}.
        """
        if addr != tcpAddress("192.0.2.1", 5000):
            return None
        protocol = Protocol()
        self.built.append(protocol)
        return protocol


class Recorder(DatagramProtocol):
    """
    A protocol that remembers what it was given.

    @ivar received: Datagrams, and where from.
    @ivar stopped: It knows that its socket is closed.
    """

    noisy = False

    def __init__(self) -> None:
        self.received: list[tuple[bytes, tuple[str, int]]] = []
        self.stopped = False

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """
        Remember a datagram.
        """
        self.received.append((datagram, addr))

    def stopProtocol(self) -> None:
        """
        Remember the end.
        """
        self.stopped = True


class ListenTests(SynchronousTestCase):
    """
    Ports for connections.
    """

    def setUp(self) -> None:
        self.network = ScriptedNetwork()
        self.factory = Picky()

    def listen(self, port: int = 0, interface: str = "") -> MemoryListener:
        """
        Open a port.
        """
        return self.network.listenTCP(port, self.factory, interface=interface)

    def test_interfaces(self) -> None:
        """
        It is a port, and the network is a reactor that opens such.
        """
        verifyObject(IListeningPort, self.listen())
        verifyObject(IReactorTCP, self.network, tentative=True)

    def test_address(self) -> None:
        """
        A port is where it was wanted, or anywhere.
        """
        self.assertEqual(self.listen(80, "192.0.2.100").getHost(), tcpAddress("192.0.2.100", 80))
        self.assertEqual(self.listen(80 + 1, "::1").getHost(), tcpAddress("::1", 81))
        self.assertEqual(self.listen().getHost(), tcpAddress("0.0.0.0", FIRST_PORT))

    def test_chosen(self) -> None:
        """
        Who does not care gets a port that is free.
        """
        self.listen(FIRST_PORT + 1)
        ports = [self.listen() for _ in range(2)]
        self.assertEqual([port.getHost().port for port in ports], [FIRST_PORT, FIRST_PORT + 2])
        ports[0].stopListening()
        self.assertEqual(self.listen().getHost().port, FIRST_PORT)

    def test_taken(self) -> None:
        """
        A port can be taken, until it is closed.
        """
        port = self.listen(2000)
        error = self.assertRaises(CannotListenError, self.listen, 2000)
        self.assertEqual(error.port, 2000)
        port.stopListening()
        self.listen(2000)

    def test_peerConnects(self) -> None:
        """
        The test can connect, and has its side of the connection.
        """
        port = self.listen(80, "192.0.2.100")
        transport = port.peerConnects("192.0.2.1", 5000)
        assert transport is not None
        self.assertIsInstance(transport, MemoryTransport)
        self.assertIs(self.factory.built[0].transport, transport)
        self.assertEqual(transport.getPeer(), tcpAddress("192.0.2.1", 5000))
        self.assertEqual(transport.getHost(), tcpAddress("192.0.2.100", 80))

    def test_unwanted(self) -> None:
        """
        A connection for which no protocol is built is closed at once.
        """
        self.assertIsNone(self.listen().peerConnects("192.0.2.2", 5000))

    def test_closed(self) -> None:
        """
        Nobody can connect to a port that has been closed, and it may be closed
        more than once. What is connected stays so.
        """
        port = self.listen()
        transport = port.peerConnects("192.0.2.1", 5000)
        assert transport is not None
        for _ in range(2):
            self.assertIsNone(self.successResultOf(port.stopListening()))
        self.assertFalse(port.open)
        self.assertRaises(RuntimeError, port.peerConnects, "192.0.2.1", 5000)
        self.network.advance(1)
        self.assertFalse(transport.lost)

    def test_listeners(self) -> None:
        """
        The test knows which ports have been opened.
        """
        ports = [self.listen(), self.listen()]
        ports[0].stopListening()
        self.assertEqual(self.network.listeners, ports)
        self.assertEqual([port.open for port in ports], [False, True])


class DatagramTests(SynchronousTestCase):
    """
    Sockets for datagrams.
    """

    def setUp(self) -> None:
        self.network = ScriptedNetwork()
        self.protocol = Recorder()

    def listen(self, port: int = 0, interface: str = "") -> MemoryDatagrams:
        """
        Open a socket.
        """
        return self.network.listenUDP(port, self.protocol, interface)

    def test_interfaces(self) -> None:
        """
        It is a port and a transport, and the network is a reactor that opens
        such.
        """
        datagrams = self.listen()
        verifyObject(IListeningPort, datagrams)
        verifyObject(IUDPTransport, datagrams)
        verifyObject(IReactorUDP, self.network, tentative=True)

    def test_address(self) -> None:
        """
        A socket is where it was wanted, or anywhere.
        """
        for interface, port, shown in (
            ("192.0.2.100", 53, "UDP 192.0.2.100 53"),
            ("::1", 54, "UDP ::1 54"),
            ("", 0, f"UDP 0.0.0.0 {FIRST_PORT}"),
        ):
            self.protocol = Recorder()
            host = self.listen(port, interface).getHost()
            self.assertEqual(f"{host.type} {host.host} {host.port}", shown)

    def test_taken(self) -> None:
        """
        A port can be taken, until it is closed; one for connections takes
        none for datagrams.
        """
        self.network.listenTCP(2000, Picky())
        datagrams = self.listen(2000)
        self.assertRaises(CannotListenError, self.listen, 2000)
        datagrams.stopListening()
        self.protocol = Recorder()
        self.listen(2000)

    def test_bothWays(self) -> None:
        """
        What either side sends reaches the other, with the other's address.
        """
        datagrams = self.listen(interface="192.0.2.100")
        datagrams.peerSends(b"question", "192.0.2.1", 5000)
        self.assertEqual(self.protocol.received, [(b"question", ("192.0.2.1", 5000))])
        assert self.protocol.transport is not None
        self.protocol.transport.write(b"answer", ("192.0.2.1", 5000))
        self.assertEqual(datagrams.take(), [(b"answer", ("192.0.2.1", 5000))])
        self.assertEqual(datagrams.take(), [])

    def test_ipv4(self) -> None:
        """
        One of IPv4 carries no IPv6, and one of an IPv6 address no IPv4.
        """
        for interface, other in (("", "2001:db8::1"), ("::1", "192.0.2.1"), ("::", "192.0.2.1")):
            self.protocol = Recorder()
            datagrams = self.listen(interface=interface)
            self.assertRaises(OSError, datagrams.write, b"question", (other, 53))
            self.assertEqual(datagrams.take(), [])

    def test_bothFamilies(self) -> None:
        """
        One of all addresses carries IPv4 in its IPv6 form, as a real one does,
        and IPv6 as it is. The test sees addresses as they are.
        """
        datagrams = self.listen(interface="::")
        datagrams.peerSends(b"four", "192.0.2.1", 1)
        datagrams.peerSends(b"six", "2001:db8::1", 2)
        self.assertEqual(
            self.protocol.received,
            [(b"four", ("::ffff:192.0.2.1", 1)), (b"six", ("2001:db8::1", 2))],
        )
        for data, address in self.protocol.received:
            datagrams.write(data, address)
        self.assertEqual(
            datagrams.take(), [(b"four", ("192.0.2.1", 1)), (b"six", ("2001:db8::1", 2))]
        )

    def test_noAddress(self) -> None:
        """
        Without an address there is nowhere to send to.
        """
        self.assertRaises(OSError, self.listen().write, b"question")

    def test_closed(self) -> None:
        """
        A socket that has been closed gets nothing any more, at once; its
        protocol is told a turn of the clock later, once, and has no transport
        then.
        """
        datagrams = self.listen()
        for _ in range(2):
            self.successResultOf(datagrams.stopListening())
        datagrams.peerSends(b"question", "192.0.2.1", 5000)
        self.assertEqual((self.protocol.received, self.protocol.stopped), ([], False))
        self.network.advance(0)
        self.assertTrue(self.protocol.stopped)
        self.assertIsNone(self.protocol.transport)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_nothingSentWhenClosed(self) -> None:
        """
        Nor is anything sent by one that is gone: a real one has no socket
        then, and writing to it is an error.
        """
        datagrams = self.listen()
        datagrams.stopListening()
        self.network.advance(0)
        with contextlib.suppress(OSError, AttributeError):
            datagrams.write(b"answer", ("192.0.2.1", 5000))
        self.assertEqual(datagrams.take(), [])

    def test_datagrams(self) -> None:
        """
        The test knows which sockets have been opened.
        """
        first = self.listen()
        first.stopListening()
        self.protocol = Recorder()
        second = self.listen()
        self.assertEqual(self.network.datagrams, [first, second])
        self.assertEqual([each.open for each in self.network.datagrams], [False, True])
