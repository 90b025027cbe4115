"""
One port for every protocol: the first octet tells which.

::

    factory = ProxyFactory(Inbound(portal, reactor))
    serverFromString(reactor, "tcp:1080:interface=127.0.0.1").listen(factory)
"""

from __future__ import annotations

from collections.abc import Sequence

from socksproxy.errors import BadVersion, CommandNotSupported
from socksproxy.inbound import Handshake, Inbound, InboundFactory, InboundProtocol
from socksproxy.socks.methods import Method
from socksproxy.socks.protocol import SOCKS4Handshake, SOCKS5Handshake, methodsFor

_SOCKS4 = 0x04
_SOCKS5 = 0x05

_NO_HTTP = (
    b"This port speaks SOCKS4, SOCKS4a and SOCKS5, and not HTTP yet."
    b" Tell your program to use it as a SOCKS proxy.\n"
)
_HTTP_RESPONSE = (
    b"HTTP/1.1 501 Not Implemented\r\n"
    b"Content-Type: text/plain; charset=us-ascii\r\n"
    b"Content-Length: %d\r\n"
    b"Connection: close\r\n"
    b"\r\n%b" % (len(_NO_HTTP), _NO_HTTP)
)


class ProxyFactory(InboundFactory):
    """
    Makes servers of whatever protocol a client begins to speak.
    """

    def __init__(self, inbound: Inbound, methods: Sequence[Method] | None = None) -> None:
        """
        @param inbound: What the connections share.
        @param methods: As for L{SOCKS5Factory<socksproxy.socks.SOCKS5Factory>}.
        """
        super().__init__(inbound)
        self._methods = methodsFor(inbound.portal) if methods is None else methods

    def handshakeFor(self, connection: InboundProtocol) -> Handshake:
        """
        See L{InboundFactory.handshakeFor}.
        """
        return _FirstOctet(connection, self._methods)


class _FirstOctet(Handshake):
    """
    Looks at one octet and leaves the rest to whom it concerns.
    """

    def __init__(self, connection: InboundProtocol, methods: Sequence[Method]) -> None:
        super().__init__(connection)
        self._methods = methods

    def dataReceived(self, data: bytes) -> None:
        if not data:
            return
        connection = self.connection
        octet = data[0]
        handshake: Handshake
        if octet == _SOCKS5:
            handshake = SOCKS5Handshake(connection, self._methods)
        elif octet == _SOCKS4:
            handshake = SOCKS4Handshake(connection)
        elif chr(octet).isascii() and chr(octet).isalpha():
            connection.record.protocol = "HTTP"
            connection.refuse(_HTTP_RESPONSE, CommandNotSupported("HTTP is not implemented"))
            return
        else:
            connection.drop(BadVersion("the first octet belongs to no protocol"))
            return
        connection.hold(handshake)
        handshake.dataReceived(data)
