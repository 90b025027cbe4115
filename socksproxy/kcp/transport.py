"""
A KCP session as a Twisted transport.

KCP has no end of stream: a peer that has gone is like a peer that is silent.
What ends a session is listed with L{SessionTimers}, and the application is told
with C{ConnectionDone} only when this side has asked for the end and everything
it had written has been acknowledged. Who needs to know that the other side has
finished says so in a protocol of its own on top, as smux does.

As with TCP, an application is never told of the end within a call of its own,
and is given nothing more once it has asked for the end. Of a session in which
the peer has sent something, it is told a few round trips later than it could
be: the peer may have to be told once more that all has arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
from socksproxy.kcp._liveness import Liveness, SessionTimers
from socksproxy.kcp._sending import MAX_FRAGMENTS
from socksproxy.kcp.pipeline import Pipeline
from socksproxy.kcp.statistics import SessionStatistics

__all__ = ["TURN", "KCPTransport", "SessionOwner", "SessionTimers"]

RESERVE = 64
"""
Segments beyond what the windows admit that wait for their turn before a
producer is paused.
"""

TURN = 1 << 20
"""
Octets that a session is given before others get their turn.
"""


class SessionOwner(Protocol):
    """
    What has the socket of a session.
    """

    def now(self) -> int:
        """
        Give the time in milliseconds.
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
    @ivar disconnecting: The application has asked for the end.
    @ivar connected: It is not over.
    @ivar began: When it began, in milliseconds.
    @ivar reason: Why it is over, or is going to be as soon as that can be told.
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
        self._control = pipeline.control
        self._liveness = Liveness(timers)
        self.began = 0
        self.reason: Failure | None = None
        self._readingPaused = False
        self._producer: Any = None
        self._streaming = False
        # The producer writes nothing before it is resumed.
        self._producerWaits = False

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

    @property
    def stalled(self) -> float:
        """
        For how many seconds data has been under way, and the peer has
        acknowledged nothing new though it has room; 0.0 if nothing waits.
        """
        return self._liveness.stalled(self._owner.now()) / 1000

    # What the application calls.

    def write(self, data: bytes) -> None:
        """
        See C{ITransport}. What is written after C{loseConnection}, and not by
        a producer, is dropped.
        """
        if not data or self._isFinal:
            return
        if type(data) is not bytes:
            data = bytes(memoryview(data))
        control = self._control
        if control.config.stream:
            control.send(data)
        else:
            longest = control.mss * min(MAX_FRAGMENTS, control.config.rcvwnd)
            for at in range(0, len(data), longest):
                control.send(data[at : at + longest])
        self._owner.touched(self)
        if self._producer is None or self._producerWaits:
            return
        if not self._streaming:
            self._producerWaits = True
        elif self._isFull:
            self._producerWaits = True
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
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            self._owner.touched(self)

    def abortConnection(self) -> None:
        """
        See C{ITCPTransport}: end the session, whatever is under way. The peer
        is told nothing.
        """
        self.fail(Failure(ConnectionAborted()))

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
        if self._readingPaused:
            self._readingPaused = False
            if self.hasMore:
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
        if self._isFinal:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        self._producerWaits = not streaming
        if streaming:
            if self._isFull:
                self._producerWaits = True
                producer.pauseProducing()
        elif self._producerMayGoOn:
            self._producerWaits = False
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """
        See C{IConsumer}.
        """
        self._producer = None
        self._producerWaits = False
        if self.disconnecting and self.connected:
            self._owner.touched(self)

    @property
    def _isFinal(self) -> bool:
        """
        Whether nothing more can be written.
        """
        if not self.connected or self.reason is not None:
            return True
        return self.disconnecting and self._producer is None

    @property
    def _isFull(self) -> bool:
        return self._control.queued >= self._control.room + RESERVE

    @property
    def _producerMayGoOn(self) -> bool:
        return (
            self._producerWaits
            and self.reason is None
            and self._control.queued <= self._control.room + RESERVE // 2
        )

    # What its owner calls.

    def start(self, protocol: IProtocol, now: int) -> None:
        """
        Connect an application. What that raises is for the caller.

        @param now: Milliseconds.
        """
        self.protocol = protocol
        self.began = now
        self._liveness.heard(now)
        protocol.makeConnection(self)

    def input(self, payloads: list[bytes], octets: int, now: int) -> None:
        """
        Take what has come. Nothing is called before L{deliver}.

        @param payloads: Decrypted datagrams.
        @param octets: Of the datagrams.
        @param now: Milliseconds.
        """
        self._liveness.heard(now)
        self.pipeline.input(payloads, now, octets)

    @property
    def hasMore(self) -> bool:
        """
        Whether something waits that the application may be given.
        """
        return (
            self._control.readable > 0
            and self.connected
            and not (self._readingPaused or self.disconnecting)
        )

    def deliver(self) -> None:
        """
        Give the application what it may have, up to a turn's worth, and its
        producer the room that there is.
        """
        given = 0
        while given < TURN and self.hasMore:
            data = self._control.receiveStream()
            if data:
                given += len(data)
                self._tell(self.protocol.dataReceived, data)  # type: ignore[union-attr]
        while self._producerMayGoOn:
            # One that has nothing to write now does not wait afterwards.
            self._producerWaits = False
            self._tell(self._producer.resumeProducing)

    def flush(self, now: int) -> Iterator[list[bytes]]:
        """
        Give the datagrams that are to be sent now, if any are, in batches.

        @param now: Milliseconds.
        """
        if self.reason is not None:
            return iter(())
        finished = self._isFinal and not self._control.waiting
        # At the end, and before anything is certain, without waiting for more.
        if finished or not self._control.proven or self.pipeline.nextDeadline(now) == 0:
            return self.pipeline.batches(now)
        return iter(())

    def expire(self, now: int) -> None:
        """
        End the session if it is time to.

        @param now: Milliseconds.
        """
        control, liveness = self._control, self._liveness
        waiting = control.waiting > 0
        if self._isFinal:
            if self.reason is not None or not (waiting or self._rests(now)):
                self.end(Failure(ConnectionDone()))
                return
            liveness.closing(now)
        liveness.look(control.progress, waiting, control.rmtWnd == 0, now)
        verdict = liveness.verdict(now)
        if verdict is not None:
            self.end(Failure(ConnectionLost(verdict)))

    def _rests(self, now: int) -> bool:
        """
        Whether the session stays for the sake of the peer, which has sent
        something.
        """
        control = self._control
        hasRead = self.pipeline.statistics.bytesReceived > 0 or control.readable > 0
        return hasRead and self._liveness.rests(now, control.rto)

    def nextDeadline(self, now: int) -> int | None:
        """
        Say in how many milliseconds L{flush} and L{expire} have to be called
        again. L{None}: there is nothing to wait for but the peer.

        @param now: Milliseconds.
        """
        wait = self.pipeline.nextDeadline(now)
        end = self._liveness.deadline
        if end is None:
            return wait
        left = max(end - now, 0)
        return left if wait is None else min(left, wait)

    def fail(self, reason: Failure) -> None:
        """
        Have the session end in this turn of the reactor or the next, and send
        nothing more.

        @param reason: What the application is told.
        """
        if self.connected and self.reason is None:
            self.reason = reason
            self.disconnecting = True
            self._owner.touched(self)

    def end(self, reason: Failure) -> None:
        """
        The session is over.

        @param reason: What the application is told, unless the session has
            failed before.
        """
        if not self.connected:
            return
        self.connected = False
        self.reason = self.reason or reason
        self._owner.ended(self)
        producer, self._producer = self._producer, None
        protocol, self.protocol = self.protocol, None
        self._producerWaits = False
        if producer is not None:
            self._tell(producer.stopProducing)
        if protocol is not None:
            self._tell(protocol.connectionLost, self.reason)

    def _tell(self, told: Callable[..., Any], *arguments: Any) -> None:
        """
        Call the application, whose failure must not concern anybody else.
        """
        try:
            told(*arguments)
        except Exception:
            log.failure("An application over KCP failed: {session}", session=self)
            self.fail(Failure())
