"""
Out of this host by its own connections and datagrams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Destination, Host, IPAddress
from socksproxy.dns.resolver import BoundedResolver
from socksproxy.errors import ConnectTimedOut, NotAllowed
from socksproxy.exposure import Exposure
from socksproxy.interfaces import (
    IAddressPolicy,
    IBoundPort,
    IDatagramConduit,
    IOutbound,
    Received,
    WayOut,
)
from socksproxy.outbound.bound import BIND_TIMEOUT, BoundPort
from socksproxy.outbound.conduit import DirectConduit
from socksproxy.outbound.eyeballs import Dial
from socksproxy.outbound.vetting import Vetting

CONNECT_TIMEOUT = 30.0
"""
Seconds for looking up and dialling together.
"""


@dataclass(frozen=True, slots=True)
class DirectSettings:
    """
    How the host's own connections and datagrams are made.

    @ivar connectTimeout: Seconds for looking up and dialling together.
    @ivar bindTimeout: Seconds for the expected peer of a BIND to come.
    @ivar anyPeer: A client may leave open whom it expects.
    @ivar strangersFail: A connection from somebody else ends a BIND.
    @ivar fullCone: Let anybody send datagrams to a client's address out
        there, and not only those hosts that it has written to.
    """

    connectTimeout: float = CONNECT_TIMEOUT
    bindTimeout: float = BIND_TIMEOUT
    anyPeer: bool = False
    strangersFail: bool = False
    fullCone: bool = False


DEFAULT_SETTINGS = DirectSettings()


@implementer(IOutbound)
class DirectOutbound:
    """
    Resolves, vets and dials for one client.
    """

    way = WayOut(udp=True)

    def __init__(
        self,
        reactor: Any,
        clock: IReactorTime,
        resolver: BoundedResolver,
        policy: IAddressPolicy,
        client: str | None,
        settings: DirectSettings = DEFAULT_SETTINGS,
        exposure: Exposure | None = None,
    ) -> None:
        """
        @param reactor: What dials and listens.
        @param clock: Time; usually the reactor again.
        @param resolver: What resolves names.
        @param policy: Which addresses may be dialled.
        @param client: For whom names are looked up, or L{None} where clients
            cannot be told apart.
        @param settings: How.
        @param exposure: Where ports are opened; on any that the reactor has,
            by default.
        """
        self._reactor = reactor
        self._clock = clock
        self._vetting = Vetting(resolver, policy, client)
        self._settings = settings
        self._exposure = Exposure(reactor) if exposure is None else exposure

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

        def dial(allowed: list[IPAddress]) -> Deferred[IProtocol]:
            return Dial(self._reactor, self._clock, allowed, destination.port, factory).start()

        connecting = self._vetting.addressesOf(destination.host).addCallback(dial)
        return connecting.addTimeout(self._settings.connectTimeout, self._clock, _timedOut)

    def listen(self, expected: Destination) -> Deferred[IBoundPort]:
        """
        See L{IOutbound}.
        """
        settings = self._settings

        def bind(peers: list[IPAddress] | None) -> IBoundPort:
            return BoundPort(
                self._exposure,
                self._clock,
                peers,
                4 if isinstance(expected.host, str) else expected.host.version,
                settings.bindTimeout,
                settings.strangersFail,
            )

        if not _isWildcard(expected.host):
            return self._vetting.addressesOf(expected.host).addCallback(bind)
        if settings.anyPeer:
            return succeed(None).addCallback(bind)
        return fail(NotAllowed("BIND has to say whom it expects"))

    def conduit(self, received: Received) -> Deferred[IDatagramConduit]:
        """
        See L{IOutbound}.
        """
        conduit: IDatagramConduit = DirectConduit(
            self._exposure, self._clock, self._vetting, received, self._settings.fullCone
        )
        return succeed(conduit)

    def resolve(self, host: Host) -> Deferred[list[IPAddress]]:
        """
        See L{IOutbound}.
        """
        return self._vetting.addressesOf(host)

    def reverse(self, address: IPAddress) -> Deferred[str]:
        """
        See L{IOutbound}.
        """
        return self._vetting.nameOf(address)


@implementer(IStreamClientEndpoint)
class _DirectEndpoint:
    def __init__(self, outbound: DirectOutbound, destination: Destination) -> None:
        self._outbound = outbound
        self._destination = destination

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._outbound.connect(self._destination, protocolFactory)


def _isWildcard(host: Host) -> bool:
    return not isinstance(host, str) and host.is_unspecified


def _timedOut(result: IProtocol | Failure, seconds: float) -> Failure:
    return Failure(ConnectTimedOut())
