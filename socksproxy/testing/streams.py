"""
A stream transport in memory, whose peer is the test.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
)
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IProducer,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

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
