"""
The seams at which the parts of socksproxy meet.

An inbound protocol logs in at a C{twisted.cred} Portal with what the client
said of itself as credentials and a L{ClientOrigin} as the mind, and gets an
L{IProxyAvatar}. The avatar asks an L{IOutbound} for the way out. Neither side
knows the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from zope.interface import Attribute, Interface

from socksproxy.address import Destination, Host, IPAddress
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
    @ivar keyed: The client has the key of its listener, or else it would not
        have been heard.
    """

    protocol: str
    listener: str
    local: bool
    peer: IAddress
    source: str
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class WayOut:
    """
    How connections leave.

    @ivar hops: The proxies that they go through, the nearest first, as URLs,
        with a C{|} between alternatives.
    @ivar resolvesHere: Names are looked up here, and not where the last of
        them is.
    @ivar udp: Datagrams find out as well.
    """

    hops: tuple[str, ...] = ()
    resolvesHere: bool = True
    udp: bool = False


Received = Callable[[bytes, Destination], None]
"""
Takes a datagram and where it came from.
"""


class IBoundPort(Interface):
    """
    A port that waits for one connection from an expected peer.
    """

    address: Destination = Attribute("""Where the peer is to connect to.""")

    def accepted() -> Deferred[Leg]:
        """
        Wait for the peer. Nobody else is let in, and after the peer nobody at
        all.

        @return: The connected peer, not yet reading; fails with a
            L{RequestFailed<socksproxy.errors.RequestFailed>} when it has not
            come in time. Cancelling ends the waiting.
        """

    def stop() -> None:
        """
        Stop waiting; may be called at any time.
        """


class IDatagramConduit(Interface):
    """
    A way for datagrams out of this proxy and back, for one client: all that
    it sends comes from one address.
    """

    dropped: tuple[int, int] = Attribute(
        """Of the datagrams that C{send} has taken, how many were dropped after
        all, and the octets in them."""
    )

    def send(data: bytes, destination: Destination) -> bool:
        """
        Send a datagram, to a name or an address. What cannot be sent is
        dropped, as datagrams are.

        @return: False if it is known already that it was dropped.
        """

    def close() -> None:
        """
        Send and receive nothing more.
        """


class IProxyAvatar(Interface):
    """
    What a user may do with this proxy. Each request either succeeds or fails
    with a L{RequestFailed<socksproxy.errors.RequestFailed>}, which carries
    the codes to answer with.
    """

    user: str = Attribute("""The user's name, for logs.""")

    way: WayOut = Attribute("""How the user's connections leave.""")

    def connect(destination: Destination) -> Deferred[Leg]:
        """
        Connect to a destination on the user's behalf.

        @param destination: A checked name or address, and a port.
        @return: The connected target, not yet reading. Cancelling gives the
            attempt up.
        """

    def listen(expected: Destination) -> Deferred[IBoundPort]:
        """
        Wait for a connection to this proxy on the user's behalf.

        @param expected: From whom; the port does not count.
        """

    def associate(received: Received) -> Deferred[IDatagramConduit]:
        """
        Send and receive datagrams on the user's behalf.

        @param received: Called with what comes from those that the user has
            written to.
        """

    def resolve(host: Host) -> Deferred[list[IPAddress]]:
        """
        Look up the addresses of a name on the user's behalf.
        """

    def reverse(host: Host) -> Deferred[str]:
        """
        Look up the name of an address on the user's behalf.

        @param host: The address; a name has no name.
        """


class IOutbound(Interface):
    """
    A way out of this proxy.
    """

    way: WayOut = Attribute("""What there is to say of it.""")

    def endpointFor(destination: Destination) -> IStreamClientEndpoint:
        """
        Give the endpoint that leads to a destination. Nothing is resolved or
        dialled before its C{connect}, which fails with a
        L{RequestFailed<socksproxy.errors.RequestFailed>}.
        """

    def listen(expected: Destination) -> Deferred[IBoundPort]:
        """
        See L{IProxyAvatar.listen}.
        """

    def conduit(received: Received) -> Deferred[IDatagramConduit]:
        """
        See L{IProxyAvatar.associate}.
        """

    def resolve(host: Host) -> Deferred[list[IPAddress]]:
        """
        See L{IProxyAvatar.resolve}.
        """

    def reverse(address: IPAddress) -> Deferred[str]:
        """
        See L{IProxyAvatar.reverse}.
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
