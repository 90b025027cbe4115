"""
The proxy as a Twisted service, for C{twistd} and for programs that have room
for a proxy::

    from socksproxy.config import Configuration
    from socksproxy.service import ProxyService

    proxy = ProxyService(reactor, Configuration(listen=["tcp:1080:interface=127.0.0.1"]))
    proxy.setServiceParent(application)
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.application.service import Service
from twisted.cred.checkers import AllowAnonymousAccess, ICredentialsChecker
from twisted.cred.credentials import IAnonymous, IUsernamePassword
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IDelayedCall, IListeningPort

from socksproxy.auth.ident import IdentChecker, IUserID, UserIDChecker
from socksproxy.auth.realm import ProxyRealm
from socksproxy.auth.sharedkey import SharedKeyChecker
from socksproxy.auth.throttle import FailureThrottle
from socksproxy.config import Configuration, withoutSecrets
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.dns.service import DNSService
from socksproxy.errors import ConfigurationError
from socksproxy.events import log
from socksproxy.exposure import Exposure
from socksproxy.forward.ports import ForwardedPorts
from socksproxy.http.protocol import DEFAULT_FORWARDING
from socksproxy.inbound import Inbound, InboundFactory
from socksproxy.inbound.proxyheader import BalancedFactory
from socksproxy.interfaces import ClientOrigin, IAddressPolicy, IOutbound
from socksproxy.listener import ProxyFactory
from socksproxy.outbound.chain import ChainOutbound
from socksproxy.outbound.direct import DirectOutbound
from socksproxy.outbound.fakenames import NamedOutbound
from socksproxy.outbound.hops import Chain
from socksproxy.policy.rules import AnyAddress, PublicAddresses
from socksproxy.ports import PortGroup, ProxyPort, reasonOf
from socksproxy.shadowsocks.server import ShadowsocksServer
from socksproxy.shadowsocks.silence import drawPatience
from socksproxy.shadowsocks.url import ShadowsocksURL
from socksproxy.state import State, closeSessions, reportOf, totalOf

BALANCED = "haproxy:"
"""
What stands before the endpoint string of a listener behind load balancers.
Twisted has a parser for it, whose wrapper breaks on headers in pieces, checks
few of their fields and takes them from anybody.
"""


GOODBYE = 2.0
"""
Seconds that the peers of sessions get to say good-bye when there is nothing
more to do.
"""


class ProxyService(Service):
    """
    Listens, and serves until it is stopped.

    @ivar drain: Seconds that transfers under way get when it stops.
    """

    def __init__(
        self, reactor: Any, configuration: Configuration, portal: Portal | None = None
    ) -> None:
        """
        @param reactor: The reactor.
        @param configuration: What to do.
        @param portal: Where clients log in, for programs that have a realm
            of their own; the configuration's checkers are then not used.
        """
        self._reactor = reactor
        self._configuration = configuration
        self.drain = configuration.drain
        self._resolver = BoundedResolver(reactor, reactor.nameResolver)
        self._anyAddress: IAddressPolicy = AnyAddress()
        self._publicAddresses: IAddressPolicy = PublicAddresses()
        self._exposure = Exposure(reactor, configuration.ports, configuration.public)
        self._chain = (
            Chain(reactor, configuration.via, self._resolver) if configuration.via else None
        )
        self._portal = portal or Portal(
            ProxyRealm(self._outboundFor, configuration.services),
            [
                *(configuration.checkers or (AllowAnonymousAccess(),)),
                *self._userIDCheckers(),
                SharedKeyChecker(),
            ],
        )
        credentials = self._portal.listCredentialsInterfaces()
        self._admitsAnybody = IAnonymous in credentials
        self._takesPasswords = IUsernamePassword in credentials
        # It has no passwords.
        self._servesSOCKS4 = self._admitsAnybody or IUserID in credentials
        self._throttle = FailureThrottle()
        self._listeners: list[ProxyPort] = []
        self._dns = (
            None
            if configuration.dns is None
            else DNSService(reactor, configuration.dns, self._chain, configuration.openRelay)
        )
        if self._dns is not None and configuration.ownNames:
            self._resolver = self._dns.resolver()
            if self._chain is not None:
                self._chain.resolver = self._resolver
        self._groups: list[PortGroup] = [
            ForwardedPorts(
                reactor, configuration, self._listen, self._outboundToForward, self._chain
            ),
            *self._shadowsocksServers(),
            *([] if self._dns is None else [self._dns]),
        ]
        self._opened = False
        self._stopping = False
        # As their endpoints have made them: they may have sessions when they
        # are closed.
        self._endpointPorts: list[IListeningPort] = []

    def openPorts(self) -> None:
        """
        Start listening. Called by C{privilegedStartService}; whoever wants to
        know earlier whether the ports are free, as a daemon before it forks,
        may call it first.

        @raise ConfigurationError: An endpoint string is wrong, a port is not
            to be had, or the proxy would be an open relay. Nothing is left
            listening.
        """
        if self._opened:
            return
        self._opened = True
        try:
            for description in self._configuration.listen:
                listener = self._listen(description, self._proxyFactory)
                self._listeners.append(listener)
                self._refuseOpenRelay(listener)
            for group in self._groups:
                group.open()
        except ConfigurationError:
            self._closePorts()
            raise

    def privilegedStartService(self) -> None:
        """
        See C{IService}.
        """
        self.openPorts()
        for listener in self._ports:
            listener.claim()
        super().privilegedStartService()

    def startService(self) -> None:
        """
        See C{IService}.
        """
        self.openPorts()
        super().startService()
        for group in self._groups:
            group.start()
        # Not before the process can be stopped again.
        self._reactor.callWhenRunning(self._announce)

    def stopService(self) -> Deferred[None]:
        """
        Stop listening, let transfers end for the time that they get, cut off
        the rest, and close the sessions that were kept for others.

        @return: Fires when nothing is left.
        """
        super().stopService()
        self._stopping = True
        closing: list[Deferred[Any]] = [self._closePorts()]
        inbounds = [listener.inbound for listener in self._ports]
        relaying = 0
        for inbound in inbounds:
            relaying += sum(connection.shutDown() for connection in list(inbound.connections))
            closing.append(inbound.whenEmpty())
        if relaying and self.drain > 0:
            log.info(
                "Waiting up to {seconds} s for {relaying} transfers",
                seconds=self.drain,
                relaying=relaying,
            )
        cutOff: IDelayedCall = self._reactor.callLater(self.drain, self.abortConnections)

        def done(_: object) -> Deferred[None]:
            if cutOff.active():
                cutOff.cancel()
            return closeSessions([self._chain, *self._groups], GOODBYE)

        return DeferredList(closing).addCallback(done)

    def abortConnections(self) -> None:
        """
        Cut off whatever is under way.
        """
        for listener in self._ports:
            for connection in list(listener.inbound.connections):
                connection.abort("shut down")

    def report(self) -> list[State]:
        """
        Tell what goes on: the listeners with their connections, the sessions
        that there are on either side, and what all of KCP comes to.
        """
        states = [state for listener in self._listeners for state in listener.report()]
        for group in self._groups:
            states += group.report()
        if self._chain is not None:
            states += self._chain.report()
        if self._stopping:
            # Listeners know no more of ports that they have closed.
            states += [state for port in self._endpointPorts for state in reportOf(port)]
        return states + totalOf(states)

    @property
    def _ports(self) -> list[ProxyPort]:
        """
        Give all ports for connections.
        """
        others = [listener for group in self._groups for listener in group.listeners]
        return [*self._listeners, *others]

    def _outboundFor(self, origin: ClientOrigin) -> IOutbound:
        free = origin.local or self._configuration.allowPrivate
        policy = self._anyAddress if free else self._publicAddresses
        # All clients of this host have one address.
        client = None if origin.local else origin.source
        outbound = self._outbound(policy, client, self._exposure)
        fakes = None if self._dns is None else self._dns.fakes
        return outbound if fakes is None else NamedOutbound(outbound, fakes, self._reactor.seconds)

    def _outboundToForward(self, listener: str) -> IOutbound:
        # Where it leads to is not for clients to choose, and its sockets need
        # not be reached by anybody who was not asked.
        return self._outbound(self._anyAddress, listener, None)

    def _outbound(
        self, policy: IAddressPolicy, client: str | None, exposure: Exposure | None
    ) -> IOutbound:
        if self._chain is not None:
            return ChainOutbound(self._chain, policy)
        return DirectOutbound(
            self._reactor,
            self._reactor,
            self._resolver,
            policy,
            client,
            self._configuration.direct,
            exposure,
        )

    def _userIDCheckers(self) -> list[ICredentialsChecker]:
        """
        Give what decides about the users of SOCKS4, if anything does.
        """
        configuration = self._configuration
        users = frozenset(configuration.socks4Users) or None
        if configuration.ident:
            return [IdentChecker(self._reactor, configuration.ident, users)]
        return [] if users is None else [UserIDChecker(users)]

    def _shadowsocksServers(self) -> list[ShadowsocksServer]:
        configuration, patience = self._configuration, drawPatience()
        return [
            ShadowsocksServer(
                self._reactor,
                url,
                self._listen,
                patience=patience,
                state=_saltsIn(configuration.stateFolder, url),
            )
            for url in configuration.shadowsocks
        ]

    def _proxyFactory(self, inbound: Inbound) -> ProxyFactory:
        forwarding = replace(DEFAULT_FORWARDING, identity=self._configuration.forwarded)
        return ProxyFactory(inbound, forwarding=forwarding)

    def _listen(
        self, description: str, factoryFor: Callable[[Inbound], InboundFactory]
    ) -> ProxyPort:
        configuration = self._configuration
        shown = withoutSecrets(description)
        inbound = Inbound(
            self._portal,
            self._reactor,
            listener=shown,
            timers=configuration.timers,
            limits=configuration.limits,
            throttle=self._throttle,
            exposure=self._exposure,
            reassembling=configuration.reassembling,
        )
        try:
            endpoint = serverFromString(self._reactor, description.removeprefix(BALANCED))
        except Exception as e:
            # Parsers are plugins and raise what they like.
            reason = reasonOf(e)
            if isinstance(e, LookupError) and description.startswith("systemd:"):
                reason = "systemd has passed no such socket"
            raise ConfigurationError(f"cannot listen on {shown}: {reason}") from e
        listener = ProxyPort(shown, inbound)
        factory = factoryFor(inbound)
        if description.startswith(BALANCED):
            factory = BalancedFactory(factory, configuration.balancers)
        listener.start(endpoint.listen(factory).addCallback(self._keepForReport))
        return listener

    def _keepForReport(self, port: IListeningPort) -> IListeningPort:
        self._endpointPorts.append(port)
        return port

    def _refuseOpenRelay(self, listener: ProxyPort) -> None:
        closed = listener.inbound.local or listener.keyed
        if not closed and self._admitsAnybody and not self._configuration.openRelay:
            raise ConfigurationError(
                f"{listener.description} would let anybody use this proxy:"
                " give --auth, or --open-relay if that is what you want"
            )

    def _closePorts(self) -> Deferred[Any]:
        stopping = [listener.stop() for listener in self._listeners]
        return DeferredList([*stopping, *(group.stop() for group in self._groups)])

    def _announce(self) -> None:
        """
        Say what listens where, for whom, and how to try it.
        """
        anybody = self._admitsAnybody
        if self._chain is not None:
            log.info("Connections leave through {via}", via=str(self._chain))
        for listener in self._listeners:
            log.info(
                "{description} is open for {protocols}, authentication {auth}{where}",
                description=listener.description,
                protocols=("SOCKS4, SOCKS4a, " if self._servesSOCKS4 else "") + "SOCKS5 and HTTP",
                auth="by the key" if anybody and listener.keyed else "off" if anybody else "on",
                where=listener.where(),
            )
            example = listener.example("" if anybody else "--proxy-user USER ")
            if example and (anybody or self._takesPasswords):
                log.info("Try: {example}", example=example)
            if not listener.inbound.local:
                self._warnOf(listener)
        for group in self._groups:
            group.announce()

    def _warnOf(self, listener: ProxyPort) -> None:
        if self._admitsAnybody and not listener.keyed:
            log.warn(
                "--open-relay: whoever reaches {description} can use this proxy",
                description=listener.description,
            )
        if self._configuration.allowPrivate:
            log.warn(
                "--allow-private: clients of {description} can reach internal addresses",
                description=listener.description,
            )


def _saltsIn(folder: str | None, url: ShadowsocksURL) -> str | None:
    """
    Give the path of the file with the salts that a server has seen.
    """
    if folder is None:
        return None
    place = re.sub(r"[^0-9A-Za-z.]+", "-", str(url.address))
    return os.path.join(folder, f"shadowsocks{place}.salts")
