"""
One client's connection, as a sequence of HTTP/1 exchanges, without I/O.

What the client sends comes out as L{events<socksproxy.http._events>}, what is
to be told to it as octets::

    client = ClientSide()
    request, *events = client.receive(data)     # Request, Body, BodyEnd
    answer = client.respond(200, b"OK", fields, length=2) + client.send(b"hi") + client.end()
    if client.persistent:
        events = client.nextRequest()

The next request's head is read once the exchange is over both ways; until then
what comes early is kept. After L{Bad} nothing is read any more.

@see: U{https://www.rfc-editor.org/rfc/rfc9112}
"""

from collections.abc import Iterable
from enum import Enum

from socksproxy.errors import LocalProtocolError
from socksproxy.http._body import BodyOfLength, BodyReader, ChunkedBody
from socksproxy.http._connect import HeaderField
from socksproxy.http._events import Bad, Body, BodyEnd, ClientDone, ClientEvent, Request
from socksproxy.http._fields import passableTrailers
from socksproxy.http._framing import requestOf
from socksproxy.http._guard import RequestReader
from socksproxy.http._refusal import Refusal
from socksproxy.http._writing import BodyWriter, NoBody, responseHead
from socksproxy.negotiation import EARLY_DATA_LIMIT

MAX_REQUESTS = 1000
"""
How many requests a connection carries.
"""

# Those that a client of HTTP/1.1 is told of.
_PASSED_INTERIMS = {100: b"Continue", 103: b"Early Hints"}

_FRAMING = frozenset((b"content-length", b"transfer-encoding"))


class _Reading(Enum):
    """
    What is read from the client.
    """

    HEAD = "the head of a request"
    BODY = "the body of a request"
    EARLY = "what comes before its time"
    TUNNEL = "what is not HTTP any more"
    NOTHING = "nothing"


class ClientSide:
    """
    The proxy's half of a connection with a client.

    What comes early is limited: reading from the connection is to be paused
    while C{pending} is more than L{EARLY_DATA_LIMIT} / 2.

    @ivar requestEnded: Whether the request in hand has come with all its body.
    @ivar answered: Whether the head of its final answer has been written.
    @ivar answerEnded: Whether all of that answer has been written.
    """

    def __init__(
        self,
        *,
        maxRequests: int = MAX_REQUESTS,
        originatesTLS: bool = False,
        needsHost: bool = False,
    ) -> None:
        """
        @param maxRequests: How many requests to read.
        @param originatesTLS: Whether C{https} can be asked for.
        @param needsHost: Whether CONNECT has to have a Host as well.
        """
        self._originatesTLS = originatesTLS
        self._needsHost = needsHost
        self._requestsLeft = maxRequests
        self._buffer = bytearray()
        self._reader = RequestReader()
        self._ended = False
        self._failed = False
        self._reading = _Reading.HEAD
        self._begin()

    def _begin(self) -> None:
        self._request: Request | None = None
        self._body: BodyReader | None = None
        self._writer: BodyWriter | None = None
        self._closing = False
        self._switched = False

    # What the client sends

    def receive(self, data: bytes) -> list[ClientEvent]:
        """
        Take octets from the client.

        @return: What there is to do. After L{Bad} or L{ClientDone}, nothing
            ever again.
        """
        events: list[ClientEvent] = []
        try:
            match self._reading:
                case _Reading.BODY:
                    self._readBody(data, events)
                case _Reading.HEAD:
                    self._buffer += data
                    self._readHead(events)
                case _Reading.EARLY:
                    self._buffer += data
                    self._checkEarly()
                case _Reading.TUNNEL:
                    raise LocalProtocolError("the connection does not speak HTTP any more")
        except Refusal as e:
            self._fail(e, events)
        return events

    def endOfStream(self) -> list[ClientEvent]:
        """
        Learn that the client will send nothing more. It may still be waiting
        for an answer.

        @return: L{Bad} in the middle of a request, L{ClientDone} between two,
            and nothing after a whole one.
        """
        events: list[ClientEvent] = []
        self._ended = True
        try:
            match self._reading:
                case _Reading.BODY if self._body is not None:
                    self._body.endOfStream()
                case _Reading.HEAD:
                    self._finish(events)
        except Refusal as e:
            self._fail(e, events)
        return events

    def nextRequest(self) -> list[ClientEvent]:
        """
        Read on: the exchange in hand is over both ways.

        @return: What there is in what has come already.
        @raise LocalProtocolError: It is not over, or was the last.
        """
        if not (self.requestEnded and self.answerEnded and self.persistent):
            raise LocalProtocolError("there is no next request")
        self._begin()
        self._reading = _Reading.HEAD
        events: list[ClientEvent] = []
        try:
            self._readHead(events)
            if self._ended and self._reading is _Reading.HEAD:
                self._finish(events)
        except Refusal as e:
            self._fail(e, events)
        return events

    def takeTunnelled(self) -> bytes:
        """
        Give what followed the request that turned the connection into
        something else, and read nothing more.

        @raise LocalProtocolError: There is none.
        """
        if self._failed or not self._switched:
            raise LocalProtocolError("the connection speaks HTTP")
        self._reading = _Reading.TUNNEL
        tunnelled = bytes(self._buffer)
        self._buffer.clear()
        return tunnelled

    @property
    def pending(self) -> int:
        """
        Octets that have come and are not understood yet.
        """
        return len(self._buffer)

    @property
    def requestEnded(self) -> bool:
        """
        See the class.
        """
        return self._reading in (_Reading.EARLY, _Reading.TUNNEL)

    @property
    def answered(self) -> bool:
        """
        See the class.
        """
        return self._writer is not None or self._switched

    @property
    def answerEnded(self) -> bool:
        """
        See the class.
        """
        return self._writer is not None and self._writer.ended

    @property
    def persistent(self) -> bool:
        """
        Whether the connection may carry another request after this one. The
        head of an answer tells the client so; it may still turn out not to.
        """
        request = self._request
        return (
            request is not None
            and request.keepAlive
            and self._requestsLeft > 0
            and not (self._closing or self._failed or self._switched)
            # What comes after CONNECT is not a request, even if it looks so.
            and not (request.method == b"CONNECT" and self._buffer)
            and not (self._ended and not self._buffer)
        )

    def _readHead(self, events: list[ClientEvent]) -> None:
        head = self._reader.take(self._buffer)
        if head is None:
            return
        request = requestOf(head, originatesTLS=self._originatesTLS, needsHost=self._needsHost)
        self._request = request
        self._requestsLeft -= 1
        events.append(request)
        if request.chunked:
            self._body = ChunkedBody()
        elif request.length:
            self._body = BodyOfLength(request.length)
        else:
            if request.method != b"CONNECT":
                events.append(BodyEnd())
            self._reading = _Reading.EARLY
            self._checkEarly()
            return
        self._reading = _Reading.BODY
        if self._buffer:
            begun = bytes(self._buffer)
            self._buffer.clear()
            self._readBody(begun, events)

    def _readBody(self, data: bytes, events: list[ClientEvent]) -> None:
        body = self._body
        if body is None:
            return
        piece = body.feed(data)
        if piece:
            events.append(Body(piece))
        if body.ended:
            events.append(BodyEnd(passableTrailers(body.trailers)))
            self._reading = _Reading.EARLY
            self._buffer += body.rest
            self._body = None
            self._checkEarly()

    def _checkEarly(self) -> None:
        if len(self._buffer) > EARLY_DATA_LIMIT:
            raise Refusal(400, "too much was sent before its time")

    def _finish(self, events: list[ClientEvent]) -> None:
        """
        Deal with the end of the stream where a request could begin.
        """
        if not self._reader.idle:
            raise Refusal(400, "the head is not complete")
        self._reading = _Reading.NOTHING
        events.append(ClientDone())

    def _fail(self, refusal: Refusal, events: list[ClientEvent]) -> None:
        self._failed = True
        self._reading = _Reading.NOTHING
        self._buffer.clear()
        self._body = None
        events.append(Bad(refusal.status, str(refusal)))

    # What the client is told

    def inform(self, status: int, fields: Iterable[HeaderField] = ()) -> bytes:
        """
        Give an interim answer.

        @return: Nothing if the client would not understand it.
        @raise LocalProtocolError: The answer has been given, or this is not
            an interim one.
        """
        if not 100 <= status < 200 or status == 101:
            raise LocalProtocolError("that is no interim status")
        request = self._unanswered()
        if request is None or request.version == b"1.0" or status not in _PASSED_INTERIMS:
            return b""
        return responseHead(status, _PASSED_INTERIMS[status], _checked(fields))

    def respond(
        self,
        status: int,
        reason: bytes,
        fields: Iterable[HeaderField],
        *,
        length: int | None,
        close: bool = False,
    ) -> bytes:
        """
        Give the head of the final answer; C{send} and C{end} give the rest.
        It can also be the answer to what was L{Bad}.

        @param fields: What is to be forwarded; what says where the answer and
            the connection end is added here.
        @param length: Octets of the body, or L{None} if that is not known. To
            HEAD, and with 304, it is told and no body follows.
        @param close: Close the connection after this answer.
        @raise LocalProtocolError: An answer has been given, this is not a
            final one, or a field cannot be sent.
        """
        if not 200 <= status <= 999:
            raise LocalProtocolError("that is no final status")
        request = self._unanswered()
        method = b"" if request is None else request.method
        later = request is not None and request.version != b"1.0"
        known = length is not None
        bodiless = method == b"HEAD" or status in (204, 304)
        chunked = later and not known and not bodiless
        self._closing = (
            close
            or not self.persistent
            or not self.requestEnded
            or not (known or chunked or bodiless)
        )
        told = [(n, v) for n, v in _checked(fields) if chunked or n.lower() != b"trailer"]
        if length is not None and status != 204:
            told.append((b"Content-Length", b"%d" % length))
        if chunked:
            told.append((b"Transfer-Encoding", b"chunked"))
        if self._closing:
            told.append((b"Connection", b"close"))
        elif not later:
            told.append((b"Connection", b"keep-alive"))
        head = responseHead(status, reason, told)
        self._writer = NoBody() if bodiless else BodyWriter(length, chunked)
        return head

    def established(self, fields: Iterable[HeaderField] = ()) -> bytes:
        """
        Tell that the tunnel is there.

        @raise LocalProtocolError: None was asked for, or there was an answer.
        """
        request = self._unanswered()
        if request is None or request.method != b"CONNECT" or self._failed:
            raise LocalProtocolError("no tunnel was asked for")
        head = responseHead(200, b"Connection established", _checked(fields))
        self._switched = True
        return head

    def switch(self, status: int, reason: bytes, fields: Iterable[HeaderField]) -> bytes:
        """
        Tell that the connection speaks the other protocol from here on.

        @param status: 101.
        @param fields: Upgrade among them, and Connection.
        @raise LocalProtocolError: None was asked for, or there was an answer.
        """
        request = self._unanswered()
        if request is None or request.upgrade is None or self._failed or status != 101:
            raise LocalProtocolError("no other protocol was asked for")
        head = responseHead(status, reason, _checked(fields, _FRAMING))
        self._switched = True
        return head

    def send(self, data: bytes) -> bytes:
        """
        Give a piece of the answer's body.

        @raise LocalProtocolError: It is not its time, or more than declared.
        """
        return self._answer().send(data)

    def end(self, trailers: Iterable[HeaderField] = ()) -> bytes:
        """
        Give the end of the answer's body.

        @raise LocalProtocolError: It is not its time, or less was sent than
            declared.
        """
        return self._answer().end(trailers)

    def _unanswered(self) -> Request | None:
        """
        Give the request in hand, if its head could be understood.

        @raise LocalProtocolError: It has its answer, or there is none.
        """
        if self.answered:
            raise LocalProtocolError("the request has been answered")
        if self._request is None and not self._failed:
            raise LocalProtocolError("there is no request")
        return self._request

    def _answer(self) -> BodyWriter:
        if self._writer is None:
            raise LocalProtocolError("no answer has begun")
        return self._writer


def _checked(
    fields: Iterable[HeaderField], madeHere: frozenset[bytes] = _FRAMING | {b"connection"}
) -> list[HeaderField]:
    """
    Require of fields that they leave to us what is made here.
    """
    checked = list(fields)
    if any(name.lower() in madeHere for name, _ in checked):
        raise LocalProtocolError("a field about framing or the connection is not to be given")
    return checked
