"""
One end of a stream: what its application has asked for, and what it has been
told.

It behaves as a connection of TCP does in Twisted. Only data that comes is
passed on at once. All else that an application is to be told waits until
L{StreamEnd.settle}, which is not called from within any of its own calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from typing import Protocol as Interface

from socksproxy.smux._backlog import Backlog
from socksproxy.smux._events import Ended, Event, Failed, Received, Unwanted
from socksproxy.smux._sending import LOW_WATER
from socksproxy.smux._stream import Stream
from socksproxy.smux.session import Session

HIGH_WATER = 65536
"""
Octets in a stream's queue from which on its producer is paused.
"""

PIECE = 65536
"""
Octets of a backlog that an application is given at a time.
"""

TURN = 4 * PIECE
"""
Octets of a backlog that an application is given before others get their turn.
"""


class Mux(Interface):
    """
    Who has the session.
    """

    session: Session

    def touched(self) -> None:
        """
        There may be something to send, or room to read.
        """

    def attend(self, end: Any) -> None:
        """
        There may be something for an end to settle.
        """

    def streamOver(self, end: Any) -> None:
        """
        An application is about to be told that its stream is over.
        """


class StreamEnd:
    """
    One end.

    @ivar record: The stream.
    @ivar protocol: The application, or L{None} once it knows of the end.
    @ivar connected: The application has not been told that it is over.
    @ivar disconnecting: The end is near.
    """

    def __init__(self, mux: Mux, record: Stream, protocol: Any) -> None:
        self._mux = mux
        self.record = record
        self.protocol = protocol
        self.connected = True
        self.disconnecting = False
        self._backlog = Backlog()
        self._readingPaused = False
        self._peerEnded = False
        self._readingOver = False
        self._closing = False
        self._halfClosing = False
        self._halfClosed = False
        self._fate: Any = None
        self._doom: Any = None
        self._producer: Any = None
        self._streaming = False
        self._producerPaused = False
        self._stall = (-1, 0.0)

    @property
    def _tempDataLen(self) -> int:
        # Relays look here for what Twisted's own transports have queued.
        return self.record.queued

    # What a subclass adds.

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """
        Call the application, and end the stream if that fails.
        """
        raise NotImplementedError

    def halfCloseable(self) -> Any:
        """
        Give the application as one that has use for the end of one direction,
        or L{None}.
        """
        raise NotImplementedError

    def done(self) -> Any:
        """
        Say why it is over, if both sides have ended it.
        """
        raise NotImplementedError

    def lost(self, why: str) -> Any:
        """
        Say why it is over, if the peer is to blame.
        """
        raise NotImplementedError

    # What the application calls.

    def write(self, data: bytes) -> None:
        """
        See C{ITransport}.

        @raise TypeError: This is something else than octets.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"data must be bytes and not {type(data).__name__}")
        record = self.record
        if self._fate is not None or record.ending or not data:
            return
        if record.unwanted:
            self.end(self.lost("the peer does not read any more"))
            return
        self._mux.session.write(record, data)
        self._mux.touched()
        if self._streaming:
            self._pauseProducer()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """
        See C{ITransport}.
        """
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """
        See C{ITransport}. Nothing is read any more, and what has been written
        is sent first; a producer may go on until it unregisters.
        """
        if self._fate is None and not self._closing:
            self._closing = self.disconnecting = self._readingOver = True
            self._backlog.clear()
            self._mux.session.discard(self.record)
            self._endWriting()

    def loseWriteConnection(self) -> None:
        """
        End our direction once what has been written is sent; a producer may go
        on until it unregisters. The other direction goes on.
        """
        if self._fate is None and not self._halfClosing:
            self._halfClosing = True
            self._endWriting()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        Do nothing: what is written is sent at once.
        """

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """
        Do nothing: the session looks after that.
        """

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
            if self._backlog or self._peerEnded:
                self._mux.attend(self)

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
        if self._fate is not None:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        self._producerPaused = False
        if streaming:
            self._pauseProducer()
        else:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """
        See C{IConsumer}.
        """
        self._producer = None
        self._streaming = False
        if self._fate is None and (self._closing or self._halfClosing):
            self._endWriting()

    # What the session calls.

    def happened(self, event: Event) -> None:
        """
        Take what has happened to the stream. Data counts as consumed as soon
        as the application has it.
        """
        if type(event) is Received:
            if self._readingOver or self._fate is not None:
                return
            if self._readingPaused or self._backlog:
                self._backlog.put(event.pieces)
            elif sum(map(len, event.pieces)) > PIECE:
                # An application may pause after what it is given at a time.
                self._backlog.put(event.pieces)
                self._mux.attend(self)
            else:
                self._give(b"".join(event.pieces))
        elif type(event) is Ended:
            self._peerEnded = True
            self._endReading()
        elif type(event) is Unwanted:
            if self.record.queued:
                self.end(self.lost("the peer has closed, and has not read everything"))
        elif type(event) is Failed:
            self.end(self.lost(str(event.error)))

    @property
    def due(self) -> bool:
        """
        Whether there may be something to L{settle} when the queue has become
        shorter.
        """
        return self.record.ended or self._producerWaits

    def settle(self) -> None:
        """
        Tell the application what it is to be told by now.
        """
        if not self.connected:
            return
        if self._doom is not None:
            self._stopProducer()
        given = 0
        while self._backlog and not self._readingPaused and self._fate is None:
            if given >= TURN:
                self._mux.attend(self)
                break
            data = self._backlog.take(PIECE)
            given += len(data)
            self._give(data)
        self._endReading()
        if self.record.ended:
            self._writingEnded()
        if self._fate is None and self._readingOver:
            self._fate = self._doom
        if self._fate is not None:
            self._finish()
        elif self._producerWaits and self.record.queued <= LOW_WATER:
            self._producerPaused = False
            producer = self._producer
            self.call(lambda: producer.resumeProducing())

    def lookAfter(self, now: float, linger: float) -> None:
        """
        End the stream if its peer has ended it, and then has taken nothing of
        what there is for it, for too long.

        @param now: The time in seconds.
        @param linger: How long that is, in seconds.
        """
        record = self.record
        written, since = self._stall
        if not (record.peerEnded and self._mux.session.starved(record)):
            self._stall = (-1, now)
        elif record.written != written:
            self._stall = (record.written, now)
        elif now - since >= linger:
            self.end(self.lost("the peer has ended the stream, and reads nothing"))

    def muxLost(self, fate: Any) -> None:
        """
        There is no session any more. If the peer had ended the stream before,
        there may still be something for the reader.

        @param fate: What that is for a stream that was not over.
        """
        waiting = self._peerEnded and not self._readingOver
        over = self.record.ended and (self._peerEnded or self._readingOver)
        if self._fate is None and not over:
            if waiting:
                self._doom = fate
                self.record.ending = True
            else:
                self._fate = fate
                self._backlog.clear()
        self._mux.attend(self)

    def end(self, fate: Any) -> None:
        """
        Drop the stream, and what is queued with it.

        @param fate: What the application is to be told.
        """
        if self._fate is None:
            self._fate = fate
            self.disconnecting = True
            self._backlog.clear()
            self._mux.session.reset(self.record)
            self._mux.attend(self)

    def _give(self, data: bytes) -> None:
        self._mux.session.consumed(self.record, len(data))
        self.call(self.protocol.dataReceived, data)

    def _endReading(self) -> None:
        """
        Tell the application that the peer has ended, once it has the rest.
        """
        if not self._peerEnded or self._readingOver or self._fate is not None:
            return
        if self._backlog or self._readingPaused:
            return
        self._readingOver = True
        halfCloseable = self.halfCloseable()
        if halfCloseable is not None:
            self.call(halfCloseable.readConnectionLost)
            if self.record.ended:
                self._mux.attend(self)
            return
        # Twisted would say at once that all is over, and stop the producer.
        # Here what is queued is sent first.
        self._stopProducer()
        self.loseConnection()

    def _endWriting(self) -> None:
        if self._producer is None:
            self._mux.session.end(self.record)
            if self.record.ended or self._doom is not None:
                self._mux.attend(self)
            self._mux.touched()

    def _writingEnded(self) -> None:
        if self._halfClosing and not self._halfClosed:
            self._halfClosed = True
            halfCloseable = self.halfCloseable()
            if halfCloseable is not None and self._fate is None and not self._closing:
                self.call(halfCloseable.writeConnectionLost)
        if self._readingOver and self._fate is None:
            self._fate = self.done()

    def _finish(self) -> None:
        self.connected = False
        self._mux.streamOver(self)
        self._stopProducer()
        protocol, self.protocol = self.protocol, None
        self.call(protocol.connectionLost, self._fate)

    def _pauseProducer(self) -> None:
        if self.record.queued > HIGH_WATER and not self._producerPaused:
            self._producerPaused = True
            self._producer.pauseProducing()

    @property
    def _producerWaits(self) -> bool:
        return self._producer is not None and (self._producerPaused or not self._streaming)

    def _stopProducer(self) -> None:
        producer, self._producer = self._producer, None
        self._streaming = False
        if producer is not None:
            self.call(lambda: producer.stopProducing())
