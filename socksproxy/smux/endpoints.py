"""
Endpoints whose connections are streams of a session on some other connection::

    carrier = KCPClientEndpoint(reactor, "192.0.2.1", 29900, key="secret")
    endpoint = MuxClientEndpoint(reactor, carrier)
    connecting = endpoint.connect(factory)

The carrier may be anything that is a stream. A client keeps its sessions, so
that a new connection costs no round trip of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.error import ConnectError, NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.errors import LocalProtocolError
from socksproxy.relay.sockets import lowestTransport
from socksproxy.smux._chunks import requireSnappy
from socksproxy.smux._end import StreamEnd
from socksproxy.smux._probation import Probation
from socksproxy.smux._stream import Stream
from socksproxy.smux.compression import compressed
from socksproxy.smux.config import DEFAULT_CONFIG, SmuxConfig
from socksproxy.smux.protocol import MuxProtocol, MuxServerFactory
from socksproxy.smux.transport import lost
from socksproxy.state import IKeepsSessions, IReportsState, State, placeOf, reportOf

STALLED_AFTER = 3.0
"""
Seconds for which a carrier may have got nothing acknowledged before new
streams go elsewhere.
"""


@implementer(IStreamServerEndpoint)
class MuxServerEndpoint:
    """
    Listens for streams in sessions on the carrier's connections.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        carrier: IStreamServerEndpoint,
        config: SmuxConfig = DEFAULT_CONFIG,
        compress: bool = False,
    ) -> None:
        """
        @param reactor: Time.
        @param carrier: Where sessions come in.
        @param config: Settings of all sessions.
        @param compress: The carrier's octets are compressed.
        @raise ConfigurationError: They cannot be: the extra is not installed.
        """
        if compress:
            requireSnappy()
        self._reactor = reactor
        self._carrier = carrier
        self._config = config
        self._compress = compress

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """
        See C{IStreamServerEndpoint}. Once the port is closed, sessions that
        there are take no more streams, and end after their last one.

        @param protocolFactory: Makes the protocols of streams.
        """
        factory: IProtocolFactory = _ServerFactory(self._reactor, protocolFactory, self._config)
        if self._compress:
            factory = compressed(factory, self._reactor)
        listening: Deferred[IListeningPort] = self._carrier.listen(factory)
        return listening


class _ServerFactory(MuxServerFactory):
    """
    Makes the sessions of a port.
    """

    def stopFactory(self) -> None:
        super().stopFactory()
        for mux in list(self.sessions):
            mux.close()


@dataclass(eq=False, slots=True)
class _Member:
    """
    A session of a client's.

    @ivar mux: The session.
    @ivar timer: Has it expire, and then drops it.
    """

    mux: _ClientMux
    timer: IDelayedCall | None = None


@dataclass(eq=False, slots=True)
class _Dial:
    """
    A session that is being made.

    @ivar waiting: Who waits for it.
    @ivar spare: It is wanted even if nobody waits.
    @ivar closing: It is to end after the streams of those who wait.
    @ivar connecting: The carrier.
    """

    waiting: list[Deferred[_ClientMux]]
    spare: bool
    closing: bool = False
    connecting: Deferred[Any] | None = None


@implementer(IStreamClientEndpoint, IReportsState, IKeepsSessions)
class MuxClientEndpoint:
    """
    Opens streams, on sessions that it makes when there are none.

    A session may be dead though nobody knows. A stream that is put on it
    fails a few seconds later, as soon as it is certain that the peer
    acknowledges nothing of what it has been sent since then; older streams
    have their chance, and new ones go elsewhere.
    """

    def __init__(
        self,
        reactor: Any,
        carrier: IStreamClientEndpoint,
        config: SmuxConfig = DEFAULT_CONFIG,
        compress: bool = False,
        sessions: int = 1,
        autoexpire: float = 0.0,
        scavengettl: float = 600.0,
    ) -> None:
        """
        @param reactor: Time.
        @param carrier: Leads to the peer; asked for each session.
        @param config: Settings of all sessions.
        @param compress: The carrier's octets are compressed.
        @param sessions: How many to have at a time.
        @param autoexpire: Seconds after which a session gets no new streams;
            0 is never.
        @param scavengettl: Seconds after that until it is closed, whatever
            its streams do.
        @raise ConfigurationError: There is to be compression, and the extra is
            not installed.
        """
        if compress:
            requireSnappy()
        self._reactor = reactor
        self._carrier = carrier
        self._config = config
        self._compress = compress
        self._sessions = sessions
        self._autoexpire = autoexpire
        self._scavengettl = scavengettl
        self._members: list[_Member] = []
        self._dialling: _Dial | None = None

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}. The stream can be written to at once, and
        the peer is asked for nothing before.

        @return: The protocol; fails with what the carrier does, C{NoProtocol},
            or C{ConnectError} if the session ended before it was used.
        """

        def failed(failure: Failure) -> Failure:
            protocolFactory.doStop()
            return failure

        protocolFactory.doStart()
        return self._session().addCallback(_open, protocolFactory).addErrback(failed)

    def close(self, patience: float | None = None) -> Deferred[None]:
        """
        Close the sessions, each after its last stream. Who connects later has
        others made.

        @param patience: Seconds after which those are dropped that are still
            there.
        @return: Fires when all sessions are gone that there are now.
        """
        leaving = [member.mux for member in self._members]
        for mux in leaving:
            mux.close()
        dial = self._dialling
        if dial is not None:
            dial.closing, dial.spare = True, False
            self._giveUp(dial)
        gone = gatherResults([mux.whenClosed() for mux in leaving])
        if patience is not None and not gone.called:
            timer = self._reactor.callLater(patience, _abortAll, leaving)
            gone.addCallback(lambda _: timer.active() and timer.cancel())
        return gone.addCallback(lambda _: None)

    def report(self) -> Iterator[State]:
        """
        See L{IReportsState}: the sessions, and what their carrier has to say.
        """
        usable = self._usable()
        for mux in [member.mux for member in self._members]:
            numbers = {"usable": "yes" if mux in usable else "no", **mux.numbers()}
            yield State("mux-session", placeOf(mux.peer), numbers)
        yield from reportOf(self._carrier)

    def _session(self) -> Deferred[_ClientMux]:
        """
        Find the session with the fewest streams, or make one.
        """
        usable = self._usable()
        if not usable:
            waiting: Deferred[_ClientMux] = Deferred(self._cancelled)
            if self._dialling is None:
                self._dial(_Dial([waiting], spare=False))
            else:
                self._dialling.waiting.append(waiting)
            return waiting
        if (
            self._dialling is None
            and len(usable) < self._sessions
            and all(m.streams for m in usable)
        ):
            # If it takes time, it is for those who come later.
            self._dial(_Dial([], spare=True))
            usable = self._usable()
        # After each interruption there is one more than there should be.
        while len(usable) > self._sessions:
            usable.pop(0).close()
        return succeed(min(usable, key=lambda mux: mux.streams))

    def _usable(self) -> list[_ClientMux]:
        """
        Give those that take streams and seem to get through. Where one has
        noticed that it does not, others count that have heard something since.
        """
        taking = [member.mux for member in self._members if member.mux.usable]
        longest = max((mux.stalled for mux in taking), default=0.0)
        if longest < STALLED_AFTER:
            return taking
        return [mux for mux in taking if mux.stalled < STALLED_AFTER and mux.silent < longest]

    def _dial(self, dial: _Dial) -> None:
        """
        Make a session.
        """
        self._dialling = dial
        factory: IProtocolFactory = _MuxClientFactory(self._reactor, self._config)
        if self._compress:
            factory = compressed(factory, self._reactor)
        connecting: Deferred[Any] = maybeDeferred(self._carrier.connect, factory)
        dial.connecting = connecting
        connecting.addCallback(self._joined).addBoth(self._dialled, dial)

    def _dialled(self, result: _ClientMux | Failure, dial: _Dial) -> None:
        if self._dialling is dial:
            self._dialling = None
        waiting, dial.waiting = dial.waiting, []
        for one in waiting:
            # Who came before may have cancelled it.
            if not one.called:
                one.callback(result)
        if dial.closing and not isinstance(result, Failure):
            result.close()

    def _cancelled(self, waiting: Deferred[_ClientMux]) -> None:
        """
        Somebody does not wait any more.
        """
        dial = self._dialling
        if dial is not None and waiting in dial.waiting:
            dial.waiting.remove(waiting)
            self._giveUp(dial)

    def _giveUp(self, dial: _Dial) -> None:
        """
        Make no session that nobody wants.
        """
        if not (dial.waiting or dial.spare):
            self._dialling = None
            if dial.connecting is not None:
                dial.connecting.cancel()

    def _joined(self, protocol: Any) -> _ClientMux:
        mux: _ClientMux = getattr(protocol, "wrappedProtocol", protocol)
        member = _Member(mux)
        self._members.append(member)
        if self._autoexpire:
            member.timer = self._reactor.callLater(self._autoexpire, self._expire, member)
        mux.whenClosed().addCallback(lambda _: self._left(member))
        return mux

    def _expire(self, member: _Member) -> None:
        member.timer = self._reactor.callLater(self._scavengettl, self._scavenge, member)
        member.mux.close()

    def _scavenge(self, member: _Member) -> None:
        member.timer = None
        member.mux.abort()

    def _left(self, member: _Member) -> None:
        self._members.remove(member)
        if member.timer is not None:
            member.timer.cancel()
            member.timer = None


def _abortAll(sessions: Sequence[_ClientMux]) -> None:
    for mux in sessions:
        mux.abort()


def _open(mux: _ClientMux, factory: IProtocolFactory) -> IProtocol:
    """
    Open a stream for a protocol of a factory's.
    """
    if not mux.usable:
        raise ConnectError(string="the session ended before it was used")
    protocol = factory.buildProtocol(mux.peer)
    if protocol is None:
        raise NoProtocol
    mux.openFor(factory, protocol)
    return protocol


class _ClientMux(MuxProtocol):
    """
    A session that tells factories when their streams have ended, as ports and
    connectors of Twisted's do, and gives streams up that lead nowhere.
    """

    def __init__(self, reactor: Any, config: SmuxConfig) -> None:
        super().__init__(reactor, config, client=True)
        self._factories: dict[StreamEnd, IProtocolFactory] = {}
        self._probation: Probation[StreamEnd] = Probation(
            reactor.seconds, reactor.callLater, self._unproven, self._giveUp
        )

    @property
    def silent(self) -> float:
        """
        For how many seconds nothing has come.
        """
        silent: float = self._clock.seconds() - self._heard
        return silent

    def openFor(self, factory: IProtocolFactory, protocol: IProtocol) -> None:
        """
        Open a stream.

        @param factory: Is stopped once the protocol knows that it is over.
        """
        try:
            stream = self.openStream(protocol)
        except LocalProtocolError:
            # It has no numbers left.
            self.close()
            raise
        self._factories[stream] = factory
        if stream.connected:
            self._probation.begin(stream)
        else:
            self._stop(stream)

    def streamOver(self, stream: StreamEnd) -> None:
        """
        See L{MuxProtocol}.
        """
        super().streamOver(stream)
        self._probation.over(stream)
        self._stop(stream)

    def _unproven(self) -> float | None:
        """
        See L{Probation}. A session that is new and has no handshake has all
        the time that its carrier gives it.
        """
        # KCP knows no round trip before something was acknowledged.
        srtt = getattr(lowestTransport(self.transport), "srtt", None)
        isKnown = self._answered or srtt != 0
        return self.unacknowledged if isKnown else None

    def _giveUp(self, streams: Sequence[StreamEnd]) -> None:
        """
        End streams that lead nowhere, and the session if it has no others.

        @param streams: Those of which nothing may have arrived.
        """
        why = "the peer acknowledges nothing"
        streams = [stream for stream in streams if not _isAnswered(stream.record)]
        if len(streams) == self.streams:
            self._say(LogLevel.info, why)
            self._fail(lost(why))
        else:
            for stream in streams:
                stream.end(lost(why))
        self.touched()

    def _stop(self, stream: StreamEnd) -> None:
        factory = self._factories.pop(stream, None)
        if factory is not None:
            # The protocol is about to be told, and comes first.
            self._clock.callLater(0, factory.doStop)


def _isAnswered(stream: Stream) -> bool:
    """
    Tell whether the peer has had something to say on a stream, so that it got
    through once.
    """
    return bool(stream.consumed or stream.unread or stream.peerEnded)


class _MuxClientFactory(Factory):
    """
    Makes the sessions of a client.
    """

    noisy = False

    def __init__(self, reactor: Any, config: SmuxConfig) -> None:
        self._reactor = reactor
        self._config = config

    def buildProtocol(self, addr: IAddress | None) -> _ClientMux:
        return _ClientMux(self._reactor, self._config)
