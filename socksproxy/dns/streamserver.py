"""
Answering clients over TCP.

@see: U{https://www.rfc-editor.org/rfc/rfc1035#section-4.2.2}
@see: U{https://www.rfc-editor.org/rfc/rfc7766}
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.dns._framing import Messages, framed
from socksproxy.dns.forwarder import Forwarder
from socksproxy.dns.message import BadQuery, readQuery
from socksproxy.errors import TooManyConnections
from socksproxy.inbound.address import sourceOf
from socksproxy.policy.limits import ConnectionLimits, Slot
from socksproxy.relay.leg import StreamTransport, abort, addressAndPort

MAX_ON_CONNECTION = 64
"""
Questions of one connection that wait for answers. It is not read any further
while there are as many.
"""

MAX_CONNECTIONS = 256
"""
Connections in all.
"""

MAX_FROM_SOURCE = 64
"""
Connections from one other host.
"""

IDLE = 10.0
"""
Seconds after which a connection is closed on which nothing is asked, or nothing
read of what is answered.
"""


class StreamServer(Factory):
    """
    Answers over TCP.

    @ivar forwarder: Knows the answers.
    @ivar clock: Time.
    @ivar connections: The clients that are there.
    """

    noisy = False

    def __init__(
        self, forwarder: Forwarder, clock: IReactorTime, limits: ConnectionLimits | None = None
    ) -> None:
        """
        @param forwarder: Knows the answers.
        @param clock: Time.
        @param limits: Caps on connections, instead of L{MAX_CONNECTIONS}.
        """
        if limits is None:
            limits = ConnectionLimits(MAX_CONNECTIONS, MAX_FROM_SOURCE, MAX_CONNECTIONS)
        self.forwarder = forwarder
        self.clock = clock
        self.connections: set[DNSConnection] = set()
        self._limits = limits

    def buildProtocol(self, addr: Any) -> DNSConnection | None:
        """
        See C{IProtocolFactory}.
        """
        try:
            slot = self._limits.admit()
        except TooManyConnections:
            return None
        host, _ = addressAndPort(addr)
        if host is not None and not host.is_loopback:
            try:
                slot.attribute(sourceOf(addr))
            except TooManyConnections:
                slot.release()
                return None
        return DNSConnection(self, slot)

    def endAll(self) -> None:
        """
        Close all connections.
        """
        for connection in list(self.connections):
            connection.end()


@implementer(IHalfCloseableProtocol, IPushProducer)
class DNSConnection(Protocol):
    """
    A client's connection. It may ask one question after another without
    waiting, and the answers come as they are known.

    It is a producer to its own transport: who does not read answers cannot
    ask any more.
    """

    transport: StreamTransport  # type: ignore[assignment]

    def __init__(self, server: StreamServer, slot: Slot) -> None:
        """
        @param server: Where it came in.
        @param slot: Its place.
        """
        self._server = server
        self._slot = slot
        self._messages = Messages()
        self._waiting = 0
        self._taking = False
        self._full = False
        self._paused = False
        self._ended = False
        self._closing = False
        self._used = server.clock.seconds()
        self._expiring: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """
        See C{IProtocol}.
        """
        self._server.connections.add(self)
        self.transport.registerProducer(self, True)
        self._expiring = self._server.clock.callLater(IDLE, self._expire)

    def dataReceived(self, data: bytes) -> None:
        """
        See C{IProtocol}.
        """
        if not self._closing:
            self._messages.feed(data)
            self._take()

    def readConnectionLost(self) -> None:
        """
        See C{IHalfCloseableProtocol}. What has been asked is answered.
        """
        self._ended = True
        self._closeIfDone()

    def writeConnectionLost(self) -> None:
        """
        See C{IHalfCloseableProtocol}.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        See C{IProtocol}.
        """
        self._closing = True
        self._server.connections.discard(self)
        self._slot.release()
        if self._expiring is not None:
            self._expiring.cancel()
            self._expiring = None

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}: the client does not read.
        """
        self._full = True
        self._regulate()

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}: it reads again.
        """
        self._full = False
        self._used = self._server.clock.seconds()
        self._take()

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}.
        """

    def end(self) -> None:
        """
        Close it, whatever is still to be said.
        """
        self._closing = True
        abort(self.transport)

    @property
    def _isBusy(self) -> bool:
        return self._full or self._waiting >= MAX_ON_CONNECTION

    def _take(self) -> None:
        """
        Take as many questions as there is room for.
        """
        if self._taking:
            # An answer that was there at once.
            return
        self._taking = True
        while not self._isBusy and not self._closing:
            octets = self._messages.take()
            if octets is None:
                break
            self._question(octets)
        self._taking = False
        self._regulate()
        self._closeIfDone()

    def _question(self, octets: bytes) -> None:
        self._used = self._server.clock.seconds()
        try:
            query = readQuery(octets)
        except BadQuery as e:
            if e.answer:
                self.transport.write(framed(e.answer))
            else:
                # Whatever this is, it does not speak DNS.
                self.end()
            return
        answer = self._server.forwarder.answerNow(query)
        if answer is not None:
            self.transport.write(framed(answer))
            return
        self._waiting += 1
        self._server.forwarder.answerLater(query).addCallback(self._answered)

    def _answered(self, answer: bytes) -> None:
        self._waiting -= 1
        if self._closing:
            return
        self._used = self._server.clock.seconds()
        self.transport.write(framed(answer))
        self._take()

    def _regulate(self) -> None:
        """
        Read, or do not read, from the client.
        """
        if self._isBusy != self._paused and not self._closing:
            self._paused = self._isBusy
            if self._paused:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    def _closeIfDone(self) -> None:
        """
        Close it if the client has ended and there is nothing more to say.
        """
        if self._ended and not self._closing and not self._waiting and not self._full:
            self._close()

    def _close(self) -> None:
        self._closing = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _expire(self) -> None:
        clock = self._server.clock
        self._expiring = None
        left = self._used + IDLE - clock.seconds()
        if self._closing or self._full:
            # It has been given time to read.
            if left <= 0:
                self.end()
                return
        elif left <= 0 and not self._waiting:
            self._close()
            left = IDLE
        self._expiring = clock.callLater(left if left > 0 else IDLE, self._expire)
