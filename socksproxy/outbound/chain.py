"""
Out of this host through other proxies.

Names go to the last proxy unresolved, so that nothing here learns of them;
addresses are put before the policy as they are for connections of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Destination, Host, IPAddress, hostFromText
from socksproxy.client.endpoint import legs
from socksproxy.client.errors import ProxyFault
from socksproxy.errors import CommandNotSupported, GeneralFailure, NotAllowed
from socksproxy.interfaces import (
    IAddressPolicy,
    IBoundPort,
    IDatagramConduit,
    IOutbound,
    Received,
)
from socksproxy.outbound.hops import Chain, failingOver
from socksproxy.relay import Leg
from socksproxy.relay.leg import addressAndPort
from socksproxy.socks.client import Binding, SOCKS5Client
from socksproxy.socks.relayed import RelayedDatagrams

Result = TypeVar("Result")


@implementer(IOutbound)
class ChainOutbound:
    """
    The way through a chain, for one client.
    """

    def __init__(self, chain: Chain, policy: IAddressPolicy) -> None:
        """
        @param chain: The proxies.
        @param policy: Which addresses may be asked for.
        """
        self._chain = chain
        self._policy = policy

    def endpointFor(self, destination: Destination) -> IStreamClientEndpoint:
        """
        See L{IOutbound}.
        """
        endpoint = self._chain.endpointTo(destination, self._vetted)
        return _Vetted(self._policy, destination, endpoint)

    def listen(self, expected: Destination) -> Deferred[IBoundPort]:
        """
        See L{IOutbound}. Only SOCKS5 is asked.
        """
        try:
            checkHost(self._policy, expected.host)
        except NotAllowed:
            return fail()
        binding = self._ask("BIND", lambda client: client.bind(expected.host, expected.port))
        return binding.addCallback(_RemotePort)

    def conduit(self, received: Received) -> Deferred[IDatagramConduit]:
        """
        See L{IOutbound}. Datagrams go through one proxy of SOCKS5, and no
        longer chain: the next proxy would be reached by them in the clear.
        """
        if len(self._chain.hops) > 1:
            return fail(CommandNotSupported("datagrams go through a single proxy only"))
        associating = self._ask(
            "UDP ASSOCIATE", lambda client: client.associate(_Receiving(received))
        )
        return associating.addCallback(
            lambda association: _RemoteConduit(association, self._policy)
        )

    def resolve(self, host: Host) -> Deferred[list[IPAddress]]:
        """
        See L{IOutbound}. The last proxy is asked, and never a resolver here.
        """
        name = host if isinstance(host, str) else str(host)
        looking = self._ask("RESOLVE", lambda client: client.resolve(name))
        return looking.addCallback(lambda address: self._vetted([address]))

    def reverse(self, address: IPAddress) -> Deferred[str]:
        """
        See L{IOutbound}.
        """
        try:
            checkHost(self._policy, address)
        except NotAllowed:
            return fail()
        return self._ask("RESOLVE_PTR", lambda client: client.reverse(address))

    def _vetted(self, addresses: list[IPAddress]) -> list[IPAddress]:
        """
        Keep the addresses that may be asked for.

        @raise NotAllowed: There is none.
        """
        allowed = []
        for address in addresses:
            with suppress(NotAllowed):
                self._policy.check(address)
                allowed.append(address)
        if not allowed:
            raise NotAllowed("the address is internal")
        return allowed

    def _ask(
        self, command: str, ask: Callable[[SOCKS5Client], Deferred[Result]]
    ) -> Deferred[Result]:
        """
        Ask those proxies of the last hop that know such a command.
        """
        hop = self._chain.last
        proxies = [proxy for proxy in hop.order() if proxy.kind.startswith("socks5")]
        if not proxies:
            return fail(CommandNotSupported(f"the proxy knows no {command}"))
        return failingOver(hop, proxies, lambda proxy: ask(self._chain.client(proxy)))


@implementer(IStreamClientEndpoint)
class _Vetted:
    """
    Asks the policy before it connects.
    """

    def __init__(
        self, policy: IAddressPolicy, destination: Destination, endpoint: IStreamClientEndpoint
    ) -> None:
        self._policy = policy
        self._destination = destination
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        try:
            checkHost(self._policy, self._destination.host)
        except NotAllowed:
            return fail()
        connecting: Deferred[IProtocol] = self._endpoint.connect(protocolFactory)
        return connecting


@implementer(IBoundPort)
class _RemotePort:
    """
    A port of the proxy's.
    """

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        host, port = addressAndPort(binding.address)
        if host is None:
            raise GeneralFailure("the proxy does not tell an address")
        self.address = Destination(host, port)

    def accepted(self) -> Deferred[Leg]:
        return self._binding.accept(legs)  # type: ignore[return-value]

    def stop(self) -> None:
        self._binding.stop()


class _Receiving(DatagramProtocol):
    """
    Takes what a proxy relays.
    """

    noisy = False

    def __init__(self, received: Received) -> None:
        self._received = received

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        host = hostFromText(addr[0])
        self._received(datagram, Destination(addr[0] if host is None else host, addr[1]))


@implementer(IDatagramConduit)
class _RemoteConduit:
    """
    A conduit through a proxy.
    """

    dropped = (0, 0)

    def __init__(self, association: RelayedDatagrams, policy: IAddressPolicy) -> None:
        self._association = association
        self._policy = policy
        self._over = False
        association.ended.addErrback(self._ended)

    def send(self, data: bytes, destination: Destination) -> bool:
        try:
            checkHost(self._policy, destination.host)
        except NotAllowed:
            return False
        if self._over or destination.port == 0:
            return False
        self._association.write(data, (str(destination.host), destination.port))
        return True

    def close(self) -> None:
        self._over = True
        self._association.stopListening()

    def _ended(self, failure: Failure) -> None:
        failure.trap(ProxyFault)
        self._over = True


def checkHost(policy: IAddressPolicy, host: Host) -> None:
    """
    Let an address pass. A name is the proxy's business.

    @raise NotAllowed: It must not be asked for.
    """
    if isinstance(host, IPv4Address | IPv6Address):
        policy.check(host)
