"""
A Shadowsocks server as a Twisted protocol::

    factory = ShadowsocksFactory(Inbound(portal, reactor), accounts, replay)
    serverFromString(reactor, "tcp:8388").listen(factory)

where C{portal} is a C{twisted.cred} Portal that takes
L{ISharedKey<socksproxy.auth.sharedkey.ISharedKey>} and has
L{IProxyAvatar<socksproxy.interfaces.IProxyAvatar>}s.

Nothing is ever said to a client that has not proved that it has a key, and one
that has is not told of a failure either: its connection ends.

@see: U{https://shadowsocks.org/doc/aead.html}
@see: U{https://shadowsocks.org/doc/sip022.html}
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from socksproxy.address import IPAddress
from socksproxy.auth.sharedkey import SharedKey
from socksproxy.errors import InternalError, RequestFailed, SOCKSProxyError, TruncatedStream
from socksproxy.events import log
from socksproxy.inbound import Handshake, Inbound, InboundFactory, InboundProtocol, sourceOf
from socksproxy.interfaces import ClientOrigin
from socksproxy.relay import RelayResult
from socksproxy.shadowsocks._events import Refused, Requested, StreamFault
from socksproxy.shadowsocks._replay import Replay
from socksproxy.shadowsocks._server import ServerStream
from socksproxy.shadowsocks._users import Accounts
from socksproxy.shadowsocks.diagnosis import Diagnosis
from socksproxy.shadowsocks.silence import PATIENCE, Deaf, Silent

PROTOCOL = "Shadowsocks"
"""
What logs and avatars call it.
"""


class ShadowsocksFactory(InboundFactory):
    """
    Makes the servers of one listener.

    @ivar silent: The connections that have not been understood.
    """

    def __init__(
        self,
        inbound: Inbound,
        accounts: Accounts,
        replay: Replay,
        *,
        patience: float = PATIENCE,
        strictFirstRead: bool = False,
        local: bool | None = None,
        notBefore: int = 0,
        wallClock: Callable[[], float] = time.time,
        silent: Silent | None = None,
    ) -> None:
        """
        @param inbound: What the connections share. How long they wait is set
            here.
        @param accounts: Whom to let in.
        @param replay: The salts of all streams and datagrams to this server.
        @param patience: Seconds for a client to make its request, and for
            which one that has no key is kept waiting.
        @param strictFirstRead: See L{ServerStream}; for plain TCP.
        @param local: Whether clients come from this very host, where the
            address that they connect from does not tell, as behind a plugin.
        @param notBefore: See L{ServerStream}.
        @param wallClock: Gives seconds since 1970.
        @param silent: Holds the connections that have not been understood.
        """
        super().__init__(inbound)
        inbound.timers = replace(inbound.timers, handshake=patience)
        self.silent = Silent() if silent is None else silent
        self.patience = patience
        self.local = local
        self._accounts = accounts
        self._replay = replay
        self._strict = strictFirstRead
        self._notBefore = notBefore
        self._wallClock = wallClock
        self._diagnosis: Diagnosis | None = None

    def buildProtocol(self, addr: IAddress | None) -> InboundProtocol:
        """
        See C{IProtocolFactory}.
        """
        return ShadowsocksConnection(self)

    def handshakeFor(self, connection: InboundProtocol) -> Handshake:
        """
        See L{InboundFactory.handshakeFor}.
        """
        raise TypeError("its connections are of a kind of their own")

    def streamFor(self, source: str | None) -> ServerStream:
        """
        Make the machine of a connection.

        @param source: What stands for where it comes from, if that is known.
        """
        return ServerStream(
            self._accounts,
            self._replay,
            self._wallClock,
            source,
            strictFirstRead=self._strict,
            notBefore=self._notBefore,
        )

    def explain(self, peer: IAddress, refused: Refused) -> None:
        """
        Say in the log what is wrong with a stream.
        """
        if self._diagnosis is None:
            # Only now the listener has its name.
            self._diagnosis = Diagnosis(self.inbound.listener)
        self._diagnosis.refused(self.inbound.clock.seconds(), "stream", peer, refused)


class ShadowsocksConnection(InboundProtocol):
    """
    A client's connection. It is silent until the client's request has been
    understood, and again once something of what follows cannot be.
    """

    def __init__(self, factory: ShadowsocksFactory) -> None:
        super().__init__(factory.inbound, lambda _: ShadowsocksHandshake(self, factory))
        self._factory = factory
        # What is wrong with it, once it is not listened to any more.
        self._fault: SOCKSProxyError | None = None
        self._understood = False

    def connectionMade(self) -> None:
        """
        See L{InboundProtocol.connectionMade}.
        """
        super().connectionMade()
        if self._slot is not None:
            # They have a limit of their own, since they wait for so long.
            self._slot.handshakeDone()
        self._factory.silent.add(self)

    def origin(self, protocol: str) -> ClientOrigin:
        """
        See L{InboundProtocol.origin}: who gets as far as that has a key.
        """
        origin = replace(super().origin(protocol), keyed=True)
        return origin if self._factory.local is None else replace(origin, local=self._factory.local)

    def begin(
        self, request: Requested, stream: ServerStream, answers: ShadowsocksHandshake
    ) -> None:
        """
        Connect a client that has made its request to where it wants to go.
        """
        destination = request.destination
        self._understood = True
        self._factory.silent.discard(self)
        self.protect(stream)
        self.record.destination = str(destination)

        def loggedIn(_: object) -> None:
            if self._fault is None:
                self.connect(destination, answers)

        def failed(failure: Failure) -> None:
            error = failure.value
            if not isinstance(error, RequestFailed):
                log.failure("A request failed in an unforeseen way", failure)
                error = InternalError()
            self.refuse(b"", error)

        self.login(SharedKey(request.user.encode()), PROTOCOL).addCallback(loggedIn).addErrback(
            failed
        )

    def ignore(self, error: SOCKSProxyError) -> None:
        """
        Listen to the client no more, and say nothing more to it; what it is
        joined to is reset.

        @param error: Why.
        """
        if self.gone:
            return
        self._fault = error
        if isinstance(error, StreamFault):
            self._factory.explain(self.peer, error.refused)
        self._protection = None
        receiver, transfer = self._receiver, self._transfer
        self.hold(Deaf(self))
        if transfer is None:
            self._refusedFor(error)
            self.closing = self._understood
            if self._attempt is not None:
                self._attempt.cancel()
        else:
            self.note(str(error))
            self.record.sent, self.record.received = self.moved()
            self._transfer = None
            # As if the client had reset its connection.
            receiver.connectionLost(Failure(error))
            self.transport.unregisterProducer()
        if self._understood:
            self._factory.silent.add(self)
            self.allow(self._factory.patience, self._expire)
        if not self.ended:
            self.transport.resumeProducing()

    def readConnectionLost(self) -> None:
        """
        The client sends no more.
        """
        self.ended = True
        super().readConnectionLost()

    def protectionBroken(self, error: SOCKSProxyError) -> None:
        """
        See L{Leg<socksproxy.relay.Leg>}.
        """
        self.ignore(error)

    def refuse(self, message: bytes, error: SOCKSProxyError) -> None:
        """
        See L{InboundProtocol.refuse}.
        """
        if self._fault is None:
            super().refuse(message, error)

    def finish(self) -> None:
        """
        See L{InboundProtocol.finish}.
        """
        self._factory.silent.discard(self)
        super().finish()

    def _relayEnded(self, result: RelayResult) -> None:
        if self._fault is None:
            super()._relayEnded(result)

    def _expire(self) -> None:
        self._factory.silent.discard(self)
        if self._fault is None:
            self.refuse(b"", TruncatedStream("there was no request in time"))
        else:
            self._close(b"")


class ShadowsocksHandshake(Handshake):
    """
    The receiver of a connection until its request is granted. It is what the
    relay asks for how to answer, too: there are no answers in Shadowsocks.
    """

    connection: ShadowsocksConnection

    def __init__(self, connection: ShadowsocksConnection, factory: ShadowsocksFactory) -> None:
        super().__init__(connection)
        self._factory = factory
        self._stream: ServerStream | None = None
        self._early: list[bytes] = []
        self._pending = 0
        self._requested = False
        connection.record.protocol = PROTOCOL

    def dataReceived(self, data: bytes) -> None:
        """
        Take bytes from the client: once its request is there, its own.
        """
        if self._requested:
            self._keep(data)
            return
        if self._stream is None:
            known = self._factory.local is None
            self._stream = self._factory.streamFor(
                sourceOf(self.connection.peer) if known else None
            )
        events = self._stream.feed(data)
        fault = self._stream.fault
        if fault is not None:
            # Even of a request nothing is made if it cannot be trusted.
            self.connection.ignore(StreamFault(fault.reason, fault.skew))
            return
        for event in events:
            if isinstance(event, Requested):
                self._requested = True
                self._keep(event.firstPayload)
                self.connection.begin(event, self._stream, self)

    def readConnectionLost(self) -> None:
        """
        The client sends no more: that is no reason to hurry.
        """

    def granted(self, host: IPAddress | None, port: int) -> bytes:
        """
        See L{Answers<socksproxy.inbound.handshake.Answers>}.
        """
        return b""

    def refused(self, error: RequestFailed) -> bytes:
        """
        See L{Answers<socksproxy.inbound.handshake.Answers>}.
        """
        return b""

    def takeEarlyData(self) -> bytes:
        """
        See L{Answers<socksproxy.inbound.handshake.Answers>}.
        """
        early = b"".join(self._early)
        self._early.clear()
        return early

    def _keep(self, data: bytes) -> None:
        if data:
            self._early.append(data)
            self._pending += len(data)
            self.connection.keepEarlyData(self._pending)
