"""
For tests of programs that use socksproxy, and for its own: connections and a
network in memory, on a clock that the test moves.

::

    network = ScriptedNetwork({"192.0.2.1:80": "accept", "web.test": ["192.0.2.1"]})
    client = MemoryTransport.connect(network, ProxyFactory(Inbound(portal, network)))
    client.peerSends(b"\\x05\\x01\\x00")
    assert client.take() == b"\\x05\\x00"
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    getConnectError,
)
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IConsumer,
    IHalfCloseableProtocol,
    IHostnameResolver,
    IHostResolution,
    IProducer,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IResolutionReceiver,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.inbound import shownAddress

CAPACITY = 65536
"""
Octets that a L{MemoryTransport} holds before it pauses its producer.
"""


def tcpAddress(host: str, port: int) -> IPv4Address | IPv6Address:
    """
    Make a transport's address.
    """
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)


@implementer(ITransport, IPushProducer, IConsumer)
class MemoryTransport:
    """
    A stream transport whose peer is the test. What the peer does while the
    protocol has paused it waits until it is resumed, and what the protocol
    closes is lost a turn of the clock later, both as in a real one.

    @ivar ended: The protocol has ended its stream.
    @ivar aborted: The protocol has dropped the connection.
    @ivar lost: The protocol knows that the connection is gone.
    @ivar paused: The protocol does not want to be given anything.
    @ivar producer: What the protocol has registered.
    """

    def __init__(
        self,
        clock: Clock,
        protocol: IProtocol,
        host: IAddress | None = None,
        peer: IAddress | None = None,
    ) -> None:
        self._clock = clock
        self._protocol = protocol
        self._host = host or tcpAddress("127.0.0.1", 1080)
        self._peer = peer or tcpAddress("127.0.0.1", 40000)
        self._written: list[bytes] = []
        self._incoming: list[bytes | None] = []
        self.ended = False
        self.aborted = False
        self.lost = False
        self.paused = False
        self.disconnecting = False
        self.producer: IPushProducer | None = None
        self._producerPaused = False

    @classmethod
    def connect(
        cls,
        clock: Clock,
        factory: IProtocolFactory,
        host: IAddress | None = None,
        peer: IAddress | None = None,
    ) -> MemoryTransport:
        """
        Connect to a factory's protocol.

        @raise ValueError: The factory does not want the connection.
        """
        protocol = factory.buildProtocol(peer or tcpAddress("127.0.0.1", 40000))
        if protocol is None:
            raise ValueError("the factory built no protocol")
        transport = cls(clock, protocol, host, peer)
        protocol.makeConnection(transport)
        return transport

    # The peer's side, for the test.

    def peerSends(self, data: bytes) -> None:
        """
        Give the protocol bytes, or keep them while it is paused.
        """
        self._incoming.append(data)
        self._deliver()

    def peerEnds(self) -> None:
        """
        End the peer's stream.
        """
        self._incoming.append(None)
        self._deliver()

    def peerResets(self) -> None:
        """
        Reset the connection.
        """
        self._lose(ConnectionLost())

    def take(self) -> bytes:
        """
        Read all that the protocol has written.
        """
        data = b"".join(self._written)
        self._written.clear()
        if self._producerPaused and self.producer is not None:
            self._producerPaused = False
            self.producer.resumeProducing()
        return data

    # The protocol's side.

    def write(self, data: bytes) -> None:
        """
        See C{ITransport}.
        """
        if self.ended or self.lost:
            return
        self._written.append(data)
        full = sum(len(chunk) for chunk in self._written) > CAPACITY
        if full and self.producer is not None and not self._producerPaused:
            self._producerPaused = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """
        See C{ITransport}.
        """
        self.write(b"".join(data))

    def loseWriteConnection(self) -> None:
        """
        See C{ITCPTransport}.
        """
        self.ended = True

    def loseConnection(self) -> None:
        """
        See C{ITransport}.
        """
        self.disconnecting = True
        if self.producer is None and not self.lost:
            self.ended = True
            self._clock.callLater(0, self._lose, ConnectionDone())

    def abortConnection(self) -> None:
        """
        See C{ITCPTransport}.
        """
        if not self.aborted and not self.lost:
            self.aborted = self.disconnecting = self.ended = True
            self._clock.callLater(0, self._lose, ConnectionAborted())

    def getHost(self) -> IAddress:
        """
        See C{ITransport}.
        """
        return self._host

    def getPeer(self) -> IAddress:
        """
        See C{ITransport}.
        """
        return self._peer

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.paused = True

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.paused = False
        self._deliver()

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.loseConnection()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        See C{IConsumer}.

        @raise RuntimeError: There is one already.
        """
        if self.producer is not None:
            raise RuntimeError("a producer is registered already")
        self.producer = IPushProducer(producer)

    def unregisterProducer(self) -> None:
        """
        See C{IConsumer}.
        """
        self.producer = None
        self._producerPaused = False
        if self.disconnecting:
            self.loseConnection()

    def _deliver(self) -> None:
        while self._incoming and not (self.paused or self.disconnecting or self.lost):
            data = self._incoming.pop(0)
            if data is not None:
                self._protocol.dataReceived(data)
                continue
            halfCloseable = IHalfCloseableProtocol(self._protocol, None)
            if halfCloseable is None:
                self._lose(ConnectionDone())
            else:
                halfCloseable.readConnectionLost()

    def _lose(self, reason: Exception) -> None:
        if not self.lost:
            self.lost = self.ended = True
            self._protocol.connectionLost(Failure(reason))


@dataclass(frozen=True)
class Attempt:
    """
    A connection that somebody has tried to make.

    @ivar host: The address dialled.
    @ivar port: The port dialled.
    @ivar transport: The connection, where there is one.
    """

    host: str
    port: int
    transport: MemoryTransport | None


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
    """

    def __init__(self, world: Mapping[str, str | Sequence[str]] | None = None) -> None:
        super().__init__()
        self.world = dict(world or {})
        self.attempts: list[Attempt] = []
        self.queries: list[str] = []
        self.cancelled = 0
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
        connector = _Connector(self, destination, factory)
        outcome = self.world.get(shownAddress(destination), "ECONNREFUSED")
        connector.start(str(outcome))
        return connector

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
        self, network: ScriptedNetwork, destination: IPv4Address | IPv6Address, factory: Any
    ) -> None:
        self._network = network
        self._destination = destination
        self._factory = factory
        self._over = False

    def start(self, outcome: str) -> None:
        destination = self._destination
        if outcome == "accept":
            self._network.callLater(0, self._accept)
            return
        self._network.attempts.append(Attempt(destination.host, destination.port, None))
        if outcome != "timeout":
            self._network.callLater(0, self._fail, getattr(errno, outcome))

    def connect(self) -> None:
        raise NotImplementedError("this attempt is made once")

    def disconnect(self) -> None:
        self.stopConnecting()

    def stopConnecting(self) -> None:
        if not self._over:
            self._over = True
            self._network.cancelled += 1

    def getDestination(self) -> IAddress:
        return self._destination

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
        self._network.attempts.append(Attempt(destination.host, destination.port, transport))
        protocol.makeConnection(transport)

    def _fail(self, number: int) -> None:
        if not self._over:
            self._over = True
            error = getConnectError((number, errno.errorcode[number]))
            self._factory.clientConnectionFailed(self, Failure(error))
