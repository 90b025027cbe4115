"""
One connection to an origin, or to another HTTP proxy, with one request in
flight at a time, without I/O::

    origin = OriginSide()
    message = origin.request(b"GET", b"/", fields, length=None, chunked=False) + origin.end()
    events = origin.receive(data)       # Interim, Response, Body, BodyEnd
    if origin.reusable:
        origin.next()

An answer is complete when L{BodyEnd} says so, and not before: where octets are
missing L{BadOrigin} comes instead.

@see: U{https://www.rfc-editor.org/rfc/rfc9112}
"""

from collections.abc import Iterable
from enum import Enum

from socksproxy.errors import LocalProtocolError
from socksproxy.http._body import BodyReader
from socksproxy.http._connect import INTERIM_LIMIT, HeaderField
from socksproxy.http._events import (
    BadOrigin,
    Body,
    BodyEnd,
    Interim,
    OriginEvent,
    Response,
    Switched,
)
from socksproxy.http._fields import passableTrailers
from socksproxy.http._framing import Answer, answerOf
from socksproxy.http._grammar import listed
from socksproxy.http._guard import ResponseReader
from socksproxy.http._refusal import Refusal
from socksproxy.http._writing import BodyWriter, requestHead
from socksproxy.negotiation import EARLY_DATA_LIMIT

_MADE_HERE = frozenset((b"content-length", b"transfer-encoding"))


class _Reading(Enum):
    """
    What is read from the origin.
    """

    SILENCE = "nothing, since nothing was asked"
    HEAD = "the head of an answer"
    BODY = "the body of an answer"
    OVER = "nothing, since the answer is over"
    TUNNEL = "what is not HTTP any more"
    NOTHING = "nothing, since it makes no sense"


class OriginSide:
    """
    The proxy's half of a connection with an origin.

    @ivar answering: Whether anything at all has come since the request.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._reader = ResponseReader()
        self._ended = False
        self._begin()

    def _begin(self) -> None:
        self._reading = _Reading.SILENCE
        self._method = b""
        self._upgrades: frozenset[bytes] = frozenset()
        self._writer: BodyWriter | None = None
        self._body: BodyReader | None = None
        self._interims = 0
        self._keeps = True
        self.answering = False

    # What the origin is asked

    def request(
        self,
        method: bytes,
        target: bytes,
        fields: Iterable[HeaderField],
        *,
        length: int | None,
        chunked: bool,
    ) -> bytes:
        """
        Give the head of a request; C{send} and C{end} give the rest.

        @param fields: What is to be forwarded, Host and Connection included;
            what says where the body ends is added here.
        @param length: Octets of the body, if they are to be declared. Without
            them and without C{chunked} there is no body.
        @raise LocalProtocolError: One is in flight, or this cannot be sent.
        """
        if self._reading is not _Reading.SILENCE or self._ended:
            raise LocalProtocolError("the connection takes no request")
        if chunked and length is not None:
            raise LocalProtocolError("a body of known length is not chunked")
        asked = list(fields)
        names = {name.lower() for name, _ in asked}
        if names & _MADE_HERE:
            raise LocalProtocolError("a field about framing is not to be given")
        self._upgrades = frozenset(listed(asked, b"upgrade"))
        self._keeps = b"close" not in listed(asked, b"connection")
        if length is not None:
            asked.append((b"Content-Length", b"%d" % length))
        if chunked:
            asked.append((b"Transfer-Encoding", b"chunked"))
        head = requestHead(method, target, asked)
        self._method = method
        self._writer = BodyWriter(None if chunked else length or 0, chunked)
        self._reading = _Reading.HEAD
        return head

    def send(self, data: bytes) -> bytes:
        """
        Give a piece of the request's body.

        @raise LocalProtocolError: It is not its time, or more than declared.
        """
        return self._question().send(data)

    def end(self, trailers: Iterable[HeaderField] = ()) -> bytes:
        """
        Give the end of the request's body.

        @raise LocalProtocolError: It is not its time, or less was sent than
            declared.
        """
        return self._question().end(trailers)

    def next(self) -> None:
        """
        Get ready for another request.

        @raise LocalProtocolError: The connection cannot be used again.
        """
        if not self.reusable:
            raise LocalProtocolError("the connection cannot be used again")
        self._begin()

    @property
    def reusable(self) -> bool:
        """
        Whether the connection can carry another request: this one and its
        answer are over, both sides would keep it, and nothing leaves a doubt
        where the answer ended.
        """
        return (
            self._reading is _Reading.OVER
            and self._keeps
            and not self._ended
            and self._writer is not None
            and self._writer.ended
        )

    # What the origin answers

    def receive(self, data: bytes) -> list[OriginEvent]:
        """
        Take octets from the origin.

        @return: What there is to do. After L{BadOrigin}, nothing ever again.
        """
        events: list[OriginEvent] = []
        if not data:
            return events
        self.answering = True
        try:
            match self._reading:
                case _Reading.BODY:
                    self._readBody(data, events)
                case _Reading.HEAD:
                    self._buffer += data
                    self._readHeads(events)
                case _Reading.TUNNEL:
                    self._buffer += data
                    self._checkEarly()
                case _Reading.SILENCE:
                    raise Refusal(502, "an answer came without a request")
                case _Reading.OVER:
                    # Whatever that is, there is no knowing where it belongs.
                    self._keeps = False
        except Refusal as e:
            self._fail(e, events)
        return events

    def endOfStream(self) -> list[OriginEvent]:
        """
        Learn that the origin has ended its stream, and that nothing of it was
        lost.

        @return: L{BodyEnd} where that ends an answer, L{BadOrigin} where some
            of it is missing.
        """
        events: list[OriginEvent] = []
        self._ended = True
        try:
            if self._reading is _Reading.HEAD:
                raise Refusal(502, "the connection ended without an answer")
            if self._reading is _Reading.BODY and self._body is not None:
                self._body.endOfStream()
                self._readBody(b"", events)
        except Refusal as e:
            self._fail(e, events)
        return events

    def takeTunnelled(self) -> bytes:
        """
        Give what followed the answer that turned the connection into
        something else.

        @raise LocalProtocolError: There was none.
        """
        if self._reading is not _Reading.TUNNEL:
            raise LocalProtocolError("the connection speaks HTTP")
        tunnelled = bytes(self._buffer)
        self._buffer.clear()
        return tunnelled

    def _question(self) -> BodyWriter:
        if self._writer is None:
            raise LocalProtocolError("no request has begun")
        return self._writer

    def _readHeads(self, events: list[OriginEvent]) -> None:
        while self._reading is _Reading.HEAD:
            head = self._reader.take(self._buffer)
            if head is None:
                return
            answer = answerOf(head, self._method)
            if answer.status == 101:
                self._switch(answer, events)
            elif answer.status < 200:
                self._interims += 1
                if self._interims > INTERIM_LIMIT:
                    raise Refusal(502, "there are too many interim answers")
                events.append(Interim(answer.status, answer.fields, answer.version))
            else:
                self._respond(answer, events)

    def _switch(self, answer: Answer, events: list[OriginEvent]) -> None:
        agreed = self._upgrades.intersection(listed(answer.fields, b"upgrade"))
        named = b"upgrade" in listed(answer.fields, b"connection")
        if not (agreed and named and self._question().ended):
            raise Refusal(502, "the origin speaks a protocol that nobody asked for")
        events.append(Switched(answer.status, answer.reason, answer.fields))
        self._reading = _Reading.TUNNEL
        self._checkEarly()

    def _respond(self, answer: Answer, events: list[OriginEvent]) -> None:
        status, reason, version, fields, length, body, clear = answer
        if not clear or version == b"1.0" or b"close" in listed(fields, b"connection"):
            self._keeps = False
        events.append(Response(status, reason, fields, length, version))
        rest = bytes(self._buffer)
        self._buffer.clear()
        if body is None:
            events.append(BodyEnd())
            self._over(rest)
            return
        self._body = body
        self._reading = _Reading.BODY
        if rest:
            self._readBody(rest, events)

    def _readBody(self, data: bytes, events: list[OriginEvent]) -> None:
        body = self._body
        if body is None:
            return
        piece = body.feed(data)
        if piece:
            events.append(Body(piece))
        if body.ended:
            events.append(BodyEnd(passableTrailers(body.trailers)))
            self._body = None
            self._over(body.rest)

    def _over(self, rest: bytes) -> None:
        self._reading = _Reading.OVER
        if rest:
            self._keeps = False

    def _checkEarly(self) -> None:
        if len(self._buffer) > EARLY_DATA_LIMIT:
            raise Refusal(502, "too much was sent before its time")

    def _fail(self, refusal: Refusal, events: list[OriginEvent]) -> None:
        self._reading = _Reading.NOTHING
        self._buffer.clear()
        self._body = None
        events.append(BadOrigin(str(refusal)))
