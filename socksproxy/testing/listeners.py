"""
Ports in memory, to which the test connects or sends datagrams.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from zope.interface import implementer

from socksproxy.testing.streams import MemoryTransport, tcpAddress

MAPPED = "::ffff:"


@implementer(IListeningPort)
class MemoryListener:
    """
    A port for connections, on a network in memory.

    @ivar factory: Who listens.
    @ivar open: It has not been closed.
    """

    def __init__(self, clock: Clock, factory: IProtocolFactory, host: str, port: int) -> None:
        self._clock = clock
        self._address = tcpAddress(host, port)
        self.factory = factory
        self.open = True

    def peerConnects(self, host: str, port: int) -> MemoryTransport | None:
        """
        Connect to it.

        @param host: From where.
        @return: The connection, or L{None} if it has been closed at once.
        @raise RuntimeError: Nobody listens here any more.
        """
        if not self.open:
            raise RuntimeError("nobody listens here")
        peer = tcpAddress(host, port)
        protocol = self.factory.buildProtocol(peer)
        if protocol is None:
            return None
        transport = MemoryTransport(self._clock, protocol, self._address, peer)
        protocol.makeConnection(transport)
        return transport

    def startListening(self) -> None:
        """
        See C{IListeningPort}.
        """

    def stopListening(self) -> Deferred[None]:
        """
        See C{IListeningPort}.
        """
        self.open = False
        return succeed(None)

    def getHost(self) -> IPv4Address | IPv6Address:
        """
        See C{IListeningPort}.
        """
        return self._address


@implementer(IListeningPort, IUDPTransport)
class MemoryDatagrams:
    """
    A socket for datagrams, on a network in memory. One that is bound to C{::}
    carries IPv4 too, as a real one does; the test sees addresses as they are.

    @ivar host: The local address.
    @ivar port: The local port.
    @ivar open: It has not been closed.
    """

    def __init__(self, clock: Clock, protocol: DatagramProtocol, host: str, port: int) -> None:
        self._clock = clock
        self._protocol = protocol
        self._sent: list[tuple[bytes, tuple[str, int]]] = []
        self.host = host
        self.port = port
        self.open = True
        protocol.makeConnection(self)

    def peerSends(self, data: bytes, host: str, port: int) -> None:
        """
        Send it a datagram; a closed one gets nothing.

        @param host: From where.
        """
        if self.open:
            self._protocol.datagramReceived(data, (self._mapped(host), port))

    def take(self) -> list[tuple[bytes, tuple[str, int]]]:
        """
        Give what has been sent from it: datagrams, and where to.
        """
        sent, self._sent = self._sent, []
        return sent

    def write(self, packet: bytes, addr: tuple[str, int] | None = None) -> None:
        """
        See C{IUDPTransport}.

        @raise OSError: The address is not of a family that this socket has.
        """
        if addr is None or not self.open:
            raise OSError("it is closed, or an address is needed")
        host, port = addr
        if (":" in host) != (":" in self.host):
            raise OSError("an address of another family")
        self._sent.append((packet, (host.removeprefix(MAPPED), port)))

    def startListening(self) -> None:
        """
        See C{IListeningPort}.
        """

    def stopListening(self) -> Deferred[None]:
        """
        See C{IListeningPort}. The protocol is told a turn of the clock later.
        """
        if self.open:
            self.open = False
            self._clock.callLater(0, self._protocol.doStop)
        return succeed(None)

    def getHost(self) -> IPv4Address | IPv6Address:
        """
        See C{IListeningPort}.
        """
        return (IPv6Address if ":" in self.host else IPv4Address)("UDP", self.host, self.port)

    def _mapped(self, host: str) -> str:
        return MAPPED + host if self.host == "::" and ":" not in host else host

    def connect(self, host: str, port: int) -> None:
        """
        See C{IUDPTransport}.
        """
        raise NotImplementedError("nobody here has one peer only")

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """
        See C{IUDPTransport}.
        """
        raise NotImplementedError("there is no broadcast here")

    def getBroadcastAllowed(self) -> bool:
        """
        See C{IUDPTransport}.
        """
        return False
