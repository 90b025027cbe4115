"""
Out of this host by its own connections.

A name is resolved once, every one of its addresses is put before the policy,
and what is dialled is an address that passed, never the name again: a name
server that answers differently the second time gains nothing.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTCP,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Destination, IPAddress
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import ConnectTimedOut, NameNotFound, NotAllowed
from socksproxy.interfaces import IAddressPolicy, IOutbound
from socksproxy.outbound.eyeballs import Dial

CONNECT_TIMEOUT = 30.0
"""
Seconds for looking up and dialling together.
"""

# Names that must not leak to the DNS (RFC 7686 section 2).
_UNRESOLVABLE = (".onion",)


@implementer(IOutbound)
class DirectOutbound:
    """
    Resolves, vets and dials for one client.
    """

    def __init__(
        self,
        reactor: IReactorTCP,
        clock: IReactorTime,
        resolver: BoundedResolver,
        policy: IAddressPolicy,
        client: str | None,
        timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        """
        @param reactor: What dials.
        @param clock: Time; usually the reactor again.
        @param resolver: What resolves names.
        @param policy: Which addresses may be dialled.
        @param client: For whom names are looked up, or L{None} where clients
            cannot be told apart.
        @param timeout: Seconds from C{connect} to a connection.
        """
        self._reactor = reactor
        self._clock = clock
        self._resolver = resolver
        self._policy = policy
        self._client = client
        self._timeout = timeout

    def endpointFor(self, destination: Destination) -> IStreamClientEndpoint:
        """
        See L{IOutbound}.
        """
        return _DirectEndpoint(self, destination)

    def connect(self, destination: Destination, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect to a destination.

        @return: The connected protocol; fails with a L{RequestFailed}.
        """

        def dial(addresses: list[IPAddress]) -> Deferred[IProtocol]:
            allowed = self._vetted(addresses)
            return Dial(self._reactor, self._clock, allowed, destination.port, factory).start()

        connecting = self._addressesOf(destination).addCallback(dial)
        return connecting.addTimeout(self._timeout, self._clock, _timedOut)

    def _addressesOf(self, destination: Destination) -> Deferred[list[IPAddress]]:
        host = destination.host
        if not isinstance(host, str):
            return succeed([host])
        if host.endswith(_UNRESOLVABLE):
            return fail(NameNotFound("a name of a hidden service has no address"))
        return self._resolver.resolve(host, self._client)

    def _vetted(self, addresses: list[IPAddress]) -> list[IPAddress]:
        """
        Keep the addresses that may be dialled.

        @raise NotAllowed: There is none.
        """
        allowed = []
        denied = NotAllowed()
        for address in addresses:
            try:
                self._policy.check(address)
            except NotAllowed as e:
                denied = e
            else:
                allowed.append(address)
        if not allowed:
            raise denied
        return allowed


@implementer(IStreamClientEndpoint)
class _DirectEndpoint:
    def __init__(self, outbound: DirectOutbound, destination: Destination) -> None:
        self._outbound = outbound
        self._destination = destination

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._outbound.connect(self._destination, protocolFactory)


def _timedOut(result: IProtocol | Failure, seconds: float) -> Failure:
    return Failure(ConnectTimedOut())
