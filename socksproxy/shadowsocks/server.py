"""
One Shadowsocks server with its ports: what a link says, for connections and
datagrams on ports of the same number, behind a plugin, or in a tunnel.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from zope.interface import implementer

from socksproxy.address import Destination, IPAddress
from socksproxy.errors import ConfigurationError
from socksproxy.events import log
from socksproxy.inbound import Inbound, InboundFactory
from socksproxy.ports import ProxyPort, reasonOf
from socksproxy.relay.datagrams import listenUDP
from socksproxy.shadowsocks._packetserver import serverPackets
from socksproxy.shadowsocks._replay import Replay, SaltMemory, SaltPool
from socksproxy.shadowsocks._users import Accounts
from socksproxy.shadowsocks.accounts import accountsFrom, weakIn
from socksproxy.shadowsocks.datagrams import ShadowsocksDatagrams
from socksproxy.shadowsocks.plugin import Plugin, findPlugin, freePort
from socksproxy.shadowsocks.protocol import ShadowsocksFactory
from socksproxy.shadowsocks.saltfile import leaveSalts, takeSalts
from socksproxy.shadowsocks.url import ShadowsocksURL
from socksproxy.state import IKeepsSessions, State

TRIES = 8
"""
Numbers that are tried before there is none for both ports.
"""

LOOPBACK = "127.0.0.1"

Listen = Callable[[str, Callable[[Inbound], InboundFactory]], ProxyPort]
"""
Listens on an endpoint string, with what makes a factory of what the
connections share.
"""


@implementer(IKeepsSessions)
class ShadowsocksServer:
    """
    A server. Its ports are opened before a daemon forks, and its plugin is
    started after that.

    @ivar description: The link, as it can be shown, with the port's real
        number.
    @ivar listeners: The port for connections, once it is open.
    """

    _host: IPAddress
    _accounts: Accounts
    _program: str
    _replay: Replay

    def __init__(
        self,
        reactor: Any,
        url: ShadowsocksURL,
        listen: Listen,
        *,
        patience: float,
        state: str | None = None,
        wallClock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        findPort: Callable[[str], int] = freePort,
    ) -> None:
        """
        @param reactor: The reactor.
        @param url: The link.
        @param listen: Listens for connections.
        @param patience: As for L{ShadowsocksFactory}, the same for all servers
            of a process; see L{drawPatience<socksproxy.shadowsocks.silence.drawPatience>}.
        @param state: The path of a file that keeps salts from one run to the
            next, for a method of 2022.
        @param wallClock: Gives seconds since 1970.
        @param monotonic: Gives seconds, since whenever, that never go back.
        @param findPort: Finds a port of an address that is free.
        """
        self._reactor = reactor
        self._url = url
        self._listen = listen
        self._patience = patience
        self._state = state
        self._wallClock = wallClock
        self._monotonic = monotonic
        self._findPort = findPort
        self.description = str(url)
        self.listeners: list[ProxyPort] = []
        self._datagrams: tuple[ShadowsocksDatagrams, IListeningPort] | None = None
        self._plugin: Plugin | None = None
        self._pool: SaltPool | None = None
        self._who = self._weak = ""
        self._notBefore = 0

    def open(self) -> None:
        """
        Start listening.

        @raise ConfigurationError: Something in the link cannot be, or a port
            is not to be had. Nothing is left listening.
        """
        url = self._url
        try:
            if isinstance(url.address.host, str):
                raise ConfigurationError("a server listens on a numeric address")
            self._host = url.address.host
            accounts = accountsFrom(url)
            self._accounts = Accounts(accounts)
            self._who = f"{len(accounts)} users" if url.users else "one key for all"
            self._requireStrength()
            self._program = findPlugin(url.plugin) if url.plugin else ""
            self._replay = self._remembered()
            if url.carrier:
                self._openCarried()
            else:
                self._openPlain()
        except ConfigurationError as e:
            raise ConfigurationError(f"{url}: {e}") from None

    def start(self) -> None:
        """
        Start what the process needs that goes on.
        """
        if self._plugin is not None:
            self._plugin.start()

    def announce(self) -> None:
        """
        Say what is open, and warn of what should not be.
        """
        for listener in self.listeners:
            log.info(
                "{description} is open for Shadowsocks, {method}, {who}{where}",
                description=self.description,
                method=self._url.method,
                who=self._who,
                where=f", behind the plugin {self._url.plugin}"
                if self._plugin is not None
                else listener.where(),
            )
        if self._weak:
            log.warn(
                "{weak} of {description} can be found by trying: see socksproxy genkey",
                weak=self._weak,
                description=self.description,
            )

    def report(self) -> Iterator[State]:
        """
        Tell of the ports.
        """
        for listener in self.listeners:
            yield from listener.report()
        if self._datagrams is not None:
            protocol, _ = self._datagrams
            numbers = {"clients": protocol.clients}
            yield State("listener", f"{self.description} (datagrams)", numbers)

    def stop(self) -> Deferred[Any]:
        """
        Stop listening. Connections go on, and so does the plugin that carries
        them; for datagrams it is over.
        """
        stopping = [listener.stop() for listener in self.listeners]
        datagrams, self._datagrams = self._datagrams, None
        if datagrams is not None:
            protocol, port = datagrams
            protocol.endAll("shut down")
            stopping.append(maybeDeferred(port.stopListening))
        return DeferredList(stopping)

    def close(self, patience: float | None = None) -> Deferred[None]:
        """
        Connections are over: end the plugin, and write down what the next run
        has to know. See L{IKeepsSessions}.
        """
        pool, self._pool = self._pool, None
        if pool is not None and self._state is not None:
            leaveSalts(self._state, pool, self._wallClock())
        return succeed(None) if self._plugin is None else self._plugin.stop()

    def _requireStrength(self) -> None:
        """
        @raise ConfigurationError: A password is too weak for where it is used.
        """
        self._weak = weakIn(self._url)
        if self._weak and not self._host.is_loopback and not self._url.weak:
            raise ConfigurationError(
                f"{self._weak} could be found by trying: take a longer one, or say weak=yes"
            )

    def _remembered(self) -> Replay:
        """
        Give what remembers the salts of streams.

        @raise ConfigurationError: What the last run has left cannot be used.
        """
        if not self._accounts.method.edition2022:
            return SaltMemory(os.urandom(32))
        now = self._wallClock()
        pool = self._pool = SaltPool(self._monotonic)
        if self._state is None or not takeSalts(self._state, pool, now):
            # Then nobody knows what was taken before.
            self._notBefore = int(now)
        return pool

    def _openCarried(self) -> None:
        """
        Listen in a tunnel, which has no datagrams.

        @raise ConfigurationError: That is not possible.
        """
        url = self._url
        parameters = [("interface", str(self._host)), *url.carrierOptions]
        endpoint = ":".join(
            (
                url.carrier,
                str(url.address.port),
                *(f"{name}={quoteStringArgument(value)}" for name, value in parameters),
            )
        )
        self._openStreams(endpoint, url.address.port, strict=False)

    def _openPlain(self) -> None:
        """
        Listen for connections and datagrams at the same number, whichever it
        is if none was asked for.

        @raise ConfigurationError: That is not possible.
        """
        asked = self._url.address.port
        if asked:
            self._openBoth(asked)
            return
        for left in reversed(range(TRIES)):
            try:
                self._openBoth(self._findPort(str(self._host)))
            except ConfigurationError:
                if not left:
                    raise
            else:
                return

    def _openBoth(self, number: int) -> None:
        """
        @raise ConfigurationError: One of them is not to be had.
        """
        host, behind = str(self._host), number
        if self._program:
            # The public one is for the plugin, which connects to us.
            host, behind = LOOPBACK, self._findPort(LOOPBACK)
            self._plugin = Plugin(
                self._reactor,
                self._program,
                self._url.pluginOptions,
                (str(self._host), number),
                (host, behind),
            )
        endpoint = f"tcp:{behind}:interface={quoteStringArgument(host)}"
        inbound = self._openStreams(endpoint, number, strict=not self._program)
        try:
            self._openDatagrams(inbound, number)
        except ConfigurationError:
            self.listeners.pop().stop()
            raise

    def _openStreams(self, endpoint: str, number: int, strict: bool) -> Inbound:
        """
        Listen for connections.

        @param number: The port that clients know.
        @param strict: See L{ShadowsocksFactory}.
        @return: What they share.
        @raise ConfigurationError: That is not possible.
        """
        self.description = str(replace(self._url, address=Destination(self._host, number)))

        def factoryFor(inbound: Inbound) -> ShadowsocksFactory:
            inbound.listener = self.description
            return ShadowsocksFactory(
                inbound,
                self._accounts,
                self._replay,
                patience=self._patience,
                strictFirstRead=strict,
                local=self._host.is_loopback if self._program else None,
                notBefore=self._notBefore,
                wallClock=self._wallClock,
            )

        listener = self._listen(endpoint, factoryFor)
        listener.description = self.description
        self.listeners.append(listener)
        return listener.inbound

    def _openDatagrams(self, shared: Inbound, number: int) -> None:
        """
        Listen for datagrams.

        @param shared: What the connections share, which is for the most part
            the same here.
        @raise ConfigurationError: That is not possible.
        """
        inbound = Inbound(
            shared.portal,
            self._reactor,
            listener=self.description,
            local=self._host.is_loopback,
            limits=shared.limits,
            throttle=shared.throttle,
        )
        edition2022 = self._accounts.method.edition2022
        packets = serverPackets(
            self._accounts,
            # Of its own: datagrams would soon fill that of the streams.
            SaltMemory(os.urandom(32)),
            self._wallClock,
            self._monotonic,
            # Their numbers are not kept from one run to the next.
            notBefore=int(self._wallClock()) if edition2022 else 0,
        )
        protocol = ShadowsocksDatagrams(inbound, packets)
        try:
            port = listenUDP(self._reactor, number, protocol, str(self._host))
        except CannotListenError as e:
            raise ConfigurationError(
                f"cannot listen on udp port {number} of {self._host}: {reasonOf(e)}"
            ) from e
        self._datagrams = (protocol, port)
