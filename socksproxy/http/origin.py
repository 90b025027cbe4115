"""
A connection to an origin, which a client's requests use one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Destination
from socksproxy.http._connect import HeaderField
from socksproxy.http._events import BadOrigin, OriginEvent
from socksproxy.http._originside import OriginSide
from socksproxy.http.patience import Patience
from socksproxy.relay import Leg
from socksproxy.relay.leg import abort
from socksproxy.relay.sockets import backlogOf, tuneSocket, writeThrough


@dataclass(frozen=True, slots=True)
class Route:
    """
    What requests have to have in common to go over one connection.

    @ivar destination: The origin.
    @ivar username: As which user the client has logged in, if it has.
    """

    destination: Destination
    username: bytes | None


class OriginUser(Interface):
    """
    Whose request is under way.
    """

    def originSaid(self, events: Sequence[OriginEvent]) -> None:
        """
        The origin has sent something, or ended.
        """

    def originFull(self, full: bool) -> None:
        """
        There is no more room for what the client sends, or there is again.
        """

    def originStuck(self) -> None:
        """
        The origin does not read what there is for it.
        """


@implementer(IPushProducer)
class Origin:
    """
    A connection to an origin. It is its leg's receiver, and the producer of
    its transport.

    @ivar leg: The connection.
    @ivar route: Which requests may use it.
    @ivar requests: How many have used it.
    @ivar sent: Octets of the present request, with its head.
    @ivar received: Octets of the answer.
    @ivar gone: It is closed, or about to be.
    """

    def __init__(self, clock: IReactorTime, leg: Leg, route: Route, drain: float) -> None:
        """
        @param clock: Time.
        @param leg: A connected leg that does not read yet.
        @param drain: Seconds that an origin has to read something.
        """
        self.leg = leg
        self.route = route
        self._machine = OriginSide()
        self._transport = leg.transport
        self._user: OriginUser | None = None
        self._patience = Patience(clock, leg.transport, drain, self._stuck)
        self._reading = False
        self._lost = False
        self.requests = 0
        self.sent = 0
        self.received = 0
        self.gone = False
        tuneSocket(leg.transport)
        leg.transport.registerProducer(self, True)

    @property
    def usable(self) -> bool:
        """
        Another request can be sent.
        """
        return not self.gone and self._user is None

    @property
    def full(self) -> bool:
        """
        The origin has not taken all that was written yet.
        """
        return self._patience.full

    def request(
        self,
        user: OriginUser,
        method: bytes,
        target: bytes,
        fields: Sequence[HeaderField],
        length: int | None,
        chunked: bool,
        body: Sequence[bytes] = (),
        trailers: Sequence[HeaderField] | None = None,
    ) -> None:
        """
        Send a request, as far as it is there, and read the answer.

        @param user: Whose it is.
        @param fields: As the origin is to get them, but for the framing.
        @param length: Octets of the body, if they are known.
        @param chunked: A body of unknown length follows.
        @param body: What is there of the body already.
        @param trailers: The fields after it, if all of it is there.
        """
        machine = self._machine
        self._user = user
        self.sent = self.received = 0
        head = machine.request(method, target, fields, length=length, chunked=chunked)
        message = [head, *map(machine.send, body)]
        if trailers is not None:
            message.append(machine.end(trailers))
        self._write(b"".join(message))
        self.requests += 1
        if self.requests == 1:
            self.leg.hold(self)
        self.readOn()

    def send(self, data: bytes) -> None:
        """
        Send a piece of the request's body.
        """
        self._write(self._machine.send(data))

    def end(self, trailers: Sequence[HeaderField]) -> None:
        """
        Send the end of the request's body.
        """
        self._write(self._machine.end(trailers))

    def pause(self) -> None:
        """
        Read nothing for now.
        """
        if self._reading:
            self._reading = False
            self._transport.pauseProducing()

    def readOn(self) -> None:
        """
        Read again.
        """
        if not (self._reading or self.gone):
            self._reading = True
            self._transport.resumeProducing()

    def release(self) -> bool:
        """
        The request has been answered.

        @return: Whether another can follow; the connection is closed if not.
        """
        self._user = None
        if backlogOf(self._transport):
            # It has answered what it has not read, and perhaps never will.
            self.abort()
            return False
        if self.gone or not self._machine.reusable:
            self.close()
            return False
        self._machine.next()
        self.readOn()
        return True

    def hand(self) -> tuple[Leg, bytes]:
        """
        Give the connection away, to somebody who speaks another protocol.

        @return: The leg, which does not read, and what it has given of that
            protocol already.
        """
        self._forget()
        self._transport.unregisterProducer()
        self.pause()
        return self.leg, self._machine.takeTunnelled()

    def close(self) -> None:
        """
        Close the connection: nothing more is expected of it.
        """
        self._forget()
        if not self.gone:
            self.gone = True
            self._transport.unregisterProducer()
            self._transport.loseConnection()

    def abort(self) -> None:
        """
        Drop the connection.
        """
        self._forget()
        if not self._lost:
            self.gone = True
            self._transport.unregisterProducer()
            abort(self._transport)

    def dataReceived(self, data: bytes) -> None:
        """
        See L{Receiver<socksproxy.relay.leg.Receiver>}.
        """
        if self._user is None:
            # Nobody has asked for anything.
            self.abort()
            return
        self.received += len(data)
        self._user.originSaid(self._machine.receive(data))

    def readConnectionLost(self) -> None:
        """
        See L{Receiver<socksproxy.relay.leg.Receiver>}.
        """
        if self._user is None:
            self.close()
        else:
            self._user.originSaid(self._machine.endOfStream())

    def connectionLost(self, reason: Failure) -> None:
        """
        See L{Receiver<socksproxy.relay.leg.Receiver>}.
        """
        self.gone = self._lost = True
        user = self._user
        if user is None:
            self._forget()
        elif reason.check(ConnectionDone):
            user.originSaid(self._machine.endOfStream())
        else:
            user.originSaid([BadOrigin("the connection was reset")])

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}: the origin reads slowly.
        """
        self._patience.begin()
        if self._user is not None:
            self._user.originFull(True)

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._patience.end()
        if self._user is not None:
            self._user.originFull(False)

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}. The leg tells that, too.
        """

    def _write(self, data: bytes) -> None:
        if data and not self.gone:
            self.sent += len(data)
            writeThrough(self._transport, data)

    def _stuck(self) -> None:
        if self._user is None:
            self.abort()
        else:
            self._user.originStuck()

    def _forget(self) -> None:
        self._user = None
        self._patience.forget()
