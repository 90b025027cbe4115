"""
An smux session: many streams over one carrier, without the carrier.

The same on both sides, but for the numbers of the streams that each opens: a
client's are 3, 5, 7, ..., a server's 2, 4, 6, ... ::

    session = Session(SmuxConfig(), client=True)
    stream = session.open()
    session.write(stream, b"request")
    session.end(stream)
    carrier.write(session.take())

    for event in session.receive(data):
        if isinstance(event, Received):
            session.consumed(event.stream, ...)

What is received is the caller's to keep. The session only counts it until it
is said to be consumed: with version 2 the peer may send no more of a stream
than its window, and with both the carrier must not be read while the session
is L{blocked<Session.blocked>}.

A stream ends with FIN, and FIN is all there is. To the one who gets it, a peer
that has ended its direction looks like one that has closed, or has failed. Two
things that kcptun overlooks tell them apart here. A second FIN is sent by who
closes and has not read everything, or gets more after that. And a NOP with the
number of a stream, whose own number is 0, says that the stream is broken off:
there should have been more before the FIN that follows.

There is no time here, so that a silent peer is for the caller to notice.
"""

from __future__ import annotations

from collections.abc import Iterable

from socksproxy.errors import (
    LocalProtocolError,
    MalformedMessage,
    MessageTooLong,
    RemoteProtocolError,
    StreamReset,
)
from socksproxy.smux._events import (
    Ended,
    Event,
    Failed,
    Opened,
    Received,
    Unwanted,
    Violated,
)
from socksproxy.smux._frame import FIN, MASK, PSH, SYN, UPD, WINDOW, FrameDecoder
from socksproxy.smux._sending import Sending
from socksproxy.smux._stream import INITIAL_WINDOW, Stream
from socksproxy.smux.config import SmuxConfig

BATCH = 65536
"""
Octets that are sent at a time.
"""

MAX_REFUSED = 1024
"""
Streams that are to be refused, after which the carrier is not read until the
peer has been told. Also those of which it is known that the peer was.
"""


class Session:
    """
    One side of a session.

    @ivar config: Its settings.
    @ivar accepting: The peer may open streams.
    @ivar streams: The streams, by their numbers, that are not over in both
        directions.
    @ivar drained: Streams whose writers may go on after the last L{take}, or
        whose end it has sent; some of them more than once.
    """

    def __init__(self, config: SmuxConfig, client: bool, accepting: bool = True) -> None:
        """
        @param client: Which side this is. A client says which version it is,
            and a server finds out.
        """
        self.config = config
        self.accepting = accepting
        self.streams: dict[int, Stream] = {}
        version = config.version if client else None
        self._decoder = FrameDecoder(version)
        self._sending = Sending(version, config.framesize, config.streambuf)
        self.drained = self._sending.drained
        self._nextID = 3 if client else 2
        self._peerParity = 0 if client else 1
        self._incoming = 0
        self._tokens = config.smuxbuf
        self._allowance = max(config.streambuf, INITIAL_WINDOW)
        self._told: dict[int, None] = {}
        self._failed = False

    @property
    def version(self) -> int | None:
        """
        The version spoken, or L{None} until it is known.
        """
        return self._sending.version

    @property
    def blocked(self) -> bool:
        """
        Whether the carrier must not be read.
        """
        return self._tokens <= 0 or len(self._sending.refused) >= MAX_REFUSED

    @property
    def pending(self) -> bool:
        """
        Whether L{take} may give something.
        """
        return self._sending.pending

    @property
    def queued(self) -> int:
        """
        Octets of data that wait to be sent, of all streams.
        """
        return self._sending.queued

    @property
    def unread(self) -> int:
        """
        Octets of data that came and have not been consumed, of all streams.
        """
        return self.config.smuxbuf - self._tokens

    # What is sent.

    def open(self) -> Stream:
        """
        Open a stream.

        @raise LocalProtocolError: There are no numbers left: a new session is
            needed.
        """
        streamID = self._nextID
        if streamID > MASK:
            raise LocalProtocolError("a session of smux has no more numbers for streams")
        self._nextID += 2
        stream = self.streams[streamID] = Stream(streamID, True)
        self._sending.urge(stream)
        return stream

    def write(self, stream: Stream, data: bytes) -> None:
        """
        Send data.

        @raise LocalProtocolError: Our side of the stream has ended.
        """
        if stream.ending:
            raise LocalProtocolError(f"{stream} has ended")
        if data:
            stream.put(data)
            self._sending.queued += len(data)
            self._sending.queue(stream)

    def end(self, stream: Stream) -> None:
        """
        Say that there is no more data after what has been written. The stream
        can still be read.
        """
        if not stream.ending:
            stream.ending = True
            self._sending.queue(stream)

    def discard(self, stream: Stream) -> None:
        """
        Read no more of a stream. What came and has not been consumed is taken
        for thrown away.
        """
        if stream.discarding:
            return
        unread = stream.unread
        self.consumed(stream, unread)
        stream.discarding = True
        if unread and not stream.peerEnded:
            stream.insisting = True
            if stream.ended:
                stream.updating = False
                self._stray(stream.streamID)
        self._forget(stream)

    def reset(self, stream: Stream) -> None:
        """
        Drop a stream: what is queued is not sent, and nothing is read. The
        peer is told so, unless it has been sent the end before.
        """
        self._sending.queued -= stream.drop()
        stream.broken = not stream.ended
        if stream.opening:
            # The peer has never heard of it.
            stream.opening = False
            stream.ended = True
        self.discard(stream)
        stream.ending = True
        if stream.insisting:
            # Its end says all.
            stream.updating = False
        if stream.ended:
            self._forget(stream)
        else:
            # It may have been waiting for its window, with its end.
            self._sending.queue(stream)

    def keepAlive(self) -> None:
        """
        Give the peer a sign of life, once it is known how.
        """
        if self.version is not None:
            self._sending.keepAlive()

    def take(self, limit: int = BATCH) -> bytes:
        """
        Give what is to be sent next: whole frames of as many streams as there
        are.

        @param limit: Octets, more than a head has; they are exceeded by less
            than four heads.
        @return: Nothing if there is none, or if a server has not heard of its
            client yet.
        """
        data = self._sending.take(limit)
        for stream in self._sending.ended:
            self._forget(stream)
        return data

    # What is received.

    def receive(self, data: bytes) -> list[Event]:
        """
        Take what has come over the carrier.

        @return: What happened. After L{Violated<socksproxy.smux._events.Violated>},
            nothing ever again.
        """
        events: list[Event] = []
        if self._failed:
            return events
        streams = self.streams
        arrived: dict[int, Received] = {}
        octets = 0
        try:
            for command, streamID, body in self._decoder.fragments(data):
                if command == PSH:
                    stream = streams.get(streamID)
                    if stream is None:
                        self._stray(streamID)
                        continue
                    if stream.peerEnded:
                        # Older versions let FIN overtake what is lost anyway.
                        continue
                    if stream.discarding:
                        # What we still have to send must not wait for a peer
                        # that waits for us.
                        stream.insisting = True
                        self._report(stream, len(body))
                        continue
                    received = arrived.get(streamID)
                    if received is None:
                        received = arrived[streamID] = Received(stream, [])
                        events.append(received)
                    received.pieces.append(body)
                    stream.unread += len(body)
                    octets += len(body)
                elif command == UPD:
                    self._updated(streamID, body, events)
                elif command == FIN:
                    self._ended(streamID, events)
                elif command == SYN:
                    self._opened(streamID, events)
                elif streamID:
                    self._brokenOff(streamID, events)
            self._tokens -= octets
            self._sending.version = self._decoder.version
            if self._sending.version == 2:
                self._checkWindows(arrived.values())
        except RemoteProtocolError as e:
            self._failed = True
            events.append(Violated(e))
        return events

    def consumed(self, stream: Stream, octets: int) -> None:
        """
        Say that an application has taken data, for which there is room again.

        @param octets: Not more than have come and have not been consumed.
        """
        if octets and not stream.discarding:
            self._tokens += octets
            stream.unread -= octets
            self._report(stream, octets)

    def starved(self, stream: Stream) -> bool:
        """
        Tell whether a stream has something to send that its peer has no room
        for.
        """
        return stream.queued > 0 and self.version == 2 and stream.room <= 0

    def _report(self, stream: Stream, octets: int) -> None:
        """
        Have the peer told, with version 2, that data is out of the way: the
        first time, and then whenever it is half of the window.
        """
        first = not stream.consumed
        stream.consumed = stream.consumed + octets & MASK
        stream.unreported += octets
        if self._decoder.version != 2 or stream.peerEnded:
            return
        if first or stream.unreported >= self.config.streambuf // 2:
            stream.updating = True
            self._sending.urge(stream)

    def _checkWindows(self, arrived: Iterable[Received]) -> None:
        for received in arrived:
            if received.stream.unread > self._allowance:
                raise MessageTooLong(f"{received.stream} got more than its window")

    def _opened(self, streamID: int, events: list[Event]) -> None:
        """
        A SYN came.

        @raise MalformedMessage: The number is not one of the peer's.
        """
        if streamID in self.streams:
            return
        if streamID & 1 != self._peerParity or streamID == 0:
            raise MalformedMessage(f"the peer cannot open a stream with number {streamID}")
        if not self.accepting or self._incoming >= self.config.streams:
            self._refuse(streamID)
            return
        self._incoming += 1
        stream = self.streams[streamID] = Stream(streamID, False)
        events.append(Opened(stream))

    def _ended(self, streamID: int, events: list[Event]) -> None:
        """
        A FIN came.
        """
        stream = self.streams.get(streamID)
        if stream is None:
            return
        if not stream.peerEnded:
            stream.peerEnded = True
            stream.updating = False
            if not stream.discarding:
                events.append(Ended(stream))
            self._forget(stream)
        elif not stream.unwanted:
            stream.unwanted = True
            events.append(Unwanted(stream))

    def _brokenOff(self, streamID: int, events: list[Event]) -> None:
        """
        A NOP came with the number of a stream.
        """
        stream = self.streams.get(streamID)
        if stream is None or stream.peerEnded:
            return
        discarding = stream.discarding
        self.reset(stream)
        # It knows.
        stream.broken = stream.insisting = False
        if not discarding:
            events.append(Failed(stream, StreamReset("the peer has broken the stream off")))

    def _updated(self, streamID: int, body: memoryview, events: list[Event]) -> None:
        """
        An UPD came.
        """
        stream = self.streams.get(streamID)
        if stream is None:
            return
        if stream.update(*WINDOW.unpack(body)):
            if stream.queued:
                self._sending.queue(stream)
            return
        self.reset(stream)
        error = MalformedMessage(f"more of stream {streamID} was consumed than has been sent")
        events.append(Failed(stream, error))

    def _stray(self, streamID: int) -> None:
        """
        Data came that nobody reads. Say so, once.
        """
        if streamID not in self._told:
            if len(self._told) >= MAX_REFUSED:
                del self._told[next(iter(self._told))]
            self._told[streamID] = None
            self._refuse(streamID)

    def _refuse(self, streamID: int) -> None:
        self._sending.refused.append(streamID)

    def _forget(self, stream: Stream) -> None:
        """
        Let go of a stream if it is over in both directions.
        """
        over = stream.ended and (stream.peerEnded or stream.discarding)
        if over and self.streams.pop(stream.streamID, None) is not None and not stream.local:
            self._incoming -= 1
