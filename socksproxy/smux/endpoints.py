"""
Endpoints whose connections are streams of a session on some other connection::

    carrier = KCPClientEndpoint(reactor, "192.0.2.1", 29900, key="secret")
    endpoint = MuxClientEndpoint(reactor, carrier)
    connecting = endpoint.connect(factory)

The carrier may be anything that is a stream. A client keeps its sessions, so
that a new connection costs no round trip of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, succeed
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
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.errors import GeneralFailure
from socksproxy.smux._chunks import requireSnappy
from socksproxy.smux.compression import compressed
from socksproxy.smux.config import DEFAULT_CONFIG, SmuxConfig
from socksproxy.smux.transport import MuxProtocol, MuxServerFactory
from socksproxy.state import IReportsState, State, placeOf, reportOf

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
        See C{IStreamServerEndpoint}.

        @param protocolFactory: Makes the protocols of streams.
        """
        factory: IProtocolFactory = MuxServerFactory(self._reactor, protocolFactory, self._config)
        if self._compress:
            factory = compressed(factory, self._reactor)
        listening: Deferred[IListeningPort] = self._carrier.listen(factory)
        return listening


@dataclass(eq=False, slots=True)
class _Member:
    """
    A session of a client's.

    @ivar mux: The session.
    @ivar expires: When no new streams go to it any more, or L{None}.
    @ivar scavenging: Closes it after that.
    """

    mux: MuxProtocol
    expires: float | None = None
    scavenging: IDelayedCall | None = None


@implementer(IStreamClientEndpoint, IReportsState)
class MuxClientEndpoint:
    """
    Opens streams, on sessions that it makes when there are none.
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
        self._dialling: list[Deferred[MuxProtocol]] | None = None

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}. The stream can be written to at once, and
        the peer is asked for nothing before.
        """

        def opened(mux: MuxProtocol) -> IProtocol:
            protocol = protocolFactory.buildProtocol(mux.peer)
            if protocol is None:
                raise GeneralFailure("the factory made no protocol")
            mux.openStream(protocol)
            return protocol

        return self._session().addCallback(opened)

    def close(self) -> None:
        """
        Close the sessions, each after its last stream.
        """
        for member in self._members:
            member.mux.close()

    def report(self) -> Iterator[State]:
        """
        See L{IReportsState}: the sessions, and what their carrier has to say.
        """
        for member in self._members:
            usable = "yes" if self._isUsable(member) else "no"
            numbers = {"usable": usable, **member.mux.numbers()}
            yield State("mux-session", placeOf(member.mux.peer), numbers)
        yield from reportOf(self._carrier)

    def _session(self) -> Deferred[MuxProtocol]:
        """
        Find the session with the fewest streams, or make one.
        """
        usable = [member.mux for member in self._members if self._isUsable(member)]
        least = min(usable, key=lambda mux: mux.streams, default=None)
        if least is not None and (not least.streams or len(usable) >= self._sessions):
            return succeed(least)
        dialling = self._dial()
        if least is None:
            return dialling
        # There is one already; another is on its way for those who come later.
        dialling.addErrback(lambda failure: None)
        return succeed(least)

    def _isUsable(self, member: _Member) -> bool:
        if member.expires is not None and self._reactor.seconds() >= member.expires:
            return False
        return member.mux.usable and member.mux.stalled < STALLED_AFTER

    def _dial(self) -> Deferred[MuxProtocol]:
        """
        Make a session, or wait for the one that is being made.
        """
        waiting: Deferred[MuxProtocol] = Deferred()
        if self._dialling is not None:
            self._dialling.append(waiting)
            return waiting
        self._dialling = [waiting]
        factory: IProtocolFactory = _MuxClientFactory(self._reactor, self._config)
        if self._compress:
            factory = compressed(factory, self._reactor)
        self._carrier.connect(factory).addCallback(self._joined).addBoth(self._dialled)
        return waiting

    def _dialled(self, result: MuxProtocol | Failure) -> None:
        waiting, self._dialling = self._dialling or [], None
        for one in waiting:
            one.callback(result)

    def _joined(self, protocol: Any) -> MuxProtocol:
        mux: MuxProtocol = getattr(protocol, "wrappedProtocol", protocol)
        member = _Member(mux, None)
        self._members.append(member)
        mux.whenClosed().addCallback(lambda _: self._left(member))
        if self._autoexpire:
            member.expires = self._reactor.seconds() + self._autoexpire
            member.scavenging = self._reactor.callLater(
                self._autoexpire + self._scavengettl, mux.abort
            )
        return mux

    def _left(self, member: _Member) -> None:
        self._members.remove(member)
        if member.scavenging is not None and member.scavenging.active():
            member.scavenging.cancel()


class _MuxClientFactory(Factory):
    """
    Makes the sessions of a client.
    """

    noisy = False

    def __init__(self, reactor: Any, config: SmuxConfig) -> None:
        self._reactor = reactor
        self._config = config

    def buildProtocol(self, addr: IAddress | None) -> MuxProtocol:
        return MuxProtocol(self._reactor, self._config, client=True)
