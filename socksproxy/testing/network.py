"""
What there is to dial, to resolve and to listen on, by a script.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import (
    CannotListenError,
    getConnectError,
)
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IHostnameResolver,
    IHostResolution,
    IProtocolFactory,
    IResolutionReceiver,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.inbound import shownAddress
from socksproxy.testing.listeners import MemoryDatagrams, MemoryListener
from socksproxy.testing.streams import MemoryTransport, tcpAddress

FIRST_PORT = 49152
"""
The first port that is given to who does not care.
"""


@dataclass(frozen=True)
class Attempt:
    """
    A connection that somebody has tried to make.

    @ivar host: The address dialled.
    @ivar port: The port dialled.
    @ivar transport: The connection, where there is one.
    @ivar bindAddress: The address to dial from, where one was asked for.
    """

    host: str
    port: int
    transport: MemoryTransport | None
    bindAddress: tuple[str, int] | None = None


@implementer(IHostnameResolver)
class ScriptedNetwork(Clock):
    """
    A clock, a resolver and something to dial with, all by a script, in one
    object that can be passed where a reactor is wanted.

    @ivar world: What there is. C{"192.0.2.1:80"} to C{"accept"}, C{"timeout"}
        or the name of an errno; C{"web.test"} to a list of addresses. What is
        not there is refused, or is no name.
    @ivar attempts: What has been dialled, in order.
    @ivar queries: The names that have been looked up, in order.
    @ivar cancelled: How many attempts have been given up.
    @ivar listeners: The ports that have been opened for connections.
    @ivar datagrams: The sockets that have been opened for datagrams.
    """

    def __init__(self, world: Mapping[str, str | Sequence[str]] | None = None) -> None:
        super().__init__()
        self.world = dict(world or {})
        self.attempts: list[Attempt] = []
        self.queries: list[str] = []
        self.cancelled = 0
        self.listeners: list[MemoryListener] = []
        self.datagrams: list[MemoryDatagrams] = []
        self.nameResolver = self

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float | None = 30,
        bindAddress: tuple[str, int] | None = None,
    ) -> IConnector:
        """
        See C{IReactorTCP}. The outcome comes with the next turn of the clock.
        """
        destination = tcpAddress(host, port)
        connector = _Connector(self, destination, factory, bindAddress)
        outcome = self.world.get(shownAddress(destination), "ECONNREFUSED")
        connector.start(str(outcome))
        return connector

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> MemoryListener:
        """
        See C{IReactorTCP}.

        @raise CannotListenError: The port is taken.
        """
        listeners = [listener for listener in self.listeners if listener.open]
        port = self._choose(port, interface, [listener.getHost().port for listener in listeners])
        listener = MemoryListener(self, factory, interface or "0.0.0.0", port)  # noqa: S104
        self.listeners.append(listener)
        return listener

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192
    ) -> MemoryDatagrams:
        """
        See C{IReactorUDP}.

        @raise CannotListenError: The port is taken.
        """
        taken = [datagrams.port for datagrams in self.datagrams if datagrams.open]
        port = self._choose(port, interface, taken)
        datagrams = MemoryDatagrams(self, protocol, interface or "0.0.0.0", port)  # noqa: S104
        self.datagrams.append(datagrams)
        return datagrams

    def _choose(self, port: int, interface: str, taken: Sequence[int]) -> int:
        if port in taken:
            raise CannotListenError(interface, port, OSError(errno.EADDRINUSE, "in use"))
        return port or next(free for free in count(FIRST_PORT) if free not in taken)

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """
        See C{IHostnameResolver}.
        """
        self.queries.append(hostName)
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        addresses = self.world.get(hostName, ())
        for address in () if isinstance(addresses, str) else addresses:
            resolutionReceiver.addressResolved(tcpAddress(address, portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        pass


@implementer(IConnector)
class _Connector:
    """
    A connection attempt on a L{ScriptedNetwork}.
    """

    def __init__(
        self,
        network: ScriptedNetwork,
        destination: IPv4Address | IPv6Address,
        factory: Any,
        bindAddress: tuple[str, int] | None,
    ) -> None:
        self._network = network
        self._destination = destination
        self._factory = factory
        self._bindAddress = bindAddress
        self._transport: MemoryTransport | None = None
        self._over = False

    def start(self, outcome: str) -> None:
        self._factory.doStart()
        self._factory.startedConnecting(self)
        if outcome == "accept":
            self._network.callLater(0, self._accept)
            return
        self._attempted()
        if outcome != "timeout":
            self._network.callLater(0, self._fail, getattr(errno, outcome))

    def connect(self) -> None:
        raise NotImplementedError("this attempt is made once")

    def disconnect(self) -> None:
        if self._transport is not None:
            self._transport.loseConnection()
        else:
            self.stopConnecting()

    def stopConnecting(self) -> None:
        if not self._over:
            self._over = True
            self._network.cancelled += 1

    def getDestination(self) -> IAddress:
        return self._destination

    def _attempted(self) -> None:
        host, port = self._destination.host, self._destination.port
        self._network.attempts.append(Attempt(host, port, self._transport, self._bindAddress))

    def _accept(self) -> None:
        if self._over:
            return
        self._over = True
        destination = self._destination
        protocol = self._factory.buildProtocol(destination)
        if protocol is None:
            return
        local = tcpAddress("::2" if ":" in destination.host else "127.0.0.2", 50000)
        transport = MemoryTransport(self._network, protocol, local, destination)
        self._transport = transport
        self._attempted()
        protocol.makeConnection(transport)

    def _fail(self, number: int) -> None:
        if not self._over:
            self._over = True
            error = getConnectError((number, errno.errorcode[number]))
            self._factory.clientConnectionFailed(self, Failure(error))
