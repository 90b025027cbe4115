"""
One port for every protocol: the first octet tells which.

::

    factory = ProxyFactory(Inbound(portal, reactor))
    serverFromString(reactor, "tcp:1080:interface=127.0.0.1").listen(factory)
"""

from __future__ import annotations

from collections.abc import Sequence

from socksproxy.errors import BadVersion
from socksproxy.http import Forwarding
from socksproxy.http.protocol import DEFAULT_FORWARDING, HTTPHandshake
from socksproxy.inbound import Handshake, Inbound, InboundFactory, InboundProtocol
from socksproxy.socks.methods import Method
from socksproxy.socks.protocol import SOCKS4Handshake, SOCKS5Handshake, methodsFor

_SOCKS4 = 0x04
_SOCKS5 = 0x05


class ProxyFactory(InboundFactory):
    """
    Makes servers of whatever protocol a client begins to speak.
    """

    def __init__(
        self,
        inbound: Inbound,
        methods: Sequence[Method] | None = None,
        forwarding: Forwarding = DEFAULT_FORWARDING,
    ) -> None:
        """
        @param inbound: What the connections share.
        @param methods: As for L{SOCKS5Factory<socksproxy.socks.SOCKS5Factory>}.
        @param forwarding: As for L{HTTPFactory<socksproxy.http.HTTPFactory>}.
        """
        super().__init__(inbound)
        self._methods = methodsFor(inbound.portal) if methods is None else methods
        self._forwarding = forwarding

    def handshakeFor(self, connection: InboundProtocol) -> Handshake:
        """
        See L{InboundFactory.handshakeFor}.
        """
        return _FirstOctet(connection, self._methods, self._forwarding)


class _FirstOctet(Handshake):
    """
    Looks at one octet and leaves the rest to whom it concerns.
    """

    def __init__(
        self, connection: InboundProtocol, methods: Sequence[Method], forwarding: Forwarding
    ) -> None:
        super().__init__(connection)
        self._methods = methods
        self._forwarding = forwarding

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
            handshake = HTTPHandshake(connection, self._forwarding, socks=True)
        else:
            connection.drop(BadVersion("the first octet belongs to no protocol"))
            return
        connection.hold(handshake)
        handshake.dataReceived(data)
