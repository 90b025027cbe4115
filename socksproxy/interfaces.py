"""
The seams at which the parts of socksproxy meet.

An inbound protocol logs in at a C{twisted.cred} Portal with what the client
said of itself as credentials and a L{ClientOrigin} as the mind, and gets an
L{IProxyAvatar}. The avatar asks an L{IOutbound} for the way out. Neither side
knows the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from zope.interface import Attribute, Interface

from socksproxy.address import Destination, IPAddress
from socksproxy.relay import Leg


@dataclass(frozen=True, slots=True)
class ClientOrigin:
    """
    Where a client came in; the mind of its login.

    @ivar protocol: The inbound protocol: SOCKS4, SOCKS4a, SOCKS5 or HTTP.
    @ivar listener: The listener's description.
    @ivar local: The client came over loopback or a UNIX socket and not
        through a load balancer, so it could have reached this host's own
        networks without us.
    @ivar peer: The client's address as the listener tells it.
    @ivar source: What stands for the client where it is counted: its IPv4
        address, its IPv6 /64 network, or C{"unix"}.
    """

    protocol: str
    listener: str
    local: bool
    peer: IAddress
    source: str


class IProxyAvatar(Interface):
    """
    What a user may do with this proxy. Each request either succeeds or fails
    with a L{RequestFailed<socksproxy.errors.RequestFailed>}, which carries
    the codes to answer with.
    """

    user: str = Attribute("""The user's name, for logs.""")

    def connect(destination: Destination) -> Deferred[Leg]:
        """
        Connect to a destination on the user's behalf.

        @param destination: A checked name or address, and a port.
        @return: The connected target, not yet reading. Cancelling gives the
            attempt up.
        """


class IOutbound(Interface):
    """
    A way out of this proxy.
    """

    def endpointFor(destination: Destination) -> IStreamClientEndpoint:
        """
        Give the endpoint that leads to a destination. Nothing is resolved or
        dialled before its C{connect}, which fails with a
        L{RequestFailed<socksproxy.errors.RequestFailed>}.
        """


class IAddressPolicy(Interface):
    """
    Which addresses may be dialled.
    """

    def check(address: IPAddress) -> None:
        """
        Let an address pass.

        @raise NotAllowed: It must not be dialled.
        """
