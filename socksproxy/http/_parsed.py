"""
Heads of HTTP/1 messages, understood by L{h11}.

It is given one head at a time, whole, which the L{guard<socksproxy.http._guard>}
has let pass. Both count the fields, and have to agree.
"""

import re
from typing import NamedTuple

import h11

from socksproxy.http._connect import HeaderField
from socksproxy.http._guard import Head, RequestLine, StatusLine
from socksproxy.http._refusal import Refusal

# More than the guard lets pass.
_MAX_HEAD = 1 << 20

# h11 reads an interim answer only to a request, and 101 only to one that asks.
_QUESTION = h11.Request(
    method="GET",
    target="/",
    headers=[("Host", "test"), ("Connection", "upgrade"), ("Upgrade", "test")],
)

_IDENTITY = re.compile(rb"^transfer-encoding:[ \t]*identity[ \t]*+\r?\n", re.I | re.M)


class ParsedRequest(NamedTuple):
    """
    What a request's head says.
    """

    method: bytes
    target: bytes
    fields: tuple[HeaderField, ...]


class ParsedResponse(NamedTuple):
    """
    What a response's head says.
    """

    status: int
    reason: bytes
    fields: tuple[HeaderField, ...]


def parseRequest(head: Head[RequestLine]) -> ParsedRequest:
    """
    Understand a request's head. Nothing in it is ambiguous.

    @raise Refusal: It makes no sense to L{h11}.
    """
    octets = head.octets
    if head.line.later and not head.framing.hosts:
        # Only one of HTTP/1.0 may come without a Host.
        line, rest = octets.split(b"\r\n", 1)
        octets = b"%b0\r\n%b" % (line[:-1], rest)
    event = _event(h11.Connection(h11.SERVER, _MAX_HEAD), octets)
    if not isinstance(event, h11.Request) or len(event.headers) != head.fieldCount:
        raise Refusal(400, "the head makes no sense")
    return ParsedRequest(event.method, event.target, tuple(event.headers.raw_items()))


def parseResponse(head: Head[StatusLine]) -> ParsedResponse:
    """
    Understand a response's head. If there are several lengths, they agree.

    @raise Refusal: It makes no sense to L{h11}.
    """
    octets, count = head.octets, head.fieldCount
    if head.framing.codings and head.framing.codings[0].lower() == b"identity":
        # Of old, this is how to say that there is no coding.
        octets, removed = _IDENTITY.subn(b"", octets)
        count -= removed
    # Lengths that agree are folded into one.
    count -= max(0, len(head.framing.lengths) - 1)
    connection = h11.Connection(h11.CLIENT, _MAX_HEAD)
    if head.line.status < 200:
        connection.send(_QUESTION)
    event = _event(connection, octets)
    if (
        not isinstance(event, h11.InformationalResponse | h11.Response)
        or len(event.headers) != count
    ):
        raise Refusal(502, "the head makes no sense")
    return ParsedResponse(event.status_code, event.reason, tuple(event.headers.raw_items()))


def _event(connection: h11.Connection, octets: bytes) -> object:
    """
    Have a head understood.

    @return: What it is, or L{None} if it is nothing.
    """
    connection.receive_data(octets)
    try:
        return connection.next_event()
    except h11.RemoteProtocolError:
        return None
