"""
Out of this host through other proxies.

Names go to the last proxy unresolved, so that nothing here learns of them;
addresses are put before the policy as they are for connections of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol as Interface
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Destination, Host, IPAddress, hostFromText
from socksproxy.client.endpoint import legs
from socksproxy.client.errors import ProxyFault
from socksproxy.errors import (
    CommandNotSupported,
    GeneralFailure,
    InternalAddress,
    NotAllowed,
)
from socksproxy.interfaces import (
    IAddressPolicy,
    IBoundPort,
    IDatagramConduit,
    IOutbound,
    Received,
    WayOut,
)
from socksproxy.outbound.hops import Chain, failingOver
from socksproxy.outbound.names import DatagramNames
from socksproxy.outbound.proxyurl import ProxyURL
from socksproxy.outbound.vetting import Vetting
from socksproxy.relay import Leg
from socksproxy.relay.leg import addressAndPort
from socksproxy.socks.client import Binding
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
        self.way = wayThrough(chain)

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

        def bind(proxy: ProxyURL) -> Deferred[Binding]:
            client = self._chain.client(proxy)
            return self._sendable(proxy, expected.host).addCallback(
                lambda host: client.bind(host, expected.port)
            )

        return self._ask("BIND", bind).addCallback(_RemotePort)

    def conduit(self, received: Received) -> Deferred[IDatagramConduit]:
        """
        See L{IOutbound}. Datagrams go through one proxy of SOCKS5, or one
        server of Shadowsocks, and no longer chain, nor beside the TLS that a
        proxy is spoken to in. Where a proxy has a carrier that carries them,
        too.
        """
        if len(self._chain.hops) > 1:
            return fail(CommandNotSupported("datagrams go through a single proxy only"))

        def associate(proxy: ProxyURL) -> Deferred[IDatagramConduit]:
            if proxy.kind == "ss":
                return self._chain.associate(proxy, received).addCallback(conduit, proxy)
            if proxy.carrier:
                return self._chain.datagrams(proxy, received).addCallback(conduit, proxy)
            if proxy.tls:
                return fail(CommandNotSupported("datagrams would not be in TLS"))
            associating = self._chain.client(proxy).associate(_Receiving(received))
            return associating.addCallback(_Relayed).addCallback(conduit, proxy)

        def conduit(association: _Association, proxy: ProxyURL) -> IDatagramConduit:
            vetting = Vetting(self._chain.resolver, self._policy, None)
            return _RemoteConduit(association, vetting, self._chain.clock, proxy.resolvesHere)

        return self._ask("UDP ASSOCIATE", associate, ("socks5", "ss"))

    def resolve(self, host: Host) -> Deferred[list[IPAddress]]:
        """
        See L{IOutbound}. The last proxy is asked, and never a resolver here.
        """
        name = host if isinstance(host, str) else str(host)
        looking = self._ask("RESOLVE", lambda proxy: self._chain.client(proxy).resolve(name))
        return looking.addCallback(lambda address: self._vetted([address]))

    def reverse(self, address: IPAddress) -> Deferred[str]:
        """
        See L{IOutbound}.
        """
        try:
            checkHost(self._policy, address)
        except NotAllowed:
            return fail()
        return self._ask("RESOLVE_PTR", lambda proxy: self._chain.client(proxy).reverse(address))

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
            raise InternalAddress
        return allowed

    def _sendable(self, proxy: ProxyURL, host: Host) -> Deferred[Host]:
        """
        Give a host as a proxy gets it: vetted if it is an address, and an
        address if names are looked up here.
        """
        if isinstance(host, str) and not proxy.resolvesHere:
            return succeed(host)
        vetting = Vetting(self._chain.resolver, self._policy, None)
        return vetting.addressesOf(host).addCallback(lambda addresses: addresses[0])

    def _ask(
        self,
        command: str,
        ask: Callable[[ProxyURL], Deferred[Result]],
        kinds: tuple[str, ...] = ("socks5",),
    ) -> Deferred[Result]:
        """
        Ask those proxies of the last hop that know such a command.

        @param kinds: What the kinds of those begin with.
        """
        hop = self._chain.last
        proxies = [proxy for proxy in hop.order() if proxy.kind.startswith(kinds)]
        if not proxies:
            return fail(CommandNotSupported(f"the proxy knows no {command}"))
        return failingOver(hop, proxies, ask)


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


class _Association(Interface):
    """
    What a proxy relays datagrams by.

    @ivar ended: See L{RelayedDatagrams}.
    """

    ended: Deferred[None]

    def send(self, data: bytes, destination: Destination) -> bool:
        """
        See L{IDatagramConduit}.
        """

    def close(self) -> None:
        """
        See L{IDatagramConduit}.
        """


class _Relayed:
    """
    An association whose datagrams go beside the connection to the proxy.
    """

    def __init__(self, datagrams: RelayedDatagrams) -> None:
        self._datagrams = datagrams
        self.ended = datagrams.ended

    def send(self, data: bytes, destination: Destination) -> bool:
        self._datagrams.write(data, (str(destination.host), destination.port))
        return True

    def close(self) -> None:
        self._datagrams.stopListening()


@implementer(IDatagramConduit)
class _RemoteConduit:
    """
    A conduit through a proxy.
    """

    def __init__(
        self,
        association: _Association,
        vetting: Vetting,
        clock: IReactorTime,
        resolvesHere: bool,
    ) -> None:
        self._association = association
        self._vetting = vetting
        self._names = DatagramNames(vetting, clock, self.send) if resolvesHere else None
        self._over = False
        association.ended.addErrback(self._ended)

    @property
    def dropped(self) -> tuple[int, int]:
        return (0, 0) if self._names is None else self._names.dropped

    def send(self, data: bytes, destination: Destination) -> bool:
        host, port = destination.host, destination.port
        if self._over or port == 0:
            return False
        if isinstance(host, str):
            if self._names is not None:
                return self._names.send(data, host, port)
        else:
            try:
                self._vetting.check(host)
            except NotAllowed:
                return False
        return self._association.send(data, destination)

    def close(self) -> None:
        self._over = True
        if self._names is not None:
            self._names.close()
        self._association.close()

    def _ended(self, failure: Failure) -> None:
        failure.trap(ProxyFault)
        self._over = True


def wayThrough(chain: Chain) -> WayOut:
    """
    Describe the way through a chain.
    """
    hops = tuple("|".join(map(str, hop.proxies)) for hop in chain.hops)
    last = chain.last.proxies
    relays = any(map(_carriesDatagrams, last))
    here = all(proxy.resolvesHere for proxy in last)
    return WayOut(hops, here, relays and len(chain.hops) == 1)


def _carriesDatagrams(proxy: ProxyURL) -> bool:
    if proxy.kind == "ss":
        return not proxy.carrier
    return proxy.kind.startswith("socks5") and (bool(proxy.carrier) or not proxy.tls)


def checkHost(policy: IAddressPolicy, host: Host) -> None:
    """
    Let an address pass. A name is the proxy's business.

    @raise NotAllowed: It must not be asked for.
    """
    if isinstance(host, IPv4Address | IPv6Address):
        policy.check(host)
