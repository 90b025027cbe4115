"""
HTTP/1 proxy servers as Twisted protocols: CONNECT, and requests that are
forwarded, one after another on the same connection.

A proxy of one's own::

    from twisted.internet.endpoints import serverFromString
    from socksproxy.http import HTTPFactory
    from socksproxy.inbound import Inbound

    factory = HTTPFactory(Inbound(portal, reactor))
    serverFromString(reactor, "tcp:8080:interface=127.0.0.1").listen(factory)

where C{portal} is a C{twisted.cred} Portal whose avatars are
L{IProxyAvatar<socksproxy.interfaces.IProxyAvatar>}s. Every request logs in
there, with the user name and password of its Proxy-Authorization, or as nobody
where the Portal takes that.

@see: U{https://www.rfc-editor.org/rfc/rfc9110#section-7.6}
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from secrets import token_hex

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from socksproxy.address import Destination, IPAddress
from socksproxy.errors import (
    CommandNotSupported,
    ConnectTimedOut,
    InternalError,
    NotAllowed,
    RequestFailed,
    SOCKSProxyError,
)
from socksproxy.events import log, printable
from socksproxy.http._clientside import ClientSide
from socksproxy.http._events import Bad, Body, BodyEnd, ClientDone, ClientEvent, Request
from socksproxy.http._fields import Forwarding, isLastHop, requestFields
from socksproxy.http._refusal import Refusal
from socksproxy.http._target import Form
from socksproxy.http.exchange import Exchange
from socksproxy.http.login import credentialsOf, usernameOf
from socksproxy.http.origin import Origin, Route
from socksproxy.http.patience import Patience
from socksproxy.http.resources import Resource
from socksproxy.http.responses import Responses
from socksproxy.inbound import Handshake, Inbound, InboundFactory, InboundProtocol
from socksproxy.inbound.connection import PAUSE_AT
from socksproxy.relay import Leg

DEFAULT_FORWARDING = Forwarding(b"socksproxy-" + token_hex(4).encode("ascii"))
"""
The name that this proxy has in Via is another one in each process.
"""


_RESULTS = {
    408: ConnectTimedOut.summary,
    501: CommandNotSupported.summary,
    508: NotAllowed.summary,
}
"""
What access lines call some refusals that are not just malformed requests.
"""


@implementer(IPushProducer)
class HTTPHandshake(Handshake):
    """
    Serves a client's requests, until one of them turns the connection into
    something else. It is the producer of the client's transport.

    @ivar machine: What reads the requests and writes the answers.
    """

    def __init__(
        self,
        connection: InboundProtocol,
        forwarding: Forwarding = DEFAULT_FORWARDING,
        socks: bool = False,
    ) -> None:
        """
        @param forwarding: How requests and answers are forwarded.
        @param socks: Clients can speak SOCKS on the same port.
        """
        super().__init__(connection)
        self.machine = ClientSide()
        self._forwarding = forwarding
        self._responses = Responses(connection, forwarding, socks)
        self._events: deque[ClientEvent] = deque()
        self._acting = False
        self._loggingIn = False
        self._early = 0
        self._request: Request | None = None
        self._exchange: Exchange | None = None
        self._kept: Origin | None = None
        self._idle = False
        self._held = False
        self._reading = True
        self._left = False
        timers = connection.inbound.timers
        self._patience = Patience(
            connection.inbound.clock, connection.transport, timers.relay.drain, self._stuck
        )
        connection.record.protocol = "HTTP"
        connection.transport.registerProducer(self, True)
        connection.allow(None, self._late)

    @property
    def full(self) -> bool:
        """
        See L{Client<socksproxy.http.exchange.Client>}.
        """
        return self._patience.full

    # What the client does

    def dataReceived(self, data: bytes) -> None:
        """
        Take bytes from the client.
        """
        if self._idle and data:
            self._idle = False
            self.connection.allow(self.connection.inbound.timers.head, self._late)
        self._perform(self.machine.receive(data))

    def readConnectionLost(self) -> None:
        """
        The client sends no more. It may still wait for an answer.
        """
        connection = self.connection
        connection.ended = True
        self._perform(self.machine.endOfStream())
        if self._exchange is not None:
            self._exchange.clientEnded()

    def connectionLost(self, reason: Failure) -> None:
        """
        The client is gone.
        """
        if self._exchange is not None:
            self._exchange.clientLost(reason)
            self._exchange = None
        self._leave()
        super().connectionLost(reason)

    def pauseProducing(self) -> None:
        """
        See C{IPushProducer}: the client reads slowly.
        """
        self._patience.begin()
        if self._exchange is not None:
            self._exchange.clientFull(True)

    def resumeProducing(self) -> None:
        """
        See C{IPushProducer}.
        """
        self._patience.end()
        if self._exchange is not None:
            self._exchange.clientFull(False)
        if self._held:
            self._held = False
            self._readOn()

    def stopProducing(self) -> None:
        """
        See C{IPushProducer}. The connection tells that, too.
        """

    def regulate(self) -> None:
        """
        See L{Client<socksproxy.http.exchange.Client>}.
        """
        connection = self.connection
        if self._acting or self._left or connection.closing or connection.gone or connection.ended:
            return
        early = self._early
        if self._request is not None or self._held:
            early += self.machine.pending
        reads = early < PAUSE_AT and (self._exchange is None or self._exchange.wantsBody)
        if reads != self._reading:
            self._reading = reads
            if reads:
                connection.transport.resumeProducing()
            else:
                connection.transport.pauseProducing()

    def _perform(self, events: Sequence[ClientEvent]) -> None:
        """
        Act on events, one after another, also on those that come of it. What
        follows a request waits until it is known whose that is.
        """
        for event in events:
            self._events.append(event)
            if isinstance(event, Body):
                self._early += len(event.data)
        if self._acting:
            return
        self._acting = True
        try:
            while self._events and not self._loggingIn:
                self._act(self._events.popleft())
        finally:
            self._acting = False
        self.regulate()

    def _act(self, event: ClientEvent) -> None:
        if self.connection.closing or self.connection.gone:
            self._events.clear()
        elif isinstance(event, Request):
            self._requested(event)
        elif isinstance(event, Body):
            self._early -= len(event.data)
            if self._exchange is not None:
                self._exchange.bodyReceived(event.data)
        elif isinstance(event, BodyEnd):
            if self._exchange is not None:
                self._exchange.bodyEnded(event.trailers)
        elif isinstance(event, Bad):
            self._bad(event)
        elif isinstance(event, ClientDone):
            self._leave()
            self.connection.leave("client closed")

    # What it wants

    def _requested(self, request: Request) -> None:
        connection, target = self.connection, request.target
        self._request = request
        connection.requestBegun()
        record = connection.record
        record.protocol = "HTTP"
        record.command = printable(request.method)
        if target.destination is not None:
            record.destination = str(target.destination)
        if target.form is Form.ORIGIN:
            # Whoever asks for the way to use a proxy knows no password yet.
            resource = self._responses.resource(request)
            if resource.status == 404:
                self.failed(Refusal(400, "the request does not say of whom it asks that"))
            else:
                self._respond(resource)
        elif target.form is Form.ASTERISK:
            self._respond(self._responses.options())
        else:
            self._logIn(request)

    def _logIn(self, request: Request) -> None:
        try:
            credentials = credentialsOf(request.fields, self.connection.inbound.portal)
        except RequestFailed as e:
            self.failed(e)
            return
        self._loggingIn = True
        login = self.connection.login(credentials, "HTTP")
        login.addCallbacks(lambda _: self._serve(request), self._notLoggedIn)
        login.addCallbacks(lambda _: self._loggedIn(), self._broken)

    def _loggedIn(self) -> None:
        """
        It is known now whose request it is, and it is being served.
        """
        self._loggingIn = False
        self._perform(())

    def _notLoggedIn(self, failure: Failure) -> None:
        error = failure.value
        if not (self.connection.gone or self.connection.closing):
            self.failed(error if isinstance(error, RequestFailed) else InternalError())

    def _broken(self, failure: Failure) -> None:
        log.failure("A request failed in an unforeseen way", failure)
        self.connection.abort("internal error")

    def _serve(self, request: Request) -> None:
        connection = self.connection
        destination = request.target.destination
        if connection.gone or connection.closing or destination is None:
            return
        if request.target.form is Form.AUTHORITY:
            connection.connect(destination, self)
            return
        try:
            if request.method == b"TRACE":
                self._respond(self._responses.notTraced(request), CommandNotSupported())
            elif isLastHop(request):
                self._respond(self._responses.options())
            elif self._responses.isOurs(destination):
                self._respond(self._responses.resource(request))
            else:
                self._forward(request, destination)
        except Refusal as e:
            self.failed(e)

    def _forward(self, request: Request, destination: Destination) -> None:
        fields = requestFields(request, self._forwarding, self._responses.client)
        route = Route(destination, usernameOf(request.fields))
        self._exchange = Exchange(self, request, fields, self._forwarding, route)
        kept, self._kept = self._kept, None
        self._exchange.start(kept)

    def _bad(self, event: Bad) -> None:
        exchange, self._exchange = self._exchange, None
        if self.machine.answered or (exchange is None and self._request is not None):
            # It has gone on sending when it was not read any more, or has cut
            # off what it had begun.
            self.connection.abort(event.text)
            return
        if exchange is not None:
            exchange.give()
        elif self._request is None:
            self.connection.requestBegun()
            self.connection.record.protocol = "HTTP"
        self.failed(Refusal(event.status, event.text))

    # What it gets

    def granted(self, host: IPAddress | None, port: int) -> bytes:
        """
        See L{Answers<socksproxy.inbound.handshake.Answers>}.
        """
        self._leave()
        return self.machine.established()

    def refused(self, error: RequestFailed) -> bytes:
        """
        See L{Answers<socksproxy.inbound.handshake.Answers>}. What follows a
        request for a tunnel is never taken for another request.
        """
        self._leave()
        return self._written(self._responses.error(error, self._request), close=True)

    def takeEarlyData(self) -> bytes:
        """
        See L{Answers<socksproxy.inbound.handshake.Answers>}.
        """
        return self.machine.takeTunnelled()

    def exchanged(self, kept: Origin | None) -> None:
        """
        See L{Client<socksproxy.http.exchange.Client>}.
        """
        self._exchange = None
        self._kept = kept
        self._answered(b"")

    def failed(self, error: SOCKSProxyError) -> None:
        """
        See L{Client<socksproxy.http.exchange.Client>}.
        """
        self._exchange = None
        self._respond(self._responses.error(error, self._request), error)

    def switched(self, origin: Leg, message: bytes) -> None:
        """
        See L{Client<socksproxy.http.exchange.Client>}.
        """
        self._exchange = None
        self._leave()
        self.connection.join(origin, message, self)

    def _respond(self, response: Resource, error: SOCKSProxyError | None = None) -> None:
        """
        Answer the request ourselves.

        @param error: What it says, if it is not good.
        """
        message = self._written(response, close=isinstance(error, Refusal))
        if error is None:
            self.connection.note(f"answered {response.status}")
        self._answered(message, error)

    def _written(self, response: Resource, close: bool) -> bytes:
        machine = self.machine
        head = machine.respond(
            response.status,
            response.reason,
            response.fields,
            length=len(response.body),
            close=close or self.connection.stopping,
        )
        return head + machine.send(response.body) + machine.end()

    def _answered(self, message: bytes, error: SOCKSProxyError | None = None) -> None:
        """
        Write the last of an answer, and go on to what follows.
        """
        connection = self.connection
        keeps = self.machine.persistent and not connection.stopping
        if not keeps:
            self._leave()
        if keeps:
            connection.settle(message, error)
        elif error is None:
            connection.conclude(message)
        else:
            connection.refuse(message, error)
        if isinstance(error, Refusal) and error.status in _RESULTS:
            connection.record.result = _RESULTS[error.status]
        if keeps:
            self._nextRequest()

    def _nextRequest(self) -> None:
        self._request = None
        self.connection.nextRequest()
        if self.full:
            self._held = True
        else:
            self._readOn()

    def _readOn(self) -> None:
        """
        Read the next request, once the client has taken the last answer.
        """
        connection = self.connection
        timers = connection.inbound.timers
        events = self.machine.nextRequest()
        self._idle = not (events or self.machine.pending)
        connection.allow(timers.kept if self._idle else timers.head, self._late)
        self._perform(events)

    def _leave(self) -> None:
        """
        Somebody else has the client's transport now, or nobody.
        """
        if self._left:
            return
        self._left = True
        self._patience.forget()
        if not self.connection.gone:
            self.connection.transport.unregisterProducer()
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def _late(self) -> None:
        """
        The client has not made a request in time.
        """
        connection = self.connection
        if self._request is not None or self._held:
            return
        if self._idle or connection.ended:
            self._leave()
            connection.leave("no further request came")
        elif self.machine.pending:
            connection.requestBegun()
            connection.record.protocol = "HTTP"
            # There will be no head to answer.
            self.machine.endOfStream()
            self.failed(Refusal(408, "the request took too long"))
        else:
            self.connection.abort("handshake took too long")

    def _stuck(self) -> None:
        self.connection.abort("client does not read")


class HTTPFactory(InboundFactory):
    """
    Makes HTTP proxy servers.
    """

    def __init__(self, inbound: Inbound, forwarding: Forwarding = DEFAULT_FORWARDING) -> None:
        """
        @param inbound: What the connections share.
        @param forwarding: How requests and answers are forwarded.
        """
        super().__init__(inbound)
        self._forwarding = forwarding

    def handshakeFor(self, connection: InboundProtocol) -> Handshake:
        """
        See L{InboundFactory.handshakeFor}.
        """
        return HTTPHandshake(connection, self._forwarding)
