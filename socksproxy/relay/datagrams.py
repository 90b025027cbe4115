"""
Sockets for datagrams.
"""

from __future__ import annotations

import socket
from errno import EAGAIN, ECONNREFUSED, EINTR, EWOULDBLOCK
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError, MessageLengthError
from twisted.internet.interfaces import (
    IListeningPort,
    IReactorFDSet,
    IReadDescriptor,
    IUDPTransport,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.events import log

MAX_PACKET = 65535
"""
Octets that are read at a time; more than a datagram can have.
"""

BATCH = 64
"""
Datagrams that are read before others get their turn.
"""


@implementer(IReadDescriptor, IUDPTransport, IListeningPort)
class DatagramSocket:
    """
    A socket for datagrams that is opened for one client, and closed with it.

    It does what C{reactor.listenUDP} does without making an entry in the log
    for each, and without looking at addresses that are known to be good.
    """

    def __init__(
        self, reactor: Any, protocol: DatagramProtocol, interface: str, port: int = 0
    ) -> None:
        """
        @param reactor: An C{IReactorFDSet}.
        @param protocol: Takes what comes.
        @param interface: The local address.
        @param port: The local port; 0 is any.
        @raise CannotListenError: It cannot be had.
        """
        self._reactor = reactor
        self._protocol = protocol
        family = socket.AF_INET6 if ":" in interface else socket.AF_INET
        try:
            self.socket = socket.socket(family, socket.SOCK_DGRAM)
            try:
                self.socket.setblocking(False)
                if interface == "::":
                    # Whatever the system's default is.
                    self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                self.socket.bind((interface, port))
            except OSError:
                self.socket.close()
                raise
        except OSError as e:
            raise CannotListenError(interface, port, e) from e
        host, number = self.socket.getsockname()[:2]
        self._host = (IPv6Address if ":" in host else IPv4Address)("UDP", host, number)
        self._open = True
        protocol.makeConnection(self)
        reactor.addReader(self)

    def doRead(self) -> None:
        """
        See C{IReadDescriptor}.
        """
        receive, received = self.socket.recvfrom, self._protocol.datagramReceived
        for _ in range(BATCH):
            try:
                data, addr = receive(MAX_PACKET)
            except OSError as e:
                if e.errno not in (EAGAIN, EWOULDBLOCK, EINTR, ECONNREFUSED):
                    log.error("A datagram could not be read: {error}", error=e.strerror)
                return
            try:
                # Of IPv6 without flow and scope, as Twisted has it.
                received(data, addr[:2])
            except Exception:
                log.failure("A datagram could not be handled")
            if not self._open:
                return

    def write(self, packet: bytes, addr: tuple[str, int] | None = None) -> None:
        """
        See C{IUDPTransport}.

        @param addr: Numeric host, in the form of the socket's family, and
            port; may be left out once it is connected.
        @raise OSError: It cannot be sent.
        """
        if addr is None:
            self.socket.send(packet)
        else:
            self.socket.sendto(packet, addr)

    def startListening(self) -> None:
        """
        See C{IListeningPort}. It listens already.
        """

    def stopListening(self) -> Deferred[None]:
        """
        See C{IListeningPort}. Nothing is taken any more when this returns;
        the protocol is told a turn of the reactor later.
        """
        if self._open:
            self._open = False
            self._reactor.removeReader(self)
            self.socket.close()
            self._reactor.callLater(0, self._protocol.doStop)
        return succeed(None)

    def connectionLost(self, reason: Failure) -> None:
        """
        See C{IReadDescriptor}: the reactor can read it no longer.
        """
        self.stopListening()

    def fileno(self) -> int:
        """
        See C{IFileDescriptor}.
        """
        return self.socket.fileno()

    def logPrefix(self) -> str:
        """
        See C{ILoggingContext}.
        """
        return type(self._protocol).__name__

    def getHost(self) -> IPv4Address | IPv6Address:
        """
        See C{IListeningPort}.
        """
        return self._host

    def connect(self, host: str, port: int) -> None:
        """
        See C{IUDPTransport}.
        """
        self.socket.connect((host, port))

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """
        See C{IUDPTransport}.
        """
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, enabled)

    def getBroadcastAllowed(self) -> bool:
        """
        See C{IUDPTransport}.
        """
        return bool(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST))


def listenUDP(
    reactor: Any, port: int, protocol: DatagramProtocol, interface: str
) -> IListeningPort:
    """
    Open a socket for datagrams, in the quickest way that a reactor has.

    @param port: The local port; 0 is any.
    @param interface: The local address.
    @raise CannotListenError: It cannot be had.
    """
    if IReactorFDSet.providedBy(reactor):
        return DatagramSocket(reactor, protocol, interface, port)
    listening: IListeningPort = reactor.listenUDP(port, protocol, interface, MAX_PACKET)
    return listening


def sendDatagram(transport: IUDPTransport | None, data: bytes, address: tuple[str, int]) -> bool:
    """
    Send a datagram.

    @param transport: The socket, or L{None} if it has been closed.
    @param address: Numeric host, in the form that the socket's family takes,
        and port.
    @return: Whether it was sent. A full socket, a missing route and a
        datagram that is too long for the way all mean that it was lost.
    """
    if transport is None:
        return False
    try:
        if type(transport) is DatagramSocket:
            transport.socket.sendto(data, address)
        else:
            transport.write(data, address)
    except (OSError, MessageLengthError):
        return False
    return True
