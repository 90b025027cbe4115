"""
The way through a chain of proxies, each reached through those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    clientFromString,
    quoteStringArgument,
)
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Destination, IPAddress
from socksproxy.client.endpoint import octetsOf
from socksproxy.client.errors import (
    ProxiedConnectError,
    ProxyFault,
    TargetFault,
    TargetHostUnreachable,
)
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import CommandNotSupported, ConfigurationError, RequestFailed
from socksproxy.events import log
from socksproxy.http.endpoints import HTTPConnectClientEndpoint
from socksproxy.outbound.proxyurl import ProxyURL
from socksproxy.shadowsocks.conduit import ShadowsocksAssociation
from socksproxy.shadowsocks.servers import ShadowsocksServerAway
from socksproxy.shadowsocks.url import ShadowsocksURL
from socksproxy.socks.client import SOCKS5Client
from socksproxy.socks.eager import EagerSOCKS5ClientEndpoint
from socksproxy.socks.endpoints import SOCKS4ClientEndpoint, SOCKS5ClientEndpoint
from socksproxy.socks.streamclient import StreamedDatagrams, streamDatagrams
from socksproxy.state import IKeepsSessions, State, closeSessions, reportOf
from socksproxy.tls import clientTLS, wrapTLSClient

RETRY_AFTER = 300.0
"""
Seconds after which the first of several alternatives gets another chance.
"""


Result = TypeVar("Result")

Vet = Callable[[list[IPAddress]], list[IPAddress]]
"""
Picks the addresses that may be asked for.
"""


class Hop:
    """
    One link of a chain: a proxy, or alternatives of which one has to work.

    The one that works is kept until it fails, even if the first one has come
    back: only once in a while is the first one tried again.

    @ivar proxies: The alternatives, the favourite first.
    """

    def __init__(self, proxies: Sequence[ProxyURL], clock: IReactorTime) -> None:
        """
        @param proxies: At least one.
        @param clock: Time.
        """
        self.proxies = tuple(proxies)
        self._clock = clock
        self._current = 0
        self._since = 0.0

    def order(self) -> list[ProxyURL]:
        """
        Give the alternatives in the order of trying them now.
        """
        now = self._clock.seconds()
        first = self._current
        if first and now - self._since >= RETRY_AFTER:
            # Whatever comes of it, the next chance is that much later.
            self._since = now
            first = 0
            return [self.proxies[0], *self._from(self._current, without=0)]
        return self._from(first)

    def worked(self, proxy: ProxyURL) -> None:
        """
        Keep to a proxy.
        """
        index = self.proxies.index(proxy)
        if index != self._current:
            log.warn("Now going through {proxy}", proxy=str(proxy))
            self._current = index
            self._since = self._clock.seconds()

    def _from(self, first: int, without: int | None = None) -> list[ProxyURL]:
        count = len(self.proxies)
        indices = [(first + step) % count for step in range(count)]
        return [self.proxies[index] for index in indices if index != without]


@implementer(IKeepsSessions)
class Chain:
    """
    Hops, and the endpoints that lead through them.

    @ivar hops: The hops, the nearest first.
    @ivar resolver: What resolves names for proxies that are not to get them.
    @ivar clock: Time.
    """

    def __init__(
        self, reactor: Any, hops: Sequence[Sequence[ProxyURL]], resolver: BoundedResolver
    ) -> None:
        """
        @param reactor: What dials, and time.
        @param hops: The alternatives of each hop, the nearest hop first.
        @param resolver: What resolves names for proxies that are not to get
            them.
        @raise ConfigurationError: There is no such chain.
        """
        if not hops or not all(hops):
            raise ConfigurationError("a chain needs a proxy")
        if any(proxy.address is None for hop in hops[1:] for proxy in hop):
            raise ConfigurationError("only the first proxy of a chain can be on a UNIX socket")
        if any(proxy.carrier for hop in hops[1:] for proxy in hop):
            raise ConfigurationError("only the first proxy of a chain can be reached by a tunnel")
        self._reactor = reactor
        self.clock: IReactorTime = reactor
        self.resolver = resolver
        self._names = resolver
        self.hops = tuple(Hop(hop, reactor) for hop in hops)
        self._creators = {proxy: _creatorFor(proxy) for hop in hops for proxy in hop if proxy.tls}
        # They keep their sessions.
        self._carriers = {proxy: _carrierFor(reactor, proxy) for proxy in hops[0] if proxy.carrier}
        self._shadowsocks = {
            proxy: _shadowsocksFor(reactor, proxy, proxy.shadowsocks, alone=hop is hops[0])
            for hop in hops
            for proxy in hop
            if proxy.shadowsocks is not None
        }

    def __str__(self) -> str:
        return ",".join("|".join(map(str, hop.proxies)) for hop in self.hops)

    @property
    def last(self) -> Hop:
        """
        The hop that reaches targets.
        """
        return self.hops[-1]

    def endpointTo(self, destination: Destination, vet: Vet = list) -> IStreamClientEndpoint:
        """
        Give the endpoint that leads through all hops.

        @param vet: If the last proxy gets no names, picks from the addresses
            of a name those that may be asked for.
        """
        return self._through(len(self.hops), destination, vet)

    def proxyEndpoint(self, proxy: ProxyURL) -> IStreamClientEndpoint:
        """
        Give the endpoint that leads to a proxy of the last hop.
        """
        return self._to(len(self.hops) - 1, proxy)

    def carrierTo(self, proxy: ProxyURL) -> IStreamClientEndpoint:
        """
        Give the endpoint that leads to a proxy of the first hop by its tunnel.
        """
        return self._carriers[proxy]

    def client(self, proxy: ProxyURL) -> SOCKS5Client:
        """
        Give a client of a SOCKS5 proxy of the last hop.
        """
        endpoint = self.proxyEndpoint(proxy)
        return SOCKS5Client(self._reactor, endpoint, proxy.username, proxy.password)

    def report(self) -> Iterator[State]:
        """
        Tell what the tunnels to proxies have to say.
        """
        for carrier in self._carriers.values():
            yield from reportOf(carrier)

    def close(self, patience: float | None = None) -> Deferred[None]:
        """
        Close the sessions in tunnels to proxies, and end plugins. See
        L{IKeepsSessions}.
        """
        keeping = [*self._carriers.values(), *self._shadowsocks.values()]
        return closeSessions(keeping, patience)

    def associate(
        self, proxy: ProxyURL, received: Callable[[bytes, Destination], None]
    ) -> Deferred[ShadowsocksAssociation]:
        """
        Have a server of Shadowsocks relay datagrams.

        @param received: Takes what others send.
        """
        server, address = self._shadowsocks[proxy], proxy.address
        if address is None or proxy.carrier:
            return fail(CommandNotSupported("the tunnel to the server carries no datagrams"))
        if isinstance(address.host, str):
            # Past the server, or else it could not be found.
            looking = self._names.resolve(address.host, None)
        else:
            looking = succeed([address.host])
        return looking.addCallback(lambda found: server.associate(found[0], received))

    def datagrams(
        self, proxy: ProxyURL, received: Callable[[bytes, Destination], None]
    ) -> Deferred[StreamedDatagrams]:
        """
        Have a proxy of the last hop, which has a carrier, relay datagrams.

        @param received: Takes what others send.
        """
        return streamDatagrams(
            self._reactor,
            self.proxyEndpoint(proxy),
            received,
            proxy.username,
            proxy.password,
            proxy.eager,
        )

    def _through(
        self, count: int, destination: Destination, vet: Vet = list
    ) -> IStreamClientEndpoint:
        """
        Give the endpoint that leads through the first hops.
        """
        return _FailingOver(self, count, destination, vet)

    def _to(self, count: int, proxy: ProxyURL) -> IStreamClientEndpoint:
        """
        Give the endpoint to a proxy, through the first hops.
        """
        endpoint: IStreamClientEndpoint
        if proxy.carrier:
            return self._carriers[proxy]
        if proxy.address is None:
            endpoint = UNIXClientEndpoint(self._reactor, proxy.path)
        elif count:
            endpoint = self._through(count, proxy.address)
        else:
            endpoint = directEndpoint(self._reactor, proxy.address)
        if proxy.tls:
            endpoint = wrapTLSClient(self._reactor, endpoint, self._creators[proxy])
        return endpoint

    def attempt(
        self, count: int, proxy: ProxyURL, destination: Destination, vet: Vet
    ) -> IStreamClientEndpoint:
        """
        Give the endpoint that leads through the first hops, the last of them
        by one of its proxies.
        """
        host, port = destination.host, destination.port
        if isinstance(host, str) and proxy.resolvesHere:
            return _Resolving(self, count, proxy, host, port, vet)
        endpoint = self._to(count - 1, proxy)
        if proxy.kind == "ss":
            return self._shadowsocks[proxy].endpointTo(endpoint, host, port)
        if proxy.kind in ("http", "https"):
            return HTTPConnectClientEndpoint(
                self._reactor, endpoint, host, port, proxy.username, proxy.password
            )
        if proxy.kind in ("socks4", "socks4a"):
            userID = octetsOf(proxy.username or b"")
            return SOCKS4ClientEndpoint(self._reactor, endpoint, host, port, userID)
        socks5 = EagerSOCKS5ClientEndpoint if proxy.eager else SOCKS5ClientEndpoint
        return socks5(self._reactor, endpoint, host, port, proxy.username, proxy.password)


@implementer(IStreamClientEndpoint, IKeepsSessions)
class _FailingOver:
    """
    Goes through a hop by the first of its proxies that does its part.
    """

    def __init__(self, chain: Chain, count: int, destination: Destination, vet: Vet) -> None:
        self._chain = chain
        self._count = count
        self._destination = destination
        self._vet = vet

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        def attempt(proxy: ProxyURL) -> Deferred[IProtocol]:
            endpoint = self._chain.attempt(self._count, proxy, self._destination, self._vet)
            connecting: Deferred[IProtocol] = endpoint.connect(protocolFactory)
            return connecting

        hop = self._chain.hops[self._count - 1]
        return failingOver(hop, hop.order(), attempt)

    def close(self, patience: float | None = None) -> Deferred[None]:
        return self._chain.close(patience)


def failingOver(
    hop: Hop, proxies: Sequence[ProxyURL], attempt: Callable[[ProxyURL], Deferred[Result]]
) -> Deferred[Result]:
    """
    Ask one proxy after another until one has done its part. That a target
    cannot be reached is an answer, and no reason to ask another one.

    @param hop: Where the one is remembered.
    @param proxies: Whom to ask, at least one.
    @param attempt: Asks.
    """
    proxy, *others = proxies

    def answered(result: Result) -> Result:
        hop.worked(proxy)
        return result

    def failed(failure: Failure) -> Deferred[Result] | Failure:
        error = failure.value
        if isinstance(error, ProxiedConnectError) and error.proxy is None:
            # Of a chain, the hops before it have said so themselves.
            error.proxy = str(proxy)
        if failure.check(TargetFault):
            hop.worked(proxy)
        if not failure.check(ProxyFault) or not others:
            return failure
        log.warn("{proxy} does not work: {error}", proxy=str(proxy), error=str(failure.value))
        return failingOver(hop, others, attempt)

    return attempt(proxy).addCallbacks(answered, failed)


@implementer(IStreamClientEndpoint)
class _Resolving:
    """
    Looks a name up before it goes through a hop.
    """

    def __init__(
        self, chain: Chain, count: int, proxy: ProxyURL, name: str, port: int, vet: Vet
    ) -> None:
        self._chain = chain
        self._count = count
        self._proxy = proxy
        self._name = name
        self._port = port
        self._vet = vet

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        onlyIPv4 = self._proxy.kind == "socks4"

        def connect(addresses: list[IPAddress]) -> Deferred[IProtocol]:
            for address in self._vet(addresses):
                if address.version == 4 or not onlyIPv4:
                    destination = Destination(address, self._port)
                    attempt = self._chain.attempt(self._count, self._proxy, destination, list)
                    connecting: Deferred[IProtocol] = attempt.connect(protocolFactory)
                    return connecting
            raise TargetHostUnreachable("the name has no IPv4 address, and SOCKS4 carries no other")

        def notFound(failure: Failure) -> NoReturn:
            failure.trap(RequestFailed)
            raise TargetHostUnreachable(str(failure.value))

        looking = self._chain.resolver.resolve(self._name, None)
        return looking.addErrback(notFound).addCallback(connect)


def _creatorFor(proxy: ProxyURL) -> IOpenSSLClientConnectionCreator:
    """
    Make what a proxy's certificate is verified by.

    @raise ConfigurationError: A file cannot be used, or a fingerprint is none.
    """
    host = "localhost" if proxy.address is None else proxy.address.host
    options = dict(proxy.tlsOptions)
    pins = [value for name, value in proxy.tlsOptions if name == "pin"]
    options.pop("pin", None)
    return clientTLS(host, **options, pins=pins)


def _carrierFor(reactor: Any, proxy: ProxyURL) -> IStreamClientEndpoint:
    """
    Make what leads to a proxy through a tunnel.

    @raise ConfigurationError: A parameter cannot be.
    """
    address = proxy.address
    if address is None:
        raise ConfigurationError("a tunnel leads to a host")
    arguments = [str(address.host), str(address.port)]
    words = [proxy.carrier, *(quoteStringArgument(argument) for argument in arguments)]
    words += [f"{name}={quoteStringArgument(value)}" for name, value in proxy.carrierOptions]
    try:
        endpoint: IStreamClientEndpoint = clientFromString(reactor, ":".join(words))
    except (ConfigurationError, TypeError, ValueError) as e:
        reason = str(e).replace("\n", " ")
        raise ConfigurationError(f"{proxy}: {reason}") from None
    return endpoint


def _shadowsocksFor(
    reactor: Any, proxy: ProxyURL, url: ShadowsocksURL, alone: bool
) -> ShadowsocksServerAway:
    """
    Make what leads through a server of Shadowsocks.

    @param alone: No other proxy is before it.
    @raise ConfigurationError: Something in its link cannot be.
    """
    if url.plugin and not alone:
        raise ConfigurationError(f"{proxy}: only the first of a chain can have a plugin")
    try:
        return ShadowsocksServerAway(reactor, url)
    except ConfigurationError as e:
        raise ConfigurationError(f"{proxy}: {e}") from None


def directEndpoint(reactor: Any, destination: Destination) -> IStreamClientEndpoint:
    """
    Give the endpoint that leads straight to a place of the administrator's
    choice.
    """
    host, port = destination.host, destination.port
    if isinstance(host, str):
        return HostnameEndpoint(reactor, host, port)
    if host.version == 4:
        return TCP4ClientEndpoint(reactor, str(host), port)
    return TCP6ClientEndpoint(reactor, str(host), port)
