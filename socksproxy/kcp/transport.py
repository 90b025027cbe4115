"""
A KCP session as a Twisted transport.

KCP has no end of stream: a peer that has gone is like a peer that is silent.
What ends a session is listed with L{SessionTimers}, and the application is told
with C{ConnectionDone} only when this side has asked for the end and everything
it had written has been acknowledged. Who needs to know that the other side has
finished says so in a protocol of its own on top, as smux does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IProtocol,
    IPushProducer,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.events import log
from socksproxy.kcp.pipeline import Pipeline
from socksproxy.kcp.statistics import SessionStatistics

TURN = 1 << 20
"""
Octets that a session is given before others get their turn.
"""


@dataclass(frozen=True, slots=True)
class SessionTimers:
    """
    What ends a session, in seconds; L{None} is never.

    @ivar dead: Data is under way, and the peer acknowledges none of it.
    @ivar idle: The peer sends nothing at all.
    @ivar linger: After C{loseConnection}, for what has been written to be
        acknowledged.
    """

    dead: float | None = 30.0
    idle: float | None = None
    linger: float = 30.0


class SessionOwner(Protocol):
    """
    What has the socket of a session.
    """

    def touched(self, session: KCPTransport) -> None:
        """
        A session has something to send, or to be given, soon.
        """

    def ended(self, session: KCPTransport) -> None:
        """
        A session is over.
        """


@implementer(ITransport, IConsumer, IPushProducer)
class KCPTransport:
    """
    One session.

    Back pressure works as it does with TCP: while reading is paused the window
    that the peer is told closes, and a producer is paused while a window of
    segments waits to be sent or acknowledged.

    @ivar pipeline: The session without its socket.
    @ivar conversation: conv.
    @ivar protocol: The application, or L{None} before there is one.
    @ivar disconnecting: C{loseConnection} has been called.
    @ivar connected: It is not over.
    """

    def __init__(
        self,
        owner: SessionOwner,
        pipeline: Pipeline,
        host: IAddress,
        peer: IAddress,
        timers: SessionTimers,
    ) -> None:
        """
        @param owner: Has the socket.
        @param pipeline: The session.
        @param host: The local address.
        @param peer: The peer's address.
        @param timers: What ends it.
        """
        self.pipeline = pipeline
        self.conversation = pipeline.control.conversation
        self.protocol: IProtocol | None = None
        self.disconnecting = False
        self.connected = True
        self._owner = owner
        self._host = host
        self._peer = peer
        self._timers = timers
        self._control = pipeline.control
        self._readingPaused = False
        self._producer: Any = None
        self._streaming = False
        self._producerPaused = False
        self._progress = 0
        self._progressTs: int | None = None
        self._heardTs: int | None = None
        self._closingTs: int | None = None
        self._closing = False

    def __repr__(self) -> str:
        return f"<KCPTransport {self.conversation:08x} with {self._peer}>"

    @property
    def statistics(self) -> SessionStatistics:
        """
        The session's counters.
        """
        return self.pipeline.count()

    @property
    def srtt(self) -> int:
        """
        The smoothed round trip time in milliseconds; 0 if none is known.
        """
        return self._control.srtt

    @property
    def rto(self) -> int:
        """
        The retransmission timeout in milliseconds.
        """
        return self._control.rto

    # What the application calls.

    def write(self, data: bytes) -> None:
        """
        See C{ITransport}.
        """
        if not self.connected or self.disconnecting or not data:
            return
        self._control.send(bytes(data))
        self._owner.touched(self)
        if self._producer is not None and self._isFull and not self._producerPaused:
            self._producerPaused = True
            if self._streaming:
                self._producer.pauseProducing()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """
        See C{ITransport}.
        """
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """
        See C{ITransport}. What has been written is delivered first; a producer
        may go on until it unregisters.
        """
        if self.connected and not self._closing:
            self._closing = True
            self.disconnecting = self._producer is None
            self._owner.touched(self)

    def abortConnection(self) -> None:
        """
        End the session now, whatever is under way.
        """
        self.end(Failure(ConnectionAborted()))

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
        self._readingPaused = True

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        if self._readingPaused and self.connected:
            self._readingPaused = False
            if self._control.readable:
                self._owner.touched(self)

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self.loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        See C{IConsumer}.

        @raise RuntimeError: There is one already.
        """
        if self._producer is not None:
            raise RuntimeError(f"{self} has a producer already")
        if not self.connected:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        self._producerPaused = False
        if not streaming:
            producer.resumeProducing()
        elif self._isFull:
            self._producerPaused = True
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """
        See C{IConsumer}.
        """
        self._producer = None
        if self._closing and self.connected:
            self.disconnecting = True
            self._owner.touched(self)

    # What its owner calls.

    def start(self, protocol: IProtocol, now: int) -> None:
        """
        Connect an application.

        @param now: Milliseconds.
        """
        self.protocol = protocol
        self._heardTs = now
        protocol.makeConnection(self)

    def input(self, payloads: list[bytes], octets: int, now: int) -> None:
        """
        Take what has come. Nothing is called before L{deliver}.

        @param payloads: Decrypted datagrams.
        @param octets: Of the datagrams.
        @param now: Milliseconds.
        """
        self._heardTs = now
        self.pipeline.input(payloads, now, octets)

    def deliver(self) -> bool:
        """
        Give the application what it may have, and its producer a turn.

        @return: There is more, but others have to have their turn.
        """
        control = self._control
        given = 0
        while given < TURN and self._mayRead:
            data = control.receiveStream()
            given += len(data)
            if data:
                self._give(data)
        if self._producerMayGoOn:
            self._producerPaused = False
            self._producer.resumeProducing()
        return self._mayRead

    @property
    def _mayRead(self) -> bool:
        return self.connected and not self._readingPaused and self._control.readable > 0

    def _give(self, data: bytes) -> None:
        try:
            self.protocol.dataReceived(data)  # type: ignore[union-attr]
        except Exception:
            log.failure("An application over KCP failed")
            self.end(Failure())

    @property
    def _producerMayGoOn(self) -> bool:
        if self._producer is None or not self.connected:
            return False
        if self._streaming and not self._producerPaused:
            return False
        return self._control.waiting <= self._control.config.sndwnd // 2

    @property
    def _isFull(self) -> bool:
        return self._control.waiting >= self._control.config.sndwnd

    def flush(self, now: int) -> Iterator[list[bytes]]:
        """
        Give the datagrams that are to be sent now, if any are, in batches.

        @param now: Milliseconds.
        """
        finished = self.disconnecting and not self._control.waiting
        # At the end, and before anything is certain, without waiting for more.
        if finished or not self._control.proven or self.pipeline.nextDeadline(now) == 0:
            return self.pipeline.batches(now)
        return iter(())

    def nextDeadline(self, now: int) -> int | None:
        """
        Say in how many milliseconds L{flush} or L{expire} has to be called.
        L{None}: there is nothing to wait for but the peer.
        """
        waits = [self.pipeline.nextDeadline(now)]
        waits += [None if end is None else end - now for end in self._ends(now)]
        found = [wait for wait in waits if wait is not None]
        return max(min(found), 0) if found else None

    def _ends(self, now: int) -> tuple[int | None, int | None, int | None]:
        """
        Say when the session is over: for being dead, idle, and for lingering.
        """
        timers, control = self._timers, self._control
        if control.progress != self._progress or not control.waiting:
            self._progress = control.progress
            self._progressTs = None
        if control.waiting and self._progressTs is None:
            self._progressTs = now
        return (
            _after(self._progressTs, timers.dead),
            _after(self._heardTs, timers.idle),
            _after(self._closingTs, timers.linger),
        )

    def expire(self, now: int) -> None:
        """
        End the session if it is time to.
        """
        if self.disconnecting:
            if self._closingTs is None:
                self._closingTs = now
            if not self._control.waiting:
                self.end(Failure(ConnectionDone()))
                return
        dead, idle, linger = self._ends(now)
        if dead is not None and now >= dead:
            self.end(Failure(ConnectionLost("the peer acknowledges nothing")))
        elif idle is not None and now >= idle:
            self.end(Failure(ConnectionLost("the peer is silent")))
        elif linger is not None and now >= linger:
            self.end(Failure(ConnectionLost("not everything was acknowledged in time")))

    def end(self, reason: Failure) -> None:
        """
        The session is over.

        @param reason: What the application is told.
        """
        if not self.connected:
            return
        self.connected = False
        self._owner.ended(self)
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connectionLost(reason)


def _after(moment: int | None, seconds: float | None) -> int | None:
    return None if moment is None or seconds is None else moment + int(seconds * 1000)
