"""
What the machines of the HTTP proxy tell whoever drives them: of a client's
requests, and of an origin's answers.

A body comes in as few pieces as possible, as it was received. Every request
but CONNECT, and every answer but an interim one, is followed by L{BodyEnd},
whether it has a body or not.
"""

from dataclasses import dataclass, field

from socksproxy.http._connect import HeaderField
from socksproxy.http._target import Target

Fields = tuple[HeaderField, ...]
"""
Header fields in their order, names as they were written.
"""


@dataclass(frozen=True, slots=True)
class Request:
    """
    A client's request, whose head is well formed and without ambiguity.

    @ivar version: 1.0, or 1.1 for all later ones.
    @ivar length: Octets of the body, as declared; L{None} if no length was.
    @ivar chunked: Whether a body of unknown length follows.
    @ivar expectsContinue: Whether the client waits for an interim answer
        before it sends the body.
    @ivar upgrade: The one protocol that the client would rather speak, in
        lower case, if it asks for exactly one and has no body.
    @ivar keepAlive: Whether the client would send another request afterwards.
    """

    method: bytes
    target: Target
    version: bytes
    fields: Fields = field(repr=False)
    length: int | None = None
    chunked: bool = False
    expectsContinue: bool = False
    upgrade: bytes | None = None
    keepAlive: bool = True


@dataclass(frozen=True, slots=True)
class Body:
    """
    A piece of a body.
    """

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BodyEnd:
    """
    The body is complete.

    @ivar trailers: Those fields after it that may be passed on.
    """

    trailers: Fields = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Bad:
    """
    A client sent what is no request. It is to be told so if no answer has
    begun yet, and the connection closed; nothing more is read.

    @ivar status: What to answer.
    @ivar text: What is wrong, in words of ours.
    """

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class ClientDone:
    """
    The client has ended its stream between two requests.
    """


@dataclass(frozen=True, slots=True)
class Interim:
    """
    An origin has said something before its answer.

    @ivar status: 100 to 199, but not 101.
    @ivar version: 1.0 or 1.1.
    """

    status: int
    fields: Fields = field(repr=False)
    version: bytes = b"1.1"


@dataclass(frozen=True, slots=True)
class Response:
    """
    The head of an origin's answer.

    @ivar length: Content-Length, if there is one that counts. For an answer
        without a body (to HEAD, or 304) it says what the body would have.
    @ivar version: 1.0 or 1.1.
    """

    status: int
    reason: bytes = field(repr=False)
    fields: Fields = field(repr=False)
    length: int | None = None
    version: bytes = b"1.1"


@dataclass(frozen=True, slots=True)
class Switched:
    """
    An origin has agreed to the protocol that was asked for: what follows is
    not HTTP.
    """

    status: int
    reason: bytes = field(repr=False)
    fields: Fields = field(repr=False)


@dataclass(frozen=True, slots=True)
class BadOrigin:
    """
    An origin's answer makes no sense, or is not complete. Nothing more is
    read; a client that has a part of it already must not take it for all.

    @ivar text: What is wrong, in words of ours.
    """

    text: str


ClientEvent = Request | Body | BodyEnd | Bad | ClientDone

OriginEvent = Interim | Response | Body | BodyEnd | Switched | BadOrigin
