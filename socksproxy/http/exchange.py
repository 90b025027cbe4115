"""
One request that is forwarded, and its answer: both bodies pass through as they
come, and neither is read faster than the other side takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol as Interface

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from socksproxy.errors import ConnectTimedOut, SOCKSProxyError
from socksproxy.events import printable
from socksproxy.http._clientside import ClientSide
from socksproxy.http._connect import HeaderField
from socksproxy.http._events import (
    BadOrigin,
    Body,
    BodyEnd,
    Interim,
    OriginEvent,
    Request,
    Response,
    Switched,
)
from socksproxy.http._fields import Forwarding, responseFields, switchedFields
from socksproxy.http._refusal import Refusal
from socksproxy.http.origin import Origin, Route
from socksproxy.http.status import BadResponse, ResponseTimedOut
from socksproxy.inbound import InboundProtocol, InboundTimers, shownAddress
from socksproxy.inbound.connection import PAUSE_AT
from socksproxy.interfaces import IProxyAvatar
from socksproxy.relay import Leg

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))
"""
Methods of requests that may be sent again when it is not known what became of
them.

@see: U{https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2}
"""


class Client(Interface):
    """
    Whose requests they are.

    @ivar connection: The connection they come on.
    @ivar machine: What reads them and writes the answers.
    @ivar full: The client has not taken all that was written yet.
    """

    connection: InboundProtocol
    machine: ClientSide

    @property
    def full(self) -> bool:
        """
        See the class.
        """

    def regulate(self) -> None:
        """
        Read the client, or do not, as is now right.
        """

    def exchanged(self, kept: Origin | None) -> None:
        """
        The answer has been written, all of it.

        @param kept: The connection to the origin, if others can use it.
        """

    def failed(self, error: SOCKSProxyError) -> None:
        """
        There is no answer, and none has begun.
        """

    def switched(self, origin: Leg, message: bytes) -> None:
        """
        The two speak another protocol now.

        @param origin: A connected leg that does not read.
        @param message: What the client gets first.
        """


class Exchange:
    """
    One request and its answer.
    """

    def __init__(
        self,
        client: Client,
        request: Request,
        fields: Sequence[HeaderField],
        forwarding: Forwarding,
        route: Route,
    ) -> None:
        """
        @param client: Whose it is.
        @param request: One in absolute-form.
        @param fields: What the origin gets to see of its fields.
        @param forwarding: How answers are forwarded.
        @param route: Where it goes.
        """
        self._client = client
        self._request = request
        self._fields = fields
        self._forwarding = forwarding
        self._route = route
        self._origin: Origin | None = None
        self._early: list[bytes] = []
        self._earlyOctets = 0
        self._trailers: Sequence[HeaderField] | None = None
        self._status = 0
        self._over = False
        self._since = 0.0
        self._mark = (0, 0)
        self._watching: IDelayedCall | None = None

    @property
    def repeatable(self) -> bool:
        """
        The request can be sent again. Nothing else goes over a connection that
        has been used before, since that may be closing already.
        """
        request = self._request
        return request.method in IDEMPOTENT and not (request.length or request.chunked)

    @property
    def wantsBody(self) -> bool:
        """
        There is room for more of the request's body.
        """
        if self._origin is None:
            return self._earlyOctets < PAUSE_AT
        return not self._origin.full

    @property
    def moved(self) -> tuple[int, int]:
        """
        Octets to the origin so far, and back.
        """
        origin = self._origin
        return (0, 0) if origin is None else (origin.sent, origin.received)

    def start(self, kept: Origin | None) -> None:
        """
        Send the request.

        @param kept: A connection to use, if it is for this.
        """
        usable = kept is not None and kept.usable and kept.route == self._route and self.repeatable
        if kept is not None and not usable:
            kept.close()
        self._connect(kept if usable else None)

    def bodyReceived(self, data: bytes) -> None:
        """
        The client has sent a piece of the body.
        """
        if self._over:
            return
        if self._origin is None:
            self._early.append(data)
            self._earlyOctets += len(data)
        else:
            self._since = self._now()
            self._origin.send(data)

    def bodyEnded(self, trailers: Sequence[HeaderField]) -> None:
        """
        The client has sent all of the body.
        """
        if self._over:
            return
        self._trailers = trailers
        if self._origin is not None:
            self._origin.end(trailers)
            self._watch()

    def clientFull(self, full: bool) -> None:
        """
        The client takes no more of the answer for now, or does again.
        """
        if self._origin is None:
            return
        if full:
            self._origin.pause()
        else:
            self._origin.readOn()

    def clientEnded(self) -> None:
        """
        The client sends nothing more, and perhaps waits for nothing either.
        """
        if self._origin is not None:
            self._watch()

    def clientLost(self, reason: Failure) -> None:
        """
        The client is gone, so nobody waits for the answer.
        """
        if self._origin is not None and not self._over:
            closed = reason.check(ConnectionDone)
            self._client.connection.note("client closed" if closed else "client reset")
        self.give()

    def give(self) -> None:
        """
        Give the request up.
        """
        origin = self._end()
        if origin is not None:
            origin.abort()

    def abort(self, reason: str) -> None:
        """
        See L{Transfer<socksproxy.inbound.protocol.Transfer>}.
        """
        self.give()
        self._client.connection.abort(reason)

    # What the origin does

    def originSaid(self, events: Sequence[OriginEvent]) -> None:
        """
        See L{OriginUser<socksproxy.http.origin.OriginUser>}.
        """
        machine = self._client.machine
        said: list[bytes] = []
        complete = False
        for event in events:
            if isinstance(event, Body):
                said.append(machine.send(event.data))
            elif isinstance(event, Response):
                said.append(self._answer(event))
            elif isinstance(event, BodyEnd):
                said.append(machine.end(event.trailers))
                complete = True
            elif isinstance(event, Interim):
                self._since = self._now()
                fields = responseFields(event, self._forwarding)
                said.append(machine.inform(event.status, fields))
            elif isinstance(event, Switched):
                self._say(said)
                self._switch(event)
                return
            else:
                self._say(said)
                self._broken(event)
                return
        self._say(said)
        if complete and not self._over:
            self._complete()

    def originFull(self, full: bool) -> None:
        """
        See L{OriginUser<socksproxy.http.origin.OriginUser>}.
        """
        self._client.regulate()

    def originStuck(self) -> None:
        """
        See L{OriginUser<socksproxy.http.origin.OriginUser>}.
        """
        self._fail(ConnectTimedOut("the origin does not read"))

    def _connect(self, kept: Origin | None) -> None:
        connection = self._client.connection
        destination = self._route.destination

        def connect(avatar: IProxyAvatar) -> Deferred[Origin]:
            if kept is not None:
                return succeed(kept)
            return avatar.connect(destination).addCallback(self._originAt)

        connection.attempt(
            printable(self._request.method), destination, connect, self._connected, self._fail
        )

    def _originAt(self, leg: Leg) -> Origin:
        inbound = self._client.connection.inbound
        return Origin(inbound.clock, leg, self._route, inbound.timers.relay.drain)

    def _connected(self, origin: Origin) -> None:
        connection = self._client.connection
        if self._over or connection.gone or connection.closing:
            origin.abort()
            return
        self._origin = origin
        connection.carry(self)
        connection.record.address = shownAddress(origin.leg.transport.getPeer())
        early, self._early = self._early, []
        request = self._request
        self._since = self._now()
        origin.request(
            self,
            request.method,
            request.target.path,
            self._fields,
            request.length,
            request.chunked,
            early,
            self._trailers,
        )
        if not self._over and self._origin is not None:
            self._client.regulate()
            self._watch()

    def _answer(self, response: Response) -> bytes:
        """
        Begin the answer.
        """
        machine, connection = self._client.machine, self._client.connection
        self._status = response.status
        self._since = self._now()
        return machine.respond(
            response.status,
            response.reason,
            responseFields(response, self._forwarding),
            length=response.length,
            close=connection.stopping,
        )

    def _say(self, said: Sequence[bytes]) -> None:
        message = b"".join(said)
        if message:
            self._client.connection.answer(message)

    def _complete(self) -> None:
        """
        All of the answer has been written. If the request is not complete,
        nobody wants the rest of it.
        """
        origin = self._end()
        kept = None
        if origin is not None:
            if self._trailers is None:
                origin.abort()
            elif origin.release():
                kept = origin
        self._client.connection.note(f"answered {self._status}")
        self._client.exchanged(kept)

    def _broken(self, event: BadOrigin) -> None:
        """
        There is no answer, or not all of it.
        """
        origin = self._origin
        if origin is not None and origin.requests > 1 and not origin.received:
            self._origin = None
            self._unwatch()
            origin.abort()
            self._connect(None)
        else:
            self._fail(BadResponse(event.text))

    def _switch(self, event: Switched) -> None:
        fields = switchedFields(event, self._forwarding)
        message = self._client.machine.switch(event.status, event.reason, fields)
        origin = self._end()
        if origin is not None:
            leg, rest = origin.hand()
            self._client.switched(leg, message + rest)

    def _fail(self, error: SOCKSProxyError) -> None:
        """
        There will be no answer.
        """
        if self._over:
            return
        if self._client.machine.answered:
            self.abort(str(error))
        else:
            self.give()
            self._client.failed(error)

    def _end(self) -> Origin | None:
        """
        Nothing more happens here.

        @return: The connection that there was to the origin.
        """
        origin, connection = self._origin, self._client.connection
        if not self._over:
            self._over = True
            sent, received = self.moved
            connection.record.sent += sent
            connection.record.received += received
            connection.carry(None)
        self._origin = None
        self._unwatch()
        return origin

    # Time

    def _now(self) -> float:
        return self._client.connection.inbound.clock.seconds()

    @property
    def _timers(self) -> InboundTimers:
        return self._client.connection.inbound.timers

    def _watch(self) -> None:
        """
        Begin to look after this.
        """
        self._unwatch()
        limit = self._limit()
        if limit:
            self._lookIn(limit)

    def _unwatch(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()

    def _lookIn(self, seconds: float) -> None:
        clock = self._client.connection.inbound.clock
        self._watching = clock.callLater(seconds, self._look)

    def _limit(self) -> float:
        """
        Give the seconds that may pass without any progress.
        """
        timers = self._timers
        if self._client.machine.answered:
            relay = timers.relay
            return relay.halfClosed if self._client.connection.ended else relay.idle
        return timers.relay.halfClosed if self._trailers is None else timers.response

    def _look(self) -> None:
        """
        See whether there is any progress still. What the two sides do not read
        is looked after elsewhere.
        """
        self._watching = None
        now, limit = self._now(), self._limit()
        answered = self._client.machine.answered
        if not limit:
            return
        if answered and self.moved != self._mark:
            self._mark, self._since = self.moved, now
        left = self._since + limit - now
        if left > 0:
            self._lookIn(min(left, limit / 8) if answered else left)
        elif answered:
            self.abort("idle for too long")
        elif self._trailers is None:
            self._fail(Refusal(408, "the request took too long"))
        else:
            self._fail(ResponseTimedOut("the origin did not answer in time"))
