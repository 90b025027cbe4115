"""
A client's side and an origin's side, joined as a proxy joins them, in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from socksproxy.http._clientside import ClientSide
from socksproxy.http._events import Bad, Body, BodyEnd, ClientEvent, Request
from socksproxy.http._fields import Forwarding, requestFields
from socksproxy.http._originside import OriginSide
from socksproxy.http._refusal import Refusal
from socksproxy.http._target import Form
from tests.http.vectors import PSEUDONYM

FORWARDING = Forwarding(PSEUDONYM)

GET = b"GET http://web.test/ HTTP/1.1\r\nHost: web.test\r\n\r\n"
POST = b"POST http://web.test/ HTTP/1.1\r\nHost: web.test\r\n"
CONNECT = b"CONNECT web.test:443 HTTP/1.1\r\nHost: web.test:443\r\n\r\n"


def received(pieces: Sequence[bytes]) -> tuple[ClientSide, list[ClientEvent]]:
    """
    Give a machine that a client has sent something to, and all it told, with
    pieces of a body joined.
    """
    client = ClientSide()
    return client, joined(event for piece in pieces for event in client.receive(piece))


def joined(events: Iterable[object]) -> list[object]:
    """
    Make one of all pieces of a body that follow one another.
    """
    all_: list[object] = []
    for event in events:
        if isinstance(event, Body) and all_ and isinstance(all_[-1], Body):
            all_[-1] = Body(all_[-1].data + event.data)
        else:
            all_.append(event)
    return all_


def badIn(events: Iterable[object]) -> Bad | None:
    """
    Give what was wrong, if anything was.
    """
    return next((event for event in events if isinstance(event, Bad)), None)


@dataclass
class Forwarded:
    """
    What went to an origin for one request.

    @ivar octets: All of it.
    @ivar body: The body that the client sent.
    @ivar whole: Whether the request was complete.
    """

    octets: bytes
    body: bytes = b""
    whole: bool = False
    origin: OriginSide = field(default_factory=OriginSide)


def forward(request: Request, forwarding: Forwarding = FORWARDING) -> Forwarded | None:
    """
    Begin to forward a request.

    @return: What is sent to the origin, or L{None} if nothing is.
    """
    if request.target.form is not Form.ABSOLUTE:
        return None
    try:
        fields = requestFields(request, forwarding)
    except Refusal:
        return None
    origin = OriginSide()
    head = origin.request(
        request.method,
        request.target.path,
        fields,
        length=request.length,
        chunked=request.chunked,
    )
    return Forwarded(head, origin=origin)


def forwardAll(pieces: Sequence[bytes]) -> tuple[list[Forwarded], Bad | None]:
    """
    Forward all that a client sends, each request to an origin of its own, and
    answer each with nothing.
    """
    client = ClientSide()
    sent: list[Forwarded] = []
    current: Forwarded | None = None
    for piece in pieces:
        events = client.receive(piece)
        while events:
            event = events.pop(0)
            match event:
                case Request():
                    current = forward(event)
                    if current is not None:
                        sent.append(current)
                case Body() if current is not None:
                    current.octets += current.origin.send(event.data)
                    current.body += event.data
                case BodyEnd() if current is not None:
                    current.octets += current.origin.end(event.trailers)
                    current.whole = True
                case Bad():
                    return sent, event
            if client.requestEnded and not events:
                client.respond(200, b"OK", [], length=0)
                client.end()
                if not client.persistent:
                    return sent, None
                events = client.nextRequest()
    return sent, None
