"""
A DNS server, with all that belongs to it: ports, name servers to ask, a cache,
and perhaps addresses that stand for names::

    settings = DNSSettings(listen=(Destination(IPv4Address("127.0.0.1"), 5353),))
    dns = DNSService(reactor, settings, chain)
    dns.open()  # before the process goes into the background
    dns.start()  # and after that
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort

from socksproxy.address import Destination
from socksproxy.dns.cache import SWEEP_INTERVAL, Cache
from socksproxy.dns.datagramserver import DatagramServer
from socksproxy.dns.fakefile import FakeFile
from socksproxy.dns.fakeip import FakeAddresses
from socksproxy.dns.forwarder import DIRECT, PROXY, Forwarder
from socksproxy.dns.nameresolver import ForwardedNames
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.dns.rules import Direct, Proxy, Rules
from socksproxy.dns.settings import THROUGH_PROXY, DNSSettings
from socksproxy.dns.streamserver import MAX_CONNECTIONS, MAX_FROM_SOURCE, StreamServer
from socksproxy.dns.upstreams import Ways
from socksproxy.dns.upstreamurl import SYSTEM
from socksproxy.dns.wildcard import listenDNS
from socksproxy.errors import ConfigurationError
from socksproxy.events import log
from socksproxy.inbound.address import shownAddress
from socksproxy.outbound.hops import Chain
from socksproxy.policy.limits import ConnectionLimits
from socksproxy.ports import BACKLOG, reasonOf
from socksproxy.relay.leg import addressAndPort
from socksproxy.state import State

MAX_TRIES = 8
"""
Ports that are tried before it is said that none is free with both protocols.
"""


@dataclass(frozen=True)
class _Listener:
    """
    Both ports with one number.
    """

    where: str
    local: bool
    datagrams: IListeningPort
    streams: IListeningPort
    server: StreamServer

    def stop(self) -> Deferred[Any]:
        self.server.endAll()
        ports = (self.datagrams, self.streams)
        return DeferredList([maybeDeferred(port.stopListening) for port in ports])


class DNSService:
    """
    The server.

    @ivar forwarder: Answers.
    @ivar fakes: Addresses that stand for names, if there are any: where they
        are connected to, the connection has to go to the name.
    """

    listeners: tuple[()] = ()
    """
    It has no ports for connections that are relayed.
    """

    def __init__(
        self,
        reactor: Any,
        settings: DNSSettings,
        chain: Chain | None = None,
        openResolver: bool = False,
    ) -> None:
        """
        @param reactor: The reactor.
        @param settings: What to do.
        @param chain: The proxies to ask through.
        @param openResolver: Others than this host may ask.
        @raise ConfigurationError: Something of it cannot be.
        """
        self._reactor = reactor
        self._settings = settings
        self._openResolver = openResolver
        upstreams = settings.upstreams or ((SYSTEM,) if chain is None else THROUGH_PROXY)
        self._groups = {
            PROXY: Ways(reactor, chain).group(upstreams),
            DIRECT: Ways(reactor).group(settings.direct),
        }
        self._file = self._fileOf(settings)
        self.fakes = self._fakesOf(settings)
        self._cache = Cache(reactor.seconds, settings.size)
        self.forwarder = Forwarder(
            self._groups, _rulesOf(settings, chain), self._cache, settings.strategy, self.fakes
        )
        # Only so many in all, and from one host, on whatever port.
        self._limits = ConnectionLimits(MAX_CONNECTIONS, MAX_FROM_SOURCE, MAX_CONNECTIONS)
        self._listeners: list[_Listener] = []
        self._sweeping: IDelayedCall | None = None
        self._keeps = False
        self._stopped = False

    @property
    def local(self) -> bool:
        """
        Tell whether only this host can ask.
        """
        return all(listener.local for listener in self._listeners)

    @property
    def addresses(self) -> list[Destination]:
        """
        Give the addresses and ports at which it answers.
        """
        found = (addressAndPort(listener.streams.getHost()) for listener in self._listeners)
        return [Destination(host, port) for host, port in found if host is not None]

    def resolver(self) -> BoundedResolver:
        """
        Give what looks names up for ourselves as it is done for clients.
        """
        names = ForwardedNames(self._reactor, self.forwarder)
        return BoundedResolver(self._reactor, names, reverse=names.reverse)

    def open(self) -> None:
        """
        Start listening, as a daemon does before it forks.

        @raise ConfigurationError: A port is not to be had, or others could
            ask, or the file of addresses cannot be read. Nothing is left
            listening.
        """
        try:
            for where in self._settings.listen:
                listener = self._listen(where)
                self._listeners.append(listener)
                if not (listener.local or self._openResolver):
                    self._closePorts()
                    raise ConfigurationError(
                        f"--dns: whoever reaches {where} could ask it: give --open-relay if that"
                        " is what you want"
                    )
        except CannotListenError as e:
            self._closePorts()
            raise ConfigurationError(f"cannot answer DNS on {where}: {reasonOf(e)}") from e
        if self._file is not None and self.fakes is not None:
            try:
                self.fakes.restore(self._file.load())
            except OSError as e:
                self._closePorts()
                path = self._settings.fakeFile
                raise ConfigurationError(f"cannot read {path}: {e.strerror}") from e

    def start(self) -> None:
        """
        Begin with what is done as long as the process runs, once it is the
        one that stays.
        """
        self._sweep()
        if self._file is not None and self.fakes is not None:
            try:
                self._file.rewrite(self.fakes.dump())
            except OSError as e:
                self._notKept(e)
            self._keeps = True

    def announce(self) -> None:
        """
        Say who is asked, and warn of who may ask.
        """
        for listener in self._listeners:
            log.info(
                "Answering DNS on {where}, asking {upstreams}",
                where=listener.where,
                upstreams=str(self._groups[PROXY]),
            )
            if not listener.local:
                log.warn("--dns: whoever reaches {where} can ask it", where=listener.where)

    def report(self) -> Iterator[State]:
        """
        Tell what has been done.
        """
        numbers = {**asdict(self.forwarder.counts), "remembered": len(self._cache)}
        if self.fakes is not None:
            numbers["fakes"] = len(self.fakes)
        yield State("dns", ", ".join(listener.where for listener in self._listeners), numbers)

    def stop(self) -> Deferred[Any]:
        """
        Answer no more, and close all connections.

        @return: Fires when that is done.
        """
        if self._stopped:
            return succeed(None)
        self._stopped = True
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if self._file is not None and self._keeps:
            self._keeps = False
            self._file.close()
        closing = [group.close() for group in self._groups.values()]
        return DeferredList([self._closePorts(), *closing])

    def _listen(self, where: Destination) -> _Listener:
        """
        @raise CannotListenError: One of the ports is not to be had.
        """
        tries = 1 if where.port else MAX_TRIES
        # Kept while others are tried, so that they are others.
        unfit: list[IListeningPort] = []
        try:
            for _ in range(tries - 1):
                with suppress(CannotListenError):
                    return self._listenOnce(where, unfit)
            return self._listenOnce(where, unfit)
        finally:
            for port in unfit:
                port.stopListening()

    def _listenOnce(self, where: Destination, unfit: list[IListeningPort]) -> _Listener:
        """
        @param unfit: Gets the port for connections, if that for datagrams is
            not to be had.
        @raise CannotListenError: One of the ports is not.
        """
        server = StreamServer(self.forwarder, self._reactor, self._limits)
        interface = str(where.host)
        streams = self._reactor.listenTCP(where.port, server, BACKLOG, interface)
        address, port = addressAndPort(streams.getHost())
        try:
            datagrams = listenDNS(self._reactor, port, DatagramServer(self.forwarder), interface)
        except CannotListenError:
            unfit.append(streams)
            raise
        local = address is not None and address.is_loopback
        return _Listener(shownAddress(streams.getHost()), local, datagrams, streams, server)

    def _closePorts(self) -> Deferred[Any]:
        return DeferredList([listener.stop() for listener in self._listeners])

    def _sweep(self) -> None:
        self.forwarder.sweep()
        self._sweeping = self._reactor.callLater(SWEEP_INTERVAL, self._sweep)

    def _fileOf(self, settings: DNSSettings) -> FakeFile | None:
        if not settings.fakeFile:
            return None
        return FakeFile(settings.fakeFile, self._reactor.callLater, self._notKept, self._lines)

    def _fakesOf(self, settings: DNSSettings) -> FakeAddresses | None:
        """
        @raise ConfigurationError: There cannot be such pools.
        """
        if settings.fakeIPv4 is None:
            if settings.fakeIPv6 is not None or settings.fakeFile:
                raise ConfigurationError("addresses that stand for names need a pool of IPv4")
            return None
        return FakeAddresses(settings.fakeIPv4, settings.fakeIPv6, self._keep)

    def _lines(self) -> bytes:
        return b"" if self.fakes is None else self.fakes.dump()

    def _keep(self, line: bytes) -> None:
        # What is known before that is written with the rest.
        if self._keeps and self._file is not None:
            self._file.append(line)

    def _notKept(self, error: OSError) -> None:
        log.error(
            "{path} cannot be written: {error}",
            path=self._settings.fakeFile,
            error=error.strerror,
        )


def _rulesOf(settings: DNSSettings, chain: Chain | None) -> Rules:
    """
    @raise ConfigurationError: A rule makes no sense.
    """
    rules = Rules(settings.default, settings.hosts, settings.special, settings.canary)
    # Through itself a proxy cannot be found.
    for name in _ownNames(chain):
        rules.add(f"|{name}", Direct())
    for pattern, decision in settings.rules:
        rules.add(pattern, decision)
    for decision in (settings.default, *(decision for _, decision in settings.rules)):
        if isinstance(decision, Proxy) and decision.group != PROXY:
            raise ConfigurationError(f"there are no name servers called {decision.group!r}")
    return rules


def _ownNames(chain: Chain | None) -> Iterator[str]:
    """
    Give the names of those proxies that are looked up here.
    """
    isHere = True
    for hop in () if chain is None else chain.hops:
        for proxy in hop.proxies:
            if isHere and proxy.address is not None and isinstance(proxy.address.host, str):
                yield proxy.address.host
        isHere = any(proxy.resolvesHere for proxy in hop.proxies)
