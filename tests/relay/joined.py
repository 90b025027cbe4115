"""
Two legs in memory, for tests to join, and transports with the habits of real
ones.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from zope.interface import implementer

from socksproxy.relay import Leg, Relay, RelayResult, RelayTimers
from socksproxy.testing import CAPACITY, MemoryTransport

PATIENT = RelayTimers(idle=0.0)
"""
The usual timers without the one that always runs.
"""

FULL = b"x" * (CAPACITY + 1)
"""
What a transport has enough of.
"""


class NoHalfClose(MemoryTransport):
    """
    A transport that knows no half-close, as a pipe of two processes may not:
    either side's end is the end of both directions.
    """

    @property
    def loseWriteConnection(self) -> None:
        """
        Not be there.

        @raise AttributeError: Always.
        """
        raise AttributeError("loseWriteConnection")

    def peerEnds(self) -> None:
        """
        Close the connection.
        """
        self._lose(ConnectionDone())


@implementer(ISSLTransport)
class TLSTransport(MemoryTransport):
    """
    A transport over TLS. It has C{loseWriteConnection}, as Twisted's has from
    the transport below, which must not be called.
    """

    def peerEnds(self) -> None:
        """
        Close the connection, which is all that TLS has.
        """
        self._lose(ConnectionDone())

    def loseWriteConnection(self) -> None:
        """
        Fail.

        @raise AssertionError: Always.
        """
        raise AssertionError("a half-close below TLS truncates the stream")

    def getPeerCertificate(self) -> None:
        """
        See C{ISSLTransport}.
        """


class QueueingTransport(MemoryTransport):
    """
    A transport whose queue can be seen and is emptied by and by, as that of
    Twisted's TCP: a close or a half-close takes effect once the queue is
    empty, and a close after a half-close at once, within the call.
    """

    offset = 0
    _tempDataLen = 0
    _halfClosing = False

    @property
    def dataBuffer(self) -> bytes:
        """
        See C{twisted.internet.abstract.FileDescriptor}.
        """
        return b"".join(self._written)

    def takeSome(self, count: int) -> bytes:
        """
        Read some of what the protocol has written.

        @param count: Most octets to read.
        """
        data = self.dataBuffer
        self._written[:] = [data[count:]] if data[count:] else []
        if not self._written:
            self._emptied()
        return data[:count]

    def take(self) -> bytes:
        """
        Read all that the protocol has written.
        """
        return self.takeSome(len(self.dataBuffer))

    def loseWriteConnection(self) -> None:
        """
        See C{ITCPTransport}.
        """
        self._halfClosing = True
        if not self._written:
            self._emptied()

    def loseConnection(self) -> None:
        """
        See C{ITransport}.
        """
        if self.disconnecting or self.lost:
            return
        self.disconnecting = True
        if self.ended:
            self._lose(ConnectionDone())
        elif not self._written:
            self._clock.callLater(0, self._emptied)

    def _emptied(self) -> None:
        if self.producer is not None and self._producerPaused:
            self._producerPaused = False
            self.producer.resumeProducing()
        elif self.disconnecting:
            self._lose(ConnectionDone())
        elif self._halfClosing:
            self.ended = True


class Joined:
    """
    A relay between two transports.

    @ivar clock: Time.
    @ivar client: The client's transport.
    @ivar target: The target's transport.
    @ivar relay: The relay, not started.
    @ivar results: What the relay has said at its end.
    """

    def __init__(
        self,
        timers: RelayTimers = PATIENT,
        client: type[MemoryTransport] = MemoryTransport,
        target: type[MemoryTransport] = MemoryTransport,
    ) -> None:
        """
        @param timers: The relay's timers.
        @param client: The kind of the client's transport.
        @param target: The kind of the target's transport.
        """
        self.clock = Clock()
        self.clientLeg, self.targetLeg = Leg(), Leg()
        self.client = client(self.clock, self.clientLeg)
        self.target = target(self.clock, self.targetLeg)
        self.clientLeg.makeConnection(self.client)
        self.targetLeg.makeConnection(self.target)
        self.results: list[RelayResult] = []
        self.relay = Relay(self.clock, self.clientLeg, self.targetLeg, timers, self.results.append)

    def start(self, earlyData: bytes = b"", clientEnded: bool = False) -> Joined:
        """
        Start the relay.

        @return: This object.
        """
        self.relay.start(earlyData, clientEnded)
        return self

    def settle(self) -> None:
        """
        Let what is under way happen, without time passing.
        """
        while any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
            self.clock.advance(0)

    def wait(self, seconds: int) -> None:
        """
        Let time pass, second by second.
        """
        for _ in range(seconds):
            self.clock.advance(1)
        self.settle()

    @property
    def over(self) -> bool:
        """
        Whether nothing is left: both connections are gone, the end has been
        told once, and no timer runs.
        """
        return (
            self.client.lost
            and self.target.lost
            and len(self.results) == 1
            and not self.clock.getDelayedCalls()
        )

    @property
    def untouched(self) -> bool:
        """
        Whether the relay has not cut anything off.
        """
        return not (self.client.aborted or self.target.aborted or self.results)
