"""
The ports that a proxy forwards, each to its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from zope.interface import implementer

from socksproxy.config import Configuration, withoutSecrets
from socksproxy.errors import ConfigurationError
from socksproxy.events import log
from socksproxy.forward.datagrams import DatagramForwarder
from socksproxy.forward.flow import Way
from socksproxy.forward.specification import DatagramForward, StreamForward
from socksproxy.forward.streams import ForwardFactory
from socksproxy.forward.target import Target
from socksproxy.inbound import Inbound, InboundFactory, shownAddress
from socksproxy.interfaces import IOutbound
from socksproxy.outbound.direct import CONNECT_TIMEOUT
from socksproxy.outbound.hops import Chain
from socksproxy.ports import ProxyPort, reasonOf
from socksproxy.relay.datagrams import listenUDP
from socksproxy.relay.leg import addressAndPort
from socksproxy.state import IKeepsSessions, State, closeSessions

Listen = Callable[[str, Callable[[Inbound], InboundFactory]], ProxyPort]
"""
Listens on an endpoint string, with what makes a factory of what the
connections share.
"""


@dataclass(frozen=True)
class _DatagramPort:
    """
    A port for datagrams.
    """

    description: str
    forwarder: DatagramForwarder
    port: IListeningPort

    @property
    def local(self) -> bool:
        host, _ = addressAndPort(self.port.getHost())
        return host is not None and host.is_loopback

    def where(self) -> str:
        return f", at {shownAddress(self.port.getHost())}"

    def report(self) -> Iterator[State]:
        yield State("listener", self.description, {"clients": self.forwarder.clients})

    def stop(self) -> Deferred[Any]:
        self.forwarder.endAll("shut down")
        return maybeDeferred(self.port.stopListening)


@implementer(IKeepsSessions)
class ForwardedPorts:
    """
    All that a proxy forwards.

    @ivar listeners: The ports for connections.
    """

    def __init__(
        self,
        reactor: Any,
        configuration: Configuration,
        listen: Listen,
        outboundFor: Callable[[str], IOutbound],
        chain: Chain | None,
    ) -> None:
        """
        @param reactor: The reactor.
        @param configuration: What to forward.
        @param listen: Listens for connections.
        @param outboundFor: Gives the way out for a port, by its description.
        @param chain: The proxies that everything leaves through, if any.
        """
        self._reactor = reactor
        self._configuration = configuration
        self._listen = listen
        self._outboundFor = outboundFor
        self._chain = chain
        self._ports: list[tuple[ProxyPort | _DatagramPort, str]] = []
        self._targets: list[Target] = []

    @property
    def listeners(self) -> list[ProxyPort]:
        """
        See the class.
        """
        return [port for port, _ in self._ports if isinstance(port, ProxyPort)]

    def open(self) -> None:
        """
        Start listening.

        @raise ConfigurationError: One of the ports or targets cannot be had.
            The ports before it are open.
        """
        for forward in self._configuration.forward:
            if isinstance(forward, DatagramForward):
                self._openDatagrams(forward)
            else:
                self._openStreams(forward)

    def start(self) -> None:
        """
        Nothing waits for that.
        """

    def announce(self) -> None:
        """
        Say what goes where, and warn of what others can reach.
        """
        for port, target in self._ports:
            where = port.where()
            log.info(
                "Forwarding {listener}{where} to {target}",
                listener=port.description,
                where=where and f"{where},",
                target=target,
            )
            local = port.inbound.local if isinstance(port, ProxyPort) else port.local
            if not local:
                log.warn(
                    "--forward: whoever reaches {listener} reaches {target}",
                    listener=port.description,
                    target=target,
                )

    def report(self) -> Iterator[State]:
        """
        Tell of the ports, and then what leads from them has to say.
        """
        for port, _ in self._ports:
            yield from port.report()
        for target in self._targets:
            yield from target.report()

    def stop(self) -> Deferred[Any]:
        """
        Stop listening. Connections go on; for datagrams it is over.
        """
        return DeferredList([port.stop() for port, _ in self._ports])

    def close(self, patience: float | None = None) -> Deferred[None]:
        """
        Close the sessions that are kept with targets. See L{IKeepsSessions}.
        """
        return closeSessions(self._targets, patience)

    def _openStreams(self, forward: StreamForward) -> None:
        target = self._targetOf(forward)
        listener = self._listen(forward.server, lambda inbound: ForwardFactory(inbound, target))
        self._ports.append((listener, target.description))
        self._targets.append(target)

    def _targetOf(self, forward: StreamForward) -> Target:
        """
        @raise ConfigurationError: There can be no such target.
        """
        reactor, shown = self._reactor, withoutSecrets(forward.client)
        if forward.target is not None:
            outbound = self._outboundFor(withoutSecrets(forward.server))
            # It limits the time itself, for each of several proxies anew.
            return Target(reactor, outbound.endpointFor(forward.target), shown, 0)
        if self._chain is not None:
            raise ConfigurationError(
                f"cannot forward to {shown}: through --via only to tcp:HOST:PORT"
            )
        try:
            endpoint = clientFromString(reactor, forward.client)
        except Exception as e:
            # Parsers are plugins and raise what they like.
            raise ConfigurationError(f"cannot forward to {shown}: {reasonOf(e)}") from e
        timeout = forward.timeout or CONNECT_TIMEOUT
        return Target(reactor, endpoint, shown, timeout, forward.tls)

    def _openDatagrams(self, forward: DatagramForward) -> None:
        chain, shown = self._chain, forward.server
        if chain is not None and not _carriesDatagrams(chain):
            raise ConfigurationError(
                f"cannot forward to {forward.client}: datagrams go through a single proxy of SOCKS5"
                " or Shadowsocks"
            )
        way = Way(self._outboundFor(shown), forward.target, forward.client, chain is not None)
        limits = self._configuration.limits
        forwarder = DatagramForwarder(self._reactor, way, shown, limits)
        try:
            port = listenUDP(self._reactor, forward.port, forwarder, forward.interface)
        except CannotListenError as e:
            raise ConfigurationError(f"cannot listen on {shown}: {reasonOf(e)}") from e
        self._ports.append((_DatagramPort(shown, forwarder, port), forward.client))


def _carriesDatagrams(chain: Chain) -> bool:
    """
    Tell whether a chain is one proxy, and one of the alternatives for it is of
    SOCKS5.
    """
    return len(chain.hops) == 1 and any(
        proxy.kind.startswith(("socks5", "ss")) for proxy in chain.last.proxies
    )
