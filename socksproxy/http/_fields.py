"""
What is passed on of the fields of a request and of an answer.

Fields about one connection end here, whoever names them; and a client cannot
have those removed, by naming them in Connection, that others rely on.

@see: U{https://www.rfc-editor.org/rfc/rfc9110#section-7.6}
"""

from collections.abc import Iterable
from dataclasses import dataclass

from socksproxy.errors import LocalProtocolError
from socksproxy.http._connect import HeaderField
from socksproxy.http._events import Interim, Request, Response, Switched
from socksproxy.http._grammar import DIGITS, TOKEN, listed, members
from socksproxy.http._refusal import Refusal

OFF, FORWARDED, X_FORWARDED_FOR = "off", "forwarded", "x-forwarded-for"
"""
How an origin is told of the client's address, if at all.
"""


@dataclass(frozen=True, slots=True)
class Forwarding:
    """
    How this proxy forwards.

    @ivar pseudonym: Its name in Via; L{None} leaves Via alone.
    @ivar identity: L{OFF}, L{FORWARDED} or L{X_FORWARDED_FOR}.
    @ivar stripsIdentity: Whether what others say of the client is removed.
    @ivar passesAuthorization: Whether Proxy-Authorization goes on, which only
        another proxy may see.
    @ivar upgrades: The protocols that may be asked for, in lower case.
    """

    pseudonym: bytes | None
    identity: str = OFF
    stripsIdentity: bool = False
    passesAuthorization: bool = False
    upgrades: frozenset[bytes] = frozenset((b"websocket",))

    def __post_init__(self) -> None:
        if self.pseudonym is not None and not TOKEN.fullmatch(self.pseudonym):
            raise LocalProtocolError("a pseudonym is a token")
        if b"h2c" in self.upgrades:
            # What it would carry could be neither read nor checked.
            raise LocalProtocolError("HTTP/2 is not tunnelled by Upgrade")


_AUTHORIZATION = b"proxy-authorization"

# What is about one connection, or is made anew for each.
_HOP = frozenset(
    (
        b"connection",
        b"content-length",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        _AUTHORIZATION,
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    )
)

# What nobody can have removed by naming it in Connection.
_PROTECTED = frozenset(
    (
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"cookie",
        b"expect",
        b"forwarded",
        b"host",
        b"max-forwards",
        b"pragma",
        b"range",
        b"transfer-encoding",
        b"via",
    )
)

# What decides how a message is routed, understood or answered has to be known
# before its body.
_NO_TRAILERS = (
    _HOP
    | _PROTECTED
    | frozenset(
        (
            b"age",
            b"authentication-info",
            b"content-range",
            b"date",
            b"expires",
            b"if-match",
            b"if-modified-since",
            b"if-none-match",
            b"if-range",
            b"if-unmodified-since",
            b"location",
            b"retry-after",
            b"set-cookie",
            b"trailer",
            b"vary",
            b"www-authenticate",
        )
    )
)

_FORWARDED_PREFIX = b"x-forwarded-"

# One who has no address, as on a socket of the file system.
_UNKNOWN = b"unknown"

_COUNTING_HOPS = (b"OPTIONS", b"TRACE")


def requestFields(
    request: Request, forwarding: Forwarding, client: bytes = b""
) -> list[HeaderField]:
    """
    Give the fields to forward a request with, Host first, except those that
    say where its body ends.

    @param request: One in absolute-form.
    @param client: The client's address as text, which is used only if the
        origin is to be told.
    @raise Refusal: It has been here before (508), or Max-Forwards is no number
        (400).
    """
    dropped = _dropped(request.fields)
    if forwarding.passesAuthorization:
        dropped -= {_AUTHORIZATION}
    dropped |= {b"host"}
    if not request.chunked:
        dropped |= {b"trailer"}
    if request.version == b"1.0":
        dropped |= {b"expect"}
    via: list[bytes] = []
    told = [(b"Host", request.target.hostField)]
    for name, value in request.fields:
        key = name.lower()
        if key in dropped:
            continue
        if key == b"via":
            via.append(value)
        elif key == b"max-forwards" and request.method in _COUNTING_HOPS:
            told.append((name, b"%d" % max(0, _hops(value) - 1)))
        else:
            told.append((name, value))
    told = _identified(told, forwarding, client)
    told.extend(_via(via, request.version, forwarding))
    told.extend(_asked(request, forwarding))
    return told


def responseFields(response: Response | Interim, forwarding: Forwarding) -> list[HeaderField]:
    """
    Give the fields to forward an answer with, except those that say where its
    body ends. They stay as they are and in order; none are joined but Via.
    """
    return _answered(response.fields, _dropped(response.fields), response.version, forwarding)


def switchedFields(response: Switched, forwarding: Forwarding) -> list[HeaderField]:
    """
    Give the fields to tell a client with that the origin speaks another
    protocol from here on.
    """
    dropped = _dropped(response.fields) - {b"upgrade"}
    told = _answered(response.fields, dropped, b"1.1", forwarding)
    told.append((b"Connection", b"Upgrade"))
    return told


def isLastHop(request: Request) -> bool:
    """
    Tell whether a request is to be answered here, since Max-Forwards says so.

    @raise Refusal: Max-Forwards is no number.
    """
    return request.method in _COUNTING_HOPS and any(
        _hops(value) == 0 for name, value in request.fields if name.lower() == b"max-forwards"
    )


def passableTrailers(trailers: Iterable[HeaderField]) -> tuple[HeaderField, ...]:
    """
    Give those fields after a body that may be passed on.
    """
    return tuple(
        (name, value)
        for name, value in trailers
        if (key := name.lower()) not in _NO_TRAILERS and not key.startswith(_FORWARDED_PREFIX)
    )


def _answered(
    fields: Iterable[HeaderField],
    dropped: frozenset[bytes],
    version: bytes,
    forwarding: Forwarding,
) -> list[HeaderField]:
    told: list[HeaderField] = []
    via: list[bytes] = []
    for name, value in fields:
        key = name.lower()
        if key == b"via":
            via.append(value)
        elif key not in dropped:
            told.append((name, value))
    told.extend(_joinedVia(via, version, forwarding))
    return told


def _dropped(fields: Iterable[HeaderField]) -> frozenset[bytes]:
    """
    Give the names of the fields that are about this connection only.
    """
    named = {
        word
        for word in (*listed(fields, b"connection"), *listed(fields, b"proxy-connection"))
        if word not in _PROTECTED and not word.startswith(_FORWARDED_PREFIX)
    }
    return _HOP | named


def _identified(
    fields: list[HeaderField], forwarding: Forwarding, client: bytes
) -> list[HeaderField]:
    """
    Say who the client is, or leave out what others have said of it.
    """
    if forwarding.stripsIdentity:
        fields = [
            field
            for field in fields
            if (key := field[0].lower()) != b"forwarded" and not key.startswith(_FORWARDED_PREFIX)
        ]
    if forwarding.identity == FORWARDED:
        # A colon is not one of the characters of a token.
        shown = b'"[%b]"' % client if b":" in client else client
        fields.append((b"Forwarded", b"for=" + (shown or _UNKNOWN)))
    elif forwarding.identity == X_FORWARDED_FOR:
        fields.append((b"X-Forwarded-For", client or _UNKNOWN))
    return fields


def _via(via: list[bytes], version: bytes, forwarding: Forwarding) -> list[HeaderField]:
    """
    Say that a message has been here.

    @param via: What it says of where it has been.
    @raise Refusal: That is here.
    """
    own = forwarding.pseudonym
    if own is not None and any(
        member.split()[1:2] == [own.lower()] for value in via for member in members(value)
    ):
        raise Refusal(508, "the request has been here before")
    return _joinedVia(via, version, forwarding)


def _joinedVia(via: list[bytes], version: bytes, forwarding: Forwarding) -> list[HeaderField]:
    if forwarding.pseudonym is not None:
        via = [*via, b"%b %b" % (version, forwarding.pseudonym)]
    return [(b"Via", b", ".join(via))] if via else []


def _asked(request: Request, forwarding: Forwarding) -> list[HeaderField]:
    """
    Ask for what is between us and the origin: trailers, another protocol.
    """
    told: list[HeaderField] = []
    options: list[bytes] = []
    if request.version != b"1.0" and b"trailers" in listed(request.fields, b"te"):
        told.append((b"TE", b"trailers"))
        options.append(b"TE")
    if request.upgrade is not None and request.upgrade in forwarding.upgrades:
        told.append((b"Upgrade", request.upgrade))
        options.append(b"Upgrade")
    if options:
        told.append((b"Connection", b", ".join(options)))
    return told


def _hops(value: bytes) -> int:
    """
    Read Max-Forwards.
    """
    if not DIGITS.fullmatch(value):
        raise Refusal(400, "Max-Forwards is no number")
    return int(value)
