"""
smux over any stream transport of Twisted's: a protocol for the carrier.

A client opens streams, and a server makes protocols for them::

    server = MuxServerFactory(reactor, streamFactory, SmuxConfig())

    mux = MuxProtocol(reactor, SmuxConfig(), client=True)
    stream = mux.openStream(factory)
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
)
from twisted.internet.protocol import Protocol
from twisted.logger import LogLevel
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.errors import GeneralFailure, LocalProtocolError
from socksproxy.events import Ration, log
from socksproxy.relay.leg import abort
from socksproxy.relay.sockets import lowestTransport, tuneSocket, writeThrough
from socksproxy.relay.stalls import StallWatch
from socksproxy.smux._end import StreamEnd
from socksproxy.smux._events import Event, Opened, Violated
from socksproxy.smux._stream import Stream
from socksproxy.smux._turns import Turns
from socksproxy.smux.config import DEFAULT_CONFIG, SmuxConfig
from socksproxy.smux.session import Session
from socksproxy.smux.transport import MuxAddress, MuxStream, lost
from socksproxy.state import ICounts, Numbers, placeOf


@implementer(IHalfCloseableProtocol, IPushProducer, ICounts)
class MuxProtocol(Protocol):
    """
    A session, as a protocol of its carrier.

    @ivar config: Its settings.
    @ivar session: The session without its carrier.
    @ivar host: Our end of the carrier.
    @ivar peer: The peer's end of the carrier.
    """

    host: IAddress
    peer: IAddress
    transport: Any

    def __init__(
        self,
        clock: Any,
        config: SmuxConfig,
        client: bool,
        streamFactory: IProtocolFactory | None = None,
        ration: Ration | None = None,
    ) -> None:
        """
        @param clock: An C{IReactorTime}.
        @param client: Which side this is.
        @param streamFactory: Makes protocols for the streams that the peer
            opens, which are refused without it.
        @param ration: How often to log the end of sessions, if not always.
        """
        self.config = config
        self.session = Session(config, client, streamFactory is not None)
        self._clock = clock
        self._streamFactory = streamFactory
        self._streams: set[StreamEnd] = set()
        self._begun = 0
        self._ration = ration
        self._turns = Turns(clock.callLater, self._progress)
        # Only clients have somewhere else to go.
        self._client = client
        self._watch: StallWatch | None = None
        self._tick: IDelayedCall | None = None
        self._heard = 0.0
        self._answered = False
        self._paused = 0.0
        self._pumping = False
        self._writingPaused = False
        self._readingPaused = False
        self._closing = False
        self._over = False
        self._gone = False
        self._waiting: list[Deferred[None]] = []

    @property
    def streams(self) -> int:
        """
        How many streams there are.
        """
        return len(self._streams)

    def numbers(self) -> Numbers:
        """
        See L{ICounts}: the streams that there are, and those that there have
        been in all.
        """
        return {"streams": len(self._streams), "streamsBegun": self._begun}

    @property
    def usable(self) -> bool:
        """
        Whether streams can be opened.
        """
        return bool(self.connected) and not (self._closing or self._over)

    @property
    def stalled(self) -> float:
        """
        For how many seconds the carrier has got rid of nothing, though it has
        something, as far as it says so.
        """
        since = self._clock.seconds() - self._paused if self._writingPaused else 0.0
        return max(since, self.unacknowledged)

    @property
    def unacknowledged(self) -> float:
        """
        For how many seconds the peer has acknowledged nothing of what there is
        for it though it has room, as far as the carrier or a client's kernel
        knows that.
        """
        if self._watch is not None and (seconds := self._watch.stalled()):
            return seconds
        lowest: float = getattr(lowestTransport(self.transport), "stalled", 0.0)
        return lowest

    def openStream(self, application: IProtocolFactory | IProtocol) -> MuxStream:
        """
        Open a stream.

        @param application: Its protocol, or a factory that makes one.
        @raise LocalProtocolError: The session is not L{usable}, or has no
            numbers left for streams.
        @raise GeneralFailure: The factory made no protocol.
        """
        if not self.usable:
            raise LocalProtocolError("this session of smux opens no more streams")
        record = self.session.open()
        protocol: IProtocol | None = application  # type: ignore[assignment]
        try:
            if IProtocolFactory.providedBy(application):
                protocol = application.buildProtocol(MuxAddress(self.peer, record.streamID))
            if protocol is None:
                raise GeneralFailure("the factory made no protocol")
        except BaseException:
            self.session.reset(record)
            raise
        stream = self._start(record, protocol)
        self.touched()
        return stream

    def close(self) -> None:
        """
        Open and accept no more streams, and close the carrier after the last.
        """
        self._closing = True
        self.session.accepting = False
        if self.connected:
            self.touched()

    def abort(self) -> None:
        """
        Drop the carrier, and all streams with it.
        """
        self._fail(Failure(ConnectionAborted()))
        self.touched()

    def whenClosed(self) -> Deferred[None]:
        """
        Wait until the carrier is gone.
        """
        if self._gone:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    # What the carrier calls.

    def connectionMade(self) -> None:
        """
        Start the clock.
        """
        self.host, self.peer = self.transport.getHost(), self.transport.getPeer()
        tuneSocket(self.transport)
        self._heard = self._clock.seconds()
        if self._client:
            self._watch = StallWatch(self._clock, self.transport)
        self._tick = self._clock.callLater(self.config.keepalive, self._keepAlive)
        self.transport.registerProducer(self, True)
        if self._over:
            abort(self.transport)
        self.touched()

    def dataReceived(self, data: bytes) -> None:
        """
        Take what has come.
        """
        if self._over:
            return
        self._heard = self._clock.seconds()
        self._answered = True
        self._turns.depth += 1
        try:
            for event in self.session.receive(data):
                self._happened(event)
        finally:
            self._turns.depth -= 1
        self._progress()

    def readConnectionLost(self) -> None:
        """
        The peer has ended the carrier, and with it all streams.
        """
        self._endAll(lost("the peer has ended the session"))
        self._leave()
        self._progress()

    def writeConnectionLost(self) -> None:
        """
        See C{IHalfCloseableProtocol}. We half-close no carrier.
        """

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        The carrier is gone.
        """
        self._gone = True
        self._readingPaused = False
        self._endAll(lost(f"the session is gone: {reason.getErrorMessage()}"))
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        if self._watch is not None:
            self._watch.stop()
        self._progress()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}. The carrier has enough.
        """
        self._writingPaused = True
        self._paused = self._clock.seconds()

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}. The carrier has room.
        """
        self._writingPaused = False
        if not self._pumping:
            self._progress()

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}. The carrier is gone, and will say so.
        """
        self._writingPaused = True

    # What the streams call.

    def touched(self) -> None:
        """
        An application has done something.
        """
        if not self._turns.depth:
            self._pump()
            self._turns.arrange(self._readingPaused != self._isBlocked)

    def attend(self, stream: StreamEnd) -> None:
        """
        A stream may have something to tell its application, though not now.
        """
        self._turns.attend(stream)
        self.touched()

    def streamOver(self, stream: StreamEnd) -> None:
        """
        An application is about to be told of the end.
        """
        self._streams.discard(stream)
        stream.record.owner = None

    # All else.

    def _start(self, record: Stream, protocol: IProtocol) -> MuxStream:
        stream = record.owner = MuxStream(self, record, protocol)
        self._streams.add(stream)
        self._begun += 1
        stream.call(protocol.makeConnection, stream)
        if self._over:
            stream.muxLost(lost("the session is over"))
        return stream

    def _happened(self, event: Event) -> None:
        if type(event) is Violated:
            self._say(LogLevel.warn, str(event.error))
            self._fail(lost(str(event.error)))
        elif type(event) is Opened:
            self._accept(event.stream)
        elif event.stream.owner is not None:  # type: ignore[union-attr]
            event.stream.owner.happened(event)  # type: ignore[union-attr]

    def _say(self, level: Any, reason: str) -> None:
        """
        Log why the session ends.
        """
        if self._ration is None or self._ration.take(self._clock.seconds()):
            log.emit(
                level,
                "An smux session with {peer} ended: {error}",
                peer=placeOf(self.peer),
                error=reason,
            )

    def _accept(self, record: Stream) -> None:
        protocol = None
        if self._streamFactory is not None and not self._over:
            try:
                protocol = self._streamFactory.buildProtocol(MuxAddress(self.peer, record.streamID))
            except Exception:
                log.failure("A protocol for a stream could not be made")
        if protocol is None:
            self.session.reset(record)
        else:
            self._start(record, protocol)

    def _progress(self) -> None:
        """
        Do what can be done, outside of any call of an application's.
        """
        if not self._turns.depth:
            self._pump()
            self._turns.settle()
            self._pump()
            self._regulate()
            self._turns.arrange(self._readingPaused != self._isBlocked)

    def _pump(self) -> None:
        """
        Send what the carrier has room for.
        """
        if self._pumping:
            return
        self._pumping = True
        try:
            while not (self._writingPaused or self._over) and (data := self.session.take()):
                if self._watch is not None:
                    self._watch.writing()
                for record in self.session.drained:
                    if record.owner is not None and record.owner.due:
                        self._turns.attend(record.owner)
                writeThrough(self.transport, data)
        finally:
            self._pumping = False
        if self._closing and not (self._over or self._streams or self.session.pending):
            self._over = True
            self._leave()

    @property
    def _isBlocked(self) -> bool:
        return self.session.blocked and not self._over

    def _regulate(self) -> None:
        """
        Stop reading the carrier while there is no room for what it brings. It
        may bring something as soon as it is told to go on.
        """
        if self._readingPaused != self._isBlocked:
            self._readingPaused = not self._readingPaused
            if self._readingPaused:
                self.transport.pauseProducing()
            else:
                self._heard = self._clock.seconds()
                self.transport.resumeProducing()

    def _keepAlive(self) -> None:
        self._tick = None
        config = self.config
        now = self._clock.seconds()
        if self._readingPaused:
            self._heard = now
        left = config.keepaliveTimeout - (now - self._heard)
        if left <= 0:
            self._say(LogLevel.info, "it is silent")
            self._fail(lost("the peer is silent"))
        else:
            self._tick = self._clock.callLater(min(config.keepalive, left), self._keepAlive)
            self.session.keepAlive()
            for stream in list(self._streams):
                stream.lookAfter(now, config.linger)
        self._progress()

    def _leave(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _fail(self, reason: Failure) -> None:
        """
        Drop the carrier.
        """
        self._endAll(reason)
        if self.connected and not self._gone:
            self.transport.unregisterProducer()
            abort(self.transport)

    def _endAll(self, reason: Failure) -> None:
        """
        There will be no more of any stream.
        """
        if not self._over:
            self._over = True
            for stream in self._streams:
                stream.muxLost(reason)


class MuxServerFactory(WrappingFactory):
    """
    Makes the sessions of a server, one for each carrier.

    @ivar wrappedFactory: Makes the protocols of streams.
    @ivar sessions: Those that there are.
    """

    noisy = False

    def __init__(
        self, clock: Any, streamFactory: IProtocolFactory, config: SmuxConfig = DEFAULT_CONFIG
    ) -> None:
        """
        @param clock: An C{IReactorTime}.
        @param streamFactory: Makes the protocols of streams.
        @param config: The sessions' settings.
        """
        super().__init__(streamFactory)
        self.sessions: set[MuxProtocol] = set()
        self._clock = clock
        self._config = config
        self._ration = Ration()

    def buildProtocol(self, addr: IAddress | None) -> MuxProtocol:  # type: ignore[override]
        """
        See C{IProtocolFactory}.
        """
        mux = MuxProtocol(
            self._clock, self._config, False, self.wrappedFactory, ration=self._ration
        )
        self.sessions.add(mux)
        mux.whenClosed().addCallback(lambda _: self.sessions.discard(mux))
        return mux
