"""
A socket for datagrams that is open at all addresses of this host, and answers
from the one that was asked: clients take answers from nobody else.

@see: U{https://www.rfc-editor.org/rfc/rfc3542#section-6}
"""

from __future__ import annotations

import socket
from errno import EAGAIN, ECONNREFUSED, EINTR, EWOULDBLOCK
from typing import Any, NamedTuple

from twisted.internet.interfaces import IListeningPort, IReactorFDSet
from twisted.internet.protocol import DatagramProtocol

from socksproxy.events import log
from socksproxy.relay.datagrams import BATCH, MAX_PACKET, DatagramSocket, listenUDP

# Python does not know it before 3.14.
_IP_PKTINFO: int | None = getattr(
    socket, "IP_PKTINFO", 8 if hasattr(socket, "SO_BINDTODEVICE") else None
)

_INTERFACE = 4
_IPV6 = 16
_IPV4 = 4

_ROOM = socket.CMSG_SPACE(_IPV6 + _INTERFACE) + socket.CMSG_SPACE(_IPV4 * 3)


class Sender(NamedTuple):
    """
    Where a datagram came from.

    @ivar host: The numeric host.
    @ivar port: The port.
    @ivar sockaddr: Both, as the socket has them.
    @ivar ancillary: What makes an answer leave from the address that the
        datagram came to.
    """

    host: str
    port: int
    sockaddr: Any
    ancillary: list[tuple[int, int, bytes]]


class WildcardSocket(DatagramSocket):
    """
    Such a socket. Its protocol is given a L{Sender} and gives it back.
    """

    def __init__(
        self, reactor: Any, protocol: DatagramProtocol, interface: str, port: int = 0
    ) -> None:
        """
        @param reactor: An C{IReactorFDSet}.
        @param protocol: Takes what comes.
        @param interface: C{0.0.0.0} or C{::}.
        @param port: The local port; 0 is any.
        @raise CannotListenError: It cannot be had.
        """
        super().__init__(reactor, protocol, interface, port)
        if ":" in interface:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        elif _IP_PKTINFO is not None:
            self.socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    def doRead(self) -> None:
        """
        See C{IReadDescriptor}.
        """
        receive, received = self.socket.recvmsg, self._protocol.datagramReceived
        for _ in range(BATCH):
            try:
                data, ancillary, _, sockaddr = receive(MAX_PACKET, _ROOM)
            except OSError as e:
                if e.errno not in (EAGAIN, EWOULDBLOCK, EINTR, ECONNREFUSED):
                    log.error("A datagram could not be read: {error}", error=e.strerror)
                return
            try:
                sender = Sender(sockaddr[0], sockaddr[1], sockaddr, _back(ancillary))
                received(data, sender)  # type: ignore[arg-type]
            except Exception:
                log.failure("A datagram could not be handled")
            if not self._open:
                return

    def write(self, packet: bytes, addr: Any = None) -> None:
        """
        See C{IUDPTransport}.

        @param addr: The L{Sender} of what is answered.
        """
        if isinstance(addr, Sender):
            self.socket.sendmsg([packet], addr.ancillary, 0, addr.sockaddr)
        else:
            super().write(packet, addr)


def listenDNS(
    reactor: Any, port: int, protocol: DatagramProtocol, interface: str
) -> IListeningPort:
    """
    Open a socket for the datagrams of clients.

    @param port: The local port; 0 is any.
    @param interface: The local address.
    @raise CannotListenError: It cannot be had.
    """
    if interface in ("0.0.0.0", "::") and IReactorFDSet.providedBy(reactor):  # noqa: S104
        return WildcardSocket(reactor, protocol, interface, port)
    return listenUDP(reactor, port, protocol, interface)


def _back(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """
    Turn where a datagram came to into where its answer leaves from. By which
    interface is for the routes to say, except for addresses that mean nothing
    without it.
    """
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            address, interface = data[:_IPV6], data[_IPV6:]
            isLinkLocal = address[0] == 0xFE and address[1] & 0xC0 == 0x80
            source = address + (interface if isLinkLocal else bytes(len(interface)))
            return [(level, kind, source)]
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            # Interface, our address for answers, the address in the datagram.
            local = data[_INTERFACE : _INTERFACE + _IPV4]
            return [(level, kind, bytes(_INTERFACE) + local + bytes(_IPV4))]
    return []
