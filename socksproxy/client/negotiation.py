"""
Talking with a proxy until it has done what was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from socksproxy.address import Destination
from socksproxy.client.errors import (
    ProxiedConnectError,
    ProxyFault,
    ProxyProtocolError,
    connectErrorFrom,
)
from socksproxy.errors import SOCKSProxyError
from socksproxy.negotiation import (
    Blocking,
    ClientMachine,
    Failed,
    Protection,
    ProtectionEstablished,
    ReplyReceived,
    Send,
)
from socksproxy.relay import Leg
from socksproxy.relay.leg import abort
from socksproxy.relay.sockets import writeThrough

InThread = Callable[[Callable[[], None]], Deferred[None]]


class Negotiation:
    """
    Drives a client's machine on a connection to a proxy. There is one reply
    for most requests, and a second one for BIND.

    @ivar leg: The connection.
    @ivar protection: What the method of authentication has put around it.
    @ivar paused: A reply that nobody has asked for yet has come, and nothing
        is read before somebody does.
    """

    def __init__(self, leg: Leg, machine: ClientMachine, inThread: InThread) -> None:
        """
        @param leg: A connection to the proxy that nobody reads yet.
        @param machine: Says what to say.
        @param inThread: Calls a function off the reactor's thread.
        """
        self.leg = leg
        self.protection: Protection | None = None
        self._machine = machine
        self._inThread = inThread
        self._replies: list[Destination] = []
        self._waiting: Deferred[Destination] | None = None
        self._error: ProxiedConnectError | None = None
        self._over = False
        self.paused = False

    def start(self) -> Deferred[Destination]:
        """
        Begin.

        @return: As L{reply}.
        """
        self.leg.hold(self)
        waiting = self.reply()
        if self._error is None:
            writeThrough(self.leg.transport, self._machine.start())
            self.leg.transport.resumeProducing()
        return waiting

    def reply(self) -> Deferred[Destination]:
        """
        Wait for the proxy's next reply.

        @return: BND.ADDR and BND.PORT; fails with a L{ProxiedConnectError},
            after which the connection is being closed. Cancelling closes it.
        """
        waiting: Deferred[Destination] = Deferred(lambda _: self.abandon())
        if self._error is not None:
            waiting.errback(self._error)
        elif self._replies:
            waiting.callback(self._replies.pop(0))
        else:
            self._waiting = waiting
        return waiting

    def release(self) -> bytes:
        """
        Leave the connection to somebody else, who is to hold it at once.

        @return: What has come for them already.
        """
        self._over = True
        return self._machine.takeEarlyData()

    def abandon(self) -> None:
        """
        Close the connection without a word.
        """
        self._over = True
        self._waiting = None
        self._error = self._error or ProxyFault("the request has been given up")
        abort(self.leg.transport)

    def dataReceived(self, data: bytes) -> None:
        """
        Take bytes from the proxy.
        """
        self._actOn(self._machine.receive(data))

    def readConnectionLost(self) -> None:
        """
        The proxy sends no more, and has not said what it should have.
        """
        self._actOn(self._machine.endOfStream())

    def connectionLost(self, reason: Failure) -> None:
        """
        The connection is gone.
        """
        self._fail(ProxyProtocolError("the connection to the proxy was lost"))

    def _actOn(self, events: Sequence[object]) -> None:
        for event in events:
            if self._over:
                return
            if isinstance(event, Send):
                writeThrough(self.leg.transport, event.data)
            elif isinstance(event, Blocking):
                self._inThread(event.call).addCallback(self._resume)
            elif isinstance(event, ProtectionEstablished):
                self.protection = event.protection
                self.leg.protect(event.protection)
            elif isinstance(event, ReplyReceived):
                self._replied(event.bound)
            elif isinstance(event, Failed):
                self._fail(event.error)

    def _resume(self, _: object) -> None:
        if not self._over:
            self._actOn(self._machine.resume())

    def _replied(self, bound: Destination) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self._replies.append(bound)
            self.paused = True
            self.leg.transport.pauseProducing()
        else:
            waiting.callback(bound)

    def _fail(self, error: SOCKSProxyError) -> None:
        if self._over:
            return
        self._over = True
        self._error = connectErrorFrom(error)
        abort(self.leg.transport)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(self._error)
