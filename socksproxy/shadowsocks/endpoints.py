"""
A client endpoint that goes through a server of Shadowsocks::

    from twisted.internet.endpoints import clientFromString
    from socksproxy.shadowsocks.endpoints import ShadowsocksClientEndpoint, ShadowsocksPeer

    server = clientFromString(reactor, "tcp:203.0.113.5:8388")
    peer = ShadowsocksPeer(accountFrom(shadowsocksFromURL("ss://...")), "ss://203.0.113.5:8388")
    endpoint = ShadowsocksClientEndpoint(reactor, server, peer, "example.com", 443)
    connecting = endpoint.connect(factory)

The endpoint to the server may be any. There is no answer to wait for: who is
connected to the server is connected, and the request leaves with the first
octets that there are for the target, or a moment later without any. A target
that cannot be reached is a connection that is closed.

@see: U{https://shadowsocks.org/doc/aead.html}
@see: U{https://shadowsocks.org/doc/sip022.html}
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import IPAddress
from socksproxy.client.endpoint import (
    TIMEOUT,
    addressOf,
    destinationFor,
    handOver,
    notConnected,
    startedFor,
    tooLate,
)
from socksproxy.errors import SOCKSProxyError
from socksproxy.events import Ration, log
from socksproxy.relay import Leg
from socksproxy.relay.leg import StreamTransport, abort
from socksproxy.relay.protected import ProtectedTransport
from socksproxy.relay.sockets import tuneSocket
from socksproxy.shadowsocks._client import ClientStream
from socksproxy.shadowsocks._keys import Account

FIRST_WORDS = 0.05
"""
Seconds that the request waits for something to go with it.
"""

SUSPICIOUS = 3
"""
Connections in a row that a server closes without a word, after which the log
says what may be the reason.
"""


class ShadowsocksPeer:
    """
    A server as its clients see it, over all connections.

    @ivar account: Who we are there.
    """

    def __init__(
        self, account: Account, name: str, wallClock: Callable[[], float] = time.time
    ) -> None:
        """
        @param account: Who we are there.
        @param name: What logs call it.
        @param wallClock: Gives seconds since 1970.
        """
        self.account = account
        self.wallClock = wallClock
        self._name = name
        self._silent = 0
        self._lines = Ration(1, 60.0)
        self._faults = Ration()

    def answered(self) -> None:
        """
        It has answered, so it has our key.
        """
        self._silent = 0

    def closed(self, now: float) -> None:
        """
        It has closed a connection without a word.

        @param now: Seconds.
        """
        self._silent += 1
        if self._silent >= SUSPICIOUS and self._lines.take(now):
            clock = " and the clock" if self.account.method.edition2022 else ""
            log.warn(
                "{server} closes connections without an answer: look at the password, the method"
                "{clock}, and whether it can reach anything",
                server=self._name,
                clock=clock,
            )

    def faulty(self, now: float, error: SOCKSProxyError) -> None:
        """
        What comes of it makes no sense.

        @param now: Seconds.
        @param error: Why.
        """
        if not self._faults.take(now):
            return
        # It tells how far the clocks are apart, if it is that.
        log.warn("{server} is not understood: {error}", server=self._name, error=str(error))


@implementer(IStreamClientEndpoint)
class ShadowsocksClientEndpoint:
    """
    Connects to a target through a server of Shadowsocks.
    """

    def __init__(
        self,
        reactor: Any,
        server: IStreamClientEndpoint,
        peer: ShadowsocksPeer,
        host: str | bytes | IPAddress,
        port: int,
        timeout: float = TIMEOUT,
    ) -> None:
        """
        @param reactor: Time.
        @param server: Leads to the server.
        @param peer: The server.
        @param host: The target's name, which may be international, or
            address.
        @param port: The target's port.
        @param timeout: Seconds for connecting to the server.
        @raise LocalProtocolError: The host is none.
        """
        self._reactor = reactor
        self._server = server
        self._peer = peer
        self._destination = destinationFor(host, port)
        self._timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        See C{IStreamClientEndpoint}.

        @return: The protocol, connected to the server; fails with a
            L{ProxyFault<socksproxy.client.errors.ProxyFault>}.
        """
        result: Deferred[IProtocol] = Deferred(lambda _: asking.cancel())

        def connected(leg: IProtocol) -> None:
            peer = self._peer
            stream = ClientStream(peer.account, self._destination, peer.wallClock)
            begun = _Begun(cast(_ServerLeg, leg), stream, self._reactor)
            handOver(begun, protocolFactory, addressOf(self._destination), result)

        def failed(failure: Failure) -> None:
            if not result.called:
                result.errback(failure)

        startedFor(result, protocolFactory)
        legs = _Legs(self._peer, self._reactor)
        asking: Deferred[IProtocol] = self._server.connect(legs).addErrback(notConnected)
        asking.addTimeout(self._timeout, self._reactor, tooLate)
        asking.addCallback(connected).addErrback(failed)
        return result


class _Legs(Factory):
    """
    Makes the connections to a server.
    """

    noisy = False

    def __init__(self, peer: ShadowsocksPeer, clock: IReactorTime) -> None:
        self._peer = peer
        self._clock = clock

    def buildProtocol(self, addr: IAddress | None) -> _ServerLeg:
        return _ServerLeg(self._peer, self._clock)


class _ServerLeg(Leg):
    """
    A connection to a server.
    """

    def __init__(self, peer: ShadowsocksPeer, clock: IReactorTime) -> None:
        super().__init__()
        self._peer = peer
        self._clock = clock
        self._stream: ClientStream | None = None

    def begin(self, stream: ClientStream) -> None:
        """
        Speak Shadowsocks from now on.
        """
        below = self.transport
        tuneSocket(below)
        self._stream = stream
        self.protect(stream)
        self.transport = _FirstWords(below, stream, self._clock)

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        stream = self._stream
        if stream is not None and stream.answered:
            self._peer.answered()
            self._stream = None

    def protectionBroken(self, error: SOCKSProxyError) -> None:
        self._stream = None
        self._peer.faulty(self._clock.seconds(), error)
        super().protectionBroken(error)

    def readConnectionLost(self) -> None:
        self._ended()
        super().readConnectionLost()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._ended()
        if isinstance(self.transport, _FirstWords):
            self.transport.forget()
        super().connectionLost(reason)

    def _ended(self) -> None:
        stream, self._stream = self._stream, None
        closing = getattr(self.transport, "closing", False)
        if stream is not None and stream.started and not closing:
            self._peer.closed(self._clock.seconds())


class _FirstWords(ProtectedTransport):
    """
    Has the request leave with the first octets, or a moment later, or before
    our end.

    @ivar closing: It is we who close.
    """

    def __init__(
        self, transport: StreamTransport, stream: ClientStream, clock: IReactorTime
    ) -> None:
        super().__init__(transport, stream)
        self._stream = stream
        self.closing = False
        self._timer: IDelayedCall | None = clock.callLater(FIRST_WORDS, self._begin)

    def protected(self, data: bytes) -> bytes:
        """
        See L{ProtectedTransport.protected}.
        """
        if self._timer is not None and data:
            self.forget()
        return super().protected(data)

    def loseWriteConnection(self) -> None:
        """
        See C{IHalfCloseableDescriptor}.
        """
        self._begin()
        getattr(self.transport, "loseWriteConnection", self.transport.loseConnection)()

    def loseConnection(self) -> None:
        """
        See C{ITransport}.
        """
        self.closing = True
        self.forget()
        super().loseConnection()

    def abortConnection(self) -> None:
        """
        See C{ITCPTransport}.
        """
        self.closing = True
        self.forget()
        abort(self.transport)

    def forget(self) -> None:
        """
        Wait no more.
        """
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _begin(self) -> None:
        self.forget()
        if not self._stream.started:
            self.transport.write(self._stream.start())


class _Begun:
    """
    A connection to a server, which will be told where to go.
    """

    paused = True

    def __init__(self, leg: _ServerLeg, stream: ClientStream, clock: IReactorTime) -> None:
        self.leg: Leg = leg
        leg.begin(stream)

    def release(self) -> bytes:
        return b""

    def abandon(self) -> None:
        abort(self.leg.transport)
