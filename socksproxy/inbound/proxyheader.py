"""
Behind load balancers, which say in a header of the PROXY protocol whose
connection each of theirs is.

The header comes before anything else and is never guessed at: a listener has
it on all of its connections or on none, and takes it from the load balancers
that it knows, or else any client could choose its own address::

    factory = BalancedFactory(ProxyFactory(inbound), [ip_network("192.0.2.0/24")])
    serverFromString(reactor, "tcp:1080").listen(factory)

@see: U{https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt}
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from ipaddress import IPv4Network, IPv6Network

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from socksproxy.address import hostFromText, normalized
from socksproxy.errors import RemoteProtocolError
from socksproxy.events import log
from socksproxy.inbound import _wireproxy1, _wireproxy2
from socksproxy.inbound.address import hostAndPort, shownAddress
from socksproxy.inbound.handshake import Handshake
from socksproxy.inbound.protocol import InboundFactory, InboundProtocol

Header = _wireproxy1.Header | _wireproxy2.Header
Network = IPv4Network | IPv6Network

NEARBY: tuple[Network, ...] = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("127.0.0.0/8"),
    IPv4Network("169.254.0.0/16"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv6Network("::1/128"),
    IPv6Network("fc00::/7"),
    IPv6Network("fe80::/10"),
)
"""
This host and the networks that are not part of the Internet: where load
balancers usually are.
"""


class BalancedFactory(InboundFactory):
    """
    Makes the protocols of a listener behind load balancers.
    """

    def __init__(self, factory: InboundFactory, balancers: Collection[Network]) -> None:
        """
        @param factory: Makes what follows the header.
        @param balancers: The networks of the load balancers. Nobody else may
            connect, but for those who can open the listener's UNIX socket.
        """
        super().__init__(factory.inbound)
        self.inbound.balanced = True
        self._factory = factory
        self._balancers = tuple(balancers)

    def handshakeFor(self, connection: InboundProtocol) -> Handshake:
        """
        See L{InboundFactory.handshakeFor}.
        """
        return ProxyHeader(connection, self._factory.handshakeFor)

    def buildProtocol(  # type: ignore[override]
        self, addr: IAddress | None
    ) -> InboundProtocol | None:
        """
        See C{IProtocolFactory}.

        @return: L{None}, which closes the connection, for anybody who is not
            a load balancer.
        """
        if addr is not None and not self._trusts(addr):
            log.warn(
                "{client} is no load balancer of {listener}",
                client=shownAddress(addr),
                listener=self.inbound.listener,
            )
            return None
        return super().buildProtocol(addr)

    def _trusts(self, addr: IAddress) -> bool:
        if isinstance(addr, UNIXAddress):
            return True
        host = hostFromText(hostAndPort(addr)[0])
        return host is not None and any(host in network for network in self._balancers)


class ProxyHeader(Handshake):
    """
    Reads the header, says who the client is, and leaves the rest to whom it
    concerns. A connection without a good header is closed without a word.
    """

    def __init__(
        self,
        connection: InboundProtocol,
        handshakeFor: Callable[[InboundProtocol], Handshake],
    ) -> None:
        """
        @param handshakeFor: Makes the receiver of what follows the header.
        """
        super().__init__(connection)
        self._handshakeFor = handshakeFor
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        """
        Take bytes from the load balancer.
        """
        connection = self.connection
        # The decoders wait for no more than the longest header.
        self._received += data
        try:
            decoded = _decode(self._received)
        except RemoteProtocolError as e:
            connection.drop(e)
            return
        if decoded is None:
            return
        header, length = decoded
        rest, self._received = self._received[length:], b""
        if not connection.cameFrom(_clientOf(header)):
            return
        handshake = self._handshakeFor(connection)
        connection.hold(handshake)
        if rest:
            handshake.dataReceived(rest)


def _decode(data: bytes) -> tuple[Header, int] | None:
    if data.startswith(b"P"):
        return _wireproxy1.decodeHeader(data)
    return _wireproxy2.decodeHeader(data)


def _clientOf(header: Header) -> IAddress | None:
    """
    Give the client's address as a transport would, or L{None} where it is the
    load balancer itself or has no such address.
    """
    if header.source is None:
        return None
    host, port = header.source
    host = normalized(host)
    return (IPv4Address if host.version == 4 else IPv6Address)("TCP", str(host), port)
