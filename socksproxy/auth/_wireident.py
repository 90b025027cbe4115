"""
The messages of the Identification Protocol as bytes and as values: one line
that asks whose a connection is, and one that answers.

@see: U{https://www.rfc-editor.org/rfc/rfc1413}
"""

import re
from dataclasses import dataclass

from socksproxy.errors import MalformedMessage, MessageTooLong

PORT = 113

MAX_REPLY = 1000
"""
Octets of a reply, its end of line included (RFC 1413 section 4).
"""

_BLANK = b" \t"

# The whole grammar but for the fields after the type, where blanks and colons
# may mean something.
_REPLY = re.compile(
    rb"[ \t]*([0-9]{1,5})[ \t]*,[ \t]*([0-9]{1,5})[ \t]*:[ \t]*(USERID|ERROR)[ \t]*:(.*)"
)

# token-characters of the RFC, without the colon that ends a field.
_TOKEN = re.compile(rb"[!-9;-~]{1,64}")

# Octets that neither a user identifier nor anything else in a line may be.
_CONTROL = re.compile(rb"[\0\r\n]")


@dataclass(frozen=True, slots=True)
class UserIDReply:
    """
    The host knows whose the connection is.

    @ivar ports: Its own port of the connection and the asker's, as repeated
        from the question.
    @ivar operatingSystem: What kind of name it is, C{UNIX} or C{OTHER} mostly.
    @ivar charset: What the name is written in, or L{None} for ASCII.
    @ivar user: The name.
    """

    ports: tuple[int, int]
    operatingSystem: str
    charset: str | None
    user: bytes


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """
    The host does not know, or does not tell.

    @ivar ports: As in L{UserIDReply}.
    @ivar error: Why, C{NO-USER} or C{HIDDEN-USER} for example.
    """

    ports: tuple[int, int]
    error: str


Reply = UserIDReply | ErrorReply


def encodeQuery(theirPort: int, ourPort: int) -> bytes:
    """
    Ask whose a connection is.

    @param theirPort: The port that it has on the host that is asked.
    @param ourPort: The port that it has here.
    """
    return b"%d , %d\r\n" % (theirPort, ourPort)


def decodeReply(data: bytes) -> tuple[Reply, int] | None:
    """
    Read the answer::

        <port> , <port> : USERID : <system> [ , <charset> ] : <user>  CR LF
        <port> , <port> : ERROR : <error>  CR LF

    Blanks around the fields do not count, but what follows the first
    character of a user's name is part of it, colons and blanks included.

    @return: The reply and the octets that it takes, or L{None} while it is
        incomplete.
    @raise MessageTooLong: The line does not end within C{MAX_REPLY}.
    @raise MalformedMessage: It says nothing of the kind.
    """
    end = data.find(b"\n", 0, MAX_REPLY)
    if end < 0:
        if len(data) >= MAX_REPLY:
            raise MessageTooLong(f"an ident reply longer than {MAX_REPLY} octets")
        return None
    # Some servers end their lines the UNIX way.
    line = data[:end].removesuffix(b"\r")
    if _CONTROL.search(line):
        raise MalformedMessage("an ident reply with control characters")
    match = _REPLY.fullmatch(line)
    if match is None:
        raise MalformedMessage("not an ident reply")
    theirs, ours, kind, rest = match.groups()
    ports = _port(theirs), _port(ours)
    if kind == b"ERROR":
        return ErrorReply(ports, _token(rest)), end + 1
    system, colon, user = rest.partition(b":")
    user = user.lstrip(_BLANK)
    if not colon or not user:
        raise MalformedMessage("an ident reply without a user")
    system, comma, charset = system.partition(b",")
    reply = UserIDReply(ports, _token(system), _token(charset) if comma else None, user)
    return reply, end + 1


def _port(digits: bytes) -> int:
    port = int(digits)
    if port > 0xFFFF:
        raise MalformedMessage("an ident reply with a port out of range")
    return port


def _token(field: bytes) -> str:
    token = field.strip(_BLANK)
    if not _TOKEN.fullmatch(token):
        raise MalformedMessage("an ident reply with a field that is no token")
    return token.decode("ascii")
