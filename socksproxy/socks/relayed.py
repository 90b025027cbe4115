"""
An application's datagrams by way of a SOCKS5 proxy.

@see: U{https://www.rfc-editor.org/rfc/rfc1928#section-7}
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Destination, hostFromText, normalized
from socksproxy.client.endpoint import destinationFor
from socksproxy.client.errors import ProxyFault
from socksproxy.client.negotiation import Negotiation
from socksproxy.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from socksproxy.relay.datagrams import listenUDP, sendDatagram
from socksproxy.relay.leg import abort
from socksproxy.socks._wireudp import MAX_DATAGRAM, decodeDatagram, encodeHead

REMEMBERED = 1024
"""
Heads that need not be written again.
"""


class _LocalSocket(DatagramProtocol):
    """
    Our end of the way to the proxy's relay.
    """

    noisy = False

    def __init__(self, association: RelayedDatagrams) -> None:
        self._association = association

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self._association.fromRelay(datagram, addr)


@implementer(IUDPTransport, IListeningPort)
class RelayedDatagrams:
    """
    The transport of an application's datagram protocol. It lasts until one
    side ends it: the application by C{stopListening}, the proxy by closing
    the connection on which it was asked.

    @ivar ended: Fires when the application has ended it, and fails with a
        L{ProxyFault<socksproxy.client.errors.ProxyFault>} when the proxy has.
    """

    def __init__(
        self,
        reactor: Any,
        negotiation: Negotiation,
        relay: Destination,
        protocol: DatagramProtocol,
    ) -> None:
        """
        @param reactor: What opens the socket.
        @param negotiation: Is over, and was about UDP ASSOCIATE.
        @param relay: Where the proxy takes datagrams.
        @param protocol: The application's.
        @raise LocalProtocolError: The protection that was negotiated cannot
            protect datagrams.
        """
        protection = negotiation.protection
        if protection is not None and not protection.carriesDatagrams:
            raise LocalProtocolError("this protection is not for datagrams")
        self._reactor = reactor
        self._protection = protection
        self._leg = negotiation.leg
        self._relay = relay
        self._default: tuple[str, int] | None = None
        self._protocol = protocol
        self._heads: dict[tuple[str, int], bytes] = {}
        self._over = False
        self.ended: Deferred[None] = Deferred()
        host = relay.host
        self._relayHost = normalized(host) if not isinstance(host, str) else None
        self._sockaddr = (str(host), relay.port)
        self._socket = _LocalSocket(self)
        self._port = listenUDP(reactor, 0, self._socket, self._interface())
        negotiation.release()
        self._leg.hold(self)
        try:
            protocol.makeConnection(self)
        except Exception:
            self._over = True
            self._port.stopListening()
            raise

    def write(self, packet: bytes, addr: tuple[str, int] | None = None) -> None:
        """
        See C{IUDPTransport}. What cannot be sent is dropped, as datagrams are.

        @param addr: Name or address, and port.
        @raise LocalProtocolError: No address is given, or one that no
            datagram can have.
        """
        addr = addr or self._default
        if addr is None:
            raise LocalProtocolError("a datagram needs an address")
        if self._over:
            return
        message = self._headFor(addr) + packet
        if self._protection is not None:
            try:
                message = self._protection.wrapDatagram(message)
            except ProtocolError:
                return
        if len(message) <= MAX_DATAGRAM:
            sendDatagram(self._socket.transport, message, self._sockaddr)

    def connect(self, host: str, port: int) -> None:
        """
        See C{IUDPTransport}: where datagrams go that say nothing else.
        """
        self._headFor((host, port))
        self._default = (host, port)

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """
        See C{IUDPTransport}.

        @raise LocalProtocolError: It is to be allowed.
        """
        if enabled:
            raise LocalProtocolError("there is no broadcast through a proxy")

    def getBroadcastAllowed(self) -> bool:
        """
        See C{IUDPTransport}.
        """
        return False

    def getHost(self) -> IPv4Address | IPv6Address:
        """
        See C{IUDPTransport}.

        @return: Where the proxy takes datagrams.
        """
        host, port = self._sockaddr
        return (IPv6Address if ":" in host else IPv4Address)("UDP", host, port)

    def startListening(self) -> None:
        """
        See C{IListeningPort}. It listens already.
        """

    def stopListening(self) -> Deferred[None]:
        """
        See C{IListeningPort}.
        """
        if not self._over:
            self._end()
            abort(self._leg.transport)
            self.ended.callback(None)
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    def fromRelay(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """
        Take a datagram from the proxy, and from nobody else.
        """
        if self._over or addr[1] != self._relay.port or hostFromText(addr[0]) != self._relayHost:
            return
        try:
            if self._protection is not None:
                datagram = self._protection.unwrapDatagram(datagram)
            read = decodeDatagram(datagram)
        except RemoteProtocolError:
            return
        if not read.fragment:
            source = (str(read.destination.host), read.destination.port)
            self._protocol.datagramReceived(datagram[read.headLength :], source)

    def dataReceived(self, data: bytes) -> None:
        """
        Nothing that comes on the connection means anything.
        """

    def readConnectionLost(self) -> None:
        """
        The proxy has closed the connection.
        """
        abort(self._leg.transport)

    def connectionLost(self, reason: Failure) -> None:
        """
        The connection is gone.
        """
        if not self._over:
            self._end()
            self.ended.errback(ProxyFault("the proxy has ended the association"))

    def _interface(self) -> str:
        """
        Give the address to send from: the one that the proxy knows us by.
        """
        local, _ = self._leg.localAddress()
        relay = self._relayHost
        if (
            local is not None
            and relay is not None
            and local.version == relay.version
            and local.is_loopback == relay.is_loopback
        ):
            return str(local)
        return "::" if relay is not None and relay.version == 6 else "0.0.0.0"  # noqa: S104

    def _headFor(self, addr: tuple[str, int]) -> bytes:
        head = self._heads.get(addr)
        if head is None:
            head = encodeHead(destinationFor(*addr))
            if len(self._heads) >= REMEMBERED:
                self._heads.clear()
            self._heads[addr] = head
        return head

    def _end(self) -> None:
        self._over = True
        self._port.stopListening()
        # The application may be in the middle of something.
        self._reactor.callLater(0, self._protocol.doStop)
